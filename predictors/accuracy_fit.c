/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "numerics/stats.h"
#include "predictors/accuracy_impl.h"
#include "predictors/folds.h"

#include <math.h>
#include <string.h>

enum {
    MIN_TO_HOLD_OUT = 10, /* labelled designs */
    FEW_DESIGNS = 1000,
    FOLDS_OF_FEW = 5,
    FOLDS_OF_MANY = 10,
    HELD_OUT_ENOUGH = 600, /* designs that are enough to calibrate on */
    FORM_MIN_HELD_OUT = 50,
    FOLD_SEED = 7919,
    N_HEADS = 16, /* of a repulsive ensemble */
};

static const double default_repulsion = 0.01;
static const double same_designs_share = 0.9;
static const double form_min_r2 = 0.1;    /* of what is left over, explained by the form */
static const double form_min_gain = 0.95; /* squared error must fall below this share */
static const double min_dead_sd = 0.1;    /* points */
static const double default_own_frac = 0.5;
static const double most_lost = 0.05; /* of a task's likelihood, to what teaches the others */

/* One fit on its way. */
typedef struct fitting {
    tl_accuracy_data data; /* the designs with a label, in memory of our own */
    tl_choice *designs;
    double *labels;
    const tl_accuracy_options *options;
    tl_accuracy_model *model; /* what it becomes */
    tl_score_input input;     /* of the designs */
    tl_mat y;                 /* [n, n_tasks] scores, NaN where unknown */
    tl_mat mean, spread;      /* [n_own, n_answered] of held-out designs, mean NaN elsewhere */
    int *rows;                /* [2 n] scratch */
    int *fold;                /* [n] of designs */
    int n_answered;           /* tasks, the first ones; the others are auxiliary */
    int n_own;                /* designs, the first ones, that have a label of them */
    int n_folds;
    bool has_numbers, is_taught;
    int64_t n_steps_before, n_steps_total;
} fitting;

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

/* ---- labels ---------------------------------------------------------------------- */

static double label(const fitting *f, int row, int task)
{
    return f->data.labels[(ptrdiff_t)row * f->data.n_tasks + task];
}

/* What cells without a path scored: the median; unknown, the lowest score of all. */
static void fit_dead(const fitting *f, int task, double *values, tl_accuracy_output *output)
{
    int n_dead = 0;
    double lowest = (double)INFINITY;
    for (int i = 0; i < f->data.n; i++) {
        double value = label(f, i, task);
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
static tl_err fit_scores(fitting *f, int task, double *values, tl_rank_map *out_map)
{
    for (int i = 0; i < f->data.n; i++) {
        values[i] = label(f, i, task);
    }
    tl_err err = tl_rank_map_fit(f->data.n, values, out_map);
    if (err != TL_OK) {
        return tl_fail_in(err, "accuracy of %s: ", f->data.tasks[task]);
    }
    for (int i = 0; i < f->data.n; i++) {
        tl_mat_row(f->y, i)[task] = (float)tl_rank_map_forward(out_map, label(f, i, task));
    }
    return TL_OK;
}

static tl_err fit_output(fitting *f, int task, const tl_rank_map *map, double *values)
{
    tl_accuracy_output *output = &f->model->outputs[task];
    output->map = *map;
    output->task = tl_mem_strdup(f->data.tasks[task]);
    if (output->task == NULL) {
        return tl_fail(TL_ENOMEM, "name of a task");
    }
    for (int i = 0; i < f->data.n; i++) {
        output->n_labels += !isnan(label(f, i, task));
    }
    fit_dead(f, task, values, output);
    return TL_OK;
}

static tl_err fit_labels(fitting *f)
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
    fitting *f = context;
    (void)total;
    return f->options->progress == NULL ||
           f->options->progress(
               f->options->context, f->n_steps_before + done, f->n_steps_total);
}

static int n_heads(const fitting *f)
{
    if (f->options->ensemble == TL_ENSEMBLE_DEEP) {
        return 0;
    }
    int room = TL_ACCURACY_MAX_TASKS / f->n_answered; /* of outputs of one network */
    return room < N_HEADS ? room : N_HEADS;
}

/* Designs that the networks learn. */
static int n_taught(const fitting *f)
{
    return f->is_taught ? f->data.n : f->n_own;
}

static int64_t n_steps(const fitting *f)
{
    return tl_score_n_steps(&f->model->encoder, n_taught(f), n_heads(f));
}

/* Designs of our own are repeated, that those of auxiliary tasks do not drown them. */
static int n_copies(const fitting *f)
{
    double own = f->options->own_frac > 0.0 ? f->options->own_frac : default_own_frac;
    double others = (double)(n_taught(f) - f->n_own);
    double copies = others * own / (1.0 - own) / f->n_own;
    double most = 1.0 + (double)f->data.n / f->n_own; /* what rows has room for */
    return copies < 1.0 ? 1 : copies < most ? (int)copies : (int)most;
}

static int choose_rows(const fitting *f, int left_out)
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

/* Fits the designs outside the fold; -1: all of them. */
static tl_err fit_without(fitting *f, int left_out, tl_score_model *out_score)
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
    f->n_steps_before += n_steps(f);
    return TL_OK;
}

/* Fills mean and spread for our own designs of the first n_folds folds, each by a fit without it. */
static tl_err hold_out(fitting *f)
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
        if ((err = fit_without(f, fold, &score)) != TL_OK) {
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

/* ---- judging --------------------------------------------------------------------- */

/* Held out, labelled and the regression's business. */
static bool is_judged(const fitting *f, int row, int task)
{
    return !isnan(tl_mat_row(f->mean, row)[task]) && !isnan(tl_mat_row(f->y, row)[task]) &&
           !f->input.is_dead[row];
}

/* In scores, target minus prediction. */
static double residual(const fitting *f, int row, int task)
{
    return (double)tl_mat_row(f->y, row)[task] - (double)tl_mat_row(f->mean, row)[task];
}

/* Adds the squared residuals of a task's judged designs, and their number. */
static void add_squares(const fitting *f, int task, double *sum, int *n)
{
    for (int i = 0; i < f->n_own; i++) {
        if (is_judged(f, i, task)) {
            *sum += residual(f, i, task) * residual(f, i, task);
            (*n)++;
        }
    }
}

/* Mean squared residual over all tasks and judged designs. */
static double held_out_error(const fitting *f)
{
    double sum = 0.0;
    int n = 0;
    for (int k = 0; k < f->n_answered; k++) {
        add_squares(f, k, &sum, &n);
    }
    return n > 0 ? sum / n : 0.0;
}

/* Negative log-likelihood a design of a task, with normal noise of its own width, and a constant. */
static double task_loss(const fitting *f, int task)
{
    double sum = 0.0;
    int n = 0;
    add_squares(f, task, &sum, &n);
    return n > 0 && sum > 0.0 ? 0.5 * log(sum / n) : 0.0;
}

/* Squared correlation of the task's residuals with the sum of the numbers [begin, end). */
static double explained_by(const fitting *f, int task, int begin, int end)
{
    double sx = 0.0;
    double sy = 0.0;
    double sxx = 0.0;
    double syy = 0.0;
    double sxy = 0.0;
    int n = 0;
    for (int i = 0; i < f->n_own; i++) {
        if (!is_judged(f, i, task)) {
            continue;
        }
        double x = 0.0;
        for (int j = begin; j < end; j++) {
            x += (double)tl_mat_row(f->input.numbers, i)[j];
        }
        double y = residual(f, i, task);
        sx += x;
        sy += y;
        sxx += x * x;
        syy += y * y;
        sxy += x * y;
        n++;
    }
    double vx = n * sxx - sx * sx;
    double vy = n * syy - sy * sy;
    double c = n * sxy - sx * sy;
    return n >= FORM_MIN_HELD_OUT && vx > 0.0 && vy > 0.0 ? c * c / (vx * vy) : 0.0;
}

/* Does the form of cells explain what the graph of live edges left over? */
static bool suspects_form(const fitting *f)
{
    const tl_score_encoder *encoder = &f->model->encoder;
    int n_edges = encoder->n_codes;
    for (int k = 0; encoder->is_cell && k < f->n_answered; k++) {
        if (explained_by(f, k, 0, n_edges) > form_min_r2 ||
            explained_by(f, k, n_edges + 1, encoder->n_numbers) > form_min_r2) {
            return true;
        }
    }
    return false;
}

/* Fits the noise of a task and fills its report; scratch has room for 5 n. */
static tl_err judge_task(fitting *f, int task, double *scratch, tl_accuracy_report *report)
{
    tl_accuracy_output *output = &f->model->outputs[task];
    int n = f->n_own;
    double *square = scratch;
    double *spread = scratch + n;
    double *predicted = scratch + 2 * (ptrdiff_t)n;
    double *truth = scratch + 3 * (ptrdiff_t)n;
    double *score = scratch + 4 * (ptrdiff_t)n;
    int n_judged = 0;
    double rmse = 0.0;
    for (int i = 0; i < n; i++) {
        report->n_dead += f->input.is_dead[i] && !isnan(label(f, i, task));
        if (!is_judged(f, i, task)) {
            continue;
        }
        score[n_judged] = (double)tl_mat_row(f->mean, i)[task];
        square[n_judged] = residual(f, i, task) * residual(f, i, task);
        spread[n_judged] = (double)tl_mat_row(f->spread, i)[task];
        predicted[n_judged] = tl_rank_map_inverse(&output->map, score[n_judged]);
        truth[n_judged] = label(f, i, task);
        rmse +=
            (predicted[n_judged] - truth[n_judged]) * (predicted[n_judged] - truth[n_judged]);
        n_judged++;
    }
    TL_TRY(tl_accuracy_calibrate(n_judged, square, score, spread, &output->noise));
    output->std_gain = 1.0;
    report->n_labels = output->n_labels;
    report->n_held_out = n_judged;
    report->reads_form = f->has_numbers && f->model->encoder.is_cell;
    report->is_taught = f->is_taught;
    report->spearman = report->rmse = report->coverage90 = (double)NAN;
    if (n_judged == 0) {
        return TL_OK;
    }
    double half = tl_accuracy_half_width(&output->noise, 0.9);
    int n_covered = 0;
    for (int i = 0; i < n_judged; i++) {
        n_covered +=
            sqrt(square[i]) <= half * tl_accuracy_scale(&output->noise, score[i], spread[i]);
    }
    for (int i = 0; i < n_judged; i++) {
        square[i] = fabs(predicted[i] - truth[i]);
    }
    output->std_gain = tl_accuracy_std_gain(output, n_judged, score, spread, square);
    report->rmse = sqrt(rmse / n_judged);
    report->coverage90 = (double)n_covered / n_judged;
    return tl_spearman(n_judged, predicted, truth, &report->spearman);
}

static tl_err judge(fitting *f, tl_accuracy_report *out_report)
{
    tl_err err = TL_OK;
    double *scratch = tl_mem_new((size_t)f->n_own, 5 * sizeof *scratch);
    if (scratch == NULL) {
        return tl_fail(TL_ENOMEM, "%d residuals", f->n_own);
    }
    for (int k = 0; k < f->n_answered && err == TL_OK; k++) {
        tl_accuracy_report report = {0};
        err = judge_task(f, k, scratch, &report);
        if (err == TL_OK && out_report != NULL) {
            out_report[k] = report;
        }
    }
    tl_mem_free(scratch);
    return err;
}

/* ---- the whole ------------------------------------------------------------------- */

static void clear_held_out(fitting *f)
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
static tl_err deal_folds(fitting *f, int k)
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
static tl_err plan_folds(fitting *f)
{
    int k = f->n_own < FEW_DESIGNS ? FOLDS_OF_FEW : FOLDS_OF_MANY;
    f->n_folds = 0;
    if (f->n_own >= MIN_TO_HOLD_OUT) {
        int per_fold = f->n_own / k;
        int wanted = (HELD_OUT_ENOUGH + per_fold - 1) / per_fold;
        f->n_folds = wanted < k ? wanted : k;
    }
    f->n_steps_total = n_steps(f) * (int64_t)(f->n_folds + 1);
    return deal_folds(f, k);
}

/* Holds out; where the form of cells seems to matter, once more with it, and keeps the better. */
static tl_err choose_form(fitting *f)
{
    clear_held_out(f);
    TL_TRY(hold_out(f));
    if (!suspects_form(f)) {
        return TL_OK;
    }
    double error_without = held_out_error(f);
    f->n_steps_total += n_steps(f) * (int64_t)f->n_folds;
    f->has_numbers = true;
    TL_TRY(hold_out(f));
    if (held_out_error(f) > form_min_gain * error_without) {
        f->has_numbers = false;
        f->n_steps_total += n_steps(f) * (int64_t)f->n_folds;
        return hold_out(f);
    }
    return TL_OK;
}

static void swap(tl_mat *a, tl_mat *b)
{
    tl_mat kept = *a;
    *a = *b;
    *b = kept;
}

static void fill_losses(const fitting *f, double *losses)
{
    for (int k = 0; k < f->n_answered; k++) {
        losses[k] = task_loss(f, k);
    }
}

/* Likelier on the mean of the tasks, and none pays for the others. */
static bool is_better(const fitting *f, const double *before)
{
    double gained = 0.0;
    for (int k = 0; k < f->n_answered; k++) {
        double change = task_loss(f, k) - before[k];
        if (change > most_lost) {
            return false;
        }
        gained -= change;
    }
    return gained > 0.0;
}

/* Once more with the auxiliary tasks; keeps what makes held-out designs likelier. */
static tl_err choose_teaching(fitting *f)
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
    f->n_steps_total += n_steps(f) * (int64_t)f->n_folds;
    swap(&f->mean, &mean);
    swap(&f->spread, &spread);
    clear_held_out(f);
    if ((err = hold_out(f)) != TL_OK) {
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

static tl_err choose_method(fitting *f)
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
static void take_labelled(fitting *f, const tl_accuracy_data *data, bool is_own)
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
static tl_err keep_labelled(fitting *f, const tl_accuracy_data *data)
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

static tl_err start(fitting *f)
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

static void fitting_done(fitting *f)
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
    fitting f = {.options = options};
    tl_err err = keep_labelled(&f, data);
    if (err != TL_OK || (err = start(&f)) != TL_OK || (err = fit_labels(&f)) != TL_OK ||
        (err = plan_folds(&f)) != TL_OK || (err = choose_method(&f)) != TL_OK ||
        (err = judge(&f, out_report)) != TL_OK ||
        (err = fit_without(&f, -1, &f.model->score)) != TL_OK) {
        goto done;
    }
    *out_model = f.model;
    f.model = NULL;
done:
    fitting_done(&f);
    return err;
}
