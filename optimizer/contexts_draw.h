/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_CONTEXTS_DRAW_H
#define TL_OPTIMIZER_CONTEXTS_DRAW_H

/* What is asked of an imagined device, at random: for contexts.c alone. */

#include "optimizer/contexts.h"

/* Predictions of the pool on one device, sorted by each cost. */
typedef struct tl_quantiles {
    double *sorted[TL_N_COSTS];
    double sd[TL_N_COSTS];
    int n;
} tl_quantiles;

/* Of costs [n]; to be given back whether it fails or not. */
TL_MUST_USE tl_err
tl_quantiles_init(const tl_prediction *costs, int n, bool has_energy, tl_quantiles *q);
void tl_quantiles_done(tl_quantiles *q);

tl_context tl_context_draw(const tl_contexts *c, tl_rng *rng, const tl_quantiles *q);

#endif
