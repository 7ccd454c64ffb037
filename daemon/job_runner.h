/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_JOB_RUNNER_H
#define TL_DAEMON_JOB_RUNNER_H

/*
 * Runs detached jobs, two at a time, on threads of its own that yield to requests.
 *
 *     tl_job_runner *runner = NULL;
 *     TL_TRY(tl_job_runner_new(engine, tl_methods, tl_methods_len, &runner));
 *     ...serve...
 *     tl_job_runner_free(runner);
 */

#include "daemon/engine.h"
#include "daemon/method.h"

typedef struct tl_job_runner tl_job_runner;

enum {
    TL_JOB_RUNNER_THREADS = 2
};

/* engine is borrowed. Fails with TL_ENOMEM, and TL_EIO when a thread cannot be started. */
TL_MUST_USE tl_err tl_job_runner_new(
    tl_engine *engine,
    const tl_method *const *methods,
    size_t n_methods,
    tl_job_runner **out_runner);

/* Stops the engine's jobs (tl_jobs_stop) and waits until they are put aside. NULL is fine. */
void tl_job_runner_free(tl_job_runner *runner);

#endif
