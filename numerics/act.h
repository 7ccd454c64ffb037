/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_NUMERICS_ACT_H
#define TL_NUMERICS_ACT_H

#include "numerics/mat.h"

/*
 * SiLU, element by element; s(x) = 1 / (1 + exp(-x)).
 *
 *     y = x s(x)                x, y [n, h]; y may be x where no backward follows
 *
 * NaN travels.
 */
void tl_silu_fwd(tl_cmat x, tl_mat y);

/*
 * Its adjoint. x is the input of the forward; given dy = dL/dy [n, h]:
 *
 *     dx = dy s(x) (1 + x (1 - s(x)))    [n, h]   overwrites; dx may be dy
 */
void tl_silu_bwd(tl_cmat x, tl_cmat dy, tl_mat dx);

#endif
