/* SPDX-License-Identifier: Apache-2.0 */
#include "measurements/columns.h"

#include "base/mem.h"
#include "base/name.h"
#include "base/watch.h"
#include "measurements/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHECK_EVERY = 1024 /* columns between two looks at the watch */
};

/* A column that may be one of the largest. */
typedef struct candidate {
    int n;
    char subject[TL_NAME_MAX_BYTES + 1];
} candidate;

/* The largest so far, and the newcomers since they were last told apart. */
typedef struct choice {
    tl_record_key prefix;  /* of the metric's columns */
    candidate *candidates; /* [2 max] */
    size_t n, max, n_seen;
    tl_damage damaged;
} choice;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const candidate *)a)->subject, ((const candidate *)b)->subject);
}

static int by_size(const void *a, const void *b)
{
    int x = ((const candidate *)a)->n;
    int y = ((const candidate *)b)->n;
    return x != y ? (x < y) - (x > y) : by_name(a, b);
}

static void keep_largest(choice *c)
{
    if (c->n > c->max) {
        qsort(c->candidates, c->n, sizeof *c->candidates, by_size);
        c->n = c->max;
    }
}

static tl_err take(void *context, const tl_store_entry *entry)
{
    choice *c = context;
    tl_column_header header;
    const char *key = entry->key;
    size_t len = entry->key_len - c->prefix.len;
    if (entry->is_damaged || len == 0 || len > TL_NAME_MAX_BYTES ||
        tl_record_header(entry->value, entry->value_len, &header) != TL_OK) {
        char name[TL_COLUMN_NAME_BYTES];
        tl_record_name_column(entry, name);
        return tl_damage_add(&c->damaged, name);
    }
    if (c->n_seen % CHECK_EVERY == 0) {
        TL_TRY(tl_watch_check());
    }
    if (c->n == 2 * c->max) {
        keep_largest(c);
    }
    candidate *new = &c->candidates[c->n++];
    new->n = (int)header.n;
    memcpy(new->subject, key + c->prefix.len, len);
    new->subject[len] = '\0';
    c->n_seen++;
    return TL_OK;
}

/* The list owns copies of the names. */
static tl_err make_list(
    const candidate *candidates, size_t n, tl_metric metric, tl_column_list *out_list)
{
    enum {
        NAME_BYTES = TL_NAME_MAX_BYTES + 1
    };
    tl_column_list list = {.n_columns = n};
    list.columns = tl_mem_new(n, sizeof *list.columns);
    list.names = tl_mem_new(n, NAME_BYTES);
    if (list.columns == NULL || list.names == NULL) {
        tl_column_list_done(&list);
        return tl_fail(TL_ENOMEM, "a list of %zu columns", n);
    }
    for (size_t i = 0; i < n; i++) {
        char *name = list.names + i * NAME_BYTES;
        memcpy(name, candidates[i].subject, NAME_BYTES);
        list.columns[i] =
            (tl_column_info){.metric = metric, .subject = name, .n = candidates[i].n};
    }
    *out_list = list;
    return TL_OK;
}

tl_err tl_columns_largest(
    tl_store *store,
    const char *space_name,
    tl_metric metric,
    size_t max,
    tl_column_list *out_list,
    size_t *out_n_left_out)
{
    choice c = {.max = max};
    TL_ASSERT(max > 0);
    TL_TRY(tl_record_metric_key(space_name, metric, &c.prefix));
    c.candidates = tl_mem_new(2 * max, sizeof *c.candidates);
    if (c.candidates == NULL) {
        return tl_fail(TL_ENOMEM, "%zu columns", max);
    }
    const tl_store_range all = {
        .prefix = c.prefix.bytes,
        .prefix_len = c.prefix.len,
        .heads_only = true,
        .with_damaged = true};
    tl_err err = tl_store_iterate_range(store, TL_DB_MEASUREMENTS, &all, take, &c);
    if (err == TL_OK) {
        keep_largest(&c);
        if (c.n > 0) {
            qsort(c.candidates, c.n, sizeof *c.candidates, by_name);
        }
        err = make_list(c.candidates, c.n, metric, out_list);
    }
    if (err == TL_OK) {
        *out_n_left_out = c.n_seen - c.n;
        out_list->damaged = c.damaged;
        c.damaged = (tl_damage){0};
    }
    tl_damage_done(&c.damaged);
    tl_mem_free(c.candidates);
    return err;
}

tl_err tl_columns_named(
    tl_store *store,
    const char *space_name,
    tl_metric metric,
    const char *const *names,
    size_t n,
    tl_column_list *out_list)
{
    size_t n_found = 0;
    tl_err err = TL_OK;
    candidate *found = tl_mem_new(n, sizeof *found);
    if (found == NULL) {
        return tl_fail(TL_ENOMEM, "%zu columns", n);
    }
    for (size_t i = 0; i < n && err == TL_OK; i++) {
        candidate *c = &found[n_found];
        err = tl_columns_count(store, space_name, metric, names[i], &c->n);
        if (err == TL_OK && c->n > 0) {
            (void)snprintf(c->subject, sizeof c->subject, "%s", names[i]);
            n_found++;
        }
    }
    if (n_found > 0) {
        qsort(found, n_found, sizeof *found, by_name);
    }
    n = n_found;
    n_found = 0;
    for (size_t i = 0; i < n; i++) {
        if (n_found == 0 || by_name(&found[i], &found[n_found - 1]) != 0) {
            found[n_found++] = found[i];
        }
    }
    if (err == TL_OK) {
        err = make_list(found, n_found, metric, out_list);
    }
    tl_mem_free(found);
    return err;
}
