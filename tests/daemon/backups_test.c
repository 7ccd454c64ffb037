/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/backup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/store.h"
#include "base/units.h"
#include "daemon/backups.h"
#include "tests/support/damage.h"

#include <stdio.h>
#include <string.h>

enum {
    VALUE_BYTES = 300 * 1000,
    N_VALUES = 10,
    N_FAILURES = 40
};

typedef struct fixture {
    tl_store *store;
    tl_backups *backups;
} fixture;

static void put(tl_store *store, const char *key, const void *value, size_t len)
{
    tl_store_txn *txn = NULL;
    assert_ok(tl_store_begin(store, &txn));
    assert_ok(tl_store_put(txn, TL_DB_MEASUREMENTS, key, strlen(key), value, len));
    assert_ok(tl_store_commit(&txn));
}

/* Three pieces of values, and a model. */
static fixture open_all(void)
{
    static char value[VALUE_BYTES];
    fixture f = {0};
    char path[600];
    const char *dir = tl_test_new_dir();
    (void)snprintf(path, sizeof path, "%s/models", dir);
    assert_ok(tl_file_make_dirs(path));
    (void)snprintf(path, sizeof path, "%s/models/toy.tlm", dir);
    assert_ok(tl_file_write(path, "a model", 7));
    assert_ok(tl_store_open(dir, 64, &f.store));
    for (int i = 0; i < N_VALUES; i++) {
        char key[2] = {(char)('a' + i), '\0'};
        memset(value, 'A' + i, sizeof value);
        put(f.store, key, value, sizeof value);
    }
    assert_ok(tl_backups_new(f.store, dir, &f.backups));
    return f;
}

static void close_all(fixture *f)
{
    tl_backups_free(f->backups);
    tl_store_close(f->store);
}

typedef struct seen {
    int n_entries, n_files;
} seen;

static tl_err look(void *context, const tl_backup_record *record)
{
    seen *s = context;
    if (record->kind == TL_BACKUP_ENTRY) {
        assert_int_equal(record->value_len, VALUE_BYTES);
        assert_int_equal(record->value[0], 'A' + record->key[0] - 'a');
        s->n_entries++;
    }
    s->n_files += record->kind == TL_BACKUP_FILE ? 1 : 0;
    return TL_OK;
}

/* Reads to the end, each piece twice where asked: a lost reply. */
static tl_err fetch(tl_backups *backups, bool is_lossy, seen *s)
{
    uint64_t id = 0;
    uint64_t about = 0;
    uint64_t offset = 0;
    bool is_last = false;
    tl_backup_reader *reader = NULL;
    TL_TRY(tl_backups_begin(backups, &id, &about));
    tl_err err = tl_backup_reader_new(look, s, &reader);
    for (int turn = 0; err == TL_OK && !is_last; turn++) {
        uint8_t *data = NULL;
        size_t len = 0;
        err = tl_backups_read(backups, id, offset, &data, &len, &is_last, NULL);
        if (err == TL_OK && is_lossy && turn % 2 == 0) {
            tl_mem_free(data);
            is_last = false;
            continue;
        }
        if (err == TL_OK) {
            assert_true(len > 0 && len <= TL_BACKUP_PIECE_BYTES);
            offset += len;
            err = tl_backup_reader_feed(reader, data, len);
            tl_mem_free(data);
        }
    }
    if (err == TL_OK) {
        err = tl_backup_reader_finish(reader);
    } else {
        tl_err ended = tl_backups_end(backups, id);
        assert_true(ended == TL_OK || ended == TL_ENOTFOUND || ended == TL_ENOMEM);
    }
    tl_backup_reader_free(reader);
    return err;
}

static void a_backup_is_fetched_whole_also_where_replies_are_lost(void **state)
{
    (void)state;
    fixture f = open_all();
    for (int is_lossy = 0; is_lossy < 2; is_lossy++) {
        seen s = {0};
        assert_ok(fetch(f.backups, is_lossy == 1, &s));
        assert_int_equal(s.n_entries, N_VALUES);
        assert_int_equal(s.n_files, 1);
    }
    close_all(&f);
}

static void what_is_written_meanwhile_is_not_in_it(void **state)
{
    (void)state;
    fixture f = open_all();
    uint64_t id = 0;
    uint64_t about = 0;
    uint8_t *data = NULL;
    size_t len = 0;
    bool is_last = false;
    tl_backup_reader *reader = NULL;
    seen s = {0};
    assert_ok(tl_backups_begin(f.backups, &id, &about));
    assert_true(about > (uint64_t)N_VALUES * VALUE_BYTES);
    for (char key[2] = "a"; key[0] < 'a' + N_VALUES; key[0]++) {
        put(f.store, key, "later", 5);
    }
    put(f.store, "later", "x", 1);
    assert_ok(tl_backup_reader_new(look, &s, &reader));
    for (uint64_t offset = 0; !is_last; offset += len) {
        assert_ok(tl_backups_read(f.backups, id, offset, &data, &len, &is_last, NULL));
        assert_ok(tl_backup_reader_feed(reader, data, len));
        tl_mem_free(data);
    }
    assert_ok(tl_backup_reader_finish(reader));
    assert_int_equal(s.n_entries, N_VALUES);
    tl_backup_reader_free(reader);
    close_all(&f);
}

static void put_small(tl_store *store, const char *prefix, int n)
{
    tl_store_txn *txn = NULL;
    assert_ok(tl_store_begin(store, &txn));
    for (int i = 0; i < n; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%s%04d", prefix, i);
        assert_ok(tl_store_put(txn, TL_DB_DEVICES, key, strlen(key), "small", 5));
    }
    assert_ok(tl_store_commit(&txn));
}

static tl_err count_entries(void *context, const tl_backup_record *record)
{
    *(int *)context += record->kind == TL_BACKUP_ENTRY ? 1 : 0;
    return TL_OK;
}

static void sixteen_damaged_values_are_named_and_all_are_counted(void **state)
{
    (void)state;
    enum {
        N_SMALL = 20
    };
    char dir[600];
    tl_store *store = NULL;
    tl_backups *backups = NULL;
    uint64_t id = 0;
    uint64_t about = 0;
    (void)snprintf(dir, sizeof dir, "%s", tl_test_new_dir());
    assert_ok(tl_store_open(dir, 64, &store));
    put_small(store, "bad", N_SMALL);
    put_small(store, "good", 3);
    tl_store_close(store);
    for (int i = 0; i < N_SMALL; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "bad%04d", i);
        tl_test_damage(dir, key, strlen(key), 18);
    }
    assert_ok(tl_store_open(dir, 64, &store));
    assert_ok(tl_backups_new(store, dir, &backups));
    assert_ok(tl_backups_begin(backups, &id, &about));
    for (int turn = 0; turn < 2; turn++) { /* the second time as if the reply was lost */
        uint8_t *data = NULL;
        size_t len = 0;
        int n_entries = 0;
        bool is_last = false;
        tl_damage left_out = {0};
        tl_backup_reader *reader = NULL;
        assert_ok(tl_backups_read(backups, id, 0, &data, &len, &is_last, &left_out));
        assert_true(is_last);
        assert_int_equal(left_out.n, N_SMALL);
        assert_int_equal(
            left_out.names.len, TL_DAMAGE_MAX_NAMED * strlen("devices \"bad0000\"\n"));
        assert_non_null(strstr(left_out.names.data, "devices \"bad0015\"\n"));
        assert_ok(tl_backup_reader_new(count_entries, &n_entries, &reader));
        assert_ok(tl_backup_reader_feed(reader, data, len));
        assert_ok(tl_backup_reader_finish(reader));
        assert_int_equal(n_entries, 3);
        tl_backup_reader_free(reader);
        tl_damage_done(&left_out);
        tl_mem_free(data);
    }
    tl_backups_free(backups);
    tl_store_close(store);
}

/* Ids begin beyond those of a daemon before: its clients must not read on in another backup. */
static void a_backup_of_a_former_daemon_is_not_known(void **state)
{
    (void)state;
    fixture f = open_all();
    uint64_t id = 0;
    uint64_t about = 0;
    uint8_t *data = NULL;
    size_t len = 0;
    bool is_last = false;
    assert_ok(tl_backups_begin(f.backups, &id, &about));
    assert_true(id > UINT32_MAX);
    assert_err(TL_ENOTFOUND, tl_backups_read(f.backups, 1, 0, &data, &len, &is_last, NULL));
    close_all(&f);
}

static void wrong_offsets_and_unknown_backups_are_refused(void **state)
{
    (void)state;
    fixture f = open_all();
    uint64_t ids[TL_BACKUPS_MAX + 1];
    uint64_t about = 0;
    uint8_t *data = NULL;
    size_t len = 0;
    bool is_last = false;
    for (int i = 0; i < TL_BACKUPS_MAX; i++) {
        assert_ok(tl_backups_begin(f.backups, &ids[i], &about));
    }
    assert_err(TL_EBUSY, tl_backups_begin(f.backups, &ids[TL_BACKUPS_MAX], &about));
    assert_err(TL_ESTATE, tl_backups_read(f.backups, ids[0], 7, &data, &len, &is_last, NULL));
    assert_detail("offset: got 7, want 0");
    assert_err(TL_ENOTFOUND, tl_backups_read(f.backups, 999, 0, &data, &len, &is_last, NULL));
    assert_ok(tl_backups_end(f.backups, ids[0]));
    assert_err(TL_ENOTFOUND, tl_backups_end(f.backups, ids[0]));
    assert_ok(tl_backups_begin(f.backups, &ids[0], &about));
    close_all(&f);
}

static void backups_that_were_left_are_dropped(void **state)
{
    (void)state;
    fixture f = open_all();
    uint64_t id = 0;
    uint64_t about = 0;
    assert_ok(tl_backups_begin(f.backups, &id, &about));
    tl_backups_sweep(f.backups, tl_clock_ns()); /* nobody has been away for long */
    tl_backups_sweep(f.backups, tl_clock_ns() + (TL_BACKUP_IDLE_S + 1) * TL_NS_PER_S);
    assert_err(TL_ENOTFOUND, tl_backups_end(f.backups, id));
    close_all(&f);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    fixture f = open_all();
    int n_failures = 0;
    for (long k = 1; k <= N_FAILURES; k++) {
        seen s = {0};
        tl_mem_fail_at(k);
        tl_err err = fetch(f.backups, false, &s);
        tl_mem_fail_at(0);
        assert_true(err == TL_ENOMEM || (err == TL_OK && s.n_entries == N_VALUES));
        n_failures += err != TL_OK ? 1 : 0;
    }
    assert_true(n_failures >= 10);
    close_all(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_backup_is_fetched_whole_also_where_replies_are_lost),
        TEST(what_is_written_meanwhile_is_not_in_it),
        TEST(sixteen_damaged_values_are_named_and_all_are_counted),
        TEST(a_backup_of_a_former_daemon_is_not_known),
        TEST(wrong_offsets_and_unknown_backups_are_refused),
        TEST(backups_that_were_left_are_dropped),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("daemon/backups", tests, NULL, NULL);
}
