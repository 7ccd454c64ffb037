/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "base/text.h"
#include "clients/agent/designs.h"
#include "clients/agent/timing.h"

#include <string.h>

static tl_err join(void *context, const tl_design_group *group)
{
    tl_text *text = context;
    tl_text_addf(text, "[%d+%d]", group->first_row, group->n_rows);
    tl_text_add_bytes(text, group->csv, group->len);
    return tl_text_err(text);
}

static void groups_keep_the_header_and_the_line_of_each_row(void **state)
{
    (void)state;
    static const struct {
        const char *csv, *groups;
        int group_rows;
    } cases[] = {
        {"e01,e02\na,b\n",                  "[0+1]e01,e02\na,b\n",                  2},
        {"e01\na\nb\nc\n",                  "[0+2]e01\na\nb\n[2+1]e01\n\n\nc\n",    2},
        {"e01\na\nb",                       "[0+2]e01\na\nb\n",                     2},
        {"e01\r\na\r\n\r\nb\r\n",           "[0+1]e01\na\n[1+1]e01\n\n\nb\n",       1},
        {"x\n\"a,b\"\n\"say \"\"c\"\"\"\n", "[0+2]x\n\"a,b\"\n\"say \"\"c\"\"\"\n", 2},
    };
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        tl_text text = {0};
        assert_ok(tl_designs_walk(
            cases[i].csv, strlen(cases[i].csv), cases[i].group_rows, join, &text));
        assert_string_equal(text.data, cases[i].groups);
        tl_text_done(&text);
    }
}

static void a_file_without_designs_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "e01\n", "\n\n"};
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        tl_text text = {0};
        assert_err(TL_EINVAL, tl_designs_walk(cases[i], strlen(cases[i]), 2, join, &text));
        assert_detail("no designs");
        tl_text_done(&text);
    }
}

static tl_err refuse(void *context, const tl_design_group *group)
{
    (void)context;
    return tl_fail(TL_ENOTFOUND, "group of %d", group->n_rows);
}

static void an_error_of_a_group_ends_the_walk(void **state)
{
    (void)state;
    assert_err(TL_ENOTFOUND, tl_designs_walk("x\na\nb\nc\n", 8, 2, refuse, NULL));
    assert_detail("group of 2");
}

static void a_timing_is_the_median_and_half_the_quartile_distance(void **state)
{
    (void)state;
    double one[] = {3.0};
    double five[] = {5.0, 1.0, 4.0, 2.0, 100.0};
    double four[] = {4.0, 1.0, 3.0, 2.0};
    assert_close(tl_timing_of(one, 1).latency_ms, 3.0, 0.0);
    assert_close(tl_timing_of(one, 1).spread_ms, 0.0, 0.0);
    assert_close(tl_timing_of(five, 5).latency_ms, 4.0, 0.0);
    assert_close(tl_timing_of(five, 5).spread_ms, 1.5, 0.0);
    assert_close(tl_timing_of(four, 4).latency_ms, 2.5, 1e-12);
    assert_close(tl_timing_of(four, 4).spread_ms, 0.75, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            groups_keep_the_header_and_the_line_of_each_row, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            a_file_without_designs_is_refused, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            an_error_of_a_group_ends_the_walk, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test(a_timing_is_the_median_and_half_the_quartile_distance),
    };
    return cmocka_run_group_tests_name("agent/designs", tests, NULL, NULL);
}
