/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/units.h"

#include <time.h>

enum {
    NUMBERS_A_SECOND_BITS = 20
};

int64_t tl_clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * TL_NS_PER_S + now.tv_nsec;
}

int64_t tl_clock_unix_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec;
}

uint64_t tl_clock_fresh_number(void)
{
    return (uint64_t)tl_clock_unix_s() << NUMBERS_A_SECOND_BITS;
}
