/* SPDX-License-Identifier: Apache-2.0 */
#include "base/checksum.h"

#include <string.h>

/* XXH64 as its specification has it (github.com/Cyan4973/xxHash, doc/xxhash_spec.md). */

static const uint64_t prime_1 = 0x9E3779B185EBCA87U;
static const uint64_t prime_2 = 0xC2B2AE3D27D4EB4FU;
static const uint64_t prime_3 = 0x165667B19E3779F9U;
static const uint64_t prime_4 = 0x85EBCA77C2B2AE63U;
static const uint64_t prime_5 = 0x27D4EB2F165667C5U;

enum {
    STRIPE_BYTES = 32,
    LANE_BYTES = 8,
    HALF_BYTES = 4
};

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static uint64_t read_64(const uint8_t *at)
{
    uint64_t x = 0;
    memcpy(&x, at, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

static uint64_t read_32(const uint8_t *at)
{
    uint32_t x = 0;
    memcpy(&x, at, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap32(x);
#endif
    return x;
}

static uint64_t round_of(uint64_t sum, uint64_t lane)
{
    return rotate(sum + lane * prime_2, 31) * prime_1;
}

static uint64_t merge(uint64_t sum, uint64_t lanes)
{
    return (sum ^ round_of(0, lanes)) * prime_1 + prime_4;
}

/* The whole stripes, of which there is at least one. */
static uint64_t sum_stripes(const uint8_t *at, size_t n_stripes, uint64_t seed)
{
    uint64_t a = seed + prime_1 + prime_2;
    uint64_t b = seed + prime_2;
    uint64_t c = seed;
    uint64_t d = seed - prime_1;
    for (size_t i = 0; i < n_stripes; i++, at += STRIPE_BYTES) {
        a = round_of(a, read_64(at));
        b = round_of(b, read_64(at + LANE_BYTES));
        c = round_of(c, read_64(at + 2 * (size_t)LANE_BYTES));
        d = round_of(d, read_64(at + 3 * (size_t)LANE_BYTES));
    }
    uint64_t sum = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
    return merge(merge(merge(merge(sum, a), b), c), d);
}

uint64_t tl_checksum(const void *data, size_t len, uint64_t seed)
{
    const uint8_t *at = data;
    size_t left = len % STRIPE_BYTES;
    uint64_t sum = seed + prime_5;
    if (len >= STRIPE_BYTES) {
        sum = sum_stripes(at, len / STRIPE_BYTES, seed);
        at += len - left;
    }
    sum += len;
    for (; left >= LANE_BYTES; left -= LANE_BYTES, at += LANE_BYTES) {
        sum = rotate(sum ^ round_of(0, read_64(at)), 27) * prime_1 + prime_4;
    }
    if (left >= HALF_BYTES) {
        sum = rotate(sum ^ (read_32(at) * prime_1), 23) * prime_2 + prime_3;
        left -= HALF_BYTES;
        at += HALF_BYTES;
    }
    for (; left > 0; left--, at++) {
        sum = rotate(sum ^ (*at * prime_5), 11) * prime_1;
    }
    sum = (sum ^ (sum >> 33)) * prime_2;
    sum = (sum ^ (sum >> 29)) * prime_3;
    return sum ^ (sum >> 32);
}
