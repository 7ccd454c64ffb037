/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/measurements/cell_space.h"

#include "base/mem.h"
#include "measurements/columns.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * What happens to an import when the process is killed or the disk is full. The
 * child opens the store itself: LMDB must not be used across fork().
 */

enum {
    N_ROUNDS = 12,
    MIB = 1 << 20
};

static tl_space *space;

static int load(void **state)
{
    (void)state;
    space = load_space("nasbench201");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    tl_space_unref(space);
    return 0;
}

static tl_err on_devices(
    void *context, tl_store_txn *txn, const char *const *devices, size_t n_devices)
{
    for (size_t i = 0; i < n_devices; i++) {
        TL_TRY(tl_store_put(
            txn, TL_DB_DEVICES, devices[i], strlen(devices[i]), context, sizeof(int)));
    }
    return TL_OK;
}

/* One table: every cell is the number. */
static tl_err import_number(tl_store *store, int number)
{
    char csv[1024];
    tl_table table = {0};
    tl_import_report report;
    int n = number;
    (void)snprintf(
        csv, sizeof csv,
        HEADER ",latency_ms@a,energy_mj@a,latency_ms@b\n" CELL_A ",%d,%d,%d\n" CELL_B
               ",%d,%d,%d\n" CELL_C ",%d,%d,%d\n",
        n, n, n, n, n, n, n, n, n);
    TL_TRY(parse(space, TL_TABLE_IMPORT, csv, &table));
    tl_err err = tl_columns_import(store, space, &table, on_devices, &number, &report);
    tl_table_done(&table);
    return err;
}

static void import_until_killed(const char *dir, int pipe_fd)
{
    tl_store *store = NULL;
    if (tl_store_open(dir, 64, &store) != TL_OK) {
        _exit(1);
    }
    for (int i = 1;; i++) {
        if (import_number(store, i) != TL_OK || write(pipe_fd, &i, sizeof i) != sizeof i) {
            _exit(2);
        }
    }
}

static void assert_column_is(tl_store *store, tl_metric metric, const char *device, int number)
{
    tl_column column = {0};
    assert_ok(tl_columns_get(store, space, metric, device, &column));
    assert_int_equal(column.n, 3);
    for (int i = 0; i < column.n; i++) {
        assert_true(column.values[i] == number);
    }
    tl_column_done(&column);
}

/* Everything that one import wrote is of the same import, an acknowledged one or the next. */
static void assert_whole(tl_store *store, int acknowledged)
{
    void *value = NULL;
    size_t len = 0;
    int number = 0;
    assert_ok(tl_store_get(store, TL_DB_DEVICES, "a", 1, &value, &len));
    memcpy(&number, value, sizeof number);
    tl_mem_free(value);
    assert_in_range(number, acknowledged, acknowledged + 1);
    assert_column_is(store, TL_METRIC_LATENCY_MS, "a", number);
    assert_column_is(store, TL_METRIC_ENERGY_MJ, "a", number);
    assert_column_is(store, TL_METRIC_LATENCY_MS, "b", number);
}

static int kill_after(const char *dir, long ns)
{
    int ends[2];
    int acknowledged = 0;
    int i = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        import_until_killed(dir, ends[1]);
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &acknowledged, sizeof acknowledged), sizeof acknowledged);
    (void)nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(ends[0], &i, sizeof i) == sizeof i) {
        acknowledged = i;
    }
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return acknowledged;
}

static void a_kill_leaves_whole_imports_and_every_acknowledged_one(void **state)
{
    (void)state;
    uint64_t bits = tl_test_seed();
    for (int round = 0; round < N_ROUNDS; round++) {
        const char *dir = tl_test_new_dir();
        tl_store *store = NULL;
        bits = bits * 6364136223846793005U + 1442695040888963407U;
        int acknowledged = kill_after(dir, (long)(bits >> 33) % 30000000);
        assert_ok(tl_store_open(dir, 64, &store));
        assert_whole(store, acknowledged);
        assert_ok(import_number(store, 1000000));
        tl_store_close(store);
    }
}

/* 37,500 values: well beyond the room that the child has. */
static tl_err import_much(tl_store *store)
{
    tl_text csv = {0};
    tl_table table = {0};
    tl_import_report report;
    tl_text_add(&csv, HEADER);
    for (int d = 0; d < 1500; d++) {
        tl_text_addf(&csv, ",latency_ms@d%d", d);
    }
    for (int row = 0; row < 25; row++) {
        tl_text_addf(&csv, "\n%s", row % 5 < 3 ? "none" : "skip_connect");
        for (int s = 1; s < 6; s++) {
            tl_text_addf(&csv, ",%s", (row >> (s - 1)) % 2 == 1 ? "none" : "nor_conv_3x3");
        }
        for (int d = 0; d < 1500; d++) {
            tl_text_addf(&csv, ",%d.5", row + d);
        }
    }
    tl_err err = parse(space, TL_TABLE_IMPORT, csv.data, &table);
    if (err == TL_OK) {
        err = tl_columns_import(store, space, &table, NULL, NULL, &report);
    }
    tl_table_done(&table);
    tl_text_done(&csv);
    return err;
}

static int import_without_room(const char *dir)
{
    tl_store *store = NULL;
    const struct rlimit limit = {256 * 1024, 256 * 1024};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (tl_store_open(dir, 64, &store) != TL_OK || setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 1;
    }
    if (import_much(store) != TL_EIO) {
        return 2;
    }
    if (import_number(store, 8) != TL_OK) {
        return 3;
    }
    tl_store_close(store);
    return 0;
}

static void a_full_disk_is_an_error_and_leaves_what_was_there(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    tl_store *store = NULL;
    tl_column_list list = {0};
    size_t n_columns = 0;
    int status = 0;
    assert_ok(tl_store_open(dir, 64, &store));
    assert_ok(import_number(store, 7));
    tl_store_close(store);
    pid_t child = fork();
    if (child == 0) {
        _exit(import_without_room(dir));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_ok(tl_store_open(dir, 64, &store));
    assert_whole(store, 8);
    for (int m = 0; m < TL_N_METRICS; m++) {
        size_t n_left_out = 0;
        assert_ok(tl_columns_largest(
            store, tl_space_name(space), (tl_metric)m, 9, &list, &n_left_out));
        n_columns += list.n_columns;
        tl_column_list_done(&list);
    }
    assert_int_equal(n_columns, 3);
    assert_ok(import_much(store));
    tl_store_close(store);
}

static void a_full_store_is_an_error_and_leaves_what_was_there(void **state)
{
    (void)state;
    tl_store *store = NULL;
    assert_ok(tl_store_open(tl_test_new_dir(), 1, &store));
    assert_ok(import_number(store, 7));
    assert_err(TL_ELIMIT, import_much(store));
    assert_detail("is full: it may hold 1 MiB");
    assert_whole(store, 7);
    tl_store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_kill_leaves_whole_imports_and_every_acknowledged_one),
        TEST(a_full_disk_is_an_error_and_leaves_what_was_there),
        TEST(a_full_store_is_an_error_and_leaves_what_was_there),
    };
    return cmocka_run_group_tests_name("measurements/durability", tests, load, unload);
}
