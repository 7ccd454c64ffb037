/* SPDX-License-Identifier: Apache-2.0 */

/* From texts to lists of operators: the keys of a line, named blocks. */

#include "base/name.h"
#include "spaces/impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tl_err tl_build_new(tl_builder *builder, size_t n, size_t size, void *out_pointer)
{
    void *block = tl_arena_new(&builder->space->arena, n, size);
    if (block == NULL) {
        return tl_fail(TL_ENOMEM, "a space");
    }
    memcpy(out_pointer, &block, sizeof block);
    return TL_OK;
}

tl_err tl_build_strdup(tl_builder *builder, const char *text, const char **out_text)
{
    *out_text = tl_arena_strdup(&builder->space->arena, text);
    return *out_text != NULL ? TL_OK : tl_fail(TL_ENOMEM, "a space");
}

tl_err tl_build_expr(
    tl_builder *builder,
    const char *where,
    const char *key,
    const char *text,
    tl_expr *out_expr)
{
    if (text == NULL) {
        return TL_OK;
    }
    tl_err err = tl_expr_parse(text, &builder->scope, &builder->space->arena, out_expr);
    return err == TL_OK ? TL_OK : tl_fail_in(err, "%s: %s: ", where, key);
}

tl_err tl_build_int(
    const char *where, const char *key, const char *text, int least, int most, int *out_value)
{
    char *end = NULL;
    long value = text != NULL ? strtol(text, &end, 10) : 0;
    if (text == NULL || end == text || *end != '\0' || value < least || value > most) {
        return tl_fail(
            TL_EINVAL, "%s: %s: got \"%.40s\", want a whole number from %d to %d", where, key,
            text != NULL ? text : "", least, most);
    }
    *out_value = (int)value;
    return TL_OK;
}

/* got "x", want one of ...: or the nearest of them. */
static tl_err fail_choice(
    const char *where, const char *key, const char *text, const char *const *names, size_t n)
{
    tl_text list = {0};
    for (size_t i = 0; i < n; i++) {
        tl_text_add(&list, i > 0 ? ", " : "");
        tl_text_add(&list, names[i]);
    }
    const char *nearest = tl_name_nearest(text, names, n);
    tl_err err = tl_fail(
        TL_EINVAL, "%s: %s: got \"%.60s\", want one of %s%s%s%s", where, key, text,
        list.data != NULL ? list.data : "", nearest != NULL ? " (did you mean " : "",
        nearest != NULL ? nearest : "", nearest != NULL ? "?)" : "");
    tl_text_done(&list);
    return err;
}

tl_err tl_build_act(
    const char *where, const char *key, const char *text, int otherwise, int *out_act)
{
    const char *names[TL_N_ACTIVATIONS + 1];
    for (int i = 0; i < TL_N_ACTIVATIONS; i++) {
        names[i] = tl_activation_name((tl_activation)i);
    }
    names[TL_ACT_OF_BLOCK] = "block";
    *out_act = otherwise;
    for (int i = 0; text != NULL && i <= TL_ACT_OF_BLOCK; i++) {
        if (strcmp(names[i], text) == 0) {
            *out_act = i;
            return TL_OK;
        }
    }
    return text == NULL ? TL_OK : fail_choice(where, key, text, names, TL_COUNT(names));
}

/* ---- lines ------------------------------------------------------------------- */

enum {
    KEY_OUT = 1 << 0,
    KEY_KERNEL = 1 << 1,
    KEY_STRIDE = 1 << 2,
    KEY_PAD = 1 << 3,
    KEY_GROUPS = 1 << 4,
    KEY_EXPAND = 1 << 5,
    KEY_SE = 1 << 6,
    KEY_SQUEEZE = 1 << 7,
    KEY_ACT = 1 << 8,
    KEY_PRE_ACT = 1 << 9,
    KEY_GATE = 1 << 10,
    KEY_NORM = 1 << 11,
    KEY_BIAS = 1 << 12,
    KEY_FROM = 1 << 13,
    KEYS_OF_EDGE = KEY_ACT | KEY_PRE_ACT | KEY_FROM,
    KEYS_OF_WEIGHTS = KEYS_OF_EDGE | KEY_NORM | KEY_BIAS,
    KEYS_OF_WINDOW = KEY_KERNEL | KEY_STRIDE | KEY_PAD
};

/* Every operator of a space file: which keys it takes and which it needs. */
static const struct {
    const char *name;
    unsigned takes, needs;
    bool has_norm, has_bias; /* unless the file says otherwise */
} line_kinds[TL_N_LINE_KINDS] = {
    [TL_LINE_CONV] =
        {"conv",           KEYS_OF_WEIGHTS | KEYS_OF_WINDOW | KEY_OUT | KEY_GROUPS, KEY_OUT | KEY_KERNEL,
                        true,                                                                                                   false},
    [TL_LINE_DEPTHWISE] =
        {"depthwise",      KEYS_OF_WEIGHTS | KEYS_OF_WINDOW,                        KEY_KERNEL,           true,  false},
    [TL_LINE_DENSE] = {"dense",          KEYS_OF_WEIGHTS | KEY_OUT,                               KEY_OUT,              false, true },
    [TL_LINE_POOL_AVG] = {"pool_avg",       KEYS_OF_EDGE | KEYS_OF_WINDOW,                           KEY_KERNEL,           false, false},
    [TL_LINE_POOL_MAX] = {"pool_max",       KEYS_OF_EDGE | KEYS_OF_WINDOW,                           KEY_KERNEL,           false, false},
    [TL_LINE_POOL_GLOBAL] = {"pool_global",    KEYS_OF_EDGE | KEY_NORM,                                 0,                    false, false},
    [TL_LINE_ADD] = {"add",            KEYS_OF_EDGE,                                            KEY_FROM,             false, false},
    [TL_LINE_CONCAT] = {"concat",         KEYS_OF_EDGE,                                            KEY_FROM,             false, false},
    [TL_LINE_SCALE] = {"scale",          KEYS_OF_EDGE,                                            KEY_FROM,             false, false},
    [TL_LINE_SQUEEZE_EXCITE] =
        {"squeeze_excite", KEY_SQUEEZE | KEY_ACT | KEY_GATE,                        KEY_SQUEEZE,          false, false},
    [TL_LINE_RESIDUAL] = {"residual",       KEY_ACT,                                                 0,                    false, false},
    [TL_LINE_SKIP] = {"skip",           KEY_FROM,                                                0,                    false, false},
    [TL_LINE_NONE] = {"none",           0,                                                       0,                    false, false},
    [TL_LINE_BLOCK] =
        {"block",
                        KEY_OUT | KEY_STRIDE | KEY_KERNEL | KEY_EXPAND | KEY_GROUPS | KEY_SE | KEY_ACT |
             KEY_FROM,                                                                             0,                    false, false},
    [TL_LINE_CHOICE] = {"choice",         KEY_FROM,                                                0,                    false, false},
};

static unsigned keys_given(const tl_raw_line *raw)
{
    return (raw->out != NULL ? KEY_OUT : 0U) | (raw->kernel != NULL ? KEY_KERNEL : 0U) |
           (raw->stride != NULL ? KEY_STRIDE : 0U) | (raw->pad != NULL ? KEY_PAD : 0U) |
           (raw->groups != NULL ? KEY_GROUPS : 0U) | (raw->expand != NULL ? KEY_EXPAND : 0U) |
           (raw->se != NULL ? KEY_SE : 0U) | (raw->squeeze != NULL ? KEY_SQUEEZE : 0U) |
           (raw->act != NULL ? KEY_ACT : 0U) | (raw->pre_act != NULL ? KEY_PRE_ACT : 0U) |
           (raw->gate != NULL ? KEY_GATE : 0U) | (raw->norm != NULL ? KEY_NORM : 0U) |
           (raw->bias != NULL ? KEY_BIAS : 0U) | (raw->from_count > 0 ? KEY_FROM : 0U);
}

static const char *key_name(unsigned keys)
{
    static const char *const names[] = {"out",    "kernel", "stride",  "pad", "groups",
                                        "expand", "se",     "squeeze", "act", "pre_act",
                                        "gate",   "norm",   "bias",    "from"};
    return names[__builtin_ctz(keys)];
}

/* The kind of a line: named by `op`, or implied by `block` or `choice`. */
static tl_err line_kind(const char *where, const tl_raw_line *raw, tl_line_kind *out_kind)
{
    int n = (raw->op != NULL) + (raw->block != NULL) + (raw->choice != NULL);
    if (n != 1) {
        return tl_fail(
            TL_EINVAL, "%s: got %d of the keys op, block and choice, want one", where, n);
    }
    if (raw->op == NULL) {
        *out_kind = raw->block != NULL ? TL_LINE_BLOCK : TL_LINE_CHOICE;
        return TL_OK;
    }
    const char *names[TL_N_LINE_KINDS];
    for (int i = 0; i < TL_LINE_BLOCK; i++) {
        names[i] = line_kinds[i].name;
        if (strcmp(names[i], raw->op) == 0) {
            *out_kind = (tl_line_kind)i;
            return TL_OK;
        }
    }
    return fail_choice(where, "op", raw->op, names, TL_LINE_BLOCK);
}

static tl_err check_keys(const char *where, tl_line_kind kind, unsigned given)
{
    unsigned extra = given & ~line_kinds[kind].takes;
    unsigned missing = line_kinds[kind].needs & ~given;
    if (extra != 0) {
        return tl_fail(
            TL_EINVAL, "%s: %s takes no key \"%s\"", where, line_kinds[kind].name,
            key_name(extra));
    }
    if (missing != 0) {
        return tl_fail(
            TL_EINVAL, "%s: %s needs the key \"%s\"", where, line_kinds[kind].name,
            key_name(missing));
    }
    return TL_OK;
}

static tl_err build_bool(
    const char *where, const char *key, const char *text, bool otherwise, bool *out_value)
{
    static const char *const names[] = {"true", "false"};
    *out_value = otherwise;
    if (text != NULL) {
        *out_value = strcmp(text, "true") == 0;
        if (!*out_value && strcmp(text, "false") != 0) {
            return fail_choice(where, key, text, names, TL_COUNT(names));
        }
    }
    return TL_OK;
}

tl_err tl_build_params(
    tl_builder *builder,
    const char *where,
    const char *kernel,
    const char *expand,
    const char *groups,
    const char *se,
    tl_params *params)
{
    TL_TRY(tl_build_expr(builder, where, "kernel", kernel, &params->kernel));
    TL_TRY(tl_build_expr(builder, where, "expand", expand, &params->expand));
    TL_TRY(tl_build_expr(builder, where, "groups", groups, &params->groups));
    return tl_build_expr(builder, where, "se", se, &params->se);
}

static tl_err build_numbers(
    tl_builder *builder, const char *where, const tl_raw_line *raw, tl_line *line)
{
    TL_TRY(tl_build_expr(builder, where, "when", raw->when, &line->when));
    TL_TRY(tl_build_expr(builder, where, "repeat", raw->repeat, &line->repeat));
    TL_TRY(tl_build_expr(builder, where, "out", raw->out, &line->out));
    TL_TRY(tl_build_expr(builder, where, "stride", raw->stride, &line->stride));
    TL_TRY(tl_build_expr(builder, where, "pad", raw->pad, &line->pad));
    TL_TRY(tl_build_expr(builder, where, "squeeze", raw->squeeze, &line->squeeze));
    return tl_build_params(
        builder, where, raw->kernel, raw->expand, raw->groups, raw->se, &line->params);
}

static tl_err build_switches(const char *where, const tl_raw_line *raw, tl_line *line)
{
    int act = line->kind == TL_LINE_BLOCK            ? (int)TL_ACT_OF_BLOCK
              : line->kind == TL_LINE_SQUEEZE_EXCITE ? (int)TL_ACT_RELU
                                                     : (int)TL_ACT_NONE;
    TL_TRY(tl_build_act(where, "act", raw->act, act, &line->params.act));
    TL_TRY(tl_build_act(where, "pre_act", raw->pre_act, TL_ACT_NONE, &line->pre_act));
    TL_TRY(tl_build_act(where, "gate", raw->gate, TL_ACT_HSIGMOID, &line->gate));
    TL_TRY(
        build_bool(where, "norm", raw->norm, line_kinds[line->kind].has_norm, &line->has_norm));
    return build_bool(
        where, "bias", raw->bias, line_kinds[line->kind].has_bias, &line->has_bias);
}

/* Labels of the lines before this one in its list. */
static tl_err find_label(
    const char *where, const tl_raw_line *lines, uint32_t i, const char *name, int *out_label)
{
    if (strcmp(name, "last") == 0 || strcmp(name, "block") == 0) {
        *out_label = name[0] == 'l' ? TL_LABEL_LAST : TL_LABEL_BLOCK;
        return TL_OK;
    }
    int label = 0;
    for (uint32_t j = 0; j < i; j++) {
        if (lines[j].as != NULL) {
            if (strcmp(lines[j].as, name) == 0) {
                *out_label = label;
                return TL_OK;
            }
            label++;
        }
    }
    return tl_fail(
        TL_EINVAL, "%s: from: got \"%.60s\", want last, block or an earlier \"as\"", where,
        name);
}

static tl_err build_labels(
    const char *where, const tl_raw_line *lines, uint32_t i, int *n_labels, tl_line *line)
{
    const tl_raw_line *raw = &lines[i];
    line->label = -1;
    line->n_from = (int)raw->from_count;
    for (uint32_t j = 0; j < raw->from_count; j++) {
        TL_TRY(find_label(where, lines, i, raw->from[j], &line->from[j]));
    }
    int most = line->kind == TL_LINE_ADD || line->kind == TL_LINE_CONCAT ? TL_MAX_FROM
               : line->kind == TL_LINE_SCALE                             ? 2
                                                                         : 1;
    int least = line->kind == TL_LINE_SCALE ? 2 : 0;
    if (line->n_from > most || line->n_from < least) {
        return tl_fail(
            TL_EINVAL, "%s: from: got %d names, want %d to %d", where, line->n_from,
            least > 0 ? least : 1, most);
    }
    if (raw->as != NULL) {
        int known = 0;
        TL_TRY(tl_name_check(where, raw->as));
        if (find_label(where, lines, i, raw->as, &known) == TL_OK) {
            return tl_fail(TL_EINVAL, "%s: as: \"%.60s\" is taken", where, raw->as);
        }
        if (*n_labels == TL_MAX_LABELS) {
            return tl_fail(
                TL_EINVAL, "%s: as: want at most %d names", where, (int)TL_MAX_LABELS);
        }
        line->label = (*n_labels)++;
    }
    return TL_OK;
}

/* Slots of the whole space come first, in the order of the file. */
static int find_slot(const tl_raw_space *raw, const char *name)
{
    for (uint32_t i = 0; i < raw->slots_count; i++) {
        if (raw->slots[i].name != NULL && strcmp(raw->slots[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static tl_err build_target(
    tl_builder *builder, const char *where, const tl_raw_line *raw, tl_line *line)
{
    if (line->kind == TL_LINE_BLOCK) {
        return tl_build_block_find(builder, where, raw->block, &line->block);
    }
    if (line->kind == TL_LINE_CHOICE) {
        line->slot = find_slot(builder->raw, raw->choice);
        if (line->slot < 0) {
            return tl_fail(
                TL_EINVAL, "%s: choice: got \"%.60s\", want a slot", where, raw->choice);
        }
    }
    return TL_OK;
}

static tl_err build_line(
    tl_builder *builder,
    const char *list,
    const tl_raw_line *lines,
    uint32_t i,
    int *n_labels,
    tl_line *line)
{
    char where[2 * TL_NAME_MAX_BYTES];
    (void)snprintf(where, sizeof where, "%.160s line %u", list, i + 1);
    TL_TRY(line_kind(where, &lines[i], &line->kind));
    TL_TRY(check_keys(where, line->kind, keys_given(&lines[i])));
    TL_TRY(build_numbers(builder, where, &lines[i], line));
    TL_TRY(build_switches(where, &lines[i], line));
    TL_TRY(build_labels(where, lines, i, n_labels, line));
    return build_target(builder, where, &lines[i], line);
}

static tl_err build_list(
    tl_builder *builder, const char *where, const tl_raw_line *raw, uint32_t n, tl_list *list)
{
    tl_line *lines = NULL;
    int n_labels = 0;
    TL_TRY(tl_build_strdup(builder, where, &list->where));
    TL_TRY(tl_build_new(builder, n, sizeof *lines, &lines));
    for (uint32_t i = 0; i < n; i++) {
        TL_TRY(build_line(builder, where, raw, i, &n_labels, &lines[i]));
    }
    list->lines = lines;
    list->n_lines = (int)n;
    return TL_OK;
}

tl_err tl_build_list(
    tl_builder *builder,
    const char *where,
    const tl_raw_line *raw,
    uint32_t n,
    const tl_list **out_list)
{
    tl_list *list = NULL;
    TL_TRY(tl_build_new(builder, 1, sizeof *list, &list));
    TL_TRY(build_list(builder, where, raw, n, list));
    *out_list = list;
    return TL_OK;
}

/* ---- named blocks ---------------------------------------------------------------- */

/* A block may call those defined before it: there is no recursion. */
tl_err tl_build_blocks(tl_builder *builder)
{
    const tl_raw_space *raw = builder->raw;
    TL_TRY(tl_build_new(builder, raw->blocks_count, sizeof(tl_list), &builder->blocks));
    TL_TRY(tl_build_new(builder, raw->blocks_count, sizeof(char *), &builder->block_names));
    for (uint32_t i = 0; i < raw->blocks_count; i++) {
        const tl_raw_block *block = &raw->blocks[i];
        char where[TL_NAME_MAX_BYTES + 16];
        TL_TRY(tl_name_check("block", block->name));
        (void)snprintf(where, sizeof where, "block %s", block->name);
        for (int j = 0; j < builder->n_blocks; j++) {
            if (strcmp(builder->block_names[j], block->name) == 0) {
                return tl_fail(TL_EINVAL, "%s: defined twice", where);
            }
        }
        TL_TRY(build_list(builder, where, block->ops, block->ops_count, &builder->blocks[i]));
        TL_TRY(tl_build_strdup(builder, block->name, &builder->block_names[i]));
        builder->n_blocks++;
    }
    return TL_OK;
}

tl_err tl_build_block_find(
    tl_builder *builder, const char *where, const char *name, const tl_list **out_list)
{
    for (int i = 0; i < builder->n_blocks; i++) {
        if (strcmp(builder->block_names[i], name) == 0) {
            *out_list = &builder->blocks[i];
            return TL_OK;
        }
    }
    return builder->n_blocks == 0
               ? tl_fail(
                     TL_EINVAL, "%s: block: got \"%.60s\", but no block is defined before it",
                     where, name)
               : fail_choice(
                     where, "block", name, builder->block_names, (size_t)builder->n_blocks);
}
