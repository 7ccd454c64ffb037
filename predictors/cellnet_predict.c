/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "numerics/act.h"
#include "numerics/dense.h"
#include "numerics/gemm.h"
#include "predictors/cellnet_impl.h"

#include <math.h>
#include <string.h>

enum {
    TOP_ROWS = 512, /* through the head at once: they stay in the cache */
    NONE = -1
};

/* A message as it is sent: from a state, by a code. */
typedef struct sent_message {
    int state, code;
} sent_message;

/* A node: its distinct states over all designs, and the distinct messages that they send. */
typedef struct node_plan {
    int n_in;
    int edges[TL_NET_MAX_EDGES]; /* that arrive */
    int n_states;
    int *state_of;   /* [n]: of each design */
    int *design_of;  /* [n_states]: one that has it */
    int *message_of; /* [n_states, n_codes]: row of messages; NONE: not sent */
    sent_message *messages;
    int n_messages; /* sorted by block */
    int block_begin[TL_NET_MAX_CODES + 1];
    tl_mat states; /* [n_states, d]; the last node's are not kept */
    tl_mat got;    /* [n_messages, d] */
} node_plan;

typedef struct plan {
    const tl_net *net;
    const tl_cellnet_shape *s;
    tl_cellnet_layout l;
    const tl_net_input *input;
    node_plan nodes[TL_NET_MAX_NODES];
    int *table; /* [table_len]: states by key; hashed where there are more keys */
    uint64_t *table_keys;
    size_t table_len;        /* a power of 2 */
    tl_mat sent, pre, csent; /* [most messages of a node, d], [.., nc] */
    tl_mat top, hidden;      /* [TOP_ROWS, d + nc], [TOP_ROWS, h] */
    float *sums;             /* of mean and spread */
    tl_mat y, mean,
        spread; /* [TOP_ROWS, n_out]; over members, [states of the last node, outputs] */
} plan;

/* ---- which states there are ---------------------------------------------------------- */

static void plan_done(plan *p)
{
    for (int v = 0; v < TL_NET_MAX_NODES; v++) {
        node_plan *node = &p->nodes[v];
        tl_mem_free(node->state_of);
        tl_mem_free(node->design_of);
        tl_mem_free(node->message_of);
        tl_mem_free(node->messages);
        tl_mat_done(&node->states);
        tl_mat_done(&node->got);
    }
    tl_mem_free(p->table);
    tl_mem_free(p->table_keys);
    tl_mem_free(p->sums);
    tl_mat *const mats[] = {&p->sent, &p->pre, &p->csent, &p->top, &p->hidden, &p->y};
    for (size_t i = 0; i < TL_COUNT(mats); i++) {
        tl_mat_done(mats[i]);
    }
}

static const float *conditions_of(const plan *p, int design)
{
    return tl_cmat_row(p->input->x, design);
}

static int8_t code_at(const plan *p, int design, int edge)
{
    return p->input->codes[(ptrdiff_t)design * p->s->n_edges + edge];
}

/* The state of that key, or a new one. n_keys: what keys are below; 0: anything. */
static int find_state(plan *p, node_plan *node, uint64_t key, double n_keys, int design)
{
    const uint64_t spread = 0x9e3779b97f4a7c15U;
    size_t at = (size_t)key;
    if (n_keys > (double)p->table_len) {
        at = (size_t)((key * spread) >> 20U) & (p->table_len - 1);
        while (p->table[at] != NONE && p->table_keys[at] != key) {
            at = (at + 1) & (p->table_len - 1);
        }
    }
    if (p->table[at] == NONE) {
        p->table[at] = node->n_states;
        p->table_keys[at] = key;
        node->design_of[node->n_states++] = design;
    }
    return p->table[at];
}

/* Node 0 holds one vector; designs differ there by their conditions. */
static void find_first_states(plan *p, node_plan *node)
{
    size_t bytes = (size_t)p->s->n_conditions * sizeof(float);
    for (int i = 0; i < p->input->n; i++) {
        uint64_t at = 0xcbf29ce484222325U;
        for (int j = 0; j < p->s->n_conditions; j++) {
            uint32_t bits = 0;
            memcpy(&bits, &conditions_of(p, i)[j], sizeof bits);
            at = (at ^ bits) * 0x100000001b3U;
        }
        at ^= at >> 32U;
        at &= p->table_len - 1;
        while (p->table[at] != NONE &&
               (bytes > 0 && memcmp(
                                 conditions_of(p, node->design_of[p->table[at]]),
                                 conditions_of(p, i), bytes) != 0)) {
            at = (at + 1) & (p->table_len - 1);
        }
        if (p->table[at] == NONE) {
            p->table[at] = node->n_states;
            node->design_of[node->n_states++] = i;
        }
        node->state_of[i] = p->table[at];
    }
}

/*
 * A node's state follows from the conditions and from what each edge brings, the
 * digits of its key. Where keys would grow beyond 63 bits every design has its own.
 */
static void find_states(plan *p, node_plan *node)
{
    const tl_cellnet_shape *s = p->s;
    const double most_keys = 0x1p62;
    const node_plan *first = &p->nodes[0];
    uint64_t radix[TL_NET_MAX_EDGES] = {0};
    double n_keys = first->n_states;
    for (int k = 0; k < node->n_in; k++) {
        int from = s->from[node->edges[k]];
        radix[k] = 1 + (uint64_t)p->nodes[from].n_states * (uint64_t)s->n_codes;
        n_keys *= (double)radix[k];
    }
    bool is_shared = n_keys <= most_keys;
    for (int i = 0; i < p->input->n; i++) {
        uint64_t key = is_shared ? (uint64_t)first->state_of[i] : (uint64_t)i;
        for (int k = 0; k < node->n_in && is_shared; k++) {
            int edge = node->edges[k];
            int state = p->nodes[s->from[edge]].state_of[i];
            int8_t code = code_at(p, i, edge);
            key *= radix[k];
            key += code < 0 ? 0 : 1 + (uint64_t)state * (uint64_t)s->n_codes + (uint64_t)code;
        }
        node->state_of[i] = find_state(p, node, key, is_shared ? n_keys : 0, i);
    }
}

/* Which messages the node's states send. */
static tl_err find_messages(plan *p, int v)
{
    const tl_cellnet_shape *s = p->s;
    node_plan *node = &p->nodes[v];
    int n_pairs = node->n_states * s->n_codes;
    node->message_of = tl_mem_new((size_t)n_pairs, sizeof *node->message_of);
    if (node->message_of == NULL) {
        return tl_fail(TL_ENOMEM, "messages of %d states", node->n_states);
    }
    for (int e = 0; e < s->n_edges; e++) {
        for (int i = 0; s->from[e] == v && i < p->input->n; i++) {
            int8_t code = code_at(p, i, e);
            if (code > 0) {
                node->message_of[node->state_of[i] * s->n_codes + code] = 1;
            }
        }
    }
    for (int j = 0; j < n_pairs; j++) {
        node->n_messages += node->message_of[j];
    }
    node->messages = tl_mem_new((size_t)node->n_messages, sizeof *node->messages);
    if (node->messages == NULL) {
        return tl_fail(TL_ENOMEM, "%d messages", node->n_messages);
    }
    int at = 0;
    for (int k = 0; k < s->n_blocks; k++) {
        node->block_begin[k] = at;
        for (int j = 0; j < n_pairs; j++) {
            int code = j % s->n_codes;
            if (node->message_of[j] == 1 && s->block[code] == k) {
                node->messages[at++] = (sent_message){j / s->n_codes, code};
            }
        }
    }
    node->block_begin[s->n_blocks] = at;
    for (int j = 0; j < n_pairs; j++) {
        node->message_of[j] = NONE;
    }
    for (int j = 0; j < at; j++) {
        const sent_message *m = &node->messages[j];
        node->message_of[m->state * s->n_codes + m->code] = j;
    }
    return TL_OK;
}

static tl_err plan_nodes(plan *p)
{
    const tl_cellnet_shape *s = p->s;
    size_t n = (size_t)p->input->n;
    for (int v = 0; v < s->n_nodes; v++) {
        node_plan *node = &p->nodes[v];
        node->state_of = tl_mem_new(n, sizeof *node->state_of);
        node->design_of = tl_mem_new(n, sizeof *node->design_of);
        if (node->state_of == NULL || node->design_of == NULL) {
            return tl_fail(TL_ENOMEM, "states of %zu designs", n);
        }
        for (int e = 0; e < s->n_edges; e++) {
            if (s->to[e] == v) {
                node->edges[node->n_in++] = e;
            }
        }
        for (size_t i = 0; i < p->table_len; i++) {
            p->table[i] = NONE;
        }
        if (v == 0) {
            find_first_states(p, node);
        } else {
            find_states(p, node);
        }
        if (v + 1 < s->n_nodes) {
            TL_TRY(find_messages(p, v));
            TL_TRY(tl_mat_init(&node->states, node->n_states, s->d));
            TL_TRY(tl_mat_init(&node->got, node->n_messages, s->d));
        }
    }
    return TL_OK;
}

static tl_err plan_init(const tl_net *net, const tl_net_input *input, int n_outputs, plan *p)
{
    const tl_cellnet_shape *s = &net->cell;
    int most = 0;
    p->net = net;
    p->s = s;
    p->l = tl_cellnet_lay_out(s);
    p->input = input;
    p->table_len = 64;
    while (p->table_len < 4 * (size_t)input->n) {
        p->table_len *= 2;
    }
    p->table = tl_mem_new(p->table_len, sizeof *p->table);
    p->table_keys = tl_mem_new(p->table_len, sizeof *p->table_keys);
    if (p->table == NULL || p->table_keys == NULL) {
        return tl_fail(TL_ENOMEM, "states of %d designs", input->n);
    }
    TL_TRY(plan_nodes(p));
    for (int v = 0; v + 1 < s->n_nodes; v++) {
        most = p->nodes[v].n_messages > most ? p->nodes[v].n_messages : most;
    }
    int n_tops = p->nodes[s->n_nodes - 1].n_states;
    TL_TRY(tl_mat_init(&p->sent, most, s->d));
    TL_TRY(tl_mat_init(&p->pre, most, s->d));
    TL_TRY(tl_mat_init(&p->csent, most, s->n_conditions));
    TL_TRY(tl_mat_init(&p->top, TOP_ROWS, s->d + s->n_conditions));
    TL_TRY(tl_mat_init(&p->hidden, TOP_ROWS, s->h));
    TL_TRY(tl_mat_init(&p->y, TOP_ROWS, s->n_out));
    /* Rows without padding: there are many short ones. */
    p->sums = tl_mem_new(2 * (size_t)n_tops * (size_t)n_outputs, sizeof *p->sums);
    if (p->sums == NULL) {
        return tl_fail(TL_ENOMEM, "prediction of %d designs", input->n);
    }
    p->mean = (tl_mat){p->sums, n_tops, n_outputs, n_outputs};
    p->spread = p->mean;
    p->spread.data += (ptrdiff_t)n_tops * n_outputs;
    return TL_OK;
}

/* ---- one member ------------------------------------------------------------------------ */

static tl_cmat packed(const float *data, int rows, int cols)
{
    return (tl_cmat){.data = data, .rows = rows, .cols = cols, .ld = cols};
}

/* to = gain to + b */
static void scale_and_add(int n, float gain, const float *restrict b, float *restrict to)
{
    for (int i = 0; i < n; i++) {
        to[i] = gain * to[i] + b[i];
    }
}

/* The messages of block k of a node: got = exp(g) silu(h W1 + b + c U) W2 + b2. */
static void send_block(const plan *p, const float *params, const node_plan *node, int k)
{
    const tl_cellnet_shape *s = p->s;
    int d = s->d;
    int begin = node->block_begin[k];
    int n = node->block_begin[k + 1] - begin;
    tl_mat sent = tl_mat_rows(p->sent, 0, n);
    tl_mat pre = tl_mat_rows(p->pre, 0, n);
    tl_mat got = tl_mat_rows(node->got, begin, begin + n);
    for (int j = 0; j < n; j++) {
        const sent_message *m = &node->messages[begin + j];
        memcpy(
            tl_mat_row(sent, j), tl_mat_row(node->states, m->state), (size_t)d * sizeof(float));
        memcpy(tl_mat_row(pre, j), params + p->l.b + m->code * d, (size_t)d * sizeof(float));
    }
    tl_gemm(
        1.0F, TL_N, tl_ro(sent), TL_N, packed(params + p->l.w1 + k * d * d, d, d), 1.0F, pre);
    if (s->n_conditions > 0) {
        int nc = s->n_conditions;
        tl_mat c = tl_mat_rows(p->csent, 0, n);
        for (int j = 0; j < n; j++) {
            int design = node->design_of[node->messages[begin + j].state];
            memcpy(tl_mat_row(c, j), conditions_of(p, design), (size_t)nc * sizeof(float));
        }
        tl_gemm(
            1.0F, TL_N, tl_ro(c), TL_N, packed(params + p->l.u + k * nc * d, nc, d), 1.0F, pre);
    }
    tl_silu_fwd(tl_ro(pre), pre);
    tl_gemm(
        1.0F, TL_N, tl_ro(pre), TL_N, packed(params + p->l.w2 + k * d * d, d, d), 0.0F, got);
    for (int j = 0; j < n; j++) {
        int code = node->messages[begin + j].code;
        scale_and_add(
            d, expf(params[p->l.g + code]), params + p->l.b2 + code * d, tl_mat_row(got, j));
    }
}

/* to = the sum of what arrives at the node in a design. */
static void receive(const plan *p, const node_plan *node, int design, float *to)
{
    const tl_cellnet_shape *s = p->s;
    memset(to, 0, (size_t)s->d * sizeof *to);
    for (int k = 0; k < node->n_in; k++) {
        int edge = node->edges[k];
        int8_t code = code_at(p, design, edge);
        const node_plan *from = &p->nodes[s->from[edge]];
        int state = from->state_of[design];
        if (code > 0) {
            int message = from->message_of[state * s->n_codes + code];
            tl_add_row(s->d, tl_mat_row(from->got, message), to);
        } else if (code == 0) {
            tl_add_row(s->d, tl_mat_row(from->states, state), to);
        }
    }
}

/* The answers of the k-th head into the running mean and spread, rows from `begin` on. */
static void add_answers(plan *p, int k, int head, int begin, int n)
{
    int cols = p->mean.cols;
    float share = 1.0F / (float)(k + 1);
    for (int i = 0; i < n; i++) {
        const float *from = tl_mat_row(p->y, i) + (ptrdiff_t)head * cols;
        float *m = tl_mat_row(p->mean, begin + i);
        float *s = tl_mat_row(p->spread, begin + i);
        for (int j = 0; j < cols; j++) {
            /* Welford's update: exact also where the members nearly agree. */
            float delta = from[j] - m[j];
            m[j] += delta * share;
            s[j] += delta * (from[j] - m[j]);
        }
    }
}

/* The head over the states of the last node. */
static void answer(plan *p, const float *params, int member)
{
    const tl_cellnet_shape *s = p->s;
    const node_plan *last = &p->nodes[s->n_nodes - 1];
    int n_heads = s->n_out / p->mean.cols;
    tl_cmat head_w = packed(params + p->l.head_w, s->h, s->d + s->n_conditions);
    tl_cmat out_w = packed(params + p->l.out_w, s->n_out, s->h);
    for (int begin = 0; begin < last->n_states; begin += TOP_ROWS) {
        int n = last->n_states - begin < TOP_ROWS ? last->n_states - begin : TOP_ROWS;
        tl_mat hidden = tl_mat_rows(p->hidden, 0, n);
        for (int i = 0; i < n; i++) {
            int design = last->design_of[begin + i];
            float *row = tl_mat_row(p->top, i);
            receive(p, last, design, row);
            if (s->n_conditions > 0) {
                memcpy(
                    row + s->d, conditions_of(p, design),
                    (size_t)s->n_conditions * sizeof *row);
            }
        }
        tl_dense_fwd(tl_ro(tl_mat_rows(p->top, 0, n)), head_w, params + p->l.head_b, hidden);
        tl_silu_fwd(tl_ro(hidden), hidden);
        tl_dense_fwd(tl_ro(hidden), out_w, params + p->l.out_b, tl_mat_rows(p->y, 0, n));
        for (int head = 0; head < n_heads; head++) {
            add_answers(p, member * n_heads + head, head, begin, n);
        }
    }
}

static void run_member(plan *p, const float *params, int member)
{
    const tl_cellnet_shape *s = p->s;
    for (int v = 0; v + 1 < s->n_nodes; v++) {
        const node_plan *node = &p->nodes[v];
        for (int i = 0; i < node->n_states; i++) {
            float *state = tl_mat_row(node->states, i);
            if (v == 0) {
                memcpy(state, params + p->l.v, (size_t)s->d * sizeof *state);
            } else {
                receive(p, node, node->design_of[i], state);
            }
        }
        for (int k = 0; k < s->n_blocks; k++) {
            if (node->block_begin[k] < node->block_begin[k + 1]) {
                send_block(p, params, node, k);
            }
        }
    }
    answer(p, params, member);
}

tl_err tl_cellnet_predict(
    const tl_net *net,
    const tl_net_input *input,
    const float *params,
    int n_members,
    tl_mat mean,
    tl_mat spread)
{
    TL_ASSERT(input->n_codes == net->cell.n_edges);
    TL_ASSERT(net->cell.n_conditions == 0 || input->x.cols == net->cell.n_conditions);
    plan p = {0};
    tl_err err = plan_init(net, input, mean.cols, &p);
    for (int k = 0; k < n_members && err == TL_OK; k++) {
        run_member(&p, params + (ptrdiff_t)k * net->n_params, k);
    }
    const node_plan *last = &p.nodes[net->cell.n_nodes - 1];
    int n_classes = net->n_out / mean.cols;
    float share = 1.0F / (float)(n_members * n_classes);
    for (int i = 0; i < input->n && err == TL_OK; i++) {
        for (int j = 0; j < mean.cols; j++) {
            tl_mat_row(mean, i)[j] = tl_mat_row(p.mean, last->state_of[i])[j];
            tl_mat_row(spread, i)[j] = tl_mat_row(p.spread, last->state_of[i])[j] * share;
        }
    }
    for (int i = 0; i < input->n && err == TL_OK && input->first_like != NULL; i++) {
        input->first_like[i] = last->design_of[last->state_of[i]];
    }
    plan_done(&p);
    return err;
}
