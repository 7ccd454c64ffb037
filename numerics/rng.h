/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_NUMERICS_RNG_H
#define TL_NUMERICS_RNG_H

/*
 * Random numbers: xoshiro256**, seeded by splitmix64 (Blackman and Vigna).
 *
 * A generator is an argument, never global. The same seed gives the same bits
 * on every machine (a normal goes through log(), whose last bit is the libm's);
 * tl_rng_split() gives each thread or ensemble member its own.
 */

#include <stdint.h>

typedef struct tl_rng {
    uint64_t state[4];
    double spare_normal;
    int has_spare_normal;
} tl_rng;

void tl_rng_init(tl_rng *rng, uint64_t seed);

/* A generator that is independent of its parent and of the other splits of it. */
tl_rng tl_rng_split(tl_rng *parent);

uint64_t tl_rng_next(tl_rng *rng);

/* In [0, 1). */
double tl_rng_uniform(tl_rng *rng);

/* In [0, bound), without bias; bound > 0. */
uint64_t tl_rng_below(tl_rng *rng, uint64_t bound);

/* Standard normal. */
double tl_rng_normal(tl_rng *rng);

/* A random order of [0, n). */
void tl_rng_permutation(tl_rng *rng, int n, int *out);

/* k different members of [0, n), in random order; k <= n. O(n) time, needs n ints of scratch. */
void tl_rng_choose(tl_rng *rng, int n, int k, int *scratch, int *out);

#endif
