/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "daemon/answer.h"
#include "daemon/methods.h"
#include "daemon/table_reply.h"
#include "measurements/table.h"

typedef Tailor__V1__PredictRequest predict_request;
typedef Tailor__V1__Answer answer_reply;

enum {
    MAX_DESIGNS = 1000 * 1000,
    BATCH = 4096 /* designs between two looks at the deadline */
};

static tl_err predict_all(
    tl_call *call,
    const tl_subject *subject,
    const tl_table *designs,
    tl_prediction *predictions)
{
    size_t n_slots = (size_t)designs->n_slots;
    /* designs of a listed space are looked up in one go */
    int batch = designs->n <= TL_FEATURES_REFERENCE_ALL ? designs->n : BATCH;
    for (int begin = 0; begin < designs->n; begin += batch) {
        int n = designs->n - begin < batch ? designs->n - begin : batch;
        TL_TRY(tl_call_check(call));
        TL_TRY(tl_subject_predict(
            subject, designs->designs + (size_t)begin * n_slots, n, predictions + begin));
    }
    return TL_OK;
}

static tl_err answer(
    tl_call *call, const tl_subject *subject, const tl_table *designs, answer_reply *reply)
{
    tl_prediction *predictions = tl_mem_new((size_t)designs->n, sizeof *predictions);
    if (predictions == NULL) {
        return tl_fail(TL_ENOMEM, "predictions of %d designs", designs->n);
    }
    tl_err err = predict_all(call, subject, designs, predictions);
    if (err == TL_OK) {
        reply->table = tl_table_reply_new((size_t)designs->n);
        err = reply->table == NULL ? tl_fail(TL_ENOMEM, "%d designs", designs->n) : TL_OK;
    }
    if (err == TL_OK &&
        (err = tl_answer_add_designs(
             reply->table, subject->space, designs->designs, designs->n)) == TL_OK &&
        (err = tl_answer_add_predictions(reply->table, predictions, designs->n)) == TL_OK) {
        reply->n_evaluations = (uint64_t)designs->n;
        err = tl_answer_sign(reply, subject);
    }
    tl_mem_free(predictions);
    return err;
}

static tl_err run(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const predict_request *request = (const predict_request *)request_base;
    tl_subject subject = {0};
    tl_table designs = {0};
    const tl_table_options options = {.mode = TL_TABLE_DESIGNS, .max_rows = MAX_DESIGNS};
    TL_TRY(tl_subject_find(call, request->space, request->device, request->task, &subject));
    const char *origin = request->origin[0] != '\0' ? request->origin : "designs";
    tl_err err = tl_table_parse(
        subject.space, origin, &options, (const char *)request->designs_csv.data,
        request->designs_csv.len, &designs);
    if (err == TL_OK) {
        err = answer(call, &subject, &designs, (answer_reply *)reply_base);
    }
    tl_table_done(&designs);
    tl_subject_done(&subject);
    return err;
}

const tl_method tl_method_predict_run = {
    .name = "predict.run",
    .summary = "Accuracy, latency and energy of designs on a device, with standard deviations",
    .request = &tailor__v1__predict_request__descriptor,
    .reply = &tailor__v1__answer__descriptor,
    .run = run,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_FAST,
    .fast_max_bytes = 16 * 1024,
    .bulk_min_bytes = 1024 * 1024,
    .deadline_ms = 600000,
};
