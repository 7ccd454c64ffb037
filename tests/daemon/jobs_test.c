/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/jobs_world.h"
#include "tests/support/torture.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/jobs.h"
#include "proto/job.pb-c.h"
#include "proto/wire.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static bool finish(tl_jobs_world *w, tl_job *job, tl_err result, const char *text)
{
    tl_call call = tl_jobs_world_call();
    tl_bytes reply = {.data = NULL};
    (void)w;
    if (result == TL_OK) {
        reply.data = (uint8_t *)tl_mem_strdup(text);
        reply.len = strlen(text);
        tl_call_warn(&call, "mind %s", text);
    } else {
        (void)tl_fail(result, "%s", text);
    }
    bool has_ended = tl_job_finish_take(job, result, &call, &reply);
    assert_null(reply.data);
    tl_call_done(&call);
    return has_ended;
}

/* ---- attached ---------------------------------------------------------------------------- */

static void a_job_shows_what_it_does_and_how_it_ended(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_job *job = NULL;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    assert_ok(tl_job_begin(w.jobs, &w.call, "train.run", "nasbench201", &job));
    uint64_t id = tl_job_id(job);
    assert_ok(tl_job_step(job, "source devices", 3, 10));
    tl_job_view view = tl_jobs_world_find(&w, id);
    assert_int_equal(view.state, TL_JOB_RUNNING);
    assert_string_equal(tl_job_state_name(&view), "running");
    assert_string_equal(view.method, "train.run");
    assert_string_equal(view.subject, "nasbench201");
    assert_string_equal(view.what, "source devices");
    assert_string_equal(view.client, "test 1");
    assert_string_equal(view.key, "me");
    assert_int_equal(view.done, 3);
    (void)tl_fail(TL_ENUMERIC, "not finite");
    tl_job_end(job, TL_ENUMERIC);
    assert_string_equal(tl_err_detail(), "not finite");
    tl_jobs_world_restart(&w);
    view = tl_jobs_world_find(&w, id);
    assert_string_equal(tl_job_state_name(&view), "failed");
    assert_err(TL_ENUMERIC, view.result);
    assert_string_equal(view.detail, "not finite");
    tl_job_end(NULL, TL_OK);
    tl_jobs_world_close(&w);
}

static void without_a_store_jobs_run_all_the_same(void **state)
{
    (void)state;
    tl_jobs *jobs = NULL;
    tl_job *job = NULL;
    tl_call call = tl_jobs_world_call();
    uint64_t id = 0;
    tl_job_start nothing = {.method = &tl_jobs_world_train, .subject = "", .token = ""};
    assert_ok(tl_jobs_new(NULL, &jobs));
    assert_ok(tl_job_begin(jobs, &call, "train.run", "x", &job));
    tl_job_keep(job, "a", "b", 1);
    assert_ok(tl_job_step(job, "a", 1, 2));
    tl_job_end(job, TL_OK);
    assert_err(TL_ESTATE, tl_jobs_start(jobs, &call, &nothing, &id));
    tl_jobs_free(jobs);
}

static void a_cancelled_job_learns_it_at_its_next_step(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_job *job = NULL;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    assert_ok(tl_job_begin(w.jobs, &w.call, "train.run", "x", &job));
    uint64_t id = tl_job_id(job);
    assert_err(TL_ENOTFOUND, tl_job_cancel(w.jobs, id + 1));
    assert_ok(tl_job_cancel(w.jobs, id));
    tl_job_view view = tl_jobs_world_find(&w, id);
    assert_string_equal(tl_job_state_name(&view), "cancelling");
    assert_err(TL_ECANCELLED, tl_job_step(job, "a", 1, 2));
    tl_job_end(job, TL_ECANCELLED);
    assert_ok(tl_job_cancel(w.jobs, id)); /* asked again, since the answer was lost */
    assert_ok(tl_job_begin(w.jobs, &w.call, "train.run", "x", &job));
    id = tl_job_id(job);
    tl_job_end(job, TL_OK);
    assert_err(TL_ESTATE, tl_job_cancel(w.jobs, id));
    tl_jobs_world_close(&w);
}

static void an_attached_job_ends_with_its_daemon(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_job *job = NULL;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    assert_ok(tl_job_begin(w.jobs, &w.call, "train.run", "x", &job));
    uint64_t id = tl_job_id(job);
    for (int i = 0; i < 2; i++) {
        tl_jobs_world_restart(&w);
        tl_job_view view = tl_jobs_world_find(&w, id);
        assert_string_equal(tl_job_state_name(&view), "cancelled");
        assert_non_null(strstr(view.detail, "the daemon ended"));
        assert_true(view.ended_unix_s > 0);
    }
    assert_ok(tl_job_begin(w.jobs, &w.call, "train.run", "x", &job));
    assert_int_equal(tl_job_id(job), id + 1); /* no number is given twice */
    tl_job_end(job, TL_OK);
    tl_jobs_world_close(&w);
}

static void jobs_are_bounded_and_the_oldest_ended_is_forgotten(void **state)
{
    (void)state;
    enum {
        N_RUNNING = 64,
        N_MORE = 1010,
        N_ENDED = 1000
    };
    tl_jobs *jobs = NULL;
    tl_job *running[N_RUNNING];
    tl_job *job = NULL;
    tl_call call = tl_jobs_world_call();
    tl_job_view *views = NULL;
    size_t n = 0;
    assert_ok(tl_jobs_new(NULL, &jobs));
    for (int i = 0; i < N_RUNNING; i++) {
        assert_ok(tl_job_begin(jobs, &call, "train.run", "x", &running[i]));
    }
    assert_err(TL_EBUSY, tl_job_begin(jobs, &call, "train.run", "x", &job));
    tl_job_end(running[0], TL_OK);
    for (int i = 0; i < N_MORE; i++) {
        assert_ok(tl_job_begin(jobs, &call, "train.run", "x", &job));
        tl_job_end(job, TL_OK);
    }
    tl_jobs_count count = tl_jobs_count_get(jobs);
    assert_int_equal(count.n_running, N_RUNNING - 1);
    assert_int_equal(count.n_ended, N_ENDED);
    assert_ok(tl_jobs_list(jobs, SIZE_MAX, &views, &n));
    assert_int_equal(n, N_RUNNING - 1 + N_ENDED);
    assert_int_equal(views[n - 1].id, N_RUNNING + N_MORE);
    assert_int_equal(views[0].id, 2); /* still running; the first has been forgotten */
    tl_mem_free(views);
    assert_ok(tl_jobs_list(jobs, 3, &views, &n));
    assert_int_equal(n, N_RUNNING - 1 + 3);
    assert_int_equal(views[n - 1].id, N_RUNNING + N_MORE);
    tl_mem_free(views);
    for (int i = 1; i < N_RUNNING; i++) {
        tl_job_end(running[i], TL_OK);
    }
    tl_jobs_free(jobs);
}

/* ---- detached --------------------------------------------------------------------------------- */

static void check_outcome(tl_jobs_world *w, uint64_t id, const char *text)
{
    void *data = NULL;
    size_t len = 0;
    ProtobufCMessage *message = NULL;
    assert_ok(tl_jobs_outcome(w->jobs, id, &data, &len));
    assert_ok(tl_wire_unpack(
        &tailor__job__v1__job_outcome__descriptor, data, len, TL_WIRE_MAX_MEMORY_BYTES,
        &message));
    const Tailor__Job__V1__JobOutcome *outcome =
        (const Tailor__Job__V1__JobOutcome *)(const void *)message;
    assert_true(outcome->has_reply);
    assert_int_equal(outcome->reply.len, strlen(text));
    assert_memory_equal(outcome->reply.data, text, strlen(text));
    assert_int_equal(outcome->n_warnings, 1);
    tl_wire_free(message);
    tl_mem_free(data);
}

static void a_started_job_is_run_in_its_turn_and_its_reply_stays(void **state)
{
    (void)state;
    tl_jobs_world w;
    void *request = NULL;
    size_t len = 0;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    uint64_t first = tl_jobs_world_start(&w, "a", "");
    uint64_t second = tl_jobs_world_start(&w, "b", "");
    assert_int_equal(tl_jobs_world_find(&w, second).n_before, 1);
    tl_job *job = tl_jobs_take(w.jobs);
    assert_int_equal(tl_job_id(job), first);
    assert_string_equal(tl_job_method(job), "train.run");
    assert_ok(tl_job_request(job, &request, &len));
    assert_string_equal(request, "a");
    tl_mem_free(request);
    tl_call call = {.deadline_ns = INT64_MAX};
    tl_job *same = NULL;
    tl_job_fill_call(job, &call);
    assert_int_equal(call.role, TL_ROLE_WRITER);
    assert_ok(tl_job_begin(w.jobs, &call, "train.run", "a", &same));
    assert_ptr_equal(same, job);
    assert_ok(tl_job_step(same, "half", 1, 2));
    tl_job_end(same, TL_OK); /* the runner's to end */
    assert_int_equal(tl_jobs_world_find(&w, first).state, TL_JOB_RUNNING);
    assert_true(finish(&w, job, TL_OK, "a model"));
    check_outcome(&w, first, "a model");
    tl_jobs_world_restart(&w);
    check_outcome(&w, first, "a model");
    assert_int_equal(tl_jobs_world_find(&w, first).n_starts, 1);
    assert_int_equal(tl_jobs_world_find(&w, second).state, TL_JOB_WAITING);
    tl_jobs_world_close(&w);
}

static void a_start_that_is_repeated_is_one_job(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    uint64_t id = tl_jobs_world_start(&w, "a", "token-of-mine");
    assert_int_equal(tl_jobs_world_start(&w, "a", "token-of-mine"), id);
    tl_jobs_world_restart(&w);
    assert_int_equal(tl_jobs_world_start(&w, "a", "token-of-mine"), id);
    assert_int_not_equal(tl_jobs_world_start(&w, "a", "another-token"), id);
    tl_jobs_world_close(&w);
}

static void jobs_of_one_space_run_one_after_the_other(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    uint64_t first = tl_jobs_world_start(&w, "a", "");
    uint64_t second = tl_jobs_world_start(&w, "a", "");
    uint64_t third = tl_jobs_world_start(&w, "b", "");
    tl_job *job = tl_jobs_take(w.jobs);
    tl_job *other = tl_jobs_take(w.jobs);
    assert_int_equal(tl_job_id(job), first);
    assert_int_equal(tl_job_id(other), third);
    assert_true(finish(&w, other, TL_EINVAL, "no"));
    assert_true(finish(&w, job, TL_OK, "yes"));
    job = tl_jobs_take(w.jobs);
    assert_int_equal(tl_job_id(job), second);
    assert_true(finish(&w, job, TL_OK, "yes"));
    assert_string_equal(tl_jobs_world_find(&w, third).detail, "no");
    tl_jobs_world_close(&w);
}

static void a_waiting_job_that_is_cancelled_is_never_run(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    uint64_t first = tl_jobs_world_start(&w, "a", "");
    uint64_t second = tl_jobs_world_start(&w, "b", "");
    assert_ok(tl_job_cancel(w.jobs, first));
    assert_ok(tl_job_cancel(w.jobs, first)); /* asked again */
    tl_jobs_world_restart(&w);
    tl_job_view view = tl_jobs_world_find(&w, first);
    assert_string_equal(tl_job_state_name(&view), "cancelled");
    tl_job *job = tl_jobs_take(w.jobs);
    assert_int_equal(tl_job_id(job), second);
    tl_call call = {.deadline_ns = INT64_MAX};
    tl_job_fill_call(job, &call);
    assert_ok(tl_call_check(&call));
    assert_ok(tl_job_cancel(w.jobs, second));
    assert_err(TL_ECANCELLED, tl_call_check(&call));
    assert_err(TL_ECANCELLED, tl_job_step(job, "a", 1, 2));
    tl_jobs_world_restart(&w); /* it was not taken notice of: it is over all the same */
    view = tl_jobs_world_find(&w, second);
    assert_string_equal(tl_job_state_name(&view), "cancelled");
    tl_jobs_world_close(&w);
}

static void what_a_job_kept_is_there_after_a_crash_and_two_crashes_are_enough(void **state)
{
    (void)state;
    tl_jobs_world w;
    void *data = NULL;
    size_t len = 0;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    uint64_t id = tl_jobs_world_start(&w, "a", "");
    tl_job *job = tl_jobs_take(w.jobs);
    assert_err(TL_ENOTFOUND, tl_job_kept(job, "stage", &data, &len));
    tl_job_keep(job, "stage", "one", 3);
    tl_jobs_world_restart(&w);
    assert_int_equal(tl_jobs_world_find(&w, id).state, TL_JOB_WAITING);
    job = tl_jobs_take(w.jobs);
    assert_int_equal(tl_jobs_world_find(&w, id).n_starts, 2);
    assert_ok(tl_job_kept(job, "stage", &data, &len));
    assert_string_equal(data, "one");
    tl_mem_free(data);
    for (int i = 0; i < 2; i++) {
        tl_jobs_world_restart(&w);
        tl_job_view view = tl_jobs_world_find(&w, id);
        assert_string_equal(tl_job_state_name(&view), "failed");
        assert_err(TL_ESTATE, view.result);
        assert_non_null(strstr(view.detail, "not tried again"));
    }
    tl_jobs_world_close(&w);
}

static void a_stop_puts_jobs_aside_which_counts_as_no_crash(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    uint64_t id = tl_jobs_world_start(&w, "a", "");
    for (int i = 0; i < 4; i++) {
        tl_call call = {.deadline_ns = INT64_MAX};
        tl_job *job = tl_jobs_take(w.jobs);
        tl_job_fill_call(job, &call);
        tl_jobs_stop(w.jobs);
        assert_null(tl_jobs_take(w.jobs));
        assert_err(TL_ECANCELLED, tl_job_step(job, "a", 1, 2));
        assert_false(finish(&w, job, TL_ECANCELLED, "put aside"));
        assert_int_equal(tl_jobs_world_find(&w, id).state, TL_JOB_WAITING);
        tl_jobs_world_restart(&w);
        assert_int_equal(tl_jobs_world_find(&w, id).state, TL_JOB_WAITING);
        assert_int_equal(tl_jobs_world_find(&w, id).n_starts, i + 1);
    }
    tl_jobs_world_close(&w);
}

/* ---- fleets ------------------------------------------------------------------------------------- */

static void pieces_of_a_run_are_one_job_that_outlives_the_daemon(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_job *one = NULL;
    tl_job *two = NULL;
    tl_job_piece piece = {
        .run = "run-number-1", .method = "fleet.run", .subject = "a", .total = 300};
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    assert_ok(tl_job_join(w.jobs, &w.call, &piece, &one));
    assert_ok(tl_job_join(w.jobs, &w.call, &piece, &two));
    assert_ptr_equal(one, two);
    uint64_t id = tl_job_id(one);
    assert_ok(tl_job_piece_step(one, 200));
    assert_ok(tl_job_piece_step(two, 100)); /* pieces end in any order */
    assert_int_equal(tl_jobs_world_find(&w, id).done, 200);
    assert_int_equal(tl_jobs_world_find(&w, id).total, 300);
    tl_job_leave(one);
    tl_jobs_world_restart(&w); /* in the midst of the other */
    assert_int_equal(tl_jobs_world_find(&w, id).state, TL_JOB_RUNNING);
    assert_ok(tl_job_join(w.jobs, &w.call, &piece, &one));
    assert_int_equal(tl_job_id(one), id);
    tl_job_end_run(w.jobs, piece.run, TL_OK); /* a piece is under way: not yet */
    assert_int_equal(tl_jobs_world_find(&w, id).state, TL_JOB_RUNNING);
    tl_job_leave(one);
    tl_job_end_run(w.jobs, piece.run, TL_OK);
    tl_job_end_run(w.jobs, "never-heard-of", TL_OK);
    tl_jobs_world_restart(&w);
    tl_job_view view = tl_jobs_world_find(&w, id);
    assert_string_equal(tl_job_state_name(&view), "done");
    tl_jobs_world_close(&w);
}

static void a_cancelled_run_refuses_its_pieces(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_job *job = NULL;
    tl_job_piece piece = {.run = "run-number-1", .method = "fleet.run", .subject = "a"};
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    assert_ok(tl_job_join(w.jobs, &w.call, &piece, &job));
    uint64_t id = tl_job_id(job);
    assert_ok(tl_job_cancel(w.jobs, id));
    assert_err(TL_ECANCELLED, tl_job_piece_step(job, 1));
    tl_job_leave(job);
    for (int i = 0; i < 2; i++) {
        tl_job_view view = tl_jobs_world_find(&w, id);
        assert_string_equal(tl_job_state_name(&view), "cancelled");
        assert_err(TL_ECANCELLED, tl_job_join(w.jobs, &w.call, &piece, &job));
        tl_jobs_world_restart(&w);
    }
    tl_jobs_world_close(&w);
}

static void a_run_that_is_given_up_ends_with_its_last_piece(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_job *one = NULL;
    tl_job *two = NULL;
    tl_job_piece piece = {.run = "run-number-1", .method = "fleet.run", .subject = "a"};
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    assert_ok(tl_job_join(w.jobs, &w.call, &piece, &one));
    assert_ok(tl_job_join(w.jobs, &w.call, &piece, &two));
    uint64_t id = tl_job_id(one);
    tl_job_end_run(w.jobs, piece.run, TL_ECANCELLED);
    assert_err(TL_ECANCELLED, tl_job_piece_step(one, 1));
    assert_err(TL_ECANCELLED, tl_job_join(w.jobs, &w.call, &piece, &one));
    tl_job_leave(one);
    assert_int_equal(tl_jobs_world_find(&w, id).state, TL_JOB_RUNNING);
    tl_job_leave(two);
    tl_job_end_run(w.jobs, piece.run, TL_ECANCELLED); /* asked again */
    for (int i = 0; i < 2; i++) {
        tl_job_view view = tl_jobs_world_find(&w, id);
        assert_string_equal(tl_job_state_name(&view), "cancelled");
        /* Nor does one that comes late open it again. */
        assert_err(TL_ECANCELLED, tl_job_join(w.jobs, &w.call, &piece, &one));
        tl_jobs_world_restart(&w);
    }
    piece.run = "run-number-2";
    assert_ok(tl_job_join(w.jobs, &w.call, &piece, &one));
    tl_job_leave(one);
    tl_job_end_run(w.jobs, piece.run, TL_ECANCELLED);
    assert_err(TL_ECANCELLED, tl_job_join(w.jobs, &w.call, &piece, &one));
    tl_jobs_world_close(&w);
}

/* ---- when the store or memory gives out --------------------------------------------------------- */

/* Until the store takes no more. */
static void fill_store(tl_store *store)
{
    enum {
        CHUNK_BYTES = 8192
    };
    static const char chunk[CHUNK_BYTES];
    tl_err err = TL_OK;
    for (uint32_t i = 0; err == TL_OK; i++) {
        tl_store_txn *txn = NULL;
        assert_ok(tl_store_begin(store, &txn));
        err = tl_store_put(txn, TL_DB_META, &i, sizeof i, chunk, sizeof chunk);
        err = err == TL_OK ? tl_store_commit(&txn) : err;
        tl_store_abort(&txn);
    }
    assert_err(TL_ELIMIT, err);
}

static void a_full_store_loses_no_reply_and_takes_no_start(void **state)
{
    (void)state;
    tl_jobs_world w = {.call = tl_jobs_world_call(), .dir = tl_test_new_dir()};
    uint64_t id = 0;
    char reply[100 * 1024];
    memset(reply, 'x', sizeof reply - 1);
    reply[sizeof reply - 1] = '\0';
    assert_ok(tl_store_open(w.dir, 1, &w.store));
    assert_ok(tl_jobs_new(w.store, &w.jobs));
    uint64_t first = tl_jobs_world_start(&w, "a", "");
    tl_job *job = tl_jobs_take(w.jobs);
    fill_store(w.store);
    tl_log_set_level(TL_LOG_ERROR);
    tl_job_keep(job, "stage", reply, sizeof reply);
    assert_true(finish(&w, job, TL_OK, reply));
    check_outcome(&w, first, reply);
    tl_job_start more = {
        .method = &tl_jobs_world_train,
        .subject = "a",
        .token = "a-token-of-mine",
        .request = (const uint8_t *)reply,
        .request_len = sizeof reply};
    assert_err(TL_ELIMIT, tl_jobs_start(w.jobs, &w.call, &more, &id));
    tl_jobs_count count = tl_jobs_count_get(w.jobs);
    assert_int_equal(count.n_waiting, 0);
    assert_int_equal(count.n_ended, 1);
    assert_ok(tl_job_begin(w.jobs, &w.call, "train.run", "x", &job)); /* goes on unlisted */
    tl_job_end(job, TL_OK);
    tl_jobs_world_close(&w);
}

static void a_job_that_cannot_be_read_is_passed_over(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_store_txn *txn = NULL;
    uint8_t key[9] = {'j'};
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    uint64_t first = tl_jobs_world_start(&w, "a", "");
    uint64_t second = tl_jobs_world_start(&w, "b", "");
    key[8] = (uint8_t)second;
    assert_ok(tl_store_begin(w.store, &txn));
    assert_ok(tl_store_put(txn, TL_DB_JOBS, key, sizeof key, "\xff\xff", 2));
    assert_ok(tl_store_commit(&txn));
    tl_log_set_level(TL_LOG_ERROR);
    tl_jobs_world_restart(&w);
    tl_job_view view;
    assert_err(TL_ENOTFOUND, tl_jobs_find(w.jobs, second, &view));
    assert_int_equal(tl_jobs_world_find(&w, first).state, TL_JOB_WAITING);
    assert_int_equal(tl_jobs_world_start(&w, "c", ""), second + 1);
    tl_jobs_world_close(&w);
}

/* Makes the first page of devices impossible. */
static void damage_devices(const char *dir)
{
    char path[600];
    char *bytes = NULL;
    size_t len = 0;
    size_t n = 0;
    static const char mark[] = "a device like no other";
    (void)snprintf(path, sizeof path, "%s/store.mdb", dir);
    assert_ok(tl_file_read(path, (size_t)64 << 20, &bytes, &len));
    for (size_t i = 0; i + sizeof mark < len; i++) {
        if (memcmp(bytes + i, mark, sizeof mark - 1) == 0) {
            bytes[i / 4096 * 4096 + 12] ^= 1;
            n++;
        }
    }
    assert_true(n > 0);
    assert_ok(tl_file_write(path, bytes, len));
    tl_mem_free(bytes);
}

static void jobs_wait_while_the_store_takes_no_writes(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_job *job = NULL;
    tl_store_txn *txn = NULL;
    uint64_t other = 0;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    const char *dir = w.dir;
    uint64_t id = tl_jobs_world_start(&w, "a", "");
    assert_ok(tl_store_begin(w.store, &txn));
    assert_ok(tl_store_put(txn, TL_DB_DEVICES, "x", 1, "a device like no other", 22));
    assert_ok(tl_store_commit(&txn));
    tl_jobs_world_close(&w);
    damage_devices(dir);
    tl_log_set_level(TL_LOG_ERROR);
    w = (tl_jobs_world){.call = tl_jobs_world_call(), .dir = dir};
    assert_ok(tl_store_open_what_is_sound(dir, 0, &w.store));
    assert_ok(tl_jobs_new(w.store, &w.jobs));
    assert_int_equal(tl_jobs_world_find(&w, id).state, TL_JOB_WAITING);
    assert_err(TL_EDAMAGED, tl_job_cancel(w.jobs, id));
    assert_int_equal(tl_jobs_world_find(&w, id).state, TL_JOB_WAITING);
    tl_job_start start = {
        .method = &tl_jobs_world_train,
        .subject = "b",
        .token = "",
        .request = (const uint8_t *)"b",
        .request_len = 1};
    assert_err(TL_EDAMAGED, tl_jobs_start(w.jobs, &w.call, &start, &other));
    assert_ok(tl_job_begin(w.jobs, &w.call, "evaluate.run", "x", &job)); /* runs, unnoted */
    assert_ok(tl_job_step(job, "half", 1, 2));
    tl_job_end(job, TL_OK);
    tl_jobs_world_close(&w);
}

static tl_err start_and_list(void *context)
{
    tl_jobs_world *w = context;
    uint64_t id = 0;
    tl_job_view *views = NULL;
    size_t n = 0;
    tl_job_start job = {
        .method = &tl_jobs_world_train,
        .subject = "a",
        .token = "",
        .request = (const uint8_t *)"a"};
    job.request_len = 1;
    TL_TRY(tl_jobs_start(w->jobs, &w->call, &job, &id));
    TL_TRY(tl_jobs_list(w->jobs, SIZE_MAX, &views, &n));
    tl_mem_free(views);
    return TL_OK;
}

static void memory_that_runs_out_leaks_nothing(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    tl_err err = TL_ENOMEM;
    for (long i = 1; err == TL_ENOMEM; i++) {
        tl_mem_fail_at(i);
        err = start_and_list(&w);
        tl_mem_fail_at(0);
        assert_true(err == TL_OK || err == TL_ENOMEM);
    }
    tl_jobs_world_restart(&w);
    tl_jobs_world_close(&w);
}

static tl_err load(void *context)
{
    tl_jobs *jobs = NULL;
    TL_TRY(tl_jobs_new(context, &jobs));
    tl_jobs_free(jobs);
    return TL_OK;
}

static void jobs_of_a_former_daemon_are_read_or_nothing_is_left(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    (void)tl_jobs_world_start(&w, "a", "");
    (void)tl_jobs_world_start(&w, "b", "");
    assert_true(tl_test_torture("tl_jobs_new", load, w.store) > 4);
    tl_jobs_world_close(&w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(a_job_shows_what_it_does_and_how_it_ended),
        TEST(without_a_store_jobs_run_all_the_same),
        TEST(a_cancelled_job_learns_it_at_its_next_step),
        TEST(an_attached_job_ends_with_its_daemon),
        TEST(jobs_are_bounded_and_the_oldest_ended_is_forgotten),
        TEST(a_started_job_is_run_in_its_turn_and_its_reply_stays),
        TEST(a_start_that_is_repeated_is_one_job),
        TEST(jobs_of_one_space_run_one_after_the_other),
        TEST(a_waiting_job_that_is_cancelled_is_never_run),
        TEST(what_a_job_kept_is_there_after_a_crash_and_two_crashes_are_enough),
        TEST(a_stop_puts_jobs_aside_which_counts_as_no_crash),
        TEST(pieces_of_a_run_are_one_job_that_outlives_the_daemon),
        TEST(a_cancelled_run_refuses_its_pieces),
        TEST(a_run_that_is_given_up_ends_with_its_last_piece),
        TEST(a_full_store_loses_no_reply_and_takes_no_start),
        TEST(a_job_that_cannot_be_read_is_passed_over),
        TEST(jobs_wait_while_the_store_takes_no_writes),
        TEST(memory_that_runs_out_leaks_nothing),
        TEST(jobs_of_a_former_daemon_are_read_or_nothing_is_left),
    };
#undef TEST
    return cmocka_run_group_tests_name("daemon/jobs", tests, NULL, NULL);
}
