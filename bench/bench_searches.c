/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Searches held against each other on unseen devices, at stated numbers of evaluations.
 *
 *     bench_searches SPACES DATA POOL MODEL [KEY=VALUE ...]
 *
 * Pools and predictors are optimizer_trial's (MODEL is the file they are kept in). Problems:
 * every unseen device from 20 random measurements, limits at the 20/40/60/80th percentile of
 * its latency, confidence .9. Each seed draws its own measurements, and starts the searches.
 *
 * One tab-separated line a method and seed: problems that some method solves (feasible by the
 * predictors), the share solved, the gap to the best value known (of a listed space the
 * optimum; else the best that any method of this run found), the share that is it; of the
 * answers whose latency is known, the share that misses the limit; of those that hold it and
 * whose accuracy is known, how far that is below the best measured one within the limit;
 * evaluations and milliseconds of processor time an answer.
 *
 * Keys: seeds, first_seed; effort (1: with the neural optimizer, quickly trained by each
 * seed; 2: long); task (a number among the predictor's); computed (1: nothing is looked up,
 * for honest times); only (parts of methods' names, a | between them); entropy, rate, state,
 * designs (of reinforce); noise, last_noise, warm, discount, hidden, actor, critic, learn, beta
 * (of galen).
 */

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "bench/optimizer_trial.h"
#include "bench/public_table.h"
#include "measurements/designs.h"
#include "numerics/gemm.h"
#include "optimizer/galen.h"
#include "optimizer/local_search.h"
#include "optimizer/optimizer.h"
#include "optimizer/reinforce.h"
#include "optimizer/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CONFIDENCE = 1, /* of trial_confidence: .9 */
    MAX_ROWS = 512
};

typedef struct settings {
    double n_seeds, first_seed, task, is_computed;
    const char *only;
    double effort; /* of training the optimizer: 0 none, 1 quick, 2 long */
    double entropy, rate, n_state, n_designs;
    double noise, last_noise, warm, discount, n_hidden, actor, critic, n_learn, beta;
} settings;

static settings given = {.n_seeds = 1, .first_seed = 1, .task = 0};

/* ---- methods ------------------------------------------------------------------------------- */

static tl_err run_reinforce(
    tl_problem *problem, const tl_search_options *options, tl_shortlist *list)
{
    const tl_reinforce_settings how = {
        .n_designs = (int)given.n_designs,
        .n_state = (int)given.n_state,
        .rate = given.rate,
        .entropy = given.entropy};
    return tl_reinforce_run(&how, problem, options, list);
}

static tl_err run_galen(
    tl_problem *problem, const tl_search_options *options, tl_shortlist *list)
{
    const tl_galen_settings how = {
        .beta = given.beta,
        .discount = given.discount,
        .noise = given.noise,
        .last_noise = given.last_noise,
        .warm_frac = given.warm,
        .n_hidden = (int)given.n_hidden,
        .actor_rate = given.actor,
        .critic_rate = given.critic,
        .learn_per_step = (int)given.n_learn};
    return tl_galen_run(&how, problem, options, list);
}

/* What local search alone makes of designs drawn by chance: the floor of a network's proposals. */
static tl_err run_local(
    tl_problem *problem, const tl_search_options *options, tl_shortlist *list)
{
    tl_search_options first = *options;
    tl_choice design[TL_SPACE_MAX_SLOTS];
    first.n_evaluations = 64;
    TL_TRY(tl_search_random.run(problem, &first, list));
    tl_scored score = list->scores[0];
    memcpy(design, list->designs, (size_t)list->n_slots * sizeof *design);
    return tl_local_search(problem, options, 2, design, &score, list);
}

static const tl_search reinforce = {"reinforce", "", run_reinforce};
static const tl_search galen = {"galen", "", run_galen};
static const tl_search local = {"local", "", run_local};

typedef struct method {
    const char *name;
    const tl_search *search;
    int n_evaluations;
    bool is_ageing;
} method;

static const method methods[] = {
    {"exhaustive",             &tl_search_exhaustive,   0,    false},
    {"random 600",             &tl_search_random,       600,  false},
    {"random 5100",            &tl_search_random,       5100, false},
    {"neural",                 &tl_search_neural,       0,    false},
    {"64 by chance, 2 steps",  &local,                  0,    false},
    {"generations 100 + 500",  &tl_search_evolutionary, 600,  false},
    {"generations 100 + 5000", &tl_search_evolutionary, 5100, false},
    {"regularized 100 + 500",  &tl_search_evolutionary, 600,  true },
    {"regularized 100 + 5000", &tl_search_evolutionary, 5100, true },
    {"REINFORCE 600",          &reinforce,              600,  false},
    {"REINFORCE 5100",         &reinforce,              5100, false},
    {"Galen 800",              &galen,                  800,  false},
    {"Galen 2000",             &galen,                  2000, false},
};

/* ---- what is looked up ------------------------------------------------------------------------- */

/* Every design with bits of a space, sorted, and what its tasks say; made once. */
typedef struct listing {
    const trial *of;
    tl_choice *designs; /* NULL: the trial's own listing, or none */
    int n;
    double *accuracies; /* [n] with deviations behind, of the task asked for */
    double *deviations;
} listing;

/* One view's predictions of a listing. */
typedef struct looked_up {
    const listing *list;
    tl_prediction *predictions; /* [n] */
} looked_up;

enum {
    BLOCK = 4096
};

static void listing_init(listing *l, const trial *t, int task)
{
    *l = (listing){.of = t};
    if (t->freedom == TL_FREE_ARCHITECTURE || given.is_computed != 0) {
        return;
    }
    tl_prediction *block = tl_bench_array(BLOCK, sizeof *block);
    tl_bench_check(
        tl_space_enumerate_with(
            t->space, t->freedom, TL_SEARCH_EXHAUSTIBLE, &l->designs, &l->n),
        "every design");
    l->accuracies = tl_bench_array(l->n, sizeof *l->accuracies);
    l->deviations = tl_bench_array(l->n, sizeof *l->deviations);
    for (int i = 0; i < l->n; i += BLOCK) {
        int n = l->n - i < BLOCK ? l->n - i : BLOCK;
        const tl_choice *designs = tl_design_at(l->designs, tl_space_n_slots(t->space), i);
        tl_bench_check(
            tl_predictor_accuracy(t->predictor, t->tasks[task], designs, n, block),
            "accuracies");
        for (int j = 0; j < n; j++) {
            l->accuracies[i + j] = block[j].accuracy;
            l->deviations[i + j] = block[j].accuracy_std;
        }
    }
    tl_mem_free(block);
}

static void listing_done(listing *l)
{
    tl_mem_free(l->designs);
    tl_mem_free(l->accuracies);
    tl_mem_free(l->deviations);
}

static void looked_up_init(looked_up *up, const listing *l, const trial_view *view)
{
    *up = (looked_up){.list = l};
    if (l->designs == NULL) {
        return;
    }
    up->predictions = tl_bench_array(l->n, sizeof *up->predictions);
    for (int i = 0; i < l->n; i += BLOCK) {
        int n = l->n - i < BLOCK ? l->n - i : BLOCK;
        const tl_choice *designs = tl_design_at(l->designs, tl_space_n_slots(l->of->space), i);
        tl_bench_check(
            tl_view_predict(view->view, designs, n, up->predictions + i), "latencies");
    }
    for (int i = 0; i < l->n; i++) {
        up->predictions[i].accuracy = l->accuracies[i];
        up->predictions[i].accuracy_std = l->deviations[i];
    }
}

/* The first row of sorted designs that is not before this one. */
static int place_of(const tl_choice *designs, int n, const tl_choice *design, int n_slots)
{
    int low = 0;
    int high = n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (tl_design_compare(tl_design_at(designs, n_slots, middle), design, n_slots) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static tl_err look_up(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    const looked_up *up = context;
    const listing *l = up->list;
    int n_slots = tl_space_n_slots(l->of->space);
    for (int i = 0; i < n; i++) {
        out[i] = up->predictions[place_of(
            l->designs, l->n, tl_design_at(designs, n_slots, i), n_slots)];
    }
    return TL_OK;
}

/* ---- what is true -------------------------------------------------------------------------------- */

/* Rows of designs in their order, so that a design is found among them. */
typedef struct truth {
    int n_slots;
    const tl_choice *designs;
    int *order;
    int n;
} truth;

static const truth *sorting;

static int by_design(const void *a, const void *b)
{
    const int *i = a;
    const int *j = b;
    return tl_design_compare(
        tl_design_at(sorting->designs, sorting->n_slots, *i),
        tl_design_at(sorting->designs, sorting->n_slots, *j), sorting->n_slots);
}

static void truth_init(truth *t, const tl_choice *designs, int n, int n_slots)
{
    *t = (truth){.n_slots = n_slots, .designs = designs, .n = n};
    t->order = tl_bench_array(n, sizeof *t->order);
    for (int i = 0; i < n; i++) {
        t->order[i] = i;
    }
    sorting = t;
    qsort(t->order, (size_t)n, sizeof *t->order, by_design);
}

/* The design's row, or -1. */
static int truth_find(const truth *t, const tl_choice *design)
{
    int low = 0;
    int high = t->n - 1;
    while (low <= high) {
        int middle = (low + high) / 2;
        int row = t->order[middle];
        int order =
            tl_design_compare(tl_design_at(t->designs, t->n_slots, row), design, t->n_slots);
        if (order == 0) {
            return row;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle - 1;
    }
    return -1;
}

/* ---- problems and answers --------------------------------------------------------------------------- */

typedef struct bench {
    trial t;
    truth rows; /* of the accuracies' table */
    const tl_table *accuracies;
    int accuracy_column; /* -1: none */
    truth latencies[16]; /* by device */
    listing all;
    int task;
} bench;

static double measured_latency(const bench *b, int device, const tl_choice *design)
{
    const trial_device *d = &b->t.devices[device];
    if (d->latency_of != NULL) {
        return d->latency_of(b->t.space, design);
    }
    int row = truth_find(&b->latencies[device], design);
    return row >= 0 ? d->latency_ms[row] : TL_UNKNOWN;
}

static double measured_accuracy(const bench *b, const tl_choice *design)
{
    int row = b->accuracy_column >= 0 ? truth_find(&b->rows, design) : -1;
    return row >= 0
               ? b->accuracies
                     ->values[(ptrdiff_t)row * b->accuracies->n_columns + b->accuracy_column]
               : TL_UNKNOWN;
}

/* The best measured accuracy of a design whose measured latency holds the limit. */
static double best_within(const bench *b, int device, double limit_ms)
{
    double best = TL_UNKNOWN;
    for (int i = 0; b->accuracy_column >= 0 && i < b->accuracies->n; i++) {
        const tl_choice *design = tl_design_at(b->accuracies->designs, b->rows.n_slots, i);
        double accuracy = measured_accuracy(b, design);
        if (!isnan(accuracy) && !(accuracy <= best) &&
            measured_latency(b, device, design) <= limit_ms) {
            best = accuracy;
        }
    }
    return best;
}

/* One problem of one seed. */
typedef struct problem_case {
    int device, limit;
    trial_view *view;
    looked_up *up;
    double best;          /* value known, NaN: none feasible */
    double best_measured; /* accuracy within the limit */
} problem_case;

typedef struct answer {
    double value; /* NaN: infeasible */
    double latency_ms, accuracy;
} answer;

typedef struct row {
    const method *how;
    int seed, n;
    answer *answers;
    double n_evaluations, seconds;
} row;

static tl_problem problem_of(const bench *b, const problem_case *c)
{
    tl_problem problem = trial_problem(c->view, c->limit, CONFIDENCE, b->task);
    if (c->up->predictions != NULL) {
        problem.predict = look_up;
        problem.context = c->up;
    }
    return problem;
}

static void solve(
    const bench *b,
    const tl_optimizer *optimizer,
    problem_case *c,
    int seed,
    row *out,
    answer *a)
{
    tl_problem problem = problem_of(b, c);
    tl_shortlist list = {0};
    tl_search_options options = {
        .n_best = 1,
        .n_evaluations = out->how->n_evaluations,
        .is_ageing = out->how->is_ageing,
        .optimizer = optimizer,
        .seed = (uint64_t)(seed * 10007 + c->device * 10 + c->limit)};
    clock_t begin = clock();
    tl_bench_check(tl_search_run(out->how->search, &problem, &options, &list), out->how->name);
    out->seconds += (double)(clock() - begin) / CLOCKS_PER_SEC;
    out->n_evaluations += problem.n_evaluations;
    bool is_feasible = list.n > 0 && tl_scored_is_feasible(&list.scores[0]);
    *a = (answer){TL_UNKNOWN, TL_UNKNOWN, TL_UNKNOWN};
    if (is_feasible) {
        a->value = list.scores[0].value;
        a->latency_ms = measured_latency(b, c->device, list.designs);
        a->accuracy = measured_accuracy(b, list.designs);
        c->best = c->best >= a->value ? c->best : a->value;
    }
    tl_shortlist_done(&list);
}

/* ---- the table -------------------------------------------------------------------------------------- */

static void print_row(const bench *b, const problem_case *cases, const row *r)
{
    int n_solvable = 0;
    int n_solved = 0;
    int n_best = 0;
    int n_known = 0;
    int n_missed = 0;
    int n_judged = 0;
    double gap = 0;
    double regret = 0;
    for (int i = 0; i < r->n; i++) {
        const answer *a = &r->answers[i];
        n_solvable += !isnan(cases[i].best);
        if (isnan(a->value)) {
            continue;
        }
        n_solved++;
        gap += cases[i].best - a->value;
        n_best += cases[i].best - a->value < 1e-6;
        n_known += !isnan(a->latency_ms);
        bool is_missed = a->latency_ms > cases[i].view->limit_ms[cases[i].limit];
        n_missed += is_missed;
        if (!isnan(a->latency_ms) && !is_missed && !isnan(a->accuracy)) {
            n_judged++;
            regret += cases[i].best_measured - a->accuracy;
        }
    }
    (void)printf(
        "%s\t%s\t%d\t%d\t%.4f\t%.4f\t%.4f\t%d\t%.4f\t%d\t%.4f\t%.0f\t%.3f\n", b->t.spec->name,
        r->how->name, r->seed, n_solvable, n_solved / fmax(n_solvable, 1),
        n_solved > 0 ? gap / n_solved : TL_UNKNOWN, n_best / fmax(n_solvable, 1), n_known,
        n_known > 0 ? (double)n_missed / n_known : TL_UNKNOWN, n_judged,
        n_judged > 0 ? regret / n_judged : TL_UNKNOWN, r->n_evaluations / r->n,
        r->seconds / r->n * TL_MS_PER_S);
    (void)fflush(stdout);
}

/* The name holds one of the parts asked for, which a | separates. */
static bool is_wanted(const char *name)
{
    for (const char *part = given.only; part != NULL && *part != '\0';) {
        char text[64];
        size_t n = strcspn(part, "|");
        (void)snprintf(text, sizeof text, "%.*s", (int)n, part);
        if (strstr(name, text) != NULL) {
            return true;
        }
        part += n + (part[n] == '|');
    }
    return given.only == NULL;
}

static bool takes_part(const bench *b, const method *m)
{
    bool is_listed = tl_space_size_with(b->t.space, b->t.freedom) <= TL_SEARCH_EXHAUSTIBLE;
    return (m->search != &tl_search_exhaustive || is_listed) &&
           (m->search != &tl_search_neural || given.effort > 0) &&
           (is_wanted(m->name) || m->search == &tl_search_exhaustive);
}

/* The optimizer that this seed trains; NULL: none is asked for. */
static tl_optimizer *train(const trial *t, int seed)
{
    tl_optimizer *optimizer = NULL;
    tl_optimizer_options options = {
        .effort = given.effort > 1 ? TL_EFFORT_LONG : TL_EFFORT_QUICK, .seed = (uint64_t)seed};
    if (given.effort <= 0) {
        return NULL;
    }
    if (t->spec->accuracies == NULL) {
        options.proxy = trial_proxy;
        options.proxy_context = t->space;
    }
    int64_t begin_ns = tl_clock_ns();
    tl_bench_check(tl_optimizer_train(t->predictor, &options, &optimizer), "optimizer");
    (void)fprintf(
        stderr, "%s: optimizer of seed %d trained in %.0f s\n", t->spec->name, seed,
        (double)(tl_clock_ns() - begin_ns) / TL_NS_PER_S);
    return optimizer;
}

static void run_seed(const bench *b, int seed)
{
    int n_devices = b->t.n_devices;
    int n = n_devices * TRIAL_N_LIMITS;
    trial_view *views = tl_bench_array(n_devices, sizeof *views);
    looked_up *ups = tl_bench_array(n_devices, sizeof *ups);
    problem_case *cases = tl_bench_array(n, sizeof *cases);
    row rows[TL_COUNT(methods)];
    tl_optimizer *optimizer = train(&b->t, seed);
    int n_rows = 0;
    for (int d = 0; d < n_devices; d++) {
        trial_view_init(&views[d], &b->t, d, seed, given.is_computed == 0);
        looked_up_init(&ups[d], &b->all, &views[d]);
    }
    for (int i = 0; i < n; i++) {
        cases[i] = (problem_case){
            .device = i / TRIAL_N_LIMITS,
            .limit = i % TRIAL_N_LIMITS,
            .view = &views[i / TRIAL_N_LIMITS],
            .up = &ups[i / TRIAL_N_LIMITS],
            .best = TL_UNKNOWN};
        cases[i].best_measured =
            best_within(b, cases[i].device, cases[i].view->limit_ms[cases[i].limit]);
    }
    for (size_t m = 0; m < TL_COUNT(methods); m++) {
        if (takes_part(b, &methods[m])) {
            row *r = &rows[n_rows++];
            *r = (row){.how = &methods[m], .seed = seed, .n = n};
            r->answers = tl_bench_array(n, sizeof *r->answers);
            for (int i = 0; i < n; i++) {
                solve(b, optimizer, &cases[i], seed, r, &r->answers[i]);
            }
        }
    }
    for (int i = 0; i < n_rows; i++) {
        print_row(b, cases, &rows[i]);
        tl_mem_free(rows[i].answers);
    }
    for (int d = 0; d < n_devices; d++) {
        trial_view_done(&views[d]);
        tl_mem_free(ups[d].predictions);
    }
    tl_optimizer_unref(optimizer);
    tl_mem_free(views);
    tl_mem_free(ups);
    tl_mem_free(cases);
}

static int find_column(const tl_table *table, const char *task)
{
    for (int c = 0; task != NULL && c < table->n_columns; c++) {
        if (table->columns[c].metric == TL_METRIC_ACCURACY &&
            strcmp(table->columns[c].name, task) == 0) {
            return c;
        }
    }
    return -1;
}

static bool set_key(const char *key, char *value)
{
    const struct {
        const char *name;
        double *value;
    } keys[] = {
        {"seeds",      &given.n_seeds    },
        {"first_seed", &given.first_seed },
        {"task",       &given.task       },
        {"computed",   &given.is_computed},
        {"effort",     &given.effort     },
        {"entropy",    &given.entropy    },
        {"rate",       &given.rate       },
        {"state",      &given.n_state    },
        {"designs",    &given.n_designs  },
        {"noise",      &given.noise      },
        {"last_noise", &given.last_noise },
        {"warm",       &given.warm       },
        {"discount",   &given.discount   },
        {"hidden",     &given.n_hidden   },
        {"actor",      &given.actor      },
        {"critic",     &given.critic     },
        {"learn",      &given.n_learn    },
        {"beta",       &given.beta       },
    };
    if (strcmp(key, "only") == 0) {
        given.only = value;
        return true;
    }
    for (size_t i = 0; i < TL_COUNT(keys); i++) {
        if (strcmp(keys[i].name, key) == 0) {
            *keys[i].value = strtod(value, NULL);
            return true;
        }
    }
    return false;
}

static void read_settings(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value != NULL) {
            *value++ = '\0';
        }
        if (value == NULL || !set_key(argv[i], value)) {
            (void)fprintf(stderr, "unknown setting %s\n", argv[i]);
            exit(EXIT_FAILURE);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        (void)fprintf(stderr, "usage: %s SPACES DATA POOL MODEL [KEY=VALUE ...]\n", argv[0]);
        return EXIT_FAILURE;
    }
    tl_blas_single_thread();
    read_settings(argc - 5, argv + 5);
    bench b = {.task = (int)given.task};
    trial_load(&b.t, argv[1], argv[2], argv[3], argv[4]);
    b.accuracies = b.t.accuracies.n > 0 ? &b.t.accuracies : &b.t.table;
    b.accuracy_column = find_column(b.accuracies, b.t.tasks[b.task]);
    int n_slots = tl_space_n_slots(b.t.space);
    truth_init(&b.rows, b.accuracies->designs, b.accuracies->n, n_slots);
    for (int d = 0; d < b.t.n_devices; d++) {
        truth_init(&b.latencies[d], b.t.devices[d].designs, b.t.devices[d].n, n_slots);
    }
    listing_init(&b.all, &b.t, b.task);
    (void)printf(
        "pool\tmethod\tseed\tproblems\tsolved\tgap\tis_best\tn_known\tmissed\tn_judged\tregret\t"
        "evaluations\tms\n");
    for (int i = 0; i < (int)given.n_seeds; i++) {
        run_seed(&b, (int)given.first_seed + i);
    }
    listing_done(&b.all);
    tl_mem_free(b.rows.order);
    for (int d = 0; d < b.t.n_devices; d++) {
        tl_mem_free(b.latencies[d].order);
    }
    trial_unload(&b.t);
    return EXIT_SUCCESS;
}
