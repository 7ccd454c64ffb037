/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/cellnet_impl.h"

#include "base/mem.h"
#include "base/span.h"
#include "numerics/act.h"
#include "numerics/dense.h"
#include "numerics/gemm.h"

#include <math.h>
#include <string.h>

tl_cellnet_layout tl_cellnet_lay_out(const tl_cellnet_shape *s)
{
    tl_cellnet_layout l = {0};
    int n = 0;
    int n_ops = s->n_codes - 1;
    l.v = n;
    n += s->d;
    l.w1 = n;
    n += s->n_blocks * s->d * s->d;
    l.w2 = n;
    n += s->n_blocks * s->d * s->d;
    l.u = n;
    n += s->n_blocks * s->n_conditions * s->d;
    l.b = n - s->d; /* code 1 comes first */
    n += n_ops * s->d;
    l.b2 = n - s->d;
    n += n_ops * s->d;
    l.g = n - 1;
    n += n_ops;
    l.head_w = n;
    n += (s->d + s->n_conditions) * s->h;
    l.head_b = n;
    n += s->h;
    l.out_w = n;
    n += s->h * s->n_out;
    l.out_b = n;
    n += s->n_out;
    l.n = n;
    return l;
}

/* A message on its way: from the state of node `from` of design `row`. */
typedef struct message {
    int from, row, code;
} message;

/* Messages into one node, sorted by block; skips come first. */
typedef struct inbox {
    int begin;                             /* of the skips */
    int block_begin[TL_NET_MAX_CODES + 1]; /* of each block's messages, and the end */
} inbox;

typedef struct work {
    inbox inboxes[TL_NET_MAX_NODES];
    message *messages;               /* [max_n * n_edges] */
    tl_mat states[TL_NET_MAX_NODES]; /* h [max_n, d] */
    tl_mat dstates[TL_NET_MAX_NODES];
    tl_mat sent, pre, act, got;         /* [max_n * n_edges, d], a row a message */
    tl_mat dsent, dpre;                 /* [max_n * max in-degree, d] */
    tl_mat csent;                       /* [.., nc], the conditions of a block's messages */
    tl_mat top, dtop;                   /* [max_n, d + nc] */
    tl_mat hidden, hidden_act, dhidden; /* [max_n, h] */
} work;

static void work_free(void *work_any)
{
    work *w = work_any;
    if (w == NULL) {
        return;
    }
    for (int i = 0; i < TL_NET_MAX_NODES; i++) {
        tl_mat_done(&w->states[i]);
        tl_mat_done(&w->dstates[i]);
    }
    tl_mat *const mats[] = {&w->sent,  &w->pre,    &w->act,        &w->got,
                            &w->dsent, &w->dpre,   &w->csent,      &w->top,
                            &w->dtop,  &w->hidden, &w->hidden_act, &w->dhidden};
    for (size_t i = 0; i < TL_COUNT(mats); i++) {
        tl_mat_done(mats[i]);
    }
    tl_mem_free(w->messages);
    tl_mem_free(w);
}

static tl_err work_init(const tl_cellnet_shape *s, int max_n, work *w)
{
    int m = max_n * s->n_edges;
    const struct {
        tl_mat *mat;
        int rows, cols;
    } parts[] = {
        {&w->sent,       m,     s->d                  },
        {&w->pre,        m,     s->d                  },
        {&w->act,        m,     s->d                  },
        {&w->got,        m,     s->d                  },
        {&w->dsent,      m,     s->d                  },
        {&w->dpre,       m,     s->d                  },
        {&w->csent,      m,     s->n_conditions       },
        {&w->top,        max_n, s->d + s->n_conditions},
        {&w->dtop,       max_n, s->d + s->n_conditions},
        {&w->hidden,     max_n, s->h                  },
        {&w->hidden_act, max_n, s->h                  },
        {&w->dhidden,    max_n, s->h                  },
    };
    for (int i = 0; i < s->n_nodes; i++) {
        TL_TRY(tl_mat_init(&w->states[i], max_n, s->d));
        TL_TRY(tl_mat_init(&w->dstates[i], max_n, s->d));
    }
    for (size_t i = 0; i < TL_COUNT(parts); i++) {
        TL_TRY(tl_mat_init(parts[i].mat, parts[i].rows, parts[i].cols));
    }
    return TL_OK;
}

static void *work_new(const tl_net *net, int max_n)
{
    const tl_cellnet_shape *s = &net->cell;
    work *w = tl_mem_new(1, sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    w->messages = tl_mem_new((size_t)max_n * (size_t)s->n_edges, sizeof *w->messages);
    if (w->messages == NULL || work_init(s, max_n, w) != TL_OK) {
        work_free(w);
        return NULL;
    }
    return w;
}

/* One pass over a batch: what every step of it reads and writes. */
typedef struct pass {
    const tl_cellnet_shape *s;
    tl_cellnet_layout l;
    const float *params;
    const tl_net_input *input;
    work *w;
    float *dparams;               /* NULL on the way forward */
    float gain[TL_NET_MAX_CODES]; /* exp(g) */
} pass;

static pass start_pass(
    const tl_net *net, const float *params, const tl_net_input *input, work *w, float *dparams)
{
    pass p = {
        .s = &net->cell,
        .l = tl_cellnet_lay_out(&net->cell),
        .params = params,
        .input = input,
        .w = w,
        .dparams = dparams,
    };
    for (int o = 1; o < p.s->n_codes; o++) {
        p.gain[o] = expf(params[p.l.g + o]);
    }
    return p;
}

/* A matrix without padding that lives in a flat vector. */
static tl_mat packed(float *data, int rows, int cols)
{
    return (tl_mat){.data = data, .rows = rows, .cols = cols, .ld = cols};
}

static tl_cmat cpacked(const float *data, int rows, int cols)
{
    return (tl_cmat){.data = data, .rows = rows, .cols = cols, .ld = cols};
}

/* W1_k and the like in the vector of parameters. */
static tl_cmat block_weights(const pass *p, int offset, int rows, int k)
{
    int d = p->s->d;
    return cpacked(p->params + offset + k * rows * d, rows, d);
}

static tl_mat block_gradient(const pass *p, int offset, int rows, int k)
{
    int d = p->s->d;
    return packed(p->dparams + offset + k * rows * d, rows, d);
}

static tl_cmat head_weights(const pass *p)
{
    return cpacked(p->params + p->l.head_w, p->s->h, p->s->d + p->s->n_conditions);
}

static tl_cmat out_weights(const pass *p)
{
    return cpacked(p->params + p->l.out_w, p->s->n_out, p->s->h);
}

/* ---- who sends to whom ----------------------------------------------------- */

/* -1: the edge is cut. */
static int code_at(const pass *p, int edge, int row)
{
    return p->input->codes[(ptrdiff_t)row * p->s->n_edges + edge];
}

/* Places the messages into node `node` from position begin on; returns their end. */
static int sort_inbox(const pass *p, int node, int begin)
{
    const tl_cellnet_shape *s = p->s;
    int count[TL_NET_MAX_CODES + 1] = {0}; /* of skips, then of each block */
    for (int e = 0; e < s->n_edges; e++) {
        for (int i = 0; s->to[e] == node && i < p->input->n; i++) {
            int code = code_at(p, e, i);
            if (code >= 0) {
                count[s->block[code] + 1]++;
            }
        }
    }
    inbox *box = &p->w->inboxes[node];
    int next[TL_NET_MAX_CODES + 1];
    box->begin = begin;
    int end = begin;
    for (int k = 0; k <= s->n_blocks; k++) {
        next[k] = end;
        end += count[k];
        box->block_begin[k] = end;
    }
    for (int e = 0; e < s->n_edges; e++) {
        for (int i = 0; s->to[e] == node && i < p->input->n; i++) {
            int code = code_at(p, e, i);
            if (code >= 0) {
                p->w->messages[next[s->block[code] + 1]++] =
                    (message){.from = s->from[e], .row = i, .code = code};
            }
        }
    }
    return end;
}

/* The conditions of the messages [begin, end), a row each. */
static tl_cmat gather_conditions(const pass *p, int begin, int end)
{
    tl_mat c = tl_mat_rows(p->w->csent, 0, end - begin);
    for (int j = begin; j < end; j++) {
        memcpy(
            tl_mat_row(c, j - begin), tl_cmat_row(p->input->x, p->w->messages[j].row),
            (size_t)c.cols * sizeof(float));
    }
    return tl_ro(c);
}

/* ---- forward ----------------------------------------------------------------- */

/* The messages [begin, end) of block k: sent -> pre -> act -> got. */
static void send_block(const pass *p, int k, int begin, int end)
{
    work *w = p->w;
    int d = p->s->d;
    size_t row_bytes = (size_t)d * sizeof(float);
    for (int j = begin; j < end; j++) {
        const message *m = &w->messages[j];
        memcpy(tl_mat_row(w->sent, j), tl_mat_row(w->states[m->from], m->row), row_bytes);
        memcpy(tl_mat_row(w->pre, j), p->params + p->l.b + m->code * d, row_bytes);
    }
    tl_cmat sent = tl_ro(tl_mat_rows(w->sent, begin, end));
    tl_mat pre = tl_mat_rows(w->pre, begin, end);
    tl_mat act = tl_mat_rows(w->act, begin, end);
    /* pre = h W1_k + b_o + c U_k */
    tl_gemm(1.0F, TL_N, sent, TL_N, block_weights(p, p->l.w1, d, k), 1.0F, pre);
    if (p->s->n_conditions > 0) {
        tl_cmat c = gather_conditions(p, begin, end);
        tl_gemm(1.0F, TL_N, c, TL_N, block_weights(p, p->l.u, c.cols, k), 1.0F, pre);
    }
    tl_silu_fwd(tl_ro(pre), act);
    /* got = silu(pre) W2_k */
    tl_gemm(
        1.0F, TL_N, tl_ro(act), TL_N, block_weights(p, p->l.w2, d, k), 0.0F,
        tl_mat_rows(w->got, begin, end));
}

/* to += gain got + b2 */
TL_KERNEL static void add_message(
    int d, float gain, const float *restrict got, const float *restrict b2, float *restrict to)
{
    for (int i = 0; i < d; i++) {
        to[i] += gain * got[i] + b2[i];
    }
}

/* h_node = sum of what arrives. */
static void receive(const pass *p, int node)
{
    work *w = p->w;
    int d = p->s->d;
    const inbox *box = &w->inboxes[node];
    tl_mat h = tl_mat_rows(w->states[node], 0, p->input->n);
    memset(h.data, 0, (size_t)h.rows * (size_t)h.ld * sizeof *h.data);
    for (int j = box->begin; j < box->block_begin[0]; j++) {
        const message *m = &w->messages[j];
        tl_add_row(d, tl_mat_row(w->states[m->from], m->row), tl_mat_row(h, m->row));
    }
    for (int j = box->block_begin[0]; j < box->block_begin[p->s->n_blocks]; j++) {
        const message *m = &w->messages[j];
        const float *got = tl_mat_row(w->got, j);
        const float *b2 = p->params + p->l.b2 + m->code * d;
        float *to = tl_mat_row(h, m->row);
        TL_ASSERT_SPAN(got, d);
        TL_ASSERT_SPAN(b2, d);
        TL_ASSERT_SPAN(to, d);
        add_message(d, p->gain[m->code], got, b2, to);
    }
}

static void head_fwd(const pass *p, tl_mat y)
{
    const tl_cellnet_shape *s = p->s;
    int n = p->input->n;
    tl_mat top = tl_mat_rows(p->w->top, 0, n);
    for (int i = 0; i < n; i++) {
        float *row = tl_mat_row(top, i);
        memcpy(row, tl_mat_row(p->w->states[s->n_nodes - 1], i), (size_t)s->d * sizeof *row);
        if (s->n_conditions > 0) {
            memcpy(
                row + s->d, tl_cmat_row(p->input->x, i), (size_t)s->n_conditions * sizeof *row);
        }
    }
    tl_mat hidden = tl_mat_rows(p->w->hidden, 0, n);
    tl_mat act = tl_mat_rows(p->w->hidden_act, 0, n);
    tl_dense_fwd(tl_ro(top), head_weights(p), p->params + p->l.head_b, hidden);
    tl_silu_fwd(tl_ro(hidden), act);
    tl_dense_fwd(tl_ro(act), out_weights(p), p->params + p->l.out_b, y);
}

static void fwd(
    const tl_net *net, const float *params, const tl_net_input *input, void *work_any, tl_mat y)
{
    work *w = work_any;
    pass p = start_pass(net, params, input, w, NULL);
    TL_ASSERT(input->n_codes == p.s->n_edges && input->n <= w->states[0].rows);
    TL_ASSERT(p.s->n_conditions == 0 || input->x.cols == p.s->n_conditions);

    for (int i = 0; i < input->n; i++) {
        memcpy(tl_mat_row(w->states[0], i), params + p.l.v, (size_t)p.s->d * sizeof *params);
    }
    int begin = 0;
    for (int node = 1; node < p.s->n_nodes; node++) {
        begin = sort_inbox(&p, node, begin);
        const int *block = w->inboxes[node].block_begin;
        for (int k = 0; k < p.s->n_blocks; k++) {
            if (block[k] < block[k + 1]) {
                send_block(&p, k, block[k], block[k + 1]);
            }
        }
        receive(&p, node);
    }
    head_fwd(&p, y);
}

/* ---- backward ---------------------------------------------------------------- */

static void head_bwd(const pass *p, tl_cmat dy)
{
    const tl_cellnet_shape *s = p->s;
    int n = p->input->n;
    tl_cmat top = tl_ro(tl_mat_rows(p->w->top, 0, n));
    tl_mat dtop = tl_mat_rows(p->w->dtop, 0, n);
    tl_cmat hidden = tl_ro(tl_mat_rows(p->w->hidden, 0, n));
    tl_cmat act = tl_ro(tl_mat_rows(p->w->hidden_act, 0, n));
    tl_mat dhidden = tl_mat_rows(p->w->dhidden, 0, n);
    tl_dense_bwd(
        act, out_weights(p), dy, packed(p->dparams + p->l.out_w, s->n_out, s->h),
        p->dparams + p->l.out_b, dhidden);
    tl_silu_bwd(hidden, tl_ro(dhidden), dhidden);
    tl_dense_bwd(
        top, head_weights(p), tl_ro(dhidden), packed(p->dparams + p->l.head_w, s->h, top.cols),
        p->dparams + p->l.head_b, dtop);
    for (int i = 0; i < n; i++) {
        memcpy(
            tl_mat_row(p->w->dstates[s->n_nodes - 1], i), tl_mat_row(dtop, i),
            (size_t)s->d * sizeof(float));
    }
}

/* dgot = gain dh; returns <dh, got>. */
TL_KERNEL static float take_message(
    int d,
    float gain,
    const float *restrict dh,
    const float *restrict got,
    float *restrict dgot)
{
    float dot = 0.0F;
    for (int i = 0; i < d; i++) {
        dot += dh[i] * got[i];
        dgot[i] = gain * dh[i];
    }
    return dot;
}

/* dgot = exp(g) dh, and the gradients of g and b2, for the messages [begin, end). */
static void unreceive(const pass *p, int node, int begin, int end)
{
    int d = p->s->d;
    for (int j = begin; j < end; j++) {
        const message *m = &p->w->messages[j];
        const float *dh = tl_mat_row(p->w->dstates[node], m->row);
        const float *got = tl_mat_row(p->w->got, j);
        float *dgot = tl_mat_row(p->w->dsent, j);
        float gain = p->gain[m->code];
        TL_ASSERT_SPAN(dh, d);
        TL_ASSERT_SPAN(got, d);
        TL_ASSERT_SPAN(dgot, d);
        p->dparams[p->l.g + m->code] += gain * take_message(d, gain, dh, got, dgot);
        tl_add_row(d, dh, p->dparams + p->l.b2 + m->code * d);
    }
}

/* The messages [begin, end) of block k, backward; adds to the senders' states. */
static void unsend_block(const pass *p, int k, int begin, int end)
{
    work *w = p->w;
    int d = p->s->d;
    tl_mat dsent = tl_mat_rows(w->dsent, begin, end); /* holds dgot */
    tl_mat dpre = tl_mat_rows(w->dpre, begin, end);
    tl_cmat pre = tl_ro(tl_mat_rows(w->pre, begin, end));
    tl_cmat act = tl_ro(tl_mat_rows(w->act, begin, end));
    tl_cmat sent = tl_ro(tl_mat_rows(w->sent, begin, end));
    /* dW2 += act^T dgot, dact = dgot W2^T */
    tl_gemm(1.0F, TL_T, act, TL_N, tl_ro(dsent), 1.0F, block_gradient(p, p->l.w2, d, k));
    tl_gemm(1.0F, TL_N, tl_ro(dsent), TL_T, block_weights(p, p->l.w2, d, k), 0.0F, dpre);
    tl_silu_bwd(pre, tl_ro(dpre), dpre);
    for (int j = begin; j < end; j++) {
        tl_add_row(d, tl_mat_row(w->dpre, j), p->dparams + p->l.b + w->messages[j].code * d);
    }
    /* dW1 += sent^T dpre, dU += c^T dpre, dsent = dpre W1^T */
    tl_gemm(1.0F, TL_T, sent, TL_N, tl_ro(dpre), 1.0F, block_gradient(p, p->l.w1, d, k));
    if (p->s->n_conditions > 0) {
        tl_cmat c = gather_conditions(p, begin, end);
        tl_gemm(1.0F, TL_T, c, TL_N, tl_ro(dpre), 1.0F, block_gradient(p, p->l.u, c.cols, k));
    }
    tl_gemm(1.0F, TL_N, tl_ro(dpre), TL_T, block_weights(p, p->l.w1, d, k), 0.0F, dsent);
    for (int j = begin; j < end; j++) {
        const message *m = &w->messages[j];
        tl_add_row(d, tl_mat_row(w->dsent, j), tl_mat_row(w->dstates[m->from], m->row));
    }
}

static void bwd(
    const tl_net *net,
    const float *params,
    const tl_net_input *input,
    void *work_any,
    tl_cmat dy,
    float *dparams)
{
    work *w = work_any;
    pass p = start_pass(net, params, input, w, dparams);
    for (int node = 0; node + 1 < p.s->n_nodes; node++) {
        tl_mat dh = w->dstates[node];
        memset(dh.data, 0, (size_t)input->n * (size_t)dh.ld * sizeof *dh.data);
    }
    head_bwd(&p, dy);
    for (int node = p.s->n_nodes - 1; node > 0; node--) {
        const inbox *box = &w->inboxes[node];
        for (int j = box->begin; j < box->block_begin[0]; j++) {
            const message *m = &w->messages[j];
            tl_add_row(
                p.s->d, tl_mat_row(w->dstates[node], m->row),
                tl_mat_row(w->dstates[m->from], m->row));
        }
        for (int k = 0; k < p.s->n_blocks; k++) {
            int begin = box->block_begin[k];
            int end = box->block_begin[k + 1];
            if (begin < end) {
                unreceive(&p, node, begin, end);
                unsend_block(&p, k, begin, end);
            }
        }
    }
    for (int i = 0; i < input->n; i++) {
        tl_add_row(p.s->d, tl_mat_row(w->dstates[0], i), dparams + p.l.v);
    }
}

/* ---- construction -------------------------------------------------------------- */

static void fill_normal(tl_rng *rng, double sd, int n, float *out)
{
    tl_dense_fill_normal(rng, sd, packed(out, 1, n));
}

static void init_params(const tl_net *net, tl_rng *rng, float *params)
{
    const tl_cellnet_shape *s = &net->cell;
    tl_cellnet_layout l = tl_cellnet_lay_out(s);
    double per_d = 1.0 / sqrt((double)s->d);
    int width = s->d + s->n_conditions;
    int n_ops = s->n_codes - 1;
    memset(params, 0, (size_t)l.n * sizeof *params);
    fill_normal(rng, 1.0, s->d, params + l.v);
    fill_normal(rng, per_d, s->n_blocks * s->d * s->d, params + l.w1);
    fill_normal(rng, 0.7 * per_d, s->n_blocks * s->d * s->d, params + l.w2);
    fill_normal(rng, 0.1, s->n_blocks * s->n_conditions * s->d, params + l.u);
    fill_normal(rng, 0.1, n_ops * s->d, params + l.b + s->d);
    fill_normal(rng, 1.4 / sqrt((double)width), width * s->h, params + l.head_w);
    fill_normal(rng, 0.5 / sqrt((double)s->h), s->h * s->n_out, params + l.out_w);
}

const tl_net_kind tl_cellnet_kind = {
    .name = "cellnet",
    .init_params = init_params,
    .work_new = work_new,
    .work_free = work_free,
    .fwd = fwd,
    .bwd = bwd,
    .predict = tl_cellnet_predict,
};

bool tl_cellnet_shape_is_valid(const tl_cellnet_shape *s)
{
    enum {
        MAX_WIDTH = 256
    };
    if (s->n_nodes < 2 || s->n_nodes > TL_NET_MAX_NODES || s->n_edges < 1 ||
        s->n_edges > TL_NET_MAX_EDGES || s->n_codes < 1 || s->n_codes > TL_NET_MAX_CODES ||
        s->n_blocks < 0 || s->n_blocks >= TL_NET_MAX_CODES || s->d < 1 || s->d > MAX_WIDTH ||
        s->h < 1 || s->h > MAX_WIDTH || s->n_conditions < 0 || s->n_conditions > MAX_WIDTH ||
        s->n_out < 1 || s->n_out > MAX_WIDTH || s->block[0] != -1) {
        return false;
    }
    for (int e = 0; e < s->n_edges; e++) {
        if (s->from[e] < 0 || s->from[e] >= s->to[e] || s->to[e] >= s->n_nodes) {
            return false;
        }
    }
    for (int o = 1; o < s->n_codes; o++) {
        if (s->block[o] < 0 || s->block[o] >= s->n_blocks) {
            return false;
        }
    }
    return true;
}

void tl_cellnet_init(const tl_cellnet_shape *shape, tl_net *out_net)
{
    TL_ASSERT(tl_cellnet_shape_is_valid(shape));
    *out_net = (tl_net){
        .kind = &tl_cellnet_kind,
        .n_params = tl_cellnet_lay_out(shape).n,
        .n_out = shape->n_out,
        .cell = *shape,
    };
}
