/* SPDX-License-Identifier: Apache-2.0 */

/* A fleet's run: one job of many requests, which may come at once, late or twice. */

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "daemon/jobs_impl.h"

#include <string.h>

enum {
    IDLE_S = 120 /* without a piece under way: its client is gone */
};

static const char step_name[] = "designs";

/* Under the lock; the run's job, or a new one. */
static tl_job *find_or_add(tl_jobs *jobs, const tl_call *call, const tl_job_piece *piece)
{
    tl_job *job = tl_jobs_get_token(jobs, TL_JOB_FLEET, piece->run);
    if (job == NULL) {
        job = tl_jobs_add(jobs, TL_JOB_FLEET, TL_JOB_RUNNING);
        if (job != NULL) {
            tl_jobs_set_texts(job, call, piece->method, piece->subject, piece->run);
            tl_jobs_set_begun(job);
            memcpy(job->record.view.what, step_name, sizeof step_name);
            job->is_stored = true;
            job->saved_ns = INT64_MIN / 2; /* the next note is written */
        }
    } else if (job->record.view.state == TL_JOB_ENDED && !job->record.view.is_cancelled) {
        tl_jobs_set_state(job, TL_JOB_RUNNING); /* a piece that is asked again */
        job->record.view.result = TL_OK;
        job->record.view.detail[0] = '\0';
        job->record.view.ended_unix_s = 0;
        job->saved_ns = INT64_MIN / 2; /* the next note is written */
    }
    return job;
}

tl_err tl_job_join(tl_jobs *jobs, tl_call *call, const tl_job_piece *piece, tl_job **out_job)
{
    (void)pthread_mutex_lock(&jobs->lock);
    const tl_job *known = tl_jobs_get_token(jobs, TL_JOB_FLEET, piece->run);
    bool is_under_way = known != NULL && known->record.view.state != TL_JOB_ENDED;
    bool is_full = !is_under_way && jobs->count.n_running >= TL_JOBS_MAX_RUNNING;
    tl_job *job = is_full ? NULL : find_or_add(jobs, call, piece);
    bool is_over = job != NULL && (job->is_ending || job->record.view.state == TL_JOB_ENDED ||
                                   job->record.view.is_cancelled);
    if (job != NULL && !is_over) {
        job->n_pieces++;
        job->record.view.total = piece->total > 0 ? piece->total : job->record.view.total;
    }
    unsigned long long id = job != NULL ? (unsigned long long)job->record.view.id : 0;
    (void)pthread_mutex_unlock(&jobs->lock);
    if (job == NULL) {
        return is_full ? tl_fail(TL_EBUSY, "%d jobs run already", (int)TL_JOBS_MAX_RUNNING)
                       : tl_fail(TL_ENOMEM, "a job");
    }
    if (is_over) {
        return tl_fail(TL_ECANCELLED, "job %llu was cancelled", id);
    }
    tl_jobs_note_now_and_then(job);
    *out_job = job;
    return TL_OK;
}

tl_err tl_job_piece_step(tl_job *job, uint64_t done)
{
    (void)pthread_mutex_lock(&job->jobs->lock);
    tl_job_view *view = &job->record.view;
    view->done = done > view->done ? done : view->done;
    bool is_cancelled = view->is_cancelled;
    (void)pthread_mutex_unlock(&job->jobs->lock);
    return is_cancelled ? tl_fail(
                              TL_ECANCELLED, "job %llu was cancelled",
                              (unsigned long long)tl_job_id(job))
                        : TL_OK;
}

static void close_run(tl_job *job, tl_err result, const char *detail)
{
    if (tl_jobs_close(job, result, detail, NULL) != TL_OK) {
        tl_log(TL_LOG_WARN, "the end of a job is not in the store: %s", tl_err_detail());
        tl_err_clear();
    }
}

void tl_job_leave(tl_job *job)
{
    (void)pthread_mutex_lock(&job->jobs->lock);
    job->n_pieces--;
    job->left_ns = tl_clock_ns();
    bool is_over = job->n_pieces == 0 && job->record.view.is_cancelled;
    (void)pthread_mutex_unlock(&job->jobs->lock);
    if (is_over) {
        close_run(job, TL_ECANCELLED, "cancelled");
    }
}

void tl_job_end_run(tl_jobs *jobs, const char *run, tl_err result)
{
    (void)pthread_mutex_lock(&jobs->lock);
    tl_job *job = tl_jobs_get_token(jobs, TL_JOB_FLEET, run);
    bool is_open = job != NULL && job->record.view.state == TL_JOB_RUNNING &&
                   job->n_pieces == 0 && !job->is_ending;
    (void)pthread_mutex_unlock(&jobs->lock);
    if (is_open) {
        close_run(job, result, result == TL_OK ? "" : "its client gave it up");
    }
}

void tl_jobs_sweep(tl_jobs *jobs)
{
    tl_job *left = NULL;
    int64_t now_ns = tl_clock_ns();
    (void)pthread_mutex_lock(&jobs->lock);
    for (size_t i = 0; i < jobs->n && left == NULL; i++) {
        tl_job *job = jobs->all[i];
        const tl_job_view *view = &job->record.view;
        if (view->kind == TL_JOB_FLEET && view->state == TL_JOB_RUNNING && !job->is_ending &&
            job->n_pieces == 0 && now_ns - job->left_ns > IDLE_S * TL_NS_PER_S) {
            left = job;
        }
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (left != NULL) {
        close_run(left, TL_EUNREACHABLE, "its client has not been heard of for two minutes");
    }
}
