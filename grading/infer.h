/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_GRADING_INFER_H
#define TL_GRADING_INFER_H

/*
 * Inference methods, compared on one head.
 *
 * Every method gets the same rows, targets and scales of one linear model,
 *
 *     y = x . w + noise,    w ~ N(0, prior_variance I),    noise ~ N(0, noise_variance)
 *
 * and answers a mean and a standard deviation (noise included) for every query.
 * The columns of x are scaled so that all weights have the same prior. "gp" is
 * the exact posterior of that model, in closed form: the others can be compared
 * with the truth, not only with each other. "ensemble" and "dropout" put a small
 * network in the place of x . w. "head" and "accuracy" are the predictors that tailor
 * ships, of latency or energy and of accuracy, on the same samples; they choose their
 * scales themselves.
 *
 *     tl_infer_problem problem = {.x = x, .y = y, .query = query, .seed = 1};
 *     TL_TRY(tl_infer_scales(&problem));
 *     TL_TRY(tl_infer_methods[0].run(&problem, &answer));
 *
 * Adding a method is one file grading/infer_*.c and one line in infer.c.
 */

#include "numerics/mat.h"
#include "predictors/head.h"
#include "predictors/transform.h"

#include <stdbool.h>
#include <stdint.h>

/* What "head" reads: the same samples and queries in its own columns. */
typedef struct tl_infer_head {
    const tl_features *features;
    tl_head_data samples;
    tl_dcmat query;
    const double *query_z;
    double level;               /* values are divided by it ... */
    const double *query_offset; /* ... and this is taken off, to be a target y */
} tl_infer_head;

/* What "accuracy" reads: the same samples and queries as designs. */
typedef struct tl_infer_accuracy {
    const tl_space *space;
    const tl_choice *samples; /* [n, n_slots] */
    const double *labels;     /* [n] percent */
    const tl_choice *query;   /* [m, n_slots] */
    double level;             /* as above */
    const double *query_offset;
} tl_infer_accuracy;

typedef struct tl_infer_problem {
    tl_dcmat x;          /* [n, d] */
    const double *y;     /* [n] */
    tl_dcmat query;      /* [m, d] */
    tl_dcmat unlabelled; /* [r, d]: other rows without y, where particles repel each other */
    const tl_infer_head *head;         /* NULL: "head" cannot run */
    const tl_infer_accuracy *accuracy; /* NULL: "accuracy" cannot run */
    double prior_variance;
    double noise_variance;
    uint64_t seed;
} tl_infer_problem;

typedef struct tl_infer_answer {
    double *mean, *sd; /* [m], the caller's */
    double dof;        /* of Student's t; INFINITY: normal */
    /*
     * Where a method's distribution is Student's t of something else than the value: scores
     * and scales [m], the caller's memory, and the map from percent. Else has_map is false.
     */
    double *score, *scale;
    bool has_map;
    tl_rank_map map;
    size_t kept_bytes; /* what has to be kept in order to predict */
} tl_infer_answer;

typedef struct tl_infer_method {
    const char *name;
    const char *summary;
    tl_err (*run)(const tl_infer_problem *problem, tl_infer_answer *answer);
} tl_infer_method;

/* The table; the exact posterior is at TL_INFER_EXACT. */
extern const tl_infer_method tl_infer_methods[];
extern const int tl_infer_n_methods;

/* Whether the problem has what the method reads. */
bool tl_infer_can_run(const tl_infer_method *method, const tl_infer_problem *problem);

/* NULL when there is none of that name. */
const tl_infer_method *tl_infer_find(const char *name);

/*
 * Fills prior_variance and noise_variance: the most probable scales (scales.h).
 * Fails with TL_ENUMERIC on values that are not finite.
 */
TL_MUST_USE tl_err tl_infer_scales(tl_infer_problem *problem);

#endif
