/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/galen.h"

#include "base/mem.h"
#include "optimizer/ddpg.h"
#include "optimizer/slot_facts.h"

#include <math.h>
#include <string.h>

enum {
    DEFAULT_EVALUATIONS = 800,
    AT_ONCE = 4, /* episodes that are predicted together */
    MAX_NOISE_TRIES = 100
};

static const double default_beta = -5;
static const double default_noise = .5;
static const double default_last_noise = .2;
static const double default_warm_frac = .25;
static const double baseline_rate = .05;

/* One walk; steps where there is nothing to choose are none. */
typedef struct episode {
    int n_steps;
    float states[TL_SPACE_MAX_SLOTS][TL_SLOT_STATE];
    double actions[TL_SPACE_MAX_SLOTS];
} episode;

typedef struct galen {
    tl_galen_settings settings;
    tl_problem *problem;
    tl_rng rng;
    tl_slot_facts facts;
    tl_ddpg *agent;
    episode *episodes;  /* [AT_ONCE] */
    tl_choice *designs; /* [AT_ONCE, n_slots] */
    double baseline;
    bool has_baseline;
} galen;

static double given_or(double given, double otherwise)
{
    return given != 0 ? given : otherwise;
}

static tl_galen_settings complete(const tl_galen_settings *given)
{
    tl_galen_settings s = *given;
    s.beta = given_or(s.beta, default_beta);
    s.discount = s.discount < 0 ? 1 : s.discount;
    s.noise = given_or(s.noise, default_noise);
    s.last_noise = given_or(s.last_noise, default_last_noise);
    s.warm_frac = given_or(s.warm_frac, default_warm_frac);
    s.learn_per_step = s.learn_per_step > 0 ? s.learn_per_step : 1;
    return s;
}

static tl_err galen_init(
    galen *g,
    const tl_galen_settings *settings,
    tl_problem *problem,
    const tl_search_options *options,
    tl_shortlist *list)
{
    *g = (galen){.settings = complete(settings), .problem = problem};
    tl_rng_init(&g->rng, options->seed);
    tl_ddpg_options agent = {
        .n_state = TL_SLOT_STATE,
        .n_hidden = settings->n_hidden,
        .actor_rate = settings->actor_rate,
        .critic_rate = settings->critic_rate,
        .discount = g->settings.discount};
    TL_TRY(tl_slot_facts_init(&g->facts, problem, &g->rng, list));
    TL_TRY(tl_ddpg_new(&agent, &g->rng, &g->agent));
    g->episodes = tl_mem_new(AT_ONCE, sizeof *g->episodes);
    g->designs = tl_mem_new(AT_ONCE * (size_t)list->n_slots, sizeof *g->designs);
    return g->episodes != NULL && g->designs != NULL ? TL_OK
                                                     : tl_fail(TL_ENOMEM, "an agent's walk");
}

static void galen_done(galen *g)
{
    tl_slot_facts_done(&g->facts);
    tl_ddpg_free(g->agent);
    tl_mem_free(g->episodes);
    tl_mem_free(g->designs);
}

/* Around the actor's action, within (0, 1); sd below 0: anywhere in it. */
static double explore(galen *g, const float *state, double sd)
{
    if (sd < 0) {
        return tl_rng_uniform(&g->rng);
    }
    double mean = tl_ddpg_act(g->agent, state);
    for (int i = 0; i < MAX_NOISE_TRIES; i++) {
        double action = mean + sd * tl_rng_normal(&g->rng);
        if (action > 0 && action < 1) {
            return action;
        }
    }
    return mean;
}

static tl_err walk(galen *g, double sd, episode *e, tl_choice *design)
{
    tl_choice allowed[TL_SPACE_MAX_OPTIONS];
    double last = 1;
    e->n_steps = 0;
    memcpy(design, g->facts.reference, (size_t)g->facts.n_slots * sizeof *design);
    for (int k = 0; k < g->facts.n_slots; k++) {
        int n = tl_slot_facts_options(&g->facts, design, k, allowed);
        if (n > 1) {
            float *state = e->states[e->n_steps];
            TL_TRY(tl_slot_facts_state(&g->facts, design, k, last, state));
            last = e->actions[e->n_steps++] = explore(g, state, sd);
            int place = (int)(last * n);
            design[k] = allowed[place < n ? place : n - 1];
        } else if (n == 1) {
            design[k] = allowed[0];
        }
        if (n == 0 || !tl_slot_facts_complete(&g->facts, design, k + 1)) {
            /* the walk leads nowhere: it counts as one to the reference */
            memcpy(design, g->facts.reference, (size_t)g->facts.n_slots * sizeof *design);
            return TL_OK;
        }
    }
    return TL_OK;
}

static double reward_of(const galen *g, const tl_scored *scored)
{
    static const double least = -10;
    double z = (scored->value - g->problem->value_centre) / g->problem->value_scale;
    double reward = fmax(isnan(z) ? least : z, least);
    return tl_scored_is_feasible(scored)
               ? reward
               : reward + g->settings.beta * fmin(scored->shortfall, 1);
}

static void remember(galen *g, const episode *e, double reward)
{
    if (!g->has_baseline) {
        g->baseline = reward;
        g->has_baseline = true;
    }
    g->baseline += baseline_rate * (reward - g->baseline);
    for (int i = 0; i < e->n_steps; i++) {
        tl_ddpg_remember(
            g->agent, &(tl_transition){
                          .state = e->states[i],
                          .action = e->actions[i],
                          .reward = reward - g->baseline,
                          .next = i + 1 < e->n_steps ? e->states[i + 1] : NULL});
    }
}

/* n episodes and what is learnt from them; sd as explore() has it. */
static tl_err play(galen *g, int n, double sd, tl_shortlist *list)
{
    tl_scored scores[AT_ONCE];
    size_t n_slots = (size_t)list->n_slots;
    for (int i = 0; i < n; i++) {
        TL_TRY(walk(g, sd, &g->episodes[i], g->designs + (size_t)i * n_slots));
    }
    TL_TRY(tl_problem_score(g->problem, g->designs, n, scores));
    tl_shortlist_offer(list, g->designs, scores, n);
    for (int i = 0; i < n; i++) {
        remember(g, &g->episodes[i], reward_of(g, &scores[i]));
        int n_updates = sd < 0 ? 0 : g->episodes[i].n_steps * g->settings.learn_per_step;
        for (int j = 0; j < n_updates; j++) {
            tl_ddpg_learn(g->agent, &g->rng);
        }
    }
    return TL_OK;
}

/* The width of exploration when this share of the episodes is played. */
static double width_at(const galen *g, double played)
{
    const tl_galen_settings *s = &g->settings;
    if (played < s->warm_frac) {
        return -1;
    }
    double share = (played - s->warm_frac) / (1 - s->warm_frac);
    return s->noise * pow(s->last_noise / s->noise, share);
}

tl_err tl_galen_run(
    const tl_galen_settings *settings,
    tl_problem *problem,
    const tl_search_options *options,
    tl_shortlist *list)
{
    galen g;
    int before = problem->n_evaluations;
    tl_err err = galen_init(&g, settings, problem, options, list);
    if (err != TL_OK) {
        goto done;
    }
    int most = options->n_evaluations > 0 ? options->n_evaluations : DEFAULT_EVALUATIONS;
    int n_episodes = most - (problem->n_evaluations - before);
    for (int i = 0; err == TL_OK && i < n_episodes && !tl_search_is_late(options);
         i += AT_ONCE) {
        int n = n_episodes - i < AT_ONCE ? n_episodes - i : AT_ONCE;
        err = play(&g, n, width_at(&g, (double)i / n_episodes), list);
    }
done:
    galen_done(&g);
    return err;
}

static tl_err run(tl_problem *problem, const tl_search_options *options, tl_shortlist *list)
{
    return tl_galen_run(&(tl_galen_settings){0}, problem, options, list);
}

const tl_search tl_search_galen = {
    .name = "galen",
    .summary =
        "a DDPG agent that walks over the slots with their sensitivities, 800 evaluations",
    .run = run,
};
