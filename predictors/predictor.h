/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_PREDICTOR_H
#define TL_PREDICTORS_PREDICTOR_H

/*
 * Predictor: all that is known of one space, and the answers that follow.
 *
 * It joins the features of the space with one model (or none) and is immutable:
 * any number of threads may use one, and a new model makes a new predictor. For
 * spaces small enough to list it keeps every design's features and accuracies,
 * which do not depend on the device, so that scoring a device is two products.
 *
 * A view is one device as the predictor sees it: a head for latency and one for
 * energy. What a cost is predicted from, best first:
 *
 *     measured   the device's own measurements (head.h), from one sample on; its
 *                latency, however it is known, helps to predict its energy
 *     known      the model's own ridge of this device, scaled by the few own
 *                measurements where there are fewer than TL_VIEW_MIN_OWN
 *     profile    the known devices of like profile (zero_shot.h); where there are
 *                none, or the profile was probed, its own roofline
 *     nothing    the cost is unknown
 *
 *     tl_view *view = NULL;
 *     TL_TRY(tl_view_new(predictor, &data, &view));
 *     err = tl_view_predict(view, designs, n, predictions);
 *     ...
 *     tl_view_unref(view);
 */

#include "device-profiles/profile.h"
#include "numerics/mat.h"
#include "numerics/rng.h"
#include "predictors/confidence.h"
#include "predictors/features.h"
#include "predictors/model.h"
#include "predictors/prediction.h"

typedef struct tl_predictor tl_predictor;
typedef struct tl_view tl_view;

enum {
    TL_VIEW_MIN_OWN = 10
};

/* Takes model, also on failure; NULL: nothing was trained or shipped. Keeps a reference to space. */
TL_MUST_USE tl_err
tl_predictor_new(const tl_space *space, tl_model *model, tl_predictor **out_predictor);
tl_predictor *tl_predictor_ref(tl_predictor *predictor);
void tl_predictor_unref(tl_predictor *predictor); /* NULL is fine */

const tl_space *tl_predictor_space(const tl_predictor *predictor);
const tl_features *tl_predictor_features(const tl_predictor *predictor);
const tl_model *tl_predictor_model(const tl_predictor *predictor); /* NULL: none */

/*
 * Rows of designs [n, n_slots] as heads of the cost read them: x [n, P + S] and
 * z [n]. Both are allocated here and are the caller's.
 */
TL_MUST_USE tl_err tl_predictor_rows(
    const tl_predictor *predictor,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_dmat *out_x,
    double **out_z);

/*
 * Every design of a space small enough to list: [*out_n, n_slots], sorted, borrowed; NULL
 * for a larger one. Predicting exactly these is the cheapest way to predict many.
 */
const tl_choice *tl_predictor_listing(const tl_predictor *predictor, int *out_n);

/* ---- accuracy -------------------------------------------------------------------- */

int tl_predictor_n_tasks(const tl_predictor *predictor);
const char *tl_predictor_task(const tl_predictor *predictor, int i); /* sorted by name */

/*
 * The accuracy column to use, or NULL in *out_task when the predictor knows none
 * and none was asked for. asked: the task named by the user, or "" for the first
 * one; condition: that of the device's profile, or "". A task that names a
 * column exactly is used as it is; otherwise task-condition where it exists.
 * What a user should be told is appended to note. Fails with TL_ENOTFOUND, the
 * known tasks in the detail.
 */
TL_MUST_USE tl_err tl_predictor_resolve_task(
    const tl_predictor *predictor,
    const char *asked,
    const char *condition,
    tl_text *note,
    const char **out_task);

/*
 * The task's accuracy depends on weight bits, which a search may then choose; task as
 * resolved, NULL: it does not.
 */
bool tl_predictor_task_has_bits(const tl_predictor *predictor, const char *task);

/* Fills accuracy and accuracy_std of predictions [n]; task as resolved, NULL: both NaN. */
TL_MUST_USE tl_err tl_predictor_accuracy(
    tl_predictor *predictor,
    const char *task,
    const tl_choice *designs,
    int n,
    tl_prediction *predictions);

/*
 * From the margin of an accuracy over a minimum, in its deviations, to the probability
 * that it holds: by the model's own distribution around the minimum. A normal one where
 * task is NULL or the minimum is NaN.
 */
void tl_predictor_accuracy_confidence(
    const tl_predictor *predictor, const char *task, double minimum, tl_confidence *out);

/* ---- latency and energy on a device -------------------------------------------------- */

typedef struct tl_samples {
    const tl_choice *designs; /* [n, n_slots] */
    const double *values;     /* [n] */
    int n;
} tl_samples;

/* Borrowed during tl_view_new() only. */
typedef struct tl_view_data {
    const char *device;
    const tl_profile *profile; /* NULL: nothing known but the name */
    tl_samples samples[TL_N_COSTS];
} tl_view_data;

typedef enum tl_basis {
    TL_BASIS_NOTHING,
    TL_BASIS_PROFILE,
    TL_BASIS_KNOWN,
    TL_BASIS_MEASURED,
} tl_basis;

/* Keeps a reference to predictor. */
TL_MUST_USE tl_err
tl_view_new(tl_predictor *predictor, const tl_view_data *data, tl_view **out_view);
tl_view *tl_view_ref(tl_view *view);
void tl_view_unref(tl_view *view); /* NULL is fine */

tl_predictor *tl_view_predictor(const tl_view *view);
tl_basis tl_view_basis(const tl_view *view, tl_cost cost);
int tl_view_n_samples(const tl_view *view, tl_cost cost);

/*
 * Fills latency and energy of predictions [n]; accuracy is left alone. Fails
 * with TL_ENUMERIC when a prediction is not finite.
 */
TL_MUST_USE tl_err
tl_view_predict(tl_view *view, const tl_choice *designs, int n, tl_prediction *predictions);

/*
 * The same of the designs at places [n] of the listing, which there is: as predicting the
 * whole listing says, without predicting all of it.
 */
TL_MUST_USE tl_err
tl_view_predict_listed(tl_view *view, const int *places, int n, tl_prediction *predictions);

/*
 * Joint draws of what a measurement of each design would give: out_draws [n_draws, n], all
 * positive. Designs of one draw share one state of knowledge of the device, so that
 * a choice among them can be simulated. Fails with TL_ESTATE when nothing is known of the cost.
 */
TL_MUST_USE tl_err tl_view_draw(
    tl_view *view,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_rng *rng,
    tl_dmat out_draws);

/* The margin curve of this device for one cost. */
void tl_view_confidence(const tl_view *view, tl_cost cost, tl_confidence *out);

#endif
