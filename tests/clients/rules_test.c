/* SPDX-License-Identifier: Apache-2.0 */

/* clients/c/rules.h: what may be asked again, and after how long. */

#include "tests/support/test.h"

#include "clients/c/rules.h"
#include "daemon/methods.h"

#include <string.h>

static void every_method_has_a_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < tl_call_rules_len; i++) {
        assert_true(i == 0 || strcmp(tl_call_rules[i - 1].method, tl_call_rules[i].method) < 0);
    }
    for (size_t i = 0; i < tl_methods_len; i++) {
        bool is_found = false;
        for (size_t r = 0; r < tl_call_rules_len && !is_found; r++) {
            is_found = strcmp(tl_methods[i]->name, tl_call_rules[r].method) == 0;
        }
        if (!is_found) {
            fail_msg(
                "clients/c/rules.c does not say whether %s is repeated", tl_methods[i]->name);
        }
    }
    assert_int_equal(tl_repeat_of("train.run"), TL_REPEAT_NEVER);
    assert_int_equal(tl_repeat_of("space.remove"), TL_REPEAT_REMOVAL);
    assert_int_equal(tl_repeat_of("no.such"), TL_REPEAT_FREELY);
}

static void waits_double_and_scatter(void **state)
{
    uint64_t random = tl_test_seed();
    int64_t longest_ns = 0;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t first_ns = tl_backoff_ns(0, &random);
        int64_t last_ns = tl_backoff_ns(1000000U, &random);
        assert_in_range(first_ns, 1, 8000000);
        assert_in_range(last_ns, 1, 1000000000);
        longest_ns = last_ns > longest_ns ? last_ns : longest_ns;
    }
    assert_true(longest_ns > 900000000);
    random = 0;
    assert_in_range(tl_backoff_ns(3, &random), 1, 64000000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test(name)
    const struct CMUnitTest tests[] = {
        TEST(every_method_has_a_rule),
        TEST(waits_double_and_scatter),
    };
#undef TEST
    return cmocka_run_group_tests_name("clients/rules", tests, NULL, NULL);
}
