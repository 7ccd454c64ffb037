/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/propose.h"

#include "base/mem.h"
#include "base/units.h"
#include "measurements/designs.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

enum {
    N_DRAWS = 400,
    N_RANDOM = 500,   /* designs of a space that cannot be listed: for the percentile */
    N_SEARCHED = 100, /* found there at each confidence */
    N_CONFIDENCES = 4,
};

static const double searched_confidence[N_CONFIDENCES] = {.05, .3, .6, .9};
static const double low_quantile = .05;

/* Designs that may be proposed, with what is said of each. */
typedef struct candidates {
    tl_choice *designs; /* [n, n_slots]; NULL: the problem's listing, which is all there is */
    tl_scored *scores;  /* [n] */
    int n;
} candidates;

static void candidates_done(candidates *c)
{
    tl_mem_free(c->designs);
    tl_mem_free(c->scores);
}

static bool is_listed(const tl_problem *problem)
{
    return problem->listing != NULL && problem->freedom == TL_FREE_ARCHITECTURE;
}

static const tl_choice *candidate(const tl_problem *problem, const candidates *c, int i)
{
    const tl_choice *designs = c->designs != NULL ? c->designs : problem->listing;
    return tl_design_at(designs, tl_space_n_slots(problem->space), i);
}

/* ---- candidates ------------------------------------------------------------------------- */

/* What searches find at one confidence: near the limit on both of its sides, one after another. */
static tl_err add_found(
    tl_problem *problem, const tl_propose_options *options, double confidence, candidates *c)
{
    tl_shortlist list = {0};
    const double asked = problem->limits.confidence;
    size_t n_slots = (size_t)tl_space_n_slots(problem->space);
    tl_search_options search = options->search;
    search.n_best = N_SEARCHED;
    problem->limits.confidence = confidence;
    tl_err err = tl_search_run(tl_search_default(problem, &search), problem, &search, &list);
    problem->limits.confidence = asked;
    TL_TRY(err);
    memcpy(
        c->designs + (size_t)c->n * n_slots, list.designs,
        (size_t)list.n * n_slots * sizeof *list.designs);
    c->n += list.n;
    tl_shortlist_done(&list);
    return TL_OK;
}

static tl_err search_candidates(
    tl_problem *problem, const tl_propose_options *options, tl_rng *rng, candidates *c)
{
    size_t n_slots = (size_t)tl_space_n_slots(problem->space);
    size_t most = N_RANDOM + N_CONFIDENCES * N_SEARCHED;
    c->designs = tl_mem_new(most * n_slots, sizeof *c->designs);
    if (c->designs == NULL) {
        return tl_fail(TL_ENOMEM, "%zu candidates", most);
    }
    for (; c->n < N_RANDOM; c->n++) {
        tl_choice *design = c->designs + (size_t)c->n * n_slots;
        tl_space_sample_with(problem->space, problem->freedom, rng, design);
        tl_space_normalize(problem->space, design);
    }
    for (int k = 0; k < N_CONFIDENCES; k++) {
        TL_TRY(add_found(problem, options, searched_confidence[k], c));
    }
    return TL_OK;
}

static tl_err find_candidates(
    tl_problem *problem, const tl_propose_options *options, tl_rng *rng, candidates *c)
{
    if (is_listed(problem)) {
        c->n = problem->n_listing;
    } else {
        TL_TRY(search_candidates(problem, options, rng, c));
    }
    c->scores = tl_mem_new((size_t)c->n, sizeof *c->scores);
    if (c->scores == NULL) {
        return tl_fail(TL_ENOMEM, "%d candidates", c->n);
    }
    return tl_problem_score(problem, candidate(problem, c, 0), c->n, c->scores);
}

/* ---- each design alone -------------------------------------------------------------------- */

/* P(limits hold) E max(0, V - best), V normal. */
static double expected_improvement(const tl_problem *problem, const tl_scored *s, double best)
{
    static const double inverse_root_two_pi = .3989422804014327;
    double over = s->value - best;
    double sd = tl_problem_cost_sd(problem, &s->prediction);
    if (!isfinite(over) || isnan(sd)) {
        return 0;
    }
    if (sd <= 0) {
        return over > 0 ? s->p_feasible * over : 0;
    }
    double u = over / sd;
    return s->p_feasible *
           (over * tl_normal_cdf(u) + sd * inverse_root_two_pi * exp(-u * u / 2));
}

/* The best measured value, or a low one that nearly every design improves. */
static tl_err value_to_beat(
    tl_problem *problem, const tl_measured *measured, const candidates *c, double *out_best)
{
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_scored score = {0};
    bool is_found = false;
    TL_TRY(tl_measured_best(problem, measured, design, &score, &is_found));
    if (is_found) {
        *out_best = score.value;
        return TL_OK;
    }
    double *values = tl_mem_new((size_t)c->n, sizeof *values);
    if (values == NULL) {
        return tl_fail(TL_ENOMEM, "%d values", c->n);
    }
    int n_all = is_listed(problem) ? c->n : N_RANDOM; /* found ones are no fair sample */
    int n = 0;
    for (int i = 0; i < n_all; i++) {
        if (isfinite(c->scores[i].value)) {
            values[n++] = c->scores[i].value;
        }
    }
    *out_best = n > 0 ? tl_quantile_inplace(n, values, low_quantile) : 0;
    tl_mem_free(values);
    return TL_OK;
}

/* Best first: by expected improvement; those that can improve nothing by value. */
static tl_err order_candidates(
    const tl_problem *problem, const candidates *c, double best, int *order)
{
    double *keys = tl_mem_new((size_t)c->n, sizeof *keys);
    if (keys == NULL) {
        return tl_fail(TL_ENOMEM, "%d candidates", c->n);
    }
    for (int i = 0; i < c->n; i++) {
        double improvement = expected_improvement(problem, &c->scores[i], best);
        keys[i] = improvement > 0 ? -improvement : best - c->scores[i].value;
    }
    tl_err err = tl_argsort(c->n, keys, order);
    tl_mem_free(keys);
    return err;
}

static bool holds(const tl_shortlist *list, const tl_choice *design)
{
    for (int i = 0; i < list->n; i++) {
        if (tl_design_compare(
                tl_design_at(list->designs, list->n_slots, i), design, list->n_slots) == 0) {
            return true;
        }
    }
    return false;
}

/* The first candidates that differ and were not measured, as many as list has room for. */
static tl_err keep_promising(
    const tl_problem *problem,
    const tl_measured *measured,
    const candidates *c,
    double best,
    tl_shortlist *list)
{
    int *order = tl_mem_new((size_t)c->n, sizeof *order);
    if (order == NULL) {
        return tl_fail(TL_ENOMEM, "%d candidates", c->n);
    }
    tl_err err = order_candidates(problem, c, best, order);
    for (int i = 0; i < c->n && list->n < list->capacity && err == TL_OK; i++) {
        const tl_choice *design = candidate(problem, c, order[i]);
        if (!tl_measured_is_known(measured, problem, design) && !holds(list, design)) {
            memcpy(
                list->designs + (ptrdiff_t)list->n * list->n_slots, design,
                (size_t)list->n_slots * sizeof *design);
            list->scores[list->n++] = c->scores[order[i]];
        }
    }
    tl_mem_free(order);
    return err;
}

/* ---- all together --------------------------------------------------------------------------- */

/* The accuracy is not what is measured: its limit holds with this probability. */
static double accuracy_share(const tl_problem *problem, const tl_prediction *p)
{
    double min = problem->limits.min_accuracy;
    double sd = p->accuracy_std > 0 ? p->accuracy_std : 1e-9;
    return isnan(min) ? 1
                      : tl_confidence_of_margin(
                            &problem->accuracy_confidence, (p->accuracy - min) / sd);
}

static double drawn_value(const tl_problem *problem, const tl_scored *s, const double *cost)
{
    switch (problem->objective) {
    case TL_MINIMIZE_LATENCY: return -cost[TL_COST_LATENCY];
    case TL_MINIMIZE_ENERGY: return -cost[TL_COST_ENERGY];
    case TL_MAXIMIZE_ACCURACY: break;
    }
    double latency = problem->weights.latency_points_per_ms;
    double energy = problem->weights.energy_points_per_mj;
    return s->prediction.accuracy - (latency > 0 ? latency * cost[TL_COST_LATENCY] : 0) -
           (energy > 0 ? energy * cost[TL_COST_ENERGY] : 0);
}

static double gain_of(
    const tl_problem *problem, const tl_scored *s, const double *cost, double best)
{
    const double limit[TL_N_COSTS] = {
        problem->limits.max_latency_ms, problem->limits.max_energy_mj};
    for (int c = 0; c < TL_N_COSTS; c++) {
        if (cost[c] > limit[c]) { /* false where there is no limit */
            return 0;
        }
    }
    double over = drawn_value(problem, s, cost) - best;
    return over > 0 ? over * accuracy_share(problem, &s->prediction) : 0;
}

/* gains [N_DRAWS, n] of the designs of list. */
static tl_err draw_gains(
    tl_problem *problem,
    const tl_propose_options *options,
    const tl_shortlist *list,
    double best,
    tl_rng *rng,
    tl_dmat gains)
{
    tl_dmat draws[TL_N_COSTS] = {{0}};
    tl_err err = TL_OK;
    for (int c = 0; c < TL_N_COSTS && err == TL_OK; c++) {
        if (tl_problem_asks(problem, (tl_cost)c) &&
            (err = tl_dmat_init(&draws[c], N_DRAWS, list->n)) == TL_OK) {
            err = options->draw(
                problem->context, (tl_cost)c, list->designs, list->n, rng, draws[c]);
        }
    }
    for (int t = 0; t < N_DRAWS && err == TL_OK; t++) {
        for (int i = 0; i < list->n; i++) {
            double cost[TL_N_COSTS];
            for (int c = 0; c < TL_N_COSTS; c++) {
                cost[c] = draws[c].data != NULL ? tl_dmat_row(draws[c], t)[i] : TL_UNKNOWN;
            }
            tl_dmat_row(gains, t)[i] = gain_of(problem, &list->scores[i], cost, best);
        }
    }
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_dmat_done(&draws[c]);
    }
    return err;
}

/* The design that adds most to the best of each draw so far; -1 when none adds anything. */
static int most_added(tl_dmat gains, const double *so_far, double *added)
{
    int best = -1;
    memset(added, 0, (size_t)gains.cols * sizeof *added);
    for (int t = 0; t < gains.rows; t++) {
        const double *row = tl_dmat_row(gains, t);
        for (int i = 0; i < gains.cols; i++) {
            added[i] += row[i] > so_far[t] ? row[i] - so_far[t] : 0;
        }
    }
    for (int i = 0; i < gains.cols; i++) {
        if (added[i] > 0 && (best < 0 || added[i] > added[best])) {
            best = i;
        }
    }
    return best;
}

/*
 * Moves the batch to the front of order [n]. What adds nothing any more keeps the
 * order of its own expected improvement.
 */
static tl_err choose_batch(tl_dmat gains, int count, int *order)
{
    int n = gains.cols;
    double *so_far = tl_mem_new((size_t)gains.rows + (size_t)n, sizeof *so_far);
    if (so_far == NULL) {
        return tl_fail(TL_ENOMEM, "a batch of %d designs", count);
    }
    for (int k = 0; k < count; k++) {
        int best = most_added(gains, so_far, so_far + gains.rows);
        if (best < 0) {
            break;
        }
        for (int t = 0; t < gains.rows; t++) {
            so_far[t] = fmax(so_far[t], tl_dmat_row(gains, t)[best]);
        }
        int place = k;
        while (order[place] != best) {
            place++;
        }
        memmove(order + k + 1, order + k, (size_t)(place - k) * sizeof *order);
        order[k] = best;
    }
    tl_mem_free(so_far);
    return TL_OK;
}

/* list [n] in the given order, cut after count designs. */
static tl_err reorder(const tl_shortlist *from, const int *order, int count, tl_shortlist *out)
{
    size_t n_slots = (size_t)from->n_slots;
    TL_TRY(tl_shortlist_init(out, from->n_slots, count));
    for (; out->n < count && out->n < from->n; out->n++) {
        size_t row = (size_t)order[out->n];
        memcpy(
            out->designs + (size_t)out->n * n_slots, from->designs + row * n_slots,
            n_slots * sizeof *from->designs);
        out->scores[out->n] = from->scores[row];
    }
    return TL_OK;
}

static tl_err choose(
    tl_problem *problem,
    const tl_propose_options *options,
    const tl_shortlist *list,
    double best,
    tl_rng *rng,
    tl_shortlist *out_list)
{
    tl_dmat gains = {0};
    tl_err err = TL_OK;
    int *order = tl_mem_new((size_t)list->n, sizeof *order);
    if (order == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", list->n);
    }
    for (int i = 0; i < list->n; i++) {
        order[i] = i;
    }
    if (!options->is_one_by_one && list->n > 0 &&
        ((err = tl_dmat_init(&gains, N_DRAWS, list->n)) != TL_OK ||
         (err = draw_gains(problem, options, list, best, rng, gains)) != TL_OK ||
         (err = choose_batch(gains, options->count, order)) != TL_OK)) {
        goto done;
    }
    err = reorder(list, order, options->count, out_list);
done:
    tl_dmat_done(&gains);
    tl_mem_free(order);
    return err;
}

static tl_err check(const tl_problem *problem, const tl_propose_options *options)
{
    TL_TRY(tl_problem_check(problem));
    if (options->count < 1 || options->count > TL_PROPOSE_MAX) {
        return tl_fail(
            TL_EINVAL, "propose: got %d, want 1 to %d designs", options->count,
            (int)TL_PROPOSE_MAX);
    }
    if (!tl_problem_asks(problem, TL_COST_LATENCY) &&
        !tl_problem_asks(problem, TL_COST_ENERGY)) {
        return tl_fail(
            TL_EINVAL, "propose: neither latency nor energy is limited or minimized, so "
                       "there is nothing to measure");
    }
    return TL_OK;
}

tl_err tl_propose(
    tl_problem *problem, const tl_propose_options *options, tl_shortlist *out_list)
{
    candidates c = {0};
    tl_shortlist list = {0};
    double best = 0;
    tl_rng rng;
    TL_TRY(check(problem, options));
    tl_rng_init(&rng, options->search.seed);
    tl_err err = TL_OK;
    if ((err = find_candidates(problem, options, &rng, &c)) != TL_OK ||
        (err = value_to_beat(problem, options->measured, &c, &best)) != TL_OK ||
        (err = tl_shortlist_init(&list, tl_space_n_slots(problem->space), TL_PROPOSE_MAX)) !=
            TL_OK ||
        (err = keep_promising(problem, options->measured, &c, best, &list)) != TL_OK) {
        goto done;
    }
    err = choose(problem, options, &list, best, &rng, out_list);
done:
    candidates_done(&c);
    tl_shortlist_done(&list);
    return err;
}
