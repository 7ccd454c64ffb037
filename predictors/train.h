/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_TRAIN_H
#define TL_PREDICTORS_TRAIN_H

/*
 * Training: from the measurements of many devices and tasks to a model.
 *
 *     1. a ridge for every device with enough measurements (source.h)
 *     2. what devices of known profile cost over their roofline (prior.h), and by
 *        each other (relatives.h)
 *     3. accuracy networks, tasks measured on the same designs together (accuracy.h)
 *     4. confidence after selection, over left-out devices (calibrate.h)
 *
 * Figures on held-out designs, tasks and devices are measured first; the model
 * itself is then fitted to all rows. They are kept in the model and are its
 * report.
 */

#include "device-profiles/profile.h"
#include "measurements/metric.h"
#include "predictors/model.h"

enum {
    TL_TRAIN_MIN_DEVICE_ROWS = 64, /* fewer measurements make no known device */
    TL_TRAIN_MIN_TASK_ROWS = 20
};

/* One column of measurements: designs [n, n_slots], values [n]. Borrowed during training. */
typedef struct tl_train_column {
    tl_metric metric;
    const char *subject; /* device or task */
    const tl_choice *designs;
    const double *values;
    int n;
    const tl_profile *profile; /* of the device; NULL where nothing is known */
} tl_train_column;

typedef struct tl_train_options {
    const tl_space *space;
    const tl_train_column *columns;
    int n_columns;
    /* Parts of it that no column replaces are kept; NULL: the model holds the columns alone. */
    const tl_model *base;
    bool drops_base_sources; /* known devices are those of the columns alone */
    uint64_t seed;
    const char *command; /* kept as provenance */
    int n_threads;
    /* Called now and then on the calling thread; false cancels. May be NULL. */
    bool (*progress)(void *context, const char *what, int64_t done, int64_t total);
    void *context;
} tl_train_options;

/*
 * On success the caller owns *out_model; what was left out and why is appended
 * to notes, a line each. Fails with TL_ESTATE when nothing could be fitted,
 * TL_ECANCELLED when progress said so.
 */
TL_MUST_USE tl_err
tl_train(const tl_train_options *options, tl_text *notes, tl_model **out_model);

#endif
