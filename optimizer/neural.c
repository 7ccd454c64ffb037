/* SPDX-License-Identifier: Apache-2.0 */

/* Method neural: the optimizer's designs, the best of them refined. */

#include "optimizer/neural.h"

#include "base/mem.h"
#include "optimizer/local_search.h"
#include "optimizer/optimizer.h"

#include <string.h>

enum {
    BATCH = 32,            /* designs scored at a time: how often the deadline is looked at */
    FEW_EVALUATIONS = 112, /* in spaces of few slots */
    MANY_EVALUATIONS = 250,
    TRIES_PER_DESIGN = 8 /* to draw one that was not drawn before */
};

/* One problem being answered. */
typedef struct answer {
    tl_problem *problem;
    const tl_search_options *options;
    tl_neural_options settings;
    const tl_policy *policy;
    size_t n_slots;
    tl_mat state;
    tl_choice *drawn; /* all different */
    tl_scored *scores;
    int n_drawn, room;
    int best; /* of drawn */
} answer;

/* What the predictors say of the references, and with it the policy's state. */
static tl_err read_problem(answer *a)
{
    const tl_signature *signature = NULL;
    tl_problem *problem = a->problem;
    tl_prediction references[TL_SIGNATURE_MAX_REFERENCES];
    tl_mat x = {0};
    int task = 0;
    TL_TRY(tl_optimizer_find(
        a->options->optimizer, problem->freedom, problem->task, &signature, &a->policy, &task));
    TL_TRY(problem->predict(
        problem->context, signature->references, signature->n_references, references));
    TL_TRY(tl_mat_init(&x, 1, tl_signature_width(signature)));
    tl_signature_fill(signature, problem, task, references, x.data);
    tl_err err = tl_policy_states(a->policy, tl_ro(x), &a->state);
    tl_mat_done(&x);
    return err;
}

static tl_choice *drawn_at(const answer *a, int i)
{
    return a->drawn + (size_t)i * a->n_slots;
}

static bool is_drawn(const answer *a, const tl_choice *design)
{
    for (int i = 0; i < a->n_drawn; i++) {
        if (memcmp(drawn_at(a, i), design, a->n_slots * sizeof *design) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * The likeliest design first, then others by chance: each repeat makes the next draw
 * hotter, so that a network that is sure of itself still shows what else there is.
 */
static void draw_designs(answer *a, tl_rng *rng, int n)
{
    static const double heating = 1.02;
    double temperature = 1;
    for (int i = 0; i < n * TRIES_PER_DESIGN && a->n_drawn < n; i++) {
        tl_choice *design = drawn_at(a, a->n_drawn);
        tl_policy_sample(a->policy, a->state.data, i == 0 ? 0 : temperature, rng, design);
        if (is_drawn(a, design)) {
            temperature *= heating;
        } else {
            a->n_drawn++;
        }
    }
}

static tl_err score_drawn(answer *a, tl_shortlist *list)
{
    int n_scored = 0;
    while (n_scored < a->n_drawn && (n_scored == 0 || !tl_search_is_late(a->options))) {
        int n = a->n_drawn - n_scored < BATCH ? a->n_drawn - n_scored : BATCH;
        tl_scored *scores = a->scores + n_scored;
        TL_TRY(tl_problem_score(a->problem, drawn_at(a, n_scored), n, scores));
        tl_shortlist_offer(list, drawn_at(a, n_scored), scores, n);
        n_scored += n;
    }
    for (int i = 1; i < n_scored; i++) {
        a->best = tl_scored_compare(&a->scores[i], &a->scores[a->best]) < 0 ? i : a->best;
    }
    return TL_OK;
}

static int n_neighbours(const answer *a, const tl_choice *design)
{
    return tl_space_neighbours_with(a->problem->space, a->problem->freedom, design, 0, NULL);
}

static int budget_of(const answer *a)
{
    if (a->options->n_evaluations > 0) {
        return a->options->n_evaluations;
    }
    return tl_space_size_with(a->problem->space, a->problem->freedom) <= TL_SEARCH_LISTABLE
               ? FEW_EVALUATIONS
               : MANY_EVALUATIONS;
}

/* Whole steps while the budget lasts, or as many as the settings say. */
static tl_err refine(answer *a, int budget, tl_shortlist *list)
{
    int before = -1;
    int left = budget - a->n_drawn;
    bool is_counted = a->settings.n_steps >= 0;
    for (int step = 0; !is_counted || step < a->settings.n_steps; step++) {
        int n = n_neighbours(a, drawn_at(a, a->best));
        if ((!is_counted && left < n) || before == a->problem->n_evaluations) {
            break; /* the budget is spent, or the last step found nothing better */
        }
        before = a->problem->n_evaluations;
        TL_TRY(tl_local_search(
            a->problem, a->options, 1, drawn_at(a, a->best), &a->scores[a->best], list));
        left -= n;
    }
    return TL_OK;
}

/* Two local steps are paid for, the rest of the budget is drawn: a third of it at least. */
static int n_to_draw(const answer *a, int budget)
{
    tl_choice likeliest[TL_SPACE_MAX_SLOTS];
    if (a->settings.n_drawn > 0) {
        return a->settings.n_drawn;
    }
    tl_policy_sample(a->policy, a->state.data, 0, NULL, likeliest);
    int n = budget - 2 * n_neighbours(a, likeliest);
    int least = (budget + 2) / 3;
    return n > least ? n : least;
}

static tl_err answer_problem(answer *a, tl_shortlist *list)
{
    tl_rng rng;
    tl_rng_init(&rng, a->options->seed);
    TL_TRY(read_problem(a));
    int budget = budget_of(a);
    int n = n_to_draw(a, budget);
    a->drawn = tl_mem_new((size_t)(n + 1) * a->n_slots, sizeof *a->drawn);
    a->scores = tl_mem_new((size_t)(n + 1), sizeof *a->scores);
    if (a->drawn == NULL || a->scores == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    draw_designs(a, &rng, n);
    TL_TRY(score_drawn(a, list));
    return refine(a, budget, list);
}

tl_err tl_neural_answer(
    tl_problem *problem,
    const tl_search_options *options,
    const tl_neural_options *settings,
    tl_shortlist *list)
{
    answer a = {
        .problem = problem,
        .options = options,
        .settings = *settings,
        .n_slots = (size_t)list->n_slots};
    if (options->optimizer == NULL) {
        return tl_fail(
            TL_ESTATE, "no optimizer of %s is trained: train, or use another method",
            tl_space_name(problem->space));
    }
    if (problem->objective != TL_MAXIMIZE_ACCURACY) {
        return tl_fail(
            TL_ESTATE, "the optimizer maximizes accuracy: use another method to minimize");
    }
    tl_err err = answer_problem(&a, list);
    tl_mat_done(&a.state);
    tl_mem_free(a.drawn);
    tl_mem_free(a.scores);
    return err;
}

static tl_err run(tl_problem *problem, const tl_search_options *options, tl_shortlist *list)
{
    const tl_neural_options settings = {.n_steps = -1};
    return tl_neural_answer(problem, options, &settings, list);
}

const tl_search tl_search_neural = {
    .name = "neural",
    .summary = "designs of the trained optimizer, the best of them refined: a few evaluations",
    .run = run,
};
