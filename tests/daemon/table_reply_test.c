/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "daemon/table_reply.h"

#include <math.h>
#include <string.h>

enum {
    N_ROWS = 4
};

static const char *text_at(const Tailor__V1__Column *column, size_t row)
{
    assert_true(row < column->n_index);
    assert_true(column->index[row] < column->n_dictionary);
    return column->dictionary[column->index[row]];
}

static void numbers_are_copied_and_missing_without(void **state)
{
    (void)state;
    static const double numbers[N_ROWS] = {1, 2.5, -3, 0};
    double *blank = NULL;
    Tailor__V1__Table *table = tl_table_reply_new(N_ROWS);
    assert_ok(tl_table_reply_numbers(table, "x_ms", 6, numbers));
    assert_ok(tl_table_reply_numbers(table, "y_ms", 0, NULL));
    assert_ok(tl_table_reply_blank(table, "z_ms", 4, &blank));
    assert_int_equal(table->n_columns, 3);
    assert_string_equal(table->columns[0]->name, "x_ms");
    assert_int_equal(table->columns[0]->digits, 6);
    assert_memory_equal(table->columns[0]->number, numbers, sizeof numbers);
    for (int i = 0; i < N_ROWS; i++) {
        assert_true(isnan(table->columns[1]->number[i]));
        assert_true(isnan(blank[i]));
    }
    assert_ptr_equal(blank, table->columns[2]->number);
    tl_table_reply_free(table);
}

static void equal_texts_are_stored_once_and_none_is_empty(void **state)
{
    (void)state;
    static const char *const texts[N_ROWS] = {"b", NULL, "a", "b"};
    Tailor__V1__Table *table = tl_table_reply_new(N_ROWS);
    assert_ok(tl_table_reply_texts(table, "device", texts));
    const Tailor__V1__Column *column = table->columns[0];
    assert_int_equal(column->n_dictionary, 3);
    for (size_t i = 0; i < N_ROWS; i++) {
        assert_string_equal(text_at(column, i), texts[i] != NULL ? texts[i] : "");
    }
    tl_table_reply_free(table);
}

static void choices_beyond_the_options_are_a_dash(void **state)
{
    (void)state;
    static const char *const options[] = {"conv", "pool"};
    static const uint16_t index[N_ROWS] = {1, 0xffff, 0, 2};
    Tailor__V1__Table *table = tl_table_reply_new(N_ROWS);
    assert_ok(tl_table_reply_choices(table, "e01", options, 2, index));
    assert_string_equal(text_at(table->columns[0], 0), "pool");
    assert_string_equal(text_at(table->columns[0], 1), "-");
    assert_string_equal(text_at(table->columns[0], 2), "conv");
    assert_string_equal(text_at(table->columns[0], 3), "-");
    tl_table_reply_free(table);
}

static void cells_are_set_one_by_one(void **state)
{
    (void)state;
    Tailor__V1__Column *column = NULL;
    Tailor__V1__Table *table = tl_table_reply_new(N_ROWS);
    assert_ok(tl_table_reply_text(table, "name", &column));
    assert_string_equal(text_at(column, 3), "");
    assert_ok(tl_table_reply_set_text(column, 3, "last"));
    assert_ok(tl_table_reply_set_text(column, 1, "last"));
    assert_string_equal(text_at(column, 3), "last");
    assert_string_equal(text_at(column, 1), "last");
    assert_string_equal(text_at(column, 0), "");
    assert_int_equal(column->n_dictionary, 2);
    tl_table_reply_free(table);
    tl_table_reply_free(NULL);
}

static tl_err build(Tailor__V1__Table *table)
{
    static const char *const texts[N_ROWS] = {"a", "b", "a", NULL};
    static const char *const options[] = {"conv", "pool"};
    static const uint16_t index[N_ROWS] = {1, 0, 0xffff, 1};
    Tailor__V1__Column *column = NULL;
    TL_TRY(tl_table_reply_texts(table, "device", texts));
    TL_TRY(tl_table_reply_choices(table, "e01", options, 2, index));
    TL_TRY(tl_table_reply_numbers(table, "x_ms", 6, NULL));
    TL_TRY(tl_table_reply_text(table, "name", &column));
    return tl_table_reply_set_text(column, 2, "x");
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    tl_err err = TL_ENOMEM;
    for (long k = 1; err != TL_OK; k++) {
        tl_mem_fail_at(k);
        Tailor__V1__Table *table = tl_table_reply_new(N_ROWS);
        err = table != NULL ? build(table) : TL_ENOMEM;
        tl_mem_fail_at(0);
        assert_true(err == TL_OK || err == TL_ENOMEM);
        tl_table_reply_free(table); /* half built, too */
        assert_true(k < 200);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(numbers_are_copied_and_missing_without),
        TEST(equal_texts_are_stored_once_and_none_is_empty),
        TEST(choices_beyond_the_options_are_a_dash),
        TEST(cells_are_set_one_by_one),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("daemon/table_reply", tests, NULL, NULL);
}
