/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/name.h"

static void a_plain_name_is_accepted(void **state)
{
    (void)state;
    assert_ok(tl_name_check("device", "raspberrypi4"));
    assert_ok(tl_name_check("task", "imagenet16-120"));
    assert_ok(tl_name_check("device", "1080ti_1"));
}

static void a_bad_name_is_refused_with_its_reason(void **state)
{
    (void)state;
    char long_name[TL_NAME_MAX_BYTES + 2];
    for (int i = 0; i <= TL_NAME_MAX_BYTES; i++) {
        long_name[i] = 'a';
    }
    long_name[TL_NAME_MAX_BYTES + 1] = '\0';
    assert_err(TL_EINVAL, tl_name_check("device", ""));
    assert_detail("got nothing");
    assert_err(TL_EINVAL, tl_name_check("device", "-x"));
    assert_detail("letter or a digit first");
    assert_err(TL_EINVAL, tl_name_check("device", "a b"));
    assert_detail("0x20 at position 2");
    assert_err(TL_EINVAL, tl_name_check("device", long_name));
    assert_detail("at most 128");
}

static void the_nearest_name_is_found_and_nonsense_is_not(void **state)
{
    (void)state;
    static const char *const names[] = {"clock_mhz", "cores", "batch"};
    assert_string_equal("clock_mhz", tl_name_nearest("clock_mzh", names, TL_COUNT(names)));
    assert_string_equal("cores", tl_name_nearest("core", names, TL_COUNT(names)));
    assert_null(tl_name_nearest("zzzzzzzzzz", names, TL_COUNT(names)));
    assert_null(tl_name_nearest("bogus", names, TL_COUNT(names)));
    assert_string_equal("cores", tl_name_closest("bogus", names, TL_COUNT(names)));
    assert_string_equal(names[0], tl_name_closest("", names, 1));
    assert_null(tl_name_closest("bogus", names, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_name_is_accepted),
        cmocka_unit_test(a_bad_name_is_refused_with_its_reason),
        cmocka_unit_test(the_nearest_name_is_found_and_nonsense_is_not),
    };
    return cmocka_run_group_tests_name("base/name", tests, NULL, NULL);
}
