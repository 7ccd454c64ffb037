/* SPDX-License-Identifier: Apache-2.0 */

/* Jobs as clients see them: lists, outcomes, cancelling. */

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/jobs_impl.h"

#include <string.h>

const char *tl_job_state_name(const tl_job_view *view)
{
    if (view->state == TL_JOB_WAITING) {
        return "waiting";
    }
    if (view->state == TL_JOB_RUNNING) {
        return view->is_cancelled ? "cancelling" : "running";
    }
    return view->result == TL_OK           ? "done"
           : view->result == TL_ECANCELLED ? "cancelled"
                                           : "failed";
}

/* Under the lock. */
static tl_job_view view_of(const tl_job *job, uint32_t n_waiting_before)
{
    tl_job_view view = job->record.view;
    if (view.state == TL_JOB_RUNNING) {
        view.elapsed_s = (double)(tl_clock_ns() - job->started_ns) / (double)TL_NS_PER_S;
    }
    view.n_before = view.state == TL_JOB_WAITING ? n_waiting_before : 0;
    return view;
}

/* Marks those that wait or run, and the n_ended that ended last. Under the lock. */
static void mark_listed(tl_jobs *jobs, size_t n_ended)
{
    size_t n_passed = jobs->count.n_ended > n_ended ? jobs->count.n_ended - n_ended : 0;
    for (size_t i = 0; i < jobs->n; i++) {
        jobs->all[i]->is_listed = jobs->all[i]->is_stored;
    }
    for (size_t i = 0; i < n_passed; i++) {
        jobs->ended[i]->is_listed = false;
    }
}

tl_err tl_jobs_list(tl_jobs *jobs, size_t n_ended, tl_job_view **out_views, size_t *out_n)
{
    size_t n = 0;
    uint32_t n_waiting = 0;
    (void)pthread_mutex_lock(&jobs->lock);
    tl_job_view *views = tl_mem_new(jobs->n + 1, sizeof *views);
    mark_listed(jobs, n_ended);
    for (size_t i = 0; i < jobs->n && views != NULL; i++) {
        const tl_job *job = jobs->all[i];
        if (job->is_listed) {
            views[n++] = view_of(job, n_waiting);
            n_waiting += job->record.view.state == TL_JOB_WAITING;
        }
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (views == NULL) {
        return tl_fail(TL_ENOMEM, "the list of jobs");
    }
    *out_views = views;
    *out_n = n;
    return TL_OK;
}

static tl_err no_such_job(uint64_t job_id)
{
    return tl_fail(TL_ENOTFOUND, "no job %llu", (unsigned long long)job_id);
}

tl_err tl_jobs_find(tl_jobs *jobs, uint64_t job_id, tl_job_view *out_view)
{
    uint32_t n_waiting = 0;
    bool is_found = false;
    (void)pthread_mutex_lock(&jobs->lock);
    const tl_job *job = tl_jobs_get(jobs, job_id);
    if (job != NULL && job->is_stored) {
        for (size_t i = 0; jobs->all[i] != job; i++) {
            n_waiting += jobs->all[i]->record.view.state == TL_JOB_WAITING;
        }
        *out_view = view_of(job, n_waiting);
        is_found = true;
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    return is_found ? TL_OK : no_such_job(job_id);
}

tl_err tl_jobs_outcome(tl_jobs *jobs, uint64_t job_id, void **out_data, size_t *out_len)
{
    bool is_here = false;
    void *copy = NULL;
    (void)pthread_mutex_lock(&jobs->lock);
    const tl_job *job = tl_jobs_get(jobs, job_id);
    if (job != NULL && job->outcome.data != NULL) {
        is_here = true;
        if ((copy = tl_mem_new(job->outcome.len, 1)) != NULL) {
            memcpy(copy, job->outcome.data, job->outcome.len);
            *out_data = copy;
            *out_len = job->outcome.len;
        }
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (is_here) {
        return copy != NULL ? TL_OK : tl_fail(TL_ENOMEM, "how a job ended");
    }
    return jobs->store != NULL
               ? tl_job_store_get_outcome(jobs->store, job_id, out_data, out_len)
               : no_such_job(job_id);
}

tl_jobs_count tl_jobs_count_get(tl_jobs *jobs)
{
    (void)pthread_mutex_lock(&jobs->lock);
    tl_jobs_count count = jobs->count;
    (void)pthread_mutex_unlock(&jobs->lock);
    return count;
}

/* ---- cancelling ------------------------------------------------------------------------------- */

/* What a cancel found. */
typedef struct to_cancel {
    bool is_known, is_over, is_cancelled, is_idle, is_attached;
} to_cancel;

/* That a detached job was cancelled must be kept. */
static tl_err check_cancellable(tl_jobs *jobs, uint64_t job_id)
{
    (void)pthread_mutex_lock(&jobs->lock);
    const tl_job *job = tl_jobs_get(jobs, job_id);
    bool is_kept = job != NULL && job->record.view.kind == TL_JOB_DETACHED;
    (void)pthread_mutex_unlock(&jobs->lock);
    return is_kept && jobs->store != NULL ? tl_store_check_writable(jobs->store) : TL_OK;
}

/* Marks the job as cancelled, and as ending where nothing runs that could end it. */
static tl_job *mark_cancelled(tl_jobs *jobs, uint64_t job_id, to_cancel *found)
{
    (void)pthread_mutex_lock(&jobs->lock);
    tl_job *job = tl_jobs_get(jobs, job_id);
    job = job != NULL && job->is_stored ? job : NULL;
    if (job != NULL) {
        tl_job_view *view = &job->record.view;
        found->is_known = true;
        found->is_cancelled =
            view->is_cancelled && (job->is_ending || view->result == TL_ECANCELLED);
        found->is_over = job->is_ending || view->state == TL_JOB_ENDED;
        found->is_attached = view->kind == TL_JOB_ATTACHED;
        if (!found->is_over) {
            view->is_cancelled = true;
            atomic_store(&job->must_end, true);
            found->is_idle = (view->state == TL_JOB_WAITING ||
                              (view->kind == TL_JOB_FLEET && job->n_pieces == 0)) &&
                             tl_jobs_claim_end(job);
        }
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    return found->is_idle ? job : NULL;
}

tl_err tl_job_cancel(tl_jobs *jobs, uint64_t job_id)
{
    to_cancel found = {.is_known = false};
    TL_TRY(check_cancellable(jobs, job_id));
    tl_job *idle = mark_cancelled(jobs, job_id, &found);
    if (!found.is_known) {
        return no_such_job(job_id);
    }
    if (found.is_over) {
        TL_TRY(tl_jobs_save_end(jobs, job_id)); /* of a cancel that was not durable */
        /* Where it was cancelled before, the answer to that was lost maybe. */
        return found.is_cancelled
                   ? TL_OK
                   : tl_fail(TL_ESTATE, "job %llu has ended", (unsigned long long)job_id);
    }
    if (idle != NULL) {
        return tl_jobs_close(idle, TL_ECANCELLED, "cancelled before it went on", NULL);
    }
    return found.is_attached ? TL_OK : tl_jobs_save(jobs, job_id);
}

/* The first after the given one; 0: none. */
static uint64_t find_under_way(tl_jobs *jobs, const char *subject, uint64_t after)
{
    uint64_t id = 0;
    (void)pthread_mutex_lock(&jobs->lock);
    for (size_t i = 0; i < jobs->n && id == 0; i++) {
        const tl_job *job = jobs->all[i];
        const tl_job_view *view = &job->record.view;
        if (view->id > after && job->is_stored && view->state != TL_JOB_ENDED &&
            !view->is_cancelled && strcmp(view->subject, subject) == 0) {
            id = view->id;
        }
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    return id;
}

void tl_jobs_cancel_subject(tl_jobs *jobs, const char *subject)
{
    for (uint64_t id = find_under_way(jobs, subject, 0); id != 0;
         id = find_under_way(jobs, subject, id)) {
        tl_err err = tl_job_cancel(jobs, id);
        if (err != TL_OK && err != TL_ESTATE &&
            err != TL_ENOTFOUND) { /* those ended meanwhile */
            tl_log(
                TL_LOG_WARN, "job %llu: that it was cancelled is not in the store: %s",
                (unsigned long long)id, tl_err_detail());
        }
        tl_err_clear();
    }
}
