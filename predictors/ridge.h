/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_RIDGE_H
#define TL_PREDICTORS_RIDGE_H

/*
 * Ridge regression in closed form.
 *
 *     y ~ mean + A w + noise,    w ~ N(0, s I),  noise ~ N(0, lambda s)
 *
 * lambda is the one of a fixed list with the largest evidence, s profiled out.
 * The work is one eigendecomposition of min(n, d) x min(n, d).
 */

#include "numerics/mat.h"

typedef enum tl_ridge_kind {
    /*
     * Every y is pulled to within three robust deviations of its own
     * leave-one-out prediction and the fit is repeated once, so that a few wild
     * measurements cannot bend it.
     */
    TL_RIDGE_ROBUST,
    /* One fit, without a mean: for a caller that weighs the rows itself. */
    TL_RIDGE_PLAIN,
} tl_ridge_kind;

typedef struct tl_ridge_fit {
    double mean;   /* what is predicted at a zero row; 0 where the fit is plain */
    double lambda; /* noise variance over prior variance of a weight */
    double scale;  /* 1.4826 times the median absolute leave-one-out residual, at least .01 */
} tl_ridge_fit;

/*
 * A [n, d], y [n] of order 1 (relative latencies), n >= 1; out_weights [d],
 * out_residuals [n] (leave-one-out, y minus prediction) unless NULL, and, unless
 * empty, out_inverse [d, d] = (A^T A + lambda I)^-1. Fails with TL_ENUMERIC on input
 * that is not finite.
 */
TL_MUST_USE tl_err tl_ridge(
    tl_ridge_kind kind,
    tl_dcmat a,
    const double *y,
    double *out_weights,
    double *out_residuals,
    tl_dmat out_inverse,
    tl_ridge_fit *out_fit);

/*
 * The same with noise in proportion to the prediction and of Student's t, by
 * reweighting: neither wild measurements nor the largest values rule the fit.
 * For values that span orders of magnitude. out_weights [d + 1], the constant
 * last; out_inverse, unless empty, is [d + 1, d + 1] with the constant's
 * column TL_RIDGE_CONSTANT, and belongs to a noise of 1 at a prediction of 1.
 * out_residuals [n], which needs out_inverse, unless NULL: leave-one-out residuals over
 * the deviation that the others predict of them where that noise has a deviation of 1,
 *     r / sqrt(p^2 + x' A x),   p the prediction, A the inverse, both without the sample.
 * fit->mean is the constant's contribution.
 */
TL_MUST_USE tl_err tl_ridge_proportional(
    tl_dcmat a,
    const double *y,
    double *out_weights,
    double *out_residuals,
    tl_dmat out_inverse,
    tl_ridge_fit *out_fit);

/* Root of the constant's prior variance. */
#define TL_RIDGE_CONSTANT 10.0

/* A leverage counts for 1 minus this at most when wild values are judged. */
#define TL_RIDGE_LEAST_GAP .05

/* Noise and wild values are judged at relative values of .1 to 10 only. */
double tl_ridge_clip(double relative);

#endif
