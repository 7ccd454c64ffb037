/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_ANSWER_H
#define TL_DAEMON_ANSWER_H

/*
 * What the methods that predict share: finding the space, the device and the
 * task that a request names, and the Answer that carries designs with their
 * predictions.
 */

#include "daemon/engine.h"
#include "daemon/method.h"
#include "daemon/predictors.h"
#include "proto/tailor.pb-c.h"

/* Everything a prediction needs; done by tl_subject_done(). */
typedef struct tl_subject {
    tl_space *space;
    tl_predictor *predictor;
    tl_view *view;
    tl_profile profile;
    const char *task;   /* of the predictor; NULL: accuracy is not known */
    bool is_registered; /* false: there is nothing but the profile */
} tl_subject;

/*
 * Finds them; what a user should know of the choice becomes a warning of the
 * call. Fails with TL_ENOTFOUND for an unknown space, device or task.
 */
TL_MUST_USE tl_err tl_subject_find(
    tl_call *call,
    const char *space,
    const char *device,
    const char *task,
    tl_subject *out_subject);

/* The same of a device that is not registered, only described. */
TL_MUST_USE tl_err tl_subject_describe(
    tl_call *call,
    const char *space,
    const tl_profile *profile,
    const char *task,
    tl_subject *out_subject);
void tl_subject_done(tl_subject *subject); /* a zeroed one is fine */

/* Fills all six numbers of predictions [n]. */
TL_MUST_USE tl_err tl_subject_predict(
    const tl_subject *subject, const tl_choice *designs, int n, tl_prediction *predictions);

/* The columns of all slots of designs [n, n_slots]. */
TL_MUST_USE tl_err tl_answer_add_designs(
    Tailor__V1__Table *table, const tl_space *space, const tl_choice *designs, int n);

/* The six columns of predictions [n]. */
TL_MUST_USE tl_err
tl_answer_add_predictions(Tailor__V1__Table *table, const tl_prediction *predictions, int n);

/* Names the model and the task that the answer came from. */
TL_MUST_USE tl_err tl_answer_sign(Tailor__V1__Answer *answer, const tl_subject *subject);

#endif
