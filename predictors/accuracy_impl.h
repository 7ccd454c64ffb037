/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_ACCURACY_IMPL_H
#define TL_PREDICTORS_ACCURACY_IMPL_H

/* What fitting, predicting and storing accuracy models share. For accuracy*.c and their benchmark only. */

#include "predictors/accuracy.h"
#include "predictors/score_model.h"
#include "predictors/transform.h"

enum {
    TL_ACCURACY_MAX_TASKS = 256,
    TL_ACCURACY_PROFILE_LEN = 9,
};

/*
 * How far targets lie from predictions, in scores. With t of Student's distribution
 * (normal where tail is 0),
 *
 *     target = score + scale t
 *     scale^2 = profile(score) (spread_gain spread + noise)
 *
 * The profile is linear in its logarithm between scores -2, -1.5 ... 2 and constant beyond:
 * two trainings of one design differ by more places among the best, where designs crowd.
 */
typedef struct tl_accuracy_noise {
    double spread_gain, noise;
    double profile[TL_ACCURACY_PROFILE_LEN];
    double tail; /* 1 / degrees of freedom */
} tl_accuracy_noise;

typedef struct tl_accuracy_output {
    char *task;
    int n_labels;
    tl_rank_map map;
    tl_accuracy_noise noise;
    double std_gain;           /* what makes mean +- z std cover as a normal's would */
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
 * Fits the noise to squared residuals [n], the predictions that they belong to and
 * their spreads. With no residual all is default.
 */
TL_MUST_USE tl_err tl_accuracy_calibrate(
    int n,
    const double *square,
    const double *score,
    const double *spread,
    tl_accuracy_noise *out_noise);

/* The scale at a prediction. */
double tl_accuracy_scale(const tl_accuracy_noise *noise, double score, double spread);

/* Half the central interval of this probability, in scales. */
double tl_accuracy_half_width(const tl_accuracy_noise *noise, double probability);

/* What a scale counts for in a standard deviation: the same for all designs of an output. */
double tl_accuracy_std_width(const tl_accuracy_noise *noise);

/*
 * The deviation in points of a prediction: half the central interval of 90%, read as a
 * normal's, times the output's std_gain; width from tl_accuracy_std_width().
 */
double tl_accuracy_std(
    const tl_accuracy_output *output, double width, double score, double spread);

/*
 * The std_gain with which 90% of errors [n], in points and not negative, lie within
 * 1.645 deviations, from the predictions' scores and spreads; overwrites the errors.
 */
double tl_accuracy_std_gain(
    const tl_accuracy_output *output,
    int n,
    const double *score,
    const double *spread,
    double *error);

#endif
