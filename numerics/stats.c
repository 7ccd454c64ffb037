/* SPDX-License-Identifier: Apache-2.0 */
#include "numerics/stats.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

double tl_mean(int n, const double *x)
{
    TL_ASSERT(n > 0);
    double sum = 0.0;
    for (int i = 0; i < n; i++) {
        sum += x[i];
    }
    return sum / n;
}

double tl_sd(int n, const double *x)
{
    double mean = tl_mean(n, x);
    double sum = 0.0;
    for (int i = 0; i < n; i++) {
        sum += (x[i] - mean) * (x[i] - mean);
    }
    return sqrt(sum / n);
}

/* NaN last: a total order, without which qsort() may run out of bounds. */
static int compare(double a, double b)
{
    if (isnan(a) || isnan(b)) {
        return (isnan(a) ? 1 : 0) - (isnan(b) ? 1 : 0);
    }
    return (a > b) - (a < b);
}

static int compare_values(const void *a, const void *b)
{
    return compare(*(const double *)a, *(const double *)b);
}

/* Inserts one after the other: faster than qsort() for few. */
static void sort_few(int n, double *x)
{
    for (int i = 1; i < n; i++) {
        double value = x[i];
        int k = i;
        for (; k > 0 && compare(x[k - 1], value) > 0; k--) {
            x[k] = x[k - 1];
        }
        x[k] = value;
    }
}

void tl_sort(int n, double *x)
{
    enum {
        FEW = 64
    };
    if (n <= FEW) {
        sort_few(n, x);
    } else {
        qsort(x, (size_t)n, sizeof *x, compare_values);
    }
}

double tl_quantile_inplace(int n, double *x, double q)
{
    TL_ASSERT(n > 0 && 0.0 <= q && q <= 1.0);
    tl_sort(n, x);
    if (isnan(x[n - 1])) {
        return x[n - 1];
    }
    double position = q * (n - 1);
    int below = (int)position;
    double share = position - below;
    if (share == 0.0) {
        return x[below];
    }
    return x[below] + share * (x[below + 1] - x[below]);
}

double tl_median_inplace(int n, double *x)
{
    return tl_quantile_inplace(n, x, 0.5);
}

typedef struct indexed {
    double value;
    int idx;
} indexed;

static int compare_indexed(const void *a, const void *b)
{
    const indexed *p = a;
    const indexed *q = b;
    int order = compare(p->value, q->value);
    return order != 0 ? order : (p->idx > q->idx) - (p->idx < q->idx);
}

static indexed *new_sorted(int n, const double *x)
{
    TL_ASSERT(n >= 0);
    indexed *sorted = tl_mem_new_aligned((size_t)n, sizeof *sorted);
    if (sorted == NULL) {
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        sorted[i] = (indexed){.value = x[i], .idx = i};
    }
    if (n > 1) {
        qsort(sorted, (size_t)n, sizeof *sorted, compare_indexed);
    }
    return sorted;
}

tl_err tl_argsort(int n, const double *x, int *out_order)
{
    indexed *sorted = new_sorted(n, x);
    if (sorted == NULL) {
        return tl_fail(TL_ENOMEM, "order of %d values", n);
    }
    for (int i = 0; i < n; i++) {
        out_order[i] = sorted[i].idx;
    }
    tl_mem_free(sorted);
    return TL_OK;
}

tl_err tl_rank(int n, const double *x, double *out_rank)
{
    indexed *sorted = new_sorted(n, x);
    if (sorted == NULL) {
        return tl_fail(TL_ENOMEM, "ranks of %d values", n);
    }
    for (int begin = 0; begin < n;) {
        int end = begin + 1;
        while (end < n && compare(sorted[begin].value, sorted[end].value) == 0) {
            end++;
        }
        for (int i = begin; i < end; i++) {
            out_rank[sorted[i].idx] = 0.5 * (begin + 1 + end);
        }
        begin = end;
    }
    tl_mem_free(sorted);
    return TL_OK;
}

static double correlation(int n, const double *x, const double *y)
{
    double mean_x = tl_mean(n, x);
    double mean_y = tl_mean(n, y);
    double xx = 0.0;
    double yy = 0.0;
    double xy = 0.0;
    for (int i = 0; i < n; i++) {
        double dx = x[i] - mean_x;
        double dy = y[i] - mean_y;
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    return xx > 0.0 && yy > 0.0 ? xy / sqrt(xx * yy) : 0.0;
}

tl_err tl_spearman(int n, const double *x, const double *y, double *out_rho)
{
    tl_err err = TL_OK;
    TL_ASSERT(n > 0);
    for (int i = 0; i < n; i++) {
        if (isnan(x[i]) || isnan(y[i])) {
            *out_rho = x[i] + y[i];
            return TL_OK;
        }
    }
    double *rank_x = tl_mem_new_aligned((size_t)n, sizeof *rank_x);
    double *rank_y = tl_mem_new_aligned((size_t)n, sizeof *rank_y);
    if (rank_x == NULL || rank_y == NULL) {
        err = tl_fail(TL_ENOMEM, "ranks of %d values", n);
        goto done;
    }
    if ((err = tl_rank(n, x, rank_x)) != TL_OK || (err = tl_rank(n, y, rank_y)) != TL_OK) {
        goto done;
    }
    *out_rho = correlation(n, rank_x, rank_y);
done:
    tl_mem_free(rank_x);
    tl_mem_free(rank_y);
    return err;
}
