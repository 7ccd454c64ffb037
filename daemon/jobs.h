/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_JOBS_H
#define TL_DAEMON_JOBS_H

/*
 * Jobs: work that takes long enough for someone to want to see or stop it.
 *
 * A handler begins a job, reports progress as it goes, and ends it. The reports
 * go to the client that asked, and show in job.list; job.cancel sets a flag that
 * the next report returns as TL_ECANCELLED.
 *
 *     tl_job *job = NULL;
 *     TL_TRY(tl_job_begin(tl_engine_jobs(call->engine), call, "train.run", space, &job));
 *     for (int i = 0; i < n; i++) {
 *         if ((err = tl_job_step(job, "source devices", i, n)) != TL_OK) { goto done; }
 *         ...
 *     }
 *     done:
 *     tl_job_end(job, err);
 *
 * The last ended jobs are kept, until the daemon ends.
 */

#include "base/err.h"
#include "daemon/method.h"

#include <stdint.h>

typedef struct tl_jobs tl_jobs;
typedef struct tl_job tl_job;

TL_MUST_USE tl_err tl_jobs_new(tl_jobs **out_jobs);
void tl_jobs_free(tl_jobs *jobs); /* no job may run; NULL is fine */

/*
 * subject: what it works on (a space). Both are copied; call must outlive the job. Fails with
 * TL_EBUSY when 64 run already.
 */
TL_MUST_USE tl_err tl_job_begin(
    tl_jobs *jobs, tl_call *call, const char *method, const char *subject, tl_job **out_job);

uint64_t tl_job_id(const tl_job *job);

/*
 * Says how far the job is and whether to go on: TL_ECANCELLED or TL_EDEADLINE when not. Sent
 * to the client at most ten times a second, and whenever what changes; may be called often.
 * total 0: unknown.
 */
TL_MUST_USE tl_err tl_job_step(tl_job *job, const char *what, uint64_t done, uint64_t total);

/* NULL is fine. result: how it ended. */
void tl_job_end(tl_job *job, tl_err result);

/* Fails with TL_ENOTFOUND, or TL_ESTATE when it has ended. */
TL_MUST_USE tl_err tl_job_cancel(tl_jobs *jobs, uint64_t job_id);

enum {
    TL_JOB_TEXT_BYTES = 129
};

typedef struct tl_job_view {
    uint64_t id;
    char method[TL_JOB_TEXT_BYTES];
    char subject[TL_JOB_TEXT_BYTES];
    char what[TL_JOB_TEXT_BYTES]; /* the last step */
    uint64_t done, total;
    int64_t started_unix_s;
    double elapsed_s;
    bool is_running, is_cancelled;
    tl_err result; /* of one that has ended */
} tl_job_view;

/* All jobs, oldest first; the caller owns *out_views (tl_mem_free). */
TL_MUST_USE tl_err tl_jobs_list(tl_jobs *jobs, tl_job_view **out_views, size_t *out_n);

#endif
