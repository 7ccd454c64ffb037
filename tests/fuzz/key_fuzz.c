/* SPDX-License-Identifier: Apache-2.0 */

/* A file of keys; what is accepted must read back as the same. */

#include "base/keyfile.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = tl_fuzz_blocks();
    tl_key_file key;
    tl_key_file again;
    tl_text text = {0};
    if (tl_key_file_parse("fuzz.key", (const char *)data, size, &key) == TL_OK) {
        tl_text_add(&text, "");
        tl_key_file_print(&key, &text);
        tl_fuzz_check(
            tl_key_file_parse("again", text.data, text.len, &again) == TL_OK,
            "a printed file is refused");
        tl_fuzz_check(memcmp(&key, &again, sizeof key) == 0, "it reads differently");
        tl_text_done(&text);
    }
    tl_fuzz_check_blocks(before);
    return 0;
}
