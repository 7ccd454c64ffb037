/* SPDX-License-Identifier: Apache-2.0 */

/* Slots: their names, their options, and when they apply. */

#include "base/name.h"
#include "spaces/impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    return strcmp(*left, *right);
}

/* The names as an array, which shows that none is there twice. */
static tl_err names_of(
    tl_builder *builder,
    const char *slot,
    const tl_option *options,
    int n,
    const char *const **out_names)
{
    const char **names = NULL;
    const char **sorted = NULL;
    TL_TRY(tl_build_new(builder, (size_t)n, sizeof *names, &names));
    TL_TRY(tl_build_new(builder, (size_t)n, sizeof *sorted, &sorted));
    for (int i = 0; i < n; i++) {
        names[i] = sorted[i] = options[i].name;
    }
    qsort(sorted, (size_t)n, sizeof *sorted, by_name);
    for (int i = 1; i < n; i++) {
        if (strcmp(sorted[i - 1], sorted[i]) == 0) {
            return tl_fail(TL_EINVAL, "slot %s: option \"%s\" is there twice", slot, sorted[i]);
        }
    }
    *out_names = names;
    return TL_OK;
}

/* Slots that share their options share the array of names too. */
static const char *const *shared_names(const tl_space *space, const tl_option *options)
{
    for (int i = 0; i < space->n_slots; i++) {
        if (space->slots[i].options == options) {
            return space->slots[i].pub.options;
        }
    }
    return NULL;
}

tl_err tl_build_slot(
    tl_builder *builder,
    const char *name,
    const tl_option *options,
    int n_options,
    int *out_slot)
{
    tl_space *space = builder->space;
    TL_TRY(tl_name_check("slot", name));
    if (tl_space_slot_find(space, name) >= 0) {
        return tl_fail(TL_EINVAL, "slot %s: there are two of that name", name);
    }
    if (space->n_slots == TL_SPACE_MAX_SLOTS) {
        return tl_fail(
            TL_EINVAL, "slot %s: want at most %d slots", name, (int)TL_SPACE_MAX_SLOTS);
    }
    if (n_options < 1) {
        return tl_fail(TL_EINVAL, "slot %s: got no options, want at least one", name);
    }
    const char *const *names = shared_names(space, options);
    if (names == NULL) {
        TL_TRY(names_of(builder, name, options, n_options, &names));
    }
    tl_slot_impl *slot = &space->slots[space->n_slots];
    *slot = (tl_slot_impl){.options = options, .depth_slot = -1};
    slot->pub = (tl_slot){.n_options = n_options, .options = names};
    TL_TRY(tl_build_strdup(builder, name, &slot->pub.name));
    *out_slot = space->n_slots++;
    return TL_OK;
}

/* The name that expressions use: `as`, else the slot's own. */
static tl_err scope_names(
    tl_builder *builder,
    const char *key,
    const tl_raw_slot *slots,
    uint32_t n,
    uint32_t most,
    const char *const **out_names)
{
    const char **names = NULL;
    if (n > most) {
        return tl_fail(TL_EINVAL, "%s: got %u slots, want at most %u", key, n, most);
    }
    TL_TRY(tl_build_new(builder, n, sizeof *names, &names));
    for (uint32_t i = 0; i < n; i++) {
        if (slots[i].name == NULL) {
            return tl_fail(TL_EINVAL, "%s entry %u: want the key \"name\"", key, i + 1);
        }
        names[i] = slots[i].as != NULL ? slots[i].as : slots[i].name;
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(names[i], names[j]) == 0) {
                return tl_fail(TL_EINVAL, "%s: \"%.60s\" is there twice", key, names[i]);
            }
        }
    }
    *out_names = names;
    return TL_OK;
}

tl_err tl_build_scope(tl_builder *builder)
{
    const tl_raw_space *raw = builder->raw;
    tl_scope *scope = &builder->scope;
    TL_TRY(scope_names(
        builder, "slots", raw->slots, raw->slots_count, TL_SPACE_MAX_SLOTS, &scope->slots));
    TL_TRY(scope_names(
        builder, "stage_slots", raw->stage_slots, raw->stage_slots_count, TL_MAX_STAGE_SLOTS,
        &scope->stage_slots));
    TL_TRY(scope_names(
        builder, "layer_slots", raw->layer_slots, raw->layer_slots_count, TL_MAX_LAYER_SLOTS,
        &scope->layer_slots));
    scope->n_slots = (int)raw->slots_count;
    scope->n_stage_slots = (int)raw->stage_slots_count;
    scope->n_layer_slots = (int)raw->layer_slots_count;
    return TL_OK;
}

tl_err tl_build_space_slots(tl_builder *builder)
{
    const tl_raw_space *raw = builder->raw;
    for (uint32_t i = 0; i < raw->slots_count; i++) {
        const tl_raw_slot *slot = &raw->slots[i];
        char where[TL_NAME_MAX_BYTES + 16];
        const tl_option *options = NULL;
        int n_options = 0;
        int idx = 0;
        (void)snprintf(where, sizeof where, "slot %.128s", slot->name);
        TL_TRY(tl_build_slot_options(builder, where, slot, &options, &n_options));
        TL_TRY(tl_build_slot(builder, slot->name, options, n_options, &idx));
    }
    return TL_OK;
}

/* Digits of the largest number, so that names sort as their numbers do. */
static int digits(int n)
{
    int count = 1;
    for (; n >= 10; n /= 10) {
        count++;
    }
    return count;
}

tl_err tl_build_slot_name(
    tl_builder *builder,
    const char *pattern,
    const char *stage,
    int layer,
    int block,
    int n_blocks,
    const char **out_name)
{
    char name[2 * TL_NAME_MAX_BYTES] = "";
    size_t len = 0;
    for (const char *at = pattern; *at != '\0' && len < TL_NAME_MAX_BYTES + 1;) {
        char *to = name + len;
        size_t room = sizeof name - len;
        int added = 1;
        if (strncmp(at, "{stage}", 7) == 0) {
            added = snprintf(to, room, "%.100s", stage);
            at += 7;
        } else if (strncmp(at, "{layer}", 7) == 0) {
            added = snprintf(to, room, "%d", layer);
            at += 7;
        } else if (strncmp(at, "{block}", 7) == 0) {
            added = snprintf(to, room, "%0*d", digits(n_blocks), block);
            at += 7;
        } else {
            *to = *at++;
        }
        len += (size_t)added;
    }
    name[len] = '\0';
    return tl_build_strdup(builder, name, out_name);
}

bool tl_slot_is_present(const tl_space *space, const tl_choice *design, int slot)
{
    const tl_slot_impl *s = &space->slots[slot];
    if (s->depth_slot < 0) {
        return true;
    }
    const tl_slot_impl *depth = &space->slots[s->depth_slot];
    tl_choice choice = design[s->depth_slot];
    return choice < depth->pub.n_options && depth->options[choice].value >= s->layer;
}

void tl_env_set_slots(tl_env *env, const tl_space *space, const tl_choice *design, int n)
{
    for (int i = 0; i < n; i++) {
        const tl_slot_impl *s = &space->slots[i];
        env->vars[TL_FIRST_SLOT_VAR + i] =
            design[i] < s->pub.n_options ? s->options[design[i]].value : (double)NAN;
    }
}
