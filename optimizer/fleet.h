/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_FLEET_H
#define TL_OPTIMIZER_FLEET_H

/*
 * Fleet: the most accurate design under limits for each of many devices of which only the
 * profiles are known, on a space that can be listed.
 *
 * Designs stand by falling accuracy (predictors/ranked.h). Block by block, two products
 * say what all of a block cost on all devices that have no design yet; a limit is a bound
 * on the log, for deviations are shares of the mean. What comes near the bound is
 * judged as tl_problem_score() judges it, so the first that holds is the very
 * design that the exhaustive search finds. Where none holds and there is one limit alone,
 * the cheapest design is the nearest one, and found on the way.
 *
 *     tl_fleet_case cases[256] = {{.view = view, .problem = &problem}, ...};
 *     TL_TRY(tl_fleet_solve(predictor, cases, n));
 *     ... cases[i].is_solved ? cases[i].design, cases[i].score : search it in the ordinary way ...
 */

#include "optimizer/measured.h"
#include "optimizer/problem.h"
#include "predictors/predictor.h"

enum {
    TL_FLEET_PIECE = 256 /* cases worth solving at once: more gain nothing */
};

typedef struct tl_fleet_case {
    tl_view *view;             /* of the predictor; borrowed */
    const tl_problem *problem; /* borrowed; its predict is not called */
    const tl_measured
        *measured;  /* of the device, for tl_fleet_walk(); borrowed; NULL: nothing */
    bool is_solved; /* false: to be searched in the ordinary way */
    tl_scored score;
    const tl_choice *design; /* [n_slots], the predictor's; NULL unless solved */
} tl_fleet_case;

/* The case is of the usual kind: accuracy, under limits, on a device that is only described. */
bool tl_fleet_takes(const tl_view *view, const tl_problem *problem);

/*
 * Solves what it can of cases [n], of any tasks. Fails when memory is short or as a
 * problem's interrupt does, asked between blocks.
 */
TL_MUST_USE tl_err tl_fleet_solve(tl_predictor *predictor, tl_fleet_case *cases, int n);

/*
 * One device with measurements of its own, asked for accuracy under limits on a listed space:
 * the most accurate designs are predicted, a few at a time, until some keep the limits, which is a small
 * part of all of them as a rule. Where none of the first ones does, or the question is
 * another, the case is not solved. What is found is what the exhaustive search finds.
 */
TL_MUST_USE tl_err tl_fleet_walk(tl_predictor *predictor, tl_fleet_case *c);

#endif
