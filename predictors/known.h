/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_KNOWN_H
#define TL_PREDICTORS_KNOWN_H

/*
 * The known devices of one cost as devices of which only the profile is known are
 * compared with them (zero_shot.h): the covariance of their profiles, their levels, and
 * the operators of the designs that levels are medians of. It does not depend on the
 * device that is asked for, so it is made once; it is immutable.
 */

#include "predictors/features.h"
#include "predictors/level.h"
#include "predictors/op_table.h"
#include "predictors/source.h"

/* A known device of known profile. */
typedef struct tl_relative {
    const tl_profile *profile;
    const tl_source *source;  /* latency, or energy */
    const tl_source *latency; /* of the same device where source is energy; else NULL */
} tl_relative;

enum {
    TL_KNOWN_LEAST = 2
};

typedef struct tl_known {
    const tl_features *features; /* borrowed */
    tl_relative *devices;        /* [n]; what they point at is borrowed */
    int n;
    bool is_power; /* energy over latency is told, not latency */
    tl_relatives relatives;
    tl_levels levels;
    tl_op_table middle; /* designs of which levels are medians; none where is_power */
    double *units;      /* [n]: log of what each says of the middle design, over its median */
} tl_known;

/* n >= TL_KNOWN_LEAST devices, copied. */
TL_MUST_USE tl_err tl_known_new(
    const tl_features *features, const tl_relative *devices, int n, tl_known **out_known);
void tl_known_free(tl_known *known); /* NULL is fine */

/*
 * out [rows] += share times the log of what the device says of each design, in its own
 * unit: of its latency, or of its energy over its latency. rows: source rows (features.h).
 */
void tl_relative_add(const tl_relative *device, double share, tl_dcmat rows, double *out);

/* The work of the middle design on a profile: bound in ms, or MACs where it tells none. */
TL_MUST_USE tl_err
tl_known_middle_work(const tl_known *known, const tl_profile *profile, double *out_work);

/* What physics says of a device's level; TL_UNKNOWN where nothing. work: of the middle design. */
double tl_known_log_physics(const tl_known *known, const tl_profile *profile, double work);

#endif
