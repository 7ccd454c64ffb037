/* SPDX-License-Identifier: Apache-2.0 */
#include "measurements/columns.h"

#include "base/mem.h"
#include "base/watch.h"
#include "measurements/designs.h"
#include "measurements/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_CELLS = 4 * 1000 * 1000 /* of neighbouring columns, told apart in one pass */
};

/* Where the values of some neighbouring columns stand: of column c rows[begin[c - first]] up to
 * those of the next, in the order of their designs. */
typedef struct block {
    int first, n;
    size_t *begin; /* [n + 1] */
    int *rows;
} block;

/* An import under way: borrows everything but order and block. */
typedef struct import {
    tl_store_txn *txn;
    const tl_space *space;
    const tl_table *table;
    int *order; /* the table's rows in the order of their designs */
    block block;
    bool is_changed;
    tl_import_report report;
} import;

static void block_done(block *b)
{
    tl_mem_free(b->begin);
    tl_mem_free(b->rows);
    *b = (block){0};
}

/*
 * Fills rows where there are some, else counts: begin[k + 1] grows by the values of column k.
 * The table lies row by row, and columns of many devices are mostly empty: a pass for each column alone would
 * read all of it as often as there are columns.
 */
static void pass_over(const import *in, block *b)
{
    const tl_table *table = in->table;
    for (int i = 0; i < table->n; i++) {
        int row = in->order[i];
        const double *values =
            table->values + (size_t)row * (size_t)table->n_columns + b->first;
        for (int k = 0; k < b->n; k++) {
            if (isnan(values[k])) {
                continue;
            }
            if (b->rows != NULL) {
                b->rows[b->begin[k]++] = row;
            } else {
                b->begin[k + 1]++;
            }
        }
    }
}

/* The block that begins with the column. */
static tl_err find_block(import *in, int first)
{
    const tl_table *table = in->table;
    int n = BLOCK_CELLS / (table->n > 0 ? table->n : 1);
    int n_left = table->n_columns - first;
    block *b = &in->block;
    block_done(b);
    b->first = first;
    b->n = n < 1 ? 1 : n < n_left ? n : n_left;
    b->begin = tl_mem_new((size_t)b->n + 1, sizeof *b->begin);
    if (b->begin == NULL) {
        return tl_fail(TL_ENOMEM, "%d columns", b->n);
    }
    pass_over(in, b);
    for (int k = 0; k < b->n; k++) {
        b->begin[k + 1] += b->begin[k];
    }
    b->rows = tl_mem_new(b->begin[b->n], sizeof *b->rows);
    if (b->rows == NULL) {
        return tl_fail(TL_ENOMEM, "%zu measurements", b->begin[b->n]);
    }
    pass_over(in, b);
    /* begin[k] has moved to where the next one began */
    memmove(b->begin + 1, b->begin, (size_t)b->n * sizeof *b->begin);
    b->begin[0] = 0;
    return TL_OK;
}

static void append(tl_column *to, const tl_choice *design, double value)
{
    size_t n_slots = (size_t)to->n_slots;
    memcpy(to->designs + (size_t)to->n * n_slots, design, n_slots * sizeof *design);
    to->values[to->n++] = value;
}

/* The measured rows of one column of the block, in the order of their designs; the last of
 * equal ones counts. */
static tl_err take_column(const import *in, int column, tl_column *out_column)
{
    const tl_table *table = in->table;
    const size_t *begin = in->block.begin + (column - in->block.first);
    int n_slots = table->n_slots;
    TL_TRY(tl_column_init(out_column, n_slots, (int)(begin[1] - begin[0])));
    out_column->n = 0;
    for (size_t i = begin[0]; i < begin[1]; i++) {
        int row = in->block.rows[i];
        int last = out_column->n - 1;
        double value = table->values[(size_t)row * (size_t)table->n_columns + (size_t)column];
        const tl_choice *design = tl_design_at(table->designs, n_slots, row);
        if (last >= 0 &&
            tl_design_compare(
                design, tl_design_at(out_column->designs, n_slots, last), n_slots) == 0) {
            out_column->values[last] = value;
        } else {
            append(out_column, design, value);
        }
    }
    return TL_OK;
}

/* Both sorted; where both have a design the new value stands. merged has room for all. */
static void merge(const tl_column *old, const tl_column *fresh, tl_column *merged, import *in)
{
    int i = 0;
    int j = 0;
    merged->n = 0;
    while (i < old->n || j < fresh->n) {
        int order = 0;
        if (i >= old->n || j >= fresh->n) {
            order = i < old->n ? -1 : 1;
        } else {
            order = tl_design_compare(
                tl_design_at(old->designs, old->n_slots, i),
                tl_design_at(fresh->designs, fresh->n_slots, j), old->n_slots);
        }
        if (order < 0) {
            append(merged, tl_design_at(old->designs, old->n_slots, i), old->values[i]);
            i++;
            continue;
        }
        if (order > 0) {
            in->report.n_new++;
        } else {
            in->report.n_changed += old->values[i] != fresh->values[j] ? 1 : 0;
            i++;
        }
        append(merged, tl_design_at(fresh->designs, fresh->n_slots, j), fresh->values[j]);
        j++;
    }
}

static tl_err put_column(import *in, const tl_record_key *key, const tl_column *column)
{
    void *value = NULL;
    size_t len = 0;
    TL_TRY(tl_record_encode(in->space, column, &value, &len));
    tl_err err = tl_store_put(in->txn, TL_DB_MEASUREMENTS, key->bytes, key->len, value, len);
    tl_mem_free(value);
    return err;
}

/*
 * The stored column, or an empty one. Where it is damaged a few rows must not take the place of
 * thousands without a word; nothing but an import removes the accuracies of a task, though.
 */
static tl_err get_old(
    import *in, const tl_record_key *key, const tl_table_column *c, tl_column *out_column)
{
    const void *value = NULL;
    size_t len = 0;
    tl_err err =
        tl_store_txn_get(in->txn, TL_DB_MEASUREMENTS, key->bytes, key->len, &value, &len);
    if (err == TL_OK) {
        err = tl_record_decode(in->space, value, len, out_column);
    }
    if (err == TL_EDAMAGED && tl_metric_is_of_device(c->metric)) {
        return tl_fail(
            err,
            "what is stored of %s@%s in space %s is damaged: remove the device and import all "
            "that was measured on it, or restore a backup",
            tl_metric_name(c->metric), c->name, tl_space_name(in->space));
    }
    if (err != TL_EDAMAGED && err != TL_ENOTFOUND) {
        return err;
    }
    in->report.n_lost += err == TL_EDAMAGED ? 1 : 0;
    return tl_column_init(out_column, in->table->n_slots, 0);
}

static tl_err import_column(import *in, int column)
{
    tl_err err = TL_OK;
    tl_record_key key;
    tl_column old = {0};
    tl_column fresh = {0};
    tl_column merged = {0};
    const tl_table_column *c = &in->table->columns[column];
    int64_t n_before = in->report.n_new + in->report.n_changed;
    TL_TRY(tl_record_column_key(tl_space_name(in->space), c->metric, c->name, &key));
    if ((err = take_column(in, column, &fresh)) != TL_OK || fresh.n == 0) {
        goto done;
    }
    in->report.n_columns++;
    in->report.n_values += fresh.n;
    if ((err = get_old(in, &key, c, &old)) != TL_OK) {
        goto done;
    }
    if (old.n > INT32_MAX - fresh.n) {
        err = tl_fail(TL_ELIMIT, "a column of more than %d measurements", (int)INT32_MAX);
        goto done;
    }
    if ((err = tl_column_init(&merged, fresh.n_slots, old.n + fresh.n)) != TL_OK) {
        goto done;
    }
    merge(&old, &fresh, &merged, in);
    if (in->report.n_new + in->report.n_changed > n_before) {
        in->is_changed = true;
        err = put_column(in, &key, &merged);
    }
done:
    tl_column_done(&old);
    tl_column_done(&fresh);
    tl_column_done(&merged);
    return err;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Hands the devices of the table to the caller, each once. */
static tl_err tell_devices(const import *in, tl_devices_fn *on_devices, void *context)
{
    size_t n = 0;
    size_t n_unique = 0;
    const char **devices = tl_mem_new((size_t)in->table->n_columns, sizeof *devices);
    if (devices == NULL) {
        return tl_fail(TL_ENOMEM, "%d devices", in->table->n_columns);
    }
    for (int c = 0; c < in->table->n_columns; c++) {
        if (tl_metric_is_of_device(in->table->columns[c].metric)) {
            devices[n++] = in->table->columns[c].name;
        }
    }
    if (n > 0) {
        qsort(devices, n, sizeof *devices, compare_names);
    }
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(devices[i - 1], devices[i]) != 0) {
            devices[n_unique++] = devices[i];
        }
    }
    tl_err err = n_unique > 0 ? on_devices(context, in->txn, devices, n_unique) : TL_OK;
    tl_mem_free(devices);
    return err;
}

static tl_err import_all(import *in, tl_devices_fn *on_devices, void *context)
{
    tl_space_record record = {0};
    const char *space_name = tl_space_name(in->space);
    /* One that is damaged is written again whatever the table has. */
    tl_err err = tl_record_space_get(in->txn, space_name, &record, &in->is_changed);
    if (err == TL_OK) {
        TL_TRY(tl_record_check_digest(in->space, record.digest));
    } else if (err != TL_ENOTFOUND) {
        return err;
    }
    if (on_devices != NULL) {
        TL_TRY(tell_devices(in, on_devices, context));
    }
    for (int c = 0; c < in->table->n_columns; c++) {
        if (c == in->block.first + in->block.n) {
            TL_TRY(find_block(in, c));
        }
        TL_TRY(tl_watch_check()); /* nothing is stored yet */
        TL_TRY(import_column(in, c));
    }
    if (in->is_changed) {
        tl_record_set_digest(in->space, record.digest);
        TL_TRY(tl_record_bump(in->txn, space_name, &record));
    }
    in->report.revision = record.revision;
    return TL_OK;
}

tl_err tl_columns_import(
    tl_store *store,
    const tl_space *space,
    const tl_table *table,
    tl_devices_fn *on_devices,
    void *context,
    tl_import_report *out_report)
{
    tl_err err = TL_OK;
import in = {.space = space, .table = table };
    TL_ASSERT(table->n_slots == tl_space_n_slots(space));
    in.report.n_designs = table->n;
    in.report.n_repeated = table->n_repeated;
    if ((err = tl_designs_order(table->designs, table->n_slots, table->n, &in.order)) !=
            TL_OK ||
        (err = tl_store_begin(store, &in.txn)) != TL_OK ||
        (err = import_all(&in, on_devices, context)) != TL_OK ||
        (err = tl_watch_check()) != TL_OK || (err = tl_store_commit(&in.txn)) != TL_OK) {
        goto done;
    }
    *out_report = in.report;
done:
    tl_store_abort(&in.txn);
    block_done(&in.block);
    tl_mem_free(in.order);
    return err;
}
