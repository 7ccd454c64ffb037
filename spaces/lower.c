/* SPDX-License-Identifier: Apache-2.0 */

/* Runs lists of operators for one design: this is where networks come from. */

#include "spaces/impl.h"

#include <math.h>
#include <string.h>

static const double MAX_MACS_OF_OP = 0x1p48; /* so that sums stay within 63 bits */
static const double WHOLE_WITHIN = 1e-6; /* how far from a whole number an expression may end */

tl_err tl_lower_int(
    const tl_lowering *lowering,
    const tl_expr *expr,
    const char *key,
    int least,
    int most,
    int *out_value)
{
    double value = tl_expr_eval(expr, &lowering->env);
    double whole = round(value);
    if (!(value >= least && value <= most && fabs(value - whole) <= WHOLE_WITHIN)) {
        return tl_fail(
            TL_EINVAL, "%s: got %g, want a whole number from %d to %d", key, value, least,
            most);
    }
    *out_value = (int)whole;
    return TL_OK;
}

/* The value, or otherwise where the key is not given. */
static tl_err int_or(
    const tl_lowering *lowering,
    const tl_expr *expr,
    const char *key,
    int least,
    int most,
    int otherwise,
    int *out_value)
{
    if (!tl_expr_is_given(expr)) {
        *out_value = otherwise;
        return TL_OK;
    }
    return tl_lower_int(lowering, expr, key, least, most, out_value);
}

void tl_lower_set_params(tl_lowering *lowering, const tl_params *params)
{
    double *vars = lowering->env.vars;
    const struct {
        const tl_expr *expr;
        int var;
    } given[] = {
        {&params->kernel, TL_VAR_KERNEL},
        {&params->expand, TL_VAR_EXPAND},
        {&params->groups, TL_VAR_GROUPS},
        {&params->se,     TL_VAR_SE    },
    };
    for (size_t i = 0; i < TL_COUNT(given); i++) {
        if (tl_expr_is_given(given[i].expr)) {
            vars[given[i].var] = tl_expr_eval(given[i].expr, &lowering->env);
        }
    }
    if (params->act != TL_ACT_OF_BLOCK) {
        lowering->act = params->act;
    }
}

static tl_activation act_of(const tl_lowering *lowering, int act)
{
    return (tl_activation)(act == TL_ACT_OF_BLOCK ? lowering->act : act);
}

tl_op tl_lower_op(const tl_lowering *lowering, tl_op_kind kind, tl_tensor from)
{
    return (tl_op){
        .kind = kind,
        .in_ch = from.ch,
        .out_ch = from.ch,
        .in_size = from.size,
        .out_size = from.size,
        .kernel = 1,
        .stride = 1,
        .groups = 1,
        .w_bits = lowering->w_bits,
        .a_bits = lowering->a_bits,
        .stage = lowering->stage,
        .slot = lowering->slot,
    };
}

tl_err tl_lower_emit(
    tl_lowering *lowering, tl_op op, const tl_tensor *inputs, int n_inputs, tl_tensor *out)
{
    int indices[TL_SPACE_MAX_SLOTS];
    for (int i = 0; i < n_inputs; i++) {
        indices[i] = inputs[i].op;
    }
    double pixels = (double)op.out_size * op.out_size;
    double area = (double)op.kernel * op.kernel;
    if (lowering->network->n_ops == TL_MAX_OPS) {
        return tl_fail(TL_ELIMIT, "want at most %d operators", (int)TL_MAX_OPS);
    }
    if ((double)op.in_ch * op.out_ch * area * pixels > MAX_MACS_OF_OP) {
        return tl_fail(
            TL_ELIMIT, "%s of %d to %d channels is too large", tl_op_kind_name(op.kind),
            op.in_ch, op.out_ch);
    }
    TL_TRY(tl_network_add(lowering->network, op, indices, n_inputs, &out->op));
    out->ch = op.out_ch;
    out->size = op.out_size;
    return TL_OK;
}

/* ---- one function a kind of line ------------------------------------------------- */

/* Kernel, stride and pad, and the size that follows from them. */
static tl_err set_window(const tl_lowering *lowering, const tl_line *line, tl_op *op)
{
    TL_TRY(
        tl_lower_int(lowering, &line->params.kernel, "kernel", 1, TL_MAX_KERNEL, &op->kernel));
    TL_TRY(int_or(lowering, &line->stride, "stride", 1, TL_MAX_STRIDE, 1, &op->stride));
    TL_TRY(
        int_or(lowering, &line->pad, "pad", 0, TL_MAX_KERNEL, (op->kernel - 1) / 2, &op->pad));
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
        TL_TRY(int_or(
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
    TL_TRY(int_or(lowering, &line->stride, "stride", 1, TL_MAX_STRIDE, 1, &stride));
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

static tl_err run_kind(
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

/* ---- lists ------------------------------------------------------------------------ */

/* What the line reads: by label, or the tensor before it. */
static int find_inputs(
    const tl_lowering *lowering,
    const tl_line *line,
    const tl_tensor *labels,
    tl_tensor entry,
    tl_tensor inputs[TL_MAX_FROM])
{
    for (int i = 0; i < line->n_from; i++) {
        int from = line->from[i];
        inputs[i] = from == TL_LABEL_LAST    ? lowering->x
                    : from == TL_LABEL_BLOCK ? entry
                                             : labels[from];
    }
    if (line->n_from == 0) {
        inputs[0] = lowering->x;
        return 1;
    }
    return line->n_from;
}

static tl_err run_line(
    tl_lowering *lowering, const tl_line *line, const tl_tensor *labels, tl_tensor entry)
{
    tl_tensor inputs[TL_MAX_FROM];
    double *vars = lowering->env.vars;
    int n_times = 1;
    for (int round = 0; round < n_times; round++) {
        int n_inputs = find_inputs(lowering, line, labels, entry, inputs);
        if (round > 0) {
            inputs[0] = lowering->x;
        }
        vars[TL_VAR_IN] = inputs[0].ch;
        vars[TL_VAR_SIZE] = inputs[0].size;
        if (++lowering->n_lines_run > TL_MAX_LINES_RUN) {
            return tl_fail(TL_ELIMIT, "the network takes too many steps to build");
        }
        if (tl_expr_is_given(&line->when)) {
            double is_wanted = tl_expr_eval(&line->when, &lowering->env);
            if (isnan(is_wanted)) {
                return tl_fail(TL_EINVAL, "when: has no value here");
            }
            if (is_wanted == 0) {
                return TL_OK;
            }
        }
        if (round == 0) {
            TL_TRY(int_or(lowering, &line->repeat, "repeat", 0, TL_MAX_REPEAT, 1, &n_times));
            if (n_times == 0) {
                return TL_OK;
            }
        }
        TL_TRY(run_kind(lowering, line, inputs, n_inputs, entry, round));
    }
    return TL_OK;
}

tl_err tl_lower_list(tl_lowering *lowering, const tl_list *list)
{
    tl_tensor labels[TL_MAX_LABELS];
    tl_tensor entry = lowering->x;
    double block_in = lowering->env.vars[TL_VAR_BLOCK_IN];
    double block_size = lowering->env.vars[TL_VAR_BLOCK_SIZE];
    for (int i = 0; i < list->n_lines; i++) {
        const tl_line *line = &list->lines[i];
        lowering->env.vars[TL_VAR_BLOCK_IN] = entry.ch;
        lowering->env.vars[TL_VAR_BLOCK_SIZE] = entry.size;
        tl_err err = run_line(lowering, line, labels, entry);
        if (err != TL_OK) {
            return err == TL_ENOMEM ? err : tl_fail_in(err, "%s line %d: ", list->where, i + 1);
        }
        if (line->label >= 0) {
            labels[line->label] = lowering->x;
        }
    }
    lowering->env.vars[TL_VAR_BLOCK_IN] = block_in;
    lowering->env.vars[TL_VAR_BLOCK_SIZE] = block_size;
    return TL_OK;
}

/* ---- the whole network -------------------------------------------------------------- */

/* Which operators a path from the image reaches, and from which one reaches the answer. */
static void mark_paths(tl_network *network)
{
    for (int i = 0; i < network->n_ops; i++) {
        tl_op *op = &network->ops[i];
        for (int j = op->first_input; j < op->first_input + op->n_inputs; j++) {
            int from = network->inputs[j];
            op->is_reached =
                op->is_reached || from == TL_NETWORK_INPUT || network->ops[from].is_reached;
        }
        op->is_needed = i == network->n_ops - 1;
    }
    for (int i = network->n_ops - 1; i >= 0; i--) {
        const tl_op *op = &network->ops[i];
        for (int j = op->first_input; op->is_needed && j < op->first_input + op->n_inputs;
             j++) {
            int from = network->inputs[j];
            if (from != TL_NETWORK_INPUT) {
                network->ops[from].is_needed = true;
            }
        }
    }
}

static tl_err start(tl_lowering *lowering)
{
    const tl_space *space = lowering->space;
    tl_env_set_slots(&lowering->env, space, lowering->design, space->n_slots);
    for (int i = 0; i < TL_N_VARS; i++) {
        lowering->env.vars[i] = (double)NAN;
    }
    lowering->env.vars[TL_VAR_STRIDE] = 1;
    lowering->env.vars[TL_VAR_GROUPS] = 1;
    lowering->env.vars[TL_VAR_SE] = 0;
    TL_TRY(tl_lower_int(
        lowering, &space->in_channels, "input: channels", 1, TL_MAX_CHANNELS, &lowering->x.ch));
    TL_TRY(tl_lower_int(
        lowering, &space->in_size, "input: size", 1, TL_MAX_IMAGE_SIZE, &lowering->x.size));
    TL_TRY(int_or(
        lowering, &space->w_bits, "bits: weights", 1, TL_MAX_BITS, 32, &lowering->w_bits));
    return int_or(
        lowering, &space->a_bits, "bits: activations", 1, TL_MAX_BITS, 32, &lowering->a_bits);
}

static tl_err run(tl_lowering *lowering)
{
    const tl_space *space = lowering->space;
    tl_network *network = lowering->network;
    TL_TRY(start(lowering));
    network->in_ch = lowering->x.ch;
    network->in_size = lowering->x.size;
    network->n_stages = space->n_stages;
    if (space->stem != NULL) {
        TL_TRY(tl_lower_list(lowering, space->stem));
    }
    TL_TRY(space->ops->lower(lowering));
    lowering->stage = lowering->slot = -1;
    if (space->head != NULL) {
        TL_TRY(tl_lower_list(lowering, space->head));
    }
    if (network->n_ops == 0 || lowering->x.op != network->n_ops - 1) {
        return tl_fail(
            TL_EINVAL, "the network must end with an operator that gives the answer");
    }
    mark_paths(network);
    return TL_OK;
}

tl_err tl_space_lower(const tl_space *space, const tl_choice *design, tl_network *network)
{
    tl_lowering lowering = {
        .space = space,
        .design = design,
        .network = network,
        .x = {.op = TL_NETWORK_INPUT},
        .act = TL_ACT_RELU,
        .stage = -1,
        .slot = -1,
    };
    tl_network_clear(network);
    tl_err err = run(&lowering);
    if (err != TL_OK) {
        tl_network_clear(network);
    }
    return err;
}
