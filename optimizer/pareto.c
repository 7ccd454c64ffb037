/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/pareto.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "numerics/rng.h"
#include "optimizer/breed.h"
#include "optimizer/search.h"

#include <math.h>
#include <string.h>

enum {
    FIRST = 250, /* random designs that the archive starts from */
    GENERATION = 250,
    MAX_MUTATIONS = 3
};

static const double as_dear = 1e-6; /* costs this close, relatively, are the same */

/* ---- the front ------------------------------------------------------------------------ */

tl_err tl_front_init(tl_front *front, int n_slots, int capacity, bool by_energy)
{
    tl_front fresh = {.capacity = capacity, .n_slots = n_slots, .by_energy = by_energy};
    size_t room = (size_t)capacity + 1; /* one more than it holds: a design on its way in */
    fresh.designs = tl_mem_new(room * (size_t)n_slots, sizeof *fresh.designs);
    fresh.scores = tl_mem_new(room, sizeof *fresh.scores);
    if (fresh.designs == NULL || fresh.scores == NULL) {
        tl_front_done(&fresh);
        return tl_fail(TL_ENOMEM, "a front of %d designs", capacity);
    }
    *front = fresh;
    return TL_OK;
}

void tl_front_done(tl_front *front)
{
    tl_mem_free(front->designs);
    tl_mem_free(front->scores);
    *front = (tl_front){0};
}

static double cost_of(const tl_front *front, const tl_scored *score)
{
    return front->by_energy ? score->prediction.energy_mj : score->prediction.latency_ms;
}

double tl_front_cost(const tl_front *front, int i)
{
    return cost_of(front, &front->scores[i]);
}

static double accuracy_at(const tl_front *front, int i)
{
    return front->scores[i].prediction.accuracy;
}

static tl_choice *design_at(const tl_front *front, int i)
{
    return front->designs + (size_t)i * (size_t)front->n_slots;
}

/* Moves the designs from place `from` on to place `to`. */
static void move_tail(tl_front *front, int from, int to)
{
    size_t n = (size_t)(front->n - from);
    memmove(
        design_at(front, to), design_at(front, from),
        n * (size_t)front->n_slots * sizeof *front->designs);
    memmove(&front->scores[to], &front->scores[from], n * sizeof *front->scores);
    front->n += to - from;
}

/* What design i alone adds to the volume; the ends count as without price. */
static double volume_of(const tl_front *front, int i)
{
    if (i == 0 || i == front->n - 1) {
        return HUGE_VAL;
    }
    return (tl_front_cost(front, i + 1) - tl_front_cost(front, i)) *
           (accuracy_at(front, i) - accuracy_at(front, i - 1));
}

static void drop_least(tl_front *front)
{
    int least = 0;
    for (int i = 1; i < front->n; i++) {
        if (volume_of(front, i) < volume_of(front, least)) {
            least = i;
        }
    }
    move_tail(front, least + 1, least);
}

void tl_front_thin(tl_front *front, int n)
{
    while (front->n > n && front->n > 0) {
        drop_least(front);
    }
}

/* The first design that costs at least this much. */
static int place_of(const tl_front *front, double cost)
{
    int low = 0;
    int high = front->n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (tl_front_cost(front, middle) < cost) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void offer_one(tl_front *front, const tl_choice *design, const tl_scored *score)
{
    double cost = cost_of(front, score);
    double accuracy = score->prediction.accuracy;
    if (!tl_scored_is_feasible(score) || isnan(cost) || isnan(accuracy)) {
        return;
    }
    int place = place_of(front, cost * (1 - as_dear));
    bool is_beaten = place > 0 && accuracy_at(front, place - 1) >= accuracy;
    for (int i = place; i < front->n && tl_front_cost(front, i) <= cost * (1 + as_dear); i++) {
        is_beaten = is_beaten || accuracy_at(front, i) >= accuracy;
    }
    if (is_beaten) {
        return;
    }
    int beyond = place;
    while (beyond < front->n && accuracy_at(front, beyond) <= accuracy) {
        beyond++;
    }
    move_tail(front, beyond, place + 1);
    memcpy(design_at(front, place), design, (size_t)front->n_slots * sizeof *design);
    front->scores[place] = *score;
    if (front->n > front->capacity) {
        drop_least(front);
    }
}

void tl_front_offer(tl_front *front, const tl_choice *designs, const tl_scored *scores, int n)
{
    for (int i = 0; i < n; i++) {
        offer_one(front, designs + (size_t)i * (size_t)front->n_slots, &scores[i]);
    }
}

tl_err tl_front_lean(const tl_front *front, double lean, tl_front *out_front)
{
    tl_front leaned = {0};
    TL_TRY(tl_front_init(&leaned, front->n_slots, front->capacity, front->by_energy));
    for (int i = 0; i < front->n; i++) {
        tl_scored score = front->scores[i];
        tl_prediction *p = &score.prediction;
        p->latency_ms = fmax(p->latency_ms - lean * p->latency_std_ms, 0);
        p->energy_mj = fmax(p->energy_mj - lean * p->energy_std_mj, 0);
        p->accuracy += lean * p->accuracy_std;
        offer_one(&leaned, design_at(front, i), &score);
    }
    *out_front = leaned;
    return TL_OK;
}

double tl_front_hypervolume(const tl_front *front, tl_front_corner corner)
{
    double volume = 0;
    double reached = corner.accuracy; /* by the designs so far, which are cheaper */
    for (int i = 0; i < front->n; i++) {
        double cost = tl_front_cost(front, i);
        if (accuracy_at(front, i) > reached && cost < corner.cost) {
            volume += (corner.cost - cost) * (accuracy_at(front, i) - reached);
            reached = accuracy_at(front, i);
        }
    }
    return volume;
}

/* ---- finding it ------------------------------------------------------------------------- */

typedef struct hunt {
    tl_problem *problem;
    tl_front *front;
    tl_rng rng;
    tl_choice *children; /* [FIRST, n_slots] */
    tl_scored *scores;   /* [FIRST] */
} hunt;

/* A parent drawn evenly over the length of the front, not over its designs. */
static const tl_choice *draw_parent(hunt *h)
{
    const tl_front *front = h->front;
    double from = tl_front_cost(front, 0);
    double to = tl_front_cost(front, front->n - 1);
    int place = place_of(front, from + tl_rng_uniform(&h->rng) * (to - from));
    return design_at(front, place < front->n ? place : front->n - 1);
}

static void breed(hunt *h, tl_choice *child)
{
    const tl_choice *a = draw_parent(h);
    if (tl_rng_below(&h->rng, 2) == 0) {
        tl_breed_cross(h->problem, &h->rng, a, draw_parent(h), child);
    } else {
        memcpy(child, a, (size_t)h->front->n_slots * sizeof *child);
    }
    int n_mutations = 1 + (int)tl_rng_below(&h->rng, MAX_MUTATIONS);
    for (int i = 0; i < n_mutations; i++) {
        tl_space_mutate_with(h->problem->space, h->problem->freedom, &h->rng, child);
    }
}

static tl_err step(hunt *h, int n)
{
    bool is_first = h->front->n == 0;
    for (int i = 0; i < n; i++) {
        tl_choice *child = h->children + (size_t)i * (size_t)h->front->n_slots;
        if (is_first) {
            tl_space_sample_with(h->problem->space, h->problem->freedom, &h->rng, child);
        } else {
            breed(h, child);
        }
    }
    TL_TRY(tl_problem_score(h->problem, h->children, n, h->scores));
    tl_front_offer(h->front, h->children, h->scores, n);
    return TL_OK;
}

static bool is_late(const tl_pareto_options *options)
{
    return options->deadline_ns != 0 && tl_clock_ns() >= options->deadline_ns;
}

static tl_err hunt_archive(
    tl_problem *problem, const tl_pareto_options *options, tl_front *front)
{
    hunt h = {.problem = problem, .front = front};
    int left = options->n_evaluations > 0 ? options->n_evaluations : TL_PARETO_EVALUATIONS;
    tl_err err = TL_OK;
    tl_rng_init(&h.rng, options->seed);
    h.children = tl_mem_new(FIRST * (size_t)front->n_slots, sizeof *h.children);
    h.scores = tl_mem_new(FIRST, sizeof *h.scores);
    if (h.children == NULL || h.scores == NULL) {
        err = tl_fail(TL_ENOMEM, "a generation of %d designs", (int)FIRST);
    }
    for (int size = FIRST; left > 0 && err == TL_OK; size = GENERATION) {
        int n = left < size ? left : size;
        err = step(&h, n);
        left = is_late(options) ? 0 : left - n;
    }
    tl_mem_free(h.children);
    tl_mem_free(h.scores);
    return err;
}

static tl_err score_listing(tl_problem *problem, tl_front *front)
{
    tl_scored *scores = tl_mem_new((size_t)problem->n_listing, sizeof *scores);
    if (scores == NULL) {
        return tl_fail(TL_ENOMEM, "scores of %d designs", problem->n_listing);
    }
    tl_err err = tl_problem_score(problem, problem->listing, problem->n_listing, scores);
    if (err == TL_OK) {
        tl_front_offer(front, problem->listing, scores, problem->n_listing);
    }
    tl_mem_free(scores);
    return err;
}

tl_err tl_pareto_run(tl_problem *problem, const tl_pareto_options *options, tl_front *out_front)
{
    tl_front front = {0};
    TL_TRY(tl_problem_check(problem));
    TL_TRY(tl_front_init(
        &front, tl_space_n_slots(problem->space), TL_PARETO_CAPACITY, options->by_energy));
    front.is_exact = problem->listing != NULL && problem->freedom == TL_FREE_ARCHITECTURE &&
                     !options->is_archive;
    tl_err err = front.is_exact ? score_listing(problem, &front)
                                : hunt_archive(problem, options, &front);
    if (err != TL_OK) {
        tl_front_done(&front);
        return err;
    }
    *out_front = front;
    return TL_OK;
}

static tl_err take_best(const tl_shortlist *list, bool by_energy, tl_front *out_front)
{
    tl_front front = {0};
    TL_TRY(tl_front_init(&front, list->n_slots, 1, by_energy));
    if (list->n > 0 && tl_scored_is_feasible(&list->scores[0])) {
        memcpy(front.designs, list->designs, (size_t)list->n_slots * sizeof *front.designs);
        front.scores[0] = list->scores[0];
        front.n = 1;
    }
    *out_front = front;
    return TL_OK;
}

tl_err tl_pareto_cheapest(
    tl_problem *problem, const tl_pareto_options *options, tl_front *out_front)
{
    tl_shortlist list = {0};
    const tl_search_options wanted = {
        .n_best = 1,
        .n_evaluations = options->n_evaluations,
        .seed = options->seed,
        .deadline_ns = options->deadline_ns};
    problem->objective = options->by_energy ? TL_MINIMIZE_ENERGY : TL_MINIMIZE_LATENCY;
    const tl_search *search = tl_search_default(problem, &wanted);
    TL_TRY(tl_search_run(search, problem, &wanted, &list));
    tl_err err = take_best(&list, options->by_energy, out_front);
    tl_shortlist_done(&list);
    if (err == TL_OK) {
        out_front->is_exact = search == &tl_search_exhaustive;
    }
    return err;
}
