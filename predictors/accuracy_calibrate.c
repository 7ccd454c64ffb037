/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/accuracy_impl.h"

#include <math.h>

static const double default_gain = 1.0;
static const double default_noise = 0.5; /* half of what a score varies by, all told */
static const double min_noise = 1e-4;

enum {
    N_RATIOS = 61 /* tried: 0, then 1e-2 ... 1e4, ten a decade */
};

static double ratio_at(int i)
{
    return i == 0 ? 0.0 : pow(10.0, -2.0 + 0.1 * (i - 1));
}

/*
 * With variance = noise (1 + ratio spread) the likeliest noise is in closed
 * form; what is left is one number, taken from a list.
 */
void tl_accuracy_calibrate(
    int n, const double *square, const double *spread, double *out_gain, double *out_noise)
{
    *out_gain = default_gain;
    *out_noise = default_noise;
    double best = (double)INFINITY;
    for (int i = 0; i < N_RATIOS && n > 0; i++) {
        double ratio = ratio_at(i);
        double noise = 0.0;
        double log_sum = 0.0;
        for (int k = 0; k < n; k++) {
            noise += square[k] / (1.0 + ratio * spread[k]) / n;
            log_sum += log(1.0 + ratio * spread[k]) / n;
        }
        noise = noise > min_noise ? noise : min_noise;
        double loss = log_sum + log(noise);
        if (loss < best) {
            best = loss;
            *out_gain = noise * ratio;
            *out_noise = noise;
        }
    }
}
