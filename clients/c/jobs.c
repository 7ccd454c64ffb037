/* SPDX-License-Identifier: Apache-2.0 */

/* Jobs: started, shown, followed over restarts of the daemon, and what they replied. */

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "clients/c/impl.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    SILENT_MS = 1000,   /* then whoever follows hears that the daemon is waited for */
    FIRST_WAIT_MS = 10, /* between two looks; it grows to the last */
    LAST_WAIT_MS = 200,
    TOKEN_RANDOM_BYTES = 16
};

/* What the caller holds comes first; the rest is the memory that it borrows from. */
typedef struct owned_job {
    tailor_job job;
    ProtobufCMessage *message;
} owned_job;

static const Tailor__V1__Job *message_of(const tailor_job *job)
{
    return (const Tailor__V1__Job *)(const void *)((const owned_job *)(const void *)job)
        ->message;
}

/* ---- starting ------------------------------------------------------------------------------ */

tailor_err tailor_new_token(char out_token[TAILOR_TOKEN_BYTES])
{
    uint8_t bytes[TOKEN_RANDOM_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return tl_client_err(tl_fail(TL_EIO, "the system gives no random bytes"));
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        (void)snprintf(out_token + 2 * i, 3, "%02x", bytes[i]);
    }
    return TAILOR_OK;
}

tailor_err tailor_job_start(
    tailor_client *client,
    const char *method,
    const uint8_t *body,
    size_t len,
    uint64_t *out_job_id)
{
    char token[TAILOR_TOKEN_BYTES];
    Tailor__V1__JobStart request;
    ProtobufCMessage *reply = NULL;
    tailor_err refused = tailor_new_token(token);
    if (refused != TAILOR_OK) {
        return refused;
    }
    tailor__v1__job_start__init(&request);
    request.method = tl_client_string(method);
    request.body = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)body};
    request.token = token;
    tl_exchange exchange = {
        .method = "job.start",
        .request = (ProtobufCMessage *)&request,
        .reply_type = &tailor__v1__job_id__descriptor,
        .is_unbounded = true}; /* what bounds a start would bound the job */
    tl_err err = tl_client_exchange(client, &exchange, &reply);
    if (err == TL_OK) {
        *out_job_id = ((const Tailor__V1__JobId *)(const void *)reply)->job_id;
    }
    tl_wire_free(reply);
    return tl_client_err(err);
}

static tailor_err start_message(
    tailor_client *client,
    const char *method,
    const ProtobufCMessage *request,
    uint64_t *out_job_id)
{
    tl_bytes body = {0};
    tl_err err = tl_wire_pack(request, &body);
    if (err != TL_OK) {
        return tl_client_err(err);
    }
    tailor_err refused = tailor_job_start(client, method, body.data, body.len, out_job_id);
    tl_mem_free(body.data);
    return refused;
}

tailor_err tailor_train_start(
    tailor_client *client, const tailor_train_options *options, uint64_t *out_job_id)
{
    Tailor__V1__TrainRequest request;
    tl_client_train_request(options, &request);
    return start_message(client, "train.run", (ProtobufCMessage *)&request, out_job_id);
}

tailor_err tailor_evaluate_start(
    tailor_client *client, const tailor_evaluate_options *options, uint64_t *out_job_id)
{
    Tailor__V1__EvaluateRequest request;
    tl_client_evaluate_request(options, &request);
    return start_message(client, "evaluate.run", (ProtobufCMessage *)&request, out_job_id);
}

/* ---- one job --------------------------------------------------------------------------------- */

/* message is the job's from now on, even on failure. */
static tl_err job_take(ProtobufCMessage *message, tailor_job **out_job)
{
    const Tailor__V1__Job *m = (const Tailor__V1__Job *)(const void *)message;
    const Tailor__V1__Progress *progress = m->progress;
    owned_job *owned = tl_mem_new(1, sizeof *owned);
    if (owned == NULL) {
        tl_wire_free(message);
        return tl_fail(TL_ENOMEM, "a job");
    }
    owned->message = message;
    owned->job = (tailor_job){
        .job_id = m->job_id,
        .method = m->method,
        .subject = m->subject,
        .state = m->state,
        .is_ended = m->is_ended,
        .what = progress != NULL ? progress->what : "",
        .done = progress != NULL ? progress->done : 0,
        .total = progress != NULL ? progress->total : 0,
        .elapsed_s = progress != NULL ? progress->elapsed_s : 0.0,
        .queued_unix_s = m->queued_unix_s,
        .started_unix_s = m->started_unix_s,
        .ended_unix_s = m->ended_unix_s,
        .n_starts = m->starts,
        .n_before = m->waits_for,
        .client = m->client,
        .key = m->key,
        .error = (tailor_err)m->error,
        .error_detail = m->error_detail,
        .n_warnings = m->n_warnings,
        .warnings = (const char *const *)m->warnings,
        .has_reply = m->has_reply};
    *out_job = &owned->job;
    return TL_OK;
}

/* goes_on NULL: it does. */
static tl_err show(
    tailor_client *client,
    uint64_t job_id,
    tl_goes_on_fn *goes_on,
    void *goes_on_context,
    tailor_job **out_job)
{
    Tailor__V1__JobId request;
    ProtobufCMessage *reply = NULL;
    tailor__v1__job_id__init(&request);
    request.job_id = job_id;
    tl_exchange exchange = {
        .method = "job.show",
        .request = (ProtobufCMessage *)&request,
        .reply_type = &tailor__v1__job__descriptor,
        .goes_on = goes_on,
        .goes_on_context = goes_on_context};
    TL_TRY(tl_client_exchange(client, &exchange, &reply));
    return job_take(reply, out_job);
}

tailor_err tailor_job_show(tailor_client *client, uint64_t job_id, tailor_job **out_job)
{
    return tl_client_err(show(client, job_id, NULL, NULL, out_job));
}

void tailor_job_free(tailor_job *job)
{
    owned_job *owned = (owned_job *)(void *)job;
    if (owned != NULL) {
        tl_wire_free(owned->message);
        tl_mem_free(owned);
    }
}

tailor_err tailor_job_reply(const tailor_job *job, const uint8_t **out_reply, size_t *out_len)
{
    if (job->is_ended && job->error != TAILOR_OK) {
        return tl_client_err(tl_fail(
            (tl_err)job->error, "%s",
            job->error_detail[0] != '\0' ? job->error_detail
                                         : tl_err_message((tl_err)job->error)));
    }
    if (!job->has_reply) {
        return tl_client_err(tl_fail(
            TL_ESTATE, "job %llu %s", (unsigned long long)job->job_id,
            job->is_ended ? "is done, its reply is no longer kept" : "has not ended"));
    }
    *out_reply = message_of(job)->reply.data;
    *out_len = message_of(job)->reply.len;
    return TAILOR_OK;
}

/* The reply of a job of that method, unpacked. */
static tl_err unpack_reply(
    const tailor_job *job,
    const char *method,
    const ProtobufCMessageDescriptor *type,
    ProtobufCMessage **out_message)
{
    const uint8_t *reply = NULL;
    size_t len = 0;
    TL_TRY((tl_err)tailor_job_reply(job, &reply, &len));
    if (strcmp(job->method, method) != 0) {
        return tl_fail(
            TL_ESTATE, "job %llu is of %s, not of %s", (unsigned long long)job->job_id,
            job->method, method);
    }
    return tl_client_unpack(type, reply, len, out_message);
}

tailor_err tailor_job_train_report(const tailor_job *job, tailor_train_report **out_report)
{
    ProtobufCMessage *message = NULL;
    tl_err err = unpack_reply(job, "train.run", &tailor__v1__train_reply__descriptor, &message);
    return tl_client_err(err == TL_OK ? tl_client_train_report_take(message, out_report) : err);
}

tailor_err tailor_job_evaluation(const tailor_job *job, tailor_evaluation **out_evaluation)
{
    ProtobufCMessage *message = NULL;
    tl_err err =
        unpack_reply(job, "evaluate.run", &tailor__v1__evaluate_reply__descriptor, &message);
    return tl_client_err(
        err == TL_OK ? tl_client_evaluation_take(message, out_evaluation) : err);
}

/* ---- following --------------------------------------------------------------------------------- */

/* A wait for a job. */
typedef struct follower {
    tailor_client *client;
    const tailor_follow_options *options;
    tailor_progress_fn *progress;
    void *context;
    int64_t heard_ns; /* of the daemon */
    int wait_ms;
} follower;

static void report(const follower *f, const tailor_progress *progress)
{
    if (f->progress != NULL) {
        f->progress(f->context, progress);
    }
}

static void report_job(const follower *f, const tailor_job *job)
{
    bool is_waiting = strcmp(job->state, "waiting") == 0;
    tailor_progress progress = {
        .what = job->what,
        .done = job->done,
        .total = job->total,
        .elapsed_s = job->elapsed_s,
        .job_id = job->job_id};
    if (is_waiting) {
        progress = (tailor_progress){.what = "waiting for other jobs", .job_id = job->job_id};
    }
    if (is_waiting || progress.what[0] != '\0') {
        report(f, &progress);
    }
}

/* Shows that the daemon is silent, where it is. */
static void report_silence(const follower *f)
{
    int64_t silent_ns = tl_clock_ns() - f->heard_ns;
    tailor_progress progress = {
        .what = "waiting for the daemon",
        .elapsed_s = (double)silent_ns / (double)TL_NS_PER_S,
        .job_id = f->options->job_id};
    if (silent_ns >= SILENT_MS * TL_NS_PER_MS) {
        report(f, &progress);
    }
}

/* Asked several times a second, also while a look at the job takes long. */
static bool goes_on(void *context)
{
    const follower *f = context;
    report_silence(f);
    return f->options->goes_on == NULL || f->options->goes_on(f->options->context);
}

/* What a daemon that stops, starts or is busy makes of a question. */
static bool may_pass(tl_err err)
{
    return err == TL_EUNREACHABLE || err == TL_ESTATE || err == TL_EBUSY || err == TL_EDEADLINE;
}

/* The error of a look at the job: TL_OK when it is worth looking again. */
static tl_err stay_patient(const follower *f, tl_err err)
{
    int patience_ms =
        f->options->patience_ms > 0 ? f->options->patience_ms : (int)TAILOR_FOLLOW_PATIENCE_MS;
    int64_t silent_ns = tl_clock_ns() - f->heard_ns;
    if (!may_pass(err) || silent_ns > patience_ms * TL_NS_PER_MS) {
        return err;
    }
    report_silence(f);
    return TL_OK;
}

static tl_err not_followed(const follower *f)
{
    return tl_fail(
        TL_ECANCELLED, "job %llu is no longer followed",
        (unsigned long long)f->options->job_id);
}

/* Pauses before the next look; TL_ECANCELLED when the caller wants none. */
static tl_err pause_between(follower *f)
{
    if (!goes_on(f)) {
        return not_followed(f);
    }
    struct timespec wait = {.tv_nsec = (long)(f->wait_ms * TL_NS_PER_MS)};
    (void)nanosleep(&wait, NULL); /* a signal may end it early */
    f->wait_ms = f->wait_ms * 2 < LAST_WAIT_MS ? f->wait_ms * 2 : LAST_WAIT_MS;
    return TL_OK;
}

static tl_err follow(follower *f, tailor_job **out_job)
{
    for (;;) {
        tailor_job *job = NULL;
        tl_err err = show(f->client, f->options->job_id, goes_on, f, &job);
        if (err == TL_ECANCELLED) {
            return not_followed(f);
        }
        if (err == TL_OK && job->is_ended) {
            *out_job = job;
            return TL_OK;
        }
        if (err == TL_OK) {
            f->heard_ns = tl_clock_ns();
            report_job(f, job);
            tailor_job_free(job);
        } else {
            TL_TRY(stay_patient(f, err));
        }
        TL_TRY(pause_between(f));
    }
}

tailor_err tailor_job_follow(
    tailor_client *client, const tailor_follow_options *options, tailor_job **out_job)
{
    follower f = {
        .client = client,
        .options = options,
        .heard_ns = tl_clock_ns(),
        .wait_ms = FIRST_WAIT_MS};
    tl_err err = tl_client_get_progress(client, &f.progress, &f.context);
    return tl_client_err(err == TL_OK ? follow(&f, out_job) : err);
}

/* ---- all jobs ------------------------------------------------------------------------------------ */

tailor_err tailor_job_history(tailor_client *client, uint32_t n_ended, tailor_table **out_table)
{
    Tailor__V1__JobListRequest request;
    ProtobufCMessage *reply = NULL;
    tailor__v1__job_list_request__init(&request);
    request.ended = n_ended;
    tl_exchange exchange = {
        .method = "job.list",
        .request = (ProtobufCMessage *)&request,
        .reply_type = &tailor__v1__table__descriptor};
    tl_err err = tl_client_exchange(client, &exchange, &reply);
    Tailor__V1__Table *table = (Tailor__V1__Table *)(void *)reply;
    if (err == TL_OK && (err = tl_client_table_check(table)) == TL_OK) {
        err = tl_client_table_take(&table, out_table);
    }
    tl_wire_free((ProtobufCMessage *)table);
    return tl_client_err(err);
}

tailor_err tailor_job_list(tailor_client *client, tailor_table **out_table)
{
    return tailor_job_history(client, 0, out_table);
}

tailor_err tailor_job_cancel(tailor_client *client, uint64_t job_id)
{
    Tailor__V1__JobId request;
    tailor__v1__job_id__init(&request);
    request.job_id = job_id;
    tl_exchange exchange = {.method = "job.cancel", .request = (ProtobufCMessage *)&request};
    return tl_client_err(tl_client_exchange(client, &exchange, NULL));
}
