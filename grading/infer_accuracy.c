/* SPDX-License-Identifier: Apache-2.0 */

/* The shipped accuracy predictor (predictors/accuracy.h) on the problem's samples. */

#include "base/mem.h"
#include "grading/infer_impl.h"
#include "predictors/accuracy.h"
#include "predictors/accuracy_codec.h"

#include <math.h>

tl_err tl_infer_accuracy_run(const tl_infer_problem *problem, tl_infer_answer *answer)
{
    static const char *const task = "graded";
    const tl_infer_accuracy *a = problem->accuracy;
    tl_accuracy_model *model = NULL;
    tl_bytes packed = {0};
    if (a == NULL) {
        return tl_fail(TL_ESTATE, "the shipped accuracy predictor needs accuracies");
    }
    tl_accuracy_data data = {
        .space = a->space,
        .designs = a->samples,
        .n = problem->x.rows,
        .labels = a->labels,
        .tasks = &task,
        .n_tasks = 1};
    tl_accuracy_options options = {.seed = problem->seed};
    TL_TRY(tl_accuracy_fit(&data, &options, &model, NULL));
    int m = problem->query.rows;
    tl_err err = tl_accuracy_predict(model, a->query, m, answer->mean, answer->sd);
    if (err == TL_OK) {
        for (int i = 0; i < m; i++) {
            answer->mean[i] = answer->mean[i] / a->level - a->query_offset[i];
            answer->sd[i] /= a->level;
        }
        answer->has_map = true; /* its intervals are not symmetric */
        err = tl_accuracy_scores(
            model, 0, a->query, m, answer->score, answer->scale, &answer->map, &answer->dof);
    }
    if (err == TL_OK) {
        err = tl_accuracy_pack(model, &packed);
        answer->kept_bytes = packed.len;
        tl_mem_free(packed.data);
    }
    tl_accuracy_model_free(model);
    return err;
}
