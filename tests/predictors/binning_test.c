/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/binning.h"

#include "base/mem.h"
#include "numerics/rng.h"
#include "tests/support/test.h"

#include <math.h>

enum {
    N = 300,
    N_COLUMNS = 4
};

/* A surface with a step, as tiles make them; the first column has nothing to do with it. */
static double surface(const double *row)
{
    return sin(row[1]) + .5 * (row[2] > .3) + .1 * row[3];
}

static void fill(tl_dmat *x, double *y)
{
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    assert_ok(tl_dmat_init(x, N, N_COLUMNS));
    for (int i = 0; i < N; i++) {
        double *row = tl_dmat_row(*x, i);
        for (int j = 0; j < N_COLUMNS; j++) {
            row[j] = tl_rng_normal(&rng);
        }
        y[i] = 3 + surface(row);
    }
}

static void designs_that_were_not_fitted_are_interpolated(void **state)
{
    (void)state;
    double y[N], got[N];
    double error = 0;
    tl_dmat x = {0};
    tl_binning binning;
    fill(&x, y);
    assert_ok(
        tl_binning_fit(tl_dro(tl_dmat_rows(x, 0, N - 50)), y, 1, N_COLUMNS, 1, .005, &binning));
    tl_binning_predict(&binning, tl_dro(x), got);
    for (int i = N - 50; i < N; i++) {
        error += fabs(got[i] - y[i]) / 50;
    }
    assert_true(error < .25); /* deviation of the surface: .7 */
    tl_binning_done(&binning);
    tl_dmat_done(&x);
}

static void one_row_is_predicted_as_it_is_among_many(void **state)
{
    (void)state;
    double y[N], got[N];
    double one = 0;
    tl_dmat x = {0};
    tl_binning binning;
    fill(&x, y);
    assert_ok(tl_binning_fit(tl_dro(x), y, 1, N_COLUMNS, 1, .005, &binning));
    tl_binning_predict(&binning, tl_dro(x), got);
    tl_binning_predict(&binning, tl_dro(tl_dmat_rows(x, 7, 8)), &one);
    assert_close(one, got[7], 0);
    tl_binning_done(&binning);
    tl_dmat_done(&x);
}

static void nothing_fitted_adds_nothing(void **state)
{
    (void)state;
    double y[N], got[N];
    tl_dmat x = {0};
    tl_binning none = {0};
    fill(&x, y);
    tl_binning_predict(&none, tl_dro(x), got);
    for (int i = 0; i < N; i++) {
        assert_close(got[i], 0, 0);
    }
    tl_dmat_done(&x);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    double y[N];
    tl_dmat x = {0};
    fill(&x, y);
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    for (long k = 1; err != TL_OK; k++) {
        tl_binning binning = {0};
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_binning_fit(tl_dro(x), y, 0, N_COLUMNS, 1, .005, &binning);
        tl_mem_fail_at(0);
        n_failures += err != TL_OK;
        tl_binning_done(&binning);
        assert_int_equal(tl_mem_live(), live_before);
    }
    assert_true(n_failures >= 4);
    tl_dmat_done(&x);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(designs_that_were_not_fitted_are_interpolated),
        TEST(one_row_is_predicted_as_it_is_among_many),
        TEST(nothing_fitted_adds_nothing),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("predictors/binning", tests, NULL, NULL);
}
