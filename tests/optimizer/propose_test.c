/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/optimizer/made_up.h"

enum {
    COUNT = 5
};

static tl_shortlist propose(made_up *w, int count, bool is_one_by_one)
{
    tl_shortlist list = {0};
    tl_propose_options options = {
        .count = count,
        .search = {.seed = 1},
        .measured = &w->measured,
        .draw = made_up_draw,
        .is_one_by_one = is_one_by_one};
    w->problem.context = w;
    assert_ok(tl_propose(&w->problem, &options, &list));
    return list;
}

static void assert_all_differ(const tl_shortlist *list)
{
    for (int i = 0; i < list->n; i++) {
        for (int k = 0; k < i; k++) {
            assert_int_not_equal(
                tl_design_compare(
                    tl_design_at(list->designs, list->n_slots, i),
                    tl_design_at(list->designs, list->n_slots, k), list->n_slots),
                0);
        }
    }
}

/* What the best design of the batch that keeps the limit is worth, over levels of the device. */
static double worth(const made_up *w, const tl_shortlist *list)
{
    double sum = 0;
    int n = 0;
    for (int percent = 80; percent < 120; percent++) {
        double level = percent * .01;
        double density = exp(-pow((level - 1) / relative_sd, 2) / 2);
        double best = 30;
        for (int i = 0; i < list->n; i++) {
            double latency = level * latency_of(w, tl_design_at(list->designs, w->n_slots, i));
            if (latency <= w->problem.limits.max_latency_ms) {
                best = fmax(best, list->scores[i].value);
            }
        }
        sum += density * best;
        n++;
    }
    return sum / n;
}

static void a_batch_is_worth_more_than_its_designs_one_by_one(void **state)
{
    (void)state;
    made_up w = made_up_new("nasbench201");
    tl_shortlist joint = propose(&w, COUNT, false);
    tl_shortlist alone = propose(&w, COUNT, true);
    assert_int_equal(joint.n, COUNT);
    assert_int_equal(alone.n, COUNT);
    assert_all_differ(&joint);
    assert_all_differ(&alone);
    assert_true(worth(&w, &joint) > worth(&w, &alone) + .01);
    tl_shortlist_done(&joint);
    tl_shortlist_done(&alone);
    made_up_done(&w);
}

static void what_was_measured_is_not_proposed_again(void **state)
{
    (void)state;
    made_up w = made_up_new("nasbench201");
    tl_choice designs[COUNT * TL_SPACE_MAX_SLOTS];
    double latency[COUNT];
    int *order = NULL;
    w.problem.limits.max_latency_ms = 3.5;
    tl_shortlist first = propose(&w, COUNT, false);
    assert_ok(tl_designs_order(first.designs, w.n_slots, first.n, &order));
    double best = 0;
    for (int i = 0; i < COUNT; i++) {
        memcpy(
            designs + (ptrdiff_t)i * w.n_slots,
            tl_design_at(first.designs, w.n_slots, order[i]),
            (size_t)w.n_slots * sizeof *designs);
        latency[i] = latency_of(&w, designs + (ptrdiff_t)i * w.n_slots);
    }
    measure(&w, TL_COST_LATENCY, designs, latency, COUNT);
    for (int i = 0; i < COUNT; i++) {
        best = latency[i] <= 3.5 ? fmax(best, first.scores[order[i]].value) : best;
    }
    tl_shortlist second = propose(&w, COUNT, false);
    assert_int_equal(second.n, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const tl_choice *design = tl_design_at(second.designs, w.n_slots, i);
        assert_false(tl_measured_is_known(&w.measured, &w.problem, design));
        assert_true(second.scores[i].value > best); /* it would improve the answer */
    }
    tl_mem_free(order);
    tl_shortlist_done(&first);
    tl_shortlist_done(&second);
    made_up_done(&w);
}

static void limits_on_energy_and_other_goals_have_proposals_too(void **state)
{
    (void)state;
    made_up w = made_up_new("nasbench201");
    const tl_limits limits[] = {
        {TL_UNKNOWN, 10,         TL_UNKNOWN, .9},
        {5,          10,         TL_UNKNOWN, .9},
        {TL_UNKNOWN, TL_UNKNOWN, 44,         .9},
        {TL_UNKNOWN, TL_UNKNOWN, 44,         .9},
        {TL_UNKNOWN, TL_UNKNOWN, TL_UNKNOWN, .9},
    };
    const tl_objective objectives[] = {
        TL_MAXIMIZE_ACCURACY, TL_MAXIMIZE_ACCURACY, TL_MINIMIZE_LATENCY, TL_MINIMIZE_ENERGY,
        TL_MAXIMIZE_ACCURACY};
    for (size_t i = 0; i < TL_COUNT(limits); i++) {
        w.problem.limits = limits[i];
        w.problem.objective = objectives[i];
        w.problem.weights.latency_points_per_ms = i == TL_COUNT(limits) - 1 ? 1 : 0;
        tl_shortlist list = propose(&w, COUNT, false);
        assert_int_equal(list.n, COUNT);
        for (int k = 0; k < COUNT && !isnan(limits[i].min_accuracy); k++) {
            assert_true(list.scores[k].prediction.accuracy > 43.5);
        }
        tl_shortlist_done(&list);
    }
    made_up_done(&w);
}

static void a_space_that_cannot_be_listed_has_proposals_near_the_limit(void **state)
{
    (void)state;
    made_up w = made_up_new("fbnet");
    w.problem.limits.max_latency_ms = 10;
    tl_shortlist list = propose(&w, COUNT, false);
    tl_shortlist same = propose(&w, COUNT, false);
    assert_int_equal(list.n, COUNT);
    assert_all_differ(&list);
    for (int i = 0; i < COUNT; i++) {
        assert_ok(tl_space_check(w.problem.space, tl_design_at(list.designs, w.n_slots, i)));
        assert_true(list.scores[i].prediction.latency_ms < 13);
        assert_true(list.scores[i].prediction.latency_ms > 6);
    }
    assert_close(w.problem.limits.confidence, .9, 0);
    assert_memory_equal(
        list.designs, same.designs, (size_t)(COUNT * w.n_slots) * sizeof *list.designs);
    tl_shortlist_done(&list);
    tl_shortlist_done(&same);
    made_up_done(&w);
}

static void a_tiny_rest_of_a_space_is_proposed_whole(void **state)
{
    (void)state;
    made_up w = made_up_new("nasbench201");
    w.problem.n_listing = 3;
    tl_shortlist list = propose(&w, COUNT, false);
    assert_int_equal(list.n, 3);
    tl_shortlist_done(&list);
    made_up_done(&w);
}

static tl_err no_draw(
    void *context,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_rng *rng,
    tl_dmat out_draws)
{
    (void)context;
    (void)cost;
    (void)designs;
    (void)n;
    (void)rng;
    (void)out_draws;
    return tl_fail(TL_ENUMERIC, "no draws today");
}

static void bad_questions_are_refused_by_name(void **state)
{
    (void)state;
    made_up w = made_up_new("nasbench201");
    tl_shortlist list = {0};
    tl_propose_options options = {.count = 0, .measured = &w.measured, .draw = made_up_draw};
    w.problem.context = &w;
    assert_err(TL_EINVAL, tl_propose(&w.problem, &options, &list));
    assert_detail("got 0");
    options.count = TL_PROPOSE_MAX + 1;
    assert_err(TL_EINVAL, tl_propose(&w.problem, &options, &list));
    assert_detail("1 to 300");
    options.count = 1;
    options.draw = no_draw;
    assert_err(TL_ENUMERIC, tl_propose(&w.problem, &options, &list));
    w.problem.limits.max_latency_ms = TL_UNKNOWN;
    assert_err(TL_EINVAL, tl_propose(&w.problem, &options, &list));
    assert_detail("nothing to measure");
    w.problem.limits.max_latency_ms = -1;
    assert_err(TL_EINVAL, tl_propose(&w.problem, &options, &list));
    assert_detail("max_latency_ms");
    assert_null(list.designs);
    made_up_done(&w);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    const char *const spaces[] = {"nasbench201", "fbnet"};
    for (size_t s = 0; s < TL_COUNT(spaces); s++) {
        made_up w = made_up_new(spaces[s]);
        tl_propose_options options = {
            .count = 2,
            .search = {.n_evaluations = 200},
            .measured = &w.measured,
            .draw = made_up_draw};
        w.problem.context = &w;
        tl_err err = TL_ENOMEM;
        for (long k = 1; err != TL_OK; k += 1 + k / 8) {
            long live_before = tl_mem_live();
            tl_shortlist list = {0};
            tl_mem_fail_at(k);
            err = tl_propose(&w.problem, &options, &list);
            tl_mem_fail_at(0);
            tl_shortlist_done(&list);
            assert_int_equal(tl_mem_live(), live_before);
        }
        made_up_done(&w);
    }
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_is_worth_more_than_its_designs_one_by_one),
        TEST(what_was_measured_is_not_proposed_again),
        TEST(limits_on_energy_and_other_goals_have_proposals_too),
        TEST(a_space_that_cannot_be_listed_has_proposals_near_the_limit),
        TEST(a_tiny_rest_of_a_space_is_proposed_whole),
        TEST(bad_questions_are_refused_by_name),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("optimizer/propose", tests, NULL, NULL);
}
