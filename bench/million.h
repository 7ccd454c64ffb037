/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BENCH_MILLION_H
#define TL_BENCH_MILLION_H

/*
 * The made-up devices of bench_million, told apart by a number, and what is asked of a
 * daemon that holds them.
 */

#include "base/name.h"

#include <stdint.h>
#include <stdio.h>

/*
 * "unit-3fa9c1e2": numbers that follow each other are far apart in the order of names, as
 * devices of many makers that arrive one by one are. Each number has a name of its own.
 */
static inline void tl_million_name(uint32_t i, char name[TL_NAME_MAX_BYTES + 1])
{
    uint32_t x = i;
    x ^= x >> 16;
    x *= 0x7feb352dU; /* odd, so that no two numbers meet; so the next one */
    x ^= x >> 15;
    x *= 0x846ca68bU;
    x ^= x >> 16;
    (void)snprintf(name, TL_NAME_MAX_BYTES + 1, "unit-%08x", x);
}

/*
 * Asks the daemon at endpoint the question of that name n times, of devices that it holds
 * n_devices of, and prints a line: question, n, then p50, p99 and the most of milliseconds.
 * Returns 0, or 2 for a question there is not, or ends the program where one is refused.
 */
int tl_million_ask(const char *endpoint, const char *question, uint32_t n_devices, int n);

#endif
