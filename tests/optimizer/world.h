/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_OPTIMIZER_WORLD_H
#define TL_TESTS_OPTIMIZER_WORLD_H

#include "tests/support/test.h"

#include "base/units.h"
#include "optimizer/problem.h"

#include <stdio.h>

/* A made-up device: every choice costs and earns something of its own. */
typedef struct world {
    tl_problem problem;
    int n_slots;
} world;

static inline double weight(int slot, tl_choice choice, unsigned salt)
{
    unsigned x = (unsigned)slot * 7919U + (unsigned)choice * 104729U + salt * 1299709U;
    x = (x ^ (x >> 13U)) * 2654435761U;
    return (double)(x >> 8U) / (double)(1U << 24U);
}

static inline tl_err predict(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    const world *w = context;
    for (int i = 0; i < n; i++) {
        double latency = 1;
        double accuracy = 40;
        for (int k = 0; k < w->n_slots; k++) {
            tl_choice c = designs[(size_t)i * (size_t)w->n_slots + (size_t)k];
            if (c != TL_CHOICE_ABSENT) {
                latency += weight(k, c, 1);
                accuracy += weight(k, c, 2) + .5 * weight(k, c, 1);
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
    char path[512];
    world w = {0};
    tl_space *space = NULL;
    (void)snprintf(path, sizeof path, "%s/spaces/%s.yaml", tl_test_source_dir(), space_name);
    assert_ok(tl_space_load(path, &space));
    w.n_slots = tl_space_n_slots(space);
    w.problem = (tl_problem){
        .space = space,
        .predict = predict,
        .limits = {
                   .max_latency_ms = TL_UNKNOWN,
                   .max_energy_mj = TL_UNKNOWN,
                   .min_accuracy = TL_UNKNOWN,
                   .confidence = .9}
    };
    tl_confidence_nominal(21, &w.problem.latency_confidence);
    tl_confidence_nominal(21, &w.problem.energy_confidence);
    tl_confidence_nominal(1e6, &w.problem.accuracy_confidence);
    return w;
}

static inline void unmake(world *w)
{
    tl_space *space = tl_space_ref(w->problem.space);
    tl_space_unref(space);
    tl_space_unref(space);
}

#endif
