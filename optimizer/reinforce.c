/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/reinforce.h"

#include "base/mem.h"
#include "optimizer/policy.h"

enum {
    DEFAULT_EVALUATIONS = 5100,
    FIRST = 64,
    DESIGNS = 16,
    STATE = 32
};

static const double default_rate = .01;
static const double default_entropy = .6;
/* One problem, of which a policy without input reads nothing. */
static const tl_cmat nothing = {.rows = 1};

static const double last_rate = .1; /* of the first */

typedef struct reinforce {
    tl_reinforce_settings settings;
    tl_problem *problem;
    tl_rng rng;
    tl_policy *policy;
    tl_policy_learner *learner;
    tl_choice *designs; /* [max(n_first, n_designs), n_slots] */
    tl_scored *scores;
    double *rewards;
    float *weights;
    size_t n_slots;
} reinforce;

static tl_reinforce_settings complete(const tl_reinforce_settings *given)
{
    return (tl_reinforce_settings){
        .n_first = given->n_first > 0 ? given->n_first : FIRST,
        .n_designs = given->n_designs > 0 ? given->n_designs : DESIGNS,
        .n_state = given->n_state > 0 ? given->n_state : STATE,
        .rate = given->rate > 0 ? given->rate : default_rate,
        .entropy = given->entropy < 0   ? 0
                   : given->entropy > 0 ? given->entropy
                                        : default_entropy,
    };
}

static tl_err reinforce_init(
    reinforce *r,
    const tl_reinforce_settings *settings,
    tl_problem *problem,
    const tl_search_options *options)
{
    *r = (reinforce){.settings = complete(settings), .problem = problem};
    r->n_slots = (size_t)tl_space_n_slots(problem->space);
    tl_rng_init(&r->rng, options->seed);
    const tl_reinforce_settings *s = &r->settings;
    size_t most = (size_t)(s->n_first > s->n_designs ? s->n_first : s->n_designs);
    tl_policy_options shape = {.n_state = s->n_state};
    tl_policy_learner_options learning = {.max_problems = 1, .max_designs = s->n_designs};
    TL_TRY(tl_policy_new(problem->space, problem->freedom, &shape, &r->rng, &r->policy));
    TL_TRY(tl_policy_learner_new(r->policy, &learning, &r->learner));
    r->designs = tl_mem_new(most * r->n_slots, sizeof *r->designs);
    r->scores = tl_mem_new(most, sizeof *r->scores);
    r->rewards = tl_mem_new(most, sizeof *r->rewards);
    r->weights = tl_mem_new(most, sizeof *r->weights);
    if (r->designs == NULL || r->scores == NULL || r->rewards == NULL || r->weights == NULL) {
        return tl_fail(TL_ENOMEM, "%zu designs", most);
    }
    return TL_OK;
}

static void reinforce_done(reinforce *r)
{
    tl_policy_learner_free(r->learner);
    tl_policy_free(r->policy);
    tl_mem_free(r->designs);
    tl_mem_free(r->scores);
    tl_mem_free(r->rewards);
    tl_mem_free(r->weights);
}

static tl_choice *design_at(const reinforce *r, int i)
{
    return r->designs + (size_t)i * r->n_slots;
}

/* Designs by chance, which set the unit of rewards. */
static tl_err start(reinforce *r, int n, tl_shortlist *list)
{
    for (int i = 0; i < n; i++) {
        tl_space_sample_with(r->problem->space, r->problem->freedom, &r->rng, design_at(r, i));
    }
    TL_TRY(tl_problem_score(r->problem, r->designs, n, r->scores));
    tl_shortlist_offer(list, r->designs, r->scores, n);
    return tl_problem_standardize(r->problem, r->scores, n);
}

/* A designs' weight is what its reward is above the mean of the others'. */
static void set_weights(reinforce *r, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += r->rewards[i];
    }
    for (int i = 0; i < n; i++) {
        double others = n > 1 ? (sum - r->rewards[i]) / (n - 1) : 0;
        r->weights[i] = (float)((r->rewards[i] - others) / n);
    }
}

/* done: the share of the search that is behind. */
static tl_err step(reinforce *r, int n, double done, tl_shortlist *list)
{
    tl_mat states = {0};
    TL_TRY(tl_policy_states(r->policy, nothing, &states));
    const float *state = tl_mat_row(states, 0);
    for (int i = 0; i < n; i++) {
        tl_policy_sample(r->policy, state, 1.0, &r->rng, design_at(r, i));
    }
    tl_err err = tl_problem_score(r->problem, r->designs, n, r->scores);
    if (err != TL_OK) {
        goto done;
    }
    tl_shortlist_offer(list, r->designs, r->scores, n);
    for (int i = 0; i < n; i++) {
        double surprise = -tl_policy_log_likelihood(r->policy, state, design_at(r, i));
        r->rewards[i] = tl_problem_reward(r->problem, &r->scores[i]) +
                        r->settings.entropy * (1 - done) * surprise;
    }
    set_weights(r, n);
    (void)tl_policy_accumulate(
        r->learner,
        &(tl_policy_batch){
            .x = nothing, .n_designs = n, .designs = r->designs, .weights = r->weights});
    (void)tl_policy_step(r->learner, r->settings.rate * (1 - (1 - last_rate) * done));
done:
    tl_mat_done(&states);
    return err;
}

tl_err tl_reinforce_run(
    const tl_reinforce_settings *settings,
    tl_problem *problem,
    const tl_search_options *options,
    tl_shortlist *list)
{
    reinforce r;
    tl_err err = reinforce_init(&r, settings, problem, options);
    if (err != TL_OK) {
        goto done;
    }
    int n = options->n_evaluations > 0 ? options->n_evaluations : DEFAULT_EVALUATIONS;
    int n_done = n < r.settings.n_first ? n : r.settings.n_first;
    err = start(&r, n_done, list);
    while (err == TL_OK && n_done < n && !tl_search_is_late(options)) {
        int n_more = n - n_done < r.settings.n_designs ? n - n_done : r.settings.n_designs;
        err = step(&r, n_more, (double)n_done / n, list);
        n_done += n_more;
    }
done:
    reinforce_done(&r);
    return err;
}

static tl_err run(tl_problem *problem, const tl_search_options *options, tl_shortlist *list)
{
    return tl_reinforce_run(&(tl_reinforce_settings){0}, problem, options, list);
}

const tl_search tl_search_reinforce = {
    .name = "reinforce",
    .summary = "a policy trained for this device alone by policy gradients, 5,100 evaluations",
    .run = run,
};
