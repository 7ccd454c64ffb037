/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "numerics/stats.h"
#include "predictors/head_parts.h"
#include "predictors/ridge.h"

#include <math.h>
#include <string.h>

static const double least_scale = 1e-6;

/* Columns times the roots of their variances; y over the level. */
static void scale_data(
    const tl_head_data *data, const double *variance, double level, tl_dmat a, double *y)
{
    for (int i = 0; i < a.rows; i++) {
        const double *x = tl_dcmat_row(data->x, i);
        double *row = tl_dmat_row(a, i);
        for (int j = 0; j < a.cols; j++) {
            row[j] = x[j] * sqrt(variance[j]);
        }
        y[i] = data->y[i] / level;
    }
}

/* beta and W in the head's own columns. */
static void unscale(
    const double *variance, double sd, tl_dcmat inverse, const double *weights, tl_head *head)
{
    for (int i = 0; i < head->n_columns; i++) {
        const double *from = tl_dcmat_row(inverse, i);
        double *to = tl_dmat_row(head->cov, i);
        head->beta[i] = weights[i] * sqrt(variance[i]);
        for (int j = 0; j < head->n_columns; j++) {
            to[j] = sd * sd * sqrt(variance[i] * variance[j]) * from[j];
        }
    }
}

tl_err tl_head_fit_many(
    const tl_head_data *data,
    const double *variance,
    const tl_head_settings *settings,
    tl_head *head)
{
    tl_err err = TL_OK;
    int n = data->x.rows;
    tl_dmat a = {0};
    tl_dmat inverse = {0};
    tl_ridge_fit ridge;
    double *y = tl_mem_new(2 * (size_t)n + (size_t)head->n_columns, sizeof *y);
    if (y == NULL) {
        return tl_fail(TL_ENOMEM, "head");
    }
    double *residuals = y + n;
    double *weights = residuals + n;
    memcpy(y, data->y, (size_t)n * sizeof *y);
    head->level = tl_median_inplace(n, y);
    if ((err = tl_dmat_init(&a, n, data->x.cols)) != TL_OK ||
        (err = tl_dmat_init(&inverse, head->n_columns, head->n_columns)) != TL_OK) {
        goto done;
    }
    scale_data(data, variance, head->level, a, y);
    err = tl_ridge_proportional(tl_dro(a), y, weights, residuals, inverse, &ridge);
    if (err != TL_OK) {
        goto done;
    }
    memcpy(y, residuals, (size_t)n * sizeof *y);
    double sd = fmax(tl_head_robust_sd(n, y), least_scale);
    for (int i = 0; i < n; i++) {
        residuals[i] /= sd;
    }
    tl_head_set_intervals(n, settings, residuals, head);
    unscale(variance, sd, tl_dro(inverse), weights, head);
    head->beta[head->n_columns - 1] -= 1; /* b is 1: nothing is left to shrink to */
    head->scale = 1;
    head->shrink = 0;
    head->width = 1;
    head->noise = sd * sd;
    head->rounding = 0; /* residuals have it */
done:
    tl_dmat_done(&a);
    tl_dmat_done(&inverse);
    tl_mem_free(y);
    return err;
}
