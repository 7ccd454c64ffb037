/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "numerics/dense.h"
#include "optimizer/policy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Relative to the largest gradient; observed 3e-4 in single precision. */
static const double gradient_tolerance = 2e-3;
static const float gradient_step = 2e-3F;

static tl_space *load(const char *name)
{
    char path[512];
    tl_space *space = NULL;
    (void)snprintf(path, sizeof path, "%s/spaces/%s.yaml", tl_test_source_dir(), name);
    assert_ok(tl_space_load(path, &space));
    return space;
}

/* Spaces whose slots are absent at times, ruled, or both searched and optional. */
static const struct setting {
    const char *space;
    tl_freedom freedom;
    int n_inputs;
} settings[] = {
    {"nasbench201",   TL_FREE_ARCHITECTURE, 5},
    {"nasbench201",   TL_FREE_BITS,         3},
    {"mobilenetv3",   TL_FREE_ARCHITECTURE, 4},
    {"mobilenet-zoo", TL_FREE_ARCHITECTURE, 2},
    {"fbnet",         TL_FREE_ARCHITECTURE, 0},
};

typedef struct fixture {
    tl_space *space;
    tl_policy *policy;
    tl_rng rng;
    int n_slots;
    tl_mat x;
} fixture;

enum {
    N_PROBLEMS = 3,
    N_DESIGNS = 4
};

static fixture make(const struct setting *setting, uint64_t seed)
{
    fixture f = {.space = load(setting->space)};
    tl_policy_options options = {.n_inputs = setting->n_inputs, .n_hidden = 7, .n_state = 6};
    tl_rng_init(&f.rng, seed);
    assert_ok(tl_policy_new(f.space, setting->freedom, &options, &f.rng, &f.policy));
    f.n_slots = tl_space_n_slots(f.space);
    assert_ok(tl_mat_init(&f.x, N_PROBLEMS, setting->n_inputs));
    tl_dense_fill_normal(&f.rng, 1, f.x);
    /* larger weights than at the start, so that choices matter to later ones */
    float *params = tl_policy_params(f.policy);
    for (int i = 0; i < tl_policy_n_params(f.policy); i++) {
        params[i] += (float)(.3 * tl_rng_normal(&f.rng));
    }
    return f;
}

static void unmake(fixture *f)
{
    tl_mat_done(&f->x);
    tl_policy_free(f->policy);
    tl_space_unref(f->space);
}

static tl_choice *draw_designs(fixture *f, tl_freedom freedom, int n)
{
    tl_choice *designs = tl_mem_new((size_t)n * (size_t)f->n_slots, sizeof *designs);
    assert_non_null(designs);
    for (int i = 0; i < n; i++) {
        tl_space_sample_with(f->space, freedom, &f->rng, designs + (ptrdiff_t)i * f->n_slots);
    }
    return designs;
}

/* The weighted log-likelihood by the way that designs are drawn, not that of learning. */
static double objective(const fixture *f, const tl_policy_batch *batch)
{
    tl_mat states = {0};
    double sum = 0;
    assert_ok(tl_policy_states(f->policy, batch->x, &states));
    for (int i = 0; i < N_PROBLEMS * batch->n_designs; i++) {
        if (batch->weights[i] != 0.0F) {
            sum += (double)batch->weights[i] * tl_policy_log_likelihood(
                                                   f->policy,
                                                   tl_mat_row(states, i / batch->n_designs),
                                                   batch->designs + (ptrdiff_t)i * f->n_slots);
        }
    }
    tl_mat_done(&states);
    return sum;
}

static double difference_quotient(fixture *f, const tl_policy_batch *batch, float *param)
{
    float value = *param;
    *param = value + gradient_step;
    double above = objective(f, batch);
    *param = value - gradient_step;
    double below = objective(f, batch);
    *param = value;
    return (above - below) / (2 * (double)gradient_step);
}

static void check_gradient(const struct setting *setting, uint64_t seed)
{
    fixture f = make(setting, seed);
    tl_choice *designs = draw_designs(&f, setting->freedom, N_PROBLEMS * N_DESIGNS);
    const float weights[N_PROBLEMS * N_DESIGNS] = {1, .5F, 0, 2, -1, 1, 1, 0, .25F, 0, 0, 3};
    tl_policy_batch batch = {
        .x = tl_ro(f.x), .n_designs = N_DESIGNS, .designs = designs, .weights = weights};
    tl_policy_learner_options options = {
        .max_problems = N_PROBLEMS + 1, .max_designs = N_DESIGNS + 1};
    tl_policy_learner *learner = NULL;
    assert_ok(tl_policy_learner_new(f.policy, &options, &learner));

    double sum = tl_policy_accumulate(learner, &batch);
    assert_close(sum, objective(&f, &batch), 1e-4 * fabs(sum));

    const float *gradient = tl_policy_gradient(learner);
    int n = tl_policy_n_params(f.policy);
    double largest = 0;
    for (int i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)gradient[i]));
    }
    assert_true(largest > .1);
    int stride = n / 400 + 1; /* some of each block; all of a small one */
    for (int i = 0; i < n; i += stride) {
        double wanted = difference_quotient(&f, &batch, &tl_policy_params(f.policy)[i]);
        if (fabs(wanted - (double)gradient[i]) > gradient_tolerance * largest) {
            fail_msg(
                "%s, weight %d of %d: gradient %g, difference quotient %g", setting->space, i,
                n, (double)gradient[i], wanted);
        }
    }
    tl_policy_learner_free(learner);
    tl_mem_free(designs);
    unmake(&f);
}

static void gradients_match_central_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_COUNT(settings); i++) {
        check_gradient(&settings[i], tl_test_seed() + i);
    }
}

/* What goes up where the batch has gains, learning undone. */
static double expected_gain(tl_policy_learner *learner, const tl_policy_batch *batch)
{
    double sum = tl_policy_accumulate(learner, batch);
    (void)tl_policy_step(learner, 0);
    return sum;
}

static void gradients_of_expected_gains_match_central_differences(void **state)
{
    (void)state;
    fixture f = make(&settings[2], tl_test_seed());
    tl_choice *designs = draw_designs(&f, TL_FREE_ARCHITECTURE, N_PROBLEMS);
    const float weights[N_PROBLEMS] = {1, 0, .5F};
    size_t n_gains = (size_t)tl_policy_gain_width(f.policy) * N_PROBLEMS;
    float *gains = tl_mem_new(n_gains, sizeof *gains);
    for (size_t i = 0; i < n_gains; i++) {
        gains[i] = (float)tl_rng_normal(&f.rng);
    }
    tl_policy_batch batch = {
        .x = tl_ro(f.x),
        .n_designs = 1,
        .designs = designs,
        .weights = weights,
        .gains = gains};
    tl_policy_learner_options options = {.max_problems = N_PROBLEMS, .max_designs = 1};
    tl_policy_learner *learner = NULL;
    assert_ok(tl_policy_learner_new(f.policy, &options, &learner));
    int n = tl_policy_n_params(f.policy);
    float *gradient = tl_mem_new((size_t)n, sizeof *gradient);
    (void)tl_policy_accumulate(learner, &batch);
    memcpy(gradient, tl_policy_gradient(learner), (size_t)n * sizeof *gradient);
    (void)tl_policy_step(learner, 0);
    double largest = 0;
    for (int i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)gradient[i]));
    }
    for (int i = 0; i < n; i += n / 200 + 1) {
        float *param = &tl_policy_params(f.policy)[i];
        float value = *param;
        *param = value + gradient_step;
        double above = expected_gain(learner, &batch);
        *param = value - gradient_step;
        double below = expected_gain(learner, &batch);
        *param = value;
        assert_close(
            (double)gradient[i], (above - below) / (2 * (double)gradient_step),
            gradient_tolerance * largest);
    }
    tl_mem_free(gradient);
    tl_mem_free(gains);
    tl_policy_learner_free(learner);
    tl_mem_free(designs);
    unmake(&f);
}

static void gradients_accumulate_until_the_step(void **state)
{
    (void)state;
    fixture f = make(&settings[0], tl_test_seed());
    tl_choice *designs = draw_designs(&f, TL_FREE_ARCHITECTURE, N_PROBLEMS);
    const float weights[N_PROBLEMS] = {1, 1, 1};
    tl_policy_batch batch = {
        .x = tl_ro(f.x), .n_designs = 1, .designs = designs, .weights = weights};
    tl_policy_learner_options options = {.max_problems = N_PROBLEMS, .max_designs = 1};
    tl_policy_learner *learner = NULL;
    assert_ok(tl_policy_learner_new(f.policy, &options, &learner));
    (void)tl_policy_accumulate(learner, &batch);
    int last = tl_policy_n_params(f.policy) - 1;
    double once = (double)tl_policy_gradient(learner)[last];
    (void)tl_policy_accumulate(learner, &batch);
    assert_close((double)tl_policy_gradient(learner)[last], 2 * once, 1e-5);
    assert_true(tl_policy_step(learner, 1e-3) > 0);
    assert_close((double)tl_policy_gradient(learner)[last], 0, 0);
    tl_policy_learner_free(learner);
    tl_mem_free(designs);
    unmake(&f);
}

static void every_design_drawn_is_valid_at_any_temperature(void **state)
{
    (void)state;
    static const double temperatures[] = {0, .3, 1, 5};
    for (size_t i = 0; i < TL_COUNT(settings); i++) {
        fixture f = make(&settings[i], tl_test_seed() + i);
        tl_mat states = {0};
        assert_ok(tl_policy_states(f.policy, tl_ro(f.x), &states));
        for (int n = 0; n < 400; n++) {
            tl_choice design[TL_SPACE_MAX_SLOTS];
            tl_policy_sample(
                f.policy, tl_mat_row(states, n % N_PROBLEMS), temperatures[n % 4], &f.rng,
                design);
            assert_ok(tl_space_check(f.space, design));
            for (int k = 0; k < f.n_slots; k++) {
                tl_choice allowed[TL_SPACE_MAX_OPTIONS];
                int n_allowed =
                    tl_space_allowed(f.space, settings[i].freedom, design, k, allowed);
                bool is_allowed = false;
                for (int a = 0; a < n_allowed; a++) {
                    is_allowed = is_allowed || allowed[a] == design[k];
                }
                assert_true(is_allowed);
            }
        }
        tl_mat_done(&states);
        unmake(&f);
    }
}

static void probabilities_of_all_designs_sum_to_one(void **state)
{
    (void)state;
    static const int listable[] = {0, 3};
    for (size_t s = 0; s < TL_COUNT(listable); s++) {
        fixture f = make(&settings[listable[s]], tl_test_seed());
        tl_mat states = {0};
        tl_choice *designs = NULL;
        int n = 0;
        double sum = 0;
        assert_ok(tl_policy_states(f.policy, tl_ro(f.x), &states));
        assert_ok(tl_space_enumerate(f.space, 20000, &designs, &n));
        for (int i = 0; i < n; i++) {
            sum += exp(tl_policy_log_likelihood(
                f.policy, tl_mat_row(states, 1), designs + (ptrdiff_t)i * f.n_slots));
        }
        assert_close(sum, 1, 1e-4);
        tl_mem_free(designs);
        tl_mat_done(&states);
        unmake(&f);
    }
}

static void designs_are_drawn_as_often_as_their_probability_says(void **state)
{
    (void)state;
    enum {
        N_DRAWS = 20000
    };
    fixture f = make(&settings[3], tl_test_seed());
    tl_mat states = {0};
    assert_ok(tl_policy_states(f.policy, tl_ro(f.x), &states));
    tl_choice likely[TL_SPACE_MAX_SLOTS];
    tl_policy_sample(f.policy, tl_mat_row(states, 0), 0, NULL, likely);
    int n_hits = 0;
    for (int i = 0; i < N_DRAWS; i++) {
        tl_choice design[TL_SPACE_MAX_SLOTS];
        tl_policy_sample(f.policy, tl_mat_row(states, 0), 1, &f.rng, design);
        n_hits += memcmp(design, likely, (size_t)f.n_slots * sizeof *design) == 0;
    }
    double p = exp(tl_policy_log_likelihood(f.policy, tl_mat_row(states, 0), likely));
    assert_close((double)n_hits / N_DRAWS, p, 5 * sqrt(p * (1 - p) / N_DRAWS));
    tl_mat_done(&states);
    unmake(&f);
}

static void learning_makes_the_weighted_design_the_likeliest(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_COUNT(settings); i++) {
        fixture f = make(&settings[i], tl_test_seed() + i);
        tl_choice *designs = draw_designs(&f, settings[i].freedom, N_PROBLEMS);
        for (int n = 1; n < N_PROBLEMS && settings[i].n_inputs == 0; n++) {
            /* one distribution can have one favourite */
            memcpy(
                designs + (ptrdiff_t)n * f.n_slots, designs,
                (size_t)f.n_slots * sizeof *designs);
        }
        const float weights[N_PROBLEMS] = {1, 1, 1};
        tl_policy_batch batch = {
            .x = tl_ro(f.x), .n_designs = 1, .designs = designs, .weights = weights};
        tl_policy_learner_options options = {.max_problems = N_PROBLEMS, .max_designs = 1};
        tl_policy_learner *learner = NULL;
        assert_ok(tl_policy_learner_new(f.policy, &options, &learner));
        for (int step = 0; step < 300; step++) {
            (void)tl_policy_accumulate(learner, &batch);
            (void)tl_policy_step(learner, 2e-2);
        }
        tl_mat states = {0};
        assert_ok(tl_policy_states(f.policy, tl_ro(f.x), &states));
        for (int n = 0; n < N_PROBLEMS; n++) {
            tl_choice design[TL_SPACE_MAX_SLOTS];
            tl_policy_sample(f.policy, tl_mat_row(states, n), 0, NULL, design);
            assert_memory_equal(
                design, designs + (ptrdiff_t)n * f.n_slots, (size_t)f.n_slots * sizeof *design);
        }
        tl_mat_done(&states);
        tl_policy_learner_free(learner);
        tl_mem_free(designs);
        unmake(&f);
    }
}

static void one_seed_gives_the_same_weights_and_designs(void **state)
{
    (void)state;
    fixture a = make(&settings[1], tl_test_seed());
    fixture b = make(&settings[1], tl_test_seed());
    int n = tl_policy_n_params(a.policy);
    assert_int_equal(n, tl_policy_n_params(b.policy));
    assert_memory_equal(
        tl_policy_params(a.policy), tl_policy_params(b.policy), (size_t)n * sizeof(float));
    tl_mat states = {0};
    assert_ok(tl_policy_states(a.policy, tl_ro(a.x), &states));
    for (int i = 0; i < 20; i++) {
        tl_choice x[TL_SPACE_MAX_SLOTS];
        tl_choice y[TL_SPACE_MAX_SLOTS];
        tl_policy_sample(a.policy, tl_mat_row(states, 0), 1, &a.rng, x);
        tl_policy_sample(b.policy, tl_mat_row(states, 0), 1, &b.rng, y);
        assert_memory_equal(x, y, (size_t)a.n_slots * sizeof *x);
    }
    tl_mat_done(&states);
    unmake(&a);
    unmake(&b);
}

static void sizes_out_of_range_are_refused(void **state)
{
    (void)state;
    tl_space *space = load("nasbench201");
    tl_policy *policy = NULL;
    tl_rng rng;
    tl_rng_init(&rng, 1);
    static const tl_policy_options bad[] = {
        {-1,   8,    8   },
        {5000, 8,    8   },
        {4,    -1,   8   },
        {4,    1025, 8   },
        {4,    8,    -1  },
        {4,    8,    1000},
    };
    for (size_t i = 0; i < TL_COUNT(bad); i++) {
        assert_err(
            TL_EINVAL, tl_policy_new(space, TL_FREE_ARCHITECTURE, &bad[i], &rng, &policy));
    }
    assert_null(policy);
    tl_space_unref(space);
}

static tl_err make_and_learn(tl_space *space)
{
    tl_policy *policy = NULL;
    tl_policy_learner *learner = NULL;
    tl_mat states = {0};
    tl_mat x = {0};
    tl_rng rng;
    tl_rng_init(&rng, 1);
    tl_policy_options options = {.n_inputs = 2, .n_hidden = 4, .n_state = 3};
    tl_policy_learner_options settings_of = {.max_problems = 2, .max_designs = 2};
    tl_err err = tl_policy_new(space, TL_FREE_BITS, &options, &rng, &policy);
    if (err == TL_OK) {
        err = tl_policy_learner_new(policy, &settings_of, &learner);
    }
    if (err == TL_OK) {
        err = tl_mat_init(&x, 2, 2);
    }
    if (err == TL_OK) {
        err = tl_policy_states(policy, tl_ro(x), &states);
    }
    tl_mat_done(&states);
    tl_mat_done(&x);
    tl_policy_learner_free(learner);
    tl_policy_free(policy);
    return err;
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    tl_space *space = load("nasbench201");
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    for (long k = 1; err != TL_OK; k++) {
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = make_and_learn(space);
        tl_mem_fail_at(0);
        n_failures += err != TL_OK;
        assert_int_equal(tl_mem_live(), live_before);
    }
    assert_true(n_failures >= 15);
    tl_space_unref(space);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gradients_match_central_differences),
        TEST(gradients_of_expected_gains_match_central_differences),
        TEST(gradients_accumulate_until_the_step),
        TEST(every_design_drawn_is_valid_at_any_temperature),
        TEST(probabilities_of_all_designs_sum_to_one),
        TEST(designs_are_drawn_as_often_as_their_probability_says),
        TEST(learning_makes_the_weighted_design_the_likeliest),
        TEST(one_seed_gives_the_same_weights_and_designs),
        TEST(sizes_out_of_range_are_refused),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("optimizer/policy", tests, NULL, NULL);
}
