/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Proxy devices: how well a new device's agreement in rank with known ones is told from a
 * few measurements, and what designs a proxy is good for.
 *
 *     bench_proxy agreement SPACES DATA SPACE SEEDS
 *     bench_proxy designs SPACES DATA ACCURACIES SEEDS
 *
 * agreement: every other device of the space's first pool beside its sources. One
 * tab-separated line for each pair of devices, seed and number of measurements: the estimate
 * and its interval, Spearman's coefficient of the samples themselves with Fisher's
 * interval, and the coefficient over all designs that were measured on both.
 *
 * designs: nasbench201. One line for each device, seed, number of measurements, way to
 * choose, task and limit: whether the answer misses its limit, its regret. ACCURACIES: the
 * file that `bench_selection accuracies` writes.
 */

#include "base/units.h"
#include "bench/pool_trial.h"
#include "measurements/designs.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"
#include "optimizer/proxy.h"
#include "predictors/suggest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_SIZES = 4,
    SAMPLE_SEED = 7100,
    MIN_MEASURED = 1000,
};

static const int sizes[N_SIZES] = {5, 10, 20, 50};

/* How well the source ranks all designs of the table: as training reports it. */
static double rank_of_source(const bench_data *bench, const tl_source *source, int column)
{
    int n = 0;
    double rho = 0;
    double *x = bench_array(2 * bench->table.n, sizeof *x);
    double *y = x + bench->table.n;
    tl_source_predict(source, tl_dro(bench->rows), x);
    for (int i = 0; i < bench->table.n; i++) {
        y[n] = bench_value(bench, i, column);
        x[n] = x[i];
        n += !isnan(y[n]);
    }
    bench_check(tl_spearman(n, x, y, &rho), "spearman");
    tl_mem_free(x);
    return rho;
}

/* The sources as a model's known devices. */
static tl_predictor *predictor_of(const bench_data *bench, pool_sources *sources)
{
    tl_model *model = NULL;
    tl_predictor *predictor = NULL;
    bench_check(tl_model_new(bench->space, &model), "model");
    for (int s = 0; s < sources->n; s++) {
        tl_source copy;
        bench_check(tl_source_copy(&sources->fitted[s], &copy), "source");
        bench_check(
            tl_model_add_source(
                model, bench->table.columns[sources->column[s]].name, TL_COST_LATENCY, &copy),
            "model");
        bench_check(
            tl_model_add_figure(
                model, "held-out designs", bench->table.columns[sources->column[s]].name,
                tl_cost_name(TL_COST_LATENCY),
                rank_of_source(bench, &sources->fitted[s], sources->column[s]), 1),
            "model");
    }
    bench_check(tl_predictor_new(bench->space, model, &predictor), "predictor");
    return predictor;
}

/* Suggested designs that were measured on the device, as many as there are random ones. */
static void choose(
    const bench_data *bench, const pool_trial *trial, int column, int n, tl_rng *rng, int *out)
{
    int *rows = bench_array(2 * bench->table.n, sizeof *rows);
    if (bench_measured(bench, column, 0, rows) == bench->table.n) {
        trial_suggest(trial, n, rng, out);
    } else {
        int n_measured = bench_measured(bench, column, 0, rows);
        tl_rng_choose(rng, n_measured, n, rows + bench->table.n, out);
        for (int i = 0; i < n; i++) {
            out[i] = rows[out[i]];
        }
    }
    tl_mem_free(rows);
}

static tl_view *view_of(
    const bench_data *bench, tl_predictor *predictor, int column, const int *rows, int n)
{
    tl_view *view = NULL;
    int n_slots = tl_space_n_slots(bench->space);
    tl_choice *designs = bench_array(n * n_slots, sizeof *designs);
    double *values = bench_array(n, sizeof *values);
    for (int i = 0; i < n; i++) {
        memcpy(
            designs + (ptrdiff_t)i * n_slots,
            tl_design_at(bench->table.designs, n_slots, rows[i]),
            (size_t)n_slots * sizeof *designs);
        values[i] = bench_value(bench, rows[i], column);
    }
    tl_view_data data = {.device = "new", .samples = {{designs, values, n}}};
    bench_check(tl_view_new(predictor, &data, &view), "view");
    tl_mem_free(designs);
    tl_mem_free(values);
    return view;
}

/* ---- agreement ------------------------------------------------------------------------------ */

/* Over the designs measured on both; rows NULL: all of the table. */
static double coefficient(const bench_data *bench, int a, int b, const int *rows, int n_rows)
{
    int n = 0;
    double rho = 0;
    int n_all = rows != NULL ? n_rows : bench->table.n;
    double *x = bench_array(2 * n_all, sizeof *x);
    double *y = x + n_all;
    for (int i = 0; i < n_all; i++) {
        int row = rows != NULL ? rows[i] : i;
        x[n] = bench_value(bench, row, a);
        y[n] = bench_value(bench, row, b);
        n += !isnan(x[n]) && !isnan(y[n]);
    }
    bench_check(tl_spearman(n, x, y, &rho), "spearman");
    tl_mem_free(x);
    return rho;
}

static int source_of(const bench_data *bench, const pool_sources *sources, const char *name)
{
    for (int s = 0; s < sources->n; s++) {
        if (strcmp(bench->table.columns[sources->column[s]].name, name) == 0) {
            return sources->column[s];
        }
    }
    return -1;
}

static void print_agreements(
    const bench_data *bench,
    const pool_sources *sources,
    tl_predictor *predictor,
    int column,
    int seed,
    const int *rows,
    int n)
{
    tl_agreement agreements[POOL_MAX_DEVICES];
    tl_view *view = view_of(bench, predictor, column, rows, n);
    const char *name = bench->table.columns[column].name;
    bench_check(
        tl_proxy_agreements(view, TL_COST_LATENCY, name, (uint64_t)seed, agreements),
        "agreements");
    for (int s = 0; s < tl_proxy_max_agreements(view, TL_COST_LATENCY, name); s++) {
        int proxy = source_of(bench, sources, agreements[s].device);
        double sample = coefficient(bench, column, proxy, rows, n);
        double z = atanh(fmin(sample, .999));
        double half = tl_normal_quantile(.95) / sqrt(fmax(n - 3, 1));
        (void)printf(
            "%s\t%s\t%d\t%d\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\n", name,
            agreements[s].device, seed, n, agreements[s].spearman, agreements[s].low,
            agreements[s].high, sample, tanh(z - half), tanh(z + half),
            coefficient(bench, column, proxy, NULL, 0));
    }
    tl_view_unref(view);
}

static void run_agreement(const bench_data *bench, const pool_spec *pool, int n_seeds)
{
    (void)printf("device\tproxy\tseed\tsamples\tspearman\tlow\thigh\tsample_spearman\t"
                 "fisher_low\tfisher_high\ttruth\n");
    for (int seed = 0; seed < n_seeds; seed++) {
        pool_sources sources;
        pool_trial trial;
        pool_sources_init(&sources, bench, pool, seed);
        trial_init(&trial, bench, &sources, -1);
        tl_predictor *predictor = predictor_of(bench, &sources);
        for (int c = 0; c < bench->table.n_columns; c++) {
            const tl_table_column *column = &bench->table.columns[c];
            int samples[64];
            int *measured = bench_array(bench->table.n, sizeof *measured);
            int n_measured = bench_measured(bench, c, 0, measured);
            tl_mem_free(measured);
            tl_rng rng;
            if (column->metric != TL_METRIC_LATENCY_MS || n_measured < MIN_MEASURED ||
                bench_is_among(pool->sources, column->name)) {
                continue;
            }
            tl_rng_init(&rng, SAMPLE_SEED + 1000 * (uint64_t)seed + (uint64_t)c);
            for (int k = 0; k < N_SIZES; k++) {
                choose(bench, &trial, c, sizes[k], &rng, samples);
                print_agreements(bench, &sources, predictor, c, seed, samples, sizes[k]);
            }
        }
        tl_predictor_unref(predictor);
        trial_done(&trial);
        pool_sources_done(&sources);
    }
}

/* ---- designs ---------------------------------------------------------------------------------- */

enum {
    N_TASKS = 2,
    N_LIMITS = 4,
    N_PROBES = 10,
    ANSWERED = 5, /* an answer after so many probes, and after all */
};

static const char *const task_names[N_TASKS] = {"cifar10", "cifar100"};
static const double limit_quantiles[N_LIMITS] = {.2, .4, .6, .8};

/* All designs of the table: accuracies measured and predicted, latency on the device at hand. */
typedef struct world {
    const bench_data *bench;
    int n;
    double *truth[N_TASKS], *judged[N_TASKS];
    double *latency;
} world;

static void read_world(const bench_data *bench, const char *path, world *w)
{
    *w = (world){.bench = bench, .n = bench->table.n};
    double *judged = bench_array(w->n * BENCH_N_JUDGED, sizeof *judged);
    bench_read_judged(path, w->n, judged);
    w->latency = bench_array(w->n, sizeof *w->latency);
    for (int t = 0; t < N_TASKS; t++) {
        int column = bench_column(bench, TL_METRIC_ACCURACY, task_names[t]);
        w->truth[t] = bench_array(w->n, sizeof *w->truth[t]);
        w->judged[t] = bench_array(w->n, sizeof *w->judged[t]);
        for (int i = 0; i < w->n; i++) {
            w->truth[t][i] = bench_value(bench, i, column);
            w->judged[t][i] = judged[(ptrdiff_t)i * BENCH_N_JUDGED + t];
        }
    }
    tl_mem_free(judged);
}

static void world_done(world *w)
{
    for (int t = 0; t < N_TASKS; t++) {
        tl_mem_free(w->truth[t]);
        tl_mem_free(w->judged[t]);
    }
    tl_mem_free(w->latency);
}

typedef struct labels {
    const char *device, *proxy;
    int seed, n_samples;
    double agreement;
    const char *method;
    double rho; /* of the latencies that the method goes by */
} labels;

static void print_pick(
    const world *w, const labels *l, int task, double limit, int pick, int n_measured)
{
    double best = -HUGE_VAL;
    for (int i = 0; i < w->n; i++) {
        best = w->latency[i] <= limit ? fmax(best, w->truth[task][i]) : best;
    }
    (void)printf(
        "%s\t%s\t%.4f\t%d\t%s\t%d\t%.4f\t%s\t%.6g\t%d\t%.4f\n", l->device, l->proxy,
        l->agreement, l->seed, l->method, n_measured, l->rho, task_names[task], limit,
        pick < 0 || w->latency[pick] > limit, pick < 0 ? 0 : best - w->truth[task][pick]);
}

/* The best predicted accuracy of what seems to keep the limit. */
static int pick_within(const world *w, const double *latency, int task, double limit)
{
    int pick = -1;
    for (int i = 0; i < w->n; i++) {
        if (latency[i] <= limit && (pick < 0 || w->judged[task][i] > w->judged[task][pick])) {
            pick = i;
        }
    }
    return pick;
}

static void print_one_shots(const world *w, labels l, const double *latency)
{
    double *sorted = bench_array(w->n, sizeof *sorted);
    memcpy(sorted, w->latency, (size_t)w->n * sizeof *sorted);
    bench_check(tl_spearman(w->n, latency, w->latency, &l.rho), "spearman");
    for (int q = 0; q < N_LIMITS; q++) {
        double limit = tl_quantile_inplace(w->n, sorted, limit_quantiles[q]);
        for (int t = 0; t < N_TASKS; t++) {
            print_pick(w, &l, t, limit, pick_within(w, latency, t, limit), l.n_samples);
        }
    }
    tl_mem_free(sorted);
}

/* Designs in the order of the proxy's latency, each more accurate than all before: [*out_n]. */
static int *front_of(const world *w, const double *latency, int task, int *out_n)
{
    int *order = bench_array(w->n, sizeof *order);
    int n = 0;
    double best = -HUGE_VAL;
    bench_check(tl_argsort(w->n, latency, order), "order");
    for (int i = 0; i < w->n; i++) {
        if (w->judged[task][order[i]] > best) {
            best = w->judged[task][order[i]];
            order[n++] = order[i];
        }
    }
    *out_n = n;
    return order;
}

/* Measures along the proxy's front by halving; what the proxy says is used for its order alone. */
static void probe_front(
    const world *w, labels l, const int *front, int n, int task, double limit)
{
    int low = -1; /* the last that kept the limit */
    int high = n;
    int pick = -1;
    for (int k = 1; k <= N_PROBES; k++) {
        if (high - low > 1) {
            int middle = (low + high) / 2;
            if (w->latency[front[middle]] <= limit) {
                low = middle;
                pick = front[middle];
            } else {
                high = middle;
            }
        } else if (high < n - 1) { /* the order may err: the next ones are tried too */
            high++;
            pick = w->latency[front[high]] <= limit ? front[high] : pick;
        }
        if (k % ANSWERED == 0) {
            print_pick(w, &l, task, limit, pick, k);
        }
    }
}

static void print_probed(const world *w, labels l, const double *latency)
{
    double *sorted = bench_array(w->n, sizeof *sorted);
    memcpy(sorted, w->latency, (size_t)w->n * sizeof *sorted);
    bench_check(tl_spearman(w->n, latency, w->latency, &l.rho), "spearman");
    for (int t = 0; t < N_TASKS; t++) {
        int n = 0;
        int *front = front_of(w, latency, t, &n);
        for (int q = 0; q < N_LIMITS; q++) {
            probe_front(
                w, l, front, n, t, tl_quantile_inplace(w->n, sorted, limit_quantiles[q]));
        }
        tl_mem_free(front);
    }
    tl_mem_free(sorted);
}

/* Both fits of the proxy to the samples, and the head. */
static void run_fits(
    const world *w,
    labels l,
    const tl_source *proxy,
    const pool_trial *trial,
    int column,
    const int *samples)
{
    double *latency = bench_array(2 * w->n, sizeof *latency);
    double *y = latency + w->n;
    tl_dmat few;
    tl_adapted fitted = {0};
    tl_head head = {0};
    bench_gather(w->bench->rows, samples, l.n_samples, &few);
    for (int i = 0; i < l.n_samples; i++) {
        y[i] = w->latency[samples[i]];
    }
    bench_check(tl_proxy_scale(proxy, tl_dro(few), y, &fitted), "scale");
    bench_check(tl_adapted_predict(&fitted, tl_dro(w->bench->rows), latency), "scaled");
    tl_adapted_done(&fitted);
    l.method = "reuse";
    print_one_shots(w, l, latency);
    l.method = "reuse, measured";
    print_probed(w, l, latency);
    bench_check(tl_proxy_adapt(proxy, tl_dro(few), y, &fitted), "adapt");
    bench_check(tl_adapted_predict(&fitted, tl_dro(w->bench->rows), latency), "adapted");
    tl_adapted_done(&fitted);
    l.method = "adapt";
    print_one_shots(w, l, latency);
    trial_fit(trial, column, samples, l.n_samples, &head);
    bench_check(tl_head_predict(&head, tl_dro(trial->x), trial->z, latency, NULL), "head");
    tl_head_done(&head);
    l.method = "head";
    print_one_shots(w, l, latency);
    tl_dmat_done(&few);
    tl_mem_free(latency);
}

static void run_device(
    world *w,
    pool_sources *sources,
    tl_predictor *predictor,
    const pool_trial *trial,
    int column,
    int seed)
{
    const bench_data *bench = w->bench;
    const char *name = bench->table.columns[column].name;
    tl_rng rng;
    tl_rng_init(&rng, SAMPLE_SEED + 1000 * (uint64_t)seed + (uint64_t)column);
    for (int i = 0; i < w->n; i++) {
        w->latency[i] = bench_value(bench, i, column);
    }
    for (int k = 0; k < N_SIZES; k++) {
        int samples[64];
        tl_agreement agreements[POOL_MAX_DEVICES];
        choose(bench, trial, column, sizes[k], &rng, samples);
        tl_view *view = view_of(bench, predictor, column, samples, sizes[k]);
        bench_check(
            tl_proxy_agreements(view, TL_COST_LATENCY, name, (uint64_t)seed, agreements),
            "agreements");
        labels l = {
            .device = name,
            .proxy = agreements[0].device,
            .agreement = agreements[0].spearman,
            .seed = seed,
            .n_samples = sizes[k]};
        for (int s = 0; s < sources->n; s++) {
            if (strcmp(bench->table.columns[sources->column[s]].name, l.proxy) == 0) {
                run_fits(w, l, &sources->fitted[s], trial, column, samples);
            }
        }
        tl_view_unref(view);
    }
}

static void run_designs(const bench_data *bench, const char *accuracies, int n_seeds)
{
    world w;
    const pool_spec *pool = &pool_specs[0];
    read_world(bench, accuracies, &w);
    (void)printf(
        "device\tproxy\tagreement\tseed\tmethod\tmeasured\tspearman\ttask\tlimit\tmissed\tregret\n");
    for (int seed = 0; seed < n_seeds; seed++) {
        pool_sources sources;
        pool_trial trial;
        int column;
        pool_sources_init(&sources, bench, pool, seed);
        trial_init(&trial, bench, &sources, -1);
        tl_predictor *predictor = predictor_of(bench, &sources);
        for (const char *at = pool->targets;
             (at = bench_next_column(bench, at, &column)) != NULL;) {
            run_device(&w, &sources, predictor, &trial, column, seed);
        }
        tl_predictor_unref(predictor);
        trial_done(&trial);
        pool_sources_done(&sources);
    }
    world_done(&w);
}

int main(int argc, char **argv)
{
    bench_data bench = {0};
    int n_seeds = argc == 6 ? (int)strtol(argv[5], NULL, 10) : 0;
    bool is_designs = argc == 6 && strcmp(argv[1], "designs") == 0;
    const pool_spec *pool = is_designs ? &pool_specs[0] : NULL;
    for (int p = n_pool_specs - 1; p >= 0 && argc == 6 && !is_designs; p--) {
        pool = strcmp(pool_specs[p].space, argv[4]) == 0 ? &pool_specs[p] : pool;
    }
    if (n_seeds < 1 || pool == NULL || (!is_designs && strcmp(argv[1], "agreement") != 0)) {
        (void)fprintf(
            stderr, "usage: bench_proxy agreement SPACES DATA SPACE SEEDS\n"
                    "       bench_proxy designs SPACES DATA ACCURACIES SEEDS\n");
        return 2;
    }
    tl_blas_single_thread();
    bench_load(&bench, argv[2], argv[3], pool->space);
    if (is_designs) {
        run_designs(&bench, argv[4], n_seeds);
    } else {
        run_agreement(&bench, pool, n_seeds);
    }
    bench_unload(&bench);
    return 0;
}
