/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "numerics/act.h"

#include <math.h>

enum {
    WIDTH = 1031 /* more than two chunks and no multiple of any vector */
};

/* Relative to 1 + |y|; observed 1.2e-7. */
static const double silu_tolerance = 5e-7;

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static double slope(double x)
{
    double s = 1 / (1 + exp(-x));
    return s * (1 + x * (1 - s));
}

static void silu_agrees_with_the_math_library(void **state)
{
    (void)state;
    tl_mat x;
    tl_mat y;
    tl_mat dx;
    assert_ok(tl_mat_init(&x, 3, WIDTH));
    assert_ok(tl_mat_init(&y, 3, WIDTH));
    assert_ok(tl_mat_init(&dx, 3, WIDTH));
    int middle = WIDTH / 2;
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < WIDTH; j++) {
            tl_mat_row(x, i)[j] = (float)((j - middle) * .04 * (i + 1));
            tl_mat_row(dx, i)[j] = 1;
        }
    }
    tl_silu_fwd(tl_ro(x), y);
    tl_silu_bwd(tl_ro(x), tl_ro(dx), dx);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < WIDTH; j++) {
            double at = (double)tl_mat_row(x, i)[j];
            double scale = 1 + fabs(silu(at));
            assert_close((double)tl_mat_row(y, i)[j], silu(at), silu_tolerance * scale);
            assert_close((double)tl_mat_row(dx, i)[j], slope(at), 20 * silu_tolerance);
        }
    }
    tl_mat_done(&x);
    tl_mat_done(&y);
    tl_mat_done(&dx);
}

static void far_values_keep_their_limits(void **state)
{
    (void)state;
    float data[4] = {-1e30F, -200.0F, 200.0F, 1e30F};
    float out[4] = {0};
    tl_silu_fwd(
        (tl_cmat){.data = data, .rows = 1, .cols = 4, .ld = 4},
        (tl_mat){.data = out, .rows = 1, .cols = 4, .ld = 4});
    assert_true(fabs((double)out[0]) < 1e-6 && fabs((double)out[1]) < 1e-30);
    assert_close((double)out[2], 200, 1e-4);
    assert_close((double)(out[3] / data[3]), 1, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            silu_agrees_with_the_math_library, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test(far_values_keep_their_limits),
    };
    return cmocka_run_group_tests_name("numerics/act", tests, NULL, NULL);
}
