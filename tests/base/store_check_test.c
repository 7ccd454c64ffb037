/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/store.h"
#include "base/store_check.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * What is flipped, cut off or taken away from a store's file: an error that says where, or the
 * value as it was written, and never another one nor a crash.
 */

enum {
    PATH_BYTES = 600,
    MIB = 1 << 20,
    N_SMALL = 400,
    N_LONG = 4,
    LONG_BYTES = 20000,
    N_FLIPS = 600,
    N_CHANGES = 60
};

static const char *path_in(const char *dir, const char *name)
{
    static char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return *state >> 33;
}

static tl_err put(tl_store_txn *txn, tl_db db, int i, int version, size_t len)
{
    char key[32];
    static char value[LONG_BYTES];
    int n = snprintf(key, sizeof key, "key-%05d", i);
    memset(value, 'a' + (i + version) % 26, len);
    return tl_store_put(txn, db, key, (size_t)n, value, len);
}

/* Devices that were rewritten, so that some pages are free, and long values. */
static void fill(const char *dir)
{
    tl_store *store = NULL;
    assert_ok(tl_store_open(dir, 64, &store));
    for (int version = 2; version >= 0; version--) {
        tl_store_txn *txn = NULL;
        assert_ok(tl_store_begin(store, &txn));
        for (int i = 0; i < N_SMALL; i++) {
            assert_ok(put(txn, TL_DB_DEVICES, i, version, (size_t)(20 + i % 50)));
        }
        for (int i = 0; i < N_LONG; i++) {
            assert_ok(put(txn, TL_DB_MEASUREMENTS, i, version, LONG_BYTES));
        }
        assert_ok(tl_store_commit(&txn));
    }
    tl_store_close(store);
}

/* Whether the value is that of the last version. */
static tl_err look(void *context, const tl_store_entry *entry)
{
    int *n = context;
    int i = 0;
    const char *value = entry->value;
    assert_int_equal(sscanf(entry->key, "key-%05d", &i), 1);
    for (size_t k = 0; k < entry->value_len; k++) {
        assert_int_equal(value[k], 'a' + i % 26);
    }
    ++*n;
    return TL_OK;
}

static tl_err read_all(const char *dir)
{
    tl_store *store = NULL;
    int n_small = 0;
    int n_long = 0;
    TL_TRY(tl_store_open(dir, 64, &store));
    tl_err err = tl_store_iterate(store, TL_DB_DEVICES, NULL, 0, look, &n_small);
    if (err == TL_OK) {
        err = tl_store_iterate(store, TL_DB_MEASUREMENTS, NULL, 0, look, &n_long);
    }
    tl_store_txn *txn = NULL;
    tl_err write_err = tl_store_begin(store, &txn);
    if (write_err == TL_OK && (write_err = put(txn, TL_DB_JOBS, 1, 0, 100)) == TL_OK) {
        write_err = tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    tl_store_close(store);
    if (err == TL_OK) {
        assert_int_equal(n_small, N_SMALL);
        assert_int_equal(n_long, N_LONG);
        assert_ok(write_err);
    }
    return err;
}

static void a_flipped_byte_is_noticed_or_does_no_harm(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    uint64_t seed = tl_test_seed();
    char *whole = NULL;
    size_t len = 0;
    int n_noticed = 0;
    fill(dir);
    assert_ok(tl_file_read(path_in(dir, "store.mdb"), 10 * MIB, &whole, &len));
    for (int i = 0; i < N_FLIPS; i++) {
        /* Every other one in the bytes that begin a page, where the structure is. */
        size_t at = (next(&seed) << 20 ^ next(&seed)) % len;
        at = i % 2 == 0 ? at : at / 4096 * 4096 + at % 64;
        char was = whole[at];
        whole[at] = (char)(was ^ (char)(1 + next(&seed) % 255));
        assert_ok(tl_file_write(path_in(dir, "store.mdb"), whole, len));
        tl_err err = read_all(dir);
        if (err != TL_OK && err != TL_EVERSION) {
            assert_err(TL_EDAMAGED, err);
            assert_detail("store.mdb");
        }
        n_noticed += err != TL_OK ? 1 : 0;
        whole[at] = was;
    }
    print_message("%d of %d flipped bytes are noticed\n", n_noticed, (int)N_FLIPS);
    assert_true(n_noticed > N_FLIPS / 4);
    tl_mem_free(whole);
}

static void a_file_cut_off_anywhere_is_an_error(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    char *whole = NULL;
    size_t len = 0;
    fill(dir);
    assert_ok(tl_file_read(path_in(dir, "store.mdb"), 10 * MIB, &whole, &len));
    for (size_t cut = 0; cut < len; cut += 4096 * 7 + 100) {
        assert_ok(tl_file_write(path_in(dir, "store.mdb"), whole, cut));
        tl_err err = read_all(dir);
        assert_true(err == TL_EDAMAGED || (err == TL_OK && cut > len / 2));
    }
    assert_int_equal(unlink(path_in(dir, "store.mdb")), 0);
    assert_err(TL_EDAMAGED, read_all(dir));
    assert_detail("holds-data says that it held data");
    tl_mem_free(whole);
}

/* The pages that the check wants to see are those that LMDB writes, whatever is done. */
static void what_was_changed_in_many_ways_passes(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    uint64_t seed = tl_test_seed();
    tl_store *store = NULL;
    for (int i = 0; i < N_CHANGES; i++) {
        tl_store_txn *txn = NULL;
        tl_store_report report = {0};
        assert_ok(tl_store_open(dir, 64, &store));
        assert_ok(tl_store_begin(store, &txn));
        int n = (int)(next(&seed) % 300);
        for (int k = 0; k < n; k++) {
            char key[64];
            int number = (int)(next(&seed) % 2000);
            size_t size = next(&seed) % 20 == 0 ? LONG_BYTES : next(&seed) % 600;
            tl_db db = (tl_db)(next(&seed) % TL_N_DBS);
            int key_len = snprintf(key, sizeof key, "key-%05d", number);
            if (next(&seed) % 3 == 0) {
                tl_err err = tl_store_delete(txn, db, key, (size_t)key_len);
                assert_true(err == TL_OK || err == TL_ENOTFOUND);
            } else {
                assert_ok(put(txn, db, number, 0, size));
            }
        }
        if (i % 10 == 9) {
            assert_ok(tl_store_delete_prefix(txn, TL_DB_DEVICES, "key-0", 5, SIZE_MAX, NULL));
        }
        assert_ok(tl_store_commit(&txn));
        tl_store_close(store);
        assert_ok(tl_store_check(path_in(dir, "store.mdb"), true, &report));
        assert_int_equal(report.n_damaged, 0);
        assert_true(report.has_heads);
        tl_text_done(&report.damaged);
    }
}

static tl_err show_damaged(void *context, const tl_store_entry *entry)
{
    *(int *)context += entry->is_damaged ? 1 : 0;
    return TL_OK;
}

static void a_damaged_value_is_named_and_the_others_are_read(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    tl_store *store = NULL;
    char *whole = NULL;
    void *value = NULL;
    size_t len = 0;
    int n = 0;
    fill(dir);
    assert_ok(tl_file_read(path_in(dir, "store.mdb"), 10 * MIB, &whole, &len));
    for (size_t i = 0; i + 29 < len; i++) { /* in every version of it that still lies there */
        if (memcmp(whole + i, "key-00007", 9) == 0 && whole[i + 25 + 4] == 'h') {
            whole[i + 25 + 4] = 'x';
        }
    }
    assert_ok(tl_file_write(path_in(dir, "store.mdb"), whole, len));
    tl_mem_free(whole);
    assert_ok(tl_store_open(dir, 64, &store));
    assert_string_equal(tl_store_damage(store), "devices \"key-00007\"\n");
    assert_err(TL_EDAMAGED, tl_store_get(store, TL_DB_DEVICES, "key-00007", 9, &value, &len));
    assert_detail("devices \"key-00007\"");
    assert_ok(tl_store_get(store, TL_DB_DEVICES, "key-00008", 9, &value, &len));
    tl_mem_free(value);
    assert_err(TL_EDAMAGED, tl_store_iterate(store, TL_DB_DEVICES, NULL, 0, look, &n));
    n = 0;
    const tl_store_range all = {.with_damaged = true};
    assert_ok(tl_store_iterate_range(store, TL_DB_DEVICES, &all, show_damaged, &n));
    assert_int_equal(n, 1);
    tl_store_txn *txn = NULL;
    assert_ok(tl_store_begin(store, &txn));
    assert_ok(put(txn, TL_DB_DEVICES, 7, 0, 30));
    assert_ok(tl_store_commit(&txn));
    assert_ok(tl_store_get(store, TL_DB_DEVICES, "key-00007", 9, &value, &len));
    tl_mem_free(value);
    tl_store_close(store);
}

/* tests/base/former/store.mdb was written before there were checksums. */
static void a_store_without_checksums_gets_them(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    char former[PATH_BYTES];
    char *bytes = NULL;
    void *value = NULL;
    size_t len = 0;
    tl_store *store = NULL;
    tl_store_report report = {0};
    (void)snprintf(
        former, sizeof former, "%s/tests/base/former/store.mdb", tl_test_source_dir());
    assert_ok(tl_file_read(former, MIB, &bytes, &len));
    assert_ok(tl_file_write(path_in(dir, "store.mdb"), bytes, len));
    tl_mem_free(bytes);
    assert_ok(tl_store_check(path_in(dir, "store.mdb"), true, &report));
    assert_false(report.has_heads);
    tl_text_done(&report.damaged);
    for (int i = 0; i < 2; i++) {
        assert_ok(tl_store_open(dir, 64, &store));
        assert_ok(tl_store_get(store, TL_DB_DEVICES, "board", 5, &value, &len));
        assert_string_equal(value, "small");
        tl_mem_free(value);
        assert_ok(tl_store_get(store, TL_DB_DEVICES, "empty", 5, &value, &len));
        assert_int_equal(len, 0);
        tl_mem_free(value);
        assert_ok(tl_store_get(store, TL_DB_MEASUREMENTS, "long", 4, &value, &len));
        assert_int_equal(len, 6000);
        assert_int_equal(((const char *)value)[len - 1], 'b');
        tl_mem_free(value);
        tl_store_close(store);
    }
    assert_ok(tl_store_check(path_in(dir, "store.mdb"), true, &report));
    assert_true(report.has_heads);
    assert_int_equal(report.n_damaged, 0);
    tl_text_done(&report.damaged);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_flipped_byte_is_noticed_or_does_no_harm),
        TEST(a_file_cut_off_anywhere_is_an_error),
        TEST(what_was_changed_in_many_ways_passes),
        TEST(a_store_without_checksums_gets_them),
        TEST(a_damaged_value_is_named_and_the_others_are_read),
    };
    return cmocka_run_group_tests_name("base/store_check", tests, NULL, NULL);
}
