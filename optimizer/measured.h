/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_MEASURED_H
#define TL_OPTIMIZER_MEASURED_H

/*
 * Designs that were measured on the device: what they cost is known, not predicted.
 *
 * While designs are chosen a measured cost takes the place of the predicted one,
 * without deviation: its limit holds or is missed for certain. A problem's predict
 * function applies it (tl_measured_apply()), so that every search sees it.
 *
 * A measured design that keeps every limit leads the answer unless another is better
 * beyond doubt (tl_measured_lead()): after proposals were measured the answer is one
 * of them, while a few designs measured to learn the device do not stand in the way
 * of a much better one (docs/decisions/0017-measured-designs-lead.md).
 */

#include "measurements/columns.h"
#include "optimizer/search.h"
#include "predictors/model.h"

typedef struct tl_measured {
    const tl_column *costs[TL_N_COSTS]; /* of the device; NULL: nothing was measured */
} tl_measured;

/* In how many deviations another design must be better to be answered instead. */
#define TL_MEASURED_DOUBT 1.0

/*
 * With this many designs measured a device is no longer refined one design at a time, and its
 * head, which averages the noise of all of them, knows a design better than its one measurement.
 */
enum {
    TL_MEASURED_MOST = 500
};

/* Puts measured costs, with deviation 0, in place of the predicted ones of designs [n, n_slots]. */
void tl_measured_apply(
    const tl_measured *measured,
    const tl_choice *designs,
    int n,
    int n_slots,
    tl_prediction *predictions);

/* A cost that the problem limits, minimizes or weighs. */
bool tl_problem_asks(const tl_problem *problem, tl_cost cost);

/* Deviation of the design's value that comes from its costs: what a measurement would tell. */
double tl_problem_cost_sd(const tl_problem *problem, const tl_prediction *prediction);

/* Every cost that the problem asks for was measured of the design, and there is one. */
bool tl_measured_is_known(
    const tl_measured *measured, const tl_problem *problem, const tl_choice *design);

/*
 * The best measured design that keeps every limit, by value, into out_design [n_slots] and
 * *out_score; *out_is_found tells whether there is one. Designs of which not every asked cost
 * was measured do not count, nor do those with optional slots in use where the
 * problem leaves them out.
 */
TL_MUST_USE tl_err tl_measured_best(
    tl_problem *problem,
    const tl_measured *measured,
    tl_choice *out_design,
    tl_scored *out_score,
    bool *out_is_found);

/*
 * Puts the best measured design first in list, in place of its last design where it is full,
 * unless the first one is better by more than doubt deviations of the difference of
 * their values.
 */
TL_MUST_USE tl_err tl_measured_lead(
    tl_problem *problem, const tl_measured *measured, double doubt, tl_shortlist *list);

#endif
