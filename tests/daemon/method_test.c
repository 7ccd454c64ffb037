/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/serving.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "numerics/rng.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_REQUEST = 8192,
    N_MUTATIONS = 2000,
    N_SAMPLES = 8 /* requests to cut and to mutate */
};

static tl_engine *engine;

static int open_engine(void **state)
{
    (void)state;
    engine = tl_test_engine_open(tl_test_new_dir());
    return 0;
}

static int close_engine(void **state)
{
    (void)state;
    tl_engine_close(engine);
    return 0;
}

static tl_call make_call(void)
{
    return (tl_call){.engine = engine, .role = TL_ROLE_ADMIN, .deadline_ns = INT64_MAX};
}

/* ---- requests ------------------------------------------------------------------------- */

typedef struct packed {
    uint8_t data[MAX_REQUEST];
    size_t len;
} packed;

static packed pack(const ProtobufCMessage *message)
{
    packed p = {0};
    assert_true(protobuf_c_message_get_packed_size(message) <= MAX_REQUEST);
    p.len = protobuf_c_message_pack(message, p.data);
    return p;
}

static packed pack_name(const char *name)
{
    Tailor__V1__Name message;
    tailor__v1__name__init(&message);
    message.name = (char *)(uintptr_t)name;
    return pack((ProtobufCMessage *)&message);
}

static packed pack_yaml(const char *yaml)
{
    Tailor__V1__DeviceAddRequest message; /* SpaceAddRequest has the same fields */
    tailor__v1__device_add_request__init(&message);
    message.origin = (char *)(uintptr_t) "test.yaml";
    message.yaml =
        (ProtobufCBinaryData){.len = strlen(yaml), .data = (uint8_t *)(uintptr_t)yaml};
    return pack((ProtobufCMessage *)&message);
}

static const char device_yaml[] =
    "name: bench9\nclass: cpu\ncores: 4\npeak_gflops: {fp32: 48}\n";

static const char known_device_yaml[] =
    "name: rig5\nclass: cpu\ncores: 4\nclock_mhz: 1500\npeak_gflops: {fp32: 48}\n"
    "bandwidth_gb_per_s: {l1: 96, l2: 24, dram: 4}\npower_w: {idle: 2, busy: 6}\n";

static const char small_space_yaml[] =
    "name: two-blocks\nkind: chain\ninput: {channels: 3, size: 32}\nstem:\n"
    "  - {op: conv, out: 16, kernel: 3, stride: 2, act: relu}\nslot: b{block}\nstages:\n"
    "  - {channels: 16, blocks: 1}\n  - {channels: 32, blocks: 1, stride: 2}\noptions:\n"
    "  - name: plain\n"
    "    ops: [{op: conv, out: out, kernel: 3, stride: stride, act: relu}]\n"
    "  - name: separable\n    ops:\n"
    "      - {op: depthwise, kernel: 5, stride: stride, act: relu}\n"
    "      - {op: conv, out: out, kernel: 1}\n"
    "head:\n  - {op: pool_global}\n  - {op: dense, out: 10}\n";

static const char fleet_csv[] =
    "device,class,cores,clock_mhz,peak_gflops.fp32,"
    "bandwidth_gb_per_s.dram,max_latency_ms\n"
    "rig5,,,,,,50\n,cpu,2,900,9,3,\nnobody,,,,,,5\n,cpx,1,1,1,1,1\n";

typedef struct design_parts {
    Tailor__V1__DesignRequest request;
    Tailor__V1__Limits limits;
    Tailor__V1__Weights weights;
} design_parts;

/* The cheapest design of the small space on the device under a limit, explained. */
static packed pack_design(bool with_weights, uint32_t propose)
{
    design_parts d;
    tailor__v1__design_request__init(&d.request);
    tailor__v1__limits__init(&d.limits);
    tailor__v1__weights__init(&d.weights);
    d.limits.has_max_latency_ms = true;
    d.limits.max_latency_ms = 50;
    d.weights.has_latency = d.weights.has_energy = true;
    d.weights.latency = d.weights.energy = .5;
    d.request.space = (char *)(uintptr_t) "two-blocks";
    d.request.device = (char *)(uintptr_t) "rig5";
    d.request.limits = &d.limits;
    d.request.weights = with_weights ? &d.weights : NULL;
    d.request.minimize = (char *)(uintptr_t)(with_weights ? "" : "latency_ms");
    d.request.propose = propose;
    d.request.explain = propose == 0;
    return pack((ProtobufCMessage *)&d.request);
}

static packed pack_pareto(void)
{
    Tailor__V1__ParetoRequest request;
    tailor__v1__pareto_request__init(&request);
    request.space = (char *)(uintptr_t) "two-blocks";
    request.device = (char *)(uintptr_t) "rig5";
    request.points = 3;
    request.budget_us = 100000;
    return pack((ProtobufCMessage *)&request);
}

static packed pack_fleet_by(const char *csv, const char *maximize, const char *minimize)
{
    Tailor__V1__FleetRequest request;
    tailor__v1__fleet_request__init(&request);
    request.space = (char *)(uintptr_t) "two-blocks";
    request.maximize = (char *)(uintptr_t)maximize;
    request.minimize = (char *)(uintptr_t)minimize;
    request.origin = (char *)(uintptr_t) "fleet.csv";
    request.csv = (ProtobufCBinaryData){.len = strlen(csv), .data = (uint8_t *)(uintptr_t)csv};
    return pack((ProtobufCMessage *)&request);
}

static packed pack_fleet(const char *csv)
{
    return pack_fleet_by(csv, "", "latency_ms");
}

static tl_err call_with(const char *method, const packed *request, tl_bytes *out_reply)
{
    tl_call call = make_call();
    const tl_method *found = tl_method_find(method);
    assert_non_null(found);
    tl_err err = tl_method_call(found, &call, request->data, request->len, out_reply);
    tl_call_done(&call);
    return err;
}

/* The reply as a message of the method's type, to be freed with tl_wire_free(). */
static ProtobufCMessage *ask(const char *method, packed request)
{
    tl_bytes reply = {0};
    ProtobufCMessage *message = NULL;
    assert_ok(call_with(method, &request, &reply));
    assert_ok(tl_wire_unpack(
        tl_method_find(method)->reply, reply.data, reply.len, TL_WIRE_MAX_MEMORY_BYTES,
        &message));
    tl_mem_free(reply.data);
    return message;
}

static void tell(const char *method, packed request)
{
    tl_wire_free(ask(method, request));
}

static tl_err refuse(const char *method, packed request)
{
    tl_bytes reply = {0};
    tl_err err = call_with(method, &request, &reply);
    assert_null(reply.data);
    return err;
}

/* A space of four designs, and a device that only a profile tells of. */
static void add_small_world(void)
{
    tell("space.add", pack_yaml(small_space_yaml));
    tell("device.add", pack_yaml(known_device_yaml));
}

/* ---- the table ------------------------------------------------------------------------- */

static void the_table_is_sorted_and_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < tl_methods_len; i++) {
        const tl_method *m = tl_methods[i];
        assert_non_null(m->run);
        assert_non_null(m->request);
        assert_non_null(m->reply);
        assert_true(strlen(m->summary) > 10);
        assert_non_null(strchr(m->name, '.'));
        assert_ptr_equal(tl_method_find(m->name), m);
        if (i > 0) {
            assert_true(strcmp(tl_methods[i - 1]->name, m->name) < 0);
        }
    }
    assert_null(tl_method_find("space"));
    assert_null(tl_method_find(""));
    assert_null(tl_method_find("zzz"));
}

static void a_reader_may_not_write(void **state)
{
    (void)state;
    packed request = pack_name("nasbench201");
    tl_bytes reply = {0};
    tl_call call = make_call();
    call.role = TL_ROLE_READER;
    assert_err(
        TL_EDENIED,
        tl_method_call(
            tl_method_find("space.remove"), &call, request.data, request.len, &reply));
    assert_null(reply.data);
}

static void a_call_past_its_deadline_does_not_start(void **state)
{
    (void)state;
    tl_bytes reply = {0};
    tl_call call = make_call();
    call.deadline_ns = tl_clock_ns() - 1;
    assert_err(
        TL_EDEADLINE, tl_method_call(tl_method_find("space.list"), &call, NULL, 0, &reply));
    atomic_bool is_cancelled = true;
    call = make_call();
    call.is_cancelled = &is_cancelled;
    assert_err(
        TL_ECANCELLED, tl_method_call(tl_method_find("space.list"), &call, NULL, 0, &reply));
    assert_null(reply.data);
}

/* ---- hostile bytes ----------------------------------------------------------------------- */

static packed sample_request(size_t i)
{
    Tailor__V1__ImportFeed feed;
    Tailor__V1__LowerRequest lower;
    tailor__v1__import_feed__init(&feed);
    feed.import_id = 77;
    feed.csv = (ProtobufCBinaryData){.len = 4, .data = (uint8_t *)(uintptr_t) "a,b\n"};
    tailor__v1__lower_request__init(&lower);
    lower.space = (char *)(uintptr_t) "nasbench201";
    lower.origin = (char *)(uintptr_t) "designs.csv";
    lower.designs_csv = (ProtobufCBinaryData){
        .len = 24, .data = (uint8_t *)(uintptr_t) "e01,e02,e12,e03,e13,e23\n"};
    switch (i % N_SAMPLES) {
    case 0: return pack_name("nasbench201");
    case 1: return pack_yaml(device_yaml);
    case 2: return pack((ProtobufCMessage *)&feed);
    case 3: return pack_design(/* with_weights= */ false, 0);
    case 4: return pack_design(/* with_weights= */ true, 2);
    case 5: return pack_pareto();
    case 6: return pack_fleet(fleet_csv);
    default: return pack((ProtobufCMessage *)&lower);
    }
}

/* Whatever came back is a success with a reply or a failure without one. */
static void call_any(const tl_method *method, const uint8_t *data, size_t len)
{
    tl_bytes reply = {0};
    tl_call call = make_call();
    tl_err err = tl_method_call(method, &call, data, len, &reply);
    assert_true((err == TL_OK) == (reply.data != NULL));
    if (err != TL_OK) {
        assert_true(strlen(tl_err_detail()) > 0);
    }
    tl_mem_free(reply.data);
    tl_call_done(&call);
}

static void requests_cut_anywhere_are_answered(void **state)
{
    (void)state;
    add_small_world();
    for (size_t i = 0; i < N_SAMPLES; i++) {
        packed request = sample_request(i);
        for (size_t len = 0; len < request.len; len++) {
            for (size_t m = 0; m < tl_methods_len; m++) {
                call_any(tl_methods[m], request.data, len);
            }
        }
    }
}

static void random_bytes_are_answered(void **state)
{
    (void)state;
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (int i = 0; i < N_MUTATIONS; i++) {
        uint8_t data[64];
        size_t len = (size_t)tl_rng_below(&rng, sizeof data);
        for (size_t b = 0; b < len; b++) {
            data[b] = (uint8_t)tl_rng_below(&rng, 256);
        }
        call_any(tl_methods[(size_t)i % tl_methods_len], data, len);
    }
}

/* The methods that solve a question get requests that begin as good ones. */
static void mutated_questions_are_answered(void **state)
{
    (void)state;
    add_small_world();
    static const char *const methods[] = {
        "design.run", "design.run", "pareto.run", "fleet.run"};
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed() + 2);
    for (size_t i = 0; i < N_MUTATIONS; i++) {
        packed request = sample_request(3 + i % TL_COUNT(methods));
        int n_changes = 1 + (int)tl_rng_below(&rng, 3);
        for (int c = 0; c < n_changes; c++) {
            request.data[tl_rng_below(&rng, (uint32_t)request.len)] =
                (uint8_t)tl_rng_below(&rng, 256);
        }
        call_any(tl_method_find(methods[i % TL_COUNT(methods)]), request.data, request.len);
    }
}

static void mutated_requests_are_answered(void **state)
{
    (void)state;
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed() + 1);
    for (int i = 0; i < N_MUTATIONS; i++) {
        packed request = sample_request((size_t)i);
        int n_changes = 1 + (int)tl_rng_below(&rng, 4);
        for (int c = 0; c < n_changes; c++) {
            request.data[tl_rng_below(&rng, (uint32_t)request.len)] =
                (uint8_t)tl_rng_below(&rng, 256);
        }
        call_any(
            tl_methods[tl_rng_below(&rng, (uint32_t)tl_methods_len)], request.data,
            request.len);
    }
}

static void texts_must_be_whole_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint8_t len;
    } bad[] = {
        {"a\0b",             3},
        {"\xff",             1},
        {"\xc0\xaf",         2}, /* overlong */
        {"\xe0\x80\xaf",     3},
        {"\xed\xa0\x80",     3}, /* half a surrogate pair */
        {"\xf4\x90\x80\x80", 4}, /* beyond the last character */
        {"\xe2\x82",         2}, /* cut */
    };
    for (size_t i = 0; i < TL_COUNT(bad); i++) {
        packed request = {
            .data = {0x0a, bad[i].len},
              .len = 2U + bad[i].len
        };
        memcpy(request.data + 2, bad[i].bytes, bad[i].len);
        assert_err(TL_EINVAL, refuse("space.show", request));
        assert_detail("name: ");
    }
}

/* ---- stories -------------------------------------------------------------------------------- */

static void a_device_comes_changes_and_goes(void **state)
{
    (void)state;
    /* not the device of the mutated requests: some of them are valid and add it */
    packed named = pack_name("rig4");
    assert_err(TL_ENOTFOUND, refuse("device.show", named));
    ProtobufCMessage *reply =
        ask("device.add", pack_yaml("name: rig4\nclass: cpu\ncores: 4\n"));
    assert_string_equal(((Tailor__V1__Name *)reply)->name, "rig4");
    tl_wire_free(reply);
    tell("device.add", pack_yaml("name: rig4\nclass: gpu\n"));
    reply = ask("device.show", named);
    assert_non_null(strstr(((Tailor__V1__Text *)reply)->text, "class: gpu"));
    assert_null(strstr(((Tailor__V1__Text *)reply)->text, "cores"));
    tl_wire_free(reply);
    tell("device.remove", named);
    assert_err(TL_ENOTFOUND, refuse("device.remove", named));
    assert_err(TL_EINVAL, refuse("device.add", pack_yaml("nam: x\n")));
    assert_detail("test.yaml");
    assert_err(TL_EINVAL, refuse("device.show", pack_name("../etc")));
}

static void built_in_spaces_are_listed_and_stay(void **state)
{
    (void)state;
    ProtobufCMessage *reply = ask("space.list", (packed){0});
    const Tailor__V1__Table *table = (Tailor__V1__Table *)reply;
    bool has_nasbench = false;
    assert_string_equal(table->columns[0]->name, "space");
    for (size_t i = 0; i < table->n_rows; i++) {
        const Tailor__V1__Column *names = table->columns[0];
        has_nasbench |= strcmp(names->dictionary[names->index[i]], "nasbench201") == 0;
    }
    tl_wire_free(reply);
    assert_true(has_nasbench);
    assert_err(TL_ESTATE, refuse("space.remove", pack_name("nasbench201")));
    assert_detail("built in");
    assert_err(TL_ENOTFOUND, refuse("space.show", pack_name("nasbench202")));
    assert_detail("nasbench201");
    assert_err(TL_EINVAL, refuse("space.add", pack_yaml("name: broken\nkind: spiral\n")));
}

/* A copy of a built-in space under another name. */
static char *renamed_space(const char *name)
{
    tl_space *space = NULL;
    tl_text text = {0};
    assert_ok(tl_engine_space(engine, "nasbench201", &space));
    const char *yaml = tl_space_yaml(space);
    const char *at = strstr(yaml, "name: nasbench201");
    assert_non_null(at);
    tl_text_add_bytes(&text, yaml, (size_t)(at - yaml));
    tl_text_addf(&text, "name: %s%s", name, at + strlen("name: nasbench201"));
    tl_space_unref(space);
    return tl_text_steal(&text);
}

static void begin_import(const char *space, uint64_t *out_id)
{
    Tailor__V1__ImportBegin begin;
    tailor__v1__import_begin__init(&begin);
    begin.space = (char *)(uintptr_t)space;
    begin.origin = (char *)(uintptr_t) "table.csv";
    ProtobufCMessage *reply = ask("measure.begin", pack((ProtobufCMessage *)&begin));
    *out_id = ((Tailor__V1__ImportId *)reply)->import_id;
    tl_wire_free(reply);
}

static packed pack_feed(uint64_t id, uint64_t sequence, const char *csv)
{
    Tailor__V1__ImportFeed feed;
    tailor__v1__import_feed__init(&feed);
    feed.import_id = id;
    feed.sequence = sequence;
    feed.csv = (ProtobufCBinaryData){.len = strlen(csv), .data = (uint8_t *)(uintptr_t)csv};
    return pack((ProtobufCMessage *)&feed);
}

static packed pack_id(uint64_t id)
{
    Tailor__V1__ImportId message;
    tailor__v1__import_id__init(&message);
    message.import_id = id;
    return pack((ProtobufCMessage *)&message);
}

static void an_added_space_keeps_its_measurements(void **state)
{
    (void)state;
    char *yaml = renamed_space("mine");
    uint64_t id = 0;
    tell("space.add", pack_yaml(yaml));
    tell("space.add", pack_yaml(yaml)); /* the same again is fine */
    tl_mem_free(yaml);

    begin_import("mine", &id);
    tell(
        "measure.feed",
        pack_feed(id, 0, "e01,e02,e12,e03,e13,e23,latency_ms@rig\nnone,none,no"));
    tell(
        "measure.feed",
        pack_feed(id, 0, "e01,e02,e12,e03,e13,e23,latency_ms@rig\nnone,none,no"));
    assert_err(TL_ESTATE, refuse("measure.feed", pack_feed(id, 2, "x")));
    tell("measure.feed", pack_feed(id, 1, "ne,none,none,none,1.25\n"));
    ProtobufCMessage *reply = ask("measure.commit", pack_id(id));
    const Tailor__V1__ImportReport *report = (Tailor__V1__ImportReport *)reply;
    assert_int_equal(report->n_rows, 1);
    assert_int_equal(report->n_values, 1);
    assert_int_equal(report->n_new_devices, 1);
    assert_string_equal(report->new_devices[0], "rig");
    assert_string_equal(report->columns[0], "latency_ms@rig");
    tl_wire_free(reply);
    assert_err(TL_ENOTFOUND, refuse("measure.commit", pack_id(id)));

    assert_err(TL_ESTATE, refuse("space.remove", pack_name("mine")));
    assert_detail("mine: measurements of it are stored; export them first");
    Tailor__V1__ExportRequest request;
    tailor__v1__export_request__init(&request);
    request.space = (char *)(uintptr_t) "mine";
    request.device = (char *)(uintptr_t) "rig";
    reply = ask("measure.export", pack((ProtobufCMessage *)&request));
    const Tailor__V1__Table *table = (Tailor__V1__Table *)reply;
    const Tailor__V1__Column *last = table->columns[table->n_columns - 1];
    assert_int_equal(table->n_rows, 1);
    assert_string_equal(last->name, "latency_ms@rig");
    assert_close(last->number[0], 1.25, 0.0);
    tl_wire_free(reply);

    tell("device.remove", pack_name("rig"));
    tell("space.remove", pack_name("mine"));
    assert_err(TL_ENOTFOUND, refuse("space.show", pack_name("mine")));
}

static void a_bad_table_stores_nothing(void **state)
{
    (void)state;
    uint64_t id = 0;
    begin_import("nasbench201", &id);
    assert_err(
        TL_EINVAL, refuse(
                       "measure.feed", pack_feed(
                                           id, 0,
                                           "e01,e02,e12,e03,e13,e23,latency_ms@rig\n"
                                           "none,none,conv5,none,none,none,1.25\n")));
    assert_detail("table.csv line 2");
    assert_err(TL_ENOTFOUND, refuse("measure.commit", pack_id(id)));
    assert_err(TL_ENOTFOUND, refuse("device.show", pack_name("rig")));
    begin_import("nasbench201", &id);
    tell("measure.abort", pack_id(id));
    assert_err(TL_ENOTFOUND, refuse("measure.abort", pack_id(id)));
}

static void open_imports_are_bounded(void **state)
{
    (void)state;
    uint64_t ids[TL_IMPORTS_MAX];
    Tailor__V1__ImportBegin begin;
    tl_engine *shared = engine; /* in which hostile requests may have opened imports */
    engine = tl_test_engine_open(tl_test_new_dir());
    tailor__v1__import_begin__init(&begin);
    begin.space = (char *)(uintptr_t) "nasbench201";
    for (int i = 0; i < TL_IMPORTS_MAX; i++) {
        begin_import("nasbench201", &ids[i]);
    }
    assert_err(TL_EBUSY, refuse("measure.begin", pack((ProtobufCMessage *)&begin)));
    for (int i = 0; i < TL_IMPORTS_MAX; i++) {
        tell("measure.abort", pack_id(ids[i]));
    }
    tl_engine_close(engine);
    engine = shared;
}

static void designs_are_lowered_to_networks(void **state)
{
    (void)state;
    static const char csv[] = "e01,e02,e12,e03,e13,e23\n"
                              "nor_conv_3x3,none,skip_connect,none,none,avg_pool_3x3\n";
    Tailor__V1__LowerRequest request;
    tailor__v1__lower_request__init(&request);
    request.space = (char *)(uintptr_t) "nasbench201";
    request.designs_csv =
        (ProtobufCBinaryData){.len = sizeof csv - 1, .data = (uint8_t *)(uintptr_t)csv};
    ProtobufCMessage *reply = ask("space.lower", pack((ProtobufCMessage *)&request));
    const Tailor__V1__LowerReply *lowered = (Tailor__V1__LowerReply *)reply;
    assert_int_equal(lowered->n_networks, 1);
    assert_true(lowered->networks[0]->n_ops > 20);
    assert_string_equal(lowered->networks[0]->ops[0]->kind, "conv");
    assert_int_equal(lowered->designs->n_rows, 1);
    tl_wire_free(reply);
}

static void networks_for_more_than_one_message_are_not_made(void **state)
{
    (void)state;
    static const char header[] = "e01,e02,e12,e03,e13,e23\n";
    static const char row[] = "nor_conv_3x3,nor_conv_3x3,nor_conv_3x3,nor_conv_3x3,"
                              "nor_conv_3x3,nor_conv_3x3\n";
    Tailor__V1__LowerRequest request;
    tl_text csv = {0};
    tl_text_add(&csv, header);
    for (int i = 0; i < 20000; i++) {
        tl_text_add(&csv, row);
    }
    assert_ok(tl_text_err(&csv));
    tailor__v1__lower_request__init(&request);
    request.space = (char *)(uintptr_t) "nasbench201";
    request.designs_csv = (ProtobufCBinaryData){.len = csv.len, .data = (uint8_t *)csv.data};
    tl_call call = make_call();
    ProtobufCMessage *reply = tl_wire_new(tl_method_space_lower.reply);
    assert_non_null(reply);
    assert_err(
        TL_ELIMIT, tl_method_space_lower.run(&call, (ProtobufCMessage *)&request, reply));
    assert_detail("the networks of 20000 designs take more than the 67108864 bytes");
    tl_wire_free(reply);
    tl_text_done(&csv);
}

static void the_status_names_its_facts(void **state)
{
    (void)state;
    ProtobufCMessage *reply = ask("status.get", (packed){0});
    const Tailor__V1__Table *table = (Tailor__V1__Table *)reply;
    assert_int_equal(table->n_columns, 2);
    assert_true(table->n_rows > 8);
    tl_wire_free(reply);
    tell("job.list", (packed){0});
    assert_err(TL_ENOTFOUND, refuse("job.cancel", pack_id(12345)));
}

static const char *text_at(const Tailor__V1__Table *table, const char *name, size_t row)
{
    for (size_t c = 0; c < table->n_columns; c++) {
        const Tailor__V1__Column *column = table->columns[c];
        if (strcmp(column->name, name) == 0) {
            assert_true(row < column->n_index);
            return column->dictionary[column->index[row]];
        }
    }
    fail_msg("no column %s", name);
    return "";
}

static void a_fleet_is_answered_row_by_row(void **state)
{
    (void)state;
    add_small_world();
    ProtobufCMessage *reply = ask("fleet.run", pack_fleet(fleet_csv));
    const Tailor__V1__FleetReply *fleet = (Tailor__V1__FleetReply *)reply;
    assert_int_equal(fleet->table->n_rows, 4);
    assert_int_equal(fleet->n_failed, 2);
    assert_int_equal(fleet->n_infeasible, 0);
    assert_string_equal(text_at(fleet->table, "device", 0), "rig5");
    assert_string_equal(text_at(fleet->table, "error", 0), "");
    assert_string_equal(text_at(fleet->table, "error", 1), "");
    assert_non_null(strstr(text_at(fleet->table, "error", 2), "nobody"));
    assert_non_null(
        strstr(text_at(fleet->table, "error", 3), "fleet.csv line 5, column class"));
    assert_string_equal(text_at(fleet->table, "b1", 3), "");
    tl_wire_free(reply);
}

/* A reply with bytes that are not UTF-8 could not be read: of no row. */
static void a_field_of_any_bytes_harms_its_own_row_only(void **state)
{
    (void)state;
    add_small_world();
    char csv[1024];
    char accents[2 * 150 + 1];
    for (size_t i = 0; i < sizeof accents - 1; i += 2) {
        memcpy(accents + i, "\xc3\xa9", 2); /* the error is cut within one of them */
    }
    accents[sizeof accents - 1] = '\0';
    (void)snprintf(
        csv, sizeof csv, "device,max_latency_ms\n\xff\xfe,5\nrig5,50\nrig5,%s\nx%s,1\n",
        accents, accents);
    ProtobufCMessage *reply = ask("fleet.run", pack_fleet(csv));
    const Tailor__V1__FleetReply *fleet = (Tailor__V1__FleetReply *)reply;
    assert_int_equal(fleet->n_failed, 3);
    assert_string_equal(text_at(fleet->table, "error", 1), "");
    tl_wire_free(reply);
}

static void what_makes_no_sense_is_not_solved(void **state)
{
    (void)state;
    add_small_world();
    assert_err(TL_EINVAL, refuse("fleet.run", pack_fleet("")));
    assert_err(TL_EINVAL, refuse("fleet.run", pack_fleet("device,speed\nrig5,1\n")));
    assert_detail("fleet.csv line 1, column speed");
    ProtobufCMessage *reply = ask("fleet.run", pack_fleet_by("device\nrig5\n", "accuracy", ""));
    const Tailor__V1__FleetReply *fleet = (Tailor__V1__FleetReply *)reply;
    assert_int_equal(fleet->n_failed, 1);
    assert_non_null(strstr(text_at(fleet->table, "error", 0), "no accuracy model"));
    tl_wire_free(reply);
    assert_err(TL_ESTATE, refuse("design.run", pack_design(/* with_weights= */ true, 0)));
    assert_detail("no accuracy model");
}

/* ---- torture: the k-th allocation fails, for every k the call makes ---------------------------- */

/* Successes may be a library that tried again with less, and a warning that was lost (two
 * allocations); three in a row are the end. */
static void torture(const char *method, packed request, int at_least)
{
    tl_err err = TL_OK;
    int n_failures = 0;
    int n_successes = 0;
    for (long k = 1; n_successes < 3; k++) {
        tl_bytes reply = {0};
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = call_with(method, &request, &reply);
        tl_mem_fail_at(0);
        if (err == TL_ENOTFOUND) {
            break; /* the call before removed it and lacked memory to say so */
        }
        n_successes = err == TL_OK ? n_successes + 1 : 0;
        if (err != TL_OK) {
            n_failures++;
            assert_err(TL_ENOMEM, err);
            assert_null(reply.data);
            assert_int_equal(tl_mem_live(), live_before);
        }
        tl_mem_free(reply.data);
        assert_true(k < 100000);
    }
    (void)printf("%s: %d allocations\n", method, n_failures);
    assert_true(n_failures >= at_least);
}

/* The router answers from what is at hand; the rest is for a worker. */
static void the_router_reads_no_model_and_fits_no_device(void **state)
{
    (void)state;
    static const char csv[] = "b1,b2\nplain,separable\n";
    Tailor__V1__PredictRequest request;
    tl_bytes reply = {0};
    /* A device that no test before has asked about. */
    static const char unasked[] = "name: unasked\nclass: cpu\ncores: 2\nclock_mhz: 900\n";
    add_small_world();
    tell("device.add", pack_yaml(unasked));
    tailor__v1__predict_request__init(&request);
    request.space = (char *)(uintptr_t) "two-blocks";
    request.device = (char *)(uintptr_t) "unasked";
    request.designs_csv =
        (ProtobufCBinaryData){.len = sizeof csv - 1, .data = (uint8_t *)(uintptr_t)csv};
    packed p = pack((ProtobufCMessage *)&request);
    for (int is_warm = 0; is_warm < 2; is_warm++) {
        tl_call on_router = make_call();
        tl_call on_worker = make_call();
        const tl_method *method = tl_method_find("predict.run");
        on_router.is_on_router = true;
        tl_err err = tl_method_call(method, &on_router, p.data, p.len, &reply);
        assert_err(is_warm ? TL_OK : TL_EBUSY, err);
        assert_int_equal(on_router.wants_worker, !is_warm);
        tl_mem_free(reply.data);
        reply = (tl_bytes){0};
        assert_ok(tl_method_call(method, &on_worker, p.data, p.len, &reply));
        assert_false(on_worker.wants_worker);
        tl_mem_free(reply.data);
        reply = (tl_bytes){0};
        tl_call_done(&on_router);
        tl_call_done(&on_worker);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    add_small_world();
    torture("space.list", (packed){0}, 10);
    torture("status.get", (packed){0}, 10);
    torture("device.list", (packed){0}, 10);
    torture("device.add", pack_yaml(device_yaml), 5);
    torture("device.show", pack_name("bench9"), 5);
    torture("device.remove", pack_name("bench9"), 3);
    torture("design.run", pack_design(/* with_weights= */ false, 0), 30);
    torture("design.run", pack_design(/* with_weights= */ false, 2), 20);
    torture("pareto.run", pack_pareto(), 20);
    torture("fleet.run", pack_fleet(fleet_csv), 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sorted_and_complete),
        cmocka_unit_test(a_reader_may_not_write),
        cmocka_unit_test(a_call_past_its_deadline_does_not_start),
        cmocka_unit_test(requests_cut_anywhere_are_answered),
        cmocka_unit_test(random_bytes_are_answered),
        cmocka_unit_test(mutated_requests_are_answered),
        cmocka_unit_test(mutated_questions_are_answered),
        cmocka_unit_test(texts_must_be_whole_utf8),
        cmocka_unit_test(a_device_comes_changes_and_goes),
        cmocka_unit_test(built_in_spaces_are_listed_and_stay),
        cmocka_unit_test(an_added_space_keeps_its_measurements),
        cmocka_unit_test(a_bad_table_stores_nothing),
        cmocka_unit_test(open_imports_are_bounded),
        cmocka_unit_test(designs_are_lowered_to_networks),
        cmocka_unit_test(networks_for_more_than_one_message_are_not_made),
        cmocka_unit_test(the_status_names_its_facts),
        cmocka_unit_test(a_fleet_is_answered_row_by_row),
        cmocka_unit_test(a_field_of_any_bytes_harms_its_own_row_only),
        cmocka_unit_test(what_makes_no_sense_is_not_solved),
        cmocka_unit_test(the_router_reads_no_model_and_fits_no_device),
        cmocka_unit_test(every_allocation_may_fail),
    };
    (void)tl_test_count_blocks(NULL);
    int n_failed =
        cmocka_run_group_tests_name("daemon/method", tests, open_engine, close_engine);
    return tl_test_no_leaks(NULL) != 0 ? 1 : n_failed;
}
