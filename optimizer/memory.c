/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/memory.h"

#include "base/mem.h"
#include "base/watch.h"
#include "numerics/adamw.h"

#include <math.h>
#include <string.h>

enum {
    N_STARTING = 128,     /* designs drawn by chance for each device at first */
    N_STARTING_STEPS = 3, /* and local steps from the best of them */
    PROGRESS_STEPS = 16
};

typedef struct memory {
    const tl_contexts *contexts;
    tl_memory_options options;
    tl_policy *policy;
    tl_policy_learner *learner;
    size_t n_slots;
    int n;           /* contexts */
    tl_choice *kept; /* [n, n_kept, n_slots], best first */
    double *worth;   /* [n, n_kept] */
    int *n_kept;     /* [n] */
    int round;
    int64_t done, total; /* steps and pieces, for progress */
    /* one batch */
    tl_mat x;
    tl_choice *designs;
    float *weights;
} memory;

/* ---- remembering ----------------------------------------------------------------------------- */

static tl_choice *kept_at(const memory *m, int context, int i)
{
    size_t place = (size_t)context * (size_t)m->options.n_kept + (size_t)i;
    return m->kept + place * m->n_slots;
}

static double *worth_at(const memory *m, int context)
{
    return m->worth + (size_t)context * (size_t)m->options.n_kept;
}

static void remember(memory *m, int context, const tl_choice *design, double worth)
{
    int most = m->options.n_kept;
    int n = m->n_kept[context];
    size_t bytes = m->n_slots * sizeof *design;
    double *worths = worth_at(m, context);
    int at = n;
    while (at > 0 && worths[at - 1] < worth) {
        at--;
    }
    if (at >= most) {
        return;
    }
    for (int i = at - 1; i >= 0 && worths[i] <= worth; i--) {
        if (memcmp(kept_at(m, context, i), design, bytes) == 0) {
            return; /* equal designs are worth the same */
        }
    }
    size_t n_after = (size_t)((n < most ? n : most - 1) - at);
    memmove(kept_at(m, context, at + 1), kept_at(m, context, at), n_after * bytes);
    memmove(&worths[at + 1], &worths[at], n_after * sizeof *worths);
    memcpy(kept_at(m, context, at), design, bytes);
    worths[at] = worth;
    m->n_kept[context] = n < most ? n + 1 : most;
}

/* Predicts designs on the device and offers them to all of its contexts. */
static tl_err offer(memory *m, int device, const tl_choice *designs, int n)
{
    const tl_contexts *c = m->contexts;
    tl_outlook outlook = {0};
    double *worth = tl_mem_new((size_t)n, sizeof *worth);
    tl_err err = worth == NULL ? tl_fail(TL_ENOMEM, "%d designs", n)
                               : tl_contexts_look(c, device, designs, n, &outlook);
    for (int k = 0; k < c->options.n_per_device && err == TL_OK; k++) {
        int context = device * c->options.n_per_device + k;
        err = tl_contexts_worth(c, context, &outlook, worth);
        for (int i = 0; i < n && err == TL_OK; i++) {
            remember(m, context, designs + (size_t)i * m->n_slots, worth[i]);
        }
    }
    tl_outlook_done(&outlook);
    tl_mem_free(worth);
    return err;
}

/* ---- looking around ----------------------------------------------------------------------------- */

/* A random part of the neighbours of one design, moved to the front. */
static int draw_neighbours(
    const memory *m, tl_rng *rng, const tl_choice *design, int room, tl_choice *all)
{
    const tl_signature *s = m->contexts->signature;
    tl_choice other[TL_SPACE_MAX_SLOTS];
    size_t bytes = m->n_slots * sizeof *design;
    int n = tl_space_neighbours_with(s->space, s->freedom, design, room, all);
    n = n < room ? n : room;
    int n_taken = n < m->options.n_neighbours ? n : m->options.n_neighbours;
    for (int i = 0; i < n_taken && n_taken < n; i++) {
        size_t from = (size_t)i + (size_t)tl_rng_below(rng, (uint64_t)(n - i));
        tl_choice *a = all + (size_t)i * m->n_slots;
        tl_choice *b = all + from * m->n_slots;
        memcpy(other, a, bytes);
        memmove(a, b, bytes);
        memcpy(b, other, bytes);
    }
    return n_taken;
}

/* One local step of every context of the device, all together. */
static tl_err step_around(memory *m, int device, tl_rng *rng)
{
    enum {
        ROOM = 1024 /* neighbours of one design */
    };
    int per_device = m->contexts->options.n_per_device;
    size_t most = (size_t)per_device * (size_t)m->options.n_neighbours + ROOM;
    tl_choice *designs = tl_mem_new(most * m->n_slots, sizeof *designs);
    if (designs == NULL) {
        return tl_fail(TL_ENOMEM, "%zu neighbours", most);
    }
    int n = 0;
    for (int k = 0; k < per_device; k++) {
        n += draw_neighbours(
            m, rng, kept_at(m, device * per_device + k, 0), ROOM,
            designs + (size_t)n * m->n_slots);
    }
    tl_err err = offer(m, device, designs, n);
    tl_mem_free(designs);
    return err;
}

static tl_rng rng_of(const memory *m, int device)
{
    tl_rng rng;
    tl_rng_init(
        &rng, m->options.seed + 1000003U * (uint64_t)(m->round + 1) +
                  0x9e3779b97f4a7c15U * (uint64_t)device);
    return rng;
}

/* The first memories of one device. */
static tl_err start_device(void *memory_any, int device)
{
    memory *m = memory_any;
    const tl_contexts *c = m->contexts;
    int per_device = c->options.n_per_device;
    tl_rng rng = rng_of(m, device);
    if (c->listing != NULL && m->options.starts_listed) {
        for (int k = 0; k < per_device; k++) {
            int context = device * per_device + k;
            TL_TRY(tl_contexts_best_listed(
                c, context, m->options.n_kept, kept_at(m, context, 0), worth_at(m, context),
                &m->n_kept[context]));
        }
        return TL_OK;
    }
    tl_choice *designs = tl_mem_new(N_STARTING * m->n_slots, sizeof *designs);
    if (designs == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", (int)N_STARTING);
    }
    for (size_t i = 0; i < N_STARTING; i++) {
        tl_space_sample_with(
            c->signature->space, c->signature->freedom, &rng, designs + i * m->n_slots);
    }
    tl_err err = offer(m, device, designs, N_STARTING);
    tl_mem_free(designs);
    for (int i = 0; i < N_STARTING_STEPS && err == TL_OK; i++) {
        err = step_around(m, device, &rng);
    }
    return err;
}

/* Designs of the policy for every context of the device, then a local step. */
static tl_err explore_device(void *memory_any, int device)
{
    memory *m = memory_any;
    const tl_contexts *c = m->contexts;
    int per_device = c->options.n_per_device;
    int n = per_device * m->options.n_drawn;
    tl_rng rng = rng_of(m, device);
    tl_mat states = {0};
    tl_cmat x = tl_ro(tl_mat_rows(c->x, device * per_device, (device + 1) * per_device));
    tl_choice *designs = tl_mem_new((size_t)n * m->n_slots, sizeof *designs);
    tl_err err = designs == NULL ? tl_fail(TL_ENOMEM, "%d designs", n)
                                 : tl_policy_states(m->policy, x, &states);
    for (int i = 0; i < n && err == TL_OK; i++) {
        bool is_greedy = i % m->options.n_drawn == 0;
        tl_policy_sample(
            m->policy, tl_mat_row(states, i / m->options.n_drawn),
            is_greedy ? 0 : m->options.temperature, &rng, designs + (size_t)i * m->n_slots);
    }
    if (err == TL_OK) {
        err = offer(m, device, designs, n);
    }
    for (int i = 0; i < m->options.n_local && err == TL_OK; i++) {
        err = step_around(m, device, &rng);
    }
    tl_mat_done(&states);
    tl_mem_free(designs);
    return err;
}

/* ---- learning --------------------------------------------------------------------------------------- */

/* Weights of a memory's designs, sum 1: the better the heavier. */
static void weigh(const memory *m, int context, float *weights)
{
    int n = m->n_kept[context];
    const double *worth = worth_at(m, context);
    bool is_feasible = tl_contexts_is_feasible(worth[0]);
    int task = m->contexts->contexts[context].task;
    /* infeasible designs are 1e9 apart for each share of the limit */
    double unit = is_feasible ? m->options.sharpness * m->contexts->points[task] : .02 * 1e9;
    double total = 0;
    for (int i = 0; i < m->options.n_kept; i++) {
        weights[i] = i < n ? (float)exp((worth[i] - worth[0]) / unit) : 0.0F;
        total += (double)weights[i];
    }
    for (int i = 0; i < n; i++) {
        weights[i] = (float)((double)weights[i] / total);
    }
}

static void learn_batch(memory *m, tl_rng *rng, double learning_rate)
{
    int n_kept = m->options.n_kept;
    int n = m->x.rows;
    for (int i = 0; i < n; i++) {
        int context = (int)tl_rng_below(rng, (uint64_t)m->n);
        memcpy(
            tl_mat_row(m->x, i), tl_mat_row(m->contexts->x, context),
            (size_t)m->x.cols * sizeof(float));
        memcpy(
            m->designs + (size_t)i * (size_t)n_kept * m->n_slots, kept_at(m, context, 0),
            (size_t)n_kept * m->n_slots * sizeof *m->designs);
        weigh(m, context, m->weights + (ptrdiff_t)i * n_kept);
        for (int k = 0; k < n_kept; k++) {
            m->weights[(ptrdiff_t)i * n_kept + k] /= (float)n;
        }
    }
    tl_policy_batch batch = {
        .x = tl_ro(m->x), .n_designs = n_kept, .designs = m->designs, .weights = m->weights};
    (void)tl_policy_accumulate(m->learner, &batch);
    (void)tl_policy_step(m->learner, learning_rate);
}

static tl_err report(memory *m, int64_t n)
{
    const tl_crew *crew = &m->options.crew;
    m->done += n;
    if (crew->progress != NULL && !crew->progress(crew->progress_context, m->done, m->total)) {
        return tl_fail(TL_ECANCELLED, "training of the optimizer was stopped");
    }
    return TL_OK;
}

/* n steps; the rate falls to 0 where this is the last fit. */
static tl_err learn(memory *m, tl_rng *rng, int n, bool is_last)
{
    double rate = m->options.learning_rate;
    for (int step = 0; step < n; step++) {
        TL_TRY(tl_watch_check());
        learn_batch(m, rng, is_last ? tl_warm_cosine(rate, 20, step, n) : rate);
        if ((step + 1) % PROGRESS_STEPS == 0) {
            TL_TRY(report(m, PROGRESS_STEPS));
        }
    }
    return TL_OK;
}

/* ---- life ------------------------------------------------------------------------------------------------ */

static int or_default(int value, int otherwise)
{
    return value == 0 ? otherwise : value < 0 ? 0 : value;
}

static double positive_or(double value, double otherwise)
{
    return value > 0 ? value : otherwise;
}

static tl_memory_options with_defaults(const tl_memory_options *given)
{
    tl_memory_options o = *given;
    o.n_kept = or_default(o.n_kept, 8);
    o.n_rounds = or_default(o.n_rounds, 6);
    o.n_round_steps = or_default(o.n_round_steps, 500);
    o.n_final_steps = or_default(o.n_final_steps, 2500);
    o.n_batch = or_default(o.n_batch, 256);
    o.n_drawn = or_default(o.n_drawn, 16);
    o.n_local = or_default(o.n_local, 1);
    o.n_neighbours = or_default(o.n_neighbours, 48);
    o.temperature = positive_or(o.temperature, 1.2);
    o.sharpness = positive_or(o.sharpness, .1);
    o.learning_rate = positive_or(o.learning_rate, 2e-3);
    o.weight_decay = positive_or(o.weight_decay, 1e-3);
    return o;
}

static tl_err memory_init(memory *m)
{
    const tl_memory_options *o = &m->options;
    size_t n = (size_t)m->n;
    size_t n_kept = (size_t)o->n_kept;
    size_t n_batch = (size_t)o->n_batch;
    tl_policy_learner_options settings = {
        .max_problems = o->n_batch, .max_designs = o->n_kept, .weight_decay = o->weight_decay};
    TL_ASSERT(o->n_kept <= TL_CONTEXTS_MAX_BEST);
    m->kept = tl_mem_new(n * n_kept * m->n_slots, sizeof *m->kept);
    m->worth = tl_mem_new(n * n_kept, sizeof *m->worth);
    m->n_kept = tl_mem_new(n, sizeof *m->n_kept);
    m->designs = tl_mem_new(n_batch * n_kept * m->n_slots, sizeof *m->designs);
    m->weights = tl_mem_new(n_batch * n_kept, sizeof *m->weights);
    if (m->kept == NULL || m->worth == NULL || m->n_kept == NULL || m->designs == NULL ||
        m->weights == NULL) {
        return tl_fail(TL_ENOMEM, "memories of %d contexts", m->n);
    }
    TL_TRY(tl_mat_init(&m->x, o->n_batch, m->contexts->x.cols));
    return tl_policy_learner_new(m->policy, &settings, &m->learner);
}

static void memory_done(memory *m)
{
    tl_mem_free(m->kept);
    tl_mem_free(m->worth);
    tl_mem_free(m->n_kept);
    tl_mem_free(m->designs);
    tl_mem_free(m->weights);
    tl_mat_done(&m->x);
    tl_policy_learner_free(m->learner);
}

static tl_err run_pieces(memory *m, tl_crew_fn *fn)
{
    tl_crew silent = {.n_threads = m->options.crew.n_threads};
    int n = m->contexts->options.n_devices;
    TL_TRY(tl_crew_run(&silent, n, fn, m));
    return report(m, n);
}

static tl_err check_finite(const tl_policy *policy)
{
    const float *params = tl_policy_params_view(policy);
    for (int i = 0; i < tl_policy_n_params(policy); i++) {
        if (!isfinite(params[i])) {
            return tl_fail(TL_ENUMERIC, "training of the optimizer diverged");
        }
    }
    return TL_OK;
}

static tl_err train(memory *m)
{
    const tl_memory_options *o = &m->options;
    tl_rng rng;
    tl_rng_init(&rng, o->seed);
    m->total = (int64_t)o->n_rounds * (o->n_round_steps + m->contexts->options.n_devices) +
               m->contexts->options.n_devices + o->n_final_steps;
    TL_TRY(memory_init(m));
    TL_TRY(run_pieces(m, start_device));
    for (m->round = 1; m->round <= o->n_rounds; m->round++) {
        TL_TRY(learn(m, &rng, o->n_round_steps, false));
        TL_TRY(run_pieces(m, explore_device));
    }
    TL_TRY(learn(m, &rng, o->n_final_steps, true));
    return check_finite(m->policy);
}

tl_err tl_memory_train(
    const tl_contexts *contexts, const tl_memory_options *options, tl_policy *policy)
{
    memory m = {
        .contexts = contexts,
        .options = with_defaults(options),
        .policy = policy,
        .n_slots = (size_t)tl_space_n_slots(contexts->signature->space),
        .n = tl_contexts_n(contexts)};
    tl_err err = train(&m);
    memory_done(&m);
    return err;
}
