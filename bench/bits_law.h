/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BENCH_BITS_LAW_H
#define TL_BENCH_BITS_LAW_H

/*
 * The law of a layer on a bit-flexible accelerator, after its physics alone:
 *
 *     t = (C^p + M^p)^(1/p) + l
 *     C = k0 MACs,     M = k1 weight bytes + k2 input bytes + k3 output bytes
 *
 * MACs count by the widths that the multipliers have, bytes by the true ones. All six
 * are fitted to the logarithm, by reweighted least squares that stand for
 * mean |log error|^1.5. p large is the roofline's maximum, p = 1 its sum.
 */

#include "spaces/network.h"

enum {
    TL_BITS_LAW_TERMS = 4,
    TL_BITS_LAW_PARAMETERS = 6
};

typedef struct tl_bits_law {
    double theta[TL_BITS_LAW_PARAMETERS]; /* logarithms of k0..k3, l and p - 1 */
} tl_bits_law;

/* What the law reads of a layer: MACs at the multipliers' widths, then bytes. */
void tl_bits_law_terms(const tl_op *op, double out_terms[TL_BITS_LAW_TERMS]);

/* terms [n, TL_BITS_LAW_TERMS], y [n] positive. Stops the program where there is no memory. */
tl_bits_law tl_bits_law_fit(int n, const double *terms, const double *y);

/* log t of one layer. */
double tl_bits_law_log(const tl_bits_law *law, const double terms[TL_BITS_LAW_TERMS]);

double tl_bits_law_p(const tl_bits_law *law);

#endif
