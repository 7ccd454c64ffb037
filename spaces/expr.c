/* SPDX-License-Identifier: Apache-2.0 */
#include "spaces/expr.h"

#include "base/name.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_STEPS = 64,
    MAX_DEPTH = 16,
    MAX_WORD_BYTES = TL_NAME_MAX_BYTES
};

typedef enum step_op {
    STEP_NUMBER,
    STEP_VAR,
    STEP_NEGATE,
    STEP_NOT,
    STEP_FLOOR,
    STEP_CEIL,
    STEP_ROUND,
    STEP_DIV8,
    FIRST_BINARY,
    STEP_ADD = FIRST_BINARY,
    STEP_SUB,
    STEP_MUL,
    STEP_DIV,
    STEP_MOD,
    STEP_EQ,
    STEP_NE,
    STEP_LE,
    STEP_GE,
    STEP_LT,
    STEP_GT,
    STEP_AND,
    STEP_OR,
    STEP_MIN,
    STEP_MAX
} step_op;

static const char *const var_names[TL_N_VARS] = {
    [TL_VAR_IN] = "in",
    [TL_VAR_SIZE] = "size",
    [TL_VAR_OUT] = "out",
    [TL_VAR_STRIDE] = "stride",
    [TL_VAR_BLOCK_IN] = "block_in",
    [TL_VAR_BLOCK_SIZE] = "block_size",
    [TL_VAR_KERNEL] = "kernel",
    [TL_VAR_EXPAND] = "expand",
    [TL_VAR_GROUPS] = "groups",
    [TL_VAR_SE] = "se",
    [TL_VAR_LAYER] = "layer",
};

static const struct {
    const char *name;
    step_op op;
    int n_args;
} functions[] = {
    {"floor", STEP_FLOOR, 1},
    {"ceil",  STEP_CEIL,  1},
    {"round", STEP_ROUND, 1},
    {"div8",  STEP_DIV8,  1},
    {"min",   STEP_MIN,   2},
    {"max",   STEP_MAX,   2},
};

/* Binary operators by how tightly they bind; longer spellings first. */
static const struct {
    const char *text;
    step_op op;
    int level;
} operators[] = {
    {"||", STEP_OR,  0},
    {"&&", STEP_AND, 1},
    {"==", STEP_EQ,  2},
    {"!=", STEP_NE,  2},
    {"<=", STEP_LE,  2},
    {">=", STEP_GE,  2},
    {"<",  STEP_LT,  2},
    {">",  STEP_GT,  2},
    {"+",  STEP_ADD, 3},
    {"-",  STEP_SUB, 3},
    {"*",  STEP_MUL, 4},
    {"/",  STEP_DIV, 4},
    {"%",  STEP_MOD, 4},
};

enum {
    TIGHTEST = 5
};

typedef struct parser {
    const char *text;
    const char *at;
    const tl_scope *scope;
    tl_expr_step steps[MAX_STEPS];
    int n_steps;
    int depth;
} parser;

static tl_err parse_level(parser *p, int level);

static void skip_blanks(parser *p)
{
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n') {
        p->at++;
    }
}

static tl_err fail(const parser *p, const char *wanted)
{
    return tl_fail(
        TL_EINVAL, "got \"%s\", want %s at character %td", p->text, wanted,
        p->at - p->text + 1);
}

static tl_err add_step(parser *p, tl_expr_step step)
{
    if (p->n_steps == MAX_STEPS) {
        return tl_fail(
            TL_EINVAL, "got \"%.60s...\", want at most %d terms", p->text, MAX_STEPS);
    }
    p->steps[p->n_steps++] = step;
    return TL_OK;
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_';
}

/* The letters, digits and underscores at the cursor, cut at the capacity. */
static void take_word(parser *p, char word[MAX_WORD_BYTES + 1])
{
    size_t len = 0;
    while (is_word_char(*p->at)) {
        if (len < MAX_WORD_BYTES) {
            word[len++] = *p->at;
        }
        p->at++;
    }
    word[len] = '\0';
}

static int find_name(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static tl_err parse_slot(parser *p)
{
    char word[MAX_WORD_BYTES + 1];
    p->at++;
    take_word(p, word);
    const tl_scope *s = p->scope;
    int i = find_name(s->layer_slots, s->n_layer_slots, word);
    if (i >= 0) {
        return add_step(p, (tl_expr_step){.op = STEP_VAR, .var = TL_FIRST_LAYER_VAR + i});
    }
    i = find_name(s->stage_slots, s->n_stage_slots, word);
    if (i >= 0) {
        return add_step(p, (tl_expr_step){.op = STEP_VAR, .var = TL_FIRST_STAGE_VAR + i});
    }
    i = find_name(s->slots, s->n_slots, word);
    if (i >= 0) {
        return add_step(p, (tl_expr_step){.op = STEP_VAR, .var = TL_FIRST_SLOT_VAR + i});
    }
    return tl_fail(TL_EINVAL, "got \"%s\": no slot is called $%s here", p->text, word);
}

static tl_err parse_call(parser *p, size_t function)
{
    for (int i = 0; i < functions[function].n_args; i++) {
        skip_blanks(p);
        if (*p->at != (i == 0 ? '(' : ',')) {
            return fail(p, i == 0 ? "\"(\"" : "\",\"");
        }
        p->at++;
        TL_TRY(parse_level(p, 0));
    }
    skip_blanks(p);
    if (*p->at != ')') {
        return fail(p, "\")\"");
    }
    p->at++;
    return add_step(p, (tl_expr_step){.op = (int)functions[function].op});
}

static tl_err parse_word(parser *p)
{
    char word[MAX_WORD_BYTES + 1];
    take_word(p, word);
    for (size_t i = 0; i < TL_COUNT(functions); i++) {
        if (strcmp(functions[i].name, word) == 0) {
            return parse_call(p, i);
        }
    }
    int var = find_name(var_names, TL_N_VARS, word);
    if (var >= 0) {
        return add_step(p, (tl_expr_step){.op = STEP_VAR, .var = var});
    }
    const char *nearest = tl_name_nearest(word, var_names, TL_N_VARS);
    return tl_fail(
        TL_EINVAL, "got \"%s\": nothing is called %s%s%s%s", p->text, word,
        nearest != NULL ? " (did you mean " : " (a slot is written $name)",
        nearest != NULL ? nearest : "", nearest != NULL ? "?)" : "");
}

static tl_err parse_number(parser *p)
{
    char *end = NULL;
    double number = strtod(p->at, &end);
    if (end == p->at || !isfinite(number) || is_word_char(*end)) {
        return fail(p, "a number");
    }
    p->at = end;
    return add_step(p, (tl_expr_step){.op = STEP_NUMBER, .number = number});
}

static tl_err parse_primary(parser *p)
{
    char c = *p->at;
    if (c == '(') {
        p->at++;
        TL_TRY(parse_level(p, 0));
        skip_blanks(p);
        if (*p->at != ')') {
            return fail(p, "\")\"");
        }
        p->at++;
        return TL_OK;
    }
    if (c == '-' || c == '!') {
        p->at++;
        TL_TRY(parse_level(p, TIGHTEST));
        return add_step(p, (tl_expr_step){.op = c == '-' ? STEP_NEGATE : STEP_NOT});
    }
    if (c == '$') {
        return parse_slot(p);
    }
    if ((c >= '0' && c <= '9') || c == '.') {
        return parse_number(p);
    }
    return is_word_char(c) ? parse_word(p) : fail(p, "a number, a name or \"(\"");
}

/* The operator of this level at the cursor, or -1. */
static int operator_at(const parser *p, int level)
{
    for (size_t i = 0; i < TL_COUNT(operators); i++) {
        if (strncmp(p->at, operators[i].text, strlen(operators[i].text)) == 0) {
            return operators[i].level == level ? (int)i : -1;
        }
    }
    return -1;
}

/* Operators that bind at least as tightly as level, from left to right. */
static tl_err parse_level(parser *p, int level)
{
    if (p->depth >= MAX_DEPTH * (TIGHTEST + 1)) {
        return tl_fail(TL_EINVAL, "got \"%.60s...\", want less nesting", p->text);
    }
    p->depth++;
    skip_blanks(p);
    if (level == TIGHTEST) {
        TL_TRY(parse_primary(p));
        p->depth--;
        return TL_OK;
    }
    TL_TRY(parse_level(p, level + 1));
    for (;;) {
        skip_blanks(p);
        int i = operator_at(p, level);
        if (i < 0) {
            break;
        }
        p->at += strlen(operators[i].text);
        TL_TRY(parse_level(p, level + 1));
        TL_TRY(add_step(p, (tl_expr_step){.op = (int)operators[i].op}));
    }
    p->depth--;
    return TL_OK;
}

/* An expression without variables becomes its value. */
static void fold(parser *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        if (p->steps[i].op == STEP_VAR) {
            return;
        }
    }
    tl_expr whole = {.steps = p->steps, .n_steps = p->n_steps};
    double value = tl_expr_eval(&whole, NULL);
    p->steps[0] = (tl_expr_step){.op = STEP_NUMBER, .number = value};
    p->n_steps = 1;
}

tl_err tl_expr_parse(
    const char *text, const tl_scope *scope, tl_arena *arena, tl_expr *out_expr)
{
    parser p = {.text = text, .at = text, .scope = scope};
    TL_TRY(parse_level(&p, 0));
    skip_blanks(&p);
    if (*p.at != '\0') {
        return fail(&p, "an operator or the end");
    }
    fold(&p);
    tl_expr_step *steps = tl_arena_new(arena, (size_t)p.n_steps, sizeof *steps);
    if (steps == NULL) {
        return tl_fail(TL_ENOMEM, "an expression");
    }
    memcpy(steps, p.steps, (size_t)p.n_steps * sizeof *steps);
    *out_expr = (tl_expr){.steps = steps, .n_steps = p.n_steps};
    return TL_OK;
}

/* The nearest multiple of 8, at least 8, and not below 0.9 x. */
static double div8(double x)
{
    double y = floor((x + 4) / 8) * 8;
    y = y < 8 ? 8 : y;
    return y < 0.9 * x ? y + 8 : y;
}

static double unary(int op, double x)
{
    switch (op) {
    case STEP_NEGATE: return -x;
    case STEP_NOT: return x == 0;
    case STEP_FLOOR: return floor(x);
    case STEP_CEIL: return ceil(x);
    case STEP_ROUND: return round(x);
    default: return div8(x);
    }
}

static double binary(int op, double x, double y)
{
    switch (op) {
    case STEP_ADD: return x + y;
    case STEP_SUB: return x - y;
    case STEP_MUL: return x * y;
    case STEP_DIV: return x / y;
    case STEP_MOD: return fmod(x, y);
    case STEP_EQ: return x == y;
    case STEP_NE: return x != y;
    case STEP_LE: return x <= y;
    case STEP_GE: return x >= y;
    case STEP_LT: return x < y;
    case STEP_GT: return x > y;
    case STEP_AND: return x != 0 && y != 0;
    case STEP_OR: return x != 0 || y != 0;
    case STEP_MIN: return x < y ? x : y;
    default: return x > y ? x : y;
    }
}

double tl_expr_eval(const tl_expr *expr, const tl_env *env)
{
    double stack[MAX_STEPS];
    int top = 0;
    for (int i = 0; i < expr->n_steps; i++) {
        const tl_expr_step *step = &expr->steps[i];
        if (step->op == STEP_NUMBER) {
            stack[top++] = step->number;
        } else if (step->op == STEP_VAR) {
            stack[top++] = env->vars[step->var];
        } else if (step->op < FIRST_BINARY) {
            TL_ASSERT(top >= 1); /* compiling saw to it */
            double x = stack[top - 1];
            stack[top - 1] = isnan(x) ? x : unary(step->op, x);
        } else {
            TL_ASSERT(top >= 2);
            double x = stack[top - 2];
            double y = stack[top - 1];
            top--;
            stack[top - 1] = isnan(x) || isnan(y) ? (double)NAN : binary(step->op, x, y);
        }
    }
    TL_ASSERT(top == 1);
    return stack[0];
}

bool tl_expr_is_constant(const tl_expr *expr)
{
    return expr->n_steps == 1 && expr->steps[0].op == STEP_NUMBER;
}

int tl_expr_variable(const tl_expr *expr)
{
    return expr->n_steps == 1 && expr->steps[0].op == STEP_VAR ? expr->steps[0].var : -1;
}

int tl_expr_last_slot(const tl_expr *expr)
{
    int last = -1;
    for (int i = 0; i < expr->n_steps; i++) {
        const tl_expr_step *step = &expr->steps[i];
        int slot = step->var - TL_FIRST_SLOT_VAR;
        if (step->op == STEP_VAR && slot > last && step->var < TL_FIRST_STAGE_VAR) {
            last = slot;
        }
    }
    return last;
}

bool tl_expr_reads_slot(const tl_expr *expr, int slot)
{
    for (int i = 0; i < expr->n_steps; i++) {
        const tl_expr_step *step = &expr->steps[i];
        if (step->op == STEP_VAR && step->var == TL_FIRST_SLOT_VAR + slot) {
            return true;
        }
    }
    return false;
}
