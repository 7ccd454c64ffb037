/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/relatives.h"

#include "base/mem.h"
#include "numerics/linalg.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

enum {
    BATCH,
    PEAK,
    BANDWIDTH,
    N_FIGURES = TL_RELATIVES_FIGURES
};

static const double lengths[N_FIGURES] = {1.5, 1, .5};
static const double slopes[N_FIGURES] = {.05, .2, .1}; /* variance per squared logarithm */
static const double unknown_distance = .06;            /* a figure that only one of two tells */
static const double constant_variance = .1;
static const double class_variance = 2;
static const double near_variance = 2;
static const double other_class = .15;
static const double other_runtime = .3;
static const double noise_variance = .1;
static const double batch_trend = .8; /* a batch costs a little less than its inputs alone */

static double first_positive(int n, const double *values)
{
    for (int i = 0; i < n; i++) {
        if (values[i] > 0) {
            return values[i];
        }
    }
    return 0;
}

/* The memory's bandwidth, or that of the largest cache known. */
static double bandwidth_of(const tl_profile *profile)
{
    double outwards[TL_N_MEMORIES];
    for (int m = 0; m < TL_N_MEMORIES; m++) {
        outwards[m] = profile->bandwidth_gb_per_s[TL_N_MEMORIES - 1 - m];
    }
    return first_positive(TL_N_MEMORIES, outwards);
}

static void read_figures(const tl_profile *profile, tl_relative_figures *out)
{
    double values[N_FIGURES] = {
        [BATCH] = profile->batch > 0 ? profile->batch : 1,
        [PEAK] = first_positive(TL_N_PRECISIONS, profile->peak_gflops),
        [BANDWIDTH] = bandwidth_of(profile)};
    for (int f = 0; f < N_FIGURES; f++) {
        out->is_known[f] = values[f] > 0;
        out->log[f] = out->is_known[f] ? log(values[f]) : 0;
    }
}

/* Centres the figures on the known devices' means; one that is unknown stands there. */
static void centre(tl_relatives *r)
{
    for (int f = 0; f < N_FIGURES; f++) {
        double sum = 0;
        int n_told = 0;
        for (int i = 0; i < r->n; i++) {
            sum += r->figures[i].is_known[f] ? r->figures[i].log[f] : 0;
            n_told += r->figures[i].is_known[f];
        }
        r->is_told[f] = n_told > 0;
        r->means[f] = n_told > 0 ? sum / n_told : 0;
        for (int i = 0; i < r->n; i++) {
            tl_relative_figures *of = &r->figures[i];
            of->log[f] = of->is_known[f] ? of->log[f] - r->means[f] : 0;
        }
    }
}

static void read_centred(
    const tl_relatives *r, const tl_profile *device, tl_relative_figures *out)
{
    read_figures(device, out);
    for (int f = 0; f < N_FIGURES; f++) {
        out->log[f] = out->is_known[f] && r->is_told[f] ? out->log[f] - r->means[f] : 0;
    }
}

static double covariance(
    const tl_profile *a,
    const tl_relative_figures *fa,
    const tl_profile *b,
    const tl_relative_figures *fb)
{
    bool is_class = a->device_class == b->device_class;
    bool is_runtime = strcmp(a->runtime, b->runtime) == 0;
    double distance = 0;
    double linear = 0;
    for (int f = 0; f < N_FIGURES; f++) {
        double step = (fa->log[f] - fb->log[f]) / lengths[f];
        distance += step * step;
        distance += fa->is_known[f] != fb->is_known[f] ? unknown_distance : 0;
        linear += slopes[f] * fa->log[f] * fb->log[f];
    }
    double near = near_variance * exp(-distance / 2);
    near *= is_class ? 1 : other_class;
    near *= is_runtime ? 1 : other_runtime;
    return constant_variance + (is_class ? class_variance : 0) + linear + near;
}

bool tl_relatives_can_tell(const tl_profile *profile)
{
    return profile->device_class != TL_DEVICE_UNKNOWN ||
           first_positive(TL_N_PRECISIONS, profile->peak_gflops) > 0 ||
           bandwidth_of(profile) > 0;
}

/* The factor of the known devices' covariance, their noise with it. */
static tl_err factor_known(tl_relatives *r)
{
    for (int i = 0; i < r->n; i++) {
        for (int j = 0; j < r->n; j++) {
            tl_dmat_row(r->factor, i)[j] =
                covariance(r->known[i], &r->figures[i], r->known[j], &r->figures[j]) +
                (i == j ? noise_variance : 0);
        }
    }
    return tl_chol(r->factor);
}

tl_err tl_relatives_init(const tl_profile *const *known, int n, tl_relatives *out_relatives)
{
    TL_ASSERT(n > 0);
    tl_err err = TL_OK;
    tl_relatives r = {.n = n};
    r.known = tl_mem_new((size_t)n, sizeof *r.known);
    r.figures = tl_mem_new((size_t)n, sizeof *r.figures);
    if (r.known == NULL || r.figures == NULL) {
        err = tl_fail(TL_ENOMEM, "%d known devices", n);
        goto done;
    }
    for (int i = 0; i < n; i++) {
        r.known[i] = known[i];
        read_figures(known[i], &r.figures[i]);
    }
    centre(&r);
    if ((err = tl_dmat_init(&r.factor, n, n)) == TL_OK && (err = factor_known(&r)) == TL_OK) {
        *out_relatives = r;
        r = (tl_relatives){0};
    }
done:
    tl_relatives_done(&r);
    return err;
}

void tl_relatives_done(tl_relatives *relatives)
{
    tl_mem_free(relatives->known);
    tl_mem_free(relatives->figures);
    tl_dmat_done(&relatives->factor);
    memset(relatives, 0, sizeof *relatives);
}

/* |L^-1 k|^2 is what the known devices take off the variance. */
void tl_relatives_weigh_one(
    const tl_relatives *relatives,
    const tl_profile *device,
    double *out_weights,
    double *out_log_sd)
{
    tl_relative_figures own;
    read_centred(relatives, device, &own);
    double variance = covariance(device, &own, device, &own) + noise_variance;
    for (int i = 0; i < relatives->n; i++) {
        out_weights[i] = covariance(device, &own, relatives->known[i], &relatives->figures[i]);
    }
    for (int i = 0; i < relatives->n; i++) {
        const double *row = tl_dcmat_row(tl_dro(relatives->factor), i);
        for (int j = 0; j < i; j++) {
            out_weights[i] -= row[j] * out_weights[j];
        }
        out_weights[i] /= row[i];
        variance -= out_weights[i] * out_weights[i];
    }
    for (int i = relatives->n - 1; i >= 0; i--) {
        const double *row = tl_dcmat_row(tl_dro(relatives->factor), i);
        out_weights[i] /= row[i];
        for (int j = 0; j < i; j++) {
            out_weights[j] -= row[j] * out_weights[i];
        }
    }
    *out_log_sd = sqrt(fmax(variance, noise_variance));
}

tl_err tl_relatives_weigh(
    const tl_profile *device,
    const tl_profile *const *known,
    int n,
    double *out_weights,
    double *out_log_sd)
{
    tl_relatives relatives;
    TL_TRY(tl_relatives_init(known, n, &relatives));
    tl_relatives_weigh_one(&relatives, device, out_weights, out_log_sd);
    tl_relatives_done(&relatives);
    return TL_OK;
}

/*
 * error_s = -(K^-1 v)_s / (K^-1)_ss, v being the values without the mean of the others;
 * variance_s = 1 / (K^-1)_ss.
 */
tl_err tl_relatives_leave_out(
    const tl_relatives *relatives,
    const double *values,
    double *out_errors,
    double *out_log_sds)
{
    int n = relatives->n;
    TL_ASSERT(n >= 2);
    tl_dmat inverse = {0};
    double sum = n * tl_mean(n, values);
    TL_TRY(tl_dmat_init(&inverse, n, n));
    tl_chol_inverse(tl_dro(relatives->factor), inverse);
    for (int i = 0; i < n; i++) {
        const double *row = tl_dmat_row(inverse, i);
        double mean = (sum - values[i]) / (n - 1);
        double pull = 0;
        for (int j = 0; j < n; j++) {
            pull += row[j] * (values[j] - mean);
        }
        out_errors[i] = -pull / row[i];
        out_log_sds[i] = sqrt(1 / row[i]);
    }
    tl_dmat_done(&inverse);
    return TL_OK;
}

tl_err tl_relatives_errors(
    const tl_profile *const *known,
    int n,
    const double *values,
    double *out_errors,
    double *out_log_sds)
{
    tl_relatives relatives;
    TL_TRY(tl_relatives_init(known, n, &relatives));
    tl_err err = tl_relatives_leave_out(&relatives, values, out_errors, out_log_sds);
    tl_relatives_done(&relatives);
    return err;
}

double tl_relatives_trend(const tl_profile *profile)
{
    return profile->batch > 0 ? batch_trend * log(profile->batch) : 0;
}
