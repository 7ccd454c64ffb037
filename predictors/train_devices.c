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
    MAX_NOTED = 8,      /* columns that are too small */
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

/*
 * With fewer measurements than columns only the head's columns have weights: a
 * model of 81 published files must know totals and choices, not the files.
 */
static tl_err fit_ridge(
    const tl_training *training, tl_dmat rows, const double *y, tl_source *out_source)
{
    if (rows.rows >= rows.cols) {
        return tl_source_fit(out_source, tl_dro(rows), y);
    }
    tl_source source = {0};
    int n_head = tl_features_n_head(training->features);
    TL_TRY(tl_source_fit(&source, tl_dro(tl_dmat_cols(rows, 0, n_head)), y));
    double *weights = tl_mem_resize(source.weights, (size_t)rows.cols, sizeof *weights);
    if (weights == NULL) {
        tl_source_done(&source);
        return tl_fail(TL_ENOMEM, "weights of a known device");
    }
    for (int i = n_head; i < rows.cols; i++) {
        weights[i] = 0;
    }
    source.weights = weights;
    source.n_weights = rows.cols;
    *out_source = source;
    return TL_OK;
}

/* Fits on four fifths, judges on the fifth. order [n] is scratch, y [2 n] too. */
static tl_err judge_held_out(
    tl_training *training,
    const tl_train_column *column,
    tl_dmat rows,
    int *order,
    double *y,
    double *out_error)
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
        (err = fit_ridge(training, train, y, &source)) != TL_OK ||
        (err = tl_source_refine(&source, training->features, tl_dro(train), y)) != TL_OK) {
        goto done;
    }
    tl_source_predict(&source, tl_dro(test), relative);
    if ((err = tl_spearman(n_test, relative, y_test, &rho)) != TL_OK) {
        goto done;
    }
    const char *metric = tl_metric_name(column->metric);
    double error = median_error(n_test, relative, source.median, y_test);
    *out_error = error;
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
    static const double median_to_sd = 1.4826;
    static const double least_sd = .003;
    tl_source source = {0};
    double error = 0;
    int *order = tl_mem_new((size_t)column->n, sizeof *order);
    double *y = tl_mem_new((size_t)column->n * 2, sizeof *y);
    tl_err err = order == NULL || y == NULL ? tl_fail(TL_ENOMEM, "%d measurements", column->n)
                                            : rows_of(training, column, cache);
    if (err == TL_OK) {
        err = judge_held_out(training, column, cache->rows, order, y, &error);
    }
    if (err == TL_OK) {
        err = fit_ridge(training, cache->rows, column->values, &source);
    }
    if (err == TL_OK) {
        err =
            tl_source_refine(&source, training->features, tl_dro(cache->rows), column->values);
    }
    if (source.shape.weights != NULL) {
        source.loo_sd = fmax(median_to_sd * error, least_sd); /* of the ridge until here */
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

/* The device's factor over its roofline and cost of a launch; 0 where it has none. */
static tl_err explain_device(
    tl_training *training,
    const tl_train_column *column,
    double *out_factor,
    double *out_launch_us)
{
    const tl_space *space = training->options->space;
    size_t n_slots = (size_t)tl_space_n_slots(space);
    tl_roofline rooflines[PRIOR_DESIGNS];
    double latency_ms[PRIOR_DESIGNS];
    int n = 0;
    tl_network network = {0};
    tl_err err = TL_OK;
    int stride = column->n > PRIOR_DESIGNS ? column->n / PRIOR_DESIGNS : 1;
    for (int i = 0; i < column->n && n < PRIOR_DESIGNS && err == TL_OK; i += stride) {
        err = tl_space_lower(space, column->designs + (size_t)i * n_slots, &network);
        if (err == TL_OK) {
            err = tl_prior_roofline(column->profile, &network, &rooflines[n]);
            latency_ms[n++] = column->values[i];
        }
    }
    tl_network_done(&network);
    if (err == TL_OK) {
        tl_prior_explain(n, rooflines, latency_ms, out_factor, out_launch_us);
    }
    return err;
}

/* Centre and spread of logarithms over devices, robust to the odd one. */
static void centre_and_spread(int n, double *logs, double *out_centre, double *out_sd)
{
    static const double mad_to_sd = 1.4826;
    static const double least_sd = .5;
    double centre = tl_median_inplace(n, logs);
    for (int i = 0; i < n; i++) {
        logs[i] = fabs(logs[i] - centre);
    }
    *out_centre = centre;
    *out_sd = fmax(mad_to_sd * tl_median_inplace(n, logs), least_sd);
}

static bool tells_a_prior(const tl_train_column *column)
{
    return column->metric == TL_METRIC_LATENCY_MS && column->profile != NULL && column->n > 0 &&
           tl_prior_is_known(column->profile);
}

static tl_err fit_prior(tl_training *training)
{
    enum {
        ENOUGH = 3
    };
    const tl_train_options *options = training->options;
    tl_prior *prior = &training->model->prior;
    size_t n = (size_t)options->n_columns;
    double *factors = tl_mem_new(2 * n, sizeof *factors);
    if (factors == NULL) {
        return tl_fail(TL_ENOMEM, "%zu factors", n);
    }
    double *launches = factors + n;
    int n_factors = 0;
    int n_launches = 0;
    tl_err err = TL_OK;
    for (int i = 0; i < options->n_columns && err == TL_OK; i++) {
        double factor = 0;
        double launch_us = 0;
        if (tells_a_prior(&options->columns[i])) {
            err = explain_device(training, &options->columns[i], &factor, &launch_us);
        }
        if (factor > 0) {
            factors[n_factors++] = log(factor);
        }
        if (launch_us > 0) {
            launches[n_launches++] = log(launch_us);
        }
    }
    if (err == TL_OK && n_factors >= ENOUGH && n_launches >= ENOUGH) {
        centre_and_spread(n_factors, factors, &prior->log_factor, &prior->log_factor_sd);
        centre_and_spread(n_launches, launches, &prior->log_launch_us, &prior->log_launch_sd);
        prior->n_devices = n_factors > n_launches ? n_factors : n_launches;
    }
    tl_mem_free(factors);
    return err;
}

/* Each of the first few small columns has a line of its own, what comes after is counted. */
static void note_small(tl_training *training, const tl_train_column *column, int n_small)
{
    if (n_small <= MAX_NOTED) {
        tl_text_addf(
            training->notes, "%s@%s: %d measurements, a known device needs %d\n",
            tl_metric_name(column->metric), column->subject, column->n,
            (int)TL_TRAIN_MIN_DEVICE_ROWS);
    }
}

static void note_more_small(tl_training *training, int n_small)
{
    if (n_small > MAX_NOTED) {
        tl_text_addf(
            training->notes, "%d more have fewer measurements than a known device needs\n",
            n_small - MAX_NOTED);
    }
}

tl_err tl_train_devices(tl_training *training)
{
    const tl_train_options *options = training->options;
    row_cache cache = {0};
    tl_err err = TL_OK;
    int n_small = 0;
    for (int i = 0; i < options->n_columns && err == TL_OK; i++) {
        const tl_train_column *column = &options->columns[i];
        if (!tl_metric_is_of_device(column->metric)) {
            continue;
        }
        if (column->n < TL_TRAIN_MIN_DEVICE_ROWS) {
            note_small(training, column, ++n_small);
            continue;
        }
        err = tl_training_progress(training, column->subject, i, options->n_columns);
        if (err == TL_OK) {
            err = fit_device(training, column, &cache);
        }
    }
    tl_dmat_done(&cache.rows);
    note_more_small(training, n_small);
    if (err == TL_OK) {
        err = fit_prior(training);
    }
    return err;
}
