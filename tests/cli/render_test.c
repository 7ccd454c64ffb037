/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "base/units.h"
#include "clients/c/impl.h"
#include "clients/cli/render.h"

#include <math.h>
#include <string.h>

/* Names with all that CSV and JSON must escape, and numbers with and without digits. */
static const char *const names[] = {"plain", "a,b", "say \"c\"", "line\nbreak", "grün"};
static const double numbers[] = {1.5, 0.1, TL_UNKNOWN, 123456.789, -2.0};

enum {
    N_ROWS = 5
};

static Tailor__V1__Column *new_column(const char *name, Tailor__V1__Column__Kind kind)
{
    Tailor__V1__Column *column = tl_mem_new(1, sizeof *column);
    assert_non_null(column);
    tailor__v1__column__init(column);
    column->name = tl_mem_strdup(name);
    column->kind = kind;
    return column;
}

static Tailor__V1__Column *new_texts(void)
{
    Tailor__V1__Column *column = new_column("name", TAILOR__V1__COLUMN__KIND__TEXT);
    column->dictionary = tl_mem_new(N_ROWS, sizeof *column->dictionary);
    column->index = tl_mem_new(N_ROWS, sizeof *column->index);
    column->n_dictionary = column->n_index = N_ROWS;
    for (uint32_t i = 0; i < N_ROWS; i++) {
        column->dictionary[i] = tl_mem_strdup(names[i]);
        column->index[i] = i;
    }
    return column;
}

static Tailor__V1__Column *new_numbers(const char *name, uint32_t digits)
{
    Tailor__V1__Column *column = new_column(name, TAILOR__V1__COLUMN__KIND__NUMBER);
    column->number = tl_mem_new(N_ROWS, sizeof *column->number);
    column->n_number = N_ROWS;
    column->digits = digits;
    memcpy(column->number, numbers, sizeof numbers);
    return column;
}

static tailor_table *new_table(void)
{
    Tailor__V1__Table *message = tl_mem_new(1, sizeof *message);
    assert_non_null(message);
    tailor__v1__table__init(message);
    message->columns = tl_mem_new(3, sizeof(Tailor__V1__Column *));
    assert_non_null(message->columns);
    message->n_columns = 3;
    message->n_rows = N_ROWS;
    message->columns[0] = new_texts();
    message->columns[1] = new_numbers("x_ms", 0);
    message->columns[2] = new_numbers("x", 3);
    tailor_table *table = NULL;
    assert_ok(tl_client_table_check(message));
    assert_ok(tl_client_table_take(&message, &table));
    return table;
}

static void csv_quotes_what_must_be_and_leaves_missing_numbers_empty(void **state)
{
    (void)state;
    tailor_table *table = new_table();
    tl_text text = {0};
    tl_render_csv(table, &text);
    assert_string_equal(
        text.data, "name,x_ms,x\n"
                   "plain,1.5,1.5\n"
                   "\"a,b\",0.1,0.1\n"
                   "\"say \"\"c\"\"\",,\n"
                   "\"line\nbreak\",123456.789,1.23e+05\n"
                   "grün,-2,-2\n");
    tl_text_done(&text);
    tailor_table_free(table);
}

static void json_lines_hold_the_same_figures_and_null_for_missing_ones(void **state)
{
    (void)state;
    tailor_table *table = new_table();
    tl_text text = {0};
    tl_render_json_lines(table, &text);
    assert_string_equal(
        text.data, "{\"name\":\"plain\",\"x_ms\":1.5,\"x\":1.5}\n"
                   "{\"name\":\"a,b\",\"x_ms\":0.1,\"x\":0.1}\n"
                   "{\"name\":\"say \\\"c\\\"\",\"x_ms\":null,\"x\":null}\n"
                   "{\"name\":\"line\\nbreak\",\"x_ms\":123456.789,\"x\":1.23e+05}\n"
                   "{\"name\":\"grün\",\"x_ms\":-2,\"x\":-2}\n");
    tl_text_done(&text);
    tailor_table_free(table);
}

static void aligned_columns_have_one_width_in_characters(void **state)
{
    (void)state;
    tailor_table *table = new_table();
    tl_text text = {0};
    tl_render_aligned(table, &text);
    const char *last = strstr(text.data, "grün");
    assert_non_null(last);
    assert_string_equal(last, "grün                -2        -2\n");
    assert_memory_equal(text.data, "name              x_ms         x\n", 33);
    tl_text_done(&text);
    tailor_table_free(table);
}

static void documents_nest_lists_and_tables(void **state)
{
    (void)state;
    static const char *const words[] = {"a", "\"b\""};
    tailor_table *table = new_table();
    tl_text text = {0};
    tl_json_begin(&text);
    tl_json_text(&text, "model", "m\t1");
    tl_json_whole(&text, "n", UINT64_MAX);
    tl_json_list(&text, "words", words, 2);
    tl_json_list(&text, "none", NULL, 0);
    tl_json_table(&text, "rows", table);
    tl_json_end(&text);
    static const char start[] = "{\"model\":\"m\\t1\",\"n\":18446744073709551615,"
                                "\"words\":[\"a\",\"\\\"b\\\"\"],\"none\":[],"
                                "\"rows\":[{\"name\":\"plain\",";
    assert_memory_equal(text.data, start, sizeof start - 1);
    assert_string_equal(text.data + text.len - 4, "}]}\n");
    tl_text_done(&text);
    tailor_table_free(table);
}

/* Torture: the k-th allocation fails, and the text says so. */
static void a_lost_append_is_told(void **state)
{
    (void)state;
    void (*const renderers[])(const tailor_table *, tl_text *) = {
        tl_render_csv, tl_render_aligned, tl_render_json_lines};
    for (size_t r = 0; r < TL_COUNT(renderers); r++) {
        tl_err err = TL_ENOMEM;
        int n_failures = 0;
        for (long k = 1; err != TL_OK; k++) {
            tailor_table *table = new_table();
            tl_text text = {0};
            tl_mem_fail_at(k);
            renderers[r](table, &text);
            tl_mem_fail_at(0);
            err = tl_text_err(&text);
            n_failures += err != TL_OK;
            tl_text_done(&text);
            tailor_table_free(table);
        }
        assert_true(n_failures >= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            csv_quotes_what_must_be_and_leaves_missing_numbers_empty, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            json_lines_hold_the_same_figures_and_null_for_missing_ones, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            aligned_columns_have_one_width_in_characters, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            documents_nest_lists_and_tables, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            a_lost_append_is_told, tl_test_count_blocks, tl_test_no_leaks),
    };
    return cmocka_run_group_tests_name("cli/render", tests, NULL, NULL);
}
