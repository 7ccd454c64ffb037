/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "numerics/stats.h"
#include "predictors/head_parts.h"
#include "predictors/ridge.h"

#include <math.h>
#include <string.h>

enum {
    ROUNDS = 3 /* of reweighting after the first fit */
};

static const double mad_to_sd = 1.4826;
static const double noise_dof = 4;
static const double least_scale = .01;
/* Residuals have longer tails than normal ones: their .95 quantile counts too. */
static const double tail_quantile = .95;
static const double tail_to_sd = 1.959963985;

/* One fit: columns and the constant times the roots of their variances. */
typedef struct many {
    tl_dmat a;       /* [n, D], rows over the root of their noise shape */
    tl_dmat inverse; /* [D, D] */
    double *y;       /* relative */
    double *target;  /* y over the root of the noise shape */
    double *shape, *residual, *ratio;
    int n, n_columns;
} many;

static void many_done(many *m)
{
    tl_dmat_done(&m->a);
    tl_dmat_done(&m->inverse);
    tl_mem_free(m->y);
}

static tl_err many_init(many *m, int n, int n_columns)
{
    *m = (many){.n = n, .n_columns = n_columns};
    tl_err err = TL_OK;
    m->y = tl_mem_new(5 * (size_t)n, sizeof *m->y);
    if (m->y == NULL) {
        return tl_fail(TL_ENOMEM, "head");
    }
    m->target = m->y + n;
    m->shape = m->target + n;
    m->residual = m->shape + n;
    m->ratio = m->residual + n;
    if ((err = tl_dmat_init(&m->a, n, n_columns)) != TL_OK ||
        (err = tl_dmat_init(&m->inverse, n_columns, n_columns)) != TL_OK) {
        many_done(m);
    }
    return err;
}

static void fill_rows(const tl_head_data *data, const double *variance, many *m)
{
    int d = m->n_columns - 1;
    for (int i = 0; i < m->n; i++) {
        const double *x = tl_dcmat_row(data->x, i);
        double *row = tl_dmat_row(m->a, i);
        double over = 1 / sqrt(m->shape[i]);
        for (int j = 0; j < d; j++) {
            row[j] = x[j] * sqrt(variance[j]) * over;
        }
        row[d] = sqrt(variance[d]) * over;
        m->target[i] = m->y[i] * over;
    }
}

/* Student-t noise in proportion to latency, as in the exact head. */
static void reweight(many *m)
{
    for (int i = 0; i < m->n; i++) {
        double r = m->residual[i] * sqrt(m->shape[i]);
        double p = tl_head_clip(m->y[i] - r);
        m->shape[i] = p * p;
        m->ratio[i] = fabs(r) / p;
        m->residual[i] = m->ratio[i];
    }
    double scale = fmax(mad_to_sd * tl_median_inplace(m->n, m->residual), least_scale);
    for (int i = 0; i < m->n; i++) {
        double u = m->ratio[i] / scale;
        m->shape[i] *= (noise_dof + u * u) / (noise_dof + 1);
    }
}

/* Deviation of the leave-one-out residuals, each in proportion to its prediction. */
static double residual_scale(const many *m)
{
    for (int i = 0; i < m->n; i++) {
        double r = m->residual[i] * sqrt(m->shape[i]);
        m->ratio[i] = fabs(r) / tl_head_clip(m->y[i] - r);
    }
    double middle = mad_to_sd * tl_median_inplace(m->n, m->ratio);
    double tail = tl_quantile_inplace(m->n, m->ratio, tail_quantile) / tail_to_sd;
    return fmax(fmax(middle, tail), least_scale);
}

/* W = sd^2 diag(root v) (A^T A + lambda I)^-1 diag(root v). */
static void fill_covariance(const many *m, const double *variance, double sd, tl_dmat cov)
{
    for (int i = 0; i < m->n_columns; i++) {
        const double *from = tl_dmat_row(m->inverse, i);
        double *to = tl_dmat_row(cov, i);
        for (int j = 0; j < m->n_columns; j++) {
            to[j] = sd * sd * sqrt(variance[i] * variance[j]) * from[j];
        }
    }
}

tl_err tl_head_fit_many(const tl_head_data *data, const double *variance, tl_head *head)
{
    many m;
    tl_ridge_fit ridge;
    TL_TRY(many_init(&m, data->x.rows, head->n_columns));
    tl_err err = TL_OK;
    memcpy(m.y, data->y, (size_t)m.n * sizeof *m.y);
    head->level = tl_median_inplace(m.n, m.y);
    for (int i = 0; i < m.n; i++) {
        m.y[i] = data->y[i] / head->level;
        m.shape[i] = 1;
    }
    for (int round = 0; round <= ROUNDS; round++) {
        tl_dmat inverse = round == ROUNDS ? m.inverse : (tl_dmat){0};
        if (round > 0) {
            reweight(&m);
        }
        fill_rows(data, variance, &m);
        err = tl_ridge(
            TL_RIDGE_PLAIN, tl_dro(m.a), m.target, head->beta, m.residual, inverse, &ridge);
        if (err != TL_OK) {
            goto done;
        }
    }
    double sd = residual_scale(&m);
    for (int j = 0; j < m.n_columns; j++) {
        head->beta[j] *= sqrt(variance[j]);
    }
    head->beta[m.n_columns - 1] -= 1; /* b is 1: nothing is left to shrink to */
    head->scale = 1;
    head->shrink = 0;
    head->noise = sd * sd;
    fill_covariance(&m, variance, sd, head->cov);
done:
    many_done(&m);
    return err;
}
