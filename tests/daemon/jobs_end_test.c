/* SPDX-License-Identifier: Apache-2.0 */

/* How jobs end while others begin, and where the store does not take it. */

#include "tests/daemon/jobs_world.h"
#include "tests/support/refuse.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/jobs_impl.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

enum {
    LONG_AGO_S = 1000,
    CHUNK_BYTES = 8192,
    LONG_REPLY_BYTES = 100 * 1024 /* more than fits into what a full store has left */
};

static void assert_state(tl_jobs_world *w, uint64_t id, const char *state)
{
    tl_job_view view = tl_jobs_world_find(w, id);
    assert_string_equal(tl_job_state_name(&view), state);
}

static void finish(tl_job *job, const char *text, size_t len)
{
    tl_call call = {.deadline_ns = INT64_MAX};
    tl_bytes reply = {.data = tl_mem_new(len, 1), .len = len};
    memcpy(reply.data, text, len);
    assert_true(tl_job_finish_take(job, TL_OK, &call, &reply));
}

static uint64_t run(tl_jobs_world *w, const char *space)
{
    uint64_t id = tl_jobs_world_start(w, space, "");
    tl_job *job = tl_jobs_take(w->jobs);
    assert_int_equal(tl_job_id(job), id);
    finish(job, "a model", 7);
    return id;
}

static bool has_outcome(tl_jobs_world *w, uint64_t id)
{
    void *data = NULL;
    size_t len = 0;
    tl_err err = tl_jobs_outcome(w->jobs, id, &data, &len);
    assert_true(err == TL_OK || err == TL_ENOTFOUND);
    tl_mem_free(data);
    return err == TL_OK;
}

static void end_attached(tl_jobs_world *w, int n)
{
    for (int i = 0; i < n; i++) {
        tl_job *job = NULL;
        assert_ok(tl_job_begin(w->jobs, &w->call, "train.run", "x", &job));
        tl_job_end(job, TL_OK);
    }
}

/* ---- while another thread ends something -------------------------------------------------- */

static const tl_job_piece piece = {
    .run = "run-number-1", .method = "fleet.run", .subject = "a", .total = 300};

static tl_job *join_run(tl_jobs_world *w, const tl_job_piece *of)
{
    tl_job *job = NULL;
    assert_ok(tl_job_join(w->jobs, &w->call, of, &job));
    return job;
}

/* Waits until a look at the jobs, under their lock, says yes. */
static void await(tl_jobs_world *w, bool (*look)(const tl_jobs *jobs))
{
    for (bool is_seen = false; !is_seen;) {
        (void)pthread_mutex_lock(&w->jobs->lock);
        is_seen = look(w->jobs);
        (void)pthread_mutex_unlock(&w->jobs->lock);
        (void)sched_yield();
    }
}

static bool first_is_leaving(const tl_jobs *jobs)
{
    return jobs->all[0]->is_leaving;
}

static bool first_is_ending(const tl_jobs *jobs)
{
    return jobs->all[0]->is_ending;
}

static bool a_piece_runs(const tl_jobs *jobs)
{
    size_t i = 0;
    while (i < jobs->n && jobs->all[i]->n_pieces == 0) {
        i++;
    }
    return i < jobs->n;
}

static void *end_job(void *context)
{
    tl_job_end(context, TL_OK);
    return NULL;
}

static void *sweep_late(void *context)
{
    const tl_jobs_world *w = context;
    tl_jobs_sweep(w->jobs, tl_clock_ns() + LONG_AGO_S * TL_NS_PER_S);
    return NULL;
}

/* What one piece does. */
static void *run_piece(void *context)
{
    tl_jobs_world *w = context;
    tl_job *job = join_run(w, &piece);
    uint64_t id = tl_job_id(job);
    assert_ok(tl_job_piece_step(job, 7));
    tl_job_leave(job);
    return (void *)(uintptr_t)id;
}

/* The store is held, so that whoever writes there stands where the lock was left. */
static tl_store_txn *hold_store(tl_jobs_world *w)
{
    tl_store_txn *txn = NULL;
    assert_ok(tl_store_begin(w->store, &txn));
    return txn;
}

static void fill_ended(tl_jobs_world *w, int n)
{
    (void)pthread_mutex_lock(&w->jobs->lock);
    for (int i = 0; i < n; i++) {
        tl_job *job = tl_jobs_add(w->jobs, TL_JOB_ATTACHED, TL_JOB_ENDED);
        job->is_stored = true;
        job->record.end_no = ++w->jobs->last_end;
    }
    (void)pthread_mutex_unlock(&w->jobs->lock);
}

static void a_piece_goes_on_with_no_run_that_is_being_forgotten(void **state)
{
    (void)state;
    tl_jobs_world w;
    pthread_t ending;
    pthread_t joining;
    void *joined = NULL;
    tl_job_view view;
    tl_job *other = NULL;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    tl_job *job = join_run(&w, &piece);
    uint64_t first = tl_job_id(job);
    tl_job_leave(job);
    tl_job_end_run(w.jobs, piece.run, TL_OK);
    fill_ended(&w, TL_JOBS_MAX_ENDED - 1);
    assert_ok(tl_job_begin(w.jobs, &w.call, "train.run", "x", &other));
    tl_store_txn *txn = hold_store(&w);
    assert_int_equal(pthread_create(&ending, NULL, end_job, other), 0);
    await(&w, first_is_leaving);
    assert_int_equal(pthread_create(&joining, NULL, run_piece, &w), 0);
    await(&w, a_piece_runs);
    tl_store_abort(&txn);
    assert_int_equal(pthread_join(ending, NULL), 0);
    assert_int_equal(pthread_join(joining, &joined), 0);
    assert_true((uint64_t)(uintptr_t)joined > first);
    assert_err(TL_ENOTFOUND, tl_jobs_find(w.jobs, first, &view));
    assert_int_equal(tl_jobs_world_find(&w, (uint64_t)(uintptr_t)joined).done, 7);
    tl_jobs_world_close(&w);
}

static void a_piece_that_comes_while_its_run_is_swept_opens_it_again(void **state)
{
    (void)state;
    tl_jobs_world w;
    pthread_t sweeping;
    pthread_t joining;
    void *joined = NULL;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    tl_job *job = join_run(&w, &piece);
    uint64_t id = tl_job_id(job);
    tl_job_leave(job);
    tl_store_txn *txn = hold_store(&w);
    assert_int_equal(pthread_create(&sweeping, NULL, sweep_late, &w), 0);
    await(&w, first_is_ending);
    assert_int_equal(pthread_create(&joining, NULL, run_piece, &w), 0);
    tl_store_abort(&txn);
    assert_int_equal(pthread_join(sweeping, NULL), 0);
    assert_int_equal(pthread_join(joining, &joined), 0);
    assert_int_equal((uint64_t)(uintptr_t)joined, id);
    assert_state(&w, id, "running");
    tl_jobs_world_restart(&w);
    assert_state(&w, id, "running");
    tl_jobs_world_close(&w);
}

/* ---- in the order of ends -------------------------------------------------------------------- */

static void a_long_job_keeps_its_reply_when_others_end_after_it(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    uint64_t slow = tl_jobs_world_start(&w, "a", "");
    tl_job *job = tl_jobs_take(w.jobs);
    uint64_t first = run(&w, "b");
    for (int i = 1; i < TL_JOBS_MAX_REPLIES; i++) {
        (void)run(&w, "b");
    }
    finish(job, "a model", 7);
    assert_true(has_outcome(&w, slow));
    assert_false(has_outcome(&w, first));
    (void)run(&w, "b");
    tl_jobs_world_restart(&w);
    for (int i = 0; i < TL_JOBS_MAX_REPLIES - 2; i++) {
        (void)run(&w, "b");
    }
    assert_true(has_outcome(&w, slow));
    (void)run(&w, "b");
    assert_false(has_outcome(&w, slow));
    tl_jobs_world_close(&w);
}

static void what_ended_last_is_listed_and_what_ended_first_is_forgotten(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_job *slow = NULL;
    tl_job_view *views = NULL;
    tl_job_view view;
    size_t n = 0;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    assert_ok(tl_job_begin(w.jobs, &w.call, "train.run", "a", &slow));
    uint64_t id = tl_job_id(slow);
    fill_ended(&w, TL_JOBS_MAX_ENDED);
    tl_job_end(slow, TL_OK);
    assert_err(TL_ENOTFOUND, tl_jobs_find(w.jobs, id + 1, &view));
    assert_ok(tl_jobs_list(w.jobs, 2, &views, &n));
    assert_int_equal(n, 2);
    assert_int_equal(views[0].id, id);
    assert_int_equal(views[1].id, id + TL_JOBS_MAX_ENDED);
    tl_mem_free(views);
    tl_jobs_world_close(&w);
}

/* ---- fleets that were left ---------------------------------------------------------------------- */

static void make_them_old(tl_jobs_world *w)
{
    (void)pthread_mutex_lock(&w->jobs->lock);
    for (size_t i = 0; i < w->jobs->n; i++) {
        w->jobs->all[i]->left_ns -= LONG_AGO_S * TL_NS_PER_S;
    }
    (void)pthread_mutex_unlock(&w->jobs->lock);
}

static void fleets_that_were_left_make_room_for_who_asks(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_job *job = NULL;
    char run_name[32];
    tl_job_piece other = {.run = run_name, .method = "fleet.run", .subject = "a"};
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    (void)tl_jobs_world_start(&w, "a", "");
    assert_non_null(tl_jobs_take(w.jobs)); /* detached: it takes nobody's room */
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < TL_JOBS_MAX_RUNNING; i++) {
            (void)snprintf(run_name, sizeof run_name, "run-%d-of-turn-%d", i, turn);
            tl_job_leave(join_run(&w, &other));
        }
        assert_err(TL_EBUSY, tl_job_join(w.jobs, &w.call, &piece, &job));
        assert_err(TL_EBUSY, tl_job_begin(w.jobs, &w.call, "train.run", "x", &job));
        make_them_old(&w);
        if (turn == 0) {
            tl_job_leave(join_run(&w, &piece));
            tl_job_end_run(w.jobs, piece.run, TL_OK);
        } else {
            end_attached(&w, 1);
        }
        assert_int_equal(tl_jobs_count_get(w.jobs).n_running, 1);
    }
    tl_jobs_world_close(&w);
}

/* ---- ends that the store does not take -------------------------------------------------------------- */

/* Ends a waiting job, for which there is no memory at the store. */
static uint64_t end_unsaved(tl_jobs_world *w)
{
    uint64_t id = tl_jobs_world_start(w, "a", "");
    tl_mem_fail_at(1);
    assert_err(TL_ENOMEM, tl_job_cancel(w->jobs, id));
    tl_mem_fail_at(0);
    assert_state(w, id, "cancelled");
    return id;
}

static void an_end_that_was_refused_is_written_by_the_next_sweep(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    uint64_t id = end_unsaved(&w);
    tl_jobs_sweep(w.jobs, tl_clock_ns());
    tl_jobs_world_restart(&w);
    assert_state(&w, id, "cancelled");
    tl_jobs_world_close(&w);
}

static void an_end_that_was_refused_is_written_before_anything_else(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    uint64_t before_a_start = end_unsaved(&w);
    (void)tl_jobs_world_start(&w, "b", "");
    uint64_t before_a_run = end_unsaved(&w);
    (void)tl_jobs_take(w.jobs);
    tl_jobs_world_restart(&w);
    assert_state(&w, before_a_start, "cancelled");
    assert_state(&w, before_a_run, "cancelled");
    tl_job *job = tl_jobs_take(w.jobs);
    uint64_t before_an_end = end_unsaved(&w);
    finish(job, "a model", 7);
    tl_jobs_world_restart(&w);
    assert_state(&w, before_an_end, "cancelled");
    tl_jobs_world_close(&w);
}

static void a_cancel_that_was_not_durable_may_be_repeated(void **state)
{
    (void)state;
    tl_jobs_world w;
    tl_jobs_world_open(&w, tl_test_new_dir(), 0);
    uint64_t id = end_unsaved(&w);
    tl_mem_fail_at(1);
    assert_err(TL_ENOMEM, tl_job_cancel(w.jobs, id));
    tl_mem_fail_at(0);
    tl_err err = tl_job_cancel(w.jobs, id);
    assert_true(err == TL_OK || err == TL_ESTATE);
    tl_jobs_world_restart(&w);
    assert_state(&w, id, "cancelled");
    tl_jobs_world_close(&w);
}

static const char filler[] = "filler";

/* Until the store takes no more, not even a small value. */
static void fill_store(tl_store *store)
{
    static const char chunk[CHUNK_BYTES];
    char key[32];
    int n = 0;
    for (size_t len = sizeof chunk; len > 0; len /= 2) {
        for (tl_err err = TL_OK; err == TL_OK; n++) {
            tl_store_txn *txn = NULL;
            (void)snprintf(key, sizeof key, "%s %d", filler, n);
            assert_ok(tl_store_begin(store, &txn));
            err = tl_store_put(txn, TL_DB_META, key, strlen(key), chunk, len);
            err = err == TL_OK ? tl_store_commit(&txn) : err;
            tl_store_abort(&txn);
        }
    }
}

static void empty_store(tl_store *store)
{
    tl_store_txn *txn = NULL;
    assert_ok(tl_store_begin(store, &txn));
    assert_ok(tl_store_delete_prefix(txn, TL_DB_META, filler, strlen(filler), SIZE_MAX, NULL));
    assert_ok(tl_store_commit(&txn));
}

static void a_reply_that_found_no_room_is_stored_when_there_is_some(void **state)
{
    (void)state;
    static char reply[LONG_REPLY_BYTES];
    tl_jobs_world w;
    tl_jobs_world_open(&w, tl_test_new_dir(), 1);
    uint64_t id = tl_jobs_world_start(&w, "a", "");
    tl_job *job = tl_jobs_take(w.jobs);
    fill_store(w.store);
    finish(job, reply, sizeof reply);
    tl_jobs_sweep(w.jobs, tl_clock_ns());
    assert_true(has_outcome(&w, id));
    empty_store(w.store);
    (void)run(&w, "a"); /* the store uses freed pages two commits later */
    tl_jobs_sweep(w.jobs, tl_clock_ns());
    tl_jobs_world_restart(&w);
    assert_state(&w, id, "done");
    assert_true(has_outcome(&w, id));
    tl_jobs_world_close(&w);
}

/* Of a job whose reply finds no room, when the k-th allocation is refused too. Is there a k-th? */
static bool ends_without_memory(long k)
{
    tl_jobs_world w;
    tl_call call = {.deadline_ns = INT64_MAX};
    tl_bytes reply = {.data = tl_mem_new(LONG_REPLY_BYTES, 1), .len = LONG_REPLY_BYTES};
    tl_jobs_world_open(&w, tl_test_new_dir(), 1);
    uint64_t id = tl_jobs_world_start(&w, "a", "");
    tl_job *job = tl_jobs_take(w.jobs);
    fill_store(w.store);
    long n_refused = tl_test_n_refused();
    tl_mem_fail_at(k);
    assert_true(tl_job_finish_take(job, TL_OK, &call, &reply));
    tl_mem_fail_at(0);
    bool is_refused = tl_test_n_refused() != n_refused;
    assert_int_equal(tl_jobs_world_find(&w, id).state, TL_JOB_ENDED);
    empty_store(w.store);
    tl_jobs_sweep(w.jobs, tl_clock_ns());
    tl_jobs_world_restart(&w);
    assert_int_equal(tl_jobs_world_find(&w, id).state, TL_JOB_ENDED);
    tl_jobs_world_close(&w);
    return is_refused;
}

static void without_room_and_memory_a_reply_may_be_lost_but_no_end(void **state)
{
    (void)state;
    long k = 1;
    while (ends_without_memory(k)) {
        k++;
    }
    assert_in_range(k, 4, 100);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(a_piece_goes_on_with_no_run_that_is_being_forgotten),
        TEST(a_piece_that_comes_while_its_run_is_swept_opens_it_again),
        TEST(a_long_job_keeps_its_reply_when_others_end_after_it),
        TEST(what_ended_last_is_listed_and_what_ended_first_is_forgotten),
        TEST(fleets_that_were_left_make_room_for_who_asks),
        TEST(an_end_that_was_refused_is_written_by_the_next_sweep),
        TEST(an_end_that_was_refused_is_written_before_anything_else),
        TEST(a_cancel_that_was_not_durable_may_be_repeated),
        TEST(a_reply_that_found_no_room_is_stored_when_there_is_some),
        TEST(without_room_and_memory_a_reply_may_be_lost_but_no_end),
    };
#undef TEST
    tl_log_set_level(TL_LOG_ERROR);
    return cmocka_run_group_tests_name("daemon/jobs_end", tests, NULL, NULL);
}
