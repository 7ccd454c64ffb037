/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/fleet.h"

#include "base/mem.h"
#include "base/units.h"
#include "predictors/ranked.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK = 512,       /* designs at a time */
    MOST_NEAREST = 64, /* designs that may be the nearest one, of a device */
    WALKED = 2048, /* designs that a walk looks at; beyond that a search of all is cheaper */
    WALKED_AT_ONCE = 64
};

static const float roughness = 5e-4F; /* more than logs are wrong by (ranked.h) */
static const double least_confidence = 1e-6;

/* ---- one device ---------------------------------------------------------------------------- */

/* A device whose design is looked for. */
typedef struct seeker {
    tl_fleet_case *asked;
    bool has_limit[TL_N_COSTS];
    float bound[TL_N_COSTS]; /* of the log cost; infinite: none */
    int next;                /* the first rank that was not looked at */
    bool is_done;
    bool keeps_nearest; /* one limit alone: the cheapest design is the nearest */
    bool is_crowded;    /* too many of them */
    float least;        /* rough log of the cheapest */
    int nearest[MOST_NEAREST];
    int n_nearest;
} seeker;

/*
 * The limit holds with confidence where limit - mean >= z spread mean. Costs without a
 * limit have an infinite bound.
 */
static float bound_of(double limit, double z, double spread)
{
    double share = 1 + z * spread;
    return isnan(limit) || share <= 0 ? HUGE_VALF : (float)log(limit / share);
}

static void set_bounds(const tl_ranked_devices *devices, int i, seeker *s)
{
    const tl_problem *problem = s->asked->problem;
    const tl_limits *limits = &problem->limits;
    const double limit[TL_N_COSTS] = {
        [TL_COST_LATENCY] = limits->max_latency_ms, [TL_COST_ENERGY] = limits->max_energy_mj};
    const tl_confidence *curves[TL_N_COSTS] = {
        [TL_COST_LATENCY] = &problem->latency_confidence,
        [TL_COST_ENERGY] = &problem->energy_confidence};
    int n_limits = !isnan(limits->min_accuracy);
    for (int c = 0; c < TL_N_COSTS; c++) {
        double z = tl_confidence_margin(curves[c], limits->confidence);
        s->has_limit[c] = !isnan(limit[c]);
        s->bound[c] = bound_of(limit[c], z, tl_ranked_spread(s->asked->view, (tl_cost)c));
        n_limits += s->has_limit[c];
    }
    s->least = HUGE_VALF;
    s->keeps_nearest = n_limits == 1 && isnan(limits->min_accuracy) && !devices->is_least[i];
}

/* Predictions of ranks, as the whole listing's are. */
typedef struct asking {
    const tl_ranked *ranked;
    tl_view *view;
    const tl_measured *measured; /* NULL: nothing */
    int n_slots;
    const int *ranks;
} asking;

static tl_err predict(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    const asking *a = context;
    int places[MOST_NEAREST] = {0};
    TL_ASSERT(n <= MOST_NEAREST);
    for (int i = 0; i < n; i++) {
        places[i] = a->ranked->places[a->ranks[i]];
        out[i].accuracy = a->ranked->accuracy[a->ranks[i]];
        out[i].accuracy_std = a->ranked->accuracy_std[a->ranks[i]];
    }
    TL_TRY(tl_view_predict_listed(a->view, places, n, out));
    for (int i = 0; a->measured != NULL && i < n; i++) {
        designs = a->ranked->designs + (ptrdiff_t)a->ranks[i] * a->n_slots;
        tl_measured_apply(a->measured, designs, 1, a->n_slots, &out[i]);
    }
    return TL_OK;
}

/* What a search over the listing keeps: the better, of equals the first one listed. */
static void offer(
    const tl_ranked *ranked,
    const int *ranks,
    const tl_scored *scores,
    int n,
    seeker *s,
    int *best)
{
    for (int i = 0; i < n; i++) {
        int order = *best < 0 ? -1 : tl_scored_compare(&scores[i], &s->asked->score);
        if (order < 0 || (order == 0 && ranked->places[ranks[i]] < ranked->places[*best])) {
            *best = ranks[i];
            s->asked->score = scores[i];
        }
    }
}

/* The best of these ranks, judged exactly, into the case; *best: that of earlier ones, or -1. */
static tl_err judge(const tl_ranked *ranked, const int *ranks, int n, seeker *s, int *best)
{
    tl_scored scores[MOST_NEAREST];
    tl_problem problem = *s->asked->problem;
    asking a = {
        .ranked = ranked,
        .view = s->asked->view,
        .measured = s->asked->measured,
        .n_slots = tl_space_n_slots(problem.space)};
    problem.predict = predict;
    problem.interrupt = NULL;
    problem.context = &a;
    for (int begin = 0; begin < n; begin += MOST_NEAREST) {
        int count = n - begin < MOST_NEAREST ? n - begin : MOST_NEAREST;
        a.ranks = ranks + begin;
        TL_TRY(tl_problem_score(&problem, NULL, count, scores));
        offer(ranked, a.ranks, scores, count, s, best);
    }
    return TL_OK;
}

static void settle(const tl_ranked *ranked, int rank, int n_slots, seeker *s)
{
    s->asked->is_solved = true;
    s->asked->design = ranked->designs + (ptrdiff_t)rank * n_slots;
    s->is_done = true;
}

/* ---- a block of designs -------------------------------------------------------------------- */

typedef struct hunt {
    const tl_ranked *ranked;
    int n_slots;
    seeker *seekers; /* [n] */
    int n;
    tl_ranked_devices devices;
    tl_ranked_room room;
    tl_mat logs[TL_N_COSTS]; /* [n, BLOCK] of latency, and of energy over it */
    int *wanted;             /* [n]: seekers that are not done */
    int *equals;             /* [ranked->n]: scratch */
} hunt;

static bool may_hold(const seeker *s, const float *latency, const float *energy, int k)
{
    return latency[k] <= s->bound[TL_COST_LATENCY] + roughness &&
           (!s->has_limit[TL_COST_ENERGY] ||
            latency[k] + energy[k] <= s->bound[TL_COST_ENERGY] + roughness);
}

/* Whether anything of the block can matter, in one quick look: most blocks have nothing. */
static bool is_worth_a_look(
    const seeker *s, const float *restrict latency, const float *restrict energy, int n)
{
    int n_found = 0;
    bool is_energy = s->keeps_nearest && s->has_limit[TL_COST_ENERGY];
    float bound = is_energy ? s->bound[TL_COST_ENERGY] : s->bound[TL_COST_LATENCY];
    bound = s->keeps_nearest && s->least > bound ? s->least : bound;
    bound += roughness;
    for (int k = 0; k < n && !is_energy; k++) {
        n_found += latency[k] <= bound;
    }
    for (int k = 0; k < n && is_energy; k++) {
        n_found += latency[k] + energy[k] <= bound;
    }
    return n_found > 0;
}

static void keep_nearest(seeker *s, const float *latency, const float *energy, int n, int begin)
{
    bool is_energy = s->has_limit[TL_COST_ENERGY];
    for (int k = 0; k < n; k++) {
        float log = latency[k] + (is_energy ? energy[k] : 0);
        if (log > s->least + roughness) {
            continue;
        }
        if (log < s->least - roughness) {
            s->n_nearest = 0;
            s->is_crowded = false;
        }
        s->least = log < s->least ? log : s->least;
        if (s->n_nearest < MOST_NEAREST) {
            s->nearest[s->n_nearest++] = begin + k;
        } else {
            s->is_crowded = true;
        }
    }
}

/*
 * Of the run of equal accuracy that begins at rank, those that may hold: *out_end is behind
 * the run. Of what lies beyond the block nothing is known, and all is taken.
 */
static int take_equals(
    const hunt *h,
    const seeker *s,
    const float *latency,
    const float *energy,
    int rank,
    int begin,
    int end)
{
    int n = 0;
    for (int k = rank; k < h->ranked->same_end[rank]; k++) {
        if (k >= end || may_hold(s, latency, energy, k - begin)) {
            h->equals[n++] = k;
        }
    }
    return n;
}

static tl_err look(hunt *h, seeker *s, int row, int begin, int end)
{
    const float *latency = tl_mat_row(h->logs[TL_COST_LATENCY], row);
    const float *energy = tl_mat_row(h->logs[TL_COST_ENERGY], row);
    int rank = s->next > begin ? s->next : begin;
    if (!is_worth_a_look(s, latency, energy, end - begin)) {
        return TL_OK;
    }
    while (rank < end) {
        if (!may_hold(s, latency, energy, rank - begin)) {
            rank++;
            continue;
        }
        int best = -1;
        int n = take_equals(h, s, latency, energy, rank, begin, end);
        TL_TRY(judge(h->ranked, h->equals, n, s, &best));
        if (tl_scored_is_feasible(&s->asked->score)) {
            settle(h->ranked, best, h->n_slots, s);
            return TL_OK;
        }
        rank = h->ranked->same_end[rank];
    }
    s->next = rank;
    if (s->keeps_nearest) {
        keep_nearest(s, latency, energy, end - begin, begin);
    }
    return TL_OK;
}

/* Nobody has found anything in all blocks: the nearest design, where it is known. */
static tl_err settle_nearest(hunt *h)
{
    for (int i = 0; i < h->n; i++) {
        seeker *s = &h->seekers[i];
        int best = -1;
        if (s->is_done || !s->keeps_nearest || s->is_crowded || s->n_nearest == 0) {
            continue;
        }
        TL_TRY(judge(h->ranked, s->nearest, s->n_nearest, s, &best));
        settle(h->ranked, best, h->n_slots, s);
    }
    return TL_OK;
}

/* Those that are not done, first those with a limit of energy: *out_n_energy of them. */
static int find_wanted(const hunt *h, int *out_n_energy)
{
    int n = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < h->n; i++) {
            const seeker *s = &h->seekers[i];
            if (!s->is_done && s->has_limit[TL_COST_ENERGY] == (pass == 0)) {
                h->wanted[n++] = i;
            }
        }
        *out_n_energy = pass == 0 ? n : *out_n_energy;
    }
    return n;
}

static tl_err search_block(hunt *h, int begin, int end, int n_wanted, int n_energy)
{
    tl_mat latency = tl_mat_cols(tl_mat_rows(h->logs[0], 0, n_wanted), 0, end - begin);
    tl_mat energy = tl_mat_cols(tl_mat_rows(h->logs[1], 0, n_energy), 0, end - begin);
    tl_ranked_logs(
        h->ranked, &h->devices, h->wanted, n_wanted, (tl_ranks){begin, end}, TL_COST_LATENCY,
        &h->room, latency);
    if (n_energy > 0) {
        tl_ranked_logs(
            h->ranked, &h->devices, h->wanted, n_energy, (tl_ranks){begin, end}, TL_COST_ENERGY,
            &h->room, energy);
    }
    for (int i = 0; i < n_wanted; i++) {
        TL_TRY(look(h, &h->seekers[h->wanted[i]], i, begin, end));
    }
    return TL_OK;
}

static tl_err search_all(hunt *h)
{
    int n_energy = 0;
    int n_wanted = find_wanted(h, &n_energy);
    for (int begin = 0; begin < h->ranked->n && n_wanted > 0; begin += BLOCK) {
        int end = h->ranked->n - begin < BLOCK ? h->ranked->n : begin + BLOCK;
        const tl_problem *any = h->seekers[h->wanted[0]].asked->problem;
        if (any->interrupt != NULL) {
            TL_TRY(any->interrupt(any->context));
        }
        TL_TRY(search_block(h, begin, end, n_wanted, n_energy));
        n_wanted = find_wanted(h, &n_energy);
    }
    return settle_nearest(h);
}

/* ---- all cases ----------------------------------------------------------------------------- */

static void hunt_done(hunt *h)
{
    tl_ranked_devices_done(&h->devices);
    tl_ranked_room_done(&h->room);
    tl_mat_done(&h->logs[TL_COST_LATENCY]);
    tl_mat_done(&h->logs[TL_COST_ENERGY]);
    tl_mem_free(h->wanted);
    tl_mem_free(h->equals);
}

static tl_err hunt_init(hunt *h)
{
    size_t n = (size_t)h->n;
    tl_err err = TL_OK;
    tl_view **views = tl_mem_new(n, sizeof(tl_view *));
    h->wanted = tl_mem_new(n, sizeof *h->wanted);
    h->equals = tl_mem_new((size_t)h->ranked->n, sizeof *h->equals);
    if (views == NULL || h->wanted == NULL || h->equals == NULL) {
        err = tl_fail(TL_ENOMEM, "%zu devices", n);
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        views[i] = h->seekers[i].asked->view;
    }
    if ((err = tl_mat_init(&h->logs[TL_COST_LATENCY], h->n, BLOCK)) != TL_OK ||
        (err = tl_mat_init(&h->logs[TL_COST_ENERGY], h->n, BLOCK)) != TL_OK ||
        (err = tl_ranked_room_init(h->ranked, h->n, BLOCK, &h->room)) != TL_OK ||
        (err = tl_ranked_devices_init(h->ranked, views, h->n, &h->devices)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < h->n; i++) {
        set_bounds(&h->devices, i, &h->seekers[i]);
    }
done:
    tl_mem_free(views);
    return err;
}

static tl_err solve_task(tl_predictor *predictor, const char *task, tl_fleet_case *cases, int n)
{
    tl_err err = TL_OK;
    hunt h = {.n_slots = tl_space_n_slots(tl_predictor_space(predictor))};
    h.seekers = tl_mem_new((size_t)n, sizeof *h.seekers);
    if (h.seekers == NULL) {
        return tl_fail(TL_ENOMEM, "%d devices", n);
    }
    for (int i = 0; i < n; i++) {
        const tl_problem *problem = cases[i].problem;
        if (tl_fleet_takes(cases[i].view, problem) && strcmp(problem->task, task) == 0) {
            h.seekers[h.n++].asked = &cases[i];
        }
    }
    if ((err = tl_predictor_ranked(predictor, task, &h.ranked)) == TL_OK &&
        (err = hunt_init(&h)) == TL_OK) {
        err = search_all(&h);
    }
    hunt_done(&h);
    tl_mem_free(h.seekers);
    return err;
}

static bool is_weighted(const tl_weights *weights)
{
    return weights->latency_points_per_ms > 0 || weights->energy_points_per_mj > 0;
}

/* Accuracy of a listed space under limits: the first of the ranking that keeps them. */
static bool is_plain(const tl_problem *problem)
{
    return problem->objective == TL_MAXIMIZE_ACCURACY && !is_weighted(&problem->weights) &&
           problem->task != NULL && problem->listing != NULL &&
           problem->freedom == TL_FREE_ARCHITECTURE;
}

bool tl_fleet_takes(const tl_view *view, const tl_problem *problem)
{
    const tl_limits *limits = &problem->limits;
    return is_plain(problem) && limits->confidence >= least_confidence &&
           limits->confidence <= 1 - least_confidence &&
           problem->latency_confidence.unit.relative <= 0 &&
           problem->energy_confidence.unit.relative <= 0 &&
           tl_ranked_can(view, TL_COST_LATENCY) &&
           (isnan(limits->max_energy_mj) || tl_ranked_can(view, TL_COST_ENERGY));
}

/* Tasks are few: those before the first case of one have none of it. */
static bool is_first_of_task(const tl_fleet_case *cases, int i)
{
    for (int k = 0; k < i; k++) {
        if (tl_fleet_takes(cases[k].view, cases[k].problem) &&
            strcmp(cases[k].problem->task, cases[i].problem->task) == 0) {
            return false;
        }
    }
    return tl_fleet_takes(cases[i].view, cases[i].problem);
}

tl_err tl_fleet_solve(tl_predictor *predictor, tl_fleet_case *cases, int n)
{
    for (int i = 0; i < n; i++) {
        cases[i].is_solved = false;
        cases[i].design = NULL;
    }
    for (int i = 0; i < n; i++) {
        if (is_first_of_task(cases, i)) {
            TL_TRY(solve_task(predictor, cases[i].problem->task, cases, n));
        }
    }
    return TL_OK;
}

/* Ranks from begin on, at least so many as are looked at at once, to the end of equal ones. */
static int end_of(const tl_ranked *ranked, int begin)
{
    int last = begin + WALKED_AT_ONCE < ranked->n ? begin + WALKED_AT_ONCE - 1 : ranked->n - 1;
    return ranked->same_end[last];
}

tl_err tl_fleet_walk(tl_predictor *predictor, tl_fleet_case *c)
{
    const tl_ranked *ranked = NULL;
    const tl_problem *problem = c->problem;
    seeker s = {.asked = c};
    tl_err err = TL_OK;
    c->is_solved = false;
    c->design = NULL;
    if (!is_plain(problem)) {
        return TL_OK;
    }
    TL_TRY(tl_predictor_ranked(predictor, problem->task, &ranked));
    int *ranks = tl_mem_new((size_t)ranked->n, sizeof *ranks);
    if (ranks == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", ranked->n);
    }
    for (int i = 0; i < ranked->n; i++) {
        ranks[i] = i;
    }
    for (int begin = 0, end = 0; end < ranked->n && err == TL_OK && !s.is_done; begin = end) {
        int best = -1;
        end = end_of(ranked, begin);
        if (end > WALKED) {
            break;
        }
        if (problem->interrupt != NULL) {
            err = problem->interrupt(problem->context);
        }
        if (err == TL_OK &&
            (err = judge(ranked, ranks + begin, end - begin, &s, &best)) == TL_OK &&
            tl_scored_is_feasible(&c->score)) {
            settle(ranked, best, tl_space_n_slots(problem->space), &s);
        }
    }
    tl_mem_free(ranks);
    return err;
}
