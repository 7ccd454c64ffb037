/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_NUMERICS_STATS_H
#define TL_NUMERICS_STATS_H

/*
 * Statistics of samples and the distributions that intervals are read from.
 * Sums are in double. Where scratch memory is needed the function can fail with TL_ENOMEM.
 */

#include "base/err.h"

double tl_mean(int n, const double *x);
double tl_sd(int n, const double *x); /* population: divides by n */

/* Linear interpolation between order statistics, 0 <= q <= 1; x is sorted in place. NaN travels. */
double tl_quantile_inplace(int n, double *x, double q);
double tl_median_inplace(int n, double *x);

/* Ranks from 1, ties averaged, NaN last. */
TL_MUST_USE tl_err tl_rank(int n, const double *x, double *out_rank);

/* Spearman's rank correlation, ties averaged; 0 where one of the two is constant, NaN travels. */
TL_MUST_USE tl_err tl_spearman(int n, const double *x, const double *y, double *out_rho);

/* Standard normal: distribution function and its inverse, 0 < p < 1; 14 digits. */
double tl_normal_cdf(double x);
double tl_normal_quantile(double p);

/* Student's t with dof > 0 degrees of freedom (INFINITY: normal); 9 digits, in the tails too. */
double tl_student_cdf(double t, double dof);
double tl_student_quantile(double p, double dof);

/* Sorts ascending, NaN last. */
void tl_sort(int n, double *x);

/* Indices that sort x ascending, NaN last; ties by index. */
TL_MUST_USE tl_err tl_argsort(int n, const double *x, int *out_order);

#endif
