/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Devices of which only the profile is known: each device of a table is left
 * out in turn and predicted from the others' models and its own profile.
 *
 *     bench_zero_shot SPACES DATA PROFILES [TABLE]
 *
 * Known devices are fitted to FITTED designs of the table, judged are the others. One
 * tab-separated line for each method and device, then of all (means; the median of log_error). A device alone
 * in its table has nothing to be predicted from and is left away.
 */

#include "base/mem.h"
#include "base/units.h"
#include "bench/public_table.h"
#include "device-profiles/profile_yaml.h"
#include "numerics/gemm.h"
#include "numerics/rng.h"
#include "numerics/stats.h"
#include "predictors/model.h"
#include "predictors/relatives.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FITTED = 400,
    JUDGED = 1000,
    MAX_DEVICES = 64,
    SEED = 1
};

static const char *const tables[] = {
    "nasbench201", "fbnet", "mobilenetv3", "mnasnet", "mobilenet-zoo"};

static const double z80 = 1.2815515655446004;
static const double z95 = 1.9599639845400545;
static const double least_relative = .02;

enum {
    RHO,
    LEVEL,
    WITHIN_2,
    C80,
    C95,
    N_FIGURES
};

typedef enum method {
    FLOPS,
    ROOFLINE,
    NEAREST,
    MEAN_OF_SOURCES,
    TAILOR,
    TAILOR_LATENCY, /* energy where the device's latency is known */
    BY_PROCESS,     /* tailor's shape at the level that one expert says */
    BY_NEAREST,
    BY_MEAN,
    BY_PHYSICS,
    BY_ALL, /* of the experts alike */
    JOULES, /* energy as the MACs times what one costs on the class */
    N_METHODS
} method;

static const char *const method_names[N_METHODS] = {
    "flops",           "roofline",         "nearest",
    "mean of sources", "tailor",           "tailor, latency known",
    "level: process",  "level: nearest",   "level: mean",
    "level: physics",  "level: all alike", "joules per MAC"};

typedef struct device {
    int column; /* of the table */
    tl_profile profile;
    double *log_y;    /* [n_judged]; NaN: not measured */
    double *log_said; /* its own model */
    double *log_roof; /* MACs where the profile has no roofline */
    double level;     /* median of log_said */
    double ratio;     /* squared errors over variance when left out */
} device;

typedef struct bench {
    tl_space *space;
    tl_features *features;
    tl_table table;
    tl_model *model;
    tl_choice *judged; /* [n_judged, n_slots] */
    int n_judged;
    double *log_macs;
    int *order;
    device devices[TL_N_COSTS][MAX_DEVICES];
    int n_devices[TL_N_COSTS];
} bench;

/* ---- data ----------------------------------------------------------------------------- */

static void read_profile(const char *folder, const char *name, tl_profile *out)
{
    tl_text path = {0};
    tl_text_addf(&path, "%s/%s.yaml", folder, name);
    tl_bench_check(tl_text_err(&path), "path");
    if (tl_profile_load_yaml(path.data, out) != TL_OK) {
        tl_bench_check(tl_profile_bare(name, out), name);
    }
    tl_text_done(&path);
}

static double value_at(const bench *b, int place, int column)
{
    return b->table.values[(ptrdiff_t)b->order[place] * b->table.n_columns + column];
}

static const tl_choice *design_at(const bench *b, int place)
{
    return b->table.designs + (ptrdiff_t)b->order[place] * tl_space_n_slots(b->space);
}

static double macs_of(const tl_network *network)
{
    double macs = 0;
    for (int i = 0; i < network->n_ops; i++) {
        macs += network->ops[i].is_needed ? (double)tl_op_macs(&network->ops[i]) : 0;
    }
    return macs;
}

/* The first FITTED measured designs in the order of chance that are not judged; all where few. */
static void fit_known(bench *b, const char *name, tl_cost cost, int column)
{
    int n = 0;
    int n_slots = tl_space_n_slots(b->space);
    int n_free = b->table.n > 2 * FITTED ? b->table.n - b->n_judged : b->table.n;
    tl_choice *designs = tl_bench_array(FITTED * n_slots, sizeof *designs);
    double *y = tl_bench_array(FITTED, sizeof *y);
    tl_source source = {0};
    tl_dmat rows;
    for (int i = 0; i < n_free && n < FITTED; i++) {
        if (!isnan(value_at(b, i, column))) {
            memcpy(
                designs + (ptrdiff_t)n * n_slots, design_at(b, i),
                (size_t)n_slots * sizeof *designs);
            y[n++] = value_at(b, i, column);
        }
    }
    tl_bench_check(tl_dmat_init(&rows, n, tl_features_n_source(b->features)), "rows");
    tl_bench_check(tl_features_encode(b->features, designs, n, (tl_dmat){0}, rows), "encode");
    tl_bench_check(tl_source_fit(&source, tl_dro(rows), y), "source");
    tl_source *const one[] = {&source};
    tl_bench_check(tl_sources_standardize(b->features, one, 1), "source");
    tl_bench_check(tl_model_add_source(b->model, name, cost, &source), "source");
    tl_dmat_done(&rows);
    tl_mem_free(designs);
    tl_mem_free(y);
}

static void fill_device(bench *b, device *d, tl_cost cost)
{
    int n = b->n_judged;
    const char *name = d->profile.name;
    size_t n_slots = (size_t)tl_space_n_slots(b->space);
    bool has_roofline = tl_prior_is_known(&d->profile);
    const tl_source *source = &tl_model_source_find(b->model, name, cost)->source;
    tl_dmat rows;
    tl_network network = {0};
    d->log_y = tl_bench_array(3 * n, sizeof *d->log_y);
    d->log_said = d->log_y + n;
    d->log_roof = d->log_said + n;
    tl_bench_check(tl_dmat_init(&rows, n, tl_features_n_source(b->features)), "rows");
    tl_bench_check(tl_features_encode(b->features, b->judged, n, (tl_dmat){0}, rows), "encode");
    tl_source_predict(source, tl_dro(rows), d->log_said);
    for (int i = 0; i < n; i++) {
        tl_roofline roofline;
        d->log_said[i] = log(source->median * fmax(d->log_said[i], least_relative));
        d->log_y[i] = log(value_at(b, b->table.n - n + i, d->column));
        d->log_roof[i] = b->log_macs[i];
        if (has_roofline) {
            tl_bench_check(
                tl_space_lower(b->space, b->judged + (size_t)i * n_slots, &network), "lower");
            tl_bench_check(tl_prior_roofline(&d->profile, &network, &roofline), "roofline");
            d->log_roof[i] = log(roofline.bound_ms);
        }
    }
    double *sorted = tl_bench_array(n, sizeof *sorted);
    memcpy(sorted, d->log_said, (size_t)n * sizeof *sorted);
    d->level = tl_median_inplace(n, sorted);
    tl_mem_free(sorted);
    tl_network_done(&network);
    tl_dmat_done(&rows);
}

static void take_judged(bench *b)
{
    int n_slots = tl_space_n_slots(b->space);
    tl_network network = {0};
    b->judged = tl_bench_array(b->n_judged * n_slots, sizeof *b->judged);
    b->log_macs = tl_bench_array(b->n_judged, sizeof *b->log_macs);
    for (int i = 0; i < b->n_judged; i++) {
        tl_choice *design = b->judged + (ptrdiff_t)i * n_slots;
        memcpy(
            design, design_at(b, b->table.n - b->n_judged + i),
            (size_t)n_slots * sizeof *design);
        tl_bench_check(tl_space_lower(b->space, design, &network), "lower");
        b->log_macs[i] = log(fmax(macs_of(&network), 1));
    }
    tl_network_done(&network);
}

static void load(
    bench *b, const char *spaces, const char *data, const char *profiles, const char *name)
{
    tl_rng rng;
    memset(b, 0, sizeof *b);
    tl_bench_read_table(spaces, data, name, &b->space, &b->table);
    tl_bench_check(tl_features_new(b->space, &b->features), "features");
    tl_bench_check(tl_model_new(b->space, &b->model), "model");
    b->order = tl_bench_array(b->table.n, sizeof *b->order);
    tl_rng_init(&rng, SEED);
    tl_rng_permutation(&rng, b->table.n, b->order);
    b->n_judged = b->table.n < JUDGED ? b->table.n : JUDGED;
    take_judged(b);
    for (int c = 0; c < b->table.n_columns; c++) {
        const tl_table_column *column = &b->table.columns[c];
        if (!tl_metric_is_of_device(column->metric)) {
            continue;
        }
        tl_cost cost = (tl_cost)column->metric;
        device *d = &b->devices[cost][b->n_devices[cost]++];
        d->column = c;
        read_profile(profiles, column->name, &d->profile);
        tl_bench_check(tl_model_add_profile(b->model, &d->profile), column->name);
        fit_known(b, column->name, cost, c);
        fill_device(b, d, cost);
    }
}

static void unload(bench *b)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        for (int i = 0; i < b->n_devices[c]; i++) {
            tl_mem_free(b->devices[c][i].log_y);
        }
    }
    tl_mem_free(b->judged);
    tl_mem_free(b->log_macs);
    tl_mem_free(b->order);
    tl_model_free(b->model);
    tl_table_done(&b->table);
    tl_features_free(b->features);
    tl_space_unref(b->space);
}

/* ---- methods -------------------------------------------------------------------------- */

static double middle(int n, const double *x)
{
    double *sorted = tl_bench_array(n, sizeof *sorted);
    memcpy(sorted, x, (size_t)n * sizeof *sorted);
    double median = tl_median_inplace(n, sorted);
    tl_mem_free(sorted);
    return median;
}

/* Level of the mean source; shape of the MACs, of the roofline, or of the sources' mean. */
static void predict_plainly(const bench *b, tl_cost cost, int left_out, method how, double *out)
{
    const device *d = &b->devices[cost][left_out];
    int n = b->n_judged;
    int n_others = b->n_devices[cost] - 1;
    const device *nearest = NULL;
    double level = 0;
    double above_roof[MAX_DEVICES];
    int n_roofs = 0;
    double *shape = tl_bench_array(n, sizeof *shape);
    for (int s = 0; s <= n_others; s++) {
        const device *o = &b->devices[cost][s];
        if (s == left_out) {
            continue;
        }
        level += o->level / n_others;
        if (nearest == NULL || tl_level_distance(&d->profile, &o->profile) <
                                   tl_level_distance(&d->profile, &nearest->profile)) {
            nearest = o;
        }
        if (tl_prior_is_known(&o->profile)) {
            above_roof[n_roofs++] = o->level - middle(n, o->log_roof);
        }
        for (int i = 0; i < n; i++) {
            shape[i] += (o->log_said[i] - o->level) / n_others;
        }
    }
    double macs = middle(n, b->log_macs);
    double roof = middle(n, d->log_roof);
    bool has_roof = n_roofs > 0 && tl_prior_is_known(&d->profile);
    double roof_level = has_roof ? tl_median_inplace(n_roofs, above_roof) + roof : level;
    for (int i = 0; i < n; i++) {
        switch (how) {
        case FLOPS: out[i] = level + b->log_macs[i] - macs; break;
        case ROOFLINE: out[i] = roof_level + d->log_roof[i] - roof; break;
        case NEAREST: out[i] = nearest->log_said[i]; break;
        default: out[i] = level + shape[i]; break;
        }
    }
    tl_mem_free(shape);
}

/*
 * Picojoules per MAC: of the asic those that Eyeriss takes on fbnet, of the others what
 * published systems take for small networks.
 */
static double pj_per_mac(tl_device_class device_class)
{
    switch (device_class) {
    case TL_DEVICE_ASIC: return 65;
    case TL_DEVICE_FPGA: return 200;
    case TL_DEVICE_GPU: return 500;
    default: return 1500;
    }
}

static double predict_joules(const bench *b, const device *d, double *out)
{
    static const double mj_per_pj = 1e-9;
    double batch = d->profile.batch > 0 ? d->profile.batch : 1;
    for (int i = 0; i < b->n_judged; i++) {
        out[i] = b->log_macs[i] + log(batch * pj_per_mac(d->profile.device_class) * mj_per_pj);
    }
    return 1;
}

/* What the method's level lies above that of all experts weighed. */
static double level_step(const tl_level *level, method how)
{
    if (how < BY_PROCESS) {
        return 0;
    }
    if (how == BY_ALL) {
        return tl_mean(TL_N_EXPERTS, level->experts) - level->log;
    }
    return level->experts[how - BY_PROCESS] - level->log;
}

/* out [n]: log of the cost; the deviation of the logarithm before it is scaled. */
static double predict_shot(
    const bench *b,
    tl_cost cost,
    const device *d,
    method how,
    const double *log_latency,
    double *out)
{
    tl_relative *relatives = NULL;
    tl_known *known = NULL;
    tl_zero_shot shot;
    int n = 0;
    tl_bench_check(
        tl_model_relatives(b->model, cost, d->profile.name, &relatives, &n), d->profile.name);
    if (n < TL_KNOWN_LEAST || !tl_relatives_can_tell(&d->profile)) {
        tl_mem_free(relatives);
        return TL_UNKNOWN;
    }
    tl_bench_check(tl_known_new(b->features, relatives, n, &known), "zero shot");
    tl_bench_check(tl_zero_shot_init(known, &d->profile, 1, &shot), "zero shot");
    tl_bench_check(tl_zero_shot_predict(&shot, b->judged, b->n_judged, out), "zero shot");
    double step = level_step(&shot.level, how);
    for (int i = 0; i < b->n_judged; i++) {
        out[i] += step + (log_latency != NULL ? log_latency[i] : 0);
    }
    double log_sd = shot.log_sd;
    tl_zero_shot_done(&shot);
    tl_known_free(known);
    tl_mem_free(relatives);
    return log_sd;
}

/* The device's latency as its own model or, left out there too, as its relatives say. */
static const device *latency_of(const bench *b, const device *d)
{
    for (int i = 0; i < b->n_devices[TL_COST_LATENCY]; i++) {
        const device *known = &b->devices[TL_COST_LATENCY][i];
        if (strcmp(known->profile.name, d->profile.name) == 0) {
            return known;
        }
    }
    return NULL;
}

static double predict(
    const bench *b, tl_cost cost, int left_out, method how, double *scratch, double *out)
{
    const device *d = &b->devices[cost][left_out];
    const device *latency = latency_of(b, d);
    if (how < TAILOR) {
        predict_plainly(b, cost, left_out, how, out);
        return 0;
    }
    if (how == JOULES) {
        return cost == TL_COST_ENERGY ? predict_joules(b, d, out) : TL_UNKNOWN;
    }
    if (cost == TL_COST_LATENCY) {
        return how == TAILOR_LATENCY ? TL_UNKNOWN : predict_shot(b, cost, d, how, NULL, out);
    }
    if (latency == NULL) {
        return TL_UNKNOWN;
    }
    if (how == TAILOR_LATENCY) {
        return predict_shot(b, cost, d, how, latency->log_said, out);
    }
    double latency_sd = predict_shot(b, TL_COST_LATENCY, latency, TAILOR, NULL, scratch);
    return hypot(latency_sd, predict_shot(b, cost, d, how, scratch, out));
}

/* ---- judging ---------------------------------------------------------------------------- */

/* mean + z sd as the product gives them: sd is the upper deviation of the log-normal. */
static bool covers(double log_mean, double log_sd, double z, double log_y)
{
    double over = exp(log_y - log_mean) - 1;
    return fabs(over) <= z * expm1(log_sd);
}

static void judge(
    int n, const double *log_y, const double *logs, double log_sd, double *figures)
{
    double *pair = tl_bench_array(3 * n, sizeof *pair);
    double *y = pair + n;
    double *off = y + n;
    int n_measured = 0;
    for (int k = 0; k < N_FIGURES; k++) {
        figures[k] = 0;
    }
    for (int i = 0; i < n; i++) {
        if (isnan(log_y[i])) {
            continue;
        }
        pair[n_measured] = logs[i];
        y[n_measured] = log_y[i];
        off[n_measured] = fabs(logs[i] - log_y[i]);
        figures[WITHIN_2] += off[n_measured] < log(2);
        figures[C80] += covers(logs[i], log_sd, z80, log_y[i]);
        figures[C95] += covers(logs[i], log_sd, z95, log_y[i]);
        n_measured++;
    }
    tl_bench_check(tl_spearman(n_measured, pair, y, &figures[RHO]), "spearman");
    figures[LEVEL] = tl_median_inplace(n_measured, off);
    for (int k = WITHIN_2; k < N_FIGURES; k++) {
        figures[k] /= n_measured;
    }
    tl_mem_free(pair);
}

static double squared_ratio(int n, const double *log_y, const double *logs, double log_sd)
{
    double sum = 0;
    int n_measured = 0;
    for (int i = 0; i < n; i++) {
        double z = (logs[i] - log_y[i]) / log_sd;
        sum += isnan(z) ? 0 : fmin(z * z, 9);
        n_measured += !isnan(z);
    }
    return sum / n_measured;
}

/* The scale as training finds it, over all devices but this one. */
static double scale_without(const bench *b, tl_cost cost, int left_out)
{
    double sum = 1;
    for (int i = 0; i < b->n_devices[cost]; i++) {
        sum += i == left_out ? 0 : b->devices[cost][i].ratio;
    }
    return fmax(sum / b->n_devices[cost], .3);
}

static void print_line(
    const char *table, tl_cost cost, const char *name, method how, const double *figures)
{
    (void)printf("%s\t%s\t%s\t%s", table, tl_cost_name(cost), name, method_names[how]);
    for (int k = 0; k < N_FIGURES; k++) {
        if (k >= C80 && how < TAILOR) {
            (void)printf("\t");
        } else {
            (void)printf("\t%.4f", figures[k]);
        }
    }
    (void)printf("\n");
}

/* Errors of every device by the others alone, which scale the intervals. */
static void find_ratios(bench *b, tl_cost cost, method how, double *scratch, double *logs)
{
    for (int i = 0; i < b->n_devices[cost]; i++) {
        device *d = &b->devices[cost][i];
        double log_sd = predict(b, cost, i, how, scratch, logs);
        d->ratio = isnan(log_sd) ? 1 : squared_ratio(b->n_judged, d->log_y, logs, log_sd);
    }
}

static void run_method(bench *b, const char *table, tl_cost cost, method how)
{
    double total[N_FIGURES] = {0};
    double levels[MAX_DEVICES];
    int n = 0;
    double *scratch = tl_bench_array(2 * b->n_judged, sizeof *scratch);
    double *logs = scratch + b->n_judged;
    if (how >= TAILOR) {
        find_ratios(b, cost, how, scratch, logs);
    }
    for (int i = 0; i < b->n_devices[cost]; i++) {
        double figures[N_FIGURES];
        const device *d = &b->devices[cost][i];
        double log_sd = predict(b, cost, i, how, scratch, logs);
        if (isnan(log_sd)) {
            continue;
        }
        log_sd *= sqrt(scale_without(b, cost, i));
        judge(b->n_judged, d->log_y, logs, log_sd, figures);
        print_line(table, cost, d->profile.name, how, figures);
        levels[n++] = figures[LEVEL];
        for (int k = 0; k < N_FIGURES; k++) {
            total[k] += figures[k];
        }
    }
    for (int k = 0; k < N_FIGURES; k++) {
        total[k] /= n > 0 ? n : 1;
    }
    if (n > 0) {
        total[LEVEL] = tl_median_inplace(n, levels);
        print_line(table, cost, "all", how, total);
    }
    tl_mem_free(scratch);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        (void)fprintf(stderr, "usage: bench_zero_shot SPACES DATA PROFILES [TABLE]\n");
        return 2;
    }
    tl_blas_single_thread();
    (void)printf(
        "table\tmetric\tdevice\tmethod\tspearman\tlog_error\twithin_factor_2\tcoverage_80\t"
        "coverage_95\n");
    for (size_t t = 0; t < TL_COUNT(tables); t++) {
        static bench b;
        if (argc > 4 && strcmp(argv[4], tables[t]) != 0) {
            continue;
        }
        load(&b, argv[1], argv[2], argv[3], tables[t]);
        for (int c = 0; c < TL_N_COSTS; c++) {
            for (int m = 0; m < N_METHODS && b.n_devices[c] > 2; m++) {
                run_method(&b, tables[t], (tl_cost)c, (method)m);
            }
        }
        unload(&b);
    }
    return EXIT_SUCCESS;
}
