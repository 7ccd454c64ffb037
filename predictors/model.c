/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/model.h"

#include "base/clock.h"
#include "base/mem.h"
#include "predictors/relatives.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_BYTES = 192,
    DEFAULT_NOISE_DOF = 2 /* a head with samples has tl_confidence_dof() */
};

const char *tl_cost_name(tl_cost cost)
{
    return tl_metric_name((tl_metric)cost);
}

tl_err tl_model_new(const tl_space *space, tl_model **out_model)
{
    char name[NAME_BYTES];
    tl_model *model = tl_mem_new(1, sizeof *model);
    if (model == NULL) {
        return tl_fail(TL_ENOMEM, "a model");
    }
    model->created_unix_s = tl_clock_unix_s();
    (void)snprintf(
        name, sizeof name, "%s-%08llx", tl_space_name(space),
        (unsigned long long)model->created_unix_s);
    model->name = tl_mem_strdup(name);
    model->space = tl_mem_strdup(tl_space_name(space));
    model->space_digest = tl_mem_strdup(tl_space_digest(space));
    model->command = tl_mem_strdup("");
    model->prior = tl_prior_default;
    for (int c = 0; c < TL_N_COSTS; c++) {
        model->relatives_scale[c] = 1;
    }
    if (model->name == NULL || model->space == NULL || model->space_digest == NULL ||
        model->command == NULL) {
        tl_model_free(model);
        return tl_fail(TL_ENOMEM, "a model");
    }
    *out_model = model;
    return TL_OK;
}

static void free_parts(tl_model *model)
{
    for (int i = 0; i < model->n_sources; i++) {
        tl_mem_free(model->sources[i].device);
        tl_source_done(&model->sources[i].source);
    }
    for (int i = 0; i < model->n_accuracies; i++) {
        tl_accuracy_model_free(model->accuracies[i]);
    }
    for (int i = 0; i < model->n_table_sums; i++) {
        tl_mem_free(model->table_sums[i].column);
    }
    for (int i = 0; i < model->n_figures; i++) {
        tl_mem_free(model->figures[i].part);
        tl_mem_free(model->figures[i].subject);
        tl_mem_free(model->figures[i].figure);
    }
}

void tl_model_free(tl_model *model)
{
    if (model == NULL) {
        return;
    }
    free_parts(model);
    tl_mem_free(model->sources);
    tl_mem_free(model->profiles);
    tl_mem_free(model->accuracies);
    tl_mem_free(model->optimizer.data);
    tl_mem_free(model->table_sums);
    tl_mem_free(model->figures);
    tl_mem_free(model->name);
    tl_mem_free(model->space);
    tl_mem_free(model->space_digest);
    tl_mem_free(model->command);
    tl_mem_free(model);
}

/* Room for one more item; the array stays as it is on failure. */
static tl_err grow(void **items, int n, size_t size)
{
    void *grown = tl_mem_resize(*items, (size_t)n + 1, size);
    if (grown == NULL) {
        return tl_fail(TL_ENOMEM, "one more part of a model");
    }
    *items = grown;
    return TL_OK;
}

tl_err tl_model_add_source(
    tl_model *model, const char *device, tl_cost cost, const tl_source *source)
{
    void *items = model->sources;
    TL_TRY(grow(&items, model->n_sources, sizeof *model->sources));
    model->sources = items;
    char *name = tl_mem_strdup(device);
    if (name == NULL) {
        return tl_fail(TL_ENOMEM, "a source device");
    }
    model->sources[model->n_sources++] =
        (tl_model_source){.device = name, .cost = cost, .source = *source};
    return TL_OK;
}

tl_err tl_model_add_accuracy(tl_model *model, tl_accuracy_model *accuracy)
{
    void *items = model->accuracies;
    TL_TRY(grow(&items, model->n_accuracies, sizeof *model->accuracies));
    model->accuracies = items;
    model->accuracies[model->n_accuracies++] = accuracy;
    return TL_OK;
}

tl_err tl_model_add_figure(
    tl_model *model,
    const char *part,
    const char *subject,
    const char *figure,
    double value,
    uint64_t n)
{
    void *items = model->figures;
    TL_TRY(grow(&items, model->n_figures, sizeof *model->figures));
    model->figures = items;
    tl_model_figure fresh = {
        .part = tl_mem_strdup(part),
        .subject = tl_mem_strdup(subject),
        .figure = tl_mem_strdup(figure),
        .value = value,
        .n = n};
    if (fresh.part == NULL || fresh.subject == NULL || fresh.figure == NULL) {
        tl_mem_free(fresh.part);
        tl_mem_free(fresh.subject);
        tl_mem_free(fresh.figure);
        return tl_fail(TL_ENOMEM, "a figure of a model");
    }
    model->figures[model->n_figures++] = fresh;
    return TL_OK;
}

tl_err tl_model_add_table_sum(
    tl_model *model, const char *column, uint64_t n_values, const char *sha256)
{
    void *items = model->table_sums;
    TL_TRY(grow(&items, model->n_table_sums, sizeof *model->table_sums));
    model->table_sums = items;
    tl_model_table_sum fresh = {.column = tl_mem_strdup(column), .n_values = n_values};
    if (fresh.column == NULL) {
        return tl_fail(TL_ENOMEM, "a column's checksum");
    }
    (void)snprintf(fresh.sha256, sizeof fresh.sha256, "%s", sha256);
    model->table_sums[model->n_table_sums++] = fresh;
    return TL_OK;
}

static tl_profile *find_profile(const tl_model *model, const char *device)
{
    for (int i = 0; i < model->n_profiles; i++) {
        if (strcmp(model->profiles[i].name, device) == 0) {
            return &model->profiles[i];
        }
    }
    return NULL;
}

tl_err tl_model_add_profile(tl_model *model, const tl_profile *profile)
{
    tl_profile *old = find_profile(model, profile->name);
    if (old != NULL) {
        *old = *profile;
        return TL_OK;
    }
    void *items = model->profiles;
    TL_TRY(grow(&items, model->n_profiles, sizeof *model->profiles));
    model->profiles = items;
    model->profiles[model->n_profiles++] = *profile;
    return TL_OK;
}

tl_err tl_model_relatives(
    const tl_model *model,
    tl_cost cost,
    const char *except,
    tl_relative **out_relatives,
    int *out_n)
{
    int n = 0;
    tl_relative *relatives = tl_mem_new((size_t)model->n_sources, sizeof *relatives);
    if (relatives == NULL) {
        return tl_fail(TL_ENOMEM, "%d known devices", model->n_sources);
    }
    for (int i = 0; i < model->n_sources; i++) {
        const tl_model_source *known = &model->sources[i];
        const tl_profile *profile = find_profile(model, known->device);
        if (known->cost != cost || profile == NULL || !tl_relatives_can_tell(profile) ||
            (except != NULL && strcmp(known->device, except) == 0)) {
            continue;
        }
        relatives[n] = (tl_relative){.profile = profile, .source = &known->source};
        if (cost == TL_COST_ENERGY) {
            const tl_model_source *latency =
                tl_model_source_find(model, known->device, TL_COST_LATENCY);
            if (latency == NULL) {
                continue;
            }
            relatives[n].latency = &latency->source;
        }
        n++;
    }
    *out_relatives = relatives;
    *out_n = n;
    return TL_OK;
}

const tl_model_source *tl_model_source_find(
    const tl_model *model, const char *device, tl_cost cost)
{
    for (int i = 0; i < model->n_sources; i++) {
        const tl_model_source *source = &model->sources[i];
        if (source->cost == cost && strcmp(source->device, device) == 0) {
            return source;
        }
    }
    return NULL;
}

const tl_accuracy_model *tl_model_task_find(
    const tl_model *model, const char *task, int *out_output)
{
    for (int i = 0; i < model->n_accuracies; i++) {
        const tl_accuracy_model *accuracy = model->accuracies[i];
        for (int k = 0; k < tl_accuracy_model_n_tasks(accuracy); k++) {
            if (strcmp(tl_accuracy_model_task(accuracy, k), task) == 0) {
                *out_output = k;
                return accuracy;
            }
        }
    }
    return NULL;
}

/* The row with the most samples that is not above n; NULL below the first row. */
static const tl_model_calibration *calibration_of(const tl_model *model, tl_cost cost, int n)
{
    const tl_model_calibration *best = NULL;
    for (int i = 0; i < model->n_calibrations; i++) {
        const tl_model_calibration *row = &model->calibrations[i];
        if (row->cost == cost && row->n_samples <= n &&
            (best == NULL || row->n_samples > best->n_samples)) {
            best = row;
        }
    }
    return best;
}

void tl_model_confidence(
    const tl_model *model,
    tl_cost cost,
    int n_samples,
    const tl_margin_unit *unit,
    tl_confidence *out)
{
    double dof = n_samples > 0 ? tl_confidence_dof(n_samples) : DEFAULT_NOISE_DOF;
    const tl_model_calibration *row =
        model != NULL ? calibration_of(model, cost, n_samples) : NULL;
    if (row == NULL) {
        tl_confidence_nominal(dof, out);
        return;
    }
    tl_confidence_calibrated(dof, row->z, out);
    out->unit = *unit;
}
