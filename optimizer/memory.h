/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_MEMORY_H
#define TL_OPTIMIZER_MEMORY_H

/*
 * Search memory: how a policy learns to answer problems without labels and without
 * gradients through the predictors.
 *
 * Every context keeps the best designs ever seen for it. A round is: fit the policy
 * by cross-entropy to what memories hold, the better the heavier; draw designs of it, at
 * a temperature; take one local step from each context's best; remember what was good.
 * What was drawn for one context is offered to all contexts of the same device, for
 * which it was predicted anyway. A last, longer fit ends it.
 *
 * In a listed space memories may start from the exact best designs of each context.
 */

#include "optimizer/contexts.h"
#include "optimizer/policy.h"

/* Zero: the default in brackets. */
typedef struct tl_memory_options {
    int n_kept;           /* [8] designs a context remembers, at most TL_CONTEXTS_MAX_BEST */
    int n_rounds;         /* [6]; -1: none, the first memories alone are learnt */
    int n_round_steps;    /* [500] */
    int n_final_steps;    /* [2500] */
    int n_batch;          /* [256] contexts a step */
    int n_drawn;          /* [16] designs of a context in a round */
    int n_local;          /* [1] local steps of a round */
    int n_neighbours;     /* [48] of a best design that a local step looks at, at most */
    double temperature;   /* [1.2] of drawing */
    double sharpness;     /* [.1] e-fold of the weight, in deviations of good designs */
    double learning_rate; /* [2e-3] */
    double weight_decay;  /* [1e-3] */
    bool starts_listed;   /* from the exact best, where the space is listed */
    uint64_t seed;
    tl_crew crew;
} tl_memory_options;

/* Trains the policy. Fails with TL_ECANCELLED, or TL_ENUMERIC when it diverged. */
TL_MUST_USE tl_err tl_memory_train(
    const tl_contexts *contexts, const tl_memory_options *options, tl_policy *policy);

#endif
