/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BENCH_GEMM_CLOCK_H
#define TL_BENCH_GEMM_CLOCK_H

/*
 * Counts what one thread multiplies and how long that takes, for benchmarks that are linked with
 * --wrap=tl_gemm: every tl_gemm() of the program passes here.
 *
 *     tl_gemm_clock = (tl_gemm_count){0};
 *     ...
 *     printf("%g GFLOP in %g s\n", tl_gemm_clock.flop * 1e-9, tl_gemm_clock.s);
 */

#include "numerics/gemm.h"

#include <stdint.h>

typedef struct tl_gemm_count {
    double s; /* of tl_gemm_thread_s() */
    double flop;
    int64_t n;
} tl_gemm_count;

/* Since it was set to zero. */
extern tl_gemm_count tl_gemm_clock;

/* Processor time of this thread: what other programs take does not count. */
double tl_gemm_thread_s(void);

/* tl_gemm() itself, uncounted, and the one that counts: both are named by the linker. */
void __real_tl_gemm(
    float alpha, tl_trans ta, tl_cmat a, tl_trans tb, tl_cmat b, float beta, tl_mat c);
void __wrap_tl_gemm(
    float alpha, tl_trans ta, tl_cmat a, tl_trans tb, tl_cmat b, float beta, tl_mat c);

#endif
