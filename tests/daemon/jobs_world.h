/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_DAEMON_JOBS_WORLD_H
#define TL_TESTS_DAEMON_JOBS_WORLD_H

/* A store with its jobs, as a daemon holds them. */

#include "tests/support/test.h"

#include "base/store.h"
#include "daemon/jobs.h"

typedef struct tl_jobs_world {
    tl_store *store;
    tl_jobs *jobs;
    tl_call call; /* of tl_jobs_world_call() */
    const char *dir;
} tl_jobs_world;

/* What tl_jobs_world_start() starts. */
extern const tl_method tl_jobs_world_train;

/* A writer's, of client "test 1" with the key "me". */
tl_call tl_jobs_world_call(void);

/* max_mib as for tl_store_open(). */
void tl_jobs_world_open(tl_jobs_world *w, const char *dir, size_t max_mib);
void tl_jobs_world_close(tl_jobs_world *w);

/* As after a power cut: nothing of the former daemon is said or ended. */
void tl_jobs_world_restart(tl_jobs_world *w);

tl_job_view tl_jobs_world_find(const tl_jobs_world *w, uint64_t id);

/* A training of this space; token: "" for none. Its id. */
uint64_t tl_jobs_world_start(tl_jobs_world *w, const char *space, const char *token);

#endif
