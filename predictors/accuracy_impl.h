/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_ACCURACY_IMPL_H
#define TL_PREDICTORS_ACCURACY_IMPL_H

/* What fitting, predicting and storing accuracy models share. For accuracy*.c only. */

#include "predictors/accuracy.h"
#include "predictors/score_model.h"
#include "predictors/transform.h"

enum {
    TL_ACCURACY_MAX_TASKS = 256
};

typedef struct tl_accuracy_output {
    char *task;
    int n_labels;
    tl_rank_map map;
    double spread_gain, noise; /* variance = spread_gain * spread + noise, in scores */
    double dead_mean, dead_sd; /* percent: cells without a path */
} tl_accuracy_output;

struct tl_accuracy_model {
    tl_space *space;
    tl_score_encoder encoder; /* of space */
    int n_tasks;
    tl_accuracy_output *outputs; /* [n_tasks] */
    tl_score_model score;
};

/* The encoder of the space is ready, the rest zero. */
TL_MUST_USE tl_err
tl_accuracy_model_new(const tl_space *space, int n_tasks, tl_accuracy_model **out_model);

/*
 * The two numbers that make squared errors [n], in scores, likeliest under
 * their spreads [n]. With no error both are defaults.
 */
void tl_accuracy_calibrate(
    int n, const double *square, const double *spread, double *out_gain, double *out_noise);

#endif
