/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bits_law.h"

#include "base/mem.h"
#include "bench/public_table.h"
#include "numerics/linalg.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

enum {
    N_STEPS = 60,
    START = 5,
    L = TL_BITS_LAW_TERMS,
    P = TL_BITS_LAW_TERMS + 1
};

static const double most_p_less_1 = 4; /* logarithm: p = 56 is a maximum */
static const double least_error = .003;
static const double step = 1e-4; /* of a difference quotient */
static const double prior =
    1e-3; /* weight that keeps a parameter without influence where it is */

/* 4 x 4 bits is half of 8 x 4 and a quarter of 8 x 8; 6 bits compute as 8. */
static double share_of_8(int bits)
{
    return bits <= 4 ? .5 : 1;
}

void tl_bits_law_terms(const tl_op *op, double out_terms[TL_BITS_LAW_TERMS])
{
    static const double bits_per_byte = 8;
    out_terms[0] = (double)tl_op_macs(op) * share_of_8(op->w_bits) * share_of_8(op->a_bits);
    out_terms[1] = (double)tl_op_weights(op) * op->w_bits / bits_per_byte;
    out_terms[2] = (double)tl_op_elements_in(op) * op->a_bits / bits_per_byte;
    out_terms[3] = (double)tl_op_elements_out(op) * op->a_bits / bits_per_byte;
}

double tl_bits_law_p(const tl_bits_law *law)
{
    return 1 + exp(fmin(law->theta[P], most_p_less_1));
}

double tl_bits_law_log(const tl_bits_law *law, const double terms[TL_BITS_LAW_TERMS])
{
    double p = tl_bits_law_p(law);
    double compute = exp(law->theta[0]) * terms[0];
    double memory = 0;
    for (int j = 1; j < TL_BITS_LAW_TERMS; j++) {
        memory += exp(law->theta[j]) * terms[j];
    }
    double larger = fmax(compute, memory);
    double smaller = fmin(compute, memory);
    double bound = larger * pow(1 + pow(smaller / larger, p), 1 / p);
    return log(bound + exp(law->theta[L]));
}

/* mean |log error|^1.5, smooth about 0. */
static double loss_of(const tl_bits_law *law, int n, const double *terms, const double *y)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double off = tl_bits_law_log(law, terms + (ptrdiff_t)i * TL_BITS_LAW_TERMS) - log(y[i]);
        sum += pow(off * off + least_error * least_error, .75) / n;
    }
    return sum;
}

/* One damped step from law; the step is added to out's parameters. */
static void add_step(
    const tl_bits_law *law,
    int n,
    const double *terms,
    const double *y,
    double damp,
    tl_bits_law *out)
{
    tl_dmat a;
    double g[TL_BITS_LAW_PARAMETERS] = {0};
    tl_bench_check(tl_dmat_init(&a, TL_BITS_LAW_PARAMETERS, TL_BITS_LAW_PARAMETERS), "law");
    for (int i = 0; i < n; i++) {
        const double *row = terms + (ptrdiff_t)i * TL_BITS_LAW_TERMS;
        double slope[TL_BITS_LAW_PARAMETERS];
        double said = tl_bits_law_log(law, row);
        double off = log(y[i]) - said;
        double weight = pow(off * off + least_error * least_error, -.25) / n;
        for (int j = 0; j < TL_BITS_LAW_PARAMETERS; j++) {
            tl_bits_law moved = *law;
            moved.theta[j] += step;
            slope[j] = (tl_bits_law_log(&moved, row) - said) / step;
        }
        for (int j = 0; j < TL_BITS_LAW_PARAMETERS; j++) {
            g[j] += weight * slope[j] * off;
            for (int k = 0; k < TL_BITS_LAW_PARAMETERS; k++) {
                tl_dmat_row(a, j)[k] += weight * slope[j] * slope[k];
            }
        }
    }
    for (int j = 0; j < TL_BITS_LAW_PARAMETERS; j++) {
        tl_dmat_row(a, j)[j] = tl_dmat_row(a, j)[j] * (1 + damp) + prior * damp;
    }
    tl_bench_check(tl_chol(a), "law");
    tl_chol_solve(tl_dro(a), g);
    for (int j = 0; j < TL_BITS_LAW_PARAMETERS; j++) {
        out->theta[j] += fmax(fmin(g[j], 1), -1);
    }
    tl_dmat_done(&a);
}

/* Each term explains half of a typical layer, the constant a tenth of it. */
static tl_bits_law first_guess(int n, const double *terms, const double *y)
{
    tl_bits_law law = {{0}};
    double *ratio = tl_bench_array(n, sizeof *ratio);
    for (int j = 0; j < TL_BITS_LAW_TERMS; j++) {
        for (int i = 0; i < n; i++) {
            ratio[i] = y[i] / terms[(ptrdiff_t)i * TL_BITS_LAW_TERMS + j];
        }
        law.theta[j] = log(.5 * tl_median_inplace(n, ratio));
    }
    memcpy(ratio, y, (size_t)n * sizeof *ratio);
    law.theta[L] = log(.1 * tl_median_inplace(n, ratio));
    law.theta[P] = log(START - 1);
    tl_mem_free(ratio);
    return law;
}

tl_bits_law tl_bits_law_fit(int n, const double *terms, const double *y)
{
    tl_bits_law law = first_guess(n, terms, y);
    double loss = loss_of(&law, n, terms, y);
    double damp = 1;
    for (int i = 0; i < N_STEPS; i++) {
        tl_bits_law moved = law;
        add_step(&law, n, terms, y, damp, &moved);
        double moved_loss = loss_of(&moved, n, terms, y);
        bool is_better = moved_loss < loss;
        damp = is_better ? damp / 3 : damp * 4;
        law = is_better ? moved : law;
        loss = is_better ? moved_loss : loss;
    }
    return law;
}
