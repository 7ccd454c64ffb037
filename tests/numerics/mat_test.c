/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "numerics/mat.h"

#include <limits.h>

static void rows_start_on_a_64_byte_boundary_and_are_zero(void **state)
{
    (void)state;
    static const int widths[] = {1, 3, 8, 16, 17, 64};
    for (size_t w = 0; w < TL_COUNT(widths); w++) {
        tl_mat m = {0};
        tl_dmat d = {0};
        assert_ok(tl_mat_init(&m, 3, widths[w]));
        assert_ok(tl_dmat_init(&d, 3, widths[w]));
        for (int i = 0; i < 3; i++) {
            assert_int_equal((uintptr_t)tl_mat_row(m, i) % 64, 0);
            assert_int_equal((uintptr_t)tl_dmat_row(d, i) % 64, 0);
            for (int j = 0; j < m.ld; j++) {
                assert_true(tl_mat_row(m, i)[j] == 0.0F);
            }
            for (int j = 0; j < d.ld; j++) {
                assert_true(tl_dmat_row(d, i)[j] == 0.0);
            }
        }
        tl_mat_done(&m);
        tl_dmat_done(&d);
        assert_null(m.data);
        tl_mat_done(&m);
    }
}

static void an_empty_matrix_is_a_matrix(void **state)
{
    (void)state;
    static const int shapes[][2] = {
        {0, 5},
        {5, 0},
        {0, 0}
    };
    for (size_t s = 0; s < TL_COUNT(shapes); s++) {
        tl_dmat m = {0};
        assert_ok(tl_dmat_init(&m, shapes[s][0], shapes[s][1]));
        assert_non_null(m.data);
        assert_true(m.ld > 0);
        tl_dmat_done(&m);
    }
}

static void views_keep_the_leading_dimension(void **state)
{
    (void)state;
    tl_dmat m = {0};
    assert_ok(tl_dmat_init(&m, 6, 9));
    tl_dmat block = tl_dmat_cols(tl_dmat_rows(m, 2, 5), 3, 7);
    assert_int_equal(block.rows, 3);
    assert_int_equal(block.cols, 4);
    assert_int_equal(block.ld, m.ld);
    tl_dmat_row(block, 1)[2] = 7.0;
    assert_true(tl_dmat_row(m, 3)[5] == 7.0);
    tl_dcmat read = tl_dcmat_cols(tl_dcmat_rows(tl_dro(m), 3, 4), 5, 6);
    assert_true(tl_dcmat_row(read, 0)[0] == 7.0);
    tl_dmat_done(&m);
}

static void a_refused_allocation_leaves_the_matrix_untouched(void **state)
{
    (void)state;
    tl_mat m = {.rows = -7};
    tl_dmat d = {.rows = -7};
    tl_mem_fail_at(1);
    assert_err(TL_ENOMEM, tl_mat_init(&m, 8, 9));
    assert_detail("8 x 9");
    tl_mem_fail_at(1);
    assert_err(TL_ENOMEM, tl_dmat_init(&d, 8, 9));
    assert_err(TL_ENOMEM, tl_mat_init(&m, 1, INT_MAX));
    assert_int_equal(m.rows, -7);
    assert_int_equal(d.rows, -7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            rows_start_on_a_64_byte_boundary_and_are_zero, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            an_empty_matrix_is_a_matrix, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            views_keep_the_leading_dimension, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            a_refused_allocation_leaves_the_matrix_untouched, tl_test_count_blocks,
            tl_test_no_leaks),
    };
    return cmocka_run_group_tests_name("numerics/mat", tests, NULL, NULL);
}
