/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/head.h"

#include "base/mem.h"
#include "numerics/stats.h"
#include "predictors/head_grid.h"
#include "predictors/head_parts.h"

#include <math.h>
#include <string.h>

enum {
    MIN_SAMPLES_ROBUST = 5, /* with fewer there is no telling which one is wild */
};

static const double shrink_of_one_sample = .5;
static const double least_sd = .02;
static const double mad_to_sd = 1.4826;
static const double most_of_mad = 1.5;    /* sd(y) counts up to this many robust deviations */
static const double weight_of_spread = 2; /* samples that the sources' spread counts for */
static const double least_residual_scale = .01;

const tl_head_settings tl_head_kept = {
    .rounding = TL_HEAD_ROUNDING_VARIANCE,
    .noise_dof = 4,
    .n_rounds = 3,
    .width_weight = 5,
    .level_weight = 20,
    .level_shape = {1, 1, 1, 1}
};

double tl_head_clip(double relative)
{
    return relative < .3 ? .3 : relative > 3 ? 3 : relative;
}

double tl_head_prior_mean(double spread, double shrink, double z)
{
    double shape = 1 + spread * z;
    return 1 + shrink * ((shape < .25 ? .25 : shape) - 1);
}

/* ---- targets ------------------------------------------------------------------------ */

/* The samples in the head's own units, and the shape of their noise. */
typedef struct head_targets {
    int n;
    double *b, *y, *shape, *ratio, *scratch; /* [n] */
    double *relative;                        /* [n], what the others say of each */
    double *shift;                           /* [n], from what was read to y */
    double level, scale, shrink;
    double tick; /* of y; 0: none */
} head_targets;

static tl_err targets_init(int n, head_targets *out)
{
    double *memory = tl_mem_new(7 * (size_t)n, sizeof *memory);
    if (memory == NULL) {
        return tl_fail(TL_ENOMEM, "head");
    }
    *out = (head_targets){
        .n = n,
        .b = memory,
        .y = memory + n,
        .shape = memory + 2 * (ptrdiff_t)n,
        .ratio = memory + 3 * (ptrdiff_t)n,
        .scratch = memory + 4 * (ptrdiff_t)n,
        .relative = memory + 5 * (ptrdiff_t)n,
        .shift = memory + 6 * (ptrdiff_t)n};
    return TL_OK;
}

static void targets_done(head_targets *t)
{
    tl_mem_free(t->b);
}

static double median_of(head_targets *t, const double *x)
{
    memcpy(t->scratch, x, (size_t)t->n * sizeof *x);
    return tl_median_inplace(t->n, t->scratch);
}

/* The samples' own deviation, against a wild one no more than 1.5 robust ones, and the sources'. */
static double relative_scale(head_targets *t, double spread)
{
    int n = t->n;
    if (n == 1) {
        return fmax(spread, least_sd);
    }
    double median = median_of(t, t->y);
    for (int i = 0; i < n; i++) {
        t->scratch[i] = fabs(t->y[i] - median);
    }
    double robust = mad_to_sd * tl_median_inplace(n, t->scratch);
    double own = fmin(tl_sd(n, t->y), most_of_mad * robust);
    double square =
        (weight_of_spread * spread * spread + n * own * own) / (weight_of_spread + n);
    return fmax(sqrt(square), least_sd);
}

/* y = (measured / level - b) / scale */
static void fill_targets(const tl_head_data *data, head_targets *t)
{
    int n = t->n;
    t->shrink = shrink_of_one_sample / n;
    for (int i = 0; i < n; i++) {
        double z = data->z == NULL ? 0 : data->z[i];
        t->b[i] = tl_head_prior_mean(data->spread, t->shrink, z);
        t->y[i] = data->y[i] / t->b[i];
        t->shape[i] = 1;
    }
    t->level = median_of(t, t->y);
    for (int i = 0; i < n; i++) {
        t->y[i] = data->y[i] / t->level;
    }
    t->scale = relative_scale(t, data->spread);
    for (int i = 0; i < n; i++) {
        t->y[i] = (t->y[i] - t->b[i]) / t->scale;
    }
    t->tick = tl_head_tick(n, data->y) / (t->level * t->scale);
}

/*
 * Student-t noise proportional to latency p: shape = p^2 (4 + (r / (p scale))^2) / 5,
 * r the leave-one-out residual.
 */
static void reweight(double noise_dof, const tl_grid_fit *fit, head_targets *t)
{
    for (int i = 0; i < t->n; i++) {
        double r = tl_head_residual(fit, i);
        double p = tl_head_clip(t->b[i] + t->scale * (t->y[i] - r));
        t->relative[i] = p;
        t->shape[i] = p * p;
        t->ratio[i] = fabs(r) / p;
    }
    double scale = fmax(mad_to_sd * median_of(t, t->ratio), least_residual_scale / t->scale);
    for (int i = 0; i < t->n; i++) {
        double u = t->ratio[i] / scale;
        t->shape[i] *= (noise_dof + u * u) / (noise_dof + 1);
    }
}

/* Where within its tick each value was, the others say. */
static void move_within_ticks(const tl_grid *grid, const tl_grid_fit *fit, head_targets *t)
{
    for (int i = 0; i < t->n; i++) {
        tl_head_left_out out = tl_head_leave_out(grid, fit, t->shape[i], t->relative[i], i);
        double read = t->y[i] - t->shift[i];
        double mean = t->y[i] - out.residual;
        t->shift[i] = tl_head_within_tick(read, t->tick, mean, sqrt(out.variance));
        t->y[i] = read + t->shift[i];
    }
}

/* ---- fitting -------------------------------------------------------------------------- */

static tl_err check_data(const tl_features *features, const tl_head_data *data)
{
    TL_ASSERT(data->x.rows > 0);
    TL_ASSERT(data->x.cols == tl_features_n_head(features) + data->n_sources);
    double sum = 0;
    for (int i = 0; i < data->x.rows; i++) {
        const double *row = tl_dcmat_row(data->x, i);
        if (!(data->y[i] > 0) || !isfinite(data->y[i])) {
            return tl_fail(
                TL_EINVAL, "measured value: got %g, want a positive number", data->y[i]);
        }
        for (int j = 0; j < data->x.cols; j++) {
            sum += row[j] * 0; /* NaN where a column is not finite */
        }
        sum += data->z == NULL ? 0 : data->z[i] * 0;
    }
    return sum == 0 ? TL_OK : tl_fail(TL_ENUMERIC, "head: a column is not finite");
}

tl_err tl_head_alloc(const tl_features *features, int n_sources, tl_head *out_head)
{
    int n_columns = tl_features_n_head(features) + n_sources + 1;
    tl_head head = {.n_columns = n_columns, .n_sources = n_sources};
    head.beta = tl_mem_new((size_t)n_columns, sizeof *head.beta);
    if (head.beta == NULL) {
        return tl_fail(TL_ENOMEM, "head");
    }
    tl_err err = tl_dmat_init(&head.cov, n_columns, n_columns);
    if (err != TL_OK) {
        tl_head_done(&head);
        return err;
    }
    *out_head = head;
    return TL_OK;
}

void tl_head_done(tl_head *head)
{
    tl_mem_free(head->beta);
    tl_dmat_done(&head->cov);
    memset(head, 0, sizeof *head);
}

/* Evidence and reweighting, in turns. */
static tl_err weigh_grid(
    const tl_grid *grid, const tl_head_settings *settings, head_targets *t, tl_grid_fit *fit)
{
    int n_rounds = t->n < MIN_SAMPLES_ROBUST ? 0 : settings->n_rounds;
    if (settings->rounding != TL_HEAD_ROUNDING_NONE) {
        fit->rounding = t->tick * t->tick / 12;
    }
    TL_TRY(tl_grid_fit_evaluate(grid, t->y, t->shape, fit));
    for (int round = 0; round < n_rounds; round++) {
        reweight(settings->noise_dof, fit, t);
        if (settings->rounding == TL_HEAD_ROUNDING_CENSORED && t->tick > 0) {
            move_within_ticks(grid, fit, t);
        }
        TL_TRY(tl_grid_fit_evaluate(grid, t->y, t->shape, fit));
    }
    return TL_OK;
}

/* Posterior mean of the prior variance of each column. */
static tl_err fit_many(
    const tl_features *features,
    const tl_grid *grid,
    const tl_grid_fit *fit,
    const tl_head_data *data,
    const tl_head_settings *settings,
    tl_head *head)
{
    int n_groups = grid->n_groups + 1;
    double *mean = tl_mem_new(2 * (size_t)n_groups + (size_t)head->n_columns, sizeof *mean);
    if (mean == NULL) {
        return tl_fail(TL_ENOMEM, "head");
    }
    double *one = mean + n_groups;
    double *by_column = one + n_groups;
    for (int m = 0; m < fit->n_points; m++) {
        tl_grid_variances(grid, m, one);
        for (int g = 0; g < n_groups; g++) {
            mean[g] += fit->weight[m] * one[g];
        }
    }
    tl_head_column_variances(features, grid, mean, by_column);
    tl_err err = tl_head_fit_many(data, by_column, settings, head);
    tl_mem_free(mean);
    return err;
}

/* What the fit says of itself beside the posterior. */
static void describe(
    const tl_head_data *data,
    const tl_head_settings *settings,
    const tl_grid *grid,
    const tl_grid_fit *fit,
    head_targets *t,
    tl_head *head)
{
    int n = t->n >= MIN_SAMPLES_ROBUST ? t->n : 0;
    head->n_samples = data->x.rows;
    head->level = t->level;
    head->scale = t->scale;
    head->spread = data->spread;
    head->shrink = t->shrink;
    head->rounding = fit->rounding;
    for (int i = 0; i < n; i++) {
        tl_head_left_out out = tl_head_leave_out(grid, fit, t->shape[i], t->relative[i], i);
        t->scratch[i] = out.residual / sqrt(out.variance);
    }
    head->width = n > 0 ? tl_head_width(n, settings, t->scratch) : 1;
    tl_head_set_intervals(n, settings, t->scratch, head);
}

tl_err tl_head_fit(const tl_features *features, const tl_head_data *data, tl_head *out_head)
{
    return tl_head_fit_with(features, data, &tl_head_kept, out_head);
}

tl_err tl_head_fit_with(
    const tl_features *features,
    const tl_head_data *data,
    const tl_head_settings *settings,
    tl_head *out_head)
{
    TL_TRY(check_data(features, data));
    tl_err err = TL_OK;
    int n = data->x.rows;
    int n_exact = n < TL_HEAD_MAX_EXACT ? n : TL_HEAD_MAX_EXACT;
    tl_dcmat x = tl_dcmat_rows(data->x, 0, n_exact);
    tl_head head = {0};
    tl_grid grid = {0};
    tl_grid_fit fit = {0};
    head_targets targets = {0};
    if ((err = tl_head_alloc(features, data->n_sources, &head)) != TL_OK ||
        (err = targets_init(n_exact, &targets)) != TL_OK ||
        (err = tl_grid_init(
             features, data->n_sources, settings->prior, settings->source_centre, &grid)) !=
            TL_OK ||
        (err = tl_grid_fit_init(features, &grid, x, &fit)) != TL_OK) {
        goto done;
    }
    fill_targets(data, &targets);
    if ((err = weigh_grid(&grid, settings, &targets, &fit)) != TL_OK) {
        goto done;
    }
    describe(data, settings, &grid, &fit, &targets, &head);
    err = n > n_exact ? fit_many(features, &grid, &fit, data, settings, &head)
                      : tl_head_posterior(features, &grid, &fit, x, &head);
    if (err != TL_OK) {
        goto done;
    }
    *out_head = head;
    head = (tl_head){0};
done:
    tl_head_done(&head);
    targets_done(&targets);
    tl_grid_fit_done(&fit);
    tl_grid_done(&grid);
    return err;
}

tl_err tl_head_init_prior(
    const tl_features *features,
    int n_sources,
    double spread,
    double level,
    double relative_sd,
    tl_head *out_head)
{
    tl_head head = {0};
    TL_TRY(tl_head_alloc(features, n_sources, &head));
    head.level = level;
    head.scale = relative_sd;
    head.noise = 1;
    head.width = 1;
    head.spread = spread;
    head.shrink = 1;
    tl_head_set_intervals(0, &tl_head_kept, NULL, &head);
    *out_head = head;
    return TL_OK;
}
