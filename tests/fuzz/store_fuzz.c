/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The file of a store on a disk that changes what was written: each piece of the input names a
 * page by its kind, and holds an offset (two bytes, little end first) and what stands there instead.
 * What passes the check before the opening is read and written through LMDB, which believes it all.
 */

#include "base/file.h"
#include "base/mem.h"
#include "base/store.h"
#include "base/store_check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

enum {
    PAGE_BYTES = 4096,
    OFFSET_BYTES = 2,
    MAX_FILE_BYTES = 1024 * 1024,
    N_SHORT = 300, /* in each of two databases: trees of two levels */
    VALUE_BYTES = 40,
    LONG_BYTES = 3 * PAGE_BYTES,
    KEY_BYTES = 16,
    PATH_BYTES = 512,
    BITS_PER_BYTE = 8
};

static char dir[PATH_BYTES], path[PATH_BYTES];
static char *sound; /* the file as it was written */
static char *changed;
static size_t len;

/* ---- a sound file --------------------------------------------------------------------------- */

static void put(tl_store_txn *txn, tl_db db, const char *key, size_t value_len)
{
    static const char value[LONG_BYTES];
    tl_fuzz_check(
        tl_store_put(txn, db, key, strlen(key), value, value_len) == TL_OK, "putting");
}

/* Some is put and removed again, so that there are free pages. */
static void fill(tl_store *store)
{
    char key[KEY_BYTES];
    tl_store_txn *txn = NULL;
    tl_fuzz_check(tl_store_begin(store, &txn) == TL_OK, "a transaction");
    for (int i = 0; i < N_SHORT; i++) {
        (void)snprintf(key, sizeof key, "k%03d", i);
        put(txn, TL_DB_DEVICES, key, VALUE_BYTES);
        put(txn, TL_DB_JOBS, key, VALUE_BYTES);
    }
    put(txn, TL_DB_MEASUREMENTS, "long", LONG_BYTES);
    put(txn, TL_DB_SPACES, "gone", LONG_BYTES);
    tl_fuzz_check(tl_store_commit(&txn) == TL_OK, "a commit");
    tl_fuzz_check(tl_store_begin(store, &txn) == TL_OK, "a transaction");
    tl_fuzz_check(
        tl_store_delete_prefix(txn, TL_DB_SPACES, "gone", 4, SIZE_MAX, NULL) == TL_OK,
        "removing");
    tl_fuzz_check(
        tl_store_delete_prefix(txn, TL_DB_JOBS, "k0", 2, SIZE_MAX, NULL) == TL_OK, "removing");
    tl_fuzz_check(tl_store_commit(&txn) == TL_OK, "a commit");
}

static void make_sound(void)
{
    tl_store *store = NULL;
    (void)snprintf(dir, sizeof dir, "%s", tl_test_new_dir());
    tl_fuzz_check(
        snprintf(path, sizeof path, "%s/store.mdb", dir) < (int)sizeof path, "a path");
    tl_fuzz_check(tl_store_open(dir, 1, &store) == TL_OK, "a store");
    fill(store);
    tl_store_close(store);
    tl_fuzz_check(tl_file_read(path, MAX_FILE_BYTES, &sound, &len) == TL_OK, path);
    changed = tl_mem_new(len, 1);
    tl_fuzz_check(changed != NULL, "memory");
}

static void write_changed(const uint8_t *data, size_t size)
{
    tl_fuzz_piece piece;
    memcpy(changed, sound, len);
    while (tl_fuzz_next(&data, &size, &piece)) {
        size_t page = piece.kind % (len / PAGE_BYTES);
        if (piece.len > OFFSET_BYTES) {
            size_t offset =
                (piece.data[0] | (size_t)piece.data[1] << BITS_PER_BYTE) % PAGE_BYTES;
            size_t n = piece.len - OFFSET_BYTES;
            n = n < PAGE_BYTES - offset ? n : PAGE_BYTES - offset;
            memcpy(changed + page * PAGE_BYTES + offset, piece.data + OFFSET_BYTES, n);
        }
    }
    FILE *file = fopen(path, "wb");
    tl_fuzz_check(file != NULL, path);
    tl_fuzz_check(fwrite(changed, 1, len, file) == len, path);
    tl_fuzz_check(fclose(file) == 0, path);
}

/* ---- using it ------------------------------------------------------------------------------- */

static tl_err touch(void *context, const tl_store_entry *entry)
{
    unsigned *sum = context;
    for (size_t i = 0; i < entry->key_len; i++) {
        *sum += ((const unsigned char *)entry->key)[i];
    }
    for (size_t i = 0; i < entry->value_len && !entry->is_damaged; i++) {
        *sum += ((const unsigned char *)entry->value)[i];
    }
    return TL_OK;
}

static void read_all(tl_store *store)
{
    unsigned sum = 0;
    void *value = NULL;
    size_t value_len = 0;
    const tl_store_range all = {.with_damaged = true};
    for (tl_db db = 0; db < TL_N_DBS; db++) {
        tl_err err = tl_store_iterate_range(store, db, &all, touch, &sum);
        tl_fuzz_check(err == TL_OK || err == TL_EDAMAGED || err == TL_EIO, "reading all");
    }
    if (tl_store_get(store, TL_DB_DEVICES, "k150", 4, &value, &value_len) == TL_OK) {
        tl_mem_free(value);
    }
}

static void write_some(tl_store *store)
{
    tl_store_txn *txn = NULL;
    if (tl_store_begin(store, &txn) != TL_OK) {
        return;
    }
    tl_err err = tl_store_put(txn, TL_DB_SPACES, "new", 3, sound, LONG_BYTES);
    for (tl_db db = TL_DB_SPACES; db < TL_N_DBS && err == TL_OK; db++) {
        err = tl_store_delete_prefix(txn, db, "k1", 2, SIZE_MAX, NULL);
    }
    if (err != TL_OK || tl_store_commit(&txn) != TL_OK) {
        tl_store_abort(&txn);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tl_store *store = NULL;
    tl_store_report report = {0};
    if (sound == NULL) {
        make_sound();
    }
    size_t before = tl_fuzz_blocks();
    write_changed(data, size);
    if (tl_store_check(path, true, &report) == TL_OK) {
        tl_text_done(&report.damaged);
    }
    if (tl_store_open(dir, 1, &store) == TL_OK) {
        read_all(store);
        write_some(store);
        read_all(store);
        tl_store_close(store);
    }
    tl_fuzz_check_blocks(before);
    return 0;
}
