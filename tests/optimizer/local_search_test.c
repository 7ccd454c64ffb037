/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/optimizer/world.h"

#include "base/mem.h"
#include "optimizer/local_search.h"

#include <string.h>

enum {
    ROOM = 4096
};

/* A design by chance with its score. */
static void start(world *w, tl_rng *rng, tl_choice *design, tl_scored *score)
{
    w->problem.context = w;
    tl_space_sample_with(w->problem.space, w->problem.freedom, rng, design);
    assert_ok(tl_problem_score(&w->problem, design, 1, score));
}

static void it_ends_where_no_neighbour_is_better(void **state)
{
    (void)state;
    static const char *const spaces[] = {"nasbench201", "mnasnet", "mobilenetv3"};
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (size_t s = 0; s < TL_COUNT(spaces); s++) {
        for (int f = 0; f < TL_N_FREEDOMS; f++) {
            world w = make(spaces[s]);
            tl_search_options options = {0};
            tl_choice design[TL_SPACE_MAX_SLOTS];
            tl_choice *around = tl_mem_new(ROOM * (size_t)w.n_slots, sizeof *around);
            tl_scored *scores = tl_mem_new(ROOM, sizeof *scores);
            tl_scored score, before;
            w.problem.freedom = (tl_freedom)f;
            w.problem.limits.max_latency_ms = s == 0 ? 3 : 9;
            start(&w, &rng, design, &score);
            before = score;
            assert_ok(tl_local_search(&w.problem, &options, 1000, design, &score, NULL));
            assert_ok(tl_space_check(w.problem.space, design));
            assert_true(tl_scored_compare(&score, &before) <= 0);
            int n = tl_space_neighbours_with(
                w.problem.space, w.problem.freedom, design, ROOM, around);
            assert_in_range(n, 1, ROOM);
            assert_ok(tl_problem_score(&w.problem, around, n, scores));
            for (int i = 0; i < n; i++) {
                assert_true(tl_scored_compare(&scores[i], &score) >= 0);
            }
            tl_mem_free(around);
            tl_mem_free(scores);
            unmake(&w);
        }
    }
}

static void a_step_costs_the_neighbours_and_offers_them(void **state)
{
    (void)state;
    world w = make("nasbench201");
    tl_rng rng;
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_scored score;
    tl_shortlist list = {0};
    tl_search_options options = {0};
    tl_rng_init(&rng, tl_test_seed());
    assert_ok(tl_shortlist_init(&list, w.n_slots, 24));
    start(&w, &rng, design, &score);
    int before = w.problem.n_evaluations;
    assert_ok(tl_local_search(&w.problem, &options, 1, design, &score, &list));
    assert_int_equal(w.problem.n_evaluations - before, 24);
    assert_int_equal(list.n, 24);
    assert_memory_equal(design, list.designs, (size_t)w.n_slots * sizeof *design);
    options.deadline_ns = 1;
    assert_ok(tl_local_search(&w.problem, &options, 5, design, &score, &list));
    assert_int_equal(w.problem.n_evaluations - before, 24);
    tl_shortlist_done(&list);
    unmake(&w);
}

static void a_missed_limit_is_walked_towards(void **state)
{
    (void)state;
    world w = make("nasbench201");
    tl_rng rng;
    tl_search_options options = {0};
    tl_rng_init(&rng, tl_test_seed());
    w.problem.limits.max_latency_ms = 3.2;
    for (int i = 0; i < 50; i++) {
        tl_choice design[TL_SPACE_MAX_SLOTS];
        tl_scored score;
        start(&w, &rng, design, &score);
        assert_ok(tl_local_search(&w.problem, &options, 20, design, &score, NULL));
        assert_true(tl_scored_is_feasible(&score));
    }
    unmake(&w);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    world w = make("nasbench201");
    tl_rng rng;
    tl_choice design[TL_SPACE_MAX_SLOTS];
    tl_scored score;
    tl_search_options options = {0};
    tl_rng_init(&rng, tl_test_seed());
    start(&w, &rng, design, &score);
    tl_err err = TL_ENOMEM;
    for (long k = 1; err != TL_OK; k++) {
        tl_choice copy[TL_SPACE_MAX_SLOTS];
        tl_scored copied = score;
        long before = tl_mem_live();
        memcpy(copy, design, sizeof copy);
        tl_mem_fail_at(k);
        err = tl_local_search(&w.problem, &options, 3, copy, &copied, NULL);
        tl_mem_fail_at(0);
        assert_int_equal(tl_mem_live(), before);
    }
    unmake(&w);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_ends_where_no_neighbour_is_better),
        TEST(a_step_costs_the_neighbours_and_offers_them),
        TEST(a_missed_limit_is_walked_towards),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("optimizer/local_search", tests, NULL, NULL);
}
