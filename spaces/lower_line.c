/* SPDX-License-Identifier: Apache-2.0 */

/* One function a kind of line: conv, dense, pools, joins, composites, blocks, choices. */

#include "spaces/impl.h"

#include <string.h>

static tl_activation act_of(const tl_lowering *lowering, int act)
{
    return (tl_activation)(act == TL_ACT_OF_BLOCK ? lowering->act : act);
}

/* Kernel, stride and pad, and the size that follows from them. */
static tl_err set_window(const tl_lowering *lowering, const tl_line *line, tl_op *op)
{
    TL_TRY(
        tl_lower_int(lowering, &line->params.kernel, "kernel", 1, TL_MAX_KERNEL, &op->kernel));
    TL_TRY(
        tl_lower_int_or(lowering, &line->stride, "stride", 1, TL_MAX_STRIDE, 1, &op->stride));
    TL_TRY(tl_lower_int_or(
        lowering, &line->pad, "pad", 0, TL_MAX_KERNEL, (op->kernel - 1) / 2, &op->pad));
    int span = op->in_size + 2 * op->pad - op->kernel;
    if (span < 0) {
        return tl_fail(
            TL_EINVAL, "kernel: got %d, larger than an image of %d", op->kernel,
            op->in_size + 2 * op->pad);
    }
    op->out_size = span / op->stride + 1;
    return TL_OK;
}

static void set_switches(const tl_lowering *lowering, const tl_line *line, tl_op *op)
{
    op->act = act_of(lowering, line->params.act);
    op->pre_act = act_of(lowering, line->pre_act);
    op->has_norm = line->has_norm;
    op->has_bias = line->has_bias;
}

static tl_err run_conv(tl_lowering *lowering, const tl_line *line, tl_tensor from)
{
    tl_op op = tl_lower_op(lowering, TL_OP_CONV, from);
    set_switches(lowering, line, &op);
    TL_TRY(set_window(lowering, line, &op));
    if (line->kind == TL_LINE_DEPTHWISE) {
        op.groups = op.in_ch;
    } else {
        TL_TRY(tl_lower_int(lowering, &line->out, "out", 1, TL_MAX_CHANNELS, &op.out_ch));
        TL_TRY(tl_lower_int_or(
            lowering, &line->params.groups, "groups", 1, TL_MAX_CHANNELS, 1, &op.groups));
    }
    if (op.in_ch % op.groups != 0 || op.out_ch % op.groups != 0) {
        return tl_fail(
            TL_EINVAL, "groups: got %d, which does not divide %d and %d channels", op.groups,
            op.in_ch, op.out_ch);
    }
    return tl_lower_emit(lowering, op, &from, 1, &lowering->x);
}

static tl_err run_dense(tl_lowering *lowering, const tl_line *line, tl_tensor from)
{
    if (from.size != 1) {
        return tl_fail(
            TL_EINVAL, "dense: got an image of %d x %d, want pool_global before it", from.size,
            from.size);
    }
    tl_op op = tl_lower_op(lowering, TL_OP_DENSE, from);
    set_switches(lowering, line, &op);
    TL_TRY(tl_lower_int(lowering, &line->out, "out", 1, TL_MAX_CHANNELS, &op.out_ch));
    return tl_lower_emit(lowering, op, &from, 1, &lowering->x);
}

static tl_err run_pool(tl_lowering *lowering, const tl_line *line, tl_tensor from)
{
    tl_op_kind kind = line->kind == TL_LINE_POOL_MAX ? TL_OP_POOL_MAX : TL_OP_POOL_AVG;
    tl_op op = tl_lower_op(lowering, kind, from);
    set_switches(lowering, line, &op);
    TL_TRY(set_window(lowering, line, &op));
    return tl_lower_emit(lowering, op, &from, 1, &lowering->x);
}

static tl_op global_pool_of(const tl_lowering *lowering, tl_tensor from)
{
    tl_op op = tl_lower_op(lowering, TL_OP_POOL_GLOBAL, from);
    op.kernel = from.size;
    op.out_size = 1;
    return op;
}

static tl_err run_pool_global(tl_lowering *lowering, const tl_line *line, tl_tensor from)
{
    tl_op op = global_pool_of(lowering, from);
    set_switches(lowering, line, &op);
    return tl_lower_emit(lowering, op, &from, 1, &lowering->x);
}

static tl_err run_join(
    tl_lowering *lowering, const tl_line *line, const tl_tensor *inputs, int n)
{
    bool is_concat = line->kind == TL_LINE_CONCAT;
    tl_op op = tl_lower_op(lowering, is_concat ? TL_OP_CONCAT : TL_OP_ADD, inputs[0]);
    set_switches(lowering, line, &op);
    for (int i = 1; i < n; i++) {
        if (inputs[i].size != op.in_size || (!is_concat && inputs[i].ch != op.in_ch)) {
            return tl_fail(
                TL_EINVAL, "from: got %d x %d x %d and %d x %d x %d, want one shape",
                op.in_size, op.in_size, op.in_ch, inputs[i].size, inputs[i].size, inputs[i].ch);
        }
        op.out_ch += is_concat ? inputs[i].ch : 0;
    }
    if (n == 1) {
        lowering->x = inputs[0];
        return TL_OK;
    }
    return tl_lower_emit(lowering, op, inputs, n, &lowering->x);
}

static tl_err scale_by(tl_lowering *lowering, tl_op op, tl_tensor image, tl_tensor factors)
{
    if (factors.size != 1 || factors.ch != image.ch) {
        return tl_fail(
            TL_EINVAL, "scale: got factors %d x %d x %d, want 1 x 1 x %d", factors.size,
            factors.size, factors.ch, image.ch);
    }
    const tl_tensor inputs[2] = {image, factors};
    return tl_lower_emit(lowering, op, inputs, 2, &lowering->x);
}

static tl_err run_scale(tl_lowering *lowering, const tl_line *line, const tl_tensor *inputs)
{
    tl_op op = tl_lower_op(lowering, TL_OP_SCALE, inputs[0]);
    set_switches(lowering, line, &op);
    return scale_by(lowering, op, inputs[0], inputs[1]);
}

/* x * gate(W2 act(W1 mean(x))) */
static tl_err run_squeeze_excite(tl_lowering *lowering, const tl_line *line, tl_tensor from)
{
    tl_tensor x = from;
    TL_TRY(tl_lower_emit(lowering, global_pool_of(lowering, from), &from, 1, &x));
    tl_op op = tl_lower_op(lowering, TL_OP_DENSE, x);
    op.has_bias = true;
    op.act = act_of(lowering, line->params.act);
    TL_TRY(tl_lower_int(lowering, &line->squeeze, "squeeze", 1, TL_MAX_CHANNELS, &op.out_ch));
    TL_TRY(tl_lower_emit(lowering, op, &x, 1, &x));
    op = tl_lower_op(lowering, TL_OP_DENSE, x);
    op.has_bias = true;
    op.act = act_of(lowering, line->gate);
    op.out_ch = from.ch;
    TL_TRY(tl_lower_emit(lowering, op, &x, 1, &x));
    return scale_by(lowering, tl_lower_op(lowering, TL_OP_SCALE, from), from, x);
}

/* Adds what entered the block, where the shape is kept and anything was done to it. */
static tl_err run_residual(
    tl_lowering *lowering, const tl_line *line, tl_tensor from, tl_tensor entry)
{
    if (from.op == entry.op || from.ch != entry.ch || from.size != entry.size) {
        return TL_OK;
    }
    const tl_tensor inputs[2] = {from, entry};
    tl_op op = tl_lower_op(lowering, TL_OP_ADD, from);
    op.act = act_of(lowering, line->params.act);
    return tl_lower_emit(lowering, op, inputs, 2, &lowering->x);
}

/* What a block may change and its caller must find as it was. */
typedef struct frame {
    double vars[TL_N_VARS];
    int act, slot;
} frame;

static frame frame_save(const tl_lowering *lowering)
{
    frame saved = {.act = lowering->act, .slot = lowering->slot};
    memcpy(saved.vars, lowering->env.vars, sizeof saved.vars);
    return saved;
}

static void frame_restore(tl_lowering *lowering, const frame *saved)
{
    memcpy(lowering->env.vars, saved->vars, sizeof saved->vars);
    lowering->act = saved->act;
    lowering->slot = saved->slot;
}

/* A block sees its own out and stride, and the caller's other parameters unless given. */
static tl_err run_block(tl_lowering *lowering, const tl_line *line, int round)
{
    double *vars = lowering->env.vars;
    frame saved = frame_save(lowering);
    int stride = 1;
    TL_TRY(tl_lower_int_or(lowering, &line->stride, "stride", 1, TL_MAX_STRIDE, 1, &stride));
    double out = tl_expr_is_given(&line->out) ? tl_expr_eval(&line->out, &lowering->env)
                                              : vars[TL_VAR_OUT];
    tl_lower_set_params(lowering, &line->params);
    vars[TL_VAR_OUT] = out;
    vars[TL_VAR_STRIDE] = round == 0 ? stride : 1;
    TL_TRY(tl_lower_list(lowering, line->block));
    frame_restore(lowering, &saved);
    return TL_OK;
}

/* The list of the option chosen in a slot; what it emits is that slot's. */
static tl_err run_choice(tl_lowering *lowering, const tl_line *line)
{
    const tl_slot_impl *slot = &lowering->space->slots[line->slot];
    tl_choice choice = lowering->design[line->slot];
    const tl_option *option = choice < slot->pub.n_options ? &slot->options[choice] : NULL;
    if (option == NULL || option->list == NULL) {
        return tl_fail(
            TL_EINVAL, "choice: slot %s: option %s has no ops", slot->pub.name,
            option != NULL ? option->name : "-");
    }
    frame saved = frame_save(lowering);
    lowering->slot = line->slot;
    tl_lower_set_params(lowering, &option->params);
    TL_TRY(tl_lower_list(lowering, option->list));
    frame_restore(lowering, &saved);
    return TL_OK;
}

tl_err tl_lower_line(
    tl_lowering *lowering,
    const tl_line *line,
    const tl_tensor *inputs,
    int n_inputs,
    tl_tensor entry,
    int round)
{
    lowering->x = inputs[0];
    switch (line->kind) {
    case TL_LINE_CONV:
    case TL_LINE_DEPTHWISE: return run_conv(lowering, line, inputs[0]);
    case TL_LINE_DENSE: return run_dense(lowering, line, inputs[0]);
    case TL_LINE_POOL_AVG:
    case TL_LINE_POOL_MAX: return run_pool(lowering, line, inputs[0]);
    case TL_LINE_POOL_GLOBAL: return run_pool_global(lowering, line, inputs[0]);
    case TL_LINE_ADD:
    case TL_LINE_CONCAT: return run_join(lowering, line, inputs, n_inputs);
    case TL_LINE_SCALE: return run_scale(lowering, line, inputs);
    case TL_LINE_SQUEEZE_EXCITE: return run_squeeze_excite(lowering, line, inputs[0]);
    case TL_LINE_RESIDUAL: return run_residual(lowering, line, inputs[0], entry);
    case TL_LINE_BLOCK: return run_block(lowering, line, round);
    case TL_LINE_CHOICE: return run_choice(lowering, line);
    case TL_LINE_NONE: return tl_fail(TL_EINVAL, "none: only the edge of a cell may be cut");
    case TL_LINE_SKIP:
    case TL_N_LINE_KINDS: break;
    }
    return TL_OK;
}
