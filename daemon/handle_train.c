/* SPDX-License-Identifier: Apache-2.0 */

/* Method train.run: a model from the stored measurements. */

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "daemon/predictors.h"
#include "measurements/columns.h"
#include "optimizer/optimizer.h"
#include "predictors/train.h"
#include "proto/job.pb-c.h"

#include <string.h>
#include <unistd.h>

typedef Tailor__V1__TrainRequest train_request;
typedef Tailor__V1__TrainReply train_reply;

enum {
    MAX_THREADS = 4,
    MAX_COLUMNS = 256, /* of each metric: a head has a column for each known device */
    FIGURE_DIGITS = 5
};

/* The stored columns that take part, and the profiles of their devices. */
typedef struct material {
    tl_column *columns;
    tl_profile *profiles;
    tl_train_column *train; /* borrows from the two above and from lists */
    tl_column_list lists[TL_N_METRICS];
    tl_damage damaged; /* found to be when they were read; nobody named them */
    int n;
} material;

static void material_done(material *m)
{
    for (int i = 0; i < m->n; i++) {
        tl_column_done(&m->columns[i]);
    }
    tl_mem_free(m->columns);
    tl_mem_free(m->profiles);
    tl_mem_free(m->train);
    for (int i = 0; i < TL_N_METRICS; i++) {
        tl_column_list_done(&m->lists[i]);
    }
    tl_damage_done(&m->damaged);
}

/* Whether anything of the subject is stored, under any metric of its kind. */
static tl_err check_stored(
    tl_call *call, const char *space, bool is_device, const char *subject)
{
    int sum = 0;
    for (int m = 0; m < TL_N_METRICS && sum == 0; m++) {
        if (tl_metric_is_of_device((tl_metric)m) == is_device) {
            TL_TRY(tl_columns_count(
                tl_engine_store(call->engine), space, (tl_metric)m, subject, &sum));
        }
    }
    return sum > 0 ? TL_OK : TL_ENOTFOUND;
}

/* Whoever names a device or task wants it used: without measurements it is refused. */
static tl_err check_named(tl_call *call, const train_request *request)
{
    tl_err err = tl_call_check(call);
    for (size_t i = 0; err == TL_OK && request->has_devices && i < request->n_devices; i++) {
        err = check_stored(call, request->space, true, request->devices[i]);
        if (err == TL_ENOTFOUND) {
            return tl_fail(
                TL_ENOTFOUND, "device %.128s: no measurements of it are stored for space %s",
                request->devices[i], request->space);
        }
    }
    for (size_t i = 0; err == TL_OK && request->has_tasks && i < request->n_tasks; i++) {
        err = check_stored(call, request->space, false, request->tasks[i]);
        if (err == TL_ENOTFOUND) {
            return tl_fail(
                TL_ENOTFOUND, "task %.128s: no accuracies of it are stored for space %s",
                request->tasks[i], request->space);
        }
    }
    return err;
}

static const char damaged_note[] = "is damaged and takes no part";

/* Whether the request names which columns of the metric take part. */
static bool is_named(const train_request *request, tl_metric metric)
{
    return tl_metric_is_of_device(metric) ? request->has_devices : request->has_tasks;
}

/* The columns of a metric that take part: the named ones, else those with most measurements. */
static tl_err list_columns(
    tl_call *call,
    const train_request *request,
    tl_metric metric,
    tl_text *notes,
    tl_column_list *out_list)
{
    bool is_device = tl_metric_is_of_device(metric);
    tl_store *store = tl_engine_store(call->engine);
    size_t n_left_out = 0;
    if (is_named(request, metric)) {
        char **names = is_device ? request->devices : request->tasks;
        size_t n = is_device ? request->n_devices : request->n_tasks;
        return tl_columns_named(
            store, request->space, metric, (const char *const *)names, n, out_list);
    }
    TL_TRY(
        tl_columns_largest(store, request->space, metric, MAX_COLUMNS, out_list, &n_left_out));
    if (n_left_out > 0) {
        tl_text_addf(
            notes,
            "%s: the %d %s with most measurements take part, %zu others do not; name some to "
            "choose\n",
            tl_metric_name(metric), (int)MAX_COLUMNS, is_device ? "devices" : "tasks",
            n_left_out);
    }
    tl_handle_add_damage(&out_list->damaged, damaged_note, notes);
    return TL_OK;
}

static tl_err add_column(
    tl_call *call,
    const tl_space *space,
    const tl_column_info *found,
    tl_text *notes,
    material *m)
{
    tl_column *column = &m->columns[m->n];
    tl_profile *profile = &m->profiles[m->n];
    TL_TRY(tl_columns_get(
        tl_engine_store(call->engine), space, found->metric, found->subject, column));
    tl_train_column *train = &m->train[m->n];
    m->n++;
    *train = (tl_train_column){
        .metric = found->metric,
        .subject = found->subject,
        .designs = column->designs,
        .values = column->values,
        .n = column->n};
    if (tl_metric_is_of_device(found->metric)) {
        tl_err err =
            tl_registry_find(tl_engine_registry(call->engine), found->subject, profile);
        if (err == TL_OK) {
            train->profile = profile;
        } else if (err == TL_EDAMAGED) {
            tl_text_addf(
                notes, "%s: its profile is damaged and not looked at\n", found->subject);
        } else if (err != TL_ENOTFOUND) {
            return err;
        }
    }
    return TL_OK;
}

static tl_err collect(
    tl_call *call,
    const train_request *request,
    const tl_space *space,
    tl_text *notes,
    material *m)
{
    size_t n = 0;
    TL_TRY(check_named(call, request));
    for (int i = 0; i < TL_N_METRICS; i++) {
        TL_TRY(list_columns(call, request, (tl_metric)i, notes, &m->lists[i]));
        n += m->lists[i].n_columns;
    }
    m->columns = tl_mem_new(n, sizeof *m->columns);
    m->profiles = tl_mem_new(n, sizeof *m->profiles);
    m->train = tl_mem_new(n, sizeof *m->train);
    if (m->columns == NULL || m->profiles == NULL || m->train == NULL) {
        return tl_fail(TL_ENOMEM, "%zu columns of measurements", n);
    }
    for (int i = 0; i < TL_N_METRICS; i++) {
        for (size_t c = 0; c < m->lists[i].n_columns; c++) {
            const tl_column_info *found = &m->lists[i].columns[c];
            TL_TRY(tl_call_check(call));
            tl_err err = add_column(call, space, found, notes, m);
            if (!is_named(request, found->metric)) {
                err = tl_handle_pass_over(err, found, &m->damaged);
            }
            TL_TRY(err);
        }
    }
    tl_handle_add_damage(&m->damaged, damaged_note, notes);
    return TL_OK;
}

/* ---- training ------------------------------------------------------------------------------ */

static bool step(void *job, const char *what, int64_t done, int64_t total)
{
    return tl_job_step(job, what, (uint64_t)done, (uint64_t)total) == TL_OK;
}

static int n_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}

static void add_list(tl_text *command, const char *option, size_t n, char *const *names)
{
    tl_text_addf(command, " %s ", option);
    for (size_t i = 0; i < n; i++) {
        tl_text_addf(command, "%s%s", i > 0 ? "," : "", names[i]);
    }
}

/* The command as a user would repeat it: kept as provenance. */
static void write_command(const train_request *request, uint64_t seed, tl_text *command)
{
    tl_text_addf(command, "tailor train --space %s", request->space);
    if (request->has_devices) {
        add_list(command, "--devices", request->n_devices, request->devices);
    }
    if (request->has_tasks) {
        add_list(command, "--tasks", request->n_tasks, request->tasks);
    }
    tl_text_addf(command, " --seed %llu", (unsigned long long)seed);
    if (request->effort[0] != '\0') {
        tl_text_addf(command, " --effort %s", request->effort);
    }
}

static tl_err train(
    const train_request *request,
    const tl_space *space,
    const material *m,
    const tl_model *base,
    tl_job *job,
    tl_text *notes,
    tl_model **out_model)
{
    tl_text command = {0};
    uint64_t seed = request->has_seed ? request->seed : 1;
    write_command(request, seed, &command);
    tl_err err = tl_text_err(&command);
    if (err == TL_OK) {
        tl_train_options options = {
            .space = space,
            .columns = m->train,
            .n_columns = m->n,
            .base = base,
            .drops_base_sources = request->has_devices,
            .seed = seed,
            .command = command.data,
            .n_threads = n_threads(),
            .progress = step,
            .context = job};
        err = tl_train(&options, notes, out_model);
    }
    tl_text_done(&command);
    return err;
}

/* ---- the optimizer --------------------------------------------------------------------------- */

static const char *const efforts[] = {[TL_EFFORT_QUICK] = "quick", [TL_EFFORT_LONG] = "long"};
static const char no_effort[] = "none";

/* "": quick; *out_effort is not written for "none". */
static tl_err read_effort(const char *text, tl_effort *out_effort, bool *out_is_none)
{
    *out_is_none = strcmp(text, no_effort) == 0;
    for (size_t i = 0; i < TL_COUNT(efforts); i++) {
        if (strcmp(text, efforts[i]) == 0 || (text[0] == '\0' && i == TL_EFFORT_QUICK)) {
            *out_effort = (tl_effort)i;
            return TL_OK;
        }
    }
    return *out_is_none
               ? TL_OK
               : tl_fail(TL_EINVAL, "effort: got \"%.40s\", want none, quick or long", text);
}

/* A predictor of its own for the time of the training: it takes a copy of the model. */
static tl_err predictor_of(
    const tl_space *space, const tl_model *model, int n_weights, tl_predictor **out_predictor)
{
    tl_bytes packed = {0};
    tl_model *copy = NULL;
    TL_TRY(tl_model_pack(model, &packed));
    tl_err err =
        tl_model_unpack(space, n_weights, packed.data, packed.len, "the new model", &copy);
    tl_mem_free(packed.data);
    return err == TL_OK ? tl_predictor_new(space, copy, out_predictor) : err;
}

static tl_err add_trained(
    tl_predictor *predictor,
    const tl_optimizer_options *options,
    tl_text *notes,
    tl_model *model)
{
    tl_optimizer *optimizer = NULL;
    tl_err err = tl_optimizer_train(predictor, options, &optimizer);
    if (err == TL_ESTATE) {
        tl_text_addf(notes, "no optimizer was trained: %s\n", tl_err_detail());
        tl_err_clear();
        return TL_OK;
    }
    if (err == TL_OK) {
        err = tl_optimizer_pack(optimizer, &model->optimizer);
    }
    tl_optimizer_unref(optimizer);
    return err;
}

/* Trains the optimizer on the new model and puts it there. */
static tl_err add_optimizer(
    const train_request *request,
    const tl_predictor *former,
    tl_job *job,
    tl_text *notes,
    tl_model *model)
{
    const tl_space *space = tl_predictor_space(former);
    tl_predictor *predictor = NULL;
    bool is_none = false;
    tl_optimizer_options options = {
        .seed = request->has_seed ? request->seed : 1,
        .n_threads = n_threads(),
        .progress = step,
        .progress_context = job};
    TL_TRY(read_effort(request->effort, &options.effort, &is_none));
    if (is_none) {
        return TL_OK;
    }
    TL_TRY(predictor_of(
        space, model, tl_features_n_source(tl_predictor_features(former)), &predictor));
    tl_err err = add_trained(predictor, &options, notes, model);
    tl_predictor_unref(predictor);
    return err;
}

/* ---- what an interrupted training goes on from --------------------------------------------------- */

static const char kept_name[] = "predictors";

/* The predictors are fitted: a run after a restart begins with the optimizer. */
static void remember(tl_job *job, const tl_model *model, const tl_text *notes)
{
    Tailor__Job__V1__KeptModel kept;
    tl_bytes packed = {0};
    tl_bytes bytes = {0};
    tailor__job__v1__kept_model__init(&kept);
    kept.notes = notes->data != NULL ? notes->data : kept.notes;
    if (tl_text_err(notes) == TL_OK && tl_model_pack(model, &packed) == TL_OK) {
        kept.model = (ProtobufCBinaryData){.len = packed.len, .data = packed.data};
        if (tl_wire_pack((ProtobufCMessage *)&kept, &bytes) == TL_OK) {
            tl_job_keep(job, kept_name, bytes.data, bytes.len);
        }
    }
    tl_mem_free(packed.data);
    tl_mem_free(bytes.data);
}

static tl_err unpack_kept(
    const void *data,
    size_t len,
    const tl_predictor *former,
    tl_text *notes,
    tl_model **out_model)
{
    ProtobufCMessage *message = NULL;
    TL_TRY(tl_wire_unpack(
        &tailor__job__v1__kept_model__descriptor, data, len, TL_WIRE_MAX_MEMORY_BYTES,
        &message));
    const Tailor__Job__V1__KeptModel *kept =
        (const Tailor__Job__V1__KeptModel *)(const void *)message;
    tl_err err = tl_model_unpack(
        tl_predictor_space(former), tl_features_n_source(tl_predictor_features(former)),
        kept->model.data, kept->model.len, "what the job kept", out_model);
    if (err == TL_OK) {
        tl_text_add(notes, kept->notes);
    }
    tl_wire_free(message);
    return err;
}

/* False: from the start. What cannot be read, as of another version, is trained again. */
static bool recall(
    tl_job *job, const tl_predictor *former, tl_text *notes, tl_model **out_model)
{
    void *data = NULL;
    size_t len = 0;
    tl_err err = tl_job_kept(job, kept_name, &data, &len);
    if (err == TL_OK) {
        err = unpack_kept(data, len, former, notes, out_model);
        tl_mem_free(data);
    }
    if (err != TL_OK && err != TL_ENOTFOUND) {
        tl_log(TL_LOG_WARN, "a training begins again: %s", tl_err_detail());
    }
    tl_err_clear();
    return err == TL_OK;
}

/* ---- the report --------------------------------------------------------------------------------- */

static tl_err add_figures(const tl_model *model, Tailor__V1__Table *table)
{
    Tailor__V1__Column *part = NULL;
    Tailor__V1__Column *subject = NULL;
    Tailor__V1__Column *figure = NULL;
    double *value = NULL;
    double *n = NULL;
    TL_TRY(tl_table_reply_text(table, "part", &part));
    TL_TRY(tl_table_reply_text(table, "subject", &subject));
    TL_TRY(tl_table_reply_text(table, "figure", &figure));
    TL_TRY(tl_table_reply_blank(table, "value", FIGURE_DIGITS, &value));
    TL_TRY(tl_table_reply_blank(table, "designs", 0, &n));
    for (int i = 0; i < model->n_figures; i++) {
        const tl_model_figure *f = &model->figures[i];
        TL_TRY(tl_table_reply_set_text(part, (size_t)i, f->part));
        TL_TRY(tl_table_reply_set_text(subject, (size_t)i, f->subject));
        TL_TRY(tl_table_reply_set_text(figure, (size_t)i, f->figure));
        value[i] = f->value;
        n[i] = (double)f->n;
    }
    return TL_OK;
}

static tl_err report(const tl_model *model, const tl_text *notes, train_reply *reply)
{
    TL_TRY(tl_handle_set_text(&reply->model, model->name));
    reply->report = tl_table_reply_new((size_t)model->n_figures);
    if (reply->report == NULL) {
        return tl_fail(TL_ENOMEM, "a report");
    }
    TL_TRY(add_figures(model, reply->report));
    return tl_handle_add_lines(notes, &reply->notes, &reply->n_notes);
}

/* ---- the method --------------------------------------------------------------------------------- */

/* The predictors: trained now, or in a run that was interrupted after that. */
static tl_err fit(
    tl_call *call,
    const train_request *request,
    const tl_predictor *former,
    tl_job *job,
    tl_text *notes,
    tl_model **out_model)
{
    material m = {0};
    const tl_space *space = tl_predictor_space(former);
    if (recall(job, former, notes, out_model)) {
        return TL_OK;
    }
    tl_err err = collect(call, request, space, notes, &m);
    if (err == TL_OK) {
        err = train(request, space, &m, tl_predictor_model(former), job, notes, out_model);
    }
    if (err == TL_OK) {
        remember(job, *out_model, notes);
    }
    material_done(&m);
    return err;
}

static tl_err train_and_store(
    tl_call *call,
    const train_request *request,
    tl_space *space,
    tl_job *job,
    train_reply *reply)
{
    tl_predictors *predictors = tl_engine_predictors(call->engine);
    tl_text notes = {0};
    tl_model *model = NULL;
    tl_predictor *former = NULL;
    tl_err err = tl_predictors_get(predictors, space, NULL, &former);
    if (err == TL_OK && (err = fit(call, request, former, job, &notes, &model)) == TL_OK &&
        (err = add_optimizer(request, former, job, &notes, model)) == TL_OK &&
        (err = tl_text_err(&notes)) == TL_OK &&
        (err = tl_engine_model_store(call->engine, space, model)) == TL_OK) {
        err = report(model, &notes, reply);
    }
    tl_model_free(model);
    tl_predictor_unref(former);
    tl_text_done(&notes);
    return err;
}

static tl_err check(const ProtobufCMessage *request_base)
{
    const train_request *request = (const train_request *)request_base;
    tl_effort ignored = TL_EFFORT_QUICK;
    bool is_none = false;
    if (request->n_devices > MAX_COLUMNS || request->n_tasks > MAX_COLUMNS) {
        return tl_fail(
            TL_ELIMIT, "got %zu devices and %zu tasks, want at most %d of each",
            request->n_devices, request->n_tasks, (int)MAX_COLUMNS);
    }
    return read_effort(request->effort, &ignored, &is_none);
}

static tl_err run(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const train_request *request = (const train_request *)request_base;
    tl_space *space = NULL;
    tl_job *job = NULL;
    TL_TRY(check(request_base));
    /* A model of what is left would take the place of one that knew more. */
    TL_TRY(tl_store_check_writable(tl_engine_store(call->engine)));
    TL_TRY(tl_engine_space(call->engine, request->space, &space));
    tl_err err =
        tl_job_begin(tl_engine_jobs(call->engine), call, "train.run", request->space, &job);
    if (err == TL_OK) {
        err = train_and_store(call, request, space, job, (train_reply *)reply_base);
        err = tl_job_end(job, err);
    }
    tl_space_unref(space);
    return err;
}

const tl_method tl_method_train_run = {
    .name = "train.run",
    .summary = "Fits the predictors and the optimizer of a space to its stored measurements",
    .request = &tailor__v1__train_request__descriptor,
    .reply = &tailor__v1__train_reply__descriptor,
    .run = run,
    .min_role = TL_ROLE_WRITER,
    .lane = TL_LANE_BULK,
    .is_job = true,
    .check = check,
};
