/* SPDX-License-Identifier: Apache-2.0 */
#include "grading/infer.h"

#include "base/attr.h"
#include "base/mem.h"
#include "grading/infer_impl.h"
#include "numerics/gemm.h"
#include "numerics/linalg.h"

#include <math.h>
#include <string.h>

const tl_infer_method tl_infer_methods[] = {
    {"gp",         "exact Gaussian process, the closed form",                   tl_infer_gp_run        },
    {"hmc",        "Hamiltonian Monte Carlo, the scales unknown too",           tl_infer_hmc_run       },
    {"head",       "the shipped few-shot head: scales averaged, Student noise", tl_infer_head_run      },
    {"mean-field", "independent normals, one a weight",                         tl_infer_mean_field_run},
    {"repulsive",  "repulsive last-layer ensemble",                             tl_infer_repulsive_run },
    {"ensemble",   "deep ensemble of small networks",                           tl_infer_ensemble_run  },
    {"dropout",    "Monte-Carlo dropout in a small network",                    tl_infer_dropout_run   },
};

const int tl_infer_n_methods = (int)TL_COUNT(tl_infer_methods);

const tl_infer_method *tl_infer_find(const char *name)
{
    for (int i = 0; i < tl_infer_n_methods; i++) {
        if (strcmp(tl_infer_methods[i].name, name) == 0) {
            return &tl_infer_methods[i];
        }
    }
    return NULL;
}

/* ---- scales ---------------------------------------------------------------------------- */

enum {
    N_RATIOS = 25
};

static const double least_ratio = 1e-6;
static const double most_ratio = 1e2;
static const double prior_samples =
    2; /* that the prior of the scale counts as, of unit mean square */

/* Mean square of y under s^2 (diag(eigen) + ratio I), and half the log of its determinant. */
static double mean_square(
    int n, const double *eigen, const double *turned, double ratio, double *out_half_logdet)
{
    double sum = 0;
    *out_half_logdet = 0;
    for (int i = 0; i < n; i++) {
        double variance = fmax(eigen[i], 0) + ratio;
        sum += turned[i] * turned[i] / variance;
        *out_half_logdet += log(variance) / 2;
    }
    return sum;
}

static void choose_ratio(
    int n, const double *eigen, const double *turned, double unit, tl_infer_problem *problem)
{
    double best = -(double)INFINITY;
    for (int k = 0; k < N_RATIOS; k++) {
        double ratio = least_ratio * pow(most_ratio / least_ratio, k / (N_RATIOS - 1.0));
        double half_logdet = 0;
        double sum = mean_square(n, eigen, turned, ratio, &half_logdet);
        double variance = (sum + prior_samples * unit) / (n + prior_samples);
        double evidence = -(n + prior_samples) / 2 * log(variance) - half_logdet;
        if (evidence > best) {
            best = evidence;
            problem->prior_variance = variance;
            problem->noise_variance = variance * ratio;
        }
    }
}

tl_err tl_infer_scales(tl_infer_problem *problem)
{
    int n = problem->x.rows;
    tl_dmat gram = {0};
    double *values = tl_mem_new(2 * (size_t)n, sizeof *values);
    tl_err err = values == NULL ? tl_fail(TL_ENOMEM, "scales of %d samples", n)
                                : tl_dmat_init(&gram, n, n);
    if (err == TL_OK) {
        tl_dsyrk(1, TL_N, problem->x, 0, gram);
        err = tl_eig_sym(gram, values);
    }
    if (err == TL_OK) {
        double *turned = values + n; /* U^T y */
        double trace = 0;
        double square = tl_ddot(n, problem->y, problem->y) / n;
        tl_dgemv(1, TL_T, tl_dro(gram), problem->y, 0, turned);
        for (int i = 0; i < n; i++) {
            trace += values[i];
        }
        double unit = trace > 0 ? square * n / trace : square;
        choose_ratio(n, values, turned, fmax(unit, 1e-12), problem);
    }
    tl_dmat_done(&gram);
    tl_mem_free(values);
    return err;
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
