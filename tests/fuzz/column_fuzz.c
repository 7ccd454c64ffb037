/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the store holds of a space's measurements, in pieces: columns, the records beside them, and
 * entries under keys of any kind. A column's digest is made right where there is room for one, as
 * who writes the file of a backup would.
 */

#include "base/mem.h"
#include "base/store.h"
#include "measurements/columns.h"
#include "measurements/designs.h"
#include "measurements/record.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The kind of a piece: a metric of the device and the task, or one of these. */
enum {
    PIECE_SPACE = TL_N_METRICS,
    PIECE_REVISION,
    PIECE_KEY, /* a byte, so many bytes of key behind the space's prefix, a value */
    PIECE_ANY_KEY,
    N_PIECES
};

static const char device[] = "board";
static const char task[] = "toy";
static tl_store *store;

static void close_store(void)
{
    tl_store_close(store);
}

static void open_store(void)
{
    tl_fuzz_check(tl_store_open(tl_test_new_dir(), 0, &store) == TL_OK, "a store");
    tl_fuzz_check(atexit(close_store) == 0, "atexit");
}

static const char *subject_of(tl_metric metric)
{
    return tl_metric_is_of_device(metric) ? device : task;
}

/* ---- one column alone ------------------------------------------------------------------- */

static void read_back(const tl_space *space, const tl_column *column)
{
    void *value = NULL;
    size_t len = 0;
    tl_column again = {0};
    size_t n_designs = (size_t)column->n * (size_t)column->n_slots;
    tl_fuzz_check(tl_record_encode(space, column, &value, &len) == TL_OK, "encoding");
    tl_fuzz_check(tl_record_decode(space, value, len, &again) == TL_OK, "it does not decode");
    tl_fuzz_check(
        again.n == column->n && again.n_slots == column->n_slots &&
            memcmp(again.designs, column->designs, n_designs * sizeof *again.designs) == 0 &&
            memcmp(again.values, column->values, (size_t)again.n * sizeof *again.values) == 0,
        "it decodes differently");
    tl_column_done(&again);
    tl_mem_free(value);
}

static void decode(const tl_space *space, const uint8_t *value, size_t len)
{
    tl_column column = {0};
    if (tl_record_decode(space, value, len, &column) != TL_OK) {
        return;
    }
    for (int i = 0; i < column.n; i++) {
        const tl_choice *design = tl_design_at(column.designs, column.n_slots, i);
        double found = tl_column_find(&column, design);
        bool is_missing = isnan(found) && isnan(column.values[i]);
        tl_fuzz_check(is_missing || found == column.values[i], "a design is not found");
    }
    read_back(space, &column);
    tl_column_done(&column);
}

/* ---- in the store ------------------------------------------------------------------------- */

static void put(tl_store_txn *txn, const tl_record_key *key, const uint8_t *value, size_t len)
{
    tl_err err = tl_store_put(txn, TL_DB_MEASUREMENTS, key->bytes, key->len, value, len);
    tl_fuzz_check(err == TL_OK, "putting");
}

static void put_column(
    tl_store_txn *txn,
    const tl_space *space,
    const tl_record_key *key,
    const uint8_t *value,
    size_t len)
{
    uint8_t *copy = tl_mem_new(len + 1, 1);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, value, len);
    if (len >= sizeof(tl_column_header)) {
        tl_record_set_digest(space, (char *)copy + offsetof(tl_column_header, digest));
    }
    decode(space, copy, len);
    put(txn, key, copy, len);
    tl_mem_free(copy);
}

/* A key that begins with one of ours and goes on as the input says. */
static void put_keyed(
    tl_store_txn *txn, const tl_space *space, tl_record_key key, tl_fuzz_piece piece)
{
    size_t key_len = piece.len > 0 ? piece.data[0] : 0;
    key_len = key_len < piece.len ? key_len : piece.len - 1;
    if (piece.len == 0 || key.len + key_len == 0) {
        return;
    }
    memcpy(key.bytes + key.len, piece.data + 1, key_len);
    key.len += key_len;
    put_column(txn, space, &key, piece.data + 1 + key_len, piece.len - 1 - key_len);
}

static void put_piece(tl_store_txn *txn, const tl_space *space, tl_fuzz_piece piece)
{
    tl_record_key key = {.len = 0};
    tl_err err = TL_OK;
    int kind = piece.kind % N_PIECES;
    if (kind < TL_N_METRICS) {
        tl_metric metric = (tl_metric)kind;
        err = tl_record_column_key(tl_space_name(space), metric, subject_of(metric), &key);
        put_column(txn, space, &key, piece.data, piece.len);
    } else if (kind == PIECE_SPACE) {
        err = tl_record_space_key(tl_space_name(space), &key);
        put(txn, &key, piece.data, piece.len);
    } else if (kind == PIECE_REVISION) {
        key = (tl_record_key){.bytes = "r", .len = 1};
        put(txn, &key, piece.data, piece.len);
    } else {
        err = kind == PIECE_KEY ? tl_record_columns_key(tl_space_name(space), &key) : TL_OK;
        put_keyed(txn, space, key, piece);
    }
    tl_fuzz_check(err == TL_OK, "a key");
}

static tl_err drop(void *context, const char *data, size_t len)
{
    (void)context;
    (void)data;
    (void)len;
    return TL_OK;
}

static void with_reason(tl_err err)
{
    tl_fuzz_check(err == TL_OK || tl_err_detail()[0] != '\0', "a refusal without a reason");
    tl_err_clear();
}

static void look_at_metric(const tl_space *space, tl_metric metric)
{
    const char *subject = subject_of(metric);
    const char *name = tl_space_name(space);
    tl_column column = {0};
    tl_column_list list = {0};
    size_t n_left_out = 0;
    int n = 0;
    tl_err err = tl_columns_get(store, space, metric, subject, &column);
    with_reason(err);
    with_reason(tl_columns_count(store, name, metric, subject, &n));
    tl_fuzz_check(err != TL_OK || n == column.n, "counts differ");
    tl_column_done(&column);
    with_reason(tl_columns_largest(store, name, metric, 2, &list, &n_left_out));
    tl_column_list_done(&list);
    with_reason(tl_columns_named(store, name, metric, &subject, 1, &list));
    tl_column_list_done(&list);
}

static void import(const tl_space *space)
{
    static const char csv[] = "e01,e02,e12,e03,e13,e23,latency_ms@board,accuracy@toy\n"
                              "none,none,none,none,none,nor_conv_3x3,1,2\n";
    tl_table table = {0};
    tl_import_report report;
    if (tl_table_parse(space, "fuzz.csv", NULL, csv, sizeof csv - 1, &table) == TL_OK) {
        with_reason(tl_columns_import(store, space, &table, NULL, NULL, &report));
        tl_table_done(&table);
    }
}

static void look_at_all(const tl_space *space)
{
    tl_damage damaged = {0};
    uint64_t revision = 0;
    bool is_there = false;
    for (int metric = 0; metric < TL_N_METRICS; metric++) {
        look_at_metric(space, (tl_metric)metric);
    }
    with_reason(tl_columns_exist(store, tl_space_name(space), &is_there));
    with_reason(tl_columns_revision(store, tl_space_name(space), &revision));
    with_reason(tl_columns_export(store, space, NULL, drop, NULL, &damaged));
    with_reason(tl_columns_export(store, space, device, drop, NULL, NULL));
    tl_damage_done(&damaged);
}

/* All that was put there, and what was imported over it. */
static void remove_all(const tl_space *space)
{
    tl_store_txn *txn = NULL;
    tl_fuzz_check(tl_store_begin(store, &txn) == TL_OK, "a transaction");
    with_reason(tl_columns_remove_device(txn, device));
    tl_fuzz_check(
        tl_columns_remove_space(txn, tl_space_name(space)) == TL_OK, "removing a space");
    tl_fuzz_check(
        tl_store_delete_prefix(txn, TL_DB_MEASUREMENTS, "", 0, SIZE_MAX, NULL) == TL_OK,
        "removing");
    tl_fuzz_check(tl_store_commit(&txn) == TL_OK, "a commit");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const tl_space *space = tl_fuzz_space("nasbench201");
    tl_store_txn *txn = NULL;
    tl_fuzz_piece piece;
    if (store == NULL) {
        open_store();
    }
    size_t before = tl_fuzz_blocks();
    tl_fuzz_check(tl_store_begin(store, &txn) == TL_OK, "a transaction");
    decode(space, data, size);
    while (tl_fuzz_next(&data, &size, &piece)) {
        put_piece(txn, space, piece);
    }
    tl_fuzz_check(tl_store_commit(&txn) == TL_OK, "a commit");
    look_at_all(space);
    import(space);
    look_at_all(space);
    remove_all(space);
    tl_fuzz_check_blocks(before);
    return 0;
}
