/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_UNITS_H
#define TL_BASE_UNITS_H

/*
 * Conversions between the units that names carry. 1 MAC is 2 FLOP, by
 * definition here.
 */

#include <math.h>

#define TL_FLOP_PER_MAC 2.0
#define TL_NS_PER_MS    1000000LL
#define TL_NS_PER_US    1000LL
#define TL_NS_PER_S     1000000000LL
#define TL_MS_PER_S     1e3
#define TL_US_PER_MS    1e3
#define TL_PER_GIGA     1e9
#define TL_KIB_BYTES    1024LL
#define TL_MIB_BYTES    (1024LL * 1024LL)
#define TL_PERCENT      100.0

/* The double that stands for a value nobody knows: a measurement not made, a limit not asked for. */
#define TL_UNKNOWN ((double)NAN)

/* Milliseconds that flop take at gflops, and bytes at gb_per_s. */
static inline double tl_ms_of_flop(double flop, double gflops)
{
    return flop / (gflops * TL_PER_GIGA) * TL_MS_PER_S;
}

static inline double tl_ms_of_bytes(double bytes, double gb_per_s)
{
    return bytes / (gb_per_s * TL_PER_GIGA) * TL_MS_PER_S;
}

#endif
