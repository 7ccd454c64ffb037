/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/watch.h"
#include "predictors/predictor_impl.h"

/* Shared by all devices: under no watch, as is all that a predictor keeps (predictor_impl.h). */
static tl_err make_known(tl_predictor *predictor, tl_cost cost)
{
    tl_relative *devices = NULL;
    int n = 0;
    TL_TRY(tl_model_relatives(predictor->model, cost, NULL, &devices, &n));
    tl_err err = TL_OK;
    tl_watch former = tl_watch_set((tl_watch){0});
    if (n >= TL_KNOWN_LEAST) {
        err = tl_known_new(predictor->features, devices, n, &predictor->known[cost]);
    }
    (void)tl_watch_set(former);
    tl_mem_free(devices);
    return err;
}

tl_err tl_predictor_known(tl_predictor *predictor, tl_cost cost, const tl_known **out_known)
{
    tl_err err = TL_OK;
    (void)pthread_mutex_lock(&predictor->lock);
    if (predictor->model != NULL && predictor->known[cost] == NULL) {
        err = make_known(predictor, cost);
    }
    if (err == TL_OK) {
        *out_known = predictor->known[cost];
    }
    (void)pthread_mutex_unlock(&predictor->lock);
    return err;
}

tl_err tl_predictor_listed(tl_predictor *predictor, tl_cost cost, const tl_listed **out_listed)
{
    tl_err err = TL_OK;
    TL_ASSERT(predictor->listing != NULL);
    (void)pthread_mutex_lock(&predictor->lock);
    if (predictor->listed[cost] == NULL) {
        TL_ASSERT(predictor->known[cost] != NULL);
        tl_watch former = tl_watch_set((tl_watch){0});
        err = tl_listed_new(
            predictor->known[cost], predictor->listing, predictor->n_listing,
            &predictor->listed[cost]);
        (void)tl_watch_set(former);
    }
    if (err == TL_OK) {
        *out_listed = predictor->listed[cost];
    }
    (void)pthread_mutex_unlock(&predictor->lock);
    return err;
}

void tl_predictor_profile_confidence(tl_predictor *predictor, tl_cost cost, tl_confidence *out)
{
    tl_confidence *curve = &predictor->profile_confidence[cost];
    tl_margin_unit own_sd = {0};
    (void)pthread_mutex_lock(&predictor->lock);
    if (curve->n == 0) {
        tl_model_confidence(predictor->model, cost, 0, &own_sd, curve);
    }
    *out = *curve;
    (void)pthread_mutex_unlock(&predictor->lock);
}
