/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "measurements/designs.h"

#include <string.h>

static void absent_choices_come_last(void **state)
{
    (void)state;
    static const tl_choice a[] = {0, 5, TL_CHOICE_ABSENT};
    static const tl_choice b[] = {0, 5, 4095};
    assert_true(tl_design_compare(a, b, 3) > 0);
    assert_true(tl_design_compare(b, a, 3) < 0);
    assert_int_equal(tl_design_compare(a, b, 2), 0);
    assert_int_equal(tl_design_compare(a, b, 0), 0);
}

/* In order, equal ones by row, and every row once: which together leave one answer. */
static void assert_order(const tl_choice *designs, int n_slots, int n)
{
    int *order = NULL;
    char *is_seen = tl_mem_new((size_t)n, 1);
    assert_non_null(is_seen);
    assert_ok(tl_designs_order(designs, n_slots, n, &order));
    for (int i = 0; i < n; i++) {
        assert_in_range(order[i], 0, n - 1);
        assert_int_equal(is_seen[order[i]], 0);
        is_seen[order[i]] = 1;
        if (i > 0) {
            int before = tl_design_compare(
                tl_design_at(designs, n_slots, order[i - 1]),
                tl_design_at(designs, n_slots, order[i]), n_slots);
            assert_true(before < 0 || (before == 0 && order[i - 1] < order[i]));
        }
    }
    tl_mem_free(order);
    tl_mem_free(is_seen);
}

static void any_array_is_put_in_order(void **state)
{
    (void)state;
    static const int sizes[] = {0, 1, 2, 3, 7, 8, 9, 100, 1023, 4097};
    uint64_t bits = tl_test_seed();
    for (size_t k = 0; k < TL_COUNT(sizes); k++) {
        int n = sizes[k];
        tl_choice *designs = tl_mem_new((size_t)n * 3, sizeof *designs);
        assert_non_null(designs);
        for (int i = 0; i < 3 * n; i++) {
            bits = bits * 6364136223846793005U + 1442695040888963407U;
            unsigned choice = (unsigned)(bits >> 40) % 8;
            designs[i] = choice == 7 ? TL_CHOICE_ABSENT : (tl_choice)choice;
        }
        assert_order(designs, 3, n);
        tl_mem_free(designs);
    }
}

static void a_refused_allocation_leaves_nothing(void **state)
{
    (void)state;
    static const tl_choice designs[] = {1, 0};
    int *order = NULL;
    for (long k = 1; k <= 2; k++) {
        tl_mem_fail_at(k);
        assert_err(TL_ENOMEM, tl_designs_order(designs, 1, 2, &order));
        assert_null(order);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(absent_choices_come_last),
        TEST(any_array_is_put_in_order),
        TEST(a_refused_allocation_leaves_nothing),
    };
    return cmocka_run_group_tests_name("measurements/designs", tests, NULL, NULL);
}
