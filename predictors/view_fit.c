/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/view_impl.h"

#include "base/mem.h"
#include "numerics/rng.h"
#include "numerics/stats.h"
#include "predictors/prior.h"
#include "predictors/relatives.h"

#include <math.h>
#include <string.h>

enum {
    MAX_SAMPLES = 2048 /* a head of some 200 columns gains nothing from more */
};

static const uint64_t sample_order_seed = 0x7461696c6f72U;

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

tl_err tl_view_fit_measured(tl_view *of, tl_cost cost, const tl_samples *samples)
{
    const tl_predictor *predictor = of->predictor;
    tl_cost_view *view = &of->costs[cost];
    tl_err err = TL_OK;
    tl_choice *designs = NULL;
    double *values = NULL;
    tl_head_rows rows = {0};
    int n_slots = tl_space_n_slots(predictor->space);
    int n = samples->n < MAX_SAMPLES ? samples->n : MAX_SAMPLES;
    if (cost == TL_COST_ENERGY && (err = tl_view_use_latency(of, n, &view->latency)) != TL_OK) {
        goto done;
    }
    if ((err = shuffle_samples(samples, n_slots, n, &designs, &values)) != TL_OK ||
        (err = tl_view_head_rows(of, cost, designs, n, &rows)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < n && rows.unit != NULL; i++) {
        values[i] /= rows.unit[i];
    }
    bool is_column = view->latency.use == TL_LATENCY_COLUMN;
    tl_head_data data = {
        .n_sources = predictor->costs[cost].n + is_column,
        .spread =
            is_column ? view->latency.sd / view->latency.mean : predictor->costs[cost].spread,
        .x = tl_dro(rows.x),
        .z = rows.z,
        .y = values};
    if ((err = tl_head_fit(predictor->features, &data, &view->head)) == TL_OK &&
        (err = tl_view_find_unit(of, cost)) == TL_OK) {
        view->basis = TL_BASIS_MEASURED;
    }
done:
    tl_head_rows_done(&rows);
    tl_mem_free(designs);
    tl_mem_free(values);
    return err;
}

/* ---- known --------------------------------------------------------------------------------- */

tl_err tl_view_known_relative(
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
tl_err tl_view_scale_known(
    const tl_predictor *predictor,
    const tl_source *source,
    const tl_samples *samples,
    tl_cost_view *view)
{
    *view = (tl_cost_view){
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
    tl_err err = tl_view_known_relative(predictor, source, samples->designs, samples->n, ratio);
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
tl_err tl_view_roofline(
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
        TL_TRY(tl_view_roofline(
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
    const tl_predictor *predictor, const tl_profile *profile, tl_cost cost, tl_cost_view *view)
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

/* Those that are shared, or all but the device itself; *out_known NULL: too few. */
static tl_err find_known(
    tl_view *view, const char *device, tl_cost cost, const tl_known **out_known)
{
    tl_predictor *predictor = view->predictor;
    tl_relative *others = NULL;
    int n = 0;
    bool is_one = false;
    TL_TRY(tl_predictor_known(predictor, cost, out_known));
    for (int s = 0; *out_known != NULL && device != NULL && s < (*out_known)->n; s++) {
        is_one = is_one || strcmp((*out_known)->devices[s].profile->name, device) == 0;
    }
    if (!is_one) {
        return TL_OK;
    }
    *out_known = NULL;
    TL_TRY(tl_model_relatives(predictor->model, cost, device, &others, &n));
    tl_err err = TL_OK;
    if (n >= TL_KNOWN_LEAST) {
        err = tl_known_new(predictor->features, others, n, &view->costs[cost].own_known);
        *out_known = view->costs[cost].own_known;
    }
    tl_mem_free(others);
    return err;
}

/*
 * Known devices of known profile tell level and shape, best where they are near.
 * A probed profile tells its latency itself.
 */
tl_err tl_view_fit_profile(tl_view *view, const tl_view_data *data, tl_cost cost)
{
    const tl_predictor *predictor = view->predictor;
    const tl_model *model = predictor->model;
    const tl_known *known = NULL;
    bool is_own = cost == TL_COST_LATENCY
                      ? data->profile->launch_us > 0
                      : view->costs[TL_COST_LATENCY].basis == TL_BASIS_NOTHING;
    if (model != NULL && !is_own && tl_relatives_can_tell(data->profile)) {
        TL_TRY(find_known(view, data->device, cost, &known));
    }
    if (known == NULL) {
        return fit_roofline(predictor, data->profile, cost, &view->costs[cost]);
    }
    view->costs[cost].basis = TL_BASIS_PROFILE;
    return tl_zero_shot_init(
        known, data->profile, model->relatives_scale[cost], &view->costs[cost].shot);
}
