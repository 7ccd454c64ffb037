/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/accuracy_fitting.h"

#include "base/mem.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

enum {
    FORM_MIN_HELD_OUT = 50
};

static const double form_min_r2 = 0.1; /* of what is left over, explained by the form */

/* Held out, labelled and the regression's business. */
static bool is_judged(const tl_fitting *f, int row, int task)
{
    return !isnan(tl_mat_row(f->mean, row)[task]) && !isnan(tl_mat_row(f->y, row)[task]) &&
           !f->input.is_dead[row];
}

/* In scores, target minus prediction. */
static double residual(const tl_fitting *f, int row, int task)
{
    return (double)tl_mat_row(f->y, row)[task] - (double)tl_mat_row(f->mean, row)[task];
}

/* Adds the squared residuals of a task's judged designs, and their number. */
static void add_squares(const tl_fitting *f, int task, double *sum, int *n)
{
    for (int i = 0; i < f->n_own; i++) {
        if (is_judged(f, i, task)) {
            *sum += residual(f, i, task) * residual(f, i, task);
            (*n)++;
        }
    }
}

double tl_fitting_error(const tl_fitting *f)
{
    double sum = 0.0;
    int n = 0;
    for (int k = 0; k < f->n_answered; k++) {
        add_squares(f, k, &sum, &n);
    }
    return n > 0 ? sum / n : 0.0;
}

double tl_fitting_loss(const tl_fitting *f, int task)
{
    double sum = 0.0;
    int n = 0;
    add_squares(f, task, &sum, &n);
    return n > 0 && sum > 0.0 ? 0.5 * log(sum / n) : 0.0;
}

/* Squared correlation of the task's residuals with the sum of the numbers [begin, end). */
static double explained_by(const tl_fitting *f, int task, int begin, int end)
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

bool tl_fitting_suspects_form(const tl_fitting *f)
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
static tl_err judge_task(tl_fitting *f, int task, double *scratch, tl_accuracy_report *report)
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
        report->n_dead += f->input.is_dead[i] && !isnan(tl_fitting_label(f, i, task));
        if (!is_judged(f, i, task)) {
            continue;
        }
        score[n_judged] = (double)tl_mat_row(f->mean, i)[task];
        square[n_judged] = residual(f, i, task) * residual(f, i, task);
        spread[n_judged] = (double)tl_mat_row(f->spread, i)[task];
        predicted[n_judged] = tl_rank_map_inverse(&output->map, score[n_judged]);
        truth[n_judged] = tl_fitting_label(f, i, task);
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

tl_err tl_fitting_judge(tl_fitting *f, tl_accuracy_report *out_report)
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
