/* SPDX-License-Identifier: Apache-2.0 */

/* Detached jobs: queued by a client, taken by the runner. */

#include "base/mem.h"
#include "daemon/jobs_impl.h"
#include "proto/job.pb-c.h"

#include <stdio.h>
#include <string.h>

/* ---- queueing ------------------------------------------------------------------------------ */

/* Without what may stand under its number: a backup made by hand may hold entries of no job. */
static tl_err write_start(tl_jobs *jobs, const tl_job_record *record, const tl_job_start *start)
{
    tl_store_txn *txn = NULL;
    TL_TRY(tl_store_begin(jobs->store, &txn));
    tl_err err = tl_job_store_remove(txn, record->view.id);
    if (err == TL_OK) {
        err = tl_job_store_put(txn, record);
    }
    if (err == TL_OK) {
        err =
            tl_job_store_put_request(txn, record->view.id, start->request, start->request_len);
    }
    if (err == TL_OK) {
        return tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    return err;
}

/*
 * The job that the token started before, once it is known whether the store took it. Under the
 * lock; 0: there is none.
 */
static uint64_t started_before(tl_jobs *jobs, const char *token)
{
    const tl_job *job = NULL;
    while ((job = tl_jobs_get_token(jobs, TL_JOB_DETACHED, token)) != NULL && !job->is_stored) {
        (void)pthread_cond_wait(&jobs->changed, &jobs->lock);
    }
    return job != NULL ? job->record.view.id : 0;
}

/* Why there is no new one. */
static tl_err fail_start(bool is_full, bool is_used_up)
{
    if (is_used_up) {
        return tl_fail(
            TL_ELIMIT, "the last number of all is given to a job: no other can be started");
    }
    return is_full ? tl_fail(
                         TL_EBUSY, "%d jobs are waiting already; try again later",
                         (int)TL_JOBS_MAX_WAITING)
                   : tl_fail(TL_ENOMEM, "a job");
}

tl_err tl_jobs_start(
    tl_jobs *jobs, const tl_call *call, const tl_job_start *start, uint64_t *out_id)
{
    tl_job *job = NULL;
    tl_job_record record;
    if (jobs->store == NULL) {
        return tl_fail(TL_ESTATE, "this daemon keeps no jobs");
    }
    TL_TRY(tl_store_check_writable(jobs->store));
    (void)pthread_mutex_lock(&jobs->lock);
    uint64_t id = started_before(jobs, start->token);
    bool is_full = jobs->count.n_waiting >= TL_JOBS_MAX_WAITING;
    bool is_used_up = jobs->last_id >= TL_JOB_MAX_NUMBER;
    if (id == 0 && !is_full && !is_used_up &&
        (job = tl_jobs_add(jobs, TL_JOB_DETACHED, TL_JOB_WAITING)) != NULL) {
        tl_jobs_set_texts(job, call, start->method->name, start->subject, start->token);
        record = job->record;
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (id != 0) {
        *out_id = id;
        return TL_OK;
    }
    if (job == NULL) {
        return fail_start(is_full, is_used_up);
    }
    tl_jobs_save_ends(jobs);
    tl_err err = write_start(jobs, &record, start);
    (void)pthread_mutex_lock(&jobs->lock);
    if (err == TL_OK) {
        job->is_stored = true;
        *out_id = record.view.id;
    } else {
        tl_jobs_remove(jobs, job);
    }
    (void)pthread_cond_broadcast(&jobs->changed);
    (void)pthread_mutex_unlock(&jobs->lock);
    return err;
}

/* ---- taking ----------------------------------------------------------------------------------- */

/* Two trainings of one space would race for which model stays: they go one after the other. */
static bool is_worked_on(const tl_jobs *jobs, const char *subject)
{
    for (size_t i = 0; i < jobs->n; i++) {
        const tl_job_view *view = &jobs->all[i]->record.view;
        if (view->kind == TL_JOB_DETACHED && view->state == TL_JOB_RUNNING &&
            strcmp(view->subject, subject) == 0) {
            return true;
        }
    }
    return false;
}

/* NULL: none can be run now. What a run came to could not be kept in a store that is not written. */
static tl_job *find_next(tl_jobs *jobs)
{
    for (size_t i = 0; i < jobs->n && !jobs->is_read_only; i++) {
        tl_job *job = jobs->all[i];
        const tl_job_view *view = &job->record.view;
        if (view->state == TL_JOB_WAITING && job->is_stored && !view->is_cancelled &&
            !is_worked_on(jobs, view->subject)) {
            return job;
        }
    }
    return NULL;
}

tl_job *tl_jobs_take(tl_jobs *jobs)
{
    tl_job *job = NULL;
    (void)pthread_mutex_lock(&jobs->lock);
    while (!jobs->is_stopping && (job = find_next(jobs)) == NULL) {
        (void)pthread_cond_wait(&jobs->changed, &jobs->lock);
    }
    if (job != NULL) {
        tl_jobs_set_state(job, TL_JOB_RUNNING);
        tl_jobs_set_begun(job);
        job->record.view.what[0] = '\0'; /* of a run before this one */
        job->record.view.done = job->record.view.total = 0;
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (job != NULL) {
        tl_jobs_note(jobs, tl_job_id(job));
    }
    return job;
}

void tl_jobs_stop(tl_jobs *jobs)
{
    (void)pthread_mutex_lock(&jobs->lock);
    jobs->is_stopping = true;
    for (size_t i = 0; i < jobs->n; i++) {
        const tl_job_view *view = &jobs->all[i]->record.view;
        if (view->kind == TL_JOB_DETACHED && view->state == TL_JOB_RUNNING) {
            atomic_store(&jobs->all[i]->must_end, true);
        }
    }
    (void)pthread_cond_broadcast(&jobs->changed);
    (void)pthread_mutex_unlock(&jobs->lock);
}

tl_err tl_job_request(tl_job *job, void **out_request, size_t *out_len)
{
    return tl_job_store_get_request(
        job->jobs->store, job->record.view.id, out_request, out_len);
}

const char *tl_job_method(const tl_job *job)
{
    return job->record.view.method;
}

void tl_job_fill_call(tl_job *job, tl_call *call)
{
    (void)pthread_mutex_lock(&job->jobs->lock);
    call->role = job->record.role;
    call->client = job->record.view.client;
    call->key_name = job->record.view.key;
    call->is_cancelled = &job->must_end;
    call->job = job;
    job->call = call;
    (void)pthread_mutex_unlock(&job->jobs->lock);
}

/* ---- ending ------------------------------------------------------------------------------------- */

/* Back into the queue, where the stop of the daemon ended it; else claims its end: false. */
static bool put_aside(tl_job *job, tl_err result)
{
    tl_jobs *jobs = job->jobs;
    uint64_t id = tl_job_id(job);
    (void)pthread_mutex_lock(&jobs->lock);
    bool is_aside =
        jobs->is_stopping && result == TL_ECANCELLED && !job->record.view.is_cancelled;
    if (is_aside) {
        tl_jobs_set_state(job, TL_JOB_WAITING);
        job->record.n_set_aside++;
        job->call = NULL;
    }
    bool is_ours = !is_aside && tl_jobs_claim_end(job);
    (void)pthread_mutex_unlock(&jobs->lock);
    TL_ASSERT(is_aside || is_ours); /* the runner alone ends what it runs */
    if (is_aside) {
        tl_jobs_note(jobs, id);
    }
    return is_aside;
}

/* Packs and releases what the reply holds. */
static tl_err pack_outcome(const tl_call *call, tl_bytes *reply, tl_bytes *out)
{
    Tailor__Job__V1__JobOutcome outcome;
    tailor__job__v1__job_outcome__init(&outcome);
    outcome.n_warnings = call->n_warnings;
    outcome.warnings = call->warnings;
    outcome.has_reply = reply->data != NULL;
    outcome.reply = (ProtobufCBinaryData){.len = reply->len, .data = reply->data};
    tl_err err = tl_wire_pack((ProtobufCMessage *)&outcome, out);
    tl_mem_free(reply->data);
    *reply = (tl_bytes){0};
    return err;
}

bool tl_job_finish_take(tl_job *job, tl_err result, const tl_call *call, tl_bytes *reply)
{
    char detail[TL_JOB_DETAIL_BYTES];
    tl_bytes outcome = {0};
    (void)snprintf(detail, sizeof detail, "%s", result != TL_OK ? tl_err_detail() : "");
    if (put_aside(job, result)) {
        tl_mem_free(reply->data);
        *reply = (tl_bytes){0};
        return false;
    }
    if (result == TL_ECANCELLED) { /* where it was by then is no reason */
        (void)snprintf(
            detail, sizeof detail, "job %llu was cancelled",
            (unsigned long long)tl_job_id(job));
    }
    tl_err err = pack_outcome(call, reply, &outcome);
    if (err != TL_OK && result == TL_OK) {
        result = err; /* a reply that nobody can get is none */
        (void)snprintf(detail, sizeof detail, "%s", tl_err_detail());
    }
    tl_jobs_close_anyway(job, result, detail, err == TL_OK ? &outcome : NULL);
    tl_mem_free(outcome.data);
    return true;
}
