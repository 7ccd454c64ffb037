/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/imports.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_CELLS = 20 /* less than two rows */
};

static tl_space *space;
static tl_imports *imports;

static int begin_test(void **state)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/spaces/nasbench201.yaml", tl_test_source_dir());
    (void)tl_test_count_blocks(state);
    assert_ok(tl_space_load(path, &space));
    assert_ok(tl_imports_new(MAX_CELLS, &imports));
    return 0;
}

static int end_test(void **state)
{
    tl_imports_free(imports); /* open imports go with it */
    tl_space_unref(space);
    return tl_test_no_leaks(state);
}

static tl_err feed(uint64_t id, uint64_t sequence, const char *csv)
{
    return tl_imports_feed(imports, id, sequence, csv, strlen(csv));
}

static const char head[] = "e01,e02,e12,e03,e13,e23,latency_ms@rig\n";

static void pieces_cut_anywhere_become_one_table(void **state)
{
    (void)state;
    uint64_t id = 0;
    tl_table table = {0};
    tl_space *found = NULL;
    assert_ok(tl_imports_begin(imports, space, "t.csv", &id));
    assert_ok(feed(id, 0, head));
    assert_ok(feed(id, 1, "none,none,none,no"));
    assert_ok(feed(id, 1, "none,none,none,no")); /* sent again: ignored */
    assert_err(TL_ESTATE, feed(id, 3, "x"));     /* one is missing */
    assert_ok(feed(id, 2, "ne,none,none,1.5\n"));
    assert_ok(tl_imports_finish(imports, id, &table, &found));
    assert_ptr_equal(found, space);
    tl_table_done(&table);
    tl_space_unref(found);
    assert_err(TL_ENOTFOUND, tl_imports_finish(imports, id, &table, &found));
}

static void a_damaged_table_is_dropped_at_once(void **state)
{
    (void)state;
    uint64_t id = 0;
    assert_ok(tl_imports_begin(imports, space, "t.csv", &id));
    assert_ok(feed(id, 0, head));
    assert_err(TL_EINVAL, feed(id, 1, "conv9,none,none,none,none,none,1\n"));
    assert_detail("t.csv line 2");
    assert_err(TL_ENOTFOUND, feed(id, 2, "none,none,none,none,none,none,1\n"));
    assert_err(TL_ENOTFOUND, tl_imports_abort(imports, id));
}

static void an_import_that_was_left_is_dropped_with_all_that_it_holds(void **state)
{
    (void)state;
    uint64_t left = 0;
    uint64_t fresh = 0;
    tl_space *found = NULL;
    tl_table table = {0};
    assert_ok(tl_imports_begin(imports, space, "t.csv", &left));
    long n_before = tl_mem_live();
    assert_ok(tl_imports_begin(imports, space, "t.csv", &fresh));
    assert_ok(feed(fresh, 0, head));
    tl_imports_sweep(imports, tl_clock_ns()); /* nobody has been away for long */
    assert_ok(feed(left, 0, head));
    tl_imports_sweep(imports, tl_clock_ns() + (TL_IMPORT_IDLE_S + 1) * TL_NS_PER_S);
    assert_true(tl_mem_live() < n_before);
    assert_err(TL_ENOTFOUND, feed(left, 1, "none,none,none,none,none,none,1.5\n"));
    assert_err(TL_ENOTFOUND, tl_imports_finish(imports, fresh, &table, &found));
}

static void open_imports_are_bounded_and_make_room_when_aborted(void **state)
{
    (void)state;
    uint64_t ids[TL_IMPORTS_MAX];
    uint64_t id = 0;
    for (int i = 0; i < TL_IMPORTS_MAX; i++) {
        assert_ok(tl_imports_begin(imports, space, "t.csv", &ids[i]));
        assert_true(i == 0 || ids[i] != ids[i - 1]);
    }
    assert_err(TL_EBUSY, tl_imports_begin(imports, space, "t.csv", &id));
    assert_ok(tl_imports_abort(imports, ids[3]));
    assert_ok(tl_imports_begin(imports, space, "t.csv", &id));
    assert_err(TL_ENOTFOUND, feed(ids[3], 0, head));
}

static void imports_that_are_too_large_together_end_one_after_the_other(void **state)
{
    (void)state;
    static const char row[] = "none,none,none,none,none,none,1.5\n";
    uint64_t ids[2];
    tl_table table = {0};
    tl_space *found = NULL;
    for (int i = 0; i < 2; i++) {
        assert_ok(tl_imports_begin(imports, space, "t.csv", &ids[i]));
        assert_ok(feed(ids[i], 0, head));
        assert_ok(feed(ids[i], 1, row));
    }
    assert_ok(feed(ids[0], 2, row));
    assert_err(TL_EBUSY, feed(ids[1], 2, row));
    assert_detail("this one goes on when a larger one has ended");
    assert_ok(feed(ids[0], 3, row)); /* the largest goes on */
    assert_ok(tl_imports_finish(imports, ids[0], &table, &found));
    tl_table_done(&table);
    tl_space_unref(found);
    assert_ok(feed(ids[1], 2, row)); /* the piece that was refused, again */
    assert_ok(tl_imports_abort(imports, ids[1]));
}

static void an_import_that_gets_no_memory_is_none(void **state)
{
    (void)state;
    tl_err err = TL_ENOMEM;
    for (long k = 1; err != TL_OK; k++) {
        uint64_t id = 0;
        tl_mem_fail_at(k);
        err = tl_imports_begin(imports, space, "t.csv", &id);
        tl_mem_fail_at(0);
        assert_true(err == TL_OK || err == TL_ENOMEM);
        assert_true(k < 100);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pieces_cut_anywhere_become_one_table),
        TEST(an_import_that_was_left_is_dropped_with_all_that_it_holds),
        TEST(a_damaged_table_is_dropped_at_once),
        TEST(open_imports_are_bounded_and_make_room_when_aborted),
        TEST(imports_that_are_too_large_together_end_one_after_the_other),
        TEST(an_import_that_gets_no_memory_is_none),
    };
    return cmocka_run_group_tests_name("daemon/imports", tests, NULL, NULL);
}
