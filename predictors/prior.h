/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_PRIOR_H
#define TL_PREDICTORS_PRIOR_H

/*
 * What a network costs on a device of which only the profile is known: the
 * roofline.
 *
 *     t(op) = max(batch MACs / peak, (batch activations + weights) / bandwidth) + launch
 *
 * summed over the operators that the answer needs. Peaks are those of the
 * operator's precision; where it is not in the profile, of the next wider one
 * that is (narrow numbers run as wide ones), else of a narrower one, slower in
 * proportion to the bits. Bandwidth is the memory's, or else that of the largest cache known. A part
 * that the profile does not tell (peak, bandwidth or launch) costs nothing, so
 * the figure is a lower bound rather than an estimate: real devices take a few
 * times as long, and how many times is what TL_PRIOR_LOG_SD and the
 * calibration on known devices are for.
 *
 * Energy is the busy power times that latency.
 */

#include "device-profiles/profile.h"
#include "spaces/network.h"

/* Deviation of log latency around a calibrated roofline, where nothing better is known. */
#define TL_PRIOR_LOG_SD 0.7

/* The profile tells a peak or a bandwidth: tl_prior_roofline() has an answer. */
bool tl_prior_is_known(const tl_profile *profile);

/*
 * One inference of profile->batch inputs (1 where unknown). *out_energy_mj is
 * NaN where the busy power is unknown; may be NULL. Fails with TL_ENOTFOUND
 * when the profile tells neither peak nor bandwidth.
 */
TL_MUST_USE tl_err tl_prior_roofline(
    const tl_profile *profile,
    const tl_network *network,
    double *out_latency_ms,
    double *out_energy_mj);

#endif
