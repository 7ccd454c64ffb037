/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/accuracy_table.h"

#include "base/file.h"
#include "base/mem.h"

enum {
    MAX_TABLE_BYTES = 64 * 1024 * 1024
};

tl_err bench_labels_read(const tl_space *space, const char *path, bench_labels *out)
{
    char *data = NULL;
    size_t len = 0;
    TL_TRY(tl_file_read(path, MAX_TABLE_BYTES, &data, &len));
    tl_err err = tl_table_parse(space, path, NULL, data, len, &out->table);
    tl_mem_free(data);
    TL_TRY(err);
    const tl_table *t = &out->table;
    int columns[BENCH_MAX_TASKS] = {0};
    for (int c = 0; c < t->n_columns && out->n_tasks < BENCH_MAX_TASKS; c++) {
        if (t->columns[c].metric == TL_METRIC_ACCURACY) {
            out->tasks[out->n_tasks] = t->columns[c].name;
            columns[out->n_tasks++] = c;
        }
    }
    out->values = tl_mem_new((size_t)t->n * (size_t)out->n_tasks, sizeof *out->values);
    if (out->values == NULL) {
        return tl_fail(TL_ENOMEM, "%d labels", t->n);
    }
    for (int i = 0; i < t->n; i++) {
        for (int k = 0; k < out->n_tasks; k++) {
            out->values[i * out->n_tasks + k] =
                t->values[(ptrdiff_t)i * t->n_columns + columns[k]];
        }
    }
    return TL_OK;
}

void bench_labels_done(bench_labels *labels)
{
    tl_mem_free(labels->values);
    tl_table_done(&labels->table);
}
