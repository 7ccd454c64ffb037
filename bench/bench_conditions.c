/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accuracy under deployment conditions: a model per table, tables that teach each other,
 * and one network for all with the condition as input.
 *
 *     bench_conditions DATA_DIR SPACES_DIR SEED N_SEEDS [VARIANTS [dev|test [TABLE]]]
 *
 * TABLE, a number from 0 on, keeps the models of groups that begin with it.
 * VARIANTS: names with commas, of separate, joined, taught, drowned, noisy, shipped, per_task,
 * per_column; default: all. All tables of nasbench201 are split alike: a fifth of the cells
 * (isomorphic ones together, bits of weights not looked at) is held out everywhere; with dev
 * another fifth, and the first is not looked at. Per condition, tab-separated, means over the
 * seeds of Spearman on held-out cells with a path:
 *
 *     separate   a model per table
 *     joined     the same, but one for both qat tables
 *     taught     the same, all other columns auxiliary, half a batch of one's own designs
 *     drowned    the same, a batch as the designs come
 *     noisy      one model for the qat and the analog tables, the others auxiliary
 *     shipped    taught where the fit's own held-out designs are likelier by it, else joined
 *     per_task   one trunk, an output per data set, the condition as input
 *     per_column one trunk, an output per column, the condition as input
 *
 * and repeat: two isomorphic cells' agreement, one pair a form (with equal bits), whose square
 * root is about what a perfect predictor would reach.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "bench/accuracy_table.h"
#include "measurements/designs.h"
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
    N_VARIANTS = 6,
    N_TOGETHER = 2, /* networks with the condition as input come after the variants */
    DEV_FOLD = 1,
    MAX_COLUMNS = 24,
    MAX_ROWS = 400000, /* a design under a condition, some more than once */
    N_MEMBERS = 5,
    N_STEPS = 6000,
    BATCH = 384,
    MAX_DESIGNS = 60000,
    NOWHERE = -1,
    MANY_ROWS = 8000, /* of a condition, that are not repeated */
};

static const char *const files[N_TABLES] = {
    "nasbench201.csv", "nasbench201-qat50.csv", "nasbench201-qat150.csv",
    "nasbench201-int8.csv", "nasbench201-analog.csv"};

static const char *const data_sets[] = {"cifar100", "imagenet16-120", "cifar10"};

typedef struct column {
    char *name;
    int table;
    int condition, data_set;
    double figures[N_VARIANTS + N_TOGETHER]; /* sums over seeds */
    int n_taught[N_VARIANTS];                /* seeds in which the other tables taught */
    double repeat;
    int n_pairs, n_test;
} column;

/* All designs of the tables, each once; a label per column. */
typedef struct bench {
    tl_space *space;
    tl_score_encoder encoder;
    tl_score_input input;
    tl_choice *designs; /* [n, n_slots] */
    double *labels;     /* [n, n_columns] */
    int *fold;          /* [n] */
    int n;
    column columns[MAX_COLUMNS];
    int n_columns, n_conditions;
    int only_table; /* -1: all */
    double seconds[N_VARIANTS + N_TOGETHER];
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

/* The columns of a table; what follows the data set's name is the condition. */
static void list_columns(bench *b, int table, const bench_labels *labels)
{
    for (int k = 0; k < labels->n_tasks && b->n_columns < MAX_COLUMNS; k++) {
        const char *name = labels->tasks[k];
        int data_set = data_set_of(name);
        bool is_plain = strcmp(name, data_sets[data_set]) == 0;
        b->columns[b->n_columns++] = (column){
            .name = tl_mem_strdup(name),
            .table = table,
            .data_set = data_set,
            .condition = is_plain ? 0 : b->n_conditions++,
        };
    }
}

/* Appends a table's rows to designs [.., n_slots] and labels [.., MAX_COLUMNS]. */
static tl_err append_table(bench *b, int t, const char *path)
{
    int n_slots = tl_space_n_slots(b->space);
    int first = b->n_columns;
    bench_labels l = {0};
    tl_err err = bench_labels_read(b->space, path, &l);
    if (err == TL_OK && b->n + l.table.n > MAX_DESIGNS) {
        err = tl_fail(TL_ELIMIT, "more than %d designs", (int)MAX_DESIGNS);
    }
    if (err == TL_OK) {
        list_columns(b, t, &l);
        memcpy(
            b->designs + (ptrdiff_t)b->n * n_slots, l.table.designs,
            (size_t)l.table.n * (size_t)n_slots * sizeof *b->designs);
        for (int i = 0; i < l.table.n; i++, b->n++) {
            double *to = b->labels + (ptrdiff_t)b->n * MAX_COLUMNS;
            for (int k = 0; k < MAX_COLUMNS; k++) {
                int from = k - first;
                bool is_own = 0 <= from && from < l.n_tasks;
                to[k] = is_own ? l.values[(ptrdiff_t)i * l.n_tasks + from] : (double)NAN;
            }
        }
    }
    bench_labels_done(&l);
    return err;
}

/* Rows of one design become one. */
static tl_err merge(bench *b)
{
    int n_slots = tl_space_n_slots(b->space);
    int *order = NULL;
    TL_TRY(tl_designs_order(b->designs, n_slots, b->n, &order));
    tl_choice *designs = tl_mem_new((size_t)b->n * (size_t)n_slots, sizeof *designs);
    double *labels = tl_mem_new((size_t)b->n * (size_t)b->n_columns, sizeof *labels);
    int n = 0;
    for (int i = 0; designs != NULL && labels != NULL && i < b->n; i++) {
        const tl_choice *design = tl_design_at(b->designs, n_slots, order[i]);
        const double *from = b->labels + (ptrdiff_t)order[i] * MAX_COLUMNS;
        bool is_new =
            n == 0 ||
            tl_design_compare(design, tl_design_at(designs, n_slots, n - 1), n_slots) != 0;
        n += is_new;
        memcpy(
            designs + (ptrdiff_t)(n - 1) * n_slots, design, (size_t)n_slots * sizeof *designs);
        for (int k = 0; k < b->n_columns; k++) {
            double *to = &labels[(ptrdiff_t)(n - 1) * b->n_columns + k];
            *to = is_new || !isnan(from[k]) ? from[k] : *to;
        }
    }
    tl_mem_free(order);
    tl_mem_free(b->designs);
    tl_mem_free(b->labels);
    b->designs = designs;
    b->labels = labels;
    b->n = n;
    b->fold = tl_mem_new((size_t)n, sizeof *b->fold);
    return b->fold != NULL ? TL_OK : tl_fail(TL_ENOMEM, "%d designs", n);
}

static tl_err load(const char *data_dir, const char *spaces_dir, bench *b)
{
    tl_text path = {0};
    tl_text_addf(&path, "%s/nasbench201.yaml", spaces_dir);
    tl_err err = tl_space_load(path.data, &b->space);
    if (err == TL_OK && (err = tl_score_encoder_init(b->space, &b->encoder)) == TL_OK) {
        size_t n_slots = (size_t)tl_space_n_slots(b->space);
        b->designs = tl_mem_new(MAX_DESIGNS * n_slots, sizeof *b->designs);
        b->labels = tl_mem_new((size_t)MAX_DESIGNS * MAX_COLUMNS, sizeof *b->labels);
        b->n_conditions = 1; /* none: fp32 */
    }
    for (int t = 0; t < N_TABLES && err == TL_OK; t++) {
        tl_text_clear(&path);
        tl_text_addf(&path, "%s/%s", data_dir, files[t]);
        err = append_table(b, t, path.data);
    }
    tl_text_done(&path);
    if (err == TL_OK && (err = merge(b)) == TL_OK) {
        err = tl_score_encode(&b->encoder, b->designs, b->n, &b->input);
    }
    return err;
}

static double value_at(const bench *b, const column *c, int row)
{
    return b->labels[(ptrdiff_t)row * b->n_columns + (c - b->columns)];
}

/* Folds of the cells, bits of weights left out of the form; dev: another, the first unknown. */
static tl_err split(bench *b, uint64_t seed, bool is_dev)
{
    int n_slots = tl_space_n_slots(b->space);
    const tl_cell *cell = tl_space_cell(b->space);
    size_t len = (size_t)b->n * (size_t)n_slots;
    tl_choice *bare = tl_mem_new(len, sizeof *bare);
    if (bare == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", b->n);
    }
    memcpy(bare, b->designs, len * sizeof *bare);
    for (int i = 0; i < b->n; i++) {
        for (int e = 0; e < cell->n_edges; e++) {
            if (cell->bits_slot[e] >= 0) {
                bare[(ptrdiff_t)i * n_slots + cell->bits_slot[e]] = TL_CHOICE_ABSENT;
            }
        }
    }
    tl_err err = tl_canonical_folds(b->space, bare, b->n, N_FOLDS, seed, b->fold);
    for (int i = 0; is_dev && err == TL_OK && i < b->n; i++) {
        /* what is held out in earnest gets a fold of no one's, and no row is of it */
        b->fold[i] = b->fold[i] == DEV_FOLD ? 0 : b->fold[i] == 0 ? NOWHERE : b->fold[i];
    }
    tl_mem_free(bare);
    return err;
}

/* May the row be learnt from? */
static bool is_known(const bench *b, int row)
{
    return b->fold[row] != 0 && b->fold[row] != NOWHERE;
}

/* Spearman of answers, a stride apart, on held-out cells with a path. */
static double judge(bench *b, column *c, const double *answers, int stride)
{
    double *x = tl_mem_new((size_t)b->n, 2 * sizeof *x);
    double rho = (double)NAN;
    int n_test = 0;
    for (int i = 0; x != NULL && i < b->n; i++) {
        double value = value_at(b, c, i);
        if (b->fold[i] == 0 && !isnan(value) && !b->input.is_dead[i]) {
            x[n_test] = answers[(ptrdiff_t)i * stride];
            x[b->n + n_test++] = value;
        }
    }
    c->n_test = n_test;
    if (x == NULL || tl_spearman(n_test, x, x + b->n, &rho) != TL_OK) {
        rho = (double)NAN;
    }
    tl_mem_free(x);
    return rho;
}

/* ---- tables fitted one by one or beside each other ------------------------------ */

/* The groups of tables that a variant makes models of; -1 ends a group. */
static const int each_table[] = {0, -1, 1, -1, 2, -1, 3, -1, 4, -1};
static const int qat_joined[] = {0, -1, 1, 2, -1, 3, -1, 4, -1};
static const int noisy_joined[] = {1, 2, 4, -1};

typedef struct variant {
    const char *name;
    const int *groups;
    size_t n;
    tl_accuracy_teaching teaching;
    double own_frac;
} variant;

static const variant variants[N_VARIANTS] = {
    {"separate", each_table,   TL_COUNT(each_table),   TL_TEACHING_NEVER,    0.5 },
    {"joined",   qat_joined,   TL_COUNT(qat_joined),   TL_TEACHING_NEVER,    0.5 },
    {"taught",   qat_joined,   TL_COUNT(qat_joined),   TL_TEACHING_ALWAYS,   0.5 },
    {"drowned",  qat_joined,   TL_COUNT(qat_joined),   TL_TEACHING_ALWAYS,   1e-9},
    {"noisy",    noisy_joined, TL_COUNT(noisy_joined), TL_TEACHING_ALWAYS,   0.5 },
    {"shipped",  qat_joined,   TL_COUNT(qat_joined),   TL_TEACHING_MEASURED, 0.5 },
};

static bool is_in(const int *tables, int n_tables, int table)
{
    for (int i = 0; i < n_tables; i++) {
        if (tables[i] == table) {
            return true;
        }
    }
    return false;
}

/* The columns of the tables first, then the others; returns how many the first are. */
static int order_columns(const bench *b, const int *tables, int n_tables, int *out_order)
{
    int n = 0;
    int n_own = 0;
    for (int is_other = 0; is_other < 2; is_other++) {
        for (int k = 0; k < b->n_columns; k++) {
            if (is_in(tables, n_tables, b->columns[k].table) == (is_other == 0)) {
                out_order[n++] = k;
            }
        }
        n_own = is_other == 0 ? n : n_own;
    }
    return n_own;
}

static void judge_group(bench *b, int v, const int *order, int n_own, const double *answers)
{
    for (int k = 0; k < n_own; k++) {
        column *c = &b->columns[order[k]];
        c->figures[v] += judge(b, c, answers + k, n_own);
    }
}

/* A model of these tables, which the others may teach. */
static tl_err run_group(bench *b, int v, const int *tables, int n_tables, uint64_t seed)
{
    int order[MAX_COLUMNS];
    const char *tasks[MAX_COLUMNS];
    int n_own = order_columns(b, tables, n_tables, order);
    int n = b->n;
    tl_accuracy_model *model = NULL;
    size_t n_values = (size_t)n * (size_t)b->n_columns;
    double *labels = tl_mem_new(n_values, 3 * sizeof *labels);
    if (labels == NULL) {
        return tl_fail(TL_ENOMEM, "%zu values", n_values);
    }
    for (int k = 0; k < b->n_columns; k++) {
        tasks[k] = b->columns[order[k]].name;
        for (int i = 0; i < n; i++) {
            labels[(ptrdiff_t)i * b->n_columns + k] =
                is_known(b, i) ? value_at(b, &b->columns[order[k]], i) : (double)NAN;
        }
    }
    tl_accuracy_data data = {
        .space = b->space,
        .designs = b->designs,
        .n = n,
        .labels = labels,
        .tasks = tasks,
        .n_tasks = b->n_columns,
        .n_auxiliary = b->n_columns - n_own};
    tl_accuracy_options options = {
        .seed = seed, .teaching = variants[v].teaching, .own_frac = variants[v].own_frac};
    tl_accuracy_report reports[MAX_COLUMNS];
    int64_t start_ns = tl_clock_ns();
    tl_err err = tl_accuracy_fit(&data, &options, &model, reports);
    b->seconds[v] += (double)(tl_clock_ns() - start_ns) / TL_NS_PER_S;
    double *answers = labels + n_values;
    if (err == TL_OK && (err = tl_accuracy_predict(
                             model, b->designs, n, answers, answers + n_values)) == TL_OK) {
        judge_group(b, v, order, n_own, answers);
        for (int k = 0; k < n_own; k++) {
            b->columns[order[k]].n_taught[v] += reports[k].is_taught;
        }
    }
    tl_accuracy_model_free(model);
    tl_mem_free(labels);
    return err;
}

static tl_err run_variant(bench *b, int v, uint64_t seed)
{
    const int *groups = variants[v].groups;
    int begin = 0;
    for (int i = 0; i < (int)variants[v].n; i++) {
        if (groups[i] < 0) {
            bool is_asked_for = b->only_table < 0 || groups[begin] == b->only_table;
            TL_TRY(!is_asked_for ? TL_OK : run_group(b, v, groups + begin, i - begin, seed));
            begin = i + 1;
        }
    }
    return TL_OK;
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
            x[b->n_conditions + j] = tl_mat_row(b->input.numbers, row)[j];
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
        r->codes + (ptrdiff_t)r->n * r->n_codes, b->input.codes + (ptrdiff_t)row * r->n_codes,
        (size_t)r->n_codes);
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
    int n = b->n;
    double *values = tl_mem_new((size_t)n, sizeof *values);
    *out_n = 0;
    if (values == NULL) {
        return tl_fail(TL_ENOMEM, "%d values", n);
    }
    for (int i = 0; i < n; i++) {
        values[i] = is_known(b, i) ? value_at(b, c, i) : (double)NAN;
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
            for (int i = 0; i < b->n; i++) {
                double value = value_at(b, c, i);
                if (!is_known(b, i) || isnan(value) || b->input.is_dead[i] ||
                    r->n == MAX_ROWS) {
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
        const tl_score_input *input = &b->input;
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
        c->figures[N_VARIANTS + per_column] += judge(b, c, answers, 1);
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
    b->seconds[N_VARIANTS + per_column] += (double)(tl_clock_ns() - start_ns) / TL_NS_PER_S;
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
static tl_err find_repeats(bench *b)
{
    int *form = tl_mem_new((size_t)b->n, 2 * sizeof *form);
    double *pair = tl_mem_new((size_t)b->n, 2 * sizeof *pair);
    tl_err err = TL_OK;
    if (form == NULL || pair == NULL) {
        err = tl_fail(TL_ENOMEM, "%d forms", b->n);
        goto done;
    }
    /* As many folds as designs: a fold is one form. */
    if ((err = tl_canonical_folds(b->space, b->designs, b->n, b->n, 1, form)) != TL_OK) {
        goto done;
    }
    for (int k = 0; k < b->n_columns; k++) {
        column *c = &b->columns[k];
        int *first = form + b->n; /* of a form: 0 none, row + 1, -1 paired */
        memset(first, 0, (size_t)b->n * sizeof *first);
        for (int i = 0; i < b->n; i++) {
            int *seen = &first[form[i]];
            if (isnan(value_at(b, c, i)) || b->input.is_dead[i] || *seen < 0) {
                continue;
            }
            if (*seen > 0) {
                pair[c->n_pairs] = value_at(b, c, *seen - 1);
                pair[b->n + c->n_pairs++] = value_at(b, c, i);
            }
            *seen = *seen > 0 ? -1 : i + 1;
        }
        if (tl_spearman(c->n_pairs, pair, pair + b->n, &c->repeat) != TL_OK) {
            c->repeat = (double)NAN;
        }
    }
done:
    tl_mem_free(form);
    tl_mem_free(pair);
    return err;
}

static const char *name_of(int v)
{
    static const char *const together[N_TOGETHER] = {"per_task", "per_column"};
    return v < N_VARIANTS ? variants[v].name : together[v - N_VARIANTS];
}

/* Is the variant among the names asked for? */
static bool is_asked(const char *names, int v)
{
    const char *name = name_of(v);
    size_t len = strlen(name);
    for (const char *at = names; at != NULL && (at = strstr(at, name)) != NULL; at += len) {
        if ((at == names || at[-1] == ',') && (at[len] == ',' || at[len] == '\0')) {
            return true;
        }
    }
    return names == NULL;
}

static void print_columns(const bench *b, const char *names, int n_seeds)
{
    printf("task\tseeds\tn_test");
    for (int v = 0; v < N_VARIANTS + N_TOGETHER; v++) {
        printf("\t%s", name_of(v));
    }
    printf("\ttaught_share\trepeat\tn_pairs\tceiling\n");
    for (int k = 0; k <= b->n_columns; k++) {
        bool is_time = k == b->n_columns;
        const column *c = &b->columns[is_time ? 0 : k];
        printf("%s\t%d\t%d", is_time ? "seconds" : c->name, n_seeds, is_time ? 0 : c->n_test);
        for (int v = 0; v < N_VARIANTS + N_TOGETHER; v++) {
            if (is_asked(names, v)) {
                double sum = is_time ? b->seconds[v] : c->figures[v];
                printf("\t%.4f", sum / n_seeds);
            } else {
                printf("\t-");
            }
        }
        if (is_time) {
            printf("\t-\t-\t-\t-\n");
        } else {
            printf(
                "\t%.2f\t%.4f\t%d\t%.4f\n", (double)c->n_taught[N_VARIANTS - 1] / n_seeds,
                c->repeat, c->n_pairs, sqrt(c->repeat));
        }
    }
}

static tl_err run_seed(bench *b, const char *names, bool is_dev, uint64_t seed)
{
    TL_TRY(split(b, seed, is_dev));
    for (int v = 0; v < N_VARIANTS + N_TOGETHER; v++) {
        if (is_asked(names, v)) {
            TL_TRY(
                v < N_VARIANTS ? run_variant(b, v, seed)
                               : run_together(b, v > N_VARIANTS, seed));
        }
    }
    return TL_OK;
}

int main(int argc, char **argv)
{
    static bench b;
    if (argc < 5) {
        (void)fprintf(
            stderr,
            "usage: %s DATA_DIR SPACES_DIR SEED N_SEEDS [VARIANTS [dev|test [TABLE]]]\n",
            argv[0]);
        return 2;
    }
    int first = (int)strtol(argv[3], NULL, 10);
    int n_seeds = (int)strtol(argv[4], NULL, 10);
    const char *names = argc > 5 ? argv[5] : NULL;
    bool is_dev = argc > 6 && strcmp(argv[6], "dev") == 0;
    b.only_table = argc > 7 ? (int)strtol(argv[7], NULL, 10) : -1;
    tl_blas_single_thread();
    tl_err err = load(argv[1], argv[2], &b);
    if (err == TL_OK) {
        err = find_repeats(&b);
    }
    for (int seed = first; seed < first + n_seeds && err == TL_OK; seed++) {
        err = run_seed(&b, names, is_dev, (uint64_t)seed);
    }
    if (err == TL_OK) {
        print_columns(&b, names, n_seeds);
    } else {
        (void)fprintf(stderr, "%s\n", tl_err_detail());
    }
    for (int k = 0; k < b.n_columns; k++) {
        tl_mem_free(b.columns[k].name);
    }
    tl_score_input_done(&b.input);
    tl_mem_free(b.designs);
    tl_mem_free(b.labels);
    tl_mem_free(b.fold);
    tl_space_unref(b.space);
    return err == TL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
