/* SPDX-License-Identifier: Apache-2.0 */
#include "numerics/mat.h"

#include "base/mem.h"

#include <limits.h>
#include <string.h>

enum {
    ROW_BYTES = 64
};

/*
 * A zeroed block of rows, each on a boundary of its own. Even an empty row has
 * an ld, since BLAS refuses 0.
 */
static tl_err new_rows(int rows, int cols, int elem_bytes, void **out_data, int *out_ld)
{
    TL_ASSERT(rows >= 0 && cols >= 0);
    int elems = ROW_BYTES / elem_bytes;
    if (cols > INT_MAX - elems) {
        return tl_fail(TL_ENOMEM, "matrix of %d x %d", rows, cols);
    }
    int ld = (cols > 0 ? (cols + elems - 1) / elems : 1) * elems;
    size_t bytes = (size_t)ld * (size_t)elem_bytes;
    void *data = tl_mem_new_aligned((size_t)rows, bytes);
    if (data == NULL) {
        return tl_fail(TL_ENOMEM, "matrix of %d x %d", rows, cols);
    }
    memset(data, 0, (size_t)rows * bytes);
    *out_data = data;
    *out_ld = ld;
    return TL_OK;
}

tl_err tl_mat_init(tl_mat *mat, int rows, int cols)
{
    void *data = NULL;
    int ld = 0;
    TL_TRY(new_rows(rows, cols, (int)sizeof(float), &data, &ld));
    *mat = (tl_mat){.data = data, .rows = rows, .cols = cols, .ld = ld};
    return TL_OK;
}

void tl_mat_done(tl_mat *mat)
{
    tl_mem_free(mat->data);
    *mat = (tl_mat){0};
}

tl_err tl_dmat_init(tl_dmat *mat, int rows, int cols)
{
    void *data = NULL;
    int ld = 0;
    TL_TRY(new_rows(rows, cols, (int)sizeof(double), &data, &ld));
    *mat = (tl_dmat){.data = data, .rows = rows, .cols = cols, .ld = ld};
    return TL_OK;
}

void tl_dmat_done(tl_dmat *mat)
{
    tl_mem_free(mat->data);
    *mat = (tl_dmat){0};
}
