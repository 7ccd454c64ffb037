/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_HEAD_PARTS_H
#define TL_PREDICTORS_HEAD_PARTS_H

/*
 * Inside of head.h: what its files share.
 */

#include "predictors/head.h"
#include "predictors/head_grid.h"

/* Noise and wild samples are judged at relative latencies of .3 to 3 only. */
double tl_head_clip(double relative);

/* b = 1 + shrink (max(1 + spread z, 1/4) - 1) */
double tl_head_prior_mean(double spread, double shrink, double z);

/* Leave-one-out residual of sample i averaged over the grid. */
double tl_head_residual(const tl_grid_fit *fit, int i);

/* The larger of what the middle and the tail of residuals say; they are overwritten. */
double tl_head_robust_sd(int n, double *residuals);

/*
 * How wide the intervals have to be, against what the model says of them:
 * robust deviation of the standardized leave-one-out residuals, shrunk to 1 on
 * few samples. shape [n] is the noise's in the fit, relative [n] what the head
 * says of each sample without it.
 */
double tl_head_width(
    const tl_grid *grid, const tl_grid_fit *fit, const double *shape, const double *relative);

/* Zeroed beta and W of D = n_head + n_sources + 1 columns. */
TL_MUST_USE tl_err tl_head_alloc(const tl_features *features, int n_sources, tl_head *out_head);

/* Expands variances by group [n_groups + 1] to variances by column [D], the constant's last. */
void tl_head_column_variances(
    const tl_features *features,
    const tl_grid *grid,
    const double *by_group,
    double *by_column);

/* The posterior on the grid as head->beta, head->cov and head->noise. */
TL_MUST_USE tl_err tl_head_posterior(
    const tl_features *features,
    const tl_grid *grid,
    const tl_grid_fit *fit,
    tl_dcmat x,
    tl_head *head);

/* More than TL_HEAD_MAX_EXACT samples: ridge with these variances by column. */
TL_MUST_USE tl_err
tl_head_fit_many(const tl_head_data *data, const double *variance, tl_head *head);

#endif
