/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DEVICE_PROFILES_STREAM_H
#define TL_DEVICE_PROFILES_STREAM_H

/* Reading memory as fast as one core can: the kernel behind the probe's bandwidths. */

#include <stddef.h>
#include <stdint.h>

enum {
    TL_STREAM_STEP_BYTES = 128 /* sizes are multiples of it */
};

/*
 * The sum of the 64-bit words of data, which is 64-byte aligned: every byte is
 * loaded once, by the widest loads that the processor has.
 */
uint64_t tl_stream_sum(const void *data, size_t bytes);

#endif
