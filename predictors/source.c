/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/source.h"

#include "base/mem.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"
#include "predictors/ridge.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK = 512 /* reference designs that are encoded at a time */
};

static const double spread_without_sources = .15;
static const double least_relative = .02; /* of what f multiplies */

static tl_err relative_values(int n, const double *y, double *out_relative, double *out_median)
{
    for (int i = 0; i < n; i++) {
        if (!(y[i] > 0) || !isfinite(y[i])) {
            return tl_fail(TL_EINVAL, "measured value: got %g, want a positive number", y[i]);
        }
        out_relative[i] = y[i];
    }
    double median = tl_median_inplace(n, out_relative);
    for (int i = 0; i < n; i++) {
        out_relative[i] = y[i] / median;
    }
    *out_median = median;
    return TL_OK;
}

tl_err tl_source_fit(tl_source *source, tl_dcmat x, const double *y)
{
    TL_ASSERT(x.rows > 0 && x.cols > 0);
    tl_err err = TL_OK;
    tl_source fitted = {.n_weights = x.cols, .n_samples = x.rows};
    tl_ridge_fit ridge;
    double *relative = tl_mem_new((size_t)x.rows, sizeof *relative);
    fitted.weights = tl_mem_new((size_t)x.cols + 1, sizeof *fitted.weights);
    if (relative == NULL || fitted.weights == NULL) {
        err = tl_fail(TL_ENOMEM, "source model");
        goto done;
    }
    if ((err = relative_values(x.rows, y, relative, &fitted.median)) != TL_OK ||
        (err = tl_ridge_proportional(
             x, relative, fitted.weights, NULL, (tl_dmat){0}, &ridge)) != TL_OK) {
        goto done;
    }
    fitted.mean = ridge.mean;
    fitted.loo_sd = ridge.scale;
    *source = fitted;
    fitted.weights = NULL;
done:
    tl_mem_free(relative);
    tl_source_done(&fitted);
    return err;
}

void tl_source_done(tl_source *source)
{
    tl_mem_free(source->weights);
    tl_binning_done(&source->shape);
    memset(source, 0, sizeof *source);
}

tl_err tl_source_copy(const tl_source *source, tl_source *out_copy)
{
    size_t n_bins = (size_t)TL_BINNING_GRIDS * TL_BINNING_BINS;
    tl_source copy = *source;
    copy.shape.weights = NULL;
    copy.weights = tl_mem_new((size_t)copy.n_weights, sizeof *copy.weights);
    if (source->shape.weights != NULL) {
        copy.shape.weights = tl_mem_new(n_bins, sizeof *copy.shape.weights);
    }
    if (copy.weights == NULL || (source->shape.weights != NULL && copy.shape.weights == NULL)) {
        tl_source_done(&copy);
        return tl_fail(TL_ENOMEM, "weights of a source device");
    }
    memcpy(copy.weights, source->weights, (size_t)copy.n_weights * sizeof *copy.weights);
    if (source->shape.weights != NULL) {
        memcpy(copy.shape.weights, source->shape.weights, n_bins * sizeof *copy.shape.weights);
    }
    *out_copy = copy;
    return TL_OK;
}

/* The columns of the numbers that the space chooses; NULL without any. */
static const tl_feature_group *find_numbers(const tl_features *features)
{
    for (int g = 0; g < tl_features_n_groups(features); g++) {
        const tl_feature_group *group = tl_features_group(features, g);
        if (strcmp(group->name, "num") == 0 && group->begin < group->end &&
            group->end - group->begin <= TL_BINNING_MAX_INPUTS) {
            return group;
        }
    }
    return NULL;
}

tl_err tl_source_refine(
    tl_source *source, const tl_features *features, tl_dcmat x, const double *y)
{
    const tl_feature_group *numbers = find_numbers(features);
    if (numbers == NULL || x.rows < TL_SOURCE_MIN_REFINED) {
        return TL_OK;
    }
    double *rest = tl_mem_new((size_t)x.rows, sizeof *rest);
    if (rest == NULL) {
        return tl_fail(TL_ENOMEM, "source model");
    }
    tl_source_predict(source, x, rest);
    for (int i = 0; i < x.rows; i++) {
        rest[i] = log(y[i] / (source->median * fmax(rest[i], least_relative)));
    }
    double scale = sqrt(numbers->end - numbers->begin); /* columns of a unit group */
    tl_err err =
        tl_binning_fit(x, rest, numbers->begin, numbers->end, scale, 0, &source->shape);
    tl_mem_free(rest);
    return err;
}

static void multiply_shape(const tl_source *source, tl_dcmat x, double *relative)
{
    for (int begin = 0; begin < x.rows; begin += BLOCK) {
        double f[BLOCK];
        int end = x.rows - begin < BLOCK ? x.rows : begin + BLOCK;
        tl_binning_predict(&source->shape, tl_dcmat_rows(x, begin, end), f);
        for (int i = begin; i < end; i++) {
            relative[i] = fmax(relative[i], least_relative) * exp(f[i - begin]);
        }
    }
}

void tl_source_predict(const tl_source *source, tl_dcmat x, double *out_relative)
{
    TL_ASSERT(x.cols == source->n_weights);
    for (int i = 0; i < x.rows; i++) {
        out_relative[i] = source->mean;
    }
    tl_dgemv(1, TL_N, x, source->weights, 1, out_relative);
    if (source->shape.weights != NULL) {
        multiply_shape(source, x, out_relative);
    }
}

/* Sums of deviations from the mean at the centre, which is exact enough: columns are centred. */
static void add_moments(int n, const double *relative, double mean, double *sum, double *sum2)
{
    for (int i = 0; i < n; i++) {
        double delta = relative[i] - mean;
        *sum += delta;
        *sum2 += delta * delta;
    }
}

tl_err tl_sources_standardize(
    const tl_features *features, tl_source *const *sources, int n_sources)
{
    tl_err err = TL_OK;
    int n = 0;
    int n_slots = tl_space_n_slots(tl_features_space(features));
    const tl_choice *reference = tl_features_reference(features, &n);
    double relative[BLOCK];
    tl_dmat rows = {0};
    double *sums = tl_mem_new(2 * (size_t)n_sources, sizeof *sums);
    if (sums == NULL) {
        return tl_fail(TL_ENOMEM, "source model");
    }
    if ((err = tl_dmat_init(&rows, BLOCK, tl_features_n_source(features))) != TL_OK) {
        goto done;
    }
    for (int begin = 0; begin < n; begin += BLOCK) {
        int count = n - begin < BLOCK ? n - begin : BLOCK;
        tl_dmat block = tl_dmat_rows(rows, 0, count);
        const tl_choice *designs = reference + (ptrdiff_t)begin * n_slots;
        if ((err = tl_features_encode(features, designs, count, (tl_dmat){0}, block)) !=
            TL_OK) {
            goto done;
        }
        for (int s = 0; s < n_sources; s++) {
            tl_source_predict(sources[s], tl_dro(block), relative);
            add_moments(count, relative, sources[s]->mean, &sums[2 * s], &sums[2 * s + 1]);
        }
    }
    for (int s = 0; s < n_sources; s++) {
        double shift = sums[2 * s] / n;
        sources[s]->ref_mean = sources[s]->mean + shift;
        sources[s]->ref_sd = sqrt(fmax(sums[2 * s + 1] / n - shift * shift, 0));
    }
done:
    tl_dmat_done(&rows);
    tl_mem_free(sums);
    return err;
}

void tl_sources_columns(
    const tl_source *const *sources,
    int n_sources,
    tl_dcmat x,
    tl_dmat out_columns,
    double *out_mean)
{
    TL_ASSERT(out_columns.rows == x.rows && out_columns.cols == n_sources);
    double root = sqrt(n_sources);
    memset(out_mean, 0, (size_t)x.rows * sizeof *out_mean);
    for (int begin = 0; begin < x.rows; begin += BLOCK) {
        double relative[BLOCK];
        int count = x.rows - begin < BLOCK ? x.rows - begin : BLOCK;
        tl_dcmat block = tl_dcmat_rows(x, begin, begin + count);
        for (int s = 0; s < n_sources; s++) {
            /* A source that says the same of every design has nothing to add. */
            double scale = sources[s]->ref_sd > 0 ? 1 / sources[s]->ref_sd : 0;
            tl_source_predict(sources[s], block, relative);
            for (int i = 0; i < count; i++) {
                double z = (relative[i] - sources[s]->ref_mean) * scale;
                tl_dmat_row(out_columns, begin + i)[s] = z / root;
                out_mean[begin + i] += z / n_sources;
            }
        }
    }
}

tl_err tl_sources_spread(const tl_source *const *sources, int n_sources, double *out_spread)
{
    if (n_sources == 0) {
        *out_spread = spread_without_sources;
        return TL_OK;
    }
    double *spreads = tl_mem_new((size_t)n_sources, sizeof *spreads);
    if (spreads == NULL) {
        return tl_fail(TL_ENOMEM, "source model");
    }
    for (int s = 0; s < n_sources; s++) {
        spreads[s] = sources[s]->ref_sd;
    }
    *out_spread = tl_median_inplace(n_sources, spreads);
    tl_mem_free(spreads);
    return TL_OK;
}
