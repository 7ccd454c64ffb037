/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_TRAIN_IMPL_H
#define TL_PREDICTORS_TRAIN_IMPL_H

/*
 * The parts of training; train.c calls them in turn and nobody else does.
 */

#include "predictors/features.h"
#include "predictors/train.h"

typedef struct tl_training {
    const tl_train_options *options;
    tl_features *features;
    tl_model *model;
    tl_text *notes;
} tl_training;

/* Reports progress of a part; TL_ECANCELLED when the caller wants no more. */
TL_MUST_USE tl_err tl_training_progress(
    const tl_training *training, const char *what, int64_t done, int64_t total);

/* Known devices of both costs, then what their profiles cost over the roofline. */
TL_MUST_USE tl_err tl_train_devices(tl_training *training);

/*
 * Profiles of the known devices, and what each costs by the others alone: held-out
 * figures and the scale of their variance. After tl_train_devices().
 */
TL_MUST_USE tl_err tl_train_relatives(tl_training *training);

/* Accuracy models of all tasks. */
TL_MUST_USE tl_err tl_train_tasks(tl_training *training);

/* The table z(confidence, samples), over the known devices that were measured here. */
TL_MUST_USE tl_err tl_train_calibration(tl_training *training);

#endif
