/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_NEURAL_H
#define TL_OPTIMIZER_NEURAL_H

/*
 * The answer of an optimizer: one pass through its networks, different designs drawn of
 * the distribution, the likeliest first, all scored by the predictors, and local steps
 * from the best of them: neighbours are scored by parts, those that the network likes
 * best first, a step is taken as soon as one is better, and where none is the next best
 * design drawn is where it goes on, until the evaluations or the time are spent.
 *
 * Besides, the reference designs of the signature are predicted once per answer; the problem's
 * count of evaluations leaves them out.
 */

#include "optimizer/search.h"

typedef struct tl_neural_options {
    int n_drawn; /* 0: a little more than half of the evaluations */
    int n_steps; /* whole steps to the best neighbour; negative: by parts, as above */
} tl_neural_options;

/* Method neural with other than its own settings, for comparisons. */
TL_MUST_USE tl_err tl_neural_answer(
    tl_problem *problem,
    const tl_search_options *options,
    const tl_neural_options *settings,
    tl_shortlist *list);

#endif
