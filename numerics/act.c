/* SPDX-License-Identifier: Apache-2.0 */
#include "numerics/act.h"

#include <math.h>

static float sigmoid(float x)
{
    return 1.0F / (1.0F + expf(-x));
}

void tl_silu_fwd(tl_cmat x, tl_mat y)
{
    TL_ASSERT(y.rows == x.rows && y.cols == x.cols);
    for (int i = 0; i < x.rows; i++) {
        const float *x_row = tl_cmat_row(x, i);
        float *y_row = tl_mat_row(y, i);
        for (int j = 0; j < x.cols; j++) {
            y_row[j] = x_row[j] * sigmoid(x_row[j]);
        }
    }
}

void tl_silu_bwd(tl_cmat x, tl_cmat dy, tl_mat dx)
{
    TL_ASSERT(dy.rows == x.rows && dy.cols == x.cols);
    TL_ASSERT(dx.rows == x.rows && dx.cols == x.cols);
    for (int i = 0; i < x.rows; i++) {
        const float *x_row = tl_cmat_row(x, i);
        const float *dy_row = tl_cmat_row(dy, i);
        float *dx_row = tl_mat_row(dx, i);
        for (int j = 0; j < x.cols; j++) {
            float s = sigmoid(x_row[j]);
            dx_row[j] = dy_row[j] * s * (1.0F + x_row[j] * (1.0F - s));
        }
    }
}
