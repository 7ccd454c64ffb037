/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_SPACES_RAW_H
#define TL_SPACES_RAW_H

/*
 * A space file as it was written: every value is still a text, NULL where it
 * was not given. docs/space-format.md says what each key means.
 */

#include "base/digest.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* One line of a list of operators. */
typedef struct tl_raw_line {
    char *op, *block, *choice; /* exactly one of these */
    char *as;
    char **from;
    uint32_t from_count;
    char *when, *repeat;
    char *out, *kernel, *stride, *pad, *groups, *expand, *se, *squeeze;
    char *act, *pre_act, *gate;
    char *norm, *bias;
} tl_raw_line;

typedef struct tl_raw_block {
    char *name;
    tl_raw_line *ops;
    uint32_t ops_count;
} tl_raw_block;

typedef struct tl_raw_option {
    char *name, *value, *block;
    tl_raw_line *ops;
    uint32_t ops_count;
    char *kernel, *expand, *groups, *se, *act;
} tl_raw_option;

typedef struct tl_raw_range {
    char *from, *to, *step;
} tl_raw_range;

typedef struct tl_raw_slot {
    char *name, *as;
    char **values;
    uint32_t values_count;
    tl_raw_range *range;
    tl_raw_option *options;
    uint32_t options_count;
} tl_raw_slot;

typedef struct tl_raw_stage {
    char *name, *channels, *blocks, *stride, *block;
    tl_raw_line *ops;
    uint32_t ops_count;
    char *kernel, *expand, *groups, *se, *act;
    tl_raw_slot *slots;
    uint32_t slots_count;
} tl_raw_stage;

typedef struct tl_raw_edge {
    char *slot, *from, *to, *bits;
} tl_raw_edge;

typedef struct tl_raw_cell {
    char *nodes;
    tl_raw_edge *edges;
    uint32_t edges_count;
    char **weight_bits;
    uint32_t weight_bits_count;
    char *activation_bits;
} tl_raw_cell;

typedef struct tl_raw_input {
    char *channels, *size;
} tl_raw_input;

typedef struct tl_raw_bits {
    char *weights, *activations;
} tl_raw_bits;

typedef struct tl_raw_space {
    char *name, *kind, *description;
    tl_raw_input *input;
    tl_raw_bits *bits;
    tl_raw_line *stem, *head, *network, *reduction;
    uint32_t stem_count, head_count, network_count, reduction_count;
    tl_raw_block *blocks;
    uint32_t blocks_count;
    tl_raw_option *options;
    uint32_t options_count;
    char *slot;
    tl_raw_slot *slots, *stage_slots, *layer_slots;
    uint32_t slots_count, stage_slots_count, layer_slots_count;
    tl_raw_stage *stages;
    uint32_t stages_count;
    tl_raw_cell *cell;
    char **designs, **rules;
    uint32_t designs_count, rules_count;
} tl_raw_space;

/*
 * Reads the text. Fails with TL_EINVAL, the detail starting with origin and the
 * line: `my.yaml line 7: unknown key "kernal", did you mean "kernel"?`.
 */
TL_MUST_USE tl_err
tl_raw_read(const char *yaml, size_t len, const char *origin, tl_raw_space **out_raw);

void tl_raw_free(tl_raw_space *raw); /* NULL is fine */

/* Adds everything but the name and the description, in a fixed order. */
void tl_raw_digest(const tl_raw_space *raw, tl_digest *digest);

#endif
