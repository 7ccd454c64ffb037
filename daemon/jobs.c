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
    FIRST_CAPACITY = 64
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

/* A slot of its own in what its state says. */
static void enter_state(tl_job *job)
{
    tl_jobs *jobs = job->jobs;
    tl_job_state state = job->record.view.state;
    if (state == TL_JOB_ENDED) {
        jobs->ended[jobs->count.n_ended] = job;
    }
    jobs->n_held += state == TL_JOB_RUNNING && job->record.view.kind != TL_JOB_DETACHED ? 1 : 0;
    ++*counter_of(jobs, state);
}

static void remove_from(tl_job **list, size_t n, const tl_job *job)
{
    size_t i = 0;
    while (list[i] != job) {
        i++;
    }
    memmove(&list[i], &list[i + 1], (n - i - 1) * sizeof(tl_job *));
}

static void leave_state(tl_job *job)
{
    tl_jobs *jobs = job->jobs;
    tl_job_state state = job->record.view.state;
    if (state == TL_JOB_ENDED) {
        remove_from(jobs->ended, jobs->count.n_ended, job);
    }
    jobs->n_held -= state == TL_JOB_RUNNING && job->record.view.kind != TL_JOB_DETACHED ? 1 : 0;
    --*counter_of(jobs, state);
}

static bool make_room(tl_jobs *jobs)
{
    if (jobs->n < jobs->capacity) {
        return true;
    }
    size_t capacity = jobs->capacity == 0 ? FIRST_CAPACITY : 2 * jobs->capacity;
    tl_job **all = tl_mem_resize(jobs->all, capacity, sizeof(tl_job *));
    jobs->all = all != NULL ? all : jobs->all;
    tl_job **ended =
        all != NULL ? tl_mem_resize(jobs->ended, capacity, sizeof(tl_job *)) : NULL;
    jobs->ended = ended != NULL ? ended : jobs->ended;
    jobs->capacity = ended != NULL ? capacity : jobs->capacity;
    return ended != NULL;
}

tl_job *tl_jobs_add(tl_jobs *jobs, tl_job_kind kind, tl_job_state state)
{
    tl_job *job = make_room(jobs) ? tl_mem_new(1, sizeof *job) : NULL;
    if (job == NULL) {
        return NULL;
    }
    job->jobs = jobs;
    job->record.view.id = ++jobs->last_id;
    job->record.view.kind = kind;
    job->record.view.state = state;
    job->record.view.queued_unix_s = tl_clock_unix_s();
    jobs->all[jobs->n++] = job;
    enter_state(job);
    return job;
}

void tl_jobs_remove(tl_jobs *jobs, tl_job *job)
{
    leave_state(job);
    remove_from(jobs->all, jobs->n, job);
    jobs->n--;
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
        tl_job *job = jobs->all[i - 1];
        if (job->record.view.kind == kind && !job->is_leaving &&
            strcmp(job->record.token, token) == 0) {
            return job;
        }
    }
    return NULL;
}

void tl_jobs_set_state(tl_job *job, tl_job_state state)
{
    leave_state(job);
    job->record.view.state = state;
    enter_state(job);
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

tl_err tl_jobs_save(tl_jobs *jobs, uint64_t id)
{
    tl_job_record record;
    tl_store_txn *txn = NULL;
    tl_err err = TL_OK;
    if (jobs->store == NULL || jobs->is_read_only) {
        return TL_OK;
    }
    tl_jobs_save_ends(jobs);
    TL_TRY(tl_store_begin(jobs->store, &txn));
    (void)pthread_mutex_lock(&jobs->lock);
    tl_job *job = tl_jobs_get(jobs, id);
    bool goes_on = job != NULL && !job->is_ending && job->record.view.state != TL_JOB_ENDED;
    if (goes_on) {
        record = job->record;
        job->saved_ns = tl_clock_ns();
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (goes_on) {
        err = tl_job_store_put(txn, &record);
    }
    if (err == TL_OK && goes_on) {
        return tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    return err;
}

void tl_jobs_note(tl_jobs *jobs, uint64_t id)
{
    if (tl_jobs_save(jobs, id) != TL_OK) {
        tl_log(
            TL_LOG_WARN, "job %llu is not in the store: %s", (unsigned long long)id,
            tl_err_detail());
        tl_err_clear();
    }
}

void tl_jobs_note_now_and_then(tl_job *job)
{
    (void)pthread_mutex_lock(&job->jobs->lock);
    bool is_due = tl_clock_ns() - job->saved_ns >= SAVE_EVERY_S * TL_NS_PER_S;
    (void)pthread_mutex_unlock(&job->jobs->lock);
    if (is_due) {
        tl_jobs_note(job->jobs, tl_job_id(job));
    }
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
    jobs->is_read_only = store != NULL && tl_store_trouble(store)[0] != '\0';
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
    tl_mem_free(jobs->ended);
    (void)pthread_cond_destroy(&jobs->changed);
    (void)pthread_mutex_destroy(&jobs->lock);
    tl_mem_free(jobs);
}

/* ---- within a handler ------------------------------------------------------------------------ */

/* NULL when the table is full, which *out_is_full tells, or memory short. */
static tl_job *add_attached(
    tl_jobs *jobs, tl_call *call, const char *method, const char *subject, bool *out_is_full)
{
    tl_job *job = NULL;
    (void)pthread_mutex_lock(&jobs->lock);
    *out_is_full = jobs->n_held >= TL_JOBS_MAX_RUNNING;
    if (!*out_is_full && (job = tl_jobs_add(jobs, TL_JOB_ATTACHED, TL_JOB_RUNNING)) != NULL) {
        job->call = call;
        call->must_end = &job->must_end;
        job->is_stored = true;
        tl_jobs_set_texts(job, call, method, subject, "");
        tl_jobs_set_begun(job);
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    return job;
}

tl_err tl_job_begin(
    tl_jobs *jobs, tl_call *call, const char *method, const char *subject, tl_job **out_job)
{
    bool is_full = false;
    tl_job *job = call->job;
    if (job != NULL) {
        *out_job = job;
        return TL_OK;
    }
    job = add_attached(jobs, call, method, subject, &is_full);
    if (job == NULL && is_full) { /* of fleets that were left, perhaps */
        tl_jobs_sweep(jobs, tl_clock_ns());
        job = add_attached(jobs, call, method, subject, &is_full);
    }
    if (job == NULL) {
        return is_full ? tl_fail(TL_EBUSY, "%d jobs run already", (int)TL_JOBS_MAX_RUNNING)
                       : tl_fail(TL_ENOMEM, "a job");
    }
    tl_jobs_note(jobs, tl_job_id(job));
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

/* What work was told by tl_job_step() may be lost on its way down: only that it ends came there. */
static tl_err find_reason(const tl_job *job, tl_err result)
{
    char where[TL_JOB_DETAIL_BYTES];
    if (result != TL_ECANCELLED) {
        return result;
    }
    if (atomic_load(&job->must_end)) {
        return tl_fail(result, "job %llu was cancelled", id_of(job));
    }
    (void)snprintf(where, sizeof where, "%s", tl_err_detail());
    tl_err reason = tl_call_check(job->call);
    return reason == TL_EDEADLINE ? tl_fail_in(reason, "%s: ", where)
                                  : tl_fail(result, "%s", where);
}

tl_err tl_job_end(tl_job *job, tl_err result)
{
    if (job == NULL) {
        return result;
    }
    if (job->record.view.kind == TL_JOB_DETACHED) { /* its call is told by the job alone */
        return result;
    }
    result = find_reason(job, result);
    job->call->must_end = NULL;
    char detail[TL_JOB_DETAIL_BYTES];
    (void)snprintf(detail, sizeof detail, "%s", result != TL_OK ? tl_err_detail() : "");
    (void)pthread_mutex_lock(&job->jobs->lock);
    bool is_ours = tl_jobs_claim_end(job);
    (void)pthread_mutex_unlock(&job->jobs->lock);
    TL_ASSERT(is_ours); /* nobody else ends what a handler has begun */
    tl_jobs_close_anyway(job, result, detail, NULL);
    if (result != TL_OK) {
        (void)tl_fail(result, "%s", detail); /* what the caller goes on to tell */
    }
    return result;
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
