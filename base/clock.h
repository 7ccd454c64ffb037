/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_CLOCK_H
#define TL_BASE_CLOCK_H

#include <stdint.h>

/* Monotonic time in nanoseconds since an arbitrary start: for deadlines and durations. */
int64_t tl_clock_ns(void);

/* Seconds since 1970-01-01 UTC: for records that people read. */
int64_t tl_clock_unix_s(void);

/*
 * Where numbers that are counted up may go on, so that none is given twice though nobody knows the
 * last: beyond all that began here earlier, as long as a million a second were not given out.
 */
uint64_t tl_clock_fresh_number(void);

#endif
