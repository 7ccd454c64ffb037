/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "numerics/act.h"
#include "numerics/dense.h"
#include "numerics/rng.h"

#include <math.h>
#include <stdbool.h>

/*
 * Every operator with a backward is a row of the table below. Its gradients are
 * compared with central differences of the loss sum(dy * y), and must
 * accumulate for parameters and overwrite for inputs.
 */

/* Relative to the largest gradient; observed 3e-5. */
static const double gradient_tolerance = 5e-4;
static const float step = 1e-2F;

typedef struct fixture {
    tl_mat x, w, b, y;
    tl_mat dx, dw, db, dy;
} fixture;

static void dense_fwd(fixture *f)
{
    tl_dense_fwd(tl_ro(f->x), tl_ro(f->w), f->b.data, f->y);
}

static void dense_bwd(fixture *f)
{
    tl_dense_bwd(tl_ro(f->x), tl_ro(f->w), tl_ro(f->dy), f->dw, f->db.data, f->dx);
}

static void dense_without_bias_fwd(fixture *f)
{
    tl_dense_fwd(tl_ro(f->x), tl_ro(f->w), NULL, f->y);
}

static void dense_without_bias_bwd(fixture *f)
{
    tl_dense_bwd(tl_ro(f->x), tl_ro(f->w), tl_ro(f->dy), f->dw, NULL, f->dx);
}

static void silu_fwd(fixture *f)
{
    tl_silu_fwd(tl_ro(f->x), f->y);
}

static void silu_bwd(fixture *f)
{
    tl_silu_bwd(tl_ro(f->x), tl_ro(f->dy), f->dx);
}

typedef struct operator_row {
    const char *name;
    void (*fwd)(fixture *f);
    void (*bwd)(fixture *f);
    bool is_elementwise, has_weights, has_bias;
} operator_row;

static const operator_row operators[] = {
    {"dense",              dense_fwd,              dense_bwd,              false, true,  true },
    {"dense without bias", dense_without_bias_fwd, dense_without_bias_bwd, false, true,  false},
    {"silu",               silu_fwd,               silu_bwd,               true,  false, false},
};

static void fill(tl_rng *rng, tl_mat m)
{
    tl_dense_fill_normal(rng, 1.0, m);
}

static void set_all(tl_mat m, float value)
{
    for (int i = 0; i < m.rows; i++) {
        for (int j = 0; j < m.cols; j++) {
            tl_mat_row(m, i)[j] = value;
        }
    }
}

static fixture make(tl_rng *rng, int n, int d, int h)
{
    fixture f;
    assert_ok(tl_mat_init(&f.x, n, d));
    assert_ok(tl_mat_init(&f.dx, n, d));
    assert_ok(tl_mat_init(&f.w, h, d));
    assert_ok(tl_mat_init(&f.dw, h, d));
    assert_ok(tl_mat_init(&f.b, 1, h));
    assert_ok(tl_mat_init(&f.db, 1, h));
    assert_ok(tl_mat_init(&f.y, n, h));
    assert_ok(tl_mat_init(&f.dy, n, h));
    fill(rng, f.x);
    fill(rng, f.w);
    fill(rng, f.b);
    fill(rng, f.dy);
    return f;
}

static void unmake(fixture *f)
{
    tl_mat *all[] = {&f->x, &f->dx, &f->w, &f->dw, &f->b, &f->db, &f->y, &f->dy};
    for (size_t i = 0; i < TL_COUNT(all); i++) {
        tl_mat_done(all[i]);
    }
}

static double loss(const operator_row *op, fixture *f)
{
    double sum = 0.0;
    set_all(f->y, NAN); /* the forward overwrites all of it */
    op->fwd(f);
    for (int i = 0; i < f->y.rows; i++) {
        for (int j = 0; j < f->y.cols; j++) {
            sum += (double)tl_mat_row(f->dy, i)[j] * (double)tl_mat_row(f->y, i)[j];
        }
    }
    return sum;
}

/* gradient - start = dL/dvalue by central differences. */
static void check(
    const operator_row *op,
    fixture *f,
    const char *part,
    tl_mat value,
    tl_mat gradient,
    double start)
{
    double worst = 0.0;
    double largest = 1.0;
    for (int i = 0; i < value.rows; i++) {
        for (int j = 0; j < value.cols; j++) {
            float *p = &tl_mat_row(value, i)[j];
            float kept = *p;
            *p = kept + step;
            double above = loss(op, f);
            double width = (double)*p;
            *p = kept - step;
            double below = loss(op, f);
            width -= (double)*p;
            *p = kept;
            double want = (above - below) / width;
            double error = fabs((double)tl_mat_row(gradient, i)[j] - start - want);
            worst = error <= worst ? worst : error; /* NaN comes through */
            largest = fmax(largest, fabs(want));
        }
    }
    if (!(worst <= gradient_tolerance * largest)) {
        fail_msg("%s: %s is off by %.2e of %.2e", op->name, part, worst, largest);
    }
}

static void every_gradient_matches_central_differences(void **state)
{
    (void)state;
    static const struct {
        int n, d, h;
    } shapes[] = {
        {1, 1,  1 },
        {3, 5,  2 },
        {7, 16, 17},
    };
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (size_t s = 0; s < TL_COUNT(shapes); s++) {
        for (size_t o = 0; o < TL_COUNT(operators); o++) {
            const operator_row *op = &operators[o];
            int h = op->is_elementwise ? shapes[s].d : shapes[s].h;
            fixture f = make(&rng, shapes[s].n, shapes[s].d, h);
            set_all(f.dx, NAN);
            set_all(f.dw, 1.0F);
            set_all(f.db, 1.0F);
            op->bwd(&f);
            check(op, &f, "dx", f.x, f.dx, 0.0);
            if (op->has_weights) {
                check(op, &f, "dW", f.w, f.dw, 1.0);
            }
            if (op->has_bias) {
                check(op, &f, "db", f.b, f.db, 1.0);
            }
            unmake(&f);
        }
    }
}

static void the_gradient_of_the_first_input_may_be_skipped(void **state)
{
    (void)state;
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    fixture f = make(&rng, 4, 3, 2);
    tl_dense_bwd(tl_ro(f.x), tl_ro(f.w), tl_ro(f.dy), f.dw, f.db.data, (tl_mat){0});
    check(&operators[0], &f, "dW", f.w, f.dw, 0.0);
    unmake(&f);
}

static void silu_works_in_place(void **state)
{
    (void)state;
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    fixture f = make(&rng, 3, 5, 5);
    silu_fwd(&f);
    silu_bwd(&f);
    tl_silu_bwd(tl_ro(f.x), tl_ro(f.dy), f.dy);
    tl_silu_fwd(tl_ro(f.x), f.x);
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(tl_mat_row(f.x, i), tl_mat_row(f.y, i), 5 * sizeof(float));
        assert_memory_equal(tl_mat_row(f.dy, i), tl_mat_row(f.dx, i), 5 * sizeof(float));
    }
    unmake(&f);
}

static void silu_has_its_limits_and_nan_travels(void **state)
{
    (void)state;
    float x_data[] = {NAN, -200.0F, -1.0F, 0.0F, 1.0F, 200.0F};
    static const double want_y[] = {0, 0.0, -0.268941421, 0.0, 0.731058579, 200.0};
    static const double want_dx[] = {0, 0.0, 0.072329488, 0.5, 0.927670512, 1.0};
    float one[TL_COUNT(x_data)];
    float y_data[TL_COUNT(x_data)] = {0};
    float dx_data[TL_COUNT(x_data)] = {0};
    int n = (int)TL_COUNT(x_data);
    for (int i = 0; i < n; i++) {
        one[i] = 1.0F;
    }
    tl_cmat x = {.data = x_data, .rows = 1, .cols = n, .ld = n};
    tl_cmat dy = {.data = one, .rows = 1, .cols = n, .ld = n};
    tl_silu_fwd(x, (tl_mat){.data = y_data, .rows = 1, .cols = n, .ld = n});
    tl_silu_bwd(x, dy, (tl_mat){.data = dx_data, .rows = 1, .cols = n, .ld = n});
    assert_true(isnan(y_data[0]) && isnan(dx_data[0]));
    for (int i = 1; i < n; i++) {
        assert_close((double)y_data[i], want_y[i], 1e-6);
        assert_close((double)dx_data[i], want_dx[i], 1e-6);
    }
}

static void nan_travels_through_a_layer(void **state)
{
    (void)state;
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    fixture f = make(&rng, 2, 3, 2);
    tl_mat_row(f.x, 1)[2] = NAN;
    dense_fwd(&f);
    assert_true(isfinite(tl_mat_row(f.y, 0)[0]) && isfinite(tl_mat_row(f.y, 0)[1]));
    assert_true(isnan(tl_mat_row(f.y, 1)[0]) && isnan(tl_mat_row(f.y, 1)[1]));
    unmake(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_gradient_matches_central_differences),
        TEST(the_gradient_of_the_first_input_may_be_skipped),
        TEST(silu_works_in_place),
        TEST(silu_has_its_limits_and_nan_travels),
        TEST(nan_travels_through_a_layer),
    };
    return cmocka_run_group_tests_name("numerics/gradient", tests, NULL, NULL);
}
