/* SPDX-License-Identifier: Apache-2.0 */
#include "grading/metrics.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/stats.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
    N_DECILES = 10,
    MAX_STUDENT_DOF = 200 /* beyond: the density is the normal one, and tgamma() overflows */
};

static const double pi = 3.14159265358979323846;

double tl_grade_rmse(const tl_graded *p)
{
    double sum = 0;
    for (int i = 0; i < p->n; i++) {
        double off = p->mean[i] - p->y[i];
        sum += off * off;
    }
    return sqrt(sum / p->n);
}

double tl_grade_mape(const tl_graded *p, double least_y)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < p->n; i++) {
        if (p->y[i] >= least_y) {
            sum += fabs(p->mean[i] / p->y[i] - 1);
            n++;
        }
    }
    return n > 0 ? sum / n : 0;
}

/* log of Student's density at 0 for a scale of 1. Not by lgamma(), which writes a global. */
static double student_log_norm(double dof)
{
    return log(tgamma((dof + 1) / 2) / tgamma(dof / 2)) - .5 * log(dof * pi);
}

/* How many scales y lies above the prediction. */
static double z_of(const tl_graded *p, int i, double y)
{
    return p->map == NULL ? (y - p->mean[i]) / p->sd[i]
                          : (p->map->forward(p->map->context, y) - p->score[i]) / p->scale[i];
}

/* The value that lies z scales above the prediction. */
static double value_at(const tl_graded *p, int i, double z)
{
    return p->map == NULL ? p->mean[i] + z * p->sd[i]
                          : p->map->inverse(p->map->context, p->score[i] + z * p->scale[i]);
}

/* -log of the slope of z in y: what a density in z lacks of one in y. */
static double log_unit(const tl_graded *p, int i)
{
    static const double step = 1e-4; /* of y; the map may have kinks */
    if (p->map == NULL) {
        return log(p->sd[i]);
    }
    double h = step * fmax(fabs(p->y[i]), step);
    return log(2 * h / (z_of(p, i, p->y[i] + h) - z_of(p, i, p->y[i] - h)));
}

double tl_grade_nll(const tl_graded *p)
{
    bool is_normal = p->dof > MAX_STUDENT_DOF;
    double norm = is_normal ? -.5 * log(2 * pi) : student_log_norm(p->dof);
    double sum = 0;
    for (int i = 0; i < p->n; i++) {
        double z = z_of(p, i, p->y[i]);
        double tail = is_normal ? z * z / 2 : (p->dof + 1) / 2 * log1p(z * z / p->dof);
        sum += tail + log_unit(p, i) - norm;
    }
    return sum / p->n;
}

double tl_grade_coverage(const tl_graded *p, double level)
{
    double t = tl_student_quantile((1 + level) / 2, p->dof);
    int n_within = 0;
    for (int i = 0; i < p->n; i++) {
        n_within += fabs(z_of(p, i, p->y[i])) <= t;
    }
    return (double)n_within / p->n;
}

double tl_grade_width(const tl_graded *p, double level)
{
    double t = tl_student_quantile((1 + level) / 2, p->dof);
    double sum = 0;
    for (int i = 0; i < p->n; i++) {
        sum += value_at(p, i, t) - value_at(p, i, -t);
    }
    return sum / p->n;
}

double tl_grade_calibration(const tl_graded *p, int n_levels, double *out_observed)
{
    double sum = 0;
    for (int k = 0; k < n_levels; k++) {
        double level = (k + 1.0) / (n_levels + 1.0);
        double t = tl_student_quantile(level, p->dof);
        int n_below = 0;
        for (int i = 0; i < p->n; i++) {
            n_below += z_of(p, i, p->y[i]) <= t;
        }
        out_observed[k] = (double)n_below / p->n;
        sum += fabs(out_observed[k] - level);
    }
    return sum / n_levels;
}

tl_err tl_grade_rejection(const tl_graded *p, int n_points, double *out_error, double *out_area)
{
    int *order = tl_mem_new((size_t)p->n, sizeof *order);
    double *squares = tl_mem_new((size_t)p->n + 1, sizeof *squares);
    tl_err err = order == NULL || squares == NULL ? tl_fail(TL_ENOMEM, "a rejection curve")
                                                  : tl_argsort(p->n, p->sd, order);
    if (err != TL_OK) {
        goto done;
    }
    /* squares[k]: of the k predictions of least uncertainty */
    for (int i = 0; i < p->n; i++) {
        double off = p->mean[order[i]] - p->y[order[i]];
        squares[i + 1] = squares[i] + off * off;
    }
    double whole = sqrt(squares[p->n] / p->n);
    double sum = 0;
    for (int k = 0; k < n_points; k++) {
        int n_kept = p->n - (int)((double)p->n * k / n_points);
        out_error[k] = sqrt(squares[n_kept] / n_kept);
        sum += out_error[k];
    }
    *out_area = whole > 0 ? sum / n_points / whole : 1;
done:
    tl_mem_free(order);
    tl_mem_free(squares);
    return err;
}

/* Both sets after one another, for the caller to free. */
static double *joined(int n_inside, const double *inside, int n_outside, const double *outside)
{
    double *all = tl_mem_new((size_t)n_inside + (size_t)n_outside, sizeof *all);
    if (all != NULL) {
        memcpy(all, inside, (size_t)n_inside * sizeof *all);
        memcpy(all + n_inside, outside, (size_t)n_outside * sizeof *all);
    }
    return all;
}

tl_err tl_grade_auroc(
    int n_inside, const double *inside, int n_outside, const double *outside, double *out_auroc)
{
    int n = n_inside + n_outside;
    double *all = joined(n_inside, inside, n_outside, outside);
    double *ranks = tl_mem_new((size_t)n, sizeof *ranks);
    tl_err err = all == NULL || ranks == NULL ? tl_fail(TL_ENOMEM, "%d ranks", n)
                                              : tl_rank(n, all, ranks);
    if (err == TL_OK) {
        /* the rank sum of Mann and Whitney */
        double sum = 0;
        for (int i = n_inside; i < n; i++) {
            sum += ranks[i];
        }
        double least = (double)n_outside * (n_outside + 1.0) / 2;
        *out_auroc = (sum - least) / ((double)n_inside * n_outside);
    }
    tl_mem_free(all);
    tl_mem_free(ranks);
    return err;
}

static void count_bins(int n, const double *x, const double *edges, double *out_share)
{
    for (int k = 0; k < N_DECILES; k++) {
        out_share[k] = 0;
    }
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < N_DECILES - 1 && x[i] > edges[k]) {
            k++;
        }
        out_share[k] += 1.0 / n;
    }
}

tl_err tl_grade_divergence(
    int n_inside, const double *inside, int n_outside, const double *outside, double *out_bits)
{
    int n = n_inside + n_outside;
    double edges[N_DECILES - 1];
    double a[N_DECILES];
    double b[N_DECILES];
    double *all = joined(n_inside, inside, n_outside, outside);
    if (all == NULL) {
        return tl_fail(TL_ENOMEM, "%d uncertainties", n);
    }
    for (int k = 0; k < N_DECILES - 1; k++) {
        edges[k] = tl_quantile_inplace(n, all, (k + 1.0) / N_DECILES);
    }
    tl_mem_free(all);
    count_bins(n_inside, inside, edges, a);
    count_bins(n_outside, outside, edges, b);
    double bits = 0;
    for (int k = 0; k < N_DECILES; k++) {
        double middle = (a[k] + b[k]) / 2;
        bits += a[k] > 0 ? a[k] / 2 * log2(a[k] / middle) : 0;
        bits += b[k] > 0 ? b[k] / 2 * log2(b[k] / middle) : 0;
    }
    *out_bits = bits;
    return TL_OK;
}

double tl_grade_distance(
    int n, const double *reference_mean, const double *reference_sd, const tl_graded *p)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double ratio = reference_sd[i] / p->sd[i];
        double off = (reference_mean[i] - p->mean[i]) / p->sd[i];
        sum += (ratio * ratio + off * off - 1) / 2 - log(ratio);
    }
    return sum / n;
}

double tl_grade_decision(const tl_graded *p, const tl_decision *decision)
{
    double most = -(double)INFINITY;
    double best_kept = -(double)INFINITY;
    for (int i = 0; i < p->n; i++) {
        most = fmax(most, decision->gain[i]);
        if (p->y[i] <= decision->limit) {
            best_kept = fmax(best_kept, decision->gain[i]);
        }
    }
    if (isinf(best_kept)) {
        return TL_UNKNOWN;
    }
    int chosen = 0;
    double least = (double)INFINITY;
    for (int i = 0; i < p->n; i++) {
        double keeps = tl_student_cdf(z_of(p, i, decision->limit), p->dof);
        double expected =
            (1 - keeps) * decision->miss_cost + keeps * (most - decision->gain[i]);
        if (expected < least) {
            least = expected;
            chosen = i;
        }
    }
    return p->y[chosen] > decision->limit ? decision->miss_cost
                                          : best_kept - decision->gain[chosen];
}
