/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/optimizer/world.h"

#include "base/mem.h"
#include "optimizer/slot_facts.h"

#include <math.h>
#include <string.h>

static void look(world *w, tl_slot_facts *facts, tl_shortlist *list)
{
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    w->problem.context = w;
    assert_ok(tl_shortlist_init(list, w->n_slots, 4));
    assert_ok(tl_slot_facts_init(facts, &w->problem, &rng, list));
}

static void the_reference_of_nasbench201_is_all_wide_convolutions(void **state)
{
    (void)state;
    for (int f = 0; f < TL_N_FREEDOMS; f++) {
        world w = make("nasbench201");
        tl_slot_facts facts;
        tl_shortlist list = {0};
        w.problem.freedom = (tl_freedom)f;
        look(&w, &facts, &list);
        for (int k = 0; k < w.n_slots; k++) {
            const char *name = tl_space_choice_name(w.problem.space, k, facts.reference[k]);
            assert_string_equal(name, k < 6 ? "nor_conv_3x3" : f == TL_FREE_BITS ? "8" : "-");
        }
        /* by chance, the reference, and each other option of each slot */
        assert_int_equal(w.problem.n_evaluations, 32 + 1 + 24 + (f == TL_FREE_BITS ? 12 : 0));
        tl_slot_facts_done(&facts);
        tl_shortlist_done(&list);
        unmake(&w);
    }
}

static void options_come_cheapest_first(void **state)
{
    (void)state;
    world w = make("nasbench201");
    tl_slot_facts facts;
    tl_shortlist list = {0};
    tl_choice allowed[TL_SPACE_MAX_OPTIONS];
    look(&w, &facts, &list);
    for (int k = 0; k < 6; k++) {
        int n = tl_slot_facts_options(&facts, facts.reference, k, allowed);
        assert_int_equal(n, 5);
        for (int i = 1; i < n; i++) {
            assert_true(weight_of(k, allowed[i - 1], 1) <= weight_of(k, allowed[i], 1));
        }
    }
    tl_slot_facts_done(&facts);
    tl_shortlist_done(&list);
    unmake(&w);
}

static void sensitivities_are_those_of_the_slot_alone(void **state)
{
    (void)state;
    world w = make("nasbench201");
    tl_slot_facts facts;
    tl_shortlist list = {0};
    look(&w, &facts, &list);
    for (int k = 0; k < 6; k++) {
        tl_choice reference = facts.reference[k];
        double least = 0;
        for (int i = 0; i < 5; i++) {
            tl_choice c = (tl_choice)i;
            double change = weight_of(k, c, 2) + .5 * weight_of(k, c, 1) -
                            weight_of(k, reference, 2) - .5 * weight_of(k, reference, 1);
            least = fmin(least, change / w.problem.value_scale);
        }
        assert_close(facts.slots[k].least_value, least, 1e-9);
        assert_true(facts.slots[k].bit_ops > 0 && facts.slots[k].bit_ops <= 1);
    }
    tl_slot_facts_done(&facts);
    tl_shortlist_done(&list);
    unmake(&w);
}

static void states_are_finite_in_every_space(void **state)
{
    (void)state;
    static const char *const spaces[] = {"nasbench201", "fbnet", "mobilenetv3", "mnasnet"};
    for (size_t s = 0; s < TL_COUNT(spaces); s++) {
        world w = make(spaces[s]);
        tl_slot_facts facts;
        tl_shortlist list = {0};
        tl_rng rng;
        tl_rng_init(&rng, tl_test_seed());
        look(&w, &facts, &list);
        assert_ok(tl_space_check(w.problem.space, facts.reference));
        for (int i = 0; i < 10; i++) {
            tl_choice design[TL_SPACE_MAX_SLOTS];
            float numbers[TL_SLOT_STATE];
            tl_space_sample_with(w.problem.space, w.problem.freedom, &rng, design);
            for (int k = 0; k < w.n_slots; k++) {
                assert_ok(tl_slot_facts_state(&facts, design, k, .5, numbers));
                for (int j = 0; j < TL_SLOT_STATE; j++) {
                    assert_true(isfinite((double)numbers[j]));
                    assert_true(fabs((double)numbers[j]) <= 2);
                }
            }
            assert_true(tl_slot_facts_complete(&facts, design, w.n_slots / 2));
            assert_ok(tl_space_check(w.problem.space, design));
        }
        tl_slot_facts_done(&facts);
        tl_shortlist_done(&list);
        unmake(&w);
    }
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_reference_of_nasbench201_is_all_wide_convolutions),
        TEST(options_come_cheapest_first),
        TEST(sensitivities_are_those_of_the_slot_alone),
        TEST(states_are_finite_in_every_space),
    };
    return cmocka_run_group_tests_name("optimizer/slot_facts", tests, NULL, NULL);
}
