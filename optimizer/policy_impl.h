/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_POLICY_IMPL_H
#define TL_OPTIMIZER_POLICY_IMPL_H

/* Inside of a policy; only policy.c and policy_learn.c include this. */

#include "optimizer/policy.h"

/* A slot that is searched, and where its weights stand in the row of all weights. */
typedef struct policy_slot {
    int slot;      /* of the space */
    int n_options; /* logits */
    int n_codes;   /* n_options, and one for "-" where the slot may be absent */
    int e_at;      /* E[j]: [n_codes, (K - 1 - j) e], what a choice adds to all later slots */
    int o_at;      /* O_k [n_options, e] */
    int b_at;      /* o_k [n_options] */
} policy_slot;

struct tl_policy {
    tl_space *space;
    tl_freedom freedom;
    tl_policy_options options;
    int n_slots; /* K: those searched */
    policy_slot slots[TL_SPACE_MAX_SLOTS];
    int w1_at, b1_at, w2_at, b2_at; /* [h, d], [h], [h, h], [h] */
    int c_at, s_at;                 /* C [K e, h], s [K e] */
    int n_params;
    float *params;
};

/* A matrix without padding inside the row of all weights. */
static inline tl_mat tl_policy_block(float *params, int at, int rows, int cols)
{
    return (tl_mat){.data = params + at, .rows = rows, .cols = cols, .ld = cols};
}

static inline tl_cmat tl_policy_weights(const tl_policy *policy, int at, int rows, int cols)
{
    return (tl_cmat){.data = policy->params + at, .rows = rows, .cols = cols, .ld = cols};
}

/* How much of the state the slots after searched slot j are. */
static inline int tl_policy_tail(const tl_policy *policy, int j)
{
    return (policy->n_slots - 1 - j) * policy->options.n_state;
}

/* The row of E[j] that a choice in searched slot j adds. */
static inline int tl_policy_code(const policy_slot *slot, tl_choice choice)
{
    return choice == TL_CHOICE_ABSENT ? slot->n_options : choice;
}

#endif
