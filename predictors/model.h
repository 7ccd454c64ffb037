/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_MODEL_H
#define TL_PREDICTORS_MODEL_H

/*
 * A model: what training left behind for one space, and its file.
 *
 * It holds the known devices (a ridge in feature space each) and their profiles,
 * the accuracy networks, the calibration of confidence, what devices of known
 * profile cost over their roofline, and where it all came from. It holds weights and
 * figures, never measurements.
 *
 * A model is built once (by training or from a file) and then only read.
 */

#include "measurements/metric.h"
#include "predictors/accuracy.h"
#include "predictors/confidence.h"
#include "predictors/prior.h"
#include "predictors/source.h"
#include "predictors/zero_shot.h"
#include "proto/wire.h"
#include "spaces/space.h"

#include <stdint.h>

enum {
    TL_MODEL_VERSION = 1,          /* of the file */
    TL_MODEL_FEATURES_VERSION = 1, /* of the columns that weights multiply */
    TL_MODEL_MAX_BYTES = 64 * 1024 * 1024,
    TL_MODEL_MAX_CALIBRATIONS = 32
};

/* The metrics that a device costs, under their numbers as metrics. */
typedef enum tl_cost {
    TL_COST_LATENCY = TL_METRIC_LATENCY_MS,
    TL_COST_ENERGY = TL_METRIC_ENERGY_MJ,
    TL_N_COSTS
} tl_cost;

const char *tl_cost_name(tl_cost cost); /* "latency_ms", "energy_mj" */

/* A known device and its ridge, standardized over the reference designs. */
typedef struct tl_model_source {
    char *device;
    tl_cost cost;
    tl_source source;
} tl_model_source;

/*
 * z at tl_calibration_level, in typical units (tl_margin_unit_of()), from selections on
 * left-out devices with n_samples measurements.
 */
typedef struct tl_model_calibration {
    tl_cost cost;
    int n_samples;
    double z[TL_CALIBRATION_LEVELS]; /* NaN: not reached */
} tl_model_calibration;

typedef struct tl_model_table_sum {
    char *column;
    uint64_t n_values;
    char sha256[65];
} tl_model_table_sum;

/* A held-out figure of the training report. */
typedef struct tl_model_figure {
    char *part, *subject, *figure;
    double value;
    uint64_t n;
} tl_model_figure;

typedef struct tl_model {
    char *name;
    char *space, *space_digest;
    tl_model_source *sources;
    int n_sources;
    tl_accuracy_model **accuracies;
    int n_accuracies;
    tl_model_calibration calibrations[TL_MODEL_MAX_CALIBRATIONS];
    int n_calibrations;
    tl_prior prior;
    tl_profile *profiles; /* of known devices, where known */
    int n_profiles;
    double
        relatives_scale[TL_N_COSTS]; /* of the variance that relatives leave; 1 unless fitted */
    int64_t created_unix_s;
    char *command;
    uint64_t seed;
    tl_model_table_sum *table_sums;
    int n_table_sums;
    tl_model_figure *figures;
    int n_figures;
    tl_bytes optimizer; /* packed, trained on this model (optimizer.h); empty: none */
} tl_model;

/* An empty model of the space, named after it; the caller owns *out_model. */
TL_MUST_USE tl_err tl_model_new(const tl_space *space, tl_model **out_model);
void tl_model_free(tl_model *model); /* NULL is fine */

/* Each appends; texts are copied. The source's weights and the accuracy model are the model's
 * on success. */
TL_MUST_USE tl_err
tl_model_add_source(tl_model *model, const char *device, tl_cost cost, const tl_source *source);
TL_MUST_USE tl_err tl_model_add_accuracy(tl_model *model, tl_accuracy_model *accuracy);
TL_MUST_USE tl_err tl_model_add_figure(
    tl_model *model,
    const char *part,
    const char *subject,
    const char *figure,
    double value,
    uint64_t n);
TL_MUST_USE tl_err tl_model_add_table_sum(
    tl_model *model, const char *column, uint64_t n_values, const char *sha256);

/* The profile of a known device; one of the same name is replaced. */
TL_MUST_USE tl_err tl_model_add_profile(tl_model *model, const tl_profile *profile);

/* NULL when the model does not know the device. */
const tl_model_source *tl_model_source_find(
    const tl_model *model, const char *device, tl_cost cost);

/*
 * The known devices of known profile that can tell of the cost, but for the one named
 * except (NULL: none). The caller owns *out_relatives (tl_mem_free); it borrows from model.
 */
TL_MUST_USE tl_err tl_model_relatives(
    const tl_model *model,
    tl_cost cost,
    const char *except,
    tl_relative **out_relatives,
    int *out_n);

/* The accuracy model of the task and the task's place in it; NULL when there is none. */
const tl_accuracy_model *tl_model_task_find(
    const tl_model *model, const char *task, int *out_output);

/*
 * The margin curve for a device with n measurements of the cost: calibrated, in the
 * typical unit, or, where the model has no table of it, nominal; model may be NULL.
 */
void tl_model_confidence(
    const tl_model *model,
    tl_cost cost,
    int n_samples,
    const tl_margin_unit *unit,
    tl_confidence *out);

/* ---- files (model_pack.c, model_unpack.c) -------------------------------------- */

/* The bytes of its file; the caller owns out->data (tl_mem_free). */
TL_MUST_USE tl_err tl_model_pack(const tl_model *model, tl_bytes *out);

/*
 * Reads a model for the space. origin names the file in errors. Fails with
 * TL_EDAMAGED (truncated, checksum, sizes that do not agree), TL_EVERSION (a newer
 * file or other features) or TL_ESTATE (trained for another definition of the space).
 */
TL_MUST_USE tl_err tl_model_unpack(
    const tl_space *space,
    int n_source_weights,
    const void *data,
    size_t len,
    const char *origin,
    tl_model **out_model);

#endif
