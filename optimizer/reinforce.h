/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_REINFORCE_H
#define TL_OPTIMIZER_REINFORCE_H

/*
 * REINFORCE on one problem: a policy without input (policy.h) is pushed towards
 * designs of high reward,
 *
 *     step along  sum_i (r_i - mean of the others' r) grad log p(design_i) / n
 *     r_i = reward of design_i - entropy log p(design_i)
 *
 * The mean of the others is a baseline without bias; the second term pays for entropy, and its
 * price falls to 0 over the search. The first designs are drawn by chance; they set the
 * unit of rewards.
 */

#include "optimizer/search.h"

typedef struct tl_reinforce_settings {
    int n_first;    /* designs drawn by chance; 0: 64 */
    int n_designs;  /* of one step; 0: 16 */
    int n_state;    /* of the policy; 0: 32 */
    double rate;    /* of learning, at first; falls to a tenth; 0: .01 */
    double entropy; /* at first; below 0: none; 0: .6 */
} tl_reinforce_settings;

/* tl_search_reinforce.run() is this with zeros. */
TL_MUST_USE tl_err tl_reinforce_run(
    const tl_reinforce_settings *settings,
    tl_problem *problem,
    const tl_search_options *options,
    tl_shortlist *list);

#endif
