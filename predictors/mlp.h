/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_MLP_H
#define TL_PREDICTORS_MLP_H

/*
 * A network with two hidden layers, for designs that are described by numbers:
 *
 *     y = silu(silu(x W0^T + b0) W1^T + b1) W2^T + b2    x [n, d], y [n, n_out]
 */

#include "predictors/net.h"

extern const tl_net_kind tl_mlp_kind;

void tl_mlp_init(const tl_mlp_shape *shape, tl_net *out_net);
bool tl_mlp_shape_is_valid(const tl_mlp_shape *shape);

#endif
