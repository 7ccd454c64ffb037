/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "optimizer/search.h"

enum {
    DEFAULT_EVALUATIONS = 5000,
    BATCH = 256
};

static tl_err run(tl_problem *problem, const tl_search_options *options, tl_shortlist *list)
{
    tl_err err = TL_OK;
    tl_rng rng;
    tl_rng_init(&rng, options->seed);
    size_t n_slots = (size_t)list->n_slots;
    tl_choice *designs = tl_mem_new(BATCH * n_slots, sizeof *designs);
    tl_scored *scores = tl_mem_new(BATCH, sizeof *scores);
    if (designs == NULL || scores == NULL) {
        err = tl_fail(TL_ENOMEM, "a batch of %d designs", (int)BATCH);
        goto done;
    }
    int left = options->n_evaluations > 0 ? options->n_evaluations : DEFAULT_EVALUATIONS;
    while (left > 0) {
        int n = left < BATCH ? left : BATCH;
        for (int i = 0; i < n; i++) {
            tl_space_sample_with(
                problem->space, problem->freedom, &rng, designs + (size_t)i * n_slots);
        }
        if ((err = tl_problem_score(problem, designs, n, scores)) != TL_OK) {
            goto done;
        }
        tl_shortlist_offer(list, designs, scores, n);
        left = tl_search_is_late(options) ? 0 : left - n;
    }
done:
    tl_mem_free(designs);
    tl_mem_free(scores);
    return err;
}

const tl_search tl_search_random = {
    .name = "random",
    .summary = "designs drawn by chance: the floor of any comparison",
    .run = run,
};
