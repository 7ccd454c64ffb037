/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_VIEW_IMPL_H
#define TL_PREDICTORS_VIEW_IMPL_H

/*
 * Inside of a view, for view*.c only: view.c has its life, view_rows.c the rows of its
 * heads, view_fit.c what a cost is predicted from, view_predict.c the predictions,
 * view_draw.c joint draws.
 */

#include "numerics/rng.h"
#include "predictors/head.h"
#include "predictors/predictor_impl.h"
#include "predictors/zero_shot.h"

/* What the head of energy makes of the device's own latency. */
typedef enum tl_latency_use {
    TL_LATENCY_UNUSED,
    TL_LATENCY_COLUMN, /* one more known device */
    TL_LATENCY_UNIT,   /* the head is one of power: few samples of energy, latency well known */
} tl_latency_use;

typedef struct tl_own_latency {
    tl_latency_use use;
    double mean, sd; /* over reference designs */
} tl_own_latency;

/* One cost of the device. */
typedef struct tl_cost_view {
    tl_basis basis;
    int n_samples;
    tl_head head;            /* measured, and profile with known devices */
    tl_zero_shot shot;       /* profile with known devices of known profile; else known NULL */
    tl_known *own_known;     /* of shot, where the device is one of them; else NULL: shared */
    tl_own_latency latency;  /* energy measured */
    tl_margin_unit unit;     /* measured */
    const tl_source *source; /* known */
    double level;            /* known: unit of the source */
    double relative_sd;
    double *listed_mean, *listed_sd; /* [n_listing], once asked for */
} tl_cost_view;

struct tl_view {
    atomic_int n_refs;
    tl_predictor *predictor;
    tl_profile profile;
    tl_cost_view costs[TL_N_COSTS];
    pthread_mutex_t lock; /* of listed_mean and listed_sd */
};

/* A prediction is never below this share of the device's level: costs are positive. */
static inline double tl_positive_cost(double mean, double level)
{
    return mean < .01 * level ? .01 * level : mean;
}

/* ---- view_rows.c ---- */

/* Designs as the view's head reads them. */
typedef struct tl_head_rows {
    tl_dmat x;
    double *z;
    double *unit; /* what the head's values are in, NULL for 1 */
} tl_head_rows;

TL_MUST_USE tl_err tl_view_head_rows(
    tl_view *view, tl_cost cost, const tl_choice *designs, int n, tl_head_rows *out_rows);
void tl_head_rows_done(tl_head_rows *rows);

/* The rows of the listing, of every cost of the view that a head predicts. */
TL_MUST_USE tl_err tl_view_list_rows(tl_view *view);

/* Decides what a head of energy makes of the device's own latency. */
TL_MUST_USE tl_err tl_view_use_latency(tl_view *view, int n_energy, tl_own_latency *own);

/* What margins of a measured cost are counted in. */
TL_MUST_USE tl_err tl_view_find_unit(tl_view *view, tl_cost cost);

/* ---- view_fit.c ---- */

/* The three ways to a basis; each fills its cost of the view. */
TL_MUST_USE tl_err tl_view_fit_measured(tl_view *of, tl_cost cost, const tl_samples *samples);

TL_MUST_USE tl_err tl_view_scale_known(
    const tl_predictor *predictor,
    const tl_source *source,
    const tl_samples *samples,
    tl_cost_view *view);

TL_MUST_USE tl_err tl_view_fit_profile(tl_view *view, const tl_view_data *data, tl_cost cost);

/* Costs relative to the device's level, from its ridge. */
TL_MUST_USE tl_err tl_view_known_relative(
    const tl_predictor *predictor,
    const tl_source *source,
    const tl_choice *designs,
    int n,
    double *out_relative);

/* From the profile alone. */
TL_MUST_USE tl_err tl_view_roofline(
    const tl_predictor *predictor,
    const tl_profile *profile,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    double *mean,
    double *sd);

/* ---- view_predict.c ---- */

/* The deviation of a shot's cost over its mean, apart from what it is multiplied by. */
double tl_view_spread(const tl_cost_view *view);

/* The cost follows from the profile and what the predictor shares over its listing. */
bool tl_view_is_shared(const tl_view *view, tl_cost cost);

/* What the cost's basis says of designs: mean and sd [n]. */
TL_MUST_USE tl_err tl_view_predict_cost(
    tl_view *view, tl_cost cost, const tl_choice *designs, int n, double *mean, double *sd);

#endif
