/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "optimizer/search.h"

#include <string.h>

/*
 * Evolution by generations: parents are the best POPULATION designs seen, each
 * generation mutates and crosses tournament winners, and the whole generation is
 * predicted in one batch, which is what the predictors are fast at.
 */
enum {
    POPULATION = 100,
    GENERATION = 250,
    TOURNAMENT = 8,
    MAX_MUTATIONS = 3,
    DEFAULT_EVALUATIONS = 10000
};

typedef struct evolution {
    tl_problem *problem;
    tl_rng rng;
    tl_shortlist parents;
    tl_choice *children; /* [GENERATION, n_slots] */
    tl_scored *scores;   /* [GENERATION] */
    size_t n_slots;
} evolution;

static tl_choice *child_at(const evolution *e, int i)
{
    return e->children + (size_t)i * e->n_slots;
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

/* Slot by slot from either parent; kept only when that is a valid design. */
static void cross(evolution *e, const tl_choice *a, const tl_choice *b, tl_choice *child)
{
    for (size_t k = 0; k < e->n_slots; k++) {
        child[k] = tl_rng_below(&e->rng, 2) == 0 ? a[k] : b[k];
    }
    if (tl_space_check(e->problem->space, child) != TL_OK) {
        memcpy(child, a, e->n_slots * sizeof *child);
    }
}

static void breed(evolution *e, tl_choice *child)
{
    const tl_choice *parent = win_tournament(e);
    if (tl_rng_below(&e->rng, 2) == 0) {
        cross(e, parent, win_tournament(e), child);
    } else {
        memcpy(child, parent, e->n_slots * sizeof *child);
    }
    int n_mutations = 1 + (int)tl_rng_below(&e->rng, MAX_MUTATIONS);
    for (int i = 0; i < n_mutations; i++) {
        tl_space_mutate(e->problem->space, &e->rng, child);
    }
}

static tl_err step(evolution *e, bool is_first, int n, tl_shortlist *list)
{
    for (int i = 0; i < n; i++) {
        if (is_first) {
            tl_space_sample(e->problem->space, &e->rng, child_at(e, i));
        } else {
            breed(e, child_at(e, i));
        }
    }
    TL_TRY(tl_problem_score(e->problem, e->children, n, e->scores));
    tl_shortlist_offer(&e->parents, e->children, e->scores, n);
    tl_shortlist_offer(list, e->children, e->scores, n);
    return TL_OK;
}

static tl_err run(tl_problem *problem, const tl_search_options *options, tl_shortlist *list)
{
    evolution e = {.problem = problem, .n_slots = (size_t)list->n_slots};
    tl_rng_init(&e.rng, options->seed);
    tl_err err = tl_shortlist_init(&e.parents, list->n_slots, POPULATION);
    if (err != TL_OK) {
        return err;
    }
    e.children = tl_mem_new(GENERATION * e.n_slots, sizeof *e.children);
    e.scores = tl_mem_new(GENERATION, sizeof *e.scores);
    if (e.children == NULL || e.scores == NULL) {
        err = tl_fail(TL_ENOMEM, "a generation of %d designs", (int)GENERATION);
        goto done;
    }
    int left = options->n_evaluations > 0 ? options->n_evaluations : DEFAULT_EVALUATIONS;
    for (bool is_first = true; left > 0; is_first = false) {
        int n = left < GENERATION ? left : GENERATION;
        if ((err = step(&e, is_first, n, list)) != TL_OK) {
            goto done;
        }
        left -= n;
    }
done:
    tl_shortlist_done(&e.parents);
    tl_mem_free(e.children);
    tl_mem_free(e.scores);
    return err;
}

const tl_search tl_search_evolutionary = {
    .name = "evolutionary",
    .summary = "generations of mutated and crossed winners, for spaces too large to list",
    .run = run,
};
