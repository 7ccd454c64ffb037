/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BENCH_PUBLIC_TABLE_H
#define TL_BENCH_PUBLIC_TABLE_H

/*
 * What benchmarks over the public tables share. A benchmark has nobody to
 * answer to: what fails ends it with a line on standard error.
 */

#include "measurements/table.h"
#include "spaces/space.h"

#include <stddef.h>

/* Ends the program unless err is TL_OK. */
void tl_bench_check(tl_err err, const char *what);

/* n * size zeroed bytes, for tl_mem_free(). */
void *tl_bench_array(int n, size_t size);

/* The space SPACES/name.yaml and the table DATA/name.csv, both the caller's. */
void tl_bench_read_table(
    const char *spaces, const char *data, const char *name, tl_space **space, tl_table *table);

#endif
