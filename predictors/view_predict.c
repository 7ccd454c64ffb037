/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/view_impl.h"

#include "base/mem.h"
#include "base/units.h"

#include <math.h>
#include <string.h>

static tl_err predict_head(
    tl_view *view, tl_cost cost, const tl_choice *designs, int n, double *mean, double *sd)
{
    tl_head_rows rows = {0};
    const tl_head *head = &view->costs[cost].head;
    TL_TRY(tl_view_head_rows(view, cost, designs, n, &rows));
    tl_err err = tl_head_predict(head, tl_dro(rows.x), rows.z, mean, sd);
    for (int i = 0; i < n && err == TL_OK; i++) {
        mean[i] = tl_positive_cost(mean[i], head->level);
        if (rows.unit != NULL) {
            mean[i] *= rows.unit[i];
            sd[i] *= rows.unit[i];
        }
    }
    tl_head_rows_done(&rows);
    return err;
}

static tl_err predict_known(
    tl_view *view, tl_cost cost, const tl_choice *designs, int n, double *mean, double *sd)
{
    const tl_cost_view *v = &view->costs[cost];
    TL_TRY(tl_view_known_relative(view->predictor, v->source, designs, n, mean));
    for (int i = 0; i < n; i++) {
        double share = mean[i] < .3 ? .3 : mean[i] > 3 ? 3 : mean[i]; /* as the head's noise */
        mean[i] = tl_positive_cost(mean[i] * v->level, v->level);
        sd[i] = v->relative_sd * v->level * share;
    }
    return TL_OK;
}

double tl_view_spread(const tl_cost_view *view)
{
    static const double most_log_sd = 3;
    return expm1(fmin(view->shot.log_sd, most_log_sd));
}

/*
 * The middle of a log-normal and what makes mean + sd its upper deviation: no limit
 * is promised by an sd that is too small on that side. Energy is power times latency,
 * which stands in mean and sd.
 */
static void finish_shot(
    const tl_cost_view *v, bool is_energy, const double *logs, int n, double *mean, double *sd)
{
    double spread = tl_view_spread(v);
    for (int i = 0; i < n; i++) {
        double over = is_energy ? sd[i] / mean[i] : 0;
        mean[i] = exp(logs[i]) * (is_energy ? mean[i] : 1);
        sd[i] = mean[i] * hypot(spread, over);
    }
}

static tl_err predict_shot(
    tl_view *view, tl_cost cost, const tl_choice *designs, int n, double *mean, double *sd)
{
    const tl_cost_view *v = &view->costs[cost];
    double *logs = tl_mem_new((size_t)n, sizeof *logs);
    if (logs == NULL) {
        return tl_fail(TL_ENOMEM, "predictions of %d designs", n);
    }
    tl_err err = tl_zero_shot_predict(&v->shot, designs, n, logs);
    if (err == TL_OK && cost == TL_COST_ENERGY) {
        err = tl_view_predict_cost(view, TL_COST_LATENCY, designs, n, mean, sd);
    }
    if (err == TL_OK) {
        finish_shot(v, cost == TL_COST_ENERGY, logs, n, mean, sd);
    }
    tl_mem_free(logs);
    return err;
}

bool tl_view_is_shared(const tl_view *view, tl_cost cost)
{
    const tl_cost_view *v = &view->costs[cost];
    return view->predictor->listing != NULL && v->basis == TL_BASIS_PROFILE &&
           v->shot.known != NULL && v->own_known == NULL;
}

/* Gathers the designs for those who read no places. */
static tl_err predict_gathered(
    tl_view *view, tl_cost cost, const int *places, int n, double *mean, double *sd)
{
    const tl_choice *listing = view->predictor->listing;
    size_t n_slots = (size_t)tl_space_n_slots(view->predictor->space);
    if (places == NULL) {
        return tl_view_predict_cost(view, cost, listing, n, mean, sd);
    }
    tl_choice *designs = tl_mem_new((size_t)n * n_slots, sizeof *designs);
    if (designs == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    for (int i = 0; i < n; i++) {
        memcpy(
            designs + (size_t)i * n_slots, listing + (size_t)places[i] * n_slots,
            n_slots * sizeof *designs);
    }
    tl_err err = tl_view_predict_cost(view, cost, designs, n, mean, sd);
    tl_mem_free(designs);
    return err;
}

/* A head that reads the rows of the listing as all devices share them. */
static bool reads_shared_rows(const tl_cost_view *v)
{
    return v->basis != TL_BASIS_KNOWN && v->shot.known == NULL && v->head.n_columns > 0 &&
           v->latency.use == TL_LATENCY_UNUSED;
}

/* What the whole listing said, if it was ever asked; false: it was not. */
static bool look_up_places(
    tl_view *view, tl_cost cost, const int *places, int n, double *mean, double *sd)
{
    const tl_cost_view *v = &view->costs[cost];
    (void)pthread_mutex_lock(&view->lock);
    bool is_listed = v->listed_mean != NULL;
    for (int i = 0; is_listed && i < n; i++) {
        mean[i] = v->listed_mean[places[i]];
        sd[i] = v->listed_sd[places[i]];
    }
    (void)pthread_mutex_unlock(&view->lock);
    return is_listed;
}

/* Some rows of the listing, without encoding their designs and without those in between. */
static tl_err predict_shared_rows(
    tl_view *view, tl_cost cost, const int *places, int n, double *mean, double *sd)
{
    const tl_predictor *predictor = view->predictor;
    const tl_head *head = &view->costs[cost].head;
    tl_dmat x = {0};
    if (look_up_places(view, cost, places, n, mean, sd)) {
        return TL_OK;
    }
    TL_TRY(tl_view_list_rows(view));
    tl_dmat all = predictor->rows[cost];
    double *z = tl_mem_new((size_t)n, sizeof *z);
    tl_err err =
        z == NULL ? tl_fail(TL_ENOMEM, "rows of %d designs", n) : tl_dmat_init(&x, n, all.cols);
    if (err == TL_OK) {
        for (int i = 0; i < n; i++) {
            memcpy(
                tl_dmat_row(x, i), tl_dmat_row(all, places[i]),
                (size_t)all.cols * sizeof *x.data);
            z[i] = predictor->z[cost][places[i]];
        }
        err = tl_head_predict(head, tl_dro(x), z, mean, sd);
    }
    for (int i = 0; i < n && err == TL_OK; i++) {
        mean[i] = tl_positive_cost(mean[i], head->level);
    }
    tl_dmat_done(&x);
    tl_mem_free(z);
    return err;
}

/*
 * Designs of the listing, from what is shared where that is all there is to know. has_latency:
 * mean and sd are those of latency.
 */
static tl_err predict_places(
    tl_view *view,
    tl_cost cost,
    const int *places,
    int n,
    bool has_latency,
    double *mean,
    double *sd)
{
    const tl_cost_view *v = &view->costs[cost];
    const tl_listed *listed = NULL;
    if (places != NULL && reads_shared_rows(v)) {
        return predict_shared_rows(view, cost, places, n, mean, sd);
    }
    if (!tl_view_is_shared(view, cost)) {
        return predict_gathered(view, cost, places, n, mean, sd);
    }
    TL_TRY(tl_predictor_listed(view->predictor, cost, &listed));
    if (cost == TL_COST_ENERGY && !has_latency) {
        TL_TRY(predict_places(view, TL_COST_LATENCY, places, n, false, mean, sd));
    }
    double *logs = tl_mem_new((size_t)n, sizeof *logs);
    if (logs == NULL) {
        return tl_fail(TL_ENOMEM, "predictions of %d designs", n);
    }
    tl_err err = tl_listed_predict(listed, &v->shot, places, n, logs);
    if (err == TL_OK) {
        finish_shot(v, cost == TL_COST_ENERGY, logs, n, mean, sd);
    }
    tl_mem_free(logs);
    return err;
}

tl_err tl_view_predict_cost(
    tl_view *view, tl_cost cost, const tl_choice *designs, int n, double *mean, double *sd)
{
    const tl_cost_view *v = &view->costs[cost];
    if (v->basis == TL_BASIS_KNOWN) {
        return predict_known(view, cost, designs, n, mean, sd);
    }
    if (v->shot.known != NULL) {
        return predict_shot(view, cost, designs, n, mean, sd);
    }
    if (v->head.n_columns == 0) {
        return tl_view_roofline(view->predictor, &view->profile, cost, designs, n, mean, sd);
    }
    return predict_head(view, cost, designs, n, mean, sd);
}

/* The whole listing, once; the rows are shared by all devices. */
static tl_err list_cost(tl_view *view, tl_cost cost)
{
    tl_predictor *predictor = view->predictor;
    tl_cost_view *v = &view->costs[cost];
    size_t n = (size_t)predictor->n_listing;
    double *mean = tl_mem_new(n, sizeof *mean);
    double *sd = tl_mem_new(n, sizeof *sd);
    tl_err err = mean == NULL || sd == NULL ? tl_fail(TL_ENOMEM, "%zu predictions", n) : TL_OK;
    if (err == TL_OK && reads_shared_rows(v)) {
        err = tl_view_list_rows(view);
        if (err == TL_OK) {
            err = tl_head_predict(
                &v->head, tl_dro(predictor->rows[cost]), predictor->z[cost], mean, sd);
        }
        for (size_t i = 0; err == TL_OK && i < n; i++) {
            mean[i] = tl_positive_cost(mean[i], v->head.level);
        }
    } else if (err == TL_OK) {
        err = predict_places(view, cost, NULL, predictor->n_listing, false, mean, sd);
    }
    if (err != TL_OK) {
        tl_mem_free(mean);
        tl_mem_free(sd);
        return err;
    }
    v->listed_mean = mean;
    v->listed_sd = sd;
    return TL_OK;
}

/* Looks the designs up in the listing; false when one is not there. */
static bool look_up(
    const tl_view *view,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    double *mean,
    double *sd)
{
    size_t n_slots = (size_t)tl_space_n_slots(view->predictor->space);
    const tl_predictor *predictor = view->predictor;
    if (designs == predictor->listing && n == predictor->n_listing) {
        memcpy(mean, view->costs[cost].listed_mean, (size_t)n * sizeof *mean);
        memcpy(sd, view->costs[cost].listed_sd, (size_t)n * sizeof *sd);
        return true;
    }
    for (int i = 0; i < n; i++) {
        int place = tl_predictor_place(predictor, designs + (size_t)i * n_slots);
        if (place < 0) {
            return false;
        }
        mean[i] = view->costs[cost].listed_mean[place];
        sd[i] = view->costs[cost].listed_sd[place];
    }
    return true;
}

static tl_err answer_cost(
    tl_view *view, tl_cost cost, const tl_choice *designs, int n, double *mean, double *sd)
{
    tl_err err = TL_OK;
    if (view->predictor->listing != NULL && n >= TL_PREDICTOR_WORTH_LISTING) {
        (void)pthread_mutex_lock(&view->lock);
        if (view->costs[cost].listed_mean == NULL) {
            err = list_cost(view, cost);
        }
        (void)pthread_mutex_unlock(&view->lock);
        if (err != TL_OK || look_up(view, cost, designs, n, mean, sd)) {
            return err;
        }
    }
    return tl_view_predict_cost(view, cost, designs, n, mean, sd);
}

static void fill(tl_cost cost, int n, const double *mean, const double *sd, tl_prediction *out)
{
    for (int i = 0; i < n; i++) {
        if (cost == TL_COST_LATENCY) {
            out[i].latency_ms = mean[i];
            out[i].latency_std_ms = sd[i];
        } else {
            out[i].energy_mj = mean[i];
            out[i].energy_std_mj = sd[i];
        }
    }
}

/* Of designs, or of the places of the listing where they are told. */
static tl_err predict_all(
    tl_view *view,
    const tl_choice *designs,
    const int *places,
    int n,
    tl_prediction *predictions)
{
    tl_err err = TL_OK;
    double *mean = tl_mem_new((size_t)n * 2, sizeof *mean);
    if (mean == NULL) {
        return tl_fail(TL_ENOMEM, "predictions of %d designs", n);
    }
    double *sd = mean + n;
    for (int c = 0; c < TL_N_COSTS && err == TL_OK; c++) {
        if (view->costs[c].basis == TL_BASIS_NOTHING) {
            for (int i = 0; i < n; i++) {
                mean[i] = sd[i] = TL_UNKNOWN;
            }
        } else {
            err =
                places != NULL
                    ? predict_places(view, (tl_cost)c, places, n, c == TL_COST_ENERGY, mean, sd)
                    : answer_cost(view, (tl_cost)c, designs, n, mean, sd);
        }
        for (int i = 0; err == TL_OK && i < n; i++) {
            if (isinf(mean[i]) || isinf(sd[i]) || isnan(mean[i]) != isnan(sd[i])) {
                err = tl_fail(
                    TL_ENUMERIC, "%s of a design is not finite", tl_cost_name((tl_cost)c));
            }
        }
        if (err == TL_OK) {
            fill((tl_cost)c, n, mean, sd, predictions);
        }
    }
    tl_mem_free(mean);
    return err;
}

tl_err tl_view_predict(
    tl_view *view, const tl_choice *designs, int n, tl_prediction *predictions)
{
    return predict_all(view, designs, NULL, n, predictions);
}

tl_err tl_view_predict_listed(
    tl_view *view, const int *places, int n, tl_prediction *predictions)
{
    TL_ASSERT(view->predictor->listing != NULL);
    return predict_all(view, NULL, places, n, predictions);
}
