/* SPDX-License-Identifier: Apache-2.0 */

/* Methods model.list and model.show: what answers for each space, and where it came from. */

#include "base/mem.h"
#include "base/text.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "daemon/predictors.h"

#include <math.h>
#include <time.h>

enum {
    DATE_BYTES = 32
};

static void print_date(int64_t unix_s, char date[DATE_BYTES])
{
    time_t seconds = (time_t)unix_s;
    struct tm utc;
    date[0] = '\0';
    if (gmtime_r(&seconds, &utc) != NULL) {
        (void)strftime(date, DATE_BYTES, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
}

/* ---- model.list ---------------------------------------------------------------------- */

typedef struct list_columns {
    Tailor__V1__Column *space, *model, *origin, *created, *complaint;
    double *devices, *tasks, *bytes;
} list_columns;

static tl_err add_columns(Tailor__V1__Table *table, list_columns *c)
{
    TL_TRY(tl_table_reply_text(table, "space", &c->space));
    TL_TRY(tl_table_reply_text(table, "model", &c->model));
    TL_TRY(tl_table_reply_text(table, "origin", &c->origin));
    TL_TRY(tl_table_reply_text(table, "created", &c->created));
    TL_TRY(tl_table_reply_blank(table, "known_devices", 0, &c->devices));
    TL_TRY(tl_table_reply_blank(table, "tasks", 0, &c->tasks));
    TL_TRY(tl_table_reply_blank(table, "file_bytes", 0, &c->bytes));
    return tl_table_reply_text(table, "complaint", &c->complaint);
}

static tl_err add_row(tl_call *call, const tl_space *space, size_t row, const list_columns *c)
{
    tl_model_origin origin;
    tl_predictor *predictor = NULL;
    tl_predictors *predictors = tl_engine_predictors(call->engine);
    TL_TRY(tl_predictors_get(predictors, space, NULL, &predictor));
    const tl_model *model = tl_predictor_model(predictor);
    char date[DATE_BYTES] = "";
    if (model != NULL) {
        print_date(model->created_unix_s, date);
    }
    tl_err err = TL_OK;
    if ((err = tl_predictors_origin(predictors, space, &origin)) == TL_OK &&
        (err = tl_table_reply_set_text(c->space, row, tl_space_name(space))) == TL_OK &&
        (err = tl_table_reply_set_text(c->model, row, model != NULL ? model->name : "none")) ==
            TL_OK &&
        (err = tl_table_reply_set_text(c->origin, row, origin.kind)) == TL_OK &&
        (err = tl_table_reply_set_text(c->created, row, date)) == TL_OK &&
        (err = tl_table_reply_set_text(c->complaint, row, origin.complaint)) == TL_OK) {
        c->devices[row] = model != NULL ? model->n_sources : 0;
        c->tasks[row] = tl_predictor_n_tasks(predictor);
        c->bytes[row] = (double)origin.file_bytes;
    }
    tl_predictor_unref(predictor);
    return err;
}

static tl_err list(tl_call *call, const ProtobufCMessage *request, ProtobufCMessage *reply)
{
    (void)request;
    tl_space_entry *entries = NULL;
    size_t n = 0;
    list_columns columns = {0};
    Tailor__V1__Table *table = (Tailor__V1__Table *)reply;
    TL_TRY(tl_engine_spaces(call->engine, &entries, &n));
    tl_table_reply_init(table, n);
    tl_err err = add_columns(table, &columns);
    for (size_t i = 0; i < n && err == TL_OK; i++) {
        err = add_row(call, entries[i].space, i, &columns);
    }
    tl_space_entries_free(entries, n);
    return err;
}

const tl_method tl_method_model_list = {
    .name = "model.list",
    .summary = "The model in use for each space",
    .request = &tailor__v1__empty__descriptor,
    .reply = &tailor__v1__table__descriptor,
    .run = list,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_WORK,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};

/* ---- model.show ---------------------------------------------------------------------- */

static void print_head(const tl_model *model, const tl_model_origin *origin, tl_text *text)
{
    char date[DATE_BYTES];
    print_date(model->created_unix_s, date);
    tl_text_addf(
        text,
        "model: %s\nspace: %s\nspace_digest: %s\norigin: %s\nfile: %s\nfile_bytes: %lld\n",
        model->name, model->space, model->space_digest, origin->kind, origin->path,
        (long long)origin->file_bytes);
    tl_text_addf(
        text, "created: %s\ncommand: %s\nseed: %llu\n", date, model->command,
        (unsigned long long)model->seed);
}

static void print_sources(const tl_model *model, tl_text *text)
{
    tl_text_add(text, "known_devices:\n");
    for (int i = 0; i < model->n_sources; i++) {
        const tl_model_source *s = &model->sources[i];
        tl_text_addf(
            text, "  - {device: %s, cost: %s, measurements: %d, median: %.6g}\n", s->device,
            tl_cost_name(s->cost), s->source.n_samples, s->source.median);
    }
}

static void print_calibrations(const tl_model *model, tl_text *text)
{
    tl_text_add(text, "margins_by_confidence:\n");
    for (int i = 0; i < model->n_calibrations; i++) {
        const tl_model_calibration *c = &model->calibrations[i];
        tl_text_addf(text, "  - {cost: %s, samples: %d", tl_cost_name(c->cost), c->n_samples);
        for (int k = 0; k < TL_CALIBRATION_LEVELS; k++) {
            if (!isnan(c->z[k])) {
                tl_text_addf(text, ", %g: %.2f", tl_calibration_level[k], c->z[k]);
            }
        }
        tl_text_add(text, "}\n");
    }
}

static void print_figures(const tl_model *model, tl_text *text)
{
    tl_text_add(text, "held_out_figures:\n");
    for (int i = 0; i < model->n_figures; i++) {
        const tl_model_figure *f = &model->figures[i];
        tl_text_addf(
            text, "  - {part: \"%s\", subject: %s, figure: %s, value: %.5g, designs: %llu}\n",
            f->part, f->subject, f->figure, f->value, (unsigned long long)f->n);
    }
    tl_text_add(text, "measurements:\n");
    for (int i = 0; i < model->n_table_sums; i++) {
        const tl_model_table_sum *t = &model->table_sums[i];
        tl_text_addf(
            text, "  - {column: %s, values: %llu, sha256: %s}\n", t->column,
            (unsigned long long)t->n_values, t->sha256);
    }
}

static void print_tasks(const tl_predictor *predictor, tl_text *text)
{
    tl_text_add(text, "tasks: [");
    for (int i = 0; i < tl_predictor_n_tasks(predictor); i++) {
        tl_text_addf(text, "%s%s", i > 0 ? ", " : "", tl_predictor_task(predictor, i));
    }
    tl_text_add(text, "]\n");
}

static tl_err print_model(tl_predictors *predictors, const tl_space *space, tl_text *text)
{
    tl_model_origin origin;
    tl_predictor *predictor = NULL;
    TL_TRY(tl_predictors_get(predictors, space, NULL, &predictor));
    const tl_model *model = tl_predictor_model(predictor);
    tl_err err = tl_predictors_origin(predictors, space, &origin);
    if (err == TL_OK && model == NULL) {
        err = tl_fail(
            TL_ENOTFOUND, "space %s has no model: import measurements and train one",
            tl_space_name(space));
    }
    if (err == TL_OK) {
        print_head(model, &origin, text);
        print_tasks(predictor, text);
        print_sources(model, text);
        print_calibrations(model, text);
        print_figures(model, text);
        err = tl_text_err(text);
    }
    tl_predictor_unref(predictor);
    return err;
}

static tl_err show(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const Tailor__V1__Name *request = (const Tailor__V1__Name *)request_base;
    Tailor__V1__Text *reply = (Tailor__V1__Text *)reply_base;
    tl_space *space = NULL;
    tl_text text = {0};
    TL_TRY(tl_engine_space(call->engine, request->name, &space));
    tl_err err = print_model(tl_engine_predictors(call->engine), space, &text);
    if (err == TL_OK) {
        err = tl_handle_set_text(&reply->text, text.data);
    }
    tl_text_done(&text);
    tl_space_unref(space);
    return err;
}

const tl_method tl_method_model_show = {
    .name = "model.show",
    .summary = "A space's model: known devices, tasks, held-out figures, provenance",
    .request = &tailor__v1__name__descriptor,
    .reply = &tailor__v1__text__descriptor,
    .run = show,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_WORK,
    .deadline_ms = TL_DEADLINE_LONG_MS,
};
