/* SPDX-License-Identifier: Apache-2.0 */

/* Detached jobs on the runner's threads, and the methods job.* as clients call them. */

#include "tests/daemon/serving.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/handle.h"
#include "daemon/job_runner.h"
#include "daemon/methods.h"
#include "proto/job.pb-c.h"
#include "proto/wire.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    N_STEPS = 20000,
    STEP_US = 500,
    PATIENCE_MS = 60000,
    N_CLIENTS = 4,
    N_EACH = 12,
    MAX_BYTES = 1024
};

static void pause_us(long us)
{
    struct timespec wait = {.tv_nsec = us * TL_NS_PER_US};
    (void)nanosleep(&wait, NULL);
}

/* ---- jobs to run ------------------------------------------------------------------------ */

static atomic_bool is_let_go;
static atomic_int n_running, most_running;

static void note_begin(void)
{
    int n = atomic_fetch_add(&n_running, 1) + 1;
    for (int most = atomic_load(&most_running);
         n > most && !atomic_compare_exchange_weak(&most_running, &most, n);) {
    }
}

/* Steps until it is let go, then says what it was asked to. */
static tl_err run_steps(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__Text *request = (const Tailor__V1__Text *)request_base;
    tl_job *job = NULL;
    tl_err err = TL_OK;
    TL_TRY(tl_job_begin(tl_engine_jobs(call->engine), call, "test.steps", "", &job));
    note_begin();
    for (int i = 0; i < N_STEPS && err == TL_OK && !atomic_load(&is_let_go); i++) {
        pause_us(STEP_US);
        err = tl_job_step(job, "steps", (uint64_t)i, N_STEPS);
    }
    atomic_fetch_sub(&n_running, 1);
    tl_job_end(job, err);
    return err == TL_OK
               ? tl_handle_set_text(&((Tailor__V1__Text *)reply_base)->text, request->text)
               : err;
}

static const tl_method steps = {
    .name = "test.steps",
    .summary = "Steps",
    .request = &tailor__v1__text__descriptor,
    .reply = &tailor__v1__text__descriptor,
    .run = run_steps,
    .lane = TL_LANE_BULK,
    .is_job = true,
};

/* Known when it was started, but not to the runner. */
static const tl_method forgotten = {.name = "test.forgotten", .is_job = true};

static const tl_method *const methods[] = {&steps};

/* ---- the world ------------------------------------------------------------------------------ */

typedef struct world {
    const char *dir;
    tl_engine *engine;
    tl_jobs *jobs;
    tl_job_runner *runner;
} world;

static void open_world(world *w, const char *dir)
{
    *w = (world){.dir = dir, .engine = tl_test_engine_open(dir)};
    w->jobs = tl_engine_jobs(w->engine);
    assert_ok(tl_job_runner_new(w->engine, methods, TL_COUNT(methods), &w->runner));
}

static void close_world(world *w)
{
    tl_job_runner_free(w->runner);
    tl_engine_close(w->engine);
}

static void begin(world *w)
{
    atomic_store(&is_let_go, false);
    atomic_store(&most_running, 0);
    open_world(w, tl_test_new_dir());
}

static uint64_t start(world *w, const tl_method *method, const char *space, const char *text)
{
    uint8_t body[MAX_BYTES];
    uint64_t id = 0;
    tl_call call = {.engine = w->engine, .role = TL_ROLE_WRITER, .deadline_ns = INT64_MAX};
    Tailor__V1__Text request;
    tailor__v1__text__init(&request);
    request.text = (char *)(uintptr_t)text;
    tl_job_start job = {.method = method, .subject = space, .token = "", .request = body};
    job.request_len = tailor__v1__text__pack(&request, body);
    assert_ok(tl_jobs_start(w->jobs, &call, &job, &id));
    return id;
}

/* Until the job is in the state; it, as it is then. */
static tl_job_view wait_state(world *w, uint64_t id, tl_job_state state)
{
    tl_job_view view = {.id = 0};
    for (int i = 0; i < PATIENCE_MS; i++) {
        assert_ok(tl_jobs_find(w->jobs, id, &view));
        if (view.state == state) {
            return view;
        }
        pause_us(1000);
    }
    fail_msg("job %llu stays %s", (unsigned long long)id, tl_job_state_name(&view));
    return view;
}

static void check_reply(world *w, uint64_t id, const char *text)
{
    void *data = NULL;
    size_t len = 0;
    ProtobufCMessage *outcome = NULL;
    ProtobufCMessage *reply = NULL;
    assert_ok(tl_jobs_outcome(w->jobs, id, &data, &len));
    assert_ok(tl_wire_unpack(
        &tailor__job__v1__job_outcome__descriptor, data, len, TL_WIRE_MAX_MEMORY_BYTES,
        &outcome));
    ProtobufCBinaryData bytes =
        ((const Tailor__Job__V1__JobOutcome *)(const void *)outcome)->reply;
    assert_ok(tl_wire_unpack(
        &tailor__v1__text__descriptor, bytes.data, bytes.len, TL_WIRE_MAX_MEMORY_BYTES,
        &reply));
    assert_string_equal(((const Tailor__V1__Text *)(const void *)reply)->text, text);
    tl_wire_free(reply);
    tl_wire_free(outcome);
    tl_mem_free(data);
}

/* ---- running --------------------------------------------------------------------------------- */

static void two_jobs_run_at_a_time_and_the_rest_waits(void **state)
{
    (void)state;
    world w;
    begin(&w);
    uint64_t first = start(&w, &steps, "a", "one");
    uint64_t second = start(&w, &steps, "b", "two");
    uint64_t third = start(&w, &steps, "c", "three");
    (void)wait_state(&w, first, TL_JOB_RUNNING);
    (void)wait_state(&w, second, TL_JOB_RUNNING);
    for (int i = 0; i < PATIENCE_MS && atomic_load(&n_running) < 2; i++) {
        pause_us(1000);
    }
    assert_int_equal(wait_state(&w, third, TL_JOB_WAITING).n_before, 0);
    atomic_store(&is_let_go, true);
    assert_err(TL_OK, wait_state(&w, first, TL_JOB_ENDED).result);
    assert_err(TL_OK, wait_state(&w, second, TL_JOB_ENDED).result);
    assert_err(TL_OK, wait_state(&w, third, TL_JOB_ENDED).result);
    check_reply(&w, first, "one");
    check_reply(&w, third, "three");
    assert_int_equal(atomic_load(&most_running), TL_JOB_RUNNER_THREADS);
    close_world(&w);
}

static void a_stop_puts_jobs_aside_and_the_next_runner_ends_them(void **state)
{
    (void)state;
    world w;
    begin(&w);
    uint64_t running = start(&w, &steps, "a", "one");
    uint64_t waiting = start(&w, &steps, "a", "two");
    (void)wait_state(&w, running, TL_JOB_RUNNING);
    const char *dir = w.dir;
    close_world(&w);
    atomic_store(&is_let_go, true);
    open_world(&w, dir);
    assert_int_equal(wait_state(&w, running, TL_JOB_ENDED).n_starts, 2);
    (void)wait_state(&w, waiting, TL_JOB_ENDED);
    check_reply(&w, running, "one");
    check_reply(&w, waiting, "two");
    close_world(&w);
}

static void a_running_job_ends_when_it_is_cancelled(void **state)
{
    (void)state;
    world w;
    begin(&w);
    uint64_t id = start(&w, &steps, "a", "one");
    (void)wait_state(&w, id, TL_JOB_RUNNING);
    assert_ok(tl_job_cancel(w.jobs, id));
    tl_job_view view = wait_state(&w, id, TL_JOB_ENDED);
    assert_string_equal(tl_job_state_name(&view), "cancelled");
    assert_non_null(strstr(view.detail, "was cancelled"));
    close_world(&w);
}

static void a_job_that_this_daemon_does_not_know_fails(void **state)
{
    (void)state;
    world w;
    begin(&w);
    tl_job_view view = wait_state(&w, start(&w, &forgotten, "a", "x"), TL_JOB_ENDED);
    assert_err(TL_ENOTFOUND, view.result);
    assert_non_null(strstr(view.detail, "test.forgotten"));
    close_world(&w);
}

/* ---- many at once ------------------------------------------------------------------------------ */

static void *be_client(void *context)
{
    world *w = context;
    for (int i = 0; i < N_EACH; i++) {
        char space[16];
        tl_job_view *views = NULL;
        size_t n = 0;
        (void)snprintf(space, sizeof space, "s%d", i % 3);
        uint64_t id = start(w, &steps, space, "hello");
        assert_ok(tl_jobs_list(w->jobs, SIZE_MAX, &views, &n));
        tl_mem_free(views);
        (void)tl_jobs_count_get(w->jobs);
        if (i % 3 == 0) {
            tl_err err = tl_job_cancel(w->jobs, id); /* it may have ended by now */
            assert_true(err == TL_OK || err == TL_ESTATE);
        }
        (void)wait_state(w, id, TL_JOB_ENDED);
    }
    return NULL;
}

static void many_clients_start_list_and_cancel_at_once(void **state)
{
    (void)state;
    world w;
    pthread_t clients[N_CLIENTS];
    begin(&w);
    atomic_store(&is_let_go, true);
    for (int i = 0; i < N_CLIENTS; i++) {
        assert_int_equal(pthread_create(&clients[i], NULL, be_client, &w), 0);
    }
    for (int i = 0; i < N_CLIENTS; i++) {
        assert_int_equal(pthread_join(clients[i], NULL), 0);
    }
    tl_jobs_count count = tl_jobs_count_get(w.jobs);
    assert_int_equal(count.n_ended, N_CLIENTS * N_EACH);
    assert_int_equal(count.n_running + count.n_waiting, 0);
    close_world(&w);
}

/* ---- as clients call them ------------------------------------------------------------------------ */

static tl_err call_method(
    world *w, tl_role role, const char *key, const char *name, const ProtobufCMessage *request)
{
    uint8_t bytes[MAX_BYTES];
    tl_bytes reply = {.data = NULL};
    tl_call call = {
        .engine = w->engine, .role = role, .deadline_ns = INT64_MAX, .key_name = key};
    const tl_method *method = tl_method_find(name);
    assert_non_null(method);
    size_t len = protobuf_c_message_pack(request, bytes);
    tl_err err = tl_method_call(method, &call, bytes, len, &reply);
    tl_mem_free(reply.data);
    tl_call_done(&call);
    return err;
}

static tl_err call_start(
    world *w, tl_role role, const char *method, const char *token, const ProtobufCMessage *body)
{
    uint8_t bytes[MAX_BYTES];
    Tailor__V1__JobStart request;
    tailor__v1__job_start__init(&request);
    request.method = (char *)(uintptr_t)method;
    request.token = (char *)(uintptr_t)token;
    request.body =
        (ProtobufCBinaryData){.len = protobuf_c_message_pack(body, bytes), .data = bytes};
    return call_method(w, role, "anna", "job.start", (ProtobufCMessage *)&request);
}

static tl_err call_cancel(world *w, tl_role role, const char *key, uint64_t id)
{
    Tailor__V1__JobId request;
    tailor__v1__job_id__init(&request);
    request.job_id = id;
    return call_method(w, role, key, "job.cancel", (ProtobufCMessage *)&request);
}

static void a_start_that_cannot_be_right_is_refused(void **state)
{
    (void)state;
    world w;
    Tailor__V1__TrainRequest train;
    Tailor__V1__EvaluateRequest evaluate;
    begin(&w);
    tailor__v1__train_request__init(&train);
    tailor__v1__evaluate_request__init(&evaluate);
    ProtobufCMessage *body = (ProtobufCMessage *)&train;
    train.space = (char *)(uintptr_t) "nasbench201";
    assert_err(TL_EDENIED, call_start(&w, TL_ROLE_READER, "train.run", "", body));
    assert_err(TL_ENOTFOUND, call_start(&w, TL_ROLE_ADMIN, "status.get", "", body));
    assert_err(TL_ENOTFOUND, call_start(&w, TL_ROLE_ADMIN, "nothing", "", body));
    assert_err(TL_EINVAL, call_start(&w, TL_ROLE_ADMIN, "train.run", "short", body));
    train.effort = (char *)(uintptr_t) "much";
    assert_err(TL_EINVAL, call_start(&w, TL_ROLE_ADMIN, "train.run", "", body));
    train.effort = (char *)(uintptr_t) "";
    train.space = (char *)(uintptr_t) "nowhere";
    assert_err(TL_ENOTFOUND, call_start(&w, TL_ROLE_ADMIN, "train.run", "", body));
    train.space = (char *)(uintptr_t) "bad\xff";
    assert_err(TL_EINVAL, call_start(&w, TL_ROLE_ADMIN, "train.run", "", body));
    evaluate.space = (char *)(uintptr_t) "nasbench201";
    evaluate.samples = 1;
    body = (ProtobufCMessage *)&evaluate;
    assert_err(TL_EINVAL, call_start(&w, TL_ROLE_READER, "evaluate.run", "", body));
    tl_jobs_count count = tl_jobs_count_get(w.jobs);
    assert_int_equal(count.n_waiting + count.n_running + count.n_ended, 0);
    close_world(&w);
}

static void a_reader_ends_its_own_jobs_and_a_writer_all(void **state)
{
    (void)state;
    world w;
    Tailor__V1__EvaluateRequest request;
    begin(&w);
    tl_job_runner_free(w.runner); /* so that nothing ends by itself */
    w.runner = NULL;
    tailor__v1__evaluate_request__init(&request);
    request.space = (char *)(uintptr_t) "nasbench201";
    for (int i = 0; i < 2; i++) {
        assert_ok(
            call_start(&w, TL_ROLE_READER, "evaluate.run", "", (ProtobufCMessage *)&request));
    }
    assert_err(TL_EDENIED, call_cancel(&w, TL_ROLE_READER, "berta", 1));
    assert_err(TL_EDENIED, call_cancel(&w, TL_ROLE_READER, NULL, 1));
    assert_ok(call_cancel(&w, TL_ROLE_READER, "anna", 1));
    assert_ok(call_cancel(&w, TL_ROLE_WRITER, "berta", 2));
    assert_err(TL_ENOTFOUND, call_cancel(&w, TL_ROLE_WRITER, "berta", 3));
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_jobs_run_at_a_time_and_the_rest_waits),
        cmocka_unit_test(a_stop_puts_jobs_aside_and_the_next_runner_ends_them),
        cmocka_unit_test(a_running_job_ends_when_it_is_cancelled),
        cmocka_unit_test(a_job_that_this_daemon_does_not_know_fails),
        cmocka_unit_test(many_clients_start_list_and_cancel_at_once),
        cmocka_unit_test(a_start_that_cannot_be_right_is_refused),
        cmocka_unit_test(a_reader_ends_its_own_jobs_and_a_writer_all),
    };
    tl_log_set_level(TL_LOG_ERROR);
    return cmocka_run_group_tests_name("daemon/job_runner", tests, NULL, NULL);
}
