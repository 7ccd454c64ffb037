/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_BINNING_H
#define TL_PREDICTORS_BINNING_H

/*
 * Random binning: ridge regression with a Laplace kernel, in primal form.
 *
 *     f(u) = mean + 1/G sum_g w_g[bin_g(u)],    E [bin_g(u) = bin_g(v)] = exp(-|u - v|_1 / length)
 *
 * Each of G grids cuts every input into bins of a width and shift of its own
 * (Rahimi and Recht, 2007) and hashes the cell that u falls into to one of its
 * weights. It interpolates sharply, as the Laplace kernel does, but what is left of
 * the samples is a sum per bin.
 *
 * Grids follow from a fixed seed, so that the weights are all there is to keep.
 */

#include "numerics/mat.h"

enum {
    TL_BINNING_GRIDS = 256,
    TL_BINNING_BINS = 1024, /* weights of a grid */
    TL_BINNING_MAX_SAMPLES = 5120,
    TL_BINNING_MAX_INPUTS = 32
};

typedef struct tl_binning {
    int begin, end; /* inputs are these columns of a row */
    double scale;   /* and are multiplied by this: a deviation of about 1 */
    double mean;
    double *weights; /* [GRIDS, BINS]; NULL: nothing was fitted and f is 0 */
} tl_binning;

/*
 * Fits to y [n] at rows x [n, *], columns [begin, end) at most TL_BINNING_MAX_INPUTS, of
 * which the first TL_BINNING_MAX_SAMPLES are used. noise: variance of a sample over that of the
 * process; 0: .1, at which samples are met little better than what was never seen, so that
 * the weights hold what the samples have in common rather than the samples.
 */
TL_MUST_USE tl_err tl_binning_fit(
    tl_dcmat x,
    const double *y,
    int begin,
    int end,
    double scale,
    double noise,
    tl_binning *out_binning);
void tl_binning_done(tl_binning *binning);

/* out [n] = f of the rows. */
void tl_binning_predict(const tl_binning *binning, tl_dcmat x, double *out);

#endif
