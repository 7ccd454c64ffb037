/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "optimizer/fleet.h"
#include "optimizer/search.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    N = 120
};

/* Devices of all classes under limits of all kinds, on the shipped model of nasbench201. */
typedef struct world {
    tl_predictor *predictor;
    const char *task;
    tl_rng rng;
    tl_view *views[N];
    tl_problem problems[N];
} world;

static tl_predictor *load_predictor(void)
{
    char *data = NULL;
    size_t len = 0;
    tl_space *space = NULL;
    tl_model *model = NULL;
    tl_features *features = NULL;
    tl_predictor *predictor = NULL;
    tl_text path = {0};
    tl_text_addf(&path, "%s/spaces/nasbench201.yaml", tl_test_source_dir());
    assert_ok(tl_space_load(path.data, &space));
    tl_text_done(&path);
    tl_text_addf(&path, "%s/models/nasbench201.tlm", tl_test_source_dir());
    assert_ok(tl_file_read(path.data, TL_MODEL_MAX_BYTES, &data, &len));
    assert_ok(tl_features_new(space, &features));
    assert_ok(
        tl_model_unpack(space, tl_features_n_source(features), data, len, path.data, &model));
    assert_ok(tl_predictor_new(space, model, &predictor));
    tl_features_free(features);
    tl_mem_free(data);
    tl_text_done(&path);
    tl_space_unref(space);
    return predictor;
}

static double draw_log(tl_rng *rng, double low, double high)
{
    return exp(log(low) + tl_rng_uniform(rng) * log(high / low));
}

static tl_profile draw_profile(tl_rng *rng)
{
    tl_profile p = {.name = "x", .batch = tl_rng_below(rng, 4) == 0 ? 32 : 1};
    p.device_class = (tl_device_class)(1 + tl_rng_below(rng, TL_DEVICE_ANALOG));
    p.peak_gflops[TL_FP32] = draw_log(rng, 10, 10000);
    p.bandwidth_gb_per_s[TL_DRAM] = draw_log(rng, 5, 500);
    if (tl_rng_below(rng, 3) == 0) {
        p.cache_kib[TL_L2] = draw_log(rng, 256, 8192);
        p.bandwidth_gb_per_s[TL_L2] = draw_log(rng, 100, 1000);
    }
    p.busy_w = tl_rng_below(rng, 2) == 0 ? draw_log(rng, 1, 100) : 0;
    p.launch_us = tl_rng_below(rng, 10) == 0 ? 5 : 0; /* a probed one is none of the fleet's */
    return p;
}

static tl_limits draw_limits(tl_rng *rng)
{
    static const double confidences[] = {.9, .9, .5, .95, .2};
    return (tl_limits){
        .max_latency_ms = tl_rng_below(rng, 5) > 0 ? draw_log(rng, 1, 100) : TL_UNKNOWN,
        .max_energy_mj = tl_rng_below(rng, 3) == 0 ? draw_log(rng, 1, 1000) : TL_UNKNOWN,
        .min_accuracy = tl_rng_below(rng, 4) == 0 ? 60 + 34 * tl_rng_uniform(rng) : TL_UNKNOWN,
        .confidence = confidences[tl_rng_below(rng, TL_COUNT(confidences))]};
}

static tl_problem problem_of(world *w, int i)
{
    tl_problem p = {.space = tl_predictor_space(w->predictor), .task = w->task};
    p.listing = tl_predictor_listing(w->predictor, &p.n_listing);
    p.limits = draw_limits(&w->rng);
    tl_view_confidence(w->views[i], TL_COST_LATENCY, &p.latency_confidence);
    tl_view_confidence(w->views[i], TL_COST_ENERGY, &p.energy_confidence);
    tl_predictor_accuracy_confidence(
        w->predictor, w->task, p.limits.min_accuracy, &p.accuracy_confidence);
    return p;
}

static void make(world *w, int n)
{
    *w = (world){.predictor = load_predictor(), .task = "cifar10"};
    tl_rng_init(&w->rng, tl_test_seed());
    for (int i = 0; i < n; i++) {
        tl_profile profile = draw_profile(&w->rng);
        tl_view_data data = {.device = profile.name, .profile = &profile};
        assert_ok(tl_view_new(w->predictor, &data, &w->views[i]));
        w->problems[i] = problem_of(w, i);
    }
}

static void unmake(world *w)
{
    for (int i = 0; i < N; i++) {
        tl_view_unref(w->views[i]);
    }
    tl_predictor_unref(w->predictor);
}

/* What the ordinary search asks. */
typedef struct asking {
    tl_view *view;
    const char *task;
} asking;

static tl_err predict(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    const asking *a = context;
    TL_TRY(tl_view_predict(a->view, designs, n, out));
    return tl_predictor_accuracy(tl_view_predictor(a->view), a->task, designs, n, out);
}

static void search(const world *w, int i, tl_shortlist *list)
{
    asking a = {.view = w->views[i], .task = w->task};
    tl_problem problem = w->problems[i];
    tl_search_options options = {.n_best = 1, .seed = 1};
    problem.predict = predict;
    problem.context = &a;
    assert_ok(tl_search_run(&tl_search_exhaustive, &problem, &options, list));
}

static bool is_same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void assert_same(const tl_fleet_case *c, const tl_shortlist *list, int i)
{
    const tl_scored *a = &c->score;
    const tl_scored *b = &list->scores[0];
    bool same =
        memcmp(c->design, list->designs, (size_t)list->n_slots * sizeof *c->design) == 0;
    same = same && is_same(a->p_feasible, b->p_feasible) &&
           is_same(a->shortfall, b->shortfall) && is_same(a->value, b->value) &&
           is_same(a->prediction.latency_ms, b->prediction.latency_ms) &&
           is_same(a->prediction.energy_mj, b->prediction.energy_mj) &&
           is_same(a->prediction.energy_std_mj, b->prediction.energy_std_mj) &&
           is_same(a->prediction.accuracy_std, b->prediction.accuracy_std);
    if (!same) {
        fail_msg(
            "device %d: %.9g ms %.9g%% p %.9g, want %.9g ms %.9g%% p %.9g", i,
            a->prediction.latency_ms, a->value, a->p_feasible, b->prediction.latency_ms,
            b->value, b->p_feasible);
    }
}

static void a_fleet_finds_what_searching_every_design_of_each_device_finds(void **state)
{
    (void)state;
    static world w;
    tl_fleet_case cases[N] = {{.view = NULL}};
    int n_solved = 0;
    int n_infeasible = 0;
    make(&w, N);
    for (int i = 0; i < N; i++) {
        cases[i] = (tl_fleet_case){.view = w.views[i], .problem = &w.problems[i]};
    }
    assert_ok(tl_fleet_solve(w.predictor, cases, N));
    for (int i = 0; i < N; i++) {
        tl_shortlist list = {0};
        if (!cases[i].is_solved) {
            continue;
        }
        search(&w, i, &list);
        assert_same(&cases[i], &list, i);
        n_solved++;
        n_infeasible += !tl_scored_is_feasible(&cases[i].score);
        tl_shortlist_done(&list);
    }
    print_message("%d of %d solved, %d infeasible\n", n_solved, (int)N, n_infeasible);
    assert_true(n_solved > N / 2);
    assert_true(n_infeasible > 3);
    unmake(&w);
}

/* A device of which twenty designs were measured, of made-up cost. */
static tl_view *measured_view(world *w)
{
    enum {
        N_MEASURED = 20
    };
    int n = 0;
    const tl_choice *listing = tl_predictor_listing(w->predictor, &n);
    int n_slots = tl_space_n_slots(tl_predictor_space(w->predictor));
    tl_choice designs[N_MEASURED * TL_SPACE_MAX_SLOTS];
    double values[N_MEASURED];
    tl_view *view = NULL;
    double level = draw_log(&w->rng, .3, 3);
    for (int i = 0; i < N_MEASURED; i++) {
        size_t place = tl_rng_below(&w->rng, (uint64_t)n);
        const tl_choice *design = listing + place * (size_t)n_slots;
        memcpy(designs + i * n_slots, design, (size_t)n_slots * sizeof *designs);
        values[i] = 1;
        for (int k = 0; k < n_slots; k++) {
            values[i] += design[k] == TL_CHOICE_ABSENT ? 0 : design[k] * (k + 1.0);
        }
        values[i] *= level;
    }
    tl_view_data data = {
        .device = "measured",
        .samples = {
            [TL_COST_LATENCY] = {.designs = designs, .values = values, .n = N_MEASURED}}};
    assert_ok(tl_view_new(w->predictor, &data, &view));
    return view;
}

static void a_measured_device_is_answered_from_the_most_accurate_designs(void **state)
{
    (void)state;
    enum {
        N_DEVICES = 12
    };
    static world w;
    int n_solved = 0;
    make(&w, 0);
    for (int i = 0; i < N_DEVICES; i++) {
        w.views[i] = measured_view(&w);
        w.problems[i] = problem_of(&w, i);
        w.problems[i].limits.max_energy_mj = TL_UNKNOWN;
        tl_fleet_case one = {.view = w.views[i], .problem = &w.problems[i]};
        assert_ok(tl_fleet_walk(w.predictor, &one));
        if (one.is_solved) {
            tl_shortlist list = {0};
            search(&w, i, &list);
            assert_same(&one, &list, i);
            assert_true(tl_scored_is_feasible(&one.score));
            n_solved++;
            tl_shortlist_done(&list);
            one.score = (tl_scored){0};
            assert_ok(tl_fleet_walk(w.predictor, &one)); /* the whole listing is known now */
            search(&w, i, &list);
            assert_same(&one, &list, i);
            tl_shortlist_done(&list);
        }
    }
    print_message("%d of %d solved\n", n_solved, (int)N_DEVICES);
    assert_true(n_solved > 2);
    w.problems[0].objective = TL_MINIMIZE_LATENCY;
    tl_fleet_case other = {.view = w.views[0], .problem = &w.problems[0]};
    assert_ok(tl_fleet_walk(w.predictor, &other));
    assert_false(other.is_solved);
    unmake(&w);
}

static void what_is_unusual_is_left_alone(void **state)
{
    (void)state;
    static world w;
    make(&w, 1);
    tl_profile profile = {.name = "x", .device_class = TL_DEVICE_CPU};
    tl_view_data data = {.device = profile.name, .profile = &profile};
    tl_view *view = NULL;
    assert_ok(tl_view_new(w.predictor, &data, &view));
    tl_problem usual = problem_of(&w, 0);
    usual.limits = (tl_limits){10, TL_UNKNOWN, TL_UNKNOWN, .9};
    assert_true(tl_fleet_takes(view, &usual));
    tl_problem problem = usual;
    problem.objective = TL_MINIMIZE_LATENCY;
    assert_false(tl_fleet_takes(view, &problem));
    problem = usual;
    problem.weights.latency_points_per_ms = .1;
    assert_false(tl_fleet_takes(view, &problem));
    problem = usual;
    problem.task = NULL;
    assert_false(tl_fleet_takes(view, &problem));
    problem = usual;
    problem.freedom = TL_FREE_BITS;
    assert_false(tl_fleet_takes(view, &problem));
    tl_view_unref(view);
    unmake(&w);
}

static void memory_that_runs_out_leaves_nothing_behind(void **state)
{
    (void)state;
    static world w;
    make(&w, 3);
    tl_fleet_case cases[3];
    tl_err err = TL_OK;
    for (int i = 0; i < 3; i++) {
        cases[i] = (tl_fleet_case){.view = w.views[i], .problem = &w.problems[i]};
    }
    assert_ok(tl_fleet_solve(w.predictor, cases, 3)); /* what is kept is made */
    err = TL_ENOMEM;
    for (int k = 1; err == TL_ENOMEM; k++) {
        tl_mem_fail_at(k);
        err = tl_fleet_solve(w.predictor, cases, 3);
        tl_mem_fail_at(0);
    }
    assert_ok(err);
    unmake(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fleet_finds_what_searching_every_design_of_each_device_finds),
        TEST(a_measured_device_is_answered_from_the_most_accurate_designs),
        TEST(what_is_unusual_is_left_alone),
        TEST(memory_that_runs_out_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
