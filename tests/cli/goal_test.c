/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "clients/cli/goal.h"

#include <string.h>

static void what_is_not_given_is_no_limit(void **state)
{
    (void)state;
    tl_args args;
    tl_args_init(&args);
    assert_null(tl_goal_given(&args.max_latency_ms));
    args.max_latency_ms = 0; /* refused by the daemon, but given */
    assert_ptr_equal(tl_goal_given(&args.max_latency_ms), &args.max_latency_ms);
}

static void assert_problem(const tl_args *args, const char *words)
{
    const char *problem = tl_goal_problem(args);
    assert_non_null(problem);
    assert_non_null(strstr(problem, words));
}

static void goals_that_contradict_each_other_are_told(void **state)
{
    (void)state;
    tl_args args;
    tl_args_init(&args);
    assert_null(tl_goal_problem(&args));
    args.maximize = "accuracy";
    args.weight_energy = 2;
    assert_null(tl_goal_problem(&args));
    args.minimize = "latency_ms";
    assert_problem(&args, "--maximize");
    args.maximize = NULL;
    assert_problem(&args, "weights");
    tl_args_init(&args);
    args.minimize = "energy_mj";
    assert_null(tl_goal_problem(&args));
    args.minimize = "energy";
    assert_problem(&args, "energy_mj");
    tl_args_init(&args);
    args.maximize = "speed";
    assert_problem(&args, "accuracy");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_given_is_no_limit),
        TEST(goals_that_contradict_each_other_are_told),
    };
    return cmocka_run_group_tests_name("cli/goal", tests, NULL, NULL);
}
