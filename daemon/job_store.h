/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_JOB_STORE_H
#define TL_DAEMON_JOB_STORE_H

/*
 * Jobs in the store (database TL_DB_JOBS, messages of proto/job.proto). Only jobs.c and its
 * parts call this; what it means is told in jobs.h.
 */

#include "base/store.h"
#include "daemon/jobs.h"

#include <stddef.h>
#include <stdint.h>

/* Of jobs and of ends: what a double holds, and counting up from 1 never reaches. Greater ones are
 * damage. */
#define TL_JOB_MAX_NUMBER (UINT64_C(1) << 53)

/* All that the store knows of a job without its request and outcome. */
typedef struct tl_job_record {
    tl_job_view view;
    tl_role role;
    char token[TL_JOB_MAX_TOKEN_BYTES + 1]; /* "": none */
    uint64_t end_no;                        /* counts ends; 0: not yet, or not counted then */
    uint32_t n_set_aside;                   /* of the starts: ended by a stop of the daemon */
} tl_job_record;

TL_MUST_USE tl_err tl_job_store_put(tl_store_txn *txn, const tl_job_record *record);
TL_MUST_USE tl_err
tl_job_store_put_request(tl_store_txn *txn, uint64_t id, const void *data, size_t len);

/* Packed tailor.job.v1.JobOutcome. */
TL_MUST_USE tl_err
tl_job_store_put_outcome(tl_store_txn *txn, uint64_t id, const void *data, size_t len);
TL_MUST_USE tl_err tl_job_store_put_kept(
    tl_store_txn *txn, uint64_t id, const char *name, const void *data, size_t len);

/* Removes the request and what was kept; what is not there is no error. */
TL_MUST_USE tl_err tl_job_store_clear(tl_store_txn *txn, uint64_t id);
TL_MUST_USE tl_err tl_job_store_remove_outcome(tl_store_txn *txn, uint64_t id);

/* Removes all of it. */
TL_MUST_USE tl_err tl_job_store_remove(tl_store_txn *txn, uint64_t id);

/* All three: the caller owns *out_data (tl_mem_free); TL_ENOTFOUND. */
TL_MUST_USE tl_err
tl_job_store_get_request(tl_store *store, uint64_t id, void **out_data, size_t *out_len);
TL_MUST_USE tl_err
tl_job_store_get_outcome(tl_store *store, uint64_t id, void **out_data, size_t *out_len);
TL_MUST_USE tl_err tl_job_store_get_kept(
    tl_store *store, uint64_t id, const char *name, void **out_data, size_t *out_len);

/* All records, oldest first. What cannot be read is logged and passed over; *out_last_id is the
 * greatest number of all (0: there are none) that can be one. */
typedef tl_err tl_job_store_visit_fn(void *context, const tl_job_record *record);
TL_MUST_USE tl_err tl_job_store_each(
    tl_store *store, tl_job_store_visit_fn *visit, void *context, uint64_t *out_last_id);

#endif
