/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_GRADING_TRIAL_H
#define TL_GRADING_TRIAL_H

/*
 * Trials: one device left out, the others known, a few samples of it, and held-out
 * designs to be judged on. Of a pool of one column, energies or accuracies too, nothing
 * else is known.
 *
 * A fifth of all designs, by what they compute and the same for every device, is held out: no known
 * device's model and no sample has seen them. Of the rest the known devices are
 * fitted. The samples of the device left out come from those designs that its fellows
 * find no slower than their 80% quantile: held-out designs below it are "near",
 * those above it, outside the range of the samples, "far".
 *
 *     tl_pool pool = {0};
 *     TL_TRY(tl_pool_init(&options, &pool));
 *     tl_trial trial = {0};
 *     err = tl_trial_init(&pool, device, n_samples, seed, &trial);
 *     ...trial.samples, trial.queries...
 *     tl_trial_done(&trial);
 *     tl_pool_done(&pool);
 */

#include "grading/infer.h"
#include "measurements/columns.h"
#include "predictors/source.h"
#include "predictors/train.h"

enum {
    TL_POOL_MIN_ROWS = 64, /* fewer measurements of a device: it takes no part */
    TL_POOL_MAX_DEVICES = 24,
    TL_TRIAL_MAX_QUERIES = 400, /* of each kind */
    TL_TRIAL_MIN_QUERIES = 3,
    TL_TRIAL_UNLABELLED = 48
};

/* The devices of a space. */
typedef struct tl_pool {
    const tl_space *space; /* borrowed, as the columns are */
    const tl_train_column *columns[TL_POOL_MAX_DEVICES];
    const tl_column *accuracy; /* NULL: none */
    int n_devices;
    tl_features *features;
    tl_source sources[TL_POOL_MAX_DEVICES];
    uint64_t seed;
} tl_pool;

/* columns: latencies with enough rows; accuracy may be NULL. A pool that failed is empty. */
TL_MUST_USE tl_err tl_pool_init(
    const tl_space *space,
    const tl_train_column *const *columns,
    int n_columns,
    const tl_column *accuracy,
    uint64_t seed,
    tl_pool *pool);
void tl_pool_done(tl_pool *pool);

/* Designs as a trial needs them. */
typedef struct tl_trial_rows {
    int n, n_slots;
    tl_choice *designs; /* [n, n_slots] */
    tl_dmat head;       /* [n, P + S]: the shipped head's columns */
    tl_dmat scaled;     /* [n, P + S + 1]: scaled to one prior, the constant last */
    double *z;          /* what an average known device says */
    double *offset;     /* the shape that it expects, around 1 */
    double *value;      /* measured */
    double *gain;       /* accuracy of the design; NaN where unknown */
} tl_trial_rows;

typedef struct tl_trial {
    int n_sources;
    double spread;
    double level; /* ms of a relative latency of 1, from the samples */
    tl_trial_rows samples;
    tl_trial_rows queries; /* near ones first */
    tl_trial_rows unlabelled;
    int n_near;
} tl_trial;

/* TL_ESTATE where the device has too few designs for the samples and the queries. */
TL_MUST_USE tl_err
tl_trial_init(const tl_pool *pool, int device, int n_samples, uint64_t seed, tl_trial *trial);
void tl_trial_done(tl_trial *trial);

/*
 * The trial's near queries, then designs of other spaces as its device's head would read
 * them (foreign.h), of which nothing is measured: value and gain are NaN. Free with
 * tl_trial_rows_done().
 */
TL_MUST_USE tl_err tl_trial_foreign(
    const tl_pool *pool,
    int device,
    const tl_trial *trial,
    const tl_space *const *others,
    int n_others,
    tl_trial_rows *out_rows);
void tl_trial_rows_done(tl_trial_rows *rows);

/* Level from these values of the samples: the median of value / offset. */
TL_MUST_USE tl_err
tl_trial_level(const tl_trial *trial, const double *values, double *out_level);

#endif
