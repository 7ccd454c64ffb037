/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "numerics/adamw.h"

#include <math.h>
#include <string.h>

enum {
    LD = 3
};

/* A block of 2 x 2 with decay and one of 1 x 2 without, with a guard column. */
typedef struct fixture {
    float w[2 * LD], b[LD], dw[2 * LD], db[LD];
    tl_param params[2];
} fixture;

static void make(fixture *f)
{
    static const float w[] = {0.5F, -1.0F, 7.0F, 2.0F, 0.25F, 7.0F};
    static const float b[] = {0.1F, -0.2F, 7.0F};
    memcpy(f->w, w, sizeof w);
    memcpy(f->b, b, sizeof b);
    memset(f->dw, 0, sizeof f->dw);
    memset(f->db, 0, sizeof f->db);
    f->dw[2] = f->dw[5] = f->db[2] = 7.0F;
    f->params[0] = (tl_param){
        .value = {.data = f->w,  .rows = 2, .cols = 2, .ld = LD},
        .gradient = {.data = f->dw, .rows = 2, .cols = 2, .ld = LD},
        .has_decay = true,
    };
    f->params[1] = (tl_param){
        .value = {.data = f->b,  .rows = 1, .cols = 2, .ld = LD},
        .gradient = {.data = f->db, .rows = 1, .cols = 2, .ld = LD},
    };
}

static void set_gradients(fixture *f, int t)
{
    f->dw[0] = 0.3F * (float)t;
    f->dw[1] = -1.0F;
    f->dw[3] = 0.5F;
    f->dw[4] = 2.0F - (float)t;
    f->db[0] = 0.2F;
    f->db[1] = -0.1F * (float)t;
}

static void three_steps_agree_with_numpy(void **state)
{
    (void)state;
    static const double want_norm[] = {1.5459624833740306, 1.3, 1.786057109949175};
    static const double want_w[] = {0.46920264, -0.96710321, 7.0, 1.96410621, 0.23284543, 7.0};
    static const double want_b[] = {0.07007021, -0.17067154, 7.0};
    const tl_adamw_options options = {.weight_decay = 0.1, .clip_norm = 1.5};
    tl_adamw *adamw = NULL;
    fixture f;
    make(&f);
    assert_ok(tl_adamw_new(&options, 2, f.params, &adamw));
    for (int t = 1; t <= 3; t++) {
        set_gradients(&f, t);
        assert_close(tl_adamw_step(adamw, 0.01), want_norm[t - 1], 1e-6);
        assert_true(f.dw[0] == 0.0F && f.dw[4] == 0.0F && f.db[1] == 0.0F);
    }
    for (int i = 0; i < 2 * LD; i++) {
        assert_close((double)f.w[i], want_w[i], 1e-6);
    }
    for (int i = 0; i < LD; i++) {
        assert_close((double)f.b[i], want_b[i], 1e-6);
    }
    assert_true(f.dw[2] == 7.0F && f.dw[5] == 7.0F && f.db[2] == 7.0F);
    tl_adamw_free(adamw);
}

static void the_first_step_moves_by_the_learning_rate(void **state)
{
    (void)state;
    const tl_adamw_options options = {0};
    tl_adamw *adamw = NULL;
    fixture f;
    make(&f);
    assert_ok(tl_adamw_new(&options, 2, f.params, &adamw));
    set_gradients(&f, 1);
    (void)tl_adamw_step(adamw, 0.01);
    assert_close((double)f.w[0], 0.49, 1e-6);
    assert_close((double)f.w[1], -0.99, 1e-6);
    assert_close((double)f.b[1], -0.19, 1e-6);
    tl_adamw_free(adamw);
}

static void a_gradient_that_is_not_finite_shows_in_the_norm_and_the_parameters(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY};
    const tl_adamw_options options = {.clip_norm = 1.0};
    for (size_t i = 0; i < TL_COUNT(bad); i++) {
        tl_adamw *adamw = NULL;
        fixture f;
        make(&f);
        assert_ok(tl_adamw_new(&options, 2, f.params, &adamw));
        set_gradients(&f, 1);
        f.dw[1] = bad[i];
        assert_true(!isfinite(tl_adamw_step(adamw, 0.01)));
        assert_true(isnan(f.w[1]));
        tl_adamw_free(adamw);
    }
}

static void it_finds_the_bottom_of_a_bowl(void **state)
{
    (void)state;
    const tl_adamw_options options = {.clip_norm = 5.0};
    static const float bottom[] = {-0.3F, 0.8F};
    tl_adamw *adamw = NULL;
    fixture f;
    make(&f);
    assert_ok(tl_adamw_new(&options, 2, f.params, &adamw));
    for (int t = 0; t < 1000; t++) {
        for (int j = 0; j < 2; j++) {
            f.db[j] = 100.0F * (f.b[j] - bottom[j]);
        }
        (void)tl_adamw_step(adamw, tl_warm_cosine(0.03, 50, t, 1000));
    }
    assert_close((double)f.b[0], (double)bottom[0], 1e-3);
    assert_close((double)f.b[1], (double)bottom[1], 1e-3);
    assert_true(f.w[0] == 0.5F);
    tl_adamw_free(adamw);
}

static void the_schedule_warms_up_and_falls_to_zero(void **state)
{
    (void)state;
    assert_close(tl_warm_cosine(2.0, 50, 0, 1000), 2.0 / 50, 1e-12);
    assert_close(
        tl_warm_cosine(2.0, 50, 24, 1000), 0.5 * (1.0 + cos(0.024 * acos(-1.0))), 1e-12);
    assert_close(tl_warm_cosine(2.0, 50, 500, 1000), 1.0, 1e-12);
    assert_close(tl_warm_cosine(2.0, 50, 999, 1000), 0.0, 1e-5);
    assert_close(tl_warm_cosine(2.0, 0, 0, 1), 2.0, 0.0);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    const tl_adamw_options options = {0};
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    fixture f;
    make(&f);
    for (long k = 1; err != TL_OK; k++) {
        tl_adamw *adamw = NULL;
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_adamw_new(&options, 2, f.params, &adamw);
        tl_mem_fail_at(0);
        if (err != TL_OK) {
            assert_err(TL_ENOMEM, err);
            assert_null(adamw);
            assert_int_equal(tl_mem_live(), live_before);
            n_failures++;
        }
        tl_adamw_free(adamw);
    }
    assert_int_equal(n_failures, 4);
    tl_adamw_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(three_steps_agree_with_numpy),
        TEST(the_first_step_moves_by_the_learning_rate),
        TEST(a_gradient_that_is_not_finite_shows_in_the_norm_and_the_parameters),
        TEST(it_finds_the_bottom_of_a_bowl),
        TEST(the_schedule_warms_up_and_falls_to_zero),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("numerics/adamw", tests, NULL, NULL);
}
