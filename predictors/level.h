/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_LEVEL_H
#define TL_PREDICTORS_LEVEL_H

/*
 * The level of a device of which only the profile is known: the logarithm of what
 * its middle design costs, from the levels of known devices. Four experts say it:
 *
 *     process   the Gaussian process over profiles (relatives.h)
 *     nearest   the known device of the most similar profile
 *     mean      all known devices alike
 *     physics   what physics tells of the device itself (the bound of its roofline,
 *               the power of its class), times the typical factor of the known
 *               devices over theirs
 *
 *     level = sum_e share_e level_e,    share_e ~ (error_e^2 + small^2)^-4
 *
 * error_e is the mean absolute error of the expert over the known devices, each
 * left out in turn; those of the device's own class count twice. The process is
 * worth more where it is surer of the device than of those. So the table at hand says who is to be believed: neighbours where there are some, the roofline
 * where devices are few and unlike.
 */

#include "predictors/relatives.h"

typedef enum tl_expert {
    TL_EXPERT_PROCESS,
    TL_EXPERT_NEAREST,
    TL_EXPERT_MEAN,
    TL_EXPERT_PHYSICS,
    TL_N_EXPERTS
} tl_expert;

/* A device; log_level is read of known ones only. */
typedef struct tl_level_device {
    const tl_profile *profile;
    double log_level;
    double log_physics; /* TL_UNKNOWN where nothing is told */
} tl_level_device;

typedef struct tl_level {
    double log;
    double experts[TL_N_EXPERTS]; /* what each says */
    double shares[TL_N_EXPERTS];  /* sum to 1 */
} tl_level;

/*
 * The levels of known devices and how right each expert is about them: all that does
 * not depend on the device that is asked for.
 */
typedef struct tl_levels {
    const tl_relatives *relatives; /* borrowed: the kernel of the process */
    tl_level_device *known;        /* [n] */
    int n;
    bool has_trend;
    double physics_trust;
    double mean, flat_mean; /* of levels, of levels without the trend */
    double log_factor;      /* what physics is multiplied by; NaN: it is not known of any */
    double *flat, *log_sds; /* [n] each */
    double *errors[TL_N_EXPERTS]; /* [n] each, of the process before it is compared */
} tl_levels;

/* Parameters as of tl_level_find(); copies known, of the profiles of relatives. */
TL_MUST_USE tl_err tl_levels_init(
    const tl_relatives *relatives,
    const tl_level_device *known,
    bool has_trend,
    double physics_trust,
    tl_levels *out_levels);
void tl_levels_done(tl_levels *levels);

/* weights [n] and log_sd: tl_relatives_weigh_one() of the device. */
void tl_levels_find(
    const tl_levels *levels,
    const tl_level_device *device,
    const double *weights,
    double log_sd,
    tl_level *out_level);

/*
 * Of n >= 2 known devices. trends: log levels rise by tl_relatives_trend() with the
 * batch. physics_trust: how many known devices the figure of physics itself is
 * worth; 0: only its ratios between devices mean something. Where it is worth anything
 * and no known device is of the device's class, physics alone is asked.
 */
TL_MUST_USE tl_err tl_level_find(
    const tl_level_device *device,
    const tl_level_device *known,
    int n,
    bool has_trend,
    double physics_trust,
    tl_level *out_level);

/* How unlike two profiles are; what only one of them tells does not count. */
double tl_level_distance(const tl_profile *a, const tl_profile *b);

#endif
