/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "numerics/gemm.h"
#include "numerics/linalg.h"
#include "predictors/confidence.h"
#include "predictors/head_parts.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK = 256,
    MAX_JITTERS = 8,
};

double tl_head_dof(const tl_head *head)
{
    return tl_confidence_dof(head->n_samples);
}

/* p(x) of each row, relative to the level. */
static void relative_mean(const tl_head *head, tl_dcmat x, const double *z, double *out)
{
    int d = x.cols;
    for (int i = 0; i < x.rows; i++) {
        double b = tl_head_prior_mean(head->spread, head->shrink, z == NULL ? 0 : z[i]);
        out[i] = b + head->scale * head->beta[d];
    }
    tl_dgemv(head->scale, TL_N, x, head->beta, 1, out);
}

/* x W, W being symmetric. One row is no reason to pack all of W, as a matrix product does. */
static void times_covariance(tl_dcmat x, tl_dcmat w, tl_dmat product)
{
    if (x.rows == 1) {
        tl_dgemv(1, TL_N, w, tl_dcmat_row(x, 0), 0, tl_dmat_row(product, 0));
    } else {
        tl_dgemm(1, TL_N, x, TL_N, w, 0, product);
    }
}

/* x~' W x~ of each row: the product x W is a matrix product, the rest a row sum. */
static void quadratic_form(const tl_head *head, tl_dcmat x, tl_dmat product, double *out)
{
    int d = x.cols;
    tl_dcmat w = tl_dcmat_cols(tl_dcmat_rows(tl_dro(head->cov), 0, d), 0, d);
    const double *last = tl_dmat_row(head->cov, d);
    times_covariance(x, w, product);
    for (int i = 0; i < x.rows; i++) {
        const double *row = tl_dcmat_row(x, i);
        const double *xw = tl_dmat_row(product, i);
        double sum = tl_ddot(d, row, xw) + 2 * tl_ddot(d, row, last) + last[d];
        out[i] = sum < 0 ? 0 : sum;
    }
}

static bool is_finite(int n, const double *x)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += x[i] * 0;
    }
    return sum == 0;
}

static tl_err predict_sd(
    const tl_head *head, tl_dcmat x, const double *relative, double *out_sd)
{
    tl_dmat product = {0};
    TL_TRY(tl_dmat_init(&product, x.rows < BLOCK ? x.rows : BLOCK, x.cols));
    for (int begin = 0; begin < x.rows; begin += BLOCK) {
        int end = begin + BLOCK < x.rows ? begin + BLOCK : x.rows;
        tl_dmat block = tl_dmat_rows(product, 0, end - begin);
        quadratic_form(head, tl_dcmat_rows(x, begin, end), block, out_sd + begin);
    }
    for (int i = 0; i < x.rows; i++) {
        double p = tl_head_clip(relative[i]);
        out_sd[i] = head->level * head->scale * head->width *
                    sqrt(out_sd[i] + head->noise * p * p + head->rounding);
    }
    tl_dmat_done(&product);
    return TL_OK;
}

tl_err tl_head_predict(
    const tl_head *head, tl_dcmat x, const double *z, double *out_mean, double *out_sd)
{
    TL_ASSERT(x.cols == head->n_columns - 1);
    tl_err err = TL_OK;
    int n = x.rows;
    double *mean = tl_mem_new(2 * (size_t)n, sizeof *mean);
    if (mean == NULL) {
        return tl_fail(TL_ENOMEM, "head");
    }
    double *sd = mean + n;
    relative_mean(head, x, z, mean);
    if (out_sd != NULL && (err = predict_sd(head, x, mean, sd)) != TL_OK) {
        goto done;
    }
    if (!is_finite(n, mean) || !is_finite(n, sd)) {
        err = tl_fail(TL_ENUMERIC, "head: a prediction is not finite");
        goto done;
    }
    for (int i = 0; i < n; i++) {
        out_mean[i] = head->level * mean[i];
    }
    if (out_sd != NULL) {
        memcpy(out_sd, sd, (size_t)n * sizeof *sd);
    }
done:
    tl_mem_free(mean);
    return err;
}

/* ---- joint draws ---------------------------------------------------------------------- */

/* L L^T = W + a little on the diagonal, as much as rounding asks for. */
static tl_err factor_covariance(const tl_head *head, tl_dmat factor)
{
    int d = head->n_columns;
    double trace = 0;
    for (int j = 0; j < d; j++) {
        trace += tl_dmat_row(head->cov, j)[j];
    }
    double jitter = 1e-12 * trace / d + 1e-300;
    for (int attempt = 0; attempt < MAX_JITTERS; attempt++) {
        for (int i = 0; i < d; i++) {
            double *row = tl_dmat_row(factor, i);
            memcpy(row, tl_dmat_row(head->cov, i), (size_t)d * sizeof *row);
            row[i] += jitter;
        }
        if (tl_chol(factor) == TL_OK) {
            tl_err_clear();
            return TL_OK;
        }
        jitter *= 100;
    }
    return tl_fail(TL_ENUMERIC, "head: the covariance is not definite");
}

tl_err tl_head_draw(
    const tl_head *head, tl_dcmat x, const double *z, tl_rng *rng, tl_dmat out_draws)
{
    int d = head->n_columns;
    int n = x.rows;
    TL_ASSERT(x.cols == d - 1 && out_draws.cols == n);
    tl_err err = TL_OK;
    tl_dmat factor = {0};
    tl_dmat normals = {0};
    tl_dmat weights = {0};
    double *mean = tl_mem_new((size_t)n, sizeof *mean);
    if (mean == NULL) {
        return tl_fail(TL_ENOMEM, "head");
    }
    if ((err = tl_dmat_init(&factor, d, d)) != TL_OK ||
        (err = tl_dmat_init(&normals, out_draws.rows, d)) != TL_OK ||
        (err = tl_dmat_init(&weights, out_draws.rows, d)) != TL_OK ||
        (err = factor_covariance(head, factor)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < normals.rows; i++) {
        for (int j = 0; j < d; j++) {
            tl_dmat_row(normals, i)[j] = tl_rng_normal(rng);
        }
    }
    relative_mean(head, x, z, mean);
    /* draws = e L^T, then deviations = draws x~^T */
    tl_dgemm(1, TL_N, tl_dro(normals), TL_T, tl_dro(factor), 0, weights);
    tl_dgemm(1, TL_N, tl_dro(tl_dmat_cols(weights, 0, d - 1)), TL_T, x, 0, out_draws);
    for (int i = 0; i < out_draws.rows; i++) {
        double *row = tl_dmat_row(out_draws, i);
        double constant = tl_dmat_row(weights, i)[d - 1];
        for (int j = 0; j < n; j++) {
            double p = tl_head_clip(mean[j]);
            double noise = sqrt(head->noise * p * p + head->rounding) * tl_rng_normal(rng);
            row[j] = head->level *
                     (mean[j] + head->scale * head->width * (row[j] + constant + noise));
        }
    }
done:
    tl_dmat_done(&factor);
    tl_dmat_done(&normals);
    tl_dmat_done(&weights);
    tl_mem_free(mean);
    return err;
}
