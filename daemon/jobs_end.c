/* SPDX-License-Identifier: Apache-2.0 */

/* How jobs end: in the store first, and the oldest ends make room. */

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/jobs_impl.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_FORGOTTEN = 16 /* by one that ends */
};

bool tl_jobs_claim_end(tl_job *job)
{
    if (job->is_ending || job->record.view.state == TL_JOB_ENDED) {
        return false;
    }
    job->is_ending = true;
    return true;
}

/* ---- what leaves ---------------------------------------------------------------------------- */

/* What leaves the store when one more job ends. */
typedef struct leaving {
    uint64_t forgotten[MAX_FORGOTTEN], silent[MAX_FORGOTTEN];
    size_t n_forgotten, n_silent;
} leaving;

/* All that is kept of jobs that have ended, one more included. */
typedef struct kept {
    size_t n_ended, n_replies;
    uint64_t bytes;
} kept;

static bool has_reply(const tl_job *job)
{
    return job->record.view.reply_bytes > 0 && !job->is_silencing;
}

static kept count_kept(const tl_jobs *jobs, uint64_t bytes)
{
    kept sum = {.n_ended = 1, .n_replies = bytes > 0, .bytes = bytes};
    for (size_t i = 0; i < jobs->count.n_ended; i++) {
        const tl_job *job = jobs->ended[i];
        if (!job->is_leaving) {
            sum.n_ended++;
            sum.n_replies += has_reply(job);
            sum.bytes += has_reply(job) ? job->record.view.reply_bytes : 0;
        }
    }
    return sum;
}

/* Marks those that ended first of too many: jobs, and replies. Under the lock. */
static void mark_leaving(tl_jobs *jobs, uint64_t bytes, leaving *out)
{
    kept sum = count_kept(jobs, bytes);
    for (size_t i = 0; i < jobs->count.n_ended; i++) {
        tl_job *job = jobs->ended[i];
        bool is_heard = has_reply(job);
        if (job->is_leaving || job->is_ending) {
            continue;
        }
        if (sum.n_ended > TL_JOBS_MAX_ENDED && out->n_forgotten < MAX_FORGOTTEN) {
            job->is_leaving = true;
            out->forgotten[out->n_forgotten++] = tl_job_id(job);
            sum.n_ended--;
        } else if (
            is_heard && out->n_silent < MAX_FORGOTTEN &&
            (sum.n_replies > TL_JOBS_MAX_REPLIES || sum.bytes > TL_JOBS_MAX_REPLY_BYTES)) {
            job->is_silencing = true;
            out->silent[out->n_silent++] = tl_job_id(job);
        } else {
            continue;
        }
        sum.n_replies -= is_heard ? 1 : 0;
        sum.bytes -= is_heard ? job->record.view.reply_bytes : 0;
    }
}

static void drop_outcome(tl_job *job)
{
    tl_mem_free(job->outcome.data);
    job->outcome = (tl_bytes){0};
}

/* In memory, after the store; is_written: it took it. Under the lock. */
static void forget(tl_jobs *jobs, const leaving *leave, bool is_written)
{
    for (size_t i = 0; i < leave->n_forgotten; i++) {
        tl_job *job = tl_jobs_get(jobs, leave->forgotten[i]);
        if (is_written) {
            tl_jobs_remove(jobs, job);
        } else {
            job->is_leaving = false;
        }
    }
    for (size_t i = 0; i < leave->n_silent; i++) {
        tl_job *job = tl_jobs_get(jobs, leave->silent[i]);
        if (job == NULL) {
            continue; /* it has been forgotten since */
        }
        job->is_silencing = false;
        if (is_written || job->outcome.data != NULL) {
            job->record.view.reply_bytes = 0;
            drop_outcome(job);
        }
    }
}

/* ---- the store ------------------------------------------------------------------------------- */

static tl_err put_end(
    tl_store_txn *txn,
    const tl_job_record *record,
    const tl_bytes *outcome,
    const leaving *leave)
{
    uint64_t id = record->view.id;
    TL_TRY(tl_job_store_put(txn, record));
    if (record->view.kind == TL_JOB_DETACHED) {
        TL_TRY(tl_job_store_clear(txn, id));
    }
    if (outcome != NULL) {
        TL_TRY(tl_job_store_put_outcome(txn, id, outcome->data, outcome->len));
    }
    for (size_t i = 0; i < leave->n_forgotten; i++) {
        TL_TRY(tl_job_store_remove(txn, leave->forgotten[i]));
    }
    for (size_t i = 0; i < leave->n_silent; i++) {
        TL_TRY(tl_job_store_remove_outcome(txn, leave->silent[i]));
    }
    return TL_OK;
}

static tl_err write_end(
    tl_jobs *jobs, const tl_job_record *record, const tl_bytes *outcome, const leaving *leave)
{
    tl_store_txn *txn = NULL;
    if (jobs->store == NULL || jobs->is_read_only) {
        return TL_OK;
    }
    TL_TRY(tl_store_begin(jobs->store, &txn));
    tl_err err = put_end(txn, record, outcome, leave);
    if (err == TL_OK) {
        return tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    return err;
}

/* ---- ending ----------------------------------------------------------------------------------- */

/* What the store did not take stays in memory until it does. Under the lock. */
static void keep_end(tl_job *job, const tl_bytes *outcome)
{
    job->is_unsaved = true;
    if (outcome != NULL && (job->outcome.data = tl_mem_new(outcome->len, 1)) != NULL) {
        memcpy(job->outcome.data, outcome->data, outcome->len);
        job->outcome.len = outcome->len;
    } else {
        job->record.view.reply_bytes = 0;
    }
}

static void fill_end(
    const tl_job *job, tl_job_record *record, tl_err result, const char *detail, uint64_t bytes)
{
    tl_job_view *view = &record->view;
    view->elapsed_s = job->started_ns > 0
                          ? (double)(tl_clock_ns() - job->started_ns) / (double)TL_NS_PER_S
                          : 0.0;
    view->state = TL_JOB_ENDED;
    view->done = result == TL_OK && view->kind != TL_JOB_FLEET ? view->total : view->done;
    view->result = result;
    view->ended_unix_s = tl_clock_unix_s();
    view->reply_bytes = bytes;
    (void)snprintf(view->detail, sizeof view->detail, "%s", detail);
    tl_wire_clean(view->detail);
}

tl_err tl_jobs_close(tl_job *job, tl_err result, const char *detail, const tl_bytes *outcome)
{
    tl_jobs *jobs = job->jobs;
    leaving leave = {.n_forgotten = 0};
    uint64_t bytes = outcome != NULL ? outcome->len : 0;
    tl_jobs_save_ends(jobs);
    (void)pthread_mutex_lock(&jobs->lock);
    TL_ASSERT(job->is_ending);
    tl_job_record record = job->record;
    record.end_no = ++jobs->last_end;
    mark_leaving(jobs, bytes, &leave);
    (void)pthread_mutex_unlock(&jobs->lock);
    fill_end(job, &record, result, detail, bytes);
    tl_err err = write_end(jobs, &record, outcome, &leave);
    (void)pthread_mutex_lock(&jobs->lock);
    tl_jobs_set_state(job, TL_JOB_ENDED);
    job->record = record;
    job->call = NULL;
    job->is_ending = false;
    if (err != TL_OK) {
        keep_end(job, outcome);
    }
    forget(jobs, &leave, err == TL_OK);
    (void)pthread_cond_broadcast(&jobs->changed);
    (void)pthread_mutex_unlock(&jobs->lock);
    return err;
}

void tl_jobs_close_anyway(
    tl_job *job, tl_err result, const char *detail, const tl_bytes *outcome)
{
    unsigned long long id = (unsigned long long)tl_job_id(job);
    if (tl_jobs_close(job, result, detail, outcome) != TL_OK) {
        tl_log(
            TL_LOG_ERROR, "job %llu ended, which is not in the store yet: %s", id,
            tl_err_detail());
        tl_err_clear();
    }
}

/* ---- ends that the store did not take ------------------------------------------------------------ */

static bool is_pending(const tl_job *job)
{
    return (job->is_unsaved || job->outcome.data != NULL) && !job->is_ending &&
           !job->is_leaving;
}

/* Of a job that is marked as ending, which makes the caller the only one to write it. */
static tl_err save_marked(tl_job *job)
{
    tl_jobs *jobs = job->jobs;
    const leaving none = {.n_forgotten = 0};
    (void)pthread_mutex_lock(&jobs->lock);
    tl_job_record record = job->record;
    tl_bytes outcome = job->outcome;
    bool is_unsaved = job->is_unsaved;
    (void)pthread_mutex_unlock(&jobs->lock);
    bool has_all = true;
    tl_err err = write_end(jobs, &record, outcome.data != NULL ? &outcome : NULL, &none);
    if (err != TL_OK && is_unsaved && outcome.data != NULL) {
        has_all = false; /* there may be room for the end alone, which matters more */
        record.view.reply_bytes = 0;
        err = write_end(jobs, &record, NULL, &none);
    }
    (void)pthread_mutex_lock(&jobs->lock);
    if (err == TL_OK) {
        job->is_unsaved = false;
        if (has_all) {
            drop_outcome(job);
        }
    }
    job->is_ending = false;
    (void)pthread_cond_broadcast(&jobs->changed);
    (void)pthread_mutex_unlock(&jobs->lock);
    return is_unsaved ? err : TL_OK; /* a reply can wait */
}

tl_err tl_jobs_save_end(tl_jobs *jobs, uint64_t id)
{
    (void)pthread_mutex_lock(&jobs->lock);
    tl_job *job = tl_jobs_get(jobs, id);
    bool is_ours = job != NULL && is_pending(job);
    if (is_ours) {
        job->is_ending = true;
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    return is_ours ? save_marked(job) : TL_OK;
}

/* The first that is pending of those that ended after the given one; marked. Under the lock. */
static tl_job *mark_pending(tl_jobs *jobs, uint64_t after)
{
    for (size_t i = 0; i < jobs->count.n_ended; i++) {
        tl_job *job = jobs->ended[i];
        if (job->record.end_no > after && is_pending(job)) {
            job->is_ending = true;
            return job;
        }
    }
    return NULL;
}

void tl_jobs_save_ends(tl_jobs *jobs)
{
    uint64_t end_no = 0;
    tl_err err = TL_OK;
    while (err == TL_OK) {
        (void)pthread_mutex_lock(&jobs->lock);
        tl_job *job = mark_pending(jobs, end_no);
        end_no = job != NULL ? job->record.end_no : 0;
        (void)pthread_mutex_unlock(&jobs->lock);
        if (job == NULL) {
            return;
        }
        err = save_marked(job);
    }
    tl_err_clear(); /* it was told when they ended, and is tried again */
}
