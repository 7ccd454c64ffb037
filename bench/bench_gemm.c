/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Time of one sgemm on one thread in the shapes that the predictors run, one
 * tab-separated line each. A wrong product is a failed benchmark.
 *
 *     bench_gemm
 */

#include "base/clock.h"
#include "numerics/dense.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    N_TIMES = 51,
    MAX_SIDE = 4096
};

/* Shortest time worth reading a clock for: short products repeat until it has passed. */
static const double min_sample_us = 20.0;

/* Of sums of 512 products of size 1; observed 5e-4. */
static const double max_residual = 1e-2;

static const struct shape {
    const char *name;
    int m, n, k;
} shapes[] = {
    {"cell_message", 128,  16,  16 },
    {"cell_head",    128,  48,  16 },
    {"mlp_input",    256,  64,  150},
    {"mlp_hidden",   256,  64,  64 },
    {"one_design",   1,    64,  150},
    {"all_designs",  4096, 64,  150},
    {"square",       512,  512, 512},
};

typedef struct product {
    tl_mat a, b, c;
} product;

static void run_product(const product *p)
{
    tl_gemm(1.0F, TL_N, tl_ro(p->a), TL_N, tl_ro(p->b), 0.0F, p->c);
}

static double time_us(const product *p, int n_repeats)
{
    int64_t begin_ns = tl_clock_ns();
    for (int r = 0; r < n_repeats; r++) {
        run_product(p);
    }
    return (double)(tl_clock_ns() - begin_ns) * 1e-3 / n_repeats;
}

/* max |C v - A (B v)| for a random v, in double. */
static double residual(const product *p, tl_rng *rng)
{
    static double v[MAX_SIDE];
    static double bv[MAX_SIDE];
    double worst = 0.0;
    for (int j = 0; j < p->b.cols; j++) {
        v[j] = tl_rng_normal(rng);
    }
    for (int l = 0; l < p->b.rows; l++) {
        bv[l] = 0.0;
        for (int j = 0; j < p->b.cols; j++) {
            bv[l] += (double)tl_mat_row(p->b, l)[j] * v[j];
        }
    }
    for (int i = 0; i < p->c.rows; i++) {
        double difference = 0.0;
        for (int j = 0; j < p->c.cols; j++) {
            difference += (double)tl_mat_row(p->c, i)[j] * v[j];
        }
        for (int l = 0; l < p->a.cols; l++) {
            difference -= (double)tl_mat_row(p->a, i)[l] * bv[l];
        }
        /* Written so that NaN comes through. */
        worst = fabs(difference) <= worst ? worst : fabs(difference);
    }
    return worst;
}

static int bench_shape(const struct shape *s, tl_rng *rng)
{
    product p = {0};
    double times_us[N_TIMES];
    int status = EXIT_FAILURE;
    if (tl_mat_init(&p.a, s->m, s->k) != TL_OK || tl_mat_init(&p.b, s->k, s->n) != TL_OK ||
        tl_mat_init(&p.c, s->m, s->n) != TL_OK) {
        goto done;
    }
    tl_dense_fill_normal(rng, 1.0, p.a);
    tl_dense_fill_normal(rng, 1.0, p.b);

    run_product(&p); /* the first call wakes the library */
    double once_us = fmax(time_us(&p, 1), 0.05);
    int n_repeats = once_us < min_sample_us ? (int)(min_sample_us / once_us) + 1 : 1;
    for (int t = 0; t < N_TIMES; t++) {
        times_us[t] = time_us(&p, n_repeats);
    }
    double median_us = tl_median_inplace(N_TIMES, times_us);
    double best_us = times_us[0];
    double flop = 2.0 * s->m * s->n * s->k;
    double error = residual(&p, rng);
    (void)printf(
        "%s\t%d\t%d\t%d\t%.2f\t%.2f\t%.1f\t%.1e\n", s->name, s->m, s->n, s->k, best_us,
        median_us, flop / best_us * 1e-3, error);
    status = error < max_residual ? EXIT_SUCCESS : EXIT_FAILURE;
done:
    tl_mat_done(&p.a);
    tl_mat_done(&p.b);
    tl_mat_done(&p.c);
    return status;
}

int main(void)
{
    int status = EXIT_SUCCESS;
    tl_rng rng;
    tl_rng_init(&rng, 1);
    tl_blas_single_thread();
    (void)printf("case\tm\tn\tk\tbest_us\tmedian_us\tgflops\tresidual\n");
    for (size_t s = 0; s < TL_COUNT(shapes); s++) {
        if (bench_shape(&shapes[s], &rng) != EXIT_SUCCESS) {
            status = EXIT_FAILURE;
        }
    }
    return status;
}
