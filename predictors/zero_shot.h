/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_ZERO_SHOT_H
#define TL_PREDICTORS_ZERO_SHOT_H

/*
 * What designs cost on a device of which only the profile is known, from what
 * known devices of known profile say of them (relatives.h).
 *
 * Latency: log t(x) is the weighted mean of the known devices' log latencies,
 * over their medians; where few are near, the rest of the weight goes to the roofline's
 * shape (to the MACs' where the profile has no roofline) and the mean device's, half
 * each. The level of all designs is that of level.h: process, nearest, mean and roofline,
 * as far as each is right about the known devices.
 *
 * Energy is power times latency, and the logarithm of the power of a design
 * comes from the known devices in the same way: energy on each of them over
 * latency on the same one. Physics of power is what the class draws (prior.h). The
 * device's own latency is the caller's: measured, known or itself from the profile.
 *
 *     tl_known *known = NULL;
 *     tl_zero_shot shot = {0};
 *     TL_TRY(tl_known_new(features, relatives, n, &known));      serves any number of devices
 *     TL_TRY(tl_zero_shot_init(known, profile, scale, &shot));
 *     err = tl_zero_shot_predict(&shot, designs, n_designs, log_ms);
 *     ...
 *     tl_zero_shot_done(&shot);
 *     tl_known_free(known);
 */

#include "predictors/known.h"

typedef struct tl_zero_shot {
    const tl_known *known; /* borrowed; NULL: there is none */
    tl_profile profile;
    double *shares;  /* [known->n]: of the logarithm of each relative's prediction */
    tl_level level;  /* of the middle reference design */
    double constant; /* the level without what the relatives say of that design */
    double roofline_share;
    double roofline_unit; /* of the middle design */
    double log_sd;
} tl_zero_shot;

/* scale: tl_model.relatives_scale of the cost. */
TL_MUST_USE tl_err tl_zero_shot_init(
    const tl_known *known, const tl_profile *profile, double scale, tl_zero_shot *out_shot);
void tl_zero_shot_done(tl_zero_shot *shot);

/* log ms, or log of mJ per ms, of n designs. Any number of threads may ask. */
TL_MUST_USE tl_err tl_zero_shot_predict(
    const tl_zero_shot *shot, const tl_choice *designs, int n, double *out_log);

/* What the roofline adds to the logarithm for this work; 0 where it has no share. */
double tl_zero_shot_roofline(const tl_zero_shot *shot, double work);

#endif
