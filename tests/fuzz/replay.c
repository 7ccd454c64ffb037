/* SPDX-License-Identifier: Apache-2.0 */

/* Runs a fuzz target over files, and over all files of folders, as an ordinary test. */

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    MAX_FILE_BYTES = 16 * 1024 * 1024
};

static void run_file(const char *path)
{
    char *data = NULL;
    size_t len = 0;
    tl_fuzz_check(tl_file_read(path, MAX_FILE_BYTES, &data, &len) == TL_OK, path);
    (void)LLVMFuzzerTestOneInput((const uint8_t *)data, len);
    tl_mem_free(data);
}

static size_t run_folder(const char *dir)
{
    tl_file_list list = {0};
    tl_fuzz_check(tl_file_list_init(&list, dir, "") == TL_OK, dir);
    for (size_t i = 0; i < list.n_names; i++) {
        tl_text path = {0};
        tl_text_addf(&path, "%s/%s", dir, list.names[i]);
        tl_fuzz_check(tl_text_err(&path) == TL_OK, "a path");
        struct stat status;
        if (stat(path.data, &status) == 0 && S_ISREG(status.st_mode)) {
            run_file(path.data);
        }
        tl_text_done(&path);
    }
    size_t n_files = list.n_names;
    tl_file_list_done(&list);
    return n_files;
}

int main(int argc, char **argv)
{
    size_t n_files = 0;
    for (int i = 1; i < argc; i++) {
        struct stat status;
        tl_fuzz_check(stat(argv[i], &status) == 0, argv[i]);
        if (S_ISDIR(status.st_mode)) {
            n_files += run_folder(argv[i]);
        } else {
            run_file(argv[i]);
            n_files++;
        }
    }
    (void)printf("%zu inputs\n", n_files);
    return n_files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
