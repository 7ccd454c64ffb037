/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "numerics/gemm.h"
#include "numerics/linalg.h"
#include "numerics/rng.h"
#include "predictors/ridge.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
    MAX_N = 120,
    MAX_D = 120
};

/* A linear world: y = 1 + A w + noise. */
typedef struct problem {
    tl_dmat a;
    double w[MAX_D], y[MAX_N];
} problem;

static void problem_init(problem *p, int n, int d, double noise, uint64_t seed)
{
    tl_rng rng;
    tl_rng_init(&rng, seed);
    assert_ok(tl_dmat_init(&p->a, n, d));
    for (int j = 0; j < d; j++) {
        p->w[j] = .1 * tl_rng_normal(&rng);
    }
    for (int i = 0; i < n; i++) {
        double *row = tl_dmat_row(p->a, i);
        for (int j = 0; j < d; j++) {
            row[j] = tl_rng_normal(&rng);
        }
        p->y[i] = 1 + tl_ddot(d, row, p->w) + noise * tl_rng_normal(&rng);
    }
}

/* w = (A^T A + lambda I)^-1 A^T y by Cholesky. */
static void plain_ridge(const problem *p, double lambda, tl_dmat *out_inverse, double *out_w)
{
    int d = p->a.cols;
    tl_dmat normal;
    double moment[MAX_D];
    assert_ok(tl_dmat_init(&normal, d, d));
    assert_ok(tl_dmat_init(out_inverse, d, d));
    tl_dsyrk(1, TL_T, tl_dro(p->a), 0, normal);
    for (int j = 0; j < d; j++) {
        tl_dmat_row(normal, j)[j] += lambda;
    }
    assert_ok(tl_chol(normal));
    tl_chol_inverse(tl_dro(normal), *out_inverse);
    tl_dgemv(1, TL_T, tl_dro(p->a), p->y, 0, moment);
    tl_dgemv(1, TL_N, tl_dro(*out_inverse), moment, 0, out_w);
    tl_dmat_done(&normal);
}

static void check_plain(int n, int d)
{
    problem p;
    double w[MAX_D];
    double wanted[MAX_D];
    double residuals[MAX_N];
    tl_dmat inverse;
    tl_dmat wanted_inverse;
    tl_ridge_fit fit;
    problem_init(&p, n, d, .1, tl_test_seed());
    assert_ok(tl_dmat_init(&inverse, d, d));
    assert_ok(tl_ridge(TL_RIDGE_PLAIN, tl_dro(p.a), p.y, w, residuals, inverse, &fit));
    plain_ridge(&p, fit.lambda, &wanted_inverse, wanted);
    for (int i = 0; i < d; i++) {
        assert_close(w[i], wanted[i], 1e-9);
        for (int j = 0; j < d; j++) {
            assert_close(
                tl_dmat_row(inverse, i)[j], tl_dmat_row(wanted_inverse, i)[j],
                1e-8 / fit.lambda);
        }
    }
    assert_close(fit.mean, 0, 0);
    tl_dmat_done(&inverse);
    tl_dmat_done(&wanted_inverse);
    tl_dmat_done(&p.a);
}

static void weights_and_inverse_solve_the_normal_equations(void **state)
{
    (void)state;
    check_plain(30, 80); /* dual */
    check_plain(40, 40);
    check_plain(120, 20); /* primal */
}

static void residuals_are_those_of_fits_without_the_sample(void **state)
{
    (void)state;
    enum {
        N = 50,
        D = 12
    };
    problem p;
    double w[MAX_D];
    double residuals[MAX_N];
    tl_ridge_fit fit;
    problem_init(&p, N, D, .1, tl_test_seed());
    assert_ok(tl_ridge(TL_RIDGE_PLAIN, tl_dro(p.a), p.y, w, residuals, (tl_dmat){0}, &fit));
    for (int left = 0; left < N; left += 7) {
        problem rest = p;
        tl_dmat inverse;
        double row[MAX_D];
        double y = p.y[left];
        memcpy(row, tl_dmat_row(p.a, left), D * sizeof *row);
        memset(tl_dmat_row(rest.a, left), 0, D * sizeof *row);
        rest.y[left] = 0;
        plain_ridge(&rest, fit.lambda, &inverse, w);
        assert_close(residuals[left], y - tl_ddot(D, row, w), 1e-8);
        memcpy(tl_dmat_row(p.a, left), row, D * sizeof *row);
        tl_dmat_done(&inverse);
    }
    tl_dmat_done(&p.a);
}

/* With three columns for four samples, left-out residuals are twice as wide as the noise. */
static void proportional_residuals_are_as_wide_as_the_noise(void **state)
{
    (void)state;
    enum {
        N = 120,
        D = 90
    };
    static const double noise = .02;
    problem p;
    double w[MAX_D + 1];
    double residuals[MAX_N];
    double squares = 0;
    tl_dmat inverse;
    tl_ridge_fit fit;
    problem_init(&p, N, D, 0, tl_test_seed());
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (int i = 0; i < N; i++) {
        p.y[i] = 1 + .2 * (p.y[i] - 1) + noise * tl_rng_normal(&rng);
    }
    assert_ok(tl_dmat_init(&inverse, D + 1, D + 1));
    assert_ok(tl_ridge_proportional(tl_dro(p.a), p.y, w, residuals, inverse, &fit));
    for (int i = 0; i < N; i++) {
        squares += residuals[i] * residuals[i] / N;
    }
    assert_true(sqrt(squares) > .6 * noise && sqrt(squares) < 1.5 * noise);
    tl_dmat_done(&inverse);
    tl_dmat_done(&p.a);
}

static void primal_and_dual_agree(void **state)
{
    (void)state;
    enum {
        N = 60,
        D = 60
    };
    problem p;
    double w_dual[MAX_D];
    double w_primal[MAX_D];
    tl_ridge_fit dual;
    tl_ridge_fit primal;
    problem_init(&p, N, D, .05, tl_test_seed());
    /* One column fewer makes it primal; a column of zeros changes nothing. */
    for (int i = 0; i < N; i++) {
        tl_dmat_row(p.a, i)[D - 1] = 0;
    }
    assert_ok(tl_ridge(TL_RIDGE_ROBUST, tl_dro(p.a), p.y, w_dual, NULL, (tl_dmat){0}, &dual));
    tl_dcmat narrow = tl_dcmat_cols(tl_dro(p.a), 0, D - 1);
    assert_ok(tl_ridge(TL_RIDGE_ROBUST, narrow, p.y, w_primal, NULL, (tl_dmat){0}, &primal));
    assert_close(dual.lambda, primal.lambda, 0);
    assert_close(dual.mean, primal.mean, 1e-9);
    for (int j = 0; j < D - 1; j++) {
        assert_close(w_dual[j], w_primal[j], 1e-8);
    }
    assert_close(w_dual[D - 1], 0, 1e-12);
    tl_dmat_done(&p.a);
}

static void a_wild_value_bends_the_robust_fit_little(void **state)
{
    (void)state;
    enum {
        N = 100,
        D = 10
    };
    problem p;
    double w[MAX_D];
    tl_ridge_fit fit;
    problem_init(&p, N, D, .02, tl_test_seed());
    p.y[3] *= 10;
    assert_ok(tl_ridge(TL_RIDGE_ROBUST, tl_dro(p.a), p.y, w, NULL, (tl_dmat){0}, &fit));
    assert_close(fit.mean, 1, .12);
    for (int j = 0; j < D; j++) {
        assert_close(w[j], p.w[j], .1);
    }
    tl_dmat_done(&p.a);
}

static void degenerate_problems_have_an_answer(void **state)
{
    (void)state;
    tl_dmat a;
    double y[3] = {1, 1, 1};
    double w[2];
    tl_ridge_fit fit;
    assert_ok(tl_dmat_init(&a, 3, 2)); /* no column varies */
    assert_ok(tl_ridge(TL_RIDGE_ROBUST, tl_dro(a), y, w, NULL, (tl_dmat){0}, &fit));
    assert_close(fit.mean, 1, 1e-12);
    assert_close(w[0], 0, 0);
    tl_dcmat one = tl_dcmat_rows(tl_dro(a), 0, 1);
    assert_ok(tl_ridge(TL_RIDGE_ROBUST, one, y, w, NULL, (tl_dmat){0}, &fit));
    assert_close(fit.mean, 1, 1e-12);
    tl_dmat_row(a, 1)[1] = (double)NAN;
    assert_err(
        TL_ENUMERIC, tl_ridge(TL_RIDGE_ROBUST, tl_dro(a), y, w, NULL, (tl_dmat){0}, &fit));
    tl_dmat_done(&a);
}

static void lack_of_memory_is_survived(void **state)
{
    (void)state;
    problem p;
    double w[MAX_D];
    tl_dmat inverse;
    tl_ridge_fit fit;
    static const int shapes[2][2] = {
        {10, 30},
        {30, 10}
    };
    for (int s = 0; s < 2; s++) {
        tl_err err = TL_ENOMEM;
        problem_init(&p, shapes[s][0], shapes[s][1], .1, 1);
        assert_ok(tl_dmat_init(&inverse, shapes[s][1], shapes[s][1]));
        for (long k = 1; err != TL_OK; k++) {
            long live = tl_mem_live();
            tl_mem_fail_at(k);
            err = tl_ridge(TL_RIDGE_ROBUST, tl_dro(p.a), p.y, w, NULL, inverse, &fit);
            tl_mem_fail_at(0);
            assert_int_equal(tl_mem_live(), live);
        }
        tl_dmat_done(&inverse);
        tl_dmat_done(&p.a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            weights_and_inverse_solve_the_normal_equations, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            residuals_are_those_of_fits_without_the_sample, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            proportional_residuals_are_as_wide_as_the_noise, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            primal_and_dual_agree, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            a_wild_value_bends_the_robust_fit_little, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            degenerate_problems_have_an_answer, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            lack_of_memory_is_survived, tl_test_count_blocks, tl_test_no_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
