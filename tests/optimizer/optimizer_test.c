/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "optimizer/neural.h"
#include "optimizer/optimizer.h"
#include "tests/optimizer/toy.h"

#include <stdio.h>

/* Small enough for a second, large enough to beat chance clearly. */
static tl_optimizer_options quick(void)
{
    return (tl_optimizer_options){
        .n_devices = 24,
        .n_per_device = 8,
        .n_references = 12,
        .n_hidden = 32,
        .n_state = 16,
        .memory = {.n_rounds = 2, .n_round_steps = 60, .n_final_steps = 200, .n_batch = 64},
        .seed = 1,
        .n_threads = 1
    };
}

static tl_optimizer *train(const toy *t, const tl_optimizer_options *options)
{
    tl_optimizer *optimizer = NULL;
    assert_ok(tl_optimizer_train(t->predictor, options, &optimizer));
    return optimizer;
}

static tl_shortlist solve(
    const tl_search *search,
    tl_problem *problem,
    const tl_optimizer *optimizer,
    int n_evaluations)
{
    tl_shortlist list = {0};
    tl_search_options options = {
        .n_best = 3, .n_evaluations = n_evaluations, .seed = 5, .optimizer = optimizer};
    assert_ok(tl_search_run(search, problem, &options, &list));
    return list;
}

/* Values summed over limits; infeasible answers count as 0. */
static double total_value(
    toy *t, const tl_search *search, const tl_optimizer *optimizer, int n_evaluations)
{
    double sum = 0;
    for (int limit = 14; limit < 70; limit += 4) {
        tl_problem problem = toy_problem(t, limit);
        tl_shortlist list = solve(search, &problem, optimizer, n_evaluations);
        assert_true(problem.n_evaluations <= n_evaluations);
        sum += tl_scored_is_feasible(&list.scores[0]) ? list.scores[0].value : 0;
        tl_shortlist_done(&list);
    }
    return sum;
}

static void it_beats_chance_on_a_device_that_it_never_saw(void **state)
{
    (void)state;
    static const int sizes[] = {TOY_SMALL, TOY_LARGE};
    for (size_t i = 0; i < TL_COUNT(sizes); i++) {
        toy t = toy_make(sizes[i], true);
        tl_optimizer_options options = quick();
        tl_optimizer *optimizer = train(&t, &options);
        double neural = total_value(&t, &tl_search_neural, optimizer, 40);
        double chance = total_value(&t, &tl_search_random, NULL, 40);
        if (neural <= chance) {
            fail_msg("%d blocks: neural %.3f, random %.3f", sizes[i], neural, chance);
        }
        tl_optimizer_unref(optimizer);
        toy_unmake(&t);
    }
}

static void the_ways_of_learning_that_it_is_compared_with_learn_too(void **state)
{
    (void)state;
    static const tl_learning ways[] = {TL_LEARNING_REINFORCE, TL_LEARNING_STRAIGHT_THROUGH};
    toy t = toy_make(TOY_SMALL, true);
    double untrained = 0;
    for (size_t i = 0; i <= TL_COUNT(ways); i++) {
        tl_optimizer_options options = quick();
        options.learning = i == 0 ? TL_LEARNING_MEMORY : ways[i - 1];
        options.memory.n_rounds = -1;
        options.memory.n_final_steps = 1; /* way 0 has learnt nothing */
        options.gradient.n_steps = 150;
        options.gradient.n_devices = 4;
        tl_optimizer *optimizer = train(&t, &options);
        double value = total_value(&t, &tl_search_neural, optimizer, 12);
        untrained = i == 0 ? value : untrained;
        assert_true(i == 0 || value > untrained);
        tl_optimizer_unref(optimizer);
    }
    toy_unmake(&t);
}

static void it_comes_near_the_optimum_of_a_listed_space(void **state)
{
    (void)state;
    toy t = toy_make(TOY_SMALL, true);
    tl_optimizer_options options = quick();
    tl_optimizer *optimizer = train(&t, &options);
    double neural = total_value(&t, &tl_search_neural, optimizer, 60);
    double exact = total_value(&t, &tl_search_exhaustive, NULL, 256);
    assert_true(neural >= exact - 14 * .5);
    tl_optimizer_unref(optimizer);
    toy_unmake(&t);
}

static void the_shortlist_is_of_different_designs_best_first(void **state)
{
    (void)state;
    toy t = toy_make(TOY_LARGE, true);
    tl_optimizer_options options = quick();
    tl_optimizer *optimizer = train(&t, &options);
    tl_problem problem = toy_problem(&t, 40);
    tl_shortlist list = solve(&tl_search_neural, &problem, optimizer, 0);
    size_t bytes = (size_t)t.n_slots * sizeof *list.designs;
    assert_int_equal(list.n, 3);
    assert_true(problem.n_evaluations <= 250);
    for (int i = 1; i < 3; i++) {
        assert_true(tl_scored_compare(&list.scores[i - 1], &list.scores[i]) <= 0);
        assert_memory_not_equal(list.designs, list.designs + (ptrdiff_t)i * t.n_slots, bytes);
    }
    tl_shortlist_done(&list);
    tl_optimizer_unref(optimizer);
    toy_unmake(&t);
}

static void a_passed_deadline_still_gives_a_design(void **state)
{
    (void)state;
    toy t = toy_make(TOY_LARGE, true);
    tl_optimizer_options options = quick();
    tl_optimizer *optimizer = train(&t, &options);
    tl_problem problem = toy_problem(&t, 40);
    tl_shortlist list = {0};
    tl_search_options search = {
        .n_best = 1, .optimizer = optimizer, .deadline_ns = tl_clock_ns() - 1};
    assert_ok(tl_search_run(&tl_search_neural, &problem, &search, &list));
    assert_int_equal(list.n, 1);
    assert_true(problem.n_evaluations <= 32);
    tl_shortlist_done(&list);
    tl_optimizer_unref(optimizer);
    toy_unmake(&t);
}

static void one_seed_gives_the_same_bytes_on_any_number_of_threads(void **state)
{
    (void)state;
    toy t = toy_make(TOY_LARGE, true);
    tl_optimizer_options options = quick();
    tl_bytes packed[3] = {0};
    for (int i = 0; i < 3; i++) {
        options.n_threads = i == 1 ? 3 : 1;
        options.seed = i == 2 ? 2 : 1;
        tl_optimizer *optimizer = train(&t, &options);
        assert_ok(tl_optimizer_pack(optimizer, &packed[i]));
        tl_optimizer_unref(optimizer);
    }
    assert_int_equal(packed[0].len, packed[1].len);
    assert_memory_equal(packed[0].data, packed[1].data, packed[0].len);
    assert_memory_not_equal(packed[0].data, packed[2].data, packed[0].len);
    for (int i = 0; i < 3; i++) {
        tl_mem_free(packed[i].data);
    }
    toy_unmake(&t);
}

static void what_is_packed_answers_the_same(void **state)
{
    (void)state;
    toy t = toy_make(TOY_LARGE, true);
    tl_optimizer_options options = quick();
    tl_optimizer *optimizer = train(&t, &options);
    tl_optimizer *read = NULL;
    tl_bytes packed = {0};
    assert_ok(tl_optimizer_pack(optimizer, &packed));
    assert_ok(tl_optimizer_unpack(t.space, packed.data, packed.len, &read));
    for (int limit = 20; limit < 60; limit += 10) {
        tl_problem problem = toy_problem(&t, limit);
        tl_shortlist a = solve(&tl_search_neural, &problem, optimizer, 0);
        tl_shortlist b = solve(&tl_search_neural, &problem, read, 0);
        assert_memory_equal(
            a.designs, b.designs, (size_t)(a.n * t.n_slots) * sizeof *a.designs);
        tl_shortlist_done(&a);
        tl_shortlist_done(&b);
    }
    tl_mem_free(packed.data);
    tl_optimizer_unref(read);
    tl_optimizer_unref(optimizer);
    toy_unmake(&t);
}

static void damaged_bytes_are_refused_or_harmless(void **state)
{
    (void)state;
    toy t = toy_make(TOY_SMALL, true);
    tl_optimizer_options options = quick();
    options.memory.n_rounds = -1;
    options.memory.n_final_steps = 1;
    tl_optimizer *optimizer = train(&t, &options);
    tl_bytes packed = {0};
    assert_ok(tl_optimizer_pack(optimizer, &packed));
    tl_optimizer_unref(optimizer);
    int n_refused = 0;
    for (size_t len = 0; len < packed.len; len += len < 64 ? 1 : 97) {
        tl_optimizer *read = NULL;
        n_refused += tl_optimizer_unpack(t.space, packed.data, len, &read) == TL_EDAMAGED;
        tl_optimizer_unref(read);
    }
    assert_true(n_refused > 64);
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (int i = 0; i < 400; i++) {
        /* the sizes stand in front */
        size_t at = (size_t)tl_rng_below(&rng, i < 300 ? 48 : packed.len);
        uint8_t before = packed.data[at];
        packed.data[at] = (uint8_t)tl_rng_below(&rng, 256);
        tl_optimizer *read = NULL;
        tl_err err = tl_optimizer_unpack(t.space, packed.data, packed.len, &read);
        assert_true(err == TL_OK || err == TL_EDAMAGED || err == TL_EVERSION);
        tl_optimizer_unref(read);
        packed.data[at] = before;
    }
    tl_mem_free(packed.data);
    toy_unmake(&t);
}

static void bytes_of_another_space_are_refused(void **state)
{
    (void)state;
    toy t = toy_make(TOY_SMALL, true);
    tl_space *other = toy_space(TOY_LARGE);
    tl_optimizer_options options = quick();
    tl_optimizer *optimizer = train(&t, &options);
    tl_optimizer *read = NULL;
    tl_bytes packed = {0};
    assert_ok(tl_optimizer_pack(optimizer, &packed));
    assert_err(TL_EDAMAGED, tl_optimizer_unpack(other, packed.data, packed.len, &read));
    assert_detail("weights");
    tl_mem_free(packed.data);
    tl_optimizer_unref(optimizer);
    tl_space_unref(other);
    toy_unmake(&t);
}

static void what_it_cannot_answer_it_says(void **state)
{
    (void)state;
    toy t = toy_make(TOY_SMALL, true);
    tl_optimizer_options options = quick();
    tl_optimizer *optimizer = train(&t, &options);
    tl_problem problem = toy_problem(&t, 30);
    tl_shortlist list = {0};
    tl_search_options search = {.n_best = 1};
    assert_err(TL_ESTATE, tl_search_run(&tl_search_neural, &problem, &search, &list));
    assert_detail("train");
    search.optimizer = optimizer;
    problem.task = "other";
    assert_err(TL_ESTATE, tl_search_run(&tl_search_neural, &problem, &search, &list));
    assert_detail("other");
    problem.task = "task";
    problem.objective = TL_MINIMIZE_LATENCY;
    assert_err(TL_ESTATE, tl_search_run(&tl_search_neural, &problem, &search, &list));
    assert_detail("minimize");
    tl_optimizer_unref(optimizer);
    toy_unmake(&t);
}

static tl_err count_five(void *context, const tl_choice *designs, int n, double *out_values)
{
    const toy *t = context;
    for (int i = 0; i < n; i++) {
        out_values[i] = toy_accuracy(designs + (ptrdiff_t)i * t->n_slots, t->n_slots);
    }
    return TL_OK;
}

static void without_accuracies_it_needs_a_proxy(void **state)
{
    (void)state;
    toy t = toy_make(TOY_SMALL, false);
    tl_optimizer_options options = quick();
    tl_optimizer *optimizer = NULL;
    assert_err(TL_ESTATE, tl_optimizer_train(t.predictor, &options, &optimizer));
    assert_detail("accuracies");
    options.proxy = count_five;
    options.proxy_context = &t;
    assert_ok(tl_optimizer_train(t.predictor, &options, &optimizer));
    tl_problem problem = toy_problem(&t, 30);
    problem.task = NULL;
    tl_shortlist list = solve(&tl_search_neural, &problem, optimizer, 60);
    assert_true(tl_scored_is_feasible(&list.scores[0]));
    tl_shortlist_done(&list);
    tl_optimizer_unref(optimizer);
    toy_unmake(&t);
}

/* Stops at the call that is counted down to. */
static bool count_down(void *left_any, const char *what, int64_t done, int64_t total)
{
    int *left = left_any;
    assert_non_null(what);
    assert_true(done <= total);
    return --*left > 0;
}

static void training_can_be_cancelled_at_any_time(void **state)
{
    (void)state;
    toy t = toy_make(TOY_SMALL, true);
    tl_optimizer_options options = quick();
    options.progress = count_down;
    static const int stops[] = {1, 20, 26, 30};
    for (size_t i = 0; i < TL_COUNT(stops); i++) {
        int left = stops[i];
        tl_optimizer *optimizer = NULL;
        options.progress_context = &left;
        assert_err(TL_ECANCELLED, tl_optimizer_train(t.predictor, &options, &optimizer));
    }
    toy_unmake(&t);
}

static tl_err pack_and_read(const toy *t, const tl_optimizer *optimizer)
{
    tl_bytes packed = {0};
    tl_optimizer *read = NULL;
    tl_err err = tl_optimizer_pack(optimizer, &packed);
    if (err == TL_OK) {
        err = tl_optimizer_unpack(t->space, packed.data, packed.len, &read);
    }
    tl_optimizer_unref(read);
    tl_mem_free(packed.data);
    return err;
}

static tl_err answer(toy *t, const tl_optimizer *optimizer)
{
    tl_problem problem = toy_problem(t, 30);
    tl_shortlist list = {0};
    tl_search_options search = {.n_best = 2, .optimizer = optimizer};
    tl_err err = tl_search_run(&tl_search_neural, &problem, &search, &list);
    tl_shortlist_done(&list);
    return err;
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    toy t = toy_make(TOY_SMALL, true);
    tl_optimizer_options options = quick();
    options.n_devices = 4;
    options.memory.n_rounds = 1;
    options.memory.n_round_steps = 1;
    options.memory.n_final_steps = 1;
    tl_optimizer *optimizer = train(&t, &options);
    for (int what = 0; what < 2; what++) {
        tl_err err = TL_ENOMEM;
        int n_failures = 0;
        for (long k = 1; err != TL_OK; k++) {
            long live_before = tl_mem_live();
            tl_mem_fail_at(k);
            err = what == 0 ? pack_and_read(&t, optimizer) : answer(&t, optimizer);
            tl_mem_fail_at(0);
            n_failures += err != TL_OK;
            assert_int_equal(tl_mem_live(), live_before);
        }
        assert_true(n_failures >= 8);
    }
    tl_optimizer_unref(optimizer);
    toy_unmake(&t);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_beats_chance_on_a_device_that_it_never_saw),
        TEST(the_ways_of_learning_that_it_is_compared_with_learn_too),
        TEST(it_comes_near_the_optimum_of_a_listed_space),
        TEST(the_shortlist_is_of_different_designs_best_first),
        TEST(a_passed_deadline_still_gives_a_design),
        TEST(one_seed_gives_the_same_bytes_on_any_number_of_threads),
        TEST(what_is_packed_answers_the_same),
        TEST(damaged_bytes_are_refused_or_harmless),
        TEST(bytes_of_another_space_are_refused),
        TEST(what_it_cannot_answer_it_says),
        TEST(without_accuracies_it_needs_a_proxy),
        TEST(training_can_be_cancelled_at_any_time),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("optimizer/optimizer", tests, NULL, NULL);
}
