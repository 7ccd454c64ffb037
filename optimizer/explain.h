/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_EXPLAIN_H
#define TL_OPTIMIZER_EXPLAIN_H

/*
 * Why this design: what each choice costs on the device, and what the next best one
 * would cost or gain.
 *
 * Every design that differs in one slot is predicted. What an operator costs is what
 * the best of them saves: the design's latency less that with the cheapest option in
 * the operator's slot. Its second choice is the option that the problem would take
 * if this one were not there.
 *
 *     tl_explanation explanation = {0};
 *     TL_TRY(tl_explain(&problem, design, &explanation));
 *     ...
 *     tl_explanation_done(&explanation);
 */

#include "optimizer/problem.h"

/* One slot that was searched and applies to the design. Costs not known are NaN. */
typedef struct tl_slot_account {
    int slot;
    tl_choice choice, second;
    double latency_ms, energy_mj; /* what the cheapest option of the slot would save */
    double macs, weights;         /* of the operators that the slot chose */
    tl_scored with_second;        /* the design with the second choice */
} tl_slot_account;

typedef struct tl_explanation {
    tl_scored scored; /* the design itself */
    int n;
    tl_slot_account *accounts; /* [n], in the order of slots; the caller's */
} tl_explanation;

/* design is valid. out_explanation comes zeroed. */
TL_MUST_USE tl_err
tl_explain(tl_problem *problem, const tl_choice *design, tl_explanation *out_explanation);
void tl_explanation_done(tl_explanation *explanation);

#endif
