/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"

#include <string.h>

static void new_memory_is_zero_and_counted(void **state)
{
    (void)state;
    long before = tl_mem_live();
    unsigned char *block = tl_mem_new(100, 3);
    unsigned char *nothing = tl_mem_new(0, 8);
    assert_non_null(block);
    assert_non_null(nothing);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(block[i], 0);
    }
    assert_int_equal(tl_mem_live(), before + 2);
    tl_mem_free(block);
    tl_mem_free(nothing);
    tl_mem_free(NULL);
    assert_int_equal(tl_mem_live(), before);
}

static void a_product_that_overflows_is_no_memory(void **state)
{
    (void)state;
    assert_null(tl_mem_new(SIZE_MAX / 2, 3));
    assert_null(tl_mem_new_aligned(SIZE_MAX / 2, 3));
    char *block = tl_mem_strdup("as it was");
    assert_non_null(block);
    assert_null(tl_mem_resize(block, SIZE_MAX / 2, 3));
    assert_string_equal(block, "as it was");
    tl_mem_free(block);
}

static void aligned_memory_starts_on_a_cache_line(void **state)
{
    (void)state;
    for (size_t n = 1; n < 300; n += 37) {
        void *block = tl_mem_new_aligned(n, 1);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 64, 0);
        tl_mem_free(block);
    }
}

static void resizing_keeps_the_content_and_the_count(void **state)
{
    (void)state;
    char *block = tl_mem_new(6, 1);
    assert_non_null(block);
    memcpy(block, "words", 6);
    long before = tl_mem_live();
    char *larger = tl_mem_resize(block, 1000, 10);
    assert_non_null(larger);
    assert_string_equal(larger, "words");
    assert_int_equal(tl_mem_live(), before);
    tl_mem_free(larger);
}

static void copies_of_texts_end(void **state)
{
    (void)state;
    char *whole = tl_mem_strdup("design");
    char *part = tl_mem_strndup("design", 3);
    assert_string_equal(whole, "design");
    assert_string_equal(part, "des");
    tl_mem_free(whole);
    tl_mem_free(part);
}

static void the_kth_allocation_fails_once(void **state)
{
    (void)state;
    tl_mem_fail_at(2);
    void *first = tl_mem_new(1, 1);
    void *second = tl_mem_new(1, 1);
    void *third = tl_mem_new(1, 1);
    tl_mem_fail_at(0);
    assert_non_null(first);
    assert_null(second);
    assert_non_null(third);
    tl_mem_free(first);
    tl_mem_free(third);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(new_memory_is_zero_and_counted),
        TEST(a_product_that_overflows_is_no_memory),
        TEST(aligned_memory_starts_on_a_cache_line),
        TEST(resizing_keeps_the_content_and_the_count),
        TEST(copies_of_texts_end),
        TEST(the_kth_allocation_fails_once),
    };
#undef TEST
    return cmocka_run_group_tests_name("base/mem", tests, NULL, NULL);
}
