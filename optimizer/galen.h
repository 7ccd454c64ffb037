/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_GALEN_H
#define TL_OPTIMIZER_GALEN_H

/*
 * A DDPG agent that walks over the slots of a design, as Galen walks over layers.
 *
 * State (slot_facts.h): the slot's MACs, bit operations, parameters, channels and kernel in the
 * design so far, shares done and remaining, its sensitivity, the last action. Action: a
 * number in (0, 1), read as one of the slot's options from cheap to dear; an
 * operator and its bits are two slots. Every episode is one design and one prediction; its
 * reward, less a running mean, is given to each step of the walk:
 *
 *     (value - centre) / scale  +  beta min(shortfall, 1)                        beta -5
 *
 * Galen's own term is beta |latency / target - 1|. Here a target is a limit: what
 * is below costs nothing, and the shortfall is counted at the asked confidence, over all
 * limits. Actions are drawn by chance at first, then from a normal around the actor's, cut
 * to (0, 1), whose width shrinks from episode to episode.
 */

#include "optimizer/search.h"

typedef struct tl_galen_settings {
    double beta;       /* 0: -5 */
    double discount;   /* below 0: 1, each step's target bootstraps on the next; 0: none */
    double noise;      /* the first width; 0: .5 */
    double last_noise; /* 0: .2 */
    double warm_frac;  /* share of episodes that act by chance; 0: .25 */
    int n_hidden;      /* of actor and critic; 0: theirs */
    double actor_rate, critic_rate; /* 0: theirs */
    int learn_per_step;             /* 0: 1 */
} tl_galen_settings;

/* tl_search_galen.run() is this with zeros. */
TL_MUST_USE tl_err tl_galen_run(
    const tl_galen_settings *settings,
    tl_problem *problem,
    const tl_search_options *options,
    tl_shortlist *list);

#endif
