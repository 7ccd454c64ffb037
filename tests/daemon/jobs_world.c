/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/jobs_world.h"

#include "proto/tailor.pb-c.h"

#include <string.h>

const tl_method tl_jobs_world_train = {
    .name = "train.run",
    .request = &tailor__v1__empty__descriptor,
    .reply = &tailor__v1__empty__descriptor,
    .is_job = true,
};

tl_call tl_jobs_world_call(void)
{
    return (tl_call){
        .role = TL_ROLE_WRITER, .deadline_ns = INT64_MAX, .client = "test 1", .key_name = "me"};
}

void tl_jobs_world_open(tl_jobs_world *w, const char *dir, size_t max_mib)
{
    *w = (tl_jobs_world){.call = tl_jobs_world_call(), .dir = dir};
    assert_ok(tl_store_open(dir, max_mib, &w->store));
    assert_ok(tl_jobs_new(w->store, &w->jobs));
}

void tl_jobs_world_close(tl_jobs_world *w)
{
    tl_jobs_free(w->jobs);
    tl_store_close(w->store);
}

void tl_jobs_world_restart(tl_jobs_world *w)
{
    const char *dir = w->dir;
    tl_jobs_world_close(w);
    tl_jobs_world_open(w, dir, 0);
}

tl_job_view tl_jobs_world_find(const tl_jobs_world *w, uint64_t id)
{
    tl_job_view view;
    assert_ok(tl_jobs_find(w->jobs, id, &view));
    return view;
}

uint64_t tl_jobs_world_start(tl_jobs_world *w, const char *space, const char *token)
{
    uint64_t id = 0;
    tl_job_start start = {
        .method = &tl_jobs_world_train,
        .subject = space,
        .token = token,
        .request = (const uint8_t *)space,
        .request_len = strlen(space)};
    assert_ok(tl_jobs_start(w->jobs, &w->call, &start, &id));
    return id;
}
