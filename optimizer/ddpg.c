/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/ddpg.h"

#include "base/mem.h"
#include "numerics/act.h"
#include "numerics/adamw.h"
#include "numerics/dense.h"

#include <math.h>
#include <string.h>

enum {
    N_LAYERS = 3,
    HIDDEN = 48,
    REMEMBERED = 4096,
    BATCH = 64
};

static const double default_actor_rate = 1e-3;
static const double default_critic_rate = 3e-3;
static const double default_follow = .02;
static const double clip_norm = 5;

/* ---- a network of two hidden layers that has a gradient by its input too ----------------- */

typedef struct net {
    tl_mat w[N_LAYERS], b[N_LAYERS];
    tl_mat dw[N_LAYERS], db[N_LAYERS];
    tl_mat z[N_LAYERS]; /* [batch, h]: before SiLU; the last one is the answer */
    tl_mat h[N_LAYERS - 1];
    tl_mat dz;
} net;

static tl_err net_init(net *n, int d, int hidden, int batch, tl_rng *rng)
{
    for (int l = 0; l < N_LAYERS; l++) {
        int from = l == 0 ? d : hidden;
        int to = l == N_LAYERS - 1 ? 1 : hidden;
        TL_TRY(tl_mat_init(&n->w[l], to, from));
        TL_TRY(tl_mat_init(&n->dw[l], to, from));
        TL_TRY(tl_mat_init(&n->b[l], 1, to));
        TL_TRY(tl_mat_init(&n->db[l], 1, to));
        TL_TRY(tl_mat_init(&n->z[l], batch, to));
        if (l < N_LAYERS - 1) {
            TL_TRY(tl_mat_init(&n->h[l], batch, to));
        }
        /* a small last layer: the actor starts undecided, the critic at 0 */
        tl_dense_fill_normal(rng, l == N_LAYERS - 1 ? 1e-2 : 1 / sqrt(from), n->w[l]);
    }
    return tl_mat_init(&n->dz, batch, hidden);
}

static void net_done(net *n)
{
    for (int l = 0; l < N_LAYERS; l++) {
        tl_mat_done(&n->w[l]);
        tl_mat_done(&n->dw[l]);
        tl_mat_done(&n->b[l]);
        tl_mat_done(&n->db[l]);
        tl_mat_done(&n->z[l]);
        if (l < N_LAYERS - 1) {
            tl_mat_done(&n->h[l]);
        }
    }
    tl_mat_done(&n->dz);
}

/* The answers [x.rows, 1], borrowed until the next call. */
static tl_mat net_fwd(net *n, tl_cmat x)
{
    tl_cmat input = x;
    for (int l = 0; l < N_LAYERS; l++) {
        tl_mat z = tl_mat_rows(n->z[l], 0, x.rows);
        tl_dense_fwd(input, tl_ro(n->w[l]), n->b[l].data, z);
        if (l < N_LAYERS - 1) {
            tl_mat h = tl_mat_rows(n->h[l], 0, x.rows);
            tl_silu_fwd(tl_ro(z), h);
            input = tl_ro(h);
        }
    }
    return tl_mat_rows(n->z[N_LAYERS - 1], 0, x.rows);
}

/* Right after net_fwd() on x. dx may be empty. */
static void net_bwd(net *n, tl_cmat x, tl_cmat dy, tl_mat dx)
{
    tl_cmat d = dy;
    for (int l = N_LAYERS - 1; l > 0; l--) {
        tl_mat h = tl_mat_rows(n->h[l - 1], 0, x.rows);
        tl_mat z = tl_mat_rows(n->z[l - 1], 0, x.rows);
        /* the activation is not wanted again: its place takes its gradient */
        tl_dense_bwd(
            tl_ro(h), tl_ro(n->w[l]), d, n->dw[l], n->db[l].data,
            tl_mat_rows(n->dz, 0, x.rows));
        tl_silu_bwd(tl_ro(z), tl_ro(tl_mat_rows(n->dz, 0, x.rows)), h);
        d = tl_ro(h);
    }
    tl_dense_bwd(x, tl_ro(n->w[0]), d, n->dw[0], n->db[0].data, dx);
}

static void clear(tl_mat m)
{
    for (int i = 0; i < m.rows; i++) {
        memset(tl_mat_row(m, i), 0, (size_t)m.cols * sizeof *m.data);
    }
}

static void net_clear_gradient(net *n)
{
    for (int l = 0; l < N_LAYERS; l++) {
        clear(n->dw[l]);
        clear(n->db[l]);
    }
}

static void mat_follow(tl_mat from, double share, tl_mat to)
{
    for (int i = 0; i < from.rows; i++) {
        const float *a = tl_mat_row(from, i);
        float *b = tl_mat_row(to, i);
        for (int j = 0; j < from.cols; j++) {
            b[j] += (float)share * (a[j] - b[j]);
        }
    }
}

static void net_follow(const net *from, double share, net *to)
{
    for (int l = 0; l < N_LAYERS; l++) {
        mat_follow(from->w[l], share, to->w[l]);
        mat_follow(from->b[l], share, to->b[l]);
    }
}

static tl_err net_adamw(net *n, tl_adamw **out_adamw)
{
    tl_param params[2 * N_LAYERS];
    for (int l = 0; l < N_LAYERS; l++) {
        params[2 * l] = (tl_param){.value = n->w[l], .gradient = n->dw[l]};
        params[2 * l + 1] = (tl_param){.value = n->b[l], .gradient = n->db[l]};
    }
    tl_adamw_options options = {.clip_norm = clip_norm};
    return tl_adamw_new(&options, 2 * N_LAYERS, params, out_adamw);
}

/* ---- the agent --------------------------------------------------------------------------- */

struct tl_ddpg {
    tl_ddpg_options options;
    net actor, critic, late_actor, late_critic;
    tl_adamw *actor_adamw, *critic_adamw;
    /* what is remembered, a ring */
    tl_mat states, nexts; /* [n_remembered, n_state] */
    float *actions, *rewards;
    bool *is_last;
    int n, at;
    /* one batch */
    tl_mat s, s_next;  /* [batch, n_state] */
    tl_mat sa, dsa;    /* [batch, n_state + 1] */
    tl_mat target, dy; /* [batch, 1] */
    int *drawn;
};

static tl_ddpg_options complete(const tl_ddpg_options *given)
{
    tl_ddpg_options o = *given;
    o.n_hidden = o.n_hidden > 0 ? o.n_hidden : HIDDEN;
    o.n_remembered = o.n_remembered > 0 ? o.n_remembered : REMEMBERED;
    o.batch = o.batch > 0 ? o.batch : BATCH;
    o.actor_rate = o.actor_rate > 0 ? o.actor_rate : default_actor_rate;
    o.critic_rate = o.critic_rate > 0 ? o.critic_rate : default_critic_rate;
    o.follow = o.follow > 0 ? o.follow : default_follow;
    return o;
}

static tl_err init_memory(tl_ddpg *agent)
{
    const tl_ddpg_options *o = &agent->options;
    TL_TRY(tl_mat_init(&agent->states, o->n_remembered, o->n_state));
    TL_TRY(tl_mat_init(&agent->nexts, o->n_remembered, o->n_state));
    TL_TRY(tl_mat_init(&agent->s, o->batch, o->n_state));
    TL_TRY(tl_mat_init(&agent->s_next, o->batch, o->n_state));
    TL_TRY(tl_mat_init(&agent->sa, o->batch, o->n_state + 1));
    TL_TRY(tl_mat_init(&agent->dsa, o->batch, o->n_state + 1));
    TL_TRY(tl_mat_init(&agent->target, o->batch, 1));
    TL_TRY(tl_mat_init(&agent->dy, o->batch, 1));
    size_t n = (size_t)o->n_remembered;
    agent->actions = tl_mem_new(n, sizeof *agent->actions);
    agent->rewards = tl_mem_new(n, sizeof *agent->rewards);
    agent->is_last = tl_mem_new(n, sizeof *agent->is_last);
    agent->drawn = tl_mem_new((size_t)o->batch, sizeof *agent->drawn);
    if (agent->actions == NULL || agent->rewards == NULL || agent->is_last == NULL ||
        agent->drawn == NULL) {
        return tl_fail(TL_ENOMEM, "%d transitions", o->n_remembered);
    }
    return TL_OK;
}

static tl_err init_nets(tl_ddpg *agent, tl_rng *rng)
{
    const tl_ddpg_options *o = &agent->options;
    TL_TRY(net_init(&agent->actor, o->n_state, o->n_hidden, o->batch, rng));
    TL_TRY(net_init(&agent->critic, o->n_state + 1, o->n_hidden, o->batch, rng));
    TL_TRY(net_init(&agent->late_actor, o->n_state, o->n_hidden, o->batch, rng));
    TL_TRY(net_init(&agent->late_critic, o->n_state + 1, o->n_hidden, o->batch, rng));
    net_follow(&agent->actor, 1, &agent->late_actor);
    net_follow(&agent->critic, 1, &agent->late_critic);
    TL_TRY(net_adamw(&agent->actor, &agent->actor_adamw));
    return net_adamw(&agent->critic, &agent->critic_adamw);
}

tl_err tl_ddpg_new(const tl_ddpg_options *options, tl_rng *rng, tl_ddpg **out_agent)
{
    TL_ASSERT(options->n_state > 0);
    tl_ddpg *agent = tl_mem_new(1, sizeof *agent);
    if (agent == NULL) {
        return tl_fail(TL_ENOMEM, "an agent");
    }
    agent->options = complete(options);
    tl_err err = init_memory(agent);
    if (err != TL_OK || (err = init_nets(agent, rng)) != TL_OK) {
        goto done;
    }
    *out_agent = agent;
    agent = NULL;
done:
    tl_ddpg_free(agent);
    return err;
}

void tl_ddpg_free(tl_ddpg *agent)
{
    if (agent == NULL) {
        return;
    }
    net_done(&agent->actor);
    net_done(&agent->critic);
    net_done(&agent->late_actor);
    net_done(&agent->late_critic);
    tl_adamw_free(agent->actor_adamw);
    tl_adamw_free(agent->critic_adamw);
    tl_mat *const mats[] = {&agent->states, &agent->nexts, &agent->s,      &agent->s_next,
                            &agent->sa,     &agent->dsa,   &agent->target, &agent->dy};
    for (size_t i = 0; i < TL_COUNT(mats); i++) {
        tl_mat_done(mats[i]);
    }
    tl_mem_free(agent->actions);
    tl_mem_free(agent->rewards);
    tl_mem_free(agent->is_last);
    tl_mem_free(agent->drawn);
    tl_mem_free(agent);
}

static double squash(double x)
{
    return 1 / (1 + exp(-x));
}

static void set_row(tl_mat m, int i, const float *state, int n)
{
    memcpy(tl_mat_row(m, i), state, (size_t)n * sizeof *state);
}

double tl_ddpg_act(tl_ddpg *agent, const float *state)
{
    set_row(agent->s, 0, state, agent->options.n_state);
    tl_mat y = net_fwd(&agent->actor, tl_ro(tl_mat_rows(agent->s, 0, 1)));
    return squash((double)tl_mat_row(y, 0)[0]);
}

double tl_ddpg_value(tl_ddpg *agent, const float *state, double action)
{
    int d = agent->options.n_state;
    set_row(agent->sa, 0, state, d);
    tl_mat_row(agent->sa, 0)[d] = (float)action;
    tl_mat y = net_fwd(&agent->critic, tl_ro(tl_mat_rows(agent->sa, 0, 1)));
    return (double)tl_mat_row(y, 0)[0];
}

void tl_ddpg_remember(tl_ddpg *agent, const tl_transition *transition)
{
    int d = agent->options.n_state;
    set_row(agent->states, agent->at, transition->state, d);
    if (transition->next != NULL) {
        set_row(agent->nexts, agent->at, transition->next, d);
    }
    agent->actions[agent->at] = (float)transition->action;
    agent->rewards[agent->at] = (float)transition->reward;
    agent->is_last[agent->at] = transition->next == NULL;
    agent->at = (agent->at + 1) % agent->options.n_remembered;
    agent->n += agent->n < agent->options.n_remembered;
}

/* ---- learning ------------------------------------------------------------------------------ */

static void draw_batch(tl_ddpg *agent, tl_rng *rng)
{
    int d = agent->options.n_state;
    for (int i = 0; i < agent->options.batch; i++) {
        int k = (int)tl_rng_below(rng, (uint64_t)agent->n);
        agent->drawn[i] = k;
        set_row(agent->s, i, tl_mat_row(agent->states, k), d);
        set_row(agent->s_next, i, tl_mat_row(agent->nexts, k), d);
    }
}

/* sa = [s, a], a the actor's answers where given, or what was done. */
static void join(tl_ddpg *agent, tl_mat s, const tl_mat *answers)
{
    int d = agent->options.n_state;
    for (int i = 0; i < agent->options.batch; i++) {
        set_row(agent->sa, i, tl_mat_row(s, i), d);
        tl_mat_row(agent->sa, i)[d] = answers != NULL
                                          ? (float)squash((double)tl_mat_row(*answers, i)[0])
                                          : agent->actions[agent->drawn[i]];
    }
}

static void set_targets(tl_ddpg *agent)
{
    double discount = agent->options.discount;
    if (discount == 0) {
        for (int i = 0; i < agent->options.batch; i++) {
            tl_mat_row(agent->target, i)[0] = agent->rewards[agent->drawn[i]];
        }
        return;
    }
    tl_mat answers = net_fwd(&agent->late_actor, tl_ro(agent->s_next));
    join(agent, agent->s_next, &answers);
    tl_mat values = net_fwd(&agent->late_critic, tl_ro(agent->sa));
    for (int i = 0; i < agent->options.batch; i++) {
        int k = agent->drawn[i];
        double later = agent->is_last[k] ? 0 : discount * (double)tl_mat_row(values, i)[0];
        tl_mat_row(agent->target, i)[0] = (float)((double)agent->rewards[k] + later);
    }
}

static void learn_critic(tl_ddpg *agent)
{
    float n = (float)agent->options.batch;
    join(agent, agent->s, NULL);
    tl_mat y = net_fwd(&agent->critic, tl_ro(agent->sa));
    for (int i = 0; i < y.rows; i++) {
        tl_mat_row(agent->dy, i)[0] =
            2.0F * (tl_mat_row(y, i)[0] - tl_mat_row(agent->target, i)[0]) / n;
    }
    net_bwd(&agent->critic, tl_ro(agent->sa), tl_ro(agent->dy), (tl_mat){0});
    (void)tl_adamw_step(agent->critic_adamw, agent->options.critic_rate);
}

/* Up the critic's slope: d Q(s, a) / d a times d a / d mu. */
static void learn_actor(tl_ddpg *agent)
{
    int d = agent->options.n_state;
    float n = (float)agent->options.batch;
    tl_mat answers = net_fwd(&agent->actor, tl_ro(agent->s));
    join(agent, agent->s, &answers);
    (void)net_fwd(&agent->critic, tl_ro(agent->sa));
    for (int i = 0; i < agent->dy.rows; i++) {
        tl_mat_row(agent->dy, i)[0] = -1.0F / n;
    }
    net_bwd(&agent->critic, tl_ro(agent->sa), tl_ro(agent->dy), agent->dsa);
    net_clear_gradient(&agent->critic);
    for (int i = 0; i < agent->dy.rows; i++) {
        float a = tl_mat_row(agent->sa, i)[d];
        tl_mat_row(agent->dy, i)[0] = tl_mat_row(agent->dsa, i)[d] * a * (1.0F - a);
    }
    net_bwd(&agent->actor, tl_ro(agent->s), tl_ro(agent->dy), (tl_mat){0});
    (void)tl_adamw_step(agent->actor_adamw, agent->options.actor_rate);
}

void tl_ddpg_learn(tl_ddpg *agent, tl_rng *rng)
{
    if (agent->n < agent->options.batch) {
        return;
    }
    draw_batch(agent, rng);
    set_targets(agent);
    learn_critic(agent);
    learn_actor(agent);
    net_follow(&agent->actor, agent->options.follow, &agent->late_actor);
    net_follow(&agent->critic, agent->options.follow, &agent->late_critic);
}
