/* SPDX-License-Identifier: Apache-2.0 */
#include "numerics/gemm.h"

#include <cblas.h>
#include <dlfcn.h>
#include <string.h>

static CBLAS_TRANSPOSE blas_trans(tl_trans trans)
{
    return trans == TL_T ? CblasTrans : CblasNoTrans;
}

/* One that ends too late does so in its last row. */
#define ASSERT_ROWS(m) \
    TL_ASSERT_SPAN((m).data + (ptrdiff_t)((m).rows - 1) * (m).ld, (m).rows > 0 ? (m).cols : 0)

void tl_gemm(float alpha, tl_trans ta, tl_cmat a, tl_trans tb, tl_cmat b, float beta, tl_mat c)
{
    int k = ta == TL_T ? a.rows : a.cols;
    TL_ASSERT(c.rows == (ta == TL_T ? a.cols : a.rows));
    TL_ASSERT(c.cols == (tb == TL_T ? b.rows : b.cols));
    TL_ASSERT(k == (tb == TL_T ? b.cols : b.rows));
    if (c.rows == 0 || c.cols == 0) {
        return;
    }
    ASSERT_ROWS(a);
    ASSERT_ROWS(b);
    ASSERT_ROWS(c);
    cblas_sgemm(
        CblasRowMajor, blas_trans(ta), blas_trans(tb), c.rows, c.cols, k, alpha, a.data, a.ld,
        b.data, b.ld, beta, c.data, c.ld);
}

void tl_dgemm(
    double alpha, tl_trans ta, tl_dcmat a, tl_trans tb, tl_dcmat b, double beta, tl_dmat c)
{
    int k = ta == TL_T ? a.rows : a.cols;
    TL_ASSERT(c.rows == (ta == TL_T ? a.cols : a.rows));
    TL_ASSERT(c.cols == (tb == TL_T ? b.rows : b.cols));
    TL_ASSERT(k == (tb == TL_T ? b.cols : b.rows));
    if (c.rows == 0 || c.cols == 0) {
        return;
    }
    ASSERT_ROWS(a);
    ASSERT_ROWS(b);
    ASSERT_ROWS(c);
    cblas_dgemm(
        CblasRowMajor, blas_trans(ta), blas_trans(tb), c.rows, c.cols, k, alpha, a.data, a.ld,
        b.data, b.ld, beta, c.data, c.ld);
}

void tl_dsyrk(double alpha, tl_trans ta, tl_dcmat a, double beta, tl_dmat c)
{
    int n = ta == TL_T ? a.cols : a.rows;
    int k = ta == TL_T ? a.rows : a.cols;
    TL_ASSERT(c.rows == n && c.cols == n);
    if (n == 0) {
        return;
    }
    ASSERT_ROWS(a);
    ASSERT_ROWS(c);
    cblas_dsyrk(
        CblasRowMajor, CblasLower, blas_trans(ta), n, k, alpha, a.data, a.ld, beta, c.data,
        c.ld);
    for (int i = 0; i < n; i++) {
        for (int j = i + 1; j < n; j++) {
            c.data[(ptrdiff_t)i * c.ld + j] = c.data[(ptrdiff_t)j * c.ld + i];
        }
    }
}

void tl_dgemv(double alpha, tl_trans ta, tl_dcmat a, const double *x, double beta, double *y)
{
    int n_out = ta == TL_T ? a.cols : a.rows;
    int n_in = ta == TL_T ? a.rows : a.cols;
    if (n_in == 0) {
        /* BLAS would return at once and leave y unscaled. */
        for (int i = 0; i < n_out; i++) {
            y[i] = beta == 0.0 ? 0.0 : beta * y[i];
        }
        return;
    }
    ASSERT_ROWS(a);
    TL_ASSERT_SPAN(x, n_in);
    TL_ASSERT_SPAN(y, n_out);
    cblas_dgemv(
        CblasRowMajor, blas_trans(ta), a.rows, a.cols, alpha, a.data, a.ld, x, 1, beta, y, 1);
}

double tl_ddot(int n, const double *x, const double *y)
{
    TL_ASSERT_SPAN(x, n);
    TL_ASSERT_SPAN(y, n);
    return cblas_ddot(n, x, 1, y, 1);
}

void tl_axpy(int n, float alpha, const float *x, float *y)
{
    /* short rows, very often: their ends */
    TL_ASSERT_SPAN(x + n - 1, n > 0);
    TL_ASSERT_SPAN(y + n - 1, n > 0);
    cblas_saxpy(n, alpha, x, 1, y, 1);
}

/*
 * The OpenMP variant keeps its thread count per calling thread inside the OpenMP
 * runtime, which we do not link to: the administrator chooses the variant.
 */
static void set_openmp_threads(int n)
{
    void (*set_num_threads)(int) = NULL;
    void *program = dlopen(NULL, RTLD_LAZY);
    if (program == NULL) {
        return;
    }
    void *symbol = dlsym(program, "omp_set_num_threads");
    if (symbol != NULL) {
        memcpy(&set_num_threads, &symbol, sizeof symbol);
        set_num_threads(n);
    }
    (void)dlclose(program);
}

void tl_blas_single_thread(void)
{
    if (openblas_get_parallel() == OPENBLAS_OPENMP) {
        set_openmp_threads(1);
    }
    openblas_set_num_threads(1);
}
