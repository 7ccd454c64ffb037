/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/search.h"

#include "base/clock.h"
#include "base/mem.h"
#include "optimizer/optimizer.h"

#include <string.h>

static const tl_search *const searches[] = {
    &tl_search_exhaustive, &tl_search_neural, &tl_search_evolutionary,
    &tl_search_reinforce,  &tl_search_galen,  &tl_search_random,
};

const tl_search *tl_search_find(const char *name)
{
    for (size_t i = 0; i < TL_COUNT(searches); i++) {
        if (strcmp(searches[i]->name, name) == 0) {
            return searches[i];
        }
    }
    return NULL;
}

void tl_search_add_names(tl_text *text)
{
    for (size_t i = 0; i < TL_COUNT(searches); i++) {
        bool is_last = i + 1 == TL_COUNT(searches);
        tl_text_add(text, i == 0 ? "" : is_last ? " or " : ", ");
        tl_text_add(text, searches[i]->name);
    }
}

const tl_search *tl_search_default(const tl_problem *problem, const tl_search_options *options)
{
    if (tl_space_size_with(problem->space, problem->freedom) <= TL_SEARCH_LISTABLE) {
        return &tl_search_exhaustive;
    }
    bool can = options->optimizer != NULL && tl_optimizer_can(options->optimizer, problem);
    return can ? &tl_search_neural : &tl_search_evolutionary;
}

bool tl_search_is_late(const tl_search_options *options)
{
    return options->deadline_ns != 0 && tl_clock_ns() >= options->deadline_ns;
}

tl_err tl_shortlist_init(tl_shortlist *list, int n_slots, int capacity)
{
    tl_shortlist fresh = {.capacity = capacity, .n_slots = n_slots};
    fresh.designs = tl_mem_new((size_t)capacity * (size_t)n_slots, sizeof *fresh.designs);
    fresh.scores = tl_mem_new((size_t)capacity, sizeof *fresh.scores);
    if (fresh.designs == NULL || fresh.scores == NULL) {
        tl_shortlist_done(&fresh);
        return tl_fail(TL_ENOMEM, "a shortlist of %d designs", capacity);
    }
    *list = fresh;
    return TL_OK;
}

void tl_shortlist_done(tl_shortlist *list)
{
    tl_mem_free(list->designs);
    tl_mem_free(list->scores);
    *list = (tl_shortlist){0};
}

static tl_choice *design_at(const tl_shortlist *list, int i)
{
    return list->designs + (size_t)i * (size_t)list->n_slots;
}

static size_t design_bytes(const tl_shortlist *list)
{
    return (size_t)list->n_slots * sizeof *list->designs;
}

/* The first place whose score is worse than this one: equal scores keep their order. */
static int place_of(const tl_shortlist *list, const tl_scored *score)
{
    int low = 0;
    int high = list->n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (tl_scored_compare(&list->scores[middle], score) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Equal designs have equal scores, so only the run of equal scores before place is looked at. */
static bool holds_already(
    const tl_shortlist *list, int place, const tl_choice *design, const tl_scored *score)
{
    for (int i = place - 1; i >= 0 && tl_scored_compare(&list->scores[i], score) == 0; i--) {
        if (memcmp(design_at(list, i), design, design_bytes(list)) == 0) {
            return true;
        }
    }
    return false;
}

static void offer_one(tl_shortlist *list, const tl_choice *design, const tl_scored *score)
{
    int place = place_of(list, score);
    if (place >= list->capacity || holds_already(list, place, design, score)) {
        return;
    }
    int n_after = (list->n < list->capacity ? list->n : list->capacity - 1) - place;
    memmove(
        design_at(list, place + 1), design_at(list, place),
        (size_t)n_after * design_bytes(list));
    memmove(&list->scores[place + 1], &list->scores[place], (size_t)n_after * sizeof *score);
    memcpy(design_at(list, place), design, design_bytes(list));
    list->scores[place] = *score;
    if (list->n < list->capacity) {
        list->n++;
    }
}

void tl_shortlist_offer(
    tl_shortlist *list, const tl_choice *designs, const tl_scored *scores, int n)
{
    for (int i = 0; i < n; i++) {
        offer_one(list, designs + (size_t)i * (size_t)list->n_slots, &scores[i]);
    }
}

tl_err tl_search_run(
    const tl_search *search,
    tl_problem *problem,
    const tl_search_options *options,
    tl_shortlist *out_list)
{
    TL_TRY(tl_problem_check(problem));
    tl_shortlist list = {0};
    int n_best = options->n_best > 0 ? options->n_best : 1;
    TL_TRY(tl_shortlist_init(&list, tl_space_n_slots(problem->space), n_best));
    tl_err err = search->run(problem, options, &list);
    if (err != TL_OK) {
        tl_shortlist_done(&list);
        return err;
    }
    *out_list = list;
    return TL_OK;
}
