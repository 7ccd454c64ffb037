/* SPDX-License-Identifier: Apache-2.0 */
#include "device-profiles/stream.h"

#include "base/attr.h"

typedef uint64_t words __attribute__((vector_size(64), may_alias));

/* Two sums at a time: enough to hide the addition, few enough for narrow registers. */
static inline __attribute__((always_inline)) uint64_t sum(const void *data, size_t bytes)
{
    const words *x = data;
    words even = {0};
    words odd = {0};
    for (size_t i = 0; i < bytes / sizeof(words); i += 2) {
        even += x[i];
        odd += x[i + 1];
    }
    even += odd;
    uint64_t total = 0;
    for (int i = 0; i < 8; i++) {
        total += even[i];
    }
    return total;
}

#ifdef __x86_64__
static __attribute__((target("avx512f"))) uint64_t sum_avx512(const void *data, size_t bytes)
{
    return sum(data, bytes);
}

static __attribute__((target("avx2"))) uint64_t sum_avx2(const void *data, size_t bytes)
{
    return sum(data, bytes);
}
#endif

uint64_t tl_stream_sum(const void *data, size_t bytes)
{
    TL_ASSERT((uintptr_t)data % sizeof(words) == 0 && bytes % TL_STREAM_STEP_BYTES == 0);
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f")) {
        return sum_avx512(data, bytes);
    }
    if (__builtin_cpu_supports("avx2")) {
        return sum_avx2(data, bytes);
    }
#endif
    return sum(data, bytes);
}
