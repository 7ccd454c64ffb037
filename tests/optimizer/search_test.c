/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/optimizer/world.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/rng.h"
#include "optimizer/search.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const tl_search *const searches[] = {
    &tl_search_exhaustive, &tl_search_evolutionary, &tl_search_reinforce, &tl_search_galen,
    &tl_search_random};

static tl_shortlist solve(world *w, const tl_search *search, int n_best, int n_evaluations)
{
    tl_shortlist list = {0};
    tl_search_options options = {
        .n_best = n_best, .n_evaluations = n_evaluations, .seed = tl_test_seed()};
    w->problem.context = w;
    assert_ok(tl_search_run(search, &w->problem, &options, &list));
    return list;
}

static void exhaustive_search_finds_what_brute_force_finds(void **state)
{
    (void)state;
    world w = make("nasbench201");
    w.problem.limits.max_latency_ms = 3.5;
    w.problem.context = &w;
    tl_shortlist list = solve(&w, &tl_search_exhaustive, 5, 0);
    tl_choice *designs = NULL;
    int n = 0;
    assert_ok(tl_space_enumerate(w.problem.space, 20000, &designs, &n));
    double margin = tl_confidence_margin(&w.problem.latency_confidence, .9) * .05;
    double best = 0;
    for (int i = 0; i < n; i++) {
        tl_prediction p;
        assert_ok(predict(&w, designs + (size_t)i * (size_t)w.n_slots, 1, &p));
        if (p.latency_ms + margin <= 3.5 && p.accuracy > best) {
            best = p.accuracy;
        }
    }
    assert_int_equal(list.n, 5);
    assert_close(list.scores[0].value, best, 1e-12);
    for (int i = 0; i < list.n; i++) {
        assert_true(tl_scored_is_feasible(&list.scores[i]));
        assert_true(list.scores[i].p_feasible >= .9);
        assert_true(i == 0 || list.scores[i].value <= list.scores[i - 1].value);
    }
    tl_mem_free(designs);
    tl_shortlist_done(&list);
    unmake(&w);
}

static void evolution_comes_near_the_exhaustive_optimum_and_beats_chance(void **state)
{
    (void)state;
    world w = make("nasbench201");
    w.problem.limits.max_latency_ms = 3.5;
    tl_shortlist exact = solve(&w, &tl_search_exhaustive, 1, 0);
    tl_shortlist evolved = solve(&w, &tl_search_evolutionary, 1, 2000);
    tl_shortlist drawn = solve(&w, &tl_search_random, 1, 500);
    assert_true(evolved.scores[0].value >= exact.scores[0].value - .1);
    assert_true(drawn.scores[0].value <= exact.scores[0].value);
    tl_shortlist_done(&exact);
    tl_shortlist_done(&evolved);
    tl_shortlist_done(&drawn);
    unmake(&w);
}

static void evolution_works_where_the_space_cannot_be_listed(void **state)
{
    (void)state;
    world w = make("fbnet");
    w.problem.limits.max_latency_ms = 9;
    tl_search_options defaults = {0};
    assert_string_equal(tl_search_default(&w.problem, &defaults)->name, "evolutionary");
    tl_shortlist evolved = solve(&w, &tl_search_evolutionary, 3, 10000);
    tl_shortlist drawn = solve(&w, &tl_search_random, 3, 10000);
    assert_int_equal(w.problem.n_evaluations, 20000);
    assert_true(tl_scored_is_feasible(&evolved.scores[0]));
    assert_true(tl_scored_compare(&evolved.scores[0], &drawn.scores[0]) < 0);
    for (int i = 0; i < evolved.n; i++) {
        assert_ok(
            tl_space_check(w.problem.space, evolved.designs + (size_t)i * (size_t)w.n_slots));
    }
    tl_shortlist_done(&evolved);
    tl_shortlist_done(&drawn);
    unmake(&w);
}

static void an_impossible_limit_gives_the_nearest_design(void **state)
{
    (void)state;
    world w = make("nasbench201");
    w.problem.limits.max_latency_ms = .5;
    tl_shortlist list = solve(&w, &tl_search_exhaustive, 2, 0);
    assert_false(tl_scored_is_feasible(&list.scores[0]));
    w.problem.limits.max_latency_ms = TL_UNKNOWN;
    w.problem.objective = TL_MINIMIZE_LATENCY;
    tl_shortlist fastest = solve(&w, &tl_search_exhaustive, 1, 0);
    assert_memory_equal(
        list.designs, fastest.designs, (size_t)w.n_slots * sizeof *list.designs);
    tl_shortlist_done(&list);
    tl_shortlist_done(&fastest);
    unmake(&w);
}

static void a_limit_on_an_unknown_quantity_is_never_held(void **state)
{
    (void)state;
    world w = make("nasbench201");
    w.problem.limits.max_energy_mj = 10;
    tl_shortlist list = solve(&w, &tl_search_random, 1, 10);
    assert_false(tl_scored_is_feasible(&list.scores[0]));
    assert_close(list.scores[0].p_feasible, 0, 0);
    tl_shortlist_done(&list);
    unmake(&w);
}

static void more_confidence_never_gives_a_better_value(void **state)
{
    (void)state;
    world w = make("nasbench201");
    w.problem.limits.max_latency_ms = 3.3;
    double before = 1e9;
    static const double asked[] = {.5, .8, .9, .95, .99, .999};
    for (size_t i = 0; i < TL_COUNT(asked); i++) {
        w.problem.limits.confidence = asked[i];
        tl_shortlist list = solve(&w, &tl_search_exhaustive, 1, 0);
        assert_true(list.scores[0].value <= before);
        before = list.scores[0].value;
        tl_shortlist_done(&list);
    }
    unmake(&w);
}

static void nonsense_limits_are_refused_by_name(void **state)
{
    (void)state;
    world w = make("nasbench201");
    tl_shortlist list = {0};
    tl_search_options options = {.n_best = 1};
    const tl_limits good = w.problem.limits;
    static const struct {
        double latency, energy, accuracy, confidence;
        const char *wanted;
    } cases[] = {
        {-1,         TL_UNKNOWN, TL_UNKNOWN, .9,         "max_latency_ms"},
        {TL_UNKNOWN, HUGE_VAL,   TL_UNKNOWN, .9,         "max_energy_mj" },
        {TL_UNKNOWN, TL_UNKNOWN, 101,        .9,         "min_accuracy"  },
        {TL_UNKNOWN, TL_UNKNOWN, TL_UNKNOWN, 1,          "confidence"    },
        {TL_UNKNOWN, TL_UNKNOWN, TL_UNKNOWN, TL_UNKNOWN, "confidence"    },
    };
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        w.problem.limits = (tl_limits){
            cases[i].latency, cases[i].energy, cases[i].accuracy, cases[i].confidence};
        assert_err(TL_EINVAL, tl_search_run(&tl_search_random, &w.problem, &options, &list));
        assert_detail(cases[i].wanted);
    }
    w.problem.limits = good;
    unmake(&w);
}

static void the_shortlist_keeps_the_best_different_designs(void **state)
{
    (void)state;
    tl_shortlist list = {0};
    assert_ok(tl_shortlist_init(&list, 1, 3));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 10; i++) {
            tl_choice design = (tl_choice)i;
            tl_scored score = {.value = (i * 7) % 10, .p_feasible = 1};
            tl_shortlist_offer(&list, &design, &score, 1);
        }
    }
    assert_int_equal(list.n, 3);
    assert_close(list.scores[0].value, 9, 0);
    assert_close(list.scores[1].value, 8, 0);
    assert_close(list.scores[2].value, 7, 0);
    tl_shortlist_done(&list);
}

static void a_passed_deadline_gives_the_best_of_the_first_batch(void **state)
{
    (void)state;
    world w = make("nasbench201");
    w.problem.context = &w;
    for (size_t s = 0; s < TL_COUNT(searches); s++) {
        tl_search_options options = {.n_best = 2, .seed = tl_test_seed(), .deadline_ns = 1};
        tl_shortlist list = {0};
        w.problem.n_evaluations = 0;
        assert_ok(tl_search_run(searches[s], &w.problem, &options, &list));
        assert_in_range(w.problem.n_evaluations, 1, 1024);
        assert_int_equal(list.n, 2);
        assert_ok(tl_space_check(w.problem.space, list.designs));
        tl_shortlist_done(&list);
    }
    unmake(&w);
}

static void the_same_seed_finds_the_same_designs(void **state)
{
    (void)state;
    world w = make("mnasnet");
    w.problem.context = &w;
    w.problem.limits.max_latency_ms = 12;
    for (size_t s = 1; s < TL_COUNT(searches); s++) {
        tl_shortlist once = solve(&w, searches[s], 5, 800);
        tl_shortlist again = solve(&w, searches[s], 5, 800);
        assert_int_equal(once.n, again.n);
        assert_memory_equal(
            once.designs, again.designs,
            (size_t)once.n * (size_t)w.n_slots * sizeof *once.designs);
        tl_shortlist_done(&once);
        tl_shortlist_done(&again);
    }
    unmake(&w);
}

static void ageing_and_generations_both_beat_chance_at_equal_evaluations(void **state)
{
    (void)state;
    world w = make("mnasnet");
    w.problem.context = &w;
    w.problem.limits.max_latency_ms = 12;
    tl_shortlist drawn = solve(&w, &tl_search_random, 1, 600);
    for (int ages = 0; ages < 2; ages++) {
        tl_search_options options = {
            .n_best = 1,
            .n_evaluations = 600,
            .population = 100,
            .is_ageing = ages == 1,
            .seed = tl_test_seed()};
        tl_shortlist list = {0};
        w.problem.n_evaluations = 0;
        assert_ok(tl_search_run(&tl_search_evolutionary, &w.problem, &options, &list));
        assert_int_equal(w.problem.n_evaluations, 600);
        assert_true(tl_scored_compare(&list.scores[0], &drawn.scores[0]) < 0);
        tl_shortlist_done(&list);
    }
    tl_shortlist_done(&drawn);
    unmake(&w);
}

static void agents_that_learn_beat_chance_at_equal_evaluations(void **state)
{
    (void)state;
    static const tl_search *const learners[] = {&tl_search_reinforce, &tl_search_galen};
    world w = make("mnasnet");
    w.problem.limits.max_latency_ms = 12;
    tl_shortlist drawn = solve(&w, &tl_search_random, 1, 800);
    for (size_t s = 0; s < TL_COUNT(learners); s++) {
        w.problem.n_evaluations = 0;
        tl_shortlist list = solve(&w, learners[s], 1, 800);
        assert_int_equal(w.problem.n_evaluations, 800);
        assert_true(tl_scored_is_feasible(&list.scores[0]));
        assert_true(tl_scored_compare(&list.scores[0], &drawn.scores[0]) < 0);
        tl_shortlist_done(&list);
    }
    tl_shortlist_done(&drawn);
    unmake(&w);
}

static void free_bits_are_searched_where_the_problem_says_so(void **state)
{
    (void)state;
    world w = make("nasbench201");
    w.problem.context = &w;
    w.problem.freedom = TL_FREE_BITS;
    tl_search_options defaults = {0};
    assert_string_equal(tl_search_default(&w.problem, &defaults)->name, "evolutionary");
    tl_shortlist exact = solve(&w, &tl_search_exhaustive, 1, 0);
    assert_int_equal(w.problem.n_evaluations, 531441);
    tl_shortlist evolved = solve(&w, &tl_search_evolutionary, 1, 0);
    assert_true(evolved.scores[0].value <= exact.scores[0].value);
    assert_true(evolved.scores[0].value >= exact.scores[0].value - .5);
    /* in the made-up world every choice earns something: the best has bits everywhere */
    assert_true(exact.designs[6] != TL_CHOICE_ABSENT);
    assert_true(evolved.designs[6] != TL_CHOICE_ABSENT);
    tl_shortlist_done(&exact);
    tl_shortlist_done(&evolved);
    unmake(&w);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    world w = make("nasbench201");
    w.problem.context = &w;
    tl_search_options options = {.n_best = 4, .n_evaluations = 120};
    for (size_t s = 0; s < TL_COUNT(searches); s++) {
        tl_err err = TL_ENOMEM;
        for (long k = 1; err != TL_OK; k++) {
            long live_before = tl_mem_live();
            tl_shortlist list = {0};
            tl_mem_fail_at(k);
            err = tl_search_run(searches[s], &w.problem, &options, &list);
            tl_mem_fail_at(0);
            tl_shortlist_done(&list);
            assert_int_equal(tl_mem_live(), live_before);
        }
    }
    unmake(&w);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exhaustive_search_finds_what_brute_force_finds),
        TEST(evolution_comes_near_the_exhaustive_optimum_and_beats_chance),
        TEST(evolution_works_where_the_space_cannot_be_listed),
        TEST(an_impossible_limit_gives_the_nearest_design),
        TEST(a_limit_on_an_unknown_quantity_is_never_held),
        TEST(more_confidence_never_gives_a_better_value),
        TEST(nonsense_limits_are_refused_by_name),
        TEST(the_shortlist_keeps_the_best_different_designs),
        TEST(a_passed_deadline_gives_the_best_of_the_first_batch),
        TEST(the_same_seed_finds_the_same_designs),
        TEST(ageing_and_generations_both_beat_chance_at_equal_evaluations),
        TEST(agents_that_learn_beat_chance_at_equal_evaluations),
        TEST(free_bits_are_searched_where_the_problem_says_so),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("optimizer/search", tests, NULL, NULL);
}
