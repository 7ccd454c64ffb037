/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/json.h"

#include <string.h>

static void objects_nest_and_commas_stand_between_members(void **state)
{
    (void)state;
    static const char *const words[] = {"a", "\"b\""};
    tl_text text = {0};
    tl_json_begin(&text);
    tl_json_open(&text, "first");
    tl_json_figure(&text, "x", "1e+06");
    tl_json_figure(&text, "none", "");
    tl_json_close(&text);
    tl_json_open(&text, "empty");
    tl_json_close(&text);
    tl_json_text(&text, "tab", "m\t1{");
    tl_json_whole(&text, "n", UINT64_MAX);
    tl_json_list(&text, "words", words, TL_COUNT(words));
    tl_json_list(&text, "nothing", NULL, 0);
    tl_json_end(&text);
    tl_json_begin(&text);
    tl_json_text(&text, "line", "2");
    tl_json_end(&text);
    assert_string_equal(
        text.data,
        "{\"first\":{\"x\":1e+06,\"none\":null},\"empty\":{},\"tab\":\"m\\t1{\","
        "\"n\":18446744073709551615,\"words\":[\"a\",\"\\\"b\\\"\"],\"nothing\":[]}\n"
        "{\"line\":\"2\"}\n");
    tl_text_done(&text);
}

static void what_is_no_utf8_is_null(void **state)
{
    (void)state;
    tl_text text = {0};
    tl_json_begin(&text);
    tl_json_text(&text, "good", "gr\xc3\xbcn");
    tl_json_text(&text, "bad", "\xff\xfe");
    tl_json_end(&text);
    assert_string_equal(text.data, "{\"good\":\"gr\xc3\xbcn\",\"bad\":null}\n");
    tl_text_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            objects_nest_and_commas_stand_between_members, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            what_is_no_utf8_is_null, tl_test_count_blocks, tl_test_no_leaks),
    };
    return cmocka_run_group_tests_name("base/json", tests, NULL, NULL);
}
