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
 *     err = tl_job_end(job, err);
 *
 * There are three kinds. An attached job is the request that a client waits for. A detached
 * one was queued by job.start: it is run by the daemon itself (job_runner.h), and again after
 * a restart; for its handler nothing differs. A fleet's run is one job of many requests
 * (tl_job_join).
 *
 * All are kept in the store, with the last thousand that ended, so that the list outlives
 * the daemon (docs/decisions/0023). A job that cannot be written down there still runs, but
 * for detached ones, whose start fails.
 */

#include "base/err.h"
#include "base/store.h"
#include "daemon/method.h"

#include <stdint.h>

typedef struct tl_jobs tl_jobs;
typedef struct tl_job tl_job;

/*
 * Reads the jobs of the store, which must outlive *out_jobs; NULL: none are kept. Detached jobs
 * that a former daemon left go back into the queue, but for one that was running when the daemon
 * died twice: that one has failed.
 */
TL_MUST_USE tl_err tl_jobs_new(tl_store *store, tl_jobs **out_jobs);
void tl_jobs_free(tl_jobs *jobs); /* no job may run; NULL is fine */

/*
 * No detached job is taken up any more, and those that run end at their next step, to be run
 * by the next daemon.
 */
void tl_jobs_stop(tl_jobs *jobs);

/*
 * Ends runs of fleets that nobody has gone on with for two minutes, and writes the ends that the
 * store did not take. To be called now and then; now_ns: tl_clock_ns().
 */
void tl_jobs_sweep(tl_jobs *jobs, int64_t now_ns);

/* ---- within a handler ------------------------------------------------------------------- */

/*
 * subject: what it works on (a space). Both are copied; call must outlive the job. Where the call
 * is the run of a detached job, that is the job. Fails with TL_EBUSY when 64 run already.
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

/* The same question without news; for code in which an error would have far to go. */
bool tl_job_goes_on(const tl_job *job);

/*
 * NULL is fine. result: how it ended; returned, but for TL_ECANCELLED of work that was told no
 * more than to end, where the deadline was the reason: TL_EDEADLINE, with what it was at.
 */
tl_err tl_job_end(tl_job *job, tl_err result);

/*
 * What a detached job has reached, under a name of its own, durably: the run after a restart finds
 * it again. Lost with a line in the log where the store does not take it, and for other kinds of
 * jobs nothing happens. It goes with the end of the job.
 */
void tl_job_keep(tl_job *job, const char *name, const void *data, size_t len);

/* The caller owns *out_data (tl_mem_free). Fails with TL_ENOTFOUND. */
TL_MUST_USE tl_err tl_job_kept(tl_job *job, const char *name, void **out_data, size_t *out_len);

/* ---- a fleet's run: one job of many requests --------------------------------------------- */

typedef struct tl_job_piece {
    const char *run; /* the token that all pieces share */
    const char *method, *subject;
    uint64_t total; /* rows of the run; 0: unknown */
} tl_job_piece;

/*
 * The job of the run, made with its first piece. Every piece that joined leaves. Fails with
 * TL_ECANCELLED when the run was cancelled, TL_EBUSY when 64 jobs run already.
 */
TL_MUST_USE tl_err
tl_job_join(tl_jobs *jobs, tl_call *call, const tl_job_piece *piece, tl_job **out_job);

/* done: of the whole run. TL_ECANCELLED when it is to end. */
TL_MUST_USE tl_err tl_job_piece_step(tl_job *job, uint64_t done);
void tl_job_leave(tl_job *job);

/*
 * Ends a run that no piece is under way of. One that is given up (TL_ECANCELLED) takes no piece
 * any more, and ends when the last one that is under way has left. Nothing happens where there is
 * no such run under way.
 */
void tl_job_end_run(tl_jobs *jobs, const char *run, tl_err result);

/* ---- job.start and the runner -------------------------------------------------------------- */

typedef struct tl_job_start {
    const tl_method *method;
    const char *subject;
    const char *token; /* the same one gives the same job; "": none */
    const uint8_t *request;
    size_t request_len;
} tl_job_start;

/*
 * Queues a job with the role of the call, durably. Fails with TL_EBUSY when 64 wait already,
 * and as the store does.
 */
TL_MUST_USE tl_err
tl_jobs_start(tl_jobs *jobs, const tl_call *call, const tl_job_start *start, uint64_t *out_id);

/*
 * Waits for a job to run and takes it: the oldest whose space no other detached job works on. NULL
 * when the jobs are stopped.
 */
tl_job *tl_jobs_take(tl_jobs *jobs);

/* What the runner needs to run it; the caller owns *out_request (tl_mem_free). */
TL_MUST_USE tl_err tl_job_request(tl_job *job, void **out_request, size_t *out_len);
const char *tl_job_method(const tl_job *job);

/* Fills role, client, key_name, is_cancelled and job of the call. */
void tl_job_fill_call(tl_job *job, tl_call *call);

/*
 * Ends a job that was taken; its result and tl_err_detail() are kept, with the warnings of the
 * call and the reply (data NULL: none), which it takes. Where it ended because the jobs were
 * stopped, it waits again, and this is false.
 */
bool tl_job_finish_take(tl_job *job, tl_err result, const tl_call *call, tl_bytes *reply);

/* ---- for everyone -------------------------------------------------------------------------- */

/*
 * Durable where it succeeds, which it does again for a job that was cancelled. Fails with
 * TL_ENOTFOUND, or TL_ESTATE when it has ended otherwise.
 */
TL_MUST_USE tl_err tl_job_cancel(tl_jobs *jobs, uint64_t job_id);

/* All that wait or run and work on the subject. What the store does not take is logged. */
void tl_jobs_cancel_subject(tl_jobs *jobs, const char *subject);

enum {
    TL_JOB_TEXT_BYTES = 129,
    TL_JOB_DETAIL_BYTES = 512,
    TL_JOB_MIN_TOKEN_BYTES = 8,
    TL_JOB_MAX_TOKEN_BYTES = 64
};

/* The numbers are those in the store. */
typedef enum tl_job_state {
    TL_JOB_WAITING = 0,
    TL_JOB_RUNNING = 1,
    TL_JOB_ENDED = 2
} tl_job_state;

typedef enum tl_job_kind {
    TL_JOB_ATTACHED = 0,
    TL_JOB_DETACHED = 1,
    TL_JOB_FLEET = 2
} tl_job_kind;

typedef struct tl_job_view {
    uint64_t id;
    char method[TL_JOB_TEXT_BYTES];
    char subject[TL_JOB_TEXT_BYTES];
    char what[TL_JOB_TEXT_BYTES];                           /* the last step */
    char client[TL_JOB_TEXT_BYTES], key[TL_JOB_TEXT_BYTES]; /* who asked */
    uint64_t done, total;
    int64_t queued_unix_s, started_unix_s, ended_unix_s; /* 0: not yet */
    double elapsed_s;                                    /* since it was started last */
    uint32_t n_starts, n_before; /* n_before: of one that waits, those that go first */
    tl_job_kind kind;
    tl_job_state state;
    bool is_cancelled;
    tl_err result; /* of one that has ended */
    char detail[TL_JOB_DETAIL_BYTES];
    uint64_t reply_bytes;
} tl_job_view;

/* "running"; borrowed forever. */
const char *tl_job_state_name(const tl_job_view *view);

/*
 * Those that wait or run, and the n_ended that ended last, in the order of their numbers; the
 * caller owns *out_views (tl_mem_free).
 */
TL_MUST_USE tl_err
tl_jobs_list(tl_jobs *jobs, size_t n_ended, tl_job_view **out_views, size_t *out_n);

/* TL_ENOTFOUND when there is none. */
TL_MUST_USE tl_err tl_jobs_find(tl_jobs *jobs, uint64_t job_id, tl_job_view *out_view);

/*
 * Packed tailor.job.v1.JobOutcome of a job that has ended; the caller owns *out_data
 * (tl_mem_free). TL_ENOTFOUND where it is not kept.
 */
TL_MUST_USE tl_err
tl_jobs_outcome(tl_jobs *jobs, uint64_t job_id, void **out_data, size_t *out_len);

typedef struct tl_jobs_count {
    size_t n_waiting, n_running, n_ended; /* n_ended: still listed */
} tl_jobs_count;

/* At once, however many there are. */
tl_jobs_count tl_jobs_count_get(tl_jobs *jobs);

#endif
