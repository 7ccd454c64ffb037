/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_HEAD_SETTINGS_H
#define TL_PREDICTORS_HEAD_SETTINGS_H

/*
 * What was chosen by experiment in a head, as values, so that a bench can run the
 * alternatives beside it. Nobody else sets them: tl_head_fit() takes the kept ones.
 *
 *     tl_head_settings settings = tl_head_kept;
 *     settings.level_weight = 0;
 *     err = tl_head_fit_with(features, &data, &settings, &head);
 */

#include "predictors/head.h"

typedef enum tl_head_rounding {
    TL_HEAD_ROUNDING_NONE,     /* values are taken as they are */
    TL_HEAD_ROUNDING_VARIANCE, /* tick^2 / 12 more noise */
    TL_HEAD_ROUNDING_CENSORED, /* and the value's mean within its tick, given the others */
} tl_head_rounding;

typedef struct tl_head_settings {
    double prior[TL_FEATURES_MAX_HYPOTHESES]; /* of the hypotheses; all 0: their own */
    double source_centre;                     /* prior variance of sources; 0: their own */
    tl_head_rounding rounding;
    double noise_dof;    /* of Student's t in reweighting */
    int n_rounds;        /* of reweighting */
    double width_weight; /* samples that the model's own width counts for */
    double level_weight; /* samples that Student's t counts for in the shape of intervals */
    double level_shape[TL_HEAD_LEVELS]; /* over Student's t, before any sample */
} tl_head_settings;

extern const tl_head_settings tl_head_kept;

TL_MUST_USE tl_err tl_head_fit_with(
    const tl_features *features,
    const tl_head_data *data,
    const tl_head_settings *settings,
    tl_head *out_head);

#endif
