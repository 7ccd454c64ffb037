/* SPDX-License-Identifier: Apache-2.0 */

/* Cell: a graph whose edges are chosen, repeated in a fixed frame of stages. */

#include "spaces/impl.h"

#include <limits.h>
#include <math.h>

enum {
    NO_TENSOR = -2 /* as an operator index: nothing arrives */
};

/* ---- building -------------------------------------------------------------------- */

static int kernel_of(const tl_option *option, const tl_line *line)
{
    const tl_expr *kernel = &line->params.kernel;
    if (tl_expr_variable(kernel) == TL_VAR_KERNEL) {
        kernel = &option->params.kernel;
    }
    if (!tl_expr_is_given(kernel) || !tl_expr_is_constant(kernel)) {
        return 0;
    }
    double value = tl_expr_eval(kernel, NULL);
    return value >= 0 && value <= INT_MAX ? (int)value : 0; /* lowering refuses the others */
}

/* What the edge is, for graph features: cut, passed on, convolved or pooled. */
static tl_edge_option edge_option(const tl_option *option)
{
    tl_edge_option edge = {.op = TL_EDGE_SKIP};
    for (int i = 0; i < option->list->n_lines; i++) {
        const tl_line *line = &option->list->lines[i];
        switch (line->kind) {
        case TL_LINE_NONE: return (tl_edge_option){.op = TL_EDGE_NONE};
        case TL_LINE_CONV:
        case TL_LINE_DEPTHWISE:
            if (edge.op != TL_EDGE_CONV) {
                edge = (tl_edge_option){.op = TL_EDGE_CONV, .kernel = kernel_of(option, line)};
            }
            break;
        case TL_LINE_POOL_AVG:
        case TL_LINE_POOL_MAX:
            if (edge.op == TL_EDGE_SKIP) {
                edge = (tl_edge_option){.op = TL_EDGE_POOL, .kernel = kernel_of(option, line)};
            }
            break;
        default: break;
        }
    }
    return edge;
}

static tl_err build_options(tl_builder *builder)
{
    const tl_raw_space *raw = builder->raw;
    tl_space *space = builder->space;
    tl_edge_option *edges = NULL;
    TL_TRY(tl_build_options(
        builder, "options", raw->options, raw->options_count, &space->cell_options));
    TL_TRY(tl_build_new(builder, raw->options_count, sizeof *edges, &edges));
    for (uint32_t i = 0; i < raw->options_count; i++) {
        const tl_option *option = &space->cell_options[i];
        if (option->list == NULL) {
            return tl_fail(TL_EINVAL, "option %s: want the key ops", option->name);
        }
        for (int j = 0; j < option->list->n_lines && option->list->n_lines > 1; j++) {
            if (option->list->lines[j].kind == TL_LINE_NONE) {
                return tl_fail(TL_EINVAL, "option %s: want none to stand alone", option->name);
            }
        }
        edges[i] = edge_option(option);
    }
    space->cell.n_options = (int)raw->options_count;
    space->cell.options = edges;
    return TL_OK;
}

static tl_err build_edge(tl_builder *builder, const tl_raw_edge *raw, int i)
{
    tl_space *space = builder->space;
    tl_cell *cell = &space->cell;
    int last = cell->n_nodes - 1;
    TL_TRY(tl_build_int(raw->slot, "from", raw->from, 0, last - 1, &cell->from[i]));
    TL_TRY(tl_build_int(raw->slot, "to", raw->to, cell->from[i] + 1, last, &cell->to[i]));
    for (int j = 0; j < i; j++) {
        if (cell->from[j] == cell->from[i] && cell->to[j] == cell->to[i]) {
            return tl_fail(
                TL_EINVAL, "cell: two edges lead from %d to %d", cell->from[i], cell->to[i]);
        }
    }
    cell->bits_slot[i] = -1;
    cell->n_edges = i + 1;
    return tl_build_slot(
        builder, raw->slot, space->cell_options, cell->n_options, &cell->edge_slot[i]);
}

/* The optional slots of weight bits, after those of the edges. */
static tl_err build_bits(tl_builder *builder, const tl_raw_cell *raw)
{
    tl_space *space = builder->space;
    const tl_raw_slot values = {
        .values = raw->weight_bits, .values_count = raw->weight_bits_count};
    const tl_option *options = NULL;
    int n = 0;
    TL_TRY(tl_build_slot_options(builder, "cell: weight_bits", &values, &options, &n));
    for (int i = 0; i < n; i++) {
        int bits = 0;
        TL_TRY(tl_build_int("cell", "weight_bits", options[i].name, 1, TL_MAX_BITS, &bits));
    }
    for (uint32_t i = 0; i < raw->edges_count; i++) {
        int slot = 0;
        if (raw->edges[i].bits == NULL) {
            continue;
        }
        TL_TRY(tl_build_slot(builder, raw->edges[i].bits, options, n, &slot));
        space->slots[slot].pub.is_optional = true;
        space->slots[slot].pub.may_be_absent = true;
        space->cell.bits_slot[i] = slot;
    }
    int a_bits = 8;
    if (raw->activation_bits != NULL) {
        TL_TRY(tl_build_int(
            "cell", "activation_bits", raw->activation_bits, 1, TL_MAX_BITS, &a_bits));
    }
    space->cell_a_bits = a_bits;
    return TL_OK;
}

static tl_err build(tl_builder *builder)
{
    const tl_raw_cell *raw = builder->raw->cell;
    tl_cell *cell = &builder->space->cell;
    if (raw == NULL || raw->edges_count == 0) {
        return tl_fail(TL_EINVAL, "cell: want nodes and edges");
    }
    if (builder->raw->options_count == 0) {
        return tl_fail(TL_EINVAL, "options: got none, want the operators of an edge");
    }
    if (builder->raw->head_count == 0) {
        return tl_fail(TL_EINVAL, "head: want at least one operator after the cells");
    }
    TL_TRY(tl_build_int("cell", "nodes", raw->nodes, 2, TL_CELL_MAX_NODES, &cell->n_nodes));
    if (raw->edges_count > TL_CELL_MAX_EDGES) {
        return tl_fail(
            TL_EINVAL, "cell: edges: got %u, want at most %d", raw->edges_count,
            (int)TL_CELL_MAX_EDGES);
    }
    TL_TRY(tl_build_stages(builder));
    TL_TRY(build_options(builder));
    for (uint32_t i = 0; i < raw->edges_count; i++) {
        TL_TRY(build_edge(builder, &raw->edges[i], (int)i));
    }
    return build_bits(builder, raw);
}

/* ---- designs ----------------------------------------------------------------------- */

static tl_edge_op op_of(const tl_cell *cell, const tl_choice *design, int edge)
{
    return cell->options[design[cell->edge_slot[edge]]].op;
}

static double size(const tl_space *space)
{
    return pow(space->cell.n_options, space->cell.n_edges);
}

/* A convolution counts once for each width that its weights may have. */
static double size_with_bits(const tl_space *space)
{
    const tl_cell *cell = &space->cell;
    double product = 1;
    int n_convs = 0;
    for (int o = 0; o < cell->n_options; o++) {
        n_convs += cell->options[o].op == TL_EDGE_CONV;
    }
    for (int i = 0; i < cell->n_edges; i++) {
        int slot = cell->bits_slot[i];
        int n_widths = slot >= 0 ? space->slots[slot].pub.n_options : 1;
        product *= cell->n_options + (double)n_convs * (n_widths - 1);
    }
    return product;
}

bool tl_cell_takes_bits(const tl_space *space, const tl_choice *design, int bits_slot)
{
    for (int i = 0; i < space->cell.n_edges; i++) {
        if (space->cell.bits_slot[i] == bits_slot) {
            return op_of(&space->cell, design, i) == TL_EDGE_CONV;
        }
    }
    return false;
}

/* Bits stand at every convolution that has a slot for them, or at none; nowhere else. */
static tl_err check(const tl_space *space, const tl_choice *design)
{
    const tl_cell *cell = &space->cell;
    int n_with = 0;
    int without = -1;
    for (int i = 0; i < cell->n_edges; i++) {
        int slot = cell->bits_slot[i];
        bool is_conv = op_of(cell, design, i) == TL_EDGE_CONV;
        if (slot < 0) {
            continue;
        }
        if (design[slot] == TL_CHOICE_ABSENT) {
            without = is_conv ? slot : without;
        } else if (is_conv) {
            n_with++;
        } else {
            return tl_fail(
                TL_EINVAL, "%s: got \"%s\", want - because %s is no convolution",
                space->slots[slot].pub.name, tl_space_choice_name(space, slot, design[slot]),
                space->slots[cell->edge_slot[i]].pub.name);
        }
    }
    if (n_with > 0 && without >= 0) {
        return tl_fail(
            TL_EINVAL,
            "%s: got \"-\", want bits because other convolutions of the cell have them",
            space->slots[without].pub.name);
    }
    return TL_OK;
}

/* Bits appear with a convolution where they are free or others have some, and vanish with it. */
static void repair(
    const tl_space *space, tl_freedom freedom, const tl_choice *before, tl_choice *design)
{
    const tl_cell *cell = &space->cell;
    bool has_bits = freedom == TL_FREE_BITS;
    for (int i = 0; i < cell->n_edges; i++) {
        int slot = cell->bits_slot[i];
        has_bits = has_bits || (slot >= 0 && before[slot] != TL_CHOICE_ABSENT);
    }
    for (int i = 0; i < cell->n_edges; i++) {
        int slot = cell->bits_slot[i];
        if (slot >= 0 && op_of(cell, design, i) != TL_EDGE_CONV) {
            design[slot] = TL_CHOICE_ABSENT;
        } else if (slot >= 0 && has_bits && design[slot] == TL_CHOICE_ABSENT) {
            design[slot] = 0;
        }
    }
}

void tl_cell_masks(
    const tl_cell *cell, const tl_choice *design, uint32_t *out_reached, uint32_t *out_needed)
{
    unsigned node_reached = 1;
    unsigned node_needed = 1U << (cell->n_nodes - 1);
    uint32_t reached = 0;
    uint32_t needed = 0;
    for (int v = 0; v < cell->n_nodes; v++) {
        for (int i = 0; i < cell->n_edges; i++) {
            if (cell->from[i] == v && op_of(cell, design, i) != TL_EDGE_NONE &&
                (node_reached >> v & 1U) != 0) {
                reached |= 1U << i;
                node_reached |= 1U << cell->to[i];
            }
        }
    }
    for (int v = cell->n_nodes - 1; v > 0; v--) {
        for (int i = 0; i < cell->n_edges; i++) {
            if (cell->to[i] == v && op_of(cell, design, i) != TL_EDGE_NONE &&
                (node_needed >> v & 1U) != 0) {
                needed |= 1U << i;
                node_needed |= 1U << cell->from[i];
            }
        }
    }
    *out_reached = reached;
    *out_needed = needed;
}

int tl_cell_edge_bits(const tl_space *space, const tl_choice *design, int edge)
{
    int slot = space->cell.bits_slot[edge];
    if (slot < 0 || design[slot] == TL_CHOICE_ABSENT) {
        return 0;
    }
    return (int)space->slots[slot].options[design[slot]].value;
}

/* ---- lowering ------------------------------------------------------------------------ */

/* The node's tensor; zeros, made on first use, where nothing arrives. */
static tl_err need_node(tl_lowering *lowering, tl_tensor *node, tl_tensor like)
{
    if (node->op != NO_TENSOR) {
        return TL_OK;
    }
    lowering->slot = -1;
    return tl_lower_emit(lowering, tl_lower_op(lowering, TL_OP_ZERO, like), NULL, 0, node);
}

static tl_err lower_edge(tl_lowering *lowering, int edge, tl_tensor from, tl_tensor *out)
{
    const tl_space *space = lowering->space;
    int slot = space->cell.edge_slot[edge];
    const tl_option *option = &space->cell_options[lowering->design[slot]];
    int bits = tl_cell_edge_bits(space, lowering->design, edge);
    int w_bits = lowering->w_bits;
    int a_bits = lowering->a_bits;
    if (bits > 0) {
        lowering->w_bits = bits;
        lowering->a_bits = (int)space->cell_a_bits;
    }
    lowering->slot = slot;
    lowering->x = from;
    tl_lower_set_params(lowering, &option->params);
    TL_TRY(tl_lower_list(lowering, option->list));
    *out = lowering->x;
    lowering->w_bits = w_bits;
    lowering->a_bits = a_bits;
    return TL_OK;
}

/* The sum of what arrives at node v; NO_TENSOR where nothing does. */
static tl_err lower_node(tl_lowering *lowering, int v, tl_tensor *nodes)
{
    const tl_cell *cell = &lowering->space->cell;
    tl_tensor terms[TL_CELL_MAX_NODES];
    int n = 0;
    for (int i = 0; i < cell->n_edges; i++) {
        if (cell->to[i] != v || op_of(cell, lowering->design, i) == TL_EDGE_NONE) {
            continue;
        }
        TL_TRY(need_node(lowering, &nodes[cell->from[i]], nodes[0]));
        TL_TRY(lower_edge(lowering, i, nodes[cell->from[i]], &terms[n++]));
        if (terms[n - 1].ch != nodes[0].ch || terms[n - 1].size != nodes[0].size) {
            return tl_fail(
                TL_EINVAL, "option %s: want an edge to keep the shape",
                lowering->space->cell_options[lowering->design[cell->edge_slot[i]]].name);
        }
    }
    nodes[v] = n == 1 ? terms[0] : (tl_tensor){.op = NO_TENSOR};
    if (n < 2) {
        return TL_OK;
    }
    lowering->slot = -1;
    return tl_lower_emit(
        lowering, tl_lower_op(lowering, TL_OP_ADD, terms[0]), terms, n, &nodes[v]);
}

static tl_err lower_cell(tl_lowering *lowering)
{
    int last = lowering->space->cell.n_nodes - 1;
    tl_tensor nodes[TL_CELL_MAX_NODES] = {lowering->x};
    lowering->env.vars[TL_VAR_OUT] = lowering->x.ch;
    lowering->env.vars[TL_VAR_STRIDE] = 1;
    for (int v = 1; v <= last; v++) {
        TL_TRY(lower_node(lowering, v, nodes));
    }
    TL_TRY(need_node(lowering, &nodes[last], nodes[0]));
    lowering->x = nodes[last];
    return TL_OK;
}

_Static_assert((int)TL_MAX_FROM <= (int)TL_CELL_MAX_NODES, "an operator has as many inputs");

/* A cell as it was lowered first: what it read, its operators [begin, end), what it gives. */
typedef struct cell_copy {
    tl_tensor entry, answer;
    int begin, end;
} cell_copy;

/* Appends the same operators, reading what the cell before gives; quicker than the lists. */
static tl_err repeat_cell(tl_lowering *lowering, const cell_copy *first)
{
    tl_network *network = lowering->network;
    tl_tensor entry = lowering->x;
    int shift = network->n_ops - first->begin;
    for (int i = first->begin; i < first->end; i++) {
        tl_tensor inputs[TL_CELL_MAX_NODES] = {{0}};
        const tl_op *op = &network->ops[i];
        for (int j = 0; j < op->n_inputs; j++) {
            int from = network->inputs[op->first_input + j];
            inputs[j].op = from == first->entry.op ? entry.op : from + shift;
        }
        TL_TRY(tl_lower_emit(lowering, *op, inputs, op->n_inputs, &lowering->x));
    }
    lowering->x = first->answer;
    lowering->x.op = first->answer.op == first->entry.op ? entry.op : first->answer.op + shift;
    return TL_OK;
}

/* n cells in a row, each reading the one before. */
static tl_err lower_cells(tl_lowering *lowering, int n)
{
    cell_copy first = {.entry = lowering->x, .begin = lowering->network->n_ops};
    TL_TRY(lower_cell(lowering));
    first.end = lowering->network->n_ops;
    first.answer = lowering->x;
    for (int i = 1; i < n; i++) {
        TL_TRY(repeat_cell(lowering, &first));
    }
    return TL_OK;
}

/* Between stages of different shape stands the reduction, which nothing chooses. */
static tl_err lower_reduction(tl_lowering *lowering, int channels, int stride)
{
    const tl_list *reduction = lowering->space->reduction;
    lowering->stage = lowering->slot = -1;
    lowering->env.vars[TL_VAR_OUT] = channels;
    lowering->env.vars[TL_VAR_STRIDE] = stride;
    if (channels == lowering->x.ch && stride == 1) {
        return TL_OK;
    }
    if (reduction == NULL) {
        return tl_fail(
            TL_EINVAL, "reduction: want operators from %d to %d channels, stride %d",
            lowering->x.ch, channels, stride);
    }
    TL_TRY(tl_lower_list(lowering, reduction));
    return lowering->x.ch == channels ? TL_OK
                                      : tl_fail(
                                            TL_EINVAL, "reduction: got %d channels, want %d",
                                            lowering->x.ch, channels);
}

static tl_err lower(tl_lowering *lowering)
{
    const tl_space *space = lowering->space;
    for (int i = 0; i < space->n_stages; i++) {
        const tl_stage *stage = &space->stages[i];
        int channels = 0;
        int n_cells = 0;
        int stride = 1;
        TL_TRY(tl_lower_int(
            lowering, &stage->channels, "channels", 1, TL_MAX_CHANNELS, &channels));
        TL_TRY(tl_lower_int(
            lowering, &stage->blocks, "blocks", 1, TL_MAX_BLOCKS_IN_STAGE, &n_cells));
        if (tl_expr_is_given(&stage->stride)) {
            TL_TRY(tl_lower_int(lowering, &stage->stride, "stride", 1, TL_MAX_STRIDE, &stride));
        }
        TL_TRY(lower_reduction(lowering, channels, stride));
        lowering->stage = i;
        TL_TRY(lower_cells(lowering, n_cells));
    }
    return TL_OK;
}

const tl_space_ops tl_cell_ops = {
    .build = build,
    .size = size,
    .size_with_bits = size_with_bits,
    .check = check,
    .repair = repair,
    .canonical = tl_cell_canonical,
    .lower = lower,
};
