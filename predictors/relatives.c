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
    N_FIGURES
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

typedef struct figures {
    double log[N_FIGURES];
    bool is_known[N_FIGURES];
} figures;

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

static void read_figures(const tl_profile *profile, figures *out)
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
static void centre(figures *device, figures *known, int n)
{
    for (int f = 0; f < N_FIGURES; f++) {
        double sum = 0;
        int n_told = 0;
        for (int i = 0; i < n; i++) {
            sum += known[i].is_known[f] ? known[i].log[f] : 0;
            n_told += known[i].is_known[f];
        }
        double mean = n_told > 0 ? sum / n_told : 0;
        for (int i = 0; i < n; i++) {
            known[i].log[f] = known[i].is_known[f] ? known[i].log[f] - mean : 0;
        }
        device->log[f] = device->is_known[f] && n_told > 0 ? device->log[f] - mean : 0;
    }
}

static double covariance(
    const tl_profile *a, const figures *fa, const tl_profile *b, const figures *fb)
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
static tl_err factor_known(
    const tl_profile *const *known, const figures *of, int n, tl_dmat out_k)
{
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            tl_dmat_row(out_k, i)[j] =
                covariance(known[i], &of[i], known[j], &of[j]) + (i == j ? noise_variance : 0);
        }
    }
    return tl_chol(out_k);
}

tl_err tl_relatives_weigh(
    const tl_profile *device,
    const tl_profile *const *known,
    int n,
    double *out_weights,
    double *out_log_sd)
{
    TL_ASSERT(n > 0);
    tl_err err = TL_OK;
    tl_dmat k = {0};
    figures own;
    double *across = tl_mem_new((size_t)n, sizeof *across);
    figures *of = tl_mem_new((size_t)n, sizeof *of);
    if (across == NULL || of == NULL) {
        err = tl_fail(TL_ENOMEM, "%d known devices", n);
        goto done;
    }
    if ((err = tl_dmat_init(&k, n, n)) != TL_OK) {
        goto done;
    }
    read_figures(device, &own);
    for (int i = 0; i < n; i++) {
        read_figures(known[i], &of[i]);
    }
    centre(&own, of, n);
    if ((err = factor_known(known, of, n, k)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < n; i++) {
        across[i] = covariance(device, &own, known[i], &of[i]);
        out_weights[i] = across[i];
    }
    tl_chol_solve(tl_dro(k), out_weights);
    double variance = covariance(device, &own, device, &own) + noise_variance;
    for (int i = 0; i < n; i++) {
        variance -= across[i] * out_weights[i];
    }
    *out_log_sd = sqrt(fmax(variance, noise_variance));
done:
    tl_dmat_done(&k);
    tl_mem_free(across);
    tl_mem_free(of);
    return err;
}

/*
 * error_s = -(K^-1 v)_s / (K^-1)_ss, v being the values without the mean of the others;
 * variance_s = 1 / (K^-1)_ss.
 */
tl_err tl_relatives_errors(
    const tl_profile *const *known,
    int n,
    const double *values,
    double *out_errors,
    double *out_log_sds)
{
    TL_ASSERT(n >= 2);
    tl_err err = TL_OK;
    tl_dmat k = {0};
    tl_dmat inverse = {0};
    figures nobody = {0};
    double sum = n * tl_mean(n, values);
    figures *of = tl_mem_new((size_t)n, sizeof *of);
    if (of == NULL) {
        err = tl_fail(TL_ENOMEM, "%d known devices", n);
        goto done;
    }
    if ((err = tl_dmat_init(&k, n, n)) != TL_OK ||
        (err = tl_dmat_init(&inverse, n, n)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < n; i++) {
        read_figures(known[i], &of[i]);
    }
    centre(&nobody, of, n);
    if ((err = factor_known(known, of, n, k)) != TL_OK) {
        goto done;
    }
    tl_chol_inverse(tl_dro(k), inverse);
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
done:
    tl_dmat_done(&k);
    tl_dmat_done(&inverse);
    tl_mem_free(of);
    return err;
}

double tl_relatives_trend(const tl_profile *profile)
{
    return profile->batch > 0 ? batch_trend * log(profile->batch) : 0;
}
