/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_GRADING_SCALES_H
#define TL_GRADING_SCALES_H

/*
 * The two scales of the linear model of infer.h: what the samples say of them
 * when the weights are integrated out.
 *
 *     y ~ N(0, s^2 x x^T + t^2 I),    x x^T = U diag(eigen) U^T,    z = U^T y
 *     log p(log s, log t) = -1/2 sum_k (z_k^2 / v_k + log v_k) + prior,    v_k = s^2 eigen_k + t^2
 *
 * The prior: log s is normal around the s that explains all of y, log t around a
 * tenth of its size, both with a deviation of 1.5 (a factor of 4.5).
 */

#include "numerics/mat.h"

typedef struct tl_scales {
    int n;
    tl_dmat basis;    /* U [n, n] */
    double *eigen;    /* [n], not negative */
    double *z;        /* [n] */
    double centre[2]; /* of log s and log t */
} tl_scales;

/* x [n, d], y [n]. Fails with TL_ENUMERIC on what is not finite. */
TL_MUST_USE tl_err tl_scales_init(tl_dcmat x, const double *y, tl_scales *scales);
void tl_scales_done(tl_scales *scales);

/* log p at (log s, log t), and its gradient [2]. */
double tl_scales_log_density(const tl_scales *scales, const double *at, double *gradient);

/* The most probable point of a fine grid. */
void tl_scales_best(const tl_scales *scales, double *out_at);

#endif
