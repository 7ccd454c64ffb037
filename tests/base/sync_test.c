/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/store.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * What a kill cannot show: that a write is on the disk, not only with the kernel, before it is
 * acknowledged, and in the right order. The system calls that see to that are written down on
 * their way; LMDB, too, finds these in place of those of the C library.
 */

enum {
    PATH_BYTES = 5000
};

static int n_syncs;
static char seen[PATH_BYTES * 8]; /* "sync PATH\n", "rename TO\n", "mkdir PATH\n" */

static void see(const char *what, const char *path)
{
    size_t len = strlen(seen);
    (void)snprintf(seen + len, sizeof seen - len, "%s %s\n", what, path);
}

static void see_sync(int fd)
{
    char link[64];
    char path[PATH_BYTES] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    assert_true(readlink(link, path, sizeof path - 1) > 0);
    n_syncs++;
    see("sync", path);
}

/* The system's own function of this name. */
static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    assert_non_null(found);
    return found;
}

int fdatasync(int fd)
{
    see_sync(fd); /* not done: nothing here outlives the machine */
    return 0;
}

int fsync(int fd)
{
    see_sync(fd);
    return 0;
}

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = NULL;
    void *found = next("rename");
    memcpy(&real, &found, sizeof real);
    see("rename", to);
    return real(from, to);
}

int mkdir(const char *path, mode_t mode)
{
    int (*real)(const char *, mode_t) = NULL;
    void *found = next("mkdir");
    memcpy(&real, &found, sizeof real);
    int status = real(path, mode);
    if (status == 0) {
        see("mkdir", path);
    }
    return status;
}

/* An empty folder of its own, by the name that the system has for it. */
static const char *new_dir(char path[PATH_MAX])
{
    assert_non_null(realpath(tl_test_new_dir(), path));
    seen[0] = '\0';
    return path;
}

static void a_commit_is_synced_before_it_returns(void **state)
{
    (void)state;
    char dir[PATH_MAX];
    tl_store *store = NULL;
    tl_store_txn *txn = NULL;
    assert_ok(tl_store_open(new_dir(dir), 64, &store));
    for (int i = 0; i < 5; i++) {
        assert_ok(tl_store_begin(store, &txn));
        assert_ok(tl_store_put(txn, TL_DB_META, "a", 1, &i, sizeof i));
        seen[0] = '\0';
        int before = n_syncs;
        assert_ok(tl_store_commit(&txn));
        assert_true(n_syncs > before);
        assert_non_null(strstr(seen, "/store.mdb\n"));
    }
    tl_store_close(store);
}

static void a_file_is_synced_then_renamed_then_its_folder_is_synced(void **state)
{
    (void)state;
    char dir[PATH_MAX];
    char path[PATH_BYTES];
    char wanted[PATH_BYTES * 3];
    (void)snprintf(path, sizeof path, "%s/file", new_dir(dir));
    assert_ok(tl_file_write(path, "x", 1));
    (void)snprintf(wanted, sizeof wanted, "\nrename %s/file\nsync %s\n", dir, dir);
    const char *end = strstr(seen, wanted);
    assert_non_null(end);
    assert_string_equal(end, wanted); /* and nothing after it */
    (void)snprintf(wanted, sizeof wanted, "sync %s/file.unfinished.", dir);
    assert_memory_equal(seen, wanted, strlen(wanted));
    assert_ptr_equal(strchr(seen, '\n'), end);
}

static void a_new_folder_is_there_before_anything_is_in_it(void **state)
{
    (void)state;
    char dir[PATH_MAX];
    char path[PATH_BYTES];
    char wanted[PATH_BYTES * 6];
    (void)snprintf(path, sizeof path, "%s/a/b", new_dir(dir));
    assert_ok(tl_file_make_dirs(path));
    (void)snprintf(
        wanted, sizeof wanted, "mkdir %s/a\nsync %s\nmkdir %s/a/b\nsync %s/a\n", dir, dir, dir,
        dir);
    assert_string_equal(seen, wanted);
    seen[0] = '\0';
    assert_ok(tl_file_make_dirs(path));
    assert_string_equal(seen, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_is_synced_before_it_returns),
        cmocka_unit_test(a_file_is_synced_then_renamed_then_its_folder_is_synced),
        cmocka_unit_test(a_new_folder_is_there_before_anything_is_in_it),
    };
    return cmocka_run_group_tests_name("base/sync", tests, NULL, NULL);
}
