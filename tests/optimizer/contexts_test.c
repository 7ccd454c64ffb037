/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/contexts.h"
#include "tests/optimizer/toy.h"
#include "tests/support/torture.h"

typedef struct fixture {
    toy t;
    tl_signature signature;
    tl_contexts contexts;
} fixture;

static const char *const task_names[] = {"task"};

/* In place: the contexts point at the signature. */
static void make(int n_blocks, int n_threads, fixture *f)
{
    *f = (fixture){.t = toy_make(n_blocks, true)};
    assert_ok(tl_signature_init(
        f->t.space, TL_FREE_ARCHITECTURE, 8, true, 1, task_names, &f->signature));
    tl_contexts_options options = {
        .n_devices = 9, .n_per_device = 5, .seed = 3, .crew = {.n_threads = n_threads}};
    assert_ok(tl_contexts_init(f->t.predictor, &f->signature, &options, &f->contexts));
}

static void unmake(fixture *f)
{
    tl_contexts_done(&f->contexts);
    tl_signature_done(&f->signature);
    toy_unmake(&f->t);
}

static void contexts_ask_for_all_kinds_of_things(void **state)
{
    (void)state;
    fixture f;
    make(TOY_SMALL, 1, &f);
    int n_latency = 0;
    int n_energy = 0;
    int n_weights = 0;
    for (int i = 0; i < tl_contexts_n(&f.contexts); i++) {
        const tl_context *c = &f.contexts.contexts[i];
        n_latency += !isnan(c->limits.max_latency_ms);
        n_energy += !isnan(c->limits.max_energy_mj);
        n_weights +=
            !isnan(c->weights.latency_points_per_ms) || !isnan(c->weights.energy_points_per_mj);
        assert_true(c->limits.confidence >= .5 && c->limits.confidence < 1);
        for (int j = 0; j < f.contexts.x.cols; j++) {
            float x = tl_mat_row(f.contexts.x, i)[j];
            assert_true(x >= -1 && x <= 1);
        }
    }
    assert_true(n_latency > 20 && n_energy > 5 && n_weights > 0);
    unmake(&f);
}

static void the_best_of_the_listing_are_those_of_brute_force(void **state)
{
    (void)state;
    enum {
        N_BEST = 5
    };
    fixture f;
    make(TOY_SMALL, 1, &f);
    const tl_contexts *c = &f.contexts;
    double *worth = tl_mem_new((size_t)c->n_listing, sizeof *worth);
    assert_int_equal(c->n_listing, 256);
    for (int i = 0; i < tl_contexts_n(c); i++) {
        tl_outlook outlook = {0};
        tl_choice designs[N_BEST * TOY_SMALL];
        double best[N_BEST];
        int n = 0;
        assert_ok(tl_contexts_look(c, i / 5, c->listing, c->n_listing, &outlook));
        assert_ok(tl_contexts_worth(c, i, &outlook, worth));
        assert_ok(tl_contexts_best_listed(c, i, N_BEST, designs, best, &n));
        tl_sort(c->n_listing, worth);
        double largest = worth[c->n_listing - 1];
        assert_true(n > 0 && (n == N_BEST || tl_contexts_is_feasible(largest)));
        for (int k = 0; k < n; k++) {
            double wanted = worth[c->n_listing - 1 - k];
            assert_close(best[k], wanted, 1e-4 * fmax(1, fabs(wanted)));
        }
        tl_outlook_done(&outlook);
    }
    tl_mem_free(worth);
    unmake(&f);
}

static void contexts_do_not_depend_on_the_number_of_threads(void **state)
{
    (void)state;
    fixture a;
    make(TOY_SMALL, 1, &a);
    fixture b;
    make(TOY_SMALL, 3, &b);
    for (int i = 0; i < tl_contexts_n(&a.contexts); i++) {
        assert_memory_equal(
            tl_mat_row(a.contexts.x, i), tl_mat_row(b.contexts.x, i),
            (size_t)a.contexts.x.cols * sizeof(float));
    }
    unmake(&a);
    unmake(&b);
}

static void a_listed_space_and_a_computed_one_look_alike(void **state)
{
    (void)state;
    fixture f;
    make(TOY_LARGE, 1, &f);
    tl_outlook outlook = {0};
    const tl_imagined_pool *pool = &f.contexts.pool;
    assert_null(f.contexts.listing);
    assert_ok(tl_contexts_look(&f.contexts, 4, pool->designs, 100, &outlook));
    for (int i = 0; i < 100; i++) {
        assert_true(outlook.costs[i].latency_ms > 0 && outlook.costs[i].latency_std_ms > 0);
        assert_true(outlook.costs[i].energy_mj > 0 && outlook.costs[i].energy_std_mj > 0);
        double truth = toy_accuracy(pool->designs + (ptrdiff_t)i * TOY_LARGE, TOY_LARGE);
        assert_close((double)outlook.accuracies.mean[i], truth, 3);
    }
    tl_outlook_done(&outlook);
    unmake(&f);
}

static bool stop_at_once(void *context, int64_t done, int64_t total)
{
    (void)context;
    (void)total;
    return done < 2;
}

static void making_contexts_can_be_cancelled(void **state)
{
    (void)state;
    toy t = toy_make(TOY_SMALL, true);
    tl_signature signature = {0};
    tl_contexts contexts = {0};
    assert_ok(
        tl_signature_init(t.space, TL_FREE_ARCHITECTURE, 8, true, 1, task_names, &signature));
    tl_contexts_options options = {
        .n_devices = 9, .n_per_device = 5, .crew = {.progress = stop_at_once}};
    assert_err(TL_ECANCELLED, tl_contexts_init(t.predictor, &signature, &options, &contexts));
    tl_signature_done(&signature);
    toy_unmake(&t);
}

static tl_err make_contexts(void *context)
{
    const fixture *f = context;
    tl_contexts contexts = {0};
    tl_contexts_options options = {.n_devices = 5, .n_per_device = 1};
    tl_err err = tl_contexts_init(f->t.predictor, &f->signature, &options, &contexts);
    tl_contexts_done(&contexts);
    return err;
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    fixture f = {.t = toy_make(TOY_SMALL, true)};
    assert_ok(tl_signature_init(
        f.t.space, TL_FREE_ARCHITECTURE, 4, true, 1, task_names, &f.signature));
    assert_true(tl_test_torture("tl_contexts_init", make_contexts, &f) > 50);
    unmake(&f);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(contexts_ask_for_all_kinds_of_things),
        TEST(the_best_of_the_listing_are_those_of_brute_force),
        TEST(contexts_do_not_depend_on_the_number_of_threads),
        TEST(a_listed_space_and_a_computed_one_look_alike),
        TEST(making_contexts_can_be_cancelled),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("optimizer/contexts", tests, NULL, NULL);
}
