/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cond.h"

#include "base/units.h"

#include <time.h>

void tl_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

bool tl_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns)
{
    struct timespec until = {
        .tv_sec = (time_t)(until_ns / TL_NS_PER_S), .tv_nsec = (long)(until_ns % TL_NS_PER_S)};
    return pthread_cond_timedwait(cond, lock, &until) == 0;
}
