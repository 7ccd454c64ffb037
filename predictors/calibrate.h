/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_CALIBRATE_H
#define TL_PREDICTORS_CALIBRATE_H

/*
 * Confidence after selection, measured on left-out devices.
 *
 * Each known device in turn is treated as new: a head is fitted to a few of its
 * measurements with the other devices as sources, limits are set from the 15th to
 * the 85th percentile of its costs, and the best design (by accuracy) whose
 * margin is at least z is picked. Where fewer than 2,000 designs were measured the others
 * are imagined, from the device's own model and its residuals: selection is among many, and
 * with few the same lucky or unlucky designs would decide each time. The calibrated z of a confidence c is the
 * least one from which on the share of picks that miss their limit, averaged
 * over the devices, is at most 1 - c.
 *
 * Margins are counted in the head's typical unit (confidence.h), not in each design's sd.
 *
 * The head of a picked design errs in its favour more often than that of any
 * design: the table takes the place of Student's quantile (confidence.h).
 */

#include "predictors/model.h"

/* A device whose measurements are known: designs [n, n_slots], values [n]. */
typedef struct tl_calibration_device {
    const tl_source *source; /* its own, left out while it is judged */
    const tl_choice *designs;
    const double *values;
    int n;
} tl_calibration_device;

/* How a few-shot head did on a left-out device with 20 samples. */
typedef struct tl_calibration_figures {
    double spearman, median_error; /* means over n heads */
    uint64_t n;
} tl_calibration_figures;

typedef struct tl_calibration_data {
    const tl_features *features;
    const tl_calibration_device *devices;
    int n_devices;
    tl_cost cost;
    const tl_accuracy_model
        *accuracy; /* what selection prefers; NULL: larger networks and chance */
    uint64_t seed;
    bool (*progress)(
        void *context, int64_t done, int64_t total); /* false cancels; may be NULL */
    void *context;
} tl_calibration_data;

/*
 * Appends rows to model->calibrations (none with fewer than three devices) and
 * fills out_figures [n_devices]; NaN where a device was not judged.
 */
TL_MUST_USE tl_err tl_calibrate(
    const tl_calibration_data *data, tl_model *model, tl_calibration_figures *out_figures);

#endif
