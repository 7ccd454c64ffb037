/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/units.h"

static void a_wait_ends_at_its_time(void **state)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond;
    int64_t until_ns = tl_clock_ns() + TL_NS_PER_MS;
    (void)state;
    tl_cond_init(&cond);
    (void)pthread_mutex_lock(&lock);
    while (tl_cond_wait_until(&cond, &lock, until_ns)) {
    }
    assert_true(tl_clock_ns() >= until_ns);
    assert_false(tl_cond_wait_until(&cond, &lock, 0));
    (void)pthread_mutex_unlock(&lock);
    assert_int_equal(pthread_cond_destroy(&cond), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_ends_at_its_time),
    };
    return cmocka_run_group_tests_name("base/cond", tests, NULL, NULL);
}
