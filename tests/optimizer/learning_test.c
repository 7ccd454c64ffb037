/* SPDX-License-Identifier: Apache-2.0 */

/* What a policy is trained by, refused memory in whatever thread asks for it. */
#include "optimizer/gradients.h"
#include "optimizer/memory.h"
#include "tests/optimizer/toy.h"
#include "tests/support/torture.h"

enum {
    N_BEST = 3
};

typedef struct fixture {
    toy t;
    tl_signature signature;
    tl_contexts contexts;
    tl_policy *policy;
    tl_gradient gradient;
} fixture;

/* In place: the contexts point at the signature. */
static void make(fixture *f)
{
    static const char *const task_names[] = {"task"};
    *f = (fixture){.t = toy_make(TOY_SMALL, true)};
    tl_rng rng;
    tl_rng_init(&rng, 3);
    assert_ok(tl_signature_init(
        f->t.space, TL_FREE_ARCHITECTURE, 4, true, 1, task_names, &f->signature));
    tl_contexts_options options = {.n_devices = 4, .n_per_device = 2, .seed = 3};
    assert_ok(tl_contexts_init(f->t.predictor, &f->signature, &options, &f->contexts));
    tl_policy_options shape = {
        .n_inputs = tl_signature_width(&f->signature), .n_hidden = 8, .n_state = 8};
    assert_ok(tl_policy_new(f->t.space, TL_FREE_ARCHITECTURE, &shape, &rng, &f->policy));
}

static void unmake(fixture *f)
{
    tl_policy_free(f->policy);
    tl_contexts_done(&f->contexts);
    tl_signature_done(&f->signature);
    toy_unmake(&f->t);
}

static tl_err learn_by_memory(void *context)
{
    fixture *f = context;
    tl_memory_options options = {
        .n_rounds = 1,
        .n_round_steps = 1,
        .n_final_steps = 1,
        .n_batch = 8,
        .n_drawn = 4,
        .n_neighbours = 8,
        .seed = 1,
        .crew = {.n_threads = 2}};
    return tl_memory_train(&f->contexts, &options, f->policy);
}

static tl_err learn_from_the_listing(void *context)
{
    fixture *f = context;
    tl_memory_options options = {
        .n_rounds = -1,
        .n_final_steps = 1,
        .n_batch = 8,
        .starts_listed = true,
        .seed = 1,
        .crew = {.n_threads = 2}};
    return tl_memory_train(&f->contexts, &options, f->policy);
}

static tl_err learn_by_gradients(void *context)
{
    fixture *f = context;
    tl_gradient_options options = {
        .gradient = f->gradient, .n_steps = 1, .n_devices = 2, .n_drawn = 2, .seed = 1};
    return tl_gradient_train(&f->contexts, &options, f->policy);
}

static tl_err find_nearest(void *context)
{
    fixture *f = context;
    tl_choice designs[N_BEST * TOY_SMALL];
    double worth[N_BEST];
    int n = 0;
    TL_TRY(tl_contexts_best_listed(&f->contexts, 0, N_BEST, designs, worth, &n));
    assert_int_equal(n, N_BEST);
    assert_false(tl_contexts_is_feasible(worth[0]));
    return TL_OK;
}

static void learning_survives_refusals_in_any_thread(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        tl_test_operation *run;
        tl_gradient gradient;
        int least;
    } cases[] = {
        {"by memory",        learn_by_memory,        TL_GRADIENT_REINFORCE,        20},
        {"from the listing", learn_from_the_listing, TL_GRADIENT_REINFORCE,        10},
        {"by reinforcement", learn_by_gradients,     TL_GRADIENT_REINFORCE,        10},
        {"straight through", learn_by_gradients,     TL_GRADIENT_STRAIGHT_THROUGH, 10},
        {"the nearest",      find_nearest,           TL_GRADIENT_REINFORCE,        1 },
    };
    fixture f;
    make(&f);
    f.contexts.contexts[0].limits.max_latency_ms = 1e-9; /* nothing holds it */
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        f.gradient = cases[i].gradient;
        tl_test_ordeal ordeal = {
            .name = cases[i].name, .run = cases[i].run, .context = &f, .everywhere = true};
        assert_true(tl_test_torture_ordeal(&ordeal) >= cases[i].least);
    }
    unmake(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            learning_survives_refusals_in_any_thread, tl_test_count_blocks, tl_test_no_leaks),
    };
    return cmocka_run_group_tests_name("optimizer/learning", tests, NULL, NULL);
}
