/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_CONFIDENCE_H
#define TL_PREDICTORS_CONFIDENCE_H

/*
 * From a margin to the probability that a limit holds, and back.
 *
 * The margin of a prediction under a limit is z = (limit - mean) / unit. Nominally
 * the unit is the design's own sd, and the limit holds with the probability that
 * Student's t with the head's degrees of freedom gives to z. A design that was *selected* is judged otherwise: its
 * latency is the one most likely to be underestimated. So training measures,
 * with the whole selection in the loop on left-out source devices, which
 * margin keeps what share of selected designs within their limit; that table
 * z(confidence) replaces the nominal one where the model has it.
 *
 * Its margins are counted in the device's typical relative sd times the design's mean: a
 * design's own sd is largest where few samples say little, at the large designs that
 * selection wants, and far less of it than that shows up as error. The typical sd is what
 * the head reads off its own residuals, so a noisy device still pays for its noise.
 *
 * Both are held as one increasing piecewise-linear curve, cheap enough for
 * every design of an exhaustive search.
 */

#include "base/err.h"

enum {
    TL_CONFIDENCE_MAX_KNOTS = 96,
    TL_CALIBRATION_LEVELS = 5
};

/* .5 .8 .9 .95 .99: the confidences at which selection is calibrated. */
extern const double tl_calibration_level[TL_CALIBRATION_LEVELS];

/* What margins are counted in; all 0: the design's own sd. */
typedef struct tl_margin_unit {
    double relative; /* of a design's mean */
    double least;
} tl_margin_unit;

typedef struct tl_confidence {
    tl_margin_unit unit;
    int n;
    double z[TL_CONFIDENCE_MAX_KNOTS]; /* increasing */
    double p[TL_CONFIDENCE_MAX_KNOTS]; /* increasing, within (0, 1) */
} tl_confidence;

/*
 * Degrees of freedom of a head with n > 0 samples: n + 1 while their scale is
 * what is uncertain, 10 at most: noise itself has longer tails than a normal one.
 */
double tl_confidence_dof(int n_samples);

/* The nominal curve in units of the design's own sd: Student's t with dof > 0 degrees of freedom. */
void tl_confidence_nominal(double dof, tl_confidence *out);

/*
 * The calibrated curve: passes through z[k] at tl_calibration_level[k], where
 * z[k] is not NaN; between and beyond it follows the nominal curve shifted.
 * Above .95 it is never bolder than nominal.
 */
void tl_confidence_calibrated(
    double dof, const double z[TL_CALIBRATION_LEVELS], tl_confidence *out);

/* The typical unit of a device, from means and sds of n >= 1 designs drawn by chance. */
TL_MUST_USE tl_err
tl_margin_unit_of(int n, const double *mean, const double *sd, tl_margin_unit *out);

/* The unit of a design with this mean and sd. */
double tl_margin_unit_at(const tl_margin_unit *unit, double mean, double sd);

/* The probability that a limit with this margin holds; NaN stays NaN. */
double tl_confidence_of_margin(const tl_confidence *confidence, double margin);

/* The least margin at which a limit holds with probability p. */
double tl_confidence_margin(const tl_confidence *confidence, double p);

#endif
