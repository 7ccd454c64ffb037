/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/head_grid.h"

#include "base/mem.h"
#include "base/watch.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

enum {
    LANES = TL_GRID_LANES,
    ROOT_STEPS = 60,
    LOG_EVERY = 8, /* pivots whose product is safe to take before its logarithm */
};

static const double centre_of_noise = .2;
static const double least_noise = 1e-4;
static const double spread_of_variance = 2;
static const double spread_of_noise = 1.5;
static const double least_uniform = 1e-4;
static const double prior_dof = 2; /* of the overall variance: inverse gamma */

/* One number for each point of a batch. Only used in place, never passed. */
typedef double lanes __attribute__((vector_size(LANES * sizeof(double)), may_alias));

/* ---- the grid -------------------------------------------------------------------- */

static double recurrence_base(int n_dimensions)
{
    double g = 2;
    for (int i = 0; i < ROOT_STEPS; i++) {
        g = pow(1 + g, 1.0 / (n_dimensions + 1));
    }
    return g;
}

/* Coordinate j = 1, 2, ... of point i, as a standard normal. */
static double coordinate(double base, int i, int j)
{
    double u = fmod(.5 + i * pow(base, -j), 1);
    u = u < least_uniform ? least_uniform : u > 1 - least_uniform ? 1 - least_uniform : u;
    return tl_normal_quantile(u);
}

void tl_grid_points(
    int n_terms, const double *centre, int n, double *out_variance, double *out_noise)
{
    double base = recurrence_base(n_terms + 1);
    for (int i = 1; i <= n; i++) {
        for (int t = 0; t < n_terms; t++) {
            double z = coordinate(base, i, t + 1);
            *out_variance++ = centre[t] * exp(spread_of_variance * z);
        }
        double z = coordinate(base, i, n_terms + 1);
        *out_noise++ = centre_of_noise * exp(spread_of_noise * z) + least_noise;
    }
}

static void fill_batches(
    const tl_grid *grid, const tl_hypothesis *hypothesis, tl_grid_batch *batches)
{
    enum {
        MAX_POINTS = 256
    };
    double variance[MAX_POINTS * TL_GRID_MAX_TERMS];
    double noise[MAX_POINTS];
    double centre[TL_GRID_MAX_TERMS];
    int group[TL_GRID_MAX_TERMS];
    int n_terms = 0;
    int n_points = hypothesis->n_points;
    TL_ASSERT(n_points % LANES == 0 && n_points <= MAX_POINTS);
    if (grid->n_sources > 0) {
        group[n_terms] = grid->n_groups;
        centre[n_terms++] = hypothesis->source_centre;
    }
    for (int t = 0; t < hypothesis->n_terms; t++) {
        group[n_terms] = hypothesis->group[t];
        centre[n_terms++] = hypothesis->centre[t];
    }
    tl_grid_points(n_terms, centre, n_points, variance, noise);
    for (int i = 0; i < n_points; i++) {
        tl_grid_batch *batch = &batches[i / LANES];
        batch->n_terms = n_terms;
        batch->log_prior = log(hypothesis->prior / n_points);
        batch->noise[i % LANES] = noise[i];
        for (int t = 0; t < n_terms; t++) {
            batch->group[t] = group[t];
            batch->variance[t][i % LANES] = variance[i * n_terms + t];
        }
    }
}

tl_err tl_grid_init(
    const tl_features *features,
    int n_sources,
    const double prior[TL_FEATURES_MAX_HYPOTHESES],
    double source_centre,
    tl_grid *out_grid)
{
    tl_grid grid = {.n_groups = tl_features_n_groups(features), .n_sources = n_sources};
    int n_hypotheses = tl_features_n_hypotheses(features);
    for (int h = 0; h < n_hypotheses; h++) {
        grid.n_batches += tl_features_hypothesis(features, h)->n_points / LANES;
    }
    grid.batches = tl_mem_new((size_t)grid.n_batches, sizeof *grid.batches);
    if (grid.batches == NULL) {
        return tl_fail(TL_ENOMEM, "head");
    }
    tl_grid_batch *next = grid.batches;
    for (int h = 0; h < n_hypotheses; h++) {
        tl_hypothesis hypothesis = *tl_features_hypothesis(features, h);
        hypothesis.prior = prior[h] > 0 ? prior[h] : hypothesis.prior;
        hypothesis.source_centre = source_centre > 0 ? source_centre : hypothesis.source_centre;
        fill_batches(&grid, &hypothesis, next);
        next += hypothesis.n_points / LANES;
    }
    *out_grid = grid;
    return TL_OK;
}

void tl_grid_done(tl_grid *grid)
{
    tl_mem_free(grid->batches);
    memset(grid, 0, sizeof *grid);
}

void tl_grid_variances(const tl_grid *grid, int point, double *out_variance)
{
    const tl_grid_batch *batch = &grid->batches[point / LANES];
    memset(out_variance, 0, (size_t)(grid->n_groups + 1) * sizeof *out_variance);
    for (int t = 0; t < batch->n_terms; t++) {
        out_variance[batch->group[t]] = batch->variance[t][point % LANES];
    }
}

double tl_grid_noise(const tl_grid *grid, int point)
{
    return grid->batches[point / LANES].noise[point % LANES];
}

/* ---- one data set ------------------------------------------------------------------- */

static size_t packed_len(int n)
{
    return (size_t)n * (size_t)(n + 1) / 2;
}

/* packed = lower triangle of x x^T. */
static void pack_gram(tl_dcmat x, tl_dmat square, double *packed)
{
    tl_dsyrk(1, TL_N, x, 0, square);
    for (int i = 0; i < square.rows; i++) {
        memcpy(packed, tl_dmat_row(square, i), (size_t)(i + 1) * sizeof *packed);
        packed += i + 1;
    }
}

static tl_err fill_grams(
    const tl_features *features, const tl_grid *grid, tl_dcmat x, tl_grid_fit *fit)
{
    size_t len = packed_len(fit->n);
    int n_head = tl_features_n_head(features);
    tl_dmat square = {0};
    TL_TRY(tl_dmat_init(&square, fit->n, fit->n));
    for (int g = 0; g < grid->n_groups; g++) {
        const tl_feature_group *group = tl_features_group(features, g);
        pack_gram(
            tl_dcmat_cols(x, group->begin, group->end), square, fit->gram + (size_t)g * len);
    }
    if (grid->n_sources > 0) {
        tl_dcmat columns = tl_dcmat_cols(x, n_head, n_head + grid->n_sources);
        pack_gram(columns, square, fit->gram + (size_t)grid->n_groups * len);
    }
    tl_dmat_done(&square);
    return TL_OK;
}

tl_err tl_grid_fit_init(
    const tl_features *features, const tl_grid *grid, tl_dcmat x, tl_grid_fit *fit)
{
    TL_ASSERT(x.rows > 0 && x.rows <= TL_GRID_MAX_SAMPLES);
    TL_ASSERT(x.cols == tl_features_n_head(features) + grid->n_sources);
    size_t n = (size_t)x.rows;
    size_t len = packed_len(x.rows);
    size_t n_points = (size_t)grid->n_batches * LANES;
    fit->n = x.rows;
    fit->n_points = (int)n_points;
    fit->gram = tl_mem_new_aligned((size_t)(grid->n_groups + 1) * len, sizeof(double));
    fit->factor = tl_mem_new_aligned((len + n) * LANES, sizeof(double));
    fit->inverse = tl_mem_new_aligned(n_points * len, sizeof(double));
    fit->alpha = tl_mem_new_aligned(n_points * n, sizeof(double));
    fit->diagonal = tl_mem_new_aligned(n_points * n, sizeof(double));
    fit->weight = tl_mem_new_aligned(4 * n_points, sizeof(double));
    if (fit->gram == NULL || fit->factor == NULL || fit->inverse == NULL ||
        fit->alpha == NULL || fit->diagonal == NULL || fit->weight == NULL) {
        tl_grid_fit_done(fit);
        return tl_fail(TL_ENOMEM, "head");
    }
    fit->s2 = fit->weight + n_points;
    fit->half_logdet = fit->weight + 2 * n_points;
    fit->q = fit->weight + 3 * n_points;
    tl_err err = fill_grams(features, grid, x, fit);
    if (err != TL_OK) {
        tl_grid_fit_done(fit);
    }
    return err;
}

void tl_grid_fit_done(tl_grid_fit *fit)
{
    tl_mem_free(fit->gram);
    tl_mem_free(fit->factor);
    tl_mem_free(fit->inverse);
    tl_mem_free(fit->alpha);
    tl_mem_free(fit->diagonal);
    tl_mem_free(fit->weight);
    memset(fit, 0, sizeof *fit);
}

/* ---- lanes: the same small problem at eight grid points --------------------------------- */

static size_t row_begin(int i)
{
    return packed_len(i);
}

/* K = 100 1 1^T + sum_t v_t gram_t + noise diag(shape) + rounding I. */
static void build_kernel(
    const tl_grid_batch *batch, const tl_grid_fit *fit, const double *shape, lanes *restrict k)
{
    size_t len = packed_len(fit->n);
    lanes variance[TL_GRID_MAX_TERMS];
    lanes noise;
    memcpy(variance, batch->variance, sizeof variance);
    memcpy(&noise, batch->noise, sizeof noise);
    lanes zero = {0};
    for (size_t e = 0; e < len; e++) {
        lanes sum = zero + TL_GRID_CONSTANT;
        for (int t = 0; t < batch->n_terms; t++) {
            sum += variance[t] * fit->gram[(size_t)batch->group[t] * len + e];
        }
        k[e] = sum;
    }
    for (int i = 0; i < fit->n; i++) {
        k[row_begin(i) + (size_t)i] += noise * shape[i] + fit->rounding;
    }
}

/* K = L L^T in place; half_logdet = sum log L_ii. */
static void factorize(int n, lanes *k, double *half_logdet)
{
    lanes product = {0};
    product += 1;
    memset(half_logdet, 0, LANES * sizeof *half_logdet);
    for (int j = 0; j < n; j++) {
        lanes *row_j = k + row_begin(j);
        lanes pivot = row_j[j];
        for (int t = 0; t < j; t++) {
            pivot -= row_j[t] * row_j[t];
        }
        for (int l = 0; l < LANES; l++) {
            pivot[l] = sqrt(pivot[l]);
        }
        row_j[j] = pivot;
        lanes reciprocal = 1 / pivot;
        for (int i = j + 1; i < n; i++) {
            lanes *row_i = k + row_begin(i);
            lanes sum = row_i[j];
            for (int t = 0; t < j; t++) {
                sum -= row_i[t] * row_j[t];
            }
            row_i[j] = sum * reciprocal;
        }
        product *= pivot;
        if (j % LOG_EVERY == LOG_EVERY - 1 || j == n - 1) {
            for (int l = 0; l < LANES; l++) {
                half_logdet[l] += log(product[l]);
                product[l] = 1;
            }
        }
    }
}

/* inverse = L^-1, lower triangular. */
static void invert(int n, const lanes *restrict factor, lanes *restrict inverse)
{
    for (int i = 0; i < n; i++) {
        const lanes *l_row = factor + row_begin(i);
        lanes *out_row = inverse + row_begin(i);
        lanes reciprocal = 1 / l_row[i];
        lanes zero = {0};
        for (int j = 0; j < i; j++) {
            out_row[j] = zero;
        }
        /* row i of L^-1 = -(1 / L_ii) sum_t L_it (row t of L^-1), t < i */
        for (int t = 0; t < i; t++) {
            const lanes *t_row = inverse + row_begin(t);
            lanes coefficient = l_row[t] * reciprocal;
            for (int j = 0; j <= t; j++) {
                out_row[j] -= coefficient * t_row[j];
            }
        }
        out_row[i] = reciprocal;
    }
}

/* alpha = L^-T L^-1 y, diagonal = column norms of L^-1 squared, q = y alpha. */
static void solve(
    int n,
    const lanes *restrict inverse,
    const double *y,
    lanes *restrict alpha,
    lanes *restrict diagonal,
    double *out_q)
{
    lanes zero = {0};
    lanes q = zero;
    for (int i = 0; i < n; i++) {
        alpha[i] = zero;
        diagonal[i] = zero;
    }
    for (int i = 0; i < n; i++) {
        const lanes *row = inverse + row_begin(i);
        lanes z = zero;
        for (int j = 0; j <= i; j++) {
            z += row[j] * y[j];
        }
        for (int j = 0; j <= i; j++) {
            alpha[j] += row[j] * z;
            diagonal[j] += row[j] * row[j];
        }
        q += z * z;
    }
    memcpy(out_q, &q, sizeof q);
}

/* weight from log evidence, the overall variance integrated out. */
static tl_err weigh(const tl_grid *grid, tl_grid_fit *fit)
{
    double best = -HUGE_VAL;
    double total = 0;
    int n = fit->n;
    for (int m = 0; m < fit->n_points; m++) {
        double q = fit->q[m];
        double log_weight = grid->batches[m / LANES].log_prior - fit->half_logdet[m] -
                            .5 * (n + prior_dof) * log(prior_dof + q);
        if (!isfinite(log_weight)) {
            return tl_fail(TL_ENUMERIC, "head: a kernel of %d samples is not definite", n);
        }
        fit->weight[m] = log_weight;
        fit->s2[m] = (prior_dof + q) / (prior_dof + n);
        best = log_weight > best ? log_weight : best;
    }
    for (int m = 0; m < fit->n_points; m++) {
        fit->weight[m] = exp(fit->weight[m] - best);
        total += fit->weight[m];
    }
    for (int m = 0; m < fit->n_points; m++) {
        fit->weight[m] /= total;
    }
    return TL_OK;
}

tl_err tl_grid_fit_evaluate(
    const tl_grid *grid, const double *y, const double *noise_shape, tl_grid_fit *fit)
{
    int n = fit->n;
    size_t len = packed_len(n);
    lanes *factor = (lanes *)(void *)fit->factor;
    for (int b = 0; b < grid->n_batches; b++) {
        size_t begin = (size_t)b * (size_t)n;
        lanes *inverse = (lanes *)(void *)fit->inverse + (size_t)b * len;
        lanes *alpha = (lanes *)(void *)fit->alpha + begin;
        lanes *diagonal = (lanes *)(void *)fit->diagonal + begin;
        TL_TRY(tl_watch_check());
        build_kernel(&grid->batches[b], fit, noise_shape, factor);
        factorize(n, factor, fit->half_logdet + (ptrdiff_t)b * LANES);
        invert(n, factor, inverse);
        solve(n, inverse, y, alpha, diagonal, fit->q + (ptrdiff_t)b * LANES);
    }
    return weigh(grid, fit);
}
