/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/score_model.h"

#include "base/mem.h"
#include "base/watch.h"
#include "numerics/gemm.h"
#include "predictors/cellnet.h"

#include <string.h>

enum {
    PREDICT_ROWS = 512,      /* at once: what is read and written stays in the cache */
    PREDICT_CELLS = 1 << 14, /* the more cells, the more of their states are the same */
    RIDGE_ROWS = 64,
};

void tl_score_model_done(tl_score_model *model)
{
    tl_mem_free(model->mean);
    tl_mem_free(model->scale);
    tl_mem_free(model->params);
    tl_mem_free(model->ridges);
    *model = (tl_score_model){0};
}

void tl_score_model_keep(tl_score_model *model, int n_out)
{
    TL_ASSERT(n_out > 0 && n_out <= model->n_out);
    if (model->n_members > 0) {
        TL_ASSERT(model->net.n_out == model->n_out);
        tl_net_keep_outputs(&model->net, n_out, model->n_members, model->params);
    }
    size_t of_ridge = (size_t)model->n_numbers + 1;
    for (int k = 0; k < model->n_ridges; k++) {
        memmove(
            model->ridges + (size_t)k * (size_t)n_out * of_ridge,
            model->ridges + (size_t)k * (size_t)model->n_out * of_ridge,
            (size_t)n_out * of_ridge * sizeof *model->ridges);
    }
    model->n_out = n_out;
}

/* The arrays do not overlap: the loop vectorizes. */
static void standardize(
    int n,
    const float *restrict numbers,
    const float *restrict mean,
    const float *restrict scale,
    float *restrict out)
{
    for (int j = 0; j < n; j++) {
        out[j] = (numbers[j] - mean[j]) * scale[j];
    }
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
        standardize(
            model->n_numbers, tl_mat_row(input->numbers, begin + i), model->mean, model->scale,
            tl_mat_row(x, i));
    }
}

/* What the ridges' product reads and writes, in double. */
typedef struct ridge_work {
    tl_dmat x;       /* [RIDGE_ROWS, d + 1]; the last column is 1 */
    tl_dmat w;       /* [n_ridges * n_out, d + 1] */
    tl_dmat answers; /* [RIDGE_ROWS, n_ridges * n_out] */
} ridge_work;

static void ridge_work_done(ridge_work *work)
{
    tl_dmat_done(&work->x);
    tl_dmat_done(&work->w);
    tl_dmat_done(&work->answers);
}

static tl_err ridge_work_init(const tl_score_model *model, ridge_work *work)
{
    int d = model->n_numbers;
    int n_answers = model->n_ridges * model->n_out;
    TL_TRY(tl_dmat_init(&work->x, RIDGE_ROWS, d + 1));
    TL_TRY(tl_dmat_init(&work->w, n_answers, d + 1));
    TL_TRY(tl_dmat_init(&work->answers, RIDGE_ROWS, n_answers));
    for (int i = 0; i < n_answers; i++) {
        for (int j = 0; j <= d; j++) {
            tl_dmat_row(work->w, i)[j] = (double)model->ridges[(ptrdiff_t)i * (d + 1) + j];
        }
    }
    return TL_OK;
}

/* Adds the first ridge's answers to the mean and the others' mean squared distance from it to the spread. */
static void add_answers(
    const tl_score_model *model, tl_dmat answers, tl_mat mean, tl_mat spread)
{
    for (int i = 0; i < mean.rows; i++) {
        const double *answer = tl_dmat_row(answers, i);
        for (int j = 0; j < model->n_out; j++) {
            double square = 0.0;
            for (int k = 1; k < model->n_ridges; k++) {
                double apart = answer[k * model->n_out + j] - answer[j];
                square += apart * apart;
            }
            tl_mat_row(mean, i)[j] += (float)answer[j];
            if (model->n_ridges > 1) {
                tl_mat_row(spread, i)[j] += (float)(square / (model->n_ridges - 1));
            }
        }
    }
}

/* The answers w x + w0 of all ridges, summed in double. */
static tl_err add_ridges(const tl_score_model *model, tl_cmat x, tl_mat mean, tl_mat spread)
{
    ridge_work work = {0};
    tl_err err = ridge_work_init(model, &work);
    for (int begin = 0; begin < x.rows && err == TL_OK; begin += RIDGE_ROWS) {
        int end = begin + RIDGE_ROWS < x.rows ? begin + RIDGE_ROWS : x.rows;
        for (int i = begin; i < end; i++) {
            const float *from = tl_cmat_row(x, i);
            double *row = tl_dmat_row(work.x, i - begin);
            for (int j = 0; j < x.cols; j++) {
                row[j] = (double)from[j];
            }
            row[x.cols] = 1.0;
        }
        tl_dmat answers = tl_dmat_rows(work.answers, 0, end - begin);
        tl_dgemm(
            1.0, TL_N, tl_dro(tl_dmat_rows(work.x, 0, end - begin)), TL_T, tl_dro(work.w), 0.0,
            answers);
        add_answers(
            model, answers, tl_mat_rows(mean, begin, end), tl_mat_rows(spread, begin, end));
    }
    ridge_work_done(&work);
    return err;
}

static void clear_rows(tl_mat m)
{
    for (int i = 0; i < m.rows; i++) {
        memset(tl_mat_row(m, i), 0, (size_t)m.cols * sizeof(float));
    }
}

/* Each design is like itself; NULL where nobody asks. */
static int *start_likes(const tl_score_input *input, int begin, int n)
{
    int *likes = input->first_like == NULL ? NULL : input->first_like + begin;
    for (int i = 0; likes != NULL && i < n; i++) {
        likes[i] = i;
    }
    return likes;
}

/* Likes by their place in the whole input. A ridge reads what the networks may not. */
static void end_likes(const tl_score_model *model, int begin, int n, int *likes)
{
    for (int i = 0; likes != NULL && i < n; i++) {
        likes[i] = begin + (model->n_ridges > 0 ? i : likes[i]);
    }
}

tl_err tl_score_predict(
    const tl_score_model *model, const tl_score_input *input, tl_mat mean, tl_mat spread)
{
    TL_ASSERT(mean.rows == input->n && spread.rows == input->n);
    int most = model->net.kind == &tl_cellnet_kind ? PREDICT_CELLS : PREDICT_ROWS;
    int chunk = input->n < most ? input->n : most;
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
        if ((err = tl_watch_check()) != TL_OK) {
            goto done;
        }
        tl_mat m = tl_mat_rows(mean, begin, begin + n);
        tl_mat s = tl_mat_rows(spread, begin, begin + n);
        read_rows(model, input, begin, n, codes, x);
        tl_cmat read = tl_ro(tl_mat_rows(x, 0, n));
        tl_net_input part = {.n = n, .n_codes = n_codes, .codes = codes, .x = read};
        part.first_like = start_likes(input, begin, n);
        if (model->n_members == 0) {
            clear_rows(m);
            clear_rows(s);
        } else if (
            (err = tl_net_predict(&model->net, &part, model->params, model->n_members, m, s)) !=
            TL_OK) {
            goto done;
        }
        end_likes(model, begin, n, part.first_like);
        if (model->n_ridges > 0 && (err = add_ridges(model, read, m, s)) != TL_OK) {
            goto done;
        }
    }
done:
    tl_mem_free(codes);
    tl_mat_done(&x);
    return err;
}
