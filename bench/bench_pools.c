/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Few-shot latency on pools of devices: known devices fitted to hundreds of
 * measurements each, unseen devices to a few, judged on all other designs.
 * One tab-separated line for each pool, number of samples, way of choosing them
 * and, with seeds averaged, each unseen device. A target of a pool that is one
 * of its sources too is left out of them while it is judged.
 *
 *     bench_pools SPACES DATA [SAMPLES[,SAMPLES ...] [SEEDS [POOL]]] [NAME=VALUE ...]
 *
 * SPACES holds the space files, DATA the measurement tables. Names are those of
 * tl_head_settings (predictors/head_settings.h; prior0=, prior1= ... for the hypotheses and
 * level_shape0= ... for the levels), to run what was not kept. sources=1 judges each known
 * device with the others as sources, in place of the unseen ones: for choosing between
 * variants.
 */

#include "base/clock.h"
#include "base/units.h"
#include "bench/pool_trial.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_SAMPLES = 1000,
    MAX_SIZES = 16,
    MAX_SEEDS = 16,
    N_WAYS = 2,
    SAMPLE_SEED = 500,
};

enum {
    RHO,
    MEDIAN_ERROR,
    P90_ERROR,
    WITHIN_10,
    C50,
    C80,
    C95,
    MAPE,
    RMSL,
    FIT_MS,
    N_FIGURES
};

static const char *const figure_names[N_FIGURES] = {
    "spearman", "median_error", "p90_error", "within_10pct", "c50",
    "c80",      "c95",          "mape",      "rmse_log",     "fit_ms"};

static const char *const way_names[N_WAYS] = {"random", "chosen"};

typedef struct bench_plan {
    int sizes[MAX_SIZES];
    int n_sizes, n_seeds;
    tl_head_settings settings;
    double judges_sources;
} bench_plan;

/* Sums over seeds of one pool, number of samples and way of choosing. */
typedef struct pool_result {
    double figures[POOL_MAX_DEVICES][N_FIGURES];
    double rho_by_seed[MAX_SEEDS];
    int n_devices;
} pool_result;

/* ---- samples ------------------------------------------------------------------------------ */

/* Suggestions of one trial, the same for all of its devices. */
typedef struct suggestions {
    int one;                   /* for a device that is measured once only */
    int many[2 * MAX_SAMPLES]; /* in order of preference */
    int n_many;
} suggestions;

static void suggest_all(const pool_trial *trial, int most, tl_rng *rng, suggestions *out)
{
    tl_rng again = *rng;
    int n = trial->bench->table.n;
    out->n_many = 2 * most < n ? 2 * most : n;
    trial_suggest(trial, 1, &again, &out->one);
    trial_suggest(trial, out->n_many, rng, out->many);
}

/* The first n suggested designs that take part. */
static int take_suggested(
    const pool_trial *trial,
    const suggestions *from,
    const int *measured,
    int n_measured,
    int n,
    int *out_rows)
{
    int n_rows = 0;
    bool *takes_part = bench_array(trial->bench->table.n, sizeof *takes_part);
    for (int i = 0; i < n_measured; i++) {
        takes_part[measured[i]] = true;
    }
    if (n == 1 && takes_part[from->one]) {
        out_rows[n_rows++] = from->one;
    }
    for (int i = 0; i < from->n_many && n_rows < n; i++) {
        if (takes_part[from->many[i]]) {
            out_rows[n_rows++] = from->many[i];
        }
    }
    tl_mem_free(takes_part);
    return n_rows;
}

/* ---- judging ------------------------------------------------------------------------------- */

/* Relative errors; those of measurements below .2 of the median are the timer's. */
static void judge_errors(
    int n, const double *y, const double *mean, double median, double *figures)
{
    double *errors = bench_array(n, sizeof *errors);
    int n_trusted = 0;
    for (int i = 0; i < n; i++) {
        double guess = fmax(mean[i], .05 * median);
        double off = fabs(guess / y[i] - 1);
        errors[i] = off;
        figures[WITHIN_10] += off < .1;
        if (y[i] > .2 * median) {
            figures[MAPE] += off;
            figures[RMSL] += log(guess / y[i]) * log(guess / y[i]);
            n_trusted++;
        }
    }
    figures[WITHIN_10] /= n;
    figures[MAPE] /= n_trusted;
    figures[RMSL] = sqrt(figures[RMSL] / n_trusted);
    figures[MEDIAN_ERROR] = tl_median_inplace(n, errors);
    figures[P90_ERROR] = tl_quantile_inplace(n, errors, .9);
    tl_mem_free(errors);
}

static double covered(int n, const double *y, const double *mean, const double *sd, double t)
{
    int n_covered = 0;
    for (int i = 0; i < n; i++) {
        n_covered += fabs(y[i] - mean[i]) < t * sd[i];
    }
    return (double)n_covered / n;
}

static void judge(
    int n,
    const double *y,
    const double *mean,
    const double *sd,
    const double *deviations,
    double *figures)
{
    double *sorted = bench_array(n, sizeof *sorted);
    memcpy(sorted, y, (size_t)n * sizeof *sorted);
    double median = tl_median_inplace(n, sorted);
    tl_mem_free(sorted);
    judge_errors(n, y, mean, median, figures);
    figures[C50] = covered(n, y, mean, sd, deviations[0]);
    figures[C80] = covered(n, y, mean, sd, deviations[1]);
    figures[C95] = covered(n, y, mean, sd, deviations[2]);
}

/* Without a measurement there is an order and no level. */
static double fit_and_predict(
    const pool_trial *trial,
    int column,
    const int *samples,
    int n_samples,
    double *mean,
    double *sd,
    double *out_deviations)
{
    int n = trial->bench->table.n;
    if (n_samples == 0) {
        memcpy(mean, trial->z, (size_t)n * sizeof *mean);
        return 0;
    }
    tl_head head = {0};
    int64_t begin_ns = tl_clock_ns();
    trial_fit(trial, column, samples, n_samples, &head);
    int64_t end_ns = tl_clock_ns();
    bench_check(tl_head_predict(&head, tl_dro(trial->x), trial->z, mean, sd), "predict");
    out_deviations[0] = tl_head_quantile(&head, .75);
    out_deviations[1] = tl_head_quantile(&head, .9);
    out_deviations[2] = tl_head_quantile(&head, .975);
    tl_head_done(&head);
    return (double)(end_ns - begin_ns) / TL_NS_PER_MS;
}

/* Fits to the samples and judges every other design that takes part. */
static void judge_head(
    const pool_trial *trial,
    int column,
    const int *samples,
    int n_samples,
    const int *measured,
    int n_measured,
    double *figures)
{
    int n = trial->bench->table.n;
    double *memory = bench_array(4 * n, sizeof *memory);
    double *y = memory;
    double *mean = memory + n;
    double *sd = mean + n;
    double *is_sample = sd + n;
    double deviations[3] = {0};
    memset(figures, 0, N_FIGURES * sizeof *figures);
    figures[FIT_MS] = fit_and_predict(trial, column, samples, n_samples, mean, sd, deviations);
    for (int i = 0; i < n_samples; i++) {
        is_sample[samples[i]] = 1;
    }
    int n_judged = 0;
    for (int k = 0; k < n_measured; k++) {
        int i = measured[k];
        if (is_sample[i] == 0) {
            y[n_judged] = bench_value(trial->bench, i, column);
            mean[n_judged] = mean[i];
            sd[n_judged++] = sd[i];
        }
    }
    bench_check(tl_spearman(n_judged, mean, y, &figures[RHO]), "spearman");
    if (n_samples > 0) {
        judge(n_judged, y, mean, sd, deviations, figures);
    } else {
        for (int k = RHO + 1; k < N_FIGURES; k++) {
            figures[k] = TL_UNKNOWN;
        }
    }
    tl_mem_free(memory);
}

/* ---- pools -------------------------------------------------------------------------------- */

static void run_device(
    const pool_trial *trial,
    int column,
    double trim,
    const bench_plan *plan,
    const suggestions *suggested,
    int seed,
    tl_rng *rng,
    pool_result (*results)[N_WAYS])
{
    int n = trial->bench->table.n;
    int *measured = bench_array(3 * n, sizeof *measured);
    int *scratch = measured + n;
    int *random = scratch + n;
    int samples[MAX_SAMPLES];
    double figures[N_FIGURES];
    int n_measured = bench_measured(trial->bench, column, trim, measured);
    int most = n_measured < MAX_SAMPLES ? n_measured : MAX_SAMPLES;
    tl_rng_choose(rng, n_measured, most, scratch, random);
    for (int s = 0; s < plan->n_sizes && plan->sizes[s] <= n_measured / 2; s++) {
        for (int way = 0; way < N_WAYS; way++) {
            int size = plan->sizes[s];
            for (int i = 0; i < size && way == 0; i++) {
                samples[i] = measured[random[i]];
            }
            if (way == 1) {
                size = take_suggested(trial, suggested, measured, n_measured, size, samples);
            }
            judge_head(trial, column, samples, size, measured, n_measured, figures);
            pool_result *result = &results[s][way];
            for (int k = 0; k < N_FIGURES; k++) {
                result->figures[result->n_devices][k] += figures[k];
            }
            result->rho_by_seed[seed] += figures[RHO];
            result->n_devices++;
        }
    }
    tl_mem_free(measured);
}

static void run_seed(
    const bench_data *bench,
    const pool_spec *pool,
    const bench_plan *plan,
    int seed,
    pool_result (*results)[N_WAYS])
{
    pool_sources sources;
    suggestions suggested = {0};
    tl_rng rng;
    int column;
    int most = plan->sizes[plan->n_sizes - 1];
    pool_sources_init(&sources, bench, pool, seed);
    tl_rng_init(&rng, (uint64_t)SAMPLE_SEED + (uint64_t)seed);
    for (int s = 0; s < plan->n_sizes; s++) {
        results[s][0].n_devices = results[s][1].n_devices = 0;
    }
    bool is_leave_one_out = strcmp(pool->sources, pool->targets) == 0;
    pool_trial trial = {0};
    for (const char *at = pool->targets;
         (at = bench_next_column(bench, at, &column)) != NULL;) {
        if (is_leave_one_out || trial.bench == NULL) {
            trial_done(&trial);
            trial_init(&trial, bench, &sources, is_leave_one_out ? column : -1);
            trial.settings = &plan->settings;
            suggest_all(&trial, most, &rng, &suggested);
        }
        run_device(&trial, column, pool->trim, plan, &suggested, seed, &rng, results);
    }
    trial_done(&trial);
    pool_sources_done(&sources);
}

static void print_line(
    const char *pool,
    const char *device,
    const char *how,
    int n_samples,
    const double *figures,
    int n_sums,
    double sd)
{
    (void)printf("%s\t%s\t%s\t%d", pool, device, how, n_samples);
    for (int k = 0; k < N_FIGURES; k++) {
        (void)printf("\t%.4f", figures[k] / n_sums);
    }
    (void)printf("\t%.4f\n", sd);
}

static void print_result(
    const bench_data *bench,
    const pool_spec *pool,
    const char *how,
    int n_samples,
    int n_seeds,
    pool_result *result)
{
    double total[N_FIGURES] = {0};
    int column;
    int device = 0;
    for (const char *at = pool->targets; (at = bench_next_column(bench, at, &column)) != NULL;
         device++) {
        print_line(
            pool->name, bench->table.columns[column].name, how, n_samples,
            result->figures[device], n_seeds, TL_UNKNOWN);
        for (int k = 0; k < N_FIGURES; k++) {
            total[k] += result->figures[device][k];
        }
    }
    for (int s = 0; s < n_seeds; s++) {
        result->rho_by_seed[s] /= result->n_devices;
    }
    print_line(
        pool->name, "mean", how, n_samples, total, n_seeds * result->n_devices,
        tl_sd(n_seeds, result->rho_by_seed));
    (void)fflush(stdout);
}

static void run_pool(const bench_data *bench, const pool_spec *pool, const bench_plan *plan)
{
    static pool_result results[MAX_SIZES][N_WAYS];
    memset(results, 0, sizeof results);
    for (int seed = 0; seed < plan->n_seeds; seed++) {
        run_seed(bench, pool, plan, seed, results);
    }
    for (int s = 0; s < plan->n_sizes; s++) {
        for (int way = 0; way < N_WAYS && results[s][way].n_devices > 0; way++) {
            print_result(
                bench, pool, way_names[way], plan->sizes[s], plan->n_seeds, &results[s][way]);
        }
    }
}

/* Increasing numbers with commas between. */
static bool read_plan(const char *sizes, const char *seeds, bench_plan *plan)
{
    int last = -1;
    for (const char *at = sizes; plan->n_sizes < MAX_SIZES;) {
        char *end = NULL;
        long size = strtol(at, &end, 10);
        if (end == at || size <= last || size > MAX_SAMPLES) {
            return false;
        }
        plan->sizes[plan->n_sizes++] = last = (int)size;
        if (*end != ',') {
            break;
        }
        at = end + 1;
    }
    plan->n_seeds = (int)strtol(seeds, NULL, 10);
    return plan->n_seeds >= 1 && plan->n_seeds <= MAX_SEEDS;
}

/* NAME=VALUE; false when there is no such name. */
static bool read_setting(const char *text, bench_plan *plan)
{
    tl_head_settings *s = &plan->settings;
    double rounding = s->rounding;
    double n_rounds = s->n_rounds;
    const struct {
        const char *name;
        double *value;
    } known[] = {
        {"sources",       &plan->judges_sources},
        {"source_centre", &s->source_centre    },
        {"rounding",      &rounding            },
        {"noise_dof",     &s->noise_dof        },
        {"n_rounds",      &n_rounds            },
        {"width_weight",  &s->width_weight     },
        {"level_weight",  &s->level_weight     },
        {"prior0",        &s->prior[0]         },
        {"prior1",        &s->prior[1]         },
        {"prior2",        &s->prior[2]         },
        {"prior3",        &s->prior[3]         },
        {"prior4",        &s->prior[4]         },
        {"level_shape0",  &s->level_shape[0]   },
        {"level_shape1",  &s->level_shape[1]   },
        {"level_shape2",  &s->level_shape[2]   },
        {"level_shape3",  &s->level_shape[3]   },
    };
    size_t len = strcspn(text, "=");
    for (size_t i = 0; i < TL_COUNT(known) && text[len] == '='; i++) {
        if (strlen(known[i].name) == len && memcmp(known[i].name, text, len) == 0) {
            *known[i].value = strtod(text + len + 1, NULL);
            s->rounding = (tl_head_rounding)rounding;
            s->n_rounds = (int)n_rounds;
            return true;
        }
    }
    return false;
}

/* Takes the settings off the end of the arguments. */
static bool read_settings(int *argc, char **argv, bench_plan *plan)
{
    plan->settings = tl_head_kept;
    while (*argc > 1 && strchr(argv[*argc - 1], '=') != NULL) {
        if (!read_setting(argv[*argc - 1], plan)) {
            return false;
        }
        (*argc)--;
    }
    return true;
}

int main(int argc, char **argv)
{
    bench_plan plan = {0};
    if (!read_settings(&argc, argv, &plan) || argc < 3 ||
        !read_plan(argc > 3 ? argv[3] : "20", argc > 4 ? argv[4] : "5", &plan)) {
        (void)fprintf(
            stderr,
            "usage: bench_pools SPACES DATA [SAMPLES[,SAMPLES ...] [SEEDS [POOL]]] "
            "[SETTING=VALUE ...], 0 to %d samples in increasing order, 1 to %d seeds\n",
            MAX_SAMPLES, MAX_SEEDS);
        return 2;
    }
    tl_blas_single_thread();
    bench_data bench = {0};
    const char *loaded = "";
    (void)printf("pool\tdevice\tchoice\tsamples");
    for (int k = 0; k < N_FIGURES; k++) {
        (void)printf("\t%s", figure_names[k]);
    }
    (void)printf("\tspearman_sd\n");
    for (int p = 0; p < n_pool_specs; p++) {
        pool_spec pool = pool_specs[p];
        if (argc > 5 && strcmp(argv[5], pool.name) != 0) {
            continue;
        }
        if (strcmp(loaded, pool.space) != 0) {
            bench_unload(&bench);
            bench_load(&bench, argv[1], argv[2], pool.space);
            loaded = pool.space;
        }
        pool.targets = plan.judges_sources > 0 ? pool.sources : pool.targets;
        run_pool(&bench, &pool, &plan);
    }
    bench_unload(&bench);
    return 0;
}
