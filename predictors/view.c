/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/units.h"
#include "numerics/rng.h"
#include "numerics/stats.h"
#include "predictors/head.h"
#include "predictors/predictor_impl.h"
#include "predictors/prior.h"
#include "predictors/relatives.h"

#include <math.h>
#include <string.h>

enum {
    MAX_SAMPLES = 2048, /* a head of some 200 columns gains nothing from more */
    KNOWN_DOF = 30 /* a ridge of hundreds of measurements, its scale read off few own ones */
};

static const uint64_t sample_order_seed = 0x7461696c6f72U;

/* What the head of energy makes of the device's own latency. */
typedef enum latency_use {
    LATENCY_UNUSED,
    LATENCY_COLUMN, /* one more known device */
    LATENCY_UNIT,   /* the head is one of power: few samples of energy, latency well known */
} latency_use;

typedef struct own_latency {
    latency_use use;
    double mean, sd; /* over reference designs */
} own_latency;

/* One cost of the device. */
typedef struct cost_view {
    tl_basis basis;
    int n_samples;
    tl_head head;            /* measured, and profile with known devices */
    tl_zero_shot shot;       /* profile with known devices of known profile; n 0: none */
    own_latency latency;     /* energy measured */
    tl_margin_unit unit;     /* measured */
    const tl_source *source; /* known */
    double level;            /* known: unit of the source */
    double relative_sd;
    double *listed_mean, *listed_sd; /* [n_listing], once asked for */
} cost_view;

struct tl_view {
    atomic_int n_refs;
    tl_predictor *predictor;
    tl_profile profile;
    cost_view costs[TL_N_COSTS];
    pthread_mutex_t lock; /* of listed_mean and listed_sd */
};

static tl_err predict_cost(
    tl_view *view, tl_cost cost, const tl_choice *designs, int n, double *mean, double *sd);

/* A prediction is never below this share of the device's level: costs are positive. */
static double positive(double mean, double level)
{
    return mean < .01 * level ? .01 * level : mean;
}

/* ---- rows of heads ------------------------------------------------------------------------ */

enum {
    N_TYPICAL = 500
};

/* The cost of typical designs: mean and sd [N_TYPICAL], of which the first *out_n are there. */
static tl_err predict_typical(tl_view *view, tl_cost cost, double *mean, double *sd, int *out_n)
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
    tl_err err = predict_cost(view, cost, used, n_used, mean, sd);
    tl_mem_free(used);
    *out_n = n_used;
    return err;
}

static tl_err scale_latency(tl_view *view, own_latency *out)
{
    int n = 0;
    double mean[N_TYPICAL];
    double sd[N_TYPICAL];
    TL_TRY(predict_typical(view, TL_COST_LATENCY, mean, sd, &n));
    out->mean = tl_mean(n, mean);
    out->sd = tl_sd(n, mean);
    return TL_OK;
}

/* What margins of the measured device are counted in; its head is fitted. */
static tl_err find_unit(tl_view *view, tl_cost cost)
{
    int n = 0;
    double mean[N_TYPICAL];
    double sd[N_TYPICAL];
    TL_TRY(predict_typical(view, cost, mean, sd, &n));
    return tl_margin_unit_of(n, mean, sd, &view->costs[cost].unit);
}

/* x with one more column and z of the latency; or relative latency in *out_unit. */
static tl_err add_latency(
    tl_view *view,
    const own_latency *own,
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
    tl_err err = predict_cost(view, TL_COST_LATENCY, designs, n, latency, latency + n);
    if (err != TL_OK ||
        (own->use == LATENCY_COLUMN && (err = tl_dmat_init(&wider, n, x->cols + 1)) != TL_OK)) {
        tl_mem_free(latency);
        return err;
    }
    for (int i = 0; i < n; i++) {
        if (own->use == LATENCY_UNIT) {
            latency[i] = positive(latency[i] / own->mean, 1);
            z[i] = 0;
            continue;
        }
        double *row = tl_dmat_row(wider, i);
        memcpy(row, tl_dmat_row(*x, i), (size_t)x->cols * sizeof *row);
        z[i] = (latency[i] - own->mean) / own->sd;
        row[x->cols] = column_weight * z[i];
    }
    if (own->use == LATENCY_UNIT) {
        *out_unit = latency;
        return TL_OK;
    }
    tl_mem_free(latency);
    tl_dmat_done(x);
    *x = wider;
    return TL_OK;
}

/* *out_unit: what the head's values are in, NULL for 1. */
static tl_err rows_of_head(
    tl_view *view,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_dmat *out_x,
    double **out_z,
    double **out_unit)
{
    const own_latency *own = &view->costs[cost].latency;
    tl_dmat x = {0};
    double *z = NULL;
    tl_err err = TL_OK;
    *out_unit = NULL;
    TL_TRY(tl_predictor_rows(view->predictor, cost, designs, n, &x, &z));
    if (own->use != LATENCY_UNUSED) {
        err = add_latency(view, own, designs, &x, z, out_unit);
    }
    if (err != TL_OK) {
        tl_dmat_done(&x);
        tl_mem_free(z);
        return err;
    }
    *out_x = x;
    *out_z = z;
    return TL_OK;
}

/*
 * Latency known far better than energy tells the shape and leaves power to be
 * learnt, which hardly depends on the design; otherwise it is one column among others.
 */
static tl_err use_latency(tl_view *view, int n_energy, own_latency *own)
{
    const cost_view *latency = &view->costs[TL_COST_LATENCY];
    bool is_better =
        latency->basis == TL_BASIS_KNOWN ||
        (latency->basis == TL_BASIS_MEASURED && latency->n_samples >= 2 * TL_VIEW_MIN_OWN);
    if (latency->basis == TL_BASIS_NOTHING) {
        return TL_OK;
    }
    TL_TRY(scale_latency(view, own));
    if (own->sd > 0) {
        own->use = is_better && n_energy < TL_VIEW_MIN_OWN ? LATENCY_UNIT : LATENCY_COLUMN;
    }
    return TL_OK;
}

/* ---- measured --------------------------------------------------------------------------- */

/*
 * At most MAX_SAMPLES samples in an order of chance, always the same: the store
 * keeps them sorted by design, and a head above its exact size weighs its grid
 * on the first ones.
 */
static tl_err shuffle_samples(
    const tl_samples *samples,
    int n_slots,
    int n_wanted,
    tl_choice **out_designs,
    double **out_values)
{
    tl_rng rng;
    size_t n = (size_t)n_wanted;
    size_t width = (size_t)n_slots;
    int *order = tl_mem_new((size_t)samples->n, sizeof *order);
    tl_choice *designs = tl_mem_new(n * width, sizeof *designs);
    double *values = tl_mem_new(n, sizeof *values);
    if (order == NULL || designs == NULL || values == NULL) {
        tl_mem_free(order);
        tl_mem_free(designs);
        tl_mem_free(values);
        return tl_fail(TL_ENOMEM, "%d samples", samples->n);
    }
    tl_rng_init(&rng, sample_order_seed);
    tl_rng_permutation(&rng, samples->n, order);
    for (size_t i = 0; i < n; i++) {
        size_t from = (size_t)order[i];
        memcpy(designs + i * width, samples->designs + from * width, width * sizeof *designs);
        values[i] = samples->values[from];
    }
    tl_mem_free(order);
    *out_designs = designs;
    *out_values = values;
    return TL_OK;
}

static tl_err fit_measured(tl_view *of, tl_cost cost, const tl_samples *samples)
{
    const tl_predictor *predictor = of->predictor;
    cost_view *view = &of->costs[cost];
    tl_err err = TL_OK;
    tl_choice *designs = NULL;
    double *values = NULL;
    tl_dmat x = {0};
    double *z = NULL;
    double *unit = NULL;
    int n_slots = tl_space_n_slots(predictor->space);
    int n = samples->n < MAX_SAMPLES ? samples->n : MAX_SAMPLES;
    if (cost == TL_COST_ENERGY && (err = use_latency(of, n, &view->latency)) != TL_OK) {
        goto done;
    }
    if ((err = shuffle_samples(samples, n_slots, n, &designs, &values)) != TL_OK ||
        (err = rows_of_head(of, cost, designs, n, &x, &z, &unit)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < n && unit != NULL; i++) {
        values[i] /= unit[i];
    }
    bool is_column = view->latency.use == LATENCY_COLUMN;
    tl_head_data data = {
        .n_sources = predictor->costs[cost].n + is_column,
        .spread =
            is_column ? view->latency.sd / view->latency.mean : predictor->costs[cost].spread,
        .x = tl_dro(x),
        .z = z,
        .y = values};
    if ((err = tl_head_fit(predictor->features, &data, &view->head)) == TL_OK &&
        (err = find_unit(of, cost)) == TL_OK) {
        view->basis = TL_BASIS_MEASURED;
    }
done:
    tl_dmat_done(&x);
    tl_mem_free(z);
    tl_mem_free(unit);
    tl_mem_free(designs);
    tl_mem_free(values);
    return err;
}

/* ---- known --------------------------------------------------------------------------------- */

static tl_err known_relative(
    const tl_predictor *predictor,
    const tl_source *source,
    const tl_choice *designs,
    int n,
    double *out_relative)
{
    tl_dmat wide = {0};
    TL_TRY(tl_dmat_init(&wide, n, tl_features_n_source(predictor->features)));
    tl_err err = tl_features_encode(predictor->features, designs, n, (tl_dmat){0}, wide);
    if (err == TL_OK) {
        tl_source_predict(source, tl_dro(wide), out_relative);
    }
    tl_dmat_done(&wide);
    return err;
}

/* The source as it is, or scaled to the device's own few measurements. */
static tl_err scale_known(
    const tl_predictor *predictor,
    const tl_source *source,
    const tl_samples *samples,
    cost_view *view)
{
    *view = (cost_view){
        .basis = TL_BASIS_KNOWN,
        .n_samples = samples->n,
        .source = source,
        .level = source->median,
        .relative_sd = source->loo_sd};
    if (samples->n == 0) {
        return TL_OK;
    }
    double *ratio = tl_mem_new((size_t)samples->n, sizeof *ratio);
    if (ratio == NULL) {
        return tl_fail(TL_ENOMEM, "%d samples", samples->n);
    }
    tl_err err = known_relative(predictor, source, samples->designs, samples->n, ratio);
    for (int i = 0; err == TL_OK && i < samples->n; i++) {
        ratio[i] = samples->values[i] / fmax(ratio[i], .05);
    }
    if (err == TL_OK) {
        view->level = tl_median_inplace(samples->n, ratio);
    }
    tl_mem_free(ratio);
    return err;
}

/* ---- from the profile ------------------------------------------------------------------------ */

/* Energy is power times time: without the busy power it is not known. */
static tl_err roofline_of(
    const tl_predictor *predictor,
    const tl_profile *profile,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    double *mean,
    double *sd)
{
    size_t n_slots = (size_t)tl_space_n_slots(predictor->space);
    const tl_prior *prior =
        predictor->model != NULL ? &predictor->model->prior : &tl_prior_default;
    double unit = cost == TL_COST_LATENCY ? 1 : profile->busy_w;
    tl_network network = {0};
    tl_err err = TL_OK;
    for (int i = 0; i < n && err == TL_OK; i++) {
        tl_roofline roofline = {0};
        err = tl_space_lower(predictor->space, designs + (size_t)i * n_slots, &network);
        if (err == TL_OK) {
            err = tl_prior_roofline(profile, &network, &roofline);
        }
        tl_prior_latency(prior, profile, &roofline, &mean[i], &sd[i]);
        mean[i] *= unit;
        sd[i] *= unit;
    }
    tl_network_done(&network);
    return err;
}

/* The middle design of the space by its roofline, and that one's relative deviation. */
static tl_err median_roofline(
    const tl_predictor *predictor,
    const tl_profile *profile,
    tl_cost cost,
    double *out_median,
    double *out_relative_sd)
{
    enum {
        ENOUGH = 200
    };
    int n = 0;
    const tl_choice *designs = tl_features_reference(predictor->features, &n);
    size_t n_slots = (size_t)tl_space_n_slots(predictor->space);
    double mean[ENOUGH];
    double relative_sd[ENOUGH];
    int stride = n > ENOUGH ? n / ENOUGH : 1;
    int taken = 0;
    for (int i = 0; i < n && taken < ENOUGH; i += stride, taken++) {
        TL_TRY(roofline_of(
            predictor, profile, cost, designs + (size_t)i * n_slots, 1, &mean[taken],
            &relative_sd[taken]));
        relative_sd[taken] /= mean[taken];
    }
    *out_median = tl_median_inplace(taken, mean);
    *out_relative_sd = tl_median_inplace(taken, relative_sd);
    return TL_OK;
}

/*
 * A profile that says nothing usable leaves the cost unknown. One that was
 * probed tells its launch overhead: its own roofline has the right shape. One
 * that was published does not, and known devices tell the shape better.
 */
static tl_err fit_roofline(
    const tl_predictor *predictor, const tl_profile *profile, tl_cost cost, cost_view *view)
{
    const tl_cost_sources *known = &predictor->costs[cost];
    double median = 0;
    double relative_sd = 0;
    if (!tl_prior_is_known(profile) || (cost == TL_COST_ENERGY && profile->busy_w <= 0)) {
        return TL_OK;
    }
    view->basis = TL_BASIS_PROFILE;
    if (known->n == 0 || profile->launch_us > 0) {
        return TL_OK;
    }
    TL_TRY(median_roofline(predictor, profile, cost, &median, &relative_sd));
    return tl_head_init_prior(
        predictor->features, known->n, known->spread, median, relative_sd, &view->head);
}

/*
 * Known devices of known profile tell level and shape, best where they are near.
 * A probed profile tells its latency itself.
 */
static tl_err fit_profile(tl_view *view, const tl_view_data *data, tl_cost cost)
{
    const tl_predictor *predictor = view->predictor;
    const tl_model *model = predictor->model;
    tl_relative *relatives = NULL;
    int n = 0;
    bool is_own = cost == TL_COST_LATENCY
                      ? data->profile->launch_us > 0
                      : view->costs[TL_COST_LATENCY].basis == TL_BASIS_NOTHING;
    if (model != NULL && !is_own && tl_relatives_can_tell(data->profile)) {
        TL_TRY(tl_model_relatives(model, cost, data->device, &relatives, &n));
    }
    tl_err err = TL_OK;
    if (n >= TL_ZERO_SHOT_MIN_RELATIVES) {
        view->costs[cost].basis = TL_BASIS_PROFILE;
        err = tl_zero_shot_init(
            predictor->features, data->profile, relatives, n, model->relatives_scale[cost],
            &view->costs[cost].shot);
    } else {
        err = fit_roofline(predictor, data->profile, cost, &view->costs[cost]);
    }
    tl_mem_free(relatives);
    return err;
}

/* ---- life --------------------------------------------------------------------------------------- */

static tl_err fit_cost(tl_view *of, const tl_view_data *data, tl_cost cost)
{
    const tl_predictor *predictor = of->predictor;
    cost_view *view = &of->costs[cost];
    const tl_samples *samples = &data->samples[cost];
    const tl_model_source *known =
        predictor->model != NULL ? tl_model_source_find(predictor->model, data->device, cost)
                                 : NULL;
    view->n_samples = samples->n;
    if (known != NULL && samples->n < TL_VIEW_MIN_OWN) {
        return scale_known(predictor, &known->source, samples, view);
    }
    if (samples->n > 0) {
        return fit_measured(of, cost, samples);
    }
    return data->profile != NULL ? fit_profile(of, data, cost) : TL_OK;
}

static void free_view(tl_view *view)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_head_done(&view->costs[c].head);
        tl_zero_shot_done(&view->costs[c].shot);
        tl_mem_free(view->costs[c].listed_mean);
        tl_mem_free(view->costs[c].listed_sd);
    }
    tl_predictor_unref(view->predictor);
    (void)pthread_mutex_destroy(&view->lock);
    tl_mem_free(view);
}

tl_err tl_view_new(tl_predictor *predictor, const tl_view_data *data, tl_view **out_view)
{
    tl_view *view = tl_mem_new(1, sizeof *view);
    if (view == NULL) {
        return tl_fail(TL_ENOMEM, "a view of a device");
    }
    atomic_init(&view->n_refs, 1);
    (void)pthread_mutex_init(&view->lock, NULL);
    view->predictor = tl_predictor_ref(predictor);
    if (data->profile != NULL) {
        view->profile = *data->profile;
    }
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_err err = fit_cost(view, data, (tl_cost)c);
        if (err != TL_OK) {
            free_view(view);
            return err;
        }
    }
    *out_view = view;
    return TL_OK;
}

tl_view *tl_view_ref(tl_view *view)
{
    atomic_fetch_add(&view->n_refs, 1);
    return view;
}

void tl_view_unref(tl_view *view)
{
    if (view != NULL && atomic_fetch_sub(&view->n_refs, 1) == 1) {
        free_view(view);
    }
}

tl_predictor *tl_view_predictor(const tl_view *view)
{
    return view->predictor;
}

tl_basis tl_view_basis(const tl_view *view, tl_cost cost)
{
    return view->costs[cost].basis;
}

int tl_view_n_samples(const tl_view *view, tl_cost cost)
{
    return view->costs[cost].n_samples;
}

void tl_view_confidence(const tl_view *view, tl_cost cost, tl_confidence *out)
{
    const cost_view *v = &view->costs[cost];
    if (v->basis == TL_BASIS_KNOWN) {
        tl_confidence_nominal(KNOWN_DOF, out);
    } else {
        tl_model_confidence(view->predictor->model, cost, v->n_samples, &v->unit, out);
    }
}

/* ---- prediction ------------------------------------------------------------------------------------ */

static tl_err predict_head(
    tl_view *view, tl_cost cost, const tl_choice *designs, int n, double *mean, double *sd)
{
    tl_dmat x = {0};
    double *z = NULL;
    double *unit = NULL;
    const tl_head *head = &view->costs[cost].head;
    TL_TRY(rows_of_head(view, cost, designs, n, &x, &z, &unit));
    tl_err err = tl_head_predict(head, tl_dro(x), z, mean, sd);
    for (int i = 0; i < n && err == TL_OK; i++) {
        mean[i] = positive(mean[i], head->level);
        if (unit != NULL) {
            mean[i] *= unit[i];
            sd[i] *= unit[i];
        }
    }
    tl_dmat_done(&x);
    tl_mem_free(z);
    tl_mem_free(unit);
    return err;
}

static tl_err predict_known(
    tl_view *view, tl_cost cost, const tl_choice *designs, int n, double *mean, double *sd)
{
    const cost_view *v = &view->costs[cost];
    TL_TRY(known_relative(view->predictor, v->source, designs, n, mean));
    for (int i = 0; i < n; i++) {
        double share = mean[i] < .3 ? .3 : mean[i] > 3 ? 3 : mean[i]; /* as the head's noise */
        mean[i] = positive(mean[i] * v->level, v->level);
        sd[i] = v->relative_sd * v->level * share;
    }
    return TL_OK;
}

/*
 * The middle of a log-normal and what makes mean + sd its upper deviation: no limit
 * is promised by an sd that is too small on that side. Energy is power times latency.
 */
static tl_err predict_shot(
    tl_view *view, tl_cost cost, const tl_choice *designs, int n, double *mean, double *sd)
{
    static const double most_log_sd = 3;
    const tl_zero_shot *shot = &view->costs[cost].shot;
    double *logs = tl_mem_new((size_t)n, sizeof *logs);
    if (logs == NULL) {
        return tl_fail(TL_ENOMEM, "predictions of %d designs", n);
    }
    tl_err err = tl_zero_shot_predict(shot, designs, n, logs);
    if (err == TL_OK && cost == TL_COST_ENERGY) {
        err = predict_cost(view, TL_COST_LATENCY, designs, n, mean, sd);
    }
    double spread = expm1(fmin(shot->log_sd, most_log_sd));
    for (int i = 0; i < n && err == TL_OK; i++) {
        double over = cost == TL_COST_ENERGY ? sd[i] / mean[i] : 0;
        mean[i] = exp(logs[i]) * (cost == TL_COST_ENERGY ? mean[i] : 1);
        sd[i] = mean[i] * hypot(spread, over);
    }
    tl_mem_free(logs);
    return err;
}

static tl_err predict_cost(
    tl_view *view, tl_cost cost, const tl_choice *designs, int n, double *mean, double *sd)
{
    const cost_view *v = &view->costs[cost];
    if (v->basis == TL_BASIS_KNOWN) {
        return predict_known(view, cost, designs, n, mean, sd);
    }
    if (v->shot.n > 0) {
        return predict_shot(view, cost, designs, n, mean, sd);
    }
    if (v->head.n_columns == 0) {
        return roofline_of(view->predictor, &view->profile, cost, designs, n, mean, sd);
    }
    return predict_head(view, cost, designs, n, mean, sd);
}

/* The whole listing, once; the rows are shared by all devices. */
static tl_err list_cost(tl_view *view, tl_cost cost)
{
    tl_predictor *predictor = view->predictor;
    cost_view *v = &view->costs[cost];
    size_t n = (size_t)predictor->n_listing;
    double *mean = tl_mem_new(n, sizeof *mean);
    double *sd = tl_mem_new(n, sizeof *sd);
    tl_err err = mean == NULL || sd == NULL ? tl_fail(TL_ENOMEM, "%zu predictions", n) : TL_OK;
    if (err == TL_OK && v->basis != TL_BASIS_KNOWN && v->head.n_columns > 0 &&
        v->latency.use == LATENCY_UNUSED) {
        err = tl_predictor_list_rows(predictor, cost);
        if (err == TL_OK) {
            err = tl_head_predict(
                &v->head, tl_dro(predictor->rows[cost]), predictor->z[cost], mean, sd);
        }
        for (size_t i = 0; err == TL_OK && i < n; i++) {
            mean[i] = positive(mean[i], v->head.level);
        }
    } else if (err == TL_OK) {
        err = predict_cost(view, cost, predictor->listing, predictor->n_listing, mean, sd);
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
    if (view->costs[cost].basis == TL_BASIS_NOTHING) {
        for (int i = 0; i < n; i++) {
            mean[i] = sd[i] = TL_UNKNOWN;
        }
        return TL_OK;
    }
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
    return predict_cost(view, cost, designs, n, mean, sd);
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

tl_err tl_view_predict(
    tl_view *view, const tl_choice *designs, int n, tl_prediction *predictions)
{
    tl_err err = TL_OK;
    double *mean = tl_mem_new((size_t)n * 2, sizeof *mean);
    if (mean == NULL) {
        return tl_fail(TL_ENOMEM, "predictions of %d designs", n);
    }
    double *sd = mean + n;
    for (int c = 0; c < TL_N_COSTS && err == TL_OK; c++) {
        err = answer_cost(view, (tl_cost)c, designs, n, mean, sd);
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

/* ---- joint draws ------------------------------------------------------------------------------- */

/* The head's own draws, in the unit that it was fitted in. */
static tl_err draw_head(
    tl_view *view,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_rng *rng,
    tl_dmat out_draws)
{
    tl_dmat x = {0};
    double *z = NULL;
    double *unit = NULL;
    const tl_head *head = &view->costs[cost].head;
    TL_TRY(rows_of_head(view, cost, designs, n, &x, &z, &unit));
    tl_err err = tl_head_draw(head, tl_dro(x), z, rng, out_draws);
    for (int i = 0; i < out_draws.rows && err == TL_OK; i++) {
        double *row = tl_dmat_row(out_draws, i);
        for (int j = 0; j < n; j++) {
            row[j] = positive(row[j], head->level) * (unit != NULL ? unit[j] : 1);
        }
    }
    tl_dmat_done(&x);
    tl_mem_free(z);
    tl_mem_free(unit);
    return err;
}

/*
 * Without a head: one factor for the device, one for each design. Nothing was measured,
 * so most of what is uncertain is the level, which all designs share; a known device's
 * ridge has a level, and errs on each design alone.
 */
static tl_err draw_factors(
    tl_view *view,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_rng *rng,
    tl_dmat out_draws)
{
    double shared = view->costs[cost].basis == TL_BASIS_KNOWN ? 0 : .8;
    double *mean = tl_mem_new((size_t)n * 2, sizeof *mean);
    if (mean == NULL) {
        return tl_fail(TL_ENOMEM, "draws of %d designs", n);
    }
    double *sd = mean + n;
    tl_err err = predict_cost(view, cost, designs, n, mean, sd);
    for (int i = 0; i < out_draws.rows && err == TL_OK; i++) {
        double *row = tl_dmat_row(out_draws, i);
        double level = sqrt(shared) * tl_rng_normal(rng);
        for (int j = 0; j < n; j++) {
            double e = level + sqrt(1 - shared) * tl_rng_normal(rng);
            row[j] = mean[j] * exp(e * log1p(sd[j] / mean[j]));
        }
    }
    tl_mem_free(mean);
    return err;
}

tl_err tl_view_draw(
    tl_view *view,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_rng *rng,
    tl_dmat out_draws)
{
    TL_ASSERT(out_draws.cols == n);
    const cost_view *v = &view->costs[cost];
    if (v->basis == TL_BASIS_NOTHING) {
        return tl_fail(TL_ESTATE, "nothing is known of %s", tl_cost_name(cost));
    }
    bool has_head = v->basis != TL_BASIS_KNOWN && v->shot.n == 0 && v->head.n_columns > 0;
    return has_head ? draw_head(view, cost, designs, n, rng, out_draws)
                    : draw_factors(view, cost, designs, n, rng, out_draws);
}
