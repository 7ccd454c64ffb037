/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_MEASUREMENTS_COLUMNS_H
#define TL_MEASUREMENTS_COLUMNS_H

/*
 * Stored measurements: of each space, one column for each metric and subject.
 *
 * A column is one value of the store: the designs measured, in the order of
 * tl_design_compare(), each with its value. A device is found by its name
 * alone, however many others there are; an import rewrites the columns it touches,
 * all of them or, when anything fails, none.
 *
 * A space's revision changes with every change of its measurements and never
 * takes an earlier value again, so what was computed from them can be kept until it does.
 *
 * A damaged column is TL_EDAMAGED to whoever asks for it by name, and passed over by what asks
 * for all. What else the store holds of a space can be told from its columns: damage to it is
 * mended by the next change of the space.
 *
 *     tl_import_report report;
 *     TL_TRY(tl_columns_import(store, space, &table, register_devices, &context, &report));
 *     tl_column column = {0};
 *     TL_TRY(tl_columns_get(store, space, TL_METRIC_LATENCY_MS, "pixel6", &column));
 *     ...column.designs [n, n_slots], column.values [n]...
 *     tl_column_done(&column);
 *
 * All functions may be called from any thread, those on a transaction from its own.
 */

#include "base/damage.h"
#include "base/err.h"
#include "base/store.h"
#include "measurements/metric.h"
#include "measurements/table.h"
#include "spaces/space.h"

#include <stddef.h>
#include <stdint.h>

typedef struct tl_import_report {
    int n_designs;     /* rows of the table, each design once */
    int n_repeated;    /* rows that a later one replaced */
    int n_columns;     /* columns with at least one value */
    int64_t n_values;  /* in the table */
    int64_t n_new;     /* of them: measured for the first time */
    int64_t n_changed; /* of them: with another value than was stored */
    int n_lost;        /* columns of them that were damaged, and are what the table has */
    uint64_t revision; /* of the space, afterwards */
} tl_import_report;

/*
 * Called inside the transaction with the devices that the table names, each once,
 * for the caller to register those it does not know; must not end the transaction.
 */
typedef tl_err tl_devices_fn(
    void *context, tl_store_txn *txn, const char *const *devices, size_t n_devices);

/*
 * Stores every value of the table (parsed for import: designs normalized), replacing those of the same
 * design, metric and subject: all or nothing, durable on return. Importing
 * a table again changes nothing. on_devices may be NULL. Fails with TL_ESTATE when
 * measurements of another space of this name are stored, with TL_EDAMAGED when what is stored
 * of a device is damaged, which removing the device helps; accuracies of a task, which nothing
 * removes alone, are replaced.
 */
TL_MUST_USE tl_err tl_columns_import(
    tl_store *store,
    const tl_space *space,
    const tl_table *table,
    tl_devices_fn *on_devices,
    void *context,
    tl_import_report *out_report);

typedef struct tl_column {
    int n, n_slots;
    tl_choice *designs; /* [n, n_slots], sorted, each once */
    double *values;     /* [n] */
} tl_column;

/*
 * The column, which the caller owns (tl_column_done). TL_ENOTFOUND when nothing was
 * measured; TL_ESTATE as above.
 */
TL_MUST_USE tl_err tl_columns_get(
    tl_store *store,
    const tl_space *space,
    tl_metric metric,
    const char *subject,
    tl_column *out_column);

void tl_column_done(tl_column *column);

/* The design's value, or NaN where it was not measured. */
double tl_column_find(const tl_column *column, const tl_choice *design);

typedef struct tl_column_info {
    tl_metric metric;
    const char *subject; /* owned by the list */
    int n;               /* designs measured */
} tl_column_info;

typedef struct tl_column_list {
    tl_column_info *columns; /* of one metric, by subject */
    size_t n_columns;
    char *names;
    tl_damage damaged; /* tl_columns_largest(): those that are not in it for it */
} tl_column_list;

void tl_column_list_done(tl_column_list *list);

/* Whether anything is stored of the space; looks for one column, however many there are. */
TL_MUST_USE tl_err
tl_columns_exist(tl_store *store, const char *space_name, bool *out_is_there);

/*
 * The max columns of one metric with the most measurements, of equal ones the first by name;
 * listed by name. *out_n_left_out: how many more there are. Looks at the head of every column of the
 * metric, and holds a few times max of them in memory. A column that it lists may prove damaged
 * when it is read.
 */
TL_MUST_USE tl_err tl_columns_largest(
    tl_store *store,
    const char *space_name,
    tl_metric metric,
    size_t max,
    tl_column_list *out_list,
    size_t *out_n_left_out);

/* The columns of one metric that stand among the names [n], by name; those that do not are left out. */
TL_MUST_USE tl_err tl_columns_named(
    tl_store *store,
    const char *space_name,
    tl_metric metric,
    const char *const *names,
    size_t n,
    tl_column_list *out_list);

/* Whether the column's place in the store is damaged: nobody knows if there was one. To ask for it
 * is TL_EDAMAGED then. */
bool tl_columns_is_lost(
    const tl_store *store, const char *space_name, tl_metric metric, const char *subject);

/*
 * Designs measured in one column, found by its name alone; 0: there is no such column. Only its
 * head is read: TL_EDAMAGED or TL_EVERSION where that cannot be.
 */
TL_MUST_USE tl_err tl_columns_count(
    tl_store *store, const char *space_name, tl_metric metric, const char *subject, int *out_n);

/*
 * 0 for a space without measurements. Where it is damaged, a value that it never has again,
 * until the next change of the space gives it a new one.
 */
TL_MUST_USE tl_err
tl_columns_revision(tl_store *store, const char *space_name, uint64_t *out_revision);

/* Takes the next piece of the table's text; anything but TL_OK ends the export. */
typedef tl_err tl_export_fn(void *context, const char *data, size_t len);

/*
 * The stored measurements as a table: all slots, then the columns, a row for each
 * design; an import of it stores the same bits again. device NULL: every column;
 * otherwise latency and energy of this device. What another thread imports
 * meanwhile is in it completely or not at all (of one device: each column). Damaged columns of
 * a whole space are left out and added to damaged (NULL: TL_EDAMAGED). Fails with TL_ELIMIT when there are more
 * than TL_TABLE_MAX_COLUMNS columns.
 */
TL_MUST_USE tl_err tl_columns_export(
    tl_store *store,
    const tl_space *space,
    const char *device,
    tl_export_fn *write,
    void *context,
    tl_damage *damaged);

/* Forgets all measurements of a device, or of a space, as part of a transaction. */
TL_MUST_USE tl_err tl_columns_remove_device(tl_store_txn *txn, const char *device);
TL_MUST_USE tl_err tl_columns_remove_space(tl_store_txn *txn, const char *space_name);

#endif
