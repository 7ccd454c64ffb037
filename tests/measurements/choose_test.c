/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/measurements/cell_store.h"

#include "base/mem.h"
#include "base/units.h"
#include "measurements/columns.h"
#include "numerics/rng.h"

#include <math.h>
#include <stdlib.h>

enum {
    N_ROWS = 1500,
    N_COLUMNS = TL_TABLE_MAX_COLUMNS, /* with the rows more than one block of an import */
    N_MEASURED = 5
};

/* "d0007": the column of that number. */
static void name_of(int column, char name[16])
{
    (void)snprintf(name, 16, "d%04d", column);
}

/* n_columns of nothing over the first designs of the space, in an order of chance. */
static tl_table empty_table(const tl_space *space, int n_rows, int n_columns, tl_rng *rng)
{
    tl_table t = {.n = n_rows, .n_slots = tl_space_n_slots(space), .n_columns = n_columns};
    tl_choice *all = NULL;
    int n_all = 0;
    int *order = tl_mem_new((size_t)n_rows, sizeof *order);
    size_t row_bytes = (size_t)t.n_slots * sizeof *t.designs;
    t.designs = tl_mem_new((size_t)n_rows, row_bytes);
    t.columns = tl_mem_new((size_t)n_columns, sizeof *t.columns);
    t.names = tl_mem_new((size_t)n_columns, 16);
    t.values = tl_mem_new((size_t)n_rows * (size_t)n_columns, sizeof *t.values);
    assert_true(t.designs && t.columns && t.names && t.values && order);
    assert_ok(tl_space_enumerate(space, 20000, &all, &n_all));
    tl_rng_permutation(rng, n_rows, order);
    for (int i = 0; i < n_rows; i++) {
        memcpy(
            t.designs + (size_t)i * (size_t)t.n_slots,
            all + (size_t)order[i] * (size_t)t.n_slots, row_bytes);
    }
    for (int c = 0; c < n_columns; c++) {
        char *name = t.names + (size_t)c * 16;
        name_of(c, name);
        t.columns[c] = (tl_table_column){.metric = TL_METRIC_LATENCY_MS, .name = name};
    }
    for (size_t i = 0; i < (size_t)n_rows * (size_t)n_columns; i++) {
        t.values[i] = TL_UNKNOWN;
    }
    tl_mem_free(order);
    tl_mem_free(all);
    return t;
}

static void import(const fixture *f, const tl_table *t, tl_import_report *report)
{
    assert_ok(tl_columns_import(f->store, f->space, t, NULL, NULL, report));
}

static void a_wide_table_of_few_values_arrives_column_by_column(void **state)
{
    const fixture *f = *state;
    tl_rng rng;
    tl_import_report report;
    tl_rng_init(&rng, tl_test_seed());
    tl_table t = empty_table(f->space, N_ROWS, N_COLUMNS, &rng);
    int first_row = 0;
    for (int c = 0; c < N_COLUMNS - 1; c++) { /* the last one stays empty */
        first_row = (int)tl_rng_below(&rng, N_ROWS);
        for (int k = 0; k < N_MEASURED; k++) {
            int row = (first_row + 7 * k) % N_ROWS;
            t.values[(size_t)row * N_COLUMNS + (size_t)c] = 1 + c + k / 10.0;
        }
    }
    import(f, &t, &report);
    assert_int_equal(report.n_columns, N_COLUMNS - 1);
    assert_int_equal(report.n_new, (N_COLUMNS - 1) * N_MEASURED);
    for (int c = 0; c < N_COLUMNS - 1; c++) {
        char name[16];
        tl_column column = {0};
        double sum = 0;
        int n = 0;
        name_of(c, name);
        assert_ok(tl_columns_get(f->store, f->space, TL_METRIC_LATENCY_MS, name, &column));
        for (int i = 0; i < column.n; i++) {
            sum += column.values[i];
        }
        assert_int_equal(column.n, N_MEASURED);
        assert_true(fabs(sum - N_MEASURED * (1 + c) - 1) < 1e-6);
        assert_ok(tl_columns_count(f->store, "nasbench201", TL_METRIC_LATENCY_MS, name, &n));
        assert_int_equal(n, N_MEASURED);
        tl_column_done(&column);
    }
    for (int k = 0; k < N_MEASURED; k++) {
        int row = (first_row + 7 * k) % N_ROWS;
        tl_column column = {0};
        assert_ok(tl_columns_get(f->store, f->space, TL_METRIC_LATENCY_MS, "d4094", &column));
        assert_true(
            tl_column_find(&column, t.designs + (size_t)row * (size_t)t.n_slots) ==
            4095 + k / 10.0);
        tl_column_done(&column);
    }
    import(f, &t, &report);
    assert_int_equal(report.n_new + report.n_changed, 0);
    tl_table_done(&t);
}

static void the_largest_columns_are_found_among_many(void **state)
{
    const fixture *f = *state;
    tl_rng rng;
    tl_import_report report;
    tl_column_list list = {0};
    size_t n_left_out = 0;
    tl_rng_init(&rng, 1);
    tl_table t = empty_table(f->space, 40, 300, &rng);
    for (int c = 0; c < 300; c++) {
        int n = c % 100 == 50 ? 30 + c / 100 : c % 10 + 1;
        for (int k = 0; k < n; k++) {
            t.values[(size_t)k * 300 + (size_t)c] = 1 + k;
        }
    }
    import(f, &t, &report);
    tl_table_done(&t);

    assert_ok(tl_columns_largest(
        f->store, "nasbench201", TL_METRIC_LATENCY_MS, 5, &list, &n_left_out));
    const char *wanted[] = {"d0009", "d0019", "d0050", "d0150", "d0250"};
    const int sizes[] = {10, 10, 30, 31, 32};
    assert_int_equal(list.n_columns, 5);
    assert_int_equal(n_left_out, 295);
    for (size_t i = 0; i < TL_COUNT(wanted); i++) {
        assert_string_equal(list.columns[i].subject, wanted[i]);
        assert_int_equal(list.columns[i].n, sizes[i]);
        assert_int_equal(list.columns[i].metric, TL_METRIC_LATENCY_MS);
    }
    tl_column_list_done(&list);

    assert_ok(tl_columns_largest(
        f->store, "nasbench201", TL_METRIC_LATENCY_MS, 1000, &list, &n_left_out));
    assert_int_equal(list.n_columns, 300);
    assert_int_equal(n_left_out, 0);
    assert_string_equal(list.columns[299].subject, "d0299");
    tl_column_list_done(&list);
    assert_ok(tl_columns_largest(
        f->store, "nasbench201", TL_METRIC_ENERGY_MJ, 5, &list, &n_left_out));
    assert_int_equal(list.n_columns, 0);
    tl_column_list_done(&list);
    assert_err(
        TL_EINVAL,
        tl_columns_largest(f->store, "no space", TL_METRIC_ENERGY_MJ, 5, &list, &n_left_out));
}

static void named_columns_are_found_without_a_list(void **state)
{
    const fixture *f = *state;
    tl_rng rng;
    tl_import_report report;
    tl_column_list list = {0};
    tl_rng_init(&rng, 1);
    tl_table t = empty_table(f->space, 3, 300, &rng);
    t.values[1] = 1;
    t.values[250] = 2;
    t.values[300 + 250] = 3;
    import(f, &t, &report);
    tl_table_done(&t);
    const char *names[] = {"d0250", "d0300", "d0001", "d0250"};
    assert_ok(tl_columns_named(f->store, "nasbench201", TL_METRIC_LATENCY_MS, names, 4, &list));
    assert_int_equal(list.n_columns, 2);
    assert_string_equal(list.columns[0].subject, "d0001");
    assert_string_equal(list.columns[1].subject, "d0250");
    assert_int_equal(list.columns[1].n, 2);
    tl_column_list_done(&list);
    assert_ok(tl_columns_named(f->store, "nasbench201", TL_METRIC_LATENCY_MS, NULL, 0, &list));
    assert_int_equal(list.n_columns, 0);
    tl_column_list_done(&list);

    int n = 9;
    assert_ok(tl_columns_count(f->store, "nasbench201", TL_METRIC_LATENCY_MS, "d0300", &n));
    assert_int_equal(n, 0);
    assert_err(
        TL_EINVAL,
        tl_columns_count(f->store, "nasbench201", TL_METRIC_LATENCY_MS, "no name", &n));
}

static void an_export_of_too_many_columns_is_refused_before_it_is_read(void **state)
{
    const fixture *f = *state;
    tl_rng rng;
    tl_import_report report;
    tl_rng_init(&rng, 1);
    tl_table t = empty_table(f->space, 1, N_COLUMNS, &rng);
    for (int c = 0; c < N_COLUMNS; c++) {
        t.values[c] = 1;
    }
    import(f, &t, &report);
    for (int c = 0; c < N_COLUMNS; c++) {
        t.columns[c].metric = TL_METRIC_ENERGY_MJ;
    }
    import(f, &t, &report);
    tl_mem_fail_at(1); /* nothing is held of columns that are only counted */
    assert_err(TL_ELIMIT, tl_columns_export(f->store, f->space, NULL, NULL, NULL, NULL));
    tl_mem_fail_at(0);
    assert_detail("more than 4096 columns");
    tl_table_done(&t);
}

static void survives_every_allocation_failure(void **state)
{
    const fixture *f = *state;
    tl_rng rng;
    const char *names[] = {"d0000", "d0002"};
    tl_err err = TL_ENOMEM;
    tl_rng_init(&rng, 1);
    tl_table t = empty_table(f->space, 4, 3, &rng);
    t.values[0] = 1;
    t.values[5] = 2;
    for (long k = 1; err != TL_OK; k++) {
        tl_import_report report;
        tl_column_list list = {0};
        size_t n_left_out = 0;
        long live = tl_mem_live();
        tl_mem_fail_at(k);
        if ((err = tl_columns_import(f->store, f->space, &t, NULL, NULL, &report)) == TL_OK) {
            err = tl_columns_largest(
                f->store, "nasbench201", TL_METRIC_LATENCY_MS, 1, &list, &n_left_out);
        }
        if (err == TL_OK) {
            tl_column_list_done(&list);
            err = tl_columns_named(
                f->store, "nasbench201", TL_METRIC_LATENCY_MS, names, 2, &list);
        }
        tl_mem_fail_at(0);
        tl_column_list_done(&list);
        assert_int_equal(tl_mem_live(), live);
        assert_true(err == TL_OK || err == TL_ENOMEM);
    }
    tl_table_done(&t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_wide_table_of_few_values_arrives_column_by_column),
        TEST(the_largest_columns_are_found_among_many),
        TEST(named_columns_are_found_without_a_list),
        TEST(an_export_of_too_many_columns_is_refused_before_it_is_read),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("measurements/choose", tests, NULL, NULL);
}
