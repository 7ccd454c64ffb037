/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "optimizer/search.h"

#include <stdlib.h>

enum {
    SORT_SHARE = 64
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

static tl_err score_all(
    tl_problem *problem, const tl_choice *designs, int n, tl_shortlist *list)
{
    tl_scored *scores = tl_mem_new((size_t)n, sizeof *scores);
    if (scores == NULL) {
        return tl_fail(TL_ENOMEM, "scores of %d designs", n);
    }
    tl_err err = tl_problem_score(problem, designs, n, scores);
    if (err == TL_OK) {
        err = keep_best(designs, scores, n, list);
    }
    tl_mem_free(scores);
    return err;
}

static tl_err run(tl_problem *problem, const tl_search_options *options, tl_shortlist *list)
{
    (void)options;
    if (problem->listing != NULL) {
        return score_all(problem, problem->listing, problem->n_listing, list);
    }
    tl_choice *designs = NULL;
    int n = 0;
    TL_TRY(tl_space_enumerate(problem->space, TL_SEARCH_LISTABLE, &designs, &n));
    tl_err err = score_all(problem, designs, n, list);
    tl_mem_free(designs);
    return err;
}

const tl_search tl_search_exhaustive = {
    .name = "exhaustive",
    .summary = "every design of the space: exact, for spaces that can be listed",
    .run = run,
};
