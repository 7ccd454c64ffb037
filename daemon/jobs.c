/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/jobs.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "proto/tailor.pb-c.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_KEPT = 128, /* running and ended */
    MAX_RUNNING = 64,
    REPORT_EVERY_MS = 100
};

struct tl_job {
    tl_jobs *jobs;
    tl_call *call; /* of a running job */
    tl_job_view view;
    int64_t started_ns, ended_ns;
    int64_t reported_ns;
    bool is_used;
};

struct tl_jobs {
    pthread_mutex_t lock; /* of all jobs' views and flags */
    uint64_t last_id;
    tl_job slots[MAX_KEPT];
};

tl_err tl_jobs_new(tl_jobs **out_jobs)
{
    tl_jobs *jobs = tl_mem_new(1, sizeof *jobs);
    if (jobs == NULL) {
        return tl_fail(TL_ENOMEM, "the job table");
    }
    (void)pthread_mutex_init(&jobs->lock, NULL);
    *out_jobs = jobs;
    return TL_OK;
}

void tl_jobs_free(tl_jobs *jobs)
{
    if (jobs != NULL) {
        (void)pthread_mutex_destroy(&jobs->lock);
        tl_mem_free(jobs);
    }
}

/* A free slot, else that of the job that ended first; NULL when too many run. Locked. */
static tl_job *find_slot(tl_jobs *jobs)
{
    tl_job *oldest = NULL;
    int n_running = 0;
    for (int i = 0; i < MAX_KEPT; i++) {
        tl_job *job = &jobs->slots[i];
        n_running += job->is_used && job->view.is_running;
        if (job->is_used && job->view.is_running) {
            continue;
        }
        if (oldest == NULL ||
            (oldest->is_used && (!job->is_used || job->view.id < oldest->view.id))) {
            oldest = job;
        }
    }
    return n_running < MAX_RUNNING ? oldest : NULL;
}

tl_err tl_job_begin(
    tl_jobs *jobs, tl_call *call, const char *method, const char *subject, tl_job **out_job)
{
    (void)pthread_mutex_lock(&jobs->lock);
    tl_job *job = find_slot(jobs);
    if (job != NULL) {
        memset(job, 0, sizeof *job);
        job->jobs = jobs;
        job->call = call;
        job->is_used = true;
        job->started_ns = tl_clock_ns();
        job->view.id = ++jobs->last_id;
        job->view.started_unix_s = tl_clock_unix_s();
        job->view.is_running = true;
        (void)snprintf(job->view.method, sizeof job->view.method, "%s", method);
        (void)snprintf(job->view.subject, sizeof job->view.subject, "%s", subject);
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (job == NULL) {
        return tl_fail(TL_EBUSY, "%d jobs run already", (int)MAX_RUNNING);
    }
    *out_job = job;
    return TL_OK;
}

uint64_t tl_job_id(const tl_job *job)
{
    return job->view.id;
}

static void report(const tl_job *job, const char *what, uint64_t done, uint64_t total)
{
    Tailor__V1__Progress progress;
    char text[TL_JOB_TEXT_BYTES];
    if (job->call->send == NULL) {
        return;
    }
    (void)snprintf(text, sizeof text, "%s", what);
    tailor__v1__progress__init(&progress);
    progress.what = text;
    progress.done = done;
    progress.total = total;
    progress.elapsed_s = (double)(job->reported_ns - job->started_ns) / (double)TL_NS_PER_S;
    progress.job_id = job->view.id;
    job->call->send(
        job->call->sink, TAILOR__V1__REPLY__KIND__PROGRESS, (ProtobufCMessage *)&progress);
}

tl_err tl_job_step(tl_job *job, const char *what, uint64_t done, uint64_t total)
{
    int64_t now_ns = tl_clock_ns();
    (void)pthread_mutex_lock(&job->jobs->lock);
    bool is_new = strncmp(job->view.what, what, sizeof job->view.what - 1) != 0;
    bool is_cancelled = job->view.is_cancelled;
    (void)snprintf(job->view.what, sizeof job->view.what, "%s", what);
    job->view.done = done;
    job->view.total = total;
    (void)pthread_mutex_unlock(&job->jobs->lock);
    if (is_cancelled) {
        return tl_fail(
            TL_ECANCELLED, "job %llu was cancelled", (unsigned long long)job->view.id);
    }
    if (is_new || done == total ||
        now_ns - job->reported_ns >= REPORT_EVERY_MS * TL_NS_PER_MS) {
        job->reported_ns = now_ns;
        report(job, what, done, total);
    }
    return tl_call_check(job->call);
}

void tl_job_end(tl_job *job, tl_err result)
{
    if (job == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&job->jobs->lock);
    job->view.is_running = false;
    job->view.result = result;
    job->ended_ns = tl_clock_ns();
    job->call = NULL;
    (void)pthread_mutex_unlock(&job->jobs->lock);
}

tl_err tl_job_cancel(tl_jobs *jobs, uint64_t job_id)
{
    tl_job *found = NULL;
    bool is_running = false;
    (void)pthread_mutex_lock(&jobs->lock);
    for (int i = 0; i < MAX_KEPT && found == NULL; i++) {
        tl_job *job = &jobs->slots[i];
        found = job->is_used && job->view.id == job_id ? job : NULL;
    }
    if (found != NULL && found->view.is_running) {
        is_running = true;
        found->view.is_cancelled = true;
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (found == NULL) {
        return tl_fail(TL_ENOTFOUND, "no job %llu", (unsigned long long)job_id);
    }
    return is_running ? TL_OK
                      : tl_fail(TL_ESTATE, "job %llu has ended", (unsigned long long)job_id);
}

static int by_id(const void *a, const void *b)
{
    uint64_t first = ((const tl_job_view *)a)->id;
    uint64_t second = ((const tl_job_view *)b)->id;
    return (first > second) - (first < second);
}

tl_err tl_jobs_list(tl_jobs *jobs, tl_job_view **out_views, size_t *out_n)
{
    tl_job_view *views = tl_mem_new(MAX_KEPT, sizeof *views);
    size_t n = 0;
    if (views == NULL) {
        return tl_fail(TL_ENOMEM, "the list of jobs");
    }
    (void)pthread_mutex_lock(&jobs->lock);
    for (int i = 0; i < MAX_KEPT; i++) {
        const tl_job *job = &jobs->slots[i];
        if (job->is_used) {
            int64_t end_ns = job->view.is_running ? tl_clock_ns() : job->ended_ns;
            views[n] = job->view;
            views[n++].elapsed_s = (double)(end_ns - job->started_ns) / (double)TL_NS_PER_S;
        }
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    qsort(views, n, sizeof *views, by_id);
    *out_views = views;
    *out_n = n;
    return TL_OK;
}
