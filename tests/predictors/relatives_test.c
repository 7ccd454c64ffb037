/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/relatives.h"

#include "base/mem.h"
#include "tests/support/test.h"

#include <stdio.h>

enum {
    N = 4
};

static tl_profile profile_of(tl_device_class device_class, int batch, double peak, double dram)
{
    tl_profile profile = {.name = "x", .device_class = device_class, .batch = batch};
    profile.peak_gflops[TL_FP32] = peak;
    profile.bandwidth_gb_per_s[TL_DRAM] = dram;
    return profile;
}

static void fill(tl_profile *known, const tl_profile **pointers)
{
    known[0] = profile_of(TL_DEVICE_GPU, 1, 10000, 500);
    known[1] = profile_of(TL_DEVICE_GPU, 64, 12000, 550);
    known[2] = profile_of(TL_DEVICE_CPU, 1, 500, 100);
    known[3] = profile_of(TL_DEVICE_CPU, 1, 0, 0);
    for (int i = 0; i < N; i++) {
        pointers[i] = &known[i];
    }
}

static void the_most_alike_device_has_the_largest_weight(void **state)
{
    (void)state;
    tl_profile known[N];
    const tl_profile *pointers[N];
    double weights[N];
    double sd = 0;
    fill(known, pointers);
    for (int i = 0; i < N; i++) {
        tl_profile device = known[i];
        assert_ok(tl_relatives_weigh(&device, pointers, N, weights, &sd));
        for (int j = 0; j < N; j++) {
            assert_true(j == i || weights[i] > 2 * weights[j]);
        }
        assert_true(sd > 0 && sd < .8);
    }
}

static void a_device_without_relatives_is_uncertain(void **state)
{
    (void)state;
    tl_profile known[N];
    const tl_profile *pointers[N];
    double weights[N];
    double sd = 0;
    fill(known, pointers);
    tl_profile device = profile_of(TL_DEVICE_FPGA, 1, 0, 0);
    assert_ok(tl_relatives_weigh(&device, pointers, N, weights, &sd));
    double sum = 0;
    for (int i = 0; i < N; i++) {
        sum += weights[i];
    }
    assert_true(sum < .6);
    assert_true(sd > 1);
}

static void another_runtime_is_less_alike(void **state)
{
    (void)state;
    tl_profile known[N];
    const tl_profile *pointers[N];
    double weights[N];
    double sd = 0;
    fill(known, pointers);
    known[3] = known[2];
    (void)snprintf(known[2].runtime, sizeof known[2].runtime, "armnn");
    (void)snprintf(known[3].runtime, sizeof known[3].runtime, "tflite");
    tl_profile device = known[3];
    assert_ok(tl_relatives_weigh(&device, pointers, N, weights, &sd));
    assert_true(weights[3] > 2 * weights[2]);
}

static void the_order_of_known_devices_does_not_matter(void **state)
{
    (void)state;
    tl_profile known[N];
    const tl_profile *pointers[N];
    const tl_profile *turned[N];
    double a[N], b[N];
    double sd = 0;
    double turned_sd = 0;
    fill(known, pointers);
    for (int i = 0; i < N; i++) {
        turned[i] = pointers[N - 1 - i];
    }
    tl_profile device = profile_of(TL_DEVICE_GPU, 32, 8000, 450);
    assert_ok(tl_relatives_weigh(&device, pointers, N, a, &sd));
    assert_ok(tl_relatives_weigh(&device, turned, N, b, &turned_sd));
    assert_close(sd, turned_sd, 1e-12);
    for (int i = 0; i < N; i++) {
        assert_close(a[i], b[N - 1 - i], 1e-12);
    }
}

static void a_bare_name_tells_nothing_and_a_class_something(void **state)
{
    (void)state;
    tl_profile profile = {.name = "x", .batch = 8};
    assert_false(tl_relatives_can_tell(&profile));
    profile.device_class = TL_DEVICE_CPU;
    assert_true(tl_relatives_can_tell(&profile));
    assert_true(tl_relatives_trend(&profile) > 0);
    profile.batch = 0;
    assert_close(tl_relatives_trend(&profile), 0, 0);
}

/* The errors of one solve against those of leaving each device out. */
static void each_known_device_is_judged_by_the_others(void **state)
{
    (void)state;
    tl_profile known[N];
    const tl_profile *pointers[N];
    const double values[N] = {1, 2, -1, .5};
    double errors[N], sds[N];
    fill(known, pointers);
    for (int i = 0; i < N; i++) { /* the same figures: centring moves nothing */
        known[i] = profile_of(i < 2 ? TL_DEVICE_GPU : TL_DEVICE_CPU, 1, 1000, 100);
    }
    assert_ok(tl_relatives_errors(pointers, N, values, errors, sds));
    for (int i = 0; i < N; i++) {
        const tl_profile *others[N - 1];
        double weights[N - 1], of_others[N - 1] = {0};
        double sd = 0;
        double mean = 0;
        int n = 0;
        for (int j = 0; j < N; j++) {
            if (j != i) {
                others[n] = pointers[j];
                of_others[n++] = values[j];
                mean += values[j] / (N - 1);
            }
        }
        assert_ok(tl_relatives_weigh(pointers[i], others, n, weights, &sd));
        double said = mean;
        for (int j = 0; j < n; j++) {
            said += weights[j] * (of_others[j] - mean);
        }
        assert_close(errors[i], said - values[i], 1e-9);
        assert_close(sds[i], sd, 1e-9);
    }
}

static void memory_that_runs_out_leaves_nothing_behind(void **state)
{
    (void)state;
    tl_profile known[N];
    const tl_profile *pointers[N];
    double weights[N];
    double sd = -1;
    fill(known, pointers);
    for (int k = 1;; k++) {
        tl_mem_fail_at(k);
        tl_err err = tl_relatives_weigh(&known[0], pointers, N, weights, &sd);
        tl_mem_fail_at(0);
        if (err == TL_OK) {
            break;
        }
        assert_int_equal(err, TL_ENOMEM);
        assert_close(sd, -1, 0);
    }
    assert_true(sd > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_most_alike_device_has_the_largest_weight),
        TEST(a_device_without_relatives_is_uncertain),
        TEST(another_runtime_is_less_alike),
        TEST(the_order_of_known_devices_does_not_matter),
        TEST(a_bare_name_tells_nothing_and_a_class_something),
        TEST(each_known_device_is_judged_by_the_others),
        TEST(memory_that_runs_out_leaves_nothing_behind),
    };
    return cmocka_run_group_tests_name("predictors/relatives", tests, NULL, NULL);
}
