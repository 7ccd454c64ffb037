/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accuracy under deployment conditions: one network for all tables, with the
 * condition as input, beside a model per table.
 *
 *     bench_conditions DATA_DIR [SPACES_DIR [SEEDS]]
 *
 * All tables of nasbench201 are split alike: a fifth of the cells (isomorphic ones together,
 * bits of weights not looked at) is held out everywhere. Per condition, tab-separated,
 * means over the seeds of Spearman on held-out cells with a path:
 *
 *     separate   tl_accuracy_fit on each table: what is shipped
 *     per_task   one trunk, an output per data set, the condition as input
 *     per_column one trunk, an output per column, the condition as input
 *     pair       tl_accuracy_fit on both qat tables at once, an output per column, no input
 *     triple     the same with the analog table
 *     four       the same with the plain table too
 *
 * and repeat: two isomorphic cells' agreement, one pair a form (with equal bits), whose square
 * root is about what a perfect predictor would reach.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "bench/accuracy_table.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"
#include "predictors/accuracy_impl.h"
#include "predictors/cellnet.h"
#include "predictors/folds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_FOLDS = 5,
    N_TABLES = 5,
    N_STACKS = 3, /* of 2, 3 and 4 tables */
    MAX_COLUMNS = 24,
    MAX_ROWS = 400000, /* a design under a condition, some more than once */
    N_MEMBERS = 5,
    N_STEPS = 6000,
    BATCH = 384,
    MANY_ROWS = 8000, /* of a condition, that are not repeated */
};

static const char *const files[N_TABLES] = {
    "nasbench201.csv", "nasbench201-qat50.csv", "nasbench201-qat150.csv",
    "nasbench201-int8.csv", "nasbench201-analog.csv"};

static const char *const data_sets[] = {"cifar100", "imagenet16-120", "cifar10"};

typedef struct column {
    const char *name;
    int table, task; /* of the table */
    int condition, data_set;
    double separate, per_task, per_column; /* sums over seeds */
    double stacked[N_STACKS];
    double repeat;
    int n_pairs, n_test;
} column;

typedef struct bench {
    tl_space *space;
    tl_score_encoder encoder;
    bench_labels tables[N_TABLES];
    tl_score_input inputs[N_TABLES];
    int *fold[N_TABLES];
    column columns[MAX_COLUMNS];
    int n_columns, n_conditions;
    double separate_s, per_task_s, per_column_s, stacked_s[N_STACKS];
} bench;

static int data_set_of(const char *task)
{
    for (int i = 0; i < (int)TL_COUNT(data_sets); i++) {
        if (strncmp(task, data_sets[i], strlen(data_sets[i])) == 0) {
            return i;
        }
    }
    return 0;
}

/* The columns of all tables; what follows the data set's name is the condition. */
static void list_columns(bench *b)
{
    b->n_conditions = 1; /* none: fp32 */
    for (int t = 0; t < N_TABLES; t++) {
        for (int k = 0; k < b->tables[t].n_tasks && b->n_columns < MAX_COLUMNS; k++) {
            const char *name = b->tables[t].tasks[k];
            int data_set = data_set_of(name);
            bool is_plain = strcmp(name, data_sets[data_set]) == 0;
            b->columns[b->n_columns++] = (column){
                .name = name,
                .table = t,
                .task = k,
                .data_set = data_set,
                .condition = is_plain ? 0 : b->n_conditions++,
            };
        }
    }
}

static tl_err load(const char *data_dir, const char *spaces_dir, bench *b)
{
    tl_text path = {0};
    tl_text_addf(&path, "%s/nasbench201.yaml", spaces_dir);
    tl_err err = tl_space_load(path.data, &b->space);
    if (err == TL_OK) {
        err = tl_score_encoder_init(b->space, &b->encoder);
    }
    for (int t = 0; t < N_TABLES && err == TL_OK; t++) {
        tl_text_clear(&path);
        tl_text_addf(&path, "%s/%s", data_dir, files[t]);
        if ((err = bench_labels_read(b->space, path.data, &b->tables[t])) == TL_OK) {
            const tl_table *table = &b->tables[t].table;
            err = tl_score_encode(&b->encoder, table->designs, table->n, &b->inputs[t]);
            b->fold[t] = tl_mem_new((size_t)table->n, sizeof *b->fold[t]);
        }
    }
    tl_text_done(&path);
    if (err == TL_OK) {
        list_columns(b);
    }
    return err;
}

static double value_at(const bench *b, const column *c, int row)
{
    const bench_labels *l = &b->tables[c->table];
    return l->values[(ptrdiff_t)row * l->n_tasks + c->task];
}

/* One split of the cells of all tables, bits of weights left out of the cell's form. */
static tl_err split(bench *b, uint64_t seed)
{
    int n_slots = tl_space_n_slots(b->space);
    const tl_cell *cell = tl_space_cell(b->space);
    int n = 0;
    for (int t = 0; t < N_TABLES; t++) {
        n += b->tables[t].table.n;
    }
    tl_choice *designs = tl_mem_new((size_t)n * (size_t)n_slots, sizeof *designs);
    int *fold = tl_mem_new((size_t)n, sizeof *fold);
    tl_err err = TL_OK;
    if (designs == NULL || fold == NULL) {
        err = tl_fail(TL_ENOMEM, "%d designs", n);
        goto done;
    }
    tl_choice *at = designs;
    for (int t = 0; t < N_TABLES; t++) {
        const tl_table *table = &b->tables[t].table;
        memcpy(at, table->designs, (size_t)table->n * (size_t)n_slots * sizeof *at);
        for (int i = 0; i < table->n; i++, at += n_slots) {
            for (int e = 0; e < cell->n_edges; e++) {
                if (cell->bits_slot[e] >= 0) {
                    at[cell->bits_slot[e]] = TL_CHOICE_ABSENT;
                }
            }
        }
    }
    if ((err = tl_canonical_folds(b->space, designs, n, N_FOLDS, seed, fold)) != TL_OK) {
        goto done;
    }
    const int *from = fold;
    for (int t = 0; t < N_TABLES; t++) {
        memcpy(b->fold[t], from, (size_t)b->tables[t].table.n * sizeof *from);
        from += b->tables[t].table.n;
    }
done:
    tl_mem_free(designs);
    tl_mem_free(fold);
    return err;
}

/* Spearman of answers [n] of the column's table on held-out cells with a path. */
static double judge(bench *b, column *c, const double *answers, int stride)
{
    int n = b->tables[c->table].table.n;
    double *x = tl_mem_new((size_t)n, 2 * sizeof *x);
    double rho = (double)NAN;
    int n_test = 0;
    for (int i = 0; x != NULL && i < n; i++) {
        double value = value_at(b, c, i);
        if (b->fold[c->table][i] == 0 && !isnan(value) && !b->inputs[c->table].is_dead[i]) {
            x[n_test] = answers[(ptrdiff_t)i * stride];
            x[n + n_test++] = value;
        }
    }
    c->n_test = n_test;
    if (x == NULL || tl_spearman(n_test, x, x + n, &rho) != TL_OK) {
        rho = (double)NAN;
    }
    tl_mem_free(x);
    return rho;
}

/* ---- separate ---------------------------------------------------------------- */

static tl_err run_separate(bench *b, int t, uint64_t seed)
{
    const bench_labels *l = &b->tables[t];
    size_t n_values = (size_t)l->table.n * (size_t)l->n_tasks;
    double *values = tl_mem_new(n_values, 3 * sizeof *values);
    tl_accuracy_model *model = NULL;
    if (values == NULL) {
        return tl_fail(TL_ENOMEM, "%zu values", n_values);
    }
    for (size_t i = 0; i < n_values; i++) {
        values[i] = b->fold[t][i / (size_t)l->n_tasks] == 0 ? (double)NAN : l->values[i];
    }
    tl_accuracy_data data = {
        .space = b->space,
        .designs = l->table.designs,
        .n = l->table.n,
        .labels = values,
        .tasks = l->tasks,
        .n_tasks = l->n_tasks};
    tl_accuracy_options options = {.seed = seed};
    int64_t start_ns = tl_clock_ns();
    tl_err err = tl_accuracy_fit(&data, &options, &model, NULL);
    b->separate_s += (double)(tl_clock_ns() - start_ns) / TL_NS_PER_S;
    if (err == TL_OK) {
        err = tl_accuracy_predict(
            model, l->table.designs, l->table.n, values + n_values, values + 2 * n_values);
    }
    for (int k = 0; k < b->n_columns && err == TL_OK; k++) {
        column *c = &b->columns[k];
        if (c->table == t) {
            c->separate += judge(b, c, values + n_values + c->task, l->n_tasks);
        }
    }
    tl_accuracy_model_free(model);
    tl_mem_free(values);
    return err;
}

/* ---- tables stacked ------------------------------------------------------------ */

/* The tables as one, a row a design of a table, a task a column. */
typedef struct stack {
    tl_choice *designs;
    double *labels, *accuracy, *std; /* [n, n_tasks] */
    const char *tasks[MAX_COLUMNS];
    int n, n_tasks;
} stack;

static void stack_done(stack *s)
{
    tl_mem_free(s->designs);
    tl_mem_free(s->labels);
    tl_mem_free(s->accuracy);
    tl_mem_free(s->std);
}

/* Held-out labels are left out. */
static tl_err stack_tables(const bench *b, const int *tables, int n_tables, stack *s)
{
    int n_slots = tl_space_n_slots(b->space);
    for (int i = 0; i < n_tables; i++) {
        s->n += b->tables[tables[i]].table.n;
        for (int k = 0; k < b->tables[tables[i]].n_tasks; k++) {
            s->tasks[s->n_tasks++] = b->tables[tables[i]].tasks[k];
        }
    }
    size_t n_values = (size_t)s->n * (size_t)s->n_tasks;
    s->designs = tl_mem_new((size_t)s->n * (size_t)n_slots, sizeof *s->designs);
    s->labels = tl_mem_new(n_values, sizeof *s->labels);
    s->accuracy = tl_mem_new(n_values, sizeof *s->accuracy);
    s->std = tl_mem_new(n_values, sizeof *s->std);
    if (s->designs == NULL || s->labels == NULL || s->accuracy == NULL || s->std == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", s->n);
    }
    int row = 0;
    int task = 0;
    for (int i = 0; i < n_tables; i++) {
        const bench_labels *l = &b->tables[tables[i]];
        memcpy(
            s->designs + (ptrdiff_t)row * n_slots, l->table.designs,
            (size_t)l->table.n * (size_t)n_slots * sizeof *s->designs);
        for (int r = 0; r < l->table.n; r++, row++) {
            double *to = s->labels + (ptrdiff_t)row * s->n_tasks;
            bool is_held_out = b->fold[tables[i]][r] == 0;
            for (int k = 0; k < s->n_tasks; k++) {
                bool is_own = task <= k && k < task + l->n_tasks;
                to[k] = is_own && !is_held_out ? l->values[(ptrdiff_t)r * l->n_tasks + k - task]
                                               : (double)NAN;
            }
        }
        task += l->n_tasks;
    }
    return TL_OK;
}

static tl_err run_stacked(bench *b, const int *tables, int n_tables, uint64_t seed)
{
    stack s = {0};
    tl_accuracy_model *model = NULL;
    int64_t start_ns = tl_clock_ns();
    tl_err err = stack_tables(b, tables, n_tables, &s);
    tl_accuracy_data data = {
        .space = b->space,
        .designs = s.designs,
        .n = s.n,
        .labels = s.labels,
        .tasks = s.tasks,
        .n_tasks = s.n_tasks};
    tl_accuracy_options options = {.seed = seed};
    if (err != TL_OK || (err = tl_accuracy_fit(&data, &options, &model, NULL)) != TL_OK ||
        (err = tl_accuracy_predict(model, s.designs, s.n, s.accuracy, s.std)) != TL_OK) {
        goto done;
    }
    b->stacked_s[n_tables - 2] += (double)(tl_clock_ns() - start_ns) / TL_NS_PER_S;
    int row = 0;
    int task = 0;
    for (int i = 0; i < n_tables; i++) {
        const bench_labels *l = &b->tables[tables[i]];
        for (int k = 0; k < b->n_columns; k++) {
            column *c = &b->columns[k];
            if (c->table == tables[i]) {
                c->stacked[n_tables - 2] += judge(
                    b, c, s.accuracy + (ptrdiff_t)row * s.n_tasks + task + c->task, s.n_tasks);
            }
        }
        row += l->table.n;
        task += l->n_tasks;
    }
done:
    tl_accuracy_model_free(model);
    stack_done(&s);
    return err;
}

/* ---- together ---------------------------------------------------------------- */

/* Rows of a network for all: designs under conditions. */
typedef struct rows {
    int n, n_codes, n_out;
    int8_t *codes;
    tl_mat x, y;
} rows;

static void rows_done(rows *r)
{
    tl_mem_free(r->codes);
    tl_mat_done(&r->x);
    tl_mat_done(&r->y);
}

static int output_of(const bench *b, const column *c, bool per_column)
{
    return per_column ? (int)(c - b->columns) : c->data_set;
}

/* What the network reads beside the codes: the condition, and for int8 the form of the cell. */
static void fill_condition(const bench *b, const column *c, int row, float *x)
{
    x[c->condition] = 1.0F;
    if (strstr(c->name, "espdl") != NULL) {
        for (int j = 0; j < b->encoder.n_numbers; j++) {
            x[b->n_conditions + j] = tl_mat_row(b->inputs[c->table].numbers, row)[j];
        }
    }
}

/* A row of column c; columns of one condition share it when they follow each other. */
static void add_row(const bench *b, const column *c, int row, rows *r)
{
    if (r->n == MAX_ROWS) {
        return;
    }
    memcpy(
        r->codes + (ptrdiff_t)r->n * r->n_codes,
        b->inputs[c->table].codes + (ptrdiff_t)row * r->n_codes, (size_t)r->n_codes);
    fill_condition(b, c, row, tl_mat_row(r->x, r->n));
    for (int j = 0; j < r->n_out; j++) {
        tl_mat_row(r->y, r->n)[j] = NAN;
    }
    r->n++;
}

static tl_err rows_init(const bench *b, bool per_column, rows *r)
{
    *r = (rows){.n_codes = b->encoder.n_codes};
    r->n_out = per_column ? b->n_columns : (int)TL_COUNT(data_sets);
    r->codes = tl_mem_new((size_t)MAX_ROWS, (size_t)r->n_codes);
    if (r->codes == NULL) {
        return tl_fail(TL_ENOMEM, "rows");
    }
    TL_TRY(tl_mat_init(&r->x, MAX_ROWS, b->n_conditions + b->encoder.n_numbers));
    return tl_mat_init(&r->y, MAX_ROWS, r->n_out);
}

/* Normal scores of the column's designs that are not held out. */
static tl_err fit_map(const bench *b, const column *c, tl_rank_map *map, int *out_n)
{
    int n = b->tables[c->table].table.n;
    double *values = tl_mem_new((size_t)n, sizeof *values);
    *out_n = 0;
    if (values == NULL) {
        return tl_fail(TL_ENOMEM, "%d values", n);
    }
    for (int i = 0; i < n; i++) {
        values[i] = b->fold[c->table][i] == 0 ? (double)NAN : value_at(b, c, i);
        *out_n += !isnan(values[i]);
    }
    tl_err err = tl_rank_map_fit(n, values, map);
    tl_mem_free(values);
    return err;
}

static tl_err add_columns(const bench *b, bool per_column, rows *r)
{
    for (int k = 0; k < b->n_columns; k++) {
        const column *c = &b->columns[k];
        tl_rank_map map;
        int n_known = 0;
        TL_TRY(fit_map(b, c, &map, &n_known));
        for (int copy = 0; copy < (n_known < MANY_ROWS ? 2 : 1); copy++) {
            for (int i = 0; i < b->tables[c->table].table.n; i++) {
                double value = value_at(b, c, i);
                if (b->fold[c->table][i] == 0 || isnan(value) ||
                    b->inputs[c->table].is_dead[i] || r->n == MAX_ROWS) {
                    continue;
                }
                add_row(b, c, i, r);
                tl_mat_row(r->y, r->n - 1)[output_of(b, c, per_column)] =
                    (float)tl_rank_map_forward(&map, value);
            }
        }
    }
    return TL_OK;
}

/* Judges each column by the trained network. */
static tl_err judge_together(bench *b, const tl_net *net, const float *params, bool per_column)
{
    for (int k = 0; k < b->n_columns; k++) {
        column *c = &b->columns[k];
        const tl_score_input *input = &b->inputs[c->table];
        tl_mat x = {0};
        tl_mat mean = {0};
        tl_mat spread = {0};
        tl_err err = TL_OK;
        double *answers = tl_mem_new((size_t)input->n, sizeof *answers);
        if (answers == NULL ||
            (err = tl_mat_init(&x, input->n, b->n_conditions + b->encoder.n_numbers)) !=
                TL_OK ||
            (err = tl_mat_init(&mean, input->n, net->n_out)) != TL_OK ||
            (err = tl_mat_init(&spread, input->n, net->n_out)) != TL_OK) {
            goto done;
        }
        for (int i = 0; i < input->n; i++) {
            fill_condition(b, c, i, tl_mat_row(x, i));
        }
        tl_net_input part = {
            .n = input->n, .n_codes = b->encoder.n_codes, .codes = input->codes, .x = tl_ro(x)};
        if ((err = tl_net_predict(net, &part, params, N_MEMBERS, mean, spread)) != TL_OK) {
            goto done;
        }
        for (int i = 0; i < input->n; i++) {
            answers[i] = (double)tl_mat_row(mean, i)[output_of(b, c, per_column)];
        }
        *(per_column ? &c->per_column : &c->per_task) += judge(b, c, answers, 1);
    done:
        tl_mem_free(answers);
        tl_mat_done(&x);
        tl_mat_done(&mean);
        tl_mat_done(&spread);
        TL_TRY(err);
    }
    return TL_OK;
}

static tl_err run_together(bench *b, bool per_column, uint64_t seed)
{
    rows r = {0};
    float *params = NULL;
    tl_net net;
    tl_cellnet_shape shape = b->encoder.cell.shape;
    int64_t start_ns = tl_clock_ns();
    tl_err err = rows_init(b, per_column, &r);
    if (err != TL_OK || (err = add_columns(b, per_column, &r)) != TL_OK) {
        goto done;
    }
    shape.d = 16;
    shape.h = 48;
    shape.n_conditions = r.x.cols;
    shape.n_out = r.n_out;
    tl_cellnet_init(&shape, &net);
    params = tl_mem_new((size_t)N_MEMBERS * (size_t)net.n_params, sizeof *params);
    if (params == NULL) {
        err = tl_fail(TL_ENOMEM, "parameters");
        goto done;
    }
    tl_net_train_options options = {
        .n_members = N_MEMBERS,
        .n_steps = N_STEPS,
        .batch = BATCH,
        .learning_rate = 1e-2,
        .weight_decay = 0.01,
        .seed = seed};
    tl_net_input input = {
        .n = r.n, .n_codes = r.n_codes, .codes = r.codes, .x = tl_ro(tl_mat_rows(r.x, 0, r.n))};
    err = tl_net_train(&net, &input, tl_ro(tl_mat_rows(r.y, 0, r.n)), &options, params);
    *(per_column ? &b->per_column_s : &b->per_task_s) +=
        (double)(tl_clock_ns() - start_ns) / TL_NS_PER_S;
    if (err == TL_OK) {
        err = judge_together(b, &net, params, per_column);
    }
done:
    tl_mem_free(params);
    rows_done(&r);
    return err;
}

/* ---- noise ceilings ------------------------------------------------------------ */

/* Agreement of two isomorphic designs' measurements, the first pair of each form. */
static tl_err find_repeats(bench *b, int t)
{
    const tl_table *table = &b->tables[t].table;
    int *form = tl_mem_new((size_t)table->n, 2 * sizeof *form);
    double *pair = tl_mem_new((size_t)table->n, 2 * sizeof *pair);
    tl_err err = TL_OK;
    if (form == NULL || pair == NULL) {
        err = tl_fail(TL_ENOMEM, "%d forms", table->n);
        goto done;
    }
    /* As many folds as designs: a fold is one form. */
    if ((err = tl_canonical_folds(b->space, table->designs, table->n, table->n, 1, form)) !=
        TL_OK) {
        goto done;
    }
    for (int k = 0; k < b->n_columns; k++) {
        column *c = &b->columns[k];
        if (c->table != t) {
            continue;
        }
        int *first = form + table->n; /* of a form: 0 none, row + 1, -1 paired */
        memset(first, 0, (size_t)table->n * sizeof *first);
        for (int i = 0; i < table->n; i++) {
            int *seen = &first[form[i]];
            if (isnan(value_at(b, c, i)) || b->inputs[t].is_dead[i] || *seen < 0) {
                continue;
            }
            if (*seen > 0) {
                pair[c->n_pairs] = value_at(b, c, *seen - 1);
                pair[table->n + c->n_pairs++] = value_at(b, c, i);
            }
            *seen = *seen > 0 ? -1 : i + 1;
        }
        err = tl_spearman(c->n_pairs, pair, pair + table->n, &c->repeat);
        if (err != TL_OK) {
            c->repeat = (double)NAN;
            err = TL_OK;
        }
    }
done:
    tl_mem_free(form);
    tl_mem_free(pair);
    return err;
}

static void print_columns(const bench *b, int n_seeds)
{
    printf(
        "task\tseeds\tn_test\tseparate\tper_task\tper_column\tpair\ttriple\tfour\trepeat\tn_pairs\tceiling\n");
    for (int k = 0; k < b->n_columns; k++) {
        const column *c = &b->columns[k];
        printf(
            "%s\t%d\t%d\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%d\t%.4f\n", c->name,
            n_seeds, c->n_test, c->separate / n_seeds, c->per_task / n_seeds,
            c->per_column / n_seeds, c->stacked[0] / n_seeds, c->stacked[1] / n_seeds,
            c->stacked[2] / n_seeds, c->repeat, c->n_pairs, sqrt(c->repeat));
    }
    printf(
        "seconds\t%d\t0\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t0\t0\t0\n", n_seeds,
        b->separate_s / n_seeds, b->per_task_s / n_seeds, b->per_column_s / n_seeds,
        b->stacked_s[0] / n_seeds, b->stacked_s[1] / n_seeds, b->stacked_s[2] / n_seeds);
}

int main(int argc, char **argv)
{
    static bench b;
    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s DATA_DIR [SPACES_DIR [SEEDS]]\n", argv[0]);
        return 2;
    }
    int n_seeds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 3;
    tl_blas_single_thread();
    tl_err err = load(argv[1], argc > 2 ? argv[2] : "spaces", &b);
    for (int t = 0; t < N_TABLES && err == TL_OK; t++) {
        err = find_repeats(&b, t);
    }
    for (int seed = 1; seed <= n_seeds && err == TL_OK; seed++) {
        err = split(&b, (uint64_t)seed);
        for (int t = 0; t < N_TABLES && err == TL_OK; t++) {
            err = run_separate(&b, t, (uint64_t)seed);
        }
        static const int stacked[] = {1, 2, 4, 0}; /* qat50, qat150, analog, plain */
        for (int n = 2; n < 2 + N_STACKS && err == TL_OK; n++) {
            err = run_stacked(&b, stacked, n, (uint64_t)seed);
        }
        for (int variant = 0; variant < 2 && err == TL_OK; variant++) {
            err = run_together(&b, variant == 1, (uint64_t)seed);
        }
    }
    if (err == TL_OK) {
        print_columns(&b, n_seeds);
    } else {
        (void)fprintf(stderr, "%s\n", tl_err_detail());
    }
    for (int t = 0; t < N_TABLES; t++) {
        bench_labels_done(&b.tables[t]);
        tl_score_input_done(&b.inputs[t]);
        tl_mem_free(b.fold[t]);
    }
    tl_space_unref(b.space);
    return err == TL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
