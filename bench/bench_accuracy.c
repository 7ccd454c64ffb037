/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accuracy of unseen designs: fits accuracy models on some designs of a public
 * table and judges them on a fifth of the canonical forms, which no fit saw.
 *
 *     bench_accuracy DATA_DIR [SPACES_DIR [SEEDS [CASE]]]
 *
 * One line per case and task, tab-separated: means over the seeds (a seed draws
 * the split, the sample and the model). CASE keeps the cases whose name contains it.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"
#include "measurements/table.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"
#include "predictors/accuracy.h"
#include "predictors/accuracy_codec.h"
#include "predictors/folds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_TABLE_BYTES = 64 * 1024 * 1024,
    MAX_TASKS = 16,
    N_FOLDS = 5, /* one of them is held out */
    TOP = 5,
};

static const double z90 = 1.6448536269514722;

typedef struct bench_case {
    const char *name, *space, *table;
    int n_train; /* 0: all that are not held out */
} bench_case;

static const bench_case cases[] = {
    {"nasbench201-200",   "nasbench201",   "nasbench201.csv",        200 },
    {"nasbench201-1000",  "nasbench201",   "nasbench201.csv",        1000},
    {"nasbench201-5000",  "nasbench201",   "nasbench201.csv",        5000},
    {"nasbench201-all",   "nasbench201",   "nasbench201.csv",        0   },
    {"int8-1000",         "nasbench201",   "nasbench201-int8.csv",   1000},
    {"int8-all",          "nasbench201",   "nasbench201-int8.csv",   0   },
    {"qat50-all",         "nasbench201",   "nasbench201-qat50.csv",  0   },
    {"qat150-all",        "nasbench201",   "nasbench201-qat150.csv", 0   },
    {"analog-all",        "nasbench201",   "nasbench201-analog.csv", 0   },
    {"mnasnet-200",       "mnasnet",       "mnasnet.csv",            200 },
    {"mnasnet-1000",      "mnasnet",       "mnasnet.csv",            1000},
    {"mnasnet-all",       "mnasnet",       "mnasnet.csv",            0   },
    {"mobilenet-zoo-all", "mobilenet-zoo", "mobilenet-zoo.csv",      0   },
};

/* A table's accuracies. */
typedef struct labels {
    tl_table table;
    double *values; /* [n, n_tasks] */
    const char *tasks[MAX_TASKS];
    int n_tasks;
} labels;

/* Sums over seeds, per task. */
typedef struct figures {
    double spearman, spearman_square, top_gap, rmse, coverage, own_spearman;
} figures;

typedef struct costs {
    double fit_s, predict_ms;
    size_t model_bytes;
    const char *method;
    bool reads_form;
} costs;

static tl_err read_labels(const tl_space *space, const char *path, labels *out)
{
    char *data = NULL;
    size_t len = 0;
    TL_TRY(tl_file_read(path, MAX_TABLE_BYTES, &data, &len));
    tl_err err = tl_table_parse(space, path, NULL, data, len, &out->table);
    tl_mem_free(data);
    TL_TRY(err);
    const tl_table *t = &out->table;
    int columns[MAX_TASKS];
    for (int c = 0; c < t->n_columns && out->n_tasks < MAX_TASKS; c++) {
        if (t->columns[c].metric == TL_METRIC_ACCURACY) {
            out->tasks[out->n_tasks] = t->columns[c].name;
            columns[out->n_tasks++] = c;
        }
    }
    out->values = tl_mem_new((size_t)t->n * (size_t)out->n_tasks, sizeof *out->values);
    if (out->values == NULL) {
        return tl_fail(TL_ENOMEM, "%d labels", t->n);
    }
    for (int i = 0; i < t->n; i++) {
        for (int k = 0; k < out->n_tasks; k++) {
            out->values[i * out->n_tasks + k] =
                t->values[(ptrdiff_t)i * t->n_columns + columns[k]];
        }
    }
    return TL_OK;
}

/* Labels of n_train rows outside the held-out fold; NaN elsewhere, so that the fit skips them. */
static void sample_labels(
    const labels *all,
    const int *fold,
    int n_train,
    tl_rng *rng,
    int *order,
    double *out_values)
{
    int n = all->table.n;
    int n_taken = 0;
    for (int i = 0; i < n * all->n_tasks; i++) {
        out_values[i] = (double)NAN;
    }
    tl_rng_permutation(rng, n, order);
    for (int i = 0; i < n && (n_train == 0 || n_taken < n_train); i++) {
        int row = order[i];
        if (fold[row] == 0) {
            continue;
        }
        memcpy(
            out_values + row * all->n_tasks, all->values + row * all->n_tasks,
            (size_t)all->n_tasks * sizeof *out_values);
        n_taken++;
    }
}

/* Adds one seed's figures of a task on the held-out fold. scratch has room for 2 n. */
static tl_err judge(
    const labels *all,
    const int *fold,
    int task,
    const double *mean,
    const double *std,
    double *scratch,
    figures *f)
{
    int n = 0;
    int n_covered = 0;
    double square = 0.0;
    double *predicted = scratch;
    double *truth = scratch + all->table.n;
    for (int i = 0; i < all->table.n; i++) {
        int at = i * all->n_tasks + task;
        if (fold[i] != 0 || isnan(all->values[at])) {
            continue;
        }
        predicted[n] = mean[at];
        truth[n] = all->values[at];
        double error = mean[at] - all->values[at];
        square += error * error;
        n_covered += fabs(error) <= z90 * std[at];
        n++;
    }
    double rho = 0.0;
    TL_TRY(tl_spearman(n, predicted, truth, &rho));
    double best = -(double)INFINITY;
    double best_of_top = -(double)INFINITY;
    for (int i = 0; i < n; i++) {
        best = truth[i] > best ? truth[i] : best;
    }
    for (int t = 0; t < TOP && t < n; t++) {
        int first = 0;
        for (int i = 1; i < n; i++) {
            first = predicted[i] > predicted[first] ? i : first;
        }
        best_of_top = truth[first] > best_of_top ? truth[first] : best_of_top;
        predicted[first] = -(double)INFINITY;
    }
    f->spearman += rho;
    f->spearman_square += rho * rho;
    f->top_gap += best - best_of_top;
    f->rmse += sqrt(square / n);
    f->coverage += (double)n_covered / n;
    return TL_OK;
}

typedef struct scratch {
    int *fold, *order;
    double *values, *mean, *std, *pair;
} scratch;

static void scratch_done(scratch *s)
{
    tl_mem_free(s->fold);
    tl_mem_free(s->order);
    tl_mem_free(s->values);
    tl_mem_free(s->mean);
    tl_mem_free(s->std);
    tl_mem_free(s->pair);
}

static tl_err scratch_init(const labels *all, scratch *s)
{
    size_t n = (size_t)all->table.n;
    size_t n_values = n * (size_t)all->n_tasks;
    s->fold = tl_mem_new(n, sizeof *s->fold);
    s->order = tl_mem_new(n, sizeof *s->order);
    s->values = tl_mem_new(n_values, sizeof *s->values);
    s->mean = tl_mem_new(n_values, sizeof *s->mean);
    s->std = tl_mem_new(n_values, sizeof *s->std);
    s->pair = tl_mem_new(n, 2 * sizeof *s->pair);
    if (s->fold == NULL || s->order == NULL || s->values == NULL || s->mean == NULL ||
        s->std == NULL || s->pair == NULL) {
        return tl_fail(TL_ENOMEM, "%zu values", n_values);
    }
    return TL_OK;
}

static tl_err run_seed(
    const tl_space *space,
    const labels *all,
    int n_train,
    uint64_t seed,
    scratch *s,
    figures *sums,
    costs *out_costs)
{
    tl_rng rng;
    tl_rng_init(&rng, seed);
    TL_TRY(tl_canonical_folds(space, all->table.designs, all->table.n, N_FOLDS, seed, s->fold));
    sample_labels(all, s->fold, n_train, &rng, s->order, s->values);
    tl_accuracy_data data = {
        .space = space,
        .designs = all->table.designs,
        .n = all->table.n,
        .labels = s->values,
        .tasks = all->tasks,
        .n_tasks = all->n_tasks,
    };
    tl_accuracy_options options = {.seed = seed};
    tl_accuracy_model *model = NULL;
    tl_accuracy_report report[MAX_TASKS];
    tl_bytes packed = {0};
    int64_t start_ns = tl_clock_ns();
    TL_TRY(tl_accuracy_fit(&data, &options, &model, report));
    int64_t fitted_ns = tl_clock_ns();
    tl_err err = tl_accuracy_predict(model, all->table.designs, all->table.n, s->mean, s->std);
    int64_t predicted_ns = tl_clock_ns();
    for (int k = 0; k < all->n_tasks && err == TL_OK; k++) {
        err = judge(all, s->fold, k, s->mean, s->std, s->pair, &sums[k]);
        sums[k].own_spearman += report[k].spearman;
    }
    if (err == TL_OK) {
        err = tl_accuracy_pack(model, &packed);
    }
    out_costs->fit_s += (double)(fitted_ns - start_ns) / TL_NS_PER_S;
    out_costs->predict_ms += (double)(predicted_ns - fitted_ns) / TL_NS_PER_MS;
    out_costs->model_bytes = packed.len;
    out_costs->method = tl_accuracy_model_method(model);
    out_costs->reads_form = report[0].reads_form;
    tl_mem_free(packed.data);
    tl_accuracy_model_free(model);
    return err;
}

static void print_figures(
    const bench_case *c,
    const labels *all,
    int n_seeds,
    const figures *sums,
    const costs *spent)
{
    for (int k = 0; k < all->n_tasks; k++) {
        const figures *f = &sums[k];
        double rho = f->spearman / n_seeds;
        double variance = f->spearman_square / n_seeds - rho * rho;
        printf(
            "%s\t%s\t%d\t%s%s\t%.4f\t%.4f\t%.4f\t%.2f\t%.2f\t%.3f\t%.2f\t%.1f\t%zu\n", c->name,
            all->tasks[k], n_seeds, spent->method, spent->reads_form ? " + form" : "", rho,
            sqrt(variance > 0.0 ? variance : 0.0), f->own_spearman / n_seeds,
            f->top_gap / n_seeds, f->rmse / n_seeds, f->coverage / n_seeds,
            spent->fit_s / n_seeds, spent->predict_ms / n_seeds, spent->model_bytes);
    }
    (void)fflush(stdout);
}

static tl_err run_case(
    const bench_case *c, const char *data_dir, const char *spaces_dir, int n_seeds)
{
    labels all = {0};
    scratch s = {0};
    figures sums[MAX_TASKS] = {0};
    costs spent = {0};
    tl_space *space = NULL;
    tl_text path = {0};
    tl_text_addf(&path, "%s/%s.yaml", spaces_dir, c->space);
    tl_err err = tl_space_load(path.data, &space);
    if (err != TL_OK) {
        goto done;
    }
    tl_text_clear(&path);
    tl_text_addf(&path, "%s/%s", data_dir, c->table);
    if ((err = read_labels(space, path.data, &all)) != TL_OK ||
        (err = scratch_init(&all, &s)) != TL_OK) {
        goto done;
    }
    for (int seed = 1; seed <= n_seeds; seed++) {
        if ((err = run_seed(space, &all, c->n_train, (uint64_t)seed, &s, sums, &spent)) !=
            TL_OK) {
            goto done;
        }
    }
    print_figures(c, &all, n_seeds, sums, &spent);
done:
    scratch_done(&s);
    tl_mem_free(all.values);
    tl_table_done(&all.table);
    tl_text_done(&path);
    tl_space_unref(space);
    return err;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s DATA_DIR [SPACES_DIR [SEEDS [CASE]]]\n", argv[0]);
        return 2;
    }
    const char *spaces_dir = argc > 2 ? argv[2] : "spaces";
    int n_seeds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 3;
    int status = EXIT_SUCCESS;
    tl_blas_single_thread();
    printf(
        "case\ttask\tseeds\tmethod\tspearman\tsd\town_spearman\ttop5_gap\trmse\tcover90\tfit_s\t"
        "predict_ms\tmodel_bytes\n");
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        if (argc > 4 && strstr(cases[i].name, argv[4]) == NULL) {
            continue;
        }
        if (run_case(&cases[i], argv[1], spaces_dir, n_seeds) != TL_OK) {
            (void)fprintf(stderr, "%s: %s\n", cases[i].name, tl_err_detail());
            status = EXIT_FAILURE;
        }
    }
    return status;
}
