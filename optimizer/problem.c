/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/problem.h"

#include "base/mem.h"
#include "base/units.h"

#include <math.h>
#include <stdlib.h>

static tl_err check_limit(const char *name, double limit)
{
    if (!isnan(limit) && (!isfinite(limit) || limit <= 0)) {
        return tl_fail(TL_EINVAL, "%s: got %g, want a positive number", name, limit);
    }
    return TL_OK;
}

static bool is_asked(double weight)
{
    return !isnan(weight) && weight != 0;
}

static tl_err check_weight(const tl_problem *problem, const char *name, double weight)
{
    if (is_asked(weight) && (!isfinite(weight) || weight < 0)) {
        return tl_fail(TL_EINVAL, "%s: got %g, want a number not below 0", name, weight);
    }
    if (is_asked(weight) && problem->objective != TL_MAXIMIZE_ACCURACY) {
        return tl_fail(TL_EINVAL, "%s: weights go with maximizing accuracy only", name);
    }
    return TL_OK;
}

tl_err tl_problem_check(const tl_problem *problem)
{
    const tl_limits *limits = &problem->limits;
    TL_TRY(check_limit("max_latency_ms", limits->max_latency_ms));
    TL_TRY(check_limit("max_energy_mj", limits->max_energy_mj));
    if (!isnan(limits->min_accuracy) &&
        !(limits->min_accuracy >= 0 && limits->min_accuracy <= 100)) {
        return tl_fail(
            TL_EINVAL, "min_accuracy: got %g, want 0 to 100 percent", limits->min_accuracy);
    }
    TL_TRY(check_weight(problem, "weight of latency", problem->weights.latency_points_per_ms));
    TL_TRY(check_weight(problem, "weight of energy", problem->weights.energy_points_per_mj));
    if (!(limits->confidence > 0 && limits->confidence < 1)) {
        return tl_fail(
            TL_EINVAL, "confidence: got %g, want between 0 and 1, both excluded",
            limits->confidence);
    }
    return TL_OK;
}

/* The part of one limit: slack is (limit - mean) towards the feasible side. */
typedef struct limit_part {
    double limit, slack, mean, sd;
    const tl_confidence *confidence;
} limit_part;

static void apply_limit(limit_part part, double asked, tl_scored *scored)
{
    if (isnan(part.limit)) {
        return;
    }
    if (isnan(part.slack) || isnan(part.sd)) {
        scored->p_feasible = 0;
        scored->shortfall = HUGE_VAL;
        return;
    }
    /* without a deviation the value is known, whatever is typical of others; at the limit it holds */
    bool is_known = !(part.sd > 0);
    double unit = is_known ? 0 : tl_margin_unit_at(&part.confidence->unit, part.mean, part.sd);
    unit = unit > 0 ? unit : 1e-9 * fabs(part.limit);
    double margin = is_known && part.slack >= 0 ? HUGE_VAL : part.slack / unit;
    scored->p_feasible *= tl_confidence_of_margin(part.confidence, margin);
    double missed = tl_confidence_margin(part.confidence, asked) * unit - part.slack;
    double share = missed / fmax(fabs(part.limit), 1e-12);
    if (share > scored->shortfall) {
        scored->shortfall = share;
    }
}

/* What a weighted cost takes from the value; NaN where it is asked for and unknown. */
static double toll(double weight, double cost)
{
    return is_asked(weight) ? weight * cost : 0;
}

static double value_of(const tl_problem *problem, const tl_prediction *prediction)
{
    const tl_weights *weights = &problem->weights;
    double value = TL_UNKNOWN;
    switch (problem->objective) {
    case TL_MAXIMIZE_ACCURACY:
        value = prediction->accuracy -
                toll(weights->latency_points_per_ms, prediction->latency_ms) -
                toll(weights->energy_points_per_mj, prediction->energy_mj);
        break;
    case TL_MINIMIZE_LATENCY: value = -prediction->latency_ms; break;
    case TL_MINIMIZE_ENERGY: value = -prediction->energy_mj; break;
    }
    return isnan(value) ? -HUGE_VAL : value;
}

static void score_one(
    const tl_problem *problem, const tl_prediction *prediction, tl_scored *scored)
{
    const tl_limits *limits = &problem->limits;
    *scored = (tl_scored){.prediction = *prediction, .p_feasible = 1, .shortfall = -HUGE_VAL};
    scored->value = value_of(problem, prediction);
    const limit_part parts[] = {
        {.limit = limits->max_latency_ms,
         .slack = limits->max_latency_ms - prediction->latency_ms,
         .mean = prediction->latency_ms,
         .sd = prediction->latency_std_ms,
         .confidence = &problem->latency_confidence },
        {.limit = limits->max_energy_mj,
         .slack = limits->max_energy_mj - prediction->energy_mj,
         .mean = prediction->energy_mj,
         .sd = prediction->energy_std_mj,
         .confidence = &problem->energy_confidence  },
        {.limit = limits->min_accuracy,
         .slack = prediction->accuracy - limits->min_accuracy,
         .mean = prediction->accuracy,
         .sd = prediction->accuracy_std,
         .confidence = &problem->accuracy_confidence},
    };
    for (size_t i = 0; i < TL_COUNT(parts); i++) {
        apply_limit(parts[i], limits->confidence, scored);
    }
    if (scored->p_feasible >= limits->confidence && scored->shortfall < HUGE_VAL) {
        scored->shortfall = 0;
    } else if (scored->shortfall <= 0) {
        /* each limit holds alone, not all together: near, but missed */
        scored->shortfall = (limits->confidence - scored->p_feasible) * 1e-3;
    }
}

tl_err tl_problem_score(tl_problem *problem, const tl_choice *designs, int n, tl_scored *out)
{
    if (problem->interrupt != NULL) {
        TL_TRY(problem->interrupt(problem->context));
    }
    tl_prediction *predictions = tl_mem_new((size_t)n, sizeof *predictions);
    if (predictions == NULL) {
        return tl_fail(TL_ENOMEM, "predictions of %d designs", n);
    }
    tl_err err = problem->predict(problem->context, designs, n, predictions);
    if (err == TL_OK) {
        for (int i = 0; i < n; i++) {
            score_one(problem, &predictions[i], &out[i]);
        }
        problem->n_evaluations += n;
    }
    tl_mem_free(predictions);
    return err;
}

static int descending(double a, double b)
{
    return (a < b) - (a > b);
}

int tl_scored_compare(const tl_scored *a, const tl_scored *b)
{
    bool a_holds = tl_scored_is_feasible(a);
    bool b_holds = tl_scored_is_feasible(b);
    if (a_holds != b_holds) {
        return a_holds ? -1 : 1;
    }
    int order =
        a_holds ? descending(a->value, b->value) : descending(b->shortfall, a->shortfall);
    return order != 0 ? order : descending(a->p_feasible, b->p_feasible);
}

/* ---- rewards ----------------------------------------------------------------------------- */

static const double lowest_feasible = -3;

static int ascending(const void *a, const void *b)
{
    return descending(*(const double *)b, *(const double *)a);
}

tl_err tl_problem_standardize(tl_problem *problem, const tl_scored *scores, int n)
{
    static const double z_of_ninety_percent = 1.2815515655446004;
    double *values = tl_mem_new((size_t)n, sizeof *values);
    int n_known = 0;
    if (values == NULL) {
        return tl_fail(TL_ENOMEM, "values of %d designs", n);
    }
    for (int i = 0; i < n; i++) {
        if (isfinite(scores[i].value)) {
            values[n_known++] = scores[i].value;
        }
    }
    if (n_known > 0) {
        qsort(values, (size_t)n_known, sizeof *values, ascending);
        double centre = values[n_known / 2];
        double upper = values[(int)(.9 * (n_known - 1) + .5)];
        problem->value_centre = centre;
        /* Where all are alike, any scale does. */
        problem->value_scale =
            upper > centre ? (upper - centre) / z_of_ninety_percent : fmax(fabs(centre), 1);
    }
    tl_mem_free(values);
    return TL_OK;
}

double tl_problem_reward(const tl_problem *problem, const tl_scored *scored)
{
    if (!tl_scored_is_feasible(scored)) {
        return lowest_feasible - 3 * fmin(scored->shortfall, 1);
    }
    if (!isfinite(scored->value)) {
        return lowest_feasible;
    }
    double scale = problem->value_scale > 0 ? problem->value_scale : 1;
    double z = (scored->value - problem->value_centre) / scale;
    /* of slope 1 at -1, towards -3 from above */
    return z >= -1 ? z : -1 + 2 * tanh((z + 1) / 2);
}
