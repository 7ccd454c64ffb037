/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/prior.h"

#include "base/units.h"

#include <math.h>

static const double bits_per_byte = 8;

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

static double op_ms(const tl_profile *profile, const tl_op *op, double batch)
{
    int w_bits = hardware_bits(&profile->weight_bits, op->w_bits);
    int a_bits = hardware_bits(&profile->activation_bits, op->a_bits);
    double flop = batch * TL_FLOP_PER_MAC * (double)tl_op_macs(op);
    double elements = batch * (double)(tl_op_elements_in(op) + tl_op_elements_out(op));
    double bytes = (elements * a_bits + (double)tl_op_weights(op) * w_bits) / bits_per_byte;
    double peak = peak_at(profile, w_bits > a_bits ? w_bits : a_bits);
    double bandwidth = bandwidth_of(profile);
    double compute_ms = peak > 0 ? tl_ms_of_flop(flop, peak) : 0;
    double memory_ms = bandwidth > 0 ? tl_ms_of_bytes(bytes, bandwidth) : 0;
    return fmax(compute_ms, memory_ms) + profile->launch_us / TL_US_PER_MS;
}

bool tl_prior_is_known(const tl_profile *profile)
{
    return peak_at(profile, precision_bits[TL_FP32]) > 0 || bandwidth_of(profile) > 0;
}

tl_err tl_prior_roofline(
    const tl_profile *profile,
    const tl_network *network,
    double *out_latency_ms,
    double *out_energy_mj)
{
    if (!tl_prior_is_known(profile)) {
        return tl_fail(
            TL_ENOTFOUND, "profile of %s: no peak and no bandwidth is known", profile->name);
    }
    double batch = profile->batch > 0 ? profile->batch : 1;
    double latency_ms = 0;
    for (int i = 0; i < network->n_ops; i++) {
        if (network->ops[i].is_needed) {
            latency_ms += op_ms(profile, &network->ops[i], batch);
        }
    }
    *out_latency_ms = latency_ms;
    if (out_energy_mj != NULL) {
        *out_energy_mj = profile->busy_w > 0 ? profile->busy_w * latency_ms : (double)NAN;
    }
    return TL_OK;
}
