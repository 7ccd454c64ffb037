/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_OPTIMIZER_MADE_UP_H
#define TL_TESTS_OPTIMIZER_MADE_UP_H

/*
 * A made-up device for the tests of what measurements do to an answer: every choice costs and
 * earns something of its own; predictions are what it costs, times a level that is
 * not known well.
 */

#include "tests/optimizer/on_space.h"

#include "base/mem.h"
#include "measurements/designs.h"
#include "optimizer/propose.h"

#include <math.h>
#include <string.h>

static const double relative_sd = .1;
static const double accuracy_sd = .2;

typedef struct made_up {
    tl_problem problem;
    int n_slots;
    tl_measured measured;
    tl_column columns[TL_N_COSTS];
    tl_choice *listing;
} made_up;

static inline double latency_of(const made_up *w, const tl_choice *design)
{
    double latency = 1;
    for (int k = 0; k < w->n_slots; k++) {
        latency += design[k] != TL_CHOICE_ABSENT ? weight_of(k, design[k], 1) : 0;
    }
    return latency;
}

static inline tl_err made_up_predict(
    void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    const made_up *w = context;
    for (int i = 0; i < n; i++) {
        const tl_choice *design = tl_design_at(designs, w->n_slots, i);
        double latency = latency_of(w, design);
        double accuracy = 40;
        for (int k = 0; k < w->n_slots; k++) {
            accuracy += design[k] != TL_CHOICE_ABSENT
                            ? weight_of(k, design[k], 2) + .5 * weight_of(k, design[k], 1)
                            : 0;
        }
        out[i] = (tl_prediction){
            .latency_ms = latency,
            .latency_std_ms = relative_sd * latency,
            .energy_mj = 2 * latency,
            .energy_std_mj = relative_sd * 2 * latency,
            .accuracy = accuracy,
            .accuracy_std = accuracy_sd};
    }
    tl_measured_apply(&w->measured, designs, n, w->n_slots, out);
    return TL_OK;
}

/* All that is uncertain is the level, which all designs share. */
static inline tl_err made_up_draw(
    void *context,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_rng *rng,
    tl_dmat out_draws)
{
    const made_up *w = context;
    for (int t = 0; t < out_draws.rows; t++) {
        double level = 1 + relative_sd * tl_rng_normal(rng);
        for (int i = 0; i < n; i++) {
            double latency = latency_of(w, tl_design_at(designs, w->n_slots, i));
            tl_dmat_row(out_draws, t)[i] = level * latency * (cost == TL_COST_ENERGY ? 2 : 1);
        }
    }
    return TL_OK;
}

static inline made_up made_up_new(const char *space_name)
{
    made_up w = {.problem = problem_on(space_name, made_up_predict)};
    const tl_space *space = w.problem.space;
    w.n_slots = tl_space_n_slots(space);
    w.problem.limits.max_latency_ms = 5;
    if (tl_space_size(space) < TL_SEARCH_LISTABLE) {
        assert_ok(
            tl_space_enumerate(space, TL_SEARCH_LISTABLE, &w.listing, &w.problem.n_listing));
        w.problem.listing = w.listing;
    }
    return w;
}

static inline void made_up_done(made_up *w)
{
    problem_done(&w->problem);
    tl_mem_free(w->listing);
}

/* Measures designs [n, n_slots], sorted; what they cost stays with the caller. */
static inline void measure(made_up *w, tl_cost cost, tl_choice *designs, double *values, int n)
{
    w->columns[cost] = (tl_column){n, w->n_slots, designs, values};
    w->measured.costs[cost] = &w->columns[cost];
}

static inline tl_scored score_of(made_up *w, const tl_choice *design)
{
    tl_scored score;
    w->problem.context = w;
    assert_ok(tl_problem_score(&w->problem, design, 1, &score));
    return score;
}

#endif
