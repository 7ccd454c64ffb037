/* SPDX-License-Identifier: Apache-2.0 */

/* Method evaluate.run: grades of the predictors on stored measurements. */

#include "base/mem.h"
#include "base/text.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "grading/evaluate.h"
#include "measurements/columns.h"

#include <stdio.h>
#include <string.h>

typedef Tailor__V1__EvaluateRequest evaluate_request;
typedef Tailor__V1__EvaluateReply evaluate_reply;

enum {
    MAX_GRADED = 8, /* columns, unless they are named */
    MAX_LOOKED_AT =
        1024, /* columns with most measurements, of which the first ones are taken */
    MAX_SAMPLES = 500,
    MAX_OTHERS = 8, /* spaces whose designs are told apart */
    FIGURE_DIGITS = 5,
    PER_GRADE = 2 * TL_CURVE_POINTS
};

/* The columns that take part. */
typedef struct material {
    tl_metric metric;
    tl_column columns[TL_POOL_MAX_DEVICES];
    tl_train_column parts[TL_POOL_MAX_DEVICES];
    const tl_train_column *pointers[TL_POOL_MAX_DEVICES];
    bool is_graded[TL_POOL_MAX_DEVICES];
    int n;
    tl_column accuracy;
    bool has_accuracy;
    tl_column_list named, list;
    tl_damage damaged; /* found to be when they were read; nobody named them */
    tl_space_entry *spaces;
    size_t n_spaces;
    const tl_space *others[MAX_OTHERS];
    int n_others;
} material;

/* What tl_evaluate() calls back with. */
typedef struct evaluation_context {
    const evaluate_request *request;
    tl_job *job;
} evaluation_context;

static void material_done(material *m)
{
    for (int i = 0; i < m->n; i++) {
        tl_column_done(&m->columns[i]);
    }
    tl_column_done(&m->accuracy);
    tl_column_list_done(&m->named);
    tl_column_list_done(&m->list);
    tl_damage_done(&m->damaged);
    tl_space_entries_free(m->spaces, m->n_spaces);
    tl_mem_free(m);
}

static bool is_wanted(const evaluate_request *request, const char *subject)
{
    return tl_handle_is_named(request->subjects, request->n_subjects, subject);
}

/* ---- the request ------------------------------------------------------------------------- */

static tl_err check_methods(const evaluate_request *request)
{
    for (size_t i = 0; i < request->n_methods; i++) {
        if (tl_infer_find(request->methods[i]) == NULL) {
            tl_text names = {0};
            for (int k = 0; k < tl_infer_n_methods; k++) {
                tl_text_addf(&names, "%s%s", k > 0 ? ", " : "", tl_infer_methods[k].name);
            }
            tl_err err = tl_fail(
                TL_ENOTFOUND, "method \"%.64s\": want one of %s", request->methods[i],
                names.data != NULL ? names.data : "the list of docs/evaluate.md");
            tl_text_done(&names);
            return err;
        }
    }
    return TL_OK;
}

static tl_err find_metric(const evaluate_request *request, tl_metric *out_metric)
{
    const char *name =
        request->metric[0] != '\0' ? request->metric : tl_metric_name(TL_METRIC_LATENCY_MS);
    if (!tl_metric_find(name, strlen(name), out_metric)) {
        return tl_fail(
            TL_EINVAL, "metric \"%.64s\": want latency_ms, energy_mj or accuracy", name);
    }
    return TL_OK;
}

static tl_err check(const ProtobufCMessage *request_base)
{
    const evaluate_request *request = (const evaluate_request *)request_base;
    tl_metric ignored = TL_METRIC_LATENCY_MS;
    if (request->samples > MAX_SAMPLES || (request->samples > 0 && request->samples < 3)) {
        return tl_fail(
            TL_EINVAL, "samples: got %u, want 3 to %d", request->samples, (int)MAX_SAMPLES);
    }
    if (request->n_subjects > TL_POOL_MAX_DEVICES) {
        return tl_fail(
            TL_ELIMIT, "got %zu subjects, want at most %d", request->n_subjects,
            (int)TL_POOL_MAX_DEVICES);
    }
    TL_TRY(find_metric(request, &ignored));
    return check_methods(request);
}

/* ---- what is graded ------------------------------------------------------------------------- */

static tl_err check_subjects(tl_call *call, const evaluate_request *request, const material *m)
{
    for (size_t i = 0; i < request->n_subjects; i++) {
        int n = 0;
        TL_TRY(tl_columns_count(
            tl_engine_store(call->engine), request->space, m->metric, request->subjects[i],
            &n));
        if (n < TL_POOL_MIN_ROWS) {
            return tl_fail(
                n == 0 ? TL_ENOTFOUND : TL_ESTATE,
                "%s@%.128s: %d designs of space %s are measured, want at least %d",
                tl_metric_name(m->metric), request->subjects[i], n, request->space,
                (int)TL_POOL_MIN_ROWS);
        }
    }
    return TL_OK;
}

static tl_err add_column(
    tl_call *call,
    const tl_space *space,
    const tl_column_info *found,
    bool is_graded,
    material *m)
{
    tl_column *column = &m->columns[m->n];
    TL_TRY(tl_columns_get(
        tl_engine_store(call->engine), space, found->metric, found->subject, column));
    m->parts[m->n] = (tl_train_column){
        .metric = found->metric,
        .subject = found->subject,
        .designs = column->designs,
        .values = column->values,
        .n = column->n};
    m->pointers[m->n] = &m->parts[m->n];
    m->is_graded[m->n++] = is_graded;
    return TL_OK;
}

/* The named ones first, then others as known ones, as many as there is room for. */
static tl_err collect_columns(
    tl_call *call, const evaluate_request *request, const tl_space *space, material *m)
{
    tl_store *store = tl_engine_store(call->engine);
    size_t ignored = 0;
    TL_TRY(tl_columns_named(
        store, request->space, m->metric, (const char *const *)request->subjects,
        request->n_subjects, &m->named));
    TL_TRY(tl_columns_largest(
        store, request->space, m->metric, MAX_LOOKED_AT, &m->list, &ignored));
    for (size_t i = 0; i < m->named.n_columns; i++) {
        TL_TRY(add_column(call, space, &m->named.columns[i], true, m));
    }
    for (size_t i = 0; i < m->list.n_columns && m->n < TL_POOL_MAX_DEVICES; i++) {
        const tl_column_info *column = &m->list.columns[i];
        if (column->n >= TL_POOL_MIN_ROWS && !is_wanted(request, column->subject)) {
            bool is_graded = request->n_subjects == 0 && m->n < MAX_GRADED;
            tl_err err = add_column(call, space, column, is_graded, m);
            TL_TRY(tl_handle_pass_over(err, column, &m->damaged));
        }
    }
    return TL_OK;
}

/* The first one that is sound. */
static tl_err collect_accuracy(
    tl_call *call, const char *space_name, const tl_space *space, material *m)
{
    tl_store *store = tl_engine_store(call->engine);
    tl_column_list tasks = {0};
    size_t ignored = 0;
    tl_err err = tl_columns_largest(
        store, space_name, TL_METRIC_ACCURACY, MAX_LOOKED_AT, &tasks, &ignored);
    for (size_t i = 0; i < tasks.n_columns && err == TL_OK && !m->has_accuracy; i++) {
        const tl_column_info *task = &tasks.columns[i];
        err = tl_columns_get(store, space, task->metric, task->subject, &m->accuracy);
        m->has_accuracy = err == TL_OK;
        err = tl_handle_pass_over(err, task, &m->damaged);
    }
    tl_column_list_done(&tasks);
    return err;
}

/* The first spaces of other names. */
static tl_err collect_others(tl_call *call, const char *space, material *m)
{
    TL_TRY(tl_engine_spaces(call->engine, &m->spaces, &m->n_spaces));
    for (size_t i = 0; i < m->n_spaces && m->n_others < MAX_OTHERS; i++) {
        if (strcmp(tl_space_name(m->spaces[i].space), space) != 0) {
            m->others[m->n_others++] = m->spaces[i].space;
        }
    }
    return TL_OK;
}

static tl_err collect(
    tl_call *call, const evaluate_request *request, const tl_space *space, material *m)
{
    TL_TRY(check_subjects(call, request, m));
    TL_TRY(collect_others(call, request->space, m));
    TL_TRY(collect_columns(call, request, space, m));
    if (m->n == 0) {
        return tl_fail(
            TL_ESTATE, "space %s: no %s of %d designs is stored", request->space,
            tl_metric_name(m->metric), (int)TL_POOL_MIN_ROWS);
    }
    return m->metric == TL_METRIC_ACCURACY ? TL_OK
                                           : collect_accuracy(call, request->space, space, m);
}

/* ---- the reply -------------------------------------------------------------------------------- */

static tl_err add_names(const tl_grade *const *grades, size_t repeat, Tailor__V1__Table *table)
{
    Tailor__V1__Column *subject = NULL;
    Tailor__V1__Column *method = NULL;
    Tailor__V1__Column *set = NULL;
    TL_TRY(tl_table_reply_text(table, "subject", &subject));
    TL_TRY(tl_table_reply_text(table, "method", &method));
    TL_TRY(tl_table_reply_text(table, "set", &set));
    for (size_t row = 0; row < table->n_rows; row++) {
        const tl_grade *grade = grades[row / repeat];
        TL_TRY(tl_table_reply_set_text(subject, row, grade->subject));
        TL_TRY(tl_table_reply_set_text(method, row, grade->method));
        TL_TRY(tl_table_reply_set_text(set, row, tl_grade_set_name(grade->set)));
    }
    return TL_OK;
}

static tl_err add_figures(
    const tl_evaluation *evaluation,
    const tl_grade *const *grades,
    tl_metric metric,
    Tailor__V1__Table *table)
{
    double *numbers = NULL;
    Tailor__V1__Column *column = NULL;
    TL_TRY(tl_table_reply_text(table, "metric", &column));
    for (size_t row = 0; row < table->n_rows; row++) {
        TL_TRY(tl_table_reply_set_text(column, row, tl_metric_name(metric)));
    }
    TL_TRY(add_names(grades, 1, table));
    TL_TRY(tl_table_reply_blank(table, "designs", 0, &numbers));
    for (int i = 0; i < evaluation->n_grades; i++) {
        numbers[i] = evaluation->grades[i].n_designs;
    }
    for (int k = 0; k < TL_N_FIGURES; k++) {
        TL_TRY(
            tl_table_reply_blank(table, tl_figure_name((tl_figure)k), FIGURE_DIGITS, &numbers));
        for (int i = 0; i < evaluation->n_grades; i++) {
            numbers[i] = evaluation->grades[i].figures[k];
        }
    }
    return TL_OK;
}

/* Designs of other spaces are not measured, so they have no curves. */
static bool has_curves(const tl_grade *grade)
{
    return grade->set != TL_SET_FOREIGN;
}

static void fill_point(const tl_grade *grade, int k, double *x, double *y)
{
    bool is_rejection = k >= TL_CURVE_POINTS;
    k -= is_rejection ? TL_CURVE_POINTS : 0;
    *x = is_rejection ? (double)k / TL_CURVE_POINTS : (k + 1.0) / (TL_CURVE_POINTS + 1);
    *y = is_rejection ? grade->rejection[k] : grade->calibration[k];
}

/* Both curves of each grade. */
static tl_err add_curves(
    const tl_grade *const *grades, size_t n_grades, Tailor__V1__Table *table)
{
    Tailor__V1__Column *curve = NULL;
    double *x = NULL;
    double *y = NULL;
    TL_TRY(tl_table_reply_text(table, "curve", &curve));
    TL_TRY(add_names(grades, PER_GRADE, table));
    TL_TRY(tl_table_reply_blank(table, "x", FIGURE_DIGITS, &x));
    TL_TRY(tl_table_reply_blank(table, "y", FIGURE_DIGITS, &y));
    for (size_t row = 0; row < n_grades * PER_GRADE; row++) {
        int k = (int)(row % PER_GRADE);
        fill_point(grades[row / PER_GRADE], k, &x[row], &y[row]);
        TL_TRY(tl_table_reply_set_text(
            curve, row, k >= TL_CURVE_POINTS ? "rejection" : "calibration"));
    }
    return TL_OK;
}

static int first_mean(const tl_evaluation *evaluation)
{
    int i = evaluation->n_grades;
    while (i > 0 && strcmp(evaluation->grades[i - 1].subject, "mean") == 0) {
        i--;
    }
    return i;
}

static tl_err report(const tl_evaluation *evaluation, tl_metric metric, evaluate_reply *reply)
{
    size_t n = (size_t)evaluation->n_grades;
    size_t n_curves = 0;
    const tl_grade **grades = tl_mem_new(2 * n, sizeof *grades);
    if (grades == NULL) {
        return tl_fail(TL_ENOMEM, "a report");
    }
    const tl_grade **curves = grades + n;
    for (size_t i = 0; i < n; i++) {
        grades[i] = &evaluation->grades[i];
        if ((int)i >= first_mean(evaluation) && has_curves(grades[i])) {
            curves[n_curves++] = grades[i];
        }
    }
    reply->figures = tl_table_reply_new(n);
    reply->curves = tl_table_reply_new(n_curves * PER_GRADE);
    tl_err err = reply->figures == NULL || reply->curves == NULL
                     ? tl_fail(TL_ENOMEM, "a report")
                     : add_figures(evaluation, grades, metric, reply->figures);
    if (err == TL_OK) {
        err = add_curves(curves, n_curves, reply->curves);
    }
    tl_mem_free(grades);
    return err;
}

/* ---- the method --------------------------------------------------------------------------------- */

static bool step(void *context, const char *what, int64_t done, int64_t total)
{
    const evaluation_context *c = context;
    return tl_job_step(c->job, what, (uint64_t)done, (uint64_t)total) == TL_OK;
}

enum {
    KEPT_NAME_BYTES = 64
};

/* Another version may grade otherwise. */
static void name_kept(int column, char name[KEPT_NAME_BYTES])
{
    (void)snprintf(name, KEPT_NAME_BYTES, "%.32s/%d", TL_VERSION, column);
}

static void remember(void *context, int column, const void *data, size_t len)
{
    char name[KEPT_NAME_BYTES];
    name_kept(column, name);
    tl_job_keep(((const evaluation_context *)context)->job, name, data, len);
}

static tl_err recall(void *context, int column, void **out_data, size_t *out_len)
{
    char name[KEPT_NAME_BYTES];
    name_kept(column, name);
    return tl_job_kept(((const evaluation_context *)context)->job, name, out_data, out_len);
}

static bool goes_on(const void *context)
{
    return tl_job_goes_on(((const evaluation_context *)context)->job);
}

static bool takes(const void *context, const char *method)
{
    const evaluate_request *request = ((const evaluation_context *)context)->request;
    return request->n_methods == 0 ||
           tl_handle_is_named(request->methods, request->n_methods, method);
}

static tl_err evaluate(
    tl_call *call,
    const evaluate_request *request,
    const tl_space *space,
    tl_job *job,
    evaluate_reply *reply)
{
    static const char damaged_note[] = "is damaged and takes no part";
    evaluation_context context = {.request = request, .job = job};
    tl_text notes = {0};
    tl_evaluation evaluation = {0};
    material *m = tl_mem_new(1, sizeof *m);
    if (m == NULL) {
        return tl_fail(TL_ENOMEM, "columns of measurements");
    }
    tl_err err = find_metric(request, &m->metric);
    if (err == TL_OK && (err = collect(call, request, space, m)) == TL_OK) {
        tl_evaluate_options options = {
            .space = space,
            .metric = m->metric,
            .columns = m->pointers,
            .n_columns = m->n,
            .is_graded = m->is_graded,
            .others = m->others,
            .n_others = m->n_others,
            .accuracy = m->has_accuracy ? &m->accuracy : NULL,
            .takes = takes,
            .goes_on = goes_on,
            .n_samples = (int)request->samples,
            .seed = request->has_seed ? request->seed : 1,
            .progress = step,
            .remember = remember,
            .recall = recall,
            .context = &context};
        tl_handle_add_damage(&m->list.damaged, damaged_note, &notes);
        tl_handle_add_damage(&m->damaged, damaged_note, &notes);
        err = tl_evaluate(&options, &notes, &evaluation);
    }
    if (err == TL_OK && (err = tl_text_err(&notes)) == TL_OK &&
        (err = report(&evaluation, m->metric, reply)) == TL_OK) {
        err = tl_handle_add_lines(&notes, &reply->notes, &reply->n_notes);
    }
    tl_evaluation_done(&evaluation);
    tl_text_done(&notes);
    material_done(m);
    return err;
}

static tl_err run(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const evaluate_request *request = (const evaluate_request *)request_base;
    tl_space *space = NULL;
    tl_job *job = NULL;
    TL_TRY(check(request_base));
    TL_TRY(tl_engine_space(call->engine, request->space, &space));
    tl_err err =
        tl_job_begin(tl_engine_jobs(call->engine), call, "evaluate.run", request->space, &job);
    if (err == TL_OK) {
        err = evaluate(call, request, space, job, (evaluate_reply *)reply_base);
        err = tl_job_end(job, err);
    }
    tl_space_unref(space);
    return err;
}

const tl_method tl_method_evaluate_run = {
    .name = "evaluate.run",
    .summary = "Grades the predictors of a space on its stored measurements",
    .request = &tailor__v1__evaluate_request__descriptor,
    .reply = &tailor__v1__evaluate_reply__descriptor,
    .run = run,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_BULK,
    .is_job = true,
    .check = check,
};
