/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_NUMERICS_LINALG_H
#define TL_NUMERICS_LINALG_H

/*
 * Factorizations of small symmetric matrices (LAPACKE).
 */

#include "numerics/mat.h"

/*
 * A = L L^T in place: the lower triangle of a [n, n] becomes L, the strict upper
 * one becomes zero. Fails with TL_ENUMERIC when A is not positive definite (or not finite).
 */
TL_MUST_USE tl_err tl_chol(tl_dmat a);

/* x <- (L L^T)^-1 x, in place, L from tl_chol(), x [n]. */
void tl_chol_solve(tl_dcmat l, double *x);

/* b <- L^-1 b for every column of b [n, m]. */
void tl_chol_forward(tl_dcmat l, tl_dmat b);

/* inverse [n, n] <- (L L^T)^-1, both triangles. */
void tl_chol_inverse(tl_dcmat l, tl_dmat inverse);

/* sum_i log L_ii. */
double tl_chol_half_logdet(tl_dcmat l);

/*
 * A = U diag(values) U^T. a [n, n] symmetric (both triangles filled) is
 * overwritten by U, eigenvectors in columns; values [n] ascend. Fails with
 * TL_ENUMERIC when A is not finite or the iteration does not converge; a and
 * values are then undefined.
 */
TL_MUST_USE tl_err tl_eig_sym(tl_dmat a, double *values);

#endif
