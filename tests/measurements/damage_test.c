/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/measurements/cell_space.h"

#include "base/damage.h"
#include "base/mem.h"
#include "base/store.h"
#include "measurements/columns.h"
#include "tests/support/damage.h"

#include <stdio.h>
#include <string.h>

/* One bit of the store is turned over: what cannot be known is refused, all else is served,
 * and what the documentation says to do about it helps. */

enum {
    IN_KEY_SUM = 3,      /* of the head: seen also by who reads no more than that */
    IN_SHORT_VALUE = 17, /* seen by who reads all of it */
    IN_VALUE = 40
};

static const char hurt_key[] = "cnasbench201\0"
                               "0hurt";
static const char task_key[] = "cnasbench201\0"
                               "2task";
static const char space_key[] = "snasbench201";

typedef struct fixture {
    tl_space *space;
    tl_store *store;
    char dir[600];
} fixture;

static fixture f;

static tl_err import_text(const char *csv, tl_import_report *report)
{
    tl_table table = {0};
    tl_import_report ignored;
    TL_TRY(parse(f.space, TL_TABLE_IMPORT, csv, &table));
    tl_err err = tl_columns_import(
        f.store, f.space, &table, NULL, NULL, report != NULL ? report : &ignored);
    tl_table_done(&table);
    return err;
}

static int make(void **state)
{
    (void)tl_test_count_blocks(state);
    f.space = load_space("nasbench201");
    (void)snprintf(f.dir, sizeof f.dir, "%s", tl_test_new_dir());
    assert_ok(tl_store_open(f.dir, 64, &f.store));
    assert_ok(import_text(
        HEADER ",latency_ms@hurt,latency_ms@whole,energy_mj@hurt,accuracy@task\n" CELL_A
               ",1,2,3,90\n" CELL_B ",4,5,,91\n",
        NULL));
    return 0;
}

static int unmake(void **state)
{
    tl_store_close(f.store);
    tl_space_unref(f.space);
    return tl_test_no_leaks(state);
}

static void damage(const char *key, size_t key_len, size_t at)
{
    tl_store_close(f.store);
    tl_test_damage(f.dir, key, key_len, at);
    assert_ok(tl_store_open(f.dir, 64, &f.store));
}

static tl_err append(void *context, const char *data, size_t len)
{
    tl_text *text = context;
    tl_text_add_bytes(text, data, len);
    return tl_text_err(text);
}

static void assert_export(const char *wanted_header, const char *wanted_damaged)
{
    tl_text text = {0};
    tl_damage damaged = {0};
    tl_text_add(&damaged.names, "");
    assert_ok(tl_columns_export(f.store, f.space, NULL, append, &text, &damaged));
    const char *latency = strstr(text.data, ",latency_ms");
    assert_non_null(latency);
    assert_memory_equal(latency, wanted_header, strlen(wanted_header));
    assert_string_equal(damaged.names.data, wanted_damaged);
    tl_damage_done(&damaged);
    tl_text_done(&text);
}

static uint64_t revision(void)
{
    uint64_t r = 0;
    assert_ok(tl_columns_revision(f.store, "nasbench201", &r));
    return r;
}

static tl_err remove_device(const char *device)
{
    tl_store_txn *txn = NULL;
    TL_TRY(tl_store_begin(f.store, &txn));
    tl_err err = tl_columns_remove_device(txn, device);
    if (err == TL_OK) {
        return tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    return err;
}

static void assert_count(tl_err wanted_err, int wanted, const char *device)
{
    int n = -1;
    assert_err(
        wanted_err, tl_columns_count(f.store, "nasbench201", TL_METRIC_LATENCY_MS, device, &n));
    assert_int_equal(n, wanted);
}

static void what_asks_for_all_passes_over_a_damaged_head(void **state)
{
    (void)state;
    tl_column_list list = {0};
    tl_text text = {0};
    size_t n_left_out = 9;
    bool is_there = false;
    damage(hurt_key, sizeof hurt_key - 1, IN_KEY_SUM);
    assert_ok(tl_columns_largest(
        f.store, "nasbench201", TL_METRIC_LATENCY_MS, 5, &list, &n_left_out));
    assert_int_equal(list.n_columns, 1);
    assert_string_equal(list.columns[0].subject, "whole");
    assert_int_equal(n_left_out, 0);
    assert_int_equal(list.damaged.n, 1);
    assert_string_equal(list.damaged.names.data, "latency_ms@hurt\n");
    tl_column_list_done(&list);
    assert_export(",latency_ms@whole,energy_mj@hurt,accuracy@task\n", "latency_ms@hurt\n");
    assert_err(TL_EDAMAGED, tl_columns_export(f.store, f.space, NULL, append, &text, NULL));
    assert_detail("latency_ms@hurt of space nasbench201 is damaged");
    assert_err(TL_EDAMAGED, tl_columns_export(f.store, f.space, "hurt", append, &text, NULL));
    tl_text_done(&text);
    assert_count(TL_EDAMAGED, -1, "hurt");
    assert_detail("latency_ms@hurt is damaged");
    assert_count(TL_OK, 2, "whole");
    assert_count(TL_OK, 0, "hur"); /* the next column behind the name is another's */
    assert_ok(tl_columns_exist(f.store, "nasbench201", &is_there));
    assert_true(is_there);
    assert_ok(tl_columns_exist(f.store, "nasbench20", &is_there));
    assert_false(is_there);
}

static void a_list_reads_no_more_than_heads(void **state)
{
    (void)state;
    tl_column_list list = {0};
    size_t n_left_out = 9;
    damage(hurt_key, sizeof hurt_key - 1, IN_VALUE);
    assert_ok(tl_columns_largest(
        f.store, "nasbench201", TL_METRIC_LATENCY_MS, 5, &list, &n_left_out));
    assert_int_equal(list.n_columns, 2);
    assert_int_equal(list.damaged.n, 0);
    tl_column_list_done(&list);
    assert_count(TL_OK, 2, "hurt");
    assert_export(",latency_ms@whole,energy_mj@hurt,accuracy@task\n", "latency_ms@hurt\n");
}

static void a_damaged_device_is_removed_and_imported_again(void **state)
{
    (void)state;
    static const char csv[] = HEADER ",latency_ms@hurt\n" CELL_A ",7\n";
    static const size_t spots[] = {IN_KEY_SUM, IN_VALUE};
    for (size_t i = 0; i < TL_COUNT(spots); i++) {
        damage(hurt_key, sizeof hurt_key - 1, spots[i]);
        assert_err(TL_EDAMAGED, import_text(csv, NULL));
        assert_detail("latency_ms@hurt in space nasbench201 is damaged: remove the device");
        assert_ok(remove_device("hurt"));
        assert_count(TL_OK, 0, "hurt");
        assert_ok(import_text(csv, NULL));
        assert_count(TL_OK, 1, "hurt");
    }
    assert_count(TL_OK, 2, "whole");
}

static void damaged_accuracies_are_replaced_by_an_import(void **state)
{
    (void)state;
    tl_import_report report = {0};
    damage(task_key, sizeof task_key - 1, IN_VALUE);
    assert_ok(import_text(HEADER ",latency_ms@whole\n" CELL_A ",2\n", &report));
    assert_int_equal(report.n_lost, 0);
    assert_ok(import_text(HEADER ",accuracy@task\n" CELL_C ",92\n", &report));
    assert_int_equal(report.n_lost, 1);
    assert_int_equal(report.n_new, 1);
    assert_export(",latency_ms@hurt,latency_ms@whole,energy_mj@hurt,accuracy@task\n", "");
}

static void a_damaged_counter_of_revisions_goes_on_from_the_clock(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        uint64_t before = revision();
        damage("r", 1, i == 0 ? IN_KEY_SUM : IN_SHORT_VALUE);
        if (i == 0) {
            assert_ok(import_text(HEADER ",latency_ms@new\n" CELL_A ",1\n", NULL));
        } else {
            assert_ok(remove_device("new"));
        }
        assert_true(revision() > before);
        before = revision();
        assert_ok(import_text(HEADER ",latency_ms@whole\n" CELL_C ",1\n" CELL_A ",9\n", NULL));
        assert_true(i == 1 || revision() == before + 1);
    }
}

static void a_lost_counter_of_revisions_is_noticed(void **state)
{
    (void)state;
    tl_store_txn *txn = NULL;
    for (int i = 0; i < 3; i++) {
        char csv[200];
        (void)snprintf(csv, sizeof csv, HEADER ",latency_ms@whole\n" CELL_A ",%d\n", 10 + i);
        assert_ok(import_text(csv, NULL));
    }
    uint64_t before = revision();
    assert_ok(tl_store_begin(f.store, &txn));
    assert_ok(tl_store_delete(txn, TL_DB_MEASUREMENTS, "r", 1));
    assert_ok(tl_store_commit(&txn));
    assert_ok(remove_device("hurt"));
    assert_true(revision() > before);
}

static void a_damaged_record_of_a_space_is_made_again_from_its_columns(void **state)
{
    (void)state;
    static const char same[] = HEADER ",latency_ms@whole\n" CELL_A ",2\n";
    uint64_t before = revision();
    damage(space_key, sizeof space_key - 1, IN_VALUE);
    uint64_t meanwhile = revision();
    assert_true(meanwhile != before && meanwhile != revision());
    tl_space *space = f.space;
    f.space = another_space(space);
    assert_err(TL_ESTATE, import_text(same, NULL));
    tl_space_unref(f.space);
    f.space = space;
    tl_import_report report = {0};
    assert_ok(import_text(same, &report)); /* nothing new, and yet the record is written */
    assert_int_equal(report.n_new + report.n_changed, 0);
    assert_int_equal(report.revision, revision());
    assert_true(revision() > before && revision() < meanwhile);
    damage(space_key, sizeof space_key - 1, IN_KEY_SUM);
    before = report.revision;
    assert_ok(remove_device("hurt"));
    assert_count(TL_OK, 0, "hurt");
    assert_true(revision() == before + 1);
}

static void a_space_of_which_nothing_sound_is_left_takes_an_import(void **state)
{
    (void)state;
    assert_ok(remove_device("whole"));
    damage(task_key, sizeof task_key - 1, IN_VALUE);
    damage(space_key, sizeof space_key - 1, IN_VALUE);
    assert_ok(remove_device("hurt"));
    assert_count(TL_OK, 0, "hurt");
    assert_ok(import_text(HEADER ",accuracy@task\n" CELL_C ",92\n", NULL));
    uint64_t r = revision();
    assert_true(r == revision());
}

static void sixteen_are_named_and_all_are_counted(void **state)
{
    (void)state;
    tl_damage damaged = {0};
    for (int i = 0; i < 1000; i++) {
        assert_ok(tl_damage_add(&damaged, "x"));
    }
    assert_int_equal(damaged.n, 1000);
    assert_int_equal(damaged.names.len, (size_t)2 * TL_DAMAGE_MAX_NAMED);
    assert_int_equal(tl_damage_n_unnamed(&damaged), 1000 - TL_DAMAGE_MAX_NAMED);
    tl_damage_done(&damaged);
    assert_int_equal(tl_damage_n_unnamed(&damaged), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_asks_for_all_passes_over_a_damaged_head),
        TEST(a_list_reads_no_more_than_heads),
        TEST(a_damaged_device_is_removed_and_imported_again),
        TEST(damaged_accuracies_are_replaced_by_an_import),
        TEST(a_damaged_counter_of_revisions_goes_on_from_the_clock),
        TEST(a_lost_counter_of_revisions_is_noticed),
        TEST(a_damaged_record_of_a_space_is_made_again_from_its_columns),
        TEST(a_space_of_which_nothing_sound_is_left_takes_an_import),
        TEST(sixteen_are_named_and_all_are_counted),
    };
    return cmocka_run_group_tests_name("measurements/damage", tests, NULL, NULL);
}
