/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "clients/cli/fleet_rows.h"

#include <stdio.h>
#include <string.h>

static char path[512];

static const char *write_table(const char *text, size_t len)
{
    (void)snprintf(path, sizeof path, "%s/fleet.csv", tl_test_new_dir());
    assert_ok(tl_file_write(path, text, len));
    return path;
}

static tl_fleet_rows *open_text(const char *text)
{
    tl_fleet_rows *rows = NULL;
    assert_ok(tl_fleet_rows_open(write_table(text, strlen(text)), &rows));
    return rows;
}

static void assert_piece(tl_fleet_rows *rows, const char *csv, uint64_t first_line, uint64_t n)
{
    tl_fleet_piece piece = {0};
    assert_ok(tl_fleet_rows_next(rows, &piece));
    assert_string_equal(piece.csv.data, csv);
    assert_int_equal(piece.n_rows, n);
    assert_int_equal(piece.first_line, first_line);
    tl_fleet_piece_done(&piece);
}

static void assert_end(tl_fleet_rows *rows)
{
    tl_fleet_piece piece = {0};
    assert_ok(tl_fleet_rows_next(rows, &piece));
    assert_int_equal(piece.csv.len, 0);
    tl_fleet_piece_done(&piece);
    tl_fleet_rows_close(rows);
}

static void a_piece_is_a_table_of_its_own(void **state)
{
    (void)state;
    tl_fleet_rows *rows = open_text("device,max_latency_ms\na,1\nb,2");
    assert_piece(rows, "device,max_latency_ms\na,1\nb,2\n", 2, 2);
    assert_end(rows);
}

static void marks_and_line_ends_of_other_systems_are_read(void **state)
{
    (void)state;
    tl_fleet_rows *rows = open_text("\xef\xbb\xbf"
                                    "device,description\r\na,\"x \"\"y\"\", z\"\r\n");
    assert_piece(rows, "device,description\na,\"x \"\"y\"\", z\"\n", 2, 1);
    assert_end(rows);
}

/* One number tells where all rows of a piece stand. */
static void a_piece_ends_where_lines_were_left_out(void **state)
{
    (void)state;
    tl_fleet_rows *rows = open_text("device\na\n\"b\r\nb\"\nc\n\n\nd\ne\n");
    assert_piece(rows, "device\na\n\"b\r\nb\"\nc\n", 2, 3);
    assert_piece(rows, "device\nd\ne\n", 8, 2);
    assert_end(rows);
}

static void a_header_alone_is_a_piece_without_rows(void **state)
{
    (void)state;
    tl_fleet_rows *rows = open_text("device\n");
    assert_piece(rows, "device\n", 0, 0);
    assert_end(rows);
}

static tl_text long_table(int n_rows, int row_bytes)
{
    tl_text text = {0};
    tl_text_add(&text, "device,description,source\n");
    for (int i = 0; i < n_rows; i++) {
        tl_text_addf(&text, "d%d,%0*d,%0*d\n", i, row_bytes, i, row_bytes, i);
    }
    assert_ok(tl_text_err(&text));
    return text;
}

static void every_row_comes_once_and_in_order(void **state)
{
    (void)state;
    enum {
        N = 3 * TL_FLEET_PIECE_ROWS + 7
    };
    tl_text table = long_table(N, 40);
    tl_fleet_rows *rows = open_text(table.data);
    uint64_t n = 0;
    uint64_t count = 0;
    char wanted[32];
    for (;;) {
        tl_fleet_piece piece = {0};
        assert_ok(tl_fleet_rows_next(rows, &piece));
        if (piece.csv.len == 0) {
            break;
        }
        (void)snprintf(wanted, sizeof wanted, "\nd%d,", (int)n);
        assert_non_null(strstr(piece.csv.data, wanted));
        assert_int_equal(piece.first_line, n + 2);
        n += piece.n_rows;
        tl_fleet_piece_done(&piece);
    }
    assert_int_equal(n, N);
    assert_ok(tl_fleet_rows_count(path, &count));
    assert_int_equal(count, N);
    tl_fleet_rows_close(rows);
    tl_text_done(&table);
}

static void a_piece_is_bounded_in_bytes(void **state)
{
    (void)state;
    enum {
        N = 400,
        ROW_BYTES = 4000
    }; /* 3.2 MB */
    tl_text table = long_table(N, ROW_BYTES);
    tl_fleet_rows *rows = open_text(table.data);
    uint64_t n = 0;
    for (size_t len = 1; len > 0;) {
        tl_fleet_piece piece = {0};
        assert_ok(tl_fleet_rows_next(rows, &piece));
        len = piece.csv.len;
        assert_true(len <= TL_FLEET_PIECE_BYTES + 100);
        n += piece.n_rows;
        tl_fleet_piece_done(&piece);
    }
    assert_int_equal(n, N);
    tl_fleet_rows_close(rows);
    tl_text_done(&table);
}

static void a_range_is_answered_alone(void **state)
{
    (void)state;
    tl_fleet_rows *rows = open_text("device\na\nb\nc\nd\n");
    tl_fleet_rows_restrict(rows, 1, 3);
    assert_piece(rows, "device\nb\nc\n", 3, 2);
    assert_end(rows);
    rows = open_text("device\na\nb\n");
    tl_fleet_rows_restrict(rows, 2, 2); /* all were answered before */
    assert_piece(rows, "device\n", 0, 0);
    assert_end(rows);
}

static void what_is_no_table_is_refused_by_its_place(void **state)
{
    (void)state;
    tl_fleet_rows *rows = NULL;
    tl_fleet_piece piece = {0};
    uint64_t n = 0;
    assert_err(TL_ENOTFOUND, tl_fleet_rows_open("/nowhere/fleet.csv", &rows));
    assert_detail("/nowhere/fleet.csv");
    rows = open_text("");
    assert_err(TL_EINVAL, tl_fleet_rows_next(rows, &piece));
    assert_detail("fleet.csv: got an empty file");
    tl_fleet_rows_close(rows);
    rows = open_text("device\na\n\"b\n");
    assert_err(TL_EINVAL, tl_fleet_rows_next(rows, &piece));
    assert_detail("fleet.csv line 3");
    tl_fleet_rows_close(rows);
    assert_err(TL_EINVAL, tl_fleet_rows_count(path, &n));
    tl_fleet_piece_done(&piece);
    assert_ok(tl_fleet_rows_open(tl_test_new_dir(), &rows)); /* a folder opens, and no more */
    assert_err(TL_EIO, tl_fleet_rows_next(rows, &piece));
    tl_fleet_rows_close(rows);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    int n_successes = 0; /* one may be libcsv, which tries again with less */
    (void)write_table("device\na\nb\n", 11);
    for (long k = 1; n_successes < 2; k++) {
        tl_fleet_rows *rows = NULL;
        tl_fleet_piece piece = {0};
        tl_mem_fail_at(k);
        tl_err err = tl_fleet_rows_open(path, &rows);
        err = err == TL_OK ? tl_fleet_rows_next(rows, &piece) : err;
        tl_mem_fail_at(0);
        n_successes = err == TL_OK ? n_successes + 1 : 0;
        if (err != TL_OK) {
            assert_err(TL_ENOMEM, err);
        }
        tl_fleet_piece_done(&piece);
        tl_fleet_rows_close(rows);
        assert_true(k < 1000);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_piece_is_a_table_of_its_own),
        TEST(marks_and_line_ends_of_other_systems_are_read),
        TEST(a_piece_ends_where_lines_were_left_out),
        TEST(a_header_alone_is_a_piece_without_rows),
        TEST(every_row_comes_once_and_in_order),
        TEST(a_piece_is_bounded_in_bytes),
        TEST(a_range_is_answered_alone),
        TEST(what_is_no_table_is_refused_by_its_place),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("cli/fleet_rows", tests, NULL, NULL);
}
