/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/proxy.h"

#include "base/mem.h"
#include "numerics/stats.h"
#include "predictors/ridge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_DRAWS = 200,
    N_DESIGNS = 1000
};

/*
 * The interval of 90% on Fisher's scale: draws of a head that was fitted to a few designs
 * are too much alike, and known devices' models err too (bench/results/proxy_agreement.tsv).
 */
static const double interval_width = 1.645;
static const double draw_weight = 2;
static const double model_error = .17;

/* ---- agreement ---------------------------------------------------------------------------- */

static bool is_proxy(const tl_model_source *source, tl_cost cost, const char *device)
{
    return source->cost == cost && strcmp(source->device, device) != 0;
}

int tl_proxy_max_agreements(const tl_view *view, tl_cost cost, const char *device)
{
    const tl_model *model = tl_predictor_model(tl_view_predictor(view));
    int n = 0;
    for (int s = 0; model != NULL && s < model->n_sources; s++) {
        n += is_proxy(&model->sources[s], cost, device);
    }
    return n;
}

/* Designs, ranked by draws of the device and by each known one. */
typedef struct rankings {
    int n, n_slots;
    tl_choice *designs; /* [n, n_slots] */
    tl_dmat rows;       /* [n, Ps] */
    tl_dmat draws;      /* [N_DRAWS, n], then their ranks, centred and of norm 1 */
    double *average;    /* [n]: of the draws' ranks, of norm 1 too */
    double *known;      /* [n] */
    double *z;          /* [N_DRAWS] */
} rankings;

static void rankings_done(rankings *r)
{
    tl_mem_free(r->designs);
    tl_dmat_done(&r->rows);
    tl_dmat_done(&r->draws);
    tl_mem_free(r->known);
    tl_mem_free(r->average);
    tl_mem_free(r->z);
}

static void normalize(int n, double *values)
{
    double mean = tl_mean(n, values);
    double norm = tl_sd(n, values) * sqrt(n);
    for (int i = 0; i < n; i++) {
        values[i] = norm > 0 ? (values[i] - mean) / norm : 0;
    }
}

/* Centred ranks of norm 1 in place of the values: their product is Spearman's coefficient. */
static tl_err rank_inplace(int n, double *values)
{
    double *rank = tl_mem_new((size_t)n, sizeof *rank);
    if (rank == NULL) {
        return tl_fail(TL_ENOMEM, "ranks of %d designs", n);
    }
    tl_err err = tl_rank(n, values, rank);
    if (err == TL_OK) {
        memcpy(values, rank, (size_t)n * sizeof *values);
        normalize(n, values);
    }
    tl_mem_free(rank);
    return err;
}

static tl_err rank_draws(rankings *r)
{
    for (int t = 0; t < N_DRAWS; t++) {
        double *draw = tl_dmat_row(r->draws, t);
        TL_TRY(rank_inplace(r->n, draw));
        for (int i = 0; i < r->n; i++) {
            r->average[i] += draw[i];
        }
    }
    normalize(r->n, r->average);
    return TL_OK;
}

static tl_err rankings_init(tl_view *view, tl_cost cost, uint64_t seed, rankings *r)
{
    int n_all = 0;
    tl_rng rng;
    const tl_features *features = tl_predictor_features(tl_view_predictor(view));
    const tl_choice *reference = tl_features_reference(features, &n_all);
    r->n = n_all < N_DESIGNS ? n_all : N_DESIGNS;
    r->n_slots = tl_space_n_slots(tl_features_space(features));
    r->designs = tl_mem_new((size_t)r->n * (size_t)r->n_slots, sizeof *r->designs);
    r->known = tl_mem_new((size_t)r->n, sizeof *r->known);
    r->average = tl_mem_new((size_t)r->n, sizeof *r->average);
    r->z = tl_mem_new(N_DRAWS, sizeof *r->z);
    if (r->designs == NULL || r->known == NULL || r->average == NULL || r->z == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", r->n);
    }
    for (int i = 0; i < r->n; i++) { /* evenly over all of them */
        size_t from = (size_t)i * (size_t)n_all / (size_t)r->n;
        memcpy(
            r->designs + (ptrdiff_t)i * r->n_slots, reference + from * (size_t)r->n_slots,
            (size_t)r->n_slots * sizeof *reference);
    }
    tl_rng_init(&rng, seed);
    TL_TRY(tl_dmat_init(&r->rows, r->n, tl_features_n_source(features)));
    TL_TRY(tl_features_encode(features, r->designs, r->n, (tl_dmat){0}, r->rows));
    TL_TRY(tl_dmat_init(&r->draws, N_DRAWS, r->n));
    TL_TRY(tl_view_draw(view, cost, r->designs, r->n, &rng, r->draws));
    return rank_draws(r);
}

/*
 * How well the known device's model ranks designs that it was not fitted to, from its training's
 * report: measurements of the known device agree with others by that much less.
 */
static double own_rank(const tl_model *model, const char *device, tl_cost cost)
{
    for (int i = 0; i < model->n_figures; i++) {
        const tl_model_figure *figure = &model->figures[i];
        if (strcmp(figure->part, "held-out designs") == 0 &&
            strcmp(figure->subject, device) == 0 &&
            strcmp(figure->figure, tl_cost_name(cost)) == 0) {
            return figure->value;
        }
    }
    return 1;
}

static double product(int n, const double *x, const double *y)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += x[i] * y[i];
    }
    return sum;
}

/* Fisher's transform: on its scale a coefficient errs alike everywhere. */
static double transform(double rho)
{
    static const double most = .9995;
    return atanh(fmin(fmax(rho, -most), most));
}

static tl_err agree(
    const tl_model *model, const tl_model_source *source, rankings *r, tl_agreement *out)
{
    double rank = own_rank(model, source->device, source->cost);
    tl_source_predict(&source->source, tl_dro(r->rows), r->known);
    TL_TRY(rank_inplace(r->n, r->known));
    for (int t = 0; t < N_DRAWS; t++) {
        r->z[t] = transform(rank * product(r->n, tl_dmat_row(r->draws, t), r->known));
    }
    double of_average = transform(rank * product(r->n, r->average, r->known));
    double centre = .5 * (tl_mean(N_DRAWS, r->z) + of_average);
    double half = interval_width * hypot(draw_weight * tl_sd(N_DRAWS, r->z), model_error);
    *out = (tl_agreement){
        .device = source->device,
        .spearman = tanh(centre),
        .low = tanh(centre - half),
        .high = tanh(centre + half)};
    return TL_OK;
}

static int best_first(const void *a, const void *b)
{
    const tl_agreement *x = a;
    const tl_agreement *y = b;
    int order = (x->spearman < y->spearman) - (x->spearman > y->spearman);
    return order != 0 ? order : strcmp(x->device, y->device);
}

tl_err tl_proxy_agreements(
    tl_view *view,
    tl_cost cost,
    const char *device,
    uint64_t seed,
    tl_agreement *out_agreements)
{
    const tl_model *model = tl_predictor_model(tl_view_predictor(view));
    rankings r = {0};
    int n = 0;
    tl_err err = rankings_init(view, cost, seed, &r);
    for (int s = 0; err == TL_OK && model != NULL && s < model->n_sources; s++) {
        if (is_proxy(&model->sources[s], cost, device)) {
            err = agree(model, &model->sources[s], &r, &out_agreements[n++]);
        }
    }
    if (err == TL_OK && n > 0) {
        qsort(out_agreements, (size_t)n, sizeof *out_agreements, best_first);
    }
    rankings_done(&r);
    return err;
}

/* ---- adaptation ------------------------------------------------------------------------------ */

/* What the ridge reads: the proxy's prediction, nearly free of penalty, and each column's part. */
static const double free_weight = 10;

static tl_err parts_of(const tl_source *proxy, tl_dcmat x, tl_dmat *out_parts)
{
    TL_ASSERT(x.cols == proxy->n_weights);
    double *prediction = tl_mem_new((size_t)x.rows, sizeof *prediction);
    if (prediction == NULL) {
        return tl_fail(TL_ENOMEM, "%d predictions", x.rows);
    }
    tl_source_predict(proxy, x, prediction);
    tl_err err = tl_dmat_init(out_parts, x.rows, 1 + x.cols);
    for (int i = 0; i < x.rows && err == TL_OK; i++) {
        const double *from = tl_dcmat_row(x, i);
        double *to = tl_dmat_row(*out_parts, i);
        to[0] = free_weight * (prediction[i] - proxy->mean);
        for (int j = 0; j < x.cols; j++) {
            to[1 + j] = proxy->weights[j] * from[j];
        }
    }
    tl_mem_free(prediction);
    return err;
}

/* From residuals over the prediction [n], spent: never better than the proxy does at home. */
static double spread_of(const tl_source *proxy, int n, double *residuals)
{
    static const double normal_of_median = 1.4826;
    for (int i = 0; i < n; i++) {
        residuals[i] = fabs(residuals[i]);
    }
    return fmax(proxy->loo_sd, normal_of_median * tl_median_inplace(n, residuals));
}

/* y over its median into relative; the median is the level. */
static double level_of(int n, const double *y, double *relative)
{
    memcpy(relative, y, (size_t)n * sizeof *relative);
    double level = tl_median_inplace(n, relative);
    for (int i = 0; i < n; i++) {
        relative[i] = y[i] / level;
    }
    return level;
}

static tl_err fit_parts(tl_dcmat parts, double *relative, tl_adapted *adapted)
{
    int n = parts.rows;
    tl_ridge_fit fit = {0};
    double *residuals = tl_mem_new((size_t)n, sizeof *residuals);
    adapted->weights = tl_mem_new((size_t)parts.cols, sizeof *adapted->weights);
    if (residuals == NULL || adapted->weights == NULL) {
        tl_mem_free(residuals);
        return tl_fail(TL_ENOMEM, "an adapted device");
    }
    tl_err err = tl_ridge(
        TL_RIDGE_ROBUST, parts, relative, adapted->weights, residuals, (tl_dmat){0}, &fit);
    for (int i = 0; i < n; i++) {
        residuals[i] /= tl_ridge_clip(relative[i]);
    }
    adapted->mean = fit.mean;
    adapted->relative_sd = spread_of(adapted->proxy, n, residuals);
    tl_mem_free(residuals);
    return err;
}

tl_err tl_proxy_adapt(
    const tl_source *proxy, tl_dcmat x, const double *y, tl_adapted *out_adapted)
{
    tl_dmat parts = {0};
    tl_adapted adapted = {.proxy = proxy};
    double *relative = tl_mem_new((size_t)x.rows, sizeof *relative);
    if (relative == NULL) {
        return tl_fail(TL_ENOMEM, "%d measurements", x.rows);
    }
    adapted.level = level_of(x.rows, y, relative);
    tl_err err = parts_of(proxy, x, &parts);
    if (err == TL_OK) {
        err = fit_parts(tl_dro(parts), relative, &adapted);
    }
    if (err == TL_OK) {
        *out_adapted = adapted;
    } else {
        tl_adapted_done(&adapted);
    }
    tl_dmat_done(&parts);
    tl_mem_free(relative);
    return err;
}

tl_err tl_proxy_scale(
    const tl_source *proxy, tl_dcmat x, const double *y, tl_adapted *out_adapted)
{
    static const double least = .05; /* relative: a prediction is not taken for less */
    int n = x.rows;
    tl_adapted adapted = {.proxy = proxy, .mean = proxy->mean};
    double *ratio = tl_mem_new(2 * (size_t)n, sizeof *ratio);
    adapted.weights = tl_mem_new(1 + (size_t)x.cols, sizeof *adapted.weights);
    if (ratio == NULL || adapted.weights == NULL) {
        tl_mem_free(ratio);
        tl_adapted_done(&adapted);
        return tl_fail(TL_ENOMEM, "%d measurements", n);
    }
    double *sorted = ratio + n;
    tl_source_predict(proxy, x, ratio);
    for (int i = 0; i < n; i++) {
        ratio[i] = y[i] / fmax(ratio[i], least);
    }
    memcpy(sorted, ratio, (size_t)n * sizeof *sorted);
    adapted.level = tl_median_inplace(n, sorted);
    for (int i = 0; i < n; i++) {
        ratio[i] = ratio[i] / adapted.level - 1;
    }
    adapted.weights[0] = 1 / free_weight;
    adapted.relative_sd = spread_of(proxy, n, ratio);
    tl_mem_free(ratio);
    *out_adapted = adapted;
    return TL_OK;
}

void tl_adapted_done(tl_adapted *adapted)
{
    tl_mem_free(adapted->weights);
    *adapted = (tl_adapted){0};
}

tl_err tl_adapted_predict(const tl_adapted *adapted, tl_dcmat x, double *out_values)
{
    tl_dmat parts = {0};
    TL_TRY(parts_of(adapted->proxy, x, &parts));
    for (int i = 0; i < x.rows; i++) {
        const double *row = tl_dmat_row(parts, i);
        double value = adapted->mean;
        for (int j = 0; j < parts.cols; j++) {
            value += row[j] * adapted->weights[j];
        }
        out_values[i] = adapted->level * value;
    }
    tl_dmat_done(&parts);
    return TL_OK;
}
