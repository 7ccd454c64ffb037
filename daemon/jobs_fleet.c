/* SPDX-License-Identifier: Apache-2.0 */

/* A fleet's run: one job of many requests, which may come at once, late or twice. */

#include "base/clock.h"
#include "base/units.h"
#include "daemon/jobs_impl.h"

#include <string.h>

enum {
    IDLE_S = 120 /* without a piece under way: its client is gone */
};

static const char step_name[] = "designs";

/* The run's job once its end, if it is being written, is. Under the lock; NULL: none. */
static tl_job *find_settled(tl_jobs *jobs, const char *run)
{
    tl_job *job = NULL;
    while ((job = tl_jobs_get_token(jobs, TL_JOB_FLEET, run)) != NULL && job->is_ending) {
        (void)pthread_cond_wait(&jobs->changed, &jobs->lock);
    }
    return job;
}

static tl_job *add(tl_jobs *jobs, const tl_call *call, const tl_job_piece *piece)
{
    tl_job *job = tl_jobs_add(jobs, TL_JOB_FLEET, TL_JOB_RUNNING);
    if (job != NULL) {
        tl_jobs_set_texts(job, call, piece->method, piece->subject, piece->run);
        tl_jobs_set_begun(job);
        memcpy(job->record.view.what, step_name, sizeof step_name);
        job->is_stored = true;
        job->saved_ns = INT64_MIN / 2; /* the next note is written */
    }
    return job;
}

/* A piece is asked again. */
static void reopen(tl_job *job)
{
    tl_jobs_set_state(job, TL_JOB_RUNNING);
    job->record.view.result = TL_OK;
    job->record.view.detail[0] = '\0';
    job->record.view.ended_unix_s = 0;
    job->record.end_no = 0;
    job->is_unsaved = false;
    job->saved_ns = INT64_MIN / 2; /* the next note is written */
}

/* Fails with TL_EBUSY, with TL_ENOMEM, or where the run was cancelled. Under the lock. */
static tl_err join(
    tl_jobs *jobs, const tl_call *call, const tl_job_piece *piece, tl_job **out_job)
{
    tl_job *job = find_settled(jobs, piece->run);
    if (job != NULL && job->record.view.is_cancelled) {
        return tl_fail(
            TL_ECANCELLED, "job %llu was cancelled", (unsigned long long)tl_job_id(job));
    }
    bool is_open = job != NULL && job->record.view.state != TL_JOB_ENDED;
    if (!is_open && jobs->n_held >= TL_JOBS_MAX_RUNNING) {
        return tl_fail(TL_EBUSY, "%d jobs run already", (int)TL_JOBS_MAX_RUNNING);
    }
    if (job == NULL && (job = add(jobs, call, piece)) == NULL) {
        return tl_fail(TL_ENOMEM, "a job");
    }
    if (job->record.view.state == TL_JOB_ENDED) {
        reopen(job);
    }
    job->n_pieces++;
    job->record.view.total = piece->total > 0 ? piece->total : job->record.view.total;
    *out_job = job;
    return TL_OK;
}

tl_err tl_job_join(tl_jobs *jobs, tl_call *call, const tl_job_piece *piece, tl_job **out_job)
{
    tl_job *job = NULL;
    (void)pthread_mutex_lock(&jobs->lock);
    tl_err err = join(jobs, call, piece, &job);
    (void)pthread_mutex_unlock(&jobs->lock);
    if (err == TL_EBUSY) { /* of runs that were left, perhaps */
        tl_jobs_sweep(jobs, tl_clock_ns());
        (void)pthread_mutex_lock(&jobs->lock);
        err = join(jobs, call, piece, &job);
        (void)pthread_mutex_unlock(&jobs->lock);
    }
    TL_TRY(err);
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

void tl_job_leave(tl_job *job)
{
    tl_jobs *jobs = job->jobs;
    (void)pthread_mutex_lock(&jobs->lock);
    job->n_pieces--;
    job->left_ns = tl_clock_ns();
    bool is_over =
        job->n_pieces == 0 && job->record.view.is_cancelled && tl_jobs_claim_end(job);
    (void)pthread_mutex_unlock(&jobs->lock);
    if (is_over) {
        tl_jobs_close_anyway(job, TL_ECANCELLED, "cancelled", NULL);
    }
}

/* Marks it as ending where no piece is under way. Under the lock. */
static bool claim_idle(tl_job *job)
{
    return job->record.view.state == TL_JOB_RUNNING && job->n_pieces == 0 &&
           tl_jobs_claim_end(job);
}

void tl_job_end_run(tl_jobs *jobs, const char *run, tl_err result)
{
    (void)pthread_mutex_lock(&jobs->lock);
    tl_job *job = tl_jobs_get_token(jobs, TL_JOB_FLEET, run);
    if (job != NULL && result == TL_ECANCELLED && job->record.view.state == TL_JOB_RUNNING &&
        !job->is_ending) {
        job->record.view.is_cancelled = true; /* what pieces learn at their next step */
    }
    bool is_ours = job != NULL && claim_idle(job);
    (void)pthread_mutex_unlock(&jobs->lock);
    if (is_ours) {
        tl_jobs_close_anyway(job, result, result == TL_OK ? "" : "its client gave it up", NULL);
    }
}

/* A run that nobody goes on with, marked as ending; NULL: there is none. */
static tl_job *claim_left(tl_jobs *jobs, int64_t now_ns)
{
    tl_job *left = NULL;
    (void)pthread_mutex_lock(&jobs->lock);
    for (size_t i = 0; i < jobs->n && left == NULL; i++) {
        tl_job *job = jobs->all[i];
        if (job->record.view.kind == TL_JOB_FLEET &&
            now_ns - job->left_ns > IDLE_S * TL_NS_PER_S && claim_idle(job)) {
            left = job;
        }
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    return left;
}

void tl_jobs_sweep(tl_jobs *jobs, int64_t now_ns)
{
    for (tl_job *left = NULL; (left = claim_left(jobs, now_ns)) != NULL;) {
        tl_jobs_close_anyway(
            left, TL_EUNREACHABLE, "its client has not been heard of for two minutes", NULL);
    }
    tl_jobs_save_ends(jobs);
}
