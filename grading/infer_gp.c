/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The exact posterior, in closed form. In the space of samples,
 *
 *     K = prior_variance x x^T + noise_variance I
 *     mean(q) = k_q^T K^-1 y,    var(q) = k_qq - k_q^T K^-1 k_q + noise_variance
 */

#include "base/mem.h"
#include "grading/infer_impl.h"
#include "numerics/gemm.h"
#include "numerics/linalg.h"

#include <math.h>

/* cross [n, m] <- L^-1 k; with y solved, sums over samples give mean and variance. */
static void predict(
    const tl_infer_problem *problem,
    tl_dcmat factor,
    tl_dmat cross,
    double *y,
    tl_infer_answer *answer)
{
    int m = problem->query.rows;
    tl_dmat y_column = {.data = y, .rows = cross.rows, .cols = 1, .ld = 1};
    tl_chol_forward(factor, cross);
    tl_chol_forward(factor, y_column);
    for (int i = 0; i < m; i++) {
        const double *row = tl_dcmat_row(problem->query, i);
        answer->mean[i] = 0;
        answer->sd[i] = problem->prior_variance * tl_ddot(problem->query.cols, row, row);
    }
    for (int s = 0; s < cross.rows; s++) {
        const double *k = tl_dmat_row(cross, s);
        for (int i = 0; i < m; i++) {
            answer->mean[i] += k[i] * y[s];
            answer->sd[i] -= k[i] * k[i];
        }
    }
    for (int i = 0; i < m; i++) {
        answer->sd[i] = sqrt(fmax(answer->sd[i], 0) + problem->noise_variance);
    }
}

tl_err tl_infer_gp_run(const tl_infer_problem *problem, tl_infer_answer *answer)
{
    int n = problem->x.rows;
    tl_err err = TL_OK;
    tl_dmat gram = {0};
    tl_dmat cross = {0};
    double *y = tl_mem_new((size_t)n, sizeof *y);
    if (y == NULL) {
        return tl_fail(TL_ENOMEM, "%d samples", n);
    }
    if ((err = tl_dmat_init(&gram, n, n)) != TL_OK ||
        (err = tl_dmat_init(&cross, n, problem->query.rows)) != TL_OK) {
        goto done;
    }
    tl_dsyrk(problem->prior_variance, TL_N, problem->x, 0, gram);
    for (int i = 0; i < n; i++) {
        tl_dmat_row(gram, i)[i] += problem->noise_variance;
        y[i] = problem->y[i];
    }
    if ((err = tl_chol(gram)) != TL_OK) {
        goto done;
    }
    tl_dgemm(problem->prior_variance, TL_N, problem->x, TL_T, problem->query, 0, cross);
    predict(problem, tl_dro(gram), cross, y, answer);
    answer->dof = (double)INFINITY;
    answer->kept_bytes =
        ((size_t)n * (size_t)n + (size_t)n * (size_t)problem->x.cols + (size_t)n) * sizeof *y;
done:
    tl_dmat_done(&gram);
    tl_dmat_done(&cross);
    tl_mem_free(y);
    return err;
}
