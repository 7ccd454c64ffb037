/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_HEAD_PARTS_H
#define TL_PREDICTORS_HEAD_PARTS_H

/*
 * Inside of head.h: what its files share.
 */

#include "predictors/head_grid.h"
#include "predictors/head_settings.h"

/* Noise and wild samples are judged at relative latencies of .3 to 3 only. */
double tl_head_clip(double relative);

/* b = 1 + shrink (max(1 + spread z, 1/4) - 1) */
double tl_head_prior_mean(double spread, double shrink, double z);

/* Leave-one-out residual of sample i averaged over the grid. */
double tl_head_residual(const tl_grid_fit *fit, int i);

/* The larger of what the middle and the tail of residuals say; they are overwritten. */
double tl_head_robust_sd(int n, double *residuals);

/* What of sample i is not explained by the others, and its variance given them. */
typedef struct tl_head_left_out {
    double residual, variance;
} tl_head_left_out;

/* shape: of the noise in the fit; relative: what the head says of the sample without it. */
tl_head_left_out tl_head_leave_out(
    const tl_grid *grid, const tl_grid_fit *fit, double shape, double relative, int i);

/*
 * How wide the intervals have to be, against what the model says of them:
 * robust deviation of the standardized leave-one-out residuals, shrunk to 1 on
 * few samples. The residuals are left as they are over the width.
 */
double tl_head_width(int n, const tl_head_settings *settings, double *residuals);

/*
 * head->interval: the residuals' own quantiles and those of Student's t, the latter
 * weighing as much as settings->level_weight samples; residuals in deviations,
 * overwritten. n may be 0.
 */
void tl_head_set_intervals(
    int n, const tl_head_settings *settings, double *residuals, tl_head *head);

/* The power of ten that all values are multiples of, where that is coarse; else 0. */
double tl_head_tick(int n, const double *y);

/* The mean of a normal variable that is known to lie within half a tick of y, minus y. */
double tl_head_within_tick(double y, double tick, double mean, double sd);

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
TL_MUST_USE tl_err tl_head_fit_many(
    const tl_head_data *data,
    const double *variance,
    const tl_head_settings *settings,
    tl_head *head);

#endif
