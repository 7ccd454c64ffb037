/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What few-shot heads say of every design of a table, and what accuracy models say
 * of designs that they did not see: the raw material of designs chosen under a limit.
 * bench/selection.py chooses among them, by many rules, in seconds.
 *
 *     bench_selection accuracies SPACES DATA OUT
 *     bench_selection heads SPACES DATA OUT SEEDS SAMPLES [POOL]
 *
 * accuracies: of nasbench201, five folds of canonical cells, each predicted by a model of the other four;
 * OUT receives a line per design, a column per task.
 *
 * heads: the sources of the pool (ND) as bench_pools fits them. Each source left out in turn, the
 * pool's test devices and every other device of the table get heads on random and on suggested
 * samples. OUT.tsv tells each head; OUT.f64 holds its mean and its
 * standard deviation of every design, OUT.i32 the rows of its samples.
 */

#include "base/units.h"
#include "bench/accuracy_table.h"
#include "bench/pool_trial.h"
#include "numerics/gemm.h"
#include "predictors/accuracy.h"
#include "predictors/folds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_FOLDS = 5,
    MAX_SAMPLES = TL_HEAD_MAX_EXACT,
    SAMPLE_SEED = 9000,
};

/* ---- accuracies --------------------------------------------------------------------- */

static void predict_fold(
    const bench_data *bench,
    const bench_labels *labels,
    const int *fold,
    int held_out,
    double *out)
{
    const tl_table *table = &labels->table;
    int n_values = table->n * labels->n_tasks;
    double *values = bench_array(3 * n_values, sizeof *values);
    double *mean = values + n_values;
    tl_accuracy_model *model = NULL;
    for (int i = 0; i < n_values; i++) {
        values[i] = fold[i / labels->n_tasks] == held_out ? TL_UNKNOWN : labels->values[i];
    }
    tl_accuracy_data data = {
        .space = bench->space,
        .designs = table->designs,
        .n = table->n,
        .labels = values,
        .tasks = labels->tasks,
        .n_tasks = labels->n_tasks};
    tl_accuracy_options options = {.seed = 1, .n_threads = 1};
    bench_check(tl_accuracy_fit(&data, &options, &model, NULL), "accuracy model");
    bench_check(
        tl_accuracy_predict(model, table->designs, table->n, mean, mean + n_values),
        "accuracies");
    for (int i = 0; i < n_values; i++) {
        if (fold[i / labels->n_tasks] == held_out) {
            out[i] = mean[i];
        }
    }
    tl_accuracy_model_free(model);
    tl_mem_free(values);
}

static FILE *open_part(const char *path, const char *suffix, const char *mode)
{
    char name[1024];
    (void)snprintf(name, sizeof name, "%s%s", path, suffix);
    FILE *file = fopen(name, mode);
    if (file == NULL) {
        bench_fail(name, TL_EIO);
    }
    return file;
}

static void write_accuracies(const bench_data *bench, const char *data, const char *path)
{
    char table_path[1024];
    bench_labels labels = {0};
    (void)snprintf(table_path, sizeof table_path, "%s/nasbench201.csv", data);
    bench_check(bench_labels_read(bench->space, table_path, &labels), table_path);
    int n = labels.table.n;
    int *fold = bench_array(n, sizeof *fold);
    double *out = bench_array(n * labels.n_tasks, sizeof *out);
    bench_check(
        tl_canonical_folds(bench->space, labels.table.designs, n, N_FOLDS, 0, fold), "folds");
    for (int k = 0; k < N_FOLDS; k++) {
        predict_fold(bench, &labels, fold, k, out);
    }
    FILE *file = open_part(path, "", "w");
    for (int t = 0; t < labels.n_tasks; t++) {
        (void)fprintf(file, "%s%s", t > 0 ? "," : "", labels.tasks[t]);
    }
    for (int i = 0; i < n * labels.n_tasks; i++) {
        (void)fprintf(file, "%c%.9g", i % labels.n_tasks == 0 ? '\n' : ',', out[i]);
    }
    (void)fprintf(file, "\n");
    (void)fclose(file);
    tl_mem_free(fold);
    tl_mem_free(out);
    bench_labels_done(&labels);
}

/* ---- heads ---------------------------------------------------------------------------- */

typedef struct head_files {
    FILE *index, *predictions, *samples;
    const pool_spec *pool;
    int n_samples;
} head_files;

static void write_head(
    const head_files *files,
    const pool_trial *trial,
    const char *role,
    int seed,
    int column,
    bool is_chosen,
    const int *samples)
{
    const bench_data *bench = trial->bench;
    tl_head head = {0};
    size_t n = (size_t)bench->table.n;
    double *mean = bench_array(2 * bench->table.n, sizeof *mean);
    trial_fit(trial, column, samples, files->n_samples, &head);
    bench_check(
        tl_head_predict(&head, tl_dro(trial->x), trial->z, mean, mean + n), "predictions");
    (void)fprintf(
        files->index, "%s\t%s\t%s\t%d\t%d\t%.9g\t%.9g\t%.9g\t%.9g\n", role,
        bench->table.columns[column].name, is_chosen ? "chosen" : "random", seed,
        files->n_samples, head.level, head.scale, head.noise, head.width);
    (void)fwrite(mean, sizeof *mean, 2 * n, files->predictions);
    (void)fwrite(samples, sizeof *samples, (size_t)files->n_samples, files->samples);
    tl_head_done(&head);
    tl_mem_free(mean);
}

/* The suggested designs that were measured on the device, or random ones of them. */
static void take_samples(
    const pool_trial *trial, int column, bool is_chosen, int n, tl_rng *rng, int *out)
{
    const bench_data *bench = trial->bench;
    int n_designs = bench->table.n;
    int *rows = bench_array(2 * n_designs, sizeof *rows);
    int n_measured = bench_measured(bench, column, 0, rows);
    if (is_chosen && n_measured == n_designs) {
        trial_suggest(trial, n, rng, out);
    } else {
        tl_rng_choose(rng, n_measured, n, rows + n_designs, out);
        for (int i = 0; i < n; i++) {
            out[i] = rows[out[i]];
        }
    }
    tl_mem_free(rows);
}

static void write_device(
    const head_files *files,
    const bench_data *bench,
    const pool_sources *sources,
    int column,
    int seed)
{
    const char *name = bench->table.columns[column].name;
    const pool_spec *pool = files->pool;
    bool is_source = bench_is_among(pool->sources, name);
    const char *role = is_source                             ? "source"
                       : bench_is_among(pool->targets, name) ? "test"
                                                             : "other";
    int samples[MAX_SAMPLES];
    tl_rng rng;
    pool_trial trial;
    trial_init(&trial, bench, sources, is_source ? column : -1);
    tl_rng_init(&rng, SAMPLE_SEED + 1000 * (uint64_t)seed + (uint64_t)column);
    for (int way = 0; way < 2; way++) {
        take_samples(&trial, column, way == 1, files->n_samples, &rng, samples);
        write_head(files, &trial, role, seed, column, way == 1, samples);
    }
    trial_done(&trial);
}

static void write_heads(
    const bench_data *bench,
    const pool_spec *pool,
    const char *path,
    int n_seeds,
    int n_samples)
{
    head_files files = {
        .index = open_part(path, ".tsv", "w"),
        .predictions = open_part(path, ".f64", "wb"),
        .samples = open_part(path, ".i32", "wb"),
        .pool = pool,
        .n_samples = n_samples};
    (void)fprintf(files.index, "role\tdevice\thow\tseed\tn\tlevel\tscale\tnoise\twidth\n");
    for (int seed = 0; seed < n_seeds; seed++) {
        pool_sources sources;
        pool_sources_init(&sources, bench, pool, seed);
        for (int c = 0; c < bench->table.n_columns; c++) {
            if (bench->table.columns[c].metric == TL_METRIC_LATENCY_MS &&
                strcmp(bench->table.columns[c].name, "edgegpu") != 0) {
                write_device(&files, bench, &sources, c, seed);
            }
        }
        pool_sources_done(&sources);
    }
    (void)fclose(files.index);
    (void)fclose(files.predictions);
    (void)fclose(files.samples);
}

static const pool_spec *find_pool(const char *name)
{
    for (int p = 0; p < n_pool_specs; p++) {
        if (strcmp(pool_specs[p].name, name) == 0) {
            return &pool_specs[p];
        }
    }
    bench_fail(name, TL_ENOTFOUND);
    return NULL;
}

int main(int argc, char **argv)
{
    bench_data bench = {0};
    bool is_heads = (argc == 7 || argc == 8) && strcmp(argv[1], "heads") == 0;
    int n_seeds = is_heads ? (int)strtol(argv[5], NULL, 10) : 1;
    int n_samples = is_heads ? (int)strtol(argv[6], NULL, 10) : 1;
    if ((!is_heads && !(argc == 5 && strcmp(argv[1], "accuracies") == 0)) || n_seeds < 1 ||
        n_samples < 1 || n_samples > MAX_SAMPLES) {
        (void)fprintf(
            stderr, "usage: bench_selection accuracies SPACES DATA OUT\n"
                    "       bench_selection heads SPACES DATA OUT SEEDS SAMPLES [POOL]\n");
        return 2;
    }
    const pool_spec *pool = find_pool(argc == 8 ? argv[7] : "ND");
    tl_blas_single_thread();
    bench_load(&bench, argv[2], argv[3], pool->space);
    if (is_heads) {
        write_heads(&bench, pool, argv[4], n_seeds, n_samples);
    } else {
        write_accuracies(&bench, argv[3], argv[4]);
    }
    bench_unload(&bench);
    return 0;
}
