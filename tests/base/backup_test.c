/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/backup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/restore.h"
#include "base/store.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_BYTES = 600,
    MIB = 1 << 20
};

static const char *path_in(const char *dir, const char *name)
{
    static char paths[4][PATH_BYTES];
    static int next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, PATH_BYTES, "%.400s/%s", dir, name);
    return path;
}

/* ---- a backup made by hand --------------------------------------------------------------- */

static void add(
    tl_text *out, tl_backup_kind kind, const char *key, const char *value, size_t value_len)
{
    uint8_t head[TL_BACKUP_HEAD_BYTES];
    tl_backup_head(kind, strlen(key), value_len, head);
    tl_text_add_bytes(out, (const char *)head, sizeof head);
    tl_text_add(out, key);
    tl_text_add_bytes(out, value, value_len);
}

static void add_end(tl_text *out)
{
    uint8_t head[TL_BACKUP_HEAD_BYTES];
    uint8_t bytes[TL_DIGEST_BYTES];
    tl_digest digest;
    tl_backup_head(TL_BACKUP_END, 0, sizeof bytes, head);
    tl_text_add_bytes(out, (const char *)head, sizeof head);
    tl_digest_init(&digest);
    tl_digest_add(&digest, out->data, out->len);
    tl_digest_end(&digest, bytes);
    tl_text_add_bytes(out, (const char *)bytes, sizeof bytes);
}

static void make(tl_text *out, const char *number)
{
    const char *order = tl_backup_byte_order();
    tl_text_clear(out);
    tl_text_add(out, tl_backup_magic);
    add(out, TL_BACKUP_INFO, "created", "2026-11-21T00:00:00Z", 20);
    add(out, TL_BACKUP_INFO, TL_BACKUP_BYTE_ORDER_KEY, order, strlen(order));
    add(out, TL_BACKUP_DB, "devices", "", 0);
    add(out, TL_BACKUP_ENTRY, "board", number, strlen(number));
    add(out, TL_BACKUP_ENTRY, "empty", "", 0);
    add(out, TL_BACKUP_DB, "jobs", "", 0);
    add(out, TL_BACKUP_ENTRY, "1", number, strlen(number));
    add(out, TL_BACKUP_FILE, "models/toy.tlm", number, strlen(number));
    add_end(out);
    assert_ok(tl_text_err(out));
}

static const char *write_backup(const char *dir, const char *number)
{
    tl_text text = {0};
    const char *path = path_in(dir, number);
    make(&text, number);
    assert_ok(tl_file_write(path, text.data, text.len));
    tl_text_done(&text);
    return path;
}

/* ---- reading ------------------------------------------------------------------------------ */

static tl_err note(void *context, const tl_backup_record *record)
{
    tl_text *seen = context;
    tl_text_addf(seen, "%d %s=", (int)record->kind, record->key);
    tl_text_add_bytes(seen, record->value, record->value_len);
    tl_text_add(seen, "\n");
    return TL_OK;
}

static tl_err read_in(const tl_text *text, size_t step, tl_text *seen)
{
    tl_backup_reader *reader = NULL;
    TL_TRY(tl_backup_reader_new(seen != NULL ? note : NULL, seen, &reader));
    tl_err err = TL_OK;
    for (size_t at = 0; at < text->len && err == TL_OK; at += step) {
        size_t left = text->len - at;
        err = tl_backup_reader_feed(reader, text->data + at, left < step ? left : step);
    }
    if (err == TL_OK) {
        err = tl_backup_reader_finish(reader);
    }
    tl_backup_reader_free(reader);
    return err;
}

static void records_are_shown_whatever_the_pieces(void **state)
{
    (void)state;
    tl_text text = {0};
    make(&text, "7");
    for (size_t step = 1; step < text.len; step += 13) {
        tl_text seen = {0};
        assert_ok(read_in(&text, step, &seen));
        assert_non_null(strstr(seen.data, "3 board=7\n3 empty=\n2 jobs=\n3 1=7\n4 models/toy"));
        assert_ok(read_in(&text, step, NULL));
        tl_text_done(&seen);
    }
    tl_text_done(&text);
}

static void every_flipped_byte_and_every_cut_is_refused(void **state)
{
    (void)state;
    tl_text text = {0};
    make(&text, "7");
    for (size_t i = 0; i < text.len; i++) {
        tl_text seen = {0};
        text.data[i] ^= 4;
        tl_err err = read_in(&text, 64, &seen);
        assert_true(err == TL_EDAMAGED || err == TL_EVERSION);
        text.data[i] ^= 4;
        tl_text cut = {.data = text.data, .len = i};
        assert_err(TL_EDAMAGED, read_in(&cut, 64, NULL));
        tl_text_done(&seen);
    }
    tl_text_add(&text, "x");
    assert_err(TL_EDAMAGED, read_in(&text, 64, NULL));
    assert_detail("something follows its end");
    tl_text_done(&text);
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"models/../lock", "models/a/b.tlm", "../models/a.tlm",
                                        "models/.tlm",    "models/a",       "/models/a.tlm",
                                        "keys/a.tlm",     "models/..tlm"};
    for (size_t i = 0; i < TL_COUNT(names); i++) {
        tl_text text = {0};
        tl_text_add(&text, tl_backup_magic);
        add(&text, TL_BACKUP_FILE, names[i], "x", 1);
        add_end(&text);
        assert_err(TL_EDAMAGED, read_in(&text, 64, NULL));
        assert_detail("a file of an impossible name");
        tl_text_done(&text);
    }
}

/* ---- restoring ---------------------------------------------------------------------------- */

static tl_err restore(const char *path, const char *dir, bool replaces)
{
    tl_restore_report report;
    return tl_restore(
        &(tl_restore_options){.path = path, .data_dir = dir, .replaces = replaces}, &report);
}

static void assert_holds(const char *dir, const char *number)
{
    tl_store *store = NULL;
    char *value = NULL;
    void *entry = NULL;
    size_t len = 0;
    assert_ok(tl_store_open(dir, 64, &store));
    assert_ok(tl_store_get(store, TL_DB_DEVICES, "board", 5, &entry, &len));
    assert_string_equal(entry, number);
    tl_mem_free(entry);
    tl_store_close(store);
    assert_ok(tl_file_read(path_in(dir, "models/toy.tlm"), MIB, &value, &len));
    assert_string_equal(value, number);
    tl_mem_free(value);
    assert_false(tl_file_exists(path_in(dir, "restored")));
}

static void a_folder_is_restored_and_replaced_when_asked(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    const char *data = path_in(tl_test_new_dir(), "new/data");
    char kept[PATH_BYTES];
    tl_store *store = NULL;
    (void)snprintf(kept, sizeof kept, "%s", data);
    assert_ok(restore(write_backup(dir, "1"), kept, false));
    assert_holds(kept, "1");
    assert_err(TL_ESTATE, restore(write_backup(dir, "2"), kept, false));
    assert_detail("--force");
    assert_holds(kept, "1");
    assert_ok(tl_store_open(kept, 64, &store));
    assert_err(TL_ESTATE, restore(write_backup(dir, "2"), kept, true));
    assert_detail("is in use by process");
    tl_store_close(store);
    assert_ok(restore(write_backup(dir, "2"), kept, true));
    assert_holds(kept, "2");
}

static void a_damaged_backup_leaves_the_folder_as_it_was(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    const char *data = tl_test_new_dir();
    char *content = NULL;
    size_t len = 0;
    assert_ok(restore(write_backup(dir, "1"), data, true));
    assert_ok(tl_file_read(write_backup(dir, "2"), MIB, &content, &len));
    content[len - 1] ^= 1;
    assert_ok(tl_file_write(path_in(dir, "bad"), content, len));
    tl_mem_free(content);
    assert_err(TL_EDAMAGED, restore(path_in(dir, "bad"), data, true));
    assert_detail("SHA-256");
    assert_holds(data, "1");
    assert_err(TL_ENOTFOUND, restore(path_in(dir, "none"), data, true));
}

/* As a kill would leave it at each of the steps that put the new state in place. */
static void a_restore_that_was_interrupted_is_completed(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    for (int step = 0; step < 4; step++) {
        char data[PATH_BYTES];
        char new[PATH_BYTES];
        (void)snprintf(data, sizeof data, "%s", tl_test_new_dir());
        (void)snprintf(new, sizeof new, "%.400s/restored", data);
        assert_ok(restore(write_backup(dir, "1"), data, true));
        assert_ok(restore(write_backup(dir, "2"), new, true));
        assert_int_equal(unlink(path_in(new, "lock")), 0);
        if (step >= 1) {
            assert_int_equal(rename(path_in(new, "store.mdb"), path_in(data, "store.mdb")), 0);
        }
        if (step >= 2) {
            assert_int_equal(rename(path_in(data, "models"), path_in(new, "former-models")), 0);
        }
        if (step >= 3) {
            assert_int_equal(rename(path_in(new, "models"), path_in(data, "models")), 0);
        }
        assert_ok(tl_file_make_dirs(path_in(data, "restore.abcdef/models")));
        assert_holds(data, "2");
        assert_false(tl_file_exists(path_in(data, "restore.abcdef")));
    }
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    const char *path = write_backup(dir, "1");
    const char *data = tl_test_new_dir();
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    assert_ok(restore(path, data, true));
    for (long k = 1; err != TL_OK && k < 1000; k++) {
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = restore(path, data, true);
        tl_mem_fail_at(0);
        n_failures += err != TL_OK ? 1 : 0;
        assert_int_equal(tl_mem_live(), live_before);
    }
    assert_ok(err);
    assert_true(n_failures >= 20);
    assert_holds(data, "1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_are_shown_whatever_the_pieces),
        TEST(every_flipped_byte_and_every_cut_is_refused),
        TEST(names_that_lead_elsewhere_are_refused),
        TEST(a_folder_is_restored_and_replaced_when_asked),
        TEST(a_damaged_backup_leaves_the_folder_as_it_was),
        TEST(a_restore_that_was_interrupted_is_completed),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("base/backup", tests, NULL, NULL);
}
