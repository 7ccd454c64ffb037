/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "numerics/gemm.h"
#include "numerics/linalg.h"
#include "numerics/rng.h"

#include <math.h>

/* Residuals of products with a random vector; observed 2e-14. */
static const double residual_tolerance = 1e-11;

static const int sizes[] = {1, 2, 5, 17, 64, 130};

static tl_dmat new_dmat(int rows, int cols)
{
    tl_dmat m = {0};
    assert_ok(tl_dmat_init(&m, rows, cols));
    return m;
}

static void fill(tl_rng *rng, tl_dmat m)
{
    for (int i = 0; i < m.rows; i++) {
        for (int j = 0; j < m.cols; j++) {
            tl_dmat_row(m, i)[j] = tl_rng_normal(rng);
        }
    }
}

/* A well-conditioned symmetric positive definite matrix, a view with a wider parent. */
static tl_dmat fill_spd(tl_rng *rng, tl_dmat parent, int n)
{
    tl_dmat a = tl_dmat_cols(tl_dmat_rows(parent, 0, n), 1, n + 1);
    tl_dmat g = new_dmat(n, 2 * n);
    fill(rng, g);
    tl_dsyrk(1.0 / n, TL_N, tl_dro(g), 0.0, a);
    for (int i = 0; i < n; i++) {
        tl_dmat_row(a, i)[i] += 0.1;
    }
    tl_dmat_done(&g);
    return a;
}

typedef struct fixture {
    int n;
    tl_rng rng;
    tl_dmat parent, parent_l;
    tl_dmat a, l;        /* [n, n], l the factor of a */
    tl_dmat v, av, want; /* [n, 1] as [n] contiguous: one row */
} fixture;

static fixture make(uint64_t seed, int n)
{
    fixture f = {.n = n};
    tl_rng_init(&f.rng, seed);
    f.parent = new_dmat(n + 1, n + 3);
    f.parent_l = new_dmat(n + 1, n + 3);
    f.a = fill_spd(&f.rng, f.parent, n);
    f.l = tl_dmat_cols(tl_dmat_rows(f.parent_l, 1, n + 1), 2, n + 2);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            tl_dmat_row(f.l, i)[j] = tl_dmat_row(f.a, i)[j];
        }
    }
    assert_ok(tl_chol(f.l));
    f.v = new_dmat(1, n);
    f.av = new_dmat(1, n);
    f.want = new_dmat(1, n);
    fill(&f.rng, f.v);
    tl_dgemv(1.0, TL_N, tl_dro(f.a), f.v.data, 0.0, f.av.data);
    return f;
}

static void unmake(fixture *f)
{
    tl_dmat_done(&f->parent);
    tl_dmat_done(&f->parent_l);
    tl_dmat_done(&f->v);
    tl_dmat_done(&f->av);
    tl_dmat_done(&f->want);
}

static void assert_same(int n, const double *got, const double *want)
{
    for (int i = 0; i < n; i++) {
        assert_close(got[i], want[i], residual_tolerance);
    }
}

static void the_cholesky_factor_multiplies_back(void **state)
{
    (void)state;
    for (size_t s = 0; s < TL_COUNT(sizes); s++) {
        int n = sizes[s];
        fixture f = make(tl_test_seed() + s, n);
        for (int i = 0; i < n; i++) {
            for (int j = i + 1; j < n; j++) {
                assert_true(tl_dmat_row(f.l, i)[j] == 0.0);
            }
        }
        /* L (L^T v) = A v */
        tl_dmat ltv = new_dmat(1, n);
        tl_dgemv(1.0, TL_T, tl_dro(f.l), f.v.data, 0.0, ltv.data);
        tl_dgemv(1.0, TL_N, tl_dro(f.l), ltv.data, 0.0, f.want.data);
        assert_same(n, f.want.data, f.av.data);
        tl_dmat_done(&ltv);
        unmake(&f);
    }
}

static void solving_undoes_the_product(void **state)
{
    (void)state;
    for (size_t s = 0; s < TL_COUNT(sizes); s++) {
        fixture f = make(tl_test_seed() + s, sizes[s]);
        tl_chol_solve(tl_dro(f.l), f.av.data);
        assert_same(f.n, f.av.data, f.v.data);
        unmake(&f);
    }
}

static void forward_substitution_solves_every_column(void **state)
{
    (void)state;
    for (size_t s = 0; s < TL_COUNT(sizes); s++) {
        int n = sizes[s];
        fixture f = make(tl_test_seed() + s, n);
        tl_dmat b = new_dmat(n, 3);
        tl_dmat lb = new_dmat(n, 3);
        fill(&f.rng, b);
        tl_dgemm(1.0, TL_N, tl_dro(f.l), TL_N, tl_dro(b), 0.0, lb);
        tl_chol_forward(tl_dro(f.l), lb);
        for (int i = 0; i < n; i++) {
            assert_same(3, tl_dmat_row(lb, i), tl_dmat_row(b, i));
        }
        tl_dmat_done(&b);
        tl_dmat_done(&lb);
        unmake(&f);
    }
}

static void the_inverse_is_symmetric_and_undoes_the_product(void **state)
{
    (void)state;
    for (size_t s = 0; s < TL_COUNT(sizes); s++) {
        int n = sizes[s];
        fixture f = make(tl_test_seed() + s, n);
        tl_dmat inverse = new_dmat(n, n);
        fill(&f.rng, inverse); /* what it held must not matter */
        tl_chol_inverse(tl_dro(f.l), inverse);
        tl_dgemv(1.0, TL_N, tl_dro(inverse), f.av.data, 0.0, f.want.data);
        assert_same(n, f.want.data, f.v.data);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < i; j++) {
                assert_true(tl_dmat_row(inverse, i)[j] == tl_dmat_row(inverse, j)[i]);
            }
        }
        tl_dmat_done(&inverse);
        unmake(&f);
    }
}

static void eigenvectors_multiply_back_and_agree_with_the_determinant(void **state)
{
    (void)state;
    for (size_t s = 0; s < TL_COUNT(sizes); s++) {
        int n = sizes[s];
        fixture f = make(tl_test_seed() + s, n);
        tl_dmat values = new_dmat(1, n);
        tl_dmat utv = new_dmat(1, n);
        assert_ok(tl_eig_sym(f.a, values.data));
        /* U diag(values) (U^T v) = A v, and U (U^T v) = v */
        double half_logdet = 0.0;
        tl_dgemv(1.0, TL_T, tl_dro(f.a), f.v.data, 0.0, utv.data);
        tl_dgemv(1.0, TL_N, tl_dro(f.a), utv.data, 0.0, f.want.data);
        assert_same(n, f.want.data, f.v.data);
        for (int i = 0; i < n; i++) {
            assert_true(i == 0 || values.data[i - 1] <= values.data[i]);
            utv.data[i] *= values.data[i];
            half_logdet += 0.5 * log(values.data[i]);
        }
        tl_dgemv(1.0, TL_N, tl_dro(f.a), utv.data, 0.0, f.want.data);
        assert_same(n, f.want.data, f.av.data);
        assert_close(tl_chol_half_logdet(tl_dro(f.l)), half_logdet, residual_tolerance * n);
        tl_dmat_done(&values);
        tl_dmat_done(&utv);
        unmake(&f);
    }
}

static void a_matrix_that_is_not_positive_definite_is_refused(void **state)
{
    (void)state;
    static const double bad[] = {-1.0, 0.0, (double)NAN, (double)INFINITY, -(double)INFINITY};
    enum {
        N = 40
    };
    for (size_t b = 0; b < TL_COUNT(bad); b++) {
        tl_dmat a = new_dmat(N, N);
        for (int i = 0; i < N; i++) {
            tl_dmat_row(a, i)[i] = i == 20 ? bad[b] : 1.0;
        }
        assert_err(TL_ENUMERIC, tl_chol(a));
        assert_detail("row 21");
        tl_dmat_done(&a);
    }
}

static void a_value_off_the_diagonal_that_is_not_finite_is_refused(void **state)
{
    (void)state;
    static const double bad[] = {(double)NAN, (double)INFINITY};
    for (size_t b = 0; b < TL_COUNT(bad); b++) {
        for (int row = 1; row < 130; row += 43) {
            fixture f = make(tl_test_seed(), 130);
            double values[130];
            tl_dmat_row(f.a, row)[row - 1] = bad[b];
            tl_dmat_row(f.a, row - 1)[row] = bad[b];
            assert_err(TL_ENUMERIC, tl_eig_sym(f.a, values));
            assert_err(TL_ENUMERIC, tl_chol(f.a));
            unmake(&f);
        }
    }
}

static void empty_matrices_pass(void **state)
{
    (void)state;
    tl_dmat a = new_dmat(0, 0);
    double none[1] = {0.0};
    assert_ok(tl_chol(a));
    assert_ok(tl_eig_sym(a, none));
    tl_chol_solve(tl_dro(a), none);
    tl_chol_inverse(tl_dro(a), a);
    assert_true(tl_chol_half_logdet(tl_dro(a)) == 0.0);
    tl_dmat_done(&a);
}

static void eigenvectors_survive_every_allocation_failure(void **state)
{
    (void)state;
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    for (long k = 1; err != TL_OK; k++) {
        fixture f = make(tl_test_seed(), 5);
        double values[5];
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_eig_sym(f.a, values);
        tl_mem_fail_at(0);
        assert_int_equal(tl_mem_live(), live_before);
        n_failures += err == TL_ENOMEM;
        unmake(&f);
    }
    assert_int_equal(n_failures, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_cholesky_factor_multiplies_back),
        TEST(solving_undoes_the_product),
        TEST(forward_substitution_solves_every_column),
        TEST(the_inverse_is_symmetric_and_undoes_the_product),
        TEST(eigenvectors_multiply_back_and_agree_with_the_determinant),
        TEST(a_matrix_that_is_not_positive_definite_is_refused),
        TEST(a_value_off_the_diagonal_that_is_not_finite_is_refused),
        TEST(empty_matrices_pass),
        TEST(eigenvectors_survive_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("numerics/linalg", tests, NULL, NULL);
}
