/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "daemon/views.h"
#include "measurements/columns.h"

#include <stdio.h>
#include <string.h>

enum {
    N_DEVICES = 3 * TL_VIEWS_MAX
};

typedef struct fixture {
    tl_store *store;
    tl_space *space;
    tl_predictor *predictor;
    tl_views *views;
} fixture;

static fixture open_all(void)
{
    fixture f = {0};
    char path[512];
    (void)snprintf(path, sizeof path, "%s/spaces/nasbench201.yaml", tl_test_source_dir());
    assert_ok(tl_space_load(path, &f.space));
    assert_ok(tl_store_open(tl_test_new_dir(), 64, &f.store));
    assert_ok(tl_predictor_new(f.space, NULL, &f.predictor));
    assert_ok(tl_views_new(f.store, &f.views));
    return f;
}

static void close_all(fixture *f)
{
    tl_views_free(f->views);
    tl_predictor_unref(f->predictor);
    tl_store_close(f->store);
    tl_space_unref(f->space);
}

static tl_view *view_of(const fixture *f, int device)
{
    char name[32];
    tl_profile profile;
    tl_view *view = NULL;
    (void)snprintf(name, sizeof name, "board-%d", device);
    assert_ok(tl_profile_bare(name, &profile));
    assert_ok(tl_views_get(f->views, f->predictor, &profile, &view));
    return view;
}

/* Whether the device is answered by this very view, which is still referred to. */
static void assert_kept(const fixture *f, int device, const tl_view *wanted, bool is_kept)
{
    tl_view *view = view_of(f, device);
    assert_true((view == wanted) == is_kept);
    tl_view_unref(view);
}

static void measure(const fixture *f, int device, const char *latency_ms)
{
    char csv[256];
    tl_table table = {0};
    tl_import_report report;
    (void)snprintf(
        csv, sizeof csv,
        "e01,e02,e12,e03,e13,e23,latency_ms@board-%d\n"
        "nor_conv_3x3,none,skip_connect,none,nor_conv_1x1,skip_connect,%s\n",
        device, latency_ms);
    assert_ok(tl_table_parse(f->space, "t.csv", NULL, csv, strlen(csv), &table));
    assert_ok(tl_columns_import(f->store, f->space, &table, NULL, NULL, &report));
    tl_table_done(&table);
}

static void measurements_of_others_leave_a_view_as_it_is(void **state)
{
    (void)state;
    fixture f = open_all();
    measure(&f, 1, "5");
    tl_view *view = view_of(&f, 1);
    assert_kept(&f, 1, view, true);
    measure(&f, 2, "7");
    assert_kept(&f, 1, view, true);
    measure(&f, 1, "5"); /* nothing new */
    assert_kept(&f, 1, view, true);
    measure(&f, 1, "6");
    assert_kept(&f, 1, view, false);
    assert_int_equal(tl_views_n(f.views), 1);
    tl_view_unref(view);
    close_all(&f);
}

static void so_many_devices_are_kept_and_no_more(void **state)
{
    (void)state;
    fixture f = open_all();
    tl_view *first = view_of(&f, 0);
    tl_view *second = view_of(&f, 1);
    for (int i = 2; i < N_DEVICES; i++) {
        tl_view_unref(view_of(&f, i));
        assert_kept(&f, 0, first, true); /* asked again and again */
        assert_true(tl_views_n(f.views) <= TL_VIEWS_MAX);
    }
    assert_int_equal(tl_views_n(f.views), TL_VIEWS_MAX);
    assert_kept(&f, 1, second, false);
    tl_view_unref(first);
    tl_view_unref(second);
    close_all(&f);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    fixture f = open_all();
    tl_profile profile;
    tl_err err = TL_ENOMEM;
    measure(&f, 1, "5");
    assert_ok(tl_profile_bare("board-1", &profile));
    for (long k = 1; err != TL_OK; k++) {
        tl_view *view = NULL;
        tl_mem_fail_at(k);
        err = tl_views_get(f.views, f.predictor, &profile, &view);
        tl_mem_fail_at(0);
        assert_true(err == TL_OK || err == TL_ENOMEM);
        assert_int_equal(tl_views_n(f.views), err == TL_OK ? 1 : 0);
        tl_view_unref(view);
    }
    close_all(&f);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(measurements_of_others_leave_a_view_as_it_is),
        TEST(so_many_devices_are_kept_and_no_more),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("daemon/views", tests, NULL, NULL);
}
