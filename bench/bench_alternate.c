/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The optimizer's own designs measured, and predictors and optimizer trained again:
 *
 *     bench_alternate SPACES DATA MODEL [ACCURACY_ROWS [SEEDS]]
 *
 * Pool ND. Predictors start from 512 latencies of each known device and ACCURACY_ROWS (300)
 * accuracies of random designs. The optimizer is asked for designs on every known device, under
 * many limits; what it answers is measured there, looked up in the table. Then all is
 * trained again, and beside it with as many random designs instead. Judged on the six test
 * devices from 20 random measurements each, confidence .9, limits at the 20/40/60/80th
 * percentile: by true latency and accuracy. One tab-separated line a way and seed.
 *
 * MODEL: a file of predictors of that pool, written where it is missing; not judged.
 */

#include "base/mem.h"
#include "base/units.h"
#include "bench/optimizer_trial.h"
#include "bench/public_table.h"
#include "measurements/designs.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"
#include "optimizer/optimizer.h"
#include "optimizer/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONFIDENT = 1, /* trial_confidence[CONFIDENT] is .9 */
    N_BEST = 5,    /* designs taken of every answer */
    N_DRAWS = 2    /* of the samples of a test device */
};

typedef struct outcome {
    int n, n_missed, n_judged;
    double regret;
} outcome;

static int row_of(const trial *t, const int *order, const tl_choice *design)
{
    int low = 0;
    int high = t->table.n - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        const tl_choice *at = tl_design_at(t->table.designs, t->table.n_slots, order[middle]);
        if (tl_design_compare(design, at, t->table.n_slots) <= 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return order[low];
}

static int column_of(const trial *t, tl_metric metric, const char *name)
{
    for (int c = 0; c < t->table.n_columns; c++) {
        if (t->table.columns[c].metric == metric &&
            strcmp(t->table.columns[c].name, name) == 0) {
            return c;
        }
    }
    tl_bench_check(TL_ENOTFOUND, name);
    return -1;
}

static double value_at(const trial *t, int row, int column)
{
    return t->table.values[(ptrdiff_t)row * t->table.n_columns + column];
}

static tl_shortlist ask(tl_problem *problem, const tl_optimizer *optimizer, int n_best)
{
    tl_shortlist list = {0};
    tl_search_options options = {.n_best = n_best, .seed = 1, .optimizer = optimizer};
    tl_bench_check(tl_search_run(&tl_search_neural, problem, &options, &list), "an answer");
    return list;
}

static tl_optimizer *train(const trial *t, int seed)
{
    tl_optimizer *optimizer = NULL;
    tl_optimizer_options options = {.seed = (uint64_t)seed, .n_threads = 1};
    tl_bench_check(tl_optimizer_train(t->predictor, &options, &optimizer), "optimizer");
    return optimizer;
}

/* ---- judging ------------------------------------------------------------------------------------ */

/* Below the best true accuracy within the true limit. */
static double regret_of(const trial *t, int latency, int accuracy, double limit, int row)
{
    double best = 0;
    for (int i = 0; i < t->table.n; i++) {
        bool is_within = value_at(t, i, latency) <= limit;
        best = is_within ? fmax(best, value_at(t, i, accuracy)) : best;
    }
    return best - value_at(t, row, accuracy);
}

static void judge_view(
    const trial *t,
    const int *order,
    trial_view *view,
    int latency,
    const tl_optimizer *optimizer,
    outcome *out)
{
    for (int i = 0; i < TRIAL_N_LIMITS * t->n_tasks; i++) {
        int limit = i / t->n_tasks;
        tl_problem problem = trial_problem(view, limit, CONFIDENT, i % t->n_tasks);
        tl_shortlist list = ask(&problem, optimizer, 1);
        int row = row_of(t, order, list.designs);
        out->n++;
        if (value_at(t, row, latency) > view->limit_ms[limit]) {
            out->n_missed++;
        } else {
            int accuracy = column_of(t, TL_METRIC_ACCURACY, problem.task);
            out->regret += regret_of(t, latency, accuracy, view->limit_ms[limit], row);
            out->n_judged++;
        }
        tl_shortlist_done(&list);
    }
}

static void judge(
    const trial *t,
    const int *order,
    const char *way,
    int n_added,
    int seed,
    const tl_optimizer *optimizer)
{
    outcome out = {0};
    for (int d = 0; d < t->n_devices; d++) {
        int latency = column_of(t, TL_METRIC_LATENCY_MS, t->devices[d].name);
        for (int draw = 0; draw < N_DRAWS; draw++) {
            trial_view view;
            trial_view_init(&view, t, d, 10 * seed + draw, true);
            judge_view(t, order, &view, latency, optimizer, &out);
            trial_view_done(&view);
        }
    }
    (void)printf(
        "%s\t%d\t%d\t%d\t%.4f\t%.4f\n", way, seed, n_added, out.n, (double)out.n_missed / out.n,
        out.regret / fmax(out.n_judged, 1));
    (void)fflush(stdout);
}

/* ---- measuring its own designs --------------------------------------------------------------------- */

/* A known device as it is, limits at percentiles of what it costs. */
static void known_view(trial_view *view, const trial *t, int column)
{
    tl_view_data known = {.device = t->table.columns[column].name};
    double *values = tl_bench_array(t->table.n, sizeof *values);
    *view = (trial_view){.of = t};
    tl_bench_check(tl_view_new(t->predictor, &known, &view->view), known.device);
    for (int i = 0; i < t->table.n; i++) {
        values[i] = value_at(t, i, column);
    }
    for (int i = 0; i < TRIAL_N_LIMITS; i++) {
        view->limit_ms[i] = tl_quantile_inplace(t->table.n, values, trial_limit_percentile[i]);
    }
    tl_mem_free(values);
}

static int mark_own(
    const trial *t, const int *order, const tl_optimizer *optimizer, bool *marked)
{
    int n = 0;
    for (int c = 0; c < t->table.n_columns; c++) {
        const tl_table_column *column = &t->table.columns[c];
        if (column->metric != TL_METRIC_LATENCY_MS ||
            strstr(t->spec->sources, column->name) == NULL) {
            continue;
        }
        trial_view view;
        known_view(&view, t, c);
        for (int i = 0; i < TRIAL_N_LIMITS * TRIAL_N_CONFIDENCES * t->n_tasks; i++) {
            tl_problem problem = trial_problem(
                &view, i / t->n_tasks / TRIAL_N_CONFIDENCES,
                i / t->n_tasks % TRIAL_N_CONFIDENCES, i % t->n_tasks);
            tl_shortlist list = ask(&problem, optimizer, N_BEST);
            for (int k = 0; k < list.n; k++) {
                int row = row_of(t, order, tl_design_at(list.designs, t->table.n_slots, k));
                n += !marked[row];
                marked[row] = true;
            }
            tl_shortlist_done(&list);
        }
        trial_view_done(&view);
    }
    return n;
}

static void mark_random(const trial *t, int n, int seed, bool *marked)
{
    tl_rng rng;
    int *order = tl_bench_array(t->table.n, sizeof *order);
    tl_rng_init(&rng, 500 + (uint64_t)seed);
    tl_rng_permutation(&rng, t->table.n, order);
    for (int i = 0; i < n; i++) {
        marked[order[i]] = true;
    }
    tl_mem_free(order);
}

static void run(trial *t, const int *order, int seed)
{
    bool *own = tl_bench_array(t->table.n, sizeof *own);
    bool *random = tl_bench_array(t->table.n, sizeof *random);
    const struct {
        const char *way;
        const bool *also;
    } ways[] = {
        {"before",          NULL  },
        {"its own designs", own   },
        {"random designs",  random},
    };
    int n_added = 0;
    for (size_t i = 0; i < TL_COUNT(ways); i++) {
        t->also = ways[i].also;
        trial_retrain(t);
        tl_optimizer *optimizer = train(t, seed);
        judge(t, order, ways[i].way, i == 0 ? 0 : n_added, seed, optimizer);
        if (i == 0) {
            n_added = mark_own(t, order, optimizer, own);
            mark_random(t, n_added, seed, random);
        }
        tl_optimizer_unref(optimizer);
    }
    t->also = NULL;
    tl_mem_free(own);
    tl_mem_free(random);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        (void)fprintf(stderr, "usage: %s SPACES DATA MODEL [ACCURACY_ROWS [SEEDS]]\n", argv[0]);
        return EXIT_FAILURE;
    }
    trial t;
    int *order = NULL;
    tl_blas_single_thread();
    trial_load(&t, argv[1], argv[2], "ND", argv[3]);
    t.n_accuracy_rows = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 300;
    int n_seeds = argc > 5 ? (int)strtol(argv[5], NULL, 10) : 1;
    tl_bench_check(
        tl_designs_order(t.table.designs, t.table.n_slots, t.table.n, &order), "order");
    (void)printf("way\tseed\tadded\tproblems\tmissed\tregret\n");
    for (int seed = 1; seed <= n_seeds; seed++) {
        run(&t, order, seed);
    }
    tl_mem_free(order);
    trial_unload(&t);
    return EXIT_SUCCESS;
}
