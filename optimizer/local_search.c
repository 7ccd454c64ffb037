/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/local_search.h"

#include "base/mem.h"

#include <string.h>

/* The neighbours of a design [n, n_slots] with their scores; room grows and stays. */
typedef struct surroundings {
    tl_choice *designs;
    tl_scored *scores;
    int n, room;
} surroundings;

static void surroundings_done(surroundings *around)
{
    tl_mem_free(around->designs);
    tl_mem_free(around->scores);
}

static tl_err look_around(tl_problem *problem, const tl_choice *design, surroundings *around)
{
    const tl_space *space = problem->space;
    size_t n_slots = (size_t)tl_space_n_slots(space);
    int n = tl_space_neighbours_with(space, problem->freedom, design, 0, NULL);
    if (n > around->room) {
        surroundings_done(around);
        *around = (surroundings){.room = n};
        around->designs = tl_mem_new((size_t)n * n_slots, sizeof *around->designs);
        around->scores = tl_mem_new((size_t)n, sizeof *around->scores);
        if (around->designs == NULL || around->scores == NULL) {
            return tl_fail(TL_ENOMEM, "%d neighbours of a design", n);
        }
    }
    around->n = tl_space_neighbours_with(space, problem->freedom, design, n, around->designs);
    return around->n > 0 ? tl_problem_score(problem, around->designs, around->n, around->scores)
                         : TL_OK;
}

/* The best neighbour that is better than score; -1: none. */
static int best_of(const surroundings *around, const tl_scored *score)
{
    int best = -1;
    for (int i = 0; i < around->n; i++) {
        const tl_scored *reference = best < 0 ? score : &around->scores[best];
        if (tl_scored_compare(&around->scores[i], reference) < 0) {
            best = i;
        }
    }
    return best;
}

tl_err tl_local_search(
    tl_problem *problem,
    const tl_search_options *options,
    int n_steps,
    tl_choice *design,
    tl_scored *score,
    tl_shortlist *list)
{
    tl_err err = TL_OK;
    surroundings around = {0};
    size_t n_slots = (size_t)tl_space_n_slots(problem->space);
    for (int i = 0; i < n_steps && !tl_search_is_late(options); i++) {
        if ((err = look_around(problem, design, &around)) != TL_OK) {
            goto done;
        }
        if (list != NULL) {
            tl_shortlist_offer(list, around.designs, around.scores, around.n);
        }
        int best = best_of(&around, score);
        if (best < 0) {
            break;
        }
        TL_DEBUG_ASSERT(around.designs != NULL);
        memcpy(design, around.designs + (size_t)best * n_slots, n_slots * sizeof *design);
        *score = around.scores[best];
    }
done:
    surroundings_done(&around);
    return err;
}
