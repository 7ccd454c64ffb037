/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Repulsive last-layer ensemble: K heads on the same rows, moved as particles in
 * the space of their functions (D'Angelo and Fortuin, "Repulsive deep ensembles are
 * Bayesian", 2021; last layers alone: Steger and others, 2024). With f_i the values of head i
 * on unlabelled rows u, which are not the samples,
 *
 *     step(w_i) = A^-1 (dlog p(w_i | samples) + u^T r_i)
 *     r_i = -sum_j dk(f_i, f_j) / df_i / sum_j k(f_i, f_j) = sum_j k_ij (f_i - f_j) / b / sum_j k_ij
 *     k_ij = exp(-|f_i - f_j|^2 / (2 b)),    b = the median |f_i - f_j|^2 / (2 log K)
 *
 * Without r all heads would fall onto the one maximum of a concave log p. A^-1, the
 * posterior's covariance, makes the steps even in all directions.
 */

#include "base/mem.h"
#include "base/watch.h"
#include "grading/infer_impl.h"
#include "numerics/gemm.h"
#include "numerics/linalg.h"
#include "numerics/stats.h"

#include <math.h>

enum {
    N_HEADS = 10,
    N_STEPS = 150,
    N_PAIRS = N_HEADS * (N_HEADS - 1) / 2
};

static const double step_length = .1;

typedef struct particles {
    const tl_infer_problem *problem;
    tl_posterior posterior;
    tl_dmat w;     /* [K, d] */
    tl_dmat f;     /* [K, r] on the unlabelled rows */
    tl_dmat push;  /* [K, r] r_i */
    tl_dmat fit;   /* [K, n] (y - x w) / noise_variance */
    tl_dmat slope; /* [K, d] */
} particles;

static void particles_done(particles *p)
{
    tl_posterior_done(&p->posterior);
    tl_dmat_done(&p->w);
    tl_dmat_done(&p->f);
    tl_dmat_done(&p->push);
    tl_dmat_done(&p->fit);
    tl_dmat_done(&p->slope);
}

/* Heads start at draws of the prior. */
static tl_err particles_init(const tl_infer_problem *problem, particles *p)
{
    tl_rng rng;
    int d = problem->x.cols;
    int r = problem->unlabelled.rows;
    *p = (particles){.problem = problem};
    TL_TRY(tl_posterior_init(problem, &p->posterior));
    TL_TRY(tl_dmat_init(&p->w, N_HEADS, d));
    TL_TRY(tl_dmat_init(&p->f, N_HEADS, r));
    TL_TRY(tl_dmat_init(&p->push, N_HEADS, r));
    TL_TRY(tl_dmat_init(&p->fit, N_HEADS, problem->x.rows));
    TL_TRY(tl_dmat_init(&p->slope, N_HEADS, d));
    tl_rng_init(&rng, problem->seed);
    for (int i = 0; i < N_HEADS; i++) {
        for (int j = 0; j < d; j++) {
            tl_dmat_row(p->w, i)[j] = sqrt(problem->prior_variance) * tl_rng_normal(&rng);
        }
    }
    return TL_OK;
}

static double square_distance(const particles *p, int i, int j)
{
    const double *a = tl_dmat_row(p->f, i);
    const double *b = tl_dmat_row(p->f, j);
    double sum = 0;
    for (int k = 0; k < p->f.cols; k++) {
        sum += (a[k] - b[k]) * (a[k] - b[k]);
    }
    return sum;
}

static double bandwidth(const particles *p)
{
    double squares[N_PAIRS];
    int n = 0;
    for (int i = 0; i < N_HEADS; i++) {
        for (int j = 0; j < i; j++) {
            squares[n++] = square_distance(p, i, j);
        }
    }
    return fmax(tl_median_inplace(N_PAIRS, squares) / (2 * log(N_HEADS)), 1e-12);
}

/* push <- r of every head */
static void repel(particles *p)
{
    double b = bandwidth(p);
    for (int i = 0; i < N_HEADS; i++) {
        double *push = tl_dmat_row(p->push, i);
        const double *own = tl_dmat_row(p->f, i);
        double sum = 0;
        for (int k = 0; k < p->f.cols; k++) {
            push[k] = 0;
        }
        for (int j = 0; j < N_HEADS; j++) {
            const double *other = tl_dmat_row(p->f, j);
            double kernel = exp(-square_distance(p, i, j) / (2 * b));
            sum += kernel;
            for (int k = 0; k < p->f.cols; k++) {
                push[k] += kernel * (own[k] - other[k]) / b;
            }
        }
        for (int k = 0; k < p->f.cols; k++) {
            push[k] /= sum;
        }
    }
}

static void step(particles *p)
{
    const tl_infer_problem *problem = p->problem;
    tl_dgemm(1, TL_N, tl_dro(p->w), TL_T, problem->unlabelled, 0, p->f);
    repel(p);
    for (int i = 0; i < N_HEADS; i++) {
        for (int k = 0; k < problem->x.rows; k++) {
            tl_dmat_row(p->fit, i)[k] = problem->y[k] / problem->noise_variance;
        }
        for (int j = 0; j < p->w.cols; j++) {
            tl_dmat_row(p->slope, i)[j] = -tl_dmat_row(p->w, i)[j] / problem->prior_variance;
        }
    }
    tl_dgemm(-1 / problem->noise_variance, TL_N, tl_dro(p->w), TL_T, problem->x, 1, p->fit);
    tl_dgemm(1, TL_N, tl_dro(p->fit), TL_N, problem->x, 1, p->slope);
    tl_dgemm(1, TL_N, tl_dro(p->push), TL_N, problem->unlabelled, 1, p->slope);
    for (int i = 0; i < N_HEADS; i++) {
        double *slope = tl_dmat_row(p->slope, i);
        double *w = tl_dmat_row(p->w, i);
        tl_chol_solve(tl_dro(p->posterior.factor), slope);
        for (int j = 0; j < p->w.cols; j++) {
            w[j] += step_length * slope[j];
        }
    }
}

tl_err tl_infer_repulsive_run(const tl_infer_problem *problem, tl_infer_answer *answer)
{
    particles p = {0};
    tl_dmat values = {0};
    if (problem->unlabelled.rows == 0) {
        return tl_fail(TL_ESTATE, "repulsive heads need unlabelled designs");
    }
    tl_err err = particles_init(problem, &p);
    if (err == TL_OK && (err = tl_dmat_init(&values, N_HEADS, problem->query.rows)) == TL_OK) {
        for (int k = 0; k < N_STEPS && (err = tl_watch_check()) == TL_OK; k++) {
            step(&p);
        }
    }
    if (err == TL_OK) {
        tl_dgemm(1, TL_N, tl_dro(p.w), TL_T, problem->query, 0, values);
        tl_infer_summarize(problem, tl_dro(values), answer);
        answer->kept_bytes = (size_t)N_HEADS * (size_t)p.w.cols * sizeof(double);
    }
    tl_dmat_done(&values);
    particles_done(&p);
    return err;
}
