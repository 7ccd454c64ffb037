/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/model_codec.h"

#include "base/digest.h"
#include "base/mem.h"
#include "device-profiles/profile_codec.h"
#include "predictors/accuracy_codec.h"

#include <string.h>

/* Everything in a message is from tl_mem_new(), so that tl_wire_free() releases it. */

tl_err tl_model_set_text(char **field, const char *text)
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
    for (uint32_t b = 0; b < TL_MODEL_N_BINS; b++) {
        n += from->weights[b] != 0;
    }
    to->bins = tl_mem_new(n, sizeof *to->bins);
    to->weights = tl_mem_new(n, sizeof *to->weights);
    if (to->bins == NULL || to->weights == NULL) {
        return tl_fail(TL_ENOMEM, "bins of a model file");
    }
    for (uint32_t b = 0; b < TL_MODEL_N_BINS; b++) {
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
    TL_TRY(tl_model_set_text(&to->device, from->device));
    TL_TRY(tl_model_set_text(&to->metric, tl_cost_name(from->cost)));
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
        TL_TRY(tl_model_set_text(&to->metric, tl_cost_name(from->cost)));
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
    TL_TRY(tl_model_set_text(&to->command, model->command));
    TL_TRY(new_messages(
        (size_t)model->n_table_sums, &tailor__model__v1__table_sum__descriptor, &to->n_tables,
        (ProtobufCMessage ***)&to->tables));
    for (int i = 0; i < model->n_table_sums; i++) {
        sum_message *sum = to->tables[i];
        TL_TRY(tl_model_set_text(&sum->column, model->table_sums[i].column));
        TL_TRY(tl_model_set_text(&sum->sha256, model->table_sums[i].sha256));
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
        TL_TRY(tl_model_set_text(&to->part, from->part));
        TL_TRY(tl_model_set_text(&to->subject, from->subject));
        TL_TRY(tl_model_set_text(&to->figure, from->figure));
        to->value = from->value;
        to->n = from->n;
    }
    return TL_OK;
}

tl_err tl_model_copy_bytes(const uint8_t *from, size_t len, uint8_t **out)
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
        TL_TRY(tl_model_copy_bytes(
            model->optimizer.data, model->optimizer.len, &message->optimizer.data));
        message->optimizer.len = model->optimizer.len;
    }
    return TL_OK;
}

static tl_err put_model(const tl_model *model, model_message *message)
{
    TL_TRY(tl_model_set_text(&message->name, model->name));
    TL_TRY(tl_model_set_text(&message->space, model->space));
    TL_TRY(tl_model_set_text(&message->space_digest, model->space_digest));
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
    char name[] = TL_MODEL_MAGIC;
    uint8_t sha256[TL_DIGEST_BYTES];
    tl_digest digest;
    tl_digest_init(&digest);
    tl_digest_add(&digest, content.data, content.len);
    tl_digest_end(&digest, sha256);
    file_message file;
    tailor__model__v1__model_file__init(&file);
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
