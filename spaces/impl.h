/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_SPACES_IMPL_H
#define TL_SPACES_IMPL_H

/*
 * Inside of a space; only spaces/ .c files include this.
 *
 * A file is read into texts (raw.h), then built (build.c, slots.c, stages.c and
 * the kind's own file) into what stands below: slots, and lists of lines with
 * their expressions parsed. lower.c runs those lists for one design.
 */

#include "spaces/arena.h"
#include "spaces/expr.h"
#include "spaces/raw.h"
#include "spaces/space.h"

#include <stdatomic.h>

enum {
    TL_MAX_CHANNELS = 1 << 20,
    TL_MAX_IMAGE_SIZE = 8192,
    TL_MAX_KERNEL = 1023,
    TL_MAX_STRIDE = 64,
    TL_MAX_REPEAT = 256,
    TL_MAX_BITS = 64,
    TL_MAX_FROM = 8,
    TL_MAX_LABELS = 32,
    TL_MAX_STAGES = 64,
    TL_MAX_BLOCKS_IN_STAGE = 64,
    TL_MAX_OPS = 8192,          /* of one network */
    TL_MAX_LINES_RUN = 1 << 16, /* in one lowering, so that no file runs for long */
    TL_ACT_OF_BLOCK = TL_N_ACTIVATIONS
};

/* ---- lists of operators ------------------------------------------------------ */

typedef enum tl_line_kind {
    TL_LINE_CONV,
    TL_LINE_DEPTHWISE,
    TL_LINE_DENSE,
    TL_LINE_POOL_AVG,
    TL_LINE_POOL_MAX,
    TL_LINE_POOL_GLOBAL,
    TL_LINE_ADD,
    TL_LINE_CONCAT,
    TL_LINE_SCALE,
    TL_LINE_SQUEEZE_EXCITE,
    TL_LINE_RESIDUAL,
    TL_LINE_SKIP,
    TL_LINE_NONE,
    TL_LINE_BLOCK,
    TL_LINE_CHOICE,
    TL_N_LINE_KINDS
} tl_line_kind;

/* The parameters that a stage, an option and a call of a block may set. */
typedef struct tl_params {
    tl_expr kernel, expand, groups, se;
    int act; /* tl_activation; TL_ACT_OF_BLOCK: as outside */
} tl_params;

struct tl_list;

typedef struct tl_line {
    tl_line_kind kind;
    tl_expr when, repeat, out, stride, pad, squeeze;
    tl_params params;
    int pre_act, gate;
    bool has_norm, has_bias;
    int label;             /* index of `as` in the list; -1: none */
    int from[TL_MAX_FROM]; /* labels; TL_LABEL_* */
    int n_from;
    const struct tl_list *block; /* of TL_LINE_BLOCK */
    int slot;                    /* of TL_LINE_CHOICE */
} tl_line;

enum {
    TL_LABEL_LAST = -1,
    TL_LABEL_BLOCK = -2
};

typedef struct tl_list {
    const char *where; /* "stem", "block mbconv": for messages */
    const tl_line *lines;
    int n_lines;
} tl_list;

/* ---- slots ----------------------------------------------------------------- */

typedef struct tl_option {
    const char *name;
    double value; /* NaN when it is no number */
    tl_params params;
    const tl_list *list; /* NULL: the stage's block */
} tl_option;

typedef struct tl_slot_impl {
    tl_slot pub;
    const tl_option *options;
    int depth_slot; /* the slot whose value says how many layers there are; -1: always present */
    int layer;      /* present when that value is at least this */
} tl_slot_impl;

/* ---- stages of chain, staged and cell spaces ---------------------------------- */

typedef struct tl_stage {
    const char *name;
    tl_expr channels, blocks, stride;
    tl_params params;
    const tl_list *list; /* what a block runs when no option says otherwise; may be NULL */
    int first_slot;      /* its stage slots: this one and those after it; -1: none */
    int first_layer_slot;
    int max_blocks;
} tl_stage;

typedef struct tl_space_ops tl_space_ops;

struct tl_space {
    tl_arena arena;
    const tl_space_ops *ops;
    tl_space_kind kind;
    const char *name, *description, *yaml;
    char digest[TL_DIGEST_HEX_BYTES];
    double size[TL_N_FREEDOMS];
    tl_slot_impl *slots;
    int n_slots;
    int onehot_width;
    tl_expr in_channels, in_size, w_bits, a_bits;
    const tl_list *stem, *head, *network, *reduction;
    tl_stage *stages;
    int n_stages, n_stage_slots, n_layer_slots;
    tl_cell cell;
    const tl_option *cell_options;
    double cell_a_bits;
    tl_expr *rules;
    int *rule_last_slot; /* the slot whose choice decides the rule */
    int n_rules;
    int slot_cost[TL_SPACE_MAX_SLOTS]; /* steps to judge a choice there by the rules */
    tl_choice *designs; /* [n_designs, n_slots], sorted; NULL: rules alone decide */
    int n_designs;
    atomic_int n_refs;
};

/*
 * What differs between kinds. Called without locks: a space is immutable.
 */
struct tl_builder;
struct tl_lowering;

struct tl_space_ops {
    /* Fills slots and what lowering needs. Only during tl_space_parse(). */
    tl_err (*build)(struct tl_builder *builder);
    /* The number of designs; NaN when the rules make it too costly to count. */
    double (*size)(const tl_space *space);
    /* The same with optional slots chosen. NULL: there are none. */
    double (*size_with_bits)(const tl_space *space);
    /* What remains to check once every choice is in range. NULL: nothing. */
    tl_err (*check)(const tl_space *space, const tl_choice *design);
    /* Choices [0, slot] may be the start of a valid design. NULL: always. */
    bool (*allows)(const tl_space *space, const tl_choice *design, int slot);
    /* Makes dependent slots follow after one has changed. before: the valid design it was. */
    void (*repair)(
        const tl_space *space, tl_freedom freedom, const tl_choice *before, tl_choice *design);
    /* NULL: the printed design. */
    void (*canonical)(const tl_space *space, const tl_choice *design, tl_text *text);
    /* Adds the operators between stem and head, or all of them. */
    tl_err (*lower)(struct tl_lowering *lowering);
};

extern const tl_space_ops tl_cell_ops, tl_chain_ops, tl_staged_ops, tl_enumerated_ops;

/* ---- building (build.c, slots.c, stages.c) ------------------------------------- */

typedef struct tl_builder {
    tl_space *space;
    const tl_raw_space *raw;
    tl_scope scope;
    tl_list *blocks; /* those defined so far */
    const char **block_names;
    int n_blocks;
} tl_builder;

/* Zeroed memory of the space; fails with TL_ENOMEM. */
TL_MUST_USE tl_err tl_build_new(tl_builder *builder, size_t n, size_t size, void *out_pointer);
TL_MUST_USE tl_err
tl_build_strdup(tl_builder *builder, const char *text, const char **out_text);

/* NULL text: leaves *out_expr not given. where and key open the detail. */
TL_MUST_USE tl_err tl_build_expr(
    tl_builder *builder,
    const char *where,
    const char *key,
    const char *text,
    tl_expr *out_expr);

/* A whole number in the file itself, not an expression. */
TL_MUST_USE tl_err tl_build_int(
    const char *where, const char *key, const char *text, int least, int most, int *out_value);

TL_MUST_USE tl_err tl_build_list(
    tl_builder *builder,
    const char *where,
    const tl_raw_line *raw,
    uint32_t n,
    const tl_list **out_list);

TL_MUST_USE tl_err tl_build_params(
    tl_builder *builder,
    const char *where,
    const char *kernel,
    const char *expand,
    const char *groups,
    const char *se,
    tl_params *params);

TL_MUST_USE tl_err tl_build_blocks(tl_builder *builder);
TL_MUST_USE tl_err tl_build_block_find(
    tl_builder *builder, const char *where, const char *name, const tl_list **out_list);

/* The activation's number; NULL text gives otherwise. */
TL_MUST_USE tl_err
tl_build_act(const char *where, const char *key, const char *text, int otherwise, int *out_act);

TL_MUST_USE tl_err tl_build_options(
    tl_builder *builder,
    const char *where,
    const tl_raw_option *raw,
    uint32_t n,
    const tl_option **out_options);

/* The options that a slot's values, range or options make; NULL where it has none. */
TL_MUST_USE tl_err tl_build_slot_options(
    tl_builder *builder,
    const char *where,
    const tl_raw_slot *raw,
    const tl_option **out_options,
    int *out_n);

/* Appends a slot; its name must be new. Gives its index. */
TL_MUST_USE tl_err tl_build_slot(
    tl_builder *builder,
    const char *name,
    const tl_option *options,
    int n_options,
    int *out_slot);

/* What may follow `$` in this file; before anything that has expressions. */
TL_MUST_USE tl_err tl_build_scope(tl_builder *builder);

/* Slots of the whole space, from the key `slots`. */
TL_MUST_USE tl_err tl_build_space_slots(tl_builder *builder);

/* The stages, and the slots that each of them brings (chain, staged). */
TL_MUST_USE tl_err tl_build_stages(tl_builder *builder);
TL_MUST_USE tl_err tl_build_stage_slots(tl_builder *builder);

/* The name template with {stage}, {layer} and {block} filled in. */
TL_MUST_USE tl_err tl_build_slot_name(
    tl_builder *builder,
    const char *pattern,
    const char *stage,
    int layer,
    int block,
    int n_blocks,
    const char **out_name);

/* ---- lowering (lower.c, stages.c) -------------------------------------------------- */

typedef struct tl_tensor {
    int op; /* operator index or TL_NETWORK_INPUT */
    int ch, size;
} tl_tensor;

typedef struct tl_lowering {
    const tl_space *space;
    const tl_choice *design;
    tl_network *network;
    tl_env env;
    tl_tensor x; /* what the next operator reads */
    int act;     /* of the block */
    int stage, slot;
    int w_bits, a_bits;
    int n_lines_run;
} tl_lowering;

/* Between parts: nothing but the image that enters one says what it is. */
void tl_lower_forget(tl_lowering *lowering);

TL_MUST_USE tl_err tl_lower_list(tl_lowering *lowering, const tl_list *list);

/* An operator with the bits, stage and slot of the moment. */
tl_op tl_lower_op(const tl_lowering *lowering, tl_op_kind kind, tl_tensor from);
TL_MUST_USE tl_err tl_lower_emit(
    tl_lowering *lowering, tl_op op, const tl_tensor *inputs, int n_inputs, tl_tensor *out);

/* Sets the variables that the parameters give. */
void tl_lower_set_params(tl_lowering *lowering, const tl_params *params);

/* The whole number that a given expression has. */
TL_MUST_USE tl_err tl_lower_int(
    const tl_lowering *lowering,
    const tl_expr *expr,
    const char *key,
    int least,
    int most,
    int *out_value);

/* The same, or otherwise where the expression is not given. */
TL_MUST_USE tl_err tl_lower_int_or(
    const tl_lowering *lowering,
    const tl_expr *expr,
    const char *key,
    int least,
    int most,
    int otherwise,
    int *out_value);

/* tl_space_lower(), saying how many lines it ran. */
TL_MUST_USE tl_err tl_lower_counted(
    const tl_space *space, const tl_choice *design, tl_network *network, int *out_n_lines);

/* One part (parts.h) of a design's network, by what enters it. */
typedef struct tl_lower_part {
    int stage; /* -1: stem or head */
    int layer; /* of the stage; 0: all of them */
    bool is_head;
    int ch, size; /* in: what enters it, the stem but for; out: what leaves it */
} tl_lower_part;

/* network holds the part's operators; its inputs are as if the part stood alone. */
TL_MUST_USE tl_err tl_lower_one_part(
    const tl_space *space, const tl_choice *design, tl_network *network, tl_lower_part *part);

/* The layer of a stage, from 1; 0: all of them. */
TL_MUST_USE tl_err tl_lower_stage_part(tl_lowering *lowering, int stage_idx, int layer);

/* Runs one line. entry: what entered its list; round: how often it has run (repeat). */
TL_MUST_USE tl_err tl_lower_line(
    tl_lowering *lowering,
    const tl_line *line,
    const tl_tensor *inputs,
    int n_inputs,
    tl_tensor entry,
    int round);

TL_MUST_USE tl_err tl_lower_stages(tl_lowering *lowering);

/* ---- shared by kinds ---------------------------------------------------------------- */

/* The slot applies to the design, as its depth slot says. */
bool tl_slot_is_present(const tl_space *space, const tl_choice *design, int slot);

/* The values chosen in slots of the whole space, as rules and expressions see them. */
void tl_env_set_slots(tl_env *env, const tl_space *space, const tl_choice *design, int n);

/* The first design in lexicographic order; false where rules leave none within reach. */
bool tl_space_first(const tl_space *space, tl_choice *out_design);

/* The option of a depth slot with the most layers. */
tl_choice tl_slot_deepest(const tl_space *space, int slot);

void tl_cell_canonical(const tl_space *space, const tl_choice *design, tl_text *text);

/* An optional slot holds the weight bits of an edge: the edge is a convolution. */
bool tl_cell_takes_bits(const tl_space *space, const tl_choice *design, int bits_slot);

double tl_stages_size(const tl_space *space);
void tl_stages_repair(
    const tl_space *space, tl_freedom freedom, const tl_choice *before, tl_choice *design);

#endif
