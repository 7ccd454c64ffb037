/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Measure and refine on nasbench201: a few samples of an unseen device, then batches of
 * proposals that are measured, and after each batch the answer to a limit.
 *
 *     bench_verify SPACES DATA ACCURACIES DEVICES SEEDS [STARTS]
 *
 * ACCURACIES: the file that `bench_selection accuracies` writes, so that a design is judged by
 * the fold that did not see it. DEVICES: "test" for pool ND's six, "other" for devices that
 * are neither these nor their sources, "help" for HELP's fifteen limits; STARTS: the first
 * so many ways to begin, all without. The model is trained
 * on the nine sources (512 random measurements each); its margins are calibrated with the
 * accuracies of 2,000 designs.
 *
 * One tab-separated line for each device, seed, way of starting, batch, task, limit and rule:
 * whether the answer misses its limit, its regret (points below the best measured accuracy
 * within the measured limit), whether it was measured.
 */

#include "base/units.h"
#include "bench/accuracy_table.h"
#include "bench/pool_trial.h"
#include "measurements/designs.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"
#include "optimizer/propose.h"
#include "predictors/predictor.h"
#include "predictors/suggest.h"
#include "predictors/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_TASKS = 2,
    N_SOURCE_ROWS = 512,
    N_TASK_ROWS = 2000,
    N_CANDIDATES = 3000,
    ANSWERED = 5, /* an answer after this many proposals, and again */
    N_PROPOSED = 10,
    MAX_MEASURED = 64,
    SEED = 4200,
};

static const char *const task_names[N_TASKS] = {"cifar10", "cifar100"};
static const double limit_quantiles[] = {.2, .4, .6, .8};

/* How an unseen device is met and refined. */
typedef struct start {
    int n;
    bool is_chosen;
    int batch;          /* proposals at once */
    bool is_one_by_one; /* each by its own expected improvement */
} start;

static const start starts[] = {
    {5,  true,  5, false},
    {5,  false, 5, false},
    {10, true,  5, false},
    {10, false, 5, false},
    {20, true,  5, false},
    {20, false, 5, false},
    {5,  true,  5, true },
    {5,  true,  1, false},
};

/* In how many deviations another design must be better than the best measured one. */
static const struct rule {
    const char *name;
    double doubt;
} rules[] = {
    {"usual",    -1e9    },
    {"doubt 1",  1       },
    {"doubt 2",  2       },
    {"measured", HUGE_VAL},
};

/* ---- the world: all designs in the order of the listing -------------------------------------- */

typedef struct world {
    bench_data bench;
    tl_predictor *predictor;
    const tl_choice *listing;
    int n, n_slots;
    int *row;                /* [n]: of the table */
    double *truth[N_TASKS];  /* [n] measured accuracy */
    double *judged[N_TASKS]; /* [n] predicted by the fold that did not see the design */
    double *latency;         /* [n] of the device at hand */
    size_t n_starts;         /* how many ways to start take part */
} world;

static void read_accuracies(world *w, const char *path)
{
    double *by_row = bench_array(w->n * BENCH_N_JUDGED, sizeof *by_row);
    bench_read_judged(path, w->n, by_row);
    for (int t = 0; t < N_TASKS; t++) {
        for (int i = 0; i < w->n; i++) {
            w->judged[t][i] = by_row[(ptrdiff_t)w->row[i] * BENCH_N_JUDGED + t];
        }
    }
    tl_mem_free(by_row);
}

/* The listing is sorted as tl_designs_order() sorts the table. */
static void list_world(world *w, const char *accuracies)
{
    w->n = w->bench.table.n;
    w->n_slots = tl_space_n_slots(w->bench.space);
    bench_check(tl_designs_order(w->bench.table.designs, w->n_slots, w->n, &w->row), "order");
    w->latency = bench_array(w->n, sizeof *w->latency);
    for (int t = 0; t < N_TASKS; t++) {
        int column = bench_column(&w->bench, TL_METRIC_ACCURACY, task_names[t]);
        w->truth[t] = bench_array(w->n, sizeof *w->truth[t]);
        w->judged[t] = bench_array(w->n, sizeof *w->judged[t]);
        for (int i = 0; i < w->n; i++) {
            w->truth[t][i] = bench_value(&w->bench, w->row[i], column);
        }
    }
    read_accuracies(w, accuracies);
}

/* ---- the model ----------------------------------------------------------------------------- */

typedef struct training_set {
    tl_train_column columns[POOL_MAX_DEVICES + N_TASKS];
    int n;
    char names[POOL_MAX_DEVICES][64];
} training_set;

static void add_column(
    const world *w, tl_metric metric, const char *name, int n, tl_rng *rng, training_set *set)
{
    int column = bench_column(&w->bench, metric, name);
    int *rows = bench_array(2 * w->n, sizeof *rows);
    tl_choice *designs = bench_array(n * w->n_slots, sizeof *designs);
    double *values = bench_array(n, sizeof *values);
    tl_rng_choose(rng, w->n, n, rows + w->n, rows);
    for (int i = 0; i < n; i++) {
        memcpy(
            designs + (ptrdiff_t)i * w->n_slots,
            tl_design_at(w->bench.table.designs, w->n_slots, rows[i]),
            (size_t)w->n_slots * sizeof *designs);
        values[i] = bench_value(&w->bench, rows[i], column);
    }
    set->columns[set->n++] = (tl_train_column){
        .metric = metric, .subject = name, .designs = designs, .values = values, .n = n};
    tl_mem_free(rows);
}

static void train(world *w, int seed)
{
    training_set set = {0};
    tl_model *model = NULL;
    tl_text notes = {0};
    tl_rng rng;
    int column;
    tl_rng_init(&rng, SEED + (uint64_t)seed);
    for (const char *at = pool_specs[0].sources;
         (at = bench_next_column(&w->bench, at, &column)) != NULL;) {
        add_column(
            w, TL_METRIC_LATENCY_MS, w->bench.table.columns[column].name, N_SOURCE_ROWS, &rng,
            &set);
    }
    tl_rng tasks = rng; /* the same designs for each */
    for (int t = 0; t < N_TASKS; t++) {
        rng = tasks;
        add_column(w, TL_METRIC_ACCURACY, task_names[t], N_TASK_ROWS, &rng, &set);
    }
    tl_train_options options = {
        .space = w->bench.space,
        .columns = set.columns,
        .n_columns = set.n,
        .seed = (uint64_t)seed + 1,
        .n_threads = 1};
    bench_check(tl_train(&options, &notes, &model), "training");
    bench_check(tl_predictor_new(w->bench.space, model, &w->predictor), "predictor");
    int n = 0;
    w->listing = tl_predictor_listing(w->predictor, &n);
    if (n != w->n ||
        tl_design_compare(
            w->listing, tl_design_at(w->bench.table.designs, w->n_slots, w->row[0]),
            w->n_slots) != 0) {
        bench_fail("the listing is not the table", TL_ESHAPE);
    }
    for (int c = 0; c < set.n; c++) {
        tl_mem_free((void *)(uintptr_t)set.columns[c].designs);
        tl_mem_free((void *)(uintptr_t)set.columns[c].values);
    }
    tl_text_done(&notes);
}

/* ---- one device: what was measured, and what is said of it ------------------------------------ */

typedef struct trial {
    const world *w;
    int places[MAX_MEASURED]; /* measured so far, sorted */
    int n;
    tl_choice designs[MAX_MEASURED * TL_SPACE_MAX_SLOTS];
    double values[MAX_MEASURED];
    tl_column column;
    tl_measured measured;
    tl_view *view;
    int task;
} trial;

static int by_place(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void refit(trial *t)
{
    const world *w = t->w;
    qsort(t->places, (size_t)t->n, sizeof *t->places, by_place);
    for (int i = 0; i < t->n; i++) {
        memcpy(
            t->designs + (ptrdiff_t)i * w->n_slots,
            tl_design_at(w->listing, w->n_slots, t->places[i]),
            (size_t)w->n_slots * sizeof *t->designs);
        t->values[i] = w->latency[t->places[i]];
    }
    t->column = (tl_column){t->n, w->n_slots, t->designs, t->values};
    t->measured = (tl_measured){
        {&t->column, NULL}
    };
    tl_view_unref(t->view);
    t->view = NULL;
    tl_view_data data = {.device = "new", .samples = {{t->designs, t->values, t->n}}};
    bench_check(tl_view_new(w->predictor, &data, &t->view), "view");
}

static int place_of(const world *w, const tl_choice *design)
{
    int low = 0;
    int high = w->n - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (tl_design_compare(
                tl_design_at(w->listing, w->n_slots, middle), design, w->n_slots) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static tl_err predict(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    trial *t = context;
    const world *w = t->w;
    TL_TRY(tl_view_predict(t->view, designs, n, out));
    TL_TRY(tl_predictor_accuracy(w->predictor, task_names[t->task], designs, n, out));
    for (int i = 0; i < n; i++) {
        int place =
            designs == w->listing ? i : place_of(w, tl_design_at(designs, w->n_slots, i));
        out[i].accuracy = w->judged[t->task][place];
    }
    tl_measured_apply(&t->measured, designs, n, w->n_slots, out);
    return TL_OK;
}

static tl_err draw(
    void *context,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_rng *rng,
    tl_dmat out_draws)
{
    trial *t = context;
    return tl_view_draw(t->view, cost, designs, n, rng, out_draws);
}

static tl_problem problem_of(trial *t, double limit)
{
    tl_problem problem = {
        .space = t->w->bench.space,
        .listing = t->w->listing,
        .n_listing = t->w->n,
        .limits = {limit, TL_UNKNOWN, TL_UNKNOWN, .9},
        .predict = predict,
        .context = t
    };
    tl_view_confidence(t->view, TL_COST_LATENCY, &problem.latency_confidence);
    tl_view_confidence(t->view, TL_COST_ENERGY, &problem.energy_confidence);
    tl_confidence_nominal(1000, &problem.accuracy_confidence);
    return problem;
}

/* ---- samples to begin with ---------------------------------------------------------------------- */

static void suggest(const world *w, int n, tl_rng *rng, int *out_places)
{
    int *from = bench_array(2 * w->n, sizeof *from);
    tl_choice *designs = bench_array(N_CANDIDATES * w->n_slots, sizeof *designs);
    tl_dmat x = {0};
    double *z = NULL;
    tl_rng_choose(rng, w->n, N_CANDIDATES, from + w->n, from);
    for (int i = 0; i < N_CANDIDATES; i++) {
        memcpy(
            designs + (ptrdiff_t)i * w->n_slots, tl_design_at(w->listing, w->n_slots, from[i]),
            (size_t)w->n_slots * sizeof *designs);
    }
    bench_check(
        tl_predictor_rows(w->predictor, TL_COST_LATENCY, designs, N_CANDIDATES, &x, &z),
        "rows");
    const tl_features *features = tl_predictor_features(w->predictor);
    bench_check(
        tl_suggest(
            features, x.cols - tl_features_n_head(features), tl_dro(x), (tl_dcmat){0}, n,
            out_places),
        "suggest");
    for (int i = 0; i < n; i++) {
        out_places[i] = from[out_places[i]];
    }
    tl_dmat_done(&x);
    tl_mem_free(z);
    tl_mem_free(designs);
    tl_mem_free(from);
}

static void begin(trial *t, const start *s, tl_rng *rng)
{
    const world *w = t->w;
    t->n = s->n;
    if (s->is_chosen) {
        suggest(w, s->n, rng, t->places);
    } else {
        int *scratch = bench_array(w->n, sizeof *scratch);
        tl_rng_choose(rng, w->n, s->n, scratch, t->places);
        tl_mem_free(scratch);
    }
}

/* ---- answers ------------------------------------------------------------------------------------- */

typedef struct labels {
    const char *role, *device;
    int seed;
    const start *start;
    int n_proposed;
    double limit, best; /* best: the highest accuracy within the limit */
} labels;

static void print_answer(
    const labels *l, const trial *t, const char *rule, const tl_choice *design)
{
    const world *w = t->w;
    int place = place_of(w, design);
    double accuracy = w->truth[t->task][place];
    double latency = w->latency[place];
    bool is_measured = bsearch(&place, t->places, (size_t)t->n, sizeof place, by_place) != NULL;
    (void)printf(
        "%s\t%s\t%d\t%d %s\t%d%s\t%d\t%s\t%.6g\t%s\t%d\t%.6g\t%.6g\t%.6g\t%.6g\t%d\n", l->role,
        l->device, l->seed, l->start->n, l->start->is_chosen ? "chosen" : "random",
        l->start->batch, l->start->is_one_by_one ? " by EI" : "", l->n_proposed,
        task_names[t->task], l->limit, rule, latency > l->limit, l->best - accuracy, accuracy,
        w->judged[t->task][place], latency, is_measured);
}

/* No design at the asked confidence: no line, which the reader of these counts. */
static void answer(const labels *l, trial *t)
{
    tl_problem problem = problem_of(t, l->limit);
    tl_search_options options = {.n_best = 1};
    tl_shortlist list = {0};
    bench_check(tl_search_run(&tl_search_exhaustive, &problem, &options, &list), "search");
    tl_choice first[TL_SPACE_MAX_SLOTS];
    tl_scored score = list.scores[0];
    size_t bytes = (size_t)t->w->n_slots * sizeof *first;
    memcpy(first, list.designs, bytes);
    for (size_t r = 0; r < TL_COUNT(rules); r++) {
        memcpy(list.designs, first, bytes);
        list.scores[0] = score;
        bench_check(tl_measured_lead(&problem, &t->measured, rules[r].doubt, &list), "lead");
        if (tl_scored_is_feasible(&list.scores[0])) {
            print_answer(l, t, rules[r].name, list.designs);
        }
    }
    tl_shortlist_done(&list);
}

static void propose(trial *t, double limit, const start *how, uint64_t seed)
{
    tl_problem problem = problem_of(t, limit);
    tl_shortlist list = {0};
    tl_propose_options options = {
        .count = how->batch,
        .search = {.seed = seed},
        .measured = &t->measured,
        .draw = draw,
        .is_one_by_one = how->is_one_by_one};
    bench_check(tl_propose(&problem, &options, &list), "propose");
    for (int i = 0; i < list.n; i++) {
        t->places[t->n++] = place_of(t->w, tl_design_at(list.designs, t->w->n_slots, i));
    }
    tl_shortlist_done(&list);
    refit(t);
}

/* With the true latencies: what predicted accuracies alone cost. */
static void print_floor(labels l, trial *t)
{
    const world *w = t->w;
    int best = -1;
    l.best = -HUGE_VAL;
    for (int i = 0; i < w->n; i++) {
        if (w->latency[i] <= l.limit) {
            l.best = fmax(l.best, w->truth[t->task][i]);
            if (best < 0 || w->judged[t->task][i] > w->judged[t->task][best]) {
                best = i;
            }
        }
    }
    print_answer(&l, t, "true latencies", tl_design_at(w->listing, w->n_slots, best));
}

static double best_within(const world *w, int task, double limit)
{
    double best = -HUGE_VAL;
    for (int i = 0; i < w->n; i++) {
        if (w->latency[i] <= limit) {
            best = fmax(best, w->truth[task][i]);
        }
    }
    return best;
}

static void run_case(labels l, const trial *begun, int task)
{
    trial t = *begun;
    t.task = task;
    t.view = tl_view_ref(begun->view);
    l.best = best_within(t.w, task, l.limit);
    if (l.start == &starts[0]) {
        print_floor(l, &t);
    }
    answer(&l, &t);
    while (l.n_proposed < N_PROPOSED) {
        propose(&t, l.limit, l.start, SEED + (uint64_t)l.n_proposed);
        l.n_proposed += l.start->batch;
        if (l.n_proposed % ANSWERED == 0) {
            answer(&l, &t);
        }
    }
    tl_view_unref(t.view);
}

/* ---- devices ------------------------------------------------------------------------------------------ */

static void run_device(
    world *w, labels l, const double *limits, int n_limits, int first_task, int n_tasks)
{
    int column = bench_column(&w->bench, TL_METRIC_LATENCY_MS, l.device);
    double sorted_limits[TL_COUNT(limit_quantiles)];
    double *sorted = bench_array(w->n, sizeof *sorted);
    for (int i = 0; i < w->n; i++) {
        w->latency[i] = sorted[i] = bench_value(&w->bench, w->row[i], column);
    }
    for (size_t q = 0; limits == NULL && q < TL_COUNT(limit_quantiles); q++) {
        sorted_limits[q] = tl_quantile_inplace(w->n, sorted, limit_quantiles[q]);
    }
    tl_mem_free(sorted);
    n_limits = limits == NULL ? (int)TL_COUNT(limit_quantiles) : n_limits;
    limits = limits == NULL ? sorted_limits : limits;
    for (size_t s = 0; s < w->n_starts; s++) {
        trial begun = {.w = w};
        tl_rng rng;
        tl_rng_init(&rng, SEED + 1000 * (uint64_t)l.seed + (uint64_t)column);
        begin(&begun, &starts[s], &rng);
        refit(&begun);
        l.start = &starts[s];
        for (int q = 0; q < n_limits; q++) {
            for (int t = first_task; t < first_task + n_tasks; t++) {
                l.limit = limits[q];
                run_case(l, &begun, t);
            }
        }
        tl_view_unref(begun.view);
    }
    (void)fflush(stdout);
}

static void run_help(world *w, labels l)
{
    static const struct {
        const char *device;
        double limits[3];
    } rows[] = {
        {"titan_rtx_256", {18, 21, 25}},
        {"gold_6226",     {8, 11, 14} },
        {"pixel2",        {14, 18, 22}},
        {"eyeriss",       {5, 7, 9}   },
        {"fpga",          {4, 5, 6}   },
    };
    for (size_t i = 0; i < TL_COUNT(rows); i++) {
        l.device = rows[i].device;
        run_device(w, l, rows[i].limits, 3, 1, 1);
    }
}

static void run_seed(world *w, const char *role, int seed)
{
    labels l = {.role = role, .seed = seed};
    train(w, seed);
    if (strcmp(role, "help") == 0) {
        run_help(w, l);
    }
    for (int c = 0; c < w->bench.table.n_columns && strcmp(role, "help") != 0; c++) {
        const char *name = w->bench.table.columns[c].name;
        bool is_test = bench_is_among(pool_specs[0].targets, name);
        bool is_wanted = strcmp(role, "test") == 0
                             ? is_test
                             : !is_test && !bench_is_among(pool_specs[0].sources, name) &&
                                   strcmp(name, "edgegpu") != 0; /* measured in part */
        if (w->bench.table.columns[c].metric == TL_METRIC_LATENCY_MS && is_wanted) {
            l.device = name;
            run_device(w, l, NULL, 0, 0, N_TASKS);
        }
    }
    tl_predictor_unref(w->predictor);
    w->predictor = NULL;
}

int main(int argc, char **argv)
{
    static world w;
    int n_seeds = argc >= 6 ? (int)strtol(argv[5], NULL, 10) : 0;
    w.n_starts = argc == 7 ? (size_t)strtol(argv[6], NULL, 10) : TL_COUNT(starts);
    if (n_seeds < 1 || argc > 7 || w.n_starts < 1 || w.n_starts > TL_COUNT(starts)) {
        (void)fprintf(
            stderr,
            "usage: bench_verify SPACES DATA ACCURACIES test|other|help SEEDS [STARTS]\n");
        return 2;
    }
    tl_blas_single_thread();
    bench_load(&w.bench, argv[1], argv[2], "nasbench201");
    list_world(&w, argv[3]);
    (void)printf(
        "role\tdevice\tseed\tstart\tbatch\tproposed\ttask\tlimit\trule\tmissed\tregret\t"
        "accuracy\tpredicted\tlatency\tis_measured\n");
    for (int seed = 0; seed < n_seeds; seed++) {
        run_seed(&w, argv[4], seed);
    }
    for (int t = 0; t < N_TASKS; t++) {
        tl_mem_free(w.truth[t]);
        tl_mem_free(w.judged[t]);
    }
    tl_mem_free(w.row);
    tl_mem_free(w.latency);
    bench_unload(&w.bench);
    return 0;
}
