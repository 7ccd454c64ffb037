/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_MEASUREMENTS_DESIGNS_H
#define TL_MEASUREMENTS_DESIGNS_H

/*
 * Arrays of designs: designs [n, n_slots], one row a design. The order of two
 * designs is that of their choices, slot after slot, absent ones last.
 */

#include "base/err.h"
#include "spaces/space.h"

/* Negative, 0 or positive, as a is before, equal to or after b. */
int tl_design_compare(const tl_choice *a, const tl_choice *b, int n_slots);

static inline const tl_choice *tl_design_at(const tl_choice *designs, int n_slots, int i)
{
    return designs + (size_t)i * (size_t)n_slots;
}

/*
 * *out_order [n]: the rows in the order of their designs; equal ones keep theirs.
 * The caller owns it (tl_mem_free).
 */
TL_MUST_USE tl_err
tl_designs_order(const tl_choice *designs, int n_slots, int n, int **out_order);

#endif
