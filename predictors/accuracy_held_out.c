/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/accuracy_fitting.h"

#include "base/mem.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

enum {
    N_HEADS = 16 /* of a repulsive ensemble */
};

static const double default_repulsion = 0.01;
static const double min_dead_sd = 0.1; /* points */
static const double default_own_frac = 0.5;

/* ---- labels ---------------------------------------------------------------------- */

/* What cells without a path scored: the median; unknown, the lowest score of all. */
static void fit_dead(const tl_fitting *f, int task, double *values, tl_accuracy_output *output)
{
    int n_dead = 0;
    double lowest = (double)INFINITY;
    for (int i = 0; i < f->data.n; i++) {
        double value = tl_fitting_label(f, i, task);
        if (isnan(value)) {
            continue;
        }
        lowest = value < lowest ? value : lowest;
        if (f->input.is_dead[i]) {
            values[n_dead++] = value;
        }
    }
    output->dead_mean = n_dead > 0 ? tl_median_inplace(n_dead, values) : lowest;
    double sd = n_dead > 0 ? tl_sd(n_dead, values) : 0.0;
    output->dead_sd = sd > min_dead_sd ? sd : min_dead_sd;
}

/* Scores of a task's labels; values [n] is scratch. */
static tl_err fit_scores(tl_fitting *f, int task, double *values, tl_rank_map *out_map)
{
    for (int i = 0; i < f->data.n; i++) {
        values[i] = tl_fitting_label(f, i, task);
    }
    tl_err err = tl_rank_map_fit(f->data.n, values, out_map);
    if (err != TL_OK) {
        return tl_fail_in(err, "accuracy of %s: ", f->data.tasks[task]);
    }
    for (int i = 0; i < f->data.n; i++) {
        tl_mat_row(f->y, i)[task] =
            (float)tl_rank_map_forward(out_map, tl_fitting_label(f, i, task));
    }
    return TL_OK;
}

static tl_err fit_output(tl_fitting *f, int task, const tl_rank_map *map, double *values)
{
    tl_accuracy_output *output = &f->model->outputs[task];
    output->map = *map;
    output->task = tl_mem_strdup(f->data.tasks[task]);
    if (output->task == NULL) {
        return tl_fail(TL_ENOMEM, "name of a task");
    }
    for (int i = 0; i < f->data.n; i++) {
        output->n_labels += !isnan(tl_fitting_label(f, i, task));
    }
    fit_dead(f, task, values, output);
    return TL_OK;
}

tl_err tl_fitting_labels(tl_fitting *f)
{
    int n = f->data.n;
    tl_err err = TL_OK;
    double *values = tl_mem_new((size_t)n, sizeof *values);
    if (values == NULL) {
        return tl_fail(TL_ENOMEM, "%d labels", n);
    }
    for (int k = 0; k < f->data.n_tasks && err == TL_OK; k++) {
        tl_rank_map map;
        if ((err = fit_scores(f, k, values, &map)) == TL_OK && k < f->n_answered) {
            err = fit_output(f, k, &map, values);
        }
    }
    tl_mem_free(values);
    return err;
}

/* ---- fits ------------------------------------------------------------------------ */

/* Adds what earlier fits did to what the present one reports. */
static bool pass_progress(void *context, int64_t done, int64_t total)
{
    tl_fitting *f = context;
    (void)total;
    return f->options->progress == NULL ||
           f->options->progress(
               f->options->context, f->n_steps_before + done, f->n_steps_total);
}

static int n_heads(const tl_fitting *f)
{
    if (f->options->ensemble == TL_ENSEMBLE_DEEP) {
        return 0;
    }
    int room = TL_ACCURACY_MAX_TASKS / f->n_answered; /* of outputs of one network */
    return room < N_HEADS ? room : N_HEADS;
}

/* Designs that the networks learn. */
static int n_taught(const tl_fitting *f)
{
    return f->is_taught ? f->data.n : f->n_own;
}

int64_t tl_fitting_n_steps(const tl_fitting *f)
{
    return tl_score_n_steps(&f->model->encoder, n_taught(f), n_heads(f));
}

/* Designs of our own are repeated, that those of auxiliary tasks do not drown them. */
static int n_copies(const tl_fitting *f)
{
    double own = f->options->own_frac > 0.0 ? f->options->own_frac : default_own_frac;
    double others = (double)(n_taught(f) - f->n_own);
    double copies = others * own / (1.0 - own) / f->n_own;
    double most = 1.0 + (double)f->data.n / f->n_own; /* what rows has room for */
    return copies < 1.0 ? 1 : copies < most ? (int)copies : (int)most;
}

static int choose_rows(const tl_fitting *f, int left_out)
{
    int n = n_taught(f);
    int n_rows = 0;
    int copies = n_copies(f);
    for (int copy = 0; copy < copies; copy++) {
        for (int i = 0; i < (copy == 0 ? n : f->n_own); i++) {
            if (left_out < 0 || f->fold[i] != left_out) {
                f->rows[n_rows++] = i;
            }
        }
    }
    return n_rows;
}

tl_err tl_fitting_without(tl_fitting *f, int left_out, tl_score_model *out_score)
{
    int n_rows = choose_rows(f, left_out);
    tl_mat y = f->is_taught ? f->y : tl_mat_cols(f->y, 0, f->n_answered);
    if (n_rows == 0) {
        return tl_fail(TL_EINVAL, "accuracy: all designs compute the same function");
    }
    double repulsion = f->options->repulsion;
    tl_score_options options = {
        .n_heads = n_heads(f),
        .repulsion = repulsion > 0.0 ? repulsion : default_repulsion,
        .seed = f->options->seed,
        .n_threads = f->options->n_threads,
        .n_designs = n_taught(f),
        .has_numbers = f->has_numbers,
        .n_own = f->is_taught ? f->n_own : 0,
        .progress = pass_progress,
        .context = f,
    };
    TL_TRY(tl_score_fit(
        &f->model->encoder, &f->input, tl_ro(y), f->rows, n_rows, &options, out_score));
    if (f->is_taught) {
        tl_score_model_keep(out_score, f->n_answered);
    }
    f->n_steps_before += tl_fitting_n_steps(f);
    return TL_OK;
}

tl_err tl_fitting_hold_out(tl_fitting *f)
{
    int n_tasks = f->n_answered;
    tl_mat mean = {0};
    tl_mat spread = {0};
    tl_err err = TL_OK;
    if ((err = tl_mat_init(&mean, f->data.n, n_tasks)) != TL_OK ||
        (err = tl_mat_init(&spread, f->data.n, n_tasks)) != TL_OK) {
        goto done;
    }
    for (int fold = 0; fold < f->n_folds; fold++) {
        tl_score_model score = {0};
        if ((err = tl_fitting_without(f, fold, &score)) != TL_OK) {
            goto done;
        }
        err = tl_score_predict(&score, &f->input, mean, spread);
        tl_score_model_done(&score);
        if (err != TL_OK) {
            goto done;
        }
        for (int i = 0; i < f->n_own; i++) {
            for (int k = 0; f->fold[i] == fold && k < n_tasks; k++) {
                tl_mat_row(f->mean, i)[k] = tl_mat_row(mean, i)[k];
                tl_mat_row(f->spread, i)[k] = tl_mat_row(spread, i)[k];
            }
        }
    }
done:
    tl_mat_done(&mean);
    tl_mat_done(&spread);
    return err;
}
