/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/accuracy.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/stats.h"
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

/*
 * Every score has its margin and, by its distance from the least one, its probability. Scores
 * are spread around the least one in scales, so that the knots are where the curve bends. The
 * spread of one's networks is left out: it widens deviation and distribution alike.
 */
void tl_accuracy_confidence(
    const tl_accuracy_model *model, int task, double least, tl_confidence *out)
{
    enum {
        N_KNOTS = 81
    };
    static const double reach = 10.0; /* scales */
    const tl_accuracy_output *output = &model->outputs[task];
    const tl_accuracy_noise *noise = &output->noise;
    double dof = noise->tail > 0.0 ? 1.0 / noise->tail : (double)INFINITY;
    double centre = tl_rank_map_forward(&output->map, least);
    double width = tl_accuracy_std_width(noise);
    double unit = tl_accuracy_scale(noise, centre, 0.0);
    *out = (tl_confidence){0};
    for (int k = 0; k < N_KNOTS; k++) {
        double score = centre + unit * reach * (2.0 * k / (N_KNOTS - 1) - 1.0);
        double slack = tl_rank_map_inverse(&output->map, score) - least;
        double z = slack / tl_accuracy_std(output, width, score, 0.0);
        double p = tl_student_cdf((score - centre) / tl_accuracy_scale(noise, score, 0.0), dof);
        /* The profile may fall faster than scores rise: a curve must not. */
        bool rises = out->n == 0 || (z > out->z[out->n - 1] && p > out->p[out->n - 1]);
        if (rises && p > 0.0 && p < 1.0) {
            out->z[out->n] = z;
            out->p[out->n++] = p;
        }
    }
}

static double percent(double x)
{
    /* Written so that NaN passes through and is found. */
    return x < 0.0 ? 0.0 : x > TL_PERCENT ? TL_PERCENT : x;
}

/* An interval of half a width in scales around a score. */
static void to_interval(
    const tl_accuracy_output *output,
    bool is_dead,
    double score,
    double half,
    double *out_low,
    double *out_high)
{
    if (is_dead) {
        *out_low = percent(output->dead_mean - half * output->dead_sd);
        *out_high = percent(output->dead_mean + half * output->dead_sd);
        return;
    }
    *out_low = percent(tl_rank_map_inverse(&output->map, score - half));
    *out_high = percent(tl_rank_map_inverse(&output->map, score + half));
}

/* What the regression says of designs, both [n, n_tasks], and how it read them. */
typedef struct scored {
    int *first_like; /* [n]: the first design with the same answers */
    bool *is_dead;   /* [n] */
    float *memory;   /* of both: rows without padding, for there are many short ones */
    tl_mat mean, spread;
} scored;

static void scored_done(scored *s)
{
    tl_mem_free(s->first_like);
    tl_mem_free(s->is_dead);
    tl_mem_free(s->memory);
}

static tl_err scored_init(int n, int n_tasks, scored *s)
{
    s->first_like = tl_mem_new((size_t)n, sizeof *s->first_like);
    s->is_dead = tl_mem_new((size_t)n, sizeof *s->is_dead);
    s->memory = tl_mem_new(2 * (size_t)n * (size_t)n_tasks, sizeof *s->memory);
    if (s->first_like == NULL || s->is_dead == NULL || s->memory == NULL) {
        return tl_fail(TL_ENOMEM, "scores of %d designs", n);
    }
    s->mean = (tl_mat){s->memory, n, n_tasks, n_tasks};
    s->spread = s->mean;
    s->spread.data += (ptrdiff_t)n * n_tasks;
    return TL_OK;
}

/* Designs [begin, end). */
static tl_err score_part(
    const tl_accuracy_model *model,
    tl_score_reader *reader,
    const tl_choice *designs,
    int begin,
    int end,
    scored *s)
{
    tl_score_input input = {0};
    const tl_choice *first = designs + (ptrdiff_t)begin * tl_space_n_slots(model->space);
    TL_TRY(tl_score_read(reader, first, end - begin, &input));
    tl_err err = tl_score_predict(
        &model->score, &input, tl_mat_rows(s->mean, begin, end),
        tl_mat_rows(s->spread, begin, end));
    for (int i = begin; i < end && err == TL_OK; i++) {
        s->first_like[i] = begin + input.first_like[i - begin];
        s->is_dead[i] = input.is_dead[i - begin];
    }
    tl_score_input_done(&input);
    return err;
}

/* Many cells at once share states; others are read in parts that stay in the cache. */
static tl_err score_designs(
    const tl_accuracy_model *model, const tl_choice *designs, int n, scored *s)
{
    enum {
        ROWS = 1024,
        CELLS = 1 << 16
    };
    tl_score_encoder encoder = model->encoder;
    tl_score_reader *reader = NULL;
    int step = encoder.is_cell ? CELLS : ROWS;
    encoder.skips_numbers = encoder.is_cell && model->score.mean == NULL;
    TL_TRY(scored_init(n, model->n_tasks, s));
    TL_TRY(tl_score_reader_new(&encoder, &reader));
    tl_err err = TL_OK;
    for (int begin = 0; begin < n && err == TL_OK; begin += step) {
        err = score_part(model, reader, designs, begin, begin + step < n ? begin + step : n, s);
    }
    tl_score_reader_free(reader);
    return err;
}

static tl_err not_finite(const tl_accuracy_model *model, int design, int task)
{
    return tl_fail(
        TL_ENUMERIC, "accuracy of design %d on %s", design + 1, model->outputs[task].task);
}

tl_err tl_accuracy_predict(
    const tl_accuracy_model *model,
    const tl_choice *designs,
    int n,
    double *out_accuracy,
    double *out_std)
{
    scored s = {0};
    tl_err err = score_designs(model, designs, n, &s);
    for (int k = 0; k < model->n_tasks && err == TL_OK; k++) {
        const tl_accuracy_output *output = &model->outputs[k];
        double width = tl_accuracy_std_width(&output->noise);
        for (int i = 0; i < n && err == TL_OK; i++) {
            double *accuracy = &out_accuracy[(ptrdiff_t)i * model->n_tasks + k];
            double *std = &out_std[(ptrdiff_t)i * model->n_tasks + k];
            if (s.is_dead[i]) {
                *accuracy = output->dead_mean;
                *std = output->dead_sd;
                continue;
            }
            int like = s.first_like[i];
            if (like < i && !s.is_dead[like]) {
                *accuracy = out_accuracy[(ptrdiff_t)like * model->n_tasks + k];
                *std = out_std[(ptrdiff_t)like * model->n_tasks + k];
                continue;
            }
            double score = (double)tl_mat_row(s.mean, i)[k];
            double spread = (double)tl_mat_row(s.spread, i)[k];
            *accuracy = percent(tl_rank_map_inverse(&output->map, score));
            *std = tl_accuracy_std(output, width, score, spread);
            if (!isfinite(*accuracy) || !isfinite(*std)) {
                err = not_finite(model, i, k);
            }
        }
    }
    scored_done(&s);
    return err;
}

tl_err tl_accuracy_intervals(
    const tl_accuracy_model *model,
    const tl_choice *designs,
    int n,
    double probability,
    double *out_low,
    double *out_high)
{
    TL_ASSERT(probability > 0.0 && probability < 1.0);
    scored s = {0};
    tl_err err = score_designs(model, designs, n, &s);
    for (int k = 0; k < model->n_tasks && err == TL_OK; k++) {
        const tl_accuracy_output *output = &model->outputs[k];
        double half = tl_accuracy_half_width(&output->noise, probability);
        double half_of_dead = tl_accuracy_half_width(&(tl_accuracy_noise){0}, probability);
        for (int i = 0; i < n && err == TL_OK; i++) {
            double *low = &out_low[(ptrdiff_t)i * model->n_tasks + k];
            double *high = &out_high[(ptrdiff_t)i * model->n_tasks + k];
            double score = (double)tl_mat_row(s.mean, i)[k];
            double spread = (double)tl_mat_row(s.spread, i)[k];
            double scale = tl_accuracy_scale(&output->noise, score, spread);
            bool is_dead = s.is_dead[i];
            to_interval(
                output, is_dead, score, is_dead ? half_of_dead : half * scale, low, high);
            if (!isfinite(*low) || !isfinite(*high)) {
                err = not_finite(model, i, k);
            }
        }
    }
    scored_done(&s);
    return err;
}

tl_err tl_accuracy_scores(
    const tl_accuracy_model *model,
    int task,
    const tl_choice *designs,
    int n,
    double *out_score,
    double *out_scale,
    tl_rank_map *out_map,
    double *out_dof)
{
    TL_ASSERT(0 <= task && task < model->n_tasks);
    const tl_accuracy_output *output = &model->outputs[task];
    double low = tl_rank_map_forward(&output->map, output->dead_mean - output->dead_sd);
    double high = tl_rank_map_forward(&output->map, output->dead_mean + output->dead_sd);
    scored s = {0};
    tl_err err = score_designs(model, designs, n, &s);
    for (int i = 0; i < n && err == TL_OK; i++) {
        double score = (double)tl_mat_row(s.mean, i)[task];
        double spread = (double)tl_mat_row(s.spread, i)[task];
        bool is_dead = s.is_dead[i];
        out_score[i] = is_dead ? 0.5 * (low + high) : score;
        out_scale[i] =
            is_dead ? 0.5 * (high - low) : tl_accuracy_scale(&output->noise, score, spread);
        if (!isfinite(out_score[i]) || !isfinite(out_scale[i])) {
            err = not_finite(model, i, task);
        }
    }
    scored_done(&s);
    if (err == TL_OK) {
        *out_map = output->map;
        *out_dof = output->noise.tail > 0.0 ? 1.0 / output->noise.tail : (double)INFINITY;
    }
    return err;
}
