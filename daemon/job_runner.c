/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/job_runner.h"

#include "base/background.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/jobs.h"
#include "numerics/gemm.h"

#include <pthread.h>
#include <stdio.h>

struct tl_job_runner {
    tl_engine *engine;
    const tl_method *const *methods;
    size_t n_methods;
    pthread_t threads[TL_JOB_RUNNER_THREADS];
    int n_threads;
};

static tl_err call_method(
    const tl_job_runner *runner, tl_job *job, tl_call *call, tl_bytes *reply)
{
    void *request = NULL;
    size_t len = 0;
    const char *name = tl_job_method(job);
    const tl_method *method = tl_method_find_in(runner->methods, runner->n_methods, name);
    if (method == NULL || !method->is_job) {
        return tl_fail(TL_ENOTFOUND, "this daemon knows no job \"%.64s\"", name);
    }
    TL_TRY(tl_job_request(job, &request, &len));
    tl_err err = tl_method_call(method, call, request, len, reply);
    tl_mem_free(request);
    return err;
}

static void run_one(const tl_job_runner *runner, tl_job *job)
{
    tl_bytes reply = {0};
    tl_call call = {.engine = runner->engine, .deadline_ns = INT64_MAX};
    unsigned long long id = (unsigned long long)tl_job_id(job);
    tl_job_fill_call(job, &call);
    tl_err_clear();
    tl_log(TL_LOG_INFO, "job %llu: %s begins", id, tl_job_method(job));
    tl_err err = call_method(runner, job, &call, &reply);
    char detail[TL_JOB_DETAIL_BYTES];
    (void)snprintf(detail, sizeof detail, "%s", err != TL_OK ? tl_err_detail() : "");
    if (!tl_job_finish_take(job, err, &call, &reply)) {
        tl_log(TL_LOG_INFO, "job %llu: put aside for the next start", id);
    } else if (err == TL_OK) {
        tl_log(TL_LOG_INFO, "job %llu: done", id);
    } else {
        tl_log(TL_LOG_INFO, "job %llu: %s: %s", id, tl_err_name(err), detail);
    }
    tl_call_done(&call);
}

static void *work(void *context)
{
    const tl_job_runner *runner = context;
    tl_blas_single_thread();
    tl_background_thread();
    for (tl_job *job = NULL; (job = tl_jobs_take(tl_engine_jobs(runner->engine))) != NULL;) {
        run_one(runner, job);
    }
    return NULL;
}

tl_err tl_job_runner_new(
    tl_engine *engine,
    const tl_method *const *methods,
    size_t n_methods,
    tl_job_runner **out_runner)
{
    tl_job_runner *runner = tl_mem_new(1, sizeof *runner);
    if (runner == NULL) {
        return tl_fail(TL_ENOMEM, "the runner of jobs");
    }
    runner->engine = engine;
    runner->methods = methods;
    runner->n_methods = n_methods;
    while (runner->n_threads < TL_JOB_RUNNER_THREADS) {
        if (pthread_create(&runner->threads[runner->n_threads], NULL, work, runner) != 0) {
            tl_job_runner_free(runner);
            return tl_fail(TL_EIO, "a thread for jobs cannot be started");
        }
        runner->n_threads++;
    }
    *out_runner = runner;
    return TL_OK;
}

void tl_job_runner_free(tl_job_runner *runner)
{
    if (runner == NULL) {
        return;
    }
    tl_jobs_stop(tl_engine_jobs(runner->engine));
    for (int i = 0; i < runner->n_threads; i++) {
        (void)pthread_join(runner->threads[i], NULL);
    }
    tl_mem_free(runner);
}
