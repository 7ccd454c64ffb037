/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_POLICY_H
#define TL_OPTIMIZER_POLICY_H

/*
 * Policy: a distribution over the designs of a space, slot after slot, that
 * reads a row of numbers x describing the problem.
 *
 *     t   = silu(W2 silu(W1 x + b1) + b2)                     [h]
 *     c_k = C_k t + s_k                                       [e], for every slot k
 *     p(choice_k | choices before) = softmax over the options that the space allows of
 *           O_k silu(c_k + sum over j < k of E[j, k, choice_j]) + o_k
 *
 * The c_k of all slots together are the problem's state: the networks run once
 * per problem, and a design drawn from the state costs a few small products.
 * Options that the space does not allow after the choices made have
 * probability 0, so that every design drawn is valid.
 *
 * A policy without input (n_inputs 0) has c_k = s_k: one distribution, which a
 * search may shape for one problem.
 *
 *     tl_policy *policy = NULL;
 *     tl_policy_learner *learner = NULL;
 *     tl_policy_options options = {.n_inputs = d};
 *     TL_TRY(tl_policy_new(space, TL_FREE_ARCHITECTURE, &options, &rng, &policy));
 *     err = tl_policy_learner_new(policy, &settings, &learner);
 *     ... up the log-likelihood of designs, each with its weight:
 *     double log_likelihood = tl_policy_accumulate(learner, &batch);
 *     tl_policy_step(learner, learning_rate);
 *     ... and designs of it:
 *     TL_TRY(tl_policy_states(policy, x, &states));
 *     tl_policy_sample(policy, tl_mat_row(states, 0), 1.0, &rng, design);
 *
 * Designs with weight (reward - baseline) / n make the step that of REINFORCE.
 */

#include "numerics/mat.h"
#include "numerics/rng.h"
#include "spaces/space.h"

typedef struct tl_policy tl_policy;

typedef struct tl_policy_options {
    int n_inputs; /* d */
    int n_hidden; /* h; 0: 128 */
    int n_state;  /* e; 0: 64 */
} tl_policy_options;

/* Random weights from rng; keeps a reference to space. */
TL_MUST_USE tl_err tl_policy_new(
    const tl_space *space,
    tl_freedom freedom,
    const tl_policy_options *options,
    tl_rng *rng,
    tl_policy **out_policy);
void tl_policy_free(tl_policy *policy); /* NULL is fine */

const tl_space *tl_policy_space(const tl_policy *policy);
tl_freedom tl_policy_freedom(const tl_policy *policy);
const tl_policy_options *tl_policy_options_of(const tl_policy *policy); /* no zeros left */

/* All weights in one row, in an order that depends on space, freedom and options alone. */
int tl_policy_n_params(const tl_policy *policy);
float *tl_policy_params(tl_policy *policy);
const float *tl_policy_params_view(const tl_policy *policy);

/* ---- drawing designs ------------------------------------------------------------- */

int tl_policy_state_width(const tl_policy *policy);

/*
 * The states of n problems x [n, d]: initializes *out_states [n, state width], the
 * caller's (tl_mat_done). Without input the rows of x count alone.
 */
TL_MUST_USE tl_err tl_policy_states(const tl_policy *policy, tl_cmat x, tl_mat *out_states);

/*
 * A design by chance; logits are divided by temperature > 0. At temperature 0 the likeliest
 * choice in each slot, and rng is not asked.
 */
void tl_policy_sample(
    const tl_policy *policy,
    const float *state,
    double temperature,
    tl_rng *rng,
    tl_choice *out_design);

/* log p(design); the design is valid. */
double tl_policy_log_likelihood(
    const tl_policy *policy, const float *state, const tl_choice *design);

/* The options of all searched slots, and where those of a slot of the space begin; -1: not searched. */
int tl_policy_gain_width(const tl_policy *policy);
int tl_policy_gain_at(const tl_policy *policy, int slot);

/* ---- learning ---------------------------------------------------------------------- */

/* Designs that problems should have more of, or, of negative weight, less. */
typedef struct tl_policy_batch {
    tl_cmat x;                /* [n, d]; without input the rows count alone */
    int n_designs;            /* m, of each problem */
    const tl_choice *designs; /* [n, m, n_slots], valid where their weight is not 0 */
    const float *weights;     /* [n, m] */
    /*
     * Straight through: what each option of each slot would gain over the design as it
     * is, [n, m, gain width], slot after slot. The gradient is then that of the weighted
     * expected gain of each slot, the others as they are. NULL: of the log-likelihood.
     */
    const float *gains;
} tl_policy_batch;

typedef struct tl_policy_learner_options {
    int max_problems; /* n of a batch at most */
    int max_designs;  /* m at most */
    double weight_decay;
    double clip_norm; /* of the gradient; 0: 5 */
} tl_policy_learner_options;

/* The gradient, AdamW and scratch memory of one policy in training; borrows the policy. */
typedef struct tl_policy_learner tl_policy_learner;

TL_MUST_USE tl_err tl_policy_learner_new(
    tl_policy *policy,
    const tl_policy_learner_options *options,
    tl_policy_learner **out_learner);
void tl_policy_learner_free(tl_policy_learner *learner); /* NULL is fine */

/*
 * Adds the gradient of L = sum of weight log p(design | x) over the batch (of expected gains
 * where the batch has them) to what was gathered since the last step. Returns L; a NaN in x or weights travels.
 */
double tl_policy_accumulate(tl_policy_learner *learner, const tl_policy_batch *batch);

/* What was gathered, in the order of the weights. */
const float *tl_policy_gradient(const tl_policy_learner *learner);

/* One AdamW step up the gathered gradient, which is then 0 again. Returns its norm. */
double tl_policy_step(tl_policy_learner *learner, double learning_rate);

#endif
