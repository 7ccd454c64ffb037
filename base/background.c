/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* SCHED_BATCH; setpriority() of one thread */
#include "base/background.h"

#include <sched.h>
#include <sys/resource.h>

enum {
    NICE = 10 /* a tenth of the share of a thread of nice 0 */
};

void tl_background_thread(void)
{
    /* A batch thread that wakes up never interrupts one that runs. */
    const struct sched_param param = {0};
    (void)sched_setscheduler(0, SCHED_BATCH, &param);
    /* On Linux a priority belongs to a thread, here to the calling one. */
    if (getpriority(PRIO_PROCESS, 0) < NICE) {
        (void)setpriority(PRIO_PROCESS, 0, NICE);
    }
}
