/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Single layers at every width of weights and activations on a bit-flexible
 * accelerator: a fifth is held out, the source model is fitted to the rest.
 *
 *     bench_bits SPACES DATA [SEEDS]
 *
 * rows      a fifth of the measurements, whatever the layer
 * layers    a fifth of the layers, with all their widths
 *
 * One tab-separated line for each split, metric and kind of layer: mean absolute
 * relative error, its deviation over seeds, the share within a tenth; then the error on
 * the measurements that were fitted, and p where the model is a law.
 */

#include "base/mem.h"
#include "base/units.h"
#include "bench/bits_law.h"
#include "bench/public_table.h"
#include "numerics/gemm.h"
#include "numerics/rng.h"
#include "numerics/stats.h"
#include "predictors/source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_SEEDS = 3,
    MAX_SEEDS = 16,
    FOLDS = 5
};

typedef enum model_kind {
    RIDGE,       /* the ridge of columns alone */
    REFINED,     /* with the Laplace kernel over the layer's numbers */
    CLOSE,       /* with less noise: closer to what was fitted */
    LOOSE,       /* with more */
    LAW,         /* of compute and memory, one for dense and one for depthwise layers */
    LAW_REFINED, /* with the same kernel */
    N_KINDS
} model_kind;

static const char *const kind_names[N_KINDS] = {"ridge",    "refined", "noise .005",
                                                "noise .3", "p-norm",  "p-norm, refined"};
static const double noises[N_KINDS] = {[CLOSE] = .005, [LOOSE] = .3};
static const char *const layer_names[] = {"dense", "depthwise", "all"};
enum {
    N_LAYER_KINDS = 3
};

typedef struct bench {
    tl_space *space;
    tl_features *features;
    tl_table table;
    tl_dmat rows;
    bool *is_depthwise;
    double *terms; /* [n, TL_BITS_LAW_TERMS] */
    const tl_feature_group *numbers;
    int w_slot, a_slot;
} bench;

static const tl_choice *design_at(const bench *b, int i)
{
    return b->table.designs + (ptrdiff_t)i * tl_space_n_slots(b->space);
}

static int slot_of(const tl_space *space, const char *name)
{
    for (int s = 0; s < tl_space_n_slots(space); s++) {
        if (strcmp(tl_space_slot(space, s)->name, name) == 0) {
            return s;
        }
    }
    tl_bench_check(TL_ENOTFOUND, name);
    return -1;
}

static const tl_feature_group *group_of(const tl_features *features, const char *name)
{
    for (int g = 0; g < tl_features_n_groups(features); g++) {
        const tl_feature_group *group = tl_features_group(features, g);
        if (strcmp(group->name, name) == 0) {
            return group;
        }
    }
    tl_bench_check(TL_ENOTFOUND, name);
    return NULL;
}

static void load(bench *b, const char *spaces, const char *data)
{
    tl_network network = {0};
    tl_bench_read_table(spaces, data, "bitfusion-layers", &b->space, &b->table);
    tl_bench_check(tl_features_new(b->space, &b->features), "features");
    int n = b->table.n;
    tl_bench_check(tl_dmat_init(&b->rows, n, tl_features_n_source(b->features)), "rows");
    tl_bench_check(
        tl_features_encode(b->features, b->table.designs, n, (tl_dmat){0}, b->rows), "encode");
    b->is_depthwise = tl_bench_array(n, sizeof *b->is_depthwise);
    b->terms = tl_bench_array(n * TL_BITS_LAW_TERMS, sizeof *b->terms);
    b->numbers = group_of(b->features, "num");
    b->w_slot = slot_of(b->space, "w_bits");
    b->a_slot = slot_of(b->space, "a_bits");
    for (int i = 0; i < n; i++) {
        tl_bench_check(tl_space_lower(b->space, design_at(b, i), &network), "lower");
        b->is_depthwise[i] = network.ops[0].groups > 1;
        tl_bits_law_terms(&network.ops[0], b->terms + (ptrdiff_t)i * TL_BITS_LAW_TERMS);
    }
    tl_network_done(&network);
}

/* One layer at all its widths has one number. */
static uint64_t layer_hash(const bench *b, int i, uint64_t seed)
{
    uint64_t hash = seed * 0x9e3779b97f4a7c15U + 1;
    const tl_choice *design = design_at(b, i);
    for (int s = 0; s < tl_space_n_slots(b->space); s++) {
        if (s != b->w_slot && s != b->a_slot) {
            hash = (hash ^ (uint64_t)(design[s] + 1)) * 0xbf58476d1ce4e5b9U;
            hash ^= hash >> 31;
        }
    }
    return hash;
}

static void split(const bench *b, bool by_layer, int seed, bool *is_test)
{
    int n = b->table.n;
    int *order = tl_bench_array(n, sizeof *order);
    tl_rng rng;
    tl_rng_init(&rng, (uint64_t)seed);
    tl_rng_permutation(&rng, n, order);
    for (int i = 0; i < n; i++) {
        is_test[order[i]] =
            by_layer ? layer_hash(b, order[i], (uint64_t)seed) % FOLDS == 0 : i < n / FOLDS;
    }
    tl_mem_free(order);
}

typedef struct figures {
    double mape[MAX_SEEDS], fitted_mape[MAX_SEEDS];
    double within_10;
    double p; /* sum over seeds */
} figures;

static void judge(
    const bench *b, int column, const bool *is_test, const double *guess, int seed, figures *f)
{
    double sum[N_LAYER_KINDS][2] = {{0}};
    int n_close[N_LAYER_KINDS] = {0};
    int n[N_LAYER_KINDS][2] = {{0}};
    for (int i = 0; i < b->table.n; i++) {
        double y = b->table.values[(ptrdiff_t)i * b->table.n_columns + column];
        double off = fabs(guess[i] / y - 1);
        for (int k = 0; k < N_LAYER_KINDS; k++) {
            bool is_kind = k == 2 || b->is_depthwise[i] == (k == 1);
            if (is_kind) {
                sum[k][is_test[i]] += off;
                n_close[k] += is_test[i] && off < .1;
                n[k][is_test[i]]++;
            }
        }
    }
    for (int k = 0; k < N_LAYER_KINDS; k++) {
        f[k].mape[seed] = sum[k][1] / n[k][1];
        f[k].fitted_mape[seed] = sum[k][0] / n[k][0];
        f[k].within_10 += (double)n_close[k] / n[k][1];
    }
}

/* guess [n]: log of what the laws of dense and depthwise layers say, fitted to the rest. */
static void guess_by_law(
    const bench *b, int column, const bool *is_test, double *guess, figures *f)
{
    int n = b->table.n;
    double *terms = tl_bench_array(n * TL_BITS_LAW_TERMS, sizeof *terms);
    double *y = tl_bench_array(n, sizeof *y);
    for (int k = 0; k < 2; k++) {
        int n_kind = 0;
        for (int i = 0; i < n; i++) {
            if (!is_test[i] && b->is_depthwise[i] == (k == 1)) {
                memcpy(
                    terms + (ptrdiff_t)n_kind * TL_BITS_LAW_TERMS,
                    b->terms + (ptrdiff_t)i * TL_BITS_LAW_TERMS,
                    TL_BITS_LAW_TERMS * sizeof *terms);
                y[n_kind++] = b->table.values[(ptrdiff_t)i * b->table.n_columns + column];
            }
        }
        tl_bits_law law = tl_bits_law_fit(n_kind, terms, y);
        f[k].p += tl_bits_law_p(&law);
        for (int i = 0; i < n; i++) {
            if (b->is_depthwise[i] == (k == 1)) {
                guess[i] = tl_bits_law_log(&law, b->terms + (ptrdiff_t)i * TL_BITS_LAW_TERMS);
            }
        }
    }
    tl_mem_free(terms);
    tl_mem_free(y);
}

/* guess [n] += what the kernel learns of the rest of log y. train [n_train, *]: its rows. */
static void refine_logs(
    const bench *b,
    int column,
    const bool *is_test,
    tl_dcmat train,
    double noise,
    double *guess)
{
    int n_train = 0;
    double *rest = tl_bench_array(2 * b->table.n, sizeof *rest);
    double *f = rest + b->table.n;
    tl_binning shape;
    for (int i = 0; i < b->table.n; i++) {
        if (!is_test[i]) {
            double y = b->table.values[(ptrdiff_t)i * b->table.n_columns + column];
            rest[n_train++] = log(y) - guess[i];
        }
    }
    int begin = b->numbers->begin;
    int end = b->numbers->end;
    tl_bench_check(
        tl_binning_fit(train, rest, begin, end, sqrt(end - begin), noise, &shape), "kernel");
    tl_binning_predict(&shape, tl_dro(b->rows), f);
    for (int i = 0; i < b->table.n; i++) {
        guess[i] += f[i];
    }
    tl_binning_done(&shape);
    tl_mem_free(rest);
}

static void judge_logs(
    const bench *b, int column, const bool *is_test, const double *logs, int seed, figures *f)
{
    double *guess = tl_bench_array(b->table.n, sizeof *guess);
    for (int i = 0; i < b->table.n; i++) {
        guess[i] = exp(logs[i]);
    }
    judge(b, column, is_test, guess, seed, f);
    tl_mem_free(guess);
}

/* The kernel with other noises on top of what the ridge says, ridge [n]. */
static void run_noises(
    const bench *b,
    int column,
    const bool *is_test,
    tl_dcmat train,
    const double *ridge,
    int seed,
    figures f[N_KINDS][N_LAYER_KINDS])
{
    static const double least_share = .02; /* of the median, as the source model has it */
    double *logs = tl_bench_array(2 * b->table.n, sizeof *logs);
    double *sorted = logs + b->table.n;
    memcpy(sorted, ridge, (size_t)b->table.n * sizeof *sorted);
    double least = least_share * tl_median_inplace(b->table.n, sorted);
    for (int kind = CLOSE; kind <= LOOSE; kind++) {
        for (int i = 0; i < b->table.n; i++) {
            logs[i] = log(fmax(ridge[i], least));
        }
        refine_logs(b, column, is_test, train, noises[kind], logs);
        judge_logs(b, column, is_test, logs, seed, f[kind]);
    }
    tl_mem_free(logs);
}

static void run_laws(
    const bench *b,
    int column,
    const bool *is_test,
    tl_dcmat train,
    int seed,
    figures f[N_KINDS][N_LAYER_KINDS])
{
    double *logs = tl_bench_array(b->table.n, sizeof *logs);
    guess_by_law(b, column, is_test, logs, f[LAW]);
    for (int kind = LAW; kind <= LAW_REFINED; kind++) {
        if (kind == LAW_REFINED) {
            refine_logs(b, column, is_test, train, 0, logs);
        }
        judge_logs(b, column, is_test, logs, seed, f[kind]);
    }
    tl_mem_free(logs);
}

static void run_seed(
    const bench *b, int column, bool by_layer, int seed, figures f[N_KINDS][N_LAYER_KINDS])
{
    int n = b->table.n;
    int n_train = 0;
    bool *is_test = tl_bench_array(n, sizeof *is_test);
    double *y = tl_bench_array(2 * n, sizeof *y);
    double *guess = y + n;
    tl_dmat train;
    tl_source source = {0};
    split(b, by_layer, seed + 1, is_test);
    tl_bench_check(tl_dmat_init(&train, n, b->rows.cols), "rows");
    for (int i = 0; i < n; i++) {
        if (!is_test[i]) {
            memcpy(
                tl_dmat_row(train, n_train), tl_dmat_row(b->rows, i),
                (size_t)b->rows.cols * sizeof *y);
            y[n_train++] = b->table.values[(ptrdiff_t)i * b->table.n_columns + column];
        }
    }
    tl_dcmat x = tl_dro(tl_dmat_rows(train, 0, n_train));
    tl_bench_check(tl_source_fit(&source, x, y), "source");
    for (int kind = RIDGE; kind <= REFINED; kind++) {
        if (kind == REFINED) {
            tl_bench_check(tl_source_refine(&source, b->features, x, y), "refine");
        }
        tl_source_predict(&source, tl_dro(b->rows), guess);
        for (int i = 0; i < n; i++) {
            guess[i] *= source.median;
        }
        judge(b, column, is_test, guess, seed, f[kind]);
        if (kind == RIDGE) {
            run_noises(b, column, is_test, x, guess, seed, f);
        }
    }
    run_laws(b, column, is_test, x, seed, f);
    tl_source_done(&source);
    tl_dmat_done(&train);
    tl_mem_free(is_test);
    tl_mem_free(y);
}

static void run(const bench *b, int column, bool by_layer, int n_seeds)
{
    static figures f[N_KINDS][N_LAYER_KINDS];
    memset(f, 0, sizeof f);
    for (int seed = 0; seed < n_seeds; seed++) {
        run_seed(b, column, by_layer, seed, f);
    }
    for (int kind = 0; kind < N_KINDS; kind++) {
        for (int k = 0; k < N_LAYER_KINDS; k++) {
            (void)printf(
                "%s\t%s\t%s\t%s\t%d\t%.4f\t%.4f\t%.4f\t%.4f\t%.2f\n",
                by_layer ? "layers" : "rows", tl_metric_name(b->table.columns[column].metric),
                kind_names[kind], layer_names[k], n_seeds, tl_mean(n_seeds, f[kind][k].mape),
                tl_sd(n_seeds, f[kind][k].mape), f[kind][k].within_10 / n_seeds,
                tl_mean(n_seeds, f[kind][k].fitted_mape), f[kind][k].p / n_seeds);
        }
    }
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: bench_bits SPACES DATA [SEEDS]\n");
        return 2;
    }
    long n_seeds = argc > 3 ? strtol(argv[3], NULL, 10) : DEFAULT_SEEDS;
    if (n_seeds < 1 || n_seeds > MAX_SEEDS) {
        (void)fprintf(stderr, "bench_bits: 1 to %d seeds\n", MAX_SEEDS);
        return 2;
    }
    bench b = {0};
    tl_blas_single_thread();
    load(&b, argv[1], argv[2]);
    (void)printf(
        "held_out\tmetric\tmodel\tlayers\tseeds\tmape\tsd\twithin_10\tfitted_mape\tp\n");
    for (int by_layer = 0; by_layer < 2; by_layer++) {
        for (int c = 0; c < b.table.n_columns; c++) {
            if (tl_metric_is_of_device(b.table.columns[c].metric)) {
                run(&b, c, by_layer != 0, (int)n_seeds);
            }
        }
    }
    tl_dmat_done(&b.rows);
    tl_mem_free(b.is_depthwise);
    tl_mem_free(b.terms);
    tl_table_done(&b.table);
    tl_features_free(b.features);
    tl_space_unref(b.space);
    return EXIT_SUCCESS;
}
