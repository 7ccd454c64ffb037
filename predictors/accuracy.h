/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_ACCURACY_H
#define TL_PREDICTORS_ACCURACY_H

/*
 * Accuracy predictor: designs in, accuracy in percent and its standard
 * deviation out, for several tasks at once.
 *
 * Labels become normal scores (transform.h); a regression (score_model.h)
 * predicts them; its spread is turned into a scale,
 *
 *     scale^2 = profile(score) (spread_gain spread + noise)
 *
 * fitted by likelihood, with the tail of a Student's distribution, on designs held
 * out by canonical form; and scores are mapped back to percent. A cell without a path from input to output is not
 * the regression's business: it scores what such cells scored in training.
 *
 * A model is immutable once fitted, so any number of threads may predict with
 * one. It holds weights, never designs or labels.
 *
 *     tl_accuracy_model *model = NULL;
 *     TL_TRY(tl_accuracy_fit(&data, &options, &model, report));
 *     err = tl_accuracy_predict(model, designs, n, accuracy, accuracy_std);
 *     ...
 *     tl_accuracy_model_free(model);
 */

#include "base/err.h"
#include "predictors/confidence.h"
#include "predictors/transform.h"
#include "spaces/space.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct tl_accuracy_model tl_accuracy_model;

typedef struct tl_accuracy_data {
    const tl_space *space;
    const tl_choice *designs; /* [n, n_slots], valid */
    int n;
    const double *labels; /* [n, n_tasks] in percent, NaN where not measured */
    const char *const *tasks;
    int n_tasks;
    /*
     * The last of the tasks, whose labels may teach the networks what the others' designs
     * have in common with theirs, and which the model does not answer.
     */
    int n_auxiliary;
} tl_accuracy_data;

/*
 * What the spread comes from (docs/decisions/0010-which-ensemble.md): several networks, or one
 * with many last layers that are kept apart where nothing was measured (repulsion.h).
 */
typedef enum tl_accuracy_ensemble {
    TL_ENSEMBLE_DEEP,
    TL_ENSEMBLE_REPULSIVE
} tl_accuracy_ensemble;

/*
 * Whether auxiliary tasks teach: where held-out designs of the answered tasks are then more
 * likely (docs/decisions/0014-tasks-that-teach.md), or as a comparison wants it. They never
 * teach a repulsive ensemble.
 */
typedef enum tl_accuracy_teaching {
    TL_TEACHING_MEASURED,
    TL_TEACHING_NEVER,
    TL_TEACHING_ALWAYS
} tl_accuracy_teaching;

typedef struct tl_accuracy_options {
    tl_accuracy_ensemble ensemble;
    double repulsion; /* repulsive: 0 for .01 */
    tl_accuracy_teaching teaching;
    /* Beside auxiliary tasks, the share of a batch that has answered labels; 0: .5. */
    double own_frac;
    uint64_t seed;
    int n_threads; /* 0 and 1: the calling thread alone; results do not depend on it */
    /* Called now and then with steps done and in all; false cancels. May be NULL. */
    bool (*progress)(void *context, int64_t done, int64_t total);
    void *context;
} tl_accuracy_options;

/* What fitting found out about a task, from designs that it held out itself. */
typedef struct tl_accuracy_report {
    int n_labels;
    int n_dead;     /* of them, cells without a path */
    int n_held_out; /* 0: too few designs to hold any out; the figures are then NaN */
    double spearman;
    double rmse;       /* points */
    double coverage90; /* share within the central 90% interval */
    bool reads_form;   /* the form of the cell (cell_code.h) explained what CellNet left over */
    bool is_taught;    /* by the auxiliary tasks too */
} tl_accuracy_report;

/*
 * Tasks that were measured on nearly the same designs share a model well;
 * others do not. Writes each task's group, numbered from 0 in order of
 * appearance, and returns how many there are; -1 marks a task without labels.
 */
int tl_accuracy_group_tasks(int n, int n_tasks, const double *labels, int *out_group);

/*
 * Fits a model of all tasks but the auxiliary ones. out_report, of as many, may be NULL. The caller owns
 * *out_model. Fails with TL_EINVAL when a task has no label, TL_ENUMERIC when one is
 * infinite, TL_ECANCELLED when progress said so.
 */
TL_MUST_USE tl_err tl_accuracy_fit(
    const tl_accuracy_data *data,
    const tl_accuracy_options *options,
    tl_accuracy_model **out_model,
    tl_accuracy_report *out_report);

void tl_accuracy_model_free(tl_accuracy_model *model); /* NULL is fine */

int tl_accuracy_model_n_tasks(const tl_accuracy_model *model);
const char *tl_accuracy_model_task(const tl_accuracy_model *model, int task);
int tl_accuracy_model_n_labels(const tl_accuracy_model *model, int task);

/* "cellnet", "ridge + mlp" or "ridge": for reports. */
const char *tl_accuracy_model_method(const tl_accuracy_model *model);

/*
 * Predicts valid designs [n, n_slots]: out_accuracy and out_std [n, n_tasks], in percent
 * and points. The error's distribution has longer tails than a normal and is not
 * symmetric; out_std is such that 1.645 of it on both sides cover 90% of held-out designs,
 * as they would if it were one. Fails with TL_ENUMERIC when an answer is not finite; both are then undefined.
 */
TL_MUST_USE tl_err tl_accuracy_predict(
    const tl_accuracy_model *model,
    const tl_choice *designs,
    int n,
    double *out_accuracy,
    double *out_std);

/*
 * The central interval of a probability in (0, 1), in percent: what
 * tl_accuracy_predict() rounds to a normal. Same shapes, same failures.
 */
TL_MUST_USE tl_err tl_accuracy_intervals(
    const tl_accuracy_model *model,
    const tl_choice *designs,
    int n,
    double probability,
    double *out_low,
    double *out_high);

/*
 * The distribution behind the intervals, of one task: Student's t of dof degrees of freedom
 * (INFINITY: normal) around a score with a scale, both [n], where *out_map takes accuracies
 * to scores. Same failures.
 */
TL_MUST_USE tl_err tl_accuracy_scores(
    const tl_accuracy_model *model,
    int task,
    const tl_choice *designs,
    int n,
    double *out_score,
    double *out_scale,
    tl_rank_map *out_map,
    double *out_dof);

/*
 * From the margin (accuracy - least) / std of a prediction to the probability that a
 * design is at least so accurate, by the distribution of the intervals above: asymmetric
 * where scores are squeezed, with its own tails.
 */
void tl_accuracy_confidence(
    const tl_accuracy_model *model, int task, double least, tl_confidence *out);

#endif
