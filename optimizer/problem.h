/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_PROBLEM_H
#define TL_OPTIMIZER_PROBLEM_H

/*
 * The problem that every search solves: of the designs of a space, the best
 * under limits that hold with the asked confidence.
 *
 *     maximize accuracy(x)              or minimize latency(x), or energy(x),
 *       or maximize accuracy(x) - l2 latency(x) - l1 energy(x)      with weights
 *     subject to  P(latency(x) <= max_latency_ms, energy(x) <= max_energy_mj,
 *                   accuracy(x) >= min_accuracy)  >=  confidence
 *
 * The joint probability is taken as the product over the limits. Latency and
 * energy of one design rise and fall together, so the product is the cautious
 * side of the truth.
 *
 * A search asks for predictions in batches and keeps a shortlist; which search
 * it is, the caller chooses (optimizer/search.h).
 */

#include "base/err.h"
#include "predictors/confidence.h"
#include "predictors/prediction.h"
#include "spaces/space.h"

#include <stdbool.h>

typedef enum tl_objective {
    TL_MAXIMIZE_ACCURACY,
    TL_MINIMIZE_LATENCY,
    TL_MINIMIZE_ENERGY,
} tl_objective;

/* A limit that is NaN is not asked for. Accuracies are in percent. */
typedef struct tl_limits {
    double max_latency_ms;
    double max_energy_mj;
    double min_accuracy;
    double confidence; /* 0 < confidence < 1 */
} tl_limits;

/*
 * What latency and energy cost in points of accuracy, where accuracy is maximized. 0 or
 * NaN: not asked for.
 */
typedef struct tl_weights {
    double latency_points_per_ms;
    double energy_points_per_mj;
} tl_weights;

/* Predicts designs [n, n_slots]. Called from the searching thread only. */
typedef tl_err tl_predict_fn(
    void *context, const tl_choice *designs, int n, tl_prediction *out_predictions);

/* Asked between batches; an error ends the search. */
typedef tl_err tl_interrupt_fn(void *context);

typedef struct tl_problem {
    const tl_space *space;
    const tl_choice
        *listing; /* every design [n_listing, n_slots], borrowed; NULL: not at hand */
    int n_listing;
    tl_freedom freedom;
    const char *task; /* the accuracy column, for those who know more of it; NULL: none */
    tl_objective objective;
    tl_limits limits;
    tl_weights weights;
    tl_confidence latency_confidence;
    tl_confidence energy_confidence;
    tl_confidence accuracy_confidence;
    tl_predict_fn *predict;
    tl_interrupt_fn *interrupt; /* may be NULL */
    void *context;
    int n_evaluations; /* counted by tl_problem_score() */
    /* The unit of rewards: 0 and 0 until tl_problem_standardize(), which reads as 0 and 1. */
    double value_centre, value_scale;
} tl_problem;

/* A design with all that the problem says of it. */
typedef struct tl_scored {
    tl_prediction prediction;
    double p_feasible; /* joint probability that the limits hold; 1 where there are none */
    double shortfall;  /* how far the worst limit is missed, in shares of that limit, at the
                          asked confidence; 0 when feasible; infinite when nothing is known */
    double value;      /* larger is better; -infinity when the objective is unknown */
} tl_scored;

/*
 * Refuses what no search can answer: limits or weights out of range, weights of another
 * objective than accuracy, confidence outside (0, 1).
 */
TL_MUST_USE tl_err tl_problem_check(const tl_problem *problem);

/* Scores designs [n, n_slots]. */
TL_MUST_USE tl_err
tl_problem_score(tl_problem *problem, const tl_choice *designs, int n, tl_scored *out);

static inline bool tl_scored_is_feasible(const tl_scored *scored)
{
    return scored->shortfall <= 0;
}

/* Feasible before infeasible; feasible by value; infeasible by shortfall. Negative: a is better. */
int tl_scored_compare(const tl_scored *a, const tl_scored *b);

/*
 * Sets the unit of rewards from the scores of designs, best drawn by chance: centre the
 * median value, scale the distance from there to the ninetieth percentile, as a normal
 * distribution would have it: the upper half alone, for values have a long tail below.
 */
TL_MUST_USE tl_err tl_problem_standardize(tl_problem *problem, const tl_scored *scores, int n);

/*
 * One finite number for learners, that orders designs as tl_scored_compare() does but for ties:
 *
 *     feasible     (value - centre) / scale, bent from -1 on so that it stays above -3
 *     infeasible   -3 - 3 min(shortfall, 1): towards the limit
 */
double tl_problem_reward(const tl_problem *problem, const tl_scored *scored);

#endif
