/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/serving.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/handle.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    N_PARTS = 3,
    STEP_MS = 2,
    PART_BYTES = 4096
};

static void *serve(void *context)
{
    tl_serving *serving = context;
    serving->result = tl_server_run(serving->server);
    return NULL;
}

void tl_serving_start(tl_serving *serving, tl_server_options options)
{
    memset(serving, 0, sizeof *serving);
    (void)snprintf(
        serving->endpoint, sizeof serving->endpoint, "ipc://%s/socket", tl_test_new_dir());
    tl_serving_start_again(serving, options);
}

void tl_serving_start_again(tl_serving *serving, tl_server_options options)
{
    const char *endpoint = serving->endpoint;
    serving->stop_fd = eventfd(0, EFD_NONBLOCK);
    assert_true(serving->stop_fd >= 0);
    options.endpoints = &endpoint;
    options.n_endpoints = 1;
    options.stop_fd = serving->stop_fd;
    assert_ok(tl_server_open(&options, &serving->server));
    assert_int_equal(pthread_create(&serving->thread, NULL, serve, serving), 0);
}

void tl_serving_ask_to_stop(tl_serving *serving)
{
    uint64_t one = 1;
    assert_int_equal(write(serving->stop_fd, &one, sizeof one), sizeof one);
}

void tl_serving_stop(tl_serving *serving)
{
    tl_serving_ask_to_stop(serving);
    assert_int_equal(pthread_join(serving->thread, NULL), 0);
    tl_server_close(serving->server);
    (void)close(serving->stop_fd);
    assert_err(TL_OK, serving->result);
}

tl_engine *tl_test_engine_open(const char *data_dir)
{
    char spaces[512];
    char catalogue[512];
    tl_engine *engine = NULL;
    (void)snprintf(spaces, sizeof spaces, "%s/spaces", tl_test_source_dir());
    (void)snprintf(
        catalogue, sizeof catalogue, "%s/device-profiles/catalogue", tl_test_source_dir());
    tl_engine_options options = {
        .data_dir = data_dir, .spaces_dir = spaces, .catalogue_dir = catalogue};
    assert_ok(tl_engine_open(&options, &engine));
    return engine;
}

/* ---- methods --------------------------------------------------------------------- */

static atomic_int n_sleeping;

int tl_test_n_sleeping(void)
{
    return atomic_load(&n_sleeping);
}

static atomic_int n_let_go;

void tl_test_let_go(void)
{
    atomic_fetch_add(&n_let_go, 1);
}

/* Whether one may go; no other one then may for the same reason. */
static bool may_go(void)
{
    int n = atomic_load(&n_let_go);
    return n > 0 && atomic_compare_exchange_strong(&n_let_go, &n, n - 1);
}

static void wait_a_step(void)
{
    struct timespec step = {.tv_nsec = STEP_MS * TL_NS_PER_MS};
    (void)nanosleep(&step, NULL);
}

static tl_err run_echo(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__Text *request = (const Tailor__V1__Text *)request_base;
    Tailor__V1__Text *reply = (Tailor__V1__Text *)reply_base;
    bool is_hold = strcmp(request->text, "hold") == 0;
    if (is_hold || strcmp(request->text, "worker") == 0) {
        TL_TRY(tl_call_leave_router(call));
        atomic_fetch_add(&n_sleeping, is_hold);
        while (is_hold && tl_call_check(call) == TL_OK) {
            wait_a_step();
        }
        atomic_fetch_sub(&n_sleeping, is_hold);
        return tl_handle_set_text(&reply->text, "a worker");
    }
    if (strcmp(request->text, "warn") == 0) {
        tl_call_warn(call, "you said %s", request->text);
    }
    return tl_handle_set_text(&reply->text, request->text);
}

static tl_err run_fail(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__Text *request = (const Tailor__V1__Text *)request_base;
    (void)call;
    (void)reply_base;
    if (strcmp(request->text, "busy") == 0) {
        return tl_fail(TL_EBUSY, "told to be");
    }
    return tl_fail(TL_ESHAPE, "got \xff and %s", request->text);
}

/* One progress, two parts, then a table of one row as the final reply. */
static tl_err run_parts(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    tl_job *job = NULL;
    (void)request_base;
    TL_TRY(tl_job_begin(tl_engine_jobs(call->engine), call, "test.parts", "nothing", &job));
    for (int i = 0; i < N_PARTS; i++) {
        bool is_last = i == N_PARTS - 1;
        double number = i;
        const char *text = i == 1 ? "odd" : "even";
        Tailor__V1__Table *part =
            is_last ? (Tailor__V1__Table *)reply_base : tl_table_reply_new(1);
        tl_table_reply_init(part, 1);
        TL_TRY(tl_table_reply_numbers(part, "number", 0, &number));
        TL_TRY(tl_table_reply_texts(part, "text", &text));
        TL_TRY(tl_job_step(job, "parts", (uint64_t)i, N_PARTS));
        if (!is_last) {
            call->send(call->sink, TAILOR__V1__REPLY__KIND__PART, (ProtobufCMessage *)part);
            tl_table_reply_free(part);
        }
    }
    tl_job_end(job, TL_OK);
    return TL_OK;
}

static tl_err run_sleep(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__Text *request = (const Tailor__V1__Text *)request_base;
    Tailor__V1__Text *reply = (Tailor__V1__Text *)reply_base;
    int64_t end_ns = tl_clock_ns() + strtol(request->text, NULL, 10) * TL_NS_PER_MS;
    tl_err err = TL_OK;
    atomic_fetch_add(&n_sleeping, 1);
    while (err == TL_OK && tl_clock_ns() < end_ns) {
        wait_a_step();
        err = tl_call_check(call);
    }
    atomic_fetch_sub(&n_sleeping, 1);
    return err == TL_OK ? tl_handle_set_text(&reply->text, "slept") : err;
}

static tl_err run_hold(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    (void)call;
    (void)request_base;
    atomic_fetch_add(&n_sleeping, 1);
    while (!may_go()) {
        wait_a_step();
    }
    atomic_fetch_sub(&n_sleeping, 1);
    return tl_handle_set_text(&((Tailor__V1__Text *)reply_base)->text, "held");
}

static void send_text_part(const tl_call *call, char *text)
{
    Tailor__V1__Text part;
    tailor__v1__text__init(&part);
    part.text = text;
    call->send(call->sink, TAILOR__V1__REPLY__KIND__PART, (ProtobufCMessage *)&part);
}

static tl_err run_torn(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    char before[PART_BYTES];
    char after[] = "after";
    (void)request_base;
    memset(before, 'x', sizeof before);
    before[sizeof before - 1] = '\0';
    while (!atomic_load(call->is_cancelled)) {
        send_text_part(call, before);
    }
    atomic_fetch_add(&n_sleeping, 1);
    while (!may_go()) {
        send_text_part(call, after);
        wait_a_step();
    }
    atomic_fetch_sub(&n_sleeping, 1);
    return tl_handle_set_text(&((Tailor__V1__Text *)reply_base)->text, "all of it");
}

static tl_err run_huge(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    char *huge = tl_mem_new((size_t)TL_WIRE_MAX_BYTES + 1, 1);
    char little[] = "part";
    (void)request_base;
    if (huge == NULL) {
        return tl_fail(TL_ENOMEM, "a huge part");
    }
    memset(huge, 'x', TL_WIRE_MAX_BYTES);
    send_text_part(call, little);
    send_text_part(call, huge);
    send_text_part(call, little);
    tl_mem_free(huge);
    return tl_handle_set_text(&((Tailor__V1__Text *)reply_base)->text, "all of it");
}

static const tl_method test_bulk = {
    .name = "test.bulk",
    .summary = "Takes its time in the background",
    .request = &tailor__v1__text__descriptor,
    .reply = &tailor__v1__text__descriptor,
    .run = run_sleep,
    .lane = TL_LANE_BULK,
};

static const tl_method test_echo = {
    .name = "test.echo",
    .summary = "Says the text again",
    .request = &tailor__v1__text__descriptor,
    .reply = &tailor__v1__text__descriptor,
    .run = run_echo,
    .lane = TL_LANE_FAST,
    .fast_max_bytes = 100000,
    .bulk_min_bytes = 300000,
    .deadline_ms = 10000,
};

static const tl_method test_fail = {
    .name = "test.fail",
    .summary = "Fails",
    .request = &tailor__v1__text__descriptor,
    .reply = &tailor__v1__text__descriptor,
    .run = run_fail,
    .lane = TL_LANE_FAST,
};

static const tl_method test_hold = {
    .name = "test.hold",
    .summary = "Holds the router",
    .request = &tailor__v1__text__descriptor,
    .reply = &tailor__v1__text__descriptor,
    .run = run_hold,
    .lane = TL_LANE_FAST,
};

static const tl_method test_huge = {
    .name = "test.huge",
    .summary = "Parts of which one is too long",
    .request = &tailor__v1__text__descriptor,
    .reply = &tailor__v1__text__descriptor,
    .run = run_huge,
    .lane = TL_LANE_WORK,
};

static const tl_method test_parts = {
    .name = "test.parts",
    .summary = "A table in parts",
    .request = &tailor__v1__empty__descriptor,
    .reply = &tailor__v1__table__descriptor,
    .run = run_parts,
    .lane = TL_LANE_WORK,
};

static const tl_method test_sleep = {
    .name = "test.sleep",
    .summary = "Takes its time",
    .request = &tailor__v1__text__descriptor,
    .reply = &tailor__v1__text__descriptor,
    .run = run_sleep,
    .lane = TL_LANE_WORK,
    .deadline_ms = 60000,
};

static const tl_method test_torn = {
    .name = "test.torn",
    .summary = "Parts until one is lost",
    .request = &tailor__v1__text__descriptor,
    .reply = &tailor__v1__text__descriptor,
    .run = run_torn,
    .lane = TL_LANE_WORK,
};

static const tl_method test_write = {
    .name = "test.write",
    .summary = "Takes its time as if it wrote",
    .request = &tailor__v1__text__descriptor,
    .reply = &tailor__v1__text__descriptor,
    .run = run_sleep,
    .lane = TL_LANE_WRITE,
};

const tl_method *const tl_test_methods[] = {&test_bulk,  &test_echo, &test_fail,
                                            &test_hold,  &test_huge, &test_parts,
                                            &test_sleep, &test_torn, &test_write};
const size_t tl_test_methods_len = TL_COUNT(tl_test_methods);
