/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/optimizer/made_up.h"

static made_up listed(void)
{
    made_up w = made_up_new("nasbench201");
    TL_ASSERT(w.listing != NULL);
    return w;
}

static tl_shortlist best_by_search(made_up *w, int n)
{
    tl_shortlist list = {0};
    const tl_search_options options = {.n_best = n};
    w->problem.context = w;
    assert_ok(tl_search_run(&tl_search_exhaustive, &w->problem, &options, &list));
    return list;
}

/* A design whose predicted value lies below that of the first answer by about so much. */
static const tl_choice *design_below(made_up *w, double value)
{
    const tl_choice *found = NULL;
    double nearest = HUGE_VAL;
    for (int i = 0; i < w->problem.n_listing; i++) {
        const tl_choice *design = tl_design_at(w->listing, w->n_slots, i);
        tl_scored score = score_of(w, design);
        if (fabs(score.value - value) < nearest) {
            nearest = fabs(score.value - value);
            found = design;
        }
    }
    return found;
}

static void a_measured_cost_is_known(void **state)
{
    (void)state;
    made_up w = listed();
    tl_choice design[TL_SPACE_MAX_SLOTS];
    double latency = 4.99;
    memcpy(design, w.listing, (size_t)w.n_slots * sizeof *design);
    measure(&w, TL_COST_LATENCY, design, &latency, 1);
    tl_scored score = score_of(&w, design);
    assert_close(score.prediction.latency_ms, 4.99, 0);
    assert_close(score.prediction.latency_std_ms, 0, 0);
    assert_true(score.prediction.energy_std_mj > 0);
    assert_true(score.p_feasible > .999);
    latency = 5.01;
    score = score_of(&w, design);
    assert_true(score.p_feasible < .001);
    assert_false(tl_scored_is_feasible(&score));
    score = score_of(&w, tl_design_at(w.listing, w.n_slots, 1));
    assert_true(score.prediction.latency_std_ms > 0);
    made_up_done(&w);
}

static void what_is_typical_of_predictions_does_not_blur_what_is_known(void **state)
{
    (void)state;
    made_up w = listed();
    tl_choice design[TL_SPACE_MAX_SLOTS];
    double latency = 4.999;
    memcpy(design, w.listing, (size_t)w.n_slots * sizeof *design);
    w.problem.latency_confidence.unit = (tl_margin_unit){.relative = .2, .least = .1};
    measure(&w, TL_COST_LATENCY, design, &latency, 1);
    tl_scored score = score_of(&w, design);
    assert_true(tl_scored_is_feasible(&score) && score.p_feasible > .999);
    latency = 5; /* at the limit it holds */
    score = score_of(&w, design);
    assert_true(tl_scored_is_feasible(&score) && score.p_feasible > .999);
    latency = 5.001;
    score = score_of(&w, design);
    assert_true(score.p_feasible < .001);
    made_up_done(&w);
}

static void only_what_was_measured_as_asked_counts(void **state)
{
    (void)state;
    made_up w = listed();
    tl_choice found[TL_SPACE_MAX_SLOTS];
    tl_choice designs[2 * TL_SPACE_MAX_SLOTS];
    double latency[2] = {3, 4};
    double energy = 1;
    tl_scored score;
    bool is_found = true;
    w.problem.context = &w;
    assert_ok(tl_measured_best(&w.problem, &w.measured, found, &score, &is_found));
    assert_false(is_found);
    memcpy(designs, w.listing, (size_t)w.n_slots * 2 * sizeof *designs);
    measure(&w, TL_COST_LATENCY, designs, latency, 2);
    assert_ok(tl_measured_best(&w.problem, &w.measured, found, &score, &is_found));
    assert_true(is_found);
    w.problem.limits.max_energy_mj = 10; /* which nobody measured */
    assert_ok(tl_measured_best(&w.problem, &w.measured, found, &score, &is_found));
    assert_false(is_found);
    measure(&w, TL_COST_ENERGY, designs + w.n_slots, &energy, 1);
    assert_ok(tl_measured_best(&w.problem, &w.measured, found, &score, &is_found));
    assert_true(is_found);
    assert_memory_equal(found, designs + w.n_slots, (size_t)w.n_slots * sizeof *found);
    w.problem.limits.max_latency_ms = 3.5; /* which this one misses */
    assert_ok(tl_measured_best(&w.problem, &w.measured, found, &score, &is_found));
    assert_false(is_found);
    made_up_done(&w);
}

static void weight_bits_count_only_where_they_are_searched(void **state)
{
    (void)state;
    made_up w = listed();
    tl_choice found[TL_SPACE_MAX_SLOTS];
    tl_choice design[TL_SPACE_MAX_SLOTS];
    double latency = 3;
    tl_scored score;
    bool is_found = true;
    for (int k = 0; k < w.n_slots; k++) {
        bool is_width = tl_space_slot(w.problem.space, k)->is_optional;
        const char *option = is_width ? "4" : "nor_conv_3x3";
        assert_ok(tl_space_choice_parse(w.problem.space, k, option, &design[k]));
    }
    measure(&w, TL_COST_LATENCY, design, &latency, 1);
    w.problem.context = &w;
    assert_ok(tl_measured_best(&w.problem, &w.measured, found, &score, &is_found));
    assert_false(is_found);
    w.problem.freedom = TL_FREE_BITS;
    assert_ok(tl_measured_best(&w.problem, &w.measured, found, &score, &is_found));
    assert_true(is_found);
    made_up_done(&w);
}

/* Measures a design of about this value within the limit, then lets it lead with doubt 1. */
static bool leads(made_up *w, double value, int n_best)
{
    tl_choice design[TL_SPACE_MAX_SLOTS];
    double latency = 4.9;
    size_t bytes = (size_t)w->n_slots * sizeof *design;
    tl_measured nothing = {{NULL}};
    w->measured = nothing;
    memcpy(design, design_below(w, value), bytes);
    measure(w, TL_COST_LATENCY, design, &latency, 1);
    tl_shortlist list = best_by_search(w, n_best);
    int n_before = list.n;
    assert_ok(tl_measured_lead(&w->problem, &w->measured, 1, &list));
    assert_int_equal(list.n, n_before);
    bool is_first = memcmp(list.designs, design, bytes) == 0;
    for (int i = 1; i < list.n && is_first; i++) {
        assert_true(
            memcmp(tl_design_at(list.designs, w->n_slots, i), list.designs, bytes) != 0);
        assert_true(i == 1 || tl_scored_compare(&list.scores[i - 1], &list.scores[i]) <= 0);
    }
    tl_shortlist_done(&list);
    w->measured = nothing;
    return is_first;
}

static void a_measured_design_leads_unless_another_is_better_beyond_doubt(void **state)
{
    (void)state;
    made_up w = listed();
    tl_shortlist list = best_by_search(&w, 1);
    double best = list.scores[0].value;
    tl_shortlist_done(&list);
    double doubt = hypot(accuracy_sd, accuracy_sd);
    for (int n_best = 1; n_best < 10; n_best += 4) {
        assert_true(leads(&w, best - .8 * doubt, n_best));
        assert_true(leads(&w, best - .01, n_best)); /* in the list already */
        assert_false(leads(&w, best - 1.2 * doubt, n_best));
        assert_false(leads(&w, best - 3, n_best));
    }
    made_up_done(&w);
}

static void where_no_other_keeps_the_limit_a_measured_design_leads(void **state)
{
    (void)state;
    made_up w = listed();
    tl_choice design[TL_SPACE_MAX_SLOTS];
    double latency = .01;
    memcpy(design, w.listing, (size_t)w.n_slots * sizeof *design);
    w.problem.limits.max_latency_ms = .02;
    tl_shortlist list = best_by_search(&w, 3);
    assert_false(tl_scored_is_feasible(&list.scores[0]));
    measure(&w, TL_COST_LATENCY, design, &latency, 1);
    assert_ok(tl_measured_lead(&w.problem, &w.measured, 1, &list));
    assert_true(tl_scored_is_feasible(&list.scores[0]));
    assert_memory_equal(list.designs, design, (size_t)w.n_slots * sizeof *design);
    tl_shortlist_done(&list);

    tl_shortlist empty = {0};
    assert_ok(tl_shortlist_init(&empty, w.n_slots, 2));
    assert_ok(tl_measured_lead(&w.problem, &w.measured, 1, &empty));
    assert_int_equal(empty.n, 1);
    tl_shortlist_done(&empty);
    made_up_done(&w);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    made_up w = listed();
    tl_choice designs[4 * TL_SPACE_MAX_SLOTS];
    double latency[4] = {3, 4, 5, 6};
    memcpy(designs, w.listing, (size_t)w.n_slots * 4 * sizeof *designs);
    measure(&w, TL_COST_LATENCY, designs, latency, 4);
    tl_shortlist list = best_by_search(&w, 2);
    tl_err err = TL_ENOMEM;
    for (long k = 1; err != TL_OK; k++) {
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_measured_lead(&w.problem, &w.measured, 1, &list);
        tl_mem_fail_at(0);
        assert_int_equal(tl_mem_live(), live_before);
    }
    tl_shortlist_done(&list);
    made_up_done(&w);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_measured_cost_is_known),
        TEST(what_is_typical_of_predictions_does_not_blur_what_is_known),
        TEST(only_what_was_measured_as_asked_counts),
        TEST(weight_bits_count_only_where_they_are_searched),
        TEST(a_measured_design_leads_unless_another_is_better_beyond_doubt),
        TEST(where_no_other_keeps_the_limit_a_measured_design_leads),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("optimizer/measured", tests, NULL, NULL);
}
