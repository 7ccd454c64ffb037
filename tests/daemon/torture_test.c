/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every method of the daemon with its allocations refused in turn, on an engine of its
 * own that has learnt a small made-up space; and the same with an engine that is opened
 * for the call, so that models, views and tables are read within it.
 */
#include "tests/daemon/chain.h"
#include "tests/support/torture.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/methods.h"
#include "daemon/metrics.h"
#include "daemon/metrics_http.h"
#include "numerics/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    MAX_REQUEST = 65536,
    N_BLOCKS = 4,
    N_OPTIONS = 4,
    N_ROWS = 80
};

static const char more_yaml[] =
    "name: more\nkind: chain\ninput: {channels: 8, size: 8}\nslot: b{block}\n"
    "stages: [{channels: 8, blocks: 2}]\noptions:\n"
    "  - {name: one, ops: [{op: conv, out: out, kernel: 1}]}\n"
    "  - {name: thin, ops: [{op: depthwise, kernel: 3}]}\n";
static const char rig_yaml[] =
    "name: rig\nclass: cpu\ncores: 4\nclock_mhz: 1500\npeak_gflops: {fp32: 48}\n"
    "bandwidth_gb_per_s: {l1: 96, l2: 24, dram: 4}\npower_w: {idle: 2, busy: 6}\n";
static const char spare_yaml[] = "name: spare\nclass: cpu\ncores: 2\npeak_gflops: {fp32: 9}\n";
static const char designs_csv[] = "b1,b2,b3,b4\none,three,five,thin\nthin,thin,one,one\n";
static const char fleet_csv[] =
    "device,class,cores,clock_mhz,peak_gflops.fp32,bandwidth_gb_per_s.dram,max_latency_ms\n"
    "rig,,,,,,50\n,cpu,2,900,9,3,\nnobody,,,,,,5\n";

static const char row_csv[] =
    "b1,b2,b3,b4,latency_ms@rig,latency_ms@new\none,one,one,one,7,3\n";
static const char rows_csv[] =
    "b1,b2,b3,b4,latency_ms@rig\none,one,one,one,7\nfive,five,three,one,30\n";
static const char train_body[] = "\x0a\x03toy"; /* a packed TrainRequest of the space toy */

typedef struct world {
    char dir[512];
    tl_engine *engine;
    uint64_t import_id, job_id, backup_id;
    tl_text table; /* to learn from */
} world;

static world w;

/* ---- requests from words ------------------------------------------------------------------- */

typedef struct packed {
    uint8_t data[MAX_REQUEST];
    size_t len;
} packed;

static void put_varint(packed *p, uint64_t value)
{
    assert_true(p->len + 10 < MAX_REQUEST);
    for (; value >= 128; value >>= 7) {
        p->data[p->len++] = (uint8_t)(value | 128);
    }
    p->data[p->len++] = (uint8_t)value;
}

static void put_bytes(packed *p, const void *data, size_t len)
{
    assert_true(p->len + len <= MAX_REQUEST);
    memcpy(p->data + p->len, data, len);
    p->len += len;
}

static void put_message(
    const ProtobufCMessageDescriptor *message, const char *words, packed *p);

static void put_field(const ProtobufCFieldDescriptor *f, const char *value, packed *p)
{
    static packed inner;
    double number = strtod(value, NULL);
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        put_varint(p, (uint64_t)f->id << 3 | 2);
        put_varint(p, strlen(value));
        put_bytes(p, value, strlen(value));
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        inner.len = 0;
        put_message(f->descriptor, value, &inner);
        put_varint(p, (uint64_t)f->id << 3 | 2);
        put_varint(p, inner.len);
        put_bytes(p, inner.data, inner.len);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        put_varint(p, (uint64_t)f->id << 3 | 1);
        put_bytes(p, &number, sizeof number);
        break;
    default: put_varint(p, (uint64_t)f->id << 3); put_varint(p, strtoull(value, NULL, 10));
    }
}

/* Texts too long for a line of words. */
static const struct {
    const char *name, *text;
} texts[] = {
    {"$space",   TL_CHAIN_YAML(4)},
    {"$more",    more_yaml       },
    {"$rig",     rig_yaml        },
    {"$spare",   spare_yaml      },
    {"$designs", designs_csv     },
    {"$fleet",   fleet_csv       },
    {"$row",     row_csv         },
    {"$rows",    rows_csv        },
    {"$train",   train_body      },
};

/* "$import", "$job" and "$backup" are those of the world; number has room for one. */
static const char *value_of(const char *word, char number[32])
{
    for (size_t i = 0; i < TL_COUNT(texts); i++) {
        if (strcmp(texts[i].name, word) == 0) {
            return texts[i].text;
        }
    }
    if (strcmp(word, "$table") == 0) {
        return w.table.data;
    }
    if (word[0] != '$') {
        return word;
    }
    uint64_t id = strcmp(word, "$job") == 0      ? w.job_id
                  : strcmp(word, "$backup") == 0 ? w.backup_id
                                                 : w.import_id;
    (void)snprintf(number, 32, "%llu", (unsigned long long)id);
    return number;
}

/* words: "field=value field=value"; a message within is "field={field:value,field:value}". */
static void put_message(const ProtobufCMessageDescriptor *message, const char *words, packed *p)
{
    bool is_inner = words[0] == '{';
    words += is_inner;
    while (*words != '\0') {
        char word[128];
        char number[32];
        size_t len = strcspn(words, is_inner ? ",}" : " ");
        (void)snprintf(word, sizeof word, "%.*s", (int)len, words);
        char *value = strchr(word, is_inner ? ':' : '=');
        assert_non_null(value);
        *value++ = '\0';
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field_by_name(message, word);
        assert_non_null(f);
        put_field(f, value_of(value, number), p);
        words += words[len] != '\0' ? len + 1 : len;
    }
}

static tl_err call_words(const char *name, const char *words, tl_bytes *out_reply)
{
    static packed request; /* not on the heap: torture would refuse it */
    const tl_method *method = tl_method_find(name);
    assert_non_null(method);
    request.len = 0;
    put_message(method->request, words, &request);
    tl_call call = {.engine = w.engine, .role = TL_ROLE_ADMIN, .deadline_ns = INT64_MAX};
    tl_err err = tl_method_call(method, &call, request.data, request.len, out_reply);
    tl_call_done(&call);
    return err;
}

/* The id in the first field of the reply, of begin and start. */
static uint64_t ask_id(const char *name, const char *words)
{
    tl_bytes reply = {0};
    uint64_t id = 0;
    assert_ok(call_words(name, words, &reply));
    assert_true(reply.len > 1 && reply.data[0] == (1 << 3));
    for (size_t i = 1; i < reply.len; i++) {
        id |= (uint64_t)(reply.data[i] & 127) << (7 * (i - 1));
        if (reply.data[i] < 128) {
            break;
        }
    }
    tl_mem_free(reply.data);
    return id;
}

static tl_err try_words(const char *name, const char *words)
{
    tl_bytes reply = {0};
    tl_err err = call_words(name, words, &reply);
    assert_true((err == TL_OK) == (reply.data != NULL));
    tl_mem_free(reply.data);
    return err;
}

static void tell(const char *name, const char *words)
{
    assert_ok(try_words(name, words));
}

/* ---- a world that has learnt ---------------------------------------------------------------- */

static const char *const option_names[N_OPTIONS] = {"one", "three", "five", "thin"};

static void add_row(tl_text *csv, tl_rng *rng)
{
    static const double work[N_OPTIONS] = {1, 4, 9, 1.5};
    static const double gain[N_OPTIONS] = {.5, 3, 4, 1.8};
    double cost = 1;
    double worth = 0;
    for (int b = 0; b < N_BLOCKS; b++) {
        size_t option = tl_rng_below(rng, N_OPTIONS);
        tl_text_addf(csv, "%s,", option_names[option]);
        cost += work[option] * (1 + .1 * b);
        worth += gain[option] * (1.3 - .1 * b);
    }
    double noise = exp(.01 * tl_rng_normal(rng));
    tl_text_addf(
        csv, "%.6g,%.6g,%.6g,%.6g\n", cost * noise, 2 * cost * noise, (cost + 3) * .7 * noise,
        60 + 30 * (1 - exp(-worth / N_BLOCKS / 2)));
}

static void import(const char *what)
{
    char words[64];
    (void)snprintf(words, sizeof words, "import_id=$import csv=%s", what);
    w.import_id = ask_id("measure.begin", "space=toy origin=toy.csv");
    tell("measure.feed", words);
    tell("measure.commit", "import_id=$import");
}

static void learn(void)
{
    tl_rng rng;
    tl_rng_init(&rng, 7);
    tell("space.add", "origin=toy.yaml yaml=$space");
    tell("device.add", "origin=rig.yaml yaml=$rig");
    tl_text_addf(
        &w.table,
        "b1,b2,b3,b4,latency_ms@alpha,energy_mj@alpha,latency_ms@beta,accuracy@task\n");
    for (int i = 0; i < N_ROWS; i++) {
        add_row(&w.table, &rng);
    }
    assert_ok(tl_text_err(&w.table));
    import("$table");
    tl_text_done(&w.table);
    tell("train.run", "space=toy effort=quick");
    import("$rows");
}

static void open_engine(void)
{
    tl_engine_options options = {.data_dir = w.dir};
    assert_ok(tl_engine_open(&options, &w.engine));
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(w.dir, sizeof w.dir, "%s", tl_test_new_dir());
    open_engine();
    learn();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tl_engine_close(w.engine);
    return 0;
}

/* ---- the calls -------------------------------------------------------------------------------- */

static void begin_import(void *context)
{
    (void)context;
    (void)try_words("measure.abort", "import_id=$import");
    w.import_id = ask_id("measure.begin", "space=toy origin=toy.csv");
}

static void fill_import(void *context)
{
    begin_import(context);
    tell("measure.feed", "import_id=$import csv=$row");
}

static void add_spare(void *context)
{
    (void)context;
    tell("device.add", "origin=spare.yaml yaml=$spare");
}

static void remove_spare(void *context)
{
    (void)context;
    (void)try_words("device.remove", "name=spare");
}

static void add_more(void *context)
{
    (void)context;
    tell("space.add", "origin=more.yaml yaml=$more");
}

static void remove_more(void *context)
{
    (void)context;
    (void)try_words("space.remove", "name=more");
}

static void start_job(void *context)
{
    (void)context;
    (void)try_words("job.cancel", "job_id=$job");
    w.job_id = ask_id("job.start", "method=train.run body=$train");
}

/* Starts are repeated until one is refused nothing: each is a job that waits. */
static bool is_busy(tl_err err)
{
    return err == TL_EBUSY;
}

static void end_backup(void *context)
{
    (void)context;
    (void)try_words("backup.end", "backup_id=$backup");
}

static void begin_backup(void *context)
{
    end_backup(context);
    w.backup_id = ask_id("backup.begin", "");
}

typedef struct case_of {
    const char *method, *words;
    void (*before)(void *context);
    bool (*is_fine)(tl_err err);
    bool keeps; /* what stays open, or is remembered, when the answer cannot be sent */
} case_of;

static const case_of cases[] = {
    {"backup.begin",    "",                                                                         NULL,         is_busy, true },
    {"backup.end",      "backup_id=$backup",                                                        begin_backup, NULL,    true },
    {"backup.read",     "backup_id=$backup",                                                        begin_backup, NULL,    true },
    {"design.run",
     "space=toy device=rig limits={has_max_latency_ms:1,max_latency_ms:25} explain=1",              NULL,
     NULL,                                                                                                                 true },
    {"design.run",
     "space=toy device=rig limits={has_max_latency_ms:1,max_latency_ms:25} propose=3",              NULL,
     NULL,                                                                                                                 true },
    {"design.run",      "space=toy device=rig method=evolutionary budget_us=1000000",               NULL,         NULL,
     true                                                                                                                       },
    {"design.run",      "space=toy device=rig method=neural",                                       NULL,         NULL,    true },
    {"device.add",      "origin=spare.yaml yaml=$spare",                                            remove_spare, NULL,    false},
    {"device.list",     "",                                                                         NULL,         NULL,    false},
    {"device.remove",   "name=spare",                                                               add_spare,    NULL,    false},
    {"device.show",     "name=rig",                                                                 NULL,         NULL,    false},
    {"evaluate.run",    "space=toy samples=10",                                                     NULL,         NULL,    true },
    {"evaluate.run",    "space=toy samples=30 metric=accuracy",                                     NULL,         NULL,    true },
    {"fleet.run",       "space=toy minimize=latency_ms origin=f.csv csv=$fleet run=one-of-its-own",
     NULL,                                                                                                        NULL,    true },
    {"job.cancel",      "job_id=$job",                                                              start_job,    NULL,    true },
    {"job.list",        "ended=5",                                                                  NULL,         NULL,    false},
    {"job.show",        "job_id=$job",                                                              start_job,    NULL,    true },
    {"job.start",       "method=train.run body=$train",                                             NULL,         is_busy, true },
    {"measure.abort",   "import_id=$import",                                                        begin_import, NULL,    true },
    {"measure.begin",   "space=toy origin=toy.csv",                                                 NULL,         is_busy, true },
    {"measure.commit",  "import_id=$import",                                                        fill_import,  NULL,    true },
    {"measure.export",  "space=toy",                                                                NULL,         NULL,    false},
    {"measure.feed",    "import_id=$import csv=$row",                                               begin_import, NULL,    true },
    {"measure.suggest", "space=toy device=rig count=3",                                             NULL,         NULL,    true },
    {"measure.suggest", "space=toy device=rig count=1 candidates_csv=$designs",                     NULL,         NULL,
     true                                                                                                                       },
    {"model.list",      "",                                                                         NULL,         NULL,    false},
    {"model.show",      "name=toy",                                                                 NULL,         NULL,    false},
    {"pareto.run",      "space=toy device=rig points=4",                                            NULL,         NULL,    true },
    {"predict.run",     "space=toy device=rig designs_csv=$designs",                                NULL,         NULL,    true },
    {"proxy.run",       "space=toy device=rig",                                                     NULL,         NULL,    true },
    {"space.add",       "origin=more.yaml yaml=$more",                                              remove_more,  NULL,    true },
    {"space.list",      "",                                                                         NULL,         NULL,    false},
    {"space.lower",     "space=toy designs_csv=$designs",                                           NULL,         NULL,    false},
    {"space.remove",    "name=more",                                                                add_more,     NULL,    true },
    {"space.show",      "name=toy",                                                                 NULL,         NULL,    false},
    {"status.get",      "",                                                                         NULL,         NULL,    false},
    {"train.run",       "space=toy effort=none",                                                    NULL,         NULL,    true },
};

static bool is_long(const char *method)
{
    return strcmp(method, "train.run") == 0 || strcmp(method, "evaluate.run") == 0;
}

static tl_err run_case(void *context)
{
    const case_of *c = context;
    return try_words(c->method, c->words);
}

static void every_method_survives_every_refusal(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        int64_t begin_ns = tl_clock_ns();
        tl_test_ordeal ordeal = {
            .name = cases[i].method,
            .run = run_case,
            .context = (void *)(uintptr_t)&cases[i],
            .before = cases[i].before,
            .is_fine = cases[i].is_fine,
            .keeps = cases[i].keeps,
            .is_long = is_long(cases[i].method)};
        assert_true(tl_test_torture_ordeal(&ordeal) > 2);
        (void)printf("  %.2f s\n", (double)(tl_clock_ns() - begin_ns) * 1e-9);
    }
}

/* ---- with an engine of its own for each call ------------------------------------------------- */

static const case_of cold_cases[] = {
    {"status.get",  "",                                             NULL, NULL, false},
    {"predict.run", "space=toy device=rig designs_csv=$designs",    NULL, NULL, false},
    {"design.run",  "space=toy device=rig method=neural explain=1", NULL, NULL, false},
    {"pareto.run",  "space=toy device=rig points=4",                NULL, NULL, false},
    {"fleet.run",   "space=toy minimize=latency_ms csv=$fleet",     NULL, NULL, false},
    {"proxy.run",   "space=toy device=rig",                         NULL, NULL, false},
};

static tl_err run_cold(void *context)
{
    const case_of *c = context;
    tl_engine_options options = {.data_dir = w.dir};
    TL_TRY(tl_engine_open(&options, &w.engine));
    tl_err err = try_words(c->method, c->words);
    tl_engine_close(w.engine);
    return err;
}

/* Takes a minute: with TL_TORTURE=all only. */
static void the_optimizer_is_trained_or_left(void **state)
{
    static const case_of quick = {"train.run", "space=toy effort=quick", NULL, NULL, true};
    (void)state;
    if (!tl_test_tortures_all()) {
        skip();
    }
    tl_test_ordeal ordeal = {
        .name = "train.run quick",
        .run = run_case,
        .context = (void *)(uintptr_t)&quick,
        .keeps = true,
        .is_long = true};
    assert_true(tl_test_torture_ordeal(&ordeal) > 50);
}

static void so_does_one_that_opens_its_engine(void **state)
{
    (void)state;
    tell("train.run", "space=toy effort=quick");
    tl_engine_close(w.engine);
    for (size_t i = 0; i < TL_COUNT(cold_cases); i++) {
        void *context = (void *)(uintptr_t)&cold_cases[i];
        assert_true(tl_test_torture(cold_cases[i].method, run_cold, context) > 20);
    }
    open_engine();
}

/* Every allocation, none left out: of a store with little in it, so that they are few. */
static void an_engine_that_cannot_open_leaves_nothing(void **state)
{
    (void)state;
    char dir[512];
    const tl_engine_options options = {.data_dir = dir};
    tl_engine *engine = NULL;
    world kept = w;
    bool is_refused = true;
    (void)snprintf(dir, sizeof dir, "%s", tl_test_new_dir());
    assert_ok(tl_engine_open(&options, &w.engine));
    tell("space.add", "origin=more.yaml yaml=$more");
    tl_engine_close(w.engine);
    w = kept;
    for (long k = 1; is_refused; k++) {
        long live = tl_mem_live();
        long n_refused = tl_test_n_refused();
        tl_mem_fail_at(k);
        tl_err err = tl_engine_open(&options, &engine);
        tl_mem_fail_at(0);
        is_refused = tl_test_n_refused() != n_refused;
        if (err == TL_OK) {
            tl_engine_close(engine);
        }
        assert_true(err == TL_OK || (is_refused && err == TL_ENOMEM));
        assert_int_equal(tl_mem_live(), live);
    }
}

/* ---- warnings, which are lost where memory is short ------------------------------------------ */

static tl_err warn(void *context)
{
    (void)context;
    tl_call call = {0};
    tl_call_warn(&call, "one of %d", 2);
    tl_call_warn(&call, "the other");
    bool is_whole = call.n_warnings == 2;
    for (size_t i = 0; i < call.n_warnings; i++) {
        assert_non_null(call.warnings[i]);
    }
    tl_call_done(&call);
    return is_whole ? TL_OK : tl_fail(TL_ENOMEM, "warnings");
}

static void a_call_goes_on_without_its_warnings(void **state)
{
    (void)state;
    assert_int_equal(tl_test_torture("tl_call_warn", warn, NULL), 4);
}

/* ---- what listens ------------------------------------------------------------------------------ */

static tl_err open_server(void *context)
{
    const tl_server_options *options = context;
    tl_server *server = NULL;
    TL_TRY(tl_server_open(options, &server));
    tl_server_close(server);
    return TL_OK;
}

static tl_err open_metrics(void *context)
{
    (void)context;
    tl_metrics *metrics = NULL;
    tl_metrics_http *http = NULL;
    TL_TRY(tl_metrics_new(tl_methods, tl_methods_len, &metrics));
    tl_err err = tl_metrics_http_open("127.0.0.1:0", w.engine, metrics, &http);
    tl_metrics_http_close(http);
    tl_metrics_free(metrics);
    return err;
}

static void servers_open_or_leave_nothing(void **state)
{
    (void)state;
    char endpoint[600];
    const char *endpoints[] = {endpoint};
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/socket", tl_test_new_dir());
    tl_server_options options = {
        .engine = w.engine,
        .endpoints = endpoints,
        .n_endpoints = 1,
        .n_workers = 1,
        .stop_fd = eventfd(0, EFD_NONBLOCK)};
    assert_true(tl_test_torture("tl_server_open", open_server, &options) > 2);
    assert_true(tl_test_torture("tl_metrics_http_open", open_metrics, NULL) > 1);
    (void)close(options.stop_fd);
}

static void every_method_has_a_case(void **state)
{
    (void)state;
    for (size_t m = 0; m < tl_methods_len; m++) {
        bool is_found = false;
        for (size_t i = 0; i < TL_COUNT(cases) && !is_found; i++) {
            is_found = strcmp(cases[i].method, tl_methods[m]->name) == 0;
        }
        if (!is_found) {
            fail_msg("%s has no case here", tl_methods[m]->name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_has_a_case),
        cmocka_unit_test(every_method_survives_every_refusal),
        cmocka_unit_test(the_optimizer_is_trained_or_left),
        cmocka_unit_test(so_does_one_that_opens_its_engine),
        cmocka_unit_test(an_engine_that_cannot_open_leaves_nothing),
        cmocka_unit_test(a_call_goes_on_without_its_warnings),
        cmocka_unit_test(servers_open_or_leave_nothing),
    };
    (void)tl_test_count_blocks(NULL);
    int n_failed = cmocka_run_group_tests_name("daemon/torture", tests, set_up, tear_down);
    return tl_test_no_leaks(NULL) != 0 ? 1 : n_failed;
}
