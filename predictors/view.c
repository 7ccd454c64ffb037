/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/view_impl.h"

#include "base/mem.h"

enum {
    KNOWN_DOF = 30 /* a ridge of hundreds of measurements, its scale read off few own ones */
};

static tl_err fit_cost(tl_view *of, const tl_view_data *data, tl_cost cost)
{
    const tl_predictor *predictor = of->predictor;
    tl_cost_view *view = &of->costs[cost];
    const tl_samples *samples = &data->samples[cost];
    const tl_model_source *known =
        predictor->model != NULL ? tl_model_source_find(predictor->model, data->device, cost)
                                 : NULL;
    view->n_samples = samples->n;
    if (known != NULL && samples->n < TL_VIEW_MIN_OWN) {
        return tl_view_scale_known(predictor, &known->source, samples, view);
    }
    if (samples->n > 0) {
        return tl_view_fit_measured(of, cost, samples);
    }
    return data->profile != NULL ? tl_view_fit_profile(of, data, cost) : TL_OK;
}

static void free_view(tl_view *view)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_head_done(&view->costs[c].head);
        tl_zero_shot_done(&view->costs[c].shot);
        tl_known_free(view->costs[c].own_known);
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
    const tl_cost_view *v = &view->costs[cost];
    if (v->basis == TL_BASIS_KNOWN) {
        tl_confidence_nominal(KNOWN_DOF, out);
    } else if (v->n_samples == 0) {
        tl_predictor_profile_confidence(view->predictor, cost, out);
    } else {
        tl_model_confidence(view->predictor->model, cost, v->n_samples, &v->unit, out);
    }
}
