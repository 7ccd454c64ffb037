/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/features_raw.h"

#include <string.h>

enum {
    N_MASKS = 5,
    MAX_HOT_EVERY_MASK =
        96,        /* one-hot columns of a mask, beyond which only A and L have them */
    MAX_HOT = 240, /* beyond which no mask has */
};

/* In the order of the hypotheses. */
static const char mask_names[N_MASKS] = {'A', 'N', 'L', 'T', 'R'};
static const double mask_prior[N_MASKS] = {.5, .125, .125, .125, .125};

enum {
    GRID_POINTS = 64 /* of each hypothesis */
};

/* Work of a pool beside a convolution's kernel * kernel, in totals and along paths. */
static const double pool_work = .3;
static const double pool_path_work = .5;
static const double float_bits = 32;

static bool is_real(const tl_edge_option *option)
{
    return option->op == TL_EDGE_CONV || option->op == TL_EDGE_POOL;
}

static double work_of(const tl_edge_option *option, double of_pool)
{
    switch (option->op) {
    case TL_EDGE_CONV: return (double)option->kernel * option->kernel;
    case TL_EDGE_POOL: return of_pool;
    case TL_EDGE_NONE:
    case TL_EDGE_SKIP: break;
    }
    return 0;
}

static uint32_t bit(int edge)
{
    return (uint32_t)1 << edge;
}

/* Options that are counted under a mask: "none" under A only. */
static bool is_counted(const tl_cell *cell, int mask, int option)
{
    return mask_names[mask] == 'A' || cell->options[option].op != TL_EDGE_NONE;
}

/* How many of the first n_options options are. */
static int n_counted(const tl_cell *cell, int mask, int n_options)
{
    int n = 0;
    for (int o = 0; o < n_options; o++) {
        n += is_counted(cell, mask, o);
    }
    return n;
}

static void name_group(const char *stem, int mask, char *out_name)
{
    size_t len = strlen(stem);
    memcpy(out_name, stem, len);
    out_name[len] = mask_names[mask];
    out_name[len + 1] = '\0';
}

static bool has_hot(const tl_cell *cell, int mask)
{
    int width = cell->n_edges * cell->n_options;
    return width <= MAX_HOT_EVERY_MASK ||
           (width <= MAX_HOT && (mask_names[mask] == 'A' || mask_names[mask] == 'L'));
}

/* Edges may carry weight bits. */
static bool has_bits(const tl_cell *cell)
{
    for (int e = 0; e < cell->n_edges; e++) {
        if (cell->bits_slot[e] >= 0) {
            return true;
        }
    }
    return false;
}

static void add_hypothesis(tl_raw_layout *layout, int mask)
{
    tl_hypothesis *hypothesis = &layout->hypotheses[layout->n_hypotheses++];
    char name[16];
    *hypothesis = (tl_hypothesis){
        .prior = mask_prior[mask], .n_points = GRID_POINTS, .source_centre = .3};
    name_group("tot", mask, name);
    tl_raw_add_term(layout, hypothesis, name, .3);
    name_group("cnt", mask, name);
    tl_raw_add_term(layout, hypothesis, name, .1);
    name_group("hot", mask, name);
    tl_raw_add_term(layout, hypothesis, name, .1);
    if (mask_names[mask] != 'A') {
        name_group("act", mask, name);
        tl_raw_add_term(layout, hypothesis, name, .2);
    }
}

void tl_raw_cell_layout(const tl_space *space, tl_raw_layout *layout)
{
    const tl_cell *cell = tl_space_cell(space);
    char name[16];
    layout->space = space;
    for (int q = 0; q < N_MASKS; q++) {
        name_group("tot", q, name);
        int n_shadows = has_bits(cell);
        int tot = tl_raw_add_group(layout, name, 2 + n_shadows, true, true);
        layout->groups[tot].n_shadows = n_shadows;
        name_group("cnt", q, name);
        tl_raw_add_group(layout, name, n_counted(cell, q, cell->n_options), true, true);
        name_group("hot", q, name);
        if (has_hot(cell, q)) {
            tl_raw_add_group(
                layout, name, cell->n_edges * n_counted(cell, q, cell->n_options), false, true);
        }
        name_group("act", q, name);
        if (mask_names[q] != 'A') {
            tl_raw_add_group(layout, name, 3, true, true);
        }
        add_hypothesis(layout, q);
    }
    tl_raw_add_group(layout, "actA", 3, true, false);
    tl_raw_add_group(layout, "depth", 7, true, false);
    layout->pair_group = tl_raw_find_group(layout, "hotN");
}

/* ---- one row -------------------------------------------------------------------- */

/* The option on each edge; an absent choice cuts the edge like "none". */
static void read_edges(
    const tl_cell *cell,
    const tl_choice *design,
    const tl_edge_option **out_edges,
    int *out_idx)
{
    static const tl_edge_option none = {.op = TL_EDGE_NONE};
    for (int e = 0; e < cell->n_edges; e++) {
        tl_choice choice = design[cell->edge_slot[e]];
        TL_ASSERT(choice == TL_CHOICE_ABSENT || choice < cell->n_options);
        out_edges[e] = choice == TL_CHOICE_ABSENT ? &none : &cell->options[choice];
        out_idx[e] = choice == TL_CHOICE_ABSENT ? -1 : choice;
    }
}

/* The share of a float's width that each edge saves; 0 where it has no bits. */
static void read_bits(
    const tl_space *space, const tl_cell *cell, const tl_choice *design, double *out_saved)
{
    for (int e = 0; e < cell->n_edges; e++) {
        int bits = cell->bits_slot[e] < 0 ? 0 : tl_cell_edge_bits(space, design, e);
        out_saved[e] = bits <= 0 ? 0 : 1 - bits / float_bits;
    }
}

static void fill_masks(const tl_cell *cell, const tl_choice *design, uint32_t *out_masks)
{
    uint32_t reached = 0;
    uint32_t needed = 0;
    tl_cell_masks(cell, design, &reached, &needed);
    uint32_t live = reached & needed;
    for (int q = 0; q < N_MASKS; q++) {
        switch (mask_names[q]) {
        case 'A': out_masks[q] = ~(uint32_t)0; break;
        case 'N': out_masks[q] = live != 0 ? needed : 0; break;
        case 'L': out_masks[q] = live; break;
        case 'T': out_masks[q] = needed; break;
        default: out_masks[q] = reached; break;
        }
    }
}

/* act: how many tensors are read as they are, rectified, and both. */
static void fill_act(
    const tl_cell *cell, const tl_edge_option *const *edges, uint32_t mask, double *act)
{
    bool is_raw[TL_CELL_MAX_NODES] = {false};
    bool is_rectified[TL_CELL_MAX_NODES] = {false};
    for (int e = 0; e < cell->n_edges; e++) {
        if ((mask & bit(e)) == 0) {
            continue;
        }
        tl_edge_op op = edges[e]->op;
        is_raw[cell->from[e]] |= op == TL_EDGE_SKIP || op == TL_EDGE_POOL;
        is_rectified[cell->from[e]] |= op == TL_EDGE_CONV;
    }
    for (int u = 0; u < cell->n_nodes; u++) {
        act[0] += is_raw[u];
        act[1] += is_rectified[u];
        act[2] += is_raw[u] && is_rectified[u];
    }
}

/* Longest live path to the last node, an edge costing cost[e]. */
static double longest_path(const tl_cell *cell, uint32_t live, const double *cost)
{
    double depth[TL_CELL_MAX_NODES];
    depth[0] = 0;
    for (int v = 1; v < cell->n_nodes; v++) {
        depth[v] = -1;
        for (int e = 0; e < cell->n_edges; e++) {
            double before = depth[cell->from[e]];
            if (cell->to[e] == v && (live & bit(e)) != 0 && before >= 0 &&
                before + cost[e] > depth[v]) {
                depth[v] = before + cost[e];
            }
        }
    }
    double last = depth[cell->n_nodes - 1];
    return last > 0 ? last : 0;
}

static void fill_paths(
    const tl_cell *cell, const tl_edge_option *const *edges, uint32_t live, double *depth)
{
    double ops[TL_CELL_MAX_EDGES];
    double work[TL_CELL_MAX_EDGES];
    double steps[TL_CELL_MAX_EDGES];
    for (int e = 0; e < cell->n_edges; e++) {
        ops[e] = is_real(edges[e]);
        work[e] = work_of(edges[e], pool_path_work);
        steps[e] = edges[e]->op != TL_EDGE_NONE;
    }
    depth[0] = longest_path(cell, live, ops);
    depth[1] = longest_path(cell, live, work);
    depth[2] = longest_path(cell, live, steps);
}

/* Additions at nodes (live, and over all edges that are there), emptiness, nodes in use. */
static void fill_joins(
    const tl_cell *cell, const tl_edge_option *const *edges, uint32_t live, double *joins)
{
    for (int v = 1; v < cell->n_nodes; v++) {
        int n_live = 0;
        int n_present = 0;
        for (int e = 0; e < cell->n_edges; e++) {
            if (cell->to[e] == v) {
                n_live += (live & bit(e)) != 0;
                n_present += edges[e]->op != TL_EDGE_NONE;
            }
        }
        joins[0] += n_live > 1 ? n_live - 1 : 0;
        joins[1] += n_present > 1 ? n_present - 1 : 0;
        joins[3] += n_live > 0;
    }
    joins[2] = live == 0;
}

/* tot, cnt and hot (NULL: none) of one mask. */
static void fill_counts(
    const tl_cell *cell,
    const int *options,
    const double *saved,
    int q,
    uint32_t mask,
    double *tot,
    double *cnt,
    double *hot)
{
    int width = n_counted(cell, q, cell->n_options);
    for (int e = 0; e < cell->n_edges; e++) {
        int o = options[e];
        if ((mask & bit(e)) == 0 || o < 0 || !is_counted(cell, q, o)) {
            continue;
        }
        int column = n_counted(cell, q, o);
        tot[0] += work_of(&cell->options[o], pool_work);
        tot[1] += is_real(&cell->options[o]);
        if (saved[e] > 0) {
            tot[2] -= saved[e] * work_of(&cell->options[o], pool_work);
        }
        cnt[column] += 1;
        if (hot != NULL) {
            hot[e * width + column] = 1;
        }
    }
}

void tl_raw_cell_row(const tl_raw_layout *layout, const tl_choice *design, double *raw)
{
    const tl_cell *cell = tl_space_cell(layout->space);
    const tl_edge_option *edges[TL_CELL_MAX_EDGES];
    int options[TL_CELL_MAX_EDGES];
    double saved[TL_CELL_MAX_EDGES];
    uint32_t masks[N_MASKS];
    TL_DEBUG_ASSERT(raw != NULL);
    read_edges(cell, design, edges, options);
    read_bits(layout->space, cell, design, saved);
    fill_masks(cell, design, masks);
    const tl_raw_group *group = layout->groups;
    for (int q = 0; q < N_MASKS; q++) {
        double *tot = raw + group->begin;
        double *cnt = raw + group[1].begin;
        double *hot = has_hot(cell, q) ? raw + group[2].begin : NULL;
        fill_counts(cell, options, saved, q, masks[q], tot, cnt, hot);
        group += hot != NULL ? 3 : 2;
        if (mask_names[q] != 'A') {
            fill_act(cell, edges, masks[q], raw + group->begin);
            group++;
        }
    }
    fill_act(cell, edges, masks[0], raw + group[0].begin);
    uint32_t live = masks[2];
    fill_paths(cell, edges, live, raw + group[1].begin);
    fill_joins(cell, edges, live, raw + group[1].begin + 3);
}
