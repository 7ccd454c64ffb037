/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "numerics/stats.h"
#include "predictors/head_parts.h"
#include "predictors/ridge.h"

#include <math.h>
#include <string.h>

static const double mad_to_sd = 1.4826;
/* Residuals have longer tails than normal ones: their .95 quantile counts too. */
static const double tail_quantile = .95;
static const double tail_to_sd = 1.959963985;

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

/* Deviation of the residuals, each in proportion to its prediction. */
static double residual_scale(int n, const double *y, double *residuals)
{
    for (int i = 0; i < n; i++) {
        residuals[i] = fabs(residuals[i]) / tl_head_clip(y[i] - residuals[i]);
    }
    double middle = mad_to_sd * tl_median_inplace(n, residuals);
    double tail = tl_quantile_inplace(n, residuals, tail_quantile) / tail_to_sd;
    return fmax(middle, tail);
}

/* W = sd^2 diag(root v) (A^T A + lambda I)^-1 diag(root v), the constant's variance 1 / n. */
static void fill_covariance(
    tl_dcmat inverse, const double *variance, double square, int n, tl_dmat cov)
{
    int d = inverse.cols;
    for (int i = 0; i < d; i++) {
        const double *from = tl_dcmat_row(inverse, i);
        double *to = tl_dmat_row(cov, i);
        for (int j = 0; j < d; j++) {
            to[j] = square * sqrt(variance[i] * variance[j]) * from[j];
        }
    }
    tl_dmat_row(cov, d)[d] = square / n;
}

tl_err tl_head_fit_many(const tl_head_data *data, const double *variance, tl_head *head)
{
    tl_err err = TL_OK;
    int n = data->x.rows;
    int d = data->x.cols;
    tl_dmat a = {0};
    tl_dmat inverse = {0};
    tl_ridge_fit ridge;
    double *y = tl_mem_new(2 * (size_t)n, sizeof *y);
    if (y == NULL) {
        return tl_fail(TL_ENOMEM, "head");
    }
    double *residuals = y + n;
    memcpy(y, data->y, (size_t)n * sizeof *y);
    head->level = tl_median_inplace(n, y);
    if ((err = tl_dmat_init(&a, n, d)) != TL_OK ||
        (err = tl_dmat_init(&inverse, d, d)) != TL_OK) {
        goto done;
    }
    scale_data(data, variance, head->level, a, y);
    if ((err = tl_ridge(tl_dro(a), y, head->beta, residuals, inverse, &ridge)) != TL_OK) {
        goto done;
    }
    double sd = residual_scale(n, y, residuals);
    for (int j = 0; j < d; j++) {
        head->beta[j] *= sqrt(variance[j]);
    }
    head->beta[d] = ridge.mean - 1; /* b is 1: nothing is left to shrink to */
    head->scale = 1;
    head->shrink = 0;
    head->noise = sd * sd;
    fill_covariance(tl_dro(inverse), variance, sd * sd, n, head->cov);
done:
    tl_dmat_done(&a);
    tl_dmat_done(&inverse);
    tl_mem_free(y);
    return err;
}
