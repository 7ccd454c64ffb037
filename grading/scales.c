/* SPDX-License-Identifier: Apache-2.0 */
#include "grading/scales.h"

#include "base/mem.h"
#include "numerics/gemm.h"
#include "numerics/linalg.h"

#include <math.h>
#include <string.h>

enum {
    N_GRID = 41 /* points of each scale */
};

static const double prior_sd = 1.5;
static const double grid_reach = 4; /* from the centre, in natural logarithms */
static const double noise_frac = .1;
static const double least_square = 1e-24;

static void fill_eigen(const double *values, const double *y, tl_scales *scales)
{
    int n = scales->n;
    double trace = 0;
    double square = fmax(tl_ddot(n, y, y) / n, least_square);
    for (int i = 0; i < n; i++) {
        scales->eigen[i] = fmax(values[i], 0);
        trace += scales->eigen[i] / n;
    }
    scales->centre[0] = .5 * log(trace > 0 ? square / trace : square);
    scales->centre[1] = log(noise_frac) + .5 * log(square);
}

tl_err tl_scales_init(tl_dcmat x, const double *y, tl_scales *scales)
{
    int n = x.rows;
    tl_err err = TL_OK;
    *scales = (tl_scales){.n = n};
    scales->eigen = tl_mem_new(2 * (size_t)n, sizeof *scales->eigen);
    if (scales->eigen == NULL) {
        return tl_fail(TL_ENOMEM, "scales of %d samples", n);
    }
    scales->z = scales->eigen + n;
    if ((err = tl_dmat_init(&scales->basis, n, n)) == TL_OK) {
        tl_dsyrk(1, TL_N, x, 0, scales->basis);
        err = tl_eig_sym(scales->basis, scales->eigen);
    }
    if (err == TL_OK) {
        tl_dgemv(1, TL_T, tl_dro(scales->basis), y, 0, scales->z);
        fill_eigen(scales->eigen, y, scales);
        err = isfinite(scales->centre[1]) ? TL_OK
                                          : tl_fail(TL_ENUMERIC, "a sample is not finite");
    }
    if (err != TL_OK) {
        tl_scales_done(scales);
    }
    return err;
}

void tl_scales_done(tl_scales *scales)
{
    tl_dmat_done(&scales->basis);
    tl_mem_free(scales->eigen);
    memset(scales, 0, sizeof *scales);
}

double tl_scales_log_density(const tl_scales *scales, const double *at, double *gradient)
{
    double signal = exp(2 * at[0]);
    double noise = exp(2 * at[1]);
    double off[] = {
        (at[0] - scales->centre[0]) / prior_sd, (at[1] - scales->centre[1]) / prior_sd};
    double sum = -(off[0] * off[0] + off[1] * off[1]) / 2;
    gradient[0] = -off[0] / prior_sd;
    gradient[1] = -off[1] / prior_sd;
    for (int k = 0; k < scales->n; k++) {
        double of_signal = signal * scales->eigen[k];
        double v = of_signal + noise;
        double ratio = scales->z[k] * scales->z[k] / v;
        sum -= (ratio + log(v)) / 2;
        gradient[0] += (ratio - 1) * of_signal / v;
        gradient[1] += (ratio - 1) * noise / v;
    }
    return sum;
}

void tl_scales_best(const tl_scales *scales, double *out_at)
{
    double best = -(double)INFINITY;
    double gradient[2];
    memcpy(out_at, scales->centre, sizeof scales->centre);
    for (int i = 0; i < N_GRID; i++) {
        for (int j = 0; j < N_GRID; j++) {
            double at[] = {
                scales->centre[0] + grid_reach * (2.0 * i / (N_GRID - 1) - 1),
                scales->centre[1] + grid_reach * (2.0 * j / (N_GRID - 1) - 1)};
            double log_density = tl_scales_log_density(scales, at, gradient);
            if (log_density > best) {
                best = log_density;
                out_at[0] = at[0];
                out_at[1] = at[1];
            }
        }
    }
}
