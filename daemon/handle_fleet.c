/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/units.h"
#include "daemon/fleet_table.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "daemon/solver.h"
#include "optimizer/fleet.h"

#include <string.h>

typedef Tailor__V1__FleetRequest fleet_request;
typedef Tailor__V1__FleetReply fleet_reply;

enum {
    MAX_TABLE_BYTES = 4 * 1024 * 1024,
    FIRST_LINE = 2,
    ROWS_PER_STEP = 16 /* between looks at the job */
};

/* A row whose design is found together with others (optimizer/fleet.h). */
typedef struct waiting {
    int row;
    tl_subject subject;
    Tailor__V1__Limits limits;
    tl_solver solver; /* stays where it is */
} waiting;

/* What stands in the answer, row by row. */
typedef struct fleet {
    tl_call *call;
    const fleet_request *request;
    tl_job *job; /* of the run; NULL: of none */
    tl_space *space;
    size_t n_slots;
    int n;
    uint64_t n_infeasible, n_failed;
    char **names, **errors; /* [TL_FLEET_MAX_ROWS] */
    tl_choice *designs;     /* [TL_FLEET_MAX_ROWS, n_slots] */
    tl_scored *scores;      /* [TL_FLEET_MAX_ROWS] */
    bool *is_failed;        /* [TL_FLEET_MAX_ROWS] */
    waiting *waiting;       /* [TL_FLEET_PIECE], of one predictor */
    int n_waiting;
} fleet;

static void free_texts(char **texts, int n)
{
    for (int i = 0; texts != NULL && i < n; i++) {
        tl_mem_free(texts[i]);
    }
    tl_mem_free(texts);
}

static void waiting_done(waiting *w)
{
    tl_solver_done(&w->solver);
    tl_subject_done(&w->subject);
}

static void fleet_done(fleet *f)
{
    for (int i = 0; i < f->n_waiting; i++) {
        waiting_done(&f->waiting[i]);
    }
    tl_mem_free(f->waiting);
    free_texts(f->names, TL_FLEET_MAX_ROWS);
    free_texts(f->errors, TL_FLEET_MAX_ROWS);
    tl_mem_free(f->designs);
    tl_mem_free(f->scores);
    tl_mem_free(f->is_failed);
    tl_space_unref(f->space);
}

static tl_err fleet_init(tl_call *call, const fleet_request *request, tl_job *job, fleet *f)
{
    *f = (fleet){.call = call, .request = request, .job = job};
    TL_TRY(tl_engine_space(call->engine, request->space, &f->space));
    f->n_slots = (size_t)tl_space_n_slots(f->space);
    f->names = tl_mem_new(TL_FLEET_MAX_ROWS, sizeof *f->names);
    f->errors = tl_mem_new(TL_FLEET_MAX_ROWS, sizeof *f->errors);
    f->designs = tl_mem_new(TL_FLEET_MAX_ROWS * f->n_slots, sizeof *f->designs);
    f->scores = tl_mem_new(TL_FLEET_MAX_ROWS, sizeof *f->scores);
    f->is_failed = tl_mem_new(TL_FLEET_MAX_ROWS, sizeof *f->is_failed);
    f->waiting = tl_mem_new(TL_FLEET_PIECE, sizeof *f->waiting);
    return f->names == NULL || f->errors == NULL || f->designs == NULL || f->scores == NULL ||
                   f->is_failed == NULL || f->waiting == NULL
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

/* ---- rows -------------------------------------------------------------------------------- */

static tl_err keep(fleet *f, int row, const tl_choice *design, const tl_scored *score)
{
    static const char nearest[] = "no design keeps every limit; this is the nearest one";
    memcpy(f->designs + (size_t)row * f->n_slots, design, f->n_slots * sizeof *f->designs);
    f->scores[row] = *score;
    if (tl_scored_is_feasible(score)) {
        return TL_OK;
    }
    f->n_infeasible++;
    f->errors[row] = tl_mem_strdup(nearest);
    return f->errors[row] == NULL ? tl_fail(TL_ENOMEM, "a fleet") : TL_OK;
}

static tl_err search(fleet *f, int row, tl_solver *solver)
{
    tl_shortlist list = {0};
    const char *method = NULL;
    const fleet_request *request = f->request;
    tl_search_options options = {.n_best = 1, .seed = request->has_seed ? request->seed : 1};
    tl_err err = request->method[0] == '\0' ? tl_solver_walk(solver, &list) : TL_OK;
    if (err == TL_OK && list.n == 0) {
        tl_shortlist_done(&list);
        err = tl_solver_search(solver, request->method, &options, &list, &method);
    }
    if (err == TL_OK) {
        err = list.n > 0
                  ? keep(f, row, list.designs, &list.scores[0])
                  : tl_fail(TL_ENOTFOUND, "space %s has no design", tl_space_name(f->space));
    }
    tl_shortlist_done(&list);
    return err;
}

/* What ends the whole request; anything else is the row's own error. */
static bool is_of_all(tl_err err)
{
    return err == TL_ECANCELLED || err == TL_EDEADLINE || err == TL_ENOMEM;
}

/* The row's error; gives TL_OK unless it is of all. */
static tl_err fail_row(fleet *f, int row, tl_err err, const char *error)
{
    if (is_of_all(err)) {
        return err;
    }
    f->is_failed[row] = true;
    f->n_failed++;
    f->errors[row] = tl_mem_strdup(error);
    return f->errors[row] == NULL ? tl_fail(TL_ENOMEM, "a fleet") : TL_OK;
}

/* In one line, as an answer has one for each row. */
static tl_err fail_row_as_told(fleet *f, int row, tl_err err)
{
    tl_fleet_row said = {.error = ""};
    tl_fleet_row_fail(&said, tl_err_detail());
    return fail_row(f, row, err, said.error);
}

/* Designs of all who wait: together, and for whom that does not do, one by one. */
static tl_err solve_waiting(fleet *f)
{
    tl_fleet_case cases[TL_FLEET_PIECE] = {{.view = NULL}};
    for (int i = 0; i < f->n_waiting; i++) {
        cases[i].view = f->waiting[i].subject.view;
        cases[i].problem = &f->waiting[i].solver.question.problem;
    }
    tl_err err = f->n_waiting == 0
                     ? TL_OK
                     : tl_fleet_solve(f->waiting[0].subject.predictor, cases, f->n_waiting);
    err = is_of_all(err) ? err : TL_OK; /* whose fault it is, searching one by one tells */
    for (int i = 0; i < f->n_waiting && err == TL_OK; i++) {
        waiting *w = &f->waiting[i];
        err = cases[i].is_solved ? keep(f, w->row, cases[i].design, &cases[i].score)
                                 : search(f, w->row, &w->solver);
        if (err != TL_OK) {
            err = fail_row_as_told(f, w->row, err);
        }
    }
    for (int i = 0; i < f->n_waiting; i++) {
        waiting_done(&f->waiting[i]);
    }
    f->n_waiting = 0;
    return err;
}

/*
 * Whether a row may wait for others: nothing but its profile is known, and nobody asked for a
 * method. A model may be replaced between two rows; those who wait share one.
 */
static bool may_wait(const fleet *f, const waiting *w)
{
    return f->request->method[0] == '\0' && !w->subject.is_registered &&
           (f->n_waiting == 0 || f->waiting[0].subject.predictor == w->subject.predictor) &&
           tl_fleet_takes(w->subject.view, &w->solver.question.problem);
}

/* What to minimize where nobody said it: without an accuracy model the latency, and so it is told. */
static const char *choose_minimize(const fleet *f, const tl_subject *subject)
{
    const fleet_request *request = f->request;
    const Tailor__V1__Weights *weights = request->weights;
    bool is_weighed = weights != NULL && (weights->has_latency || weights->has_energy);
    if (subject->task != NULL || request->minimize[0] != '\0' || request->maximize[0] != '\0' ||
        is_weighed) {
        return request->minimize;
    }
    tl_call_warn(
        f->call, "no accuracy model of space %s: designs are those of least latency_ms",
        tl_space_name(subject->space));
    return "latency_ms";
}

/* The row's question into w, which wants waiting_done() in any case. */
static tl_err ask(fleet *f, const tl_fleet_row *row, waiting *w)
{
    const fleet_request *request = f->request;
    *w = (waiting){.row = f->n, .limits = row->limits};
    TL_TRY(
        row->device[0] != '\0'
            ? tl_subject_find(f->call, request->space, row->device, request->task, &w->subject)
            : tl_subject_describe(
                  f->call, request->space, &row->profile, request->task, &w->subject));
    const char *minimize = choose_minimize(f, &w->subject);
    tl_asked asked = {&w->limits, request->weights, request->maximize, minimize};
    return tl_solver_init(f->call, &w->subject, &asked, true, &w->solver);
}

static tl_err answer_row(fleet *f, const tl_fleet_row *row)
{
    waiting *w = &f->waiting[f->n_waiting];
    tl_err err = ask(f, row, w);
    if (err == TL_OK && may_wait(f, w)) {
        f->n_waiting++;
        return f->n_waiting == TL_FLEET_PIECE ? solve_waiting(f) : TL_OK;
    }
    if (err == TL_OK) {
        err = search(f, f->n, &w->solver);
    }
    waiting_done(w);
    return err;
}

/* What the run's job has to say about going on. */
static tl_err check_job(const fleet *f)
{
    return f->job != NULL ? tl_job_piece_step(f->job, f->request->rows_before + (uint64_t)f->n)
                          : TL_OK;
}

static tl_err on_row(void *context, tl_fleet_row *row)
{
    fleet *f = context;
    TL_TRY(tl_call_check(f->call));
    if (f->n % ROWS_PER_STEP == 0) {
        TL_TRY(check_job(f));
    }
    f->names[f->n] = tl_mem_strdup(tl_fleet_row_name(row));
    if (f->names[f->n] == NULL) {
        return tl_fail(TL_ENOMEM, "a fleet");
    }
    if (row->error[0] != '\0') {
        TL_TRY(fail_row(f, f->n, TL_EINVAL, row->error));
    } else {
        tl_err err = answer_row(f, row);
        if (err != TL_OK) {
            TL_TRY(fail_row_as_told(f, f->n, err));
        }
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

static tl_err solve(
    tl_call *call, const fleet_request *request, tl_job *job, fleet_reply *reply)
{
    fleet f;
    tl_fleet_source source = {
        .origin = tl_handle_origin(request->origin, "the fleet"),
        .first_line = request->first_line > 0 ? request->first_line : FIRST_LINE,
        .csv = request->csv.data,
        .len = request->csv.len,
        .limits = request->limits};
    tl_err err = fleet_init(call, request, job, &f);
    if (err == TL_OK && (err = check_task(&f)) == TL_OK &&
        (err = tl_fleet_read(&source, on_row, &f)) == TL_OK &&
        (err = solve_waiting(&f)) == TL_OK && (err = check_job(&f)) == TL_OK) {
        err = answer(&f, reply);
    }
    fleet_done(&f);
    return err;
}

/* ---- runs: pieces that are one job ---------------------------------------------------------- */

static tl_err check_run(const char *run)
{
    size_t len = strlen(run);
    return len == 0 || (len >= TL_JOB_MIN_TOKEN_BYTES && len <= TL_JOB_MAX_TOKEN_BYTES)
               ? TL_OK
               : tl_fail(
                     TL_EINVAL, "run: got %zu bytes, want %d to %d", len,
                     (int)TL_JOB_MIN_TOKEN_BYTES, (int)TL_JOB_MAX_TOKEN_BYTES);
}

static tl_err end_run(tl_call *call, const fleet_request *request, fleet_reply *reply)
{
    bool is_done = request->run_end == TAILOR__V1__FLEET_REQUEST__RUN_END__DONE;
    tl_job_end_run(tl_engine_jobs(call->engine), request->run, is_done ? TL_OK : TL_ECANCELLED);
    reply->table = tl_table_reply_new(0);
    return reply->table != NULL ? TL_OK : tl_fail(TL_ENOMEM, "a fleet");
}

static tl_err solve_piece(tl_call *call, const fleet_request *request, fleet_reply *reply)
{
    tl_job *job = NULL;
    tl_job_piece piece = {
        .run = request->run,
        .method = "fleet.run",
        .subject = request->space,
        .total = request->rows_total};
    if (request->run[0] == '\0') {
        return solve(call, request, NULL, reply);
    }
    TL_TRY(tl_job_join(tl_engine_jobs(call->engine), call, &piece, &job));
    tl_err err = solve(call, request, job, reply);
    tl_job_leave(job);
    return err;
}

static tl_err run(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const fleet_request *request = (const fleet_request *)request_base;
    fleet_reply *reply = (fleet_reply *)reply_base;
    TL_TRY(check_run(request->run));
    if (request->run_end != TAILOR__V1__FLEET_REQUEST__RUN_END__GOES_ON) {
        return end_run(call, request, reply);
    }
    TL_TRY(tl_handle_check_bytes("csv", &request->csv, MAX_TABLE_BYTES));
    TL_TRY(tl_solver_check_method(request->method));
    return solve_piece(call, request, reply);
}

const tl_method tl_method_fleet_run = {
    .name = "fleet.run",
    .summary = "One design for each row of a table of devices",
    .request = &tailor__v1__fleet_request__descriptor,
    .reply = &tailor__v1__fleet_reply__descriptor,
    .run = run,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_BULK,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};
