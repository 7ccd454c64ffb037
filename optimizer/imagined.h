/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_IMAGINED_H
#define TL_OPTIMIZER_IMAGINED_H

/*
 * Imagined devices: what an optimizer is trained on, as predictors would see them.
 *
 * A device is made up: its costs are a mixture of the known devices' (Dirichlet)
 * times what feature groups of one kind of runtime add by chance (weights N(0, 1) a
 * column, deviations log-normal a group). Where weight bits are searched, every second device takes
 * less time for narrow ones, up to in proportion. It is then onboarded as a user would: a
 * few random designs are measured, with noise, and the real head is fitted to
 * them, so that means, deviations and margins are those that an answer meets. Some
 * devices have no measurements, only a guess; and the known devices take part as they are.
 *
 *     tl_imagined_pool pool = {0};
 *     TL_TRY(tl_imagined_pool_init(predictor, freedom, has_energy, n, seed, &pool));
 *     tl_imagined device = {0};
 *     TL_TRY(tl_imagine(&pool, i, seed, &device));
 *     TL_TRY(tl_encoded_init(predictor, has_energy, designs, n, &encoded));
 *     tl_imagined_predict(&device, &encoded, predictions);
 */

#include "predictors/predictor.h"

/* Designs as devices read them. */
typedef struct tl_encoded {
    int n;
    bool has_energy;
    tl_mat x[TL_N_COSTS]; /* [n, D]: head columns, columns of known devices, 1 */
    double *z[TL_N_COSTS];
} tl_encoded;

TL_MUST_USE tl_err tl_encoded_init(
    const tl_predictor *predictor,
    bool has_energy,
    const tl_choice *designs,
    int n,
    tl_encoded *out_encoded);
void tl_encoded_done(tl_encoded *encoded);

/* Designs drawn by chance, on which devices are made up and measured. */
typedef struct tl_imagined_pool {
    const tl_predictor *predictor; /* borrowed */
    int n;
    tl_choice *designs; /* [n, n_slots] */
    tl_encoded encoded;
    int n_sources[TL_N_COSTS];
    const tl_source **sources[TL_N_COSTS]; /* borrowed from the model */
    double spread[TL_N_COSTS];
    /* log of the MACs at their weight bits over all at full width; NULL: no bits are searched */
    double *log_narrow;
} tl_imagined_pool;

TL_MUST_USE tl_err tl_imagined_pool_init(
    const tl_predictor *predictor,
    tl_freedom freedom,
    bool has_energy,
    int n,
    uint64_t seed,
    tl_imagined_pool *out_pool);
void tl_imagined_pool_done(tl_imagined_pool *pool);

/* What predictors know of one cost of a device: head.h in single precision. */
typedef struct tl_imagined_cost {
    double level, scale, noise, width, spread, shrink;
    int n_columns;
    float *beta; /* [D] */
    tl_mat cov;  /* [D, D]; empty: noise alone is uncertain */
} tl_imagined_cost;

typedef struct tl_imagined {
    bool has_energy;
    tl_imagined_cost costs[TL_N_COSTS];
    tl_confidence confidence[TL_N_COSTS];
} tl_imagined;

/*
 * Device number idx of a seed. The first are the known devices as they are, as many as
 * the pool has, the others made up.
 */
TL_MUST_USE tl_err
tl_imagine(const tl_imagined_pool *pool, int idx, uint64_t seed, tl_imagined *out_device);
void tl_imagined_done(tl_imagined *device);

/* Fills latency and energy of predictions [n]; energy NaN where the device has none. */
TL_MUST_USE tl_err tl_imagined_predict(
    const tl_imagined *device, const tl_encoded *encoded, tl_prediction *out_predictions);

#endif
