/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/listed.h"

#include "base/mem.h"

#include <string.h>

enum {
    BLOCK = 512
};

/* Columns [begin, end) of the logs; rows [>= end - begin, Ps] is scratch. */
static tl_err fill_block(
    tl_listed *listed, const tl_choice *designs, int begin, int end, tl_dmat rows)
{
    const tl_features *features = listed->known->features;
    size_t n_slots = (size_t)tl_space_n_slots(tl_features_space(features));
    tl_dmat wide = tl_dmat_rows(rows, 0, end - begin);
    TL_TRY(tl_features_encode(
        features, designs + (size_t)begin * n_slots, end - begin, (tl_dmat){0}, wide));
    for (int s = 0; s < listed->known->n; s++) {
        double logs[BLOCK] = {0};
        tl_relative_add(&listed->known->devices[s], 1, tl_dro(wide), logs);
        for (int i = begin; i < end; i++) {
            tl_mat_row(listed->logs, s)[i] = (float)logs[i - begin];
        }
    }
    return TL_OK;
}

static tl_err fill(tl_listed *listed, const tl_choice *designs, int n)
{
    const tl_features *features = listed->known->features;
    tl_dmat rows = {0};
    tl_err err = TL_OK;
    if (!listed->known->is_power) {
        TL_TRY(tl_op_table_init(tl_features_space(features), designs, n, &listed->ops));
    }
    TL_TRY(tl_mat_init(&listed->logs, listed->known->n, n));
    TL_TRY(tl_dmat_init(&rows, BLOCK, tl_features_n_source(features)));
    for (int begin = 0; begin < n && err == TL_OK; begin += BLOCK) {
        int end = n - begin < BLOCK ? n : begin + BLOCK;
        err = fill_block(listed, designs, begin, end, rows);
    }
    tl_dmat_done(&rows);
    return err;
}

tl_err tl_listed_new(
    const tl_known *known, const tl_choice *designs, int n, tl_listed **out_listed)
{
    tl_listed *listed = tl_mem_new(1, sizeof *listed);
    if (listed == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs on known devices", n);
    }
    listed->known = known;
    tl_err err = fill(listed, designs, n);
    if (err != TL_OK) {
        tl_listed_free(listed);
        return err;
    }
    *out_listed = listed;
    return TL_OK;
}

void tl_listed_free(tl_listed *listed)
{
    if (listed == NULL) {
        return;
    }
    tl_mat_done(&listed->logs);
    tl_op_table_done(&listed->ops);
    tl_mem_free(listed);
}

/* In one order of sums for any places, so that a design costs the same whoever asks. */
static void add_logs(
    const tl_listed *listed, const tl_zero_shot *shot, const int *places, int n, double *out)
{
    for (int i = 0; i < n; i++) {
        out[i] = shot->constant;
    }
    for (int s = 0; s < listed->known->n; s++) {
        const float *logs = tl_mat_row(listed->logs, s);
        double share = shot->shares[s];
        for (int i = 0; i < n && places == NULL; i++) {
            out[i] += share * (double)logs[i];
        }
        for (int i = 0; i < n && places != NULL; i++) {
            out[i] += share * (double)logs[places[i]];
        }
    }
}

tl_err tl_listed_predict(
    const tl_listed *listed,
    const tl_zero_shot *shot,
    const int *places,
    int n,
    double *out_log)
{
    TL_ASSERT(shot->known == listed->known);
    tl_op_prices prices;
    add_logs(listed, shot, places, n, out_log);
    if (shot->roofline_share <= 0) {
        return TL_OK;
    }
    TL_TRY(tl_op_prices_init(&listed->ops, &shot->profile, &prices));
    for (int i = 0; i < n; i++) {
        int place = places != NULL ? places[i] : i;
        double work = tl_op_prices_work(&prices, &listed->ops, place);
        out_log[i] += tl_zero_shot_roofline(shot, work);
    }
    tl_op_prices_done(&prices);
    return TL_OK;
}
