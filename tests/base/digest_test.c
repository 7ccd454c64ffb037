/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/digest.h"

#include <string.h>

static void digests_are_those_of_the_standard(void **state)
{
    /* FIPS 180-4 examples. */
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"",                                                         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc",                                                      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"                                                            },
    };
    (void)state;
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        char hex[TL_DIGEST_HEX_BYTES];
        tl_digest_hex(cases[i].text, strlen(cases[i].text), hex);
        assert_string_equal(hex, cases[i].hex);
    }
}

static void parts_give_the_digest_of_the_whole(void **state)
{
    (void)state;
    char whole[TL_DIGEST_HEX_BYTES];
    char parts[TL_DIGEST_HEX_BYTES];
    tl_digest digest;
    tl_digest_hex("one two", 7, whole);
    tl_digest_init(&digest);
    tl_digest_add(&digest, "one", 3);
    tl_digest_add(&digest, " two", 4);
    tl_digest_hex_end(&digest, parts);
    assert_string_equal(parts, whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_the_standard),
        cmocka_unit_test(parts_give_the_digest_of_the_whole),
    };
    return cmocka_run_group_tests_name("base/digest", tests, NULL, NULL);
}
