/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Few-shot latency on pools of devices: known devices fitted to hundreds of
 * measurements each, unseen devices to a few, judged on all other designs.
 * One tab-separated line for each pool, way of choosing the samples and, with
 * seeds averaged, each unseen device.
 *
 *     bench_pools SPACES DATA [SAMPLES [SEEDS [POOL]]]
 *
 * SPACES holds the space files, DATA the measurement tables.
 */

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"
#include "measurements/table.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"
#include "predictors/features.h"
#include "predictors/head.h"
#include "predictors/source.h"
#include "predictors/suggest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_DEVICES = 32,
    MAX_SAMPLES = 2000,
    N_CANDIDATES = 3000,
    MAX_FILE_BYTES = 256 * 1024 * 1024,
    DEFAULT_SAMPLES = 20,
    DEFAULT_SEEDS = 5,
    SOURCE_SEED = 1000,
    SAMPLE_SEED = 500,
};

typedef struct pool_spec {
    const char *name, *space;
    int n_train; /* measurements of each known device */
    const char *sources, *targets;
} pool_spec;

static const pool_spec pools[] = {
    {"ND", "nasbench201",      512,
     "1080ti_1 1080ti_32 1080ti_256 silver_4114 silver_4210r samsung_a50 pixel3 essential_ph_1 "
     "samsung_s7",                                                                                  "titan_rtx_256 gold_6226 fpga pixel2 raspi4 eyeriss"                       },
    {"NE", "nasbench201",      512,
     "1080ti_1 1080ti_32 1080ti_256 silver_4114 silver_4210r samsung_a50 pixel3 essential_ph_1 "
     "samsung_s7",                                                                                  "edgegpu"                                                                  },
    {"FD", "fbnet",            800,
     "1080ti_1 1080ti_32 1080ti_64 silver_4114 silver_4210r samsung_a50 pixel3 essential_ph_1 "
     "samsung_s7",                                                                                  "fpga raspi4 eyeriss"                                                      },
    {"F1", "fbnet",            800, "2080ti_1 essential_ph_1 silver_4114 titan_rtx_1 titan_rtx_32",
     "eyeriss fpga raspi4 samsung_a50 samsung_s7"                                                                                                                              },
    {"F2", "fbnet",            800, "essential_ph_1 gold_6226 gold_6240 pixel3 raspi4",
     "1080ti_1 1080ti_32 2080ti_32 titan_rtx_1 titanxp_1"                                                                                                                      },
    {"F3", "fbnet",            800, "essential_ph_1 pixel2 pixel3 raspi4 samsung_s7",
     "1080ti_1 1080ti_32 2080ti_1 titan_rtx_1 titan_rtx_32"                                                                                                                    },
    {"F4", "fbnet",            800,
     "1080ti_64 2080ti_1 eyeriss gold_6226 gold_6240 raspi4 samsung_s7 silver_4210r titan_rtx_1 "
     "titan_rtx_32",                                                                                "1080ti_1 pixel2 essential_ph_1"                                           },
    {"FA", "fbnet",            800,
     "1080ti_1 1080ti_32 1080ti_64 2080ti_1 2080ti_32 2080ti_64 titan_rtx_1 titan_rtx_32 "
     "titan_rtx_64 titanx_1 titanx_32 titanx_64 titanxp_1 titanxp_32 titanxp_64",                   "gold_6226 essential_ph_1 samsung_s7 pixel2"                               },
    {"MV", "mobilenetv3",      800, "2080ti_1 2080ti_32 2080ti_64 titan_xp_1 titan_xp_32",
     "titan_rtx_1 titan_rtx_32 titan_rtx_64"                                                                                                                                   },
    {"MN", "mnasnet",          800, "a100_batched rtx3090_batched zcu102_batched",
     "zcu102 tpuv2_batched"                                                                                                                                                    },
    {"MZ", "mobilenet-zoo",    81,
     "macbook_pro_tflite aws_t4_tflite gcp_t2a_standard_2_tflite hp_laptop_tflite "
     "cloud_a_armnn_v22_11 orin_agx_armnn_v22_11",                                                  "raspberrypi4_tflite raspberrypi4_armnn_v22_11 amd_zen4_workstation_tflite"},
    {"BF", "bitfusion-layers", 0,   "",                                                             "bitfusion"                                                                },
};

enum {
    RHO,
    C80,
    C95,
    RMSL,
    MAPE,
    WITHIN_10,
    N_FIGURES
};

static const char *const figure_names[N_FIGURES] = {"rho",  "c80",  "c95",
                                                    "rmsl", "mape", "acc10"};

/* A space with its table, encoded once. */
typedef struct bench_data {
    tl_space *space;
    tl_features *features;
    tl_table table;
    tl_dmat rows; /* source rows of all designs of the table */
} bench_data;

/* One pool with fitted sources: head rows of all designs. */
typedef struct pool_trial {
    const bench_data *bench;
    tl_source sources[MAX_DEVICES];
    int n_sources;
    double spread;
    tl_dmat x;
    double *z;
} pool_trial;

static void fail(const char *what, tl_err err)
{
    (void)fprintf(stderr, "%s: %s: %s\n", what, tl_err_name(err), tl_err_detail());
    exit(EXIT_FAILURE);
}

static void check(tl_err err, const char *what)
{
    if (err != TL_OK) {
        fail(what, err);
    }
}

static void *new_array(int n, size_t size)
{
    void *array = tl_mem_new((size_t)n, size);
    if (array == NULL) {
        fail("memory", TL_ENOMEM);
    }
    return array;
}

/* ---- data --------------------------------------------------------------------------- */

static void load(bench_data *bench, const char *spaces, const char *data, const char *name)
{
    char *csv = NULL;
    size_t len = 0;
    tl_text path = {0};
    tl_text_addf(&path, "%s/%s.yaml", spaces, name);
    check(tl_text_err(&path), "path");
    check(tl_space_load(path.data, &bench->space), path.data);
    tl_text_clear(&path);
    tl_text_addf(&path, "%s/%s.csv", data, name);
    check(tl_text_err(&path), "path");
    check(tl_file_read(path.data, MAX_FILE_BYTES, &csv, &len), path.data);
    check(tl_table_parse(bench->space, name, NULL, csv, len, &bench->table), path.data);
    int64_t begin_ns = tl_clock_ns();
    check(tl_features_new(bench->space, &bench->features), "features");
    int64_t end_ns = tl_clock_ns();
    int n_source = tl_features_n_source(bench->features);
    check(tl_dmat_init(&bench->rows, bench->table.n, n_source), "rows");
    check(
        tl_features_encode(
            bench->features, bench->table.designs, bench->table.n, (tl_dmat){0}, bench->rows),
        "encode");
    (void)printf(
        "# %s: %d designs, P %d, Ps %d, features %.0f ms, encoding %.0f ms\n", name,
        bench->table.n, tl_features_n_head(bench->features), n_source,
        (double)(end_ns - begin_ns) / TL_NS_PER_MS,
        (double)(tl_clock_ns() - end_ns) / TL_NS_PER_MS);
    tl_mem_free(csv);
    tl_text_done(&path);
}

static void unload(bench_data *bench)
{
    tl_dmat_done(&bench->rows);
    tl_table_done(&bench->table);
    tl_features_free(bench->features);
    tl_space_unref(bench->space);
    memset(bench, 0, sizeof *bench);
}

/* The latency column of the device whose name starts names; NULL when they are used up. */
static const char *next_column(const bench_data *bench, const char *names, int *out_column)
{
    names += strspn(names, " ");
    size_t len = strcspn(names, " ");
    if (len == 0) {
        return NULL;
    }
    for (int c = 0; c < bench->table.n_columns; c++) {
        const tl_table_column *column = &bench->table.columns[c];
        if (column->metric == TL_METRIC_LATENCY_MS && strlen(column->name) == len &&
            memcmp(column->name, names, len) == 0) {
            *out_column = c;
            return names + len;
        }
    }
    fail(names, TL_ENOTFOUND);
    return NULL;
}

static double value_at(const bench_data *bench, int row, int column)
{
    return bench->table.values[(ptrdiff_t)row * bench->table.n_columns + column];
}

static int measured_rows(const bench_data *bench, int column, int *out_rows)
{
    int n = 0;
    for (int i = 0; i < bench->table.n; i++) {
        if (!isnan(value_at(bench, i, column))) {
            out_rows[n++] = i;
        }
    }
    return n;
}

static void gather(tl_dmat from, const int *rows, int n, tl_dmat *out)
{
    check(tl_dmat_init(out, n, from.cols), "rows");
    for (int i = 0; i < n; i++) {
        memcpy(
            tl_dmat_row(*out, i), tl_dmat_row(from, rows[i]),
            (size_t)from.cols * sizeof(double));
    }
}

/* ---- sources --------------------------------------------------------------------------- */

static void fit_source(
    const bench_data *bench, int column, int n_train, tl_rng *rng, tl_source *out)
{
    int n = bench->table.n;
    int *measured = new_array(3 * n, sizeof(int));
    int *chosen = measured + n;
    int n_measured = measured_rows(bench, column, measured);
    int n_chosen = n_train < n_measured ? n_train : n_measured;
    double *y = new_array(n_chosen, sizeof *y);
    tl_dmat rows;
    tl_rng_choose(rng, n_measured, n_chosen, measured + 2 * (ptrdiff_t)n, chosen);
    for (int i = 0; i < n_chosen; i++) {
        chosen[i] = measured[chosen[i]];
        y[i] = value_at(bench, chosen[i], column);
    }
    gather(bench->rows, chosen, n_chosen, &rows);
    check(tl_source_fit(out, tl_dro(rows), y), "source");
    tl_dmat_done(&rows);
    tl_mem_free(y);
    tl_mem_free(measured);
}

static void trial_init(
    pool_trial *trial, const bench_data *bench, const pool_spec *pool, int seed)
{
    tl_rng rng;
    tl_source *sources[MAX_DEVICES];
    int column;
    int n = bench->table.n;
    int n_head = tl_features_n_head(bench->features);
    memset(trial, 0, sizeof *trial);
    trial->bench = bench;
    tl_rng_init(&rng, (uint64_t)(SOURCE_SEED + seed));
    for (const char *at = pool->sources; (at = next_column(bench, at, &column)) != NULL;) {
        sources[trial->n_sources] = &trial->sources[trial->n_sources];
        fit_source(bench, column, pool->n_train, &rng, sources[trial->n_sources]);
        trial->n_sources++;
    }
    const tl_source *const *known = (const tl_source *const *)sources;
    check(tl_sources_standardize(bench->features, sources, trial->n_sources), "sources");
    check(tl_sources_spread(known, trial->n_sources, &trial->spread), "sources");
    check(tl_dmat_init(&trial->x, n, n_head + trial->n_sources), "rows");
    trial->z = new_array(n, sizeof *trial->z);
    for (int i = 0; i < n; i++) {
        memcpy(
            tl_dmat_row(trial->x, i), tl_dmat_row(bench->rows, i),
            (size_t)n_head * sizeof(double));
    }
    tl_dmat columns = tl_dmat_cols(trial->x, n_head, n_head + trial->n_sources);
    tl_sources_columns(known, trial->n_sources, tl_dro(bench->rows), columns, trial->z);
}

static void trial_done(pool_trial *trial)
{
    for (int s = 0; s < trial->n_sources; s++) {
        tl_source_done(&trial->sources[s]);
    }
    tl_dmat_done(&trial->x);
    tl_mem_free(trial->z);
}

/* ---- samples ------------------------------------------------------------------------------ */

/* The suggested designs of one trial, the same for all of its devices. */
static void suggest(const pool_trial *trial, int n_samples, tl_rng *rng, int *out_rows)
{
    int n = trial->bench->table.n;
    int n_candidates = n < N_CANDIDATES ? n : N_CANDIDATES;
    int *candidates = new_array(2 * n, sizeof *candidates);
    tl_dmat rows;
    tl_rng_choose(rng, n, n_candidates, candidates + n, candidates);
    gather(trial->x, candidates, n_candidates, &rows);
    check(
        tl_suggest(
            trial->bench->features, trial->n_sources, tl_dro(rows), (tl_dcmat){0}, n_samples,
            out_rows),
        "suggest");
    for (int i = 0; i < n_samples; i++) {
        out_rows[i] = candidates[out_rows[i]];
    }
    tl_dmat_done(&rows);
    tl_mem_free(candidates);
}

/* The samples of one device: the suggested ones that were measured, or random ones. */
static int choose_samples(
    const pool_trial *trial,
    int column,
    const int *suggested,
    int n,
    tl_rng *rng,
    int *out_rows)
{
    int n_rows = 0;
    if (suggested != NULL) {
        for (int i = 0; i < n; i++) {
            if (!isnan(value_at(trial->bench, suggested[i], column))) {
                out_rows[n_rows++] = suggested[i];
            }
        }
        return n_rows;
    }
    int n_designs = trial->bench->table.n;
    int *measured = new_array(2 * n_designs, sizeof *measured);
    int n_measured = measured_rows(trial->bench, column, measured);
    tl_rng_choose(rng, n_measured, n, measured + n_designs, out_rows);
    for (int i = 0; i < n; i++) {
        out_rows[i] = measured[out_rows[i]];
    }
    tl_mem_free(measured);
    return n;
}

/* ---- judging ------------------------------------------------------------------------------- */

static void judge(
    int n, const double *y, const double *mean, const double *sd, double dof, double *figures)
{
    double t80 = tl_student_quantile(.9, dof);
    double t95 = tl_student_quantile(.975, dof);
    double *sorted = new_array(n, sizeof *sorted);
    int n_trusted = 0;
    memcpy(sorted, y, (size_t)n * sizeof *sorted);
    double median = tl_median_inplace(n, sorted);
    for (int k = 0; k < N_FIGURES; k++) {
        figures[k] = 0;
    }
    check(tl_spearman(n, mean, y, &figures[RHO]), "spearman");
    for (int i = 0; i < n; i++) {
        double z = fabs(y[i] - mean[i]) / sd[i];
        double guess = fmax(mean[i], .05 * median);
        double off = fabs(guess / y[i] - 1);
        figures[C80] += z < t80;
        figures[C95] += z < t95;
        figures[WITHIN_10] += off < .1;
        if (y[i] > .2 * median) { /* below: what the timer never measured */
            figures[MAPE] += off;
            figures[RMSL] += log(guess / y[i]) * log(guess / y[i]);
            n_trusted++;
        }
    }
    figures[C80] /= n;
    figures[C95] /= n;
    figures[WITHIN_10] /= n;
    figures[MAPE] /= n_trusted;
    figures[RMSL] = sqrt(figures[RMSL] / n_trusted);
    tl_mem_free(sorted);
}

/* Fits to the samples and judges every other measured design. */
static void judge_head(
    const pool_trial *trial, int column, const int *samples, int n_samples, double *figures)
{
    const bench_data *bench = trial->bench;
    int n = bench->table.n;
    double *memory = new_array(4 * n, sizeof *memory);
    double *mean = memory + n;
    double *sd = mean + n;
    double *is_sample = sd + n;
    tl_head head = {0};
    tl_dmat x;
    gather(trial->x, samples, n_samples, &x);
    double *z = new_array(2 * n_samples, sizeof *z);
    double *y = z + n_samples;
    for (int i = 0; i < n_samples; i++) {
        z[i] = trial->z[samples[i]];
        y[i] = value_at(bench, samples[i], column);
        is_sample[samples[i]] = 1;
    }
    tl_head_data data = {
        .n_sources = trial->n_sources, .spread = trial->spread, .x = tl_dro(x), .z = z, .y = y};
    check(tl_head_fit(bench->features, &data, &head), "head");
    check(tl_head_predict(&head, tl_dro(trial->x), trial->z, mean, sd), "predict");
    int n_judged = 0;
    for (int i = 0; i < n; i++) {
        double measured = value_at(bench, i, column);
        if (is_sample[i] == 0 && !isnan(measured)) {
            memory[n_judged] = measured;
            mean[n_judged] = mean[i];
            sd[n_judged++] = sd[i];
        }
    }
    judge(n_judged, memory, mean, sd, tl_head_dof(&head), figures);
    tl_head_done(&head);
    tl_dmat_done(&x);
    tl_mem_free(z);
    tl_mem_free(memory);
}

/* Sums over seeds of one pool and way of choosing. */
typedef struct pool_result {
    double figures[MAX_DEVICES][N_FIGURES];
    double rho_by_seed[64];
    int n_devices;
} pool_result;

static void run_seed(
    const pool_trial *trial,
    const pool_spec *pool,
    bool is_chosen,
    int n_samples,
    int seed,
    pool_result *result)
{
    int suggested[MAX_SAMPLES];
    int samples[MAX_SAMPLES];
    double figures[N_FIGURES];
    tl_rng rng;
    int column;
    int device = 0;
    tl_rng_init(&rng, (uint64_t)(SAMPLE_SEED + seed));
    if (is_chosen) {
        suggest(trial, n_samples, &rng, suggested);
    }
    for (const char *at = pool->targets;
         (at = next_column(trial->bench, at, &column)) != NULL;) {
        int n = choose_samples(
            trial, column, is_chosen ? suggested : NULL, n_samples, &rng, samples);
        judge_head(trial, column, samples, n, figures);
        for (int k = 0; k < N_FIGURES; k++) {
            result->figures[device][k] += figures[k];
        }
        result->rho_by_seed[seed] += figures[RHO];
        device++;
    }
    result->n_devices = device;
}

static void print_line(
    const char *pool,
    const char *device,
    const char *how,
    int n_samples,
    const double *figures,
    int n_sums)
{
    (void)printf("%s\t%s\t%s\t%d", pool, device, how, n_samples);
    for (int k = 0; k < N_FIGURES; k++) {
        (void)printf("\t%.4f", figures[k] / n_sums);
    }
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
    for (const char *at = pool->targets; (at = next_column(bench, at, &column)) != NULL;
         device++) {
        print_line(
            pool->name, bench->table.columns[column].name, how, n_samples,
            result->figures[device], n_seeds);
        (void)printf("\n");
        for (int k = 0; k < N_FIGURES; k++) {
            total[k] += result->figures[device][k];
        }
    }
    for (int s = 0; s < n_seeds; s++) {
        result->rho_by_seed[s] /= result->n_devices;
    }
    print_line(pool->name, "mean", how, n_samples, total, n_seeds * result->n_devices);
    (void)printf("\t%.4f\n", tl_sd(n_seeds, result->rho_by_seed));
    (void)fflush(stdout);
}

static void run_pool(const bench_data *bench, const pool_spec *pool, int n_samples, int n_seeds)
{
    static pool_result results[2];
    memset(results, 0, sizeof results);
    for (int seed = 0; seed < n_seeds; seed++) {
        pool_trial trial;
        trial_init(&trial, bench, pool, seed);
        for (int is_chosen = 0; is_chosen < 2; is_chosen++) {
            run_seed(&trial, pool, is_chosen != 0, n_samples, seed, &results[is_chosen]);
        }
        trial_done(&trial);
    }
    print_result(bench, pool, "random", n_samples, n_seeds, &results[0]);
    print_result(bench, pool, "chosen", n_samples, n_seeds, &results[1]);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: bench_pools SPACES DATA [SAMPLES [SEEDS [POOL]]]\n");
        return 2;
    }
    long n_samples = argc > 3 ? strtol(argv[3], NULL, 10) : DEFAULT_SAMPLES;
    long n_seeds = argc > 4 ? strtol(argv[4], NULL, 10) : DEFAULT_SEEDS;
    if (n_samples < 1 || n_samples > MAX_SAMPLES || n_seeds < 1 || n_seeds > 64) {
        (void)fprintf(stderr, "bench_pools: 1 to %d samples, 1 to 64 seeds\n", MAX_SAMPLES);
        return 2;
    }
    tl_blas_single_thread();
    bench_data bench = {0};
    const char *loaded = "";
    (void)printf("pool\tdevice\tchoice\tsamples");
    for (int k = 0; k < N_FIGURES; k++) {
        (void)printf("\t%s", figure_names[k]);
    }
    (void)printf("\trho_sd\n");
    for (size_t p = 0; p < TL_COUNT(pools); p++) {
        if (argc > 5 && strcmp(argv[5], pools[p].name) != 0) {
            continue;
        }
        if (strcmp(loaded, pools[p].space) != 0) {
            unload(&bench);
            load(&bench, argv[1], argv[2], pools[p].space);
            loaded = pools[p].space;
        }
        run_pool(&bench, &pools[p], (int)n_samples, (int)n_seeds);
    }
    unload(&bench);
    return 0;
}
