/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/level.h"

#include "base/mem.h"
#include "base/units.h"
#include "tests/support/test.h"

#include <math.h>

enum {
    N = 6
};

typedef struct world {
    tl_profile profiles[N];
    tl_level_device known[N];
} world;

/* Processors of all speeds whose level is the given power of their peak. */
static void fill(world *w, double power)
{
    for (int i = 0; i < N; i++) {
        double log_peak = 3 + 1.1 * i;
        w->profiles[i] =
            (tl_profile){.name = "x", .device_class = TL_DEVICE_CPU, .batch = 1, .cores = 1};
        w->profiles[i].peak_gflops[TL_FP32] = exp(log_peak);
        w->known[i] = (tl_level_device){
            .profile = &w->profiles[i],
            .log_level = 8 + power * log_peak,
            .log_physics = 3 - log_peak};
    }
}

static double sum_of(const double *shares)
{
    double sum = 0;
    for (int e = 0; e < TL_N_EXPERTS; e++) {
        sum += shares[e];
    }
    return sum;
}

static void physics_is_believed_where_it_explains_the_known_devices(void **state)
{
    (void)state;
    world w;
    tl_level level;
    fill(&w, -1);
    tl_profile profile = w.profiles[0];
    profile.peak_gflops[TL_FP32] = exp(12); /* faster than all of them */
    tl_level_device device = {.profile = &profile, .log_physics = 3 - 12};
    assert_ok(tl_level_find(&device, w.known, N, false, 0, &level));
    assert_close(sum_of(level.shares), 1, 1e-12);
    assert_true(level.shares[TL_EXPERT_PHYSICS] > .9);
    assert_close(level.log, 8 - 12, .3);
}

static void physics_is_not_believed_where_it_explains_nothing(void **state)
{
    (void)state;
    world w;
    tl_level level;
    fill(&w, 0);
    tl_profile profile = w.profiles[0];
    profile.peak_gflops[TL_FP32] = exp(12);
    tl_level_device device = {.profile = &profile, .log_physics = 3 - 12};
    assert_ok(tl_level_find(&device, w.known, N, false, 0, &level));
    assert_true(level.shares[TL_EXPERT_PHYSICS] < .01);
    assert_close(level.log, 8, .05);
}

static void a_twin_is_believed(void **state)
{
    (void)state;
    world w;
    tl_level level;
    fill(&w, -1);
    for (int i = 0; i < N; i++) {
        w.known[i].log_physics = TL_UNKNOWN;
        w.known[i].log_level = i < 3 ? 2 : 5; /* two kinds, three of each */
        w.profiles[i].peak_gflops[TL_FP32] = i < 3 ? 50 : 5000;
    }
    tl_profile profile = w.profiles[1];
    tl_level_device device = {.profile = &profile, .log_physics = TL_UNKNOWN};
    assert_ok(tl_level_find(&device, w.known, N, false, 0, &level));
    assert_close(level.log, 2, .2);
    assert_close(level.experts[TL_EXPERT_NEAREST], 2, 0);
    assert_close(level.experts[TL_EXPERT_MEAN], 3.5, 1e-12);
    assert_close(level.experts[TL_EXPERT_PHYSICS], 3.5, 1e-12); /* unknown: the mean */
}

static void physics_is_asked_alone_about_a_class_that_nobody_measured(void **state)
{
    (void)state;
    world w;
    tl_level level;
    fill(&w, 0);
    tl_profile profile = w.profiles[2];
    profile.device_class = TL_DEVICE_ASIC;
    tl_level_device device = {.profile = &profile, .log_physics = -1.2};
    for (int i = 0; i < N; i++) {
        w.known[i].log_physics = w.known[i].log_level; /* typical factor 1 */
    }
    assert_ok(tl_level_find(&device, w.known, N, false, 2, &level));
    assert_close(level.shares[TL_EXPERT_PHYSICS], 1, 0);
    assert_close(level.log, -1.2, 1e-12);
}

static void a_missing_figure_is_no_distance(void **state)
{
    (void)state;
    tl_profile a = {.device_class = TL_DEVICE_GPU, .batch = 1};
    tl_profile b = a;
    b.peak_gflops[TL_FP32] = 100;
    assert_close(tl_level_distance(&a, &b), 0, 0);
    a.peak_gflops[TL_FP32] = 100 * exp(1);
    assert_close(tl_level_distance(&a, &b), 1, 1e-12);
    b.device_class = TL_DEVICE_CPU;
    assert_true(tl_level_distance(&a, &b) > 3);
}

static void memory_that_runs_out_leaves_nothing_behind(void **state)
{
    (void)state;
    world w;
    tl_level level = {.log = 7};
    fill(&w, -1);
    tl_profile profile = w.profiles[0];
    tl_level_device device = {.profile = &profile, .log_physics = 1};
    tl_err err = TL_ENOMEM;
    for (int k = 1; err == TL_ENOMEM; k++) {
        assert_close(level.log, 7, 0);
        tl_mem_fail_at(k);
        err = tl_level_find(&device, w.known, N, true, 0, &level);
        tl_mem_fail_at(0);
    }
    assert_ok(err);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(physics_is_believed_where_it_explains_the_known_devices),
        TEST(physics_is_not_believed_where_it_explains_nothing),
        TEST(a_twin_is_believed),
        TEST(physics_is_asked_alone_about_a_class_that_nobody_measured),
        TEST(a_missing_figure_is_no_distance),
        TEST(memory_that_runs_out_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
