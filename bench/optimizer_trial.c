/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/optimizer_trial.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"
#include "bench/public_table.h"
#include "measurements/designs.h"
#include "numerics/stats.h"
#include "predictors/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_MODEL_BYTES = 64 * 1024 * 1024,
    MAX_COLUMNS = 64,
    N_SOURCE_ROWS = 512,
    N_ACCURACY_ROWS = 3000,
    N_BIT_ROWS = 2000,
    ROW_SEED = 7000,
    SAMPLE_SEED = 8000
};

const double trial_limit_percentile[TRIAL_N_LIMITS] = {.2, .4, .6, .8};
const double trial_confidence[TRIAL_N_CONFIDENCES] = {.5, .9, .95};

#define ND_SOURCES \
    "1080ti_1 1080ti_32 1080ti_256 silver_4114 silver_4210r samsung_a50 pixel3 essential_ph_1 samsung_s7"

static const trial_spec specs[] = {
    {"ND",     "nasbench201", "nasbench201",        false, ND_SOURCES,
     "titan_rtx_256 gold_6226 fpga pixel2 raspi4 eyeriss"                                                                                                },
    {"ND-dev", "nasbench201", "nasbench201",        false,
     "1080ti_32 1080ti_256 silver_4114 samsung_a50 essential_ph_1 samsung_s7",                                             "1080ti_1 silver_4210r pixel3"},
    {"MN",     "mnasnet",     "mnasnet",            false,
     "a100_batched rtx3090_batched tpuv2_batched zcu102_batched",                                                          "zcu102"                      },
    {"MN-dev", "mnasnet",     "mnasnet",            false,
     "zcu102 rtx3090_batched tpuv2_batched zcu102_batched",                                                                "a100_batched"                },
    {"F1",     "fbnet",       NULL,                 false, "2080ti_1 essential_ph_1 silver_4114 titan_rtx_1 titan_rtx_32",
     "eyeriss fpga raspi4 samsung_a50 samsung_s7"                                                                                                        },
    {"NQ",     "nasbench201", "nasbench201-qat150", true,  ND_SOURCES,                                                     "bit_serial"                  },
};

const trial_spec *trial_spec_find(const char *name)
{
    for (size_t i = 0; i < TL_COUNT(specs); i++) {
        if (strcmp(specs[i].name, name) == 0) {
            return &specs[i];
        }
    }
    return NULL;
}

/* ---- the predictor ------------------------------------------------------------------------- */

/*
 * The first n of the rows that have a value of the column, in an order of chance, and those
 * of also, if not NULL.
 */
static tl_train_column gather(
    const tl_table *table,
    int n_slots,
    int column,
    int most,
    const bool *also,
    tl_metric metric)
{
    tl_rng rng;
    int *order = tl_bench_array(table->n, sizeof *order);
    tl_choice *designs = tl_bench_array(table->n * n_slots, sizeof *designs);
    double *values = tl_bench_array(table->n, sizeof *values);
    int n = 0;
    tl_rng_init(&rng, ROW_SEED + (metric == TL_METRIC_ACCURACY ? 0 : (uint64_t)column));
    tl_rng_permutation(&rng, table->n, order);
    for (int i = 0; i < table->n; i++) {
        bool is_taken = n < most || (also != NULL && also[order[i]]);
        double value = table->values[(ptrdiff_t)order[i] * table->n_columns + column];
        if (is_taken && !isnan(value)) {
            memcpy(
                designs + (ptrdiff_t)n * n_slots,
                table->designs + (ptrdiff_t)order[i] * n_slots,
                (size_t)n_slots * sizeof *designs);
            values[n++] = value;
        }
    }
    tl_mem_free(order);
    return (tl_train_column){
        .metric = metric,
        .subject = table->columns[column].name,
        .designs = designs,
        .values = values,
        .n = n};
}

static bool is_among(const char *names, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = strstr(names, name); at != NULL; at = strstr(at + 1, name)) {
        if ((at == names || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

static int gather_columns(const trial *t, const tl_table *accuracies, tl_train_column *out)
{
    int n = 0;
    int n_slots = tl_space_n_slots(t->space);
    for (int c = 0; c < t->table.n_columns; c++) {
        const tl_table_column *column = &t->table.columns[c];
        if (column->metric == TL_METRIC_LATENCY_MS &&
            is_among(t->spec->sources, column->name)) {
            out[n++] =
                gather(&t->table, n_slots, c, t->n_source_rows, t->also, TL_METRIC_LATENCY_MS);
        }
    }
    for (int c = 0; t->spec->accuracies != NULL && c < accuracies->n_columns; c++) {
        if (accuracies->columns[c].metric == TL_METRIC_ACCURACY) {
            out[n++] = gather(
                accuracies, n_slots, c, t->n_accuracy_rows,
                accuracies == &t->table ? t->also : NULL, TL_METRIC_ACCURACY);
        }
    }
    return n;
}

static tl_model *train_model(const trial *t)
{
    tl_train_column columns[MAX_COLUMNS];
    tl_text notes = {0};
    tl_model *model = NULL;
    int n = gather_columns(t, t->accuracies.n > 0 ? &t->accuracies : &t->table, columns);
    tl_train_options options = {
        .space = t->space, .columns = columns, .n_columns = n, .seed = 1, .n_threads = 1};
    tl_bench_check(tl_train(&options, &notes, &model), "training");
    for (int i = 0; i < n; i++) {
        tl_mem_free((void *)(uintptr_t)columns[i].designs);
        tl_mem_free((void *)(uintptr_t)columns[i].values);
    }
    tl_text_done(&notes);
    return model;
}

/* Source rows of the space, which a model's weights have to fit. */
static int n_source_weights(const tl_space *space)
{
    tl_features *features = NULL;
    tl_bench_check(tl_features_new(space, &features), "features");
    int n = tl_features_n_source(features);
    tl_features_free(features);
    return n;
}

static tl_model *read_or_train(const trial *t, const char *path)
{
    char *bytes = NULL;
    size_t len = 0;
    tl_model *model = NULL;
    if (tl_file_read(path, MAX_MODEL_BYTES, &bytes, &len) == TL_OK) {
        tl_bench_check(
            tl_model_unpack(t->space, n_source_weights(t->space), bytes, len, path, &model),
            path);
        tl_mem_free(bytes);
        return model;
    }
    tl_bytes packed = {0};
    model = train_model(t);
    tl_bench_check(tl_model_pack(model, &packed), "model");
    FILE *file = fopen(path, "wb");
    bool is_written = file != NULL && fwrite(packed.data, 1, packed.len, file) == packed.len;
    is_written = file != NULL && fclose(file) == 0 && is_written;
    tl_bench_check(is_written ? TL_OK : TL_EIO, path);
    tl_mem_free(packed.data);
    return model;
}

/* ---- devices ----------------------------------------------------------------------------------- */

static void add_table_device(trial *t, int column)
{
    tl_train_column all = gather(
        &t->table, tl_space_n_slots(t->space), column, t->table.n, NULL, TL_METRIC_LATENCY_MS);
    t->devices[t->n_devices++] = (trial_device){
        .name = all.subject,
        .n = all.n,
        .designs = (tl_choice *)(uintptr_t)all.designs,
        .latency_ms = (double *)(uintptr_t)all.values};
}

/* Compute bound: time in proportion to MACs times both widths, and something to start. */
static double bit_serial_ms(const tl_space *space, const tl_choice *design)
{
    tl_network network = {0};
    double ms = .05;
    tl_bench_check(tl_space_lower(space, design, &network), "network");
    for (int i = 0; i < network.n_ops; i++) {
        const tl_op *op = &network.ops[i];
        ms += 2e-8 * (double)tl_op_macs(op) * op->w_bits / 8.0 * op->a_bits / 8.0;
    }
    tl_network_done(&network);
    return ms;
}

/*
 * What an accelerator of composable multipliers was found to take for dense layers: the
 * p-norm of computing (at four or at eight bits) and moving (at the true bits), and a start.
 */
static double bitfusion_ms(const tl_space *space, const tl_choice *design)
{
    static const double per_mac = 3.92e-9;
    static const double per_weight_byte = 1.257e-7;
    static const double per_byte_in = 8.76e-8;
    static const double per_byte_out = 8.17e-7;
    static const double start_ms = 2.46e-3;
    static const double norm = 5.1;
    tl_network network = {0};
    double ms = 0;
    tl_bench_check(tl_space_lower(space, design, &network), "network");
    for (int i = 0; i < network.n_ops; i++) {
        const tl_op *op = &network.ops[i];
        if (tl_op_macs(op) == 0) {
            continue;
        }
        double w_bits = op->w_bits > 8 ? 8 : op->w_bits;
        double a_bits = op->a_bits > 8 ? 8 : op->a_bits;
        double compute =
            per_mac * (double)tl_op_macs(op) * (w_bits <= 4 ? .5 : 1) * (a_bits <= 4 ? .5 : 1);
        double move = per_weight_byte * (double)tl_op_weights(op) * w_bits / 8 +
                      per_byte_in * (double)tl_op_elements_in(op) * a_bits / 8 +
                      per_byte_out * (double)tl_op_elements_out(op) * a_bits / 8;
        ms += pow(pow(compute, norm) + pow(move, norm), 1 / norm) + start_ms;
    }
    tl_network_done(&network);
    return ms;
}

static void add_made_up(
    trial *t, const char *name, double (*latency_of)(const tl_space *, const tl_choice *))
{
    int n_slots = tl_space_n_slots(t->space);
    trial_device *device = &t->devices[t->n_devices++];
    tl_rng rng;
    tl_rng_init(&rng, ROW_SEED);
    *device = (trial_device){.name = name, .n = N_BIT_ROWS, .latency_of = latency_of};
    device->designs = tl_bench_array(N_BIT_ROWS * n_slots, sizeof *device->designs);
    device->latency_ms = tl_bench_array(N_BIT_ROWS, sizeof *device->latency_ms);
    for (int i = 0; i < N_BIT_ROWS; i++) {
        tl_choice *design = device->designs + (ptrdiff_t)i * n_slots;
        tl_space_sample_with(t->space, TL_FREE_BITS, &rng, design);
        device->latency_ms[i] = latency_of(t->space, design);
    }
}

/* The tasks' table, where it is not the space's own. */
static void read_accuracies(trial *t, const char *data)
{
    char path[1024];
    char *csv = NULL;
    size_t len = 0;
    if (t->spec->accuracies == NULL || strcmp(t->spec->accuracies, t->spec->space) == 0) {
        return;
    }
    (void)snprintf(path, sizeof path, "%s/%s.csv", data, t->spec->accuracies);
    tl_bench_check(tl_file_read(path, MAX_MODEL_BYTES, &csv, &len), path);
    tl_bench_check(tl_table_parse(t->space, path, NULL, csv, len, &t->accuracies), path);
    tl_mem_free(csv);
}

static void put_to_use(trial *t, tl_model *model)
{
    tl_predictor_unref(t->predictor);
    tl_bench_check(tl_predictor_new(t->space, model, &t->predictor), "predictor");
    t->n_tasks = tl_predictor_n_tasks(t->predictor);
    for (int i = 0; i < t->n_tasks; i++) {
        t->tasks[i] = tl_predictor_task(t->predictor, i);
    }
    t->n_tasks = t->n_tasks > 0 ? t->n_tasks : 1; /* the proxy */
}

void trial_load(
    trial *t, const char *spaces, const char *data, const char *pool, const char *model)
{
    *t = (trial){.spec = trial_spec_find(pool)};
    tl_bench_check(t->spec == NULL ? TL_ENOTFOUND : TL_OK, pool);
    t->freedom = t->spec->has_bits ? TL_FREE_BITS : TL_FREE_ARCHITECTURE;
    tl_bench_read_table(spaces, data, t->spec->space, &t->space, &t->table);
    read_accuracies(t, data);
    t->n_source_rows = N_SOURCE_ROWS;
    t->n_accuracy_rows = N_ACCURACY_ROWS;
    put_to_use(t, read_or_train(t, model));
    for (int c = 0; c < t->table.n_columns && !t->spec->has_bits; c++) {
        const tl_table_column *column = &t->table.columns[c];
        if (column->metric == TL_METRIC_LATENCY_MS &&
            is_among(t->spec->targets, column->name)) {
            add_table_device(t, c);
        }
    }
    if (t->spec->has_bits) {
        add_made_up(t, "bit_serial", bit_serial_ms);
        add_made_up(t, "bitfusion", bitfusion_ms);
    }
}

void trial_retrain(trial *t)
{
    put_to_use(t, train_model(t));
}

void trial_unload(trial *t)
{
    for (int i = 0; i < t->n_devices; i++) {
        tl_mem_free(t->devices[i].designs);
        tl_mem_free(t->devices[i].latency_ms);
    }
    tl_predictor_unref(t->predictor);
    tl_table_done(&t->table);
    tl_table_done(&t->accuracies);
    tl_space_unref(t->space);
}

tl_err trial_proxy(void *space, const tl_choice *designs, int n, double *out_values)
{
    tl_network network = {0};
    tl_err err = TL_OK;
    size_t n_slots = (size_t)tl_space_n_slots(space);
    for (int i = 0; i < n && err == TL_OK; i++) {
        err = tl_space_lower(space, designs + (size_t)i * n_slots, &network);
        if (err == TL_OK) {
            out_values[i] = 10 * log10((double)tl_network_macs(&network)) +
                            10 * log10((double)tl_network_params(&network));
        }
    }
    tl_network_done(&network);
    return err;
}

/* ---- views ---------------------------------------------------------------------------------------- */

static tl_err predict_task(
    const trial_view *view,
    const char *task,
    const tl_choice *designs,
    int n,
    tl_prediction *out)
{
    TL_TRY(tl_view_predict(view->view, designs, n, out));
    if (task != NULL) {
        return tl_predictor_accuracy(view->of->predictor, task, designs, n, out);
    }
    double *values = tl_bench_array(n, sizeof *values);
    tl_err err = trial_proxy(view->of->space, designs, n, values);
    for (int i = 0; i < n; i++) {
        out[i].accuracy = values[i];
        out[i].accuracy_std = 0;
    }
    tl_mem_free(values);
    return err;
}

static void list_predictions(trial_view *view)
{
    const tl_choice *listing = tl_predictor_listing(view->of->predictor, &view->n_listing);
    for (int t = 0; listing != NULL && t < view->of->n_tasks; t++) {
        view->listed[t] = tl_bench_array(view->n_listing, sizeof **view->listed);
        tl_bench_check(
            predict_task(view, view->of->tasks[t], listing, view->n_listing, view->listed[t]),
            "predictions");
    }
}

void trial_view_init(trial_view *view, const trial *of, int device, int seed, bool is_listed)
{
    const trial_device *from = &of->devices[device];
    int n_slots = tl_space_n_slots(of->space);
    tl_rng rng;
    int rows[TRIAL_N_SAMPLES];
    tl_choice designs[TRIAL_N_SAMPLES * TL_SPACE_MAX_SLOTS];
    double values[TRIAL_N_SAMPLES];
    *view = (trial_view){.of = of};
    tl_rng_init(&rng, SAMPLE_SEED + 100 * (uint64_t)device + (uint64_t)seed);
    int *scratch = tl_bench_array(from->n, sizeof *scratch);
    tl_rng_choose(&rng, from->n, TRIAL_N_SAMPLES, scratch, rows);
    tl_mem_free(scratch);
    for (int i = 0; i < TRIAL_N_SAMPLES; i++) {
        memcpy(
            designs + (ptrdiff_t)i * n_slots, tl_design_at(from->designs, n_slots, rows[i]),
            (size_t)n_slots * sizeof *designs);
        values[i] = from->latency_ms[rows[i]];
    }
    tl_view_data known = {
        .device = "unseen",
        .samples = {[TL_COST_LATENCY] = {designs, values, TRIAL_N_SAMPLES}}};
    tl_bench_check(tl_view_new(of->predictor, &known, &view->view), "view");
    double *sorted = tl_bench_array(from->n, sizeof *sorted);
    memcpy(sorted, from->latency_ms, (size_t)from->n * sizeof *sorted);
    for (int i = 0; i < TRIAL_N_LIMITS; i++) {
        view->limit_ms[i] = tl_quantile_inplace(from->n, sorted, trial_limit_percentile[i]);
    }
    tl_mem_free(sorted);
    if (is_listed && of->freedom == TL_FREE_ARCHITECTURE) {
        list_predictions(view);
    }
}

void trial_view_done(trial_view *view)
{
    for (int t = 0; t < view->of->n_tasks; t++) {
        tl_mem_free(view->listed[t]);
    }
    tl_view_unref(view->view);
}

static int place_of(const trial_view *view, const tl_choice *design)
{
    int n = 0;
    int n_slots = tl_space_n_slots(view->of->space);
    const tl_choice *listing = tl_predictor_listing(view->of->predictor, &n);
    int low = 0;
    int high = n - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (tl_design_compare(design, tl_design_at(listing, n_slots, middle), n_slots) <= 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static tl_err predict(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    trial_view *view = context;
    int n_slots = tl_space_n_slots(view->of->space);
    int task = 0;
    while (view->of->tasks[task] != view->task) {
        task++;
    }
    if (view->listed[task] == NULL) {
        return predict_task(view, view->task, designs, n, out);
    }
    for (int i = 0; i < n; i++) {
        out[i] = view->listed[task][place_of(view, tl_design_at(designs, n_slots, i))];
    }
    return TL_OK;
}

tl_problem trial_problem(trial_view *view, int limit, int confidence, int task)
{
    tl_problem problem = {
        .space = view->of->space,
        .freedom = view->of->freedom,
        .task = view->of->tasks[task],
        .limits =
            {.max_latency_ms = view->limit_ms[limit],
                     .max_energy_mj = TL_UNKNOWN,
                     .min_accuracy = TL_UNKNOWN,
                     .confidence = trial_confidence[confidence]},
        .predict = predict,
        .context = view
    };
    view->task = problem.task;
    if (problem.freedom == TL_FREE_ARCHITECTURE) {
        problem.listing = tl_predictor_listing(view->of->predictor, &problem.n_listing);
    }
    tl_view_confidence(view->view, TL_COST_LATENCY, &problem.latency_confidence);
    tl_confidence_nominal(10, &problem.energy_confidence);
    tl_confidence_nominal(10, &problem.accuracy_confidence);
    return problem;
}
