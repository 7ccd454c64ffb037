/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/signature.h"
#include "tests/optimizer/toy.h"

enum {
    N_REFERENCES = 12
};

typedef struct fixture {
    toy t;
    tl_signature signature;
    tl_prediction references[N_REFERENCES];
    float row[256];
} fixture;

static fixture make(bool has_energy)
{
    static const char *const tasks[] = {"other", "task"};
    fixture f = {
        .t = {.space = toy_space(TOY_SMALL), .n_slots = TOY_SMALL}
    };
    assert_ok(tl_signature_init(
        f.t.space, TL_FREE_ARCHITECTURE, N_REFERENCES, has_energy, 2, tasks, &f.signature));
    assert_ok(toy_predict(&f.t, f.signature.references, N_REFERENCES, f.references));
    return f;
}

static void unmake(fixture *f)
{
    tl_signature_done(&f->signature);
    tl_space_unref(f->t.space);
}

static void fill(fixture *f, const tl_problem *problem)
{
    tl_signature_fill(&f->signature, problem, 1, f->references, f->row);
}

static void it_tells_how_references_stand_to_the_limit(void **state)
{
    (void)state;
    fixture f = make(false);
    tl_problem problem = toy_problem(&f.t, 20);
    double z = tl_confidence_margin(&problem.latency_confidence, .9);
    fill(&f, &problem);
    for (int i = 0; i < N_REFERENCES; i++) {
        double cost = f.references[i].latency_ms * (1 + z * .02);
        assert_close((double)f.row[i], tanh(log(cost / 20)), 1e-6);
        assert_close((double)f.row[N_REFERENCES + i], tanh(4 * log(cost / 20)), 1e-6);
    }
    unmake(&f);
}

static void more_confidence_reads_like_a_tighter_limit(void **state)
{
    (void)state;
    fixture f = make(false);
    tl_problem problem = toy_problem(&f.t, 20);
    fill(&f, &problem);
    float before = f.row[0];
    problem.limits.confidence = .99;
    fill(&f, &problem);
    assert_true(f.row[0] > before);
    problem.limits.confidence = .9;
    problem.limits.max_latency_ms = 15;
    fill(&f, &problem);
    assert_true(f.row[0] > before);
    unmake(&f);
}

static void an_absent_limit_is_infinitely_loose_and_absent_weights_are_zero(void **state)
{
    (void)state;
    fixture f = make(true);
    tl_problem problem = toy_problem(&f.t, TL_UNKNOWN);
    fill(&f, &problem);
    assert_int_equal(tl_signature_width(&f.signature), 5 * N_REFERENCES + 2);
    for (int i = 0; i < 4 * N_REFERENCES; i++) {
        assert_close((double)f.row[i], -1, 0);
    }
    for (int i = 4 * N_REFERENCES; i < 5 * N_REFERENCES; i++) {
        assert_close((double)f.row[i], 0, 0);
    }
    unmake(&f);
}

static void weights_and_tasks_are_told(void **state)
{
    (void)state;
    fixture f = make(true);
    tl_problem problem = toy_problem(&f.t, 20);
    problem.weights.energy_points_per_mj = .5;
    fill(&f, &problem);
    double most = 0;
    for (int i = 0; i < N_REFERENCES; i++) {
        double toll = (double)f.row[4 * N_REFERENCES + i];
        most = fmax(most, fabs(toll));
        assert_true(toll >= -1 && toll <= 1);
    }
    assert_true(most > .1);
    assert_close((double)f.row[5 * N_REFERENCES], 0, 0);
    assert_close((double)f.row[5 * N_REFERENCES + 1], 1, 0);
    assert_int_equal(tl_signature_task(&f.signature, "task"), 1);
    assert_int_equal(tl_signature_task(&f.signature, "none"), -1);
    unmake(&f);
}

static void an_unknown_cost_reads_as_a_limit_that_is_missed(void **state)
{
    (void)state;
    fixture f = make(true);
    tl_problem problem = toy_problem(&f.t, 20);
    problem.limits.max_energy_mj = 10;
    f.references[3].energy_mj = f.references[3].energy_std_mj = TL_UNKNOWN;
    fill(&f, &problem);
    assert_close((double)f.row[2 * N_REFERENCES + 3], 1, 0);
    unmake(&f);
}

static void references_follow_from_the_space_alone(void **state)
{
    (void)state;
    fixture a = make(false);
    fixture b = make(true);
    assert_memory_equal(
        a.signature.references, b.signature.references,
        (size_t)N_REFERENCES * TOY_SMALL * sizeof(tl_choice));
    unmake(&a);
    unmake(&b);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    static const char *const tasks[] = {"other", "task"};
    tl_space *space = toy_space(TOY_SMALL);
    tl_err err = TL_ENOMEM;
    for (long k = 1; err != TL_OK; k++) {
        long live_before = tl_mem_live();
        tl_signature signature = {0};
        tl_mem_fail_at(k);
        err = tl_signature_init(space, TL_FREE_BITS, 4, true, 2, tasks, &signature);
        tl_mem_fail_at(0);
        tl_signature_done(&signature);
        assert_int_equal(tl_mem_live(), live_before);
    }
    tl_space_unref(space);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_tells_how_references_stand_to_the_limit),
        TEST(more_confidence_reads_like_a_tighter_limit),
        TEST(an_absent_limit_is_infinitely_loose_and_absent_weights_are_zero),
        TEST(weights_and_tasks_are_told),
        TEST(an_unknown_cost_reads_as_a_limit_that_is_missed),
        TEST(references_follow_from_the_space_alone),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("optimizer/signature", tests, NULL, NULL);
}
