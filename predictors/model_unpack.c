/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/model_codec.h"

#include "base/digest.h"
#include "base/mem.h"
#include "device-profiles/profile_codec.h"
#include "predictors/accuracy_codec.h"

#include <math.h>
#include <string.h>

static tl_err get_cost(const char *name, tl_cost *out_cost)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        if (strcmp(name, tl_cost_name((tl_cost)c)) == 0) {
            *out_cost = (tl_cost)c;
            return TL_OK;
        }
    }
    return tl_fail(TL_EDAMAGED, "metric: got \"%.40s\", want latency_ms or energy_mj", name);
}

static tl_err check_source(const source_message *from, int n_weights)
{
    if (from->n_weights != (size_t)n_weights) {
        return tl_fail(
            TL_EDAMAGED, "source %.128s: got %zu weights, want %d", from->device,
            from->n_weights, n_weights);
    }
    bool is_finite = isfinite(from->mean) && isfinite(from->median) && from->median > 0 &&
                     isfinite(from->loo_sd) && isfinite(from->ref_mean) &&
                     isfinite(from->ref_sd) && from->ref_sd > 0;
    for (size_t i = 0; i < from->n_weights; i++) {
        is_finite = is_finite && isfinite(from->weights[i]);
    }
    if (!is_finite || from->n_samples > INT32_MAX) {
        return tl_fail(TL_EDAMAGED, "source %.128s: a number is out of range", from->device);
    }
    return TL_OK;
}

static tl_err get_shape(const binning_message *from, int n_columns, tl_binning *out)
{
    if (from == NULL) {
        return TL_OK;
    }
    bool is_valid = from->begin < from->end && from->end <= (uint32_t)n_columns &&
                    from->end - from->begin <= TL_BINNING_MAX_INPUTS &&
                    from->n_bins == from->n_weights && isfinite(from->scale) &&
                    isfinite(from->mean);
    for (size_t i = 0; i < from->n_bins && is_valid; i++) {
        is_valid = from->bins[i] < TL_MODEL_N_BINS && isfinite(from->weights[i]);
    }
    if (!is_valid) {
        return tl_fail(TL_EDAMAGED, "bins of a source: a number is out of range");
    }
    out->weights = tl_mem_new(TL_MODEL_N_BINS, sizeof *out->weights);
    if (out->weights == NULL) {
        return tl_fail(TL_ENOMEM, "bins of a source device");
    }
    for (size_t i = 0; i < from->n_bins; i++) {
        out->weights[from->bins[i]] = (double)from->weights[i];
    }
    out->begin = (int)from->begin;
    out->end = (int)from->end;
    out->scale = from->scale;
    out->mean = from->mean;
    return TL_OK;
}

static tl_err get_source(const source_message *from, int n_weights, tl_model *model)
{
    tl_cost cost = TL_COST_LATENCY;
    TL_TRY(get_cost(from->metric, &cost));
    TL_TRY(check_source(from, n_weights));
    tl_source source = {
        .n_weights = n_weights,
        .mean = from->mean,
        .median = from->median,
        .loo_sd = from->loo_sd,
        .ref_mean = from->ref_mean,
        .ref_sd = from->ref_sd,
        .n_samples = (int)from->n_samples};
    source.weights = tl_mem_new((size_t)n_weights, sizeof *source.weights);
    if (source.weights == NULL) {
        return tl_fail(TL_ENOMEM, "weights of a source device");
    }
    for (int i = 0; i < n_weights; i++) {
        source.weights[i] = (double)from->weights[i];
    }
    tl_err err = get_shape(from->shape, n_weights, &source.shape);
    if (err == TL_OK) {
        err = tl_model_add_source(model, from->device, cost, &source);
    }
    if (err != TL_OK) {
        tl_source_done(&source);
    }
    return err;
}

static tl_err get_profiles(const model_message *from, tl_model *model)
{
    for (size_t i = 0; i < from->n_profiles; i++) {
        tl_profile profile;
        TL_TRY(tl_profile_unpack(from->profiles[i].data, from->profiles[i].len, &profile));
        TL_TRY(tl_model_add_profile(model, &profile));
    }
    for (size_t c = 0; c < from->n_relatives_scale && c < TL_N_COSTS; c++) {
        double scale = from->relatives_scale[c];
        if (!(scale > 0) || !isfinite(scale)) {
            return tl_fail(TL_EDAMAGED, "scale of relatives: got %g", scale);
        }
        model->relatives_scale[c] = scale;
    }
    return TL_OK;
}

static tl_err get_accuracy(
    const tl_space *space, const ProtobufCBinaryData *from, tl_model *model)
{
    tl_accuracy_model *accuracy = NULL;
    TL_TRY(tl_accuracy_unpack(space, from->data, from->len, &accuracy));
    tl_err err = tl_model_add_accuracy(model, accuracy);
    if (err != TL_OK) {
        tl_accuracy_model_free(accuracy);
    }
    return err;
}

static tl_err get_calibration(const calibration_message *from, tl_model *model)
{
    tl_model_calibration row = {.n_samples = (int)from->n_samples};
    TL_TRY(get_cost(from->metric, &row.cost));
    if (from->n_z != TL_CALIBRATION_LEVELS || from->n_samples > INT32_MAX ||
        model->n_calibrations == TL_MODEL_MAX_CALIBRATIONS) {
        return tl_fail(
            TL_EDAMAGED, "calibration: got %zu levels, want %d", from->n_z,
            (int)TL_CALIBRATION_LEVELS);
    }
    for (int k = 0; k < TL_CALIBRATION_LEVELS; k++) {
        if (isinf(from->z[k])) {
            return tl_fail(TL_EDAMAGED, "calibration: a margin is infinite");
        }
        row.z[k] = from->z[k];
    }
    if (from->is_typical) { /* an older model counted in units that are gone: nominal margins */
        model->calibrations[model->n_calibrations++] = row;
    }
    return TL_OK;
}

static tl_err get_prior(const prior_message *from, tl_model *model)
{
    if (from == NULL) {
        return TL_OK;
    }
    if (!isfinite(from->log_factor) || !isfinite(from->log_launch_us) ||
        !(from->log_factor_sd > 0) || !isfinite(from->log_factor_sd) ||
        !(from->log_launch_sd > 0) || !isfinite(from->log_launch_sd) ||
        from->n_devices > INT32_MAX) {
        return tl_fail(TL_EDAMAGED, "prior: a number is out of range");
    }
    model->prior = (tl_prior){
        .log_factor = from->log_factor,
        .log_factor_sd = from->log_factor_sd,
        .log_launch_us = from->log_launch_us,
        .log_launch_sd = from->log_launch_sd,
        .n_devices = (int)from->n_devices};
    return TL_OK;
}

static tl_err get_provenance(const provenance_message *from, tl_model *model)
{
    if (from == NULL) {
        return TL_OK;
    }
    model->created_unix_s = from->created_unix_s;
    model->seed = from->seed;
    tl_mem_free(model->command);
    model->command = NULL;
    TL_TRY(tl_model_set_text(&model->command, from->command));
    for (size_t i = 0; i < from->n_tables; i++) {
        const sum_message *sum = from->tables[i];
        TL_TRY(tl_model_add_table_sum(model, sum->column, sum->n_values, sum->sha256));
    }
    return TL_OK;
}

static tl_err get_parts(
    const tl_space *space, int n_weights, const model_message *from, tl_model *model)
{
    tl_mem_free(model->name);
    model->name = NULL;
    TL_TRY(tl_model_set_text(&model->name, from->name));
    for (size_t i = 0; i < from->n_sources; i++) {
        TL_TRY(get_source(from->sources[i], n_weights, model));
    }
    for (size_t i = 0; i < from->n_accuracies; i++) {
        TL_TRY(get_accuracy(space, &from->accuracies[i], model));
    }
    for (size_t i = 0; i < from->n_calibrations; i++) {
        TL_TRY(get_calibration(from->calibrations[i], model));
    }
    TL_TRY(get_prior(from->prior, model));
    TL_TRY(get_profiles(from, model));
    TL_TRY(get_provenance(from->provenance, model));
    if (from->optimizer.len > 0) {
        TL_TRY(tl_model_copy_bytes(
            from->optimizer.data, from->optimizer.len, &model->optimizer.data));
        model->optimizer.len = from->optimizer.len;
    }
    for (size_t i = 0; i < from->n_figures; i++) {
        const figure_message *f = from->figures[i];
        TL_TRY(tl_model_add_figure(model, f->part, f->subject, f->figure, f->value, f->n));
    }
    return TL_OK;
}

static tl_err check_identity(const tl_space *space, const model_message *message)
{
    if (strcmp(message->space, tl_space_name(space)) != 0) {
        return tl_fail(
            TL_ESTATE, "got a model of space %.128s, want one of %s", message->space,
            tl_space_name(space));
    }
    if (strcmp(message->space_digest, tl_space_digest(space)) != 0) {
        return tl_fail(TL_ESTATE, "trained for another definition of space %s", message->space);
    }
    if (message->features_version != TL_MODEL_FEATURES_VERSION) {
        return tl_fail(
            TL_EVERSION, "got features of version %u, want %d", message->features_version,
            (int)TL_MODEL_FEATURES_VERSION);
    }
    return TL_OK;
}

/* EINVAL from the wire means here that the file is damaged. */
static tl_err unpack(
    const ProtobufCMessageDescriptor *type,
    const uint8_t *data,
    size_t len,
    ProtobufCMessage **out)
{
    tl_err err = tl_wire_unpack(type, data, len, TL_WIRE_MAX_MEMORY_BYTES, out);
    return err == TL_EINVAL ? TL_EDAMAGED : err;
}

static tl_err check_envelope(const file_message *file)
{
    if (strcmp(file->magic, TL_MODEL_MAGIC) != 0) {
        return tl_fail(TL_EDAMAGED, "not a model file");
    }
    if (file->version == 0) {
        return tl_fail(TL_EDAMAGED, "cut short before its version");
    }
    if (file->version != TL_MODEL_VERSION) {
        return tl_fail(
            TL_EVERSION, "got version %u, want at most %d", file->version,
            (int)TL_MODEL_VERSION);
    }
    uint8_t sha256[TL_DIGEST_BYTES];
    tl_digest digest;
    tl_digest_init(&digest);
    tl_digest_add(&digest, file->model.data, file->model.len);
    tl_digest_end(&digest, sha256);
    if (file->sha256.len != sizeof sha256 ||
        memcmp(file->sha256.data, sha256, sizeof sha256) != 0) {
        return tl_fail(TL_EDAMAGED, "the checksum does not agree with the content");
    }
    return TL_OK;
}

static tl_err unpack_content(
    const tl_space *space, int n_weights, const file_message *file, tl_model **out_model)
{
    ProtobufCMessage *message = NULL;
    tl_model *model = NULL;
    TL_TRY(check_envelope(file));
    TL_TRY(unpack(
        &tailor__model__v1__model__descriptor, file->model.data, file->model.len, &message));
    tl_err err = check_identity(space, (model_message *)message);
    if (err == TL_OK) {
        err = tl_model_new(space, &model);
    }
    if (err == TL_OK) {
        err = get_parts(space, n_weights, (model_message *)message, model);
    }
    if (err == TL_OK) {
        *out_model = model;
        model = NULL;
    }
    tl_model_free(model);
    tl_wire_free(message);
    return err;
}

tl_err tl_model_unpack(
    const tl_space *space,
    int n_source_weights,
    const void *data,
    size_t len,
    const char *origin,
    tl_model **out_model)
{
    ProtobufCMessage *file = NULL;
    tl_err err = unpack(&tailor__model__v1__model_file__descriptor, data, len, &file);
    if (err == TL_OK) {
        err = unpack_content(space, n_source_weights, (file_message *)file, out_model);
    }
    tl_wire_free(file);
    return err == TL_OK ? TL_OK : tl_fail_in(err, "%s: ", origin);
}
