/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "clients/cli/words.h"

static void words_are_what_stands_between_commas(void **state)
{
    (void)state;
    tl_words list = {0};
    assert_ok(tl_words_init(&list, NULL));
    assert_int_equal(list.n_words, 0);
    tl_words_done(&list);
    assert_ok(tl_words_init(&list, "one"));
    assert_int_equal(list.n_words, 1);
    assert_string_equal(list.words[0], "one");
    tl_words_done(&list);
    assert_ok(tl_words_init(&list, "a,,b c,"));
    assert_int_equal(list.n_words, 4);
    assert_string_equal(list.words[1], "");
    assert_string_equal(list.words[2], "b c");
    assert_string_equal(list.words[3], "");
    tl_words_done(&list);
    assert_int_equal(list.n_words, 0);
}

static void words_give_back_what_they_took_when_memory_is_short(void **state)
{
    (void)state;
    for (long k = 1; k <= 2; k++) {
        tl_words list = {0};
        tl_mem_fail_at(k);
        tl_err err = tl_words_init(&list, "a,b");
        tl_mem_fail_at(0);
        assert_err(TL_ENOMEM, err);
        assert_null(list.words);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(words_are_what_stands_between_commas),
        TEST(words_give_back_what_they_took_when_memory_is_short),
    };
    return cmocka_run_group_tests_name("cli/words", tests, NULL, NULL);
}
