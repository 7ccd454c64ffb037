/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_SPACES_EXPR_H
#define TL_SPACES_EXPR_H

/*
 * Arithmetic in space files: `in * expand`, `div8(64 * $width)`, `$in_ch % $groups == 0`.
 *
 * Numbers, the variables below, `$slot` for the value chosen in a slot,
 * + - * / % == != < <= > >= && || ! and parentheses, and the functions
 * min max floor ceil round div8. div8 is the rounding of published mobile
 * networks: the nearest multiple of 8, at least 8, never 10% below its argument.
 *
 * Everything is a double; true is 1. What has no value (a slot that does not
 * apply, a division by zero) is NaN and makes the whole NaN.
 */

#include "base/err.h"
#include "spaces/arena.h"

#include <stdbool.h>

typedef enum tl_var {
    TL_VAR_IN,         /* in: channels of the operator's (first) input */
    TL_VAR_SIZE,       /* size: pixels along a side of that input */
    TL_VAR_OUT,        /* out: channels that the block delivers */
    TL_VAR_STRIDE,     /* stride: of the block */
    TL_VAR_BLOCK_IN,   /* block_in: channels that enter the block */
    TL_VAR_BLOCK_SIZE, /* block_size: their size */
    TL_VAR_KERNEL,     /* kernel expand groups se: parameters of the block */
    TL_VAR_EXPAND,
    TL_VAR_GROUPS,
    TL_VAR_SE,
    TL_VAR_LAYER, /* layer: number of the block in its stage, from 1 */
    TL_N_VARS
} tl_var;

enum {
    TL_MAX_STAGE_SLOTS = 16,
    TL_MAX_LAYER_SLOTS = 8,
    TL_FIRST_SLOT_VAR = TL_N_VARS, /* slots of the whole space */
    TL_FIRST_STAGE_VAR = TL_FIRST_SLOT_VAR + 64,
    TL_FIRST_LAYER_VAR = TL_FIRST_STAGE_VAR + TL_MAX_STAGE_SLOTS,
    TL_ENV_LEN = TL_FIRST_LAYER_VAR + TL_MAX_LAYER_SLOTS
};

/* What an expression is evaluated in. */
typedef struct tl_env {
    double vars[TL_ENV_LEN];
} tl_env;

/* The names that may follow `$`, by the kind of slot they stand for. */
typedef struct tl_scope {
    const char *const *slots;
    int n_slots;
    const char *const *stage_slots;
    int n_stage_slots;
    const char *const *layer_slots;
    int n_layer_slots;
} tl_scope;

typedef struct tl_expr_step {
    int op;
    int var;
    double number;
} tl_expr_step;

/* Zeroed: not given. */
typedef struct tl_expr {
    const tl_expr_step *steps;
    int n_steps;
} tl_expr;

static inline bool tl_expr_is_given(const tl_expr *expr)
{
    return expr->n_steps > 0;
}

/*
 * Fails with TL_EINVAL: `got "in * * 2", want ...`. The caller prefixes the key.
 */
TL_MUST_USE tl_err
tl_expr_parse(const char *text, const tl_scope *scope, tl_arena *arena, tl_expr *out_expr);

double tl_expr_eval(const tl_expr *expr, const tl_env *env);

/* The expression is a plain number. */
bool tl_expr_is_constant(const tl_expr *expr);

/* The variable that the expression consists of, or -1. */
int tl_expr_variable(const tl_expr *expr);

/* The highest index of a slot of the whole space it reads, or -1. */
int tl_expr_last_slot(const tl_expr *expr);

/* It reads this slot of the whole space. */
bool tl_expr_reads_slot(const tl_expr *expr, int slot);

#endif
