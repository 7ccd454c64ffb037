/* SPDX-License-Identifier: Apache-2.0 */
#include "numerics/stats.h"
#include "predictors/head_parts.h"

#include <math.h>

static const double mad_to_sd = 1.4826;
static const double tail_quantile = .9;
static const double tail_to_sd = 1.644853627;
static const double least_width = .1;
static const double most_width = 4;
static const double weight_of_model = 5; /* samples that the head's own width counts for */

double tl_head_residual(const tl_grid_fit *fit, int i)
{
    double residual = 0;
    for (int m = 0; m < fit->n_points; m++) {
        ptrdiff_t at = tl_grid_at(fit, m, i);
        residual += fit->weight[m] * fit->alpha[at] / fit->diagonal[at];
    }
    return residual;
}

/* Variance of sample i, at relative latency p, given all the others. */
static double loo_variance(
    const tl_grid *grid, const tl_grid_fit *fit, double shape, double p, double residual, int i)
{
    double variance = 0;
    for (int m = 0; m < fit->n_points; m++) {
        ptrdiff_t at = tl_grid_at(fit, m, i);
        double between = fit->alpha[at] / fit->diagonal[at] - residual;
        double noise = tl_grid_noise(grid, m);
        double within = fmax(1 / fit->diagonal[at] - noise * shape, 0);
        variance +=
            fit->weight[m] * (fit->s2[m] * (within + noise * p * p) + between * between);
    }
    return variance;
}

double tl_head_robust_sd(int n, double *residuals)
{
    for (int i = 0; i < n; i++) {
        residuals[i] = fabs(residuals[i]);
    }
    double middle = mad_to_sd * tl_median_inplace(n, residuals);
    return fmax(middle, tl_quantile_inplace(n, residuals, tail_quantile) / tail_to_sd);
}

double tl_head_width(
    const tl_grid *grid, const tl_grid_fit *fit, const double *shape, const double *relative)
{
    double residuals[TL_GRID_MAX_SAMPLES];
    int n = fit->n;
    for (int i = 0; i < n; i++) {
        double r = tl_head_residual(fit, i);
        residuals[i] = r / sqrt(loo_variance(grid, fit, shape[i], relative[i], r, i));
    }
    double width = fmin(fmax(tl_head_robust_sd(n, residuals), least_width), most_width);
    return pow(width, n / (n + weight_of_model));
}
