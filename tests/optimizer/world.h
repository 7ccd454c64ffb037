/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_OPTIMIZER_WORLD_H
#define TL_TESTS_OPTIMIZER_WORLD_H

#include "tests/optimizer/on_space.h"

/* A made-up device: every choice costs and earns something of its own. */
typedef struct world {
    tl_problem problem;
    int n_slots;
} world;

static inline tl_err predict(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    const world *w = context;
    for (int i = 0; i < n; i++) {
        double latency = 1;
        double accuracy = 40;
        for (int k = 0; k < w->n_slots; k++) {
            tl_choice c = designs[(size_t)i * (size_t)w->n_slots + (size_t)k];
            if (c != TL_CHOICE_ABSENT) {
                latency += weight_of(k, c, 1);
                accuracy += weight_of(k, c, 2) + .5 * weight_of(k, c, 1);
            }
        }
        out[i] = (tl_prediction){
            .latency_ms = latency,
            .latency_std_ms = .05,
            .energy_mj = TL_UNKNOWN,
            .energy_std_mj = TL_UNKNOWN,
            .accuracy = accuracy,
            .accuracy_std = .2};
    }
    return TL_OK;
}

static inline world make(const char *space_name)
{
    world w = {.problem = problem_on(space_name, predict)};
    w.n_slots = tl_space_n_slots(w.problem.space);
    w.problem.context = NULL; /* the world itself, when it stands where it stays */
    return w;
}

static inline void unmake(world *w)
{
    problem_done(&w->problem);
}

#endif
