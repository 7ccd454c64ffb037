/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "daemon/engine.h"
#include "daemon/space_table.h"

#include <stdio.h>
#include <string.h>

static tl_space *load(const char *name)
{
    char path[512];
    tl_space *space = NULL;
    (void)snprintf(path, sizeof path, "%s/tests/spaces/user/%s", tl_test_source_dir(), name);
    assert_ok(tl_space_load(path, &space));
    return space;
}

static void spaces_are_found_by_name_and_listed_in_its_order(void **state)
{
    (void)state;
    static const char *const files[] = {
        "tiny-staged.yaml", "tiny-cell.yaml", "tiny-list.yaml", "tiny-chain.yaml"};
    tl_space_table *table = NULL;
    tl_space_entry *entries = NULL;
    size_t n = 0;
    assert_ok(tl_space_table_new(&table));
    for (size_t i = 0; i < TL_COUNT(files); i++) {
        tl_space *space = load(files[i]);
        tl_space *found = NULL;
        bool is_built_in = false;
        assert_ok(tl_space_table_add(table, space, i % 2 == 0));
        assert_err(TL_EEXISTS, tl_space_table_add(table, space, true));
        assert_ok(tl_space_table_find(table, tl_space_name(space), &found, &is_built_in));
        assert_ptr_equal(found, space);
        assert_int_equal(is_built_in, i % 2 == 0);
        tl_space_unref(found);
        tl_space_unref(space);
    }
    assert_ok(tl_space_table_list(table, &entries, &n));
    assert_int_equal(n, TL_COUNT(files));
    for (size_t i = 1; i < n; i++) {
        assert_true(
            strcmp(tl_space_name(entries[i - 1].space), tl_space_name(entries[i].space)) < 0);
    }
    tl_space_table_free(table); /* the list has references of its own */
    assert_true(strlen(tl_space_name(entries[0].space)) > 0);
    tl_space_entries_free(entries, n);
}

static void a_removed_space_is_gone_and_an_unknown_one_is_told_by_the_nearest(void **state)
{
    (void)state;
    tl_space_table *table = NULL;
    tl_space *found = NULL;
    tl_space *space = load("tiny-cell.yaml");
    char nearly[64];
    assert_ok(tl_space_table_new(&table));
    assert_ok(tl_space_table_add(table, space, false));
    (void)snprintf(nearly, sizeof nearly, "%sx", tl_space_name(space));
    assert_err(TL_ENOTFOUND, tl_space_table_find(table, nearly, &found, NULL));
    assert_detail(tl_space_name(space));
    tl_space_table_remove(table, nearly); /* nothing happens */
    tl_space_table_remove(table, tl_space_name(space));
    assert_err(TL_ENOTFOUND, tl_space_table_find(table, tl_space_name(space), &found, NULL));
    assert_null(found);
    assert_ok(tl_space_table_add(table, space, false));
    tl_space_unref(space);
    tl_space_table_free(table);
    tl_space_table_free(NULL);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    tl_space *space = load("tiny-chain.yaml");
    tl_err err = TL_ENOMEM;
    for (long k = 1; err != TL_OK; k++) {
        tl_space_table *table = NULL;
        tl_space_entry *entries = NULL;
        size_t n = 0;
        tl_mem_fail_at(k);
        err = tl_space_table_new(&table);
        err = err == TL_OK ? tl_space_table_add(table, space, false) : err;
        err = err == TL_OK ? tl_space_table_list(table, &entries, &n) : err;
        tl_mem_fail_at(0);
        assert_true(err == TL_OK || err == TL_ENOMEM);
        tl_space_entries_free(entries, n);
        tl_space_table_free(table);
        assert_true(k < 20);
    }
    tl_space_unref(space);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(spaces_are_found_by_name_and_listed_in_its_order),
        TEST(a_removed_space_is_gone_and_an_unknown_one_is_told_by_the_nearest),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("daemon/space_table", tests, NULL, NULL);
}
