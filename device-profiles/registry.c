/* SPDX-License-Identifier: Apache-2.0 */
#include "device-profiles/registry.h"

#include "base/file.h"
#include "base/mem.h"
#include "device-profiles/profile_codec.h"
#include "device-profiles/profile_yaml.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tl_registry {
    tl_store *store;
    tl_profile *shipped; /* sorted by name */
    size_t n_shipped;
};

enum {
    NEAREST_AT_A_PREFIX = 32, /* registered names of each start that are looked at, ... */
    NEAREST_MAX_ENTRIES = 512 /* ... and of all: an error must stay cheap among a million */
};

/* ---- the catalogue ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const tl_profile *)a)->name, ((const tl_profile *)b)->name);
}

static tl_err load_one(const char *dir, const char *file, tl_profile *out_profile)
{
    tl_text path = {0};
    tl_text_addf(&path, "%s/%s", dir, file);
    tl_err err = tl_text_err(&path);
    if (err == TL_OK) {
        err = tl_profile_load_yaml(path.data, out_profile);
    }
    tl_text_done(&path);
    return err;
}

static tl_err load_catalogue(const char *dir, tl_registry *registry)
{
    tl_file_list files = {0};
    TL_TRY(tl_file_list_init(&files, dir, ".yaml"));
    tl_err err = TL_OK;
    registry->shipped = tl_mem_new(files.n_names, sizeof *registry->shipped);
    if (registry->shipped == NULL) {
        err = tl_fail(TL_ENOMEM, "%zu device profiles", files.n_names);
        goto done;
    }
    for (size_t i = 0; i < files.n_names; i++) {
        if ((err = load_one(dir, files.names[i], &registry->shipped[i])) != TL_OK) {
            goto done;
        }
        registry->n_shipped++;
    }
    qsort(registry->shipped, registry->n_shipped, sizeof *registry->shipped, compare_names);
    for (size_t i = 1; i < registry->n_shipped; i++) {
        if (compare_names(&registry->shipped[i - 1], &registry->shipped[i]) == 0) {
            err = tl_fail(
                TL_EINVAL, "%s: two files name the device \"%s\"", dir,
                registry->shipped[i].name);
            goto done;
        }
    }
done:
    tl_file_list_done(&files);
    return err;
}

static const tl_profile *shipped_get(const tl_registry *registry, const char *name)
{
    size_t low = 0;
    size_t high = registry->n_shipped;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(registry->shipped[middle].name, name);
        if (order == 0) {
            return &registry->shipped[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

tl_err tl_registry_open(tl_store *store, const char *catalogue_dir, tl_registry **out_registry)
{
    tl_registry *registry = tl_mem_new(1, sizeof *registry);
    if (registry == NULL) {
        return tl_fail(TL_ENOMEM, "device registry");
    }
    tl_err err = TL_OK;
    registry->store = store;
    if (catalogue_dir != NULL && (err = load_catalogue(catalogue_dir, registry)) != TL_OK) {
        goto done;
    }
    *out_registry = registry;
    registry = NULL;
done:
    tl_registry_close(registry);
    return err;
}

void tl_registry_close(tl_registry *registry)
{
    if (registry == NULL) {
        return;
    }
    tl_mem_free(registry->shipped);
    tl_mem_free(registry);
}

/* ---- finding ---- */

typedef struct search {
    const char *wanted;
    char best[TL_NAME_MAX_BYTES + 1]; /* "" while nothing is near */
    int n_left;                       /* names to look at, of this start and of all */
    int n_left_in_all;
} search;

static void consider(search *s, const char *name)
{
    const char *two[] = {s->best, name};
    bool has_best = s->best[0] != '\0';
    const char *nearest =
        tl_name_nearest(s->wanted, has_best ? two : two + 1, has_best ? 2 : 1);
    if (nearest != NULL && nearest != s->best) {
        (void)snprintf(s->best, sizeof s->best, "%s", nearest);
    }
}

static tl_err consider_entry(void *context, const tl_store_entry *entry)
{
    search *s = context;
    char name[TL_NAME_MAX_BYTES + 1];
    if (s->n_left-- == 0 || s->n_left_in_all-- == 0) {
        return TL_ECANCELLED; /* enough: not a failure of anything */
    }
    if (!entry->is_damaged && entry->key_len <= TL_NAME_MAX_BYTES) {
        (void)snprintf(
            name, sizeof name, "%.*s", (int)entry->key_len, (const char *)entry->key);
        consider(s, name);
    }
    return TL_OK;
}

/*
 * A name that was mistyped is near those that start as it does, the longer the nearer: the
 * names of every start of it, from the whole down to a letter, a few each.
 */
static tl_err consider_registered(const tl_registry *registry, search *s)
{
    s->n_left_in_all = NEAREST_MAX_ENTRIES;
    for (size_t len = strlen(s->wanted); len > 0 && s->n_left_in_all > 0; len--) {
        const tl_store_range names = {
            .prefix = s->wanted, .prefix_len = len, .heads_only = true, .with_damaged = true};
        s->n_left = NEAREST_AT_A_PREFIX;
        tl_err err =
            tl_store_iterate_range(registry->store, TL_DB_DEVICES, &names, consider_entry, s);
        if (err != TL_OK && err != TL_ECANCELLED) {
            return err;
        }
    }
    return TL_OK;
}

static tl_err fail_not_found(const tl_registry *registry, const char *name)
{
    search s = {.wanted = name};
    for (size_t i = 0; i < registry->n_shipped; i++) {
        consider(&s, registry->shipped[i].name);
    }
    TL_TRY(consider_registered(registry, &s));
    if (s.best[0] == '\0') {
        return tl_fail(TL_ENOTFOUND, "no device \"%s\"", name);
    }
    return tl_fail(TL_ENOTFOUND, "no device \"%s\", nearest is \"%s\"", name, s.best);
}

tl_err tl_registry_find(const tl_registry *registry, const char *name, tl_profile *out_profile)
{
    void *bytes = NULL;
    size_t len = 0;
    TL_TRY(tl_name_check("device", name));
    tl_err err = tl_store_get(registry->store, TL_DB_DEVICES, name, strlen(name), &bytes, &len);
    if (err == TL_OK) {
        err = tl_profile_unpack(bytes, len, out_profile);
        tl_mem_free(bytes);
        return err == TL_OK ? TL_OK : tl_fail_in(err, "device %s: ", name);
    }
    bool is_lost = tl_store_is_lost(registry->store, TL_DB_DEVICES, name, strlen(name));
    if (err != TL_ENOTFOUND && !is_lost) {
        return err;
    }
    const tl_profile *shipped = shipped_get(registry, name);
    if (shipped == NULL) {
        return is_lost ? err : fail_not_found(registry, name);
    }
    *out_profile = *shipped;
    return TL_OK;
}

/* ---- changing ---- */

tl_err tl_registry_add_in(tl_registry *registry, tl_store_txn *txn, const tl_profile *profile)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    (void)registry;
    TL_TRY(tl_profile_pack(profile, &bytes, &len));
    tl_err err =
        tl_store_put(txn, TL_DB_DEVICES, profile->name, strlen(profile->name), bytes, len);
    tl_mem_free(bytes);
    return err;
}

tl_err tl_registry_add_bare_in(
    tl_registry *registry, tl_store_txn *txn, const char *name, bool *out_is_new)
{
    tl_profile profile;
    const void *bytes = NULL;
    size_t len = 0;
    TL_TRY(tl_profile_bare(name, &profile));
    tl_err err = tl_store_txn_get(txn, TL_DB_DEVICES, name, strlen(name), &bytes, &len);
    bool is_new = err == TL_ENOTFOUND && shipped_get(registry, name) == NULL;
    if (err != TL_OK && err != TL_ENOTFOUND) {
        return err;
    }
    if (is_new) {
        TL_TRY(tl_registry_add_in(registry, txn, &profile));
    }
    if (out_is_new != NULL) {
        *out_is_new = is_new;
    }
    return TL_OK;
}

tl_err tl_registry_remove_in(tl_registry *registry, tl_store_txn *txn, const char *name)
{
    TL_TRY(tl_name_check("device", name));
    tl_err err = tl_store_delete(txn, TL_DB_DEVICES, name, strlen(name));
    if (err == TL_ENOTFOUND && shipped_get(registry, name) != NULL) {
        return tl_fail(TL_ESTATE, "device %s is shipped and cannot be removed", name);
    }
    return err == TL_ENOTFOUND ? fail_not_found(registry, name) : err;
}

tl_err tl_registry_add(tl_registry *registry, const tl_profile *profile)
{
    tl_store_txn *txn = NULL;
    TL_TRY(tl_store_begin(registry->store, &txn));
    tl_err err = tl_registry_add_in(registry, txn, profile);
    if (err == TL_OK) {
        err = tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    return err;
}

tl_err tl_registry_add_bare(tl_registry *registry, const char *name, bool *out_is_new)
{
    tl_store_txn *txn = NULL;
    bool is_new = false;
    TL_TRY(tl_store_begin(registry->store, &txn));
    tl_err err = tl_registry_add_bare_in(registry, txn, name, &is_new);
    if (err == TL_OK) {
        err = tl_store_commit(&txn);
    }
    if (err == TL_OK && out_is_new != NULL) {
        *out_is_new = is_new;
    }
    tl_store_abort(&txn);
    return err;
}

tl_err tl_registry_remove(tl_registry *registry, const char *name)
{
    tl_store_txn *txn = NULL;
    TL_TRY(tl_store_begin(registry->store, &txn));
    tl_err err = tl_registry_remove_in(registry, txn, name);
    if (err == TL_OK) {
        err = tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    return err;
}

/* ---- walking ---- */

typedef struct walk {
    const tl_registry *registry;
    const char *prefix, *after; /* "": any */
    size_t max, n_visited;
    size_t next_shipped;
    tl_registry_visit_fn *visit;
    tl_registry_damaged_fn *on_damaged;
    void *context;
} walk;

/* TL_ECANCELLED behind the last device that was asked for. */
static tl_err show(walk *w, const tl_profile *profile, bool is_shipped)
{
    if (w->n_visited == w->max) {
        return TL_ECANCELLED;
    }
    w->n_visited++;
    return w->visit(w->context, profile, is_shipped);
}

static bool is_in_range(const walk *w, const char *name)
{
    return strncmp(name, w->prefix, strlen(w->prefix)) == 0 && strcmp(name, w->after) > 0;
}

/* Shows the shipped devices before name (NULL: all that are left); one of that name is hidden. */
static tl_err visit_shipped(walk *w, const char *name)
{
    while (w->next_shipped < w->registry->n_shipped) {
        const tl_profile *shipped = &w->registry->shipped[w->next_shipped];
        int order = name == NULL ? -1 : strcmp(shipped->name, name);
        if (order > 0) {
            break;
        }
        w->next_shipped++;
        if (order < 0 && is_in_range(w, shipped->name)) {
            TL_TRY(show(w, shipped, true));
        }
    }
    return TL_OK;
}

/* It is no device of a page, but named on the page where it would stand. */
static tl_err show_damaged(walk *w, const tl_store_entry *entry)
{
    char name[TL_STORE_MAX_KEY_BYTES + 1];
    (void)snprintf(name, sizeof name, "%.*s", (int)entry->key_len, (const char *)entry->key);
    const char *what = entry->lost != NULL ? entry->lost : name;
    if (w->on_damaged == NULL) {
        return tl_fail(TL_EDAMAGED, "the profile of device %s", what);
    }
    TL_TRY(visit_shipped(w, name));
    return w->n_visited == w->max ? TL_ECANCELLED : w->on_damaged(w->context, what);
}

static tl_err visit_entry(void *context, const tl_store_entry *entry)
{
    walk *w = context;
    tl_profile profile;
    tl_err err = entry->is_damaged
                     ? TL_EDAMAGED
                     : tl_profile_unpack(entry->value, entry->value_len, &profile);
    if (err == TL_EDAMAGED) {
        return show_damaged(w, entry);
    }
    TL_TRY(err);
    TL_TRY(visit_shipped(w, profile.name));
    return show(w, &profile, false);
}

tl_err tl_registry_each_in(
    const tl_registry *registry,
    const tl_registry_range *range,
    tl_registry_visit_fn *visit,
    void *context)
{
    walk w = {
        .registry = registry,
        .prefix = range->prefix != NULL ? range->prefix : "",
        .after = range->after != NULL ? range->after : "",
        .max = range->max > 0 ? range->max : SIZE_MAX,
        .visit = visit,
        .on_damaged = range->on_damaged,
        .context = context};
    const tl_store_range keys = {
        .prefix = w.prefix,
        .prefix_len = strlen(w.prefix),
        .after = w.after,
        .after_len = strlen(w.after),
        .with_damaged = true};
    tl_err err = tl_store_iterate_range(registry->store, TL_DB_DEVICES, &keys, visit_entry, &w);
    if (err == TL_OK) {
        err = visit_shipped(&w, NULL);
    }
    /* A visitor that cancels before the end meant it. */
    return err == TL_ECANCELLED && w.n_visited == w.max ? TL_OK : err;
}

tl_err tl_registry_each(const tl_registry *registry, tl_registry_visit_fn *visit, void *context)
{
    return tl_registry_each_in(registry, &(tl_registry_range){0}, visit, context);
}

bool tl_registry_is_shipped(const tl_registry *registry, const char *name)
{
    return shipped_get(registry, name) != NULL;
}

size_t tl_registry_n_shipped(const tl_registry *registry)
{
    return registry->n_shipped;
}
