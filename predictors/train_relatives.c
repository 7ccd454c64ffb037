/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "numerics/stats.h"
#include "predictors/train_impl.h"

#include <math.h>
#include <string.h>

enum {
    JUDGED = 400, /* measured designs of each left-out device */
    MIN_KNOWN = 3 /* that a scale can be learnt from */
};

static const double most_deviations = 9; /* squared: one odd device does not rule the scale */
static const double least_scale = .3;
static const double least_relative = .02;

/* One left-out device: designs, their measured values and the log prediction. */
typedef struct trial {
    tl_choice *designs;
    double *values, *logs, *errors; /* [JUDGED] each */
    int n;
} trial;

static void trial_done(trial *t)
{
    tl_mem_free(t->designs);
    tl_mem_free(t->values);
}

/* Pair with trial_done() also where it fails. */
static tl_err trial_init(const tl_training *training, const tl_train_column *column, trial *t)
{
    size_t width = (size_t)tl_space_n_slots(training->options->space);
    int stride = column->n > JUDGED ? column->n / JUDGED : 1;
    *t = (trial){0};
    t->designs = tl_mem_new(JUDGED * width, sizeof *t->designs);
    t->values = tl_mem_new(3 * JUDGED, sizeof *t->values);
    if (t->designs == NULL || t->values == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", (int)JUDGED);
    }
    t->logs = t->values + JUDGED;
    t->errors = t->logs + JUDGED;
    for (int i = 0; i < column->n && t->n < JUDGED; i += stride) {
        memcpy(
            t->designs + (size_t)t->n * width, column->designs + (size_t)i * width,
            width * sizeof *t->designs);
        t->values[t->n++] = column->values[i];
    }
    return TL_OK;
}

/* logs += log of the device's own latency: energy is judged where latency is known. */
static tl_err add_latency(const tl_training *training, const char *device, trial *t)
{
    const tl_model_source *known =
        tl_model_source_find(training->model, device, TL_COST_LATENCY);
    tl_dmat rows = {0};
    TL_TRY(tl_dmat_init(&rows, t->n, tl_features_n_source(training->features)));
    tl_err err = tl_features_encode(training->features, t->designs, t->n, (tl_dmat){0}, rows);
    if (err == TL_OK) {
        tl_source_predict(&known->source, tl_dro(rows), t->errors);
        for (int i = 0; i < t->n; i++) {
            t->logs[i] += log(known->source.median * fmax(t->errors[i], least_relative));
        }
    }
    tl_dmat_done(&rows);
    return err;
}

static tl_err add_figures(tl_training *training, const tl_train_column *column, trial *t)
{
    double rho = 0;
    const char *metric = tl_metric_name(column->metric);
    TL_TRY(tl_spearman(t->n, t->logs, t->values, &rho));
    double level = exp(fabs(tl_median_inplace(t->n, t->errors))) - 1;
    TL_TRY(tl_model_add_figure(
        training->model, "held-out devices, from the profile", column->subject, metric, rho,
        (uint64_t)t->n));
    return tl_model_add_figure(
        training->model, "held-out devices, from the profile, error of the level",
        column->subject, metric, level, (uint64_t)t->n);
}

/* Squared errors over the variance of one device by the others; 0 where they cannot tell. */
static tl_err judge_device(
    tl_training *training, const tl_train_column *column, double *out_ratio)
{
    tl_cost cost = (tl_cost)column->metric;
    tl_relative *relatives = NULL;
    tl_known *known = NULL;
    tl_zero_shot shot = {0};
    trial t = {0};
    int n = 0;
    *out_ratio = 0;
    tl_err err = tl_model_relatives(training->model, cost, column->subject, &relatives, &n);
    bool knows_latency =
        cost == TL_COST_LATENCY ||
        tl_model_source_find(training->model, column->subject, TL_COST_LATENCY) != NULL;
    if (err != TL_OK || n < TL_KNOWN_LEAST || !knows_latency) {
        goto done;
    }
    if ((err = trial_init(training, column, &t)) != TL_OK ||
        (err = tl_known_new(training->features, relatives, n, &known)) != TL_OK ||
        (err = tl_zero_shot_init(known, column->profile, 1, &shot)) != TL_OK ||
        (err = tl_zero_shot_predict(&shot, t.designs, t.n, t.logs)) != TL_OK ||
        (cost == TL_COST_ENERGY &&
         (err = add_latency(training, column->subject, &t)) != TL_OK)) {
        goto done;
    }
    double variance = shot.log_sd * shot.log_sd;
    for (int i = 0; i < t.n; i++) {
        t.errors[i] = t.logs[i] - log(t.values[i]);
        *out_ratio += fmin(t.errors[i] * t.errors[i] / variance, most_deviations) / t.n;
    }
    err = add_figures(training, column, &t);
done:
    trial_done(&t);
    tl_zero_shot_done(&shot);
    tl_known_free(known);
    tl_mem_free(relatives);
    return err;
}

static bool is_known(const tl_training *training, const tl_train_column *column)
{
    return tl_metric_is_of_device(column->metric) && column->profile != NULL &&
           strcmp(column->profile->name, column->subject) == 0 &&
           tl_model_source_find(training->model, column->subject, (tl_cost)column->metric) !=
               NULL;
}

tl_err tl_train_relatives(tl_training *training)
{
    const tl_train_options *options = training->options;
    double sums[TL_N_COSTS] = {0};
    int n[TL_N_COSTS] = {0};
    for (int i = 0; i < options->n_columns; i++) {
        if (is_known(training, &options->columns[i])) {
            TL_TRY(tl_model_add_profile(training->model, options->columns[i].profile));
        }
    }
    for (int i = 0; i < options->n_columns; i++) {
        const tl_train_column *column = &options->columns[i];
        double ratio = 0;
        if (is_known(training, column)) {
            TL_TRY(judge_device(training, column, &ratio));
            sums[column->metric] += ratio;
            n[column->metric] += ratio > 0;
        }
    }
    for (int c = 0; c < TL_N_COSTS; c++) {
        if (n[c] >= MIN_KNOWN) {
            /* one device that is as it should be, for prudence */
            training->model->relatives_scale[c] = fmax((sums[c] + 1) / (n[c] + 1), least_scale);
        }
    }
    return TL_OK;
}
