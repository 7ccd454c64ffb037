/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/confidence.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

const double tl_calibration_level[TL_CALIBRATION_LEVELS] = {.5, .8, .9, .95, .99};

static const double knot_p[] = {
    1e-9, 1e-6, 1e-4, .001, .005, .01,  .02,   .03,   .05,    .075,    .1,      .15,  .2,
    .25,  .3,   .35,  .4,   .45,  .5,   .55,   .6,    .65,    .7,      .75,     .8,   .82,
    .84,  .86,  .88,  .9,   .91,  .92,  .93,   .94,   .95,    .96,     .97,     .975, .98,
    .985, .99,  .993, .995, .997, .999, .9995, .9999, .99999, .999999, 1 - 1e-9};

static const double dof_of_noise = 10;
static const double least_typical = .3; /* noise does not shrink below that of such a design */

double tl_confidence_dof(int n_samples)
{
    return fmin(n_samples + 1, dof_of_noise);
}

tl_err tl_margin_unit_of(int n, const double *mean, const double *sd, tl_margin_unit *out)
{
    double *share = tl_mem_new((size_t)n, sizeof *share);
    if (share == NULL) {
        return tl_fail(TL_ENOMEM, "%d predictions", n);
    }
    for (int i = 0; i < n; i++) {
        share[i] = sd[i] / mean[i];
    }
    out->relative = tl_median_inplace(n, share);
    memcpy(share, mean, (size_t)n * sizeof *share);
    out->least = least_typical * out->relative * tl_median_inplace(n, share);
    tl_mem_free(share);
    return TL_OK;
}

double tl_margin_unit_at(const tl_margin_unit *unit, double mean, double sd)
{
    return unit->relative > 0 ? fmax(unit->relative * mean, unit->least) : sd;
}

static double nearest_larger(double z, double floor)
{
    return z > floor ? z : nextafter(floor, HUGE_VAL);
}

void tl_confidence_nominal(double dof, tl_confidence *out)
{
    out->unit = (tl_margin_unit){0};
    out->n = (int)TL_COUNT(knot_p);
    for (int i = 0; i < out->n; i++) {
        out->p[i] = knot_p[i];
        out->z[i] = tl_student_quantile(knot_p[i], dof);
    }
}

/* The shift from nominal to calibrated at level p: linear between the levels given. */
static double shift_at(double p, int n, const double *level, const double *shift)
{
    if (p <= level[0]) {
        return shift[0];
    }
    for (int k = 1; k < n; k++) {
        if (p <= level[k]) {
            double t = (p - level[k - 1]) / (level[k] - level[k - 1]);
            return shift[k - 1] + t * (shift[k] - shift[k - 1]);
        }
    }
    return shift[n - 1];
}

void tl_confidence_calibrated(
    double dof, const double z[TL_CALIBRATION_LEVELS], tl_confidence *out)
{
    double level[TL_CALIBRATION_LEVELS];
    double shift[TL_CALIBRATION_LEVELS];
    int n = 0;
    for (int k = 0; k < TL_CALIBRATION_LEVELS; k++) {
        if (!isnan(z[k])) {
            level[n] = tl_calibration_level[k];
            shift[n] = z[k] - tl_student_quantile(level[n], dof);
            n++;
        }
    }
    tl_confidence_nominal(dof, out);
    if (n == 0) {
        return;
    }
    for (int i = 0; i < out->n; i++) {
        double by = shift_at(out->p[i], n, level, shift);
        if (out->p[i] > tl_calibration_level[3] && by < 0) {
            double t = (out->p[i] - tl_calibration_level[3]) /
                       (tl_calibration_level[4] - tl_calibration_level[3]);
            by *= t >= 1 ? 0 : 1 - t;
        }
        double wanted = out->z[i] + by;
        out->z[i] = i == 0 ? wanted : nearest_larger(wanted, out->z[i - 1]);
    }
}

/* y at x on the curve (xs, ys), xs increasing; the ends are held. */
static double interpolate(int n, const double *xs, const double *ys, double x)
{
    if (x <= xs[0]) {
        return ys[0];
    }
    if (x >= xs[n - 1]) {
        return ys[n - 1];
    }
    int low = 0;
    int high = n - 1;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (xs[middle] <= x) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return ys[low] + (x - xs[low]) / (xs[high] - xs[low]) * (ys[high] - ys[low]);
}

double tl_confidence_of_margin(const tl_confidence *confidence, double margin)
{
    if (isnan(margin)) {
        return TL_UNKNOWN;
    }
    return interpolate(confidence->n, confidence->z, confidence->p, margin);
}

double tl_confidence_margin(const tl_confidence *confidence, double p)
{
    return interpolate(confidence->n, confidence->p, confidence->z, p);
}
