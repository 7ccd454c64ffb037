/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_PROPOSE_H
#define TL_OPTIMIZER_PROPOSE_H

/*
 * Proposals: the designs most worth measuring before a problem is answered for good.
 *
 * A design is worth what its measurement is expected to add to the best measured
 * design that keeps the limits. Designs alike err alike, so a batch is judged
 * as one, over joint draws t of what measurements would give (batch expected
 * improvement, q-EI):
 *
 *     gain(t, i) = [costs(t, i) keep the limits] max(0, value(t, i) - best)
 *     batch      = greedily, by the mean over t of  max over i in batch of gain(t, i)
 *
 * best is the value of the best measured design that keeps the limits, or the 5th
 * percentile of all designs where there is none. Candidates are the designs of
 * the largest expected improvement alone.
 *
 *     tl_propose_options options = {.count = 5, .measured = &measured, .draw = draw};
 *     TL_TRY(tl_propose(&problem, &options, &list));
 *     ...list.designs [list.n, n_slots], the most wanted first...
 *     tl_shortlist_done(&list);
 */

#include "numerics/mat.h"
#include "numerics/rng.h"
#include "optimizer/measured.h"

enum {
    TL_PROPOSE_MAX = 300
};

/* Joint draws of a cost on designs [n, n_slots]: out_draws [n_draws, n]. context: the problem's. */
typedef tl_err tl_draw_fn(
    void *context,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_rng *rng,
    tl_dmat out_draws);

typedef struct tl_propose_options {
    int count; /* 1 to TL_PROPOSE_MAX */
    tl_search_options
        search; /* of spaces that cannot be listed; its seed is that of the draws */
    const tl_measured *measured; /* not proposed again; the problem's predict applies it */
    tl_draw_fn *draw;
    bool is_one_by_one; /* by each design's own expected improvement: the yardstick */
} tl_propose_options;

/*
 * *out_list comes zeroed and is the caller's on success; it holds fewer designs than asked for
 * only where the space has no more that were not measured. Fails with TL_EINVAL as
 * tl_problem_check(), for a count out of range, and where no cost is limited or
 * minimized: then there is nothing to measure.
 */
TL_MUST_USE tl_err
tl_propose(tl_problem *problem, const tl_propose_options *options, tl_shortlist *out_list);

#endif
