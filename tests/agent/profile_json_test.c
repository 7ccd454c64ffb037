/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "clients/agent/profile_json.h"
#include "device-profiles/profile_yaml.h"

#include <string.h>

static void only_what_is_known_is_written_nested_as_in_yaml(void **state)
{
    (void)state;
    tl_profile profile = {0};
    tl_text text = {0};
    assert_ok(tl_profile_bare("1080ti", &profile));
    tl_profile_print_json(&profile, &text);
    assert_string_equal(text.data, "{\"name\":\"1080ti\"}\n");
    assert_ok(tl_profile_set(&profile, "class", "cpu"));
    assert_ok(tl_profile_set(&profile, "description", "a \"board\", gr\xc3\xbcn"));
    assert_ok(tl_profile_set(&profile, "cores", "4"));
    assert_ok(tl_profile_set(&profile, "peak_gflops.fp32", "48.5"));
    assert_ok(tl_profile_set(&profile, "peak_gflops.int8", "1e6"));
    assert_ok(tl_profile_set(&profile, "launch_us", "0.25"));
    assert_ok(tl_profile_set(&profile, "bits.weights", "8 4"));
    tl_text_clear(&text);
    tl_profile_print_json(&profile, &text);
    assert_string_equal(
        text.data, "{\"name\":\"1080ti\",\"class\":\"cpu\","
                   "\"description\":\"a \\\"board\\\", gr\xc3\xbcn\",\"cores\":4,"
                   "\"peak_gflops\":{\"fp32\":48.5,\"int8\":1e+06},\"launch_us\":0.25,"
                   "\"bits\":{\"weights\":[4, 8]}}\n");
    tl_text_done(&text);
}

static void what_is_written_reads_back_as_the_same_profile(void **state)
{
    (void)state;
    tl_profile profile = {0};
    assert_ok(tl_profile_bare("all", &profile));
    for (size_t i = 1; i < TL_N_PROFILE_KEYS; i++) {
        static const char *const values[] = {
            [TL_KEY_NAME] = "x",     [TL_KEY_TEXT] = "back\\slash: # {\"x\"}",
            [TL_KEY_CLASS] = "npu",  [TL_KEY_COUNT] = "7",
            [TL_KEY_NUMBER] = "0.1", [TL_KEY_WIDTHS] = "2 16"};
        const tl_profile_key *key = &tl_profile_keys[i];
        tl_text name = {0};
        tl_text_addf(
            &name, "%s%s%s", key->section, key->section[0] != '\0' ? "." : "", key->name);
        assert_ok(tl_profile_set(&profile, name.data, values[key->kind]));
        tl_text_done(&name);
    }
    tl_text text = {0};
    tl_profile read = {0};
    tl_profile_print_json(&profile, &text);
    assert_ok(tl_text_err(&text));
    assert_ok(tl_profile_parse_yaml("all.json", text.data, text.len, &read));
    assert_memory_equal(&read, &profile, sizeof read);
    tl_text_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            only_what_is_known_is_written_nested_as_in_yaml, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            what_is_written_reads_back_as_the_same_profile, tl_test_count_blocks,
            tl_test_no_leaks),
    };
    return cmocka_run_group_tests_name("agent/profile_json", tests, NULL, NULL);
}
