/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/sweeper.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/mem.h"
#include "base/units.h"

#include <pthread.h>
#include <stdbool.h>

enum {
    SWEEP_EVERY_S = 10
};

struct tl_sweeper {
    tl_jobs *jobs;
    tl_imports *imports;
    tl_backups *backups;
    pthread_mutex_t lock;
    pthread_cond_t leaving;
    pthread_t thread;
    bool has_thread, is_leaving;
};

/* Until the next round; false: there is none. */
static bool wait_for_round(tl_sweeper *sweeper)
{
    int64_t until_ns = tl_clock_ns() + SWEEP_EVERY_S * TL_NS_PER_S;
    bool is_early = true;
    (void)pthread_mutex_lock(&sweeper->lock);
    while (!sweeper->is_leaving && is_early) {
        is_early = tl_cond_wait_until(&sweeper->leaving, &sweeper->lock, until_ns);
    }
    bool goes_on = !sweeper->is_leaving;
    (void)pthread_mutex_unlock(&sweeper->lock);
    return goes_on;
}

static void *sweep(void *context)
{
    tl_sweeper *sweeper = context;
    while (wait_for_round(sweeper)) {
        int64_t now_ns = tl_clock_ns();
        tl_imports_sweep(sweeper->imports, now_ns);
        tl_backups_sweep(sweeper->backups, now_ns);
        tl_jobs_sweep(sweeper->jobs, now_ns); /* the last: it may wait for the store */
    }
    return NULL;
}

tl_err tl_sweeper_new(
    tl_jobs *jobs, tl_imports *imports, tl_backups *backups, tl_sweeper **out_sweeper)
{
    tl_sweeper *sweeper = tl_mem_new(1, sizeof *sweeper);
    if (sweeper == NULL) {
        return tl_fail(TL_ENOMEM, "the sweeper");
    }
    sweeper->jobs = jobs;
    sweeper->imports = imports;
    sweeper->backups = backups;
    (void)pthread_mutex_init(&sweeper->lock, NULL);
    tl_cond_init(&sweeper->leaving);
    sweeper->has_thread = pthread_create(&sweeper->thread, NULL, sweep, sweeper) == 0;
    if (!sweeper->has_thread) {
        tl_sweeper_free(sweeper);
        return tl_fail(TL_EIO, "the sweeper's thread cannot be started");
    }
    *out_sweeper = sweeper;
    return TL_OK;
}

void tl_sweeper_free(tl_sweeper *sweeper)
{
    if (sweeper == NULL) {
        return;
    }
    if (sweeper->has_thread) {
        (void)pthread_mutex_lock(&sweeper->lock);
        sweeper->is_leaving = true;
        (void)pthread_cond_signal(&sweeper->leaving);
        (void)pthread_mutex_unlock(&sweeper->lock);
        (void)pthread_join(sweeper->thread, NULL);
    }
    (void)pthread_cond_destroy(&sweeper->leaving);
    (void)pthread_mutex_destroy(&sweeper->lock);
    tl_mem_free(sweeper);
}
