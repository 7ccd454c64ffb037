/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/train.h"

#include "base/digest.h"
#include "base/mem.h"
#include "predictors/accuracy_codec.h"
#include "predictors/train_impl.h"

#include <stdio.h>
#include <string.h>

tl_err tl_training_progress(
    const tl_training *training, const char *what, int64_t done, int64_t total)
{
    const tl_train_options *options = training->options;
    if (options->progress != NULL && !options->progress(options->context, what, done, total)) {
        return tl_fail(TL_ECANCELLED, "training stopped at %s", what);
    }
    return TL_OK;
}

static tl_err add_table_sums(tl_training *training)
{
    const tl_train_options *options = training->options;
    size_t n_slots = (size_t)tl_space_n_slots(options->space);
    for (int i = 0; i < options->n_columns; i++) {
        const tl_train_column *column = &options->columns[i];
        char name[2 * TL_NAME_MAX_BYTES];
        char sha256[TL_DIGEST_HEX_BYTES];
        tl_digest digest;
        tl_digest_init(&digest);
        tl_digest_add(
            &digest, column->designs, (size_t)column->n * n_slots * sizeof *column->designs);
        tl_digest_add(&digest, column->values, (size_t)column->n * sizeof *column->values);
        tl_digest_hex_end(&digest, sha256);
        (void)snprintf(
            name, sizeof name, "%s@%s", tl_metric_name(column->metric), column->subject);
        TL_TRY(tl_model_add_table_sum(training->model, name, (uint64_t)column->n, sha256));
    }
    return TL_OK;
}

/* ---- what the base model keeps ------------------------------------------------------------ */

static tl_err keep_source(tl_training *training, const tl_model_source *kept)
{
    tl_source copy;
    TL_TRY(tl_source_copy(&kept->source, &copy));
    tl_err err = tl_model_add_source(training->model, kept->device, kept->cost, &copy);
    if (err != TL_OK) {
        tl_source_done(&copy);
    }
    return err;
}

/* Profiles of the base's devices, unless a column came with a newer one. */
static tl_err keep_profiles(tl_training *training, const tl_model *base)
{
    const tl_train_options *options = training->options;
    for (int i = 0; i < base->n_profiles; i++) {
        bool is_new = false;
        for (int k = 0; k < options->n_columns; k++) {
            const tl_profile *profile = options->columns[k].profile;
            is_new |= profile != NULL && strcmp(profile->name, base->profiles[i].name) == 0;
        }
        if (!is_new) {
            TL_TRY(tl_model_add_profile(training->model, &base->profiles[i]));
        }
    }
    return TL_OK;
}

static bool are_all_tasks_replaced(
    const tl_training *training, const tl_accuracy_model *accuracy)
{
    int ignored = 0;
    for (int k = 0; k < tl_accuracy_model_n_tasks(accuracy); k++) {
        const char *task = tl_accuracy_model_task(accuracy, k);
        if (tl_model_task_find(training->model, task, &ignored) == NULL) {
            return false;
        }
    }
    return true;
}

static tl_err keep_accuracy(tl_training *training, const tl_accuracy_model *kept)
{
    tl_bytes packed = {0};
    tl_accuracy_model *copy = NULL;
    TL_TRY(tl_accuracy_pack(kept, &packed));
    tl_err err = tl_accuracy_unpack(training->options->space, packed.data, packed.len, &copy);
    tl_mem_free(packed.data);
    if (err == TL_OK && (err = tl_model_add_accuracy(training->model, copy)) != TL_OK) {
        tl_accuracy_model_free(copy);
    }
    return err;
}

static bool has_new_calibration(const tl_model *model, tl_cost cost)
{
    for (int i = 0; i < model->n_calibrations; i++) {
        if (model->calibrations[i].cost == cost) {
            return true;
        }
    }
    return false;
}

static void keep_calibrations(tl_training *training, const tl_model *base)
{
    tl_model *model = training->model;
    bool is_new[TL_N_COSTS];
    if (model->prior.n_devices == 0) {
        model->prior = base->prior;
    }
    for (int c = 0; c < TL_N_COSTS; c++) {
        is_new[c] = has_new_calibration(model, (tl_cost)c);
        if (model->n_profiles == 0) {
            model->relatives_scale[c] = base->relatives_scale[c];
        }
    }
    for (int i = 0; i < base->n_calibrations; i++) {
        if (!is_new[base->calibrations[i].cost] &&
            model->n_calibrations < TL_MODEL_MAX_CALIBRATIONS) {
            model->calibrations[model->n_calibrations++] = base->calibrations[i];
        }
    }
}

/* Everything of the base that this training did not fit anew. */
static tl_err keep_base(tl_training *training)
{
    const tl_model *base = training->options->base;
    if (base == NULL) {
        return TL_OK;
    }
    bool drops_sources = training->options->drops_base_sources;
    for (int i = 0; !drops_sources && i < base->n_sources; i++) {
        const tl_model_source *source = &base->sources[i];
        if (tl_model_source_find(training->model, source->device, source->cost) == NULL) {
            TL_TRY(keep_source(training, source));
        }
    }
    for (int i = 0; i < base->n_accuracies; i++) {
        /* a task that both know is found in the new model first */
        if (!are_all_tasks_replaced(training, base->accuracies[i])) {
            TL_TRY(keep_accuracy(training, base->accuracies[i]));
        }
    }
    if (drops_sources) {
        return TL_OK;
    }
    keep_calibrations(training, base);
    return keep_profiles(training, base);
}

/* ---- in order ------------------------------------------------------------------------------- */

static tl_err set_provenance(tl_training *training)
{
    const tl_train_options *options = training->options;
    tl_model *model = training->model;
    model->seed = options->seed;
    if (options->command != NULL) {
        char *command = tl_mem_strdup(options->command);
        if (command == NULL) {
            return tl_fail(TL_ENOMEM, "the command");
        }
        tl_mem_free(model->command);
        model->command = command;
    }
    return add_table_sums(training);
}

static tl_err fit_parts(tl_training *training)
{
    TL_TRY(set_provenance(training));
    TL_TRY(tl_train_devices(training));
    TL_TRY(tl_train_relatives(training));
    TL_TRY(tl_train_tasks(training));
    TL_TRY(tl_train_calibration(training));
    if (training->model->n_sources == 0 && training->model->n_accuracies == 0) {
        return tl_fail(
            TL_ESTATE,
            "nothing could be trained: want a device with %d measurements or a task with %d",
            (int)TL_TRAIN_MIN_DEVICE_ROWS, (int)TL_TRAIN_MIN_TASK_ROWS);
    }
    return keep_base(training);
}

tl_err tl_train(const tl_train_options *options, tl_text *notes, tl_model **out_model)
{
    tl_training training = {.options = options, .notes = notes};
    tl_err err = tl_features_new(options->space, &training.features);
    if (err == TL_OK && (err = tl_model_new(options->space, &training.model)) == TL_OK &&
        (err = fit_parts(&training)) == TL_OK) {
        *out_model = training.model;
        training.model = NULL;
    }
    tl_model_free(training.model);
    tl_features_free(training.features);
    return err;
}
