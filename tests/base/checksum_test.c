/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/attr.h"
#include "base/checksum.h"

#include <string.h>

static void sums_are_those_of_the_reference(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t sum;
    } known[] = {
        {"",                                        0xEF46DB3751D8E999U},
        {"a",                                       0xD24EC4F1A98C6E5BU},
        {"abc",                                     0x44BC2CF5AD770999U},
        {"xxhash",                                  0x32DD38952C4BC720U},
        {"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1U},
    };
    for (size_t i = 0; i < TL_COUNT(known); i++) {
        uint64_t sum = tl_checksum(known[i].text, strlen(known[i].text), 0);
        assert_true(sum == known[i].sum);
    }
    assert_true(tl_checksum("xxhash", 6, 20141025) == 0xB559B98D844E0635U);
    assert_true(tl_checksum(NULL, 0, 0) == 0xEF46DB3751D8E999U);
}

static void every_flipped_bit_is_another_sum(void **state)
{
    (void)state;
    uint8_t bytes[100];
    memset(bytes, 7, sizeof bytes);
    for (size_t len = 1; len <= sizeof bytes; len++) {
        uint64_t sum = tl_checksum(bytes, len, 1);
        assert_false(sum == tl_checksum(bytes, len - 1, 1));
        for (size_t bit = 0; bit < 8 * len; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            assert_false(sum == tl_checksum(bytes, len, 1));
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_the_reference),
        cmocka_unit_test(every_flipped_bit_is_another_sum),
    };
    return cmocka_run_group_tests_name("base/checksum", tests, NULL, NULL);
}
