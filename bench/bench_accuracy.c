/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accuracy of unseen designs: fits accuracy models on some designs of a public
 * table and judges them on a fifth of the canonical forms, which no fit saw.
 *
 *     bench_accuracy DATA_DIR [SPACES_DIR [SEEDS [CASE [REPULSION]]]]
 *
 * One line per case and task, tab-separated: means over the seeds. A seed draws the
 * split, the sample and the model; in a case of five folds each seed holds out another
 * fold of one split. CASE keeps the cases whose name contains it;
 * REPULSION fits repulsive ensembles with that much of it.
 *
 * Coverage is that of central intervals (tl_accuracy_intervals) and, as std90, of 1.645
 * standard deviations, and nll the mean negative log-likelihood in normal scores; all
 * three are of cells with a path: what one without scores is no prediction. once50 ... are
 * coverages with each canonical form counted once, however many designs it has. normal and
 * own are the mean log loss of the probability that a design reaches a minimum (the .3, .5, .7
 * and .9 quantiles of the held-out designs), by a normal of the reported deviation and by
 * tl_accuracy_confidence().
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "bench/accuracy_table.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"
#include "predictors/accuracy.h"
#include "predictors/accuracy_codec.h"
#include "predictors/accuracy_impl.h"
#include "predictors/folds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_FOLDS = 5, /* one of them is held out */
    TOP = 5,
    N_LEVELS = 4,
};

static const double levels[N_LEVELS] = {0.5, 0.8, 0.9, 0.95};

static const double z90 = 1.6448536269514722;

typedef struct bench_case {
    const char *name, *space, *table;
    int n_train; /* 0: all that are not held out */
    bool has_folds;
} bench_case;

/* Repulsive ensembles where it is positive. */
typedef struct bench_setup {
    const char *data_dir, *spaces_dir;
    int n_seeds;
    double repulsion;
} bench_setup;

static const bench_case cases[] = {
    {"nasbench201-200",   "nasbench201",   "nasbench201.csv",        200,  false},
    {"nasbench201-1000",  "nasbench201",   "nasbench201.csv",        1000, false},
    {"nasbench201-5000",  "nasbench201",   "nasbench201.csv",        5000, false},
    {"nasbench201-all",   "nasbench201",   "nasbench201.csv",        0,    false},
    {"int8-1000",         "nasbench201",   "nasbench201-int8.csv",   1000, false},
    {"int8-all",          "nasbench201",   "nasbench201-int8.csv",   0,    false},
    {"int8-folds",        "nasbench201",   "nasbench201-int8.csv",   0,    true },
    {"qat50-all",         "nasbench201",   "nasbench201-qat50.csv",  0,    false},
    {"qat150-all",        "nasbench201",   "nasbench201-qat150.csv", 0,    false},
    {"analog-all",        "nasbench201",   "nasbench201-analog.csv", 0,    false},
    {"mnasnet-200",       "mnasnet",       "mnasnet.csv",            200,  false},
    {"mnasnet-1000",      "mnasnet",       "mnasnet.csv",            1000, false},
    {"mnasnet-all",       "mnasnet",       "mnasnet.csv",            0,    false},
    {"mobilenet-zoo-all", "mobilenet-zoo", "mobilenet-zoo.csv",      0,    false},
};

/* Sums over seeds, per task. */
typedef struct figures {
    double spearman, spearman_square, top_gap, rmse, own_spearman;
    double coverage[N_LEVELS], std_coverage, nll;
    double once[N_LEVELS]; /* each form counted once */
    double normal_loss, own_loss;
} figures;

typedef struct costs {
    double fit_s, predict_ms;
    size_t model_bytes;
    const char *method;
    bool reads_form;
} costs;

/* Labels of n_train rows outside the held-out fold; NaN elsewhere, so that the fit skips them. */
static void sample_labels(
    const bench_labels *all,
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
    const bench_labels *all,
    const int *fold,
    int task,
    const double *mean,
    double *scratch,
    figures *f)
{
    int n = 0;
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
    return TL_OK;
}

typedef struct scratch {
    int *fold, *order; /* fold 0 is held out */
    int *form, *n_of_form;
    double *values, *mean, *std, *pair;
    double *low, *high; /* [n, n_tasks] */
} scratch;

/* What one answer of the regression says of a target, both in scores. */
static double score_nll(
    const tl_accuracy_noise *noise, double target, double mean, double spread)
{
    double scale = tl_accuracy_scale(noise, mean, spread);
    double x = (target - mean) / scale;
    double nll = log(scale);
    if (noise->tail > 0.0) {
        double dof = 1.0 / noise->tail;
        return nll + lgamma(0.5 * dof) - lgamma(0.5 * (dof + 1.0)) +
               0.5 * log(dof * acos(-1.0)) + 0.5 * (dof + 1.0) * log1p(x * x / dof);
    }
    return nll + 0.5 * x * x + 0.5 * log(2.0 * acos(-1.0));
}

/* Held out, labelled, and with a path. */
static bool is_uncertain(
    const bench_labels *all, const tl_score_input *input, const scratch *s, int row, int task)
{
    return s->fold[row] == 0 && !isnan(all->values[row * all->n_tasks + task]) &&
           !input->is_dead[row];
}

/* The share of held-out designs, or of forms, within s->low and s->high. */
static double share_covered(
    const bench_labels *all,
    const tl_score_input *input,
    const scratch *s,
    int task,
    bool is_once)
{
    double n = 0.0;
    double n_covered = 0.0;
    memset(s->n_of_form, 0, (size_t)all->table.n * sizeof *s->n_of_form);
    for (int i = 0; i < all->table.n; i++) {
        s->n_of_form[s->form[i]] += is_uncertain(all, input, s, i, task);
    }
    for (int i = 0; i < all->table.n; i++) {
        int at = i * all->n_tasks + task;
        if (is_uncertain(all, input, s, i, task)) {
            double weight = is_once ? 1.0 / s->n_of_form[s->form[i]] : 1.0;
            bool is_covered = s->low[at] <= all->values[at] && all->values[at] <= s->high[at];
            n += weight;
            n_covered += is_covered ? weight : 0.0;
        }
    }
    return n_covered / n;
}

static double log_loss(double p, bool is_true)
{
    static const double least = 1e-6;
    double q = is_true ? p : 1.0 - p;
    return -log(q > least ? q : least);
}

/* Adds the losses of the probability that designs reach a minimum. */
static void judge_minima(
    const bench_labels *all,
    const tl_accuracy_model *model,
    const tl_score_input *input,
    const scratch *s,
    int task,
    figures *sums)
{
    static const double quantiles[] = {0.3, 0.5, 0.7, 0.9};
    const int n_minima = (int)TL_COUNT(quantiles);
    int n = 0;
    double *truth = s->pair;
    for (int i = 0; i < all->table.n; i++) {
        if (is_uncertain(all, input, s, i, task)) {
            truth[n++] = all->values[i * all->n_tasks + task];
        }
    }
    for (int q = 0; q < n_minima; q++) {
        double least = tl_quantile_inplace(n, truth, quantiles[q]);
        tl_confidence own;
        tl_accuracy_confidence(model, task, least, &own);
        for (int i = 0; i < all->table.n; i++) {
            int at = i * all->n_tasks + task;
            if (is_uncertain(all, input, s, i, task)) {
                double z = (s->mean[at] - least) / s->std[at];
                bool is_true = all->values[at] >= least;
                sums->normal_loss += log_loss(tl_normal_cdf(z), is_true) / n / n_minima;
                sums->own_loss +=
                    log_loss(tl_confidence_of_margin(&own, z), is_true) / n / n_minima;
            }
        }
    }
}

static double mean_nll(
    const bench_labels *all,
    const tl_accuracy_output *output,
    const tl_score_input *input,
    const scratch *s,
    tl_mat mean,
    tl_mat spread,
    int task)
{
    int n = 0;
    double sum = 0.0;
    for (int i = 0; i < all->table.n; i++) {
        if (is_uncertain(all, input, s, i, task)) {
            double value = all->values[i * all->n_tasks + task];
            n++;
            sum += score_nll(
                &output->noise, tl_rank_map_forward(&output->map, value),
                (double)tl_mat_row(mean, i)[task], (double)tl_mat_row(spread, i)[task]);
        }
    }
    return sum / n;
}

/* Adds the likelihoods and the coverage of held-out designs with a path. */
static tl_err judge_uncertainty(
    const bench_labels *all, const tl_accuracy_model *model, scratch *s, figures *sums)
{
    const tl_table *t = &all->table;
    int n_values = t->n * all->n_tasks;
    tl_score_input input = {0};
    tl_mat mean = {0};
    tl_mat spread = {0};
    tl_err err = tl_score_encode(&model->encoder, t->designs, t->n, &input);
    if (err != TL_OK || (err = tl_mat_init(&mean, t->n, all->n_tasks)) != TL_OK ||
        (err = tl_mat_init(&spread, t->n, all->n_tasks)) != TL_OK ||
        (err = tl_score_predict(&model->score, &input, mean, spread)) != TL_OK) {
        goto done;
    }
    for (int level = 0; level < N_LEVELS; level++) {
        if ((err = tl_accuracy_intervals(
                 model, t->designs, t->n, levels[level], s->low, s->high)) != TL_OK) {
            goto done;
        }
        for (int k = 0; k < all->n_tasks; k++) {
            sums[k].coverage[level] += share_covered(all, &input, s, k, false);
            sums[k].once[level] += share_covered(all, &input, s, k, true);
        }
    }
    for (int i = 0; i < n_values; i++) {
        s->low[i] = s->mean[i] - z90 * s->std[i];
        s->high[i] = s->mean[i] + z90 * s->std[i];
    }
    for (int k = 0; k < all->n_tasks; k++) {
        sums[k].std_coverage += share_covered(all, &input, s, k, false);
        judge_minima(all, model, &input, s, k, &sums[k]);
        sums[k].nll += mean_nll(all, &model->outputs[k], &input, s, mean, spread, k);
    }
done:
    tl_score_input_done(&input);
    tl_mat_done(&mean);
    tl_mat_done(&spread);
    return err;
}

static void scratch_done(scratch *s)
{
    tl_mem_free(s->fold);
    tl_mem_free(s->order);
    tl_mem_free(s->form);
    tl_mem_free(s->values);
    tl_mem_free(s->mean);
    tl_mem_free(s->std);
    tl_mem_free(s->pair);
    tl_mem_free(s->low);
    tl_mem_free(s->high);
}

static tl_err scratch_init(const bench_labels *all, scratch *s)
{
    size_t n = (size_t)all->table.n;
    size_t n_values = n * (size_t)all->n_tasks;
    s->fold = tl_mem_new(n, sizeof *s->fold);
    s->order = tl_mem_new(n, sizeof *s->order);
    s->form = tl_mem_new(n, 2 * sizeof *s->form);
    s->n_of_form = s->form != NULL ? s->form + n : NULL;
    s->values = tl_mem_new(n_values, sizeof *s->values);
    s->mean = tl_mem_new(n_values, sizeof *s->mean);
    s->std = tl_mem_new(n_values, sizeof *s->std);
    s->pair = tl_mem_new(n, 2 * sizeof *s->pair);
    s->low = tl_mem_new(n_values, sizeof *s->low);
    s->high = tl_mem_new(n_values, sizeof *s->high);
    if (s->form == NULL || s->low == NULL || s->high == NULL || s->fold == NULL ||
        s->order == NULL || s->values == NULL || s->mean == NULL || s->std == NULL ||
        s->pair == NULL) {
        return tl_fail(TL_ENOMEM, "%zu values", n_values);
    }
    return TL_OK;
}

/* Marks what is held out as fold 0. */
static tl_err split(
    const tl_space *space, const bench_labels *all, bool has_folds, uint64_t seed, int *fold)
{
    TL_TRY(tl_canonical_folds(
        space, all->table.designs, all->table.n, N_FOLDS, has_folds ? 0 : seed, fold));
    int held_out = has_folds ? (int)(seed - 1) % N_FOLDS : 0;
    for (int i = 0; i < all->table.n; i++) {
        fold[i] = fold[i] != held_out;
    }
    return TL_OK;
}

static tl_err run_seed(
    const tl_space *space,
    const bench_labels *all,
    const bench_case *c,
    double repulsion,
    uint64_t seed,
    scratch *s,
    figures *sums,
    costs *out_costs)
{
    tl_rng rng;
    tl_rng_init(&rng, seed);
    TL_TRY(split(space, all, c->has_folds, seed, s->fold));
    sample_labels(all, s->fold, c->n_train, &rng, s->order, s->values);
    tl_accuracy_data data = {
        .space = space,
        .designs = all->table.designs,
        .n = all->table.n,
        .labels = s->values,
        .tasks = all->tasks,
        .n_tasks = all->n_tasks,
    };
    tl_accuracy_options options = {
        .seed = seed,
        .ensemble = repulsion > 0.0 ? TL_ENSEMBLE_REPULSIVE : TL_ENSEMBLE_DEEP,
        .repulsion = repulsion};
    tl_accuracy_model *model = NULL;
    tl_accuracy_report report[BENCH_MAX_TASKS];
    tl_bytes packed = {0};
    int64_t start_ns = tl_clock_ns();
    TL_TRY(tl_accuracy_fit(&data, &options, &model, report));
    int64_t fitted_ns = tl_clock_ns();
    tl_err err = tl_accuracy_predict(model, all->table.designs, all->table.n, s->mean, s->std);
    int64_t predicted_ns = tl_clock_ns();
    for (int k = 0; k < all->n_tasks && err == TL_OK; k++) {
        err = judge(all, s->fold, k, s->mean, s->pair, &sums[k]);
        sums[k].own_spearman += report[k].spearman;
    }
    if (err == TL_OK) {
        err = judge_uncertainty(all, model, s, sums);
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
    const bench_labels *all,
    int n_seeds,
    const figures *sums,
    const costs *spent)
{
    for (int k = 0; k < all->n_tasks; k++) {
        const figures *f = &sums[k];
        double rho = f->spearman / n_seeds;
        double variance = f->spearman_square / n_seeds - rho * rho;
        printf(
            "%s\t%s\t%d\t%s%s\t%.4f\t%.4f\t%.4f\t%.2f\t%.2f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t"
            "%.2f\t%.1f\t%zu\t%.3f\t%.3f\t%.3f\t%.3f\t%.4f\t%.4f\n",
            c->name, all->tasks[k], n_seeds, spent->method, spent->reads_form ? " + form" : "",
            rho, sqrt(variance > 0.0 ? variance : 0.0), f->own_spearman / n_seeds,
            f->top_gap / n_seeds, f->rmse / n_seeds, f->nll / n_seeds, f->coverage[0] / n_seeds,
            f->coverage[1] / n_seeds, f->coverage[2] / n_seeds, f->coverage[3] / n_seeds,
            f->std_coverage / n_seeds, spent->fit_s / n_seeds, spent->predict_ms / n_seeds,
            spent->model_bytes, f->once[0] / n_seeds, f->once[1] / n_seeds,
            f->once[2] / n_seeds, f->once[3] / n_seeds, f->normal_loss / n_seeds,
            f->own_loss / n_seeds);
    }
    (void)fflush(stdout);
}

static tl_err run_case(const bench_case *c, const bench_setup *setup)
{
    bench_labels all = {0};
    scratch s = {0};
    figures sums[BENCH_MAX_TASKS] = {0};
    costs spent = {0};
    tl_space *space = NULL;
    tl_text path = {0};
    tl_text_addf(&path, "%s/%s.yaml", setup->spaces_dir, c->space);
    tl_err err = tl_space_load(path.data, &space);
    if (err != TL_OK) {
        goto done;
    }
    tl_text_clear(&path);
    tl_text_addf(&path, "%s/%s", setup->data_dir, c->table);
    if ((err = bench_labels_read(space, path.data, &all)) != TL_OK ||
        (err = scratch_init(&all, &s)) != TL_OK ||
        /* as many folds as designs: a fold is one form */
        (err = tl_canonical_folds(
             space, all.table.designs, all.table.n, all.table.n, 1, s.form)) != TL_OK) {
        goto done;
    }
    for (int seed = 1; seed <= setup->n_seeds; seed++) {
        if ((err = run_seed(
                 space, &all, c, setup->repulsion, (uint64_t)seed, &s, sums, &spent)) !=
            TL_OK) {
            goto done;
        }
    }
    print_figures(c, &all, setup->n_seeds, sums, &spent);
done:
    scratch_done(&s);
    bench_labels_done(&all);
    tl_text_done(&path);
    tl_space_unref(space);
    return err;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(
            stderr, "usage: %s DATA_DIR [SPACES_DIR [SEEDS [CASE [REPULSION]]]]\n", argv[0]);
        return 2;
    }
    bench_setup setup = {
        .data_dir = argv[1],
        .spaces_dir = argc > 2 ? argv[2] : "spaces",
        .n_seeds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 3,
        .repulsion = argc > 5 ? strtod(argv[5], NULL) : 0.0};
    int status = EXIT_SUCCESS;
    tl_blas_single_thread();
    printf("case\ttask\tseeds\tmethod\tspearman\tsd\town_spearman\ttop5_gap\trmse\tnll\t"
           "cover50\tcover80\tcover90\tcover95\tstd90\tfit_s\t"
           "predict_ms\tmodel_bytes\tonce50\tonce80\tonce90\tonce95\tnormal\town\n");
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        if (argc > 4 && strstr(cases[i].name, argv[4]) == NULL) {
            continue;
        }
        if (run_case(&cases[i], &setup) != TL_OK) {
            (void)fprintf(stderr, "%s: %s\n", cases[i].name, tl_err_detail());
            status = EXIT_FAILURE;
        }
    }
    return status;
}
