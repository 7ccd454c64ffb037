/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700
#include "tests/support/test.h"

#include "base/mem.h"

#include <ftw.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_DIRS = 64,
    PATH_BYTES = 512,
    MAX_OPEN_FILES = 16
};

static char dirs[MAX_DIRS][PATH_BYTES];
static int n_dirs;
static long blocks_before;

uint64_t tl_test_seed(void)
{
    static bool is_printed;
    const char *text = getenv("TL_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20261120U;
    if (!is_printed) {
        is_printed = true;
        (void)printf("TL_SEED=%llu\n", (unsigned long long)seed);
    }
    return seed;
}

int tl_test_count_blocks(void **state)
{
    (void)state;
    blocks_before = tl_mem_live();
    return 0;
}

int tl_test_no_leaks(void **state)
{
    (void)state;
    tl_mem_fail_at(0);
    long leaked = tl_mem_live() - blocks_before;
    if (leaked != 0) {
        (void)fprintf(stderr, "%ld blocks were not given back\n", leaked);
        return -1;
    }
    return 0;
}

void tl_test_assert_err(tl_err wanted, tl_err got, const char *call, const char *file, int line)
{
    if (wanted != got) {
        (void)fprintf(
            stderr, "%s: got %s (%s), want %s\n", call, tl_err_name(got),
            got == TL_OK ? "" : tl_err_detail(), tl_err_name(wanted));
        _fail(file, line);
    }
}

void tl_test_assert_detail(const char *text, const char *file, int line)
{
    if (strstr(tl_err_detail(), text) == NULL) {
        (void)fprintf(stderr, "detail \"%s\" does not say \"%s\"\n", tl_err_detail(), text);
        _fail(file, line);
    }
}

void tl_test_assert_close(
    double got, double wanted, double tolerance, const char *what, const char *file, int line)
{
    if (!(fabs(got - wanted) <= tolerance)) {
        (void)fprintf(
            stderr, "%s: got %.12g, want %.12g within %g\n", what, got, wanted, tolerance);
        _fail(file, line);
    }
}

const char *tl_test_data_dir(void)
{
    static char path[PATH_BYTES];
    const char *given = getenv("TL_DATA_DIR");
    if (given != NULL) {
        (void)snprintf(path, sizeof path, "%s", given);
    } else {
        (void)snprintf(path, sizeof path, "%s/../shared/data", TL_SOURCE_DIR);
    }
    if (access(path, R_OK) != 0) {
        (void)printf("no measurement tables at %s: set TL_DATA_DIR to run this test\n", path);
        return NULL;
    }
    return path;
}

const char *tl_test_source_dir(void)
{
    return TL_SOURCE_DIR;
}

const char *tl_test_build_dir(void)
{
    return TL_BUILD_DIR;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static void remove_dirs(void)
{
    for (int i = 0; i < n_dirs; i++) {
        (void)nftw(dirs[i], remove_one, MAX_OPEN_FILES, FTW_DEPTH | FTW_PHYS);
    }
}

const char *tl_test_new_dir(void)
{
    const char *parent = getenv("TMPDIR");
    assert_true(n_dirs < MAX_DIRS);
    if (n_dirs == 0) {
        (void)atexit(remove_dirs);
    }
    char *dir = dirs[n_dirs];
    (void)snprintf(dir, PATH_BYTES, "%s/tailor-test-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(dir));
    n_dirs++;
    return dir;
}
