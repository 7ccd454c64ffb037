/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/accuracy.h"

#include "base/mem.h"
#include "base/units.h"
#include "predictors/accuracy_impl.h"

#include <math.h>

tl_err tl_accuracy_model_new(const tl_space *space, int n_tasks, tl_accuracy_model **out_model)
{
    tl_err err = TL_OK;
    tl_accuracy_model *model = tl_mem_new(1, sizeof *model);
    if (model == NULL) {
        return tl_fail(TL_ENOMEM, "accuracy model");
    }
    model->space = tl_space_ref(space);
    model->n_tasks = n_tasks;
    model->outputs = tl_mem_new((size_t)n_tasks, sizeof *model->outputs);
    if (model->outputs == NULL) {
        err = tl_fail(TL_ENOMEM, "accuracy model of %d tasks", n_tasks);
        goto done;
    }
    if ((err = tl_score_encoder_init(model->space, &model->encoder)) != TL_OK) {
        goto done;
    }
    *out_model = model;
    model = NULL;
done:
    tl_accuracy_model_free(model);
    return err;
}

void tl_accuracy_model_free(tl_accuracy_model *model)
{
    if (model == NULL) {
        return;
    }
    for (int k = 0; model->outputs != NULL && k < model->n_tasks; k++) {
        tl_mem_free(model->outputs[k].task);
    }
    tl_mem_free(model->outputs);
    tl_score_model_done(&model->score);
    tl_space_unref(model->space);
    tl_mem_free(model);
}

int tl_accuracy_model_n_tasks(const tl_accuracy_model *model)
{
    return model->n_tasks;
}

const char *tl_accuracy_model_task(const tl_accuracy_model *model, int task)
{
    TL_ASSERT(0 <= task && task < model->n_tasks);
    return model->outputs[task].task;
}

int tl_accuracy_model_n_labels(const tl_accuracy_model *model, int task)
{
    TL_ASSERT(0 <= task && task < model->n_tasks);
    return model->outputs[task].n_labels;
}

const char *tl_accuracy_model_method(const tl_accuracy_model *model)
{
    if (model->encoder.is_cell) {
        return "cellnet";
    }
    return model->score.n_members > 0 ? "ridge + mlp" : "ridge";
}

static double percent(double x)
{
    /* Written so that NaN passes through and is found. */
    return x < 0.0 ? 0.0 : x > TL_PERCENT ? TL_PERCENT : x;
}

static void to_percent(
    const tl_accuracy_output *output,
    bool is_dead,
    double score,
    double spread,
    double *out_accuracy,
    double *out_std)
{
    if (is_dead) {
        *out_accuracy = output->dead_mean;
        *out_std = output->dead_sd;
        return;
    }
    double sd = sqrt(output->spread_gain * spread + output->noise);
    *out_accuracy = percent(tl_rank_map_inverse(&output->map, score));
    *out_std = tl_rank_map_sd(&output->map, score, sd);
}

tl_err tl_accuracy_predict(
    const tl_accuracy_model *model,
    const tl_choice *designs,
    int n,
    double *out_accuracy,
    double *out_std)
{
    tl_score_input input = {0};
    tl_mat mean = {0};
    tl_mat spread = {0};
    tl_err err = tl_score_encode(&model->encoder, designs, n, &input);
    if (err != TL_OK || (err = tl_mat_init(&mean, n, model->n_tasks)) != TL_OK ||
        (err = tl_mat_init(&spread, n, model->n_tasks)) != TL_OK ||
        (err = tl_score_predict(&model->score, &input, mean, spread)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < model->n_tasks; k++) {
            double *accuracy = &out_accuracy[(ptrdiff_t)i * model->n_tasks + k];
            double *std = &out_std[(ptrdiff_t)i * model->n_tasks + k];
            to_percent(
                &model->outputs[k], input.is_dead[i], (double)tl_mat_row(mean, i)[k],
                (double)tl_mat_row(spread, i)[k], accuracy, std);
            if (!isfinite(*accuracy) || !isfinite(*std)) {
                err = tl_fail(
                    TL_ENUMERIC, "accuracy of design %d on %s", i + 1, model->outputs[k].task);
                goto done;
            }
        }
    }
done:
    tl_score_input_done(&input);
    tl_mat_done(&mean);
    tl_mat_done(&spread);
    return err;
}
