/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/head_parts.h"

#include "numerics/stats.h"

#include <math.h>
#include <stdbool.h>

enum {
    LEAST_SAMPLES = 3, /* two values may be multiples of ten by chance */
    DIGITS = 4         /* a tick below 1e-4 of the values is nobody's noise */
};

static const double tolerance = 1e-9; /* of a value */
static const double least_mass = 1e-12;

static bool are_multiples(int n, const double *y, double tick)
{
    for (int i = 0; i < n; i++) {
        double ratio = y[i] / tick;
        if (fabs(ratio - round(ratio)) > tolerance * (1 + ratio)) {
            return false;
        }
    }
    return true;
}

double tl_head_tick(int n, const double *y)
{
    double most = 0;
    for (int i = 0; i < n; i++) {
        most = fmax(most, y[i]);
    }
    if (n < LEAST_SAMPLES) {
        return 0;
    }
    int first = (int)floor(log10(most));
    for (int k = first; k > first - DIGITS; k--) {
        double tick = pow(10, k);
        if (are_multiples(n, y, tick)) {
            return tick;
        }
    }
    return 0;
}

double tl_head_within_tick(double y, double tick, double mean, double sd)
{
    static const double over_root_2_pi = .3989422804014327;
    double low = (y - .5 * tick - mean) / sd;
    double high = (y + .5 * tick - mean) / sd;
    double mass = tl_normal_cdf(high) - tl_normal_cdf(low);
    if (mass < least_mass) {
        return mean < y ? -.5 * tick : .5 * tick;
    }
    double density = over_root_2_pi * (exp(-.5 * low * low) - exp(-.5 * high * high));
    return mean + sd * density / mass - y;
}
