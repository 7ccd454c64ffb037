/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PATH_BYTES = 600
};

static const char *path_in(const char *dir, const char *name)
{
    static char paths[4][PATH_BYTES];
    static int next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, PATH_BYTES, "%s/%s", dir, name);
    return path;
}

static void assert_content(const char *path, const char *wanted)
{
    char *data = NULL;
    size_t len = 0;
    assert_ok(tl_file_read(path, 1 << 20, &data, &len));
    assert_int_equal(len, strlen(wanted));
    assert_string_equal(data, wanted);
    tl_mem_free(data);
}

static void a_file_is_written_read_and_replaced(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    const char *path = path_in(dir, "a.txt");
    struct stat status;
    assert_false(tl_file_exists(path));
    assert_ok(tl_file_write(path, "one", 3));
    assert_true(tl_file_exists(path));
    assert_content(path, "one");
    assert_ok(tl_file_write(path, "", 0));
    assert_content(path, "");
    assert_int_equal(stat(path, &status), 0);
    mode_t mask = umask(0);
    (void)umask(mask);
    assert_int_equal(status.st_mode & 0777, 0644 & ~mask);
}

static void the_bound_is_exact(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 1000, 65535, 65536, 65537, 300000};
    const char *path = path_in(tl_test_new_dir(), "a.bin");
    char *content = tl_mem_new(300000, 1);
    assert_non_null(content);
    for (size_t i = 0; i < TL_COUNT(sizes); i++) {
        char *data = NULL;
        size_t len = 77;
        memset(content, 'x', sizes[i]);
        assert_ok(tl_file_write(path, content, sizes[i]));
        if (sizes[i] > 0) {
            assert_err(TL_ELIMIT, tl_file_read(path, sizes[i] - 1, &data, &len));
            assert_null(data);
            assert_int_equal(len, 77);
        }
        assert_ok(tl_file_read(path, sizes[i], &data, &len));
        assert_int_equal(len, sizes[i]);
        assert_memory_equal(data, content, len);
        assert_int_equal(data[len], 0);
        tl_mem_free(data);
    }
    tl_mem_free(content);
}

static void what_cannot_be_read_or_written_is_said_with_its_path(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    const char *missing = path_in(dir, "no/such");
    char *data = NULL;
    size_t len = 0;
    tl_file_list list = {0};
    assert_err(TL_ENOTFOUND, tl_file_read(missing, 10, &data, &len));
    assert_detail("no/such: No such file or directory");
    assert_err(TL_ENOTFOUND, tl_file_write(missing, "x", 1));
    assert_detail("no/such");
    assert_err(TL_ENOTFOUND, tl_file_list_init(&list, missing, ""));
    assert_err(TL_EIO, tl_file_read(dir, 10, &data, &len));
    assert_detail("directory");
    assert_ok(tl_file_write(path_in(dir, "file"), "x", 1));
    assert_err(TL_EIO, tl_file_make_dirs(path_in(dir, "file/below")));
    assert_err(TL_EIO, tl_file_make_dirs(path_in(dir, "file")));
    assert_null(data);
}

static void folders_are_made_with_those_above_them(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    assert_ok(tl_file_make_dirs(path_in(dir, "a/b//c/")));
    assert_ok(tl_file_make_dirs(path_in(dir, "a/b/c")));
    assert_true(tl_file_exists(path_in(dir, "a/b/c")));
    assert_ok(tl_file_make_dirs("/"));
    assert_err(TL_ENOTFOUND, tl_file_make_dirs(""));
}

static void a_listing_is_sorted_and_filtered(void **state)
{
    (void)state;
    static const char *const names[] = {"b.yaml", "a.yaml", ".hidden.yaml", "c.yml", "B.yaml"};
    const char *dir = tl_test_new_dir();
    tl_file_list list = {0};
    for (size_t i = 0; i < TL_COUNT(names); i++) {
        assert_ok(tl_file_write(path_in(dir, names[i]), "", 0));
    }
    assert_ok(tl_file_list_init(&list, dir, ".yaml"));
    assert_int_equal(list.n_names, 3);
    assert_string_equal(list.names[0], "B.yaml");
    assert_string_equal(list.names[1], "a.yaml");
    assert_string_equal(list.names[2], "b.yaml");
    tl_file_list_done(&list);
    assert_ok(tl_file_list_init(&list, dir, ".none"));
    assert_int_equal(list.n_names, 0);
    tl_file_list_done(&list);
}

/* Runs in a child, which may not write files beyond 4 KiB. */
static int write_too_much(const char *path)
{
    static char content[65536];
    const struct rlimit limit = {4096, 4096};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 2;
    }
    return tl_file_write(path, content, sizeof content) == TL_EIO ? 0 : 1;
}

static void a_full_disk_leaves_the_old_file_and_nothing_else(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    const char *path = path_in(dir, "a.txt");
    assert_ok(tl_file_write(path, "old", 3));
    pid_t child = fork();
    if (child == 0) {
        _exit(write_too_much(path));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_content(path, "old");
    tl_file_list list = {0};
    assert_ok(tl_file_list_init(&list, dir, ""));
    assert_int_equal(list.n_names, 1);
    tl_file_list_done(&list);
}

static tl_err write_read_list(const char *dir)
{
    char *data = NULL;
    size_t len = 0;
    tl_file_list list = {0};
    const char *path = path_in(dir, "x/y.txt");
    TL_TRY(tl_file_make_dirs(path_in(dir, "x")));
    TL_TRY(tl_file_write(path, "text", 4));
    TL_TRY(tl_file_read(path, 100, &data, &len));
    tl_mem_free(data);
    TL_TRY(tl_file_list_init(&list, path_in(dir, "x"), ".txt"));
    tl_file_list_done(&list);
    return TL_OK;
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    for (long k = 1; err != TL_OK; k++) {
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = write_read_list(dir);
        tl_mem_fail_at(0);
        n_failures += err != TL_OK ? 1 : 0;
        assert_int_equal(tl_mem_live(), live_before);
    }
    assert_true(n_failures >= 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_written_read_and_replaced),
        TEST(the_bound_is_exact),
        TEST(what_cannot_be_read_or_written_is_said_with_its_path),
        TEST(folders_are_made_with_those_above_them),
        TEST(a_listing_is_sorted_and_filtered),
        TEST(a_full_disk_leaves_the_old_file_and_nothing_else),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("base/file", tests, NULL, NULL);
}
