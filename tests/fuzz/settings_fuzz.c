/* SPDX-License-Identifier: Apache-2.0 */

/* The configuration file of the daemon. */

#include "base/text.h"
#include "daemon/settings.h"
#include "daemon/settings_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/test.h"

#include <stdio.h>

static const char *file_path(void)
{
    static tl_text path;
    if (path.len == 0) {
        tl_text_addf(&path, "%s/tailord.yaml", tl_test_new_dir());
        tl_fuzz_check(tl_text_err(&path) == TL_OK, "a path");
    }
    return path.data;
}

static void write_file(const char *path, const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    tl_fuzz_check(file != NULL, path);
    tl_fuzz_check(fwrite(data, 1, size, file) == size, path);
    tl_fuzz_check(fclose(file) == 0, path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = file_path();
    size_t before = tl_fuzz_blocks();
    tl_settings settings = {0};
    write_file(path, data, size);
    tl_err_clear();
    tl_err err = tl_settings_read_file(&settings, path);
    tl_fuzz_check(err == TL_OK || tl_err_detail()[0] != '\0', "a refusal without a reason");
    tl_settings_done(&settings);
    tl_fuzz_check_blocks(before);
    return 0;
}
