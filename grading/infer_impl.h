/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_GRADING_INFER_IMPL_H
#define TL_GRADING_INFER_IMPL_H

/* What the methods share. */

#include "grading/infer.h"

tl_err tl_infer_head_run(const tl_infer_problem *problem, tl_infer_answer *answer);
tl_err tl_infer_accuracy_run(const tl_infer_problem *problem, tl_infer_answer *answer);
tl_err tl_infer_gp_run(const tl_infer_problem *problem, tl_infer_answer *answer);
tl_err tl_infer_hmc_run(const tl_infer_problem *problem, tl_infer_answer *answer);
tl_err tl_infer_mean_field_run(const tl_infer_problem *problem, tl_infer_answer *answer);
tl_err tl_infer_ensemble_run(const tl_infer_problem *problem, tl_infer_answer *answer);
tl_err tl_infer_dropout_run(const tl_infer_problem *problem, tl_infer_answer *answer);
tl_err tl_infer_repulsive_run(const tl_infer_problem *problem, tl_infer_answer *answer);

/*
 * The posterior of the weights, N(mean, A^-1):
 *
 *     A = x^T x / noise_variance + I / prior_variance,    mean = A^-1 x^T y / noise_variance
 *
 * factor [d, d]: L of A = L L^T. Zero-initialize; free with tl_posterior_done().
 */
typedef struct tl_posterior {
    tl_dmat factor;
    double *mean;
} tl_posterior;

TL_MUST_USE tl_err tl_posterior_init(const tl_infer_problem *problem, tl_posterior *posterior);
void tl_posterior_done(tl_posterior *posterior);

/*
 * Mean and deviation, noise included, of k functions' values: draws [k, m],
 * one row a function.
 */
void tl_infer_summarize(
    const tl_infer_problem *problem, tl_dcmat draws, tl_infer_answer *answer);

#endif
