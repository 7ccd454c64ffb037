/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/gemm_clock.h"

#include <time.h>

tl_gemm_count tl_gemm_clock;

double tl_gemm_thread_s(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void __wrap_tl_gemm(
    float alpha, tl_trans ta, tl_cmat a, tl_trans tb, tl_cmat b, float beta, tl_mat c)
{
    double start_s = tl_gemm_thread_s();
    __real_tl_gemm(alpha, ta, a, tb, b, beta, c);
    tl_gemm_clock.s += tl_gemm_thread_s() - start_s;
    tl_gemm_clock.n++;
    tl_gemm_clock.flop += 2.0 * c.rows * c.cols * (ta == TL_N ? a.cols : a.rows);
}
