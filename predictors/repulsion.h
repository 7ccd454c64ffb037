/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_REPULSION_H
#define TL_PREDICTORS_REPULSION_H

/*
 * What keeps the heads of one trunk apart: each head is a particle in function
 * space, f_i its answers to designs that nothing was measured of. Training descends
 *
 *     weight / K sum_i (|f_i|^2 / 2 + log sum_j exp(-|f_i - f_j|^2 / h))       f_j held fixed
 *
 * beside the squared error, so that heads agree where there are measurements and
 * only there. |.|^2 is the mean over answers, h the median distance over log K. The first
 * term is the prior, that scores are standard normal: without it heads part without end.
 */

#include "numerics/mat.h"

/* Doubles of scratch that n_heads want. */
int tl_repulsion_scratch_len(int n_heads);

/* df += d/df of the above. f [n, n_heads * n_out], the outputs of a head side by side. */
void tl_repulsion_bwd(tl_cmat f, int n_heads, double weight, double *scratch, tl_mat df);

#endif
