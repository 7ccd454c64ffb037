/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "numerics/gemm.h"
#include "predictors/head_parts.h"

#include <math.h>
#include <string.h>

enum {
    CHUNK_ROWS = 512 /* rows that are gathered for one product */
};

static const double negligible_weight = 1e-3; /* of the largest */

void tl_head_column_variances(
    const tl_features *features, const tl_grid *grid, const double *by_group, double *by_column)
{
    int n_head = tl_features_n_head(features);
    memset(by_column, 0, (size_t)n_head * sizeof *by_column);
    for (int g = 0; g < grid->n_groups; g++) {
        const tl_feature_group *group = tl_features_group(features, g);
        for (int j = group->begin; j < group->end; j++) {
            by_column[j] = by_group[g];
        }
    }
    for (int s = 0; s < grid->n_sources; s++) {
        by_column[n_head + s] = by_group[grid->n_groups];
    }
    by_column[n_head + grid->n_sources] = TL_GRID_CONSTANT;
}

/* What is needed for one grid point at a time; D columns, n samples. */
typedef struct posterior {
    const tl_features *features;
    const tl_grid *grid;
    const tl_grid_fit *fit;
    tl_dmat x;       /* x~ [n, D]: the samples and the constant */
    tl_dmat inverse; /* L^-1 [n, n] of the point */
    tl_dmat scaled;  /* rows of the samples times the point's variances [n, D] */
    tl_dmat chunk;   /* rows that wait to be multiplied with themselves */
    int n_waiting;
    double *by_group; /* the point's variances */
    double *variance; /* by column [D] */
    double *mean;     /* of beta over the kept points [D] */
    double *alpha;    /* of the point [n] */
    double kept_weight;
} posterior;

static void posterior_done(posterior *p)
{
    tl_dmat_done(&p->x);
    tl_dmat_done(&p->inverse);
    tl_dmat_done(&p->scaled);
    tl_dmat_done(&p->chunk);
    tl_mem_free(p->by_group);
}

static tl_err posterior_init(posterior *p, tl_dcmat x, int n_columns)
{
    int n = x.rows;
    size_t n_groups = (size_t)p->grid->n_groups + 1;
    tl_err err = TL_OK;
    if ((err = tl_dmat_init(&p->x, n, n_columns)) != TL_OK ||
        (err = tl_dmat_init(&p->inverse, n, n)) != TL_OK ||
        (err = tl_dmat_init(&p->scaled, n, n_columns)) != TL_OK ||
        (err = tl_dmat_init(&p->chunk, CHUNK_ROWS, n_columns)) != TL_OK) {
        return err;
    }
    p->by_group = tl_mem_new(n_groups + 2 * (size_t)n_columns + (size_t)n, sizeof(double));
    if (p->by_group == NULL) {
        return tl_fail(TL_ENOMEM, "head");
    }
    p->variance = p->by_group + n_groups;
    p->mean = p->variance + n_columns;
    p->alpha = p->mean + n_columns;
    for (int i = 0; i < n; i++) {
        double *row = tl_dmat_row(p->x, i);
        memcpy(row, tl_dcmat_row(x, i), (size_t)x.cols * sizeof *row);
        row[x.cols] = 1;
    }
    return TL_OK;
}

/* Variances and alpha of grid point m. */
static void read_point(posterior *p, int m)
{
    tl_grid_variances(p->grid, m, p->by_group);
    tl_head_column_variances(p->features, p->grid, p->by_group, p->variance);
    for (int i = 0; i < p->fit->n; i++) {
        p->alpha[i] = p->fit->alpha[tl_grid_at(p->fit, m, i)];
    }
}

/* out = diag(v) x~^T alpha: the point's own beta. */
static void point_beta(const posterior *p, double *out)
{
    tl_dgemv(1, TL_T, tl_dro(p->x), p->alpha, 0, out);
    for (int j = 0; j < p->x.cols; j++) {
        out[j] *= p->variance[j];
    }
}

/* beta = sum over all points of w diag(v) x~^T alpha. */
static void mean_beta(posterior *p, double *beta)
{
    int n_columns = p->x.cols;
    double *one = tl_dmat_row(p->chunk, 0);
    for (int m = 0; m < p->fit->n_points; m++) {
        double weight = p->fit->weight[m];
        if (weight < 1e-12) {
            continue;
        }
        read_point(p, m);
        point_beta(p, one);
        for (int j = 0; j < n_columns; j++) {
            beta[j] += weight * one[j];
        }
    }
}

static bool is_kept(const tl_grid_fit *fit, int m, double most)
{
    return fit->weight[m] > negligible_weight * most;
}

static void flush(posterior *p, double sign, tl_dmat cov)
{
    if (p->n_waiting > 0) {
        tl_dsyrk(sign, TL_T, tl_dro(tl_dmat_rows(p->chunk, 0, p->n_waiting)), 1, cov);
    }
    p->n_waiting = 0;
}

/* Room for n rows of the chunk. */
static tl_dmat take_rows(posterior *p, int n, double sign, tl_dmat cov)
{
    if (p->n_waiting + n > p->chunk.rows) {
        flush(p, sign, cov);
    }
    tl_dmat rows = tl_dmat_rows(p->chunk, p->n_waiting, p->n_waiting + n);
    p->n_waiting += n;
    return rows;
}

/* Adds to W the point's own covariance w s2 (diag v - T K^-1 T^T), T = diag(v) x~^T. */
static void add_within(posterior *p, int m, double weight, tl_dmat cov)
{
    int n = p->fit->n;
    double share = weight * p->fit->s2[m];
    double root = sqrt(share);
    read_point(p, m);
    for (int i = 0; i < n; i++) {
        const double *x = tl_dmat_row(p->x, i);
        double *scaled = tl_dmat_row(p->scaled, i);
        for (int j = 0; j < p->x.cols; j++) {
            scaled[j] = root * p->variance[j] * x[j];
        }
        for (int j = 0; j <= i; j++) {
            tl_dmat_row(p->inverse, i)[j] = p->fit->inverse[tl_grid_pair_at(p->fit, m, i, j)];
        }
    }
    tl_dmat rows = take_rows(p, n, -1, cov);
    tl_dgemm(1, TL_N, tl_dro(p->inverse), TL_N, tl_dro(p->scaled), 0, rows);
    for (int j = 0; j < p->x.cols; j++) {
        tl_dmat_row(cov, j)[j] += share * p->variance[j];
    }
}

/* Adds w (beta_m - mean)(beta_m - mean)^T. */
static void add_between(posterior *p, int m, double weight, tl_dmat cov)
{
    double root = sqrt(weight);
    double *row = tl_dmat_row(take_rows(p, 1, 1, cov), 0);
    read_point(p, m);
    point_beta(p, row);
    for (int j = 0; j < p->x.cols; j++) {
        row[j] = root * (row[j] - p->mean[j]);
    }
}

/* The mean of beta over the kept points, and their total weight. */
static void kept_mean(posterior *p, double most)
{
    double *one = tl_dmat_row(p->chunk, 0);
    for (int m = 0; m < p->fit->n_points; m++) {
        if (is_kept(p->fit, m, most)) {
            p->kept_weight += p->fit->weight[m];
        }
    }
    for (int m = 0; m < p->fit->n_points; m++) {
        if (!is_kept(p->fit, m, most)) {
            continue;
        }
        double weight = p->fit->weight[m] / p->kept_weight;
        read_point(p, m);
        point_beta(p, one);
        for (int j = 0; j < p->x.cols; j++) {
            p->mean[j] += weight * one[j];
        }
    }
}

static void fill_covariance(posterior *p, tl_head *head)
{
    const tl_grid_fit *fit = p->fit;
    double most = 0;
    for (int m = 0; m < fit->n_points; m++) {
        most = fit->weight[m] > most ? fit->weight[m] : most;
    }
    kept_mean(p, most);
    for (int m = 0; m < fit->n_points; m++) {
        if (is_kept(fit, m, most)) {
            double weight = fit->weight[m] / p->kept_weight;
            add_within(p, m, weight, head->cov);
            head->noise += weight * fit->s2[m] * tl_grid_noise(p->grid, m);
        }
    }
    flush(p, -1, head->cov);
    for (int m = 0; m < fit->n_points; m++) {
        if (is_kept(fit, m, most)) {
            add_between(p, m, fit->weight[m] / p->kept_weight, head->cov);
        }
    }
    flush(p, 1, head->cov);
}

tl_err tl_head_posterior(
    const tl_features *features,
    const tl_grid *grid,
    const tl_grid_fit *fit,
    tl_dcmat x,
    tl_head *head)
{
    posterior p = {.features = features, .grid = grid, .fit = fit};
    tl_err err = posterior_init(&p, x, head->n_columns);
    if (err == TL_OK) {
        mean_beta(&p, head->beta);
        fill_covariance(&p, head);
    }
    posterior_done(&p);
    return err;
}
