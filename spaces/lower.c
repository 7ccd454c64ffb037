/* SPDX-License-Identifier: Apache-2.0 */

/* Runs lists of operators for one design: this is where networks come from. */

#include "spaces/impl.h"

#include <math.h>

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

tl_err tl_lower_int_or(
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
    tl_tensor inputs[TL_MAX_FROM] = {0};
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
            TL_TRY(tl_lower_int_or(
                lowering, &line->repeat, "repeat", 0, TL_MAX_REPEAT, 1, &n_times));
            if (n_times == 0) {
                return TL_OK;
            }
        }
        TL_TRY(tl_lower_line(lowering, line, inputs, n_inputs, entry, round));
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

void tl_lower_forget(tl_lowering *lowering)
{
    double *vars = lowering->env.vars;
    for (int i = 0; i < TL_N_VARS; i++) {
        vars[i] = (double)NAN;
    }
    for (int i = TL_FIRST_STAGE_VAR; i < TL_ENV_LEN; i++) {
        vars[i] = (double)NAN;
    }
    vars[TL_VAR_STRIDE] = 1;
    vars[TL_VAR_GROUPS] = 1;
    vars[TL_VAR_SE] = 0;
}

static tl_err start(tl_lowering *lowering)
{
    const tl_space *space = lowering->space;
    tl_env_set_slots(&lowering->env, space, lowering->design, space->n_slots);
    tl_lower_forget(lowering);
    TL_TRY(tl_lower_int(
        lowering, &space->in_channels, "input: channels", 1, TL_MAX_CHANNELS, &lowering->x.ch));
    TL_TRY(tl_lower_int(
        lowering, &space->in_size, "input: size", 1, TL_MAX_IMAGE_SIZE, &lowering->x.size));
    TL_TRY(tl_lower_int_or(
        lowering, &space->w_bits, "bits: weights", 1, TL_MAX_BITS, 32, &lowering->w_bits));
    return tl_lower_int_or(
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
        tl_lower_forget(lowering);
        TL_TRY(tl_lower_list(lowering, space->head));
    }
    if (network->n_ops == 0 || lowering->x.op != network->n_ops - 1) {
        return tl_fail(
            TL_EINVAL, "the network must end with an operator that gives the answer");
    }
    mark_paths(network);
    return TL_OK;
}

static tl_lowering fresh(const tl_space *space, const tl_choice *design, tl_network *network)
{
    tl_network_clear(network);
    return (tl_lowering){
        .space = space,
        .design = design,
        .network = network,
        .x = {.op = TL_NETWORK_INPUT},
        .act = TL_ACT_RELU,
        .stage = -1,
        .slot = -1,
    };
}

tl_err tl_lower_counted(
    const tl_space *space, const tl_choice *design, tl_network *network, int *out_n_lines)
{
    tl_lowering lowering = fresh(space, design, network);
    tl_err err = run(&lowering);
    if (err != TL_OK) {
        tl_network_clear(network);
        return err;
    }
    *out_n_lines = lowering.n_lines_run;
    return TL_OK;
}

static tl_err run_part(tl_lowering *lowering, const tl_lower_part *part)
{
    const tl_list *list = part->is_head ? lowering->space->head : lowering->space->stem;
    TL_TRY(start(lowering));
    if (part->stage >= 0 || part->is_head) {
        lowering->x = (tl_tensor){TL_NETWORK_INPUT, part->ch, part->size};
    }
    if (part->stage >= 0) {
        return tl_lower_stage_part(lowering, part->stage, part->layer);
    }
    return list != NULL ? tl_lower_list(lowering, list) : TL_OK;
}

tl_err tl_lower_one_part(
    const tl_space *space, const tl_choice *design, tl_network *network, tl_lower_part *part)
{
    tl_lowering lowering = fresh(space, design, network);
    tl_err err = run_part(&lowering, part);
    if (err != TL_OK) {
        tl_network_clear(network);
        return err;
    }
    part->ch = lowering.x.ch;
    part->size = lowering.x.size;
    return TL_OK;
}

tl_err tl_space_lower(const tl_space *space, const tl_choice *design, tl_network *network)
{
    int n_lines = 0;
    return tl_lower_counted(space, design, network, &n_lines);
}
