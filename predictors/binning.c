/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/binning.h"

#include "base/mem.h"
#include "numerics/linalg.h"
#include "numerics/rng.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

static const double length = 5; /* of the kernel, in deviations of an input */
static const double default_noise = .1;
static const uint64_t grid_seed = 0x62696e73U;

/* Of one grid. */
typedef struct grid {
    double width[TL_BINNING_MAX_INPUTS], shift[TL_BINNING_MAX_INPUTS];
} grid;

/* Widths of density t exp(-t / length): with these cells the kernel is Laplace's. */
static void draw_grid(tl_rng *rng, int n_inputs, grid *out)
{
    for (int j = 0; j < n_inputs; j++) {
        double a = 1 - tl_rng_uniform(rng);
        double b = 1 - tl_rng_uniform(rng);
        out->width[j] = -length * log(a * b);
        out->shift[j] = tl_rng_uniform(rng) * out->width[j];
    }
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash ^= value;
    hash *= 0xbf58476d1ce4e5b9U;
    return hash ^ (hash >> 31);
}

static int bin_of(const grid *g, const double *row, int n_inputs, double scale)
{
    uint64_t hash = 0x9e3779b97f4a7c15U;
    for (int j = 0; j < n_inputs; j++) {
        double cell = floor((row[j] * scale - g->shift[j]) / g->width[j]);
        hash = mix(hash, (uint64_t)(int64_t)fmax(fmin(cell, 1e9), -1e9));
    }
    return (int)(hash % TL_BINNING_BINS);
}

/* bins [n] of one grid. */
static void find_bins(const tl_binning *binning, const grid *g, tl_dcmat x, int *bins)
{
    for (int i = 0; i < x.rows; i++) {
        const double *row = tl_dcmat_row(x, i) + binning->begin;
        bins[i] = bin_of(g, row, binning->end - binning->begin, binning->scale);
    }
}

/* K += 1/G where two samples share a bin; the lower triangle is all that is read. */
static void add_shared(const int *bins, tl_dmat k)
{
    for (int i = 0; i < k.rows; i++) {
        double *row = tl_dmat_row(k, i);
        int own = bins[i];
        for (int j = 0; j <= i; j++) {
            row[j] += bins[j] == own ? 1.0 / TL_BINNING_GRIDS : 0;
        }
    }
}

static void fill_kernel(
    const tl_binning *binning, tl_dcmat x, double noise, int *bins, tl_dmat k)
{
    tl_rng rng;
    tl_rng_init(&rng, grid_seed);
    for (int g = 0; g < TL_BINNING_GRIDS; g++) {
        grid cells;
        draw_grid(&rng, binning->end - binning->begin, &cells);
        find_bins(binning, &cells, x, bins);
        add_shared(bins, k);
    }
    for (int i = 0; i < k.rows; i++) {
        tl_dmat_row(k, i)[i] += noise;
        for (int j = 0; j < i; j++) {
            tl_dmat_row(k, j)[i] = tl_dmat_row(k, i)[j];
        }
    }
}

static void fill_weights(const tl_binning *binning, tl_dcmat x, const double *alpha, int *bins)
{
    tl_rng rng;
    tl_rng_init(&rng, grid_seed);
    for (int g = 0; g < TL_BINNING_GRIDS; g++) {
        grid cells;
        double *weights = binning->weights + (size_t)g * TL_BINNING_BINS;
        draw_grid(&rng, binning->end - binning->begin, &cells);
        find_bins(binning, &cells, x, bins);
        for (int i = 0; i < x.rows; i++) {
            weights[bins[i]] += alpha[i];
        }
    }
}

tl_err tl_binning_fit(
    tl_dcmat x,
    const double *y,
    int begin,
    int end,
    double scale,
    double noise,
    tl_binning *out_binning)
{
    TL_ASSERT(x.rows > 0 && 0 <= begin && begin < end && end <= x.cols);
    TL_ASSERT(end - begin <= TL_BINNING_MAX_INPUTS);
    tl_err err = TL_OK;
    tl_dmat k = {0};
    int n = x.rows < TL_BINNING_MAX_SAMPLES ? x.rows : TL_BINNING_MAX_SAMPLES;
    tl_dcmat used = tl_dcmat_rows(x, 0, n);
    tl_binning fitted = {.begin = begin, .end = end, .scale = scale, .mean = tl_mean(n, y)};
    int *bins = tl_mem_new((size_t)n, sizeof *bins);
    double *alpha = tl_mem_new((size_t)n, sizeof *alpha);
    fitted.weights =
        tl_mem_new((size_t)TL_BINNING_GRIDS * TL_BINNING_BINS, sizeof *fitted.weights);
    if (bins == NULL || alpha == NULL || fitted.weights == NULL) {
        err = tl_fail(TL_ENOMEM, "bins of %d samples", n);
        goto done;
    }
    if ((err = tl_dmat_init(&k, n, n)) != TL_OK) {
        goto done;
    }
    fill_kernel(&fitted, used, noise > 0 ? noise : default_noise, bins, k);
    if ((err = tl_chol(k)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < n; i++) {
        alpha[i] = y[i] - fitted.mean;
    }
    tl_chol_solve(tl_dro(k), alpha);
    fill_weights(&fitted, used, alpha, bins);
    *out_binning = fitted;
    fitted = (tl_binning){0};
done:
    tl_binning_done(&fitted);
    tl_dmat_done(&k);
    tl_mem_free(bins);
    tl_mem_free(alpha);
    return err;
}

void tl_binning_done(tl_binning *binning)
{
    tl_mem_free(binning->weights);
    memset(binning, 0, sizeof *binning);
}

void tl_binning_predict(const tl_binning *binning, tl_dcmat x, double *out)
{
    tl_rng rng;
    int n_inputs = binning->end - binning->begin;
    for (int i = 0; i < x.rows; i++) {
        out[i] = binning->weights != NULL ? binning->mean : 0;
    }
    tl_rng_init(&rng, grid_seed);
    for (int g = 0; g < TL_BINNING_GRIDS && binning->weights != NULL; g++) {
        grid cells;
        const double *weights = binning->weights + (size_t)g * TL_BINNING_BINS;
        draw_grid(&rng, n_inputs, &cells);
        for (int i = 0; i < x.rows; i++) {
            const double *row = tl_dcmat_row(x, i) + binning->begin;
            out[i] += weights[bin_of(&cells, row, n_inputs, binning->scale)] / TL_BINNING_GRIDS;
        }
    }
}
