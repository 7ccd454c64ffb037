/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/units.h"
#include "daemon/fleet_table.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "daemon/solver.h"

#include <string.h>

typedef Tailor__V1__FleetRequest fleet_request;
typedef Tailor__V1__FleetReply fleet_reply;

enum {
    MAX_TABLE_BYTES = 4 * 1024 * 1024,
    FIRST_LINE = 2
};

/* What stands in the answer, row by row. */
typedef struct fleet {
    tl_call *call;
    const fleet_request *request;
    tl_space *space;
    size_t n_slots;
    int n;
    uint64_t n_infeasible, n_failed;
    char **names, **errors; /* [TL_FLEET_MAX_ROWS] */
    tl_choice *designs;     /* [TL_FLEET_MAX_ROWS, n_slots] */
    tl_scored *scores;      /* [TL_FLEET_MAX_ROWS] */
    bool *is_failed;        /* [TL_FLEET_MAX_ROWS] */
} fleet;

static void free_texts(char **texts, int n)
{
    for (int i = 0; texts != NULL && i < n; i++) {
        tl_mem_free(texts[i]);
    }
    tl_mem_free(texts);
}

static void fleet_done(fleet *f)
{
    free_texts(f->names, TL_FLEET_MAX_ROWS);
    free_texts(f->errors, TL_FLEET_MAX_ROWS);
    tl_mem_free(f->designs);
    tl_mem_free(f->scores);
    tl_mem_free(f->is_failed);
    tl_space_unref(f->space);
}

static tl_err fleet_init(tl_call *call, const fleet_request *request, fleet *f)
{
    *f = (fleet){.call = call, .request = request};
    TL_TRY(tl_engine_space(call->engine, request->space, &f->space));
    f->n_slots = (size_t)tl_space_n_slots(f->space);
    f->names = tl_mem_new(TL_FLEET_MAX_ROWS, sizeof *f->names);
    f->errors = tl_mem_new(TL_FLEET_MAX_ROWS, sizeof *f->errors);
    f->designs = tl_mem_new(TL_FLEET_MAX_ROWS * f->n_slots, sizeof *f->designs);
    f->scores = tl_mem_new(TL_FLEET_MAX_ROWS, sizeof *f->scores);
    f->is_failed = tl_mem_new(TL_FLEET_MAX_ROWS, sizeof *f->is_failed);
    return f->names == NULL || f->errors == NULL || f->designs == NULL || f->scores == NULL ||
                   f->is_failed == NULL
               ? tl_fail(TL_ENOMEM, "a fleet")
               : TL_OK;
}

/* A task that no device of the fleet can have is said once, not on every row. */
static tl_err check_task(const fleet *f)
{
    tl_text note = {0};
    const char *found = NULL;
    tl_predictor *predictor = NULL;
    const char *task = f->request->task;
    size_t len = strlen(task);
    TL_TRY(
        tl_predictors_get(tl_engine_predictors(f->call->engine), f->space, NULL, &predictor));
    bool is_known = len == 0;
    for (int i = 0; i < tl_predictor_n_tasks(predictor) && !is_known; i++) {
        const char *known = tl_predictor_task(predictor, i);
        is_known = strncmp(known, task, len) == 0 && (known[len] == '\0' || known[len] == '-');
    }
    tl_err err =
        is_known ? TL_OK : tl_predictor_resolve_task(predictor, task, "", &note, &found);
    tl_predictor_unref(predictor);
    tl_text_done(&note);
    return err;
}

/* ---- one row ----------------------------------------------------------------------------- */

static tl_err keep_best(fleet *f, const tl_shortlist *list)
{
    static const char nearest[] = "no design keeps every limit; this is the nearest one";
    if (list->n == 0) {
        return tl_fail(TL_ENOTFOUND, "space %s has no design", tl_space_name(f->space));
    }
    memcpy(
        f->designs + (size_t)f->n * f->n_slots, list->designs, f->n_slots * sizeof *f->designs);
    f->scores[f->n] = list->scores[0];
    if (tl_scored_is_feasible(&list->scores[0])) {
        return TL_OK;
    }
    f->n_infeasible++;
    f->errors[f->n] = tl_mem_strdup(nearest);
    return f->errors[f->n] == NULL ? tl_fail(TL_ENOMEM, "a fleet") : TL_OK;
}

static tl_err solve(fleet *f, const tl_subject *subject, const tl_fleet_row *row)
{
    tl_solver solver;
    tl_shortlist list = {0};
    const char *method = NULL;
    const fleet_request *request = f->request;
    tl_asked asked = {&row->limits, request->weights, request->maximize, request->minimize};
    tl_search_options options = {.n_best = 1, .seed = request->has_seed ? request->seed : 1};
    tl_err err = tl_solver_init(f->call, subject, &asked, true, &solver);
    if (err == TL_OK &&
        (err = tl_solver_search(&solver, request->method, &options, &list, &method)) == TL_OK) {
        err = keep_best(f, &list);
    }
    tl_shortlist_done(&list);
    tl_solver_done(&solver);
    return err;
}

static tl_err answer_row(fleet *f, const tl_fleet_row *row)
{
    tl_subject subject = {0};
    const char *space = f->request->space;
    const char *task = f->request->task;
    TL_TRY(
        row->device[0] != '\0'
            ? tl_subject_find(f->call, space, row->device, task, &subject)
            : tl_subject_describe(f->call, space, &row->profile, task, &subject));
    tl_err err = solve(f, &subject, row);
    tl_subject_done(&subject);
    return err;
}

/* What ends the whole request; anything else is the row's own error. */
static bool is_of_all(tl_err err)
{
    return err == TL_ECANCELLED || err == TL_EDEADLINE || err == TL_ENOMEM;
}

static tl_err on_row(void *context, tl_fleet_row *row)
{
    fleet *f = context;
    TL_TRY(tl_call_check(f->call));
    if (row->error[0] == '\0') {
        tl_err err = answer_row(f, row);
        if (is_of_all(err)) {
            return err;
        }
        if (err != TL_OK) {
            tl_fleet_row_fail(row, tl_err_detail());
        }
    }
    if (row->error[0] != '\0') {
        f->is_failed[f->n] = true;
        f->n_failed++;
        f->errors[f->n] = tl_mem_strdup(row->error);
    }
    f->names[f->n] = tl_mem_strdup(tl_fleet_row_name(row));
    if (f->names[f->n] == NULL || (f->is_failed[f->n] && f->errors[f->n] == NULL)) {
        return tl_fail(TL_ENOMEM, "a fleet");
    }
    f->n++;
    return TL_OK;
}

/* ---- the answer --------------------------------------------------------------------------- */

/* A slot's column; "" where the row failed. */
static tl_err add_slot(const fleet *f, int k, uint16_t *column, Tailor__V1__Table *table)
{
    const tl_slot *slot = tl_space_slot(f->space, k);
    size_t n_options = (size_t)slot->n_options;
    const char **options = tl_mem_new(n_options + 1, sizeof *options);
    if (options == NULL) {
        return tl_fail(TL_ENOMEM, "a fleet");
    }
    memcpy(options, slot->options, n_options * sizeof *options);
    options[n_options] = "";
    for (int i = 0; i < f->n; i++) {
        column[i] = f->is_failed[i] ? (uint16_t)n_options
                                    : f->designs[(size_t)i * f->n_slots + (size_t)k];
    }
    tl_err err = tl_table_reply_choices(table, slot->name, options, n_options + 1, column);
    tl_mem_free(options);
    return err;
}

static tl_err add_designs(const fleet *f, Tailor__V1__Table *table)
{
    uint16_t *column = tl_mem_new((size_t)f->n + 1, sizeof *column);
    tl_err err = column == NULL ? tl_fail(TL_ENOMEM, "a fleet") : TL_OK;
    for (int k = 0; k < (int)f->n_slots && err == TL_OK; k++) {
        err = add_slot(f, k, column, table);
    }
    tl_mem_free(column);
    return err;
}

static tl_err answer(const fleet *f, fleet_reply *reply)
{
    static const tl_prediction nothing = {TL_UNKNOWN, TL_UNKNOWN, TL_UNKNOWN,
                                          TL_UNKNOWN, TL_UNKNOWN, TL_UNKNOWN};
    for (int i = 0; i < f->n; i++) {
        if (f->is_failed[i]) {
            f->scores[i] = (tl_scored){.prediction = nothing, .p_feasible = TL_UNKNOWN};
        }
    }
    reply->n_infeasible = f->n_infeasible;
    reply->n_failed = f->n_failed;
    reply->table = tl_table_reply_new((size_t)f->n);
    if (reply->table == NULL) {
        return tl_fail(TL_ENOMEM, "a fleet");
    }
    TL_TRY(tl_table_reply_texts(reply->table, "device", (const char *const *)f->names));
    TL_TRY(add_designs(f, reply->table));
    TL_TRY(tl_answer_add_scores(reply->table, f->scores, f->n));
    return tl_table_reply_texts(reply->table, "error", (const char *const *)f->errors);
}

static tl_err run(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const fleet_request *request = (const fleet_request *)request_base;
    fleet f;
    tl_fleet_source source = {
        .origin = tl_handle_origin(request->origin, "the fleet"),
        .first_line = request->first_line > 0 ? request->first_line : FIRST_LINE,
        .csv = request->csv.data,
        .len = request->csv.len,
        .limits = request->limits};
    TL_TRY(tl_handle_check_bytes("csv", &request->csv, MAX_TABLE_BYTES));
    TL_TRY(tl_solver_check_method(request->method));
    tl_err err = fleet_init(call, request, &f);
    if (err == TL_OK && (err = check_task(&f)) == TL_OK &&
        (err = tl_fleet_read(&source, on_row, &f)) == TL_OK) {
        err = answer(&f, (fleet_reply *)reply_base);
    }
    fleet_done(&f);
    return err;
}

const tl_method tl_method_fleet_run = {
    .name = "fleet.run",
    .summary = "One design for each row of a table of devices",
    .request = &tailor__v1__fleet_request__descriptor,
    .reply = &tailor__v1__fleet_reply__descriptor,
    .run = run,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_WORK,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};
