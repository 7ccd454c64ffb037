/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_JOBS_IMPL_H
#define TL_DAEMON_JOBS_IMPL_H

/*
 * Inside of the jobs: for jobs.c (the table, what handlers ask), jobs_ask.c (what
 * clients ask), jobs_load.c, jobs_queue.c (detached ones) and jobs_fleet.c (runs of many requests).
 *
 * The lock is never held while the store is waited for. A record is copied under the lock from
 * within the write transaction, so that of two writers the later one has the later state; what
 * ends is marked before its last record is written, and nobody writes it after that.
 */

#include "daemon/job_store.h"
#include "daemon/jobs.h"
#include "proto/wire.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    TL_JOBS_MAX_RUNNING = 64, /* attached ones and fleets */
    TL_JOBS_MAX_WAITING = 64,
    TL_JOBS_MAX_ENDED = 1000,
    TL_JOBS_MAX_REPLIES = 100, /* kept, and of so many bytes in all */
    TL_JOBS_MAX_REPLY_BYTES = 64 * 1024 * 1024
};

struct tl_job {
    tl_jobs *jobs;
    tl_call *call; /* of one that runs; NULL: of a fleet */
    tl_job_record record;
    bool is_stored; /* a start that is not is no job yet */
    bool is_ending; /* its last record is being written */
    atomic_bool must_end;
    int64_t started_ns, reported_ns, saved_ns;
    int n_pieces;     /* of a fleet, under way */
    int64_t left_ns;  /* when the last one left */
    tl_bytes outcome; /* of an ended one that the store did not take */
};

struct tl_jobs {
    tl_store *store; /* borrowed; NULL: nothing is kept */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something waits, has been stored, or all is to stop */
    bool is_stopping;
    uint64_t last_id;
    tl_job **all; /* oldest first */
    size_t n, capacity;
    tl_jobs_count count;
};

/* ---- under the lock --------------------------------------------------------------------------- */

/* A new entry of the table, which owns it, not stored yet; NULL when memory is short. */
tl_job *tl_jobs_add(tl_jobs *jobs, tl_job_kind kind, tl_job_state state);
void tl_jobs_remove(tl_jobs *jobs, tl_job *job);

/* NULL when there is none. */
tl_job *tl_jobs_get(tl_jobs *jobs, uint64_t id);

/* That has the token and has not ended otherwise than well; NULL when there is none. */
tl_job *tl_jobs_get_token(tl_jobs *jobs, tl_job_kind kind, const char *token);

void tl_jobs_set_state(tl_job *job, tl_job_state state);
void tl_jobs_set_begun(tl_job *job);

/* Texts of the record, made fit for the store. */
void tl_jobs_set_texts(
    tl_job *job,
    const tl_call *call,
    const char *method,
    const char *subject,
    const char *token);

/* ---- without the lock ------------------------------------------------------------------------- */

/* Writes the record as it is. */
TL_MUST_USE tl_err tl_jobs_save(tl_job *job);

/* The same where a failure is not told: the job goes on. */
void tl_jobs_note(tl_job *job);

/* The same, every ten seconds at most. */
void tl_jobs_note_now_and_then(tl_job *job);

/*
 * Ends a job, in the store first, with its outcome (NULL: none), and forgets the oldest of too
 * many. It has ended even where this fails. Nothing happens when it is ending already.
 */
TL_MUST_USE tl_err
tl_jobs_close(tl_job *job, tl_err result, const char *detail, const tl_bytes *outcome);

/* Reads the store into an empty table, and ends what ended with the former daemon. */
TL_MUST_USE tl_err tl_jobs_load(tl_jobs *jobs);

/* Ends fleets that nobody goes on with. */
void tl_jobs_sweep(tl_jobs *jobs);

#endif
