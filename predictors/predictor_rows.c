/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/watch.h"
#include "predictors/predictor_impl.h"

#include <string.h>

enum {
    BLOCK = 1024, /* designs encoded at a time: bounds the memory of the wide source rows */
};

/* The rows that heads of a cost read; x.data NULL: not asked for. */
typedef struct cost_rows {
    tl_dmat x;
    double *z;
} cost_rows;

/*
 * Rows of designs [begin, end) of one block: head columns, the same for all costs, then
 * what each source says. wide [>= n, Ps] is scratch.
 */
static tl_err encode_block(
    const tl_predictor *predictor,
    const tl_choice *designs,
    int begin,
    int end,
    tl_dmat wide,
    cost_rows *rows)
{
    int p = tl_features_n_head(predictor->features);
    const tl_choice *first =
        designs + (size_t)begin * (size_t)tl_space_n_slots(predictor->space);
    tl_dmat head = {0};
    tl_dmat source_rows = {0};
    for (int c = 0; c < TL_N_COSTS; c++) {
        if (rows[c].x.data != NULL) {
            head = tl_dmat_cols(tl_dmat_rows(rows[c].x, begin, end), 0, p);
            if (predictor->costs[c].n > 0) {
                source_rows = tl_dmat_rows(wide, 0, end - begin);
            }
        }
    }
    TL_TRY(tl_features_encode(predictor->features, first, end - begin, head, source_rows));
    for (int c = 0; c < TL_N_COSTS; c++) {
        const tl_cost_sources *known = &predictor->costs[c];
        if (rows[c].x.data == NULL) {
            continue;
        }
        tl_dmat x = tl_dmat_rows(rows[c].x, begin, end);
        for (int i = 0; x.data != head.data && i < x.rows; i++) {
            memcpy(tl_dmat_row(x, i), tl_dmat_row(head, i), (size_t)p * sizeof *x.data);
        }
        if (known->n > 0) {
            tl_sources_columns(
                known->sources, known->n, tl_dro(source_rows), tl_dmat_cols(x, p, x.cols),
                rows[c].z + begin);
        } else {
            memset(rows[c].z + begin, 0, (size_t)x.rows * sizeof *rows[c].z);
        }
    }
    return TL_OK;
}

static void free_rows(cost_rows *rows)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_dmat_done(&rows[c].x);
        tl_mem_free(rows[c].z);
    }
}

/* Rows of all wanted costs, each design encoded once. */
static tl_err encode_rows(
    const tl_predictor *predictor,
    const bool *is_wanted,
    const tl_choice *designs,
    int n,
    cost_rows *out_rows)
{
    cost_rows rows[TL_N_COSTS] = {{.z = NULL}};
    tl_dmat wide = {0};
    tl_err err = TL_OK;
    int p = tl_features_n_head(predictor->features);
    for (int c = 0; c < TL_N_COSTS; c++) {
        if (is_wanted[c]) {
            rows[c].z = tl_mem_new((size_t)n, sizeof *rows[c].z);
            err = rows[c].z == NULL ? tl_fail(TL_ENOMEM, "rows of %d designs", n)
                                    : tl_dmat_init(&rows[c].x, n, p + predictor->costs[c].n);
            if (err != TL_OK) {
                goto done;
            }
        }
    }
    if ((err = tl_dmat_init(
             &wide, n < BLOCK ? n : BLOCK, tl_features_n_source(predictor->features))) !=
        TL_OK) {
        goto done;
    }
    for (int begin = 0; begin < n && err == TL_OK; begin += BLOCK) {
        int end = begin + BLOCK < n ? begin + BLOCK : n;
        err = encode_block(predictor, designs, begin, end, wide, rows);
    }
    if (err == TL_OK) {
        memcpy(out_rows, rows, sizeof rows);
        memset(rows, 0, sizeof rows);
    }
done:
    tl_dmat_done(&wide);
    free_rows(rows);
    return err;
}

tl_err tl_predictor_rows(
    const tl_predictor *predictor,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_dmat *out_x,
    double **out_z)
{
    bool is_wanted[TL_N_COSTS] = {false};
    cost_rows rows[TL_N_COSTS];
    is_wanted[cost] = true;
    TL_TRY(encode_rows(predictor, is_wanted, designs, n, rows));
    *out_x = rows[cost].x;
    *out_z = rows[cost].z;
    return TL_OK;
}

tl_err tl_predictor_list_rows(tl_predictor *predictor, const bool *is_wanted)
{
    tl_err err = TL_OK;
    cost_rows rows[TL_N_COSTS];
    bool is_missing[TL_N_COSTS];
    bool is_any = false;
    TL_ASSERT(predictor->listing != NULL);
    (void)pthread_mutex_lock(&predictor->lock);
    for (int c = 0; c < TL_N_COSTS; c++) {
        is_missing[c] = is_wanted[c] && !predictor->has_rows[c];
        is_any = is_any || is_missing[c];
    }
    if (is_any) {
        tl_watch former = tl_watch_set((tl_watch){0});
        err =
            encode_rows(predictor, is_missing, predictor->listing, predictor->n_listing, rows);
        (void)tl_watch_set(former);
    }
    for (int c = 0; c < TL_N_COSTS && err == TL_OK; c++) {
        if (is_missing[c]) {
            predictor->rows[c] = rows[c].x;
            predictor->z[c] = rows[c].z;
            predictor->has_rows[c] = true;
        }
    }
    (void)pthread_mutex_unlock(&predictor->lock);
    return err;
}
