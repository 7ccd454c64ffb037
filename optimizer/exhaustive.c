/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "optimizer/search.h"

#include <stdlib.h>
#include <string.h>

enum {
    SORT_SHARE = 64,
    BATCH = 4096,     /* scored at once, so that a request can be given up */
    LATE_BATCH = 1024 /* under a deadline */
};

typedef struct entry {
    const tl_scored *score;
    int idx;
} entry;

static int compare_entries(const void *a, const void *b)
{
    const entry *x = a;
    const entry *y = b;
    int order = tl_scored_compare(x->score, y->score);
    return order != 0 ? order : (x->idx > y->idx) - (x->idx < y->idx);
}

/* Sorting once beats inserting one by one when many designs are wanted, and only then. */
static tl_err keep_best(
    const tl_choice *designs, const tl_scored *scores, int n, tl_shortlist *list)
{
    if (list->capacity < n / SORT_SHARE) {
        tl_shortlist_offer(list, designs, scores, n);
        return TL_OK;
    }
    entry *order = tl_mem_new((size_t)n, sizeof *order);
    if (order == NULL) {
        return tl_fail(TL_ENOMEM, "an order of %d designs", n);
    }
    for (int i = 0; i < n; i++) {
        order[i] = (entry){.score = &scores[i], .idx = i};
    }
    qsort(order, (size_t)n, sizeof *order, compare_entries);
    for (int i = 0; i < n && i < list->capacity; i++) {
        tl_shortlist_offer(
            list, designs + (size_t)order[i].idx * (size_t)list->n_slots, order[i].score, 1);
    }
    tl_mem_free(order);
    return TL_OK;
}

/* Scores designs batch by batch until all are scored or it is late. */
static tl_err score_all(
    tl_problem *problem,
    const tl_search_options *options,
    const tl_choice *designs,
    int n,
    int batch,
    tl_shortlist *list)
{
    tl_err err = TL_OK;
    int n_scored = 0;
    size_t n_slots = (size_t)list->n_slots;
    tl_scored *scores = tl_mem_new((size_t)n, sizeof *scores);
    if (scores == NULL) {
        return tl_fail(TL_ENOMEM, "scores of %d designs", n);
    }
    while (n_scored < n && (n_scored == 0 || !tl_search_is_late(options))) {
        int n_more = n - n_scored < batch ? n - n_scored : batch;
        err = tl_problem_score(
            problem, designs + (size_t)n_scored * n_slots, n_more, scores + n_scored);
        if (err != TL_OK) {
            goto done;
        }
        n_scored += n_more;
    }
    err = keep_best(designs, scores, n_scored, list);
done:
    tl_mem_free(scores);
    return err;
}

/* The designs in an order by chance: what a deadline leaves out is then nothing in particular. */
static tl_err shuffle(
    const tl_choice *designs, int n, size_t n_slots, uint64_t seed, tl_choice **out_shuffled)
{
    tl_err err = TL_OK;
    tl_rng rng;
    tl_rng_init(&rng, seed);
    int *order = tl_mem_new((size_t)n, sizeof *order);
    tl_choice *shuffled = tl_mem_new((size_t)n * n_slots, sizeof *shuffled);
    if (order == NULL || shuffled == NULL) {
        err = tl_fail(TL_ENOMEM, "an order of %d designs", n);
        goto done;
    }
    tl_rng_permutation(&rng, n, order);
    for (int i = 0; i < n; i++) {
        memcpy(
            shuffled + (size_t)i * n_slots, designs + (size_t)order[i] * n_slots,
            n_slots * sizeof *designs);
    }
    *out_shuffled = shuffled;
    shuffled = NULL;
done:
    tl_mem_free(order);
    tl_mem_free(shuffled);
    return err;
}

static tl_err run(tl_problem *problem, const tl_search_options *options, tl_shortlist *list)
{
    tl_choice *owned = NULL;
    tl_choice *shuffled = NULL;
    bool is_listed = problem->listing != NULL && problem->freedom == TL_FREE_ARCHITECTURE;
    const tl_choice *designs = problem->listing;
    int n = problem->n_listing;
    int batch = is_listed ? n : BATCH; /* exactly the listing is cheapest to predict */
    if (!is_listed) {
        TL_TRY(tl_space_enumerate_with(
            problem->space, problem->freedom, TL_SEARCH_EXHAUSTIBLE, &owned, &n));
        designs = owned;
    }
    tl_err err = TL_OK;
    if (options->deadline_ns != 0) {
        err = shuffle(designs, n, (size_t)list->n_slots, options->seed, &shuffled);
        designs = shuffled;
        batch = LATE_BATCH;
    }
    if (err == TL_OK) {
        err = score_all(problem, options, designs, n, batch, list);
    }
    tl_mem_free(owned);
    tl_mem_free(shuffled);
    return err;
}

const tl_search tl_search_exhaustive = {
    .name = "exhaustive",
    .summary = "every design of the space: exact, for spaces that can be listed",
    .run = run,
};
