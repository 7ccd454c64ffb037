/* SPDX-License-Identifier: Apache-2.0 */

/* Methods job.*: work that takes long, queued, seen, followed and ended. */

#include "base/mem.h"
#include "daemon/handle.h"
#include "daemon/jobs.h"
#include "daemon/methods.h"
#include "proto/job.pb-c.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

typedef Tailor__V1__Job job_reply;
typedef Tailor__Job__V1__JobOutcome outcome_message;

enum {
    USUAL_ENDED = 50,    /* jobs in a list */
    FEW_ENDED_BYTES = 2, /* of a request for fewer than 128 of them */
    FAST_REPLY_BYTES = 256 * 1024,
    MAX_REQUEST_BYTES = 1024 * 1024
};

/* ---- the list ------------------------------------------------------------------------------ */

static void print_time(int64_t unix_s, char *text, size_t size)
{
    time_t time = (time_t)unix_s;
    struct tm parts = {0};
    (void)gmtime_r(&time, &parts);
    (void)strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

/* The columns of the job list. */
typedef struct job_columns {
    Tailor__V1__Column *method, *subject, *state, *what, *started, *error, *client;
    double *id, *done, *total, *elapsed_s;
} job_columns;

static tl_err add_job_columns(Tailor__V1__Table *table, job_columns *c)
{
    TL_TRY(tl_table_reply_blank(table, "job", 0, &c->id));
    TL_TRY(tl_table_reply_text(table, "method", &c->method));
    TL_TRY(tl_table_reply_text(table, "space", &c->subject));
    TL_TRY(tl_table_reply_text(table, "state", &c->state));
    TL_TRY(tl_table_reply_text(table, "step", &c->what));
    TL_TRY(tl_table_reply_blank(table, "done", 0, &c->done));
    TL_TRY(tl_table_reply_blank(table, "total", 0, &c->total));
    TL_TRY(tl_table_reply_text(table, "started", &c->started));
    TL_TRY(tl_table_reply_blank(table, "elapsed_s", 4, &c->elapsed_s));
    TL_TRY(tl_table_reply_text(table, "client", &c->client));
    return tl_table_reply_text(table, "error", &c->error);
}

/* "ENOTFOUND: no such space"; "" where nothing failed. */
static tl_err set_error(Tailor__V1__Column *column, size_t row, const tl_job_view *view)
{
    char text[TL_JOB_DETAIL_BYTES + TL_JOB_TEXT_BYTES] = "";
    if (view->state == TL_JOB_ENDED && view->result != TL_OK) {
        (void)snprintf(
            text, sizeof text, "%s%s%s", tl_err_name(view->result),
            view->detail[0] != '\0' ? ": " : "", view->detail);
    }
    return tl_table_reply_set_text(column, row, text);
}

static tl_err set_job(const job_columns *c, size_t row, const tl_job_view *view)
{
    char started[32] = "";
    if (view->started_unix_s > 0) {
        print_time(view->started_unix_s, started, sizeof started);
        c->elapsed_s[row] = view->elapsed_s;
    }
    c->id[row] = (double)view->id;
    c->done[row] = (double)view->done;
    if (view->total > 0) {
        c->total[row] = (double)view->total;
    }
    TL_TRY(tl_table_reply_set_text(c->method, row, view->method));
    TL_TRY(tl_table_reply_set_text(c->subject, row, view->subject));
    TL_TRY(tl_table_reply_set_text(c->state, row, tl_job_state_name(view)));
    TL_TRY(tl_table_reply_set_text(c->what, row, view->what));
    TL_TRY(tl_table_reply_set_text(c->started, row, started));
    TL_TRY(tl_table_reply_set_text(c->client, row, view->client));
    return set_error(c->error, row, view);
}

static tl_err run_list(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__JobListRequest *request =
        (const Tailor__V1__JobListRequest *)request_base;
    tl_job_view *views = NULL;
    size_t n = 0;
    job_columns columns = {0};
    size_t n_ended = request->ended > 0 ? request->ended : USUAL_ENDED;
    TL_TRY(tl_jobs_list(tl_engine_jobs(call->engine), n_ended, &views, &n));
    tl_table_reply_init((Tailor__V1__Table *)reply_base, n);
    tl_err err = add_job_columns((Tailor__V1__Table *)reply_base, &columns);
    for (size_t i = 0; i < n && err == TL_OK; i++) {
        err = set_job(&columns, i, &views[i]);
    }
    tl_mem_free(views);
    return err;
}

/* ---- one job --------------------------------------------------------------------------------- */

static tl_err set_progress(const tl_job_view *view, job_reply *reply)
{
    ProtobufCMessage *made = tl_wire_new(&tailor__v1__progress__descriptor);
    if (made == NULL) {
        return tl_fail(TL_ENOMEM, "a job");
    }
    Tailor__V1__Progress *progress = reply->progress = (Tailor__V1__Progress *)made;
    progress->done = view->done;
    progress->total = view->total;
    progress->elapsed_s = view->elapsed_s;
    progress->job_id = view->id;
    return tl_handle_set_text(&progress->what, view->what);
}

/* How it ended: what the outcome holds moves to the reply. One that is damaged is none. */
static tl_err take_outcome(tl_call *call, const tl_job_view *view, job_reply *reply)
{
    void *data = NULL;
    size_t len = 0;
    ProtobufCMessage *message = NULL;
    tl_err err = tl_jobs_outcome(tl_engine_jobs(call->engine), view->id, &data, &len);
    if (err == TL_ENOTFOUND) {
        return TL_OK;
    }
    if (err == TL_OK) {
        err = tl_wire_unpack(
            &tailor__job__v1__job_outcome__descriptor, data, len, TL_WIRE_MAX_MEMORY_BYTES,
            &message);
        tl_mem_free(data);
    }
    if (err == TL_EDAMAGED || err == TL_EINVAL) {
        tl_call_warn(call, "the reply of job %llu is damaged", (unsigned long long)view->id);
        return TL_OK;
    }
    TL_TRY(err);
    outcome_message *outcome = (outcome_message *)message;
    reply->n_warnings = outcome->n_warnings;
    reply->warnings = outcome->warnings;
    reply->has_reply = outcome->has_reply;
    reply->reply = outcome->reply;
    outcome->n_warnings = 0;
    outcome->warnings = NULL;
    outcome->reply = (ProtobufCBinaryData){0};
    tl_wire_free(message);
    return TL_OK;
}

static tl_err run_show(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__JobId *request = (const Tailor__V1__JobId *)request_base;
    job_reply *reply = (job_reply *)reply_base;
    tl_job_view view;
    TL_TRY(tl_jobs_find(tl_engine_jobs(call->engine), request->job_id, &view));
    if (view.reply_bytes > FAST_REPLY_BYTES) {
        TL_TRY(tl_call_leave_router(call));
    }
    reply->job_id = view.id;
    reply->is_ended = view.state == TL_JOB_ENDED;
    reply->queued_unix_s = view.queued_unix_s;
    reply->started_unix_s = view.started_unix_s;
    reply->ended_unix_s = view.ended_unix_s;
    reply->starts = view.n_starts;
    reply->waits_for = view.n_before;
    reply->error = (uint32_t)view.result;
    TL_TRY(tl_handle_set_text(&reply->method, view.method));
    TL_TRY(tl_handle_set_text(&reply->subject, view.subject));
    TL_TRY(tl_handle_set_text(&reply->state, tl_job_state_name(&view)));
    TL_TRY(tl_handle_set_text(&reply->client, view.client));
    TL_TRY(tl_handle_set_text(&reply->key, view.key));
    TL_TRY(set_progress(&view, reply));
    if (reply->is_ended && view.result != TL_OK) {
        TL_TRY(tl_handle_set_text(&reply->error_name, tl_err_name(view.result)));
        TL_TRY(tl_handle_set_text(&reply->error_detail, view.detail));
    }
    return reply->is_ended ? take_outcome(call, &view, reply) : TL_OK;
}

/* ---- starting and ending ---------------------------------------------------------------------- */

/* The string field "space" of a request; "" where there is none. */
static const char *space_of(const ProtobufCMessage *request)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(request->descriptor, "space");
    const char *space = NULL;
    if (field == NULL || field->type != PROTOBUF_C_TYPE_STRING ||
        field->label == PROTOBUF_C_LABEL_REPEATED) {
        return "";
    }
    memcpy(&space, (const char *)request + field->offset, sizeof space);
    return space != NULL ? space : "";
}

/* Refuses at once what would fail for certain when its turn has come. */
static tl_err check_request(
    tl_call *call, const tl_method *method, const ProtobufCBinaryData *body, tl_text *out_space)
{
    ProtobufCMessage *request = NULL;
    tl_space *space = NULL;
    TL_TRY(tl_wire_unpack(
        method->request, body->data, body->len, TL_WIRE_MAX_MEMORY_BYTES, &request));
    tl_text_add(out_space, space_of(request));
    tl_err err = method->check != NULL ? method->check(request) : TL_OK;
    tl_wire_free(request);
    TL_TRY(err);
    TL_TRY(tl_text_err(out_space));
    if (out_space->len > 0) {
        TL_TRY(tl_engine_space(call->engine, out_space->data, &space));
        tl_space_unref(space);
    }
    return TL_OK;
}

static tl_err check_start(const Tailor__V1__JobStart *request, const tl_method **out_method)
{
    size_t len = strlen(request->token);
    const tl_method *method = tl_method_find(request->method);
    if (method == NULL || !method->is_job) {
        return tl_fail(
            TL_ENOTFOUND, "method \"%.64s\": want one that runs as a job, as train.run",
            request->method);
    }
    if (len > 0 && (len < TL_JOB_MIN_TOKEN_BYTES || len > TL_JOB_MAX_TOKEN_BYTES)) {
        return tl_fail(
            TL_EINVAL, "token: got %zu bytes, want %d to %d", len, (int)TL_JOB_MIN_TOKEN_BYTES,
            (int)TL_JOB_MAX_TOKEN_BYTES);
    }
    if (request->body.len > MAX_REQUEST_BYTES) {
        return tl_fail(
            TL_ELIMIT, "body: got %zu bytes, want at most %d", request->body.len,
            (int)MAX_REQUEST_BYTES);
    }
    *out_method = method;
    return TL_OK;
}

static tl_err run_start(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__JobStart *request = (const Tailor__V1__JobStart *)request_base;
    const tl_method *method = NULL;
    tl_text space = {0};
    TL_TRY(check_start(request, &method));
    TL_TRY(tl_method_check_role(method, call->role));
    tl_err err = check_request(call, method, &request->body, &space);
    if (err == TL_OK) {
        tl_job_start start = {
            .method = method,
            .subject = space.data != NULL ? space.data : "",
            .token = request->token,
            .request = request->body.data,
            .request_len = request->body.len};
        err = tl_jobs_start(
            tl_engine_jobs(call->engine), call, &start,
            &((Tailor__V1__JobId *)reply_base)->job_id);
    }
    tl_text_done(&space);
    return err;
}

/* A writer ends any job, a reader those that its own key asked for. */
static tl_err run_cancel(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__JobId *request = (const Tailor__V1__JobId *)request_base;
    tl_jobs *jobs = tl_engine_jobs(call->engine);
    tl_job_view view;
    (void)reply_base;
    TL_TRY(tl_jobs_find(jobs, request->job_id, &view));
    bool is_own = call->key_name != NULL && call->key_name[0] != '\0' &&
                  strcmp(call->key_name, view.key) == 0;
    if (call->role < TL_ROLE_WRITER && !is_own) {
        return tl_fail(
            TL_EDENIED, "job %llu: another client's, which a writer or an admin may end",
            (unsigned long long)request->job_id);
    }
    return tl_job_cancel(jobs, request->job_id);
}

const tl_method tl_method_job_list = {
    .name = "job.list",
    .summary = "The jobs that wait and run, and those that ended last",
    .request = &tailor__v1__job_list_request__descriptor,
    .reply = &tailor__v1__table__descriptor,
    .run = run_list,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_FAST,
    .fast_max_bytes = FEW_ENDED_BYTES,
    .deadline_ms = TL_DEADLINE_SHORT_MS,
};

const tl_method tl_method_job_show = {
    .name = "job.show",
    .summary = "A job as it is now, with its reply once it has ended",
    .request = &tailor__v1__job_id__descriptor,
    .reply = &tailor__v1__job__descriptor,
    .run = run_show,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_FAST,
    .deadline_ms = TL_DEADLINE_SHORT_MS,
};

const tl_method tl_method_job_start = {
    .name = "job.start",
    .summary = "Queues a method to be run as a job; for who may call the method",
    .request = &tailor__v1__job_start__descriptor,
    .reply = &tailor__v1__job_id__descriptor,
    .run = run_start,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_WRITE,
    .deadline_ms = TL_DEADLINE_LONG_MS, /* it may wait for an import to be stored */
};

const tl_method tl_method_job_cancel = {
    .name = "job.cancel",
    .summary = "Asks a job to end; a reader may end those that its own key started",
    .request = &tailor__v1__job_id__descriptor,
    .reply = &tailor__v1__empty__descriptor,
    .run = run_cancel,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_WRITE,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};
