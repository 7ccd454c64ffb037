/* SPDX-License-Identifier: Apache-2.0 */
#include "spaces/network.h"

#include "base/mem.h"

#include <string.h>

enum {
    FIRST_OPS = 64
};

void tl_network_clear(tl_network *network)
{
    tl_network empty = {
        .ops = network->ops,
        .inputs = network->inputs,
        .ops_capacity = network->ops_capacity,
        .inputs_capacity = network->inputs_capacity,
    };
    *network = empty;
}

void tl_network_done(tl_network *network)
{
    tl_mem_free(network->ops);
    tl_mem_free(network->inputs);
    *network = (tl_network){0};
}

static tl_err reserve_op(tl_network *network)
{
    if (network->n_ops < network->ops_capacity) {
        return TL_OK;
    }
    int capacity = network->ops_capacity > 0 ? 2 * network->ops_capacity : FIRST_OPS;
    tl_op *ops = tl_mem_resize(network->ops, (size_t)capacity, sizeof *ops);
    if (ops == NULL) {
        return tl_fail(TL_ENOMEM, "a network of %d operators", capacity);
    }
    network->ops = ops;
    network->ops_capacity = capacity;
    return TL_OK;
}

static tl_err reserve_inputs(tl_network *network, int n)
{
    int capacity = network->inputs_capacity > 0 ? network->inputs_capacity : FIRST_OPS;
    while (capacity < network->n_inputs + n) {
        capacity *= 2;
    }
    if (capacity == network->inputs_capacity) {
        return TL_OK;
    }
    int *inputs = tl_mem_resize(network->inputs, (size_t)capacity, sizeof *inputs);
    if (inputs == NULL) {
        return tl_fail(TL_ENOMEM, "a network of %d connections", capacity);
    }
    network->inputs = inputs;
    network->inputs_capacity = capacity;
    return TL_OK;
}

tl_err tl_network_add(
    tl_network *network, tl_op op, const int *inputs, int n_inputs, int *out_idx)
{
    TL_TRY(reserve_op(network));
    TL_TRY(reserve_inputs(network, n_inputs));
    op.first_input = network->n_inputs;
    op.n_inputs = n_inputs;
    for (int i = 0; i < n_inputs; i++) {
        TL_DEBUG_ASSERT(TL_NETWORK_INPUT <= inputs[i] && inputs[i] < network->n_ops);
        network->inputs[network->n_inputs + i] = inputs[i];
    }
    network->n_inputs += n_inputs;
    network->ops[network->n_ops] = op;
    *out_idx = network->n_ops++;
    return TL_OK;
}

const char *tl_op_kind_name(tl_op_kind kind)
{
    static const char *const names[TL_N_OP_KINDS] = {
        [TL_OP_CONV] = "conv",         [TL_OP_POOL_AVG] = "pool_avg",
        [TL_OP_POOL_MAX] = "pool_max", [TL_OP_POOL_GLOBAL] = "pool_global",
        [TL_OP_ADD] = "add",           [TL_OP_CONCAT] = "concat",
        [TL_OP_SCALE] = "scale",       [TL_OP_DENSE] = "dense",
        [TL_OP_ZERO] = "zero",
    };
    return names[kind];
}

const char *tl_activation_name(tl_activation act)
{
    static const char *const names[TL_N_ACTIVATIONS] = {
        [TL_ACT_NONE] = "none",       [TL_ACT_RELU] = "relu",         [TL_ACT_RELU6] = "relu6",
        [TL_ACT_HSWISH] = "hswish",   [TL_ACT_HSIGMOID] = "hsigmoid", [TL_ACT_SILU] = "silu",
        [TL_ACT_SIGMOID] = "sigmoid",
    };
    return names[act];
}

static bool has_weights(const tl_op *op)
{
    return op->kind == TL_OP_CONV || op->kind == TL_OP_DENSE;
}

int64_t tl_op_weights(const tl_op *op)
{
    if (!has_weights(op)) {
        return 0;
    }
    return (int64_t)op->in_ch / op->groups * op->out_ch * op->kernel * op->kernel;
}

int64_t tl_op_macs(const tl_op *op)
{
    return tl_op_weights(op) * op->out_size * op->out_size;
}

int64_t tl_op_params(const tl_op *op)
{
    int64_t per_channel = (op->has_bias ? 1 : 0) + (op->has_norm ? 2 : 0);
    return tl_op_weights(op) + per_channel * op->out_ch;
}

int64_t tl_op_elements_in(const tl_op *op)
{
    int64_t image = (int64_t)op->in_ch * op->in_size * op->in_size;
    switch (op->kind) {
    case TL_OP_ADD: return image * op->n_inputs;
    case TL_OP_CONCAT: return (int64_t)op->out_ch * op->in_size * op->in_size;
    case TL_OP_SCALE: return image + op->in_ch;
    case TL_OP_ZERO: return 0;
    default: return image;
    }
}

int64_t tl_op_elements_out(const tl_op *op)
{
    return (int64_t)op->out_ch * op->out_size * op->out_size;
}

int64_t tl_network_macs(const tl_network *network)
{
    int64_t sum = 0;
    for (int i = 0; i < network->n_ops; i++) {
        sum += tl_op_macs(&network->ops[i]);
    }
    return sum;
}

int64_t tl_network_params(const tl_network *network)
{
    int64_t sum = 0;
    for (int i = 0; i < network->n_ops; i++) {
        sum += tl_op_params(&network->ops[i]);
    }
    return sum;
}
