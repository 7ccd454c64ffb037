/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/gradients.h"

#include "base/mem.h"
#include "base/watch.h"
#include "numerics/adamw.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

enum {
    CONTEXTS_OF_DEVICE = 8, /* in one step */
    MAX_NEIGHBOURS = 1024,
    PROGRESS_STEPS = 16
};

static const double least_reward = -3;

/* A training on its way: one batch of contexts, the designs drawn, their rewards. */
typedef struct ascent {
    const tl_contexts *contexts;
    tl_gradient_options options;
    tl_policy *policy;
    tl_policy_learner *learner;
    size_t n_slots;
    int n;            /* contexts of a step */
    int gain_width;   /* 0: no gains */
    int *context;     /* [n] */
    tl_mat x, states; /* states are made anew each step */
    tl_choice *designs;
    float *weights, *gains;
    double *rewards; /* [n, n_drawn] */
    double *median;  /* [n_tasks] of the pool's accuracies */
} ascent;

static int or_default(int value, int otherwise)
{
    return value > 0 ? value : otherwise;
}

/* ---- rewards -------------------------------------------------------------------------------- */

static double reward_of(const ascent *a, int context, double worth)
{
    const tl_contexts *c = a->contexts;
    int task = c->contexts[context].task;
    if (!tl_contexts_is_feasible(worth)) {
        return least_reward - 3 * fmin(-worth / 1e9 - 1, 1); /* worth is -1e9 (1 + shortfall) */
    }
    return fmax((worth - a->median[task]) / c->points[task], least_reward);
}

static tl_err look(
    const ascent *a, int context, const tl_choice *designs, int n, double *out_rewards)
{
    tl_outlook outlook = {0};
    tl_err err = tl_contexts_look(
        a->contexts, context / a->contexts->options.n_per_device, designs, n, &outlook);
    if (err == TL_OK) {
        err = tl_contexts_worth(a->contexts, context, &outlook, out_rewards);
    }
    tl_outlook_done(&outlook);
    for (int i = 0; i < n && err == TL_OK; i++) {
        out_rewards[i] = reward_of(a, context, out_rewards[i]);
    }
    return err;
}

/* ---- one step ----------------------------------------------------------------------------------- */

static tl_choice *design_at(const ascent *a, int i, int k)
{
    size_t place = (size_t)i * (size_t)a->options.n_drawn + (size_t)k;
    return a->designs + place * a->n_slots;
}

static tl_err draw_batch(ascent *a, tl_rng *rng)
{
    const tl_contexts *c = a->contexts;
    int per_device = c->options.n_per_device;
    for (int i = 0; i < a->n; i++) {
        if (i % CONTEXTS_OF_DEVICE == 0) {
            a->context[i] = per_device * (int)tl_rng_below(rng, (uint64_t)c->options.n_devices);
        } else {
            a->context[i] = a->context[i - 1] / per_device * per_device;
        }
        a->context[i] += (int)tl_rng_below(rng, (uint64_t)per_device);
        memcpy(
            tl_mat_row(a->x, i), tl_mat_row(c->x, a->context[i]),
            (size_t)a->x.cols * sizeof(float));
    }
    tl_mat_done(&a->states);
    TL_TRY(tl_policy_states(a->policy, tl_ro(a->x), &a->states));
    for (int i = 0; i < a->n; i++) {
        for (int k = 0; k < a->options.n_drawn; k++) {
            tl_policy_sample(a->policy, tl_mat_row(a->states, i), 1, rng, design_at(a, i, k));
        }
    }
    return TL_OK;
}

/* Reward less the mean of the other draws, entropy counted in. */
static tl_err weigh_by_score(ascent *a, int i)
{
    int n = a->options.n_drawn;
    double *rewards = a->rewards + (ptrdiff_t)i * n;
    TL_TRY(look(a, a->context[i], design_at(a, i, 0), n, rewards));
    double total = 0;
    for (int k = 0; k < n; k++) {
        rewards[k] -=
            a->options.entropy *
            tl_policy_log_likelihood(a->policy, tl_mat_row(a->states, i), design_at(a, i, k));
        total += rewards[k];
    }
    for (int k = 0; k < n; k++) {
        double baseline = (total - rewards[k]) / (n - 1);
        a->weights[(ptrdiff_t)i * n + k] =
            (float)((rewards[k] - baseline) / ((double)n * a->n));
    }
    return TL_OK;
}

/* The slot in which b differs from a first. */
static int changed_slot(const ascent *a, const tl_choice *from, const tl_choice *to)
{
    for (int k = 0; k < (int)a->n_slots; k++) {
        if (from[k] != to[k]) {
            return k;
        }
    }
    return -1;
}

/* Gains of one design's options: those of its neighbours; an option that is no neighbour gains 0. */
static tl_err fill_gains(ascent *a, int i, int k, tl_choice *around, double *rewards)
{
    const tl_signature *s = a->contexts->signature;
    const tl_choice *design = design_at(a, i, k);
    ptrdiff_t place = (ptrdiff_t)i * a->options.n_drawn + k;
    float *gains = a->gains + place * a->gain_width;
    memset(gains, 0, (size_t)a->gain_width * sizeof *gains);
    int n = tl_space_neighbours_with(s->space, s->freedom, design, MAX_NEIGHBOURS - 1, around);
    n = n < MAX_NEIGHBOURS - 1 ? n : MAX_NEIGHBOURS - 1;
    memcpy(around + (size_t)n * a->n_slots, design, a->n_slots * sizeof *design);
    TL_TRY(look(a, a->context[i], around, n + 1, rewards));
    for (int j = 0; j < n; j++) {
        const tl_choice *other = around + (size_t)j * a->n_slots;
        int slot = changed_slot(a, design, other);
        int at = slot >= 0 ? tl_policy_gain_at(a->policy, slot) : -1;
        if (at >= 0 && other[slot] != TL_CHOICE_ABSENT) {
            gains[at + other[slot]] = (float)(rewards[j] - rewards[n]);
        }
    }
    a->weights[place] = 1.0F / (float)(a->n * a->options.n_drawn);
    return TL_OK;
}

static tl_err weigh_by_gains(ascent *a, int i)
{
    tl_choice *around = tl_mem_new(MAX_NEIGHBOURS * a->n_slots, sizeof *around);
    double *rewards = tl_mem_new(MAX_NEIGHBOURS, sizeof *rewards);
    tl_err err = around == NULL || rewards == NULL ? tl_fail(TL_ENOMEM, "neighbours") : TL_OK;
    for (int k = 0; k < a->options.n_drawn && err == TL_OK; k++) {
        err = fill_gains(a, i, k, around, rewards);
    }
    tl_mem_free(around);
    tl_mem_free(rewards);
    return err;
}

static tl_err step(ascent *a, tl_rng *rng, double learning_rate)
{
    TL_TRY(draw_batch(a, rng));
    for (int i = 0; i < a->n; i++) {
        TL_TRY(a->gain_width > 0 ? weigh_by_gains(a, i) : weigh_by_score(a, i));
    }
    tl_policy_batch batch = {
        .x = tl_ro(a->x),
        .n_designs = a->options.n_drawn,
        .designs = a->designs,
        .weights = a->weights,
        .gains = a->gain_width > 0 ? a->gains : NULL};
    (void)tl_policy_accumulate(a->learner, &batch);
    (void)tl_policy_step(a->learner, learning_rate);
    return TL_OK;
}

/* ---- life ------------------------------------------------------------------------------------------ */

static tl_err find_medians(ascent *a)
{
    const tl_contexts *c = a->contexts;
    int n = c->pool.n;
    double *values = tl_mem_new((size_t)n, sizeof *values);
    a->median = tl_mem_new((size_t)c->signature->n_tasks, sizeof *a->median);
    if (values == NULL || a->median == NULL) {
        tl_mem_free(values);
        return tl_fail(TL_ENOMEM, "%d values", n);
    }
    for (int t = 0; t < c->signature->n_tasks; t++) {
        for (int i = 0; i < n; i++) {
            values[i] = (double)c->pool_accuracies.mean[(ptrdiff_t)t * n + i];
        }
        a->median[t] = tl_median_inplace(n, values);
    }
    tl_mem_free(values);
    return TL_OK;
}

static tl_err ascent_init(ascent *a)
{
    size_t n = (size_t)a->n;
    size_t n_rows = n * (size_t)a->options.n_drawn;
    bool has_gains = a->options.gradient == TL_GRADIENT_STRAIGHT_THROUGH;
    tl_policy_learner_options settings = {
        .max_problems = a->n,
        .max_designs = a->options.n_drawn,
        .weight_decay = a->options.weight_decay};
    a->gain_width = has_gains ? tl_policy_gain_width(a->policy) : 0;
    a->context = tl_mem_new(n, sizeof *a->context);
    a->designs = tl_mem_new(n_rows * a->n_slots, sizeof *a->designs);
    a->weights = tl_mem_new(n_rows, sizeof *a->weights);
    a->rewards = tl_mem_new(n_rows, sizeof *a->rewards);
    a->gains = tl_mem_new(n_rows * (size_t)a->gain_width, sizeof *a->gains);
    if (a->context == NULL || a->designs == NULL || a->weights == NULL || a->rewards == NULL ||
        a->gains == NULL) {
        return tl_fail(TL_ENOMEM, "a batch of %zu designs", n_rows);
    }
    TL_TRY(tl_mat_init(&a->x, a->n, a->contexts->x.cols));
    TL_TRY(find_medians(a));
    return tl_policy_learner_new(a->policy, &settings, &a->learner);
}

static void ascent_done(ascent *a)
{
    tl_mem_free(a->context);
    tl_mem_free(a->designs);
    tl_mem_free(a->weights);
    tl_mem_free(a->gains);
    tl_mem_free(a->rewards);
    tl_mem_free(a->median);
    tl_mat_done(&a->x);
    tl_mat_done(&a->states);
    tl_policy_learner_free(a->learner);
}

static tl_err climb(ascent *a)
{
    const tl_gradient_options *o = &a->options;
    tl_rng rng;
    tl_rng_init(&rng, o->seed);
    for (int t = 0; t < o->n_steps; t++) {
        TL_TRY(tl_watch_check());
        TL_TRY(step(a, &rng, tl_warm_cosine(o->learning_rate, 20, t, o->n_steps)));
        if ((t + 1) % PROGRESS_STEPS == 0 && o->progress != NULL &&
            !o->progress(o->progress_context, t + 1, o->n_steps)) {
            return tl_fail(TL_ECANCELLED, "training of the optimizer was stopped");
        }
    }
    return TL_OK;
}

tl_err tl_gradient_train(
    const tl_contexts *contexts, const tl_gradient_options *options, tl_policy *policy)
{
    ascent a = {
        .contexts = contexts,
        .options = *options,
        .policy = policy,
        .n_slots = (size_t)tl_space_n_slots(contexts->signature->space)};
    tl_gradient_options *o = &a.options;
    bool is_score = o->gradient == TL_GRADIENT_REINFORCE;
    o->n_steps = or_default(o->n_steps, 1500);
    o->n_devices = or_default(o->n_devices, 16);
    o->n_drawn = or_default(o->n_drawn, is_score ? 16 : 4);
    o->entropy = o->entropy > 0 ? o->entropy : .01;
    o->learning_rate = o->learning_rate > 0 ? o->learning_rate : 2e-3;
    o->weight_decay = o->weight_decay > 0 ? o->weight_decay : 1e-3;
    a.n = o->n_devices * CONTEXTS_OF_DEVICE;
    tl_err err = ascent_init(&a);
    if (err == TL_OK) {
        err = climb(&a);
    }
    ascent_done(&a);
    return err;
}
