/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_CELLNET_IMPL_H
#define TL_PREDICTORS_CELLNET_IMPL_H

/* What training (cellnet.c) and predicting (cellnet_predict.c) with a CellNet share. */

#include "predictors/cellnet.h"

/* Where each parameter stands in the flat vector. */
typedef struct tl_cellnet_layout {
    int v;              /* [d] */
    int w1, w2;         /* [n_blocks, d, d] */
    int u;              /* [n_blocks, nc, d] */
    int b, b2;          /* [n_codes, d]; row 0 (skip) has no use and stays out */
    int g;              /* [n_codes] */
    int head_w, head_b; /* [h, d + nc], [h] */
    int out_w, out_b;   /* [n_out, h], [n_out] */
    int n;
} tl_cellnet_layout;

tl_cellnet_layout tl_cellnet_lay_out(const tl_cellnet_shape *shape);

/*
 * tl_net_predict() of a CellNet. Designs share states: nodes that the same messages
 * reach hold the same vector, and the same vector sent by the same code is the same
 * message. Each is computed once over all designs, so that of the cells of NAS-Bench-201
 * little but the head is left. Answers are those of the forward pass up to the
 * rounding of sums.
 */
TL_MUST_USE tl_err tl_cellnet_predict(
    const tl_net *net,
    const tl_net_input *input,
    const float *params,
    int n_members,
    tl_mat mean,
    tl_mat spread);

#endif
