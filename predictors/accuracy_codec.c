/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/accuracy_codec.h"

#include "base/mem.h"
#include "predictors/accuracy_impl.h"
#include "predictors/cellnet.h"
#include "predictors/mlp.h"
#include "proto/accuracy.pb-c.h"

#include <math.h>
#include <string.h>

enum {
    VERSION = 1,
    MAX_MEMBERS = 64,
    MAX_RIDGES = 64,
    MAX_HEADS = 64,
    MAX_WIDTH = 1024,
    MAX_MEMORY_BYTES = 64 * 1024 * 1024,
};

static const double max_percent =
    1e6; /* labels are in percent; beyond this a file is nonsense */
static const double min_profile = 1e-6;
static const double max_tail = 1.0; /* Cauchy's */

typedef Tailor__Model__V1__AccuracyModel model_message;
typedef Tailor__Model__V1__AccuracyTask task_message;

/* ---- packing --------------------------------------------------------------------- */

static tl_err put_floats(const float *from, size_t n, size_t *n_to, float **to)
{
    if (n == 0) {
        return TL_OK;
    }
    *to = tl_mem_new(n, sizeof **to);
    if (*to == NULL) {
        return tl_fail(TL_ENOMEM, "%zu weights", n);
    }
    memcpy(*to, from, n * sizeof *from);
    *n_to = n;
    return TL_OK;
}

static tl_err put_doubles(const double *from, size_t n, size_t *n_to, double **to)
{
    *to = tl_mem_new(n, sizeof **to);
    if (*to == NULL) {
        return tl_fail(TL_ENOMEM, "%zu knots", n);
    }
    memcpy(*to, from, n * sizeof *from);
    *n_to = n;
    return TL_OK;
}

/* A message's strings start as a shared empty one. */
static tl_err put_name(const char *name, char **to)
{
    *to = tl_mem_strdup(name);
    return *to != NULL ? TL_OK : tl_fail(TL_ENOMEM, "name of a task");
}

static tl_err put_task(const tl_accuracy_output *from, task_message *to)
{
    size_t n_knots = (size_t)from->map.n_knots;
    to->n_labels = (uint32_t)from->n_labels;
    to->low_slope = from->map.low_slope;
    to->high_slope = from->map.high_slope;
    to->spread_gain = from->noise.spread_gain;
    to->noise = from->noise.noise;
    to->tail = from->noise.tail;
    to->std_gain = from->std_gain;
    to->dead_percent = from->dead_mean;
    to->dead_sd_percent = from->dead_sd;
    TL_TRY(put_name(from->task, &to->name));
    TL_TRY(put_doubles(
        from->noise.profile, TL_ACCURACY_PROFILE_LEN, &to->n_noise_profile,
        &to->noise_profile));
    TL_TRY(put_doubles(from->map.value, n_knots, &to->n_knot_percent, &to->knot_percent));
    return put_doubles(from->map.score, n_knots, &to->n_knot_score, &to->knot_score);
}

static tl_err put_tasks(const tl_accuracy_model *model, model_message *message)
{
    message->tasks = tl_mem_new((size_t)model->n_tasks, sizeof *message->tasks);
    if (message->tasks == NULL) {
        return tl_fail(TL_ENOMEM, "%d tasks", model->n_tasks);
    }
    for (int k = 0; k < model->n_tasks; k++) {
        ProtobufCMessage *task = tl_wire_new(&tailor__model__v1__accuracy_task__descriptor);
        if (task == NULL) {
            if (k == 0) {
                /* An array of none would not be released with the message. */
                tl_mem_free(message->tasks);
                message->tasks = NULL;
            }
            return tl_fail(TL_ENOMEM, "%d tasks", model->n_tasks);
        }
        message->tasks[k] = (task_message *)task;
        message->n_tasks++;
        TL_TRY(put_task(&model->outputs[k], message->tasks[k]));
    }
    return TL_OK;
}

static tl_err put_score(const tl_score_model *score, model_message *message)
{
    size_t n_numbers = (size_t)score->n_numbers;
    size_t n_read = score->mean != NULL ? n_numbers : 0;
    size_t n_params = (size_t)score->n_members * (size_t)score->net.n_params;
    size_t n_weights = (size_t)score->n_ridges * (size_t)score->n_out * (n_numbers + 1);
    bool is_cell = score->net.kind == &tl_cellnet_kind;
    size_t n_codes = is_cell ? (size_t)score->net.cell.n_codes : 0;
    message->numbers = (uint32_t)score->n_numbers;
    message->members = (uint32_t)score->n_members;
    message->heads = score->n_members > 0 ? (uint32_t)(score->net.n_out / score->n_out) : 0;
    message->d = is_cell ? (uint32_t)score->net.cell.d : 0;
    message->h = (uint32_t)(is_cell ? score->net.cell.h : score->net.mlp.h);
    message->ridges = (uint32_t)score->n_ridges;
    TL_TRY(put_floats(score->mean, n_read, &message->n_mean, &message->mean));
    TL_TRY(put_floats(score->scale, n_read, &message->n_scale, &message->scale));
    TL_TRY(put_floats(score->params, n_params, &message->n_params, &message->params));
    TL_TRY(put_floats(
        score->ridges, n_weights, &message->n_ridge_weights, &message->ridge_weights));
    if (n_codes > 0) {
        message->read_as.data = tl_mem_new(n_codes, 1);
        if (message->read_as.data == NULL) {
            return tl_fail(TL_ENOMEM, "%zu codes", n_codes);
        }
        memcpy(message->read_as.data, score->read_as, n_codes);
        message->read_as.len = n_codes;
    }
    return TL_OK;
}

tl_err tl_accuracy_pack(const tl_accuracy_model *model, tl_bytes *out)
{
    ProtobufCMessage *base = tl_wire_new(&tailor__model__v1__accuracy_model__descriptor);
    if (base == NULL) {
        return tl_fail(TL_ENOMEM, "accuracy model");
    }
    model_message *message = (model_message *)base;
    message->version = VERSION;
    tl_err err = put_tasks(model, message);
    if (err != TL_OK || (err = put_score(&model->score, message)) != TL_OK) {
        goto done;
    }
    err = tl_wire_pack(base, out);
done:
    tl_wire_free(base);
    return err;
}

/* ---- unpacking ------------------------------------------------------------------- */

/* Copies n finite floats; the message must hold exactly as many. */
static tl_err get_floats(
    const char *what, const float *from, size_t n_from, size_t n, float **out)
{
    if (n_from != n) {
        return tl_fail(TL_EDAMAGED, "accuracy model: got %zu %s, want %zu", n_from, what, n);
    }
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(from[i])) {
            return tl_fail(
                TL_EDAMAGED, "accuracy model: number %zu of %s is not finite", i, what);
        }
    }
    *out = tl_mem_new(n, sizeof **out);
    if (*out == NULL) {
        return tl_fail(TL_ENOMEM, "%zu %s", n, what);
    }
    if (n > 0) {
        memcpy(*out, from, n * sizeof *from);
    }
    return TL_OK;
}

static bool is_within(double x, double low, double high)
{
    return x >= low && x <= high; /* NaN is not */
}

static tl_err get_map(const task_message *from, tl_rank_map *map)
{
    if (from->n_knot_percent < 1 || from->n_knot_percent > TL_RANK_MAP_MAX_KNOTS ||
        from->n_knot_score != from->n_knot_percent) {
        return tl_fail(
            TL_EDAMAGED, "accuracy of %s: got %zu and %zu knots", from->name,
            from->n_knot_percent, from->n_knot_score);
    }
    map->n_knots = (int)from->n_knot_percent;
    for (int i = 0; i < map->n_knots; i++) {
        map->value[i] = from->knot_percent[i];
        map->score[i] = from->knot_score[i];
    }
    map->low_slope = from->low_slope;
    map->high_slope = from->high_slope;
    if (!tl_rank_map_is_valid(map)) {
        return tl_fail(TL_EDAMAGED, "accuracy of %s: the knots do not ascend", from->name);
    }
    return TL_OK;
}

/* Without a profile the noise is the same everywhere. */
static tl_err get_noise(const task_message *from, tl_accuracy_noise *to)
{
    bool has_profile = from->n_noise_profile > 0;
    bool is_right = is_within(from->spread_gain, 0.0, max_percent) &&
                    is_within(from->noise, 0.0, max_percent) &&
                    is_within(from->tail, 0.0, max_tail) &&
                    (!has_profile || from->n_noise_profile == TL_ACCURACY_PROFILE_LEN);
    for (size_t j = 0; is_right && j < from->n_noise_profile; j++) {
        is_right = is_within(from->noise_profile[j], min_profile, max_percent);
    }
    if (!is_right) {
        return tl_fail(TL_EDAMAGED, "accuracy of %s: its noise is out of range", from->name);
    }
    to->spread_gain = from->spread_gain;
    to->noise = from->noise;
    to->tail = from->tail;
    for (int j = 0; j < TL_ACCURACY_PROFILE_LEN; j++) {
        to->profile[j] = has_profile ? from->noise_profile[j] : 1.0;
    }
    return TL_OK;
}

static tl_err get_task(const task_message *from, tl_accuracy_output *to)
{
    if (from->name[0] == '\0' || from->n_labels > INT32_MAX) {
        return tl_fail(TL_EDAMAGED, "accuracy model: a task has no name or count");
    }
    if (!is_within(from->dead_percent, -max_percent, max_percent) ||
        !is_within(from->dead_sd_percent, 0.0, max_percent) ||
        !is_within(from->std_gain, 0.0, max_percent)) {
        return tl_fail(TL_EDAMAGED, "accuracy of %s: a figure is out of range", from->name);
    }
    to->n_labels = (int)from->n_labels;
    TL_TRY(get_noise(from, &to->noise));
    to->std_gain = from->std_gain > 0.0 ? from->std_gain : 1.0;
    to->dead_mean = from->dead_percent;
    to->dead_sd = from->dead_sd_percent;
    TL_TRY(get_map(from, &to->map));
    to->task = tl_mem_strdup(from->name);
    return to->task != NULL ? TL_OK : tl_fail(TL_ENOMEM, "name of a task");
}

static tl_err get_read_as(const model_message *message, int n_codes, tl_score_model *score)
{
    if (message->read_as.len != (size_t)n_codes) {
        return tl_fail(
            TL_EDAMAGED, "accuracy model: got %zu codes, want %d", message->read_as.len,
            n_codes);
    }
    for (int o = 0; o < n_codes; o++) {
        if (message->read_as.data[o] >= n_codes) {
            return tl_fail(TL_EDAMAGED, "accuracy model: code %d is out of range", o);
        }
        score->read_as[o] = (int8_t)message->read_as.data[o];
    }
    return TL_OK;
}

/* The network of the sizes that the message names; its parameters are checked against it. */
static tl_err get_net(
    const tl_score_encoder *encoder, const model_message *message, tl_score_model *score)
{
    bool is_sized =
        message->h <= MAX_WIDTH && message->d <= MAX_WIDTH && message->heads <= MAX_HEADS;
    int n_heads = is_sized && message->heads > 1 ? (int)message->heads : 1;
    if (encoder->is_cell) {
        tl_cellnet_shape shape = encoder->cell.shape;
        shape.d = is_sized ? (int)message->d : 0;
        shape.h = is_sized ? (int)message->h : 0;
        shape.n_conditions = message->n_mean > 0 ? encoder->n_numbers : 0;
        shape.n_out = score->n_out * n_heads;
        if (!tl_cellnet_shape_is_valid(&shape)) {
            return tl_fail(TL_EDAMAGED, "accuracy model: no network has these sizes");
        }
        tl_cellnet_init(&shape, &score->net);
        return get_read_as(message, shape.n_codes, score);
    }
    tl_mlp_shape shape = {
        .d = encoder->n_numbers,
        .h = is_sized ? (int)message->h : 0,
        .n_out = score->n_out * n_heads};
    if (!tl_mlp_shape_is_valid(&shape)) {
        return tl_fail(TL_EDAMAGED, "accuracy model: no network has these sizes");
    }
    tl_mlp_init(&shape, &score->net);
    return TL_OK;
}

static tl_err get_score(
    const tl_score_encoder *encoder, const model_message *message, tl_score_model *score)
{
    size_t n_numbers = (size_t)encoder->n_numbers;
    if (message->numbers != n_numbers) {
        return tl_fail(
            TL_EDAMAGED, "accuracy model: got %u numbers a design, want %zu", message->numbers,
            n_numbers);
    }
    if (message->members > MAX_MEMBERS || message->ridges > MAX_RIDGES ||
        (encoder->is_cell ? message->members == 0 || message->ridges > 0
                          : message->ridges == 0 || message->n_mean == 0)) {
        return tl_fail(
            TL_EDAMAGED, "accuracy model: got %u networks and %u ridges", message->members,
            message->ridges);
    }
    score->n_out = (int)message->n_tasks;
    score->n_numbers = encoder->n_numbers;
    if (message->n_mean > 0) {
        TL_TRY(get_floats("means", message->mean, message->n_mean, n_numbers, &score->mean));
        TL_TRY(
            get_floats("scales", message->scale, message->n_scale, n_numbers, &score->scale));
    }
    if (message->members > 0) {
        TL_TRY(get_net(encoder, message, score));
        score->n_members = (int)message->members;
        TL_TRY(get_floats(
            "parameters", message->params, message->n_params,
            (size_t)score->n_members * (size_t)score->net.n_params, &score->params));
    }
    if (message->ridges > 0) {
        score->n_ridges = (int)message->ridges;
        TL_TRY(get_floats(
            "ridge weights", message->ridge_weights, message->n_ridge_weights,
            (size_t)score->n_ridges * (size_t)score->n_out * (n_numbers + 1), &score->ridges));
    }
    return TL_OK;
}

static tl_err get_model(
    const tl_space *space, const model_message *message, tl_accuracy_model **out_model)
{
    if (message->version != VERSION) {
        return tl_fail(
            message->version == 0 ? TL_EDAMAGED : TL_EVERSION,
            "accuracy model: got version %u, want %d", message->version, VERSION);
    }
    if (message->n_tasks < 1 || message->n_tasks > TL_ACCURACY_MAX_TASKS) {
        return tl_fail(TL_EDAMAGED, "accuracy model: got %zu tasks", message->n_tasks);
    }
    tl_accuracy_model *model = NULL;
    TL_TRY(tl_accuracy_model_new(space, (int)message->n_tasks, &model));
    tl_err err = TL_OK;
    for (int k = 0; k < model->n_tasks; k++) {
        if ((err = get_task(message->tasks[k], &model->outputs[k])) != TL_OK) {
            goto done;
        }
    }
    if ((err = get_score(&model->encoder, message, &model->score)) != TL_OK) {
        goto done;
    }
    *out_model = model;
    model = NULL;
done:
    tl_accuracy_model_free(model);
    return err;
}

tl_err tl_accuracy_unpack(
    const tl_space *space, const void *data, size_t len, tl_accuracy_model **out_model)
{
    ProtobufCMessage *base = NULL;
    tl_err err = tl_wire_unpack(
        &tailor__model__v1__accuracy_model__descriptor, data, len, MAX_MEMORY_BYTES, &base);
    if (err == TL_EINVAL || err == TL_ELIMIT) {
        return tl_fail_in(TL_EDAMAGED, "accuracy model: ");
    }
    if (err != TL_OK) {
        return err;
    }
    err = get_model(space, (const model_message *)base, out_model);
    tl_wire_free(base);
    return err;
}
