/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "device-profiles/profile_yaml.h"
#include "tests/device-profiles/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char raspberry[] =
    "name: raspberrypi4\n"
    "class: cpu            # cpu gpu dsp npu fpga asic mcu analog\n"
    "description: Raspberry Pi 4, 4x Cortex-A72 1.5 GHz, TFLite fp32\n"
    "condition: fp32       # deployment condition\n"
    "batch: 1\n"
    "cores: 4\n"
    "clock_mhz: 1500\n"
    "peak_gflops: {fp32: 48, int8: 96}\n"
    "bandwidth_gb_per_s: {l1: 96, l2: 24, dram: 4.0}\n"
    "power_w: {idle: 2.7, busy: 6.4}\n"
    "bits: {weights: [8, 32], activations: [8, 32]}   # widths the hardware gains from\n";

static tl_err parse(const char *yaml, tl_profile *out)
{
    return tl_profile_parse_yaml("my.yaml", yaml, strlen(yaml), out);
}

static void the_documented_example_is_read_to_the_letter(void **state)
{
    (void)state;
    tl_profile p = {0};
    assert_ok(parse(raspberry, &p));
    assert_string_equal(p.name, "raspberrypi4");
    assert_int_equal(p.device_class, TL_DEVICE_CPU);
    assert_string_equal(p.description, "Raspberry Pi 4, 4x Cortex-A72 1.5 GHz, TFLite fp32");
    assert_string_equal(p.condition, "fp32");
    assert_int_equal(p.batch, 1);
    assert_int_equal(p.cores, 4);
    assert_close(p.clock_mhz, 1500, 0);
    assert_close(p.peak_gflops[TL_FP32], 48, 0);
    assert_close(p.peak_gflops[TL_INT8], 96, 0);
    assert_close(p.peak_gflops[TL_FP16], 0, 0);
    assert_close(p.bandwidth_gb_per_s[TL_L1], 96, 0);
    assert_close(p.bandwidth_gb_per_s[TL_L2], 24, 0);
    assert_close(p.bandwidth_gb_per_s[TL_DRAM], 4, 0);
    assert_close(p.idle_w, 2.7, 0);
    assert_close(p.busy_w, 6.4, 0);
    assert_int_equal(p.weight_bits.n, 2);
    assert_int_equal(p.activation_bits.bits[1], 32);
}

static void what_is_printed_reads_back_as_the_same_profile(void **state)
{
    (void)state;
    uint64_t seed = tl_test_seed();
    for (int i = 0; i < 300; i++) {
        tl_profile before = sample_profile(&seed);
        tl_profile after = {0};
        tl_text text = {0};
        tl_text again = {0};
        tl_profile_print_yaml(&before, &text);
        assert_ok(tl_text_err(&text));
        assert_ok(parse(text.data, &after));
        assert_memory_equal(&before, &after, sizeof before);
        tl_profile_print_yaml(&after, &again);
        assert_string_equal(text.data, again.data);
        tl_text_done(&text);
        tl_text_done(&again);
    }
}

static void a_name_alone_is_a_profile(void **state)
{
    (void)state;
    tl_profile profile = {0};
    tl_profile wanted = {0};
    assert_ok(parse("name: 1080ti_1\n", &profile));
    assert_ok(tl_profile_bare("1080ti_1", &wanted));
    assert_memory_equal(&profile, &wanted, sizeof wanted);
    assert_ok(parse("{name: a, cores: , description: ''}", &profile));
    assert_int_equal(profile.cores, 0);
}

/* Every refusal says where and what. */
static const struct refusal {
    const char *yaml, *detail;
} refusals[] = {
    {"name: a\n\nclok_mhz: 3\n",
     "my.yaml line 3: unknown key \"clok_mhz\", nearest is \"clock_mhz\""                                                        },
    {"name: a\n# clok_mhz: 1\nclok_mhz: 3\n",                     "my.yaml line 3: unknown key"                                  },
    {"name: a\npeak_gflops:\n  fp32: 1\n  fp31: 2\n",
     "my.yaml line 4: unknown key \"peak_gflops.fp31\", nearest is \"peak_gflops.fp32\""                                         },
    {"name: a\nfoo: 1\n",                                         "my.yaml line 2: unknown key \"foo\", nearest is \"name\""     },
    {"name: a\nzzzzzz: 1\n",                                      "my.yaml line 2: unknown key \"zzzzzz\", nearest is \"name\""  },
    {"name: a\npeak_gflop: {fp32: 1}\n",
     "unknown key \"peak_gflop\", nearest is \"peak_gflops\""                                                                    },
    {"name: a\npeak_gflops: {zz: 1}\n",
     "unknown key \"peak_gflops.zz\", nearest is \"peak_gflops.fp32\""                                                           },
    {"name: a\npeak_gflops.fp32: 1\n",
     "unknown key \"peak_gflops.fp32\", nearest is \"peak_gflops: {fp32: ...}\""                                                 },
    {"name: a\nfp32: 1\n",                                        "unknown key \"fp32\", nearest is \"peak_gflops: {fp32: ...}\""},
    {"{name: a, \"clock_ghz\" : 2}",                              "my.yaml line 1: unknown key \"clock_ghz\""                    },
    {"name: a\nclock_mhz: 1500 MHz\n",
     "my.yaml line 2: clock_mhz: got \"1500 MHz\", want a number from 0.01 to 100000"                                            },
    {"name: a\nbatch: 0\n",
     "my.yaml line 2: batch: got \"0\", want a whole number from 1 to 65536"                                                     },
    {"name: a\nbatch: 1.5\n",                                     "my.yaml line 2: batch"                                        },
    {"name: a\ncores: -4\n",                                      "my.yaml line 2: cores"                                        },
    {"name: a\nclock_mhz: .nan\n",                                "my.yaml line 2: clock_mhz"                                    },
    {"name: a\nclock_mhz: .inf\n",                                "clock_mhz"                                                    },
    {"name: a\npower_w:\n  idle: 1\n  busy: x\n",                 "my.yaml line 4: power_w.busy: got \"x\""                      },
    {"name: a\npower_w: {idle: 3, busy: 2}\n",                    "my.yaml: power_w: got idle 3 above busy 2"                    },
    {"name: a\nclass: toaster\n",                                 "my.yaml line 2: class: got \"toaster\", want one of cpu"      },
    {"name: a b\n",                                               "my.yaml line 1: device name: got character 0x20"              },
    {"cores: 4\n",                                                "my.yaml: device name: got nothing"                            },
    {"name: a\nbits: {weights: [8, 99]}\n",                       "my.yaml line 2: bits.weights: got \"99\""                     },
    {"name: a\nbits: {weights: 8}\n",                             "my.yaml line 2: bits.weights: Expecting SEQUENCE"             },
    {"name: a\nbits: {weights: [1,2,3,4,5,6,7,8,9]}\n",
     "my.yaml line 2: bits.weights: Excessive entries"                                                                           },
    {"name: a\npeak_gflops: 48\n",                                "my.yaml line 2: peak_gflops: Expecting MAPPING"               },
    {"name: [a]\n",                                               "my.yaml line 1: name: Expecting STRING"                       },
    {"name: a\nname: b\n",                                        "my.yaml line 1: name: Mapping field already seen"             },
    {"name: a\npeak_gflops: {fp32: 1}\npeak_gflops: {fp32: 2}\n", "already seen"                                                 },
    {"name: a\n---\nname: b\n",                                   "my.yaml: got a second document"                               },
    {"- a\n",                                                     "my.yaml: Expecting MAPPING"                                   },
    {"",                                                          "my.yaml: the file is empty"                                   },
    {"# nothing\n",                                               "my.yaml: the file is empty"                                   },
    {"name: &x a\ncondition: *x\n",                               "my.yaml line 2"                                               },
    {"<<: {name: b}\n",                                           "unknown key \"<<\""                                           },
    {"? [a]\n: b\n",                                              "my.yaml"                                                      },
    {"name: 'a\n",                                                "my.yaml line 1: name: libyaml: found unexpected end"          },
    {"name: a\n\tcores: 4\n",                                     "my.yaml"                                                      },
    {"name: a\nsource: \x01\n",                                   "control characters"                                           },
    {"name: a\nsource: \xff\xfe\n",                               "my.yaml"                                                      },
    {"name: a\nsource: \"x\\ny\"\n",                              "my.yaml line 2: source: got byte 0x0a at position 2"          },
    {"%YAML 9.9\n---\nname: a\n",                                 "my.yaml"                                                      },
};

static void every_refusal_says_where_and_what(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_COUNT(refusals); i++) {
        tl_profile profile = {.cores = 77};
        assert_err(TL_EINVAL, parse(refusals[i].yaml, &profile));
        assert_detail(refusals[i].detail);
        assert_int_equal(profile.cores, 77);
    }
}

static void a_huge_or_deep_file_is_refused_and_does_no_harm(void **state)
{
    (void)state;
    enum {
        BYTES = TL_PROFILE_YAML_MAX_BYTES
    };
    static const char *const units[] = {"[",  "{a: ", "- ", "a: &x *x\n",
                                        "? ", "!!a ", "\"", "#"};
    char *yaml = tl_mem_new(BYTES + 2, 1);
    tl_profile profile = {0};
    assert_non_null(yaml);
    for (size_t i = 0; i < TL_COUNT(units); i++) {
        size_t len = strlen(units[i]);
        for (size_t at = 0; at + len <= BYTES; at += len) {
            memcpy(yaml + at, units[i], len);
        }
        assert_err(TL_EINVAL, tl_profile_parse_yaml("deep", yaml, BYTES, &profile));
    }
    memset(yaml, ' ', BYTES + 1);
    assert_err(TL_ELIMIT, tl_profile_parse_yaml("huge", yaml, BYTES + 1, &profile));
    assert_detail("huge: got 65537 bytes, want at most 65536");
    assert_err(TL_EINVAL, tl_profile_parse_yaml("nul", "name: a\0b", 9, &profile));
    assert_detail("nul: got a NUL character");
    tl_mem_free(yaml);
}

static void mutated_files_never_crash_nor_give_an_invalid_profile(void **state)
{
    (void)state;
    static const char alphabet[] = "{}[]:,#&*!|>'\"%@`-? \n\t~0a.";
    uint64_t seed = tl_test_seed();
    int n_accepted = 0;
    for (int i = 0; i < 20000; i++) {
        char yaml[sizeof raspberry];
        tl_profile profile = {0};
        memcpy(yaml, raspberry, sizeof yaml);
        for (uint64_t n = sample_next(&seed) % 6; n < 6; n++) {
            yaml[sample_next(&seed) % (sizeof yaml - 1)] =
                alphabet[sample_next(&seed) % (sizeof alphabet - 1)];
        }
        size_t len =
            sample_next(&seed) % 4 == 0 ? sample_next(&seed) % sizeof yaml : strlen(yaml);
        if (tl_profile_parse_yaml("mutated", yaml, len, &profile) == TL_OK) {
            assert_ok(tl_profile_check(&profile));
            n_accepted++;
        }
    }
    assert_in_range(n_accepted, 100, 19000);
}

static void a_file_is_read_and_a_missing_one_is_said(void **state)
{
    (void)state;
    char path[600];
    tl_profile profile = {0};
    (void)snprintf(path, sizeof path, "%s/pi.yaml", tl_test_new_dir());
    assert_int_not_equal(TL_OK, tl_profile_load_yaml(path, &profile));
    assert_detail("pi.yaml");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(raspberry, file);
    (void)fclose(file);
    assert_ok(tl_profile_load_yaml(path, &profile));
    assert_int_equal(profile.cores, 4);
    assert_int_not_equal(TL_OK, tl_profile_load_yaml("/", &profile));
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    static const char *const inputs[] = {raspberry, "name: a\nclok_mhz: 3\n", "name: [\n"};
    for (size_t i = 0; i < TL_COUNT(inputs); i++) {
        int n_failures = 0;
        tl_profile profile = {0};
        tl_err err = TL_ENOMEM;
        for (long k = 1; err == TL_ENOMEM; k++) {
            long live = tl_mem_live();
            tl_mem_fail_at(k);
            err = parse(inputs[i], &profile);
            tl_mem_fail_at(0);
            assert_int_equal(tl_mem_live(), live);
            n_failures += err == TL_ENOMEM;
        }
        assert_int_equal(err, i == 0 ? TL_OK : TL_EINVAL);
        assert_true(n_failures >= (i == 0 ? 15 : 2));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documented_example_is_read_to_the_letter),
        cmocka_unit_test(what_is_printed_reads_back_as_the_same_profile),
        cmocka_unit_test(a_name_alone_is_a_profile),
        cmocka_unit_test(every_refusal_says_where_and_what),
        cmocka_unit_test(a_huge_or_deep_file_is_refused_and_does_no_harm),
        cmocka_unit_test(mutated_files_never_crash_nor_give_an_invalid_profile),
        cmocka_unit_test(a_file_is_read_and_a_missing_one_is_said),
        cmocka_unit_test(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name(
        "device-profiles/profile_yaml", tests, tl_test_count_blocks, tl_test_no_leaks);
}
