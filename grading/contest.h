/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_GRADING_CONTEST_H
#define TL_GRADING_CONTEST_H

/*
 * A contest: every inference method on one problem, judged by one set of measurements.
 *
 * Queries come in two parts, those inside the distribution of the samples first. Either
 * part may be graded as a set, or only serve the other to be told from.
 *
 *     tl_contest contest = {.problem = problem, .measured = y, .offset = offset, ...};
 *     TL_TRY(tl_contest_init(&contest));
 *     err = tl_contest_run(&contest, grades, &n_grades);
 *     tl_contest_done(&contest);
 */

#include "grading/infer.h"

#include <stdbool.h>

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
    TL_SET_UNSEEN,    /* of a device that nothing was fitted to */
    TL_SET_FOREIGN,   /* designs of other spaces, of which only the uncertainty is judged */
    TL_N_SETS
} tl_grade_set;

const char *tl_grade_set_name(tl_grade_set set);

enum {
    TL_CURVE_POINTS = 19 /* of the calibration and of the rejection curve */
};

/* One method on one device and set. A figure that does not apply is NaN. */
typedef struct tl_grade {
    const char *subject; /* device or task, borrowed from the columns; "mean" over them */
    const char *method;
    tl_grade_set set;
    int n_designs;
    double figures[TL_N_FIGURES];
    double calibration[TL_CURVE_POINTS]; /* observed, at (k + 1) / (points + 1) */
    double rejection[TL_CURVE_POINTS];   /* RMSE of what is kept, at k / points */
} tl_grade;

typedef struct tl_contest {
    /* The caller's, borrowed. */
    const char *subject;
    tl_infer_problem problem;
    const double *offset;        /* [m] added to the answers */
    const double *measured;      /* [m] */
    const double *gain;          /* [m] accuracies, NaN where unknown */
    int n_inside;                /* of the m queries */
    int inside_set, outside_set; /* a tl_grade_set, or TL_CONTEST_NO_SET */
    bool (*takes)(const void *context, const char *method); /* NULL: all methods */
    bool (*goes_on)(const void *context); /* before each method; false cancels. May be NULL */
    const void *context;
    /* Its own. */
    double *memory;
    double *mean, *sd;     /* [m] of the method at work */
    double *score, *scale; /* [m] of one whose distribution has a map */
    double *exact_mean, *exact_sd, *hmc_mean, *hmc_sd;
    bool has_exact, has_hmc;
} tl_contest;

enum {
    TL_CONTEST_NO_SET = -1
};

TL_MUST_USE tl_err tl_contest_init(tl_contest *contest);
void tl_contest_done(tl_contest *contest);

/*
 * Appends a grade for each method and graded set; there is room for two a method. A method
 * that needs more than the problem has (tl_infer_can_run()) is passed over. Fails with
 * TL_ECANCELLED when goes_on said so.
 */
TL_MUST_USE tl_err tl_contest_run(tl_contest *contest, tl_grade *grades, int *n_grades);

#endif
