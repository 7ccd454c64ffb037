/* SPDX-License-Identifier: Apache-2.0 */
#include "measurements/columns.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/watch.h"
#include "measurements/designs.h"
#include "measurements/record.h"

#include <math.h>
#include <string.h>

enum {
    CHECK_EVERY = 1024 /* columns removed between two looks at the watch */
};

/* ---- one column ------------------------------------------------------------- */

tl_err tl_columns_get(
    tl_store *store,
    const tl_space *space,
    tl_metric metric,
    const char *subject,
    tl_column *out_column)
{
    tl_record_key key;
    void *value = NULL;
    size_t len = 0;
    TL_TRY(tl_record_column_key(tl_space_name(space), metric, subject, &key));
    tl_err err = tl_store_get(store, TL_DB_MEASUREMENTS, key.bytes, key.len, &value, &len);
    if (err == TL_ENOTFOUND) {
        return tl_fail(
            err, "no %s of %s is measured on %s", tl_metric_name(metric), tl_space_name(space),
            subject);
    }
    if (err != TL_OK) {
        return tl_fail_in(
            err, "%s of space %s, %s: ", tl_metric_name(metric), tl_space_name(space), subject);
    }
    err = tl_record_decode(space, value, len, out_column);
    tl_mem_free(value);
    return err;
}

bool tl_columns_is_lost(
    const tl_store *store, const char *space_name, tl_metric metric, const char *subject)
{
    tl_record_key key;
    return tl_record_column_key(space_name, metric, subject, &key) == TL_OK &&
           tl_store_is_lost(store, TL_DB_MEASUREMENTS, key.bytes, key.len);
}

typedef struct counting {
    const tl_record_key *key;
    int n;
} counting;

static tl_err fail_damaged(const tl_store_entry *entry)
{
    char name[TL_COLUMN_NAME_BYTES];
    tl_record_name_column(entry, name);
    return tl_fail(TL_EDAMAGED, "%s is damaged", name);
}

/* The first entry of the range is the column itself, where it is there. */
static tl_err count_in(void *context, const tl_store_entry *entry)
{
    counting *c = context;
    tl_column_header header;
    if (entry->lost == NULL && entry->key_len == c->key->len) {
        TL_TRY(entry->is_damaged ? fail_damaged(entry) : TL_OK);
        TL_TRY(tl_record_header(entry->value, entry->value_len, &header));
        c->n = (int)header.n;
    }
    return TL_ECANCELLED; /* enough: not a failure of anything */
}

/* with_damaged: the first entry of the range may be another's. */
tl_err tl_columns_count(
    tl_store *store, const char *space_name, tl_metric metric, const char *subject, int *out_n)
{
    tl_record_key key;
    counting c = {.key = &key};
    TL_TRY(tl_record_column_key(space_name, metric, subject, &key));
    if (tl_store_is_lost(store, TL_DB_MEASUREMENTS, key.bytes, key.len)) {
        return tl_fail(
            TL_EDAMAGED, "%s of %s may be measured on %s: its place in the store is damaged",
            tl_metric_name(metric), space_name, subject);
    }
    const tl_store_range range = {
        .prefix = key.bytes, .prefix_len = key.len, .heads_only = true, .with_damaged = true};
    tl_err err = tl_store_iterate_range(store, TL_DB_MEASUREMENTS, &range, count_in, &c);
    if (err == TL_OK || err == TL_ECANCELLED) {
        *out_n = c.n;
        return TL_OK;
    }
    return err;
}

double tl_column_find(const tl_column *column, const tl_choice *design)
{
    int begin = 0;
    int end = column->n;
    while (begin < end) {
        int middle = begin + (end - begin) / 2;
        const tl_choice *here = tl_design_at(column->designs, column->n_slots, middle);
        int order = tl_design_compare(design, here, column->n_slots);
        if (order == 0) {
            return column->values[middle];
        }
        if (order < 0) {
            end = middle;
        } else {
            begin = middle + 1;
        }
    }
    return (double)NAN;
}

/* ---- which there are ---------------------------------------------------------- */

void tl_column_list_done(tl_column_list *list)
{
    tl_mem_free(list->columns);
    tl_mem_free(list->names);
    tl_damage_done(&list->damaged);
    *list = (tl_column_list){0};
}

static tl_err stop_at_first(void *context, const tl_store_entry *entry)
{
    (void)context;
    (void)entry;
    return TL_ECANCELLED;
}

tl_err tl_columns_exist(tl_store *store, const char *space_name, bool *out_is_there)
{
    tl_record_key key;
    TL_TRY(tl_record_columns_key(space_name, &key));
    const tl_store_range range = {
        .prefix = key.bytes, .prefix_len = key.len, .heads_only = true, .with_damaged = true};
    tl_err err = tl_store_iterate_range(store, TL_DB_MEASUREMENTS, &range, stop_at_first, NULL);
    *out_is_there = err == TL_ECANCELLED;
    return err == TL_ECANCELLED ? TL_OK : err;
}

tl_err tl_columns_revision(tl_store *store, const char *space_name, uint64_t *out_revision)
{
    tl_record_key key;
    void *value = NULL;
    size_t len = 0;
    tl_space_record record = {0};
    TL_TRY(tl_record_space_key(space_name, &key));
    tl_err err = tl_store_get(store, TL_DB_MEASUREMENTS, key.bytes, key.len, &value, &len);
    if (err == TL_OK && len == sizeof record) {
        memcpy(&record, value, sizeof record);
    } else if (err == TL_OK || err == TL_EDAMAGED) {
        record.revision = UINT64_MAX - (uint64_t)tl_clock_ns();
        err = TL_OK;
    }
    if (err == TL_OK) {
        tl_mem_free(value);
    }
    if (err == TL_OK || err == TL_ENOTFOUND) {
        *out_revision = record.revision;
        return TL_OK;
    }
    return err;
}

/* ---- forgetting ----------------------------------------------------------------- */

/* Gathers the names of the spaces, each followed by a NUL. A damaged key may be no name. */
static tl_err add_space(void *context, const tl_store_entry *entry)
{
    tl_text *names = context;
    char name[TL_STORE_MAX_KEY_BYTES] = {0};
    memcpy(name, (const char *)entry->key + 1, entry->key_len - 1);
    if (tl_name_check("space", name) == TL_OK) {
        tl_text_add_bytes(names, name, strlen(name) + 1);
    }
    return tl_text_err(names);
}

static tl_err remove_from_space(tl_store_txn *txn, const char *space_name, const char *device)
{
    bool is_changed = false;
    bool is_damaged = false;
    tl_space_record record = {0};
    for (int metric = 0; metric < TL_N_METRICS; metric++) {
        tl_record_key key;
        if (!tl_metric_is_of_device((tl_metric)metric)) {
            continue;
        }
        TL_TRY(tl_record_column_key(space_name, (tl_metric)metric, device, &key));
        tl_err err = tl_store_delete(txn, TL_DB_MEASUREMENTS, key.bytes, key.len);
        if (err != TL_OK && err != TL_ENOTFOUND) {
            return err;
        }
        is_changed = is_changed || err == TL_OK;
    }
    if (!is_changed) {
        return TL_OK;
    }
    tl_err err = tl_record_space_get(txn, space_name, &record, &is_damaged);
    if (err == TL_ENOTFOUND && is_damaged) {
        return TL_OK; /* no sound column tells of the space: the next import does */
    }
    return err == TL_OK ? tl_record_bump(txn, space_name, &record) : err;
}

tl_err tl_columns_remove_device(tl_store_txn *txn, const char *device)
{
    tl_text names = {0};
    TL_TRY(tl_name_check("device", device));
    const tl_store_range spaces = {
        .prefix = "s", .prefix_len = 1, .heads_only = true, .with_damaged = true};
    tl_err err =
        tl_store_txn_iterate_range(txn, TL_DB_MEASUREMENTS, &spaces, add_space, &names);
    for (size_t i = 0; i < names.len && err == TL_OK; i += strlen(names.data + i) + 1) {
        err = remove_from_space(txn, names.data + i, device);
    }
    tl_text_done(&names);
    return err;
}

tl_err tl_columns_remove_space(tl_store_txn *txn, const char *space_name)
{
    tl_record_key key;
    TL_TRY(tl_record_columns_key(space_name, &key));
    for (size_t n = CHECK_EVERY; n == CHECK_EVERY;) {
        TL_TRY(tl_watch_check());
        TL_TRY(tl_store_delete_prefix(
            txn, TL_DB_MEASUREMENTS, key.bytes, key.len, CHECK_EVERY, &n));
    }
    TL_TRY(tl_record_space_key(space_name, &key));
    tl_err err = tl_store_delete(txn, TL_DB_MEASUREMENTS, key.bytes, key.len);
    return err == TL_ENOTFOUND ? TL_OK : err;
}
