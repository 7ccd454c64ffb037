/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BENCH_POOL_TRIAL_H
#define TL_BENCH_POOL_TRIAL_H

/*
 * What the benches of the few-shot head share: tables, pools of devices, known
 * devices fitted to a random part of their measurements, and a head fitted to
 * some samples of an unseen device. A bench that cannot go on says so and exits.
 */

#include "base/mem.h"
#include "measurements/table.h"
#include "numerics/rng.h"
#include "predictors/features.h"
#include "predictors/head_settings.h"
#include "predictors/source.h"

enum {
    POOL_MAX_DEVICES = 32,
    POOL_N_CANDIDATES = 3000 /* designs that samples are suggested from */
};

typedef struct pool_spec {
    const char *name, *space;
    int n_train; /* measurements of each known device */
    double trim; /* share of a device's fastest and slowest designs that take no part */
    const char *sources;
    const char *targets; /* one that is a source too is left out of the sources */
} pool_spec;

extern const pool_spec pool_specs[];
extern const int n_pool_specs;

/* A space with its table, encoded once. */
typedef struct bench_data {
    tl_space *space;
    tl_features *features;
    tl_table table;
    tl_dmat rows; /* source rows of all designs of the table */
} bench_data;

/* The fitted sources of a pool. */
typedef struct pool_sources {
    tl_source fitted[POOL_MAX_DEVICES];
    int column[POOL_MAX_DEVICES];
    int n;
} pool_sources;

/* Head rows of all designs with the sources that take part. */
typedef struct pool_trial {
    const bench_data *bench;
    int n_sources;
    double spread;
    tl_dmat x;
    double *z;
    const tl_head_settings *settings; /* NULL: the kept ones */
} pool_trial;

void bench_fail(const char *what, tl_err err);
void bench_check(tl_err err, const char *what);
void *bench_array(int n, size_t size);

void bench_load(bench_data *bench, const char *spaces, const char *data, const char *name);
void bench_unload(bench_data *bench);

/* The latency column of the device whose name starts names; NULL when they are used up. */
const char *bench_next_column(const bench_data *bench, const char *names, int *out_column);

static inline double bench_value(const bench_data *bench, int row, int column)
{
    return bench->table.values[(ptrdiff_t)row * bench->table.n_columns + column];
}

/* names: separated by one space each. */
bool bench_is_among(const char *names, const char *name);

/* The column of the table. */
int bench_column(const bench_data *bench, tl_metric metric, const char *subject);

/*
 * What `bench_selection accuracies` wrote: out [n, BENCH_N_JUDGED], a row for each design of the
 * table, predicted by the fold that did not see it.
 */
enum {
    BENCH_N_JUDGED = 3
};
void bench_read_judged(const char *path, int n, double *out);

/* The rows with a measurement in the column, without the trimmed share at both ends. */
int bench_measured(const bench_data *bench, int column, double trim, int *out_rows);

void bench_gather(tl_dmat from, const int *rows, int n, tl_dmat *out);

/* Every source of the pool on n_train random measurements. */
void pool_sources_init(
    pool_sources *sources, const bench_data *bench, const pool_spec *pool, int seed);
void pool_sources_done(pool_sources *sources);

/* left_out: a column whose device takes no part, or -1. */
void trial_init(
    pool_trial *trial, const bench_data *bench, const pool_sources *sources, int left_out);
void trial_done(pool_trial *trial);

/* The designs that would be suggested first, most wanted first. */
void trial_suggest(const pool_trial *trial, int n_samples, tl_rng *rng, int *out_rows);

/* A head on these rows of the column; the caller releases it. */
void trial_fit(
    const pool_trial *trial, int column, const int *samples, int n_samples, tl_head *out_head);

#endif
