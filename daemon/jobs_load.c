/* SPDX-License-Identifier: Apache-2.0 */

/* The jobs that a former daemon left in the store. */

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/jobs_impl.h"

#include <stdio.h>
#include <stdlib.h>

/* What a former daemon left of a job. */
static void take_up(tl_job *job)
{
    static const char crashed[] =
        "the daemon ended unexpectedly each of the two times that it ran; it is not tried again";
    tl_job_view *view = &job->record.view;
    bool has_crashed_twice = view->n_starts >= UINT64_C(2) + job->record.n_set_aside;
    if (view->state == TL_JOB_ENDED || (view->kind == TL_JOB_FLEET && !view->is_cancelled)) {
        job->left_ns = job->started_ns = tl_clock_ns();
        return;
    }
    if (view->kind == TL_JOB_DETACHED && !view->is_cancelled &&
        (view->state == TL_JOB_WAITING || !has_crashed_twice)) {
        tl_jobs_set_state(job, TL_JOB_WAITING);
        return;
    }
    tl_jobs_set_state(job, TL_JOB_ENDED);
    job->record.end_no = ++job->jobs->last_end;
    view->ended_unix_s = tl_clock_unix_s();
    view->result =
        view->kind == TL_JOB_DETACHED && !view->is_cancelled ? TL_ESTATE : TL_ECANCELLED;
    (void)snprintf(
        view->detail, sizeof view->detail, "%s",
        view->result == TL_ESTATE ? crashed
        : view->is_cancelled      ? "cancelled"
                                  : "the daemon ended while it ran");
}

static tl_err add_stored(void *context, const tl_job_record *record)
{
    tl_jobs *jobs = context;
    tl_job *job = tl_jobs_add(jobs, record->view.kind, record->view.state);
    if (job == NULL) {
        return tl_fail(TL_ENOMEM, "the jobs of the store");
    }
    job->record = *record;
    job->is_stored = true;
    jobs->last_end = record->end_no > jobs->last_end ? record->end_no : jobs->last_end;
    return TL_OK;
}

/* Those that an older version wrote are not counted: they come first, by the clock. */
static int by_end(const void *a, const void *b)
{
    const tl_job_record *x = &(*(tl_job *const *)a)->record;
    const tl_job_record *y = &(*(tl_job *const *)b)->record;
    if (x->end_no != y->end_no) {
        return x->end_no < y->end_no ? -1 : 1;
    }
    if (x->view.ended_unix_s != y->view.ended_unix_s) {
        return x->view.ended_unix_s < y->view.ended_unix_s ? -1 : 1;
    }
    return (x->view.id > y->view.id) - (x->view.id < y->view.id);
}

/* Ends in the store what ended with the former daemon. */
static tl_err write_taken_up(tl_jobs *jobs, const bool *was_ended)
{
    tl_store_txn *txn = NULL;
    TL_TRY(tl_store_begin(jobs->store, &txn));
    tl_err err = TL_OK;
    for (size_t i = 0; i < jobs->n && err == TL_OK; i++) {
        const tl_job_record *record = &jobs->all[i]->record;
        if (record->view.state == TL_JOB_ENDED && !was_ended[i]) {
            err = tl_job_store_put(txn, record);
            err = err == TL_OK ? tl_job_store_clear(txn, record->view.id) : err;
        }
    }
    if (err == TL_OK) {
        return tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    return err;
}

tl_err tl_jobs_load(tl_jobs *jobs)
{
    size_t n_changed = 0;
    uint64_t last_id = 0;
    TL_TRY(tl_job_store_each(jobs->store, add_stored, jobs, &last_id));
    jobs->last_id = last_id;
    bool *was_ended = tl_mem_new(jobs->n + 1, sizeof *was_ended);
    if (was_ended == NULL) {
        return tl_fail(TL_ENOMEM, "the jobs of the store");
    }
    for (size_t i = 0; i < jobs->n; i++) {
        tl_job *job = jobs->all[i];
        was_ended[i] = job->record.view.state == TL_JOB_ENDED;
        take_up(job);
        n_changed += job->record.view.state == TL_JOB_ENDED && !was_ended[i];
    }
    if (jobs->count.n_ended > 0) {
        qsort(jobs->ended, jobs->count.n_ended, sizeof *jobs->ended, by_end);
    }
    if (jobs->is_read_only) {
        tl_log(
            TL_LOG_WARN,
            "jobs are not run, and none are taken, while the store takes no writes; "
            "%zu wait",
            jobs->count.n_waiting);
    } else if (n_changed > 0 && write_taken_up(jobs, was_ended) != TL_OK) {
        tl_log(TL_LOG_WARN, "jobs that ended are not noted yet: %s", tl_err_detail());
        tl_err_clear();
        for (size_t i = 0; i < jobs->n; i++) {
            jobs->all[i]->is_unsaved =
                jobs->all[i]->record.view.state == TL_JOB_ENDED && !was_ended[i];
        }
    }
    tl_mem_free(was_ended);
    return TL_OK;
}
