/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_ACCURACY_FITTING_H
#define TL_PREDICTORS_ACCURACY_FITTING_H

/*
 * Inside of tl_accuracy_fit(): accuracy_fit.c chooses what is fitted, accuracy_held_out.c fits it
 * to labels with folds left out, accuracy_judge.c judges what was left out.
 */

#include "predictors/accuracy_impl.h"

/* One fit on its way. */
typedef struct tl_fitting {
    tl_accuracy_data data; /* the designs with a label, in memory of our own */
    tl_choice *designs;
    double *labels;
    const tl_accuracy_options *options;
    tl_accuracy_model *model; /* what it becomes */
    tl_score_input input;     /* of the designs */
    tl_mat y;                 /* [n, n_tasks] scores, NaN where unknown */
    tl_mat mean, spread;      /* [n_own, n_answered] of held-out designs, mean NaN elsewhere */
    int *rows;                /* [2 n] scratch */
    int *fold;                /* [n] of designs */
    int n_answered;           /* tasks, the first ones; the others are auxiliary */
    int n_own;                /* designs, the first ones, that have a label of them */
    int n_folds;
    bool has_numbers, is_taught;
    int64_t n_steps_before, n_steps_total;
} tl_fitting;

static inline double tl_fitting_label(const tl_fitting *f, int row, int task)
{
    return f->data.labels[(ptrdiff_t)row * f->data.n_tasks + task];
}

/* ---- accuracy_held_out.c ---- */

/* From labels to scores: y, and the model's maps back. */
TL_MUST_USE tl_err tl_fitting_labels(tl_fitting *f);

/* Steps of one fit, for progress. */
int64_t tl_fitting_n_steps(const tl_fitting *f);

/* Fits the designs outside the fold; -1: all of them. */
TL_MUST_USE tl_err tl_fitting_without(tl_fitting *f, int left_out, tl_score_model *out_score);

/* Fills mean and spread for our own designs of the first n_folds folds, each by a fit without it. */
TL_MUST_USE tl_err tl_fitting_hold_out(tl_fitting *f);

/* ---- accuracy_judge.c ---- */

/* Mean squared residual over all tasks and judged designs. */
double tl_fitting_error(const tl_fitting *f);

/* Negative log-likelihood a design of a task, with normal noise of its own width, and a constant. */
double tl_fitting_loss(const tl_fitting *f, int task);

/* Does the form of cells explain what the graph of live edges left over? */
bool tl_fitting_suspects_form(const tl_fitting *f);

TL_MUST_USE tl_err tl_fitting_judge(tl_fitting *f, tl_accuracy_report *out_report);

#endif
