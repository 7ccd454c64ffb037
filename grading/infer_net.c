/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Small networks in the place of x . w: a deep ensemble (Lakshminarayanan and
 * others, 2017) and Monte-Carlo dropout (Gal and Ghahramani, 2016), trained by
 * predictors/net.h on the same rows.
 *
 *     ensemble   5 networks of two hidden layers from different starts
 *     dropout    one hidden layer, a tenth of its units dropped, also when it predicts:
 *                y = (m * silu(x W0^T + b0)) w1 + b1,    m_j = 0 or 1 / (1 - p)
 *
 * The spread of their answers is the uncertainty of the function; the noise is that
 * of the problem, as for every method.
 */

#include "base/mem.h"
#include "grading/infer_impl.h"
#include "numerics/act.h"
#include "numerics/dense.h"
#include "numerics/gemm.h"
#include "predictors/mlp.h"

#include <math.h>
#include <string.h>

enum {
    WIDTH = 32,
    N_MEMBERS = 5,
    N_PASSES = 50,
    N_STEPS = 400,
    MAX_BATCH = 64
};

static const double dropped_frac = .1;
static const double learning_rate = 3e-3;
static const double weight_decay = 1e-2;
static const uint64_t mask_seed = 0x6d61736bU;

/* ---- a network with dropout --------------------------------------------------------------- */

/* W0 [h, d], b0 [h], w1 [1, h], b1 in a flat vector. */
typedef struct dropout_work {
    tl_mat pre, act, mask, dact; /* [max_n, h] */
    tl_rng rng;
} dropout_work;

static void dropout_work_free(void *any)
{
    dropout_work *w = any;
    if (w != NULL) {
        tl_mat_done(&w->pre);
        tl_mat_done(&w->act);
        tl_mat_done(&w->mask);
        tl_mat_done(&w->dact);
        tl_mem_free(w);
    }
}

static void *dropout_work_new(const tl_net *net, int max_n)
{
    int h = net->mlp.h;
    dropout_work *w = tl_mem_new(1, sizeof *w);
    if (w != NULL &&
        (tl_mat_init(&w->pre, max_n, h) != TL_OK || tl_mat_init(&w->act, max_n, h) != TL_OK ||
         tl_mat_init(&w->mask, max_n, h) != TL_OK ||
         tl_mat_init(&w->dact, max_n, h) != TL_OK)) {
        dropout_work_free(w);
        return NULL;
    }
    if (w != NULL) {
        tl_rng_init(&w->rng, mask_seed);
    }
    return w;
}

/* W0 and w1 in a flat vector. */
static tl_mat first_weights(const tl_net *net, float *params)
{
    return (tl_mat){.data = params, .rows = net->mlp.h, .cols = net->mlp.d, .ld = net->mlp.d};
}

static tl_mat last_weights(const tl_net *net, float *params)
{
    return (tl_mat){
        .data = params + (ptrdiff_t)net->mlp.h * (net->mlp.d + 1),
        .rows = 1,
        .cols = net->mlp.h,
        .ld = net->mlp.h};
}

static void multiply(tl_cmat by, tl_mat x)
{
    for (int i = 0; i < x.rows; i++) {
        for (int j = 0; j < x.cols; j++) {
            tl_mat_row(x, i)[j] *= tl_cmat_row(by, i)[j];
        }
    }
}

static void draw_mask(tl_rng *rng, tl_mat mask)
{
    float kept = (float)(1 / (1 - dropped_frac));
    for (int i = 0; i < mask.rows; i++) {
        for (int j = 0; j < mask.cols; j++) {
            tl_mat_row(mask, i)[j] = tl_rng_uniform(rng) < dropped_frac ? 0 : kept;
        }
    }
}

static void dropout_fwd(
    const tl_net *net, const float *params, const tl_net_input *input, void *any, tl_mat y)
{
    dropout_work *w = any;
    float *p = (float *)(uintptr_t)params; /* only read */
    tl_mat act = tl_mat_rows(w->act, 0, input->n);
    tl_mat pre = tl_mat_rows(w->pre, 0, input->n);
    tl_mat mask = tl_mat_rows(w->mask, 0, input->n);
    tl_dense_fwd(
        input->x, tl_ro(first_weights(net, p)), params + (ptrdiff_t)net->mlp.h * net->mlp.d,
        pre);
    tl_silu_fwd(tl_ro(pre), act);
    draw_mask(&w->rng, mask);
    multiply(tl_ro(mask), act);
    tl_dense_fwd(tl_ro(act), tl_ro(last_weights(net, p)), params + net->n_params - 1, y);
}

static void dropout_bwd(
    const tl_net *net,
    const float *params,
    const tl_net_input *input,
    void *any,
    tl_cmat dy,
    float *dparams)
{
    dropout_work *w = any;
    float *p = (float *)(uintptr_t)params; /* only read */
    tl_mat dact = tl_mat_rows(w->dact, 0, input->n);
    tl_dense_bwd(
        tl_ro(tl_mat_rows(w->act, 0, input->n)), tl_ro(last_weights(net, p)), dy,
        last_weights(net, dparams), dparams + net->n_params - 1, dact);
    multiply(tl_ro(tl_mat_rows(w->mask, 0, input->n)), dact);
    tl_silu_bwd(tl_ro(tl_mat_rows(w->pre, 0, input->n)), tl_ro(dact), dact);
    tl_dense_bwd(
        input->x, tl_ro(first_weights(net, p)), tl_ro(dact), first_weights(net, dparams),
        dparams + (ptrdiff_t)net->mlp.h * net->mlp.d, (tl_mat){0});
}

static void dropout_init_params(const tl_net *net, tl_rng *rng, float *params)
{
    memset(params, 0, (size_t)net->n_params * sizeof *params);
    tl_dense_fill_normal(rng, 1.4 / sqrt((double)net->mlp.d), first_weights(net, params));
    tl_dense_fill_normal(rng, .5 / sqrt((double)net->mlp.h), last_weights(net, params));
}

static const tl_net_kind dropout_kind = {
    .name = "dropout",
    .init_params = dropout_init_params,
    .work_new = dropout_work_new,
    .work_free = dropout_work_free,
    .fwd = dropout_fwd,
    .bwd = dropout_bwd,
};

static tl_net dropout_net(int d)
{
    return (tl_net){
        .kind = &dropout_kind,
        .n_params = WIDTH * (d + 1) + WIDTH + 1,
        .n_out = 1,
        .mlp = {.d = d, .h = WIDTH, .n_out = 1}
    };
}

/* ---- rows as a network likes them -------------------------------------------------------------- */

typedef struct net_data {
    tl_mat x, query, y; /* inputs of unit mean square over the samples, targets likewise */
    double y_unit;
} net_data;

static void net_data_done(net_data *data)
{
    tl_mat_done(&data->x);
    tl_mat_done(&data->query);
    tl_mat_done(&data->y);
}

static void to_float(tl_dcmat from, double factor, tl_mat to)
{
    for (int i = 0; i < to.rows; i++) {
        for (int j = 0; j < to.cols; j++) {
            tl_mat_row(to, i)[j] = (float)(tl_dcmat_row(from, i)[j] * factor);
        }
    }
}

static tl_err net_data_init(const tl_infer_problem *problem, net_data *data)
{
    int n = problem->x.rows;
    int d = problem->x.cols;
    double squares = 0;
    *data = (net_data){0};
    TL_TRY(tl_mat_init(&data->x, n, d));
    TL_TRY(tl_mat_init(&data->query, problem->query.rows, d));
    TL_TRY(tl_mat_init(&data->y, n, 1));
    for (int i = 0; i < n; i++) {
        const double *row = tl_dcmat_row(problem->x, i);
        squares += tl_ddot(d, row, row) / ((double)n * d);
    }
    data->y_unit = fmax(sqrt(tl_ddot(n, problem->y, problem->y) / n), 1e-12);
    double factor = 1 / sqrt(fmax(squares, 1e-12));
    to_float(problem->x, factor, data->x);
    to_float(problem->query, factor, data->query);
    for (int i = 0; i < n; i++) {
        tl_mat_row(data->y, i)[0] = (float)(problem->y[i] / data->y_unit);
    }
    return TL_OK;
}

static tl_err train(
    const tl_infer_problem *problem,
    const tl_net *net,
    const net_data *data,
    int n_members,
    float *params)
{
    tl_net_input input = {.n = data->x.rows, .x = tl_ro(data->x)};
    tl_net_train_options options = {
        .n_members = n_members,
        .n_steps = N_STEPS,
        .batch = data->x.rows < MAX_BATCH ? data->x.rows : MAX_BATCH,
        .learning_rate = learning_rate,
        .weight_decay = weight_decay,
        .seed = problem->seed};
    return tl_net_train(net, &input, tl_ro(data->y), &options, params);
}

/* ---- the methods ----------------------------------------------------------------------------------- */

/*
 * values [passes, m] of one network after another in the units of y; pass k is of network
 * k mod n_members, so that a single one is asked again and again.
 */
static tl_err ask(
    const tl_net *net, const net_data *data, const float *params, int n_members, tl_dmat values)
{
    tl_net_input input = {.n = data->query.rows, .x = tl_ro(data->query)};
    tl_mat y = {0};
    TL_TRY(tl_mat_init(&y, data->query.rows, 1));
    void *work = net->kind->work_new(net, data->query.rows);
    for (int k = 0; work != NULL && k < values.rows; k++) {
        const float *member = params + (ptrdiff_t)(k % n_members) * net->n_params;
        net->kind->fwd(net, member, &input, work, y);
        for (int i = 0; i < values.cols; i++) {
            tl_dmat_row(values, k)[i] = (double)tl_mat_row(y, i)[0] * data->y_unit;
        }
    }
    tl_err err = work == NULL ? tl_fail(TL_ENOMEM, "%d queries", data->query.rows) : TL_OK;
    net->kind->work_free(work);
    tl_mat_done(&y);
    return err;
}

static tl_err run_net(
    const tl_infer_problem *problem,
    const tl_net *net,
    int n_members,
    int n_passes,
    tl_infer_answer *answer)
{
    tl_err err = TL_OK;
    net_data data = {0};
    tl_dmat values = {0};
    size_t n_params = (size_t)n_members * (size_t)net->n_params;
    float *params = tl_mem_new(n_params, sizeof *params);
    if (params == NULL) {
        return tl_fail(TL_ENOMEM, "%zu parameters", n_params);
    }
    if ((err = net_data_init(problem, &data)) != TL_OK ||
        (err = tl_dmat_init(&values, n_passes, problem->query.rows)) != TL_OK ||
        (err = train(problem, net, &data, n_members, params)) != TL_OK ||
        (err = ask(net, &data, params, n_members, values)) != TL_OK) {
        goto done;
    }
    tl_infer_summarize(problem, tl_dro(values), answer);
    answer->kept_bytes = n_params * sizeof *params;
done:
    tl_dmat_done(&values);
    net_data_done(&data);
    tl_mem_free(params);
    return err;
}

tl_err tl_infer_ensemble_run(const tl_infer_problem *problem, tl_infer_answer *answer)
{
    tl_net net;
    tl_mlp_shape shape = {.d = problem->x.cols, .h = WIDTH, .n_out = 1};
    tl_mlp_init(&shape, &net);
    return run_net(problem, &net, N_MEMBERS, N_MEMBERS, answer);
}

tl_err tl_infer_dropout_run(const tl_infer_problem *problem, tl_infer_answer *answer)
{
    tl_net net = dropout_net(problem->x.cols);
    return run_net(problem, &net, 1, N_PASSES, answer);
}
