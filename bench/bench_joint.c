/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Cells and their weight bits chosen together, against choosing one after the
 * other, on two accelerators that gain from narrow weights:
 *
 *     bench_joint SPACES DATA [SEEDS [CAUTION]]
 *
 * bitfusion    per convolution the p-norm of compute and memory time, with the figures
 *              that explain the published layers of this accelerator
 * bit_serial   compute bound: time in proportion to MACs times both widths
 *
 *     joint            every cell with every width of every convolution
 *     8-bit            the best cell at 8 bits that keeps the limit
 *     8-bit, bits      that cell, then its best widths within the limit
 *     cell, bits       the best cell at 8 bits whatever the limit, then its widths
 *     4-bit            the best cell with 4 bits everywhere
 *
 * One half of the cells trains the accuracies that choose, the other half those that
 * judge, and the other way round; on measured rows the candidates are those of the
 * judging half, judged by their measured accuracy (cells by their widest measured row).
 * A design is chosen by its predicted accuracy less CAUTION (0) of its standard deviations.
 * Limits are percentiles of the 8-bit designs' latencies. One tab-separated line
 * for each device, set, limit and method: accuracy, its deviation over seeds, and how
 * many choices there were.
 */

#include "base/mem.h"
#include "base/units.h"
#include "bench/accuracy_table.h"
#include "bench/public_table.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"
#include "predictors/accuracy.h"
#include "predictors/folds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_SEEDS = 3,
    MAX_SEEDS = 16,
    MAX_DESIGNS = 1000000,
    N_HALVES = 2,
    N_DEVICES = 2,
    N_LIMITS = 4,
    CHUNK = 8192,
    FULL_BITS = 8,
    HALF_BITS = 4
};

enum method {
    JOINT,
    WIDE,           /* 8 bits */
    WIDE_THEN_BITS, /* 8-bit first */
    CELL_THEN_BITS, /* architecture first */
    NARROW,         /* 4 bits everywhere */
    N_METHODS
};

static const char *const method_names[N_METHODS] = {
    "joint", "8-bit", "8-bit, bits", "cell, bits", "4-bit"};
static const char *const device_names[N_DEVICES] = {"bitfusion", "bit_serial"};
static const double limit_percentile[N_LIMITS] = {.10, .25, .50, .75};

/* What may be chosen: designs, their cells and widths, latency on each device. */
typedef struct pool {
    int n, n_slots;
    const tl_choice *designs; /* [n, n_slots] */
    int *cell;                /* [n]: the same number for the same architecture */
    int *widest, *narrowest;  /* [n]: weight bits over the convolutions; 0: there is none */
    double *mean_bits;        /* [n] */
    bool *is_live;            /* [n] */
    double *ms[N_DEVICES];    /* [n] */
} pool;

typedef struct bench {
    tl_space *space;
    bench_labels labels;
    pool all, measured;
    tl_choice *designs;
    double limits[N_DEVICES][N_LIMITS];
    double caution;
    double found[2][N_DEVICES][N_LIMITS][N_METHODS][MAX_SEEDS * N_HALVES];
    int n_found[2][N_DEVICES][N_LIMITS][N_METHODS];
} bench;

/* ---- devices ------------------------------------------------------------------------------ */

/* A convolution of BitFusion: multipliers fuse for 4 bits at least, bytes are the true ones. */
static double bitfusion_ms(const tl_op *op)
{
    static const double ms_per_mac = 3.92e-9, ms_per_weight_byte = 1.257e-7;
    static const double ms_per_input_byte = 8.76e-8, ms_per_output_byte = 8.17e-7;
    static const double ms_to_start = 2.46e-3, norm = 5.1;
    double w = op->w_bits <= HALF_BITS ? HALF_BITS : FULL_BITS;
    double compute = ms_per_mac * (double)tl_op_macs(op) * w / FULL_BITS;
    double memory = ms_per_weight_byte * (double)tl_op_weights(op) * op->w_bits / FULL_BITS +
                    ms_per_input_byte * (double)tl_op_elements_in(op) +
                    ms_per_output_byte * (double)tl_op_elements_out(op);
    return pow(pow(compute, norm) + pow(memory, norm), 1 / norm) + ms_to_start;
}

static double bit_serial_ms(const tl_op *op)
{
    static const double ms_per_mac = 1e-8;
    return ms_per_mac * (double)tl_op_macs(op) * op->w_bits / FULL_BITS;
}

static void time_network(const tl_network *network, double out_ms[N_DEVICES])
{
    out_ms[0] = out_ms[1] = 0;
    for (int i = 0; i < network->n_ops; i++) {
        const tl_op *op = &network->ops[i];
        if (op->is_needed && op->is_reached) {
            tl_op fixed = *op;
            fixed.w_bits = op->w_bits > FULL_BITS ? FULL_BITS : op->w_bits; /* stem and head */
            out_ms[0] += bitfusion_ms(&fixed);
            out_ms[1] += bit_serial_ms(&fixed);
        }
    }
}

/* ---- pools ------------------------------------------------------------------------------------ */

static void describe(const tl_space *space, pool *p, int i)
{
    const tl_cell *cell = tl_space_cell(space);
    const tl_choice *design = p->designs + (ptrdiff_t)i * p->n_slots;
    uint32_t reached = 0;
    uint32_t needed = 0;
    int n_convs = 0;
    tl_cell_masks(cell, design, &reached, &needed);
    p->is_live[i] = (reached & needed) != 0;
    for (int e = 0; e < cell->n_edges; e++) {
        int bits = tl_cell_edge_bits(space, design, e);
        p->cell[i] = p->cell[i] * cell->n_options + design[cell->edge_slot[e]];
        if (bits > 0) {
            p->widest[i] = bits > p->widest[i] ? bits : p->widest[i];
            p->narrowest[i] = n_convs == 0 || bits < p->narrowest[i] ? bits : p->narrowest[i];
            p->mean_bits[i] += bits;
            n_convs++;
        }
    }
    p->mean_bits[i] /= n_convs > 0 ? n_convs : 1;
}

static void fill_pool(const tl_space *space, const tl_choice *designs, int n, pool *p)
{
    tl_network network = {0};
    *p = (pool){.n = n, .n_slots = tl_space_n_slots(space), .designs = designs};
    p->cell = tl_bench_array(n, sizeof *p->cell);
    p->widest = tl_bench_array(n, sizeof *p->widest);
    p->narrowest = tl_bench_array(n, sizeof *p->narrowest);
    p->mean_bits = tl_bench_array(n, sizeof *p->mean_bits);
    p->is_live = tl_bench_array(n, sizeof *p->is_live);
    for (int d = 0; d < N_DEVICES; d++) {
        p->ms[d] = tl_bench_array(n, sizeof *p->ms[d]);
    }
    for (int i = 0; i < n; i++) {
        double ms[N_DEVICES];
        describe(space, p, i);
        tl_bench_check(
            tl_space_lower(space, designs + (ptrdiff_t)i * p->n_slots, &network), "a design");
        time_network(&network, ms);
        for (int d = 0; d < N_DEVICES; d++) {
            p->ms[d][i] = ms[d];
        }
    }
    tl_network_done(&network);
}

static void free_pool(pool *p)
{
    tl_mem_free(p->cell);
    tl_mem_free(p->widest);
    tl_mem_free(p->narrowest);
    tl_mem_free(p->mean_bits);
    tl_mem_free(p->is_live);
    for (int d = 0; d < N_DEVICES; d++) {
        tl_mem_free(p->ms[d]);
    }
}

static bool is_wide(const pool *p, int i)
{
    return p->narrowest[i] == 0 || p->narrowest[i] == FULL_BITS;
}

static bool is_narrow(const pool *p, int i)
{
    return p->narrowest[i] == HALF_BITS && p->widest[i] == HALF_BITS;
}

static void set_limits(bench *b)
{
    const pool *p = &b->all;
    double *ms = tl_bench_array(p->n, sizeof *ms);
    for (int d = 0; d < N_DEVICES; d++) {
        int n = 0;
        for (int i = 0; i < p->n; i++) {
            if (p->is_live[i] && is_wide(p, i)) {
                ms[n++] = p->ms[d][i];
            }
        }
        for (int l = 0; l < N_LIMITS; l++) {
            b->limits[d][l] = tl_quantile_inplace(n, ms, limit_percentile[l]);
        }
    }
    tl_mem_free(ms);
}

/* ---- choosing --------------------------------------------------------------------------------- */

/* What is being chosen from: accuracies that choose, and which rows may be. */
typedef struct choice {
    const pool *p;
    const double *ms;
    const double *predicted;
    const bool *may;      /* NULL: all */
    const bool *is_whole; /* stands for its cell: 8 bits, or the widest that was measured */
    double limit;
} choice;

typedef bool wanted(const choice *c, int i, int cell);

static bool any(const choice *c, int i, int cell)
{
    return cell < 0 || c->p->cell[i] == cell;
}

static bool whole(const choice *c, int i, int cell)
{
    (void)cell;
    return c->is_whole[i];
}

static bool narrow(const choice *c, int i, int cell)
{
    (void)cell;
    return is_narrow(c->p, i);
}

/* The row predicted best; -1 when there is none. */
static int best(const choice *c, wanted *is_wanted, int cell, double limit)
{
    int found = -1;
    for (int i = 0; i < c->p->n; i++) {
        if (c->p->is_live[i] && c->ms[i] <= limit && (c->may == NULL || c->may[i]) &&
            is_wanted(c, i, cell) && (found < 0 || c->predicted[i] > c->predicted[found])) {
            found = i;
        }
    }
    return found;
}

static int choose(const choice *c, enum method method)
{
    int first = -1;
    switch (method) {
    case JOINT: return best(c, any, -1, c->limit);
    case WIDE: return best(c, whole, -1, c->limit);
    case NARROW: return best(c, narrow, -1, c->limit);
    case WIDE_THEN_BITS: first = best(c, whole, -1, c->limit); break;
    case CELL_THEN_BITS: first = best(c, whole, -1, HUGE_VAL); break;
    case N_METHODS: break;
    }
    return first < 0 ? -1 : best(c, any, c->p->cell[first], c->limit);
}

static void judge(
    bench *b, bool is_measured, choice c, const double *truth, const double *const *ms)
{
    for (int d = 0; d < N_DEVICES; d++) {
        c.ms = ms[d];
        for (int l = 0; l < N_LIMITS; l++) {
            c.limit = b->limits[d][l];
            for (int m = 0; m < N_METHODS; m++) {
                int i = choose(&c, (enum method)m);
                if (i >= 0) {
                    int *n = &b->n_found[is_measured][d][l][m];
                    b->found[is_measured][d][l][m][(*n)++] = truth[i];
                }
            }
        }
    }
}

/* ---- accuracies --------------------------------------------------------------------------------- */

/* The half of each row: cells of one form, whatever their bits, are in one half. */
static void split(const bench *b, uint64_t seed, int *half)
{
    const pool *p = &b->measured;
    size_t len = (size_t)p->n * (size_t)p->n_slots;
    tl_choice *plain = tl_bench_array((int)len, sizeof *plain);
    for (size_t k = 0; k < len; k++) {
        bool is_bits = tl_space_slot(b->space, (int)(k % (size_t)p->n_slots))->is_optional;
        plain[k] = is_bits ? TL_CHOICE_ABSENT : p->designs[k];
    }
    tl_bench_check(
        tl_canonical_folds(b->space, plain, p->n, N_HALVES, seed, half), "the halves");
    tl_mem_free(plain);
}

static tl_accuracy_model *fit(const bench *b, const int *half, int side, uint64_t seed)
{
    const tl_table *t = &b->labels.table;
    tl_accuracy_model *model = NULL;
    tl_choice *designs = tl_bench_array(t->n * b->measured.n_slots, sizeof *designs);
    double *labels = tl_bench_array(t->n, sizeof *labels);
    tl_accuracy_data data = {
        .space = b->space,
        .designs = designs,
        .labels = labels,
        .tasks = b->labels.tasks,
        .n_tasks = 1};
    size_t width = (size_t)b->measured.n_slots;
    for (int i = 0; i < t->n; i++) {
        if (half[i] == side) {
            memcpy(
                designs + (size_t)data.n * width, t->designs + (size_t)i * width,
                width * sizeof *designs);
            labels[data.n++] = b->labels.values[(ptrdiff_t)i * b->labels.n_tasks];
        }
    }
    tl_accuracy_options options = {.seed = seed, .n_threads = 1};
    tl_bench_check(tl_accuracy_fit(&data, &options, &model, NULL), "accuracies of a half");
    tl_mem_free(designs);
    tl_mem_free(labels);
    return model;
}

/* Predicted accuracies less caution standard deviations of each. */
static double *predict(const tl_accuracy_model *model, const pool *p, double caution)
{
    double *mean = tl_bench_array(p->n, sizeof *mean);
    double *sd = tl_bench_array(p->n, sizeof *sd);
    for (int i = 0; i < p->n; i += CHUNK) {
        int n = p->n - i < CHUNK ? p->n - i : CHUNK;
        tl_bench_check(
            tl_accuracy_predict(
                model, p->designs + (ptrdiff_t)i * p->n_slots, n, mean + i, sd + i),
            "accuracies");
    }
    for (int i = 0; i < p->n; i++) {
        mean[i] -= caution * sd[i];
    }
    tl_mem_free(sd);
    return mean;
}

/* ---- both sets ------------------------------------------------------------------------------------ */

static void run_all(bench *b, const tl_accuracy_model *const models[N_HALVES])
{
    double *chosen_by[N_HALVES];
    double *judged_by[N_HALVES];
    const pool *p = &b->all;
    bool *whole_ones = tl_bench_array(p->n, sizeof *whole_ones);
    for (int i = 0; i < p->n; i++) {
        whole_ones[i] = is_wide(p, i);
    }
    for (int side = 0; side < N_HALVES; side++) {
        chosen_by[side] = predict(models[side], p, b->caution);
        judged_by[side] = predict(models[1 - side], p, 0);
    }
    for (int side = 0; side < N_HALVES; side++) {
        choice c = {.p = p, .predicted = chosen_by[side], .is_whole = whole_ones};
        judge(b, false, c, judged_by[side], (const double *const *)p->ms);
        tl_mem_free(chosen_by[side]);
        tl_mem_free(judged_by[side]);
    }
    tl_mem_free(whole_ones);
}

/* Of each measured cell the row with the most bits. */
static void mark_whole(const pool *p, bool *is_whole)
{
    for (int i = 0; i < p->n; i++) {
        is_whole[i] = true;
        for (int j = 0; j < p->n && is_whole[i]; j++) {
            is_whole[i] = p->cell[j] != p->cell[i] || p->mean_bits[j] <= p->mean_bits[i];
        }
    }
}

static void run_measured(
    bench *b, const int *half, const tl_accuracy_model *const models[N_HALVES])
{
    const pool *p = &b->measured;
    bool *may = tl_bench_array(p->n, sizeof *may);
    bool *whole_ones = tl_bench_array(p->n, sizeof *whole_ones);
    double *truth = tl_bench_array(p->n, sizeof *truth);
    mark_whole(p, whole_ones);
    for (int side = 0; side < N_HALVES; side++) {
        double *predicted = predict(models[side], p, b->caution);
        for (int i = 0; i < p->n; i++) {
            may[i] = half[i] != side;
            truth[i] = b->labels.values[(ptrdiff_t)i * b->labels.n_tasks];
        }
        choice c = {.p = p, .predicted = predicted, .may = may, .is_whole = whole_ones};
        judge(b, true, c, truth, (const double *const *)p->ms);
        tl_mem_free(predicted);
    }
    tl_mem_free(may);
    tl_mem_free(whole_ones);
    tl_mem_free(truth);
}

static void run_seed(bench *b, uint64_t seed)
{
    tl_accuracy_model *models[N_HALVES] = {0};
    int *half = tl_bench_array(b->measured.n, sizeof *half);
    split(b, seed, half);
    for (int side = 0; side < N_HALVES; side++) {
        models[side] = fit(b, half, side, seed + (uint64_t)side);
    }
    run_all(b, (const tl_accuracy_model *const *)models);
    run_measured(b, half, (const tl_accuracy_model *const *)models);
    for (int side = 0; side < N_HALVES; side++) {
        tl_accuracy_model_free(models[side]);
    }
    tl_mem_free(half);
}

static void print(const bench *b)
{
    (void)printf("set\tdevice\tlimit\tlimit_ms\tmethod\taccuracy\tsd\tchoices\n");
    for (int is_measured = 0; is_measured < 2; is_measured++) {
        for (int d = 0; d < N_DEVICES; d++) {
            for (int l = 0; l < N_LIMITS; l++) {
                for (int m = 0; m < N_METHODS; m++) {
                    int n = b->n_found[is_measured][d][l][m];
                    const double *found = b->found[is_measured][d][l][m];
                    (void)printf(
                        "%s\t%s\t%.2f\t%.4f\t%s\t%.3f\t%.3f\t%d\n",
                        is_measured ? "measured" : "all", device_names[d], limit_percentile[l],
                        b->limits[d][l], method_names[m],
                        n > 0 ? tl_mean(n, found) : TL_UNKNOWN,
                        n > 0 ? tl_sd(n, found) : TL_UNKNOWN, n);
                }
            }
        }
    }
}

static void load(bench *b, const char *spaces, const char *data)
{
    char path[512];
    int n = 0;
    (void)snprintf(path, sizeof path, "%s/nasbench201.yaml", spaces);
    tl_bench_check(tl_space_load(path, &b->space), path);
    (void)snprintf(path, sizeof path, "%s/nasbench201-qat150.csv", data);
    tl_bench_check(bench_labels_read(b->space, path, &b->labels), path);
    tl_bench_check(
        tl_space_enumerate_with(b->space, TL_FREE_BITS, MAX_DESIGNS, &b->designs, &n),
        "every design");
    fill_pool(b->space, b->designs, n, &b->all);
    fill_pool(b->space, b->labels.table.designs, b->labels.table.n, &b->measured);
    set_limits(b);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: bench_joint SPACES DATA [SEEDS [CAUTION]]\n");
        return 2;
    }
    long n_seeds = argc > 3 ? strtol(argv[3], NULL, 10) : DEFAULT_SEEDS;
    if (n_seeds < 1 || n_seeds > MAX_SEEDS) {
        (void)fprintf(stderr, "bench_joint: 1 to %d seeds\n", MAX_SEEDS);
        return 2;
    }
    bench *b = tl_bench_array(1, sizeof *b);
    tl_blas_single_thread();
    load(b, argv[1], argv[2]);
    b->caution = argc > 4 ? strtod(argv[4], NULL) : 0;
    for (long seed = 1; seed <= n_seeds; seed++) {
        run_seed(b, (uint64_t)seed);
        (void)fprintf(stderr, "seed %ld of %ld done\n", seed, n_seeds);
    }
    print(b);
    free_pool(&b->all);
    free_pool(&b->measured);
    tl_mem_free(b->designs);
    bench_labels_done(&b->labels);
    tl_space_unref(b->space);
    tl_mem_free(b);
    return EXIT_SUCCESS;
}
