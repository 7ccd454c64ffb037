/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_OPTIMIZER_ON_SPACE_H
#define TL_TESTS_OPTIMIZER_ON_SPACE_H

/* A problem without limits on a space of spaces/NAME.yaml, with made-up predictions. */

#include "tests/support/test.h"

#include "base/units.h"
#include "optimizer/problem.h"

#include <stdio.h>

/* What a choice is worth, from 0 to 1, different for each salt. */
static inline double weight_of(int slot, tl_choice choice, unsigned salt)
{
    unsigned x = (unsigned)slot * 7919U + (unsigned)choice * 104729U + salt * 1299709U;
    x = (x ^ (x >> 13U)) * 2654435761U;
    return (double)(x >> 8U) / (double)(1U << 24U);
}

/* Its context is the space, until it is set to something else; problem_done() gives it back. */
static inline tl_problem problem_on(const char *space_name, tl_predict_fn *predict)
{
    char path[512];
    tl_space *space = NULL;
    (void)snprintf(path, sizeof path, "%s/spaces/%s.yaml", tl_test_source_dir(), space_name);
    assert_ok(tl_space_load(path, &space));
    tl_problem problem = {
        .space = space,
        .predict = predict,
        .context = space,
        .limits = {
                   .max_latency_ms = TL_UNKNOWN,
                   .max_energy_mj = TL_UNKNOWN,
                   .min_accuracy = TL_UNKNOWN,
                   .confidence = .9}
    };
    tl_confidence_nominal(21, &problem.latency_confidence);
    tl_confidence_nominal(21, &problem.energy_confidence);
    tl_confidence_nominal(1e6, &problem.accuracy_confidence);
    return problem;
}

static inline void problem_done(const tl_problem *problem)
{
    tl_space *space = tl_space_ref(problem->space);
    tl_space_unref(space);
    tl_space_unref(space);
}

#endif
