/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fronts that the archive finds, against the exact front of the same predictors, on unseen
 * devices seen through 20 random measurements:
 *
 *     bench_pareto SPACES DATA MODEL [SEEDS]
 *
 * MODEL holds the predictors of pool ND; it is trained where it is missing. Volumes are
 * measured from the corner of the largest latency and the median accuracy of all
 * designs: the front's own region, for the worse half of a space is cheap to cover.
 *
 *     archive   the front bred with so many evaluations (seeds of the search)
 *     random    the front of as many designs by chance
 *     true      the exact predicted front, as its designs were measured, against the
 *               front of all measurements
 *
 * One tab-separated line for each device, way and number of evaluations: share of the
 * volume, its deviation over seeds, designs on the front.
 */

#include "base/mem.h"
#include "base/units.h"
#include "bench/optimizer_trial.h"
#include "bench/public_table.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"
#include "optimizer/pareto.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_SEEDS = 5,
    MAX_SEEDS = 32,
    TASK = 1, /* cifar100 */
    LIMIT = 0,
    CONFIDENCE = 1
};

static const int evaluations[] = {1000, 2500, 5000, 20000};

typedef struct bench {
    trial of;
    int n_seeds;
} bench;

/* The problem without its limit: the whole front is asked for. */
static tl_problem open_problem(trial_view *view)
{
    tl_problem problem = trial_problem(view, LIMIT, CONFIDENCE, TASK);
    problem.limits.max_latency_ms = TL_UNKNOWN;
    return problem;
}

static tl_front_corner corner_of(const tl_prediction *predictions, int n)
{
    tl_front_corner corner = {0};
    double *accuracy = tl_bench_array(n, sizeof *accuracy);
    for (int i = 0; i < n; i++) {
        corner.cost = fmax(corner.cost, predictions[i].latency_ms);
        accuracy[i] = predictions[i].accuracy;
    }
    corner.accuracy = tl_median_inplace(n, accuracy);
    tl_mem_free(accuracy);
    return corner;
}

static tl_front run(trial_view *view, const tl_pareto_options *options)
{
    tl_front front = {0};
    tl_problem problem = open_problem(view);
    tl_bench_check(tl_pareto_run(&problem, options, &front), "a front");
    return front;
}

static tl_front run_random(trial_view *view, int n, uint64_t seed)
{
    tl_rng rng;
    tl_front front = {0};
    tl_problem problem = open_problem(view);
    size_t n_slots = (size_t)tl_space_n_slots(problem.space);
    tl_choice *designs = tl_bench_array(n, n_slots * sizeof *designs);
    tl_scored *scores = tl_bench_array(n, sizeof *scores);
    tl_rng_init(&rng, seed);
    for (int i = 0; i < n; i++) {
        tl_space_sample(problem.space, &rng, designs + (size_t)i * n_slots);
    }
    tl_bench_check(tl_problem_score(&problem, designs, n, scores), "designs by chance");
    tl_bench_check(tl_front_init(&front, (int)n_slots, TL_PARETO_CAPACITY, false), "a front");
    tl_front_offer(&front, designs, scores, n);
    tl_mem_free(designs);
    tl_mem_free(scores);
    return front;
}

static void print(
    const char *device, const char *way, int n, const double *share, const double *size, int m)
{
    (void)printf(
        "%s\t%s\t%d\t%d\t%.4f\t%.4f\t%.1f\n", device, way, n, m, tl_mean(m, share),
        tl_sd(m, share), tl_mean(m, size));
}

static void compare(
    const bench *b, trial_view *view, const char *device, tl_front_corner corner, double exact)
{
    for (size_t e = 0; e < TL_COUNT(evaluations); e++) {
        double share[2][MAX_SEEDS];
        double size[2][MAX_SEEDS];
        for (int s = 0; s < b->n_seeds; s++) {
            tl_pareto_options options = {
                .n_evaluations = evaluations[e], .is_archive = true, .seed = (uint64_t)s + 1};
            tl_front bred = run(view, &options);
            tl_front drawn = run_random(view, evaluations[e], (uint64_t)s + 1);
            share[0][s] = tl_front_hypervolume(&bred, corner) / exact;
            share[1][s] = tl_front_hypervolume(&drawn, corner) / exact;
            size[0][s] = bred.n;
            size[1][s] = drawn.n;
            tl_front_done(&bred);
            tl_front_done(&drawn);
        }
        print(device, "archive", evaluations[e], share[0], size[0], b->n_seeds);
        print(device, "random", evaluations[e], share[1], size[1], b->n_seeds);
    }
}

/* ---- as measured --------------------------------------------------------------------------- */

static double column_of(const tl_table *table, const char *name, tl_metric metric, int row)
{
    for (int c = 0; c < table->n_columns; c++) {
        if (table->columns[c].metric == metric && strcmp(table->columns[c].name, name) == 0) {
            return table->values[(ptrdiff_t)row * table->n_columns + c];
        }
    }
    return TL_UNKNOWN;
}

/* Volumes of what was measured of the front's designs, and of all designs, from one corner. */
static void print_true(const bench *b, const trial_device *device, const tl_front *front)
{
    const tl_table *table = &b->of.table;
    size_t width = (size_t)table->n_slots;
    tl_front fronts[2];
    tl_prediction *measured = tl_bench_array(table->n, sizeof *measured);
    for (int k = 0; k < 2; k++) {
        tl_bench_check(
            tl_front_init(&fronts[k], table->n_slots, TL_PARETO_CAPACITY, false), "a front");
    }
    for (int i = 0; i < table->n; i++) {
        const tl_choice *design = table->designs + (size_t)i * width;
        measured[i].latency_ms = column_of(table, device->name, TL_METRIC_LATENCY_MS, i);
        measured[i].accuracy = column_of(table, b->of.tasks[TASK], TL_METRIC_ACCURACY, i);
        tl_scored score = {.prediction = measured[i], .p_feasible = 1};
        tl_front_offer(&fronts[1], design, &score, 1);
        for (int f = 0; f < front->n; f++) {
            if (memcmp(front->designs + (size_t)f * width, design, width * sizeof *design) ==
                0) {
                tl_front_offer(&fronts[0], design, &score, 1);
            }
        }
    }
    tl_front_corner corner = corner_of(measured, table->n);
    double share =
        tl_front_hypervolume(&fronts[0], corner) / tl_front_hypervolume(&fronts[1], corner);
    double size = fronts[0].n;
    print(device->name, "true", table->n, &share, &size, 1);
    tl_front_done(&fronts[0]);
    tl_front_done(&fronts[1]);
    tl_mem_free(measured);
}

static void run_device(const bench *b, int d)
{
    trial_view view;
    const trial_device *device = &b->of.devices[d];
    tl_pareto_options options = {.seed = 1};
    trial_view_init(&view, &b->of, d, 1, true);
    tl_problem problem = open_problem(&view);
    tl_prediction *predictions = tl_bench_array(problem.n_listing, sizeof *predictions);
    tl_bench_check(
        problem.predict(problem.context, problem.listing, problem.n_listing, predictions),
        "predictions");
    tl_front_corner corner = corner_of(predictions, problem.n_listing);
    tl_front exact = run(&view, &options);
    double one = 1;
    double size = exact.n;
    print(device->name, "exact", problem.n_listing, &one, &size, 1);
    compare(b, &view, device->name, corner, tl_front_hypervolume(&exact, corner));
    print_true(b, device, &exact);
    tl_front_done(&exact);
    tl_mem_free(predictions);
    trial_view_done(&view);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        (void)fprintf(stderr, "usage: bench_pareto SPACES DATA MODEL [SEEDS]\n");
        return 2;
    }
    bench b = {.n_seeds = argc > 4 ? (int)strtol(argv[4], NULL, 10) : DEFAULT_SEEDS};
    if (b.n_seeds < 1 || b.n_seeds > MAX_SEEDS) {
        (void)fprintf(stderr, "bench_pareto: 1 to %d seeds\n", MAX_SEEDS);
        return 2;
    }
    tl_blas_single_thread();
    trial_load(&b.of, argv[1], argv[2], "ND", argv[3]);
    (void)printf("device\tway\tevaluations\tseeds\tshare\tsd\tsize\n");
    for (int d = 0; d < b.of.n_devices; d++) {
        run_device(&b, d);
    }
    trial_unload(&b.of);
    return EXIT_SUCCESS;
}
