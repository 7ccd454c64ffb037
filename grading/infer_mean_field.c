/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Mean-field variational inference: the best approximation of the posterior
 * N(mean, A^-1) by independent normals, one a weight. For a linear model it has a closed form,
 *
 *     w_j ~ N(mean_j, 1 / A_jj),    A_jj = sum_i x_ij^2 / noise_variance + 1 / prior_variance:
 *
 * the mean is exact, the variances are those given all other weights, which are too small.
 */

#include "base/mem.h"
#include "grading/infer_impl.h"
#include "numerics/gemm.h"

#include <math.h>

/* out[j] = 1 / A_jj */
static void fill_variances(const tl_infer_problem *problem, double *out)
{
    int d = problem->x.cols;
    for (int j = 0; j < d; j++) {
        out[j] = 1 / problem->prior_variance;
    }
    for (int i = 0; i < problem->x.rows; i++) {
        const double *row = tl_dcmat_row(problem->x, i);
        for (int j = 0; j < d; j++) {
            out[j] += row[j] * row[j] / problem->noise_variance;
        }
    }
    for (int j = 0; j < d; j++) {
        out[j] = 1 / out[j];
    }
}

tl_err tl_infer_mean_field_run(const tl_infer_problem *problem, tl_infer_answer *answer)
{
    int d = problem->x.cols;
    tl_posterior posterior = {0};
    double *variances = tl_mem_new((size_t)d, sizeof *variances);
    tl_err err = variances == NULL ? tl_fail(TL_ENOMEM, "%d variances", d)
                                   : tl_posterior_init(problem, &posterior);
    if (err == TL_OK) {
        fill_variances(problem, variances);
        for (int i = 0; i < problem->query.rows; i++) {
            const double *row = tl_dcmat_row(problem->query, i);
            double variance = problem->noise_variance;
            for (int j = 0; j < d; j++) {
                variance += row[j] * row[j] * variances[j];
            }
            answer->mean[i] = tl_ddot(d, row, posterior.mean);
            answer->sd[i] = sqrt(variance);
        }
        answer->dof = (double)INFINITY;
        answer->kept_bytes = 2 * (size_t)d * sizeof *variances;
    }
    tl_posterior_done(&posterior);
    tl_mem_free(variances);
    return err;
}
