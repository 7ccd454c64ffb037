/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/grading/world.h"
#include "tests/support/torture.h"

#include "base/mem.h"
#include "grading/unseen.h"

#include <math.h>

enum {
    DEVICE = 1, /* the one that nothing is fitted to */
    N_SAMPLES = 10
};

typedef struct asked {
    world w;
    tl_pool pool;
} asked;

static void asked_init(asked *a)
{
    *a = (asked){0};
    world_init(&a->w);
    assert_ok(tl_pool_init(
        a->w.space, a->w.pointers, N_DEVICES, &a->w.accuracy, tl_test_seed(), &a->pool));
}

static void asked_done(asked *a)
{
    tl_pool_done(&a->pool);
    world_done(&a->w);
}

static void assert_finite(tl_dmat rows)
{
    for (int i = 0; i < rows.rows; i++) {
        for (int k = 0; k < rows.cols; k++) {
            assert_true(isfinite(tl_dmat_row(rows, i)[k]));
        }
    }
}

static void pairs_are_samples_of_the_other_devices_and_designs_of_all(void **state)
{
    (void)state;
    asked a;
    asked_init(&a);
    tl_unseen unseen;
    assert_ok(tl_unseen_init(&a.pool, DEVICE, N_SAMPLES, 3, &unseen));
    assert_int_equal(unseen.x.rows, (N_DEVICES - 1) * N_SAMPLES);
    assert_int_equal(unseen.x.cols, unseen.query.cols);
    assert_int_equal(unseen.n_inside, (N_DEVICES - 1) * TL_UNSEEN_INSIDE_QUERIES);
    assert_true(unseen.query.rows > unseen.n_inside);
    assert_finite(unseen.x);
    assert_finite(unseen.query);
    assert_finite(unseen.unlabelled);
    for (int i = 0; i < unseen.query.rows; i++) {
        /* relative to the device's level */
        assert_true(unseen.measured[i] > 0 && unseen.measured[i] < 20);
        assert_close(unseen.offset[i], 1, 0);
    }
    tl_unseen_done(&unseen);
    asked_done(&a);
}

static void more_samples_than_are_worked_on_are_left_out(void **state)
{
    (void)state;
    asked a;
    asked_init(&a);
    tl_unseen unseen;
    assert_ok(tl_unseen_init(&a.pool, DEVICE, 3 * TL_UNSEEN_MAX_SAMPLES, 3, &unseen));
    assert_int_equal(unseen.x.rows, (N_DEVICES - 1) * TL_UNSEEN_MAX_SAMPLES);
    tl_unseen_done(&unseen);
    asked_done(&a);
}

static void two_devices_are_too_few(void **state)
{
    (void)state;
    asked a = {0};
    world_init(&a.w);
    assert_ok(tl_pool_init(a.w.space, a.w.pointers, 2, NULL, 1, &a.pool));
    tl_unseen unseen = {0};
    assert_err(TL_ESTATE, tl_unseen_init(&a.pool, 0, N_SAMPLES, 3, &unseen));
    assert_detail("1 known devices are too few");
    tl_unseen_done(&unseen);
    asked_done(&a);
}

static tl_err ask(void *context)
{
    asked *a = context;
    tl_unseen unseen;
    TL_TRY(tl_unseen_init(&a->pool, DEVICE, N_SAMPLES, 3, &unseen));
    tl_unseen_done(&unseen);
    return TL_OK;
}

static void lack_of_memory_is_survived(void **state)
{
    (void)state;
    asked a;
    asked_init(&a);
    assert_true(tl_test_torture("unseen", ask, &a) > 10);
    asked_done(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pairs_are_samples_of_the_other_devices_and_designs_of_all),
        TEST(more_samples_than_are_worked_on_are_left_out),
        TEST(two_devices_are_too_few),
        TEST(lack_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
