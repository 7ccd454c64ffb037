/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_GRADING_HMC_H
#define TL_GRADING_HMC_H

/*
 * Hamiltonian Monte Carlo: draws of a distribution known by its log density and
 * gradient (Neal, "MCMC using Hamiltonian dynamics", 2011).
 *
 *     p ~ N(0, I);    leapfrog: p += e/2 dlog, w += e p, p += e/2 dlog;
 *     accept with min(1, exp(H(w, p) - H(w', p'))),    H = -log density + p.p / 2
 *
 * During the warm-up the step e is adapted to the wanted acceptance (Robbins and
 * Monro on its logarithm) and afterwards kept, each trajectory 0.8 to 1.2 of it, so
 * that no orbit closes. Masses are one: scale the coordinates to suit.
 */

#include "numerics/mat.h"
#include "numerics/rng.h"

typedef struct tl_hmc_target {
    int d;
    /* Returns the log density but for a constant; gradient [d]. May use scratch in context. */
    double (*log_density)(void *context, const double *w, double *gradient);
    void *context;
} tl_hmc_target;

typedef struct tl_hmc_options {
    int n_warm; /* trajectories that adapt the step and are forgotten */
    int n_leaps;
    double step;       /* at first */
    double acceptance; /* wanted: .8 */
} tl_hmc_options;

/*
 * Fills draws [n, d], one after each trajectory; w [d] is where it starts and ends.
 * *out_acceptance: the share of accepted trajectories after the warm-up. Fails
 * with TL_ENUMERIC when the density is not finite at the start.
 */
TL_MUST_USE tl_err tl_hmc_sample(
    const tl_hmc_target *target,
    const tl_hmc_options *options,
    tl_rng *rng,
    double *w,
    tl_dmat draws,
    double *out_acceptance);

#endif
