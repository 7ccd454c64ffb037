/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "base/units.h"
#include "optimizer/problem.h"

#include <math.h>

/* One slot of four options; option k has accuracy 60 + 10 k, latency 1 + k, energy 2 k. */
static const char space_yaml[] = "name: four\n"
                                 "kind: enumerated\n"
                                 "input: {channels: 3, size: 8}\n"
                                 "slots:\n"
                                 "  - {name: a, values: [1, 2, 3, 4]}\n"
                                 "network:\n"
                                 "  - {op: conv, out: 4 * $a, kernel: 1}\n"
                                 "  - {op: pool_global}\n"
                                 "  - {op: dense, out: 10}\n";

static tl_err predict(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    bool knows_energy = *(const bool *)context;
    for (int i = 0; i < n; i++) {
        double k = designs[i];
        out[i] = (tl_prediction){
            .latency_ms = 1 + k,
            .latency_std_ms = .01,
            .energy_mj = knows_energy ? 2 * k : TL_UNKNOWN,
            .energy_std_mj = knows_energy ? .01 : TL_UNKNOWN,
            .accuracy = 60 + 10 * k,
            .accuracy_std = .1};
    }
    return TL_OK;
}

static bool knows_energy;
static const tl_choice all[] = {0, 1, 2, 3};

static tl_problem make(void)
{
    tl_space *space = NULL;
    assert_ok(tl_space_parse(space_yaml, sizeof space_yaml - 1, "four.yaml", &space));
    knows_energy = true;
    tl_problem problem = {
        .space = space,
        .predict = predict,
        .context = &knows_energy,
        .limits = {TL_UNKNOWN, TL_UNKNOWN, TL_UNKNOWN, .9},
        .weights = {TL_UNKNOWN,        TL_UNKNOWN                 },
    };
    tl_confidence_nominal(20, &problem.latency_confidence);
    tl_confidence_nominal(20, &problem.energy_confidence);
    tl_confidence_nominal(20, &problem.accuracy_confidence);
    return problem;
}

static void unmake(tl_problem *problem)
{
    tl_space_unref((tl_space *)(uintptr_t)problem->space);
}

static void weights_turn_costs_into_points(void **state)
{
    (void)state;
    tl_problem problem = make();
    tl_scored scored[4];
    problem.weights.latency_points_per_ms = 4;
    problem.weights.energy_points_per_mj = 1.5;
    assert_ok(tl_problem_check(&problem));
    assert_ok(tl_problem_score(&problem, all, 4, scored));
    for (int k = 0; k < 4; k++) {
        assert_close(scored[k].value, 60 + 10 * k - 4 * (1 + k) - 1.5 * 2 * k, 1e-12);
        assert_true(tl_scored_is_feasible(&scored[k]));
    }
    problem.weights.energy_points_per_mj = TL_UNKNOWN;
    knows_energy = false; /* of no weight: not missed */
    assert_ok(tl_problem_score(&problem, all, 4, scored));
    assert_close(scored[2].value, 80 - 4 * 3, 1e-12);
    unmake(&problem);
}

static void a_weighted_cost_of_which_nothing_is_known_has_no_value(void **state)
{
    (void)state;
    tl_problem problem = make();
    tl_scored scored;
    knows_energy = false;
    problem.weights.energy_points_per_mj = 1;
    assert_ok(tl_problem_score(&problem, all, 1, &scored));
    assert_true(scored.value == -HUGE_VAL);
    assert_true(isfinite(tl_problem_reward(&problem, &scored)));
    unmake(&problem);
}

static void nonsense_weights_are_refused_by_name(void **state)
{
    (void)state;
    tl_problem problem = make();
    problem.weights.latency_points_per_ms = -1;
    assert_err(TL_EINVAL, tl_problem_check(&problem));
    assert_detail("weight of latency: got -1");
    problem.weights.latency_points_per_ms = HUGE_VAL;
    assert_err(TL_EINVAL, tl_problem_check(&problem));
    problem.weights.latency_points_per_ms = 1;
    problem.objective = TL_MINIMIZE_ENERGY;
    assert_err(TL_EINVAL, tl_problem_check(&problem));
    assert_detail("maximizing accuracy");
    unmake(&problem);
}

static void rewards_order_designs_as_scores_do(void **state)
{
    (void)state;
    tl_problem problem = make();
    tl_scored scored[4];
    static const double limits[] = {.5, 1.5, 2.5, 3.5, 9};
    assert_ok(tl_problem_score(&problem, all, 4, scored));
    assert_ok(tl_problem_standardize(&problem, scored, 4));
    for (size_t l = 0; l < TL_COUNT(limits); l++) {
        problem.limits.max_latency_ms = limits[l];
        assert_ok(tl_problem_score(&problem, all, 4, scored));
        for (int i = 0; i < 4; i++) {
            double a = tl_problem_reward(&problem, &scored[i]);
            assert_true(tl_scored_is_feasible(&scored[i]) == (a > -3));
            for (int j = 0; j < 4; j++) {
                double b = tl_problem_reward(&problem, &scored[j]);
                if (scored[i].shortfall < 1 && scored[j].shortfall < 1) {
                    int order = tl_scored_compare(&scored[i], &scored[j]);
                    assert_int_equal((a < b) - (a > b), (order > 0) - (order < 0));
                }
            }
        }
    }
    unmake(&problem);
}

static void rewards_stay_between_bounds_whatever_is_unknown(void **state)
{
    (void)state;
    tl_problem problem = make();
    tl_scored far = {.shortfall = 1e9, .value = 1};
    tl_scored nothing = {.shortfall = HUGE_VAL, .value = -HUGE_VAL};
    tl_scored poor = {.value = -1e12};
    tl_scored valueless = {.value = -HUGE_VAL};
    assert_close(tl_problem_reward(&problem, &far), -6, 0);
    assert_close(tl_problem_reward(&problem, &nothing), -6, 0);
    assert_close(tl_problem_reward(&problem, &poor), -3, 1e-9);
    assert_close(tl_problem_reward(&problem, &valueless), -3, 0);
    unmake(&problem);
}

static void the_unit_of_rewards_is_the_upper_half_of_the_values(void **state)
{
    (void)state;
    tl_problem problem = make();
    tl_scored scored[101];
    for (int i = 0; i <= 100; i++) {
        scored[i] = (tl_scored){.value = i < 50 ? -1e6 : i};
    }
    scored[7].value = -HUGE_VAL; /* unknown: does not count */
    assert_ok(tl_problem_standardize(&problem, scored, 101));
    assert_close(problem.value_centre, 50, 1);
    assert_close(problem.value_scale, 40 / 1.28155, 1);
    for (int i = 0; i <= 100; i++) {
        scored[i].value = 5;
    }
    assert_ok(tl_problem_standardize(&problem, scored, 101));
    assert_true(problem.value_scale > 0);
    unmake(&problem);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

static void a_margin_is_counted_in_the_unit_of_its_curve(void **state)
{
    (void)state;
    tl_problem problem = make();
    tl_scored own[4];
    tl_scored typical[4];
    problem.limits.max_latency_ms = 2.5;
    assert_ok(tl_problem_score(&problem, all, 4, own));
    problem.latency_confidence.unit = (tl_margin_unit){.relative = .5, .least = .1};
    assert_ok(tl_problem_score(&problem, all, 4, typical));
    assert_true(own[1].p_feasible > .999); /* 50 of its own sds */
    assert_close(
        typical[1].p_feasible, tl_confidence_of_margin(&problem.latency_confidence, .5), 1e-12);
    unmake(&problem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(weights_turn_costs_into_points),
        TEST(a_weighted_cost_of_which_nothing_is_known_has_no_value),
        TEST(nonsense_weights_are_refused_by_name),
        TEST(rewards_order_designs_as_scores_do),
        TEST(rewards_stay_between_bounds_whatever_is_unknown),
        TEST(the_unit_of_rewards_is_the_upper_half_of_the_values),
        cmocka_unit_test(a_margin_is_counted_in_the_unit_of_its_curve),
    };
    return cmocka_run_group_tests_name("optimizer/problem", tests, NULL, NULL);
}
