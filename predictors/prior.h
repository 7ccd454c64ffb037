/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_PRIOR_H
#define TL_PREDICTORS_PRIOR_H

/*
 * What a network costs on a device of which only the profile is known: the
 * roofline, and what starting its operators takes.
 *
 *     bound  = sum over operators of max(batch MACs / peak,
 *                                        (batch activations + weights) / bandwidth)
 *     t      = factor bound + launch n_launches
 *
 * over the operators that the answer needs. Peaks are those of the operator's
 * precision; where it is not in the profile, of the next wider one that is
 * (narrow numbers run as wide ones), else of a narrower one, slower in
 * proportion to the bits. Bandwidth is that of the first cache, of told size, that the
 * activations of the operator fit into, or the weights of all operators; else the
 * memory's, or that of the largest cache known. A part that the profile does not tell costs nothing, so the bound
 * is one: real runtimes take a few times as long, and start an operator within
 * anything between a tenth of a microsecond and milliseconds. How much both are
 * on devices of published profile is what a tl_prior holds. A profile that tells
 * its launch overhead was probed: its rates were reached, and both are replaced.
 *
 * Energy is power times latency. Where the profile tells no busy power, a class draws
 * so much for each operation per second that it can do, or, where no peak is told either,
 * so much: figures of published systems, and a factor of three either way.
 */

#include "device-profiles/profile.h"
#include "spaces/network.h"

/* Factor over the bound, and cost of a launch, over devices: log-normal. */
typedef struct tl_prior {
    double log_factor, log_factor_sd;
    double log_launch_us, log_launch_sd;
    int n_devices; /* that it was fitted to; 0: the default */
} tl_prior;

/* What is assumed where no device of known profile was ever measured. */
extern const tl_prior tl_prior_default;

typedef struct tl_roofline {
    double bound_ms;
    double n_launches;
} tl_roofline;

/* What the roofline reads of an operator. */
typedef struct tl_op_work {
    int64_t macs, elements, weights;
    int w_bits, a_bits;
} tl_op_work;

tl_op_work tl_op_work_of(const tl_op *op);

/* What the operator's weights take on the device. */
double tl_prior_weight_bytes(const tl_profile *profile, const tl_op_work *work);

/*
 * Where so many bytes lie: a cache of told size and rate, or TL_DRAM. Weights of all
 * operators lie in one place, so that a network's bound is a sum of tl_prior_op_ms().
 */
tl_memory tl_prior_place(const tl_profile *profile, double bytes);

/* The bound of one operator, the weights lying there. */
double tl_prior_op_ms(
    const tl_profile *profile, const tl_op_work *work, tl_memory weights_place);

/* The profile tells a peak or a bandwidth: tl_prior_roofline() has an answer. */
bool tl_prior_is_known(const tl_profile *profile);

/*
 * One inference of profile->batch inputs (1 where unknown). Fails with
 * TL_ENOTFOUND when the profile tells neither peak nor bandwidth.
 */
TL_MUST_USE tl_err tl_prior_roofline(
    const tl_profile *profile, const tl_network *network, tl_roofline *out_roofline);

/* Latency and its standard deviation. */
void tl_prior_latency(
    const tl_prior *prior,
    const tl_profile *profile,
    const tl_roofline *roofline,
    double *out_ms,
    double *out_std_ms);

/* What the device draws while it computes, in watts; its logarithm's deviation is about 1. */
double tl_prior_power_w(const tl_profile *profile);

/*
 * The factor and the launch cost that explain n measured latencies best, by
 * non-negative least squares of relative errors; either may come out as 0.
 */
void tl_prior_explain(
    int n,
    const tl_roofline *rooflines,
    const double *latency_ms,
    double *out_factor,
    double *out_launch_us);

#endif
