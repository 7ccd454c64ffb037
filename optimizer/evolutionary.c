/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "optimizer/breed.h"
#include "optimizer/search.h"

#include <string.h>

/*
 * Evolution: each generation mutates and crosses tournament winners, and is predicted
 * in one batch, which is what the predictors are fast at. Two ways to choose who lives on:
 *
 *     by generations   the best POPULATION designs ever seen are the parents
 *     ageing           the newest are; a generation is a tenth of the population, a child
 *                      the tournament's winner with one slot changed (regularized evolution)
 *
 * The first population is drawn by chance and counts among the evaluations.
 */
enum {
    POPULATION = 100,
    GENERATION_PERCENT = 250, /* of the population */
    AGEING_PERCENT = 10,
    TOURNAMENT = 8,
    AGEING_TOURNAMENT = 10,
    MAX_MUTATIONS = 3,
    DEFAULT_EVALUATIONS = 5100
};

typedef struct evolution {
    tl_problem *problem;
    const tl_search_options *options;
    tl_rng rng;
    int population, generation;
    tl_shortlist parents; /* by generations: sorted */
    tl_choice *living;    /* ageing: [population, n_slots], a ring */
    tl_scored *fitness;   /* ageing: [population] */
    int n_living, oldest;
    tl_choice *children; /* [max(population, generation), n_slots] */
    tl_scored *scores;
    size_t n_slots;
} evolution;

static tl_choice *child_at(const evolution *e, int i)
{
    return e->children + (size_t)i * e->n_slots;
}

static const tl_choice *living_at(const evolution *e, int i)
{
    return e->living + (size_t)i * e->n_slots;
}

/* The best of a few drawn parents; the shortlist is sorted, so that is the least index. */
static const tl_choice *win_tournament(evolution *e)
{
    uint64_t best = (uint64_t)e->parents.n;
    for (int i = 0; i < TOURNAMENT; i++) {
        uint64_t drawn = tl_rng_below(&e->rng, (uint64_t)e->parents.n);
        best = drawn < best ? drawn : best;
    }
    return e->parents.designs + best * e->n_slots;
}

static const tl_choice *win_among_living(evolution *e)
{
    int best = (int)tl_rng_below(&e->rng, (uint64_t)e->n_living);
    for (int i = 1; i < AGEING_TOURNAMENT; i++) {
        int drawn = (int)tl_rng_below(&e->rng, (uint64_t)e->n_living);
        if (tl_scored_compare(&e->fitness[drawn], &e->fitness[best]) < 0) {
            best = drawn;
        }
    }
    return living_at(e, best);
}

static void breed(evolution *e, tl_choice *child)
{
    int n_mutations = 1;
    if (e->options->is_ageing) {
        memcpy(child, win_among_living(e), e->n_slots * sizeof *child);
    } else {
        const tl_choice *parent = win_tournament(e);
        if (tl_rng_below(&e->rng, 2) == 0) {
            tl_breed_cross(e->problem, &e->rng, parent, win_tournament(e), child);
        } else {
            memcpy(child, parent, e->n_slots * sizeof *child);
        }
        n_mutations += (int)tl_rng_below(&e->rng, MAX_MUTATIONS);
    }
    for (int i = 0; i < n_mutations; i++) {
        tl_space_mutate_with(e->problem->space, e->problem->freedom, &e->rng, child);
    }
}

/* Each takes the place of the oldest, once there are as many as may live. */
static void age(evolution *e, int n)
{
    for (int i = 0; i < n; i++) {
        int place = e->n_living < e->population ? e->n_living++ : e->oldest;
        memcpy(
            e->living + (size_t)place * e->n_slots, child_at(e, i),
            e->n_slots * sizeof *e->living);
        e->fitness[place] = e->scores[i];
        e->oldest = (place + 1) % e->population;
    }
}

static tl_err step(evolution *e, bool is_first, int n, tl_shortlist *list)
{
    for (int i = 0; i < n; i++) {
        if (is_first) {
            tl_space_sample_with(
                e->problem->space, e->problem->freedom, &e->rng, child_at(e, i));
        } else {
            breed(e, child_at(e, i));
        }
    }
    TL_TRY(tl_problem_score(e->problem, e->children, n, e->scores));
    if (e->options->is_ageing) {
        age(e, n);
    } else {
        tl_shortlist_offer(&e->parents, e->children, e->scores, n);
    }
    tl_shortlist_offer(list, e->children, e->scores, n);
    return TL_OK;
}

static tl_err evolution_init(
    evolution *e, tl_problem *problem, const tl_search_options *options, int n_slots)
{
    *e = (evolution){.problem = problem, .options = options, .n_slots = (size_t)n_slots};
    tl_rng_init(&e->rng, options->seed);
    e->population = options->population > 0 ? options->population : POPULATION;
    int percent = options->is_ageing ? AGEING_PERCENT : GENERATION_PERCENT;
    e->generation = (e->population * percent + 99) / 100;
    size_t most = (size_t)(e->generation > e->population ? e->generation : e->population);
    size_t n_parents = (size_t)e->population;
    TL_TRY(tl_shortlist_init(&e->parents, n_slots, e->population));
    e->living = tl_mem_new(n_parents * e->n_slots, sizeof *e->living);
    e->fitness = tl_mem_new(n_parents, sizeof *e->fitness);
    e->children = tl_mem_new(most * e->n_slots, sizeof *e->children);
    e->scores = tl_mem_new(most, sizeof *e->scores);
    if (e->living == NULL || e->fitness == NULL || e->children == NULL || e->scores == NULL) {
        return tl_fail(TL_ENOMEM, "a population of %d designs", e->population);
    }
    return TL_OK;
}

static void evolution_done(evolution *e)
{
    tl_shortlist_done(&e->parents);
    tl_mem_free(e->living);
    tl_mem_free(e->fitness);
    tl_mem_free(e->children);
    tl_mem_free(e->scores);
}

static tl_err run(tl_problem *problem, const tl_search_options *options, tl_shortlist *list)
{
    evolution e;
    tl_err err = evolution_init(&e, problem, options, list->n_slots);
    if (err != TL_OK) {
        goto done;
    }
    int left = options->n_evaluations > 0 ? options->n_evaluations : DEFAULT_EVALUATIONS;
    for (bool is_first = true; left > 0; is_first = false) {
        int most = is_first ? e.population : e.generation;
        int n = left < most ? left : most;
        if ((err = step(&e, is_first, n, list)) != TL_OK) {
            goto done;
        }
        left = tl_search_is_late(options) ? 0 : left - n;
    }
done:
    evolution_done(&e);
    return err;
}

const tl_search tl_search_evolutionary = {
    .name = "evolutionary",
    .summary = "generations of mutated and crossed winners, population 100, 5,100 evaluations",
    .run = run,
};
