/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/public_table.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_FILE_BYTES = 256 * 1024 * 1024
};

void tl_bench_check(tl_err err, const char *what)
{
    if (err != TL_OK) {
        (void)fprintf(stderr, "%s: %s: %s\n", what, tl_err_name(err), tl_err_detail());
        exit(EXIT_FAILURE);
    }
}

void *tl_bench_array(int n, size_t size)
{
    void *array = tl_mem_new((size_t)n, size);
    tl_bench_check(array == NULL ? TL_ENOMEM : TL_OK, "memory");
    return array;
}

void tl_bench_read_table(
    const char *spaces, const char *data, const char *name, tl_space **space, tl_table *table)
{
    char *csv = NULL;
    size_t len = 0;
    tl_text path = {0};
    tl_text_addf(&path, "%s/%s.yaml", spaces, name);
    tl_bench_check(tl_text_err(&path), name);
    tl_bench_check(tl_space_load(path.data, space), path.data);
    tl_text_clear(&path);
    tl_text_addf(&path, "%s/%s.csv", data, name);
    tl_bench_check(tl_text_err(&path), name);
    tl_bench_check(tl_file_read(path.data, MAX_FILE_BYTES, &csv, &len), path.data);
    tl_bench_check(tl_table_parse(*space, name, NULL, csv, len, table), path.data);
    tl_mem_free(csv);
    tl_text_done(&path);
}
