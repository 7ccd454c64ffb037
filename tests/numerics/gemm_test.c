/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "numerics/gemm.h"
#include "numerics/rng.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>

/* Residual of a product of k terms of size 1; observed 3e-5 and 7e-13. */
static const double float_tolerance = 1e-3;
static const double double_tolerance = 1e-11;

static const struct shape {
    int m, n, k;
} shapes[] = {
    {1,   1,   1  },
    {1,   16,  5  },
    {3,   2,   7  },
    {17,  33,  65 },
    {128, 150, 48 },
    {200, 1,   300},
    {5,   4,   0  },
};

static const tl_trans both[] = {TL_N, TL_T};

/* A random [rows, cols] block that starts at (1, 2) of its parent, whose rest is NaN. */
static tl_mat new_view(tl_rng *rng, int rows, int cols, tl_mat *parent)
{
    assert_ok(tl_mat_init(parent, rows + 2, cols + 5));
    for (int i = 0; i < parent->rows; i++) {
        for (int j = 0; j < parent->ld; j++) {
            bool is_inside = 1 <= i && i <= rows && 2 <= j && j < cols + 2;
            tl_mat_row(*parent, i)[j] = is_inside ? (float)tl_rng_normal(rng) : NAN;
        }
    }
    return tl_mat_cols(tl_mat_rows(*parent, 1, rows + 1), 2, cols + 2);
}

static tl_dmat new_dview(tl_rng *rng, int rows, int cols, tl_dmat *parent)
{
    assert_ok(tl_dmat_init(parent, rows + 2, cols + 5));
    for (int i = 0; i < parent->rows; i++) {
        for (int j = 0; j < parent->ld; j++) {
            bool is_inside = 1 <= i && i <= rows && 2 <= j && j < cols + 2;
            tl_dmat_row(*parent, i)[j] = is_inside ? tl_rng_normal(rng) : (double)NAN;
        }
    }
    return tl_dmat_cols(tl_dmat_rows(*parent, 1, rows + 1), 2, cols + 2);
}

static void assert_nan_around(tl_mat parent, int rows, int cols)
{
    for (int i = 0; i < parent.rows; i++) {
        for (int j = 0; j < parent.ld; j++) {
            if (i < 1 || i > rows || j < 2 || j >= cols + 2) {
                assert_true(isnan(tl_mat_row(parent, i)[j]));
            }
        }
    }
}

/* out += alpha op(A) v, by the definition and in double. */
static void apply(double alpha, tl_trans trans, tl_cmat a, const double *v, double *out)
{
    for (int i = 0; i < a.rows; i++) {
        for (int j = 0; j < a.cols; j++) {
            double value = alpha * (double)tl_cmat_row(a, i)[j];
            if (trans == TL_T) {
                out[j] += value * v[i];
            } else {
                out[i] += value * v[j];
            }
        }
    }
}

static void dapply(double alpha, tl_trans trans, tl_dcmat a, const double *v, double *out)
{
    for (int i = 0; i < a.rows; i++) {
        for (int j = 0; j < a.cols; j++) {
            double value = alpha * tl_dcmat_row(a, i)[j];
            if (trans == TL_T) {
                out[j] += value * v[i];
            } else {
                out[i] += value * v[j];
            }
        }
    }
}

enum {
    MAX_SIDE = 512
};

/* A random vector, and room for what matrices make of it. */
typedef struct probe {
    double v[MAX_SIDE], inner[MAX_SIDE], want[MAX_SIDE], got[MAX_SIDE];
} probe;

static probe make_probe(tl_rng *rng)
{
    probe p = {0};
    for (int i = 0; i < MAX_SIDE; i++) {
        p.v[i] = tl_rng_normal(rng);
    }
    return p;
}

static void assert_same(const probe *p, int n, double tolerance)
{
    for (int i = 0; i < n; i++) {
        assert_close(p->got[i], p->want[i], tolerance * (1.0 + fabs(p->want[i])));
    }
}

/* C v = alpha op(A) (op(B) v) + beta C_before v for a random v. */
static void check_gemm(tl_rng *rng, struct shape s, tl_trans ta, tl_trans tb, float beta)
{
    const float alpha = 1.5F;
    tl_mat pa;
    tl_mat pb;
    tl_mat pc;
    tl_mat a = ta == TL_T ? new_view(rng, s.k, s.m, &pa) : new_view(rng, s.m, s.k, &pa);
    tl_mat b = tb == TL_T ? new_view(rng, s.n, s.k, &pb) : new_view(rng, s.k, s.n, &pb);
    tl_mat c = new_view(rng, s.m, s.n, &pc);
    probe p = make_probe(rng);
    if (beta == 0.0F) {
        tl_mat_row(c, 0)[0] = NAN; /* must not matter */
    } else {
        apply((double)beta, TL_N, tl_ro(c), p.v, p.want);
    }
    tl_gemm(alpha, ta, tl_ro(a), tb, tl_ro(b), beta, c);
    apply(1.0, TL_N, tl_ro(c), p.v, p.got);
    apply(1.0, tb, tl_ro(b), p.v, p.inner);
    apply((double)alpha, ta, tl_ro(a), p.inner, p.want);
    assert_same(&p, s.m, float_tolerance);
    assert_nan_around(pc, s.m, s.n);
    tl_mat_done(&pa);
    tl_mat_done(&pb);
    tl_mat_done(&pc);
}

static void check_dgemm(tl_rng *rng, struct shape s, tl_trans ta, tl_trans tb, double beta)
{
    tl_dmat pa;
    tl_dmat pb;
    tl_dmat pc;
    tl_dmat a = ta == TL_T ? new_dview(rng, s.k, s.m, &pa) : new_dview(rng, s.m, s.k, &pa);
    tl_dmat b = tb == TL_T ? new_dview(rng, s.n, s.k, &pb) : new_dview(rng, s.k, s.n, &pb);
    tl_dmat c = new_dview(rng, s.m, s.n, &pc);
    probe p = make_probe(rng);
    if (beta == 0.0) {
        tl_dmat_row(c, 0)[0] = (double)NAN;
    } else {
        dapply(beta, TL_N, tl_dro(c), p.v, p.want);
    }
    tl_dgemm(-0.5, ta, tl_dro(a), tb, tl_dro(b), beta, c);
    dapply(1.0, TL_N, tl_dro(c), p.v, p.got);
    dapply(1.0, tb, tl_dro(b), p.v, p.inner);
    dapply(-0.5, ta, tl_dro(a), p.inner, p.want);
    assert_same(&p, s.m, double_tolerance);
    tl_dmat_done(&pa);
    tl_dmat_done(&pb);
    tl_dmat_done(&pc);
}

static void products_of_views_agree_with_a_random_vector(void **state)
{
    (void)state;
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (size_t s = 0; s < TL_COUNT(shapes); s++) {
        for (size_t t = 0; t < 8; t++) {
            tl_trans ta = both[t & 1];
            tl_trans tb = both[(t >> 1) & 1];
            check_gemm(&rng, shapes[s], ta, tb, (t & 4) != 0 ? -0.7F : 0.0F);
            check_dgemm(&rng, shapes[s], ta, tb, (t & 4) != 0 ? -0.7 : 0.0);
        }
    }
}

static void check_dsyrk(tl_rng *rng, struct shape s, tl_trans trans)
{
    tl_dmat pa;
    tl_dmat pc;
    tl_dmat a = trans == TL_T ? new_dview(rng, s.k, s.m, &pa) : new_dview(rng, s.m, s.k, &pa);
    tl_dmat c = new_dview(rng, s.m, s.m, &pc);
    probe p = make_probe(rng);
    tl_dsyrk(2.0, trans, tl_dro(a), 0.0, c);
    tl_dsyrk(2.0, trans, tl_dro(a), 0.5, c);
    dapply(1.0, TL_N, tl_dro(c), p.v, p.got);
    dapply(1.0, trans == TL_T ? TL_N : TL_T, tl_dro(a), p.v, p.inner);
    dapply(3.0, trans, tl_dro(a), p.inner, p.want);
    assert_same(&p, s.m, double_tolerance);
    tl_dmat_done(&pa);
    tl_dmat_done(&pc);
}

static void a_product_with_its_own_transpose_fills_both_triangles(void **state)
{
    (void)state;
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (size_t s = 0; s < TL_COUNT(shapes); s++) {
        check_dsyrk(&rng, shapes[s], TL_N);
        check_dsyrk(&rng, shapes[s], TL_T);
    }
}

static void check_dgemv(tl_rng *rng, struct shape s, tl_trans trans, double beta)
{
    tl_dmat pa;
    tl_dmat a = new_dview(rng, s.m, s.k, &pa);
    int n_out = trans == TL_T ? s.k : s.m;
    probe p = make_probe(rng);
    for (int i = 0; i < n_out; i++) {
        p.got[i] = beta == 0.0 ? (double)NAN : i;
        p.want[i] = beta * i;
    }
    dapply(0.3, trans, tl_dro(a), p.v, p.want);
    tl_dgemv(0.3, trans, tl_dro(a), p.v, beta, p.got);
    assert_same(&p, n_out, double_tolerance);
    assert_close(tl_ddot(n_out, p.got, p.got), tl_ddot(n_out, p.want, p.want), 1e-6);
    tl_dmat_done(&pa);
}

static void a_matrix_times_a_vector_agrees_with_the_definition(void **state)
{
    (void)state;
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (size_t s = 0; s < TL_COUNT(shapes); s++) {
        for (size_t t = 0; t < TL_COUNT(both); t++) {
            check_dgemv(&rng, shapes[s], both[t], 0.0);
            check_dgemv(&rng, shapes[s], both[t], 0.25);
        }
    }
}

static void a_multiple_of_a_row_is_added_to_another_and_to_nothing_else(void **state)
{
    (void)state;
    enum {
        LONGEST = 70 /* more than two steps of any vector, and a rest */
    };
    float x[LONGEST + 1];
    float y[LONGEST + 1];
    for (int n = 0; n <= LONGEST; n++) {
        for (int j = 0; j <= LONGEST; j++) {
            x[j] = (float)j + .25F;
            y[j] = 100.0F * (float)j;
        }
        tl_axpy(n, 2.0F, x, y);
        for (int j = 0; j <= LONGEST; j++) {
            double added = j < n ? 2 * j + .5 : 0;
            assert_true((double)y[j] == 100.0 * j + added);
        }
    }
}

static void nan_travels_through_a_product(void **state)
{
    (void)state;
    float a_data[2] = {NAN, 1.0F};
    float b_data[2] = {0.0F, 1.0F};
    float c_data[1] = {0.0F};
    tl_cmat a = {.data = a_data, .rows = 1, .cols = 2, .ld = 2};
    tl_cmat b = {.data = b_data, .rows = 2, .cols = 1, .ld = 1};
    tl_gemm(
        1.0F, TL_N, a, TL_N, b, 0.0F, (tl_mat){.data = c_data, .rows = 1, .cols = 1, .ld = 1});
    assert_true(isnan(c_data[0]));
}

/* OpenBLAS's own count; its header stays behind numerics/gemm.c. */
int openblas_get_num_threads(void);

static void one_blas_thread_is_one(void **state)
{
    (void)state;
    tl_blas_single_thread();
    assert_int_equal(openblas_get_num_threads(), 1);
}

enum {
    SIDE = 200,
    N_WORKERS = 4,
    N_PRODUCTS = 20
};

/* Products of one thread; the last must be bit for bit what the main thread got. */
static void *work(void *context)
{
    tl_dmat *operands = context;
    tl_blas_single_thread();
    for (int i = 0; i < N_PRODUCTS; i++) {
        tl_dgemm(1.0, TL_N, tl_dro(operands[0]), TL_N, tl_dro(operands[0]), 0.0, operands[1]);
    }
    return NULL;
}

static void workers_with_one_blas_thread_each_get_the_same_bits(void **state)
{
    (void)state;
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    pthread_t threads[N_WORKERS];
    tl_dmat operands[N_WORKERS + 1][2] = {0};
    assert_ok(tl_dmat_init(&operands[0][0], SIDE, SIDE));
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) {
            tl_dmat_row(operands[0][0], i)[j] = tl_rng_normal(&rng);
        }
    }
    for (int w = 0; w <= N_WORKERS; w++) {
        operands[w][0] = operands[0][0];
        assert_ok(tl_dmat_init(&operands[w][1], SIDE, SIDE));
    }
    (void)work(operands[0]);
    for (int w = 0; w < N_WORKERS; w++) {
        assert_int_equal(pthread_create(&threads[w], NULL, work, operands[w + 1]), 0);
    }
    for (int w = 0; w < N_WORKERS; w++) {
        assert_int_equal(pthread_join(threads[w], NULL), 0);
        size_t bytes = (size_t)SIDE * (size_t)operands[0][1].ld * sizeof(double);
        assert_memory_equal(operands[w + 1][1].data, operands[0][1].data, bytes);
    }
    for (int w = 0; w <= N_WORKERS; w++) {
        tl_dmat_done(&operands[w][1]);
    }
    tl_dmat_done(&operands[0][0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(products_of_views_agree_with_a_random_vector),
        TEST(a_product_with_its_own_transpose_fills_both_triangles),
        TEST(a_matrix_times_a_vector_agrees_with_the_definition),
        TEST(a_multiple_of_a_row_is_added_to_another_and_to_nothing_else),
        TEST(nan_travels_through_a_product),
        TEST(one_blas_thread_is_one),
        TEST(workers_with_one_blas_thread_each_get_the_same_bits),
    };
    return cmocka_run_group_tests_name("numerics/gemm", tests, NULL, NULL);
}
