/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/ridge.h"

#include "base/mem.h"
#include "base/watch.h"
#include "numerics/gemm.h"
#include "numerics/linalg.h"
#include "numerics/stats.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
    N_LAMBDAS = 12,
    N_ROBUST_ROUNDS = 2,
    CHECK_ROWS = 2048, /* multiplied between two looks at the watch */
};

static const double log10_first_lambda = -4;
static const double log10_lambda_step = .5;
static const double mad_to_sd = 1.4826;
static const double clip_at = 3;     /* robust deviations */
static const double min_scale = .01; /* exact simulators must not be clipped to nothing */
static const double negligible_eigenvalue = 1e-13; /* of the largest */

/*
 * A A^T = U diag(e) U^T, U [n, r] the eigenvectors of nonzero eigenvalues (all
 * n of them where n <= d).
 */
typedef struct spectrum {
    tl_dmat u;
    double *e;
    int n, r;
} spectrum;

static void spectrum_done(spectrum *s)
{
    tl_dmat_done(&s->u);
    tl_mem_free(s->e);
}

static tl_err spectrum_dual(tl_dcmat a, spectrum *s)
{
    s->r = a.rows;
    TL_TRY(tl_dmat_init(&s->u, a.rows, a.rows));
    tl_dsyrk(1, TL_N, a, 0, s->u);
    TL_TRY(tl_watch_check());
    TL_TRY(tl_eig_sym(s->u, s->e));
    for (int k = 0; k < s->r; k++) {
        s->e[k] = s->e[k] < 0 ? 0 : s->e[k];
    }
    return TL_OK;
}

/* c = A^T A */
static tl_err square(tl_dcmat a, tl_dmat c)
{
    for (int begin = 0; begin < a.rows; begin += CHECK_ROWS) {
        int end = a.rows - begin < CHECK_ROWS ? a.rows : begin + CHECK_ROWS;
        TL_TRY(tl_watch_check());
        tl_dsyrk(1, TL_T, tl_dcmat_rows(a, begin, end), begin > 0 ? 1 : 0, c);
    }
    return TL_OK;
}

/* c = A B */
static tl_err multiply(tl_dcmat a, tl_dcmat b, tl_dmat c)
{
    for (int begin = 0; begin < a.rows; begin += CHECK_ROWS) {
        int end = a.rows - begin < CHECK_ROWS ? a.rows : begin + CHECK_ROWS;
        TL_TRY(tl_watch_check());
        tl_dgemm(
            1, TL_N, tl_dcmat_rows(a, begin, end), TL_N, b, 0, tl_dmat_rows(c, begin, end));
    }
    return TL_OK;
}

/* A^T A = V diag(e) V^T, U = A V diag(e)^-1/2. */
static tl_err spectrum_primal(tl_dcmat a, spectrum *s)
{
    int d = a.cols;
    tl_err err = TL_OK;
    tl_dmat v = {0};
    if ((err = tl_dmat_init(&v, d, d)) != TL_OK) {
        return err;
    }
    if ((err = square(a, v)) != TL_OK || (err = tl_watch_check()) != TL_OK ||
        (err = tl_eig_sym(v, s->e)) != TL_OK) {
        goto done;
    }
    int n_zero = 0;
    while (n_zero < d && s->e[n_zero] <= negligible_eigenvalue * s->e[d - 1]) {
        n_zero++;
    }
    s->r = d - n_zero;
    memmove(s->e, s->e + n_zero, (size_t)s->r * sizeof *s->e);
    if ((err = tl_dmat_init(&s->u, a.rows, s->r)) != TL_OK ||
        (err = multiply(a, tl_dro(tl_dmat_cols(v, n_zero, d)), s->u)) != TL_OK) {
        goto done;
    }
    for (int i = 0; i < a.rows; i++) {
        double *row = tl_dmat_row(s->u, i);
        for (int k = 0; k < s->r; k++) {
            row[k] /= sqrt(s->e[k]);
        }
    }
done:
    tl_dmat_done(&v);
    return err;
}

static tl_err spectrum_init(tl_dcmat a, spectrum *s)
{
    int size = a.rows < a.cols ? a.rows : a.cols;
    s->n = a.rows;
    s->e = tl_mem_new((size_t)size, sizeof *s->e);
    if (s->e == NULL) {
        return tl_fail(TL_ENOMEM, "ridge");
    }
    return a.rows <= a.cols ? spectrum_dual(a, s) : spectrum_primal(a, s);
}

/* log evidence of lambda, z = U^T (y - mean), rest = |y - mean|^2 - |z|^2. */
static double log_evidence(const spectrum *s, const double *z, double rest, double lambda)
{
    int n_zero = s->n - s->r;
    double sum = n_zero > 0 ? rest / lambda : 0;
    double log_det = n_zero * log(lambda);
    for (int k = 0; k < s->r; k++) {
        sum += z[k] * z[k] / (s->e[k] + lambda);
        log_det += log(s->e[k] + lambda);
    }
    return -.5 * s->n * log(fmax(sum / s->n, DBL_MIN)) - .5 * log_det;
}

static double best_lambda(const spectrum *s, const double *z, double rest)
{
    double best = 1;
    double best_evidence = -HUGE_VAL;
    for (int i = 0; i < N_LAMBDAS; i++) {
        double lambda = pow(10, log10_first_lambda + i * log10_lambda_step);
        double evidence = log_evidence(s, z, rest, lambda);
        if (evidence > best_evidence) {
            best_evidence = evidence;
            best = lambda;
        }
    }
    return best;
}

/* Vectors of one fit; z and by_e have r entries, the others n. */
typedef struct round_work {
    double *target, *centred, *fitted, *z, *by_e;
} round_work;

/* One fit of target: mean, lambda, and target's fit in work->fitted. */
static void fit_round(
    tl_ridge_kind kind, const spectrum *s, round_work *work, tl_ridge_fit *fit)
{
    int n = s->n;
    double norm = 0;
    fit->mean = kind == TL_RIDGE_PLAIN ? 0 : tl_mean(n, work->target);
    for (int i = 0; i < n; i++) {
        work->centred[i] = work->target[i] - fit->mean;
        norm += work->centred[i] * work->centred[i];
    }
    tl_dgemv(1, TL_T, tl_dro(s->u), work->centred, 0, work->z);
    double rest = norm - tl_ddot(s->r, work->z, work->z);
    fit->lambda = best_lambda(s, work->z, rest > 0 ? rest : 0);
    for (int k = 0; k < s->r; k++) {
        work->by_e[k] = work->z[k] * s->e[k] / (s->e[k] + fit->lambda);
    }
    tl_dgemv(1, TL_N, tl_dro(s->u), work->by_e, 0, work->fitted);
}

/* residuals[i] = (y_i - fit_i) / (1 - h_ii), h = U diag(e / (e + lambda)) U^T. */
static void leave_one_out(
    const spectrum *s,
    const round_work *work,
    const tl_ridge_fit *fit,
    const double *y,
    double *residuals)
{
    for (int i = 0; i < s->n; i++) {
        const double *u = tl_dmat_row(s->u, i);
        double h = 0;
        for (int k = 0; k < s->r; k++) {
            h += u[k] * u[k] * s->e[k] / (s->e[k] + fit->lambda);
        }
        residuals[i] = (y[i] - work->fitted[i] - fit->mean) / fmax(1 - h, TL_RIDGE_LEAST_GAP);
    }
}

static double robust_scale(int n, const double *residuals, double *scratch)
{
    for (int i = 0; i < n; i++) {
        scratch[i] = fabs(residuals[i]);
    }
    return fmax(mad_to_sd * tl_median_inplace(n, scratch), min_scale);
}

/* target = y's leave-one-out prediction + clipped residual. */
static void clip_target(
    int n, const double *y, const double *residuals, double scale, double *target)
{
    double most = clip_at * scale;
    for (int i = 0; i < n; i++) {
        double r = residuals[i];
        target[i] = y[i] - r + (r > most ? most : r < -most ? -most : r);
    }
}

/* weights = A^T U (z / (e + lambda)). */
static void primal_weights(
    tl_dcmat a,
    const spectrum *s,
    round_work *work,
    const tl_ridge_fit *fit,
    double *out_weights)
{
    for (int k = 0; k < s->r; k++) {
        work->by_e[k] = work->z[k] / (s->e[k] + fit->lambda);
    }
    tl_dgemv(1, TL_N, tl_dro(s->u), work->by_e, 0, work->centred);
    tl_dgemv(1, TL_T, a, work->centred, 0, out_weights);
}

/* (A^T A + lambda I)^-1 = (I - B diag(1 / (e + lambda)) B^T) / lambda, B = A^T U [d, r]. */
static tl_err primal_inverse(tl_dcmat a, const spectrum *s, double lambda, tl_dmat inverse)
{
    tl_dmat b = {0};
    TL_TRY(tl_dmat_init(&b, a.cols, s->r));
    tl_dgemm(1, TL_T, a, TL_N, tl_dro(s->u), 0, b);
    for (int i = 0; i < b.rows; i++) {
        double *row = tl_dmat_row(b, i);
        for (int k = 0; k < b.cols; k++) {
            row[k] /= sqrt(s->e[k] + lambda);
        }
    }
    tl_dsyrk(-1 / lambda, TL_N, tl_dro(b), 0, inverse);
    for (int i = 0; i < inverse.rows; i++) {
        tl_dmat_row(inverse, i)[i] += 1 / lambda;
    }
    tl_dmat_done(&b);
    return TL_OK;
}

static bool is_finite(tl_dcmat a, const double *y)
{
    double sum = 0;
    for (int i = 0; i < a.rows; i++) {
        const double *row = tl_dcmat_row(a, i);
        sum += y[i] * 0;
        for (int j = 0; j < a.cols; j++) {
            sum += row[j] * 0;
        }
    }
    return sum == 0;
}

tl_err tl_ridge(
    tl_ridge_kind kind,
    tl_dcmat a,
    const double *y,
    double *out_weights,
    double *out_residuals,
    tl_dmat out_inverse,
    tl_ridge_fit *out_fit)
{
    TL_ASSERT(a.rows > 0 && a.cols > 0);
    TL_ASSERT(
        out_inverse.data == NULL || (out_inverse.rows == a.cols && out_inverse.cols == a.cols));
    if (!is_finite(a, y)) {
        return tl_fail(TL_ENUMERIC, "ridge: the input is not finite");
    }
    tl_err err = TL_OK;
    size_t n = (size_t)a.rows;
    size_t size = a.rows < a.cols ? n : (size_t)a.cols;
    spectrum s = {0};
    tl_ridge_fit fit = {0};
    double *memory = tl_mem_new(5 * n + 2 * size, sizeof *memory);
    if (memory == NULL) {
        return tl_fail(TL_ENOMEM, "ridge");
    }
    round_work work = {
        .target = memory,
        .centred = memory + n,
        .fitted = memory + 2 * n,
        .z = memory + 5 * n,
        .by_e = memory + 5 * n + size};
    double *residuals = memory + 3 * n;
    double *scratch = memory + 4 * n;
    if ((err = spectrum_init(a, &s)) != TL_OK) {
        goto done;
    }
    memcpy(work.target, y, n * sizeof *y);
    int n_rounds = kind == TL_RIDGE_PLAIN ? 1 : N_ROBUST_ROUNDS;
    for (int round = 0; round < n_rounds; round++) {
        if ((err = tl_watch_check()) != TL_OK) {
            goto done;
        }
        fit_round(kind, &s, &work, &fit);
        leave_one_out(&s, &work, &fit, y, residuals);
        fit.scale = robust_scale(a.rows, residuals, scratch);
        clip_target(a.rows, y, residuals, fit.scale, work.target);
    }
    if (out_inverse.data != NULL &&
        (err = primal_inverse(a, &s, fit.lambda, out_inverse)) != TL_OK) {
        goto done;
    }
    primal_weights(a, &s, &work, &fit, out_weights);
    if (out_residuals != NULL) {
        memcpy(out_residuals, residuals, n * sizeof *residuals);
    }
    *out_fit = fit;
done:
    spectrum_done(&s);
    tl_mem_free(memory);
    return err;
}
