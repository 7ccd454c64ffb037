/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void every_code_has_a_name_and_a_message(void **state)
{
    (void)state;
#define CHECK(name, number, message)                           \
    assert_string_equal(tl_err_name(TL_##name), #name);        \
    assert_string_equal(tl_err_message(TL_##name), (message)); \
    assert_int_equal(TL_##name, (number));
    TL_ERR_LIST(CHECK)
#undef CHECK
    assert_string_equal(tl_err_name((tl_err)999), "EUNKNOWN");
    assert_true(strlen(tl_err_message((tl_err)999)) > 0);
}

static void failing_records_one_line_and_gives_back_the_code(void **state)
{
    (void)state;
    assert_true(tl_fail(TL_ESHAPE, "got %d, want %s", 3, "four") == TL_ESHAPE);
    assert_string_equal(tl_err_detail(), "got 3, want four");
    assert_true(tl_fail_in(TL_ESHAPE, "%s line %d: ", "file.csv", 7) == TL_ESHAPE);
    assert_string_equal(tl_err_detail(), "file.csv line 7: got 3, want four");
    tl_err_clear();
    assert_string_equal(tl_err_detail(), "");
}

static void a_detail_may_be_made_of_the_last_one(void **state)
{
    (void)state;
    (void)tl_fail(TL_EIO, "inner");
    (void)tl_fail(TL_EIO, "outer: %s", tl_err_detail());
    assert_string_equal(tl_err_detail(), "outer: inner");
}

static void a_lack_of_memory_is_said_once(void **state)
{
    (void)state;
    assert_true(tl_fail(TL_ENOMEM, "a table of %d rows", 3) == TL_ENOMEM);
    assert_string_equal(tl_err_detail(), "out of memory: a table of 3 rows");
    char told[100]; /* as of a daemon to its client */
    (void)snprintf(told, sizeof told, "%s", tl_err_detail());
    (void)tl_fail(TL_ENOMEM, "outer: %s", told);
    assert_string_equal(tl_err_detail(), "outer: out of memory: a table of 3 rows");
}

static void a_long_detail_is_cut_and_ends(void **state)
{
    (void)state;
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)tl_fail(TL_EINVAL, "%s", text);
    size_t len = strlen(tl_err_detail());
    assert_true(len > 100 && len < sizeof text - 1);
    (void)tl_fail_in(TL_EINVAL, "%s", text);
    assert_true(strlen(tl_err_detail()) <= len);
    (void)tl_fail_in(TL_EINVAL, "place: ");
    assert_memory_equal(tl_err_detail(), "place: x", 8);
    assert_true(strlen(tl_err_detail()) <= len);
}

static void *fail_elsewhere(void *context)
{
    (void)context;
    (void)tl_fail(TL_EIO, "of another thread");
    return NULL;
}

static void each_thread_has_its_own_detail(void **state)
{
    (void)state;
    pthread_t thread;
    (void)tl_fail(TL_EIO, "mine");
    assert_int_equal(0, pthread_create(&thread, NULL, fail_elsewhere, NULL));
    assert_int_equal(0, pthread_join(thread, NULL));
    assert_string_equal(tl_err_detail(), "mine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_and_a_message),
        cmocka_unit_test(failing_records_one_line_and_gives_back_the_code),
        cmocka_unit_test(a_detail_may_be_made_of_the_last_one),
        cmocka_unit_test(a_lack_of_memory_is_said_once),
        cmocka_unit_test(a_long_detail_is_cut_and_ends),
        cmocka_unit_test(each_thread_has_its_own_detail),
    };
    return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
