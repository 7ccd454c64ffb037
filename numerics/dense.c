/* SPDX-License-Identifier: Apache-2.0 */
#include "numerics/dense.h"

#include "numerics/gemm.h"

#include <string.h>

void tl_dense_fwd(tl_cmat x, tl_cmat w, const float *b, tl_mat y)
{
    TL_ASSERT(x.cols == w.cols && y.rows == x.rows && y.cols == w.rows);
    if (b == NULL) {
        tl_gemm(1.0F, TL_N, x, TL_T, w, 0.0F, y);
        return;
    }
    for (int i = 0; i < y.rows; i++) {
        memcpy(tl_mat_row(y, i), b, (size_t)y.cols * sizeof *b);
    }
    tl_gemm(1.0F, TL_N, x, TL_T, w, 1.0F, y);
}

void tl_dense_bwd(tl_cmat x, tl_cmat w, tl_cmat dy, tl_mat dw, float *db, tl_mat dx)
{
    TL_ASSERT(dy.rows == x.rows && dy.cols == w.rows);
    TL_ASSERT(dw.rows == w.rows && dw.cols == w.cols);

    tl_gemm(1.0F, TL_T, dy, TL_N, x, 1.0F, dw);
    if (db != NULL) {
        for (int i = 0; i < dy.rows; i++) {
            tl_add_row(dy.cols, tl_cmat_row(dy, i), db);
        }
    }
    if (dx.data != NULL) {
        tl_gemm(1.0F, TL_N, dy, TL_N, w, 0.0F, dx);
    }
}

void tl_dense_fill_normal(tl_rng *rng, double sd, tl_mat w)
{
    for (int i = 0; i < w.rows; i++) {
        float *row = tl_mat_row(w, i);
        for (int j = 0; j < w.cols; j++) {
            row[j] = (float)(sd * tl_rng_normal(rng));
        }
    }
}
