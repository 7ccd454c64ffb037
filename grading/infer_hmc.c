/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Hamiltonian Monte Carlo over the weights and both scales: what the closed form
 * cannot do is to be unsure of the scales. With w = s v,
 *
 *     log p = -|y - s x v|^2 / (2 t^2) - n log t - |v|^2 / 2
 *             - (log s / s0)^2 / (2 c^2) - (log t / t0)^2 / (2 c^2),      c = 1.5
 *
 * s0 and t0 being the scales of largest evidence. The chain walks in coordinates u,
 * v = (m + L^-T u) / s0, where the posterior at those scales, N(m, (L L^T)^-1), is round.
 */

#include "base/mem.h"
#include "grading/hmc.h"
#include "grading/infer_impl.h"
#include "numerics/gemm.h"

#include <math.h>
#include <string.h>

enum {
    N_WARM = 150,
    N_DRAWS = 300,
    N_LEAPS = 12
};

static const double scale_sd = 1.5;

/* Coordinates: u [d], log s / s0, log t / t0. */
typedef struct model {
    const tl_infer_problem *problem;
    tl_posterior posterior;
    double *memory;
    double *v;        /* [d] */
    double *residual; /* [n] y - s x v */
    double *pull;     /* [d] */
} model;

static void model_done(model *m)
{
    tl_posterior_done(&m->posterior);
    tl_mem_free(m->memory);
}

static tl_err model_init(const tl_infer_problem *problem, model *m)
{
    size_t d = (size_t)problem->x.cols;
    *m = (model){.problem = problem};
    m->memory = tl_mem_new(2 * d + (size_t)problem->x.rows, sizeof *m->memory);
    if (m->memory == NULL) {
        return tl_fail(TL_ENOMEM, "HMC of %zu weights", d);
    }
    m->v = m->memory;
    m->pull = m->v + d;
    m->residual = m->pull + d;
    return tl_posterior_init(problem, &m->posterior);
}

/* v from u: back substitution with L^T. */
static void unwhiten(const model *m, const double *u, double *v)
{
    int d = m->problem->x.cols;
    double s0 = sqrt(m->problem->prior_variance);
    memcpy(v, u, (size_t)d * sizeof *v);
    for (int i = d - 1; i >= 0; i--) {
        const double *row = tl_dmat_row(m->posterior.factor, i);
        v[i] /= row[i];
        for (int j = 0; j < i; j++) {
            v[j] -= row[j] * v[i];
        }
    }
    for (int j = 0; j < d; j++) {
        v[j] = (v[j] + m->posterior.mean[j]) / s0;
    }
}

/* The adjoint of it: gradient in u from that in v, which is overwritten. */
static void whiten_gradient(const model *m, double *dv, double *du)
{
    int d = m->problem->x.cols;
    double s0 = sqrt(m->problem->prior_variance);
    for (int i = 0; i < d; i++) {
        const double *row = tl_dmat_row(m->posterior.factor, i);
        du[i] = (dv[i] / s0 - tl_ddot(i, row, du)) / row[i];
    }
}

static double log_density(void *context, const double *at, double *gradient)
{
    model *m = context;
    const tl_infer_problem *problem = m->problem;
    int d = problem->x.cols;
    int n = problem->x.rows;
    double s = sqrt(problem->prior_variance) * exp(at[d]);
    double t = sqrt(problem->noise_variance) * exp(at[d + 1]);
    unwhiten(m, at, m->v);
    memcpy(m->residual, problem->y, (size_t)n * sizeof *m->residual);
    tl_dgemv(-s, TL_N, problem->x, m->v, 1, m->residual);
    tl_dgemv(s / (t * t), TL_T, problem->x, m->residual, 0, m->pull);
    double squares = tl_ddot(n, m->residual, m->residual) / (t * t);
    double along = tl_ddot(d, m->pull, m->v); /* d/dlog s of the likelihood */
    double norm = tl_ddot(d, m->v, m->v);
    for (int j = 0; j < d; j++) {
        m->pull[j] -= m->v[j];
    }
    whiten_gradient(m, m->pull, gradient);
    double weight = 1 / (scale_sd * scale_sd);
    gradient[d] = along - at[d] * weight;
    gradient[d + 1] = squares - n - at[d + 1] * weight;
    return -squares / 2 - n * at[d + 1] - norm / 2 -
           weight / 2 * (at[d] * at[d] + at[d + 1] * at[d + 1]);
}

/* Each draw's function at the queries, and the mean of its noise variance. */
static void predict(model *m, tl_dcmat draws, tl_dmat values, double *out_noise)
{
    const tl_infer_problem *problem = m->problem;
    int d = problem->x.cols;
    *out_noise = 0;
    for (int k = 0; k < draws.rows; k++) {
        const double *at = tl_dcmat_row(draws, k);
        unwhiten(m, at, m->v);
        tl_dgemv(
            sqrt(problem->prior_variance) * exp(at[d]), TL_N, problem->query, m->v, 0,
            tl_dmat_row(values, k));
        *out_noise += problem->noise_variance * exp(2 * at[d + 1]) / draws.rows;
    }
}

tl_err tl_infer_hmc_run(const tl_infer_problem *problem, tl_infer_answer *answer)
{
    int d = problem->x.cols + 2;
    tl_err err = TL_OK;
    model m = {0};
    tl_dmat draws = {0};
    tl_dmat values = {0};
    tl_rng rng;
    double acceptance = 0;
    tl_infer_problem noisy = *problem;
    double *start = tl_mem_new((size_t)d, sizeof *start);
    if (start == NULL) {
        return tl_fail(TL_ENOMEM, "HMC of %d coordinates", d);
    }
    if ((err = model_init(problem, &m)) != TL_OK ||
        (err = tl_dmat_init(&draws, N_DRAWS, d)) != TL_OK ||
        (err = tl_dmat_init(&values, N_DRAWS, problem->query.rows)) != TL_OK) {
        goto done;
    }
    tl_rng_init(&rng, problem->seed);
    tl_hmc_target target = {.d = d, .log_density = log_density, .context = &m};
    tl_hmc_options options = {
        .n_warm = N_WARM, .n_leaps = N_LEAPS, .step = .1, .acceptance = .8};
    if ((err = tl_hmc_sample(&target, &options, &rng, start, draws, &acceptance)) != TL_OK) {
        goto done;
    }
    predict(&m, tl_dro(draws), values, &noisy.noise_variance);
    tl_infer_summarize(&noisy, tl_dro(values), answer);
    answer->kept_bytes = (size_t)N_DRAWS * (size_t)d * sizeof *start;
done:
    tl_dmat_done(&draws);
    tl_dmat_done(&values);
    model_done(&m);
    tl_mem_free(start);
    return err;
}
