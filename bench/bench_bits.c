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
 * relative error, its deviation over seeds, and the share within a tenth.
 */

#include "base/mem.h"
#include "base/units.h"
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
    RIDGE,   /* the ridge of columns alone */
    REFINED, /* with the Laplace kernel over the layer's numbers */
    N_KINDS
} model_kind;

static const char *const kind_names[N_KINDS] = {"ridge", "refined"};
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
    b->w_slot = slot_of(b->space, "w_bits");
    b->a_slot = slot_of(b->space, "a_bits");
    for (int i = 0; i < n; i++) {
        tl_bench_check(tl_space_lower(b->space, design_at(b, i), &network), "lower");
        b->is_depthwise[i] = network.ops[0].groups > 1;
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
    double mape[MAX_SEEDS];
    double within_10;
} figures;

static void judge(
    const bench *b, int column, const bool *is_test, const double *guess, int seed, figures *f)
{
    double sum[N_LAYER_KINDS] = {0};
    int n_close[N_LAYER_KINDS] = {0};
    int n[N_LAYER_KINDS] = {0};
    for (int i = 0; i < b->table.n; i++) {
        double y = b->table.values[(ptrdiff_t)i * b->table.n_columns + column];
        double off = fabs(guess[i] / y - 1);
        for (int k = 0; k < N_LAYER_KINDS; k++) {
            bool is_kind = k == 2 || b->is_depthwise[i] == (k == 1);
            if (is_test[i] && is_kind) {
                sum[k] += off;
                n_close[k] += off < .1;
                n[k]++;
            }
        }
    }
    for (int k = 0; k < N_LAYER_KINDS; k++) {
        f[k].mape[seed] = sum[k] / n[k];
        f[k].within_10 += (double)n_close[k] / n[k];
    }
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
    for (int kind = 0; kind < N_KINDS; kind++) {
        if (kind == REFINED) {
            tl_bench_check(tl_source_refine(&source, b->features, x, y), "refine");
        }
        tl_source_predict(&source, tl_dro(b->rows), guess);
        for (int i = 0; i < n; i++) {
            guess[i] *= source.median;
        }
        judge(b, column, is_test, guess, seed, f[kind]);
    }
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
                "%s\t%s\t%s\t%s\t%d\t%.4f\t%.4f\t%.4f\n", by_layer ? "layers" : "rows",
                tl_metric_name(b->table.columns[column].metric), kind_names[kind],
                layer_names[k], n_seeds, tl_mean(n_seeds, f[kind][k].mape),
                tl_sd(n_seeds, f[kind][k].mape), f[kind][k].within_10 / n_seeds);
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
    (void)printf("held_out\tmetric\tmodel\tlayers\tseeds\tmape\tsd\twithin_10\n");
    for (int by_layer = 0; by_layer < 2; by_layer++) {
        for (int c = 0; c < b.table.n_columns; c++) {
            if (tl_metric_is_of_device(b.table.columns[c].metric)) {
                run(&b, c, by_layer != 0, (int)n_seeds);
            }
        }
    }
    tl_dmat_done(&b.rows);
    tl_mem_free(b.is_depthwise);
    tl_table_done(&b.table);
    tl_features_free(b.features);
    tl_space_unref(b.space);
    return EXIT_SUCCESS;
}
