/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/agent/execute.h"

#include "base/mem.h"
#include "numerics/rng.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

struct tl_execution {
    tl_dnn *plan;
    tl_dnn_tensor image, answer;
};

/* A plan under construction: what each operator delivers. */
typedef struct builder {
    const tailor_network *network;
    tl_dnn *plan;
    tl_dnn_tensor image;
    bool is_constant;       /* the answer does not depend on the image */
    tl_dnn_tensor *results; /* [n_ops], where has_result */
    bool *has_result;
    tl_dnn_tensor *inputs; /* of the operator being built; as many as the most it can have */
} builder;

static bool is_executed(const builder *b, const tailor_op *op)
{
    bool is_alive = b->is_constant || (op->is_needed && op->is_reached);
    return is_alive && strcmp(op->kind, "zero") != 0;
}

/* The inputs of op as tensors; those that carry nothing are zeros, or left out of sums. */
static tl_err gather(builder *b, const tailor_op *op, bool is_sum, int *out_n)
{
    int n = 0;
    for (size_t i = 0; i < op->n_inputs; i++) {
        int32_t from = op->inputs[i];
        if (from < 0 || b->has_result[from]) {
            b->inputs[n++] = from < 0 ? b->image : b->results[from];
        } else if (!is_sum) {
            const tailor_op *cut = &b->network->ops[from];
            TL_TRY(tl_dnn_image(b->plan, cut->out_ch, cut->out_size, &b->inputs[n++]));
        }
    }
    if (n == 0) {
        TL_TRY(tl_dnn_image(b->plan, op->in_ch, op->in_size, &b->inputs[n++]));
    }
    *out_n = n;
    return TL_OK;
}

static tl_dnn_window window_of(const tailor_op *op)
{
    return (tl_dnn_window){
        .out_ch = op->out_ch,
        .out_size = op->out_size,
        .kernel = op->kernel,
        .stride = op->stride,
        .pad = op->pad,
        .groups = op->groups,
        .has_bias = op->has_bias || op->has_norm,
    };
}

static tl_err build_conv(builder *b, const tailor_op *op, int n, tl_dnn_tensor *out)
{
    (void)n;
    tl_dnn_window window = window_of(op);
    return tl_dnn_conv(b->plan, &window, op->act, b->inputs[0], out);
}

static tl_err build_dense(builder *b, const tailor_op *op, int n, tl_dnn_tensor *out)
{
    (void)n;
    bool has_bias = op->has_bias || op->has_norm;
    return tl_dnn_dense(b->plan, op->out_ch, has_bias, op->act, b->inputs[0], out);
}

static tl_err build_pool_avg(builder *b, const tailor_op *op, int n, tl_dnn_tensor *out)
{
    (void)n;
    tl_dnn_window window = window_of(op);
    return tl_dnn_pool(b->plan, TL_DNN_POOL_AVG, &window, b->inputs[0], out);
}

static tl_err build_pool_max(builder *b, const tailor_op *op, int n, tl_dnn_tensor *out)
{
    (void)n;
    tl_dnn_window window = window_of(op);
    return tl_dnn_pool(b->plan, TL_DNN_POOL_MAX, &window, b->inputs[0], out);
}

static tl_err build_pool_global(builder *b, const tailor_op *op, int n, tl_dnn_tensor *out)
{
    (void)n;
    tl_dnn_window window = {.out_size = 1, .kernel = op->in_size, .stride = 1};
    return tl_dnn_pool(b->plan, TL_DNN_POOL_AVG, &window, b->inputs[0], out);
}

static tl_err build_add(builder *b, const tailor_op *op, int n, tl_dnn_tensor *out)
{
    (void)op;
    return tl_dnn_add(b->plan, b->inputs, n, out);
}

static tl_err build_concat(builder *b, const tailor_op *op, int n, tl_dnn_tensor *out)
{
    (void)op;
    return tl_dnn_concat(b->plan, b->inputs, n, out);
}

static tl_err build_scale(builder *b, const tailor_op *op, int n, tl_dnn_tensor *out)
{
    (void)op;
    if (n != 2) {
        return tl_fail(TL_EINVAL, "got %d inputs, want 2", n);
    }
    return tl_dnn_scale(b->plan, b->inputs[0], b->inputs[1], out);
}

/* How each kind of operator is built; act is fused unless the kind cannot. */
static const struct builder_of {
    const char *kind;
    tl_err (*build)(builder *b, const tailor_op *op, int n, tl_dnn_tensor *out);
    bool fuses_act;
} kinds[] = {
    {"conv",        build_conv,        true },
    {"dense",       build_dense,       true },
    {"pool_avg",    build_pool_avg,    false},
    {"pool_max",    build_pool_max,    false},
    {"pool_global", build_pool_global, false},
    {"add",         build_add,         false},
    {"concat",      build_concat,      false},
    {"scale",       build_scale,       false},
};

/* What the list says and what was built must be one thing: it came over the wire. */
static tl_err check_shape(const builder *b, const tailor_op *op, tl_dnn_tensor result)
{
    int ch = tl_dnn_ch(b->plan, result);
    int size = tl_dnn_size(b->plan, result);
    if (ch != op->out_ch || size != op->out_size) {
        return tl_fail(
            TL_EINVAL, "got %d x %d x %d, want %d x %d x %d", ch, size, size, op->out_ch,
            op->out_size, op->out_size);
    }
    return TL_OK;
}

static tl_err check_op(const tailor_op *op)
{
    bool is_sane = op->in_ch > 0 && op->out_ch > 0 && op->in_size > 0 && op->out_size > 0;
    if (!is_sane) {
        return tl_fail(
            TL_EINVAL, "got %d x %d into %d x %d", op->in_ch, op->in_size, op->out_ch,
            op->out_size);
    }
    /* padding below and to the right follows from the sizes; more than a kernel is none */
    int after = (op->out_size - 1) * op->stride + op->kernel - op->in_size - op->pad;
    bool has_window = strcmp(op->kind, "conv") == 0 || strcmp(op->kind, "pool_avg") == 0 ||
                      strcmp(op->kind, "pool_max") == 0;
    if (has_window && (op->kernel < 1 || op->stride < 1 || op->pad < 0 || after > op->kernel)) {
        return tl_fail(
            TL_EINVAL, "got a kernel of %d, stride %d, pad %d from %d to %d", op->kernel,
            op->stride, op->pad, op->in_size, op->out_size);
    }
    bool is_grouped =
        op->groups > 0 && op->in_ch % op->groups == 0 && op->out_ch % op->groups == 0;
    if (strcmp(op->kind, "conv") == 0 && !is_grouped) {
        return tl_fail(
            TL_EINVAL, "got %d groups of %d into %d channels", op->groups, op->in_ch,
            op->out_ch);
    }
    return TL_OK;
}

static tl_err build_op(builder *b, const tailor_op *op, tl_dnn_tensor *out)
{
    const struct builder_of *kind = NULL;
    for (size_t i = 0; i < TL_COUNT(kinds) && kind == NULL; i++) {
        kind = strcmp(kinds[i].kind, op->kind) == 0 ? &kinds[i] : NULL;
    }
    if (kind == NULL) {
        return tl_fail(TL_EINVAL, "not an operator that this agent knows");
    }
    int n = 0;
    tl_dnn_tensor result = {0};
    TL_TRY(check_op(op));
    TL_TRY(gather(b, op, kind->build == build_add, &n));
    for (int i = 0; i < n; i++) {
        TL_TRY(tl_dnn_activate(b->plan, op->pre_act, b->inputs[i], &b->inputs[i]));
    }
    TL_TRY(kind->build(b, op, n, &result));
    if (!kind->fuses_act) {
        TL_TRY(tl_dnn_activate(b->plan, op->act, result, &result));
    }
    TL_TRY(check_shape(b, op, result));
    *out = result;
    return TL_OK;
}

/* Builds every operator that is executed; *out_answer is what the last of them delivers. */
static tl_err build_all(builder *b, tl_dnn_tensor *out_answer)
{
    const tailor_network *network = b->network;
    int last = -1;
    for (size_t i = 0; i < network->n_ops; i++) {
        last = network->ops[i].is_needed ? (int)i : last;
    }
    if (last < 0) {
        return tl_fail(TL_EINVAL, "the network has no operator that its answer needs");
    }
    b->is_constant = !network->ops[last].is_reached;
    for (size_t i = 0; i < network->n_ops; i++) {
        const tailor_op *op = &network->ops[i];
        if (is_executed(b, op)) {
            tl_err err = build_op(b, op, &b->results[i]);
            if (err != TL_OK) {
                return tl_fail_in(err, "operator %zu, %s: ", i, op->kind);
            }
            b->has_result[i] = true;
        }
    }
    if (!b->has_result[last]) {
        return tl_fail(TL_EINVAL, "the network's answer is always zero");
    }
    *out_answer = b->results[last];
    return TL_OK;
}

static tl_err builder_init(builder *b)
{
    const tailor_network *network = b->network;
    size_t most = 1;
    for (size_t i = 0; i < network->n_ops; i++) {
        most = network->ops[i].n_inputs > most ? network->ops[i].n_inputs : most;
    }
    b->results = tl_mem_new(network->n_ops, sizeof *b->results);
    b->has_result = tl_mem_new(network->n_ops, sizeof *b->has_result);
    b->inputs = tl_mem_new(most, sizeof *b->inputs);
    if (b->results == NULL || b->has_result == NULL || b->inputs == NULL) {
        return tl_fail(TL_ENOMEM, "a network of %zu operators", network->n_ops);
    }
    return tl_dnn_image(b->plan, network->in_ch, network->in_size, &b->image);
}

static void builder_done(builder *b)
{
    tl_mem_free(b->results);
    tl_mem_free(b->has_result);
    tl_mem_free(b->inputs);
}

tl_err tl_execution_new(
    const tailor_network *network,
    tl_dnn_fill *fill,
    void *context,
    tl_execution **out_execution)
{
    tl_err err = TL_OK;
    builder b = {.network = network};
    tl_execution *execution = tl_mem_new(1, sizeof *execution);
    if (execution == NULL) {
        return tl_fail(TL_ENOMEM, "execution");
    }
    if ((err = tl_dnn_new(fill, context, &execution->plan)) != TL_OK) {
        goto done;
    }
    b.plan = execution->plan;
    if ((err = builder_init(&b)) != TL_OK ||
        (err = build_all(&b, &execution->answer)) != TL_OK) {
        goto done;
    }
    execution->image = b.image;
    *out_execution = execution;
    execution = NULL;
done:
    builder_done(&b);
    tl_execution_free(execution);
    return err;
}

void tl_execution_free(tl_execution *execution)
{
    if (execution == NULL) {
        return;
    }
    tl_dnn_free(execution->plan);
    tl_mem_free(execution);
}

tl_err tl_execution_run(tl_execution *execution)
{
    return tl_dnn_run(execution->plan);
}

tl_err tl_execution_write(tl_execution *execution, const float *image)
{
    return tl_dnn_write(execution->plan, execution->image, image);
}

tl_err tl_execution_read(tl_execution *execution, float *out_answer)
{
    return tl_dnn_read(execution->plan, execution->answer, out_answer);
}

size_t tl_execution_answer_len(const tl_execution *execution)
{
    size_t size = (size_t)tl_dnn_size(execution->plan, execution->answer);
    return (size_t)tl_dnn_ch(execution->plan, execution->answer) * size * size;
}

/* Uniform with variance 2 / fan_in, which a ReLU network neither grows nor shrinks. */
void tl_fill_random(void *context, float *values, size_t n, size_t fan_in)
{
    tl_rng *rng = context;
    double bound = fan_in > 0 ? sqrt(6.0 / (double)fan_in) : 0.1;
    for (size_t i = 0; i < n; i++) {
        values[i] = (float)(bound * (2.0 * tl_rng_uniform(rng) - 1.0));
    }
}
