/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Energy of a new device from none to a few measurements of it, with and without its
 * latency: each device with energy is left out in turn and seen as the daemon
 * sees it (tl_view).
 *
 *     bench_energy SPACES DATA PROFILES [SEEDS [TABLE]]
 *
 * nothing    no profile and no latency of the device
 * profile    its published profile
 * same       profile, and latency of the very designs whose energy was measured
 * known      profile, and a model of its latency from FITTED measurements
 *
 * One tab-separated line for each device, number of samples and case: means over the seeds.
 */

#include "base/mem.h"
#include "base/units.h"
#include "bench/public_table.h"
#include "device-profiles/profile_yaml.h"
#include "numerics/gemm.h"
#include "numerics/rng.h"
#include "numerics/stats.h"
#include "predictors/predictor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FITTED = 400,
    JUDGED = 500,
    DEFAULT_SEEDS = 3
};

static const char *const tables[] = {"nasbench201", "fbnet", "mobilenet-zoo"};
static const int sample_counts[] = {0, 5, 10, 20};

typedef enum given {
    NOTHING,
    PROFILE,
    SAME,
    KNOWN,
    N_GIVEN
} given;

static const char *const given_names[N_GIVEN] = {"nothing", "profile", "same", "known"};

typedef struct bench {
    tl_space *space;
    tl_features *features;
    tl_table table;
    tl_model *all; /* every column's model and profile */
    int *order;    /* of the table's rows */
} bench;

static double value_at(const bench *b, int row, int column)
{
    return b->table.values[(ptrdiff_t)row * b->table.n_columns + column];
}

/* The first n rows of the order where both columns were measured; column -1 asks nothing. */
static int measured_rows(const bench *b, int column, int other, int n, int *out_rows)
{
    int found = 0;
    for (int i = 0; i < b->table.n && found < n; i++) {
        int row = b->order[i];
        if (!isnan(value_at(b, row, column)) &&
            (other < 0 || !isnan(value_at(b, row, other)))) {
            out_rows[found++] = row;
        }
    }
    return found;
}

/* Designs and values of rows as a view takes them; the caller frees both arrays. */
static tl_samples gather(const bench *b, int column, const int *rows, int n)
{
    int n_slots = tl_space_n_slots(b->space);
    tl_choice *designs = tl_bench_array(n * n_slots, sizeof *designs);
    double *values = tl_bench_array(n, sizeof *values);
    for (int i = 0; i < n; i++) {
        memcpy(
            designs + (ptrdiff_t)i * n_slots, b->table.designs + (ptrdiff_t)rows[i] * n_slots,
            (size_t)n_slots * sizeof *designs);
        values[i] = value_at(b, rows[i], column);
    }
    return (tl_samples){.designs = designs, .values = values, .n = n};
}

static void fit_column(bench *b, int column, const char *profiles)
{
    int rows_of[FITTED];
    const tl_table_column *c = &b->table.columns[column];
    int n = measured_rows(b, column, -1, FITTED, rows_of);
    tl_samples samples = gather(b, column, rows_of, n);
    tl_source source = {0};
    tl_source *const one[] = {&source};
    tl_dmat rows;
    tl_text path = {0};
    tl_profile profile;
    tl_bench_check(tl_dmat_init(&rows, n, tl_features_n_source(b->features)), "rows");
    tl_bench_check(
        tl_features_encode(b->features, samples.designs, n, (tl_dmat){0}, rows), "encode");
    tl_bench_check(tl_source_fit(&source, tl_dro(rows), samples.values), "source");
    tl_bench_check(tl_sources_standardize(b->features, one, 1), "source");
    tl_bench_check(tl_model_add_source(b->all, c->name, (tl_cost)c->metric, &source), "source");
    tl_text_addf(&path, "%s/%s.yaml", profiles, c->name);
    if (tl_profile_load_yaml(path.data, &profile) == TL_OK) {
        tl_bench_check(tl_model_add_profile(b->all, &profile), c->name);
    }
    tl_text_done(&path);
    tl_dmat_done(&rows);
    tl_mem_free((void *)(uintptr_t)samples.designs);
    tl_mem_free((void *)(uintptr_t)samples.values);
}

static void load(
    bench *b, const char *spaces, const char *data, const char *profiles, const char *name)
{
    tl_rng rng;
    memset(b, 0, sizeof *b);
    tl_bench_read_table(spaces, data, name, &b->space, &b->table);
    tl_bench_check(tl_features_new(b->space, &b->features), "features");
    tl_bench_check(tl_model_new(b->space, &b->all), "model");
    b->order = tl_bench_array(b->table.n, sizeof *b->order);
    tl_rng_init(&rng, 1);
    tl_rng_permutation(&rng, b->table.n, b->order);
    for (int c = 0; c < b->table.n_columns; c++) {
        if (tl_metric_is_of_device(b->table.columns[c].metric)) {
            fit_column(b, c, profiles);
        }
    }
}

static void unload(bench *b)
{
    tl_mem_free(b->order);
    tl_model_free(b->all);
    tl_table_done(&b->table);
    tl_features_free(b->features);
    tl_space_unref(b->space);
}

/* All that is known but for the device: its energy, and its latency unless known. */
static tl_predictor *predictor_without(const bench *b, const char *device, bool keeps_latency)
{
    tl_model *model = NULL;
    tl_predictor *predictor = NULL;
    tl_bench_check(tl_model_new(b->space, &model), "model");
    for (int i = 0; i < b->all->n_profiles; i++) {
        tl_bench_check(tl_model_add_profile(model, &b->all->profiles[i]), "profile");
    }
    for (int i = 0; i < b->all->n_sources; i++) {
        const tl_model_source *known = &b->all->sources[i];
        if (strcmp(known->device, device) == 0 &&
            (known->cost == TL_COST_ENERGY || !keeps_latency)) {
            continue;
        }
        tl_source copy;
        tl_bench_check(tl_source_copy(&known->source, &copy), "source");
        tl_bench_check(tl_model_add_source(model, known->device, known->cost, &copy), "source");
    }
    tl_bench_check(tl_predictor_new(b->space, model, &predictor), "predictor");
    return predictor;
}

static const tl_profile *profile_of(const bench *b, const char *device)
{
    for (int i = 0; i < b->all->n_profiles; i++) {
        if (strcmp(b->all->profiles[i].name, device) == 0) {
            return &b->all->profiles[i];
        }
    }
    return NULL;
}

typedef struct figures {
    double rho, mape;
    int n;
} figures;

/* Judges the rows; a cost that stays unknown adds nothing. */
static void judge(const bench *b, tl_view *view, int column, const int *rows, int n, figures *f)
{
    tl_samples truth = gather(b, column, rows, n);
    tl_prediction *predictions = tl_bench_array(n, sizeof *predictions);
    double *mean = tl_bench_array(n, sizeof *mean);
    double rho = 0;
    double off = 0;
    tl_bench_check(tl_view_predict(view, truth.designs, n, predictions), "predict");
    for (int i = 0; i < n; i++) {
        mean[i] = predictions[i].energy_mj;
        off += fabs(mean[i] / truth.values[i] - 1) / n;
    }
    if (!isnan(off)) {
        tl_bench_check(tl_spearman(n, mean, truth.values, &rho), "spearman");
        f->rho += rho;
        f->mape += off;
        f->n++;
    }
    tl_mem_free(mean);
    tl_mem_free(predictions);
    tl_mem_free((void *)(uintptr_t)truth.designs);
    tl_mem_free((void *)(uintptr_t)truth.values);
}

typedef struct target {
    const char *device;
    int energy, latency; /* columns; latency -1: not measured */
} target;

static void run_seed(
    const bench *b,
    tl_predictor *predictor,
    const target *t,
    given what,
    int n_samples,
    int seed,
    figures *f)
{
    tl_rng rng;
    int *pool = tl_bench_array(b->table.n, sizeof *pool);
    int *mixed = tl_bench_array(b->table.n, sizeof *mixed);
    int n = measured_rows(b, t->energy, what == SAME ? t->latency : -1, b->table.n, pool);
    tl_rng_init(&rng, 100 + (uint64_t)seed);
    tl_rng_permutation(&rng, n, mixed);
    for (int i = 0; i < n; i++) {
        mixed[i] = pool[mixed[i]];
    }
    tl_samples energy = gather(b, t->energy, mixed, n_samples);
    tl_samples latency = {0};
    if (what == SAME) {
        latency = gather(b, t->latency, mixed, n_samples);
    }
    tl_view_data data = {
        .device = t->device,
        .profile = what == NOTHING ? NULL : profile_of(b, t->device),
        .samples = {latency, energy}
    };
    tl_view *view = NULL;
    tl_bench_check(tl_view_new(predictor, &data, &view), "view");
    int n_judged = n - n_samples < JUDGED ? n - n_samples : JUDGED;
    judge(b, view, t->energy, mixed + n_samples, n_judged, f);
    tl_view_unref(view);
    tl_mem_free((void *)(uintptr_t)energy.designs);
    tl_mem_free((void *)(uintptr_t)energy.values);
    tl_mem_free((void *)(uintptr_t)latency.designs);
    tl_mem_free((void *)(uintptr_t)latency.values);
    tl_mem_free(pool);
    tl_mem_free(mixed);
}

static void run_target(const bench *b, const char *table, const target *t, int n_seeds)
{
    for (int w = 0; w < N_GIVEN; w++) {
        if (w >= SAME && t->latency < 0) {
            continue;
        }
        tl_predictor *predictor = predictor_without(b, t->device, w == KNOWN);
        for (size_t k = 0; k < TL_COUNT(sample_counts); k++) {
            figures f = {0};
            for (int seed = 0; seed < n_seeds; seed++) {
                run_seed(b, predictor, t, (given)w, sample_counts[k], seed, &f);
            }
            if (f.n > 0) {
                (void)printf(
                    "%s\t%s\t%d\t%s\t%.4f\t%.4f\n", table, t->device, sample_counts[k],
                    given_names[w], f.rho / f.n, f.mape / f.n);
                (void)fflush(stdout);
            }
        }
        tl_predictor_unref(predictor);
    }
}

static void run_table(const bench *b, const char *name, int n_seeds)
{
    for (int c = 0; c < b->table.n_columns; c++) {
        const tl_table_column *column = &b->table.columns[c];
        if (column->metric != TL_METRIC_ENERGY_MJ) {
            continue;
        }
        target t = {.device = column->name, .energy = c, .latency = -1};
        for (int l = 0; l < b->table.n_columns; l++) {
            if (b->table.columns[l].metric == TL_METRIC_LATENCY_MS &&
                strcmp(b->table.columns[l].name, column->name) == 0) {
                t.latency = l;
            }
        }
        run_target(b, name, &t, n_seeds);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        (void)fprintf(stderr, "usage: bench_energy SPACES DATA PROFILES [SEEDS [TABLE]]\n");
        return 2;
    }
    int n_seeds = argc > 4 ? (int)strtol(argv[4], NULL, 10) : DEFAULT_SEEDS;
    tl_blas_single_thread();
    (void)printf("table\tdevice\tsamples\tgiven\tspearman\tmape\n");
    for (size_t t = 0; t < TL_COUNT(tables); t++) {
        static bench b;
        if (argc > 5 && strcmp(argv[5], tables[t]) != 0) {
            continue;
        }
        load(&b, argv[1], argv[2], argv[3], tables[t]);
        run_table(&b, tables[t], n_seeds);
        unload(&b);
    }
    return EXIT_SUCCESS;
}
