/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"
#include "base/mem.h"
#include "device-profiles/profile_codec.h"
#include "predictors/accuracy_codec.h"
#include "predictors/model.h"
#include "proto/model.pb-c.h"
#include "proto/wire.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef Tailor__Model__V1__ModelFile file_message;
typedef Tailor__Model__V1__Model model_message;
typedef Tailor__Model__V1__Source source_message;
typedef Tailor__Model__V1__Binning binning_message;
typedef Tailor__Model__V1__Calibration calibration_message;
typedef Tailor__Model__V1__Prior prior_message;
typedef Tailor__Model__V1__Provenance provenance_message;
typedef Tailor__Model__V1__TableSum sum_message;
typedef Tailor__Model__V1__Figure figure_message;

static const char magic[] = "tailor-model";

enum {
    N_BINS = TL_BINNING_GRIDS * TL_BINNING_BINS
};

/* ---- to a message: everything from tl_mem_new(), so that tl_wire_free() releases it ---- */

static tl_err set_text(char **field, const char *text)
{
    char *copy = tl_mem_strdup(text);
    if (copy == NULL) {
        return tl_fail(TL_ENOMEM, "a text of a model file");
    }
    *field = copy;
    return TL_OK;
}

/* An array of n messages of one type, each zero-initialized. */
static tl_err new_messages(
    size_t n, const ProtobufCMessageDescriptor *type, size_t *out_n, ProtobufCMessage ***out)
{
    *out = tl_mem_new(n, sizeof **out);
    if (*out == NULL) {
        return tl_fail(TL_ENOMEM, "%zu parts of a model file", n);
    }
    for (size_t i = 0; i < n; i++) {
        (*out)[i] = tl_wire_new(type);
        if ((*out)[i] == NULL) {
            return tl_fail(TL_ENOMEM, "%zu parts of a model file", n);
        }
        *out_n = i + 1;
    }
    return TL_OK;
}

static tl_err new_doubles(int n, const double *from, size_t *out_n, double **out)
{
    *out = tl_mem_new((size_t)n, sizeof **out);
    if (*out == NULL) {
        return tl_fail(TL_ENOMEM, "%d numbers of a model file", n);
    }
    memcpy(*out, from, (size_t)n * sizeof **out);
    *out_n = (size_t)n;
    return TL_OK;
}

static tl_err put_shape(const tl_binning *from, source_message *source)
{
    ProtobufCMessage *made = tl_wire_new(&tailor__model__v1__binning__descriptor);
    if (made == NULL) {
        return tl_fail(TL_ENOMEM, "bins of a model file");
    }
    binning_message *to = source->shape = (binning_message *)made;
    uint32_t n = 0;
    for (uint32_t b = 0; b < N_BINS; b++) {
        n += from->weights[b] != 0;
    }
    to->bins = tl_mem_new(n, sizeof *to->bins);
    to->weights = tl_mem_new(n, sizeof *to->weights);
    if (to->bins == NULL || to->weights == NULL) {
        return tl_fail(TL_ENOMEM, "bins of a model file");
    }
    for (uint32_t b = 0; b < N_BINS; b++) {
        if (from->weights[b] != 0) {
            to->bins[to->n_bins++] = b;
            to->weights[to->n_weights++] = (float)from->weights[b];
        }
    }
    to->begin = (uint32_t)from->begin;
    to->end = (uint32_t)from->end;
    to->scale = from->scale;
    to->mean = from->mean;
    return TL_OK;
}

static tl_err put_source(const tl_model_source *from, source_message *to)
{
    const tl_source *source = &from->source;
    TL_TRY(set_text(&to->device, from->device));
    TL_TRY(set_text(&to->metric, tl_cost_name(from->cost)));
    to->n_samples = (uint32_t)source->n_samples;
    to->mean = source->mean;
    to->median = source->median;
    to->loo_sd = source->loo_sd;
    to->ref_mean = source->ref_mean;
    to->ref_sd = source->ref_sd;
    to->weights = tl_mem_new((size_t)source->n_weights, sizeof *to->weights);
    if (to->weights == NULL) {
        return tl_fail(TL_ENOMEM, "weights of a model file");
    }
    to->n_weights = (size_t)source->n_weights;
    for (size_t i = 0; i < to->n_weights; i++) {
        to->weights[i] = (float)source->weights[i];
    }
    return source->shape.weights != NULL ? put_shape(&source->shape, to) : TL_OK;
}

static tl_err put_sources(const tl_model *model, model_message *message)
{
    TL_TRY(new_messages(
        (size_t)model->n_sources, &tailor__model__v1__source__descriptor, &message->n_sources,
        (ProtobufCMessage ***)&message->sources));
    for (int i = 0; i < model->n_sources; i++) {
        TL_TRY(put_source(&model->sources[i], message->sources[i]));
    }
    return TL_OK;
}

static tl_err put_profiles(const tl_model *model, model_message *message)
{
    message->profiles = tl_mem_new((size_t)model->n_profiles, sizeof *message->profiles);
    if (message->profiles == NULL) {
        return tl_fail(TL_ENOMEM, "profiles of a model file");
    }
    for (int i = 0; i < model->n_profiles; i++) {
        uint8_t *data = NULL;
        size_t len = 0;
        TL_TRY(tl_profile_pack(&model->profiles[i], &data, &len));
        message->profiles[i] = (ProtobufCBinaryData){.len = len, .data = data};
        message->n_profiles++;
    }
    return new_doubles(
        TL_N_COSTS, model->relatives_scale, &message->n_relatives_scale,
        &message->relatives_scale);
}

static tl_err put_accuracies(const tl_model *model, model_message *message)
{
    message->accuracies = tl_mem_new((size_t)model->n_accuracies, sizeof *message->accuracies);
    if (message->accuracies == NULL) {
        return tl_fail(TL_ENOMEM, "accuracy models of a model file");
    }
    for (int i = 0; i < model->n_accuracies; i++) {
        tl_bytes packed = {0};
        TL_TRY(tl_accuracy_pack(model->accuracies[i], &packed));
        message->accuracies[i] = (ProtobufCBinaryData){.len = packed.len, .data = packed.data};
        message->n_accuracies++;
    }
    return TL_OK;
}

static tl_err put_calibrations(const tl_model *model, model_message *message)
{
    TL_TRY(new_messages(
        (size_t)model->n_calibrations, &tailor__model__v1__calibration__descriptor,
        &message->n_calibrations, (ProtobufCMessage ***)&message->calibrations));
    for (int i = 0; i < model->n_calibrations; i++) {
        const tl_model_calibration *from = &model->calibrations[i];
        calibration_message *to = message->calibrations[i];
        TL_TRY(set_text(&to->metric, tl_cost_name(from->cost)));
        to->n_samples = (uint32_t)from->n_samples;
        to->is_typical = true;
        TL_TRY(new_doubles(TL_CALIBRATION_LEVELS, from->z, &to->n_z, &to->z));
    }
    return TL_OK;
}

static tl_err put_prior(const tl_model *model, model_message *message)
{
    ProtobufCMessage *made = tl_wire_new(&tailor__model__v1__prior__descriptor);
    if (made == NULL) {
        return tl_fail(TL_ENOMEM, "the prior of a model file");
    }
    prior_message *to = message->prior = (prior_message *)made;
    to->log_factor = model->prior.log_factor;
    to->log_factor_sd = model->prior.log_factor_sd;
    to->log_launch_us = model->prior.log_launch_us;
    to->log_launch_sd = model->prior.log_launch_sd;
    to->n_devices = (uint32_t)model->prior.n_devices;
    return TL_OK;
}

static tl_err put_provenance(const tl_model *model, model_message *message)
{
    ProtobufCMessage *made = tl_wire_new(&tailor__model__v1__provenance__descriptor);
    if (made == NULL) {
        return tl_fail(TL_ENOMEM, "the provenance of a model file");
    }
    provenance_message *to = message->provenance = (provenance_message *)made;
    to->created_unix_s = model->created_unix_s;
    to->seed = model->seed;
    TL_TRY(set_text(&to->command, model->command));
    TL_TRY(new_messages(
        (size_t)model->n_table_sums, &tailor__model__v1__table_sum__descriptor, &to->n_tables,
        (ProtobufCMessage ***)&to->tables));
    for (int i = 0; i < model->n_table_sums; i++) {
        sum_message *sum = to->tables[i];
        TL_TRY(set_text(&sum->column, model->table_sums[i].column));
        TL_TRY(set_text(&sum->sha256, model->table_sums[i].sha256));
        sum->n_values = model->table_sums[i].n_values;
    }
    return TL_OK;
}

static tl_err put_figures(const tl_model *model, model_message *message)
{
    TL_TRY(new_messages(
        (size_t)model->n_figures, &tailor__model__v1__figure__descriptor, &message->n_figures,
        (ProtobufCMessage ***)&message->figures));
    for (int i = 0; i < model->n_figures; i++) {
        const tl_model_figure *from = &model->figures[i];
        figure_message *to = message->figures[i];
        TL_TRY(set_text(&to->part, from->part));
        TL_TRY(set_text(&to->subject, from->subject));
        TL_TRY(set_text(&to->figure, from->figure));
        to->value = from->value;
        to->n = from->n;
    }
    return TL_OK;
}

static tl_err copy_bytes(const uint8_t *from, size_t len, uint8_t **out)
{
    uint8_t *copy = tl_mem_new(len, 1);
    if (copy == NULL) {
        return tl_fail(TL_ENOMEM, "%zu bytes of a model file", len);
    }
    memcpy(copy, from, len);
    *out = copy;
    return TL_OK;
}

static tl_err put_optimizer(const tl_model *model, model_message *message)
{
    if (model->optimizer.len > 0) {
        TL_TRY(
            copy_bytes(model->optimizer.data, model->optimizer.len, &message->optimizer.data));
        message->optimizer.len = model->optimizer.len;
    }
    return TL_OK;
}

static tl_err put_model(const tl_model *model, model_message *message)
{
    TL_TRY(set_text(&message->name, model->name));
    TL_TRY(set_text(&message->space, model->space));
    TL_TRY(set_text(&message->space_digest, model->space_digest));
    message->features_version = TL_MODEL_FEATURES_VERSION;
    TL_TRY(put_sources(model, message));
    TL_TRY(put_accuracies(model, message));
    TL_TRY(put_calibrations(model, message));
    TL_TRY(put_prior(model, message));
    TL_TRY(put_profiles(model, message));
    TL_TRY(put_provenance(model, message));
    TL_TRY(put_optimizer(model, message));
    return put_figures(model, message);
}

/* The envelope borrows content. */
static tl_err pack_envelope(tl_bytes content, tl_bytes *out)
{
    char name[sizeof magic];
    uint8_t sha256[TL_DIGEST_BYTES];
    tl_digest digest;
    tl_digest_init(&digest);
    tl_digest_add(&digest, content.data, content.len);
    tl_digest_end(&digest, sha256);
    file_message file;
    tailor__model__v1__model_file__init(&file);
    memcpy(name, magic, sizeof magic);
    file.magic = name;
    file.version = TL_MODEL_VERSION;
    file.sha256 = (ProtobufCBinaryData){.len = sizeof sha256, .data = sha256};
    file.model = (ProtobufCBinaryData){.len = content.len, .data = content.data};
    return tl_wire_pack(&file.base, out);
}

tl_err tl_model_pack(const tl_model *model, tl_bytes *out)
{
    tl_bytes content = {0};
    ProtobufCMessage *message = tl_wire_new(&tailor__model__v1__model__descriptor);
    if (message == NULL) {
        return tl_fail(TL_ENOMEM, "a model file");
    }
    tl_err err = put_model(model, (model_message *)message);
    if (err == TL_OK) {
        err = tl_wire_pack(message, &content);
    }
    if (err == TL_OK) {
        err = pack_envelope(content, out);
    }
    tl_mem_free(content.data);
    tl_wire_free(message);
    return err;
}

/* ---- from a message --------------------------------------------------------------------- */

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
        is_valid = from->bins[i] < N_BINS && isfinite(from->weights[i]);
    }
    if (!is_valid) {
        return tl_fail(TL_EDAMAGED, "bins of a source: a number is out of range");
    }
    out->weights = tl_mem_new(N_BINS, sizeof *out->weights);
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
    TL_TRY(set_text(&model->command, from->command));
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
    TL_TRY(set_text(&model->name, from->name));
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
        TL_TRY(copy_bytes(from->optimizer.data, from->optimizer.len, &model->optimizer.data));
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
    if (strcmp(file->magic, magic) != 0) {
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
