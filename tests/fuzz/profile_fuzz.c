/* SPDX-License-Identifier: Apache-2.0 */

/* A profile as YAML and as stored bytes; what is accepted must read back as the same. */

#include "base/mem.h"
#include "device-profiles/profile_codec.h"
#include "device-profiles/profile_yaml.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void read_back(const tl_profile *profile)
{
    tl_text first = {0};
    tl_text second = {0};
    tl_profile again;
    uint8_t *bytes = NULL;
    size_t len = 0;
    tl_profile_print_yaml(profile, &first);
    tl_fuzz_check(
        tl_profile_parse_yaml("again", first.data, first.len, &again) == TL_OK,
        "a printed profile is refused");
    tl_profile_print_yaml(&again, &second);
    tl_fuzz_check(strcmp(first.data, second.data) == 0, "a printed profile reads differently");
    tl_fuzz_check(tl_profile_pack(profile, &bytes, &len) == TL_OK, "packing");
    tl_fuzz_check(
        tl_profile_unpack(bytes, len, &again) == TL_OK, "a packed profile is refused");
    tl_mem_free(bytes);
    tl_text_done(&first);
    tl_text_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = tl_fuzz_blocks();
    tl_profile profile;
    if (tl_profile_parse_yaml("fuzz.yaml", (const char *)data, size, &profile) == TL_OK) {
        read_back(&profile);
    }
    if (tl_profile_unpack(data, size, &profile) == TL_OK) {
        read_back(&profile);
    }
    tl_fuzz_check_blocks(before);
    return 0;
}
