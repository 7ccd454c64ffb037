/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_BREED_H
#define TL_OPTIMIZER_BREED_H

/* Designs from designs: what searches by populations share. */

#include "numerics/rng.h"
#include "optimizer/problem.h"

/*
 * Slot by slot from either parent, the other, or by chance: the first that the slots before
 * allow. child [n_slots] is a valid design.
 */
void tl_breed_cross(
    const tl_problem *problem,
    tl_rng *rng,
    const tl_choice *a,
    const tl_choice *b,
    tl_choice *child);

#endif
