/* SPDX-License-Identifier: Apache-2.0 */

/* The file of a backup, at once and in pieces: the same records, the same answer. */

#include "base/backup.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum {
    MAX_STEP = 256
};

static tl_err look(void *context, const tl_backup_record *record)
{
    size_t *n = context;
    tl_fuzz_check(record->key[record->key_len] == '\0', "a key without its end");
    tl_fuzz_check(record->value[record->value_len] == '\0', "a value without its end");
    tl_fuzz_check(record->kind != TL_BACKUP_END, "the end is shown");
    if (record->kind == TL_BACKUP_FILE) {
        tl_fuzz_check(strncmp(record->key, "models/", 7) == 0, "a file elsewhere");
        tl_fuzz_check(strchr(record->key + 7, '/') == NULL, "a file in a folder");
    }
    ++*n;
    return TL_OK;
}

static tl_err read_all(const uint8_t *data, size_t size, size_t step, bool is_shown, size_t *n)
{
    tl_backup_reader *reader = NULL;
    if (tl_backup_reader_new(is_shown ? look : NULL, n, &reader) != TL_OK) {
        return TL_ENOMEM;
    }
    tl_err err = TL_OK;
    for (size_t at = 0; at < size && err == TL_OK; at += step) {
        size_t left = size - at;
        err = tl_backup_reader_feed(reader, data + at, left < step ? left : step);
    }
    if (err == TL_OK) {
        err = tl_backup_reader_finish(reader);
    }
    tl_backup_reader_free(reader);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = tl_fuzz_blocks();
    size_t n = 0;
    size_t again = 0;
    size_t step = size > 0 ? 1U + data[size - 1] % MAX_STEP : 1;
    tl_err err = read_all(data, size, size > 0 ? size : 1, true, &n);
    tl_fuzz_check(
        err == read_all(data, size, step, true, &again) && n == again,
        "the size of the pieces matters");
    if (err == TL_OK) {
        tl_fuzz_check(
            read_all(data, size, step, false, &n) == TL_OK, "it does not check alone");
    }
    tl_fuzz_check_blocks(before);
    return 0;
}
