/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/cell_code.h"

#include "base/mem.h"

enum {
    N_WIDTHS = 4,        /* float, up to 2, 4, 8 bits */
    MAX_TABLE_EDGES = 12 /* live edges are looked up for all ways to cut so many */
};

static const uint32_t unknown_edges = 0xffffffffU;

static int width_of_bits(int bits)
{
    if (bits <= 0 || bits > 8) {
        return 0;
    }
    return bits <= 2 ? 1 : bits <= 4 ? 2 : 3;
}

static bool has_bits_slots(const tl_cell *cell)
{
    for (int e = 0; e < cell->n_edges; e++) {
        if (cell->bits_slot[e] >= 0) {
            return true;
        }
    }
    return false;
}

bool tl_cell_code_init(const tl_space *space, tl_cell_code *out_code)
{
    const tl_cell *cell = tl_space_cell(space);
    if (cell == NULL || cell->n_options > TL_CELL_CODE_MAX_OPTIONS ||
        cell->n_nodes > TL_NET_MAX_NODES || cell->n_edges > TL_NET_MAX_EDGES) {
        return false;
    }
    tl_cell_code code = {.cell = cell};
    tl_cellnet_shape *s = &code.shape;
    s->n_nodes = cell->n_nodes;
    s->n_edges = cell->n_edges;
    for (int e = 0; e < cell->n_edges; e++) {
        s->from[e] = cell->from[e];
        s->to[e] = cell->to[e];
    }
    s->block[0] = -1;
    s->n_codes = 1;
    bool is_mixed = has_bits_slots(cell);
    for (int o = 0; o < cell->n_options; o++) {
        tl_edge_op op = cell->options[o].op;
        if (op == TL_EDGE_NONE || op == TL_EDGE_SKIP) {
            code.first_code[o] = op == TL_EDGE_NONE ? -1 : 0;
            continue;
        }
        code.first_code[o] = (int8_t)s->n_codes;
        code.has_bits[o] = op == TL_EDGE_CONV && is_mixed;
        int n_widths = code.has_bits[o] ? N_WIDTHS : 1;
        if (s->n_codes + n_widths > TL_NET_MAX_CODES) {
            return false;
        }
        for (int k = 0; k < n_widths; k++) {
            s->block[s->n_codes++] = s->n_blocks;
        }
        s->n_blocks++;
    }
    *out_code = code;
    return true;
}

int tl_cell_code_n_numbers(const tl_cell_code *code)
{
    return code->shape.n_edges + TL_CELL_PATH_COUNTS;
}

/* paths[v][j]: convolution-free live paths from node 0 to v with j pools. */
static void count_paths(
    const tl_cell *cell, const tl_choice *design, uint32_t live, float *out_counts)
{
    float paths[TL_CELL_MAX_NODES][TL_CELL_PATH_COUNTS] = {{0}};
    paths[0][0] = 1.0F;
    /* Edges into a node are added once all into its sources are. */
    for (int v = 1; v < cell->n_nodes; v++) {
        for (int e = 0; e < cell->n_edges; e++) {
            tl_edge_op op = cell->options[design[cell->edge_slot[e]]].op;
            if (cell->to[e] != v || (live >> e & 1U) == 0 || op == TL_EDGE_CONV) {
                continue;
            }
            int n_pools = op == TL_EDGE_POOL;
            for (int j = n_pools; j < TL_CELL_PATH_COUNTS; j++) {
                paths[v][j] += paths[cell->from[e]][j - n_pools];
            }
        }
    }
    for (int j = 0; j < TL_CELL_PATH_COUNTS; j++) {
        out_counts[j] = paths[cell->n_nodes - 1][j];
    }
}

static int8_t code_of(
    const tl_cell_code *code, const tl_space *space, const tl_choice *design, int edge)
{
    int option = design[code->cell->edge_slot[edge]];
    int width =
        code->has_bits[option] ? width_of_bits(tl_cell_edge_bits(space, design, edge)) : 0;
    return (int8_t)(code->first_code[option] + width);
}

bool tl_cell_code_encode(
    const tl_cell_code *code,
    const tl_space *space,
    const tl_choice *design,
    int8_t *out_codes,
    float *out_numbers)
{
    const tl_cell *cell = code->cell;
    uint32_t reached = 0;
    uint32_t needed = 0;
    tl_cell_masks(cell, design, &reached, &needed);
    uint32_t live = reached & needed;
    for (int e = 0; e < cell->n_edges; e++) {
        int option = design[cell->edge_slot[e]];
        bool is_live = (live >> e & 1U) != 0;
        out_codes[e] = is_live ? code_of(code, space, design, e) : (int8_t)-1;
        bool reads_zeros =
            cell->options[option].op == TL_EDGE_CONV && ((needed & ~reached) >> e & 1U) != 0;
        out_numbers[e] = reads_zeros ? 1.0F : 0.0F;
    }
    count_paths(cell, design, live, out_numbers + cell->n_edges);
    return live != 0;
}

tl_err tl_cell_reader_init(
    const tl_cell_code *code, const tl_space *space, int n, tl_cell_reader *out_reader)
{
    tl_cell_reader reader = {.code = code, .space = space};
    int n_edges = code->cell->n_edges;
    size_t n_ways = n_edges <= MAX_TABLE_EDGES ? (size_t)1 << n_edges : 0;
    if (n_ways > 0 && n_ways <= (size_t)n) {
        reader.live_of = tl_mem_new(n_ways, sizeof *reader.live_of);
        if (reader.live_of == NULL) {
            return tl_fail(TL_ENOMEM, "live edges of cells");
        }
        for (size_t i = 0; i < n_ways; i++) {
            reader.live_of[i] = unknown_edges;
        }
    }
    *out_reader = reader;
    return TL_OK;
}

void tl_cell_reader_done(tl_cell_reader *reader)
{
    tl_mem_free(reader->live_of);
    *reader = (tl_cell_reader){0};
}

/*
 * Which edges are not "none": a bit each, the first edge's lowest. Of at most MAX_TABLE_EDGES,
 * as there is no table for more. Shifted one at a time, so that no shift depends on a number of
 * edges which the compiler cannot know to be below that of an int's bits.
 */
static uint32_t present_edges(const tl_cell_code *code, const tl_choice *design)
{
    const tl_cell *cell = code->cell;
    uint32_t present = 0;
    for (int e = cell->n_edges - 1; e >= 0; e--) {
        present = present << 1 | (uint32_t)(code->first_code[design[cell->edge_slot[e]]] >= 0);
    }
    return present;
}

static uint32_t live_edges(const tl_cell *cell, const tl_choice *design)
{
    uint32_t reached = 0;
    uint32_t needed = 0;
    tl_cell_masks(cell, design, &reached, &needed);
    return reached & needed;
}

static uint32_t live_edges_kept(tl_cell_reader *reader, const tl_choice *design)
{
    uint32_t *live = &reader->live_of[present_edges(reader->code, design)];
    if (*live == unknown_edges) {
        *live = live_edges(reader->code->cell, design);
    }
    return *live;
}

bool tl_cell_reader_codes(tl_cell_reader *reader, const tl_choice *design, int8_t *out_codes)
{
    const tl_cell_code *code = reader->code;
    const tl_cell *cell = code->cell;
    uint32_t live =
        reader->live_of != NULL ? live_edges_kept(reader, design) : live_edges(cell, design);
    for (int e = 0; e < cell->n_edges; e++) {
        bool is_live = (live >> e & 1U) != 0;
        out_codes[e] = is_live ? code_of(code, reader->space, design, e) : (int8_t)-1;
    }
    return live != 0;
}
