/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_GRADING_EVALUATE_H
#define TL_GRADING_EVALUATE_H

/*
 * Grades the predictors of a space, of one metric, on its stored measurements.
 *
 * Each device is left out in turn (trial.h); every inference method (infer.h)
 * gets the same samples of it and is judged on designs held out: near, far (outside
 * the range of the samples), and near again after a share of the samples was
 * multiplied by 3 to 10; then, fitted to the other devices alone, on the device itself
 * (unseen.h); and on designs of other spaces, which its uncertainty should tell from its
 * own (foreign.h). Accuracies are graded task by task in the same way; no task knows another. Values are divided by the level of the samples, so that
 * errors and widths of different devices compare.
 *
 *     tl_evaluation evaluation = {0};
 *     TL_TRY(tl_evaluate(&options, &evaluation, &notes));
 *     for (int i = 0; i < evaluation.n_grades; i++) { ... }
 *     tl_evaluation_done(&evaluation);
 */

#include "base/text.h"
#include "grading/contest.h"
#include "grading/trial.h"

enum {
    TL_EVALUATE_SAMPLES = 20,
    TL_EVALUATE_TASK_SAMPLES = 200 /* accuracies: nothing is known of a task but them */
};

/* device by device; the means come last. */
typedef struct tl_evaluation {
    int n_grades;
    tl_grade *grades;
} tl_evaluation;

typedef struct tl_evaluate_options {
    const tl_space *space;
    tl_metric metric;
    const tl_train_column *const *columns; /* of all devices, or tasks, that may take part */
    int n_columns;                         /* at most TL_POOL_MAX_DEVICES */
    const bool *is_graded;                 /* [n_columns]; the others are only known */
    /* Other spaces, whose designs are to be told from this one's; may be none. */
    const tl_space *const *others;
    int n_others;
    const tl_column *accuracy; /* for the cost of decisions; NULL: it is not graded */
    bool (*takes)(const void *context, const char *method); /* NULL: all methods */
    bool (*goes_on)(const void *context); /* before each method; false cancels. May be NULL */
    int n_samples;                        /* of each column graded; 0: the usual ones above */
    uint64_t seed;
    /* Called now and then on the calling thread; false cancels. May be NULL. */
    bool (*progress)(void *context, const char *what, int64_t done, int64_t total);
    /*
     * Grades outlive a run that ends in the midst: remember() is given bytes when column i is
     * graded, and recall() gives them back to a later run (the bytes are then tl_evaluate()'s),
     * which grades the column anew unless it has the same options and columns. Both or neither.
     */
    void (*remember)(void *context, int column, const void *data, size_t len);
    tl_err (*recall)(void *context, int column, void **out_data, size_t *out_len);
    void *context;
} tl_evaluate_options;

/*
 * On success the caller owns *out_evaluation; notes gets a line for each device
 * that was left out, and for each method that is likelier than the exact posterior of its
 * own model without being near it. Fails with TL_ESTATE when no device could be graded, TL_ECANCELLED
 * when progress said so.
 */
TL_MUST_USE tl_err
tl_evaluate(const tl_evaluate_options *options, tl_text *notes, tl_evaluation *out_evaluation);
void tl_evaluation_done(tl_evaluation *evaluation);

#endif
