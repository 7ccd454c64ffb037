/* SPDX-License-Identifier: Apache-2.0 */

/* A policy in training: the gradient of the weighted log-likelihood, and the steps. */

#include "base/mem.h"
#include "numerics/act.h"
#include "numerics/adamw.h"
#include "numerics/dense.h"
#include "numerics/gemm.h"
#include "optimizer/policy_impl.h"

#include <math.h>
#include <string.h>

enum {
    MAX_BLOCKS = 8 + 3 * TL_SPACE_MAX_SLOTS
};

static const double default_clip = 5;

/* A design with weight, and the problem it belongs to. */
typedef struct row {
    const tl_choice *design;
    int problem;
    float weight;
    const float *gains; /* of all slots; NULL: the likelihood counts */
} row;

struct tl_policy_learner {
    tl_policy *policy;
    tl_policy_learner_options options;
    tl_adamw *adamw;
    float *gradient;               /* [n_params] */
    tl_mat pre1, act1, pre2, act2; /* [n, h] of the trunk */
    tl_mat dact;                   /* [n, h] */
    tl_mat state, dstate;          /* [n, K e] */
    row *rows;                     /* those with a weight */
    int n_rows;
    tl_mat inputs, dinputs; /* [n m, K e]: c_k and what choices add */
    tl_mat active, dactive; /* [n m, e] of one slot */
    tl_mat logits;          /* [n m, most options] of one slot */
};

/* ---- making one ------------------------------------------------------------------------- */

static tl_param block(const tl_policy_learner *l, int at, int rows, int cols, bool has_decay)
{
    return (tl_param){
        .value = tl_policy_block(l->policy->params, at, rows, cols),
        .gradient = tl_policy_block(l->gradient, at, rows, cols),
        .has_decay = has_decay};
}

static tl_err make_adamw(tl_policy_learner *l)
{
    const tl_policy *p = l->policy;
    int d = p->options.n_inputs;
    int h = p->options.n_hidden;
    int width = tl_policy_state_width(p);
    tl_param blocks[MAX_BLOCKS] = {
        block(l, p->w1_at, h, d, true),    block(l, p->b1_at, 1, h, false),
        block(l, p->w2_at, h, h, true),    block(l, p->b2_at, 1, h, false),
        block(l, p->c_at, width, h, true), block(l, p->s_at, 1, width, false),
    };
    int n = 6;
    for (int k = 0; k < p->n_slots; k++) {
        const policy_slot *s = &p->slots[k];
        blocks[n++] = block(l, s->e_at, s->n_codes, tl_policy_tail(p, k), true);
        blocks[n++] = block(l, s->o_at, s->n_options, p->options.n_state, true);
        blocks[n++] = block(l, s->b_at, 1, s->n_options, false);
    }
    tl_adamw_options options = {
        .weight_decay = l->options.weight_decay, .clip_norm = l->options.clip_norm};
    return tl_adamw_new(&options, n, blocks, &l->adamw);
}

static int most_options(const tl_policy *policy)
{
    int most = 0;
    for (int k = 0; k < policy->n_slots; k++) {
        int n = policy->slots[k].n_options;
        most = n > most ? n : most;
    }
    return most;
}

static tl_err allocate(tl_policy_learner *l)
{
    int n = l->options.max_problems;
    int n_rows = n * l->options.max_designs;
    int h = l->policy->options.n_hidden;
    int e = l->policy->options.n_state;
    int width = tl_policy_state_width(l->policy);
    l->gradient = tl_mem_new((size_t)l->policy->n_params, sizeof *l->gradient);
    l->rows = tl_mem_new((size_t)n_rows, sizeof *l->rows);
    if (l->gradient == NULL || l->rows == NULL) {
        return tl_fail(TL_ENOMEM, "a learner of %d weights", l->policy->n_params);
    }
    const struct {
        tl_mat *mat;
        int rows, cols;
    } mats[] = {
        {&l->pre1,    n,      h                      },
        {&l->act1,    n,      h                      },
        {&l->pre2,    n,      h                      },
        {&l->act2,    n,      h                      },
        {&l->dact,    n,      h                      },
        {&l->state,   n,      width                  },
        {&l->dstate,  n,      width                  },
        {&l->inputs,  n_rows, width                  },
        {&l->dinputs, n_rows, width                  },
        {&l->active,  n_rows, e                      },
        {&l->dactive, n_rows, e                      },
        {&l->logits,  n_rows, most_options(l->policy)},
    };
    for (size_t i = 0; i < TL_COUNT(mats); i++) {
        TL_TRY(tl_mat_init(mats[i].mat, mats[i].rows, mats[i].cols));
    }
    return make_adamw(l);
}

tl_err tl_policy_learner_new(
    tl_policy *policy,
    const tl_policy_learner_options *options,
    tl_policy_learner **out_learner)
{
    TL_ASSERT(options->max_problems > 0 && options->max_designs > 0);
    tl_policy_learner *learner = tl_mem_new(1, sizeof *learner);
    if (learner == NULL) {
        return tl_fail(TL_ENOMEM, "a learner");
    }
    learner->policy = policy;
    learner->options = *options;
    if (options->clip_norm == 0.0) {
        learner->options.clip_norm = default_clip;
    }
    tl_err err = allocate(learner);
    if (err != TL_OK) {
        tl_policy_learner_free(learner);
        return err;
    }
    *out_learner = learner;
    return TL_OK;
}

void tl_policy_learner_free(tl_policy_learner *learner)
{
    if (learner == NULL) {
        return;
    }
    tl_mat *const mats[] = {&learner->pre1,   &learner->act1,    &learner->pre2,
                            &learner->act2,   &learner->dact,    &learner->state,
                            &learner->dstate, &learner->inputs,  &learner->dinputs,
                            &learner->active, &learner->dactive, &learner->logits};
    for (size_t i = 0; i < TL_COUNT(mats); i++) {
        tl_mat_done(mats[i]);
    }
    tl_adamw_free(learner->adamw);
    tl_mem_free(learner->gradient);
    tl_mem_free(learner->rows);
    tl_mem_free(learner);
}

/* ---- the trunk ------------------------------------------------------------------------------ */

/* The first n rows of what is there for the largest batch. */
static tl_mat first_rows(tl_mat m, int n)
{
    return tl_mat_rows(m, 0, n);
}

static void trunk_fwd(tl_policy_learner *l, tl_cmat x)
{
    const tl_policy *p = l->policy;
    int n = x.rows;
    int h = p->options.n_hidden;
    int width = tl_policy_state_width(p);
    const float *params = p->params;
    if (h == 0) {
        for (int i = 0; i < n; i++) {
            memcpy(tl_mat_row(l->state, i), params + p->s_at, (size_t)width * sizeof *params);
        }
        return;
    }
    tl_mat act1 = first_rows(l->act1, n);
    tl_mat act2 = first_rows(l->act2, n);
    tl_mat pre1 = first_rows(l->pre1, n);
    tl_mat pre2 = first_rows(l->pre2, n);
    tl_dense_fwd(x, tl_policy_weights(p, p->w1_at, h, x.cols), params + p->b1_at, pre1);
    tl_silu_fwd(tl_ro(pre1), act1);
    tl_dense_fwd(tl_ro(act1), tl_policy_weights(p, p->w2_at, h, h), params + p->b2_at, pre2);
    tl_silu_fwd(tl_ro(pre2), act2);
    tl_dense_fwd(
        tl_ro(act2), tl_policy_weights(p, p->c_at, width, h), params + p->s_at,
        first_rows(l->state, n));
}

static void trunk_bwd(tl_policy_learner *l, tl_cmat x)
{
    const tl_policy *p = l->policy;
    int n = x.rows;
    int h = p->options.n_hidden;
    int width = tl_policy_state_width(p);
    float *g = l->gradient;
    tl_cmat dstate = tl_ro(first_rows(l->dstate, n));
    if (h == 0) {
        for (int i = 0; i < n; i++) {
            tl_axpy(width, 1.0F, tl_cmat_row(dstate, i), g + p->s_at);
        }
        return;
    }
    tl_mat dact = first_rows(l->dact, n);
    tl_cmat act1 = tl_ro(first_rows(l->act1, n));
    tl_cmat act2 = tl_ro(first_rows(l->act2, n));
    tl_dense_bwd(
        act2, tl_policy_weights(p, p->c_at, width, h), dstate,
        tl_policy_block(g, p->c_at, width, h), g + p->s_at, dact);
    tl_silu_bwd(tl_ro(first_rows(l->pre2, n)), tl_ro(dact), dact);
    /* the gradient of the first layer's output goes where its output was */
    tl_mat dact1 = first_rows(l->pre2, n);
    tl_dense_bwd(
        act1, tl_policy_weights(p, p->w2_at, h, h), tl_ro(dact),
        tl_policy_block(g, p->w2_at, h, h), g + p->b2_at, dact1);
    tl_silu_bwd(tl_ro(first_rows(l->pre1, n)), tl_ro(dact1), dact1);
    tl_dense_bwd(
        x, tl_policy_weights(p, p->w1_at, h, x.cols), tl_ro(dact1),
        tl_policy_block(g, p->w1_at, h, x.cols), g + p->b1_at, (tl_mat){0});
}

/* ---- the slots -------------------------------------------------------------------------------- */

static void gather_rows(tl_policy_learner *l, const tl_policy_batch *batch)
{
    int n_slots = tl_space_n_slots(l->policy->space);
    int n = batch->x.rows * batch->n_designs;
    int width = batch->gains != NULL ? tl_policy_gain_width(l->policy) : 0;
    l->n_rows = 0;
    for (int i = 0; i < n; i++) {
        if (batch->weights[i] != 0.0F) {
            l->rows[l->n_rows++] = (row){
                .design = batch->designs + (ptrdiff_t)i * n_slots,
                .problem = i / batch->n_designs,
                .weight = batch->weights[i],
                .gains = batch->gains != NULL ? batch->gains + (ptrdiff_t)i * width : NULL};
        }
    }
}

static tl_choice choice_at(const tl_policy_learner *l, int i, int k)
{
    return l->rows[i].design[l->policy->slots[k].slot];
}

/* Where E[j] has what the choice of row i in slot j adds to the slots after it. */
static ptrdiff_t added_at(const tl_policy_learner *l, int i, int j)
{
    const policy_slot *s = &l->policy->slots[j];
    int tail = tl_policy_tail(l->policy, j);
    return s->e_at + (ptrdiff_t)tl_policy_code(s, choice_at(l, i, j)) * tail;
}

static void fill_inputs(tl_policy_learner *l)
{
    const tl_policy *p = l->policy;
    int e = p->options.n_state;
    for (int i = 0; i < l->n_rows; i++) {
        float *input = tl_mat_row(l->inputs, i);
        memcpy(
            input, tl_mat_row(l->state, l->rows[i].problem),
            (size_t)tl_policy_state_width(p) * sizeof *input);
        for (int j = 0; j < p->n_slots; j++) {
            tl_axpy(
                tl_policy_tail(p, j), 1.0F, p->params + added_at(l, i, j), input + (j + 1) * e);
        }
    }
}

/* The adjoint of fill_inputs(). */
static void spread_gradient(tl_policy_learner *l, int n_problems)
{
    const tl_policy *p = l->policy;
    int e = p->options.n_state;
    int width = tl_policy_state_width(p);
    for (int i = 0; i < n_problems; i++) {
        memset(tl_mat_row(l->dstate, i), 0, (size_t)width * sizeof(float));
    }
    for (int i = 0; i < l->n_rows; i++) {
        const float *dinput = tl_mat_row(l->dinputs, i);
        tl_axpy(width, 1.0F, dinput, tl_mat_row(l->dstate, l->rows[i].problem));
        for (int j = 0; j < p->n_slots; j++) {
            tl_axpy(
                tl_policy_tail(p, j), 1.0F, dinput + (j + 1) * e,
                l->gradient + added_at(l, i, j));
        }
    }
}

/* Probabilities of the n allowed options into p; returns log of the chosen one's. */
static double softmax(
    const float *logits, const tl_choice *allowed, int n, tl_choice chosen, float *p)
{
    float top = logits[allowed[0]];
    for (int a = 1; a < n; a++) {
        top = fmaxf(top, logits[allowed[a]]);
    }
    double total = 0;
    TL_DEBUG_ASSERT(n > 0);
    for (int a = 0; a < n; a++) {
        p[a] = expf(logits[allowed[a]] - top);
        total += (double)p[a];
    }
    for (int a = 0; a < n; a++) {
        p[a] = (float)((double)p[a] / total);
    }
    return (double)(logits[chosen] - top) - log(total);
}

/* Gradient of the expected gain, p (gain - mean gain); returns the mean. */
static double gain_gradient(
    const float *gains,
    const tl_choice *allowed,
    int n,
    const float *p,
    float weight,
    float *out)
{
    float mean = 0.0F;
    for (int a = 0; a < n; a++) {
        mean += p[a] * gains[allowed[a]];
    }
    for (int a = 0; a < n; a++) {
        out[allowed[a]] = weight * p[a] * (gains[allowed[a]] - mean);
    }
    return (double)mean;
}

/*
 * Turns one row of logits into their gradient, weight (1[chosen] - p) or that of the
 * expected gain; 0 where nothing could be chosen. Returns the row's part of what goes up.
 */
static double softmax_gradient(
    const tl_policy_learner *l, int i, int k, int gain_at, float *logits)
{
    const policy_slot *s = &l->policy->slots[k];
    const row *r = &l->rows[i];
    tl_choice allowed[TL_SPACE_MAX_OPTIONS];
    float p[TL_SPACE_MAX_OPTIONS];
    int n = tl_space_allowed(l->policy->space, l->policy->freedom, r->design, s->slot, allowed);
    size_t bytes = (size_t)s->n_options * sizeof *logits;
    if (n < 2) {
        memset(logits, 0, bytes);
        return 0;
    }
    tl_choice chosen = choice_at(l, i, k);
    TL_ASSERT(chosen < s->n_options);
    double log_likelihood = softmax(logits, allowed, n, chosen, p);
    memset(logits, 0, bytes);
    if (r->gains != NULL) {
        return (double)r->weight *
               gain_gradient(r->gains + gain_at, allowed, n, p, r->weight, logits);
    }
    for (int a = 0; a < n; a++) {
        logits[allowed[a]] = -r->weight * p[a];
    }
    logits[chosen] += r->weight;
    return (double)r->weight * log_likelihood;
}

static double slot_pass(tl_policy_learner *l, int k)
{
    const tl_policy *p = l->policy;
    const policy_slot *s = &p->slots[k];
    int n = l->n_rows;
    int e = p->options.n_state;
    int gain_at = tl_policy_gain_at(p, s->slot);
    double sum = 0;
    tl_cmat inputs = tl_ro(tl_mat_cols(first_rows(l->inputs, n), k * e, (k + 1) * e));
    tl_mat dinputs = tl_mat_cols(first_rows(l->dinputs, n), k * e, (k + 1) * e);
    tl_mat active = first_rows(l->active, n);
    tl_mat dactive = first_rows(l->dactive, n);
    tl_mat logits = tl_mat_cols(first_rows(l->logits, n), 0, s->n_options);
    tl_cmat o = tl_policy_weights(p, s->o_at, s->n_options, e);
    tl_silu_fwd(inputs, active);
    tl_dense_fwd(tl_ro(active), o, p->params + s->b_at, logits);
    for (int i = 0; i < n; i++) {
        sum += softmax_gradient(l, i, k, gain_at, tl_mat_row(logits, i));
    }
    tl_dense_bwd(
        tl_ro(active), o, tl_ro(logits), tl_policy_block(l->gradient, s->o_at, s->n_options, e),
        l->gradient + s->b_at, dactive);
    tl_silu_bwd(inputs, tl_ro(dactive), dinputs);
    return sum;
}

double tl_policy_accumulate(tl_policy_learner *learner, const tl_policy_batch *batch)
{
    tl_policy_learner *l = learner;
    double sum = 0;
    TL_ASSERT(batch->x.rows <= l->options.max_problems);
    TL_ASSERT(batch->n_designs <= l->options.max_designs);
    TL_ASSERT(batch->x.cols == l->policy->options.n_inputs);
    gather_rows(l, batch);
    if (l->n_rows == 0) {
        return 0;
    }
    trunk_fwd(l, batch->x);
    fill_inputs(l);
    for (int k = 0; k < l->policy->n_slots; k++) {
        sum += slot_pass(l, k);
    }
    spread_gradient(l, batch->x.rows);
    trunk_bwd(l, batch->x);
    return sum;
}

const float *tl_policy_gradient(const tl_policy_learner *learner)
{
    return learner->gradient;
}

double tl_policy_step(tl_policy_learner *learner, double learning_rate)
{
    /* AdamW goes down */
    for (int i = 0; i < learner->policy->n_params; i++) {
        learner->gradient[i] = -learner->gradient[i];
    }
    return tl_adamw_step(learner->adamw, learning_rate);
}
