/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/units.h"
#include "measurements/designs.h"
#include "predictors/train_impl.h"

#include <math.h>
#include <string.h>

/* All designs of the tasks' columns, each once, and what each task measured of them. */
typedef struct task_table {
    const tl_train_column **columns; /* [n_tasks] */
    int n_tasks;
    tl_choice *designs; /* [n, n_slots] */
    int n;
    double *labels; /* [n, n_tasks] */
    int *group;     /* [n_tasks] */
} task_table;

static void table_done(task_table *table)
{
    tl_mem_free(table->columns);
    tl_mem_free(table->designs);
    tl_mem_free(table->labels);
    tl_mem_free(table->group);
}

/* The columns of accuracies that are enough to learn from. */
static tl_err choose_columns(tl_training *training, task_table *table)
{
    const tl_train_options *options = training->options;
    table->columns = tl_mem_new((size_t)options->n_columns, sizeof *table->columns);
    table->group = tl_mem_new((size_t)options->n_columns, sizeof *table->group);
    if (table->columns == NULL || table->group == NULL) {
        return tl_fail(TL_ENOMEM, "%d tasks", options->n_columns);
    }
    for (int i = 0; i < options->n_columns; i++) {
        const tl_train_column *column = &options->columns[i];
        if (tl_metric_is_of_device(column->metric)) {
            continue;
        }
        if (column->n < TL_TRAIN_MIN_TASK_ROWS) {
            tl_text_addf(
                training->notes, "accuracy@%s: %d measurements, a task needs %d\n",
                column->subject, column->n, (int)TL_TRAIN_MIN_TASK_ROWS);
            continue;
        }
        table->columns[table->n_tasks++] = column;
    }
    return TL_OK;
}

/* Every row of every column: designs [*out_n, n_slots] and, for each, its place in columns. */
static tl_err stack_rows(
    const task_table *table, int n_slots, tl_choice **out_designs, int *out_n)
{
    size_t n = 0;
    for (int t = 0; t < table->n_tasks; t++) {
        n += (size_t)table->columns[t]->n;
    }
    tl_choice *designs = tl_mem_new(n * (size_t)n_slots, sizeof *designs);
    if (designs == NULL) {
        return tl_fail(TL_ENOMEM, "%zu accuracies", n);
    }
    tl_choice *at = designs;
    for (int t = 0; t < table->n_tasks; t++) {
        size_t len = (size_t)table->columns[t]->n * (size_t)n_slots;
        memcpy(at, table->columns[t]->designs, len * sizeof *at);
        at += len;
    }
    *out_designs = designs;
    *out_n = (int)n;
    return TL_OK;
}

/* Which column a stacked row came from, and its value. */
static double value_of_row(const task_table *table, int row, int *out_task)
{
    int t = 0;
    while (row >= table->columns[t]->n) {
        row -= table->columns[t]->n;
        t++;
    }
    *out_task = t;
    return table->columns[t]->values[row];
}

/* Rows in the order of their designs become one design each, with a label per task. */
static void merge_rows(
    const tl_choice *stacked, const int *order, int n_rows, int n_slots, task_table *table)
{
    for (int i = 0; i < n_rows; i++) {
        const tl_choice *design = tl_design_at(stacked, n_slots, order[i]);
        bool is_new =
            i == 0 || tl_design_compare(
                          design, tl_design_at(stacked, n_slots, order[i - 1]), n_slots) != 0;
        if (is_new) {
            memcpy(
                table->designs + (ptrdiff_t)table->n * n_slots, design,
                (size_t)n_slots * sizeof *design);
            for (int t = 0; t < table->n_tasks; t++) {
                table->labels[(ptrdiff_t)table->n * table->n_tasks + t] = TL_UNKNOWN;
            }
            table->n++;
        }
        int task = 0;
        double value = value_of_row(table, order[i], &task);
        table->labels[(ptrdiff_t)(table->n - 1) * table->n_tasks + task] = value;
    }
}

static tl_err fill_table(int n_slots, task_table *table)
{
    tl_choice *stacked = NULL;
    int *order = NULL;
    int n_rows = 0;
    TL_TRY(stack_rows(table, n_slots, &stacked, &n_rows));
    tl_err err = tl_designs_order(stacked, n_slots, n_rows, &order);
    table->designs = tl_mem_new((size_t)n_rows * (size_t)n_slots, sizeof *table->designs);
    table->labels = tl_mem_new((size_t)n_rows * (size_t)table->n_tasks, sizeof *table->labels);
    if (err == TL_OK && (table->designs == NULL || table->labels == NULL)) {
        err = tl_fail(TL_ENOMEM, "%d accuracies", n_rows);
    }
    if (err == TL_OK) {
        merge_rows(stacked, order, n_rows, n_slots, table);
    }
    tl_mem_free(order);
    tl_mem_free(stacked);
    return err;
}

/* ---- one group of tasks ------------------------------------------------------------------ */

/* All labels, those of the group's tasks first; the other tasks are auxiliary. */
typedef struct group_data {
    tl_accuracy_data data;
    double *labels;
    const char **tasks;
} group_data;

static void group_done(group_data *g)
{
    tl_mem_free(g->labels);
    tl_mem_free(g->tasks);
}

/* Appends the tasks of the group, or those of the others. */
static void take_tasks(const task_table *table, int group, bool is_own, group_data *g)
{
    for (int t = 0; t < table->n_tasks; t++) {
        if ((table->group[t] == group) != is_own) {
            continue;
        }
        for (int i = 0; i < table->n; i++) {
            g->labels[(ptrdiff_t)i * table->n_tasks + g->data.n_tasks] =
                table->labels[(ptrdiff_t)i * table->n_tasks + t];
        }
        g->tasks[g->data.n_tasks++] = table->columns[t]->subject;
        g->data.n_auxiliary += !is_own;
    }
}

static tl_err take_group(
    const tl_space *space, const task_table *table, int group, group_data *g)
{
    *g = (group_data){0};
    g->tasks = tl_mem_new((size_t)table->n_tasks, sizeof *g->tasks);
    g->labels = tl_mem_new((size_t)table->n * (size_t)table->n_tasks, sizeof *g->labels);
    if (g->tasks == NULL || g->labels == NULL) {
        return tl_fail(TL_ENOMEM, "%d accuracies", table->n);
    }
    take_tasks(table, group, true, g);
    take_tasks(table, group, false, g);
    g->data.space = space;
    g->data.designs = table->designs;
    g->data.n = table->n;
    g->data.labels = g->labels;
    g->data.tasks = g->tasks;
    return TL_OK;
}

static bool report_progress(void *context, int64_t done, int64_t total)
{
    return tl_training_progress(context, "accuracy", done, total) == TL_OK;
}

static tl_err add_figures(
    tl_training *training, const tl_accuracy_data *data, const tl_accuracy_report *reports)
{
    for (int t = 0; t < data->n_tasks - data->n_auxiliary; t++) {
        const tl_accuracy_report *r = &reports[t];
        uint64_t n = (uint64_t)r->n_held_out;
        if (n == 0) {
            tl_text_addf(
                training->notes, "accuracy@%s: too few designs to hold any out\n",
                data->tasks[t]);
            continue;
        }
        tl_model *model = training->model;
        static const char part[] = "held-out designs";
        TL_TRY(tl_model_add_figure(model, part, data->tasks[t], "accuracy", r->spearman, n));
        TL_TRY(tl_model_add_figure(
            model, "held-out designs, rmse in points", data->tasks[t], "accuracy", r->rmse, n));
        TL_TRY(tl_model_add_figure(
            model, "held-out designs, coverage of 90% intervals", data->tasks[t], "accuracy",
            r->coverage90, n));
    }
    return TL_OK;
}

static tl_err fit_group(tl_training *training, const tl_accuracy_data *data)
{
    tl_accuracy_model *fitted = NULL;
    tl_accuracy_options options = {
        .seed = training->options->seed,
        .n_threads = training->options->n_threads,
        .progress = report_progress,
        .context = training};
    tl_accuracy_report *reports = tl_mem_new((size_t)data->n_tasks, sizeof *reports);
    if (reports == NULL) {
        return tl_fail(TL_ENOMEM, "%d reports", data->n_tasks);
    }
    tl_err err = tl_accuracy_fit(data, &options, &fitted, reports);
    if (err == TL_OK && (err = tl_model_add_accuracy(training->model, fitted)) != TL_OK) {
        tl_accuracy_model_free(fitted);
    }
    if (err == TL_OK) {
        err = add_figures(training, data, reports);
    }
    tl_mem_free(reports);
    return err;
}

/* Does a design of the group fill an optional slot (weight bits)? */
static bool fills_optional(const tl_space *space, const task_table *table, int group)
{
    int n_slots = tl_space_n_slots(space);
    for (int i = 0; i < table->n; i++) {
        const tl_choice *design = tl_design_at(table->designs, n_slots, i);
        bool is_filled = false;
        for (int s = 0; s < n_slots && !is_filled; s++) {
            is_filled = tl_space_slot(space, s)->is_optional && design[s] != TL_CHOICE_ABSENT;
        }
        for (int t = 0; is_filled && t < table->n_tasks; t++) {
            if (table->group[t] == group &&
                !isnan(table->labels[(ptrdiff_t)i * table->n_tasks + t])) {
                return true;
            }
        }
    }
    return false;
}

/*
 * Groups whose designs fill optional slots become one: what weight bits do is learnt from all
 * of them, which a table of few designs gains most by (bench/results/conditions.tsv). Leaves
 * the groups that gave their tasks away empty.
 */
static void join_groups(const tl_space *space, task_table *table, int n_groups)
{
    int first = -1;
    for (int group = 0; group < n_groups; group++) {
        if (!fills_optional(space, table, group)) {
            continue;
        }
        for (int t = 0; first >= 0 && t < table->n_tasks; t++) {
            table->group[t] = table->group[t] == group ? first : table->group[t];
        }
        first = first >= 0 ? first : group;
    }
}

static tl_err fit_groups(tl_training *training, task_table *table)
{
    const tl_space *space = training->options->space;
    tl_err err = TL_OK;
    int n_groups =
        tl_accuracy_group_tasks(table->n, table->n_tasks, table->labels, table->group);
    join_groups(space, table, n_groups);
    for (int group = 0; group < n_groups && err == TL_OK; group++) {
        group_data g;
        err = take_group(space, table, group, &g);
        if (err == TL_OK && g.data.n_tasks > g.data.n_auxiliary) {
            err = fit_group(training, &g.data);
        }
        group_done(&g);
    }
    return err;
}

tl_err tl_train_tasks(tl_training *training)
{
    task_table table = {0};
    tl_err err = choose_columns(training, &table);
    if (err == TL_OK && table.n_tasks > 0) {
        err = fill_table(tl_space_n_slots(training->options->space), &table);
        if (err == TL_OK) {
            err = fit_groups(training, &table);
        }
    }
    table_done(&table);
    return err;
}
