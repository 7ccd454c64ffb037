/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"
#include "tests/support/torture.h"

#include "base/file.h"
#include "base/mem.h"
#include "clients/cli/fleet_out.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static char folder[400], path[512];

static int new_folder(void **state)
{
    (void)snprintf(folder, sizeof folder, "%s", tl_test_new_dir());
    (void)snprintf(path, sizeof path, "%s/out.csv", folder);
    return tl_test_count_blocks(state);
}

static void put(const char *text)
{
    assert_ok(tl_file_write(path, text, strlen(text)));
}

static void assert_file(const char *wanted)
{
    char *data = NULL;
    size_t len = 0;
    assert_ok(tl_file_read(path, 1 << 20, &data, &len));
    assert_string_equal(data, wanted);
    tl_mem_free(data);
}

static tl_fleet_out *open_out(bool is_resumed, bool is_whole, bool has_header, uint64_t n_done)
{
    tl_fleet_out *out = NULL;
    tl_fleet_count done = {.n_rows = 77};
    tl_fleet_out_options options = {path, is_resumed, is_whole, has_header};
    assert_ok(tl_fleet_out_open(&options, &out, &done));
    assert_int_equal(done.n_rows, n_done);
    return out;
}

static tl_err add(tl_fleet_out *out, const char *text)
{
    tl_text copy = {0};
    tl_text_add(&copy, text);
    tl_err err = tl_fleet_out_add(out, &copy);
    tl_text_done(&copy);
    return err;
}

static size_t n_files(void)
{
    tl_file_list list;
    assert_ok(tl_file_list_init(&list, folder, ""));
    size_t n = list.n_names;
    tl_file_list_done(&list);
    return n;
}

static void the_header_is_written_once(void **state)
{
    (void)state;
    tl_fleet_out *out = open_out(false, false, true, 0);
    assert_ok(add(out, "a,b\n1,2\n"));
    assert_file("a,b\n1,2\n"); /* at once: it survives the program */
    assert_ok(add(out, "a,b\n3,4\n"));
    assert_ok(tl_fleet_out_finish(out));
    tl_fleet_out_close(out);
    assert_file("a,b\n1,2\n3,4\n");
}

static void an_old_file_stays_until_rows_come(void **state)
{
    (void)state;
    put("old\n");
    tl_fleet_out_close(open_out(false, false, true, 0));
    assert_file("old\n");
    tl_fleet_out *out = open_out(false, false, true, 0);
    assert_ok(add(out, "a\n"));
    tl_fleet_out_close(out);
    assert_file("a\n");
    out = open_out(false, false, false, 0); /* JSON of no rows */
    assert_ok(tl_fleet_out_finish(out));
    tl_fleet_out_close(out);
    assert_file("");
}

static void a_file_is_continued_after_its_last_whole_line(void **state)
{
    (void)state;
    put("a,b\n1,2\n3,");
    tl_fleet_out *out = open_out(true, false, true, 1);
    assert_ok(add(out, "a,b\n3,4\n"));
    assert_ok(tl_fleet_out_finish(out));
    tl_fleet_out_close(out);
    assert_file("a,b\n1,2\n3,4\n");
    put("a,"); /* not even a header */
    out = open_out(true, false, true, 0);
    assert_ok(add(out, "a,b\n"));
    tl_fleet_out_close(out);
    assert_file("a,b\n");
    put("{\"a\":1}\n{\"a\":2}\n{\"a");
    out = open_out(true, false, false, 2);
    assert_ok(add(out, "{\"a\":3}\n"));
    tl_fleet_out_close(out);
    assert_file("{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
}

/* What the rows before say counts for the whole file. */
static void assert_counted(
    const char *text, bool is_csv, uint64_t n, uint64_t near, uint64_t bad)
{
    tl_fleet_count count = {0};
    tl_fleet_out_options options = {path, false, false, is_csv};
    put(text);
    assert_ok(tl_fleet_out_count(&options, &count));
    assert_int_equal(count.n_rows, n);
    assert_int_equal(count.n_infeasible, near);
    assert_int_equal(count.n_failed, bad);
}

static void rows_of_a_file_are_counted_by_what_became_of_them(void **state)
{
    (void)state;
    assert_counted("device,e01,p_feasible,error\n", true, 0, 0, 0);
    assert_counted(
        "device,e01,p_feasible,error\n"
        "a,conv,0.95,\n"
        "b,conv,0.2,\"nothing fits, so the nearest\"\n"
        "c,,,\"no device \"\"c\"\", line 3\nof the table\"\n"
        "\"d\n,\",conv,1,\r\n"
        "e,,,bad\n"
        "f,,,\"cut\n",
        true, 5, 1, 2);
    assert_counted(
        "{\"device\":\"a\",\"p_feasible\":0.95,\"error\":\"\"}\n"
        "{\"device\":\"\\\"\",\"p_feasible\":0.2,\"error\":\"the nearest\"}\n"
        "{\"device\":\"c\",\"p_feasible\":null,\"error\":\"not \\\",\\\"error\\\":\\\"\\\"}\"}\n"
        "{\"device\":\"d",
        false, 3, 1, 1);
    tl_fleet_count count = {0};
    tl_fleet_out_options options = {"/nowhere/out.csv", false, false, true};
    assert_err(TL_EIO, tl_fleet_out_count(&options, &count));
    assert_detail("/nowhere/out.csv: No such file");
}

static void a_row_with_a_line_break_is_one(void **state)
{
    (void)state;
    put("a,p,error\n\"x\ny\",1,\n\"z\n");
    tl_fleet_out *out = open_out(true, false, true, 1);
    assert_ok(add(out, "a,p,error\nz,1,\n"));
    tl_fleet_out_close(out);
    assert_file("a,p,error\n\"x\ny\",1,\nz,1,\n");
}

static void a_file_of_something_else_is_not_continued(void **state)
{
    (void)state;
    put("x,y\n1,2\n");
    tl_fleet_out *out = open_out(true, false, true, 1);
    assert_err(TL_ESTATE, add(out, "a,b\n3,4\n"));
    assert_detail("out.csv: its columns");
    tl_fleet_out_close(out);
    tl_fleet_out_options json = {path, true, false, false};
    tl_fleet_count done = {0};
    assert_err(TL_ESTATE, tl_fleet_out_open(&json, &out, &done));
    assert_file("x,y\n1,2\n");
}

static void a_whole_file_is_there_at_the_end_or_not_at_all(void **state)
{
    (void)state;
    tl_fleet_out *out = open_out(false, true, true, 0);
    tl_fleet_out *twin = open_out(false, true, true, 0); /* the same shard, run twice */
    assert_ok(add(out, "a\n1\n"));
    assert_ok(add(twin, "a\n1\n"));
    assert_false(tl_file_exists(path));
    assert_int_equal(n_files(), 2);
    assert_ok(tl_fleet_out_finish(out));
    assert_file("a\n1\n");
    assert_ok(tl_fleet_out_finish(twin));
    tl_fleet_out_close(out);
    tl_fleet_out_close(twin);
    assert_file("a\n1\n");
    out = open_out(false, true, true, 0);
    assert_ok(add(out, "a\n2\n"));
    tl_fleet_out_close(out); /* unfinished */
    assert_file("a\n1\n");
    assert_int_equal(n_files(), 1);
}

static void what_cannot_be_written_is_named(void **state)
{
    (void)state;
    tl_fleet_out *out = NULL;
    tl_fleet_count done = {0};
    tl_fleet_out_options options = {"/nowhere/out.csv", false, false, true};
    assert_err(TL_EIO, tl_fleet_out_open(&options, &out, &done));
    assert_detail("/nowhere/out.csv: No such file");
    options.is_whole = true;
    assert_err(TL_EIO, tl_fleet_out_open(&options, &out, &done));
    assert_detail("/nowhere/out.csv: No such file");
    options = (tl_fleet_out_options){"/dev/full", false, false, true};
    assert_ok(tl_fleet_out_open(&options, &out, &done));
    assert_err(TL_EIO, add(out, "a\n1\n"));
    assert_detail("/dev/full: No space left");
    tl_fleet_out_close(out);
}

static void a_full_disk_leaves_whole_lines_to_go_on_from(void **state)
{
    (void)state;
    enum {
        MAX_BYTES = 8192
    };
    struct rlimit before;
    struct rlimit bound = {MAX_BYTES, 0};
    char row[101];
    memset(row, 'x', sizeof row);
    row[99] = '\n';
    row[100] = '\0';
    tl_err err = TL_OK;
    tl_fleet_count done = {0};
    tl_fleet_out *out = open_out(false, false, false, 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    bound.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &bound), 0);
    row[0] = '{';
    while (err == TL_OK) {
        err = add(out, row);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_err(TL_EIO, err);
    assert_detail("out.csv: File too large");
    tl_fleet_out_close(out);
    tl_fleet_out_options again = {path, true, false, false};
    assert_ok(tl_fleet_out_open(&again, &out, &done));
    assert_int_equal(done.n_rows, MAX_BYTES / 100);
    assert_ok(add(out, row));
    tl_fleet_out_close(out);
}

static void a_device_is_neither_cut_nor_synced(void **state)
{
    (void)state;
    tl_fleet_out *out = NULL;
    tl_fleet_count done = {0};
    tl_fleet_out_options options = {"/dev/null", false, false, true};
    assert_ok(tl_fleet_out_open(&options, &out, &done));
    assert_ok(add(out, "a\n1\n"));
    assert_ok(tl_fleet_out_finish(out));
    tl_fleet_out_close(out);
}

static tl_err write_rows(void *context)
{
    tl_fleet_out *out = NULL;
    tl_fleet_count done = {0};
    tl_fleet_out_options options = {path, true, false, true};
    (void)context;
    TL_TRY(tl_fleet_out_open(&options, &out, &done));
    tl_err err = add(out, "a,b\n1,2\n");
    if (err == TL_OK) {
        err = tl_fleet_out_finish(out);
    }
    tl_fleet_out_close(out);
    return err;
}

static void a_file_without_memory_is_none(void **state)
{
    (void)state;
    assert_true(tl_test_torture("tl_fleet_out", write_rows, NULL) > 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, new_folder, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_header_is_written_once),
        TEST(an_old_file_stays_until_rows_come),
        TEST(a_file_is_continued_after_its_last_whole_line),
        TEST(rows_of_a_file_are_counted_by_what_became_of_them),
        TEST(a_row_with_a_line_break_is_one),
        TEST(a_file_of_something_else_is_not_continued),
        TEST(a_whole_file_is_there_at_the_end_or_not_at_all),
        TEST(what_cannot_be_written_is_named),
        TEST(a_full_disk_leaves_whole_lines_to_go_on_from),
        TEST(a_device_is_neither_cut_nor_synced),
        TEST(a_file_without_memory_is_none),
    };
    return cmocka_run_group_tests_name("cli/fleet_out", tests, NULL, NULL);
}
