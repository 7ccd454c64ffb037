/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_NUMERICS_MAT_H
#define TL_NUMERICS_MAT_H

/*
 * Matrices, row-major. Element (i, j) is data[i * ld + j].
 *
 * tl_mat holds float and is for networks; tl_dmat holds double and is for
 * closed-form heads, whose Cholesky factors need the digits. ld, the leading
 * dimension, is the distance in elements between two rows. Owned matrices
 * round it up so that every row starts on a 64-byte boundary; the padding is
 * zero and stays zero. A view of a block keeps its parent's ld.
 *
 * tl_mat may be written, tl_cmat only read; both go by value, so a signature
 * shows at a glance what a function reads and what it writes. Shapes are
 * written [rows, cols] in comments, with the letters of the formula.
 *
 *     tl_mat weights;
 *     TL_TRY(tl_mat_init(&weights, 64, 128));
 *     tl_mat first_half = tl_mat_rows(weights, 0, 32);    borrows from weights
 *     ...
 *     tl_mat_done(&weights);
 */

#include "base/err.h"

#include <stddef.h>

typedef struct tl_mat {
    float *data;
    int rows, cols, ld;
} tl_mat;

typedef struct tl_cmat {
    const float *data;
    int rows, cols, ld;
} tl_cmat;

typedef struct tl_dmat {
    double *data;
    int rows, cols, ld;
} tl_dmat;

typedef struct tl_dcmat {
    const double *data;
    int rows, cols, ld;
} tl_dcmat;

/* Zero-filled [rows, cols]; either may be 0. Pair with the _done(), which accepts a zeroed one. */
TL_MUST_USE tl_err tl_mat_init(tl_mat *mat, int rows, int cols);
void tl_mat_done(tl_mat *mat);
TL_MUST_USE tl_err tl_dmat_init(tl_dmat *mat, int rows, int cols);
void tl_dmat_done(tl_dmat *mat);

/* Read-only views of the same memory. */
static inline tl_cmat tl_ro(tl_mat m)
{
    return (tl_cmat){.data = m.data, .rows = m.rows, .cols = m.cols, .ld = m.ld};
}

static inline tl_dcmat tl_dro(tl_dmat m)
{
    return (tl_dcmat){.data = m.data, .rows = m.rows, .cols = m.cols, .ld = m.ld};
}

static inline float *tl_mat_row(tl_mat m, int i)
{
    TL_DEBUG_ASSERT(0 <= i && i < m.rows);
    return m.data + (ptrdiff_t)i * m.ld;
}

static inline const float *tl_cmat_row(tl_cmat m, int i)
{
    TL_DEBUG_ASSERT(0 <= i && i < m.rows);
    return m.data + (ptrdiff_t)i * m.ld;
}

static inline double *tl_dmat_row(tl_dmat m, int i)
{
    TL_DEBUG_ASSERT(0 <= i && i < m.rows);
    return m.data + (ptrdiff_t)i * m.ld;
}

static inline const double *tl_dcmat_row(tl_dcmat m, int i)
{
    TL_DEBUG_ASSERT(0 <= i && i < m.rows);
    return m.data + (ptrdiff_t)i * m.ld;
}

/* Views of rows [begin, end), borrowed from m. */
static inline tl_mat tl_mat_rows(tl_mat m, int begin, int end)
{
    TL_ASSERT(0 <= begin && begin <= end && end <= m.rows);
    return (tl_mat){
        .data = m.data + (ptrdiff_t)begin * m.ld,
        .rows = end - begin,
        .cols = m.cols,
        .ld = m.ld};
}

static inline tl_dmat tl_dmat_rows(tl_dmat m, int begin, int end)
{
    TL_ASSERT(0 <= begin && begin <= end && end <= m.rows);
    return (tl_dmat){
        .data = m.data + (ptrdiff_t)begin * m.ld,
        .rows = end - begin,
        .cols = m.cols,
        .ld = m.ld};
}

static inline tl_dcmat tl_dcmat_rows(tl_dcmat m, int begin, int end)
{
    TL_ASSERT(0 <= begin && begin <= end && end <= m.rows);
    return (tl_dcmat){
        .data = m.data + (ptrdiff_t)begin * m.ld,
        .rows = end - begin,
        .cols = m.cols,
        .ld = m.ld};
}

/* Views of columns [begin, end), borrowed from m. */
static inline tl_mat tl_mat_cols(tl_mat m, int begin, int end)
{
    TL_ASSERT(0 <= begin && begin <= end && end <= m.cols);
    return (tl_mat){.data = m.data + begin, .rows = m.rows, .cols = end - begin, .ld = m.ld};
}

static inline tl_dmat tl_dmat_cols(tl_dmat m, int begin, int end)
{
    TL_ASSERT(0 <= begin && begin <= end && end <= m.cols);
    return (tl_dmat){.data = m.data + begin, .rows = m.rows, .cols = end - begin, .ld = m.ld};
}

static inline tl_dcmat tl_dcmat_cols(tl_dcmat m, int begin, int end)
{
    TL_ASSERT(0 <= begin && begin <= end && end <= m.cols);
    return (tl_dcmat){.data = m.data + begin, .rows = m.rows, .cols = end - begin, .ld = m.ld};
}

#endif
