/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/space_table.h"

#include "base/mem.h"
#include "base/name.h"
#include "daemon/engine.h"

#include <pthread.h>
#include <string.h>

struct tl_space_table {
    pthread_rwlock_t lock;
    tl_space_entry *entries; /* sorted by name */
    size_t n;
};

tl_err tl_space_table_new(tl_space_table **out_table)
{
    tl_space_table *table = tl_mem_new(1, sizeof *table);
    if (table == NULL) {
        return tl_fail(TL_ENOMEM, "the spaces");
    }
    (void)pthread_rwlock_init(&table->lock, NULL);
    *out_table = table;
    return TL_OK;
}

void tl_space_table_free(tl_space_table *table)
{
    if (table != NULL) {
        tl_space_entries_free(table->entries, table->n);
        (void)pthread_rwlock_destroy(&table->lock);
        tl_mem_free(table);
    }
}

void tl_space_entries_free(tl_space_entry *entries, size_t n)
{
    for (size_t i = 0; entries != NULL && i < n; i++) {
        tl_space_unref(entries[i].space);
    }
    tl_mem_free(entries);
}

/* Where the name stands or would stand. Locked. */
static size_t place_of(const tl_space_table *table, const char *name, bool *out_is_there)
{
    size_t i = 0;
    while (i < table->n && strcmp(tl_space_name(table->entries[i].space), name) < 0) {
        i++;
    }
    *out_is_there = i < table->n && strcmp(tl_space_name(table->entries[i].space), name) == 0;
    return i;
}

/* Locked for writing. */
static tl_err insert(tl_space_table *table, tl_space *space, bool is_built_in)
{
    bool is_there = false;
    size_t place = place_of(table, tl_space_name(space), &is_there);
    if (is_there) {
        return tl_fail(
            TL_EEXISTS, "%s: there is a space of that name already", tl_space_name(space));
    }
    tl_space_entry *grown = tl_mem_resize(table->entries, table->n + 1, sizeof *grown);
    if (grown == NULL) {
        return tl_fail(TL_ENOMEM, "the spaces");
    }
    memmove(grown + place + 1, grown + place, (table->n - place) * sizeof *grown);
    grown[place] = (tl_space_entry){.space = tl_space_ref(space), .is_built_in = is_built_in};
    table->entries = grown;
    table->n++;
    return TL_OK;
}

tl_err tl_space_table_add(tl_space_table *table, tl_space *space, bool is_built_in)
{
    (void)pthread_rwlock_wrlock(&table->lock);
    tl_err err = insert(table, space, is_built_in);
    (void)pthread_rwlock_unlock(&table->lock);
    return err;
}

void tl_space_table_remove(tl_space_table *table, const char *name)
{
    bool is_there = false;
    tl_space *space = NULL;
    (void)pthread_rwlock_wrlock(&table->lock);
    size_t place = place_of(table, name, &is_there);
    if (is_there) {
        space = table->entries[place].space;
        table->n--;
        memmove(
            table->entries + place, table->entries + place + 1,
            (table->n - place) * sizeof *table->entries);
    }
    (void)pthread_rwlock_unlock(&table->lock);
    tl_space_unref(space);
}

/* Locked. */
static tl_err not_found(const tl_space_table *table, const char *name)
{
    const char **names = tl_mem_new(table->n, sizeof *names);
    if (names == NULL) {
        return tl_fail(TL_ENOMEM, "the names of the spaces");
    }
    for (size_t i = 0; i < table->n; i++) {
        names[i] = tl_space_name(table->entries[i].space);
    }
    const char *nearest = tl_name_nearest(name, names, table->n);
    tl_err err = tl_fail(
        TL_ENOTFOUND, "no space \"%.128s\"%s%s", name,
        nearest != NULL ? "; the nearest is " : "", nearest != NULL ? nearest : "");
    tl_mem_free(names);
    return err;
}

tl_err tl_space_table_find(
    tl_space_table *table, const char *name, tl_space **out_space, bool *out_is_built_in)
{
    tl_err err = TL_OK;
    bool is_there = false;
    (void)pthread_rwlock_rdlock(&table->lock);
    size_t place = place_of(table, name, &is_there);
    if (is_there) {
        *out_space = tl_space_ref(table->entries[place].space);
        if (out_is_built_in != NULL) {
            *out_is_built_in = table->entries[place].is_built_in;
        }
    } else {
        err = not_found(table, name);
    }
    (void)pthread_rwlock_unlock(&table->lock);
    return err;
}

tl_err tl_space_table_list(tl_space_table *table, tl_space_entry **out_entries, size_t *out_n)
{
    (void)pthread_rwlock_rdlock(&table->lock);
    size_t n = table->n;
    tl_space_entry *entries = tl_mem_new(n, sizeof *entries);
    for (size_t i = 0; entries != NULL && i < n; i++) {
        entries[i] = table->entries[i];
        (void)tl_space_ref(entries[i].space);
    }
    (void)pthread_rwlock_unlock(&table->lock);
    if (entries == NULL) {
        return tl_fail(TL_ENOMEM, "the spaces");
    }
    *out_entries = entries;
    *out_n = n;
    return TL_OK;
}
