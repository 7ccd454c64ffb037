/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "numerics/rng.h"
#include "numerics/stats.h"
#include "predictors/prior.h"
#include "predictors/train_impl.h"

#include <math.h>
#include <string.h>

enum {
    HELD_OUT_SHARE = 5, /* one row in this many */
    PRIOR_DESIGNS = 100 /* per device, for the factor over the roofline */
};

/* Source rows of the last column's designs: tables have the same designs in all columns. */
typedef struct row_cache {
    const tl_choice *designs;
    int n;
    tl_dmat rows;
} row_cache;

static tl_err rows_of(tl_training *training, const tl_train_column *column, row_cache *cache)
{
    size_t bytes = (size_t)column->n * (size_t)tl_space_n_slots(training->options->space) *
                   sizeof *column->designs;
    if (cache->designs != NULL && cache->n == column->n &&
        memcmp(cache->designs, column->designs, bytes) == 0) {
        return TL_OK;
    }
    tl_dmat_done(&cache->rows);
    cache->designs = NULL;
    TL_TRY(tl_dmat_init(&cache->rows, column->n, tl_features_n_source(training->features)));
    TL_TRY(tl_features_encode(
        training->features, column->designs, column->n, (tl_dmat){0}, cache->rows));
    cache->designs = column->designs;
    cache->n = column->n;
    return TL_OK;
}

/* ---- held-out designs ------------------------------------------------------------------ */

static tl_err gather(
    tl_dmat rows, const double *values, const int *order, int n, tl_dmat *out_x, double *out_y)
{
    TL_TRY(tl_dmat_init(out_x, n, rows.cols));
    for (int i = 0; i < n; i++) {
        memcpy(
            tl_dmat_row(*out_x, i), tl_dmat_row(rows, order[i]),
            (size_t)rows.cols * sizeof *rows.data);
        out_y[i] = values[order[i]];
    }
    return TL_OK;
}

/* relative [n] is overwritten. */
static double median_error(int n, double *relative, double unit, const double *y)
{
    for (int i = 0; i < n; i++) {
        relative[i] = fabs(relative[i] * unit / y[i] - 1);
    }
    return tl_median_inplace(n, relative);
}

/* Fits on four fifths, judges on the fifth. order [n] is scratch, y [2 n] too. */
static tl_err judge_held_out(
    tl_training *training, const tl_train_column *column, tl_dmat rows, int *order, double *y)
{
    tl_err err = TL_OK;
    tl_dmat train = {0};
    tl_dmat test = {0};
    tl_source source = {0};
    double rho = 0;
    tl_rng rng;
    int n_test = column->n / HELD_OUT_SHARE;
    int n_train = column->n - n_test;
    tl_rng_init(&rng, training->options->seed);
    tl_rng_permutation(&rng, column->n, order);
    double *y_test = y + n_train;
    double *relative = y + column->n;
    if ((err = gather(rows, column->values, order, n_train, &train, y)) != TL_OK ||
        (err = gather(rows, column->values, order + n_train, n_test, &test, y_test)) != TL_OK ||
        (err = tl_source_fit(&source, tl_dro(train), y)) != TL_OK) {
        goto done;
    }
    tl_source_predict(&source, tl_dro(test), relative);
    if ((err = tl_spearman(n_test, relative, y_test, &rho)) != TL_OK) {
        goto done;
    }
    const char *metric = tl_metric_name(column->metric);
    double error = median_error(n_test, relative, source.median, y_test);
    if ((err = tl_model_add_figure(
             training->model, "held-out designs", column->subject, metric, rho,
             (uint64_t)n_test)) == TL_OK) {
        err = tl_model_add_figure(
            training->model, "held-out designs, median error", column->subject, metric, error,
            (uint64_t)n_test);
    }
done:
    tl_source_done(&source);
    tl_dmat_done(&train);
    tl_dmat_done(&test);
    return err;
}

/* ---- one device --------------------------------------------------------------------------- */

static tl_err fit_device(tl_training *training, const tl_train_column *column, row_cache *cache)
{
    tl_source source = {0};
    int *order = tl_mem_new((size_t)column->n, sizeof *order);
    double *y = tl_mem_new((size_t)column->n * 2, sizeof *y);
    tl_err err = order == NULL || y == NULL ? tl_fail(TL_ENOMEM, "%d measurements", column->n)
                                            : rows_of(training, column, cache);
    if (err == TL_OK) {
        err = judge_held_out(training, column, cache->rows, order, y);
    }
    if (err == TL_OK) {
        err = tl_source_fit(&source, tl_dro(cache->rows), column->values);
    }
    tl_source *const one[] = {&source};
    if (err == TL_OK && (err = tl_sources_standardize(training->features, one, 1)) == TL_OK) {
        err = tl_model_add_source(
            training->model, column->subject, (tl_cost)column->metric, &source);
    }
    if (err != TL_OK) {
        tl_source_done(&source);
    }
    tl_mem_free(order);
    tl_mem_free(y);
    return err == TL_OK
               ? TL_OK
               : tl_fail_in(err, "%s of %s: ", tl_metric_name(column->metric), column->subject);
}

/* ---- what profiles cost over their roofline -------------------------------------------------- */

/* The median of log(measured / roofline) over designs of the device; NaN where unknown. */
static tl_err log_factor_of(
    tl_training *training, const tl_train_column *column, double *out_log_factor)
{
    const tl_space *space = training->options->space;
    size_t n_slots = (size_t)tl_space_n_slots(space);
    double logs[PRIOR_DESIGNS];
    int n = 0;
    tl_network network = {0};
    tl_err err = TL_OK;
    int stride = column->n > PRIOR_DESIGNS ? column->n / PRIOR_DESIGNS : 1;
    for (int i = 0; i < column->n && n < PRIOR_DESIGNS && err == TL_OK; i += stride) {
        double latency_ms = 0;
        double energy_mj = NAN;
        err = tl_space_lower(space, column->designs + (size_t)i * n_slots, &network);
        if (err == TL_OK) {
            err = tl_prior_roofline(column->profile, &network, &latency_ms, &energy_mj);
        }
        double roofline = column->metric == TL_METRIC_LATENCY_MS ? latency_ms : energy_mj;
        if (err == TL_OK && roofline > 0) {
            logs[n++] = log(column->values[i] / roofline);
        }
    }
    tl_network_done(&network);
    if (err == TL_OK || err == TL_ENOTFOUND) {
        *out_log_factor = n > 0 ? tl_median_inplace(n, logs) : (double)NAN;
        err = TL_OK;
    }
    return err;
}

static tl_err fit_prior(tl_training *training, tl_metric metric)
{
    const tl_train_options *options = training->options;
    double *factors = tl_mem_new((size_t)options->n_columns, sizeof *factors);
    int n = 0;
    tl_err err = TL_OK;
    if (factors == NULL) {
        return tl_fail(TL_ENOMEM, "%d factors", options->n_columns);
    }
    for (int i = 0; i < options->n_columns && err == TL_OK; i++) {
        const tl_train_column *column = &options->columns[i];
        double factor = NAN;
        if (column->metric == metric && column->profile != NULL && column->n > 0) {
            err = log_factor_of(training, column, &factor);
        }
        if (!isnan(factor)) {
            factors[n++] = factor;
        }
    }
    if (err == TL_OK && n >= 2) {
        training->model->priors[metric] = (tl_model_prior){
            .log_factor = tl_mean(n, factors),
            .log_sd = fmax(tl_sd(n, factors) * sqrt((double)n / (n - 1)), .3),
            .n_devices = n};
    }
    tl_mem_free(factors);
    return err;
}

tl_err tl_train_devices(tl_training *training)
{
    const tl_train_options *options = training->options;
    row_cache cache = {0};
    tl_err err = TL_OK;
    for (int i = 0; i < options->n_columns && err == TL_OK; i++) {
        const tl_train_column *column = &options->columns[i];
        if (!tl_metric_is_of_device(column->metric)) {
            continue;
        }
        if (column->n < TL_TRAIN_MIN_DEVICE_ROWS) {
            tl_text_addf(
                training->notes, "%s@%s: %d measurements, a known device needs %d\n",
                tl_metric_name(column->metric), column->subject, column->n,
                (int)TL_TRAIN_MIN_DEVICE_ROWS);
            continue;
        }
        err = tl_training_progress(training, column->subject, i, options->n_columns);
        if (err == TL_OK) {
            err = fit_device(training, column, &cache);
        }
    }
    tl_dmat_done(&cache.rows);
    for (int c = 0; c < TL_N_COSTS && err == TL_OK; c++) {
        err = fit_prior(training, (tl_metric)c);
    }
    return err;
}
