/* SPDX-License-Identifier: Apache-2.0 */
#include "numerics/stats.h"
#include "predictors/head_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const double tl_head_level[TL_HEAD_LEVELS] = {.5, .8, .9, .95};

static const double mad_to_sd = 1.4826;
static const double tail_quantile = .9;
static const double tail_to_sd = 1.644853627;
static const double least_width = .1;
static const double most_width = 4;
static const double least_own = 1e-3; /* of Student's t: residuals of copies are none */

double tl_head_residual(const tl_grid_fit *fit, int i)
{
    double residual = 0;
    for (int m = 0; m < fit->n_points; m++) {
        ptrdiff_t at = tl_grid_at(fit, m, i);
        residual += fit->weight[m] * fit->alpha[at] / fit->diagonal[at];
    }
    return residual;
}

tl_head_left_out tl_head_leave_out(
    const tl_grid *grid, const tl_grid_fit *fit, double shape, double relative, int i)
{
    double residual = tl_head_residual(fit, i);
    double variance = 0;
    for (int m = 0; m < fit->n_points; m++) {
        ptrdiff_t at = tl_grid_at(fit, m, i);
        double between = fit->alpha[at] / fit->diagonal[at] - residual;
        double noise = tl_grid_noise(grid, m);
        double within = fmax(1 / fit->diagonal[at] - noise * shape, fit->rounding);
        variance += fit->weight[m] *
                    (fit->s2[m] * (within + noise * relative * relative) + between * between);
    }
    return (tl_head_left_out){.residual = residual, .variance = variance};
}

double tl_head_robust_sd(int n, double *residuals)
{
    for (int i = 0; i < n; i++) {
        residuals[i] = fabs(residuals[i]);
    }
    double middle = mad_to_sd * tl_median_inplace(n, residuals);
    return fmax(middle, tl_quantile_inplace(n, residuals, tail_quantile) / tail_to_sd);
}

double tl_head_width(int n, const tl_head_settings *settings, double *residuals)
{
    double copy[TL_GRID_MAX_SAMPLES];
    TL_ASSERT(n <= TL_GRID_MAX_SAMPLES);
    memcpy(copy, residuals, (size_t)n * sizeof *copy);
    double width = fmin(fmax(tl_head_robust_sd(n, copy), least_width), most_width);
    width = pow(width, n / (n + settings->width_weight));
    for (int i = 0; i < n; i++) {
        residuals[i] /= width;
    }
    return width;
}

/* The smallest that a share p of new residuals is below: the p (n + 1)-th of n sorted ones. */
static double conformal_quantile(int n, const double *sorted, double p)
{
    double place = p * (n + 1) - 1;
    if (place >= n - 1) {
        return sorted[n - 1];
    }
    int low = place > 0 ? (int)place : 0;
    return sorted[low] + fmax(place - low, 0) * (sorted[low + 1] - sorted[low]);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

void tl_head_set_intervals(
    int n, const tl_head_settings *settings, double *residuals, tl_head *head)
{
    double last = 0;
    for (int i = 0; i < n; i++) {
        residuals[i] = fabs(residuals[i]);
    }
    if (n > 0) {
        qsort(residuals, (size_t)n, sizeof *residuals, compare);
    }
    for (int k = 0; k < TL_HEAD_LEVELS; k++) {
        double p = tl_head_level[k];
        double student =
            settings->level_shape[k] * tl_student_quantile((1 + p) / 2, tl_head_dof(head));
        double own =
            n > 0 ? fmax(conformal_quantile(n, residuals, p), least_own * student) : student;
        double share = n > 0 ? n / (n + settings->level_weight) : 0;
        last = fmax(student * pow(own / student, share), last);
        head->interval[k] = last;
    }
}

double tl_head_quantile(const tl_head *head, double p)
{
    TL_ASSERT(p > 0 && p < 1);
    double dof = tl_head_dof(head);
    double t = fabs(tl_student_quantile(p, dof));
    double from = 0;
    double from_own = 0;
    double own = 0;
    for (int k = 0; k < TL_HEAD_LEVELS; k++) {
        double to = tl_student_quantile((1 + tl_head_level[k]) / 2, dof);
        if (t <= to) {
            own = from_own + (t - from) / (to - from) * (head->interval[k] - from_own);
            return p < .5 ? -own : own;
        }
        from = to;
        from_own = head->interval[k];
    }
    own = from_own * t / from;
    return p < .5 ? -own : own;
}
