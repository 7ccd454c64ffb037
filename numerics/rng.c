/* SPDX-License-Identifier: Apache-2.0 */
#include "numerics/rng.h"

#include "base/attr.h"

#include <math.h>

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t splitmix64(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15U;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

void tl_rng_init(tl_rng *rng, uint64_t seed)
{
    *rng = (tl_rng){0};
    for (int i = 0; i < 4; i++) {
        rng->state[i] = splitmix64(&seed);
    }
}

tl_rng tl_rng_split(tl_rng *parent)
{
    tl_rng child;
    tl_rng_init(&child, tl_rng_next(parent));
    return child;
}

uint64_t tl_rng_next(tl_rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

double tl_rng_uniform(tl_rng *rng)
{
    return (double)(tl_rng_next(rng) >> 11) * 0x1p-53;
}

uint64_t tl_rng_below(tl_rng *rng, uint64_t bound)
{
    TL_ASSERT(bound > 0);
    /* 2^64 mod bound: the draws below it would make the small results more likely. */
    uint64_t n_unfair = (0 - bound) % bound;
    uint64_t x = tl_rng_next(rng);
    while (x < n_unfair) {
        x = tl_rng_next(rng);
    }
    return x % bound;
}

double tl_rng_normal(tl_rng *rng)
{
    if (rng->has_spare_normal) {
        rng->has_spare_normal = 0;
        return rng->spare_normal;
    }
    /* Marsaglia's polar method: a point in the unit disc gives two normals. */
    double u = 0.0;
    double v = 0.0;
    double s = 0.0;
    do {
        u = 2.0 * tl_rng_uniform(rng) - 1.0;
        v = 2.0 * tl_rng_uniform(rng) - 1.0;
        s = u * u + v * v;
    } while (s >= 1.0 || s == 0.0);
    double scale = sqrt(-2.0 * log(s) / s);
    rng->spare_normal = v * scale;
    rng->has_spare_normal = 1;
    return u * scale;
}

static void swap(int *a, int *b)
{
    int old = *a;
    *a = *b;
    *b = old;
}

/* Puts a random choice of k of the n in front (Fisher and Yates). */
static void shuffle_front(tl_rng *rng, int n, int k, int *x)
{
    for (int i = 0; i < n; i++) {
        x[i] = i;
    }
    for (int i = 0; i < k; i++) {
        swap(&x[i], &x[i + (int)tl_rng_below(rng, (uint64_t)(n - i))]);
    }
}

void tl_rng_permutation(tl_rng *rng, int n, int *out)
{
    TL_ASSERT(n >= 0);
    shuffle_front(rng, n, n, out);
}

void tl_rng_choose(tl_rng *rng, int n, int k, int *scratch, int *out)
{
    TL_ASSERT(0 <= k && k <= n);
    shuffle_front(rng, n, k, scratch);
    for (int i = 0; i < k; i++) {
        out[i] = scratch[i];
    }
}
