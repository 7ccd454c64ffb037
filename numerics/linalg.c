/* SPDX-License-Identifier: Apache-2.0 */
#include "numerics/linalg.h"

#include "base/mem.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/*
 * LAPACK is column-major. A row-major symmetric matrix is its own transpose, so
 * its lower triangle is LAPACK's upper one and nothing has to be copied.
 */
enum {
    LOWER_BY_ROWS = 'U'
};

static ptrdiff_t at(int i, int j, int ld)
{
    return (ptrdiff_t)i * ld + j;
}

tl_err tl_chol(tl_dmat a)
{
    TL_ASSERT(a.rows == a.cols);
    int n = a.rows;
    if (n == 0) {
        return TL_OK;
    }
    lapack_int info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, LOWER_BY_ROWS, n, a.data, a.ld);
    TL_ASSERT(info >= 0);
    if (info > 0) {
        return tl_fail(
            TL_ENUMERIC, "matrix of %d rows: not positive definite at row %d", n, (int)info);
    }
    for (int i = 0; i < n; i++) {
        /* OpenBLAS lets a NaN pass; it always reaches the diagonal. */
        if (!isfinite(a.data[at(i, i, a.ld)])) {
            return tl_fail(TL_ENUMERIC, "matrix of %d rows: not finite at row %d", n, i + 1);
        }
        memset(a.data + at(i, i, a.ld) + 1, 0, (size_t)(n - 1 - i) * sizeof *a.data);
    }
    return TL_OK;
}

void tl_chol_solve(tl_dcmat l, double *x)
{
    TL_ASSERT(l.rows == l.cols);
    if (l.rows == 0) {
        return;
    }
    cblas_dtrsv(
        CblasRowMajor, CblasLower, CblasNoTrans, CblasNonUnit, l.rows, l.data, l.ld, x, 1);
    cblas_dtrsv(
        CblasRowMajor, CblasLower, CblasTrans, CblasNonUnit, l.rows, l.data, l.ld, x, 1);
}

void tl_chol_forward(tl_dcmat l, tl_dmat b)
{
    TL_ASSERT(l.rows == l.cols && b.rows == l.rows);
    if (b.rows == 0 || b.cols == 0) {
        return;
    }
    cblas_dtrsm(
        CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, b.rows, b.cols, 1.0,
        l.data, l.ld, b.data, b.ld);
}

void tl_chol_inverse(tl_dcmat l, tl_dmat inverse)
{
    TL_ASSERT(l.rows == l.cols && inverse.rows == l.rows && inverse.cols == l.rows);
    int n = l.rows;
    if (n == 0) {
        return;
    }
    for (int i = 0; i < n; i++) {
        memcpy(tl_dmat_row(inverse, i), tl_dcmat_row(l, i), (size_t)(i + 1) * sizeof *l.data);
    }
    /* A factor from tl_chol() has no zero on its diagonal, the only way to fail. */
    lapack_int info =
        LAPACKE_dpotri_work(LAPACK_COL_MAJOR, LOWER_BY_ROWS, n, inverse.data, inverse.ld);
    TL_ASSERT(info == 0);
    for (int i = 0; i < n; i++) {
        for (int j = i + 1; j < n; j++) {
            inverse.data[at(i, j, inverse.ld)] = inverse.data[at(j, i, inverse.ld)];
        }
    }
}

double tl_chol_half_logdet(tl_dcmat l)
{
    TL_ASSERT(l.rows == l.cols);
    double sum = 0.0;
    for (int i = 0; i < l.rows; i++) {
        sum += log(l.data[at(i, i, l.ld)]);
    }
    return sum;
}

static bool is_finite(tl_dcmat a)
{
    for (int i = 0; i < a.rows; i++) {
        for (int j = 0; j < a.cols; j++) {
            if (!isfinite(a.data[at(i, j, a.ld)])) {
                return false;
            }
        }
    }
    return true;
}

/* a <- a^T. */
static void transpose(tl_dmat a)
{
    for (int i = 0; i < a.rows; i++) {
        for (int j = i + 1; j < a.rows; j++) {
            double upper = a.data[at(i, j, a.ld)];
            a.data[at(i, j, a.ld)] = a.data[at(j, i, a.ld)];
            a.data[at(j, i, a.ld)] = upper;
        }
    }
}

tl_err tl_eig_sym(tl_dmat a, double *values)
{
    TL_ASSERT(a.rows == a.cols);
    tl_err err = TL_OK;
    int n = a.rows;
    if (n == 0) {
        return TL_OK;
    }
    if (!is_finite(tl_dro(a))) {
        return tl_fail(TL_ENUMERIC, "matrix of %d rows: not finite", n);
    }
    double n_work = 0.0;
    lapack_int n_iwork = 0;
    lapack_int info = LAPACKE_dsyevd_work(
        LAPACK_COL_MAJOR, 'V', LOWER_BY_ROWS, n, a.data, a.ld, values, &n_work, -1, &n_iwork,
        -1);
    TL_ASSERT(info == 0);
    double *work = tl_mem_new_aligned((size_t)n_work, sizeof *work);
    lapack_int *iwork = tl_mem_new_aligned((size_t)n_iwork, sizeof *iwork);
    if (work == NULL || iwork == NULL) {
        err = tl_fail(TL_ENOMEM, "eigenvectors of %d rows", n);
        goto done;
    }
    info = LAPACKE_dsyevd_work(
        LAPACK_COL_MAJOR, 'V', LOWER_BY_ROWS, n, a.data, a.ld, values, work, (lapack_int)n_work,
        iwork, n_iwork);
    TL_ASSERT(info >= 0);
    if (info > 0) {
        err = tl_fail(TL_ENUMERIC, "eigenvectors of %d rows: no convergence", n);
        goto done;
    }
    transpose(a);
done:
    tl_mem_free(work);
    tl_mem_free(iwork);
    return err;
}
