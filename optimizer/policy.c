/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/policy.h"

#include "base/mem.h"
#include "numerics/act.h"
#include "numerics/dense.h"
#include "numerics/gemm.h"
#include "optimizer/policy_impl.h"

#include <math.h>
#include <string.h>

enum {
    DEFAULT_HIDDEN = 128,
    DEFAULT_STATE = 64,
    MAX_INPUTS = 4096,
    MAX_HIDDEN = 1024,
    MAX_STATE = 128,
    MAX_PARAMS = 1 << 24,
    MAX_RESTARTS = 100
};

/* Of the start values of E: small beside the state, so that no choice rules at first. */
static const double choice_sd = .1;

/* ---- making one ------------------------------------------------------------------------- */

static tl_err check_options(const tl_policy_options *o)
{
    if (o->n_inputs < 0 || o->n_inputs > MAX_INPUTS) {
        return tl_fail(TL_EINVAL, "inputs: got %d, want 0 to %d", o->n_inputs, (int)MAX_INPUTS);
    }
    if (o->n_hidden < 0 || o->n_hidden > MAX_HIDDEN) {
        return tl_fail(TL_EINVAL, "hidden: got %d, want 0 to %d", o->n_hidden, (int)MAX_HIDDEN);
    }
    if (o->n_state < 0 || o->n_state > MAX_STATE) {
        return tl_fail(TL_EINVAL, "state: got %d, want 0 to %d", o->n_state, (int)MAX_STATE);
    }
    return TL_OK;
}

static void list_slots(tl_policy *policy)
{
    for (int i = 0; i < tl_space_n_slots(policy->space); i++) {
        const tl_slot *slot = tl_space_slot(policy->space, i);
        if (slot->is_optional && policy->freedom == TL_FREE_ARCHITECTURE) {
            continue;
        }
        bool has_absent = slot->is_optional || slot->may_be_absent;
        policy->slots[policy->n_slots++] = (policy_slot){
            .slot = i, .n_options = slot->n_options, .n_codes = slot->n_options + has_absent};
    }
}

/* Gives every block its place. */
static tl_err lay_out(tl_policy *policy)
{
    const tl_policy_options *o = &policy->options;
    int64_t width = (int64_t)policy->n_slots * o->n_state;
    int64_t h = o->n_hidden;
    int64_t n = h * o->n_inputs;
    policy->b1_at = (int)n;
    n += h;
    policy->w2_at = (int)n;
    n += h * h;
    policy->b2_at = (int)n;
    n += h;
    policy->c_at = (int)n;
    n += width * h;
    policy->s_at = (int)n;
    n += width;
    for (int k = 0; k < policy->n_slots && n <= MAX_PARAMS; k++) {
        policy_slot *s = &policy->slots[k];
        s->e_at = (int)n;
        n += (int64_t)s->n_codes * tl_policy_tail(policy, k);
        s->o_at = (int)n;
        n += (int64_t)s->n_options * o->n_state;
        s->b_at = (int)n;
        n += s->n_options;
    }
    if (n > MAX_PARAMS) {
        return tl_fail(
            TL_ELIMIT, "a policy over %s: more than %d weights", tl_space_name(policy->space),
            (int)MAX_PARAMS);
    }
    policy->n_params = (int)n;
    return TL_OK;
}

static void fill(tl_policy *policy, tl_rng *rng, int at, int rows, int cols, double sd)
{
    tl_dense_fill_normal(rng, sd, tl_policy_block(policy->params, at, rows, cols));
}

static void init_params(tl_policy *policy, tl_rng *rng)
{
    const tl_policy_options *o = &policy->options;
    int width = tl_policy_state_width(policy);
    if (o->n_inputs > 0) {
        fill(policy, rng, policy->w1_at, o->n_hidden, o->n_inputs, 1 / sqrt(o->n_inputs));
        fill(policy, rng, policy->w2_at, o->n_hidden, o->n_hidden, 1 / sqrt(o->n_hidden));
        fill(policy, rng, policy->c_at, width, o->n_hidden, 1 / sqrt(o->n_hidden));
    } else {
        fill(policy, rng, policy->s_at, 1, width, 1);
    }
    for (int k = 0; k < policy->n_slots; k++) {
        const policy_slot *s = &policy->slots[k];
        fill(policy, rng, s->e_at, s->n_codes, tl_policy_tail(policy, k), choice_sd);
        fill(policy, rng, s->o_at, s->n_options, o->n_state, 1 / sqrt(o->n_state));
    }
}

tl_err tl_policy_new(
    const tl_space *space,
    tl_freedom freedom,
    const tl_policy_options *options,
    tl_rng *rng,
    tl_policy **out_policy)
{
    TL_TRY(check_options(options));
    tl_policy *policy = tl_mem_new(1, sizeof *policy);
    if (policy == NULL) {
        return tl_fail(TL_ENOMEM, "a policy");
    }
    tl_policy_options *o = &policy->options;
    *o = *options;
    o->n_hidden = o->n_hidden > 0 ? o->n_hidden : DEFAULT_HIDDEN;
    o->n_hidden = o->n_inputs > 0 ? o->n_hidden : 0;
    o->n_state = o->n_state > 0 ? o->n_state : DEFAULT_STATE;
    policy->freedom = freedom;
    policy->space = tl_space_ref(space);
    list_slots(policy);
    tl_err err = lay_out(policy);
    if (err != TL_OK) {
        goto done;
    }
    policy->params = tl_mem_new((size_t)policy->n_params, sizeof *policy->params);
    if (policy->params == NULL) {
        err = tl_fail(TL_ENOMEM, "a policy of %d weights", policy->n_params);
        goto done;
    }
    init_params(policy, rng);

    *out_policy = policy;
    policy = NULL;
done:
    tl_policy_free(policy);
    return err;
}

void tl_policy_free(tl_policy *policy)
{
    if (policy == NULL) {
        return;
    }
    tl_space_unref(policy->space);
    tl_mem_free(policy->params);
    tl_mem_free(policy);
}

const tl_space *tl_policy_space(const tl_policy *policy)
{
    return policy->space;
}

tl_freedom tl_policy_freedom(const tl_policy *policy)
{
    return policy->freedom;
}

const tl_policy_options *tl_policy_options_of(const tl_policy *policy)
{
    return &policy->options;
}

int tl_policy_n_params(const tl_policy *policy)
{
    return policy->n_params;
}

float *tl_policy_params(tl_policy *policy)
{
    return policy->params;
}

const float *tl_policy_params_view(const tl_policy *policy)
{
    return policy->params;
}

int tl_policy_gain_width(const tl_policy *policy)
{
    int n = 0;
    for (int k = 0; k < policy->n_slots; k++) {
        n += policy->slots[k].n_options;
    }
    return n;
}

int tl_policy_gain_at(const tl_policy *policy, int slot)
{
    int at = 0;
    for (int k = 0; k < policy->n_slots; k++) {
        if (policy->slots[k].slot == slot) {
            return at;
        }
        at += policy->slots[k].n_options;
    }
    return -1;
}

/* ---- states ----------------------------------------------------------------------------- */

int tl_policy_state_width(const tl_policy *policy)
{
    return policy->n_slots * policy->options.n_state;
}

/* out = silu(x W^T + b), W [h, d] */
static void layer(const tl_policy *policy, tl_cmat x, int w_at, int b_at, tl_mat out)
{
    tl_dense_fwd(
        x, tl_policy_weights(policy, w_at, out.cols, x.cols), policy->params + b_at, out);
    tl_silu_fwd(tl_ro(out), out);
}

tl_err tl_policy_states(const tl_policy *policy, tl_cmat x, tl_mat *out_states)
{
    tl_err err = TL_OK;
    int h = policy->options.n_hidden;
    int width = tl_policy_state_width(policy);
    tl_mat first = {0};
    tl_mat second = {0};
    tl_mat states = {0};
    TL_ASSERT(x.cols == policy->options.n_inputs);
    if ((err = tl_mat_init(&first, x.rows, h)) != TL_OK ||
        (err = tl_mat_init(&second, x.rows, h)) != TL_OK ||
        (err = tl_mat_init(&states, x.rows, width)) != TL_OK) {
        goto done;
    }
    if (h > 0) {
        layer(policy, x, policy->w1_at, policy->b1_at, first);
        layer(policy, tl_ro(first), policy->w2_at, policy->b2_at, second);
        tl_dense_fwd(
            tl_ro(second), tl_policy_weights(policy, policy->c_at, width, h),
            policy->params + policy->s_at, states);
    } else {
        for (int i = 0; i < x.rows; i++) {
            tl_axpy(width, 1.0F, policy->params + policy->s_at, tl_mat_row(states, i));
        }
    }

    *out_states = states;
    states = (tl_mat){0};
done:
    tl_mat_done(&first);
    tl_mat_done(&second);
    tl_mat_done(&states);
    return err;
}

/* ---- one design from a state --------------------------------------------------------------- */

/* A design on its way, its later slots' inputs as the choices so far have made them. */
typedef struct walk {
    const tl_policy *policy;
    tl_choice *design;
    float inputs[TL_SPACE_MAX_SLOTS * MAX_STATE]; /* c_k and what was added */
    tl_choice allowed[TL_SPACE_MAX_OPTIONS];
    double logits[TL_SPACE_MAX_OPTIONS]; /* of those allowed */
    int n_allowed;
} walk;

static void walk_start(walk *w, const tl_policy *policy, const float *state, tl_choice *design)
{
    w->policy = policy;
    w->design = design;
    memcpy(w->inputs, state, (size_t)tl_policy_state_width(policy) * sizeof *state);
    for (int i = 0; i < tl_space_n_slots(policy->space); i++) {
        design[i] = TL_CHOICE_ABSENT;
    }
}

/* Lists what slot k may take, and the logits where there is a choice. */
static void walk_open(walk *w, int k)
{
    const tl_policy *policy = w->policy;
    const policy_slot *s = &policy->slots[k];
    int e = policy->options.n_state;
    w->n_allowed =
        tl_space_allowed(policy->space, policy->freedom, w->design, s->slot, w->allowed);
    if (w->n_allowed < 2) {
        return;
    }
    float active[MAX_STATE];
    tl_cmat input = {.data = w->inputs + (ptrdiff_t)k * e, .rows = 1, .cols = e, .ld = e};
    tl_silu_fwd(input, (tl_mat){.data = active, .rows = 1, .cols = e, .ld = e});
    for (int i = 0; i < w->n_allowed; i++) {
        const float *row = policy->params + s->o_at + (ptrdiff_t)w->allowed[i] * e;
        float sum = policy->params[s->b_at + w->allowed[i]];
        for (int j = 0; j < e; j++) {
            sum += row[j] * active[j];
        }
        w->logits[i] = (double)sum;
    }
}

static void walk_choose(walk *w, int k, tl_choice choice)
{
    const policy_slot *s = &w->policy->slots[k];
    int tail = tl_policy_tail(w->policy, k);
    w->design[s->slot] = choice;
    tl_axpy(
        tail, 1.0F, w->policy->params + s->e_at + (ptrdiff_t)tl_policy_code(s, choice) * tail,
        w->inputs + (ptrdiff_t)(k + 1) * w->policy->options.n_state);
}

static int likeliest(const walk *w)
{
    int best = 0;
    for (int i = 1; i < w->n_allowed; i++) {
        best = w->logits[i] > w->logits[best] ? i : best;
    }
    return best;
}

/* An index among those allowed, by softmax of the logits over the temperature. */
static int draw(const walk *w, double temperature, tl_rng *rng)
{
    double weights[TL_SPACE_MAX_OPTIONS];
    double total = 0;
    double top = w->logits[likeliest(w)];
    for (int i = 0; i < w->n_allowed; i++) {
        weights[i] = exp((w->logits[i] - top) / temperature);
        total += weights[i];
    }
    double left = tl_rng_uniform(rng) * total;
    int i = 0;
    while (i + 1 < w->n_allowed && left >= weights[i]) {
        left -= weights[i++];
    }
    return i;
}

/* False where the choices ended in none that the space allows. */
static bool walk_all(walk *w, double temperature, tl_rng *rng)
{
    for (int k = 0; k < w->policy->n_slots; k++) {
        int i = 0;
        walk_open(w, k);
        if (w->n_allowed == 0) {
            return false;
        }
        if (w->n_allowed > 1) {
            i = temperature > 0 ? draw(w, temperature, rng) : likeliest(w);
        }
        walk_choose(w, k, w->allowed[i]);
    }
    return true;
}

void tl_policy_sample(
    const tl_policy *policy,
    const float *state,
    double temperature,
    tl_rng *rng,
    tl_choice *out_design)
{
    walk w;
    tl_rng own;
    tl_rng_init(&own, 0);
    for (int i = 0; i < MAX_RESTARTS; i++) {
        walk_start(&w, policy, state, out_design);
        if (walk_all(&w, temperature, temperature > 0 ? rng : &own)) {
            return;
        }
        if (temperature <= 0) {
            break;
        }
    }
    /* rules that nearly always end in a dead end: any valid design will do */
    tl_space_sample_with(
        policy->space, policy->freedom, temperature > 0 ? rng : &own, out_design);
}

double tl_policy_log_likelihood(
    const tl_policy *policy, const float *state, const tl_choice *design)
{
    walk w;
    tl_choice copy[TL_SPACE_MAX_SLOTS];
    double sum = 0;
    walk_start(&w, policy, state, copy);
    for (int k = 0; k < policy->n_slots; k++) {
        tl_choice choice = design[policy->slots[k].slot];
        walk_open(&w, k);
        double total = 0;
        double top = w.n_allowed > 1 ? w.logits[likeliest(&w)] : 0;
        for (int i = 0; i < w.n_allowed && w.n_allowed > 1; i++) {
            total += exp(w.logits[i] - top);
            sum += w.allowed[i] == choice ? w.logits[i] - top : 0;
        }
        sum -= w.n_allowed > 1 ? log(total) : 0;
        walk_choose(&w, k, choice);
    }
    return sum;
}
