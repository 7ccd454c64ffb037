/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_JOBS_IMPL_H
#define TL_DAEMON_JOBS_IMPL_H

/*
 * Inside of the jobs: for jobs.c (the table, what handlers ask), jobs_end.c, jobs_ask.c (what
 * clients ask), jobs_load.c, jobs_queue.c (detached ones) and jobs_fleet.c (runs of many requests).
 *
 * The lock is never held while the store is waited for. A record is copied under the lock from
 * within the write transaction, so that of two writers the later one has the later state. Who
 * decides that a job ends marks it under the same lock (is_ending), and nobody else writes it
 * after that; what is to be forgotten is marked too (is_leaving), and nobody goes on with it. Any
 * other job may be gone when the lock was left, unless it runs on behalf of the caller.
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
    bool is_stored;  /* a start that is not is no job yet */
    bool is_ending;  /* its last record is being written: it stays as it is, and in the table */
    bool is_unsaved; /* it has ended, which the store does not have yet */
    bool is_leaving; /* one that has ended is being removed */
    bool is_silencing; /* or its reply is */
    bool is_listed;    /* only while a list is made */
    atomic_bool must_end;
    int64_t started_ns, reported_ns, saved_ns;
    int n_pieces;     /* of a fleet, under way */
    int64_t left_ns;  /* when the last one left */
    tl_bytes outcome; /* of an ended one, as long as the store does not have it */
};

struct tl_jobs {
    tl_store *store; /* borrowed; NULL: nothing is kept */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something waits, has been stored, or all is to stop */
    bool is_stopping;
    bool is_read_only; /* the store: detached jobs wait, the others are not noted */
    uint64_t last_id, last_end;
    tl_job **all;   /* in the order of their numbers */
    tl_job **ended; /* count.n_ended of them, in the order of their ends */
    size_t n, capacity;
    tl_jobs_count count;
    size_t n_held; /* that run, without the detached ones: they are bounded by their threads */
};

/* ---- under the lock --------------------------------------------------------------------------- */

/* A new entry of the table, which owns it, not stored yet; NULL when memory is short. */
tl_job *tl_jobs_add(tl_jobs *jobs, tl_job_kind kind, tl_job_state state);
void tl_jobs_remove(tl_jobs *jobs, tl_job *job);

/* NULL when there is none. */
tl_job *tl_jobs_get(tl_jobs *jobs, uint64_t id);

/* The newest that has the token, however it ended, and is not leaving; NULL when there is none. */
tl_job *tl_jobs_get_token(tl_jobs *jobs, tl_job_kind kind, const char *token);

void tl_jobs_set_state(tl_job *job, tl_job_state state);
void tl_jobs_set_begun(tl_job *job);

/* From here on the caller alone ends it (tl_jobs_close). False: it ends or has ended already. */
TL_MUST_USE bool tl_jobs_claim_end(tl_job *job);

/* Texts of the record, made fit for the store. */
void tl_jobs_set_texts(
    tl_job *job,
    const tl_call *call,
    const char *method,
    const char *subject,
    const char *token);

/* ---- without the lock ------------------------------------------------------------------------- */

/* Writes the record as it is, unless the job ends, or is gone. */
TL_MUST_USE tl_err tl_jobs_save(tl_jobs *jobs, uint64_t id);

/* The same where a failure is not told: the job goes on. */
void tl_jobs_note(tl_jobs *jobs, uint64_t id);

/* The same, every ten seconds at most, of a job that runs on behalf of the caller. */
void tl_jobs_note_now_and_then(tl_job *job);

/*
 * Ends a job whose end was claimed, in the store first, with its outcome (NULL: none), and
 * forgets those that ended first of too many. It has ended even where this fails: then its end
 * is written again later.
 */
TL_MUST_USE tl_err
tl_jobs_close(tl_job *job, tl_err result, const char *detail, const tl_bytes *outcome);

/* The same where a failure is only logged. */
void tl_jobs_close_anyway(
    tl_job *job, tl_err result, const char *detail, const tl_bytes *outcome);

/* Writes the end of a job that the store did not take; nothing happens where it did. */
TL_MUST_USE tl_err tl_jobs_save_end(tl_jobs *jobs, uint64_t id);

/* All such ends. Whoever is about to commit calls it first, so that ends stay in their order. */
void tl_jobs_save_ends(tl_jobs *jobs);

/* Reads the store into an empty table, and ends what ended with the former daemon. */
TL_MUST_USE tl_err tl_jobs_load(tl_jobs *jobs);

#endif
