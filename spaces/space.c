/* SPDX-License-Identifier: Apache-2.0 */
#include "spaces/space.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/watch.h"
#include "spaces/impl.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum {
    MAX_FILE_BYTES = 1 << 20,
    MAX_TRIAL_LINES = 1 << 20
};

static const struct {
    const char *name;
    const tl_space_ops *ops;
} kinds[] = {
    [TL_SPACE_CELL] = {"cell",       &tl_cell_ops      },
    [TL_SPACE_CHAIN] = {"chain",      &tl_chain_ops     },
    [TL_SPACE_STAGED] = {"staged",     &tl_staged_ops    },
    [TL_SPACE_ENUMERATED] = {"enumerated", &tl_enumerated_ops},
};

/* ---- reading ---------------------------------------------------------------------- */

static tl_err find_kind(const char *name, tl_space_kind *out_kind)
{
    for (size_t i = 0; i < TL_COUNT(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *out_kind = (tl_space_kind)i;
            return TL_OK;
        }
    }
    return tl_fail(
        TL_EINVAL, "kind: got \"%.60s\", want one of cell, chain, staged, enumerated", name);
}

/* A key that the kind would ignore is a mistake. */
static tl_err check_keys(tl_space_kind kind, const tl_raw_space *raw)
{
    const unsigned cell = 1U << TL_SPACE_CELL;
    const unsigned chain = 1U << TL_SPACE_CHAIN;
    const unsigned staged = 1U << TL_SPACE_STAGED;
    const unsigned enumerated = 1U << TL_SPACE_ENUMERATED;
    const struct {
        const char *key;
        bool is_given;
        unsigned kinds;
    } keys[] = {
        {"stem",        raw->stem != NULL,        cell | chain | staged      },
        {"head",        raw->head != NULL,        cell | chain | staged      },
        {"stages",      raw->stages != NULL,      cell | chain | staged      },
        {"options",     raw->options != NULL,     cell | chain | staged      },
        {"cell",        raw->cell != NULL,        cell                       },
        {"reduction",   raw->reduction != NULL,   cell                       },
        {"slot",        raw->slot != NULL,        chain                      },
        {"slots",       raw->slots != NULL,       chain | staged | enumerated},
        {"stage_slots", raw->stage_slots != NULL, staged                     },
        {"layer_slots", raw->layer_slots != NULL, staged                     },
        {"network",     raw->network != NULL,     enumerated                 },
        {"designs",     raw->designs != NULL,     enumerated                 },
        {"rules",       raw->rules != NULL,       enumerated                 },
    };
    for (size_t i = 0; i < TL_COUNT(keys); i++) {
        if (keys[i].is_given && (keys[i].kinds >> kind & 1U) == 0) {
            return tl_fail(
                TL_EINVAL, "%s: a space of kind %s has no such key", keys[i].key,
                kinds[kind].name);
        }
    }
    return TL_OK;
}

static tl_err build_lists(tl_builder *builder)
{
    const tl_raw_space *raw = builder->raw;
    tl_space *space = builder->space;
    const struct {
        const char *key;
        const tl_raw_line *lines;
        uint32_t n;
        const tl_list **list;
    } lists[] = {
        {"stem",      raw->stem,      raw->stem_count,      &space->stem     },
        {"reduction", raw->reduction, raw->reduction_count, &space->reduction},
        {"head",      raw->head,      raw->head_count,      &space->head     },
    };
    for (size_t i = 0; i < TL_COUNT(lists); i++) {
        if (lists[i].n > 0) {
            TL_TRY(tl_build_list(
                builder, lists[i].key, lists[i].lines, lists[i].n, lists[i].list));
        }
    }
    return TL_OK;
}

static tl_err build_labels(tl_builder *builder, const char *yaml, size_t len)
{
    const tl_raw_space *raw = builder->raw;
    tl_space *space = builder->space;
    char *text = NULL;
    TL_TRY(tl_name_check("space", raw->name));
    TL_TRY(tl_build_strdup(builder, raw->name, &space->name));
    TL_TRY(tl_build_strdup(
        builder, raw->description != NULL ? raw->description : "", &space->description));
    TL_TRY(tl_build_new(builder, len + 1, 1, &text));
    memcpy(text, yaml, len);
    space->yaml = text;
    return TL_OK;
}

static tl_err build_input(tl_builder *builder)
{
    const tl_raw_space *raw = builder->raw;
    tl_space *space = builder->space;
    if (raw->input == NULL) {
        return tl_fail(TL_EINVAL, "input: want channels and size of the image");
    }
    TL_TRY(
        tl_build_expr(builder, "input", "channels", raw->input->channels, &space->in_channels));
    TL_TRY(tl_build_expr(builder, "input", "size", raw->input->size, &space->in_size));
    if (raw->bits == NULL) {
        return TL_OK;
    }
    TL_TRY(tl_build_expr(builder, "bits", "weights", raw->bits->weights, &space->w_bits));
    return tl_build_expr(
        builder, "bits", "activations", raw->bits->activations, &space->a_bits);
}

static tl_err build(tl_builder *builder)
{
    tl_space *space = builder->space;
    TL_TRY(check_keys(space->kind, builder->raw));
    TL_TRY(tl_build_new(builder, TL_SPACE_MAX_SLOTS, sizeof *space->slots, &space->slots));
    TL_TRY(tl_build_scope(builder));
    TL_TRY(build_input(builder));
    TL_TRY(tl_build_blocks(builder));
    TL_TRY(tl_build_space_slots(builder));
    TL_TRY(build_lists(builder));
    TL_TRY(space->ops->build(builder));
    for (int i = 0; i < space->n_slots; i++) {
        const tl_slot *slot = &space->slots[i].pub;
        space->onehot_width += slot->is_optional ? 0 : slot->n_options;
    }
    double n = space->ops->size(space);
    space->size[TL_FREE_ARCHITECTURE] = n;
    space->size[TL_FREE_BITS] =
        space->ops->size_with_bits != NULL ? space->ops->size_with_bits(space) : n;
    if (isnan(n)) {
        return tl_fail(TL_EINVAL, "rules: they connect too many options to count the designs");
    }
    return n >= 1 ? TL_OK : tl_fail(TL_EINVAL, "the space has no valid design");
}

/* Every option is lowered once, so that a mistake shows here and not in a query. */
static tl_err try_options(const tl_space *space)
{
    tl_choice first[TL_SPACE_MAX_SLOTS];
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_network network = {0};
    tl_err err = TL_OK;
    long n_lines = 0;
    if (!tl_space_first(space, first)) {
        return tl_fail(TL_EINVAL, "rules: no valid design was found");
    }
    for (int i = 0; i < space->n_slots; i++) {
        const tl_slot_impl *slot = &space->slots[i];
        if ((err = tl_watch_check()) != TL_OK) {
            goto done;
        }
        for (int j = 0; j < slot->pub.n_options && n_lines < MAX_TRIAL_LINES; j++) {
            memcpy(design, first, sizeof design);
            if (slot->depth_slot >= 0) {
                design[slot->depth_slot] = tl_slot_deepest(space, slot->depth_slot);
            }
            design[i] = (tl_choice)j;
            if (space->ops->repair != NULL) {
                space->ops->repair(space, TL_FREE_ARCHITECTURE, first, design);
            }
            if (tl_space_check(space, design) != TL_OK) {
                continue;
            }
            int n_run = 0;
            err = tl_lower_counted(space, design, &network, &n_run);
            if (err != TL_OK) {
                err = tl_fail_in(
                    err, "design with %s=%s: ", slot->pub.name, slot->pub.options[j]);
                goto done;
            }
            n_lines += n_run + 1;
        }
    }
done:
    tl_network_done(&network);
    return err == TL_ELIMIT ? TL_EINVAL : err;
}

static void set_digest(tl_space *space, const tl_raw_space *raw)
{
    tl_digest digest;
    tl_digest_init(&digest);
    tl_raw_digest(raw, &digest);
    tl_digest_hex_end(&digest, space->digest);
}

tl_err tl_space_parse(const char *yaml, size_t len, const char *origin, tl_space **out_space)
{
    tl_err err = TL_OK;
    tl_raw_space *raw = NULL;
    tl_space *space = tl_mem_new(1, sizeof *space);
    tl_builder builder = {.space = space};
    if (space == NULL) {
        return tl_fail(TL_ENOMEM, "a space");
    }
    atomic_init(&space->n_refs, 1);
    if ((err = tl_raw_read(yaml, len, origin, &raw)) != TL_OK) {
        goto done;
    }
    builder.raw = raw;
    if ((err = build_labels(&builder, yaml, len)) != TL_OK ||
        (err = find_kind(raw->kind, &space->kind)) != TL_OK) {
        (void)tl_fail_in(err, "%s: ", origin);
        goto done;
    }
    space->ops = kinds[space->kind].ops;
    set_digest(space, raw);
    if ((err = build(&builder)) != TL_OK || (err = try_options(space)) != TL_OK) {
        (void)tl_fail_in(err, "%s: ", origin);
        goto done;
    }
    *out_space = space;
    space = NULL;
done:
    tl_raw_free(raw);
    tl_space_unref(space);
    return err;
}

tl_err tl_space_load(const char *path, tl_space **out_space)
{
    char *text = NULL;
    size_t len = 0;
    tl_err err = tl_file_read(path, MAX_FILE_BYTES, &text, &len);
    if (err != TL_OK) {
        return err == TL_ENOMEM ? err : tl_fail_in(TL_EIO, "space file: ");
    }
    err = tl_space_parse(text, len, path, out_space);
    tl_mem_free(text);
    return err;
}

tl_space *tl_space_ref(const tl_space *space)
{
    /* Only the count of an immutable space changes. */
    tl_space *shared = (tl_space *)(uintptr_t)space;
    (void)atomic_fetch_add_explicit(&shared->n_refs, 1, memory_order_relaxed);
    return shared;
}

void tl_space_unref(tl_space *space)
{
    if (space != NULL &&
        atomic_fetch_sub_explicit(&space->n_refs, 1, memory_order_acq_rel) == 1) {
        tl_arena_done(&space->arena);
        tl_mem_free(space);
    }
}

/* ---- what it is ----------------------------------------------------------------------- */

const char *tl_space_name(const tl_space *space)
{
    return space->name;
}

const char *tl_space_description(const tl_space *space)
{
    return space->description;
}

tl_space_kind tl_space_kind_of(const tl_space *space)
{
    return space->kind;
}

const char *tl_space_kind_name(tl_space_kind kind)
{
    return kinds[kind].name;
}

const char *tl_space_yaml(const tl_space *space)
{
    return space->yaml;
}

const char *tl_space_digest(const tl_space *space)
{
    return space->digest;
}

int tl_space_n_slots(const tl_space *space)
{
    return space->n_slots;
}

const tl_slot *tl_space_slot(const tl_space *space, int slot)
{
    TL_ASSERT(0 <= slot && slot < space->n_slots);
    return &space->slots[slot].pub;
}

int tl_space_slot_find(const tl_space *space, const char *name)
{
    for (int i = 0; i < space->n_slots; i++) {
        if (strcmp(space->slots[i].pub.name, name) == 0) {
            return i;
        }
    }
    return -1;
}

double tl_space_size_with(const tl_space *space, tl_freedom freedom)
{
    return space->size[freedom];
}

const tl_cell *tl_space_cell(const tl_space *space)
{
    return space->kind == TL_SPACE_CELL ? &space->cell : NULL;
}
