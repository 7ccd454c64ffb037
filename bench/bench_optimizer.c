/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The optimizer on unseen devices, against evolution with many times its evaluations:
 *
 *     bench_optimizer SPACES DATA POOL MODEL [KEY=VALUE ...]
 *
 * Predictors are trained on the pool's known devices (MODEL is the file they are kept in,
 * trained where it is missing), the optimizer on top of them, once for each training seed.
 * Problems: every unseen device from 20 random measurements, drawn `draws` times; limits
 * at the 20/40/60/80th percentile of its latency; confidence .5, .9, .95; every task.
 *
 * The gap is what is lost of the value of the optimum of the same predictors (of a listed
 * space; elsewhere of the best design that any method of the run found), among feasible
 * answers, in points. One tab-separated line a method and seed: evaluations, share
 * feasible, gap, share that is the optimum, microseconds an answer (computed = 1:
 * nothing looked up).
 *
 * Keys: effort (quick, long), seeds, first_seed, draws, devices, per_device, rounds,
 * round_steps, final_steps, batch, local, kept, drawn, explores, sharpness, temperature, rate, references,
 * hidden, state, learning (0 memory, 1 reinforce, 2 straight through), gradient_steps, gradient_drawn, gradient_rate, entropy,
 * evolution (1: run it too), computed, threads.
 */

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "bench/optimizer_trial.h"
#include "bench/public_table.h"
#include "numerics/gemm.h"
#include "optimizer/neural.h"
#include "optimizer/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_CASES = 4096,
    N_EVOLUTIONS = 3
};

typedef struct settings {
    tl_optimizer_options train;
    int n_seeds, first_seed, n_draws;
    bool has_evolution, is_computed;
} settings;

typedef struct int_key {
    const char *name;
    int *value;
} int_key;

typedef struct double_key {
    const char *name;
    double *value;
} double_key;

static bool set_double(settings *s, const char *key, const char *value)
{
    tl_memory_options *m = &s->train.memory;
    const double_key doubles[] = {
        {"sharpness",     &m->sharpness                   },
        {"temperature",   &m->temperature                 },
        {"entropy",       &s->train.gradient.entropy      },
        {"gradient_rate", &s->train.gradient.learning_rate},
        {"rate",          &m->learning_rate               },
    };
    for (size_t i = 0; i < TL_COUNT(doubles); i++) {
        if (strcmp(doubles[i].name, key) == 0) {
            *doubles[i].value = strtod(value, NULL);
            return true;
        }
    }
    return false;
}

static bool set_key(settings *s, const char *key, const char *value)
{
    int effort = 0;
    int explores = s->train.explores_listed;
    int learning = (int)s->train.learning;
    int evolution = s->has_evolution;
    int computed = s->is_computed;
    tl_memory_options *m = &s->train.memory;
    const int_key ints[] = {
        {"seeds",          &s->n_seeds               },
        {"first_seed",     &s->first_seed            },
        {"draws",          &s->n_draws               },
        {"devices",        &s->train.n_devices       },
        {"per_device",     &s->train.n_per_device    },
        {"rounds",         &m->n_rounds              },
        {"round_steps",    &m->n_round_steps         },
        {"final_steps",    &m->n_final_steps         },
        {"kept",           &m->n_kept                },
        {"drawn",          &m->n_drawn               },
        {"local",          &m->n_local               },
        {"batch",          &m->n_batch               },
        {"explores",       &explores                 },
        {"references",     &s->train.n_references    },
        {"hidden",         &s->train.n_hidden        },
        {"state",          &s->train.n_state         },
        {"evolution",      &evolution                },
        {"computed",       &computed                 },
        {"threads",        &s->train.n_threads       },
        {"learning",       &learning                 },
        {"gradient_steps", &s->train.gradient.n_steps},
        {"gradient_drawn", &s->train.gradient.n_drawn},
        {"effort",         &effort                   },
    };
    bool is_found = false;
    effort = (int)s->train.effort;
    for (size_t i = 0; i < TL_COUNT(ints); i++) {
        if (strcmp(ints[i].name, key) == 0) {
            *ints[i].value =
                strcmp(value, "long") == 0 ? TL_EFFORT_LONG : (int)strtol(value, NULL, 10);
            is_found = true;
        }
    }
    is_found = is_found || set_double(s, key, value);
    s->train.explores_listed = explores != 0;
    s->has_evolution = evolution != 0;
    s->is_computed = computed != 0;
    s->train.effort = (tl_effort)effort;
    s->train.learning = (tl_learning)learning;
    return is_found;
}

static settings read_settings(int argc, char **argv)
{
    settings s = {.n_seeds = 1, .first_seed = 1, .n_draws = 3};
    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value != NULL) {
            *value++ = '\0';
        }
        if (value == NULL || !set_key(&s, argv[i], value)) {
            (void)fprintf(stderr, "unknown setting %s\n", argv[i]);
            exit(EXIT_FAILURE);
        }
    }
    return s;
}

/* ---- cases ------------------------------------------------------------------------------------ */

/* All views, and for each of their problems the best value known; NaN: none was feasible. */
typedef struct cases {
    const trial *of;
    trial_view *views;
    int n_views, n;
    double *best; /* [n] */
} cases;

typedef struct place {
    trial_view *view;
    int limit, confidence, task;
} place;

static place place_of(const cases *c, int i)
{
    place p;
    p.task = i % c->of->n_tasks;
    i /= c->of->n_tasks;
    p.confidence = i % TRIAL_N_CONFIDENCES;
    i /= TRIAL_N_CONFIDENCES;
    p.limit = i % TRIAL_N_LIMITS;
    p.view = &c->views[i / TRIAL_N_LIMITS];
    return p;
}

static tl_problem problem_of(const cases *c, int i)
{
    place p = place_of(c, i);
    return trial_problem(p.view, p.limit, p.confidence, p.task);
}

/* What one method answered to every case. */
typedef struct answers {
    char name[64];
    int seed;
    double *value; /* [n]; NaN: infeasible */
    double n_evaluations, seconds;
} answers;

static answers answers_new(const cases *c, const char *name, int seed)
{
    answers a = {.seed = seed, .value = tl_bench_array(c->n, sizeof *a.value)};
    (void)snprintf(a.name, sizeof a.name, "%s", name);
    return a;
}

static void take(answers *a, cases *c, int i, const tl_problem *problem, tl_shortlist *list)
{
    const tl_scored *best = &list->scores[0];
    bool is_feasible = list->n > 0 && tl_scored_is_feasible(best);
    a->value[i] = is_feasible ? best->value : TL_UNKNOWN;
    a->n_evaluations += problem->n_evaluations;
    if (is_feasible && !(c->best[i] >= best->value)) {
        c->best[i] = best->value;
    }
    tl_shortlist_done(list);
}

static answers run_search(
    cases *c, const char *name, const tl_search *search, tl_search_options options, int seed)
{
    answers a = answers_new(c, name, seed);
    options.n_best = 1;
    for (int i = 0; i < c->n; i++) {
        tl_problem problem = problem_of(c, i);
        tl_shortlist list = {0};
        options.seed = (uint64_t)seed * 10007 + (uint64_t)i;
        int64_t begin_ns = tl_clock_ns();
        tl_bench_check(tl_search_run(search, &problem, &options, &list), name);
        a.seconds += (double)(tl_clock_ns() - begin_ns) / TL_NS_PER_S;
        take(&a, c, i, &problem, &list);
    }
    return a;
}

static answers run_neural(
    cases *c, const tl_optimizer *optimizer, tl_neural_options how, int seed)
{
    char name[64];
    (void)snprintf(name, sizeof name, "neural n=%d ls=%d", how.n_drawn, how.n_steps);
    if (how.n_drawn == 0) {
        (void)snprintf(name, sizeof name, "neural");
    }
    answers a = answers_new(c, name, seed);
    for (int i = 0; i < c->n; i++) {
        tl_problem problem = problem_of(c, i);
        tl_shortlist list = {0};
        tl_search_options options = {
            .n_best = 1, .seed = (uint64_t)seed * 10007 + (uint64_t)i, .optimizer = optimizer};
        tl_bench_check(
            tl_shortlist_init(&list, tl_space_n_slots(problem.space), 1), "a shortlist");
        int64_t begin_ns = tl_clock_ns();
        tl_bench_check(tl_neural_answer(&problem, &options, &how, &list), name);
        a.seconds += (double)(tl_clock_ns() - begin_ns) / TL_NS_PER_S;
        take(&a, c, i, &problem, &list);
    }
    return a;
}

/* ---- the table ----------------------------------------------------------------------------------- */

static void print_answers(const cases *c, const answers *a)
{
    double gap = 0;
    int n_feasible = 0;
    int n_solvable = 0;
    int n_optimal = 0;
    for (int i = 0; i < c->n; i++) {
        n_solvable += !isnan(c->best[i]);
        if (!isnan(a->value[i])) {
            n_feasible++;
            gap += c->best[i] - a->value[i];
            n_optimal += c->best[i] - a->value[i] < 1e-6;
        }
    }
    (void)printf(
        "%s\t%s\t%d\t%d\t%.1f\t%.4f\t%.4f\t%.4f\t%.0f\n", c->of->spec->name, a->name, a->seed,
        n_solvable, a->n_evaluations / c->n, (double)n_feasible / n_solvable,
        gap / fmax(n_feasible, 1), (double)n_optimal / n_solvable,
        a->seconds / c->n * TL_MS_PER_S * TL_US_PER_MS);
    (void)fflush(stdout);
}

static const struct {
    int n_drawn, n_steps;
} answer_settings[] = {
    {1,  0 },
    {1,  2 },
    {16, 2 },
    {64, 0 },
    {64, 1 },
    {64, 2 },
    {64, 4 },
    {0,  -1}, /* method neural as it is */
};

enum {
    N_SETTINGS = TL_COUNT(answer_settings),
    MAX_ANSWERS = 256
};

static tl_optimizer *train(const trial *t, const settings *s, int seed)
{
    tl_optimizer *optimizer = NULL;
    tl_optimizer_options options = s->train;
    options.seed = (uint64_t)seed;
    if (t->spec->accuracies == NULL) {
        options.proxy = trial_proxy;
        options.proxy_context = t->space;
    }
    int64_t begin_ns = tl_clock_ns();
    tl_bench_check(tl_optimizer_train(t->predictor, &options, &optimizer), "optimizer");
    (void)printf(
        "# training with seed %d: %.1f s\n", seed,
        (double)(tl_clock_ns() - begin_ns) / TL_NS_PER_S);
    return optimizer;
}

static int run_evolutions(cases *c, int seed, answers *out)
{
    static const int evaluations[N_EVOLUTIONS] = {600, 2100, 5100};
    for (int i = 0; i < N_EVOLUTIONS; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "evolutionary %d", evaluations[i]);
        tl_search_options options = {.n_evaluations = evaluations[i]};
        out[i] = run_search(c, name, &tl_search_evolutionary, options, seed);
    }
    return N_EVOLUTIONS;
}

static void run_all(const trial *t, const settings *s, cases *c)
{
    answers all[MAX_ANSWERS];
    int n = 0;
    if (tl_space_size_with(t->space, t->freedom) <= TL_SEARCH_LISTABLE) {
        all[n++] =
            run_search(c, "exhaustive", &tl_search_exhaustive, (tl_search_options){0}, 0);
    }
    for (int seed = s->first_seed; seed < s->first_seed + s->n_seeds; seed++) {
        tl_optimizer *optimizer = train(t, s, seed);
        for (int i = 0; i < (int)N_SETTINGS && n < MAX_ANSWERS - N_EVOLUTIONS; i++) {
            all[n++] = run_neural(
                c, optimizer,
                (tl_neural_options){
                    .n_drawn = answer_settings[i].n_drawn,
                    .n_steps = answer_settings[i].n_steps},
                seed);
        }
        if (s->has_evolution) {
            n += run_evolutions(c, seed, all + n);
        }
        tl_optimizer_unref(optimizer);
    }
    (void)printf("pool\tmethod\tseed\tcases\tevaluations\tfeasible\tgap\toptimum\tus\n");
    for (int i = 0; i < n; i++) {
        print_answers(c, &all[i]);
        tl_mem_free(all[i].value);
    }
}

static void cases_init(cases *c, const trial *t, const settings *s)
{
    *c = (cases){.of = t, .n_views = t->n_devices * s->n_draws};
    c->n = c->n_views * TRIAL_N_LIMITS * TRIAL_N_CONFIDENCES * t->n_tasks;
    c->views = tl_bench_array(c->n_views, sizeof *c->views);
    c->best = tl_bench_array(c->n, sizeof *c->best);
    for (int i = 0; i < c->n_views; i++) {
        trial_view_init(&c->views[i], t, i / s->n_draws, i % s->n_draws, !s->is_computed);
    }
    for (int i = 0; i < c->n; i++) {
        c->best[i] = TL_UNKNOWN;
    }
}

static void cases_done(cases *c)
{
    for (int i = 0; i < c->n_views; i++) {
        trial_view_done(&c->views[i]);
    }
    tl_mem_free(c->views);
    tl_mem_free(c->best);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        (void)fprintf(stderr, "usage: %s SPACES DATA POOL MODEL [KEY=VALUE ...]\n", argv[0]);
        return EXIT_FAILURE;
    }
    tl_blas_single_thread();
    settings s = read_settings(argc - 5, argv + 5);
    trial t;
    cases c;
    trial_load(&t, argv[1], argv[2], argv[3], argv[4]);
    cases_init(&c, &t, &s);
    run_all(&t, &s, &c);
    cases_done(&c);
    trial_unload(&t);
    return EXIT_SUCCESS;
}
