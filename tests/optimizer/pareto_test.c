/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/optimizer/on_space.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/rng.h"
#include "optimizer/pareto.h"

#include <math.h>
#include <string.h>

/* A made-up device: a slot's choice costs and earns by its number. */
static tl_err predict(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    const tl_space *space = context;
    int n_slots = tl_space_n_slots(space);
    for (int i = 0; i < n; i++) {
        double latency = 1;
        double accuracy = 40;
        for (int k = 0; k < n_slots; k++) {
            tl_choice c = designs[(size_t)i * (size_t)n_slots + (size_t)k];
            if (c != TL_CHOICE_ABSENT) {
                latency += (c * (k + 2) * 7 % 11) * .1;
                accuracy += (c * (k + 3) * 5 % 13) * .7;
            }
        }
        out[i] = (tl_prediction){latency, .05, TL_UNKNOWN, TL_UNKNOWN, accuracy, .2};
    }
    return TL_OK;
}

static void list(tl_problem *problem, tl_choice **out_designs)
{
    assert_ok(tl_space_enumerate(problem->space, 20000, out_designs, &problem->n_listing));
    problem->listing = *out_designs;
}

static tl_scored scored(double latency, double accuracy)
{
    return (tl_scored){
        .prediction = {latency, .1, TL_UNKNOWN, TL_UNKNOWN, accuracy, 1},
          .p_feasible = 1
    };
}

static void check_order(const tl_front *front)
{
    for (int i = 1; i < front->n; i++) {
        assert_true(tl_front_cost(front, i) > tl_front_cost(front, i - 1));
        assert_true(
            front->scores[i].prediction.accuracy > front->scores[i - 1].prediction.accuracy);
    }
}

static void offered_designs_join_only_unbeaten_and_drive_out_what_they_beat(void **state)
{
    (void)state;
    static const struct {
        double latency, accuracy;
        int n_after;
    } offers[] = {
        {5, 50, 1}, /* the first */
        {6, 49, 1}, /* dearer and worse */
        {5, 50, 1}, /* the same again */
        {5, 51, 1}, /* as dear and better */
        {7, 60, 2}, /* dearer and better */
        {6, 55, 3}, /* between */
        {3, 58, 2}, /* drives out both of the cheaper ones */
        {3, 57, 2}, /* as dear and worse */
        {8, 60, 2}, /* dearer and no better */
        {1, 70, 1}, /* beats all */
    };
    tl_front front = {0};
    assert_ok(tl_front_init(&front, 1, 8, false));
    for (size_t i = 0; i < TL_COUNT(offers); i++) {
        tl_choice design = (tl_choice)i;
        tl_scored score = scored(offers[i].latency, offers[i].accuracy);
        tl_front_offer(&front, &design, &score, 1);
        assert_int_equal(front.n, offers[i].n_after);
        check_order(&front);
    }
    assert_int_equal(front.designs[0], TL_COUNT(offers) - 1);
    tl_front_done(&front);
}

static void infeasible_and_unknown_designs_are_passed_over(void **state)
{
    (void)state;
    tl_front front = {0};
    tl_choice design = 0;
    tl_scored missed = scored(1, 90);
    tl_scored unknown = scored(TL_UNKNOWN, 90);
    tl_scored no_accuracy = scored(1, TL_UNKNOWN);
    missed.shortfall = .1;
    assert_ok(tl_front_init(&front, 1, 8, false));
    tl_front_offer(&front, &design, &missed, 1);
    tl_front_offer(&front, &design, &unknown, 1);
    tl_front_offer(&front, &design, &no_accuracy, 1);
    assert_int_equal(front.n, 0);
    tl_front_done(&front);
}

static void volume_is_the_area_of_the_stairs_and_leaning_moves_it_both_ways(void **state)
{
    (void)state;
    tl_front front = {0};
    tl_front better = {0};
    tl_front worse = {0};
    const tl_choice designs[] = {0, 1, 2};
    const tl_scored scores[] = {scored(2, 10), scored(4, 20), scored(9, 40)};
    const tl_front_corner corner = {.cost = 8, .accuracy = 5};
    assert_ok(tl_front_init(&front, 1, 8, false));
    tl_front_offer(&front, designs, scores, 3);
    /* (8 - 2) (10 - 5) + (8 - 4) (20 - 10); the third is beyond the corner */
    assert_close(tl_front_hypervolume(&front, corner), 70, 1e-12);
    assert_ok(tl_front_lean(&front, 2, &better));
    assert_ok(tl_front_lean(&front, -2, &worse));
    assert_close(tl_front_hypervolume(&better, corner), 6.2 * 7 + 4.2 * 10, 1e-9);
    assert_close(tl_front_hypervolume(&worse, corner), 5.8 * 3 + 3.8 * 10, 1e-9);
    tl_front_done(&front);
    tl_front_done(&better);
    tl_front_done(&worse);
}

static void thinning_keeps_the_ends_and_the_most_volume(void **state)
{
    (void)state;
    tl_front front = {0};
    const tl_choice designs[] = {0, 1, 2, 3, 4};
    const tl_scored scores[] = {
        scored(1, 10), scored(2, 10.1), scored(3, 30), scored(4, 30.2), scored(9, 40)};
    assert_ok(tl_front_init(&front, 1, 8, false));
    tl_front_offer(&front, designs, scores, 5);
    assert_int_equal(front.n, 5);
    tl_front_thin(&front, 3);
    assert_int_equal(front.n, 3);
    assert_int_equal(front.designs[0], 0);
    assert_int_equal(front.designs[1], 2);
    assert_int_equal(front.designs[2], 4);
    tl_front_done(&front);
}

static void a_full_front_gives_up_what_adds_least(void **state)
{
    (void)state;
    tl_front front = {0};
    const tl_choice designs[] = {0, 1, 2, 3};
    const tl_scored scores[] = {scored(1, 10), scored(2, 10.1), scored(3, 30), scored(4, 50)};
    assert_ok(tl_front_init(&front, 1, 3, false));
    tl_front_offer(&front, designs, scores, 4);
    assert_int_equal(front.n, 3);
    assert_int_equal(front.designs[1], 2);
    tl_front_done(&front);
}

static void the_front_of_a_listed_space_is_what_brute_force_finds(void **state)
{
    (void)state;
    tl_problem problem = problem_on("nasbench201", predict);
    tl_choice *designs = NULL;
    tl_front front = {0};
    tl_pareto_options options = {.seed = tl_test_seed()};
    list(&problem, &designs);
    assert_ok(tl_pareto_run(&problem, &options, &front));
    check_order(&front);
    tl_prediction *p = tl_mem_new((size_t)problem.n_listing, sizeof *p);
    assert_non_null(p);
    assert_ok(predict(problem.context, designs, problem.n_listing, p));
    for (int f = 0; f < front.n; f++) {
        const tl_prediction *own = &front.scores[f].prediction;
        for (int i = 0; i < problem.n_listing; i++) {
            assert_false(p[i].latency_ms < own->latency_ms && p[i].accuracy >= own->accuracy);
        }
    }
    for (int i = 0; i < problem.n_listing; i += 97) {
        bool is_beaten = false;
        for (int f = 0; f < front.n && !is_beaten; f++) {
            const tl_prediction *own = &front.scores[f].prediction;
            is_beaten = own->latency_ms <= p[i].latency_ms && own->accuracy >= p[i].accuracy;
        }
        assert_true(is_beaten);
    }
    tl_mem_free(p);
    tl_mem_free(designs);
    tl_front_done(&front);
    problem_done(&problem);
}

static void the_archive_comes_near_the_exact_front(void **state)
{
    (void)state;
    tl_problem problem = problem_on("nasbench201", predict);
    tl_choice *designs = NULL;
    tl_front exact = {0};
    tl_front found = {0};
    tl_pareto_options options = {.seed = tl_test_seed()};
    tl_pareto_options archive = {.seed = tl_test_seed(), .is_archive = true};
    const tl_front_corner corner = {.cost = 10, .accuracy = 40};
    archive.n_evaluations = 4000;
    list(&problem, &designs);
    assert_ok(tl_pareto_run(&problem, &options, &exact));
    assert_int_equal(problem.n_evaluations, problem.n_listing);
    assert_ok(tl_pareto_run(&problem, &archive, &found));
    assert_int_equal(problem.n_evaluations, problem.n_listing + 4000);
    double best = tl_front_hypervolume(&exact, corner);
    assert_true(tl_front_hypervolume(&found, corner) <= best);
    assert_true(tl_front_hypervolume(&found, corner) >= .98 * best);
    tl_mem_free(designs);
    tl_front_done(&exact);
    tl_front_done(&found);
    problem_done(&problem);
}

static void a_space_too_large_to_list_has_a_front_of_valid_designs_within_the_limit(
    void **state)
{
    (void)state;
    tl_problem problem = problem_on("fbnet", predict);
    tl_front front = {0};
    tl_pareto_options options = {.seed = tl_test_seed(), .n_evaluations = 3000};
    problem.limits.max_latency_ms = 12;
    assert_ok(tl_pareto_run(&problem, &options, &front));
    assert_true(front.n > 3);
    check_order(&front);
    for (int i = 0; i < front.n; i++) {
        assert_ok(
            tl_space_check(problem.space, front.designs + (size_t)i * (size_t)front.n_slots));
        assert_true(tl_front_cost(&front, i) <= 12);
    }
    tl_front_done(&front);
    problem.limits.max_latency_ms = .001;
    assert_ok(tl_pareto_run(&problem, &options, &front));
    assert_int_equal(front.n, 0);
    tl_front_done(&front);
    problem_done(&problem);
}

static tl_err predict_cost_alone(
    void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    TL_TRY(predict(context, designs, n, out));
    for (int i = 0; i < n; i++) {
        out[i].energy_mj = 7 - out[i].latency_ms;
        out[i].energy_std_mj = .01;
        out[i].accuracy = out[i].accuracy_std = TL_UNKNOWN;
    }
    return TL_OK;
}

static void without_accuracy_the_cheapest_design_is_left(void **state)
{
    (void)state;
    tl_problem problem = problem_on("nasbench201", predict_cost_alone);
    tl_choice *designs = NULL;
    list(&problem, &designs);
    tl_prediction *p = tl_mem_new((size_t)problem.n_listing, sizeof *p);
    assert_non_null(p);
    assert_ok(predict_cost_alone(problem.context, designs, problem.n_listing, p));
    for (int by_energy = 0; by_energy < 2; by_energy++) {
        tl_front front = {0};
        tl_pareto_options options = {.seed = tl_test_seed(), .by_energy = by_energy != 0};
        assert_ok(tl_pareto_cheapest(&problem, &options, &front));
        assert_int_equal(front.n, 1);
        assert_true(front.is_exact);
        for (int i = 0; i < problem.n_listing; i++) {
            double cost = by_energy != 0 ? p[i].energy_mj : p[i].latency_ms;
            assert_true(cost >= tl_front_cost(&front, 0));
        }
        tl_front_done(&front);
        problem.limits.max_latency_ms = .001;
        assert_ok(tl_pareto_cheapest(&problem, &options, &front));
        assert_int_equal(front.n, 0);
        tl_front_done(&front);
        problem.limits.max_latency_ms = TL_UNKNOWN;
    }
    tl_mem_free(p);
    tl_mem_free(designs);
    problem_done(&problem);
}

typedef tl_err front_fn(
    tl_problem *problem, const tl_pareto_options *options, tl_front *out_front);

static void torture(front_fn *run)
{
    tl_problem problem = problem_on("fbnet", predict);
    tl_pareto_options options = {.seed = 1, .n_evaluations = 1500};
    for (long k = 1; k < 1000; k++) {
        tl_front front = {0};
        tl_mem_fail_at(k);
        tl_err err = run(&problem, &options, &front);
        tl_mem_fail_at(0);
        if (err == TL_OK) {
            assert_true(k > 4);
            tl_front_done(&front);
            break;
        }
        assert_int_equal(err, TL_ENOMEM);
        assert_null(front.designs);
    }
    problem_done(&problem);
}

static void failed_allocations_leave_nothing_behind(void **state)
{
    (void)state;
    torture(tl_pareto_run);
    torture(tl_pareto_cheapest);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(offered_designs_join_only_unbeaten_and_drive_out_what_they_beat),
        TEST(infeasible_and_unknown_designs_are_passed_over),
        TEST(volume_is_the_area_of_the_stairs_and_leaning_moves_it_both_ways),
        TEST(thinning_keeps_the_ends_and_the_most_volume),
        TEST(a_full_front_gives_up_what_adds_least),
        TEST(the_front_of_a_listed_space_is_what_brute_force_finds),
        TEST(the_archive_comes_near_the_exact_front),
        TEST(a_space_too_large_to_list_has_a_front_of_valid_designs_within_the_limit),
        TEST(without_accuracy_the_cheapest_design_is_left),
        TEST(failed_allocations_leave_nothing_behind),
    };
    return cmocka_run_group_tests_name("optimizer/pareto", tests, NULL, NULL);
}
