/* SPDX-License-Identifier: Apache-2.0 */
#include "grading/infer.h"

#include "base/attr.h"
#include "base/mem.h"
#include "grading/infer_impl.h"
#include "grading/scales.h"
#include "numerics/gemm.h"
#include "numerics/linalg.h"

#include <math.h>
#include <string.h>

const tl_infer_method tl_infer_methods[] = {
    {"gp",         "exact Gaussian process, the closed form",                   tl_infer_gp_run        },
    {"hmc",        "Hamiltonian Monte Carlo, the scales unknown too",           tl_infer_hmc_run       },
    {"head",       "the shipped few-shot head: scales averaged, Student noise", tl_infer_head_run      },
    {"accuracy",   "the shipped accuracy predictor",                            tl_infer_accuracy_run  },
    {"mean-field", "independent normals, one a weight",                         tl_infer_mean_field_run},
    {"repulsive",  "repulsive last-layer ensemble",                             tl_infer_repulsive_run },
    {"ensemble",   "deep ensemble of small networks",                           tl_infer_ensemble_run  },
    {"dropout",    "Monte-Carlo dropout in a small network",                    tl_infer_dropout_run   },
};

const int tl_infer_n_methods = (int)TL_COUNT(tl_infer_methods);

bool tl_infer_can_run(const tl_infer_method *method, const tl_infer_problem *problem)
{
    if (method->run == tl_infer_head_run) {
        return problem->head != NULL;
    }
    return method->run != tl_infer_accuracy_run || problem->accuracy != NULL;
}

const tl_infer_method *tl_infer_find(const char *name)
{
    for (int i = 0; i < tl_infer_n_methods; i++) {
        if (strcmp(tl_infer_methods[i].name, name) == 0) {
            return &tl_infer_methods[i];
        }
    }
    return NULL;
}

tl_err tl_infer_scales(tl_infer_problem *problem)
{
    double at[2];
    tl_scales scales = {0};
    TL_TRY(tl_scales_init(problem->x, problem->y, &scales));
    tl_scales_best(&scales, at);
    problem->prior_variance = exp(2 * at[0]);
    problem->noise_variance = exp(2 * at[1]);
    tl_scales_done(&scales);
    return TL_OK;
}

/* ---- shared by the methods ----------------------------------------------------------------- */

tl_err tl_posterior_init(const tl_infer_problem *problem, tl_posterior *posterior)
{
    int d = problem->x.cols;
    posterior->mean = tl_mem_new((size_t)d, sizeof *posterior->mean);
    if (posterior->mean == NULL) {
        return tl_fail(TL_ENOMEM, "a posterior of %d weights", d);
    }
    TL_TRY(tl_dmat_init(&posterior->factor, d, d));
    tl_dsyrk(1 / problem->noise_variance, TL_T, problem->x, 0, posterior->factor);
    for (int j = 0; j < d; j++) {
        tl_dmat_row(posterior->factor, j)[j] += 1 / problem->prior_variance;
    }
    TL_TRY(tl_chol(posterior->factor));
    tl_dgemv(1 / problem->noise_variance, TL_T, problem->x, problem->y, 0, posterior->mean);
    tl_chol_solve(tl_dro(posterior->factor), posterior->mean);
    return TL_OK;
}

void tl_posterior_done(tl_posterior *posterior)
{
    tl_dmat_done(&posterior->factor);
    tl_mem_free(posterior->mean);
    memset(posterior, 0, sizeof *posterior);
}

void tl_infer_summarize(
    const tl_infer_problem *problem, tl_dcmat draws, tl_infer_answer *answer)
{
    for (int i = 0; i < draws.cols; i++) {
        double sum = 0;
        double squares = 0;
        for (int k = 0; k < draws.rows; k++) {
            sum += tl_dcmat_row(draws, k)[i];
        }
        double mean = sum / draws.rows;
        for (int k = 0; k < draws.rows; k++) {
            double off = tl_dcmat_row(draws, k)[i] - mean;
            squares += off * off;
        }
        answer->mean[i] = mean;
        answer->sd[i] = sqrt(squares / draws.rows + problem->noise_variance);
    }
    answer->dof = (double)INFINITY;
}
