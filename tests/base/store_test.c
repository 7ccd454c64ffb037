/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/store.h"
#include "base/text.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PATH_BYTES = 600,
    MIB = 1 << 20
};

static tl_store *open_in(const char *dir)
{
    tl_store *store = NULL;
    assert_ok(tl_store_open(dir, 64, &store));
    return store;
}

static tl_err put_one(tl_store *store, const char *key, const void *value, size_t len)
{
    tl_store_txn *txn = NULL;
    TL_TRY(tl_store_begin(store, &txn));
    tl_err err = tl_store_put(txn, TL_DB_DEVICES, key, strlen(key), value, len);
    if (err == TL_OK) {
        err = tl_store_commit(&txn);
    }
    tl_store_abort(&txn);
    return err;
}

static tl_err get_one(tl_store *store, const char *key, void **out_value, size_t *out_len)
{
    return tl_store_get(store, TL_DB_DEVICES, key, strlen(key), out_value, out_len);
}

static void assert_value(tl_store *store, const char *key, const char *wanted)
{
    void *value = NULL;
    size_t len = 0;
    assert_ok(get_one(store, key, &value, &len));
    assert_int_equal(len, strlen(wanted));
    assert_string_equal(value, wanted);
    tl_mem_free(value);
}

static void what_is_committed_is_there_after_reopening(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    tl_store *store = open_in(dir);
    assert_ok(put_one(store, "pixel6", "profile", 7));
    assert_ok(put_one(store, "empty", "", 0));
    assert_value(store, "pixel6", "profile");
    tl_store_close(store);
    store = open_in(dir);
    assert_value(store, "pixel6", "profile");
    assert_value(store, "empty", "");
    tl_store_close(store);
}

static void what_is_aborted_or_unknown_is_not_found(void **state)
{
    (void)state;
    tl_store *store = open_in(tl_test_new_dir());
    tl_store_txn *txn = NULL;
    void *value = NULL;
    size_t len = 7;
    const void *seen = NULL;
    assert_ok(tl_store_begin(store, &txn));
    assert_ok(tl_store_put(txn, TL_DB_DEVICES, "a", 1, "x", 1));
    assert_ok(tl_store_txn_get(txn, TL_DB_DEVICES, "a", 1, &seen, &len));
    assert_int_equal(len, 1);
    assert_err(TL_ENOTFOUND, get_one(store, "a", &value, &len));
    assert_err(TL_ENOTFOUND, tl_store_delete(txn, TL_DB_DEVICES, "b", 1));
    tl_store_abort(&txn);
    assert_null(txn);
    tl_store_abort(&txn);
    assert_err(TL_ENOTFOUND, get_one(store, "a", &value, &len));
    assert_null(value);
    tl_store_close(store);
}

static void databases_do_not_see_each_other(void **state)
{
    (void)state;
    tl_store *store = open_in(tl_test_new_dir());
    void *value = NULL;
    size_t len = 0;
    tl_store_stat stat;
    assert_ok(put_one(store, "a", "x", 1));
    assert_err(TL_ENOTFOUND, tl_store_get(store, TL_DB_SPACES, "a", 1, &value, &len));
    assert_ok(tl_store_stat_get(store, &stat));
    assert_int_equal(stat.n_entries[TL_DB_DEVICES], 1);
    assert_int_equal(stat.n_entries[TL_DB_SPACES], 0);
    assert_int_equal(stat.max_bytes, 64 * MIB);
    assert_true(stat.file_bytes > 0);
    tl_store_close(store);
}

static void a_key_out_of_bounds_is_refused(void **state)
{
    (void)state;
    static const char long_key[TL_STORE_MAX_KEY_BYTES + 1];
    tl_store *store = open_in(tl_test_new_dir());
    tl_store_txn *txn = NULL;
    void *value = NULL;
    size_t len = 0;
    assert_ok(tl_store_begin(store, &txn));
    assert_err(TL_EINVAL, tl_store_put(txn, TL_DB_META, "", 0, "x", 1));
    assert_err(TL_EINVAL, tl_store_put(txn, TL_DB_META, long_key, sizeof long_key, "x", 1));
    assert_detail("got 512 bytes, want 1 to 511");
    assert_ok(tl_store_put(txn, TL_DB_META, long_key, TL_STORE_MAX_KEY_BYTES, "x", 1));
    assert_ok(tl_store_commit(&txn));
    assert_err(
        TL_EINVAL, tl_store_get(store, TL_DB_META, long_key, sizeof long_key, &value, &len));
    tl_store_close(store);
}

static tl_err gather(void *context, const tl_store_entry *entry)
{
    tl_text *text = context;
    tl_text_add_bytes(text, entry->key, entry->key_len);
    tl_text_add(text, "=");
    tl_text_add_bytes(text, entry->value, entry->value_len);
    tl_text_add(text, " ");
    return tl_text_err(text);
}

static tl_err refuse(void *context, const tl_store_entry *entry)
{
    (void)entry;
    ++*(int *)context;
    return tl_fail(TL_ECANCELLED, "enough");
}

static void a_prefix_is_visited_in_order_and_removed(void **state)
{
    (void)state;
    static const char *const keys[] = {"b2", "a", "b1", "c", "b", "b1x"};
    tl_store *store = open_in(tl_test_new_dir());
    tl_text text = {0};
    tl_store_txn *txn = NULL;
    size_t n = 0;
    int n_visited = 0;
    for (size_t i = 0; i < TL_COUNT(keys); i++) {
        assert_ok(put_one(store, keys[i], "v", 1));
    }
    assert_ok(tl_store_iterate(store, TL_DB_DEVICES, "b", 1, gather, &text));
    assert_string_equal(text.data, "b=v b1=v b1x=v b2=v ");
    assert_err(
        TL_ECANCELLED, tl_store_iterate(store, TL_DB_DEVICES, "b", 1, refuse, &n_visited));
    assert_int_equal(n_visited, 1);
    tl_text_clear(&text);
    assert_ok(tl_store_iterate(store, TL_DB_DEVICES, "x", 1, gather, &text));
    assert_string_equal(text.data, "");

    assert_ok(tl_store_begin(store, &txn));
    assert_ok(tl_store_delete_prefix(txn, TL_DB_DEVICES, "b1", 2, SIZE_MAX, &n));
    assert_int_equal(n, 2);
    assert_ok(tl_store_delete(txn, TL_DB_DEVICES, "c", 1));
    assert_ok(
        tl_store_txn_iterate_range(txn, TL_DB_DEVICES, &(tl_store_range){0}, gather, &text));
    assert_string_equal(text.data, "a=v b=v b2=v ");
    assert_ok(tl_store_delete_prefix(txn, TL_DB_DEVICES, NULL, 0, SIZE_MAX, NULL));
    assert_ok(tl_store_commit(&txn));
    tl_text_clear(&text);
    assert_ok(tl_store_iterate(store, TL_DB_DEVICES, NULL, 0, gather, &text));
    assert_string_equal(text.data, "");
    tl_text_done(&text);
    tl_store_close(store);
}

/* Runs in a child: another process that opens the folder, then this one again. */
static int open_twice(const char *dir)
{
    tl_store *store = NULL;
    if (tl_store_open(dir, 64, &store) != TL_ESTATE) {
        return 1;
    }
    return strstr(tl_err_detail(), "in use by process") != NULL ? 0 : 2;
}

static int exit_status(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_folder_in_use_is_refused(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    tl_store *store = open_in(dir);
    tl_store *second = NULL;
    assert_err(TL_ESTATE, tl_store_open(dir, 64, &second));
    assert_detail("is in use by process");
    assert_null(second);
    pid_t child = fork();
    if (child == 0) {
        _exit(open_twice(dir));
    }
    assert_int_equal(exit_status(child), 0);
    tl_store_close(store);
    tl_store_close(open_in(dir));
    tl_store_close(NULL);
}

static void a_full_store_refuses_and_goes_on(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    tl_store *store = NULL;
    char *value = tl_mem_new(MIB, 1);
    assert_non_null(value);
    assert_ok(tl_store_open(dir, 2, &store));
    assert_ok(put_one(store, "a", "old", 3));
    assert_ok(put_one(store, "b", value, MIB));
    assert_err(TL_ELIMIT, put_one(store, "a", value, MIB));
    assert_detail("may hold 2 MiB");
    assert_value(store, "a", "old");
    assert_ok(put_one(store, "a", "new", 3));
    tl_store_close(store);
    store = open_in(dir); /* a larger bound later is what a user does about it */
    assert_ok(put_one(store, "c", value, MIB));
    assert_value(store, "a", "new");
    tl_store_close(store);
    tl_mem_free(value);
}

/* Runs in a child, whose files may not grow beyond 1 MiB. */
static int fill_the_disk(const char *dir)
{
    static char value[2 * MIB];
    const struct rlimit limit = {MIB, MIB};
    tl_store *store = NULL;
    void *got = NULL;
    size_t len = 0;
    (void)signal(SIGXFSZ, SIG_IGN);
    if (tl_store_open(dir, 64, &store) != TL_OK || setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 1;
    }
    if (put_one(store, "a", value, sizeof value) != TL_EIO) {
        return 2;
    }
    if (get_one(store, "a", &got, &len) != TL_OK || strcmp(got, "old") != 0) {
        return 3;
    }
    if (put_one(store, "b", "small", 5) != TL_OK) {
        return 4;
    }
    tl_mem_free(got);
    tl_store_close(store);
    return 0;
}

static void a_full_disk_is_an_error_and_leaves_the_old_state(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    tl_store *store = open_in(dir);
    assert_ok(put_one(store, "a", "old", 3));
    tl_store_close(store);
    pid_t child = fork();
    if (child == 0) {
        _exit(fill_the_disk(dir));
    }
    assert_int_equal(exit_status(child), 0);
    store = open_in(dir);
    assert_value(store, "a", "old");
    assert_value(store, "b", "small");
    tl_store_close(store);
}

static const char *file_in(const char *dir)
{
    static char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/store.mdb", dir);
    return path;
}

static void a_file_that_is_no_store_is_refused(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    static char noise[65536];
    tl_store *store = NULL;
    memset(noise, 'x', sizeof noise);
    assert_ok(tl_file_write(file_in(dir), noise, sizeof noise));
    assert_err(TL_EDAMAGED, tl_store_open(dir, 64, &store));
    assert_detail(dir);
    assert_ok(tl_file_write(file_in(dir), noise, 100));
    assert_err(TL_EDAMAGED, tl_store_open(dir, 64, &store));
    assert_null(store);
}

/* Whatever is cut off the end: an error or the value, and never a crash. */
static void a_truncated_file_is_an_error_and_no_crash(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    static char value[100000];
    char *whole = NULL;
    size_t len = 0;
    tl_store *store = open_in(dir);
    memset(value, 'v', sizeof value);
    assert_ok(put_one(store, "a", value, sizeof value));
    tl_store_close(store);
    assert_ok(tl_file_read(file_in(dir), 10 * MIB, &whole, &len));
    int n_refused = 0;
    for (size_t cut = len; cut >= 2048; cut -= 2048) {
        void *got = NULL;
        size_t got_len = 0;
        assert_ok(tl_file_write(file_in(dir), whole, cut));
        tl_err err = tl_store_open(dir, 64, &store);
        if (err == TL_OK) {
            err = get_one(store, "a", &got, &got_len);
            tl_store_close(store);
        }
        assert_true(err == TL_OK || err == TL_EDAMAGED || err == TL_ENOTFOUND);
        n_refused += err != TL_OK ? 1 : 0;
        tl_mem_free(got);
    }
    assert_true(n_refused > 0);
    tl_mem_free(whole);
}

static void *count_up(void *context)
{
    tl_store *store = context;
    for (int i = 0; i < 20; i++) {
        tl_store_txn *txn = NULL;
        const void *value = NULL;
        size_t len = 0;
        int n = 0;
        if (tl_store_begin(store, &txn) != TL_OK) {
            return NULL;
        }
        if (tl_store_txn_get(txn, TL_DB_META, "n", 1, &value, &len) == TL_OK) {
            memcpy(&n, value, sizeof n);
        }
        n++;
        if (tl_store_put(txn, TL_DB_META, "n", 1, &n, sizeof n) != TL_OK ||
            tl_store_commit(&txn) != TL_OK) {
            tl_store_abort(&txn);
            return NULL;
        }
    }
    return NULL;
}

static void writers_of_many_threads_take_turns(void **state)
{
    (void)state;
    tl_store *store = open_in(tl_test_new_dir());
    pthread_t threads[8];
    void *value = NULL;
    size_t len = 0;
    int n = 0;
    for (size_t i = 0; i < TL_COUNT(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, store), 0);
    }
    for (size_t i = 0; i < TL_COUNT(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_ok(tl_store_get(store, TL_DB_META, "n", 1, &value, &len));
    memcpy(&n, value, sizeof n);
    assert_int_equal(n, 160);
    tl_mem_free(value);
    tl_store_close(store);
}

/*
 * The child commits pairs (a = i, b = i) as fast as it can and says each i on the
 * pipe once it is committed, until it is killed.
 */
static void commit_until_killed(const char *dir, int pipe_fd)
{
    tl_store *store = NULL;
    if (tl_store_open(dir, 64, &store) != TL_OK) {
        _exit(1);
    }
    for (int i = 1;; i++) {
        tl_store_txn *txn = NULL;
        if (tl_store_begin(store, &txn) != TL_OK ||
            tl_store_put(txn, TL_DB_META, "a", 1, &i, sizeof i) != TL_OK ||
            tl_store_put(txn, TL_DB_META, "b", 1, &i, sizeof i) != TL_OK ||
            tl_store_commit(&txn) != TL_OK || write(pipe_fd, &i, sizeof i) != sizeof i) {
            _exit(2);
        }
    }
}

static int read_int(tl_store *store, const char *key)
{
    void *value = NULL;
    size_t len = 0;
    int i = 0;
    if (tl_store_get(store, TL_DB_META, key, 1, &value, &len) == TL_OK) {
        memcpy(&i, value, sizeof i);
    }
    tl_mem_free(value);
    return i;
}

static void a_kill_loses_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    uint64_t seed = tl_test_seed();
    for (int round = 0; round < 15; round++) {
        const char *dir = tl_test_new_dir();
        int ends[2];
        int acknowledged = 0;
        int i = 0;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            commit_until_killed(dir, ends[1]);
        }
        (void)close(ends[1]);
        assert_int_equal(read(ends[0], &acknowledged, sizeof acknowledged), sizeof i);
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        (void)nanosleep(&(struct timespec){.tv_nsec = (long)(seed >> 33) % 20000000}, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read(ends[0], &i, sizeof i) == sizeof i) {
            acknowledged = i;
        }
        (void)close(ends[0]);
        assert_int_equal(waitpid(child, NULL, 0), child);
        tl_store *store = open_in(dir);
        int a = read_int(store, "a");
        assert_int_equal(a, read_int(store, "b"));
        assert_true(a == acknowledged || a == acknowledged + 1);
        tl_store_close(store);
    }
}

static tl_err use_all(const char *dir)
{
    tl_store *store = NULL;
    void *value = NULL;
    size_t len = 0;
    TL_TRY(tl_store_open(dir, 64, &store));
    tl_err err = put_one(store, "k", "v", 1);
    if (err == TL_OK) {
        err = get_one(store, "k", &value, &len);
        tl_mem_free(value);
    }
    tl_store_close(store);
    return err;
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
        err = use_all(dir);
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
        TEST(what_is_committed_is_there_after_reopening),
        TEST(what_is_aborted_or_unknown_is_not_found),
        TEST(databases_do_not_see_each_other),
        TEST(a_key_out_of_bounds_is_refused),
        TEST(a_prefix_is_visited_in_order_and_removed),
        TEST(a_folder_in_use_is_refused),
        TEST(a_full_store_refuses_and_goes_on),
        TEST(a_full_disk_is_an_error_and_leaves_the_old_state),
        TEST(a_file_that_is_no_store_is_refused),
        TEST(a_truncated_file_is_an_error_and_no_crash),
        TEST(writers_of_many_threads_take_turns),
        TEST(a_kill_loses_nothing_that_was_acknowledged),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("base/store", tests, NULL, NULL);
}
