/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_DDPG_H
#define TL_OPTIMIZER_DDPG_H

/*
 * Deep deterministic policy gradient for one continuous action in (0, 1).
 *
 *     actor    a = 1 / (1 + exp(-mu(s)))
 *     critic   Q(s, a), learnt on   r + discount Q'(s', actor'(s'))    (r alone at the end)
 *
 * mu and Q are networks of two hidden SiLU layers; the primed ones follow them slowly.
 * Transitions are kept in a ring and drawn from it by chance.
 *
 *     tl_ddpg *agent = NULL;
 *     TL_TRY(tl_ddpg_new(&options, &rng, &agent));
 *     a = tl_ddpg_act(agent, state);                  explore around it
 *     tl_ddpg_remember(agent, &(tl_transition){state, a, reward, next_state});
 *     tl_ddpg_learn(agent, &rng);
 *     ...
 *     tl_ddpg_free(agent);
 */

#include "base/err.h"
#include "numerics/rng.h"

typedef struct tl_ddpg tl_ddpg;

typedef struct tl_ddpg_options {
    int n_state;
    int n_hidden;       /* of both hidden layers; 0: 48 */
    int n_remembered;   /* transitions; 0: 4096 */
    int batch;          /* drawn for one step of learning; 0: 64 */
    double actor_rate;  /* 0: 1e-3 */
    double critic_rate; /* 0: 3e-3 */
    double follow;      /* the share by which primed weights move; 0: .02 */
    double discount;    /* may be 0: the critic then learns returns as they are given */
} tl_ddpg_options;

typedef struct tl_transition {
    const float *state; /* [n_state] */
    double action;
    double reward;
    const float *next; /* NULL: the episode ended */
} tl_transition;

TL_MUST_USE tl_err
tl_ddpg_new(const tl_ddpg_options *options, tl_rng *rng, tl_ddpg **out_agent);
void tl_ddpg_free(tl_ddpg *agent); /* NULL is fine */

/* What the actor would do, in (0, 1). */
double tl_ddpg_act(tl_ddpg *agent, const float *state);

/* What the critic expects of it. */
double tl_ddpg_value(tl_ddpg *agent, const float *state, double action);

/* Copies the transition; the oldest is forgotten where there are too many. */
void tl_ddpg_remember(tl_ddpg *agent, const tl_transition *transition);

/* One step of critic, actor and primed weights; none before a batch is remembered. */
void tl_ddpg_learn(tl_ddpg *agent, tl_rng *rng);

#endif
