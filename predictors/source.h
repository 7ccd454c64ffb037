/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_SOURCE_H
#define TL_PREDICTORS_SOURCE_H

/*
 * Model of a known device: one metric (latency or energy) of one device with
 * hundreds of measurements, linear in all source columns (features.h).
 *
 *     y = median * (mean + x w)
 *
 * by tl_ridge_proportional(): relative errors count alike over the whole range
 * of values, and a wild one for little. Where a space chooses numbers (the shape of
 * a layer, its bits) and there are thousands of measurements, tl_source_refine()
 * multiplies that by exp(f), f from a Laplace kernel over those numbers (binning.h):
 * what the tiles of an accelerator do is no sum of columns.
 *
 * What each source says of a design is a feature for the head of a new device
 * (head.h): its prediction, standardized over the reference designs.
 *
 *     tl_source source = {0};
 *     TL_TRY(tl_source_fit(&source, rows, latency_ms));
 *     err = tl_sources_standardize(features, &sources, 1);   ref_mean, ref_sd
 *     ...
 *     tl_source_done(&source);
 *
 * The struct is plain data, so that a model file can hold it: weights, five
 * numbers and a count (and the sums of bins), no measured row.
 */

#include "predictors/binning.h"
#include "predictors/features.h"

enum {
    TL_SOURCE_MIN_REFINED = 1000
};

typedef struct tl_source {
    double *weights; /* w [n_weights] */
    int n_weights;   /* Ps */
    double mean;
    double median;           /* of the measured values: the unit of the relative prediction */
    double loo_sd;           /* robust deviation of relative leave-one-out residuals */
    double ref_mean, ref_sd; /* of the relative prediction over the reference designs */
    int n_samples;
    tl_binning shape; /* f; without weights: 0 */
} tl_source;

/*
 * Fits to n measured designs: source rows x [n, Ps], y [n] positive. Fails with
 * TL_EINVAL when a value is not positive and finite. ref_mean and ref_sd are left 0.
 */
TL_MUST_USE tl_err tl_source_fit(tl_source *source, tl_dcmat x, const double *y);
void tl_source_done(tl_source *source);

/* A deep copy. */
TL_MUST_USE tl_err tl_source_copy(const tl_source *source, tl_source *out_copy);

/*
 * Fits f to what the source leaves of the same n designs; nothing where the space
 * chooses no numbers or n < TL_SOURCE_MIN_REFINED.
 */
TL_MUST_USE tl_err
tl_source_refine(tl_source *source, const tl_features *features, tl_dcmat x, const double *y);

/* Fills ref_mean and ref_sd of each source. */
TL_MUST_USE tl_err
tl_sources_standardize(const tl_features *features, tl_source *const *sources, int n_sources);

/* Relative predictions of source rows x [n, Ps]; times median in the metric's unit. */
void tl_source_predict(const tl_source *source, tl_dcmat x, double *out_relative);

/*
 * The sources' columns F of the head: standardized relative predictions over
 * the root of n_sources, out_columns [n, n_sources]; out_mean [n] is the mean of the
 * standardized predictions, what an average known device says of the design. The sources
 * must be standardized.
 */
void tl_sources_columns(
    const tl_source *const *sources,
    int n_sources,
    tl_dcmat x,
    tl_dmat out_columns,
    double *out_mean);

/* The typical relative spread of designs on the sources: median of ref_sd; .15 without any. */
TL_MUST_USE tl_err
tl_sources_spread(const tl_source *const *sources, int n_sources, double *out_spread);

#endif
