/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/answer.h"

#include "base/mem.h"
#include "daemon/table_reply.h"
#include "measurements/columns.h"

#include <string.h>

enum {
    PREDICTION_DIGITS = 6
};

/* ---- what a request names ---------------------------------------------------------- */

static void warn_of(tl_call *call, const tl_text *note)
{
    if (note->len > 0 && !note->is_broken) {
        tl_call_warn(call, "%s", note->data);
    }
}

/* The view of a device of which only the profile counts: it has no name to be known by. */
static tl_err view_profile(const tl_subject *subject, tl_view **out_view)
{
    tl_view_data data = {.device = "", .profile = &subject->profile};
    return tl_view_new(subject->predictor, &data, out_view);
}

static tl_err find_profile(tl_call *call, const char *device, tl_profile *out_profile)
{
    return device == NULL
               ? TL_OK
               : tl_registry_find(tl_engine_registry(call->engine), device, out_profile);
}

/*
 * What lies in damaged pages may have been measurements of the device: without them the answer
 * would be another. A shipped one is answered as it was shipped, and the user is told.
 */
static tl_err check_lost(tl_call *call, const tl_subject *subject, const char *device)
{
    const tl_store *store = tl_engine_store(call->engine);
    const char *space = tl_space_name(subject->space);
    bool is_lost = false;
    if (tl_store_lost(store)[0] == '\0') {
        return TL_OK;
    }
    for (int c = 0; c < TL_N_COSTS; c++) {
        is_lost = is_lost || tl_columns_is_lost(store, space, (tl_metric)c, device);
    }
    if (!tl_registry_is_shipped(tl_engine_registry(call->engine), device)) {
        return is_lost ? tl_fail(
                             TL_EDAMAGED,
                             "what is measured of %s in space %s may lie in damaged pages: %s",
                             device, space, tl_store_trouble(store))
                       : TL_OK;
    }
    if (is_lost || tl_store_is_lost(store, TL_DB_DEVICES, device, strlen(device))) {
        tl_call_warn(
            call,
            "%s is answered as shipped: the store is damaged where a profile or measurements of "
            "your own would be",
            device);
    }
    return TL_OK;
}

/* Reading a model and fitting a device take too long for the router thread. */
static tl_err find_predictor(tl_call *call, tl_text *complaint, tl_subject *subject)
{
    tl_predictors *predictors = tl_engine_predictors(call->engine);
    if (tl_predictors_find(predictors, subject->space, complaint, &subject->predictor)) {
        return TL_OK;
    }
    TL_TRY(tl_call_leave_router(call));
    return tl_predictors_get(predictors, subject->space, complaint, &subject->predictor);
}

static tl_err find_view(tl_call *call, tl_subject *subject)
{
    tl_predictors *predictors = tl_engine_predictors(call->engine);
    if (!subject->is_registered) {
        TL_TRY(tl_call_leave_router(call));
        return view_profile(subject, &subject->view);
    }
    if (call->is_on_router) {
        TL_TRY(tl_predictors_find_view(
            predictors, subject->predictor, &subject->profile, &subject->view));
        return subject->view != NULL ? TL_OK : tl_call_leave_router(call);
    }
    return tl_predictors_view(
        predictors, subject->predictor, &subject->profile, &subject->view);
}

/* device NULL: the profile is there already. */
static tl_err find_parts(
    tl_call *call, const char *space, const char *device, const char *task, tl_subject *subject)
{
    tl_text complaint = {0};
    tl_text note = {0};
    tl_err err = TL_OK;
    subject->is_registered = device != NULL;
    if ((err = tl_engine_space(call->engine, space, &subject->space)) != TL_OK ||
        (err = find_profile(call, device, &subject->profile)) != TL_OK ||
        (device != NULL && (err = check_lost(call, subject, device)) != TL_OK) ||
        (err = find_predictor(call, &complaint, subject)) != TL_OK ||
        (err = tl_predictor_resolve_task(
             subject->predictor, task, subject->profile.condition, &note, &subject->task)) !=
            TL_OK) {
        goto done;
    }
    warn_of(call, &complaint);
    warn_of(call, &note);
    err = find_view(call, subject);
done:
    tl_text_done(&complaint);
    tl_text_done(&note);
    return err;
}

static tl_err find(
    tl_call *call,
    const char *space,
    const char *device,
    const char *task,
    tl_subject subject,
    tl_subject *out_subject)
{
    tl_err err = find_parts(call, space, device, task, &subject);
    if (err != TL_OK) {
        tl_subject_done(&subject);
        return err;
    }
    *out_subject = subject;
    return TL_OK;
}

tl_err tl_subject_find(
    tl_call *call,
    const char *space,
    const char *device,
    const char *task,
    tl_subject *out_subject)
{
    return find(call, space, device, task, (tl_subject){0}, out_subject);
}

tl_err tl_subject_describe(
    tl_call *call,
    const char *space,
    const tl_profile *profile,
    const char *task,
    tl_subject *out_subject)
{
    return find(call, space, NULL, task, (tl_subject){.profile = *profile}, out_subject);
}

void tl_subject_done(tl_subject *subject)
{
    tl_view_unref(subject->view);
    tl_predictor_unref(subject->predictor);
    tl_space_unref(subject->space);
    subject->view = NULL;
    subject->predictor = NULL;
    subject->space = NULL;
}

tl_err tl_subject_predict(
    const tl_subject *subject, const tl_choice *designs, int n, tl_prediction *predictions)
{
    TL_TRY(tl_view_predict(subject->view, designs, n, predictions));
    return tl_predictor_accuracy(subject->predictor, subject->task, designs, n, predictions);
}

/* ---- the answer -------------------------------------------------------------------------- */

tl_err tl_answer_add_designs(
    Tailor__V1__Table *table, const tl_space *space, const tl_choice *designs, int n)
{
    int n_slots = tl_space_n_slots(space);
    uint16_t *column = tl_mem_new((size_t)n, sizeof *column);
    if (column == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    tl_err err = TL_OK;
    for (int k = 0; k < n_slots && err == TL_OK; k++) {
        const tl_slot *slot = tl_space_slot(space, k);
        for (int i = 0; i < n; i++) {
            column[i] = designs[(size_t)i * (size_t)n_slots + (size_t)k];
        }
        err = tl_table_reply_choices(
            table, slot->name, slot->options, (size_t)slot->n_options, column);
    }
    tl_mem_free(column);
    return err;
}

tl_err tl_answer_add_predictions(
    Tailor__V1__Table *table, const tl_prediction *predictions, int n)
{
    static const char *const names[] = {"latency_ms",    "latency_std_ms", "energy_mj",
                                        "energy_std_mj", "accuracy",       "accuracy_std"};
    double *columns[TL_COUNT(names)] = {0};
    for (size_t c = 0; c < TL_COUNT(names); c++) {
        TL_TRY(tl_table_reply_blank(table, names[c], PREDICTION_DIGITS, &columns[c]));
    }
    for (int i = 0; i < n; i++) {
        const tl_prediction *p = &predictions[i];
        columns[0][i] = p->latency_ms;
        columns[1][i] = p->latency_std_ms;
        columns[2][i] = p->energy_mj;
        columns[3][i] = p->energy_std_mj;
        columns[4][i] = p->accuracy;
        columns[5][i] = p->accuracy_std;
    }
    return TL_OK;
}

tl_err tl_answer_sign(Tailor__V1__Answer *answer, const tl_subject *subject)
{
    const tl_model *model = tl_predictor_model(subject->predictor);
    answer->model = tl_mem_strdup(model != NULL ? model->name : "none");
    answer->task = tl_mem_strdup(subject->task != NULL ? subject->task : "");
    return answer->model == NULL || answer->task == NULL ? tl_fail(TL_ENOMEM, "an answer")
                                                         : TL_OK;
}
