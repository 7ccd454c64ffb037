/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "numerics/rng.h"
#include "numerics/stats.h"
#include "predictors/transform.h"

#include <math.h>

enum {
    N_MANY = 3000
};

/* Accuracies as they come: most near the top, some failed trainings at 10 exactly. */
static void fill_accuracies(tl_rng *rng, int n, double *y)
{
    for (int i = 0; i < n; i++) {
        y[i] = tl_rng_uniform(rng) < 0.1 ? 10.0 : 94.0 - 3.0 * exp(tl_rng_normal(rng));
    }
}

static tl_rank_map fit_many(double *y)
{
    tl_rng rng;
    tl_rank_map map;
    tl_rng_init(&rng, tl_test_seed());
    fill_accuracies(&rng, N_MANY, y);
    assert_ok(tl_rank_map_fit(N_MANY, y, &map));
    return map;
}

static void the_map_ascends_and_its_inverse_undoes_it(void **state)
{
    (void)state;
    static double y[N_MANY];
    tl_rank_map map = fit_many(y);
    assert_true(tl_rank_map_is_valid(&map));
    double before = -(double)INFINITY;
    for (int k = 0; k <= 10000; k++) {
        double v = k * 0.01;
        double score = tl_rank_map_forward(&map, v);
        assert_true(score > before);
        assert_close(tl_rank_map_inverse(&map, score), v, 1e-9);
        before = score;
    }
}

static void scores_are_those_of_a_normal_sample(void **state)
{
    (void)state;
    static double y[N_MANY];
    static double score[N_MANY];
    tl_rank_map map = fit_many(y);
    for (int i = 0; i < N_MANY; i++) {
        score[i] = tl_rank_map_forward(&map, y[i]);
    }
    assert_close(tl_mean(N_MANY, score), 0.0, 0.02);
    assert_close(tl_sd(N_MANY, score), 1.0, 0.05); /* a tenth tie */
    assert_close(
        tl_rank_map_forward(&map, 10.0), -1.755, 0.1); /* mean score of the lowest tenth */
}

static void few_knots_are_kept_and_none_is_one_measurement(void **state)
{
    (void)state;
    static double y[N_MANY];
    static const int sizes[] = {1, 2, 3, 5, 9, 40, 81, 200, 1000, N_MANY};
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (size_t s = 0; s < TL_COUNT(sizes); s++) {
        int n = sizes[s];
        tl_rank_map map;
        for (int i = 0; i < n; i++) {
            y[i] = 90.0 + tl_rng_normal(&rng);
        }
        assert_ok(tl_rank_map_fit(n, y, &map));
        assert_true(tl_rank_map_is_valid(&map));
        assert_true(map.n_knots <= TL_RANK_MAP_MAX_KNOTS);
        assert_true(n < TL_RANK_MAP_MIN_BLOCK || map.n_knots <= n / TL_RANK_MAP_MIN_BLOCK);
        for (int k = 0; k < map.n_knots && n >= TL_RANK_MAP_MIN_BLOCK; k++) {
            for (int i = 0; i < n; i++) {
                assert_true(map.value[k] != y[i]);
            }
        }
    }
}

static void the_best_designs_do_not_tie(void **state)
{
    (void)state;
    static double y[N_MANY];
    tl_rank_map map = fit_many(y);
    double top = map.score[map.n_knots - 1];
    assert_true(tl_rank_map_inverse(&map, top + 0.5) > tl_rank_map_inverse(&map, top + 0.4));
    assert_true(tl_rank_map_inverse(&map, top + 1.0) < 100.0);
}

static void a_deviation_is_scaled_by_the_slope_at_its_place(void **state)
{
    (void)state;
    tl_rank_map map = {
        .n_knots = 3,
        .value = {0.0,  10.0, 11.0},
        .score = {-1.0, 0.0,  1.0 },
        .low_slope = 10.0,
        .high_slope = 1.0,
    };
    assert_close(tl_rank_map_sd(&map, -0.5, 0.2), 2.0, 1e-12);
    assert_close(tl_rank_map_sd(&map, 0.5, 0.2), 0.2, 1e-12);
    assert_close(tl_rank_map_sd(&map, 0.0, 0.2), 1.1, 1e-12);
}

static void nan_is_left_out_and_bad_input_is_refused(void **state)
{
    (void)state;
    const double some[] = {(double)NAN, 1.0, (double)NAN, 2.0, 3.0};
    const double none[] = {(double)NAN, (double)NAN};
    const double wild[] = {1.0, (double)INFINITY};
    const double same[] = {7.0, 7.0, 7.0, 7.0, 7.0};
    tl_rank_map map = {.n_knots = -7};
    assert_err(TL_EINVAL, tl_rank_map_fit(2, none, &map));
    assert_err(TL_ENUMERIC, tl_rank_map_fit(2, wild, &map));
    assert_int_equal(map.n_knots, -7);
    assert_ok(tl_rank_map_fit(5, some, &map));
    assert_close(tl_rank_map_inverse(&map, 0.0), 2.0, 1e-9);
    assert_ok(tl_rank_map_fit(5, same, &map));
    assert_close(tl_rank_map_forward(&map, 7.0), 0.0, 1e-9);
    assert_close(tl_rank_map_inverse(&map, 0.3), 7.0, 1e-4);
    assert_true(isnan(tl_rank_map_forward(&map, (double)NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_map_ascends_and_its_inverse_undoes_it),
        cmocka_unit_test(scores_are_those_of_a_normal_sample),
        cmocka_unit_test(few_knots_are_kept_and_none_is_one_measurement),
        cmocka_unit_test(the_best_designs_do_not_tie),
        cmocka_unit_test(a_deviation_is_scaled_by_the_slope_at_its_place),
        cmocka_unit_test(nan_is_left_out_and_bad_input_is_refused),
    };
    return cmocka_run_group_tests_name("predictors/transform", tests, NULL, NULL);
}
