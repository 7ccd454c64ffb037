/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_LOCAL_SEARCH_H
#define TL_OPTIMIZER_LOCAL_SEARCH_H

/*
 * Local search: steps from a design to the best of those that differ in one slot.
 *
 * One step costs as many evaluations as the design has neighbours (24 in nasbench201) and
 * repairs most of what a network's proposal misses: a limit by little, or a slot by one.
 *
 *     tl_choice design[TL_SPACE_MAX_SLOTS] = ...;   scored as score
 *     TL_TRY(tl_local_search(&problem, &options, 2, design, &score, &list));
 */

#include "optimizer/search.h"

/*
 * Takes at most n_steps steps, each to the best neighbour, and ends early where none
 * is better or the options' deadline has passed; their n_evaluations is not looked at.
 * design and score are those of where it stands. Every neighbour is offered to list,
 * which may be NULL.
 */
TL_MUST_USE tl_err tl_local_search(
    tl_problem *problem,
    const tl_search_options *options,
    int n_steps,
    tl_choice *design,
    tl_scored *score,
    tl_shortlist *list);

#endif
