/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_CELLNET_H
#define TL_PREDICTORS_CELLNET_H

/*
 * CellNet: a network shaped like the cell that it judges.
 *
 * Node 0 holds a learnt vector v. An edge u -> w sends, by its code o with
 * weights of block k,
 *
 *     cut (-1)   nothing
 *     skip (0)   h_u
 *     o          exp(g_o) silu(h_u W1_k + b_o + c U_k) W2_k + b2_o
 *
 * and h_w is the sum of what arrives. The answer is
 *
 *     y = silu([h_last, c] A^T + a) B^T + b        h [n, d], c [n, nc], y [n, n_out]
 *
 * c is what else is known of a design (a deployment condition). As skip is the
 * identity and nodes sum, isomorphic cells get the same answer up to rounding.
 *
 * Messages of one block into one node are gathered over the whole batch, so
 * that each is one matrix product.
 */

#include "predictors/net.h"

extern const tl_net_kind tl_cellnet_kind;

/* Fills the shape's sizes in; the net borrows nothing. */
void tl_cellnet_init(const tl_cellnet_shape *shape, tl_net *out_net);

/* Holds for shapes that _init accepts; a shape that was read must be asked. */
bool tl_cellnet_shape_is_valid(const tl_cellnet_shape *shape);

#endif
