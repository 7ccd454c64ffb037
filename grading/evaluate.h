/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_GRADING_EVALUATE_H
#define TL_GRADING_EVALUATE_H

/*
 * Grades the latency predictors of a space on its stored measurements.
 *
 * Each device is left out in turn (trial.h); every inference method (infer.h)
 * gets the same samples of it and is judged on designs held out: near, far (outside
 * the range of the samples), and near again after a share of the samples was
 * multiplied by 3 to 10. Latencies are divided by the level of the samples, so that
 * errors and widths of different devices compare.
 *
 *     tl_evaluation evaluation = {0};
 *     TL_TRY(tl_evaluate(&options, &evaluation, &notes));
 *     for (int i = 0; i < evaluation.n_grades; i++) { ... }
 *     tl_evaluation_done(&evaluation);
 */

#include "base/text.h"
#include "grading/trial.h"

/* What is measured of a method; docs/evaluate.md explains each. */
#define TL_FIGURE_LIST(X)                         \
    X(SPEARMAN, "spearman")                       \
    X(RMSE, "rmse")                               \
    X(MAPE, "mape")                               \
    X(NLL, "nll")                                 \
    X(PICP_50, "picp_50")                         \
    X(PICP_80, "picp_80")                         \
    X(PICP_95, "picp_95")                         \
    X(MPIW_50, "mpiw_50")                         \
    X(MPIW_80, "mpiw_80")                         \
    X(MPIW_95, "mpiw_95")                         \
    X(CALIBRATION_ERROR, "calibration_error")     \
    X(REJECTION_AREA, "rejection_area")           \
    X(OOD_AUROC, "ood_auroc")                     \
    X(OOD_DIVERGENCE_BITS, "ood_divergence_bits") \
    X(DECISION_COST, "decision_cost")             \
    X(DISTANCE_EXACT, "distance_exact")           \
    X(DISTANCE_HMC, "distance_hmc")               \
    X(TIME_MS, "time_ms")                         \
    X(KEPT_BYTES, "kept_bytes")

typedef enum tl_figure {
#define TL_FIGURE_ENUM(id, name) TL_FIGURE_##id,
    TL_FIGURE_LIST(TL_FIGURE_ENUM)
#undef TL_FIGURE_ENUM
    TL_N_FIGURES
} tl_figure;

const char *tl_figure_name(tl_figure figure);

/* What is judged. */
typedef enum tl_grade_set {
    TL_SET_NEAR,      /* held-out designs within the range of the samples */
    TL_SET_FAR,       /* beyond it */
    TL_SET_CORRUPTED, /* near, from damaged samples */
    TL_N_SETS
} tl_grade_set;

const char *tl_grade_set_name(tl_grade_set set);

enum {
    TL_CURVE_POINTS = 19, /* of the calibration and of the rejection curve */
    TL_EVALUATE_SAMPLES = 20
};

/* One method on one device and set. A figure that does not apply is NaN. */
typedef struct tl_grade {
    const char *device; /* borrowed from the columns; "mean" over devices */
    const char *method;
    tl_grade_set set;
    int n_designs;
    double figures[TL_N_FIGURES];
    double calibration[TL_CURVE_POINTS]; /* observed, at (k + 1) / (points + 1) */
    double rejection[TL_CURVE_POINTS];   /* RMSE of what is kept, at k / points */
} tl_grade;

/* device by device; the means come last. */
typedef struct tl_evaluation {
    int n_grades;
    tl_grade *grades;
} tl_evaluation;

typedef struct tl_evaluate_options {
    const tl_space *space;
    const tl_train_column *const *columns; /* latencies of all devices that may take part */
    int n_columns;                         /* at most TL_POOL_MAX_DEVICES */
    const bool *is_graded;                 /* [n_columns]; the others are only known */
    const tl_column *accuracy; /* for the cost of decisions; NULL: it is not graded */
    bool (*takes)(const void *context, const char *method); /* NULL: all methods */
    int n_samples; /* of the device left out; 0: TL_EVALUATE_SAMPLES */
    uint64_t seed;
    /* Called now and then on the calling thread; false cancels. May be NULL. */
    bool (*progress)(void *context, const char *what, int64_t done, int64_t total);
    void *context;
} tl_evaluate_options;

/*
 * On success the caller owns *out_evaluation; notes gets a line for each device
 * that was left out. Fails with TL_ESTATE when no device could be graded, TL_ECANCELLED
 * when progress said so.
 */
TL_MUST_USE tl_err
tl_evaluate(const tl_evaluate_options *options, tl_text *notes, tl_evaluation *out_evaluation);
void tl_evaluation_done(tl_evaluation *evaluation);

#endif
