/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "base/text.h"

#include <string.h>

static void appending_grows_the_text(void **state)
{
    (void)state;
    tl_text text = {0};
    for (int i = 0; i < 1000; i++) {
        tl_text_addf(&text, "%d,", i);
    }
    assert_ok(tl_text_err(&text));
    assert_int_equal(text.len, strlen(text.data));
    assert_string_equal(text.data + text.len - 4, "999,");
    tl_text_done(&text);
}

static void a_lost_append_is_reported_once_at_the_end(void **state)
{
    (void)state;
    tl_text text = {0};
    tl_text_add(&text, "kept");
    tl_mem_fail_at(1);
    for (int i = 0; i < 100; i++) {
        tl_text_add(&text, "lost, lost, lost");
    }
    assert_err(TL_ENOMEM, tl_text_err(&text));
    assert_null(tl_text_steal(&text));
    tl_text_done(&text);
}

static void stealing_leaves_an_empty_text(void **state)
{
    (void)state;
    tl_text text = {0};
    char *stolen = tl_text_steal(&text);
    assert_string_equal(stolen, "");
    assert_int_equal(text.len, 0);
    tl_mem_free(stolen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            appending_grows_the_text, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            a_lost_append_is_reported_once_at_the_end, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            stealing_leaves_an_empty_text, tl_test_count_blocks, tl_test_no_leaks),
    };
    return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}
