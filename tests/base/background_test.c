/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* SCHED_BATCH */
#include "tests/support/test.h"

#include "base/background.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

typedef struct seen {
    int nice, policy;
} seen;

static void *look(void *context)
{
    seen *s = context;
    s->nice = getpriority(PRIO_PROCESS, 0);
    s->policy = sched_getscheduler(0);
    return NULL;
}

static void *work_in_background(void *context)
{
    pthread_t child;
    tl_background_thread();
    if (pthread_create(&child, NULL, look, context) == 0) {
        (void)pthread_join(child, NULL);
    }
    return NULL;
}

static void a_background_thread_yields_with_all_that_it_starts(void **state)
{
    (void)state;
    seen before = {0};
    seen child = {0};
    seen after = {0};
    pthread_t worker;
    (void)look(&before);
    assert_int_equal(pthread_create(&worker, NULL, work_in_background, &child), 0);
    assert_int_equal(pthread_join(worker, NULL), 0);
    (void)look(&after);
    assert_true(child.nice >= 10 || child.nice > before.nice);
    assert_int_equal(child.policy, SCHED_BATCH);
    assert_int_equal(after.nice, before.nice); /* nobody else does */
    assert_int_equal(after.policy, before.policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_background_thread_yields_with_all_that_it_starts),
    };
    return cmocka_run_group_tests_name("base/background", tests, NULL, NULL);
}
