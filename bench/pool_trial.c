/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/pool_trial.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "base/units.h"
#include "numerics/stats.h"
#include "predictors/suggest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_FILE_BYTES = 256 * 1024 * 1024,
    SOURCE_SEED = 1000,
};

#define ND_SOURCES \
    "1080ti_1 1080ti_32 1080ti_256 silver_4114 silver_4210r samsung_a50 pixel3 essential_ph_1 samsung_s7"
#define MV_DEVICES \
    "2080ti_1 2080ti_32 2080ti_64 titan_rtx_1 titan_rtx_32 titan_rtx_64 titan_xp_1 titan_xp_32 titan_xp_64"
#define MN_DEVICES "zcu102 a100_batched rtx3090_batched tpuv2_batched zcu102_batched"

const pool_spec pool_specs[] = {
    {.name = "ND",
     .space = "nasbench201",
     .n_train = 512,
     .sources = ND_SOURCES,
     .targets = "titan_rtx_256 gold_6226 fpga pixel2 raspi4 eyeriss"                                                                                                   },
    {.name = "NH",
     .space = "nasbench201",
     .n_train = 512,
     .trim = 0.1,
     .sources = ND_SOURCES,
     .targets = "titan_rtx_256 gold_6226 pixel2 raspi4 eyeriss fpga"},
    {.name = "NE",
     .space = "nasbench201",
     .n_train = 512,
     .sources = ND_SOURCES,
     .targets = "edgegpu"                                                                                                                                             },
    {.name = "FD",
     .space = "fbnet",
     .n_train = 800,
     .sources =
         "1080ti_1 1080ti_32 1080ti_64 silver_4114 silver_4210r samsung_a50 pixel3 essential_ph_1 samsung_s7",
     .targets = "fpga raspi4 eyeriss"                                                          },
    {.name = "F1",
     .space = "fbnet",
     .n_train = 800,
     .sources = "2080ti_1 essential_ph_1 silver_4114 titan_rtx_1 titan_rtx_32",
     .targets = "eyeriss fpga raspi4 samsung_a50 samsung_s7"                                                                                         },
    {.name = "F2",
     .space = "fbnet",
     .n_train = 800,
     .sources = "essential_ph_1 gold_6226 gold_6240 pixel3 raspi4",
     .targets = "1080ti_1 1080ti_32 2080ti_32 titan_rtx_1 titanxp_1"                                                                                                     },
    {.name = "F3",
     .space = "fbnet",
     .n_train = 800,
     .sources = "essential_ph_1 pixel2 pixel3 raspi4 samsung_s7",
     .targets = "1080ti_1 1080ti_32 2080ti_1 titan_rtx_1 titan_rtx_32"                                                                                                       },
    {.name = "F4",
     .space = "fbnet",
     .n_train = 800,
     .sources =
         "1080ti_64 2080ti_1 eyeriss gold_6226 gold_6240 raspi4 samsung_s7 silver_4210r titan_rtx_1 titan_rtx_32",
     .targets = "1080ti_1 pixel2 essential_ph_1"                                                      },
    {.name = "FA",
     .space = "fbnet",
     .n_train = 800,
     .sources =
         "1080ti_1 1080ti_32 1080ti_64 2080ti_1 2080ti_32 2080ti_64 titan_rtx_1 titan_rtx_32 titan_rtx_64 titanx_1 titanx_32 titanx_64 titanxp_1 titanxp_32 titanxp_64",
     .targets = "gold_6226 essential_ph_1 samsung_s7 pixel2"},
    {.name = "MV",
     .space = "mobilenetv3",
     .n_train = 800,
     .sources = MV_DEVICES,
     .targets = MV_DEVICES                                                                                                                                             },
    {.name = "MN",
     .space = "mnasnet",
     .n_train = 800,
     .sources = MN_DEVICES,
     .targets = MN_DEVICES                                                                                                                                             },
    {.name = "MZ",
     .space = "mobilenet-zoo",
     .n_train = 81,
     .sources =
         "macbook_pro_tflite aws_t4_tflite gcp_t2a_standard_2_tflite hp_laptop_tflite cloud_a_armnn_v22_11 orin_agx_armnn_v22_11",
     .targets = "raspberrypi4_tflite raspberrypi4_armnn_v22_11 amd_zen4_workstation_tflite"                                      },
    {.name = "BF",
     .space = "bitfusion-layers",
     .n_train = 0,
     .sources = "",
     .targets = "bitfusion"                                                                                                                                                     },
};

const int n_pool_specs = (int)TL_COUNT(pool_specs);

void bench_fail(const char *what, tl_err err)
{
    (void)fprintf(stderr, "%s: %s: %s\n", what, tl_err_name(err), tl_err_detail());
    exit(EXIT_FAILURE);
}

void bench_check(tl_err err, const char *what)
{
    if (err != TL_OK) {
        bench_fail(what, err);
    }
}

void *bench_array(int n, size_t size)
{
    void *array = tl_mem_new((size_t)n, size);
    if (array == NULL) {
        bench_fail("memory", TL_ENOMEM);
    }
    return array;
}

/* ---- data --------------------------------------------------------------------------- */

void bench_load(bench_data *bench, const char *spaces, const char *data, const char *name)
{
    char *csv = NULL;
    size_t len = 0;
    tl_text path = {0};
    tl_text_addf(&path, "%s/%s.yaml", spaces, name);
    bench_check(tl_text_err(&path), "path");
    bench_check(tl_space_load(path.data, &bench->space), path.data);
    tl_text_clear(&path);
    tl_text_addf(&path, "%s/%s.csv", data, name);
    bench_check(tl_text_err(&path), "path");
    bench_check(tl_file_read(path.data, MAX_FILE_BYTES, &csv, &len), path.data);
    bench_check(tl_table_parse(bench->space, name, NULL, csv, len, &bench->table), path.data);
    int64_t begin_ns = tl_clock_ns();
    bench_check(tl_features_new(bench->space, &bench->features), "features");
    int64_t end_ns = tl_clock_ns();
    int n_source = tl_features_n_source(bench->features);
    bench_check(tl_dmat_init(&bench->rows, bench->table.n, n_source), "rows");
    bench_check(
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

void bench_unload(bench_data *bench)
{
    tl_dmat_done(&bench->rows);
    tl_table_done(&bench->table);
    tl_features_free(bench->features);
    tl_space_unref(bench->space);
    memset(bench, 0, sizeof *bench);
}

const char *bench_next_column(const bench_data *bench, const char *names, int *out_column)
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
    bench_fail(names, TL_ENOTFOUND);
    return NULL;
}

bool bench_is_among(const char *names, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = strstr(names, name); at != NULL; at = strstr(at + 1, name)) {
        if ((at == names || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

int bench_column(const bench_data *bench, tl_metric metric, const char *subject)
{
    for (int c = 0; c < bench->table.n_columns; c++) {
        if (bench->table.columns[c].metric == metric &&
            strcmp(bench->table.columns[c].name, subject) == 0) {
            return c;
        }
    }
    bench_fail(subject, TL_ENOTFOUND);
    return -1;
}

void bench_read_judged(const char *path, int n, double *out)
{
    char header[256];
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(header, sizeof header, file) == NULL) {
        bench_fail(path, TL_EIO);
    }
    for (int i = 0; i < n; i++, out += BENCH_N_JUDGED) {
        if (fscanf(file, "%lf,%lf,%lf", &out[0], &out[1], &out[2]) != BENCH_N_JUDGED) {
            bench_fail(path, TL_EDAMAGED);
        }
    }
    (void)fclose(file);
}

int bench_measured(const bench_data *bench, int column, double trim, int *out_rows)
{
    int n = 0;
    double *values = bench_array(bench->table.n, sizeof *values);
    for (int i = 0; i < bench->table.n; i++) {
        if (!isnan(bench_value(bench, i, column))) {
            values[n] = bench_value(bench, i, column);
            out_rows[n++] = i;
        }
    }
    double least = n > 0 ? tl_quantile_inplace(n, values, trim) : 0;
    double most = n > 0 ? tl_quantile_inplace(n, values, 1 - trim) : 0;
    int n_kept = 0;
    for (int k = 0; k < n; k++) {
        double value = bench_value(bench, out_rows[k], column);
        if (value >= least && value <= most) {
            out_rows[n_kept++] = out_rows[k];
        }
    }
    tl_mem_free(values);
    return n_kept;
}

void bench_gather(tl_dmat from, const int *rows, int n, tl_dmat *out)
{
    bench_check(tl_dmat_init(out, n, from.cols), "rows");
    for (int i = 0; i < n; i++) {
        memcpy(
            tl_dmat_row(*out, i), tl_dmat_row(from, rows[i]),
            (size_t)from.cols * sizeof(double));
    }
}

/* ---- sources ---------------------------------------------------------------------------- */

static void fit_source(
    const bench_data *bench, int column, int n_train, tl_rng *rng, tl_source *out)
{
    int n = bench->table.n;
    int *measured = bench_array(3 * n, sizeof(int));
    int *chosen = measured + n;
    int n_measured = bench_measured(bench, column, 0, measured);
    int n_chosen = n_train < n_measured ? n_train : n_measured;
    double *y = bench_array(n_chosen, sizeof *y);
    tl_dmat rows;
    tl_rng_choose(rng, n_measured, n_chosen, measured + 2 * (ptrdiff_t)n, chosen);
    for (int i = 0; i < n_chosen; i++) {
        chosen[i] = measured[chosen[i]];
        y[i] = bench_value(bench, chosen[i], column);
    }
    bench_gather(bench->rows, chosen, n_chosen, &rows);
    bench_check(tl_source_fit(out, tl_dro(rows), y), "source");
    tl_dmat_done(&rows);
    tl_mem_free(y);
    tl_mem_free(measured);
}

void pool_sources_init(
    pool_sources *sources, const bench_data *bench, const pool_spec *pool, int seed)
{
    tl_rng rng;
    tl_source *fitted[POOL_MAX_DEVICES];
    int column;
    memset(sources, 0, sizeof *sources);
    tl_rng_init(&rng, SOURCE_SEED + (uint64_t)seed);
    for (const char *at = pool->sources;
         (at = bench_next_column(bench, at, &column)) != NULL;) {
        fitted[sources->n] = &sources->fitted[sources->n];
        sources->column[sources->n] = column;
        fit_source(bench, column, pool->n_train, &rng, fitted[sources->n]);
        sources->n++;
    }
    bench_check(tl_sources_standardize(bench->features, fitted, sources->n), "sources");
}

void pool_sources_done(pool_sources *sources)
{
    for (int s = 0; s < sources->n; s++) {
        tl_source_done(&sources->fitted[s]);
    }
}

/* ---- trials ------------------------------------------------------------------------------- */

void trial_init(
    pool_trial *trial, const bench_data *bench, const pool_sources *sources, int left_out)
{
    const tl_source *known[POOL_MAX_DEVICES];
    int n = bench->table.n;
    int n_head = tl_features_n_head(bench->features);
    memset(trial, 0, sizeof *trial);
    trial->bench = bench;
    for (int s = 0; s < sources->n; s++) {
        if (sources->column[s] != left_out) {
            known[trial->n_sources++] = &sources->fitted[s];
        }
    }
    bench_check(tl_sources_spread(known, trial->n_sources, &trial->spread), "sources");
    bench_check(tl_dmat_init(&trial->x, n, n_head + trial->n_sources), "rows");
    trial->z = bench_array(n, sizeof *trial->z);
    for (int i = 0; i < n; i++) {
        memcpy(
            tl_dmat_row(trial->x, i), tl_dmat_row(bench->rows, i),
            (size_t)n_head * sizeof(double));
    }
    tl_dmat columns = tl_dmat_cols(trial->x, n_head, n_head + trial->n_sources);
    tl_sources_columns(known, trial->n_sources, tl_dro(bench->rows), columns, trial->z);
}

void trial_done(pool_trial *trial)
{
    tl_dmat_done(&trial->x);
    tl_mem_free(trial->z);
}

void trial_suggest(const pool_trial *trial, int n_samples, tl_rng *rng, int *out_rows)
{
    int n = trial->bench->table.n;
    int n_candidates = n < POOL_N_CANDIDATES ? n : POOL_N_CANDIDATES;
    int *candidates = bench_array(2 * n, sizeof *candidates);
    tl_dmat rows;
    tl_rng_choose(rng, n, n_candidates, candidates + n, candidates);
    bench_gather(trial->x, candidates, n_candidates, &rows);
    bench_check(
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

void trial_fit(
    const pool_trial *trial, int column, const int *samples, int n_samples, tl_head *out_head)
{
    tl_dmat x;
    bench_gather(trial->x, samples, n_samples, &x);
    double *z = bench_array(2 * n_samples, sizeof *z);
    double *y = z + n_samples;
    for (int i = 0; i < n_samples; i++) {
        z[i] = trial->z[samples[i]];
        y[i] = bench_value(trial->bench, samples[i], column);
    }
    tl_head_data data = {
        .n_sources = trial->n_sources, .spread = trial->spread, .x = tl_dro(x), .z = z, .y = y};
    bench_check(
        tl_head_fit_with(
            trial->bench->features, &data,
            trial->settings == NULL ? &tl_head_kept : trial->settings, out_head),
        "head");
    tl_dmat_done(&x);
    tl_mem_free(z);
}
