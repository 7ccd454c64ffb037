/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "numerics/rng.h"
#include "predictors/cellnet.h"
#include "predictors/mlp.h"
#include "predictors/ridge.h"
#include "predictors/score_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MANY_CELLS = 3000, /* labelled cells that deserve a wider network */
    FEW_FOR_MLP = 150, /* below, ridges stand alone */
    N_PART_RIDGES = 4, /* fitted on parts, for the spread */
    RIDGE_MIN_ROWS = 2,
    N_UNLABELLED = 1024, /* random designs on which heads repel each other */
};

/* Sizes and rates by the number of designs, found on held-out cells (bench_accuracy). */
typedef struct plan {
    int n_members, d, h;
    int n_steps, batch;
    double learning_rate, weight_decay;
} plan;

static int clamp(int x, int low, int high)
{
    return x < low ? low : x > high ? high : x;
}

static plan plan_cell(int n)
{
    if (n < MANY_CELLS) {
        return (plan){
            .n_members = 8,
            .d = 8,
            .h = 48,
            .n_steps = clamp(2 * n, 600, 2000),
            .batch = 128,
            .learning_rate = 1e-2,
            .weight_decay = 0.1,
        };
    }
    return (plan){
        .n_members = 5,
        .d = 16,
        .h = 48,
        .n_steps = n < 8000 ? 3000 : 4000,
        .batch = 256,
        .learning_rate = 1e-2,
        .weight_decay = 0.01,
    };
}

static plan plan_numbers(const tl_score_encoder *encoder, int n)
{
    if (n < FEW_FOR_MLP || tl_space_kind_of(encoder->space) == TL_SPACE_ENUMERATED) {
        return (plan){0};
    }
    return (plan){
        .n_members = 5,
        .h = 64,
        .n_steps = clamp(2 * n, 600, 6000),
        .batch = 128,
        .learning_rate = 2e-3,
        .weight_decay = 0.05,
    };
}

static plan plan_for(const tl_score_encoder *encoder, int n_designs, int n_heads)
{
    plan p = encoder->is_cell ? plan_cell(n_designs) : plan_numbers(encoder, n_designs);
    if (n_heads > 0 && p.n_members > 0) {
        p.n_members = 1;
    }
    return p;
}

int64_t tl_score_n_steps(const tl_score_encoder *encoder, int n_designs, int n_heads)
{
    plan p = plan_for(encoder, n_designs, n_heads);
    return (int64_t)p.n_members * p.n_steps;
}

/* ---- what is read -------------------------------------------------------------- */

/* Mean and inverse deviation of each column over the rows; constant columns are dropped. */
static tl_err fit_columns(
    const tl_score_input *input, const int *rows, int n_rows, tl_score_model *model)
{
    int d = input->numbers.cols;
    model->n_numbers = d;
    model->mean = tl_mem_new((size_t)d, sizeof *model->mean);
    model->scale = tl_mem_new((size_t)d, sizeof *model->scale);
    if (model->mean == NULL || model->scale == NULL) {
        return tl_fail(TL_ENOMEM, "%d columns", d);
    }
    for (int j = 0; j < d; j++) {
        double sum = 0.0;
        for (int i = 0; i < n_rows; i++) {
            sum += (double)tl_mat_row(input->numbers, rows[i])[j];
        }
        double mean = sum / n_rows;
        double square = 0.0;
        for (int i = 0; i < n_rows; i++) {
            double apart = (double)tl_mat_row(input->numbers, rows[i])[j] - mean;
            square += apart * apart;
        }
        double sd = sqrt(square / n_rows);
        model->mean[j] = (float)mean;
        model->scale[j] = sd > 1e-6 * (1.0 + fabs(mean)) ? (float)(1.0 / sd) : 0.0F;
    }
    return TL_OK;
}

/* Codes that the rows below n_own never show are read as the nearest code of the same block. */
static void fit_codes(
    const tl_score_encoder *encoder,
    const tl_score_input *input,
    const int *rows,
    int n_rows,
    int n_own,
    int8_t *read_as)
{
    const tl_cellnet_shape *s = &encoder->cell.shape;
    bool is_seen[TL_NET_MAX_CODES] = {false};
    for (int i = 0; i < n_rows; i++) {
        const int8_t *codes = input->codes + (ptrdiff_t)rows[i] * encoder->n_codes;
        for (int e = 0; e < encoder->n_codes && rows[i] < n_own; e++) {
            if (codes[e] >= 0) {
                is_seen[codes[e]] = true;
            }
        }
    }
    for (int o = 0; o < s->n_codes; o++) {
        int best = -1;
        for (int k = 0; k < s->n_codes; k++) {
            bool is_relative = is_seen[k] && s->block[k] == s->block[o];
            if (is_relative && (best < 0 || abs(k - o) < abs(best - o))) {
                best = k;
            }
        }
        read_as[o] = (int8_t)(best >= 0 ? best : o);
    }
}

/* The rows as a network's input, contiguous. */
typedef struct batch {
    int8_t *codes;
    tl_mat x, y;
} batch;

static void batch_done(batch *b)
{
    tl_mem_free(b->codes);
    tl_mat_done(&b->x);
    tl_mat_done(&b->y);
}

static tl_err batch_init(
    const tl_score_model *model,
    const tl_score_input *input,
    tl_cmat y,
    const int *rows,
    int n_rows,
    int n_codes,
    batch *b)
{
    b->codes = tl_mem_new((size_t)n_rows, (size_t)n_codes);
    if (b->codes == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n_rows);
    }
    TL_TRY(tl_mat_init(&b->x, n_rows, model->mean != NULL ? model->n_numbers : 0));
    TL_TRY(tl_mat_init(&b->y, n_rows, y.cols));
    for (int i = 0; i < n_rows; i++) {
        for (int e = 0; e < n_codes; e++) {
            int8_t code = input->codes[(ptrdiff_t)rows[i] * n_codes + e];
            b->codes[(ptrdiff_t)i * n_codes + e] = code < 0 ? code : model->read_as[code];
        }
        for (int j = 0; j < b->x.cols; j++) {
            float number = tl_mat_row(input->numbers, rows[i])[j];
            tl_mat_row(b->x, i)[j] = (number - model->mean[j]) * model->scale[j];
        }
        memcpy(tl_mat_row(b->y, i), tl_cmat_row(y, rows[i]), (size_t)y.cols * sizeof(float));
    }
    return TL_OK;
}

/* ---- ridges -------------------------------------------------------------------- */

/* Fits one output on the rows of b that have it and whose part is not `left_out`. */
static tl_err fit_ridge(
    const batch *b, int out, const int *part, int left_out, double scale, float *weights)
{
    int d = b->x.cols;
    int n = 0;
    tl_err err = TL_OK;
    tl_dmat a = {0};
    double *y = tl_mem_new((size_t)b->x.rows + (size_t)d, sizeof *y);
    if (y == NULL) {
        return tl_fail(TL_ENOMEM, "ridge of %d designs", b->x.rows);
    }
    double *w = y + b->x.rows;
    if ((err = tl_dmat_init(&a, b->x.rows, d)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < b->x.rows; i++) {
        float target = tl_mat_row(b->y, i)[out];
        if (isnan(target) || part[i] == left_out) {
            continue;
        }
        for (int j = 0; j < d; j++) {
            tl_dmat_row(a, n)[j] = (double)tl_mat_row(b->x, i)[j] * scale;
        }
        y[n++] = (double)target;
    }
    if (n >= RIDGE_MIN_ROWS) {
        tl_ridge_fit fit;
        tl_dcmat seen = tl_dro(tl_dmat_rows(a, 0, n));
        if ((err = tl_ridge(TL_RIDGE_ROBUST, seen, y, w, NULL, (tl_dmat){0}, &fit)) != TL_OK) {
            goto done;
        }
        for (int j = 0; j < d; j++) {
            weights[j] = (float)(w[j] * scale);
        }
        weights[d] = (float)fit.mean;
    } else {
        weights[d] = n > 0 ? (float)y[0] : 0.0F;
    }
done:
    tl_mem_free(y);
    tl_dmat_done(&a);
    return err;
}

static tl_err fit_ridges(const batch *b, tl_rng *rng, tl_score_model *model)
{
    int d = model->n_numbers;
    int n_kept = 0;
    for (int j = 0; j < d; j++) {
        n_kept += model->scale[j] > 0.0F;
    }
    double scale = 1.0 / sqrt(n_kept > 0 ? (double)n_kept : 1.0);
    model->n_ridges = 1 + N_PART_RIDGES;
    size_t n_weights = (size_t)model->n_ridges * (size_t)model->n_out * (size_t)(d + 1);
    model->ridges = tl_mem_new(n_weights, sizeof *model->ridges);
    int *part = tl_mem_new((size_t)b->x.rows, sizeof *part);
    tl_err err = TL_OK;
    if (model->ridges == NULL || part == NULL) {
        err = tl_fail(TL_ENOMEM, "ridges of %d columns", d);
        goto done;
    }
    for (int i = 0; i < b->x.rows; i++) {
        part[i] = 1 + (int)tl_rng_below(rng, N_PART_RIDGES + 1);
    }
    for (int k = 0; k < model->n_ridges && err == TL_OK; k++) {
        for (int j = 0; j < model->n_out && err == TL_OK; j++) {
            /* No part is number 0: the first ridge sees all. */
            err = fit_ridge(
                b, j, part, k, scale,
                model->ridges + ((ptrdiff_t)k * model->n_out + j) * (d + 1));
        }
    }
done:
    tl_mem_free(part);
    return err;
}

/* Leaves in b->y what the first ridges do not explain. */
static void subtract_ridges(const tl_score_model *model, batch *b)
{
    int d = model->n_numbers;
    for (int i = 0; i < b->x.rows; i++) {
        const float *x = tl_mat_row(b->x, i);
        for (int j = 0; j < model->n_out; j++) {
            const float *w = model->ridges + (ptrdiff_t)j * (d + 1);
            double sum = (double)w[d];
            for (int k = 0; k < d; k++) {
                sum += (double)w[k] * (double)x[k];
            }
            tl_mat_row(b->y, i)[j] -= (float)sum;
        }
    }
}

/* ---- networks ------------------------------------------------------------------ */

static void shape_net(
    const tl_score_encoder *encoder, const plan *p, int n_conditions, int n_out, tl_net *net)
{
    if (encoder->is_cell) {
        tl_cellnet_shape shape = encoder->cell.shape;
        shape.d = p->d;
        shape.h = p->h;
        shape.n_conditions = n_conditions;
        shape.n_out = n_out;
        tl_cellnet_init(&shape, net);
    } else {
        tl_mlp_shape shape = {.d = n_conditions, .h = p->h, .n_out = n_out};
        tl_mlp_init(&shape, net);
    }
}

/* Random designs of the space with a path, as the model reads them. */
static tl_err sample_unlabelled(
    const tl_score_encoder *encoder, const tl_score_model *model, uint64_t seed, batch *b)
{
    int n_slots = tl_space_n_slots(encoder->space);
    tl_score_input input = {0};
    tl_mat y = {0};
    tl_rng rng;
    tl_err err = TL_OK;
    tl_choice *designs = tl_mem_new((size_t)N_UNLABELLED * (size_t)n_slots, sizeof *designs);
    int *rows = tl_mem_new(N_UNLABELLED, sizeof *rows);
    if (designs == NULL || rows == NULL) {
        err = tl_fail(TL_ENOMEM, "%d random designs", (int)N_UNLABELLED);
        goto done;
    }
    tl_rng_init(&rng, seed);
    for (int i = 0; i < N_UNLABELLED; i++) {
        tl_space_sample(encoder->space, &rng, designs + (ptrdiff_t)i * n_slots);
    }
    if ((err = tl_score_encode(encoder, designs, N_UNLABELLED, &input)) != TL_OK ||
        (err = tl_mat_init(&y, N_UNLABELLED, 0)) != TL_OK) {
        goto done;
    }
    int n = 0;
    for (int i = 0; i < N_UNLABELLED; i++) {
        rows[n] = i;
        n += !input.is_dead[i];
    }
    err = batch_init(model, &input, tl_ro(y), rows, n, encoder->n_codes, b);
done:
    tl_score_input_done(&input);
    tl_mat_done(&y);
    tl_mem_free(designs);
    tl_mem_free(rows);
    return err;
}

static tl_net_input read_batch(const tl_score_model *model, const batch *b)
{
    return (tl_net_input){
        .n = b->y.rows,
        .n_codes = model->net.cell.n_edges,
        .codes = b->codes,
        .x = tl_ro(b->x),
    };
}

static tl_err fit_net(
    const tl_score_encoder *encoder,
    const plan *p,
    const tl_score_options *options,
    const batch *b,
    tl_score_model *model)
{
    size_t n_params = (size_t)p->n_members * (size_t)model->net.n_params;
    model->params = tl_mem_new(n_params, sizeof *model->params);
    if (model->params == NULL) {
        return tl_fail(TL_ENOMEM, "%zu parameters", n_params);
    }
    model->n_members = p->n_members;
    batch unlabelled = {0};
    tl_err err = TL_OK;
    if (options->n_heads > 1 && options->repulsion > 0.0) {
        err = sample_unlabelled(encoder, model, options->seed, &unlabelled);
    }
    tl_net_input pool = read_batch(model, &unlabelled);
    tl_net_train_options train = {
        .n_members = p->n_members,
        .n_steps = p->n_steps,
        .batch = p->batch,
        .learning_rate = p->learning_rate,
        .weight_decay = p->weight_decay,
        .n_heads = options->n_heads,
        .repulsion = options->repulsion,
        .unlabelled = pool.n > 0 ? &pool : NULL,
        .seed = options->seed,
        .n_threads = options->n_threads,
        .progress = options->progress,
        .context = options->context,
    };
    tl_net_input read = read_batch(model, b);
    if (err == TL_OK) {
        err = tl_net_train(&model->net, &read, tl_ro(b->y), &train, model->params);
    }
    batch_done(&unlabelled);
    return err;
}

tl_err tl_score_fit(
    const tl_score_encoder *encoder,
    const tl_score_input *input,
    tl_cmat y,
    const int *rows,
    int n_rows,
    const tl_score_options *options,
    tl_score_model *out_model)
{
    TL_ASSERT(n_rows > 0 && y.rows == input->n);
    plan p = plan_for(encoder, options->n_designs, options->n_heads);
    tl_score_model model = {.n_out = y.cols, .n_numbers = encoder->n_numbers};
    batch b = {0};
    tl_err err = TL_OK;
    bool reads_numbers = !encoder->is_cell || options->has_numbers;
    if (reads_numbers && (err = fit_columns(input, rows, n_rows, &model)) != TL_OK) {
        goto done;
    }
    fit_codes(encoder, input, rows, n_rows, input->n, model.read_as);
    if ((err = batch_init(&model, input, y, rows, n_rows, encoder->n_codes, &b)) != TL_OK) {
        goto done;
    }
    if (!encoder->is_cell) {
        tl_rng rng;
        tl_rng_init(&rng, options->seed);
        if ((err = fit_ridges(&b, &rng, &model)) != TL_OK) {
            goto done;
        }
        subtract_ridges(&model, &b);
    }
    if (p.n_members > 0) {
        int n_heads = options->n_heads > 1 ? options->n_heads : 1;
        shape_net(encoder, &p, b.x.cols, y.cols * n_heads, &model.net);
        if ((err = fit_net(encoder, &p, options, &b, &model)) != TL_OK) {
            goto done;
        }
    }
    if (options->n_own > 0) {
        fit_codes(encoder, input, rows, n_rows, options->n_own, model.read_as);
    }
    *out_model = model;
    model = (tl_score_model){0};
done:
    batch_done(&b);
    tl_score_model_done(&model);
    return err;
}
