/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_HEAD_H
#define TL_PREDICTORS_HEAD_H

/*
 * Head: latency (or energy) of designs on one device, from a few measurements
 * of it, with a calibrated uncertainty.
 *
 * A Gaussian process whose kernel is a sum over feature groups and a column for
 * each known device (source.h), its hyperparameters averaged over a grid by
 * evidence, the overall variance integrated out, and Student-t noise by
 * reweighting, so that a wild measurement counts for little. All of it is
 * linear in the columns, so the posterior is one vector and one matrix:
 *
 *     x~ = [x, 1]                                      D = P + S + 1 entries
 *     b(x) = 1 + shrink (max(1 + spread z(x), 1/4) - 1)
 *     p(x) = b(x) + scale x~ . beta
 *     mean = level p,    sd = level scale width sqrt(x~' W x~ + noise clip(p, .3, 3)^2)
 *
 * z(x) is what an average known device says of the design (tl_sources_columns()).
 * width and the quantiles are read off the head's own leave-one-out residuals: the
 * model's intervals are too wide on exact devices and too narrow on phones that now and
 * then take twice as long. With few samples tl_head_quantile() is Student's t with
 * tl_head_dof() degrees of freedom; with hundreds it is the residuals' own: most within a
 * hundredth and some at twice the latency has no t.
 *
 * Values that are all multiples of a power of ten were rounded to it: such a tick adds its
 * own noise.
 *
 * Above TL_HEAD_MAX_EXACT samples the grid is weighed on the first of them and
 * all are fitted by the robust ridge: linear in the number of samples.
 *
 *     tl_head head = {0};
 *     tl_head_data data = {.n_sources = S, .spread = spread, .x = x, .z = z, .y = latency_ms};
 *     TL_TRY(tl_head_fit(features, &data, &head));
 *     err = tl_head_predict(&head, all_x, all_z, mean_ms, std_ms);
 *     ...
 *     tl_head_done(&head);
 *
 * The struct is plain data: what a store has to keep of a device.
 */

#include "numerics/rng.h"
#include "predictors/features.h"

enum {
    TL_HEAD_MAX_EXACT = 64,
    TL_HEAD_LEVELS = 4
};

/* .5 .8 .9 .95: what central intervals hold. */
extern const double tl_head_level[TL_HEAD_LEVELS];

typedef struct tl_head {
    int n_columns; /* D */
    int n_sources; /* S */
    int n_samples;
    double level; /* the unit of the relative prediction, in the metric's unit */
    double scale;
    double noise;
    double width;    /* of the intervals, 1: as the model says */
    double rounding; /* of measured values, variance in squared units of level scale */
    double interval[TL_HEAD_LEVELS]; /* deviations on both sides that hold each level */
    double spread;
    double shrink;
    double *beta; /* [D], the constant last */
    tl_dmat cov;  /* W [D, D] */
} tl_head;

typedef struct tl_head_data {
    int n_sources;   /* S, may be 0 */
    double spread;   /* tl_sources_spread() */
    tl_dcmat x;      /* [n, P + S]: head columns, then sources' columns */
    const double *z; /* [n]; NULL stands for zeros */
    const double *y; /* [n], measured, positive */
} tl_head_data;

/*
 * Fits to n >= 1 samples; a design may be there more than once. Fails with
 * TL_EINVAL when a value is not positive and finite, TL_ENUMERIC when a column
 * is not finite.
 */
TL_MUST_USE tl_err
tl_head_fit(const tl_features *features, const tl_head_data *data, tl_head *out_head);

/*
 * A head for a device without measurements: the shape is that of an average
 * known device, level and its relative deviation are the caller's guess.
 */
TL_MUST_USE tl_err tl_head_init_prior(
    const tl_features *features,
    int n_sources,
    double spread,
    double level,
    double relative_sd,
    tl_head *out_head);

void tl_head_done(tl_head *head);

double tl_head_dof(const tl_head *head);

/* Deviations from the mean below which a measurement is with probability p, 0 < p < 1. */
double tl_head_quantile(const tl_head *head, double p);

/* x [n, P + S], z [n] (NULL: zeros); out_sd may be NULL. */
TL_MUST_USE tl_err tl_head_predict(
    const tl_head *head, tl_dcmat x, const double *z, double *out_mean, double *out_sd);

/*
 * Joint draws of what a measurement of each design would give, noise included:
 * out_draws [n_draws, n]. Designs of one draw share one state of knowledge, so
 * a choice among them can be simulated.
 */
TL_MUST_USE tl_err
tl_head_draw(const tl_head *head, tl_dcmat x, const double *z, tl_rng *rng, tl_dmat out_draws);

#endif
