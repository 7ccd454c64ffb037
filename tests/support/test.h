/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_SUPPORT_TEST_H
#define TL_TESTS_SUPPORT_TEST_H

/*
 * What every test file includes, and nothing before it: cmocka with the headers
 * it wants, and the project's own checks.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"

/* The seed of this run, printed once; TL_SEED in the environment replaces it. */
uint64_t tl_test_seed(void);

/* Per-test setup and teardown: the test gave back every block that it took. */
int tl_test_count_blocks(void **state);
int tl_test_no_leaks(void **state);

/* Compares errors by name, so that a failure says ENOTFOUND, and shows the detail. */
#define assert_err(wanted, call) tl_test_assert_err((wanted), (call), #call, __FILE__, __LINE__)
#define assert_ok(call)          assert_err(TL_OK, call)
void tl_test_assert_err(
    tl_err wanted, tl_err got, const char *call, const char *file, int line);

/* The detail of the last failure contains text. */
#define assert_detail(text) tl_test_assert_detail((text), __FILE__, __LINE__)
void tl_test_assert_detail(const char *text, const char *file, int line);

#define assert_close(a, b, tolerance) \
    tl_test_assert_close((a), (b), (tolerance), #a, __FILE__, __LINE__)
void tl_test_assert_close(
    double got, double wanted, double tolerance, const char *what, const char *file, int line);

/*
 * The folder of public measurement tables (TL_DATA_DIR, else ../shared/data
 * beside the checkout), or NULL where there is none; a test that needs it then
 * says so and calls skip().
 */
const char *tl_test_data_dir(void);

/* The checkout and the build tree. */
const char *tl_test_source_dir(void);
const char *tl_test_build_dir(void);

/* A new empty folder under $TMPDIR, removed with its content at exit. */
const char *tl_test_new_dir(void);

#endif
