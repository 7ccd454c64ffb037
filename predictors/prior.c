/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/prior.h"

#include "base/units.h"

#include <math.h>

static const double bits_per_byte = 8;

const tl_prior tl_prior_default = {
    .log_factor = 1.1,     /* three times the bound, */
    .log_factor_sd = .7,   /* within a factor of two */
    .log_launch_us = 2,    /* some 7 us, */
    .log_launch_sd = 1.5}; /* within a factor of five */

/*
 * A probed profile tells rates that one core was seen to reach and the launch
 * of the smallest operator. Published peaks are those of all cores, and were
 * not seen: what runtimes take over them says nothing of a probed machine.
 */
static const double log_factor_of_probe = .5;
static const double log_factor_sd_of_probe = .5;
static const double launch_of_probe = 2;
static const double log_launch_sd_of_probe = .5;

static const int precision_bits[TL_N_PRECISIONS] = {
    [TL_FP32] = 32, [TL_FP16] = 16, [TL_BF16] = 16, [TL_INT8] = 8, [TL_INT4] = 4};

/* The width that the hardware computes with: the next of its own, or as asked. */
static int hardware_bits(const tl_widths *widths, int bits)
{
    for (int i = 0; i < widths->n; i++) {
        if (widths->bits[i] >= bits) {
            return widths->bits[i];
        }
    }
    return bits;
}

/* GFLOPS at this width; 0 where the profile tells no peak at all. */
static double peak_at(const tl_profile *profile, int bits)
{
    double best = 0;
    int best_bits = 0;
    for (int p = 0; p < TL_N_PRECISIONS; p++) {
        double peak = profile->peak_gflops[p];
        int width = precision_bits[p];
        if (peak <= 0) {
            continue;
        }
        bool is_wide = width >= bits;
        bool was_wide = best_bits >= bits;
        bool is_nearer =
            is_wide ? !was_wide || width < best_bits : !was_wide && width > best_bits;
        if (is_nearer || (width == best_bits && peak > best)) {
            best = peak;
            best_bits = width;
        }
    }
    return best_bits >= bits ? best : best * best_bits / bits;
}

static double bandwidth_of(const tl_profile *profile)
{
    for (int m = TL_N_MEMORIES - 1; m >= 0; m--) {
        if (profile->bandwidth_gb_per_s[m] > 0) {
            return profile->bandwidth_gb_per_s[m];
        }
    }
    return 0;
}

tl_memory tl_prior_place(const tl_profile *profile, double bytes)
{
    for (int m = 0; m < TL_DRAM; m++) {
        if (bytes <= profile->cache_kib[m] * (double)TL_KIB_BYTES &&
            profile->bandwidth_gb_per_s[m] > 0) {
            return (tl_memory)m;
        }
    }
    return TL_DRAM;
}

static double bandwidth_at(const tl_profile *profile, tl_memory place)
{
    return place == TL_DRAM ? bandwidth_of(profile) : profile->bandwidth_gb_per_s[place];
}

tl_op_work tl_op_work_of(const tl_op *op)
{
    return (tl_op_work){
        .macs = tl_op_macs(op),
        .elements = tl_op_elements_in(op) + tl_op_elements_out(op),
        .weights = tl_op_weights(op),
        .w_bits = op->w_bits,
        .a_bits = op->a_bits};
}

double tl_prior_weight_bytes(const tl_profile *profile, const tl_op_work *work)
{
    return (double)work->weights * hardware_bits(&profile->weight_bits, work->w_bits) /
           bits_per_byte;
}

/*
 * Activations come from the operator before, so they lie where they fit. Weights
 * come from the run before, so they lie where those of the whole network fit.
 */
double tl_prior_op_ms(
    const tl_profile *profile, const tl_op_work *work, tl_memory weights_place)
{
    double batch = profile->batch > 0 ? profile->batch : 1;
    int w_bits = hardware_bits(&profile->weight_bits, work->w_bits);
    int a_bits = hardware_bits(&profile->activation_bits, work->a_bits);
    double flop = batch * TL_FLOP_PER_MAC * (double)work->macs;
    double bytes = batch * (double)work->elements * a_bits / bits_per_byte;
    double peak = peak_at(profile, w_bits > a_bits ? w_bits : a_bits);
    double bandwidth = bandwidth_at(profile, tl_prior_place(profile, bytes));
    double compute_ms = peak > 0 ? tl_ms_of_flop(flop, peak) : 0;
    double memory_ms = 0;
    if (bandwidth > 0) {
        memory_ms =
            tl_ms_of_bytes(bytes, bandwidth) +
            tl_ms_of_bytes(
                tl_prior_weight_bytes(profile, work), bandwidth_at(profile, weights_place));
    }
    return fmax(compute_ms, memory_ms);
}

bool tl_prior_is_known(const tl_profile *profile)
{
    return peak_at(profile, precision_bits[TL_FP32]) > 0 || bandwidth_of(profile) > 0;
}

tl_err tl_prior_roofline(
    const tl_profile *profile, const tl_network *network, tl_roofline *out_roofline)
{
    if (!tl_prior_is_known(profile)) {
        return tl_fail(
            TL_ENOTFOUND, "profile of %s: no peak and no bandwidth is known", profile->name);
    }
    double all_weight_bytes = 0;
    tl_roofline sum = {0};
    for (int i = 0; i < network->n_ops; i++) {
        tl_op_work work = tl_op_work_of(&network->ops[i]);
        all_weight_bytes +=
            network->ops[i].is_needed ? tl_prior_weight_bytes(profile, &work) : 0;
    }
    tl_memory place = tl_prior_place(profile, all_weight_bytes);
    for (int i = 0; i < network->n_ops; i++) {
        tl_op_work work = tl_op_work_of(&network->ops[i]);
        if (network->ops[i].is_needed) {
            sum.bound_ms += tl_prior_op_ms(profile, &work, place);
            sum.n_launches += 1;
        }
    }
    *out_roofline = sum;
    return TL_OK;
}

void tl_prior_latency(
    const tl_prior *prior,
    const tl_profile *profile,
    const tl_roofline *roofline,
    double *out_ms,
    double *out_std_ms)
{
    bool is_probed = profile->launch_us > 0;
    double launch_us =
        is_probed ? launch_of_probe * profile->launch_us : exp(prior->log_launch_us);
    double launch_sd = is_probed ? log_launch_sd_of_probe : prior->log_launch_sd;
    double log_factor = is_probed ? log_factor_of_probe : prior->log_factor;
    double factor_sd = is_probed ? log_factor_sd_of_probe : prior->log_factor_sd;
    double work_ms = exp(log_factor) * roofline->bound_ms;
    double start_ms = launch_us / TL_US_PER_MS * roofline->n_launches;
    *out_ms = work_ms + start_ms;
    *out_std_ms = hypot(work_ms * factor_sd, start_ms * launch_sd);
}

/*
 * Watts for each GFLOPS of fp32 peak (the thermal design power of the graphics cards
 * and processors in the catalogue over their peak), and of a typical device of the class:
 * a phone's processor, a graphics card, Eyeriss (.28 W, Chen et al. 2017), a microcontroller.
 */
static const struct {
    double per_gflops, typical;
} class_w[TL_N_DEVICE_CLASSES] = {
    [TL_DEVICE_UNKNOWN] = {.03,  10 },
      [TL_DEVICE_CPU] = {.05,  5  },
    [TL_DEVICE_GPU] = {.02,  100},
      [TL_DEVICE_DSP] = {.01,  1  },
    [TL_DEVICE_NPU] = {.005, 2  },
      [TL_DEVICE_FPGA] = {.01,  10 },
    [TL_DEVICE_ASIC] = {.005, .3 },
      [TL_DEVICE_MCU] = {.1,   .05},
    [TL_DEVICE_ANALOG] = {.001, .1 }
};

/* Of the thermal design power, which no network with small operators reaches. */
static const double share_of_busy = .6;

double tl_prior_power_w(const tl_profile *profile)
{
    tl_device_class class = profile->device_class;
    double peak = peak_at(profile, precision_bits[TL_FP32]);
    if (profile->busy_w > 0) {
        return share_of_busy * profile->busy_w;
    }
    return peak > 0 ? class_w[class].per_gflops * peak : class_w[class].typical;
}

void tl_prior_explain(
    int n,
    const tl_roofline *rooflines,
    const double *latency_ms,
    double *out_factor,
    double *out_launch_us)
{
    double aa = 0, ab = 0, bb = 0, ay = 0, by = 0;
    for (int i = 0; i < n; i++) {
        double a = rooflines[i].bound_ms / latency_ms[i];
        double b = rooflines[i].n_launches / TL_US_PER_MS / latency_ms[i];
        aa += a * a;
        ab += a * b;
        bb += b * b;
        ay += a;
        by += b;
    }
    double determinant = aa * bb - ab * ab;
    double factor = determinant > 0 ? (ay * bb - by * ab) / determinant : -1;
    double launch_us = determinant > 0 ? (by * aa - ay * ab) / determinant : -1;
    if (factor < 0 || launch_us < 0) {
        /* on the edge of what is allowed: the better of the two alone */
        bool is_work = aa > 0 && (bb <= 0 || ay * ay / aa >= by * by / bb);
        factor = is_work ? ay / aa : 0;
        launch_us = is_work || bb <= 0 ? 0 : by / bb;
    }
    *out_factor = factor;
    *out_launch_us = launch_us;
}
