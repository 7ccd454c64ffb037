/* SPDX-License-Identifier: Apache-2.0 */

/* Training and evaluation, asked for and waited for, or as jobs (jobs.c). */

#include "base/mem.h"
#include "clients/c/impl.h"

/* What the caller holds comes first in each; the rest is the memory that it borrows from. */
typedef struct owned_train_report {
    tailor_train_report report;
    ProtobufCMessage *message;
} owned_train_report;

typedef struct owned_evaluation {
    tailor_evaluation evaluation;
    ProtobufCMessage *message;
} owned_evaluation;

/* ---- training --------------------------------------------------------------------------- */

void tl_client_train_request(
    const tailor_train_options *options, Tailor__V1__TrainRequest *request)
{
    tailor__v1__train_request__init(request);
    request->space = tl_client_string(options->space);
    request->has_devices = options->has_devices;
    request->n_devices = options->n_devices;
    request->devices = (char **)(uintptr_t)options->devices;
    request->has_tasks = options->has_tasks;
    request->n_tasks = options->n_tasks;
    request->tasks = (char **)(uintptr_t)options->tasks;
    request->has_seed = options->seed != NULL;
    request->seed = options->seed != NULL ? *options->seed : 0;
    request->effort = tl_client_string(options->effort);
}

tl_err tl_client_train_report_take(ProtobufCMessage *message, tailor_train_report **out_report)
{
    Tailor__V1__TrainReply *m = (Tailor__V1__TrainReply *)(void *)message;
    owned_train_report *owned = tl_mem_new(1, sizeof *owned);
    if (owned == NULL) {
        tl_wire_free(message);
        return tl_fail(TL_ENOMEM, "a training's report");
    }
    owned->message = message;
    tl_err err = tl_client_table_check(m->report);
    if (err != TL_OK ||
        (err = tl_client_table_take(&m->report, &owned->report.table)) != TL_OK) {
        tailor_train_report_free(&owned->report);
        return err;
    }
    owned->report.model = m->model;
    owned->report.n_notes = m->n_notes;
    owned->report.notes = (const char *const *)m->notes;
    *out_report = &owned->report;
    return TL_OK;
}

void tailor_train_report_free(tailor_train_report *report)
{
    owned_train_report *owned = (owned_train_report *)(void *)report;
    if (owned != NULL) {
        tailor_table_free(owned->report.table);
        tl_wire_free(owned->message);
        tl_mem_free(owned);
    }
}

tailor_err tailor_train(
    tailor_client *client,
    const tailor_train_options *options,
    tailor_train_report **out_report)
{
    Tailor__V1__TrainRequest request;
    ProtobufCMessage *reply = NULL;
    tl_client_train_request(options, &request);
    tl_exchange exchange = {
        .method = "train.run",
        .request = (ProtobufCMessage *)&request,
        .reply_type = &tailor__v1__train_reply__descriptor,
        .is_unbounded = true};
    tl_err err = tl_client_exchange(client, &exchange, &reply);
    return tl_client_err(err == TL_OK ? tl_client_train_report_take(reply, out_report) : err);
}

/* ---- evaluation -------------------------------------------------------------------------- */

void tl_client_evaluate_request(
    const tailor_evaluate_options *options, Tailor__V1__EvaluateRequest *request)
{
    tailor__v1__evaluate_request__init(request);
    request->space = tl_client_string(options->space);
    request->metric = tl_client_string(options->metric);
    request->n_subjects = options->n_subjects;
    request->subjects = (char **)(uintptr_t)options->subjects;
    request->n_methods = options->n_methods;
    request->methods = (char **)(uintptr_t)options->methods;
    request->has_seed = options->seed != NULL;
    request->seed = options->seed != NULL ? *options->seed : 0;
    request->samples = options->samples;
}

tl_err tl_client_evaluation_take(ProtobufCMessage *message, tailor_evaluation **out_evaluation)
{
    Tailor__V1__EvaluateReply *m = (Tailor__V1__EvaluateReply *)(void *)message;
    owned_evaluation *owned = tl_mem_new(1, sizeof *owned);
    if (owned == NULL) {
        tl_wire_free(message);
        return tl_fail(TL_ENOMEM, "an evaluation");
    }
    owned->message = message;
    tl_err err = tl_client_table_check(m->figures);
    if (err != TL_OK || (err = tl_client_table_check(m->curves)) != TL_OK ||
        (err = tl_client_table_take(&m->figures, &owned->evaluation.figures)) != TL_OK ||
        (err = tl_client_table_take(&m->curves, &owned->evaluation.curves)) != TL_OK) {
        tailor_evaluation_free(&owned->evaluation);
        return err;
    }
    owned->evaluation.n_notes = m->n_notes;
    owned->evaluation.notes = (const char *const *)m->notes;
    *out_evaluation = &owned->evaluation;
    return TL_OK;
}

void tailor_evaluation_free(tailor_evaluation *evaluation)
{
    owned_evaluation *owned = (owned_evaluation *)(void *)evaluation;
    if (owned != NULL) {
        tailor_table_free(owned->evaluation.figures);
        tailor_table_free(owned->evaluation.curves);
        tl_wire_free(owned->message);
        tl_mem_free(owned);
    }
}

tailor_err tailor_evaluate(
    tailor_client *client,
    const tailor_evaluate_options *options,
    tailor_evaluation **out_evaluation)
{
    Tailor__V1__EvaluateRequest request;
    ProtobufCMessage *reply = NULL;
    tl_client_evaluate_request(options, &request);
    tl_exchange exchange = {
        .method = "evaluate.run",
        .request = (ProtobufCMessage *)&request,
        .reply_type = &tailor__v1__evaluate_reply__descriptor,
        .is_unbounded = true};
    tl_err err = tl_client_exchange(client, &exchange, &reply);
    return tl_client_err(err == TL_OK ? tl_client_evaluation_take(reply, out_evaluation) : err);
}
