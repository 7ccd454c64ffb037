/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "device-profiles/profile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static tl_profile bare(void)
{
    tl_profile profile = {0};
    assert_ok(tl_profile_bare("pixel3", &profile));
    return profile;
}

static void full_name(const tl_profile_key *key, char out[64])
{
    (void)snprintf(
        out, 64, "%s%s%s", key->section, key->section[0] == '\0' ? "" : ".", key->name);
}

static void a_bare_profile_knows_nothing_but_its_name(void **state)
{
    (void)state;
    tl_profile profile = bare();
    tl_text text = {0};
    assert_string_equal(profile.name, "pixel3");
    for (size_t i = 1; i < TL_N_PROFILE_KEYS; i++) {
        assert_false(tl_profile_print(&profile, &tl_profile_keys[i], &text));
    }
    assert_int_equal(text.len, 0);
    assert_ok(tl_profile_check(&profile));
    assert_err(TL_EINVAL, tl_profile_bare("", &profile));
    assert_string_equal(profile.name, "pixel3");
    tl_text_done(&text);
}

static void every_key_is_found_by_its_full_name_and_sections_stand_together(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_N_PROFILE_KEYS; i++) {
        const tl_profile_key *key = &tl_profile_keys[i];
        char name[64];
        full_name(key, name);
        assert_ptr_equal(tl_profile_key_find(name), key);
        for (size_t j = 0; j + 1 < i && key->section[0] != '\0'; j++) {
            bool is_split = strcmp(tl_profile_keys[j].section, key->section) == 0 &&
                            strcmp(tl_profile_keys[i - 1].section, key->section) != 0;
            assert_false(is_split);
        }
    }
    assert_null(tl_profile_key_find("peak_gflops"));
    assert_null(tl_profile_key_find(""));
}

static void every_number_takes_both_ends_of_its_range_and_nothing_beyond(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_N_PROFILE_KEYS; i++) {
        const tl_profile_key *key = &tl_profile_keys[i];
        tl_profile profile = bare();
        tl_profile before = profile;
        char name[64];
        char value[64];
        full_name(key, name);
        if (key->kind < TL_KEY_COUNT) {
            continue;
        }
        double ends[] = {key->low, key->high};
        double beyond[] = {-1, key->low - 1, key->high * 1.5 + 1, 0.5 * key->low};
        for (size_t e = 0; e < TL_COUNT(ends); e++) {
            (void)snprintf(value, sizeof value, "%.17g", ends[e]);
            assert_ok(tl_profile_set(&profile, name, value));
            assert_ok(tl_profile_check(&profile));
            assert_ok(tl_profile_set(&profile, name, ""));
        }
        for (size_t b = 0; b < TL_COUNT(beyond) - (key->low == 0); b++) {
            (void)snprintf(value, sizeof value, "%.17g", beyond[b]);
            assert_err(TL_EINVAL, tl_profile_set(&profile, name, value));
            assert_detail(name);
            assert_detail("number from");
        }
        assert_memory_equal(&profile, &before, sizeof profile);
    }
}

static void what_is_no_number_is_refused(void **state)
{
    (void)state;
    static const char *const values[] = {"nan", "inf",   "-inf",   "0x10", "1500 MHz",
                                         "1,5", "1e999", "--1",    " ",    "1 2",
                                         "1e",  "true",  "1500MHz"};
    tl_profile profile = bare();
    for (size_t i = 0; i < TL_COUNT(values); i++) {
        assert_err(TL_EINVAL, tl_profile_set(&profile, "clock_mhz", values[i]));
        assert_err(TL_EINVAL, tl_profile_set(&profile, "cores", values[i]));
    }
    assert_err(TL_EINVAL, tl_profile_set(&profile, "cores", "2.5"));
    assert_detail("cores: got \"2.5\", want a whole number from 1 to 1000000");
}

static void a_key_that_is_not_known_names_the_nearest(void **state)
{
    (void)state;
    static const struct {
        const char *key, *detail;
    } cases[] = {
        {"clok_mhz",              "unknown key \"clok_mhz\", nearest is \"clock_mhz\""},
        {"clock_ghz",             "nearest is \"clock_mhz\""                          },
        {"peak_gflops.fp31",      "nearest is \"peak_gflops.fp32\""                   },
        {"peak_gflop",            "nearest is \"peak_gflops.fp32\""                   },
        {"peak_gflops",           "nearest is \"peak_gflops.fp32\""                   },
        {"bits",                  "nearest is \"bits.weights\""                       },
        {"idle",                  "nearest is \"power_w.idle\""                       },
        {"foo",                   "unknown key \"foo\", nearest is \"name\""          },
        {"bandwidth_gb_per_s.l4", "nearest is \"bandwidth_gb_per_s.l"                 },
        {"zzzzzzzzzzzzzzzzzzzz",  "nearest is \""                                     },
        {"",                      "unknown key \"\", nearest is \""                   },
    };
    tl_profile profile = bare();
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        assert_err(TL_EINVAL, tl_profile_set(&profile, cases[i].key, "1"));
        assert_detail(cases[i].detail);
    }
}

static void widths_are_sorted_and_never_twice(void **state)
{
    (void)state;
    tl_profile profile = bare();
    assert_ok(tl_profile_set(&profile, "bits.weights", "[8, 2;4]"));
    assert_int_equal(profile.weight_bits.n, 3);
    assert_int_equal(profile.weight_bits.bits[0], 2);
    assert_int_equal(profile.weight_bits.bits[2], 8);
    assert_err(TL_EINVAL, tl_profile_set(&profile, "bits.weights", "8 8"));
    assert_detail("the width 8 twice");
    assert_err(TL_EINVAL, tl_profile_set(&profile, "bits.weights", "1 2 3 4 5 6 7 8 9"));
    assert_detail("more than 8");
    assert_err(TL_EINVAL, tl_profile_set(&profile, "bits.activations", "8 x"));
    assert_int_equal(profile.weight_bits.n, 3);
}

static void texts_are_printable_utf8_of_bounded_length(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a\nb",     "\x7f",         "\xff",     "\xc3",
        "\xc0\x80", "\xed\xa0\x80", "\xc2\x85", "\xf5\x80\x80\x80"};
    tl_profile profile = bare();
    char longest[TL_PROFILE_TEXT_MAX_BYTES + 2];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_err(TL_EINVAL, tl_profile_set(&profile, "description", longest));
    assert_detail("got 512 bytes, want at most 511");
    longest[TL_PROFILE_TEXT_MAX_BYTES] = '\0';
    assert_ok(tl_profile_set(&profile, "description", longest));
    assert_ok(tl_profile_set(
        &profile, "description", "4x Cortex-A72, \xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80"));
    for (size_t i = 0; i < TL_COUNT(bad); i++) {
        assert_err(TL_EINVAL, tl_profile_set(&profile, "source", bad[i]));
        assert_detail("want printable UTF-8");
    }
}

static void the_check_refuses_what_no_setter_lets_in(void **state)
{
    (void)state;
    tl_profile profile = bare();
    profile.clock_mhz = (double)NAN;
    assert_err(TL_EINVAL, tl_profile_check(&profile));
    assert_detail("clock_mhz");
    profile = bare();
    profile.device_class = TL_N_DEVICE_CLASSES;
    assert_err(TL_EINVAL, tl_profile_check(&profile));
    profile = bare();
    profile.weight_bits = (tl_widths){
        .bits = {8, 4},
          .n = 2
    };
    assert_err(TL_EINVAL, tl_profile_check(&profile));
    profile = bare();
    memset(profile.source, 'x', sizeof profile.source);
    assert_err(TL_EINVAL, tl_profile_check(&profile));
    profile = bare();
    assert_ok(tl_profile_set(&profile, "power_w.idle", "5"));
    assert_ok(tl_profile_set(&profile, "power_w.busy", "4"));
    assert_err(TL_EINVAL, tl_profile_check(&profile));
    assert_detail("got idle 5 above busy 4");
    profile = (tl_profile){0};
    assert_err(TL_EINVAL, tl_profile_check(&profile));
    assert_detail("device name: got nothing");
}

static void a_class_is_one_of_the_known_ones(void **state)
{
    (void)state;
    tl_profile profile = bare();
    for (int i = 0; i < TL_N_DEVICE_CLASSES; i++) {
        assert_ok(tl_profile_set(&profile, "class", tl_device_class_name((tl_device_class)i)));
        assert_int_equal(profile.device_class, i);
    }
    assert_err(TL_EINVAL, tl_profile_set(&profile, "class", "CPU"));
    assert_detail("class: got \"CPU\", want one of cpu, gpu");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bare_profile_knows_nothing_but_its_name),
        cmocka_unit_test(every_key_is_found_by_its_full_name_and_sections_stand_together),
        cmocka_unit_test(every_number_takes_both_ends_of_its_range_and_nothing_beyond),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(a_key_that_is_not_known_names_the_nearest),
        cmocka_unit_test(widths_are_sorted_and_never_twice),
        cmocka_unit_test(texts_are_printable_utf8_of_bounded_length),
        cmocka_unit_test(the_check_refuses_what_no_setter_lets_in),
        cmocka_unit_test(a_class_is_one_of_the_known_ones),
    };
    return cmocka_run_group_tests_name(
        "device-profiles/profile", tests, tl_test_count_blocks, tl_test_no_leaks);
}
