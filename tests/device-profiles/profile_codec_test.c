/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "device-profiles/profile_codec.h"
#include "tests/device-profiles/sample.h"

#include <stdlib.h>

static void a_profile_is_the_same_after_packing(void **state)
{
    (void)state;
    uint64_t seed = tl_test_seed();
    for (int i = 0; i < 500; i++) {
        tl_profile before = sample_profile(&seed);
        tl_profile after = {0};
        uint8_t *bytes = NULL;
        size_t len = 0;
        assert_ok(tl_profile_pack(&before, &bytes, &len));
        assert_true(len <= TL_PROFILE_PACKED_MAX_BYTES);
        assert_ok(tl_profile_unpack(bytes, len, &after));
        assert_memory_equal(&before, &after, sizeof before);
        tl_mem_free(bytes);
    }
}

static void an_invalid_profile_is_not_packed(void **state)
{
    (void)state;
    tl_profile profile = {0};
    uint8_t *bytes = NULL;
    size_t len = 7;
    assert_err(TL_EINVAL, tl_profile_pack(&profile, &bytes, &len));
    assert_null(bytes);
    assert_int_equal(len, 7);
}

static void damaged_bytes_never_give_an_invalid_profile(void **state)
{
    (void)state;
    uint64_t seed = tl_test_seed();
    int n_refused = 0;
    for (int i = 0; i < 20000; i++) {
        tl_profile profile = sample_profile(&seed);
        uint8_t *bytes = NULL;
        size_t len = 0;
        assert_ok(tl_profile_pack(&profile, &bytes, &len));
        for (uint64_t n = sample_next(&seed) % 4; n <= 4; n++) {
            bytes[sample_next(&seed) % len] = (uint8_t)sample_next(&seed);
        }
        size_t cut = sample_next(&seed) % 3 == 0 ? sample_next(&seed) % (len + 1) : len;
        tl_err err = tl_profile_unpack(bytes, cut, &profile);
        assert_true(err == TL_OK || err == TL_EDAMAGED || err == TL_EVERSION);
        assert_ok(tl_profile_check(&profile));
        n_refused += err != TL_OK;
        tl_mem_free(bytes);
    }
    assert_true(n_refused > 1000);
}

static void a_newer_version_and_no_bytes_are_told_apart(void **state)
{
    (void)state;
    static const uint8_t newer[] = {0x08, 0x02, 0x12, 0x01, 'a'};
    static const uint8_t none[] = {0x12, 0x01, 'a'};
    static const uint8_t nul_inside[] = {0x08, 0x01, 0x12, 0x03, 'a', 0, 'b'};
    tl_profile profile = {0};
    assert_err(TL_EVERSION, tl_profile_unpack(newer, sizeof newer, &profile));
    assert_err(TL_EDAMAGED, tl_profile_unpack(none, sizeof none, &profile));
    assert_err(TL_EDAMAGED, tl_profile_unpack(newer, 0, &profile));
    assert_ok(tl_profile_unpack(nul_inside, sizeof nul_inside, &profile));
    assert_string_equal(profile.name, "a");
}

static void a_text_that_is_too_long_is_not_cut(void **state)
{
    (void)state;
    /* version 1, then a name of 129 bytes: one more than there is room for */
    uint8_t bytes[5 + TL_NAME_MAX_BYTES + 1] = {0x08, 0x01, 0x12, 0x81, 0x01};
    tl_profile profile = {.cores = 77};
    memset(bytes + 5, 'a', sizeof bytes - 5);
    assert_err(TL_EDAMAGED, tl_profile_unpack(bytes, sizeof bytes, &profile));
    assert_int_equal(profile.cores, 77);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    uint64_t seed = tl_test_seed();
    tl_profile profile = sample_profile(&seed);
    uint8_t *bytes = NULL;
    size_t len = 0;
    tl_mem_fail_at(1);
    assert_err(TL_ENOMEM, tl_profile_pack(&profile, &bytes, &len));
    assert_null(bytes);
    assert_ok(tl_profile_pack(&profile, &bytes, &len));
    int n_failures = 0;
    tl_err err = TL_ENOMEM;
    for (long k = 1; err != TL_OK; k++) {
        tl_profile out = {.cores = 77};
        long live = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_profile_unpack(bytes, len, &out);
        tl_mem_fail_at(0);
        assert_int_equal(tl_mem_live(), live);
        assert_true(err == TL_OK || (err == TL_ENOMEM && out.cores == 77));
        n_failures += err != TL_OK;
    }
    assert_true(n_failures >= 2);
    tl_mem_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_profile_is_the_same_after_packing),
        cmocka_unit_test(an_invalid_profile_is_not_packed),
        cmocka_unit_test(damaged_bytes_never_give_an_invalid_profile),
        cmocka_unit_test(a_newer_version_and_no_bytes_are_told_apart),
        cmocka_unit_test(a_text_that_is_too_long_is_not_cut),
        cmocka_unit_test(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name(
        "device-profiles/profile_codec", tests, tl_test_count_blocks, tl_test_no_leaks);
}
