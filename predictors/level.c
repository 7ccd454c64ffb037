/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/level.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/stats.h"
#include "predictors/relatives.h"

#include <math.h>
#include <string.h>

static const double small_error = .05; /* no expert is better than this for sure */
static const double sharpness = 4;
static const double most_error = 2; /* of one device: an odd one does not rule */
static const double own_class = 2;  /* what a device of the same class counts */

static const double other_class = 3;
static const double other_runtime = 1;

/* What all experts read: the known devices, and their levels without the trend. */
typedef struct known_levels {
    const tl_level_device *known;
    int n;
    bool has_trend;
    double physics_trust;
    const tl_profile **profiles;               /* [n] */
    double *flat, *weights, *sorted, *log_sds; /* [n] */
    double *errors[TL_N_EXPERTS];              /* [n] each; NaN: cannot be judged */
} known_levels;

static double log_ratio(double a, double b)
{
    return a > 0 && b > 0 ? fabs(log(a / b)) : 0;
}

double tl_level_distance(const tl_profile *a, const tl_profile *b)
{
    return (a->device_class != b->device_class ? other_class : 0) +
           (strcmp(a->runtime, b->runtime) != 0 ? other_runtime : 0) +
           log_ratio(a->batch > 0 ? a->batch : 1, b->batch > 0 ? b->batch : 1) +
           log_ratio(a->peak_gflops[TL_FP32], b->peak_gflops[TL_FP32]) +
           log_ratio(a->bandwidth_gb_per_s[TL_DRAM], b->bandwidth_gb_per_s[TL_DRAM]);
}

static double trend_of(const known_levels *k, const tl_profile *profile)
{
    return k->has_trend ? tl_relatives_trend(profile) : 0;
}

/* Of the known devices but the one at except (-1: none). */
static double nearest_level(const known_levels *k, const tl_profile *profile, int except)
{
    int best = -1;
    double best_distance = HUGE_VAL;
    for (int s = 0; s < k->n; s++) {
        double distance = s == except ? HUGE_VAL : tl_level_distance(profile, k->profiles[s]);
        if (distance < best_distance) {
            best = s;
            best_distance = distance;
        }
    }
    return k->known[best].log_level;
}

static double mean_level(const known_levels *k, int except)
{
    double sum = 0;
    for (int s = 0; s < k->n; s++) {
        sum += s == except ? 0 : k->known[s].log_level;
    }
    return sum / (k->n - (except >= 0));
}

/* Physics and the typical factor over it; the mean level where either is not known. */
static double physics_level(const known_levels *k, double log_physics, int except)
{
    int n = 0;
    for (int s = 0; s < k->n; s++) {
        double factor = k->known[s].log_level - k->known[s].log_physics;
        if (s != except && !isnan(factor)) {
            k->sorted[n++] = factor;
        }
    }
    if (n == 0 || isnan(log_physics)) {
        return mean_level(k, except);
    }
    return log_physics + n / (n + k->physics_trust) * tl_median_inplace(n, k->sorted);
}

/*
 * log_sd: of the device that is asked for. The process is worth more where it is surer than
 * it was of the known ones, by half of what it thinks itself; no less where it is not:
 * what is far from all known devices is as far for the others.
 */
static tl_err find_errors(known_levels *k, double log_sd)
{
    double *process = k->errors[TL_EXPERT_PROCESS];
    TL_TRY(tl_relatives_errors(k->profiles, k->n, k->flat, process, k->log_sds));
    for (int s = 0; s < k->n; s++) {
        const tl_level_device *d = &k->known[s];
        process[s] *= sqrt(fmin(log_sd / k->log_sds[s], 1));
        k->errors[TL_EXPERT_NEAREST][s] = nearest_level(k, d->profile, s) - d->log_level;
        k->errors[TL_EXPERT_MEAN][s] = mean_level(k, s) - d->log_level;
        k->errors[TL_EXPERT_PHYSICS][s] = physics_level(k, d->log_physics, s) - d->log_level;
    }
    return TL_OK;
}

static tl_err ask_experts(
    const known_levels *k, const tl_level_device *device, double *out, double *out_log_sd)
{
    double mean = tl_mean(k->n, k->flat);
    TL_TRY(tl_relatives_weigh(device->profile, k->profiles, k->n, k->weights, out_log_sd));
    out[TL_EXPERT_PROCESS] = trend_of(k, device->profile) + mean;
    for (int s = 0; s < k->n; s++) {
        out[TL_EXPERT_PROCESS] += k->weights[s] * (k->flat[s] - mean);
    }
    out[TL_EXPERT_NEAREST] = nearest_level(k, device->profile, -1);
    out[TL_EXPERT_MEAN] = mean_level(k, -1);
    out[TL_EXPERT_PHYSICS] = physics_level(k, device->log_physics, -1);
    return TL_OK;
}

/* Share of an expert before all are scaled to sum to 1. */
static double trust_in(
    const known_levels *k, tl_device_class device_class, const double *errors)
{
    double sum = 0;
    double count = 0;
    for (int s = 0; s < k->n; s++) {
        double weight = k->profiles[s]->device_class == device_class ? own_class : 1;
        sum += weight * fmin(fabs(errors[s]), most_error);
        count += weight;
    }
    double error = sum / count;
    return pow(error * error + small_error * small_error, -sharpness);
}

static bool has_class(const known_levels *k, tl_device_class device_class)
{
    bool has = false;
    for (int s = 0; s < k->n; s++) {
        has = has || k->profiles[s]->device_class == device_class;
    }
    return has;
}

/* Where physics has a figure of its own, it is asked alone about a class that nobody measured. */
static void combine(const known_levels *k, const tl_level_device *device, tl_level *out)
{
    double sum = 0;
    tl_device_class own = device->profile->device_class;
    bool is_alone = k->physics_trust > 0 && !has_class(k, own);
    for (int e = 0; e < TL_N_EXPERTS; e++) {
        bool is_asked = !is_alone || e == TL_EXPERT_PHYSICS;
        out->shares[e] = is_asked ? trust_in(k, own, k->errors[e]) : 0;
        sum += out->shares[e];
    }
    out->log = 0;
    for (int e = 0; e < TL_N_EXPERTS; e++) {
        out->shares[e] /= sum;
        out->log += out->shares[e] * out->experts[e];
    }
}

tl_err tl_level_find(
    const tl_level_device *device,
    const tl_level_device *known,
    int n,
    bool has_trend,
    double physics_trust,
    tl_level *out_level)
{
    TL_ASSERT(n >= 2);
    tl_err err = TL_OK;
    double log_sd = 0;
    tl_level level = {0};
    known_levels k = {
        .known = known, .n = n, .has_trend = has_trend, .physics_trust = physics_trust};
    double *numbers = tl_mem_new((size_t)n * (4 + TL_N_EXPERTS), sizeof *numbers);
    k.profiles = tl_mem_new((size_t)n, sizeof *k.profiles);
    if (numbers == NULL || k.profiles == NULL) {
        err = tl_fail(TL_ENOMEM, "levels of %d known devices", n);
        goto done;
    }
    k.flat = numbers;
    k.weights = k.flat + n;
    k.sorted = k.weights + n;
    k.log_sds = k.sorted + n;
    for (int e = 0; e < TL_N_EXPERTS; e++) {
        k.errors[e] = numbers + (ptrdiff_t)(4 + e) * n;
    }
    for (int s = 0; s < n; s++) {
        k.profiles[s] = known[s].profile;
        k.flat[s] = known[s].log_level - trend_of(&k, known[s].profile);
    }
    if ((err = ask_experts(&k, device, level.experts, &log_sd)) != TL_OK ||
        (err = find_errors(&k, log_sd)) != TL_OK) {
        goto done;
    }
    combine(&k, device, &level);
    *out_level = level;
done:
    tl_mem_free(numbers);
    tl_mem_free(k.profiles);
    return err;
}
