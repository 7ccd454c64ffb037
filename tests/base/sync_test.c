/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/store.h"

#include <stdio.h>
#include <unistd.h>

/*
 * What a kill cannot show: that a write is on the disk, not only with the kernel, before it is
 * acknowledged. The system calls that see to that are counted on their way; LMDB, too, finds
 * these in place of those of the C library.
 */

static int n_syncs;

int fdatasync(int fd)
{
    n_syncs++;
    return fsync(fd);
}

int fsync(int fd)
{
    (void)fd; /* not done: it is only counted, and nothing here outlives the machine */
    n_syncs++;
    return 0;
}

static void a_commit_is_synced_before_it_returns(void **state)
{
    (void)state;
    tl_store *store = NULL;
    tl_store_txn *txn = NULL;
    assert_ok(tl_store_open(tl_test_new_dir(), 64, &store));
    for (int i = 0; i < 5; i++) {
        assert_ok(tl_store_begin(store, &txn));
        assert_ok(tl_store_put(txn, TL_DB_META, "a", 1, &i, sizeof i));
        int before = n_syncs;
        assert_ok(tl_store_commit(&txn));
        assert_true(n_syncs > before);
    }
    tl_store_close(store);
}

static void a_file_and_its_folder_are_synced_before_it_returns(void **state)
{
    (void)state;
    char path[600];
    (void)snprintf(path, sizeof path, "%s/file", tl_test_new_dir());
    n_syncs = 0;
    assert_ok(tl_file_write(path, "x", 1));
    assert_int_equal(n_syncs, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_is_synced_before_it_returns),
        cmocka_unit_test(a_file_and_its_folder_are_synced_before_it_returns),
    };
    return cmocka_run_group_tests_name("base/sync", tests, NULL, NULL);
}
