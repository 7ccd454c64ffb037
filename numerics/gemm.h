/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_NUMERICS_GEMM_H
#define TL_NUMERICS_GEMM_H

/*
 * Products of matrices: with linalg.h the only door to BLAS, so that another
 * engine can slot in behind it.
 */

#include "base/span.h"
#include "numerics/mat.h"

typedef enum tl_trans {
    TL_N, /* as it is */
    TL_T, /* transposed */
} tl_trans;

/* C = alpha op(A) op(B) + beta C; op(A) [m, k], op(B) [k, n], C [m, n]. beta 0 ignores what C holds. */
void tl_gemm(float alpha, tl_trans ta, tl_cmat a, tl_trans tb, tl_cmat b, float beta, tl_mat c);
void tl_dgemm(
    double alpha, tl_trans ta, tl_dcmat a, tl_trans tb, tl_dcmat b, double beta, tl_dmat c);

/*
 * C = alpha A A^T + beta C (TL_N) or alpha A^T A + beta C (TL_T). Of C the lower
 * triangle is read, both are written.
 */
void tl_dsyrk(double alpha, tl_trans ta, tl_dcmat a, double beta, tl_dmat c);

/* y = alpha op(A) x + beta y. */
void tl_dgemv(double alpha, tl_trans ta, tl_dcmat a, const double *x, double beta, double *y);

double tl_ddot(int n, const double *x, const double *y);

/* y += alpha x, x and y [n]; they do not overlap. */
void tl_axpy(int n, float alpha, const float *x, float *y);

TL_KERNEL static inline void tl_add_row_kernel(
    int n, const float *restrict x, float *restrict y)
{
    for (int j = 0; j < n; j++) {
        y[j] += x[j];
    }
}

/* y += x, x and y [n]; they do not overlap. Of some hundred at most: BLAS takes longer to begin. */
static inline void tl_add_row(int n, const float *x, float *y)
{
    TL_ASSERT_SPAN(x, n);
    TL_ASSERT_SPAN(y, n);
    tl_add_row_kernel(n, x, y);
}

/* One BLAS thread in the calling thread; every worker calls it once at its start. */
void tl_blas_single_thread(void);

#endif
