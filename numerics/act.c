/* SPDX-License-Identifier: Apache-2.0 */
#include "numerics/act.h"

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * e^x by 2^n e^r with |r| <= ln 2 / 2 and a polynomial in r: branchless, so that
 * loops over it vectorize. Relative error below 2e-7 (float: 6e-8) for -87 < x < 88;
 * beyond, x is cut there. NaN stays NaN: both comparisons are false for it.
 */
TL_KERNEL static inline __attribute__((always_inline)) float exp_of(float x)
{
    static const float log2_e = 1.44269504F;
    static const float ln_2_high = .693359375F;
    static const float ln_2_low = -2.12194440e-4F;
    static const float round_to_whole =
        12582912.0F; /* 1.5 * 2^23: adding it drops the fraction */
    x = x < -87.0F ? -87.0F : x;
    x = x > 88.0F ? 88.0F : x;
    float shifted = x * log2_e + round_to_whole;
    float n = shifted - round_to_whole;
    float r = (x - n * ln_2_high) - n * ln_2_low;
    float p = 1.9875691500e-4F;
    p = p * r + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    p = (p * r) * r + r + 1.0F;
    int32_t bits = 0;
    memcpy(&bits, &shifted, sizeof bits);
    uint32_t power = ((uint32_t)bits << 23U) + 0x3f800000U; /* the low bits of shifted are n */
    float two_to_n = 0;
    memcpy(&two_to_n, &power, sizeof two_to_n);
    return p * two_to_n;
}

TL_KERNEL static inline __attribute__((always_inline)) float sigmoid(float x)
{
    return 1.0F / (1.0F + exp_of(-x));
}

enum {
    CHUNK = 512 /* floats taken at a time into local arrays, which no argument aliases */
};

/*
 * The two loops, once for any processor and once for AVX-512. The arrays do not
 * overlap: they vectorize.
 */
#define DEFINE_CHUNKS(name, attribute)                      \
    TL_KERNEL attribute static void silu_##name(            \
        int n, const float *restrict x, float *restrict y)  \
    {                                                       \
        for (int j = 0; j < n; j++) {                       \
            y[j] = x[j] * sigmoid(x[j]);                    \
        }                                                   \
    }                                                       \
    TL_KERNEL attribute static void slope_##name(           \
        int n, const float *restrict x, float *restrict dx) \
    {                                                       \
        for (int j = 0; j < n; j++) {                       \
            float s = sigmoid(x[j]);                        \
            dx[j] *= s * (1.0F + x[j] * (1.0F - s));        \
        }                                                   \
    }

typedef void chunk_fn(int n, const float *restrict x, float *restrict y);

#define NO_ATTRIBUTE
DEFINE_CHUNKS(any, NO_ATTRIBUTE)
#if defined(__x86_64__)
#    if defined(__clang__)
#        define AVX512 __attribute__((target("avx512f,avx512vl,avx512dq,fma")))
#    else
#        define AVX512 \
            __attribute__((target("avx512f,avx512vl,avx512dq,fma,prefer-vector-width=512")))
#    endif
DEFINE_CHUNKS(avx512, AVX512)

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
}

static chunk_fn *silu_chunk(void)
{
    return has_avx512() ? silu_avx512 : silu_any;
}

static chunk_fn *slope_chunk(void)
{
    return has_avx512() ? slope_avx512 : slope_any;
}
#else
static chunk_fn *silu_chunk(void)
{
    return silu_any;
}

static chunk_fn *slope_chunk(void)
{
    return slope_any;
}
#endif

/* Rows without a gap between them are one long row: narrow matrices have many short ones. */
static tl_cmat joined(tl_cmat m)
{
    return m.ld == m.cols && m.rows > 0
               ? (tl_cmat){.data = m.data, .rows = 1, .cols = m.rows * m.cols, .ld = m.rows * m.cols}
               : m;
}

void tl_silu_fwd(tl_cmat x, tl_mat y)
{
    TL_ASSERT(y.rows == x.rows && y.cols == x.cols);
    float values[CHUNK];
    chunk_fn *chunk = silu_chunk();
    if (y.ld == y.cols && x.ld == x.cols) {
        x = joined(x);
        y = (tl_mat){.data = y.data, .rows = x.rows, .cols = x.cols, .ld = x.ld};
    }
    for (int i = 0; i < x.rows && x.data != y.data; i++) {
        TL_ASSERT_SPAN(tl_cmat_row(x, i), x.cols);
        TL_ASSERT_SPAN(tl_mat_row(y, i), x.cols);
        chunk(x.cols, tl_cmat_row(x, i), tl_mat_row(y, i));
    }
    for (int i = 0; i < x.rows && x.data == y.data; i++) {
        for (int j = 0; j < x.cols; j += CHUNK) {
            int n = x.cols - j < CHUNK ? x.cols - j : CHUNK;
            memcpy(values, tl_cmat_row(x, i) + j, (size_t)n * sizeof *values);
            chunk(n, values, tl_mat_row(y, i) + j);
        }
    }
}

void tl_silu_bwd(tl_cmat x, tl_cmat dy, tl_mat dx)
{
    TL_ASSERT(dy.rows == x.rows && dy.cols == x.cols);
    TL_ASSERT(dx.rows == x.rows && dx.cols == x.cols);
    float values[CHUNK];
    float slopes[CHUNK];
    chunk_fn *chunk = slope_chunk();
    for (int i = 0; i < x.rows; i++) {
        for (int j = 0; j < x.cols; j += CHUNK) {
            int n = x.cols - j < CHUNK ? x.cols - j : CHUNK;
            memcpy(values, tl_cmat_row(x, i) + j, (size_t)n * sizeof *values);
            memcpy(slopes, tl_cmat_row(dy, i) + j, (size_t)n * sizeof *slopes);
            chunk(n, values, slopes);
            memcpy(tl_mat_row(dx, i) + j, slopes, (size_t)n * sizeof *slopes);
        }
    }
}
