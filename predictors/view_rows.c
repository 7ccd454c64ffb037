/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/view_impl.h"

#include "base/mem.h"
#include "numerics/stats.h"

#include <string.h>

enum {
    N_TYPICAL = 500
};

/* The cost of typical designs: mean and sd [N_TYPICAL], of which the first *out_n are there. */
static tl_err tl_view_predict_typical(
    tl_view *view, tl_cost cost, double *mean, double *sd, int *out_n)
{
    int n = 0;
    const tl_choice *designs = tl_features_reference(view->predictor->features, &n);
    size_t n_slots = (size_t)tl_space_n_slots(view->predictor->space);
    int n_used = n < N_TYPICAL ? n : N_TYPICAL;
    size_t stride = (size_t)(n / n_used);
    tl_choice *used = tl_mem_new((size_t)n_used * n_slots, sizeof *used);
    if (used == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n_used);
    }
    for (size_t i = 0; i < (size_t)n_used; i++) {
        memcpy(used + i * n_slots, designs + i * stride * n_slots, n_slots * sizeof *used);
    }
    tl_err err = tl_view_predict_cost(view, cost, used, n_used, mean, sd);
    tl_mem_free(used);
    *out_n = n_used;
    return err;
}

static tl_err scale_latency(tl_view *view, tl_own_latency *out)
{
    int n = 0;
    double mean[N_TYPICAL];
    double sd[N_TYPICAL];
    TL_TRY(tl_view_predict_typical(view, TL_COST_LATENCY, mean, sd, &n));
    out->mean = tl_mean(n, mean);
    out->sd = tl_sd(n, mean);
    return TL_OK;
}

/* What margins of the measured device are counted in; its head is fitted. */
tl_err tl_view_find_unit(tl_view *view, tl_cost cost)
{
    int n = 0;
    double mean[N_TYPICAL];
    double sd[N_TYPICAL];
    TL_TRY(tl_view_predict_typical(view, cost, mean, sd, &n));
    return tl_margin_unit_of(n, mean, sd, &view->costs[cost].unit);
}

/* x with one more column and z of the latency; or relative latency in *out_unit. */
static tl_err add_latency(
    tl_view *view,
    const tl_own_latency *own,
    const tl_choice *designs,
    tl_dmat *x,
    double *z,
    double **out_unit)
{
    static const double column_weight = 2; /* of the own latency over that of a known device */
    tl_dmat wider = {0};
    int n = x->rows;
    double *latency = tl_mem_new(2 * (size_t)n, sizeof *latency);
    if (latency == NULL) {
        return tl_fail(TL_ENOMEM, "%d predictions", n);
    }
    tl_err err = tl_view_predict_cost(view, TL_COST_LATENCY, designs, n, latency, latency + n);
    if (err != TL_OK || (own->use == TL_LATENCY_COLUMN &&
                         (err = tl_dmat_init(&wider, n, x->cols + 1)) != TL_OK)) {
        tl_mem_free(latency);
        return err;
    }
    for (int i = 0; i < n; i++) {
        if (own->use == TL_LATENCY_UNIT) {
            latency[i] = tl_positive_cost(latency[i] / own->mean, 1);
            z[i] = 0;
            continue;
        }
        double *row = tl_dmat_row(wider, i);
        memcpy(row, tl_dmat_row(*x, i), (size_t)x->cols * sizeof *row);
        z[i] = (latency[i] - own->mean) / own->sd;
        row[x->cols] = column_weight * z[i];
    }
    if (own->use == TL_LATENCY_UNIT) {
        *out_unit = latency;
        return TL_OK;
    }
    tl_mem_free(latency);
    tl_dmat_done(x);
    *x = wider;
    return TL_OK;
}

tl_err tl_view_list_rows(tl_view *view)
{
    bool is_wanted[TL_N_COSTS];
    for (int c = 0; c < TL_N_COSTS; c++) {
        const tl_cost_view *v = &view->costs[c];
        is_wanted[c] = v->basis != TL_BASIS_KNOWN && v->head.n_columns > 0;
    }
    return tl_predictor_list_rows(view->predictor, is_wanted);
}

/* Own copies of the listing's rows: a head of energy widens them. */
static tl_err copy_listed_rows(tl_view *view, tl_cost cost, tl_dmat *out_x, double **out_z)
{
    const tl_predictor *predictor = view->predictor;
    size_t n = (size_t)predictor->n_listing;
    tl_dmat x = {0};
    TL_TRY(tl_view_list_rows(view));
    TL_TRY(tl_dmat_init(&x, predictor->n_listing, predictor->rows[cost].cols));
    double *z = tl_mem_new(n, sizeof *z);
    if (z == NULL) {
        tl_dmat_done(&x);
        return tl_fail(TL_ENOMEM, "rows of %zu designs", n);
    }
    memcpy(x.data, predictor->rows[cost].data, n * (size_t)x.ld * sizeof *x.data);
    memcpy(z, predictor->z[cost], n * sizeof *z);
    *out_x = x;
    *out_z = z;
    return TL_OK;
}

void tl_head_rows_done(tl_head_rows *rows)
{
    tl_dmat_done(&rows->x);
    tl_mem_free(rows->z);
    tl_mem_free(rows->unit);
    *rows = (tl_head_rows){0};
}

tl_err tl_view_head_rows(
    tl_view *view, tl_cost cost, const tl_choice *designs, int n, tl_head_rows *out_rows)
{
    const tl_own_latency *own = &view->costs[cost].latency;
    tl_head_rows rows = {0};
    tl_err err = TL_OK;
    bool is_listing = designs == view->predictor->listing && n == view->predictor->n_listing;
    if (is_listing && view->costs[cost].head.n_columns > 0) {
        err = copy_listed_rows(view, cost, &rows.x, &rows.z);
    } else {
        err = tl_predictor_rows(view->predictor, cost, designs, n, &rows.x, &rows.z);
    }
    if (err == TL_OK && own->use != TL_LATENCY_UNUSED) {
        err = add_latency(view, own, designs, &rows.x, rows.z, &rows.unit);
    }
    if (err != TL_OK) {
        tl_head_rows_done(&rows);
        return err;
    }
    *out_rows = rows;
    return TL_OK;
}

/*
 * Latency known far better than energy tells the shape and leaves power to be
 * learnt, which hardly depends on the design; otherwise it is one column among others.
 */
tl_err tl_view_use_latency(tl_view *view, int n_energy, tl_own_latency *own)
{
    const tl_cost_view *latency = &view->costs[TL_COST_LATENCY];
    bool is_better =
        latency->basis == TL_BASIS_KNOWN ||
        (latency->basis == TL_BASIS_MEASURED && latency->n_samples >= 2 * TL_VIEW_MIN_OWN);
    if (latency->basis == TL_BASIS_NOTHING) {
        return TL_OK;
    }
    TL_TRY(scale_latency(view, own));
    if (own->sd > 0) {
        own->use =
            is_better && n_energy < TL_VIEW_MIN_OWN ? TL_LATENCY_UNIT : TL_LATENCY_COLUMN;
    }
    return TL_OK;
}
