/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/mlp.h"

#include "base/mem.h"
#include "numerics/act.h"
#include "numerics/dense.h"

#include <math.h>
#include <string.h>

enum {
    N_LAYERS = 3
};

/* Layer i: x_i W_i^T + b_i      x_i [n, d_i], W_i [d_i+1, d_i] */
typedef struct layout {
    int d[N_LAYERS + 1];
    int w[N_LAYERS], b[N_LAYERS];
    int n;
} layout;

static layout lay_out(const tl_mlp_shape *s)
{
    layout l = {
        .d = {s->d, s->h, s->h, s->n_out}
    };
    for (int i = 0; i < N_LAYERS; i++) {
        l.w[i] = l.n;
        l.n += l.d[i] * l.d[i + 1];
        l.b[i] = l.n;
        l.n += l.d[i + 1];
    }
    return l;
}

typedef struct work {
    tl_mat pre[N_LAYERS - 1], act[N_LAYERS - 1], dact[N_LAYERS - 1]; /* [max_n, h] */
} work;

static void work_free(void *work_any)
{
    work *w = work_any;
    for (int i = 0; w != NULL && i < N_LAYERS - 1; i++) {
        tl_mat_done(&w->pre[i]);
        tl_mat_done(&w->act[i]);
        tl_mat_done(&w->dact[i]);
    }
    tl_mem_free(w);
}

static void *work_new(const tl_net *net, int max_n)
{
    work *w = tl_mem_new(1, sizeof *w);
    for (int i = 0; w != NULL && i < N_LAYERS - 1; i++) {
        if (tl_mat_init(&w->pre[i], max_n, net->mlp.h) != TL_OK ||
            tl_mat_init(&w->act[i], max_n, net->mlp.h) != TL_OK ||
            tl_mat_init(&w->dact[i], max_n, net->mlp.h) != TL_OK) {
            work_free(w);
            return NULL;
        }
    }
    return w;
}

/* W_i in a flat vector. */
static tl_cmat weights(const layout *l, const float *params, int i)
{
    return (tl_cmat){
        .data = params + l->w[i], .rows = l->d[i + 1], .cols = l->d[i], .ld = l->d[i]};
}

static tl_mat matrix(const layout *l, float *dparams, int i)
{
    return (tl_mat){
        .data = dparams + l->w[i], .rows = l->d[i + 1], .cols = l->d[i], .ld = l->d[i]};
}

static void fwd(
    const tl_net *net, const float *params, const tl_net_input *input, void *work_any, tl_mat y)
{
    work *w = work_any;
    layout l = lay_out(&net->mlp);
    tl_cmat x = input->x;
    for (int i = 0; i < N_LAYERS - 1; i++) {
        tl_mat pre = tl_mat_rows(w->pre[i], 0, input->n);
        tl_mat act = tl_mat_rows(w->act[i], 0, input->n);
        tl_dense_fwd(x, weights(&l, params, i), params + l.b[i], pre);
        tl_silu_fwd(tl_ro(pre), act);
        x = tl_ro(act);
    }
    tl_dense_fwd(x, weights(&l, params, N_LAYERS - 1), params + l.b[N_LAYERS - 1], y);
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
    layout l = lay_out(&net->mlp);
    for (int i = N_LAYERS - 1; i >= 0; i--) {
        tl_cmat x = input->x;
        tl_mat dx = {0};
        if (i > 0) {
            x = tl_ro(tl_mat_rows(w->act[i - 1], 0, input->n));
            dx = tl_mat_rows(w->dact[i - 1], 0, input->n);
        }
        tl_dense_bwd(
            x, weights(&l, params, i), dy, matrix(&l, dparams, i), dparams + l.b[i], dx);
        if (i > 0) {
            tl_silu_bwd(tl_ro(tl_mat_rows(w->pre[i - 1], 0, input->n)), tl_ro(dx), dx);
            dy = tl_ro(dx);
        }
    }
}

static void init_params(const tl_net *net, tl_rng *rng, float *params)
{
    layout l = lay_out(&net->mlp);
    memset(params, 0, (size_t)l.n * sizeof *params);
    for (int i = 0; i < N_LAYERS; i++) {
        double gain = i < N_LAYERS - 1 ? 1.4 : 0.5;
        tl_dense_fill_normal(rng, gain / sqrt((double)l.d[i]), matrix(&l, params, i));
    }
}

const tl_net_kind tl_mlp_kind = {
    .name = "mlp",
    .init_params = init_params,
    .work_new = work_new,
    .work_free = work_free,
    .fwd = fwd,
    .bwd = bwd,
};

bool tl_mlp_shape_is_valid(const tl_mlp_shape *s)
{
    enum {
        MAX_INPUT = 1 << 14,
        MAX_WIDTH = 1024
    };
    return s->d >= 1 && s->d <= MAX_INPUT && s->h >= 1 && s->h <= MAX_WIDTH && s->n_out >= 1 &&
           s->n_out <= MAX_WIDTH;
}

void tl_mlp_init(const tl_mlp_shape *shape, tl_net *out_net)
{
    TL_ASSERT(tl_mlp_shape_is_valid(shape));
    *out_net = (tl_net){
        .kind = &tl_mlp_kind,
        .n_params = lay_out(shape).n,
        .n_out = shape->n_out,
        .mlp = *shape,
    };
}
