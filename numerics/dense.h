/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_NUMERICS_DENSE_H
#define TL_NUMERICS_DENSE_H

#include "numerics/mat.h"
#include "numerics/rng.h"

/*
 * Fully connected layer.
 *
 *     y = x W^T + 1 b^T         x [n, d], W [h, d], b [h], y [n, h]
 *
 * b NULL: no bias. As everywhere in networks, gradients of parameters
 * accumulate and gradients of inputs overwrite; kernels neither allocate nor
 * fail, and NaN travels.
 */
void tl_dense_fwd(tl_cmat x, tl_cmat w, const float *b, tl_mat y);

/*
 * Its adjoint. Given dy = dL/dy [n, h]:
 *
 *     dW += dy^T x              [h, d]   accumulates
 *     db += dy^T 1              [h]      accumulates; skipped when db is NULL
 *     dx  = dy W                [n, d]   overwrites; skipped when dx.data is NULL
 */
void tl_dense_bwd(tl_cmat x, tl_cmat w, tl_cmat dy, tl_mat dw, float *db, tl_mat dx);

/* Start values: every W_ij normal with this standard deviation; often 1 / sqrt(d). */
void tl_dense_fill_normal(tl_rng *rng, double sd, tl_mat w);

#endif
