/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/jobs_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "proto/tailor.pb-c.h"

#include <stdio.h>
#include <string.h>

enum {
    REPORT_EVERY_MS = 100,
    SAVE_EVERY_S = 10,
    FIRST_CAPACITY = 64,
    MAX_FORGOTTEN = 16 /* by one that ends */
};

static unsigned long long id_of(const tl_job *job)
{
    return (unsigned long long)job->record.view.id;
}

/* ---- the table; under the lock ------------------------------------------------------------ */

static size_t *counter_of(tl_jobs *jobs, tl_job_state state)
{
    return state == TL_JOB_WAITING   ? &jobs->count.n_waiting
           : state == TL_JOB_RUNNING ? &jobs->count.n_running
                                     : &jobs->count.n_ended;
}

tl_job *tl_jobs_add(tl_jobs *jobs, tl_job_kind kind, tl_job_state state)
{
    if (jobs->n == jobs->capacity) {
        size_t capacity = jobs->capacity == 0 ? FIRST_CAPACITY : 2 * jobs->capacity;
        tl_job **grown = tl_mem_resize(jobs->all, capacity, sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        jobs->all = grown;
        jobs->capacity = capacity;
    }
    tl_job *job = tl_mem_new(1, sizeof *job);
    if (job == NULL) {
        return NULL;
    }
    job->jobs = jobs;
    job->record.view.id = ++jobs->last_id;
    job->record.view.kind = kind;
    job->record.view.state = state;
    job->record.view.queued_unix_s = tl_clock_unix_s();
    jobs->all[jobs->n++] = job;
    ++*counter_of(jobs, state);
    return job;
}

void tl_jobs_remove(tl_jobs *jobs, tl_job *job)
{
    size_t i = 0;
    while (jobs->all[i] != job) {
        i++;
    }
    memmove(&jobs->all[i], &jobs->all[i + 1], (jobs->n - i - 1) * sizeof *jobs->all);
    jobs->n--;
    --*counter_of(jobs, job->record.view.state);
    tl_mem_free(job->outcome.data);
    tl_mem_free(job);
}

tl_job *tl_jobs_get(tl_jobs *jobs, uint64_t id)
{
    for (size_t i = jobs->n; i > 0; i--) {
        if (jobs->all[i - 1]->record.view.id == id) {
            return jobs->all[i - 1];
        }
    }
    return NULL;
}

tl_job *tl_jobs_get_token(tl_jobs *jobs, tl_job_kind kind, const char *token)
{
    for (size_t i = jobs->n; i > 0 && token[0] != '\0'; i--) {
        const tl_job_record *record = &jobs->all[i - 1]->record;
        if (record->view.kind == kind && strcmp(record->token, token) == 0) {
            return jobs->all[i - 1];
        }
    }
    return NULL;
}

void tl_jobs_set_state(tl_job *job, tl_job_state state)
{
    --*counter_of(job->jobs, job->record.view.state);
    job->record.view.state = state;
    ++*counter_of(job->jobs, state);
}

void tl_jobs_set_begun(tl_job *job)
{
    tl_job_view *view = &job->record.view;
    job->started_ns = job->saved_ns = tl_clock_ns();
    job->reported_ns = 0;
    view->started_unix_s = tl_clock_unix_s();
    view->n_starts++;
}

static void set_text(char text[TL_JOB_TEXT_BYTES], const char *from)
{
    (void)snprintf(text, TL_JOB_TEXT_BYTES, "%s", from != NULL ? from : "");
    tl_wire_clean(text);
}

void tl_jobs_set_texts(
    tl_job *job,
    const tl_call *call,
    const char *method,
    const char *subject,
    const char *token)
{
    tl_job_record *record = &job->record;
    set_text(record->view.method, method);
    set_text(record->view.subject, subject);
    set_text(record->view.client, call->client);
    set_text(record->view.key, call->key_name);
    (void)snprintf(record->token, sizeof record->token, "%s", token);
    record->role = call->role;
}

/* ---- the store; without the lock ----------------------------------------------------------- */

static double elapsed_s(const tl_job *job)
{
    return (double)(tl_clock_ns() - job->started_ns) / (double)TL_NS_PER_S;
}

tl_err tl_jobs_save(tl_job *job)
{
    tl_jobs *jobs = job->jobs;
    tl_store_txn *txn = NULL;
    tl_err err = TL_OK;
    if (jobs->store == NULL) {
        return TL_OK;
    }
    TL_TRY(tl_store_begin(jobs->store, &txn));
    (void)pthread_mutex_lock(&jobs->lock);
    tl_job_record record = job->record;
    bool is_over = job->is_ending || record.view.state == TL_JOB_ENDED;
    job->saved_ns = tl_clock_ns();
    (void)pthread_mutex_unlock(&jobs->lock);
    if (!is_over) {
        err = tl_job_store_put(txn, &record);
    }
    if (err == TL_OK && !is_over) {
        return tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    return err;
}

void tl_jobs_note(tl_job *job)
{
    if (tl_jobs_save(job) != TL_OK) {
        tl_log(TL_LOG_WARN, "job %llu is not in the store: %s", id_of(job), tl_err_detail());
        tl_err_clear();
    }
}

void tl_jobs_note_now_and_then(tl_job *job)
{
    (void)pthread_mutex_lock(&job->jobs->lock);
    bool is_due = tl_clock_ns() - job->saved_ns >= SAVE_EVERY_S * TL_NS_PER_S;
    (void)pthread_mutex_unlock(&job->jobs->lock);
    if (is_due) {
        tl_jobs_note(job);
    }
}

/* What leaves the store when one more job ends. */
typedef struct leaving {
    uint64_t forgotten[MAX_FORGOTTEN], silent[MAX_FORGOTTEN];
    size_t n_forgotten, n_silent;
} leaving;

/* The oldest beyond the bounds: jobs, and replies. Under the lock. */
static void find_leaving(tl_jobs *jobs, const tl_job *ending, uint64_t bytes, leaving *out)
{
    size_t n_ended = 1;
    size_t n_replies = bytes > 0;
    for (size_t i = jobs->n; i > 0; i--) {
        tl_job *job = jobs->all[i - 1];
        tl_job_view *view = &job->record.view;
        if (job == ending || view->state != TL_JOB_ENDED) {
            continue;
        }
        bool is_forgotten = ++n_ended > TL_JOBS_MAX_ENDED;
        bytes += view->reply_bytes;
        n_replies += view->reply_bytes > 0;
        if (is_forgotten && out->n_forgotten < MAX_FORGOTTEN) {
            out->forgotten[out->n_forgotten++] = view->id;
        } else if (
            view->reply_bytes > 0 && out->n_silent < MAX_FORGOTTEN &&
            (n_replies > TL_JOBS_MAX_REPLIES || bytes > TL_JOBS_MAX_REPLY_BYTES)) {
            out->silent[out->n_silent++] = view->id;
        }
    }
}

static tl_err write_end(
    tl_jobs *jobs, const tl_job_record *record, const tl_bytes *outcome, const leaving *leave)
{
    tl_store_txn *txn = NULL;
    if (jobs->store == NULL) {
        return TL_OK;
    }
    TL_TRY(tl_store_begin(jobs->store, &txn));
    tl_err err = tl_job_store_put(txn, record);
    if (err == TL_OK && outcome != NULL) {
        err = tl_job_store_put_outcome(txn, record->view.id, outcome->data, outcome->len);
    }
    if (err == TL_OK && record->view.kind == TL_JOB_DETACHED) {
        err = tl_job_store_clear(txn, record->view.id);
    }
    for (size_t i = 0; i < leave->n_forgotten && err == TL_OK; i++) {
        err = tl_job_store_remove(txn, leave->forgotten[i]);
    }
    for (size_t i = 0; i < leave->n_silent && err == TL_OK; i++) {
        err = tl_job_store_remove_outcome(txn, leave->silent[i]);
    }
    if (err == TL_OK) {
        return tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    return err;
}

/* In memory, after the store. Under the lock. */
static void forget(tl_jobs *jobs, const leaving *leave)
{
    for (size_t i = 0; i < leave->n_forgotten; i++) {
        tl_job *job = tl_jobs_get(jobs, leave->forgotten[i]);
        if (job != NULL) {
            tl_jobs_remove(jobs, job);
        }
    }
    for (size_t i = 0; i < leave->n_silent; i++) {
        tl_job *job = tl_jobs_get(jobs, leave->silent[i]);
        if (job != NULL) {
            job->record.view.reply_bytes = 0;
        }
    }
}

/* The outcome stays in memory where the store did not take it. */
static void keep_outcome(tl_job *job, const tl_bytes *outcome)
{
    if (outcome != NULL && (job->outcome.data = tl_mem_new(outcome->len, 1)) != NULL) {
        memcpy(job->outcome.data, outcome->data, outcome->len);
        job->outcome.len = outcome->len;
    }
}

tl_err tl_jobs_close(tl_job *job, tl_err result, const char *detail, const tl_bytes *outcome)
{
    tl_jobs *jobs = job->jobs;
    leaving leave = {.n_forgotten = 0};
    uint64_t bytes = outcome != NULL ? outcome->len : 0;
    (void)pthread_mutex_lock(&jobs->lock);
    bool is_over = job->is_ending || job->record.view.state == TL_JOB_ENDED;
    job->is_ending = true;
    tl_job_record record = job->record;
    find_leaving(jobs, job, bytes, &leave);
    (void)pthread_mutex_unlock(&jobs->lock);
    if (is_over) {
        return TL_OK;
    }
    record.view.elapsed_s = job->started_ns > 0 ? elapsed_s(job) : 0.0;
    record.view.state = TL_JOB_ENDED;
    record.view.result = result;
    record.view.ended_unix_s = tl_clock_unix_s();
    record.view.reply_bytes = bytes;
    (void)snprintf(record.view.detail, sizeof record.view.detail, "%s", detail);
    tl_wire_clean(record.view.detail);
    tl_err err = write_end(jobs, &record, outcome, &leave);
    (void)pthread_mutex_lock(&jobs->lock);
    record.view.state = job->record.view.state;
    job->record = record;
    tl_jobs_set_state(job, TL_JOB_ENDED);
    job->call = NULL;
    job->is_ending = false;
    if (err == TL_OK) {
        forget(jobs, &leave);
    } else {
        keep_outcome(job, outcome);
    }
    (void)pthread_cond_broadcast(&jobs->changed);
    (void)pthread_mutex_unlock(&jobs->lock);
    return err;
}

/* ---- life ------------------------------------------------------------------------------------ */

tl_err tl_jobs_new(tl_store *store, tl_jobs **out_jobs)
{
    tl_jobs *jobs = tl_mem_new(1, sizeof *jobs);
    if (jobs == NULL) {
        return tl_fail(TL_ENOMEM, "the job table");
    }
    (void)pthread_mutex_init(&jobs->lock, NULL);
    (void)pthread_cond_init(&jobs->changed, NULL);
    jobs->store = store;
    tl_err err = store != NULL ? tl_jobs_load(jobs) : TL_OK;
    if (err != TL_OK) {
        tl_jobs_free(jobs);
        return err;
    }
    *out_jobs = jobs;
    return TL_OK;
}

void tl_jobs_free(tl_jobs *jobs)
{
    if (jobs == NULL) {
        return;
    }
    for (size_t i = 0; i < jobs->n; i++) {
        tl_mem_free(jobs->all[i]->outcome.data);
        tl_mem_free(jobs->all[i]);
    }
    tl_mem_free(jobs->all);
    (void)pthread_cond_destroy(&jobs->changed);
    (void)pthread_mutex_destroy(&jobs->lock);
    tl_mem_free(jobs);
}

/* ---- within a handler ------------------------------------------------------------------------ */

tl_err tl_job_begin(
    tl_jobs *jobs, tl_call *call, const char *method, const char *subject, tl_job **out_job)
{
    tl_job *job = call->job;
    if (job != NULL) {
        *out_job = job;
        return TL_OK;
    }
    (void)pthread_mutex_lock(&jobs->lock);
    bool is_full = jobs->count.n_running >= TL_JOBS_MAX_RUNNING;
    if (!is_full && (job = tl_jobs_add(jobs, TL_JOB_ATTACHED, TL_JOB_RUNNING)) != NULL) {
        job->call = call;
        job->is_stored = true;
        tl_jobs_set_texts(job, call, method, subject, "");
        tl_jobs_set_begun(job);
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (job == NULL) {
        return is_full ? tl_fail(TL_EBUSY, "%d jobs run already", (int)TL_JOBS_MAX_RUNNING)
                       : tl_fail(TL_ENOMEM, "a job");
    }
    tl_jobs_note(job);
    *out_job = job;
    return TL_OK;
}

uint64_t tl_job_id(const tl_job *job)
{
    return job->record.view.id;
}

static void report(const tl_job *job, const char *what, uint64_t done, uint64_t total)
{
    Tailor__V1__Progress progress;
    char text[TL_JOB_TEXT_BYTES];
    if (job->call->send == NULL) {
        return;
    }
    (void)snprintf(text, sizeof text, "%s", what);
    tailor__v1__progress__init(&progress);
    progress.what = text;
    progress.done = done;
    progress.total = total;
    progress.elapsed_s = (double)(job->reported_ns - job->started_ns) / (double)TL_NS_PER_S;
    progress.job_id = job->record.view.id;
    job->call->send(
        job->call->sink, TAILOR__V1__REPLY__KIND__PROGRESS, (ProtobufCMessage *)&progress);
}

tl_err tl_job_step(tl_job *job, const char *what, uint64_t done, uint64_t total)
{
    int64_t now_ns = tl_clock_ns();
    tl_job_view *view = &job->record.view;
    (void)pthread_mutex_lock(&job->jobs->lock);
    bool is_new = strncmp(view->what, what, sizeof view->what - 1) != 0;
    bool is_cancelled = view->is_cancelled;
    (void)snprintf(view->what, sizeof view->what, "%s", what);
    view->done = done;
    view->total = total;
    (void)pthread_mutex_unlock(&job->jobs->lock);
    if (is_cancelled) {
        return tl_fail(TL_ECANCELLED, "job %llu was cancelled", id_of(job));
    }
    if (atomic_load(&job->must_end)) {
        return tl_fail(TL_ECANCELLED, "job %llu is put aside", id_of(job));
    }
    if (is_new || done == total ||
        now_ns - job->reported_ns >= REPORT_EVERY_MS * TL_NS_PER_MS) {
        job->reported_ns = now_ns;
        report(job, what, done, total);
    }
    tl_jobs_note_now_and_then(job);
    return tl_call_check(job->call);
}

bool tl_job_goes_on(const tl_job *job)
{
    return !atomic_load(&job->must_end) && tl_call_check(job->call) == TL_OK;
}

void tl_job_end(tl_job *job, tl_err result)
{
    if (job == NULL || job->record.view.kind == TL_JOB_DETACHED) {
        return;
    }
    char detail[TL_JOB_DETAIL_BYTES];
    (void)snprintf(detail, sizeof detail, "%s", result != TL_OK ? tl_err_detail() : "");
    if (tl_jobs_close(job, result, detail, NULL) != TL_OK) {
        tl_log(TL_LOG_WARN, "the end of a job is not in the store: %s", tl_err_detail());
    }
    if (result != TL_OK) {
        (void)tl_fail(result, "%s", detail); /* what the caller goes on to tell */
    }
}

void tl_job_keep(tl_job *job, const char *name, const void *data, size_t len)
{
    tl_store *store = job->jobs->store;
    tl_store_txn *txn = NULL;
    if (store == NULL || job->record.view.kind != TL_JOB_DETACHED) {
        return;
    }
    tl_err err = tl_store_begin(store, &txn);
    if (err == TL_OK &&
        (err = tl_job_store_put_kept(txn, job->record.view.id, name, data, len)) == TL_OK) {
        err = tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    if (err != TL_OK) {
        tl_log(
            TL_LOG_WARN, "job %llu: what it reached is not kept: %s", id_of(job),
            tl_err_detail());
        tl_err_clear();
    }
}

tl_err tl_job_kept(tl_job *job, const char *name, void **out_data, size_t *out_len)
{
    if (job->jobs->store == NULL || job->record.view.kind != TL_JOB_DETACHED) {
        return tl_fail(TL_ENOTFOUND, "nothing is kept of job %llu", id_of(job));
    }
    return tl_job_store_get_kept(
        job->jobs->store, job->record.view.id, name, out_data, out_len);
}
