/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/score_model.h"

#include "base/mem.h"

#include <string.h>

enum {
    PREDICT_ROWS = 4096 /* at once, to bound memory */
};

void tl_score_model_done(tl_score_model *model)
{
    tl_mem_free(model->mean);
    tl_mem_free(model->scale);
    tl_mem_free(model->params);
    tl_mem_free(model->ridges);
    *model = (tl_score_model){0};
}

/* What the networks and ridges read of rows [begin, begin + n) of input. */
static void read_rows(
    const tl_score_model *model,
    const tl_score_input *input,
    int begin,
    int n,
    int8_t *codes,
    tl_mat x)
{
    int n_codes = model->net.cell.n_edges;
    const int8_t *from = input->codes + (ptrdiff_t)begin * n_codes;
    for (int i = 0; i < n * n_codes; i++) {
        codes[i] = from[i] < 0 ? (int8_t)-1 : model->read_as[from[i]];
    }
    for (int i = 0; i < n && model->mean != NULL; i++) {
        const float *numbers = tl_mat_row(input->numbers, begin + i);
        float *row = tl_mat_row(x, i);
        for (int j = 0; j < model->n_numbers; j++) {
            row[j] = (numbers[j] - model->mean[j]) * model->scale[j];
        }
    }
}

/* The answer of one ridge for one output: w x + w0, summed in double. */
static double ridge_answer(const tl_score_model *model, int ridge, int out, const float *x)
{
    int d = model->n_numbers;
    const float *w = model->ridges + ((ptrdiff_t)ridge * model->n_out + out) * (d + 1);
    double sum = (double)w[d];
    for (int j = 0; j < d; j++) {
        sum += (double)w[j] * (double)x[j];
    }
    return sum;
}

/* Adds the first ridge to the mean and the others' mean squared distance from it to the spread. */
static void add_ridges(const tl_score_model *model, tl_cmat x, tl_mat mean, tl_mat spread)
{
    for (int i = 0; i < x.rows; i++) {
        for (int j = 0; j < model->n_out; j++) {
            double centre = ridge_answer(model, 0, j, tl_cmat_row(x, i));
            double square = 0.0;
            for (int k = 1; k < model->n_ridges; k++) {
                double apart = ridge_answer(model, k, j, tl_cmat_row(x, i)) - centre;
                square += apart * apart;
            }
            tl_mat_row(mean, i)[j] += (float)centre;
            if (model->n_ridges > 1) {
                tl_mat_row(spread, i)[j] += (float)(square / (model->n_ridges - 1));
            }
        }
    }
}

static void clear_rows(tl_mat m)
{
    for (int i = 0; i < m.rows; i++) {
        memset(tl_mat_row(m, i), 0, (size_t)m.cols * sizeof(float));
    }
}

tl_err tl_score_predict(
    const tl_score_model *model, const tl_score_input *input, tl_mat mean, tl_mat spread)
{
    TL_ASSERT(mean.rows == input->n && spread.rows == input->n);
    int chunk = input->n < PREDICT_ROWS ? input->n : PREDICT_ROWS;
    int n_codes = model->net.cell.n_edges;
    tl_err err = TL_OK;
    tl_mat x = {0};
    int8_t *codes = tl_mem_new((size_t)chunk, (size_t)n_codes);
    if (codes == NULL) {
        return tl_fail(TL_ENOMEM, "prediction of %d designs", input->n);
    }
    if ((err = tl_mat_init(&x, chunk, model->mean != NULL ? model->n_numbers : 0)) != TL_OK) {
        goto done;
    }
    for (int begin = 0; begin < input->n; begin += chunk) {
        int n = input->n - begin < chunk ? input->n - begin : chunk;
        tl_mat m = tl_mat_rows(mean, begin, begin + n);
        tl_mat s = tl_mat_rows(spread, begin, begin + n);
        read_rows(model, input, begin, n, codes, x);
        tl_cmat read = tl_ro(tl_mat_rows(x, 0, n));
        tl_net_input part = {.n = n, .n_codes = n_codes, .codes = codes, .x = read};
        if (model->n_members == 0) {
            clear_rows(m);
            clear_rows(s);
        } else if (
            (err = tl_net_predict(&model->net, &part, model->params, model->n_members, m, s)) !=
            TL_OK) {
            goto done;
        }
        if (model->n_ridges > 0) {
            add_ridges(model, read, m, s);
        }
    }
done:
    tl_mem_free(codes);
    tl_mat_done(&x);
    return err;
}
