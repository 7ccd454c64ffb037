/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "predictors/prior.h"

#include <math.h>

/* One 1x1 convolution 16 -> 32 at 8x8 and, not needed by the answer, another one. */
static void build(tl_network *network, int w_bits, int a_bits)
{
    int input = TL_NETWORK_INPUT;
    int idx;
    tl_op op = {
        .kind = TL_OP_CONV,
        .in_ch = 16,
        .out_ch = 32,
        .in_size = 8,
        .out_size = 8,
        .kernel = 1,
        .stride = 1,
        .groups = 1,
        .w_bits = w_bits,
        .a_bits = a_bits,
        .is_reached = true,
        .is_needed = true,
        .stage = -1,
        .slot = -1};
    tl_network_clear(network);
    assert_ok(tl_network_add(network, op, &input, 1, &idx));
    op.is_needed = false;
    assert_ok(tl_network_add(network, op, &input, 1, &idx));
}

enum {
    MACS = 16 * 32 * 64,
    ELEMENTS = (16 + 32) * 64,
    WEIGHTS = 16 * 32,
};

typedef struct roofline_case {
    const char *what;
    double fp32, int8, dram, l2, launch_us;
    int batch, w_bits, a_bits;
    double wanted_ms;
} roofline_case;

#define MS_AT(gflops) (2.0 * MACS / (gflops) / 1e6)
#define MS_OF(bytes)  ((bytes) / 1e6) /* at 1 GB/s */

static const roofline_case cases[] = {
    {"compute bound",                        .001, 0,    1,   0, 0, 1, 32, 32, MS_AT(.001)                      },
    {"memory bound",                         1e6,  0,    1,   0, 0, 1, 32, 32, MS_OF(4.0 * (ELEMENTS + WEIGHTS))},
    {"a launch overhead is no work",         1e6,  0,    1e6, 0, 7, 1, 32, 32, MS_AT(1e6)                       },
    {"a batch reads weights once",           0,    0,    1,   0, 0, 8, 32, 32,
     MS_OF(4.0 * (8 * ELEMENTS + WEIGHTS))                                                                      },
    {"narrow numbers at the narrow peak",    .001, .004, 0,   0, 0, 1, 8,  8,  MS_AT(.004)                      },
    {"narrow numbers at the wide peak",      .001, 0,    0,   0, 0, 1, 8,  8,  MS_AT(.001)                      },
    {"wide numbers at a slowed narrow peak", 0,    .004, 0,   0, 0, 1, 32, 32, MS_AT(.001)                      },
    {"narrow numbers move fewer bytes",      0,    0,    1,   0, 0, 1, 4,  8,  MS_OF(ELEMENTS + .5 * WEIGHTS)   },
    {"cache where memory is unknown",        0,    0,    0,   1, 0, 1, 32, 32,
     MS_OF(4.0 * (ELEMENTS + WEIGHTS))                                                                          },
};

static void latency_is_the_roofline_of_what_is_needed(void **state)
{
    (void)state;
    tl_network network = {0};
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        const roofline_case *c = &cases[i];
        tl_profile profile = {.name = "x", .batch = c->batch, .launch_us = c->launch_us};
        tl_roofline roofline = {0};
        profile.peak_gflops[TL_FP32] = c->fp32;
        profile.peak_gflops[TL_INT8] = c->int8;
        profile.bandwidth_gb_per_s[TL_DRAM] = c->dram;
        profile.bandwidth_gb_per_s[TL_L2] = c->l2;
        build(&network, c->w_bits, c->a_bits);
        assert_ok(tl_prior_roofline(&profile, &network, &roofline));
        assert_close(roofline.bound_ms / c->wanted_ms, 1, 1e-9);
        assert_close(roofline.n_launches, 1, 0);
    }
    tl_network_done(&network);
}

static void a_probed_profile_needs_no_prior(void **state)
{
    (void)state;
    tl_prior prior = {
        .log_factor = log(3),
        .log_factor_sd = .5,
        .log_launch_us = log(100),
        .log_launch_sd = 1};
    tl_roofline roofline = {.bound_ms = 2, .n_launches = 10};
    tl_profile profile = {.name = "x"};
    double mean = 0;
    double sd = 0;
    tl_prior_latency(&prior, &profile, &roofline, &mean, &sd);
    assert_close(mean, 6 + 1, 1e-9);
    assert_close(sd, hypot(6 * .5, 1), 1e-9);
    profile.launch_us = 1;
    tl_prior_latency(&prior, &profile, &roofline, &mean, &sd);
    assert_close(mean, 2 * exp(.5) + .02, 1e-9);
}

static void factor_and_launch_are_found_again(void **state)
{
    (void)state;
    enum {
        N = 20
    };
    static const struct {
        double factor, launch_us;
    } wanted[] = {
        {2.5, 40},
        {3,   0 },
        {0,   70},
    };
    for (size_t c = 0; c < TL_COUNT(wanted); c++) {
        tl_roofline rooflines[N];
        double latency_ms[N];
        double factor = -1;
        double launch_us = -1;
        for (int i = 0; i < N; i++) {
            rooflines[i] =
                (tl_roofline){.bound_ms = 1 + .3 * i, .n_launches = 20 + (i * 7) % 11};
            latency_ms[i] = wanted[c].factor * rooflines[i].bound_ms +
                            wanted[c].launch_us * 1e-3 * rooflines[i].n_launches;
        }
        tl_prior_explain(N, rooflines, latency_ms, &factor, &launch_us);
        assert_close(factor, wanted[c].factor, 1e-6);
        assert_close(launch_us, wanted[c].launch_us, 1e-4);
    }
}

static void hardware_that_knows_wider_words_only_computes_with_those(void **state)
{
    (void)state;
    tl_network network = {0};
    tl_profile profile = {
        .name = "x", .weight_bits = {.bits = {8, 16}, .n = 2}
    };
    tl_roofline four;
    tl_roofline eight;
    profile.bandwidth_gb_per_s[TL_DRAM] = 1;
    build(&network, 4, 8);
    assert_ok(tl_prior_roofline(&profile, &network, &four));
    build(&network, 8, 8);
    assert_ok(tl_prior_roofline(&profile, &network, &eight));
    assert_close(four.bound_ms, eight.bound_ms, 1e-15);
    tl_network_done(&network);
}

static void a_profile_that_tells_nothing_has_no_roofline(void **state)
{
    (void)state;
    tl_network network = {0};
    tl_profile profile = {.name = "mystery", .launch_us = 5};
    tl_roofline roofline = {.bound_ms = -1};
    build(&network, 32, 32);
    assert_false(tl_prior_is_known(&profile));
    assert_err(TL_ENOTFOUND, tl_prior_roofline(&profile, &network, &roofline));
    assert_detail("mystery");
    assert_close(roofline.bound_ms, -1, 0);
    tl_network_done(&network);
}

static void what_fits_a_cache_is_read_from_it(void **state)
{
    (void)state;
    tl_network network = {0};
    tl_roofline near, far;
    tl_profile profile = {.name = "x"};
    profile.bandwidth_gb_per_s[TL_L2] = 100;
    profile.bandwidth_gb_per_s[TL_DRAM] = 10;
    build(&network, 32, 32);
    assert_ok(tl_prior_roofline(&profile, &network, &far)); /* no size is told */
    profile.cache_kib[TL_L2] = 1e-3;
    assert_ok(tl_prior_roofline(&profile, &network, &near));
    assert_close(near.bound_ms, far.bound_ms, 0);
    profile.cache_kib[TL_L2] = 1e6;
    assert_ok(tl_prior_roofline(&profile, &network, &near));
    assert_close(near.bound_ms, far.bound_ms / 10, 1e-12);
    tl_network_done(&network);
}

static void power_is_told_or_that_of_the_class_and_its_peak(void **state)
{
    (void)state;
    tl_profile profile = {.name = "x", .device_class = TL_DEVICE_GPU};
    double typical = tl_prior_power_w(&profile);
    profile.peak_gflops[TL_FP32] = 500;
    double small = tl_prior_power_w(&profile);
    profile.peak_gflops[TL_FP32] = 10000;
    double large = tl_prior_power_w(&profile);
    assert_true(small < typical && typical < large);
    assert_close(large, 20 * small, 1e-9);
    profile.busy_w = 40;
    assert_true(tl_prior_power_w(&profile) > 10 && tl_prior_power_w(&profile) <= 40);
    for (int c = 0; c < TL_N_DEVICE_CLASSES; c++) {
        tl_profile bare = {.name = "x", .device_class = (tl_device_class)c};
        assert_true(tl_prior_power_w(&bare) > 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(latency_is_the_roofline_of_what_is_needed),
        TEST(a_probed_profile_needs_no_prior),
        TEST(factor_and_launch_are_found_again),
        TEST(hardware_that_knows_wider_words_only_computes_with_those),
        TEST(a_profile_that_tells_nothing_has_no_roofline),
        TEST(what_fits_a_cache_is_read_from_it),
        TEST(power_is_told_or_that_of_the_class_and_its_peak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
