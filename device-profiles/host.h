/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DEVICE_PROFILES_HOST_H
#define TL_DEVICE_PROFILES_HOST_H

/* What the system says of the machine that this runs on. 0 and "" mean that it does not say. */

#include "device-profiles/profile.h"

typedef struct tl_host {
    char name[TL_NAME_MAX_BYTES + 1];              /* of the host, as a valid device name */
    char processor[TL_PROFILE_TEXT_MAX_BYTES / 2]; /* "AMD EPYC 7763 64-Core Processor" */
    int cores; /* that this process may run on; at least 1 */
    double clock_mhz;
    size_t cache_bytes[TL_N_MEMORIES]; /* L1 data, L2, L3; [TL_DRAM] is free memory */
} tl_host;

/* root stands before /proc and /sys: "" but in tests. Never fails: what cannot be read is unknown. */
void tl_host_read(const char *root, tl_host *out_host);

#endif
