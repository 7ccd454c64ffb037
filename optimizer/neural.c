/* SPDX-License-Identifier: Apache-2.0 */

/* Method neural: the optimizer's designs, the best of them refined. */

#include "optimizer/neural.h"

#include "base/mem.h"
#include "numerics/stats.h"
#include "optimizer/local_search.h"
#include "optimizer/optimizer.h"

#include <string.h>

enum {
    BATCH = 32,            /* designs scored at a time: how often the deadline is looked at */
    FEW_EVALUATIONS = 112, /* in spaces of few slots */
    MANY_EVALUATIONS = 250,
    PART = 16,           /* neighbours scored at a time */
    TRIES_PER_DESIGN = 8 /* to draw one that was not drawn before */
};

static const double drawn_share = .55; /* of the evaluations; the rest is for local steps */

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
    int n_drawn, n_scored;
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
    a->n_scored = n_scored;
    for (int i = 1; i < n_scored; i++) {
        a->best = tl_scored_compare(&a->scores[i], &a->scores[a->best]) < 0 ? i : a->best;
    }
    return TL_OK;
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

/* ---- whole steps, as the settings count them ------------------------------------------------ */

static tl_err take_steps(answer *a, tl_shortlist *list)
{
    int before = -1;
    for (int i = 0; i < a->settings.n_steps && before != a->problem->n_evaluations; i++) {
        before = a->problem->n_evaluations;
        TL_TRY(tl_local_search(
            a->problem, a->options, 1, drawn_at(a, a->best), &a->scores[a->best], list));
    }
    return TL_OK;
}

/* ---- steps by parts, while evaluations last ----------------------------------------------------- */

/* The neighbours of one design, the network's favourites first. */
typedef struct surroundings {
    tl_choice *designs; /* [n, n_slots] */
    double *unlikelihood;
    int *order;
    int n;
} surroundings;

static void surroundings_done(surroundings *around)
{
    tl_mem_free(around->designs);
    tl_mem_free(around->unlikelihood);
    tl_mem_free(around->order);
}

static tl_err surroundings_init(const answer *a, const tl_choice *design, surroundings *around)
{
    const tl_problem *problem = a->problem;
    int n = tl_space_neighbours_with(problem->space, problem->freedom, design, 0, NULL);
    around->designs = tl_mem_new((size_t)n * a->n_slots, sizeof *around->designs);
    around->unlikelihood = tl_mem_new((size_t)n, sizeof *around->unlikelihood);
    around->order = tl_mem_new((size_t)n, sizeof *around->order);
    if (around->designs == NULL || around->unlikelihood == NULL || around->order == NULL) {
        return tl_fail(TL_ENOMEM, "%d neighbours of a design", n);
    }
    n = tl_space_neighbours_with(problem->space, problem->freedom, design, n, around->designs);
    for (int i = 0; i < n; i++) {
        const tl_choice *other = around->designs + (size_t)i * a->n_slots;
        if (!is_drawn(a, other)) {
            around->unlikelihood[around->n] =
                -tl_policy_log_likelihood(a->policy, a->state.data, other);
            memmove(
                around->designs + (size_t)around->n * a->n_slots, other,
                a->n_slots * sizeof *other);
            around->n++;
        }
    }
    return tl_argsort(around->n, around->unlikelihood, around->order);
}

/* Scores some neighbours; where the best of them is better, design and score become it. */
static tl_err try_part(
    answer *a,
    const surroundings *around,
    int begin,
    int n,
    tl_choice *design,
    tl_scored *score,
    tl_shortlist *list)
{
    tl_choice part[PART * TL_SPACE_MAX_SLOTS] = {0};
    tl_scored scores[PART];
    for (int i = 0; i < n; i++) {
        memcpy(
            part + (size_t)i * a->n_slots,
            around->designs + (size_t)around->order[begin + i] * a->n_slots,
            a->n_slots * sizeof *part);
    }
    TL_TRY(tl_problem_score(a->problem, part, n, scores));
    tl_shortlist_offer(list, part, scores, n);
    for (int i = 0; i < n; i++) {
        if (tl_scored_compare(&scores[i], score) < 0) {
            memcpy(design, part + (size_t)i * a->n_slots, a->n_slots * sizeof *design);
            *score = scores[i];
        }
    }
    return TL_OK;
}

/* From one design on to a better neighbour; *out_is_better false: there is none, or no time. */
static tl_err step_by_parts(
    answer *a,
    tl_choice *design,
    tl_scored *score,
    int *left,
    tl_shortlist *list,
    bool *out_is_better)
{
    surroundings around = {0};
    tl_err err = surroundings_init(a, design, &around);
    const tl_scored before = *score;
    int begin = 0;
    *out_is_better = false;
    while (err == TL_OK && begin<around.n && * left> 0 && !*out_is_better &&
           !tl_search_is_late(a->options)) {
        int n = around.n - begin < PART ? around.n - begin : PART;
        n = n < *left ? n : *left;
        err = try_part(a, &around, begin, n, design, score, list);
        *out_is_better = tl_scored_compare(score, &before) < 0;
        begin += n;
        *left -= n;
    }
    surroundings_done(&around);
    return err;
}

/* The best design drawn that no steps were taken from; -1: none is left. */
static int next_start(const answer *a, const bool *is_spent)
{
    int best = -1;
    for (int i = 0; i < a->n_scored; i++) {
        if (!is_spent[i] &&
            (best < 0 || tl_scored_compare(&a->scores[i], &a->scores[best]) < 0)) {
            best = i;
        }
    }
    return best;
}

/* Climbs from the best design drawn, then from the next, until the budget is spent. */
static tl_err climb(answer *a, int left, tl_shortlist *list)
{
    bool *is_spent = tl_mem_new((size_t)a->n_drawn, sizeof *is_spent);
    tl_err err = is_spent == NULL ? tl_fail(TL_ENOMEM, "%d designs", a->n_drawn) : TL_OK;
    while (err == TL_OK && left > 0 && !tl_search_is_late(a->options)) {
        int start = next_start(a, is_spent);
        bool is_better = true;
        if (start < 0) {
            break;
        }
        while (err == TL_OK && is_better) {
            err = step_by_parts(
                a, drawn_at(a, start), &a->scores[start], &left, list, &is_better);
        }
        is_spent[start] = true;
    }
    tl_mem_free(is_spent);
    return err;
}

/* ---- the answer ------------------------------------------------------------------------------------ */

static tl_err answer_problem(answer *a, tl_shortlist *list)
{
    tl_rng rng;
    tl_rng_init(&rng, a->options->seed);
    TL_TRY(read_problem(a));
    int budget = budget_of(a);
    int n = a->settings.n_drawn > 0 ? a->settings.n_drawn : (int)(drawn_share * budget + .5);
    n = n > 0 ? n : 1;
    a->drawn = tl_mem_new(((size_t)n + 1) * a->n_slots, sizeof *a->drawn);
    a->scores = tl_mem_new((size_t)n + 1, sizeof *a->scores);
    if (a->drawn == NULL || a->scores == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    draw_designs(a, &rng, n);
    TL_TRY(score_drawn(a, list));
    return a->settings.n_steps >= 0 ? take_steps(a, list)
                                    : climb(a, budget - a->n_scored, list);
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
