/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Hamiltonian Monte Carlo over both scales, (log s, log t) of scales.h: what "gp", at
 * one point of them, cannot do is to be unsure of the scales. Given the scales the weights
 * are known in closed form and need no draws: each draw gives, with b = U^T x q for a query q,
 *
 *     mean(q) = s^2 sum_k b_k z_k / v_k,    var(q) = s^2 q.q - s^4 sum_k b_k^2 / v_k + t^2
 *
 * and the answer is the mean of the draws' means, with their variance added to the mean
 * variance. (Weights drawn along with the scales mix badly: with fewer samples
 * than weights a smaller noise makes their posterior stiffer without end.)
 */

#include "base/mem.h"
#include "grading/hmc.h"
#include "grading/infer_impl.h"
#include "grading/scales.h"
#include "numerics/gemm.h"

#include <math.h>
#include <string.h>

enum {
    N_WARM = 200,
    N_DRAWS = 400,
    N_LEAPS = 10,
    N_SCALES = 2
};

static double log_density(void *context, const double *at, double *gradient)
{
    return tl_scales_log_density(context, at, gradient);
}

/* Adds one draw to mean and square [m] of means, and variance [m]; b [n, m]. */
static void add_draw(
    const tl_scales *scales,
    const double *at,
    tl_dcmat b,
    const double *norms,
    double *mean,
    double *square,
    double *variance)
{
    double signal = exp(2 * at[0]);
    double noise = exp(2 * at[1]);
    for (int i = 0; i < b.cols; i++) {
        double sum = 0;
        double known = 0;
        for (int k = 0; k < b.rows; k++) {
            double one = tl_dcmat_row(b, k)[i];
            double v = signal * scales->eigen[k] + noise;
            sum += one * scales->z[k] / v;
            known += one * one / v;
        }
        mean[i] += signal * sum;
        square[i] += signal * sum * signal * sum;
        variance[i] += fmax(signal * (norms[i] - signal * known), 0) + noise;
    }
}

/* memory [4 m], zeroed. */
static void average(
    const tl_infer_problem *problem,
    const tl_scales *scales,
    tl_dcmat draws,
    tl_dcmat b,
    double *memory,
    tl_infer_answer *answer)
{
    int m = problem->query.rows;
    double *norms = memory;
    double *mean = norms + m;
    double *square = mean + m;
    double *variance = square + m;
    for (int i = 0; i < m; i++) {
        const double *row = tl_dcmat_row(problem->query, i);
        norms[i] = tl_ddot(problem->query.cols, row, row);
    }
    for (int k = 0; k < draws.rows; k++) {
        add_draw(scales, tl_dcmat_row(draws, k), b, norms, mean, square, variance);
    }
    for (int i = 0; i < m; i++) {
        double centre = mean[i] / draws.rows;
        double between = fmax(square[i] / draws.rows - centre * centre, 0);
        answer->mean[i] = centre;
        answer->sd[i] = sqrt(variance[i] / draws.rows + between);
    }
    answer->dof = (double)INFINITY;
}

/* b [n, m] = U^T x q */
static tl_err project(const tl_infer_problem *problem, const tl_scales *scales, tl_dmat b)
{
    tl_dmat cross = {0};
    TL_TRY(tl_dmat_init(&cross, b.rows, b.cols));
    tl_dgemm(1, TL_N, problem->x, TL_T, problem->query, 0, cross);
    tl_dgemm(1, TL_T, tl_dro(scales->basis), TL_N, tl_dro(cross), 0, b);
    tl_dmat_done(&cross);
    return TL_OK;
}

static tl_err draw(const tl_infer_problem *problem, tl_scales *scales, tl_dmat draws)
{
    double at[N_SCALES];
    double acceptance = 0;
    tl_rng rng;
    tl_hmc_target target = {.d = N_SCALES, .log_density = log_density, .context = scales};
    tl_hmc_options options = {
        .n_warm = N_WARM, .n_leaps = N_LEAPS, .step = .1, .acceptance = .8};
    tl_rng_init(&rng, problem->seed);
    tl_scales_best(scales, at);
    return tl_hmc_sample(&target, &options, &rng, at, draws, &acceptance);
}

tl_err tl_infer_hmc_run(const tl_infer_problem *problem, tl_infer_answer *answer)
{
    size_t n = (size_t)problem->x.rows;
    size_t m = (size_t)problem->query.rows;
    tl_err err = TL_OK;
    tl_scales scales = {0};
    tl_dmat draws = {0};
    tl_dmat b = {0};
    double *memory = tl_mem_new(4 * m, sizeof *memory);
    if (memory == NULL) {
        return tl_fail(TL_ENOMEM, "%zu queries", m);
    }
    if ((err = tl_scales_init(problem->x, problem->y, &scales)) != TL_OK ||
        (err = tl_dmat_init(&draws, N_DRAWS, N_SCALES)) != TL_OK ||
        (err = tl_dmat_init(&b, (int)n, (int)m)) != TL_OK ||
        (err = draw(problem, &scales, draws)) != TL_OK ||
        (err = project(problem, &scales, b)) != TL_OK) {
        goto done;
    }
    average(problem, &scales, tl_dro(draws), tl_dro(b), memory, answer);
    answer->kept_bytes =
        (N_DRAWS * N_SCALES + n * (n + (size_t)problem->x.cols + 2)) * sizeof(double);
done:
    tl_scales_done(&scales);
    tl_dmat_done(&draws);
    tl_dmat_done(&b);
    tl_mem_free(memory);
    return err;
}
