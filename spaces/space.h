/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_SPACES_SPACE_H
#define TL_SPACES_SPACE_H

/*
 * A search space: which designs there are, and what network each one is.
 *
 * A space is data, read from a YAML file (docs/space-format.md). It has slots;
 * a slot has options; a design chooses one option for each slot. Four kinds
 * share this interface:
 *
 *     cell        a graph repeated in a fixed macro layout; a slot is an edge
 *     chain       a sequence of blocks; a slot is a block's operator
 *     staged      stages with slots for depth, kernel, expansion, ...
 *     enumerated  a list (or product) of published networks
 *
 * A space is immutable and shared: any number of threads may use one.
 *
 *     tl_space *space = NULL;
 *     TL_TRY(tl_space_load("spaces/nasbench201.yaml", &space));
 *     tl_choice design[TL_SPACE_MAX_SLOTS];
 *     TL_TRY(tl_space_sample(space, &rng, design));
 *     tl_network network = {0};
 *     err = tl_space_lower(space, design, &network);
 *     ...
 *     tl_network_done(&network);
 *     tl_space_unref(space);
 */

#include "base/err.h"
#include "base/text.h"
#include "numerics/rng.h"
#include "spaces/network.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tl_space tl_space;

typedef enum tl_space_kind {
    TL_SPACE_CELL,
    TL_SPACE_CHAIN,
    TL_SPACE_STAGED,
    TL_SPACE_ENUMERATED,
} tl_space_kind;

/*
 * What is searched. Slots that are optional, such as the weight bits of a
 * convolution, are left absent or chosen with the rest: then every convolution
 * that has a slot for its bits has bits.
 */
typedef enum tl_freedom {
    TL_FREE_ARCHITECTURE,
    TL_FREE_BITS, /* optional slots too; the same where a space has none */
    TL_N_FREEDOMS
} tl_freedom;

/* An option's index in its slot. A design is an array of them, one a slot. */
typedef uint16_t tl_choice;

enum {
    TL_CHOICE_ABSENT = 0xffff, /* "-": the slot does not apply to this design */
    TL_SPACE_MAX_SLOTS = 64,
    TL_SPACE_MAX_OPTIONS = 4096,
};

typedef struct tl_slot {
    const char *name;
    int n_options;
    const char *const *options;
    bool is_optional;   /* a table may leave the column out, which reads as "-" */
    bool may_be_absent; /* "-" is allowed in some designs */
} tl_slot;

/*
 * Reads a space file. Fails with TL_EINVAL, the detail naming file, line where
 * known, key, what was got and what was wanted; TL_EIO when it cannot be read.
 */
TL_MUST_USE tl_err tl_space_load(const char *path, tl_space **out_space);

/* The same from memory; origin names the text in errors. */
TL_MUST_USE tl_err
tl_space_parse(const char *yaml, size_t len, const char *origin, tl_space **out_space);

tl_space *tl_space_ref(const tl_space *space);
void tl_space_unref(tl_space *space); /* NULL is fine */

const char *tl_space_name(const tl_space *space);
const char *tl_space_description(const tl_space *space); /* "" where none is given */
tl_space_kind tl_space_kind_of(const tl_space *space);
const char *tl_space_kind_name(tl_space_kind kind); /* "cell", ... */
const char *tl_space_yaml(const tl_space *space);   /* the text it was read from */

/*
 * SHA-256 in hex of everything that designs, their meaning and their networks
 * depend on: two spaces of one digest may share measurements and models.
 */
const char *tl_space_digest(const tl_space *space);

int tl_space_n_slots(const tl_space *space);
const tl_slot *tl_space_slot(const tl_space *space, int slot);
int tl_space_slot_find(const tl_space *space, const char *name); /* -1 when there is none */

/* The number of valid designs of that freedom; may be inexact beyond 2^53. */
double tl_space_size_with(const tl_space *space, tl_freedom freedom);

static inline double tl_space_size(const tl_space *space)
{
    return tl_space_size_with(space, TL_FREE_ARCHITECTURE);
}

/* ---- one design ---------------------------------------------------------- */

/*
 * The option of that name in the slot, or TL_CHOICE_ABSENT for "-". Fails with
 * TL_EINVAL: `e12: got "conv5", want one of none, skip_connect, ...`.
 */
TL_MUST_USE tl_err
tl_space_choice_parse(const tl_space *space, int slot, const char *text, tl_choice *out_choice);

/* "-" for TL_CHOICE_ABSENT. Borrowed. */
const char *tl_space_choice_name(const tl_space *space, int slot, tl_choice choice);

/* "e01=none,e02=skip_connect,...": what is printed in logs and read by _parse. */
TL_MUST_USE tl_err
tl_space_design_parse(const tl_space *space, const char *text, tl_choice *out_design);
void tl_space_design_print(const tl_space *space, const tl_choice *design, tl_text *text);

/* Fails with TL_EINVAL, the detail naming the offending slot, got and wanted. */
TL_MUST_USE tl_err tl_space_check(const tl_space *space, const tl_choice *design);

/*
 * Makes one spelling of designs that are the same network by construction:
 * choices in slots that cannot matter become "-". Never fails on a valid design.
 */
void tl_space_normalize(const tl_space *space, tl_choice *design);

/*
 * A text that is equal for designs which compute the same function (isomorphic
 * cells, normalized designs), weight bits included where they are present.
 */
void tl_space_canonical(const tl_space *space, const tl_choice *design, tl_text *text);

/* The design's network. network is cleared first; on failure it holds nothing. */
TL_MUST_USE tl_err
tl_space_lower(const tl_space *space, const tl_choice *design, tl_network *network);

/* One 0/1 per slot and option (TL_CHOICE_ABSENT: all zero); optional slots are left out. */
int tl_space_onehot_width(const tl_space *space);
void tl_space_onehot(const tl_space *space, const tl_choice *design, double *out_row);

/* ---- moving about ----------------------------------------------------------
 *
 * Each function takes the freedom of the search; the one without `_with` keeps to
 * the architecture.
 */

/*
 * The options that a slot may take given the choices in the slots before it;
 * later slots are not read. out_allowed has room for the slot's options, and for one.
 * Gives their number; TL_CHOICE_ABSENT alone where the slot does not apply; 0
 * where the choices before lead nowhere, which rules may bring about.
 */
int tl_space_allowed(
    const tl_space *space,
    tl_freedom freedom,
    const tl_choice *design,
    int slot,
    tl_choice *out_allowed);

/* A valid design, each choice uniform given those before it. */
void tl_space_sample_with(
    const tl_space *space, tl_freedom freedom, tl_rng *rng, tl_choice *out_design);

/*
 * Changes one slot of a valid design to another option; slots that this makes appear
 * follow: bits by chance where they are free, others with their first option. The bits
 * of a design that has some change with the rest, whatever the freedom.
 */
void tl_space_mutate_with(
    const tl_space *space, tl_freedom freedom, tl_rng *rng, tl_choice *design);

/*
 * All valid designs that differ in one searched slot (slots that this makes
 * appear or vanish follow with their first option; where bits are free, those of a
 * convolution that appears come in every width). Writes at most max designs
 * of n_slots choices each and returns how many there are.
 */
int tl_space_neighbours_with(
    const tl_space *space,
    tl_freedom freedom,
    const tl_choice *design,
    int max,
    tl_choice *out_designs);

/*
 * Every valid design in lexicographic order: out_designs [n, n_slots], owned by the
 * caller (tl_mem_free). Fails with TL_ELIMIT when there are more than limit.
 */
TL_MUST_USE tl_err tl_space_enumerate_with(
    const tl_space *space, tl_freedom freedom, int limit, tl_choice **out_designs, int *out_n);

static inline void tl_space_sample(const tl_space *space, tl_rng *rng, tl_choice *out_design)
{
    tl_space_sample_with(space, TL_FREE_ARCHITECTURE, rng, out_design);
}

static inline void tl_space_mutate(const tl_space *space, tl_rng *rng, tl_choice *design)
{
    tl_space_mutate_with(space, TL_FREE_ARCHITECTURE, rng, design);
}

static inline int tl_space_neighbours(
    const tl_space *space, const tl_choice *design, int max, tl_choice *out_designs)
{
    return tl_space_neighbours_with(space, TL_FREE_ARCHITECTURE, design, max, out_designs);
}

TL_MUST_USE static inline tl_err tl_space_enumerate(
    const tl_space *space, int limit, tl_choice **out_designs, int *out_n)
{
    return tl_space_enumerate_with(space, TL_FREE_ARCHITECTURE, limit, out_designs, out_n);
}

/* ---- cells: what graph features need (kind TL_SPACE_CELL only) -------------- */

enum {
    TL_CELL_MAX_NODES = 8,
    TL_CELL_MAX_EDGES = 28,
};

typedef enum tl_edge_op {
    TL_EDGE_NONE,
    TL_EDGE_SKIP,
    TL_EDGE_CONV,
    TL_EDGE_POOL,
} tl_edge_op;

typedef struct tl_edge_option {
    tl_edge_op op;
    int kernel; /* of a convolution or pool; 0 otherwise */
} tl_edge_option;

typedef struct tl_cell {
    int n_nodes; /* node 0 is the input, n_nodes - 1 the output */
    int n_edges; /* edge i is slot edge_slot[i] */
    int from[TL_CELL_MAX_EDGES], to[TL_CELL_MAX_EDGES];
    int edge_slot[TL_CELL_MAX_EDGES];
    int bits_slot[TL_CELL_MAX_EDGES]; /* optional slot of the edge's weight bits; -1: none */
    int n_options;                    /* the same options on every edge */
    const tl_edge_option *options;
} tl_cell;

/* NULL when the space is no cell space. */
const tl_cell *tl_space_cell(const tl_space *space);

/*
 * Bit i of *out_reached: edge i is not "none" and its input is reachable from
 * node 0; of *out_needed: it is not "none" and its output reaches the last node.
 */
void tl_cell_masks(
    const tl_cell *cell, const tl_choice *design, uint32_t *out_reached, uint32_t *out_needed);

/* The weight bits chosen for edge i, or 0 where absent. */
int tl_cell_edge_bits(const tl_space *space, const tl_choice *design, int edge);

#endif
