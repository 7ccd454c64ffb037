/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_GRADING_METRICS_H
#define TL_GRADING_METRICS_H

/*
 * Figures that grade predictions with an uncertainty against what was measured.
 *
 * A prediction is a mean and a scale of Student's t with dof degrees of freedom
 * (INFINITY: a normal of that standard deviation). docs/evaluate.md says in plain
 * words what each figure tells, and where its formula comes from.
 *
 *     tl_graded p = {.n = n, .y = y, .mean = mean, .sd = sd, .dof = (double)INFINITY};
 *     double covered = tl_grade_coverage(&p, .8);
 */

#include "base/err.h"

/* A strictly rising function of measured values, and back. */
typedef struct tl_grade_map {
    double (*forward)(const void *context, double y);
    double (*inverse)(const void *context, double score);
    const void *context;
} tl_grade_map;

/*
 * n > 0 predictions; sd > 0. Borrowed. With a map, what is Student's t is map(y), around
 * score with scale; mean and sd are then what ranks, errors and rejection go by.
 */
typedef struct tl_graded {
    int n;
    const double *y; /* measured */
    const double *mean, *sd;
    double dof;
    const tl_grade_map *map; /* NULL: y itself, around mean with sd */
    const double *score, *scale;
} tl_graded;

/* sqrt(mean (mean - y)^2) */
double tl_grade_rmse(const tl_graded *p);

/* mean |mean / y - 1| over those y of at least least_y > 0; 0 when there are none. */
double tl_grade_mape(const tl_graded *p, double least_y);

/* Mean of -log density of y: smaller is better. */
double tl_grade_nll(const tl_graded *p);

/* PICP: the share of y within the central interval of this level, 0 < level < 1. */
double tl_grade_coverage(const tl_graded *p, double level);

/* MPIW: the mean width of these intervals. */
double tl_grade_width(const tl_graded *p, double level);

/*
 * Calibration curve: out_observed[k] is the share of y below their predicted
 * quantile (k + 1) / (n_levels + 1), which is that share itself where the
 * predictions are calibrated. Returns the mean distance between the two.
 */
double tl_grade_calibration(const tl_graded *p, int n_levels, double *out_observed);

/*
 * Rejection curve: out_error[k] is the RMSE of what is kept when the share k / n_points
 * with the largest sd is rejected. *out_area is the curve's mean over the RMSE of
 * all: 1 where the uncertainty says nothing of the error.
 */
TL_MUST_USE tl_err
tl_grade_rejection(const tl_graded *p, int n_points, double *out_error, double *out_area);

/*
 * The probability that a value of outside is larger than one of inside, ties half: 1 where a
 * threshold on the uncertainty tells the two apart, 1/2 where it tells nothing.
 */
TL_MUST_USE tl_err tl_grade_auroc(
    int n_inside,
    const double *inside,
    int n_outside,
    const double *outside,
    double *out_auroc);

/*
 * Jensen-Shannon divergence, in bits, of two sets of uncertainties over the ten
 * deciles of both together: 0 alike, 1 apart.
 */
TL_MUST_USE tl_err tl_grade_divergence(
    int n_inside, const double *inside, int n_outside, const double *outside, double *out_bits);

/* Mean of KL(reference || p), in nats, both taken as normals. */
double tl_grade_distance(
    int n, const double *reference_mean, const double *reference_sd, const tl_graded *p);

/* What a wrong choice costs: the cost matrix of (kept | missed). */
typedef struct tl_decision {
    double limit;       /* y must not exceed it */
    const double *gain; /* [n] of each candidate: the larger the better (accuracy) */
    double miss_cost;   /* in units of gain, when the chosen one exceeds the limit */
} tl_decision;

/*
 * Chooses the candidate of least expected cost,
 *
 *     P(y > limit) miss_cost + P(y <= limit) (max gain - gain),
 *
 * and returns what it really costs: miss_cost, or the gain lost against the
 * best candidate that keeps the limit. NaN where none does.
 */
double tl_grade_decision(const tl_graded *p, const tl_decision *decision);

#endif
