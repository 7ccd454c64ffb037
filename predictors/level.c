/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/level.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

static const double small_error = .05; /* no expert is better than this for sure */
static const double sharpness = 4;
static const double most_error = 2; /* of one device: an odd one does not rule */
static const double own_class = 2;  /* what a device of the same class counts */

static const double other_class = 3;
static const double other_runtime = 1;

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

static double trend_of(const tl_levels *k, const tl_profile *profile)
{
    return k->has_trend ? tl_relatives_trend(profile) : 0;
}

/* Of the known devices but the one at except (-1: none). */
static double nearest_level(const tl_levels *k, const tl_profile *profile, int except)
{
    int best = -1;
    double best_distance = HUGE_VAL;
    for (int s = 0; s < k->n; s++) {
        double distance =
            s == except ? HUGE_VAL : tl_level_distance(profile, k->known[s].profile);
        if (distance < best_distance) {
            best = s;
            best_distance = distance;
        }
    }
    return k->known[best].log_level;
}

static double mean_level(const tl_levels *k, int except)
{
    double sum = 0;
    for (int s = 0; s < k->n; s++) {
        sum += s == except ? 0 : k->known[s].log_level;
    }
    return sum / (k->n - (except >= 0));
}

/* The typical factor of the known devices over physics; NaN where it is not known of any. */
static double typical_factor(const tl_levels *k, int except, double *scratch)
{
    int n = 0;
    for (int s = 0; s < k->n; s++) {
        double factor = k->known[s].log_level - k->known[s].log_physics;
        if (s != except && !isnan(factor)) {
            scratch[n++] = factor;
        }
    }
    return n == 0 ? TL_UNKNOWN : n / (n + k->physics_trust) * tl_median_inplace(n, scratch);
}

/* Physics and the typical factor over it; the mean level where either is not known. */
static double physics_level(double log_physics, double log_factor, double mean)
{
    return isnan(log_physics) || isnan(log_factor) ? mean : log_physics + log_factor;
}

static tl_err find_errors(tl_levels *k, double *scratch)
{
    TL_TRY(tl_relatives_leave_out(
        k->relatives, k->flat, k->errors[TL_EXPERT_PROCESS], k->log_sds));
    for (int s = 0; s < k->n; s++) {
        const tl_level_device *d = &k->known[s];
        double mean = mean_level(k, s);
        double physics = physics_level(d->log_physics, typical_factor(k, s, scratch), mean);
        k->errors[TL_EXPERT_NEAREST][s] = nearest_level(k, d->profile, s) - d->log_level;
        k->errors[TL_EXPERT_MEAN][s] = mean - d->log_level;
        k->errors[TL_EXPERT_PHYSICS][s] = physics - d->log_level;
    }
    k->log_factor = typical_factor(k, -1, scratch);
    return TL_OK;
}

tl_err tl_levels_init(
    const tl_relatives *relatives,
    const tl_level_device *known,
    bool has_trend,
    double physics_trust,
    tl_levels *out_levels)
{
    int n = relatives->n;
    TL_ASSERT(n >= 2);
    tl_levels k = {
        .relatives = relatives, .n = n, .has_trend = has_trend, .physics_trust = physics_trust};
    double *scratch = tl_mem_new((size_t)n, sizeof *scratch);
    k.flat = tl_mem_new((size_t)n * (2 + TL_N_EXPERTS), sizeof *k.flat);
    k.known = tl_mem_new((size_t)n, sizeof *k.known);
    if (scratch == NULL || k.flat == NULL || k.known == NULL) {
        tl_mem_free(scratch);
        tl_levels_done(&k);
        return tl_fail(TL_ENOMEM, "levels of %d known devices", n);
    }
    k.log_sds = k.flat + n;
    for (int e = 0; e < TL_N_EXPERTS; e++) {
        k.errors[e] = k.flat + (ptrdiff_t)(2 + e) * n;
    }
    for (int s = 0; s < n; s++) {
        k.known[s] = known[s];
        k.flat[s] = known[s].log_level - trend_of(&k, known[s].profile);
    }
    k.flat_mean = tl_mean(n, k.flat);
    k.mean = mean_level(&k, -1);
    tl_err err = find_errors(&k, scratch);
    tl_mem_free(scratch);
    if (err != TL_OK) {
        tl_levels_done(&k);
        return err;
    }
    *out_levels = k;
    return TL_OK;
}

void tl_levels_done(tl_levels *levels)
{
    tl_mem_free(levels->flat); /* the other numbers follow it */
    tl_mem_free(levels->known);
    memset(levels, 0, sizeof *levels);
}

static void ask_experts(
    const tl_levels *k, const tl_level_device *device, const double *weights, double *out)
{
    out[TL_EXPERT_PROCESS] = trend_of(k, device->profile) + k->flat_mean;
    for (int s = 0; s < k->n; s++) {
        out[TL_EXPERT_PROCESS] += weights[s] * (k->flat[s] - k->flat_mean);
    }
    out[TL_EXPERT_NEAREST] = nearest_level(k, device->profile, -1);
    out[TL_EXPERT_MEAN] = k->mean;
    out[TL_EXPERT_PHYSICS] = physics_level(device->log_physics, k->log_factor, k->mean);
}

/*
 * Share of an expert before all are scaled to sum to 1. log_sd: of the device that is
 * asked for. The process is worth more where it is surer than
 * it was of the known ones, by half of what it thinks itself; no less where it is not:
 * what is far from all known devices is as far for the others.
 */
static double trust_in(
    const tl_levels *k, tl_device_class device_class, tl_expert expert, double log_sd)
{
    double sum = 0;
    double count = 0;
    for (int s = 0; s < k->n; s++) {
        double weight = k->known[s].profile->device_class == device_class ? own_class : 1;
        double surer = expert == TL_EXPERT_PROCESS ? sqrt(fmin(log_sd / k->log_sds[s], 1)) : 1;
        sum += weight * fmin(fabs(k->errors[expert][s] * surer), most_error);
        count += weight;
    }
    double error = sum / count;
    return pow(error * error + small_error * small_error, -sharpness);
}

static bool has_class(const tl_levels *k, tl_device_class device_class)
{
    bool has = false;
    for (int s = 0; s < k->n; s++) {
        has = has || k->known[s].profile->device_class == device_class;
    }
    return has;
}

/* Where physics has a figure of its own, it is asked alone about a class that nobody measured. */
void tl_levels_find(
    const tl_levels *levels,
    const tl_level_device *device,
    const double *weights,
    double log_sd,
    tl_level *out_level)
{
    double sum = 0;
    tl_level level = {0};
    tl_device_class own = device->profile->device_class;
    bool is_alone = levels->physics_trust > 0 && !has_class(levels, own);
    ask_experts(levels, device, weights, level.experts);
    for (int e = 0; e < TL_N_EXPERTS; e++) {
        bool is_asked = !is_alone || e == TL_EXPERT_PHYSICS;
        level.shares[e] = is_asked ? trust_in(levels, own, (tl_expert)e, log_sd) : 0;
        sum += level.shares[e];
    }
    for (int e = 0; e < TL_N_EXPERTS; e++) {
        level.shares[e] /= sum;
        level.log += level.shares[e] * level.experts[e];
    }
    *out_level = level;
}

tl_err tl_level_find(
    const tl_level_device *device,
    const tl_level_device *known,
    int n,
    bool has_trend,
    double physics_trust,
    tl_level *out_level)
{
    tl_err err = TL_OK;
    double log_sd = 0;
    tl_relatives relatives = {0};
    tl_levels levels = {0};
    double *weights = tl_mem_new((size_t)n, sizeof *weights);
    const tl_profile **profiles = tl_mem_new((size_t)n, sizeof *profiles);
    if (weights == NULL || profiles == NULL) {
        err = tl_fail(TL_ENOMEM, "levels of %d known devices", n);
        goto done;
    }
    for (int s = 0; s < n; s++) {
        profiles[s] = known[s].profile;
    }
    if ((err = tl_relatives_init(profiles, n, &relatives)) == TL_OK &&
        (err = tl_levels_init(&relatives, known, has_trend, physics_trust, &levels)) == TL_OK) {
        tl_relatives_weigh_one(&relatives, device->profile, weights, &log_sd);
        tl_levels_find(&levels, device, weights, log_sd, out_level);
    }
done:
    tl_levels_done(&levels);
    tl_relatives_done(&relatives);
    tl_mem_free(weights);
    tl_mem_free(profiles);
    return err;
}
