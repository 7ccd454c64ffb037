/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"

static void what_comes_often_is_told_once_in_a_while(void **state)
{
    int64_t told_ns = 0;
    (void)state;
    assert_true(tl_log_is_due(3600, &told_ns));
    assert_true(told_ns > 0);
    assert_false(tl_log_is_due(3600, &told_ns));
    int64_t long_ago_ns = tl_clock_ns() - 2 * TL_NS_PER_S;
    told_ns = long_ago_ns;
    assert_true(tl_log_is_due(1, &told_ns));
    assert_true(told_ns > long_ago_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_often_is_told_once_in_a_while),
    };
    return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
