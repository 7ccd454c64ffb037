/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BENCH_ACCURACY_TABLE_H
#define TL_BENCH_ACCURACY_TABLE_H

/* The accuracies of a public measurement table. */

#include "measurements/table.h"

enum {
    BENCH_MAX_TASKS = 16
};

typedef struct bench_labels {
    tl_table table;
    double *values; /* [n, n_tasks]; NaN: not measured */
    const char *tasks[BENCH_MAX_TASKS];
    int n_tasks;
} bench_labels;

/* Fills a zeroed *out, which wants _done() after a failure too. */
TL_MUST_USE tl_err
bench_labels_read(const tl_space *space, const char *path, bench_labels *out);

void bench_labels_done(bench_labels *labels);

#endif
