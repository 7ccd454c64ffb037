/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"
#include "predictors/ridge.h"

#include <math.h>

enum {
    ROUNDS = 3 /* of reweighting after the first fit */
};

static const double mad_to_sd = 1.4826;
static const double noise_dof = 4;
static const double least_scale = .01;
static const double least_gap = 1e-6; /* between a leverage and 1 */

double tl_ridge_clip(double relative)
{
    return relative < .1 ? .1 : relative > 10 ? 10 : relative;
}

/* Arrays of one problem; a holds the constant's column last. */
typedef struct weighted {
    tl_dmat a;      /* rows over the root of their noise shape */
    double *target; /* y over the same */
    double *shape, *residual, *ratio;
    int n;
} weighted;

static void weighted_done(weighted *w)
{
    tl_dmat_done(&w->a);
    tl_mem_free(w->target);
}

static tl_err weighted_init(weighted *w, int n, int d)
{
    *w = (weighted){.n = n};
    w->target = tl_mem_new(4 * (size_t)n, sizeof *w->target);
    if (w->target == NULL) {
        return tl_fail(TL_ENOMEM, "ridge");
    }
    w->shape = w->target + n;
    w->residual = w->shape + n;
    w->ratio = w->residual + n;
    for (int i = 0; i < n; i++) {
        w->shape[i] = 1;
    }
    tl_err err = tl_dmat_init(&w->a, n, d + 1);
    if (err != TL_OK) {
        weighted_done(w);
    }
    return err;
}

static void fill_rows(tl_dcmat a, const double *y, weighted *w)
{
    for (int i = 0; i < w->n; i++) {
        const double *x = tl_dcmat_row(a, i);
        double *row = tl_dmat_row(w->a, i);
        double over = 1 / sqrt(w->shape[i]);
        for (int j = 0; j < a.cols; j++) {
            row[j] = x[j] * over;
        }
        row[a.cols] = TL_RIDGE_CONSTANT * over;
        w->target[i] = y[i] * over;
    }
}

/* ratio = leave-one-out residual over clipped prediction, shape = the prediction squared. */
static void judge(const double *y, weighted *w)
{
    for (int i = 0; i < w->n; i++) {
        double r = w->residual[i] * sqrt(w->shape[i]);
        double p = tl_ridge_clip(y[i] - r);
        w->shape[i] = p * p;
        w->ratio[i] = r / p;
    }
}

static double robust_scale(weighted *w)
{
    for (int i = 0; i < w->n; i++) {
        w->residual[i] = fabs(w->ratio[i]);
    }
    return fmax(mad_to_sd * tl_median_inplace(w->n, w->residual), least_scale);
}

/* shape = p^2 (4 + (r / (p scale))^2) / 5 */
static void reweight(double scale, weighted *w)
{
    for (int i = 0; i < w->n; i++) {
        double u = w->ratio[i] / scale;
        w->shape[i] *= (noise_dof + u * u) / (noise_dof + 1);
    }
}

/*
 * Leave-one-out residuals over the deviation that the other samples predict. Leverage
 * h = a' A a, a the weighted row: without the sample x' A x = shape h / (1 - h).
 */
static tl_err standardize(const double *y, tl_dcmat inverse, const weighted *w, double *out)
{
    tl_dmat product = {0};
    TL_TRY(tl_dmat_init(&product, w->n, inverse.cols));
    tl_dgemm(1, TL_N, tl_dro(w->a), TL_N, inverse, 0, product);
    for (int i = 0; i < w->n; i++) {
        double h = tl_ddot(inverse.cols, tl_dmat_row(w->a, i), tl_dmat_row(product, i));
        double gap = fmax(1 - h, least_gap);
        double clipped = w->residual[i] * sqrt(w->shape[i]);
        double r = clipped * fmax(1 - h, TL_RIDGE_LEAST_GAP) / gap;
        double p = tl_ridge_clip(y[i] - clipped);
        out[i] = r / sqrt(p * p + w->shape[i] * h / gap);
    }
    tl_dmat_done(&product);
    return TL_OK;
}

tl_err tl_ridge_proportional(
    tl_dcmat a,
    const double *y,
    double *out_weights,
    double *out_residuals,
    tl_dmat out_inverse,
    tl_ridge_fit *out_fit)
{
    TL_ASSERT(out_residuals == NULL || out_inverse.data != NULL);
    weighted w;
    tl_ridge_fit fit = {0};
    TL_TRY(weighted_init(&w, a.rows, a.cols));
    tl_err err = TL_OK;
    for (int round = 0; round <= ROUNDS; round++) {
        tl_dmat inverse = round == ROUNDS ? out_inverse : (tl_dmat){0};
        fill_rows(a, y, &w);
        err = tl_ridge(
            TL_RIDGE_PLAIN, tl_dro(w.a), w.target, out_weights, w.residual, inverse, &fit);
        if (err != TL_OK) {
            goto done;
        }
        if (round == ROUNDS && out_residuals != NULL &&
            (err = standardize(y, tl_dro(out_inverse), &w, out_residuals)) != TL_OK) {
            goto done;
        }
        judge(y, &w);
        fit.scale = robust_scale(&w);
        if (round < ROUNDS) {
            reweight(fit.scale, &w);
        }
    }
    fit.mean = out_weights[a.cols] * TL_RIDGE_CONSTANT;
    *out_fit = fit;
done:
    weighted_done(&w);
    return err;
}
