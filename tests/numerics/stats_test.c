/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "numerics/rng.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

enum {
    N = 11
};

/* Wanted values of these two from numpy 1.24 and scipy 1.10. */
static const double sample_x[N] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};
static const double sample_y[N] = {2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4};

static void mean_and_population_deviation(void **state)
{
    (void)state;
    assert_close(tl_mean(N, sample_x), 4.0, 1e-15);
    assert_close(tl_sd(N, sample_x), 2.256304299271065, 1e-15);
    assert_close(tl_sd(1, sample_x), 0.0, 0.0);
}

static void quantiles_interpolate_between_order_statistics(void **state)
{
    (void)state;
    static const struct {
        double q, want;
    } cases[] = {
        {0.0,  1.0},
        {0.1,  1.0},
        {0.25, 2.5},
        {0.5,  4.0},
        {0.77, 5.0},
        {0.95, 7.5},
        {1.0,  9.0},
    };
    for (size_t c = 0; c < TL_COUNT(cases); c++) {
        double x[N];
        memcpy(x, sample_x, sizeof x);
        assert_close(tl_quantile_inplace(N, x, cases[c].q), cases[c].want, 1e-14);
    }
    double pair[2] = {4.0, 1.0};
    assert_close(tl_median_inplace(2, pair), 2.5, 0.0);
    double infinite[3] = {1.0, (double)INFINITY, (double)INFINITY};
    assert_true(isinf(tl_quantile_inplace(3, infinite, 1.0)));
}

static void ranks_average_ties(void **state)
{
    (void)state;
    static const double want[N] = {4.5, 1.5, 6, 1.5, 8, 11, 3, 10, 8, 4.5, 8};
    double rank[N] = {0};
    assert_ok(tl_rank(N, sample_x, rank));
    for (int i = 0; i < N; i++) {
        assert_close(rank[i], want[i], 0.0);
    }
}

static void equal_values_keep_the_order_of_their_indices(void **state)
{
    (void)state;
    static const int want[N] = {1, 3, 6, 0, 9, 2, 4, 8, 10, 7, 5};
    int order[N] = {0};
    assert_ok(tl_argsort(N, sample_x, order));
    assert_memory_equal(order, want, sizeof want);
    assert_ok(tl_argsort(0, sample_x, order));
}

static void spearman_with_ties_agrees_with_scipy(void **state)
{
    (void)state;
    double rho = 7.0;
    assert_ok(tl_spearman(N, sample_x, sample_y, &rho));
    assert_close(rho, 0.1384567651467695, 1e-14);
    assert_ok(tl_spearman(N, sample_x, sample_x, &rho));
    assert_close(rho, 1.0, 1e-15);
    double falling[N];
    for (int i = 0; i < N; i++) {
        falling[i] = exp(-sample_x[i]); /* any falling function */
    }
    assert_ok(tl_spearman(N, sample_x, falling, &rho));
    assert_close(rho, -1.0, 1e-15);
}

static void spearman_of_a_constant_is_zero(void **state)
{
    (void)state;
    static const double constant[N] = {0};
    double rho = 7.0;
    assert_ok(tl_spearman(N, sample_x, constant, &rho));
    assert_close(rho, 0.0, 0.0);
    assert_ok(tl_spearman(1, sample_x, sample_y, &rho));
    assert_close(rho, 0.0, 0.0);
}

static void nan_travels_and_sorts_last(void **state)
{
    (void)state;
    double x[4] = {2.0, (double)NAN, -(double)INFINITY, 1.0};
    static const double y[4] = {1, 2, 3, 4};
    double rho = 7.0;
    int order[4] = {0};
    static const int want[4] = {2, 3, 0, 1};
    assert_ok(tl_spearman(4, x, y, &rho));
    assert_true(isnan(rho));
    assert_ok(tl_argsort(4, x, order));
    assert_memory_equal(order, want, sizeof want);
    assert_true(isnan(tl_mean(4, x)) && isnan(tl_sd(4, x)));
    assert_true(isnan(tl_median_inplace(4, x)));
    assert_true(x[1] == 1.0 && x[2] == 2.0);
}

static void sorting_orders_any_input(void **state)
{
    (void)state;
    enum {
        MANY = 1000
    };
    static double x[MANY];
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    double sum = 0.0;
    for (int i = 0; i < MANY; i++) {
        x[i] = floor(100.0 * tl_rng_uniform(&rng));
        sum += x[i];
    }
    tl_sort(MANY, x);
    for (int i = 0; i < MANY; i++) {
        assert_true(i == 0 || x[i - 1] <= x[i]);
        sum -= x[i];
    }
    assert_close(sum, 0.0, 0.0);
}

static void spearman_survives_every_allocation_failure(void **state)
{
    (void)state;
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    for (long k = 1; err != TL_OK; k++) {
        double rho = 7.0;
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_spearman(N, sample_x, sample_y, &rho);
        tl_mem_fail_at(0);
        assert_int_equal(tl_mem_live(), live_before);
        if (err != TL_OK) {
            assert_err(TL_ENOMEM, err);
            assert_true(rho == 7.0);
            n_failures++;
        }
    }
    assert_int_equal(n_failures, 4);
    int order[N] = {7};
    tl_mem_fail_at(1);
    assert_err(TL_ENOMEM, tl_argsort(N, sample_x, order));
    assert_int_equal(order[0], 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mean_and_population_deviation),
        TEST(quantiles_interpolate_between_order_statistics),
        TEST(ranks_average_ties),
        TEST(equal_values_keep_the_order_of_their_indices),
        TEST(spearman_with_ties_agrees_with_scipy),
        TEST(spearman_of_a_constant_is_zero),
        TEST(nan_travels_and_sorts_last),
        TEST(sorting_orders_any_input),
        TEST(spearman_survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("numerics/stats", tests, NULL, NULL);
}
