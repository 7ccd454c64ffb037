/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/accuracy_fitting.h"

#include "base/mem.h"
#include "numerics/stats.h"
#include "predictors/folds.h"

#include <math.h>
#include <string.h>

enum {
    MIN_TO_HOLD_OUT = 10, /* labelled designs */
    FEW_DESIGNS = 1000,
    FOLDS_OF_FEW = 5,
    FOLDS_OF_MANY = 10,
    HELD_OUT_ENOUGH = 600, /* designs that are enough to calibrate on */
    FOLD_SEED = 7919,
};

static const double same_designs_share = 0.9;
static const double form_min_gain = 0.95; /* squared error must fall below this share */
static const double most_lost = 0.05; /* of a task's likelihood, to what teaches the others */

int tl_accuracy_group_tasks(int n, int n_tasks, const double *labels, int *out_group)
{
    int n_groups = 0;
    for (int k = 0; k < n_tasks; k++) {
        out_group[k] = -1;
        int n_own = 0;
        for (int i = 0; i < n; i++) {
            n_own += !isnan(labels[(ptrdiff_t)i * n_tasks + k]);
        }
        for (int j = 0; j < k && n_own > 0 && out_group[k] < 0; j++) {
            int n_both = 0;
            int n_either = 0;
            for (int i = 0; i < n; i++) {
                bool a = !isnan(labels[(ptrdiff_t)i * n_tasks + k]);
                bool b = !isnan(labels[(ptrdiff_t)i * n_tasks + j]);
                n_both += a && b;
                n_either += a || b;
            }
            if (n_both >= same_designs_share * n_either) {
                out_group[k] = out_group[j];
            }
        }
        if (out_group[k] < 0 && n_own > 0) {
            out_group[k] = n_groups++;
        }
    }
    return n_groups;
}

/* ---- the whole ------------------------------------------------------------------- */

static void clear_held_out(tl_fitting *f)
{
    for (int i = 0; i < f->n_own; i++) {
        for (int k = 0; k < f->n_answered; k++) {
            tl_mat_row(f->mean, i)[k] = NAN;
        }
    }
}

/*
 * Folds of canonical forms. Beside auxiliary tasks a design whose optional slots alone
 * differ (weight bits) is in the same fold: what others teach is judged on unseen cells.
 */
static tl_err deal_folds(tl_fitting *f, int k)
{
    int n_slots = tl_space_n_slots(f->data.space);
    size_t len = (size_t)f->data.n * (size_t)n_slots;
    tl_choice *bare = tl_mem_new(len, sizeof *bare);
    if (bare == NULL) {
        return tl_fail(TL_ENOMEM, "folds of %d designs", f->data.n);
    }
    memcpy(bare, f->designs, len * sizeof *bare);
    for (int s = 0; f->data.n_auxiliary > 0 && s < n_slots; s++) {
        for (int i = 0; tl_space_slot(f->data.space, s)->is_optional && i < f->data.n; i++) {
            bare[(ptrdiff_t)i * n_slots + s] = TL_CHOICE_ABSENT;
        }
    }
    /* Not the seed alone: the caller may have split with it. */
    tl_err err = tl_canonical_folds(
        f->data.space, bare, f->data.n, k, f->options->seed + FOLD_SEED, f->fold);
    tl_mem_free(bare);
    return err;
}

/* How many folds of which size are fitted: enough designs to calibrate on. */
static tl_err plan_folds(tl_fitting *f)
{
    int k = f->n_own < FEW_DESIGNS ? FOLDS_OF_FEW : FOLDS_OF_MANY;
    f->n_folds = 0;
    if (f->n_own >= MIN_TO_HOLD_OUT) {
        int per_fold = f->n_own / k;
        int wanted = (HELD_OUT_ENOUGH + per_fold - 1) / per_fold;
        f->n_folds = wanted < k ? wanted : k;
    }
    f->n_steps_total = tl_fitting_n_steps(f) * (int64_t)(f->n_folds + 1);
    return deal_folds(f, k);
}

/* Holds out; where the form of cells seems to matter, once more with it, and keeps the better. */
static tl_err choose_form(tl_fitting *f)
{
    clear_held_out(f);
    TL_TRY(tl_fitting_hold_out(f));
    if (!tl_fitting_suspects_form(f)) {
        return TL_OK;
    }
    double error_without = tl_fitting_error(f);
    f->n_steps_total += tl_fitting_n_steps(f) * (int64_t)f->n_folds;
    f->has_numbers = true;
    TL_TRY(tl_fitting_hold_out(f));
    if (tl_fitting_error(f) > form_min_gain * error_without) {
        f->has_numbers = false;
        f->n_steps_total += tl_fitting_n_steps(f) * (int64_t)f->n_folds;
        return tl_fitting_hold_out(f);
    }
    return TL_OK;
}

static void swap(tl_mat *a, tl_mat *b)
{
    tl_mat kept = *a;
    *a = *b;
    *b = kept;
}

static void fill_losses(const tl_fitting *f, double *losses)
{
    for (int k = 0; k < f->n_answered; k++) {
        losses[k] = tl_fitting_loss(f, k);
    }
}

/* Likelier on the mean of the tasks, and none pays for the others. */
static bool is_better(const tl_fitting *f, const double *before)
{
    double gained = 0.0;
    for (int k = 0; k < f->n_answered; k++) {
        double change = tl_fitting_loss(f, k) - before[k];
        if (change > most_lost) {
            return false;
        }
        gained -= change;
    }
    return gained > 0.0;
}

/* Once more with the auxiliary tasks; keeps what makes held-out designs likelier. */
static tl_err choose_teaching(tl_fitting *f)
{
    tl_mat mean = {0};
    tl_mat spread = {0};
    double loss_alone[TL_ACCURACY_MAX_TASKS] = {0.0};
    fill_losses(f, loss_alone);
    tl_err err = TL_OK;
    if ((err = tl_mat_init(&mean, f->n_own, f->n_answered)) != TL_OK ||
        (err = tl_mat_init(&spread, f->n_own, f->n_answered)) != TL_OK) {
        goto done;
    }
    f->is_taught = true;
    f->n_steps_total += tl_fitting_n_steps(f) * (int64_t)f->n_folds;
    swap(&f->mean, &mean);
    swap(&f->spread, &spread);
    clear_held_out(f);
    if ((err = tl_fitting_hold_out(f)) != TL_OK) {
        goto done;
    }
    if (f->options->teaching == TL_TEACHING_MEASURED && !is_better(f, loss_alone)) {
        f->is_taught = false;
        swap(&f->mean, &mean);
        swap(&f->spread, &spread);
    }
done:
    tl_mat_done(&mean);
    tl_mat_done(&spread);
    return err;
}

static tl_err choose_method(tl_fitting *f)
{
    clear_held_out(f);
    TL_TRY(choose_form(f));
    /* Where a tool chain pays for the form of a cell, others that do not are no teachers. */
    bool can_be_taught = f->data.n_auxiliary > 0 && f->n_folds > 0 && !f->has_numbers &&
                         f->options->ensemble == TL_ENSEMBLE_DEEP &&
                         f->options->teaching != TL_TEACHING_NEVER;
    return can_be_taught ? choose_teaching(f) : TL_OK;
}

/* Does the design have a label of the tasks [begin, end)? */
static bool is_labelled(const tl_accuracy_data *data, int row, int begin, int end)
{
    for (int k = begin; k < end; k++) {
        if (!isnan(data->labels[(ptrdiff_t)row * data->n_tasks + k])) {
            return true;
        }
    }
    return false;
}

/* Copies the designs that have a label of our own, or of auxiliary tasks alone. */
static void take_labelled(tl_fitting *f, const tl_accuracy_data *data, bool is_own)
{
    int n_slots = tl_space_n_slots(data->space);
    int n_tasks = data->n_tasks;
    for (int i = 0; i < data->n; i++) {
        bool has_own = is_labelled(data, i, 0, f->n_answered);
        if (has_own != is_own || (!is_own && !is_labelled(data, i, f->n_answered, n_tasks))) {
            continue;
        }
        memcpy(
            f->designs + (ptrdiff_t)f->data.n * n_slots, data->designs + (ptrdiff_t)i * n_slots,
            (size_t)n_slots * sizeof *f->designs);
        memcpy(
            f->labels + (ptrdiff_t)f->data.n * n_tasks, data->labels + (ptrdiff_t)i * n_tasks,
            (size_t)n_tasks * sizeof *f->labels);
        f->data.n++;
    }
}

/* Designs without a label teach nothing, and must not fill the folds; our own come first. */
static tl_err keep_labelled(tl_fitting *f, const tl_accuracy_data *data)
{
    int n_slots = tl_space_n_slots(data->space);
    f->designs = tl_mem_new((size_t)data->n * (size_t)n_slots, sizeof *f->designs);
    f->labels = tl_mem_new((size_t)data->n * (size_t)data->n_tasks, sizeof *f->labels);
    if (f->designs == NULL || f->labels == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", data->n);
    }
    f->n_answered = data->n_tasks - data->n_auxiliary;
    f->data = *data;
    f->data.designs = f->designs;
    f->data.labels = f->labels;
    f->data.n = 0;
    take_labelled(f, data, true);
    f->n_own = f->data.n;
    take_labelled(f, data, false);
    return TL_OK;
}

static tl_err start(tl_fitting *f)
{
    int n = f->data.n;
    int n_tasks = f->n_answered;
    TL_TRY(tl_accuracy_model_new(f->data.space, n_tasks, &f->model));
    TL_TRY(tl_score_encode(&f->model->encoder, f->designs, n, &f->input));
    TL_TRY(tl_mat_init(&f->y, n, f->data.n_tasks));
    TL_TRY(tl_mat_init(&f->mean, f->n_own, n_tasks));
    TL_TRY(tl_mat_init(&f->spread, f->n_own, n_tasks));
    f->rows = tl_mem_new((size_t)n, 2 * sizeof *f->rows);
    f->fold = tl_mem_new((size_t)n, sizeof *f->fold);
    return f->rows != NULL && f->fold != NULL ? TL_OK : tl_fail(TL_ENOMEM, "%d designs", n);
}

static void fitting_done(tl_fitting *f)
{
    tl_accuracy_model_free(f->model);
    tl_score_input_done(&f->input);
    tl_mat_done(&f->y);
    tl_mat_done(&f->mean);
    tl_mat_done(&f->spread);
    tl_mem_free(f->rows);
    tl_mem_free(f->fold);
    tl_mem_free(f->designs);
    tl_mem_free(f->labels);
}

tl_err tl_accuracy_fit(
    const tl_accuracy_data *data,
    const tl_accuracy_options *options,
    tl_accuracy_model **out_model,
    tl_accuracy_report *out_report)
{
    TL_ASSERT(0 <= data->n_auxiliary && data->n_auxiliary < data->n_tasks);
    TL_ASSERT(data->n_tasks <= TL_ACCURACY_MAX_TASKS);
    tl_fitting f = {.options = options};
    tl_err err = keep_labelled(&f, data);
    if (err != TL_OK || (err = start(&f)) != TL_OK || (err = tl_fitting_labels(&f)) != TL_OK ||
        (err = plan_folds(&f)) != TL_OK || (err = choose_method(&f)) != TL_OK ||
        (err = tl_fitting_judge(&f, out_report)) != TL_OK ||
        (err = tl_fitting_without(&f, -1, &f.model->score)) != TL_OK) {
        goto done;
    }
    *out_model = f.model;
    f.model = NULL;
done:
    fitting_done(&f);
    return err;
}
