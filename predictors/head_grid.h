/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_HEAD_GRID_H
#define TL_PREDICTORS_HEAD_GRID_H

/*
 * Inside of head.h: the grid of hyperparameters and the evidence of its points.
 *
 * Every hypothesis has its own points: point i = 1, 2, ... has coordinates
 * frac(1/2 + i g^-j), j = 1 .. D, g the root of g^(D+1) = g + 1 (an additive
 * recurrence, evenly spread in any dimension), mapped by the normal quantile to
 * a variance of each of its groups and a noise. Points are worked on eight at a
 * time, one in each lane: the arithmetic of small Cholesky factors is then all
 * vector operations, and a hundred of them cost less than one call of LAPACK.
 */

#include "predictors/features.h"

enum {
    TL_GRID_LANES = 8,
    TL_GRID_MAX_TERMS = TL_FEATURES_MAX_TERMS + 1,
    TL_GRID_MAX_SAMPLES = 64,
};

/* Prior variance of the constant. */
#define TL_GRID_CONSTANT 100.0

/* Eight grid points of one hypothesis. */
typedef struct tl_grid_batch {
    double variance[TL_GRID_MAX_TERMS][TL_GRID_LANES];
    double noise[TL_GRID_LANES];
    double log_prior;
    int n_terms;
    int group[TL_GRID_MAX_TERMS]; /* of the head; n_groups stands for the sources' columns */
} tl_grid_batch;

typedef struct tl_grid {
    tl_grid_batch *batches;
    int n_batches;
    int n_groups;  /* of the head, without the sources' */
    int n_sources; /* 0: no coordinate for them */
} tl_grid;

/* prior by hypothesis and source_centre take the place of the features' where given (not 0). */
TL_MUST_USE tl_err tl_grid_init(
    const tl_features *features,
    int n_sources,
    const double prior[TL_FEATURES_MAX_HYPOTHESES],
    double source_centre,
    tl_grid *out_grid);
void tl_grid_done(tl_grid *grid);

/*
 * Coordinates of the points 1 .. n of D = n_terms + 1 dimensions with these
 * centres: out_variance [n, n_terms] row-major, out_noise [n].
 */
void tl_grid_points(
    int n_terms, const double *centre, int n, double *out_variance, double *out_noise);

/*
 * One data set on the grid. Arrays by point hold n_batches * lanes entries;
 * arrays by point and sample are [batch][sample][lane]. Zero-initialize; free
 * with tl_grid_fit_done().
 */
typedef struct tl_grid_fit {
    int n, n_points;
    double rounding;  /* variance of every value, beside the noise; set before evaluating */
    double *gram;     /* [groups + 1][n (n + 1) / 2], lower triangles by rows */
    double *factor;   /* scratch of one batch */
    double *inverse;  /* L^-1 of K = L L^T: [batch][n (n + 1) / 2][lane] */
    double *alpha;    /* K^-1 y */
    double *diagonal; /* of K^-1 */
    double *weight;   /* by point, sums to 1 */
    double *s2;       /* by point: posterior mean of the overall variance */
    double *half_logdet, *q;
} tl_grid_fit;

/* x [n, P + S], 1 <= n <= TL_GRID_MAX_SAMPLES. */
TL_MUST_USE tl_err tl_grid_fit_init(
    const tl_features *features, const tl_grid *grid, tl_dcmat x, tl_grid_fit *fit);
void tl_grid_fit_done(tl_grid_fit *fit);

/*
 * K = sum_g v_g k_g + 100 1 1^T + noise diag(noise_shape) + rounding I at every point; fills
 * inverse, alpha, diagonal, weight, s2. Fails with TL_ENUMERIC where K is not
 * positive definite.
 */
TL_MUST_USE tl_err tl_grid_fit_evaluate(
    const tl_grid *grid, const double *y, const double *noise_shape, tl_grid_fit *fit);

/* Where arrays by point and sample hold sample i of a point, and inverse its entry i >= j. */
static inline ptrdiff_t tl_grid_at(const tl_grid_fit *fit, int point, int i)
{
    ptrdiff_t batch = point / TL_GRID_LANES;
    return (batch * fit->n + i) * TL_GRID_LANES + point % TL_GRID_LANES;
}

static inline ptrdiff_t tl_grid_pair_at(const tl_grid_fit *fit, int point, int i, int j)
{
    ptrdiff_t len = (ptrdiff_t)fit->n * (fit->n + 1) / 2;
    ptrdiff_t entry = (ptrdiff_t)i * (i + 1) / 2 + j;
    return ((point / TL_GRID_LANES) * len + entry) * TL_GRID_LANES + point % TL_GRID_LANES;
}

/* Variances of the groups (n_groups + 1 entries, sources last) at one point. */
void tl_grid_variances(const tl_grid *grid, int point, double *out_variance);
double tl_grid_noise(const tl_grid *grid, int point);

#endif
