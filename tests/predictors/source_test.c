/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/predictors/synthetic.h"

#include "numerics/gemm.h"

enum {
    N_FIT = 400,
    N_WILD = 8,
};

static world chains;

static int set_up(void **state)
{
    (void)state;
    world_init(&chains, "fbnet", 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_done(&chains);
    return 0;
}

/* Source rows of every second design, and of the others. */
static void split_rows(tl_dmat *out_even, tl_dmat *out_odd)
{
    int idx[N_FIT] = {0};
    for (int i = 0; i < chains.n; i++) {
        idx[i] = i % 2 == 0 ? i / 2 : chains.n / 2 + i / 2;
    }
    encode_some(&chains, idx, chains.n / 2, out_even);
    encode_some(&chains, idx + chains.n / 2, chains.n / 2, out_odd);
}

/* A device that is exactly linear in the columns. */
static double exact_value(tl_dcmat rows, int i)
{
    const double *row = tl_dcmat_row(rows, i);
    return 7 * (1 + .4 * row[0] + .3 * row[5] - .2 * row[rows.cols - 1]);
}

static double worst_relative_error(const tl_source *source, tl_dcmat rows)
{
    double relative[N_FIT];
    double worst = 0;
    tl_source_predict(source, rows, relative);
    for (int i = 0; i < rows.rows; i++) {
        double error = fabs(source->median * relative[i] / exact_value(rows, i) - 1);
        worst = error > worst ? error : worst;
    }
    return worst;
}

static void an_exact_device_is_learnt_in_spite_of_wild_values(void **state)
{
    (void)state;
    double y[N_FIT] = {0};
    tl_dmat even;
    tl_dmat odd;
    tl_source source = {0};
    split_rows(&even, &odd);
    for (int i = 0; i < even.rows; i++) {
        y[i] = exact_value(tl_dro(even), i);
        assert_true(y[i] > 0);
    }
    assert_ok(tl_source_fit(&source, tl_dro(even), y));
    assert_int_equal(source.n_samples, even.rows);
    assert_true(worst_relative_error(&source, tl_dro(odd)) < .02);
    tl_source_done(&source);
    for (int i = 0; i < N_WILD; i++) {
        y[i * 9] *= i % 2 == 0 ? 10 : .05;
    }
    assert_ok(tl_source_fit(&source, tl_dro(even), y));
    assert_true(worst_relative_error(&source, tl_dro(odd)) < .05);
    tl_source_done(&source);
    tl_dmat_done(&even);
    tl_dmat_done(&odd);
}

static void standardized_columns_have_mean_zero_and_a_common_norm(void **state)
{
    (void)state;
    world w;
    double column[N_FIT];
    world_init(&w, "fbnet", N_SOURCES);
    int n_head = tl_features_n_head(w.features);
    for (int s = 0; s < N_SOURCES; s++) {
        for (int i = 0; i < w.n; i++) {
            column[i] = tl_dmat_row(w.x, i)[n_head + s];
        }
        assert_close(tl_mean(w.n, column), 0, 1e-9);
        assert_close(tl_sd(w.n, column), 1 / sqrt(N_SOURCES), 1e-9);
    }
    for (int i = 0; i < w.n; i++) {
        const double *f = tl_dmat_row(w.x, i) + n_head;
        assert_close(w.z[i], (f[0] + f[1] + f[2]) / sqrt(N_SOURCES), 1e-12);
    }
    world_done(&w);
}

static void a_device_that_knows_no_difference_adds_nothing(void **state)
{
    (void)state;
    double y[N_FIT];
    double z[N_FIT];
    tl_dmat even;
    tl_dmat odd;
    tl_dmat columns;
    tl_source source = {0};
    tl_source *sources[] = {&source};
    const tl_source *known[] = {&source};
    split_rows(&even, &odd);
    for (int i = 0; i < even.rows; i++) {
        y[i] = 4;
    }
    assert_ok(tl_source_fit(&source, tl_dro(even), y));
    memset(source.weights, 0, (size_t)source.n_weights * sizeof *source.weights);
    assert_ok(tl_sources_standardize(chains.features, sources, 1));
    assert_close(source.ref_sd, 0, 0);
    assert_ok(tl_dmat_init(&columns, odd.rows, 1));
    tl_sources_columns(known, 1, tl_dro(odd), columns, z);
    for (int i = 0; i < odd.rows; i++) {
        assert_close(z[i], 0, 0);
        assert_close(tl_dmat_row(columns, i)[0], 0, 0);
    }
    tl_source_done(&source);
    tl_dmat_done(&columns);
    tl_dmat_done(&even);
    tl_dmat_done(&odd);
}

static void the_typical_spread_is_the_median_or_a_guess(void **state)
{
    (void)state;
    tl_source a = {.ref_sd = .1};
    tl_source b = {.ref_sd = .5};
    tl_source c = {.ref_sd = .2};
    const tl_source *sources[] = {&a, &b, &c};
    double spread;
    assert_ok(tl_sources_spread(sources, 3, &spread));
    assert_close(spread, .2, 0);
    assert_ok(tl_sources_spread(sources, 0, &spread));
    assert_close(spread, .15, 0);
}

static void values_that_are_no_measurements_are_refused(void **state)
{
    (void)state;
    static const double bad[] = {0, -3, HUGE_VAL, (double)NAN};
    double y[2] = {1, 1};
    tl_dmat rows;
    tl_source source = {.n_samples = -7};
    assert_ok(tl_dmat_init(&rows, 2, 3));
    for (size_t i = 0; i < TL_COUNT(bad); i++) {
        y[1] = bad[i];
        assert_err(TL_EINVAL, tl_source_fit(&source, tl_dro(rows), y));
        assert_int_equal(source.n_samples, -7);
    }
    tl_dmat_done(&rows);
}

static void lack_of_memory_is_survived(void **state)
{
    (void)state;
    double y[N_FIT] = {0};
    tl_dmat even;
    tl_dmat odd;
    tl_source source = {0};
    tl_source *sources[] = {&source};
    tl_err err = TL_ENOMEM;
    split_rows(&even, &odd);
    for (int i = 0; i < even.rows; i++) {
        y[i] = exact_value(tl_dro(even), i);
    }
    tl_dcmat some = tl_dcmat_rows(tl_dro(even), 0, 30);
    for (long k = 1; err != TL_OK; k++) {
        long live = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_source_fit(&source, some, y);
        tl_mem_fail_at(0);
        if (err != TL_OK) {
            assert_err(TL_ENOMEM, err);
            assert_int_equal(tl_mem_live(), live);
            assert_null(source.weights);
        }
    }
    err = TL_ENOMEM;
    for (long k = 1; err != TL_OK; k++) {
        long live = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_sources_standardize(chains.features, sources, 1);
        tl_mem_fail_at(0);
        assert_int_equal(tl_mem_live(), live);
    }
    tl_source_done(&source);
    tl_dmat_done(&even);
    tl_dmat_done(&odd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_exact_device_is_learnt_in_spite_of_wild_values),
        TEST(standardized_columns_have_mean_zero_and_a_common_norm),
        TEST(a_device_that_knows_no_difference_adds_nothing),
        TEST(the_typical_spread_is_the_median_or_a_guess),
        TEST(values_that_are_no_measurements_are_refused),
        TEST(lack_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
