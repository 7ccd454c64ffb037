/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/measured.h"

#include "base/mem.h"
#include "base/units.h"
#include "measurements/designs.h"

#include <math.h>
#include <string.h>

static double measured_cost(const tl_measured *measured, tl_cost cost, const tl_choice *design)
{
    const tl_column *column = measured->costs[cost];
    return column == NULL || column->n == 0 ? TL_UNKNOWN : tl_column_find(column, design);
}

void tl_measured_apply(
    const tl_measured *measured,
    const tl_choice *designs,
    int n,
    int n_slots,
    tl_prediction *predictions)
{
    for (int i = 0; i < n; i++) {
        const tl_choice *design = tl_design_at(designs, n_slots, i);
        double latency = measured_cost(measured, TL_COST_LATENCY, design);
        double energy = measured_cost(measured, TL_COST_ENERGY, design);
        if (!isnan(latency)) {
            predictions[i].latency_ms = latency;
            predictions[i].latency_std_ms = 0;
        }
        if (!isnan(energy)) {
            predictions[i].energy_mj = energy;
            predictions[i].energy_std_mj = 0;
        }
    }
}

bool tl_problem_asks(const tl_problem *problem, tl_cost cost)
{
    const tl_limits *limits = &problem->limits;
    const tl_weights *weights = &problem->weights;
    return cost == TL_COST_LATENCY
               ? !isnan(limits->max_latency_ms) || weights->latency_points_per_ms > 0 ||
                     problem->objective == TL_MINIMIZE_LATENCY
               : !isnan(limits->max_energy_mj) || weights->energy_points_per_mj > 0 ||
                     problem->objective == TL_MINIMIZE_ENERGY;
}

double tl_problem_cost_sd(const tl_problem *problem, const tl_prediction *prediction)
{
    double latency = problem->weights.latency_points_per_ms;
    double energy = problem->weights.energy_points_per_mj;
    switch (problem->objective) {
    case TL_MINIMIZE_LATENCY: return prediction->latency_std_ms;
    case TL_MINIMIZE_ENERGY: return prediction->energy_std_mj;
    case TL_MAXIMIZE_ACCURACY: break;
    }
    return hypot(
        latency > 0 ? latency * prediction->latency_std_ms : 0,
        energy > 0 ? energy * prediction->energy_std_mj : 0);
}

bool tl_measured_is_known(
    const tl_measured *measured, const tl_problem *problem, const tl_choice *design)
{
    int n_asked = 0;
    for (int c = 0; c < TL_N_COSTS; c++) {
        if (tl_problem_asks(problem, (tl_cost)c)) {
            n_asked++;
            if (isnan(measured_cost(measured, (tl_cost)c, design))) {
                return false;
            }
        }
    }
    return n_asked > 0;
}

/* Optional slots are in use only where the problem is free to choose them. */
static bool is_searched(const tl_problem *problem, const tl_choice *design)
{
    for (int k = 0; k < tl_space_n_slots(problem->space); k++) {
        if (tl_space_slot(problem->space, k)->is_optional && design[k] != TL_CHOICE_ABSENT) {
            return problem->freedom == TL_FREE_BITS;
        }
    }
    return true;
}

/* The asked cost with the fewest designs measured: every other one must know them too. */
static const tl_column *narrowest(const tl_measured *measured, const tl_problem *problem)
{
    const tl_column *found = NULL;
    for (int c = 0; c < TL_N_COSTS; c++) {
        const tl_column *column = measured->costs[c];
        if (!tl_problem_asks(problem, (tl_cost)c)) {
            continue;
        }
        if (column == NULL || column->n == 0) {
            return NULL;
        }
        if (found == NULL || column->n < found->n) {
            found = column;
        }
    }
    return found;
}

static tl_err best_of(
    tl_problem *problem,
    const tl_choice *designs,
    int n,
    tl_choice *out_design,
    tl_scored *out_score,
    bool *out_is_found)
{
    size_t n_slots = (size_t)tl_space_n_slots(problem->space);
    int best = -1;
    tl_scored *scores = tl_mem_new((size_t)n, sizeof *scores);
    if (scores == NULL) {
        return tl_fail(TL_ENOMEM, "%d measured designs", n);
    }
    tl_err err = tl_problem_score(problem, designs, n, scores);
    for (int i = 0; i < n && err == TL_OK; i++) {
        if (tl_scored_is_feasible(&scores[i]) &&
            (best < 0 || tl_scored_compare(&scores[i], &scores[best]) < 0)) {
            best = i;
        }
    }
    *out_is_found = err == TL_OK && best >= 0;
    if (*out_is_found) {
        memcpy(out_design, designs + (size_t)best * n_slots, n_slots * sizeof *designs);
        *out_score = scores[best];
    }
    tl_mem_free(scores);
    return err;
}

tl_err tl_measured_best(
    tl_problem *problem,
    const tl_measured *measured,
    tl_choice *out_design,
    tl_scored *out_score,
    bool *out_is_found)
{
    const tl_column *column = narrowest(measured, problem);
    size_t n_slots = (size_t)tl_space_n_slots(problem->space);
    int n = 0;
    *out_is_found = false;
    if (column == NULL) {
        return TL_OK;
    }
    tl_choice *known = tl_mem_new((size_t)column->n * n_slots, sizeof *known);
    if (known == NULL) {
        return tl_fail(TL_ENOMEM, "%d measured designs", column->n);
    }
    for (int i = 0; i < column->n; i++) {
        const tl_choice *design = tl_design_at(column->designs, (int)n_slots, i);
        if (is_searched(problem, design) && tl_measured_is_known(measured, problem, design)) {
            memcpy(known + (size_t)n++ * n_slots, design, n_slots * sizeof *known);
        }
    }
    tl_err err =
        n > 0 ? best_of(problem, known, n, out_design, out_score, out_is_found) : TL_OK;
    tl_mem_free(known);
    return err;
}

/* Deviation of a design's value: of its costs, 0 where measured, and of its accuracy. */
static double value_sd(const tl_problem *problem, const tl_scored *scored)
{
    double of_accuracy =
        problem->objective == TL_MAXIMIZE_ACCURACY ? scored->prediction.accuracy_std : 0;
    return hypot(of_accuracy, tl_problem_cost_sd(problem, &scored->prediction));
}

static void put_first(tl_shortlist *list, const tl_choice *design, const tl_scored *score)
{
    size_t bytes = (size_t)list->n_slots * sizeof *design;
    int place = 0;
    while (place < list->n &&
           memcmp(tl_design_at(list->designs, list->n_slots, place), design, bytes) != 0) {
        place++;
    }
    if (place == list->n && list->n < list->capacity) {
        list->n++;
    }
    size_t n_moved = (size_t)(place < list->n ? place : list->n - 1);
    memmove(list->designs + list->n_slots, list->designs, n_moved * bytes);
    memmove(list->scores + 1, list->scores, n_moved * sizeof *score);
    memcpy(list->designs, design, bytes);
    list->scores[0] = *score;
}

tl_err tl_measured_lead(
    tl_problem *problem, const tl_measured *measured, double doubt, tl_shortlist *list)
{
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_scored score;
    bool is_found = false;
    TL_TRY(tl_measured_best(problem, measured, design, &score, &is_found));
    if (!is_found || list->capacity == 0) {
        return TL_OK;
    }
    const tl_scored *first = &list->scores[0];
    if (list->n > 0 && tl_scored_is_feasible(first)) {
        double sd = hypot(value_sd(problem, first), value_sd(problem, &score));
        if (first->value - score.value > doubt * sd) {
            return TL_OK;
        }
    }
    put_first(list, design, &score);
    return TL_OK;
}
