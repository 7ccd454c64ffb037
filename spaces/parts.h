/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_SPACES_PARTS_H
#define TL_SPACES_PARTS_H

/*
 * Parts: sums over the operators of many designs, without lowering each of them.
 *
 * Networks of chain and staged spaces are a stem, layers (stages, where layers
 * choose nothing of their own) and a head. What such a part consists of follows from the
 * image that enters it and from few slots: those of the whole space, of its stage and of
 * itself. So thousands of designs are made of some hundred different parts, each of
 * which is lowered and summed up once.
 *
 *     tl_parts *parts = NULL;
 *     TL_TRY(tl_parts_new(space, width, sum, context, &parts));
 *     const tl_part *found = NULL;
 *     int n = 0;
 *     for (each design) {
 *         TL_TRY(tl_parts_find(parts, design, &found, &n));
 *         for (int k = 0; k < n; k++) { ... found[k].stage, found[k].sums ... }
 *     }
 *     tl_parts_free(parts);
 *
 * A book of parts belongs to one thread. A space of another kind is one part,
 * lowered for every design.
 */

#include "spaces/space.h"

typedef struct tl_parts tl_parts;

typedef struct tl_part {
    int stage;          /* -1: stem or head, or all of a design that has no parts */
    const double *sums; /* [width], valid until the next _find */
} tl_part;

/* Adds up what the caller wants to know of the operators; out_sums [width] comes zeroed. */
typedef void tl_part_sum(void *context, const tl_op *ops, int n_ops, double *out_sums);

/* The space must outlive the parts. */
TL_MUST_USE tl_err tl_parts_new(
    const tl_space *space, int width, tl_part_sum *sum, void *context, tl_parts **out_parts);
void tl_parts_free(tl_parts *parts); /* NULL is fine */

/*
 * The parts of a valid design in the order of the network; borrowed until the next
 * call. Fails as tl_space_lower() does, limits on whole networks apart.
 */
TL_MUST_USE tl_err
tl_parts_find(tl_parts *parts, const tl_choice *design, const tl_part **out_found, int *out_n);

#endif
