/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "predictors/calibrate.h"
#include "predictors/train_impl.h"

#include <math.h>

static bool report(void *context, int64_t done, int64_t total)
{
    return tl_training_progress(context, "confidence over left-out devices", done, total) ==
           TL_OK;
}

/* The devices of the cost that were fitted just now, with their measurements. */
static int collect(
    const tl_training *training,
    tl_cost cost,
    tl_calibration_device *devices,
    const char **names)
{
    const tl_train_options *options = training->options;
    int n = 0;
    for (int i = 0; i < options->n_columns; i++) {
        const tl_train_column *column = &options->columns[i];
        const tl_model_source *source =
            (int)column->metric == (int)cost
                ? tl_model_source_find(training->model, column->subject, cost)
                : NULL;
        if (source != NULL && column->n >= TL_TRAIN_MIN_DEVICE_ROWS) {
            names[n] = column->subject;
            devices[n] = (tl_calibration_device){
                .source = &source->source,
                .designs = column->designs,
                .values = column->values,
                .n = column->n};
            n++;
        }
    }
    return n;
}

static tl_err add_figures(
    tl_training *training,
    tl_cost cost,
    const char *const *names,
    const tl_calibration_figures *figures,
    int n)
{
    for (int d = 0; d < n; d++) {
        if (isnan(figures[d].spearman)) {
            continue;
        }
        TL_TRY(tl_model_add_figure(
            training->model, "left-out device, 20 samples", names[d], tl_cost_name(cost),
            figures[d].spearman, figures[d].n));
        TL_TRY(tl_model_add_figure(
            training->model, "left-out device, 20 samples, median error", names[d],
            tl_cost_name(cost), figures[d].median_error, figures[d].n));
    }
    return TL_OK;
}

static tl_err calibrate_cost(tl_training *training, tl_cost cost)
{
    size_t n = (size_t)training->options->n_columns;
    tl_calibration_device *devices = tl_mem_new(n, sizeof *devices);
    tl_calibration_figures *figures = tl_mem_new(n, sizeof *figures);
    const char **names = tl_mem_new(n, sizeof *names);
    tl_err err = devices == NULL || figures == NULL || names == NULL
                     ? tl_fail(TL_ENOMEM, "calibration over %zu devices", n)
                     : TL_OK;
    if (err == TL_OK) {
        tl_calibration_data data = {
            .features = training->features,
            .devices = devices,
            .n_devices = collect(training, cost, devices, names),
            .cost = cost,
            .accuracy =
                training->model->n_accuracies > 0 ? training->model->accuracies[0] : NULL,
            .seed = training->options->seed,
            .progress = report,
            .context = training};
        if (data.n_devices > 0) {
            err = tl_calibrate(&data, training->model, figures);
        }
        if (err == TL_OK) {
            err = add_figures(training, cost, names, figures, data.n_devices);
        }
    }
    tl_mem_free(devices);
    tl_mem_free(figures);
    tl_mem_free(names);
    return err;
}

tl_err tl_train_calibration(tl_training *training)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        TL_TRY(calibrate_cost(training, (tl_cost)c));
    }
    return TL_OK;
}
