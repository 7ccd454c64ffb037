/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_RELATIVES_H
#define TL_PREDICTORS_RELATIVES_H

/*
 * Relatives: how much known devices say of one of which only the profile is known.
 *
 * The logarithm of what a design costs is a Gaussian process over devices:
 *
 *     k(d, d') = constant + class [same class] + slopes (u . u')
 *                + near exp(-|u - u'|^2 / 2) [class] [runtime]
 *
 * u being the logarithms of batch, peak and bandwidth over their lengths, a
 * figure that a profile leaves out taken as typical. [class] and [runtime] are 1
 * where both devices have the same and less where they differ. The answer for a
 * design x is then linear in what the known devices say of it,
 *
 *     f(x) = prior(x) + sum_s w_s (f_s(x) - prior(x)),
 *
 * with the same weights for every design: one small solve. Its hyperparameters
 * were chosen by leaving out each device of the public tables in turn; a
 * tl_model holds what is specific to a space (scale of the variance).
 */

#include "device-profiles/profile.h"
#include "numerics/mat.h"

/* The class, a peak or a bandwidth is known: relatives can be told from others. */
bool tl_relatives_can_tell(const tl_profile *profile);

enum {
    TL_RELATIVES_FIGURES = 3 /* batch, peak, bandwidth */
};

/* What the covariance reads of a profile: logarithms over those of the known devices. */
typedef struct tl_relative_figures {
    double log[TL_RELATIVES_FIGURES];
    bool is_known[TL_RELATIVES_FIGURES];
} tl_relative_figures;

/*
 * All that does not depend on the device that is asked for: made once, it weighs
 * any number of devices.
 */
typedef struct tl_relatives {
    const tl_profile **known; /* [n], the profiles borrowed */
    int n;
    tl_relative_figures *figures; /* [n] */
    double means[TL_RELATIVES_FIGURES];
    bool is_told[TL_RELATIVES_FIGURES]; /* by any of them */
    tl_dmat factor;                     /* of their covariance, with noise: Cholesky [n, n] */
} tl_relatives;

/* n >= 1 known devices. */
TL_MUST_USE tl_err
tl_relatives_init(const tl_profile *const *known, int n, tl_relatives *out_relatives);
void tl_relatives_done(tl_relatives *relatives);

/* As tl_relatives_weigh(), which makes the relatives for one device alone. */
void tl_relatives_weigh_one(
    const tl_relatives *relatives,
    const tl_profile *device,
    double *out_weights,
    double *out_log_sd);

/* As tl_relatives_errors(). */
TL_MUST_USE tl_err tl_relatives_leave_out(
    const tl_relatives *relatives,
    const double *values,
    double *out_errors,
    double *out_log_sds);

/*
 * Weights [n] of n >= 1 known devices for the device, and the standard deviation of
 * the logarithm that they leave.
 */
TL_MUST_USE tl_err tl_relatives_weigh(
    const tl_profile *device,
    const tl_profile *const *known,
    int n,
    double *out_weights,
    double *out_log_sd);

/*
 * Each known device by the others, n >= 2: what they make of values [n], over their mean,
 * minus its own value, and the standard deviation that they leave. By the inverse of the
 * covariance, in one solve.
 */
TL_MUST_USE tl_err tl_relatives_errors(
    const tl_profile *const *known,
    int n,
    const double *values,
    double *out_errors,
    double *out_log_sds);

/* What log latency rises by with the batch of this profile. */
double tl_relatives_trend(const tl_profile *profile);

#endif
