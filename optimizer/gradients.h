/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_GRADIENTS_H
#define TL_OPTIMIZER_GRADIENTS_H

/*
 * Two other ways to train a policy on contexts, for comparison with search memory
 * (memory.h). Both go up the expected reward of designs drawn of the policy, the
 * reward being the value in deviations of good designs, -3 at least where feasible,
 * and -3 - 3 min(shortfall, 1) elsewhere:
 *
 *     reinforce         by the score function, against the mean reward of the context's
 *                       other draws; a little entropy keeps it from settling early
 *     straight through  by what changing one slot alone would do to the reward, looked
 *                       up exactly for every option rather than read off a surrogate's
 *                       gradient: the estimator at its best, and 24 evaluations a design
 */

#include "optimizer/contexts.h"
#include "optimizer/policy.h"

typedef enum tl_gradient {
    TL_GRADIENT_REINFORCE,
    TL_GRADIENT_STRAIGHT_THROUGH
} tl_gradient;

/* Zero: the default in brackets. */
typedef struct tl_gradient_options {
    tl_gradient gradient;
    int n_steps;          /* [1500] */
    int n_devices;        /* [16] of a step, 8 contexts of each */
    int n_drawn;          /* [16; 4 straight through] designs of a context */
    double entropy;       /* [.01] reward per nat; reinforce only */
    double learning_rate; /* [2e-3], down to 0 */
    double weight_decay;  /* [1e-3] */
    uint64_t seed;
    tl_crew_progress_fn *progress;
    void *progress_context;
} tl_gradient_options;

/* Trains the policy. Fails with TL_ECANCELLED. */
TL_MUST_USE tl_err tl_gradient_train(
    const tl_contexts *contexts, const tl_gradient_options *options, tl_policy *policy);

#endif
