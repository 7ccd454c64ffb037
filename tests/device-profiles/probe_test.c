/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sched_setaffinity */
#include "tests/support/test.h"

#include "base/clock.h"
#include "base/mem.h"
#include "device-profiles/host.h"
#include "device-profiles/probe.h"
#include "device-profiles/profile_yaml.h"
#include "device-profiles/stream.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Small enough for a test, whatever the machine. */
static const double tiny_budget_s = 0.3;

static tl_err count_run(void *context)
{
    (*(int *)context)++;
    return TL_OK;
}

static tl_err refuse(void *context)
{
    (void)context;
    return tl_fail(TL_ESTATE, "the engine is gone");
}

/* Every other run is slow: the quartiles never agree. */
static tl_err wobble(void *context)
{
    int *n = context;
    int64_t until_ns = tl_clock_ns() + ((*n)++ % 2 == 0 ? 5000000 : 20000000);
    while (tl_clock_ns() < until_ns) {
    }
    return TL_OK;
}

static void every_figure_is_positive_finite_and_has_a_spread(void **state)
{
    (void)state;
    int n_int8 = 0;
    int n_launches = 0;
    tl_probe_result result = {0};
    tl_probe_options options = {
        .name = "here",
        .budget_s = tiny_budget_s,
        .rates[TL_INT8] = {.run = count_run, .context = &n_int8, .flop = 1e6},
        .launch = {.run = count_run,                .context = &n_launches                  },
    };
    assert_ok(tl_probe_run(&options, &result));
    const tl_profile *p = &result.profile;
    assert_ok(tl_profile_check(p));
    assert_string_equal(p->name, "here");
    assert_string_equal(p->condition, "fp32");
    assert_int_equal(p->device_class, TL_DEVICE_CPU);
    assert_int_equal(p->cores, 1);
    /* No lower bounds: in so short a time a busy machine may have run none of it. */
    assert_true(p->peak_gflops[TL_FP32] > 0 && p->peak_gflops[TL_FP32] < 1e5);
    assert_true(p->peak_gflops[TL_INT8] > 0);
    assert_true(p->bandwidth_gb_per_s[TL_L1] > 0 && p->bandwidth_gb_per_s[TL_L1] < 1e5);
    assert_true(p->bandwidth_gb_per_s[TL_L2] > 0);
    assert_true(p->bandwidth_gb_per_s[TL_DRAM] > 0);
    assert_true(p->launch_us > 0);
    assert_true(p->peak_gflops[TL_BF16] == 0);
    assert_true(isfinite(result.worst_spread_frac) && result.worst_key[0] != '\0');
    assert_true(n_int8 >= 4 && n_launches >= 4);
}

static void a_probed_profile_survives_its_yaml(void **state)
{
    (void)state;
    tl_probe_result result = {0};
    tl_probe_options options = {.budget_s = tiny_budget_s};
    tl_profile again = {0};
    tl_text yaml = {0};
    assert_ok(tl_probe_run(&options, &result));
    tl_profile_print_yaml(&result.profile, &yaml);
    assert_ok(tl_text_err(&yaml));
    assert_ok(tl_profile_parse_yaml("probed", yaml.data, yaml.len, &again));
    assert_memory_equal(&again, &result.profile, sizeof again);
    tl_text_done(&yaml);
}

static void a_noisy_figure_is_named(void **state)
{
    (void)state;
    int n = 0;
    tl_probe_result result = {0};
    tl_probe_options options = {
        .budget_s = tiny_budget_s,
        .noisy_spread_frac = 1e-9,
        .launch = {.run = wobble, .context = &n},
    };
    assert_ok(tl_probe_run(&options, &result));
    assert_true(result.profile.spread_frac.launch_us > 0);
    assert_true(result.is_noisy);
    assert_true(strlen(result.worst_key) > 0);
    options.noisy_spread_frac = 1e6;
    assert_ok(tl_probe_run(&options, &result));
    assert_true(result.stolen_frac >= 0 && result.stolen_frac <= 1);
    assert_int_equal(result.is_noisy, result.stolen_frac > TL_PROBE_NOISY_STOLEN_FRAC);
}

static void *spin(void *context)
{
    atomic_int *is_over = context;
    while (atomic_load(is_over) == 0) {
    }
    return NULL;
}

/* On one core with a spinning neighbour about half of the time is the neighbour's. */
static void a_neighbour_on_the_same_core_makes_the_machine_noisy(void **state)
{
    (void)state;
    cpu_set_t before;
    cpu_set_t one;
    atomic_int is_over = 0;
    pthread_t neighbour;
    size_t cpu = 0;
    assert_int_equal(0, sched_getaffinity(0, sizeof before, &before));
    while (!CPU_ISSET(cpu, &before)) {
        cpu++;
    }
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(0, sched_setaffinity(0, sizeof one, &one));
    assert_int_equal(0, pthread_create(&neighbour, NULL, spin, &is_over));
    tl_probe_result result = {0};
    tl_probe_options options = {.budget_s = 1, .noisy_spread_frac = 1e6};
    tl_err err = tl_probe_run(&options, &result);
    atomic_store(&is_over, 1);
    assert_int_equal(0, pthread_join(neighbour, NULL));
    assert_int_equal(0, sched_setaffinity(0, sizeof before, &before));
    assert_ok(err);
    assert_true(result.stolen_frac > 0.2);
    assert_true(result.is_noisy);
}

static void a_kernel_that_fails_ends_the_probe(void **state)
{
    (void)state;
    tl_probe_result result = {.worst_spread_frac = 77};
    tl_probe_options options = {.budget_s = tiny_budget_s, .launch = {.run = refuse}};
    assert_err(TL_ESTATE, tl_probe_run(&options, &result));
    assert_detail("the engine is gone");
    options = (tl_probe_options){.name = "no name", .budget_s = tiny_budget_s};
    assert_err(TL_EINVAL, tl_probe_run(&options, &result));
    assert_true(result.worst_spread_frac == 77);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    for (long k = 1; k <= 5; k++) {
        tl_probe_result result = {.worst_spread_frac = 77};
        tl_probe_options options = {.budget_s = tiny_budget_s};
        long live = tl_mem_live();
        tl_mem_fail_at(k);
        assert_err(TL_ENOMEM, tl_probe_run(&options, &result));
        tl_mem_fail_at(0);
        assert_int_equal(tl_mem_live(), live);
        assert_true(result.worst_spread_frac == 77);
    }
}

static void the_stream_reads_every_word_once(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 128, 256, 1152, 128 * 1000};
    for (size_t i = 0; i < TL_COUNT(sizes); i++) {
        uint64_t *data = tl_mem_new_aligned(sizes[i] + 1, 1);
        uint64_t wanted = 0;
        assert_non_null(data);
        for (size_t j = 0; j < sizes[i] / sizeof *data; j++) {
            data[j] = j * 0x9e3779b97f4a7c15U;
            wanted += data[j];
        }
        assert_true(tl_stream_sum(data, sizes[i]) == wanted);
        tl_mem_free(data);
    }
}

/* ---- what the host says ---- */

static void put(const char *root, const char *path, const char *text)
{
    char full[700];
    (void)snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void put_cache(
    const char *root, int idx, const char *level, const char *type, const char *size)
{
    char path[128];
    static const char folder[] = "/sys/devices/system/cpu/cpu0/cache/index";
    (void)snprintf(path, sizeof path, "%s%d/level", folder, idx);
    put(root, path, level);
    (void)snprintf(path, sizeof path, "%s%d/type", folder, idx);
    put(root, path, type);
    (void)snprintf(path, sizeof path, "%s%d/size", folder, idx);
    put(root, path, size);
}

static void the_host_is_read_from_proc_and_sys(void **state)
{
    (void)state;
    const char *root = tl_test_new_dir();
    tl_host host;
    put(root, "/proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Some \"CPU\"\x01\nmodel\t: 7\ncpu MHz\t\t: 2000.5\n");
    put(root, "/proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    4096 kB\n");
    put_cache(root, 0, "1\n", "Data\n", "48K\n");
    put_cache(root, 1, "1\n", "Instruction\n", "32K\n");
    put_cache(root, 2, "2\n", "Unified\n", "2M\n");
    tl_host_read(root, &host);
    assert_string_equal(host.processor, "Some \"CPU\" ");
    assert_close(host.clock_mhz, 2000.5, 1e-9);
    assert_int_equal(host.cache_bytes[TL_L1], 48 << 10);
    assert_int_equal(host.cache_bytes[TL_L2], 2 << 20);
    assert_int_equal(host.cache_bytes[TL_L3], 0);
    assert_int_equal(host.cache_bytes[TL_DRAM], 4 << 20);
    assert_true(host.cores >= 1);
    put(root, "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "1800000\n");
    tl_host_read(root, &host);
    assert_close(host.clock_mhz, 1800, 1e-9);
}

static void a_system_that_says_nothing_or_nonsense_is_unknown(void **state)
{
    (void)state;
    const char *root = tl_test_new_dir();
    tl_host host;
    tl_host_read(root, &host);
    assert_string_equal(host.processor, "");
    assert_close(host.clock_mhz, 0, 0);
    assert_int_equal(host.cache_bytes[TL_L1], 0);
    assert_ok(tl_name_check("device", host.name));
    put(root, "/proc/cpuinfo", "cpu MHz : nan\nmodel name\n:\n");
    put(root, "/proc/device-tree/model", "Raspberry Pi 4 Model B");
    put_cache(root, 0, "x\n", "\n", "-1\n");
    tl_host_read(root, &host);
    assert_close(host.clock_mhz, 0, 0);
    assert_string_equal(host.processor, "Raspberry Pi 4 Model B");
    assert_int_equal(host.cache_bytes[TL_L1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_figure_is_positive_finite_and_has_a_spread),
        cmocka_unit_test(a_probed_profile_survives_its_yaml),
        cmocka_unit_test(a_noisy_figure_is_named),
        cmocka_unit_test(a_neighbour_on_the_same_core_makes_the_machine_noisy),
        cmocka_unit_test(a_kernel_that_fails_ends_the_probe),
        cmocka_unit_test(survives_every_allocation_failure),
        cmocka_unit_test(the_stream_reads_every_word_once),
        cmocka_unit_test(the_host_is_read_from_proc_and_sys),
        cmocka_unit_test(a_system_that_says_nothing_or_nonsense_is_unknown),
    };
    return cmocka_run_group_tests_name(
        "device-profiles/probe", tests, tl_test_count_blocks, tl_test_no_leaks);
}
