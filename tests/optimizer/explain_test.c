/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/optimizer/on_space.h"

#include "base/mem.h"
#include "base/units.h"
#include "optimizer/explain.h"

#include <math.h>

/* Choice c of slot k costs (c + 1) (k + 1) and earns 1 if it is the best of its slot, 2 % n. */
static tl_err predict(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    const tl_space *space = context;
    int n_slots = tl_space_n_slots(space);
    for (int i = 0; i < n; i++) {
        out[i] = (tl_prediction){1, .01, TL_UNKNOWN, TL_UNKNOWN, 50, .1};
        for (int k = 0; k < n_slots; k++) {
            tl_choice c = designs[(size_t)i * (size_t)n_slots + (size_t)k];
            if (c != TL_CHOICE_ABSENT) {
                out[i].latency_ms += (c + 1.) * (k + 1);
                out[i].accuracy += c;
            }
        }
    }
    return TL_OK;
}

static void parse(const tl_problem *problem, const char *text, tl_choice *design)
{
    assert_ok(tl_space_design_parse(problem->space, text, design));
}

static void each_slot_costs_what_its_cheapest_option_saves(void **state)
{
    (void)state;
    tl_problem problem = problem_on("nasbench201", predict);
    tl_explanation e = {0};
    tl_choice design[TL_SPACE_MAX_SLOTS];
    parse(
        &problem,
        "e01=nor_conv_3x3,e02=none,e12=skip_connect,e03=avg_pool_3x3,e13=nor_conv_1x1,e23=none",
        design);
    assert_ok(tl_explain(&problem, design, &e));
    assert_int_equal(e.n, 6);
    for (int k = 0; k < e.n; k++) {
        const tl_slot_account *account = &e.accounts[k];
        assert_int_equal(account->slot, k);
        assert_int_equal(account->choice, design[k]);
        assert_close(account->latency_ms, design[k] * (k + 1.), 1e-12);
        assert_true(isnan(account->energy_mj));
    }
    assert_true(e.accounts[0].macs > 0);
    assert_true(e.accounts[0].weights > 0);
    assert_close(e.accounts[1].macs, 0, 0);
    tl_explanation_done(&e);
    problem_done(&problem);
}

static void the_second_choice_is_what_the_problem_would_take_next(void **state)
{
    (void)state;
    tl_problem problem = problem_on("nasbench201", predict);
    tl_explanation e = {0};
    tl_choice design[TL_SPACE_MAX_SLOTS];
    parse(
        &problem,
        "e01=avg_pool_3x3,e02=avg_pool_3x3,e12=nor_conv_1x1,e03=none,e13=none,e23=none",
        design);
    assert_ok(tl_explain(&problem, design, &e));
    assert_int_equal(e.accounts[0].second, 3); /* accuracy counts choices: one less */
    assert_close(e.accounts[0].with_second.prediction.accuracy, 50 + 3 + 4 + 2, 1e-12);
    assert_int_equal(e.accounts[2].second, 4); /* and here two more */
    tl_explanation_done(&e);
    /* a limit that the design itself just keeps forbids dearer options */
    problem.limits.max_latency_ms = e.scored.prediction.latency_ms + 40;
    assert_ok(tl_explain(&problem, design, &e));
    problem.limits.max_latency_ms = e.scored.prediction.latency_ms + .1;
    tl_explanation_done(&e);
    assert_ok(tl_explain(&problem, design, &e));
    assert_true(tl_scored_is_feasible(&e.accounts[2].with_second));
    assert_int_equal(e.accounts[2].second, 1);
    tl_explanation_done(&e);
    problem_done(&problem);
}

static void slots_that_do_not_apply_are_left_out_and_bits_are_there_where_free(void **state)
{
    (void)state;
    tl_problem problem = problem_on("nasbench201", predict);
    tl_explanation e = {0};
    tl_choice design[TL_SPACE_MAX_SLOTS];
    problem.freedom = TL_FREE_BITS;
    parse(
        &problem,
        "e01=nor_conv_3x3,e02=none,e12=none,e03=none,e13=nor_conv_1x1,e23=none,w01=8,w13=2",
        design);
    assert_ok(tl_explain(&problem, design, &e));
    assert_int_equal(e.n, 8);
    assert_string_equal(tl_space_slot(problem.space, e.accounts[6].slot)->name, "w01");
    assert_true(e.accounts[6].latency_ms > 0);
    tl_explanation_done(&e);
    problem_done(&problem);
}

static void it_works_where_slots_make_others_appear(void **state)
{
    (void)state;
    tl_problem problem = problem_on("mobilenetv3", predict);
    tl_explanation e = {0};
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (int i = 0; i < 20; i++) {
        tl_space_sample(problem.space, &rng, design);
        assert_ok(tl_explain(&problem, design, &e));
        assert_true(e.n > 0);
        for (int k = 0; k < e.n; k++) {
            assert_true(e.accounts[k].second != TL_CHOICE_ABSENT);
            assert_true(isfinite(e.accounts[k].latency_ms));
        }
        tl_explanation_done(&e);
    }
    problem_done(&problem);
}

static void failed_allocations_leave_nothing_behind(void **state)
{
    (void)state;
    tl_problem problem = problem_on("nasbench201", predict);
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    tl_space_sample(problem.space, &rng, design);
    tl_err err = TL_ENOMEM;
    for (long k = 1; err != TL_OK; k++) {
        tl_explanation e = {0};
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_explain(&problem, design, &e);
        tl_mem_fail_at(0);
        tl_explanation_done(&e);
        assert_int_equal(tl_mem_live(), live_before);
        assert_true(k < 1000);
    }
    problem_done(&problem);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_slot_costs_what_its_cheapest_option_saves),
        TEST(the_second_choice_is_what_the_problem_would_take_next),
        TEST(slots_that_do_not_apply_are_left_out_and_bits_are_there_where_free),
        TEST(it_works_where_slots_make_others_appear),
        TEST(failed_allocations_leave_nothing_behind),
    };
    return cmocka_run_group_tests_name("optimizer/explain", tests, NULL, NULL);
}
