/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/crew.h"

#include "base/watch.h"
#include "numerics/gemm.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    MAX_THREADS = 16
};

typedef struct work {
    const tl_crew *crew;
    tl_crew_fn *fn;
    void *context;
    int n;
    atomic_int next, n_done;
    atomic_bool is_over; /* by an error */
} work;

typedef struct worker {
    work *work;
    pthread_t thread;
    tl_watch watch; /* the caller's */
    bool is_caller;
    tl_err err;
} worker;

static tl_err do_piece(worker *w, int piece)
{
    work *job = w->work;
    const tl_crew *crew = job->crew;
    TL_TRY(tl_watch_check());
    TL_TRY(job->fn(job->context, piece));
    int done = atomic_fetch_add(&job->n_done, 1) + 1;
    if (w->is_caller && crew->progress != NULL &&
        !crew->progress(crew->progress_context, done, job->n)) {
        return tl_fail(TL_ECANCELLED, "stopped after %d of %d", done, job->n);
    }
    return TL_OK;
}

static void *run_worker(void *worker_any)
{
    worker *w = worker_any;
    work *job = w->work;
    tl_blas_single_thread();
    (void)tl_watch_set(w->watch);
    while (!atomic_load(&job->is_over)) {
        int piece = atomic_fetch_add(&job->next, 1);
        if (piece >= job->n) {
            break;
        }
        w->err = do_piece(w, piece);
        if (w->err != TL_OK) {
            atomic_store(&job->is_over, true);
        }
    }
    return NULL;
}

/* A thread that cannot be had is done without. */
tl_err tl_crew_run(const tl_crew *crew, int n, tl_crew_fn *fn, void *context)
{
    work job = {.crew = crew, .fn = fn, .context = context, .n = n};
    worker workers[MAX_THREADS] = {
        {.work = &job, .watch = tl_watch_get(), .is_caller = true}
    };
    int n_wanted = crew->n_threads < MAX_THREADS ? crew->n_threads : MAX_THREADS;
    int n_started = 1;
    for (; n_started < n_wanted && n_started < n; n_started++) {
        worker *w = &workers[n_started];
        *w = (worker){.work = &job, .watch = tl_watch_get()};
        if (pthread_create(&w->thread, NULL, run_worker, w) != 0) {
            break;
        }
    }
    (void)run_worker(&workers[0]);
    tl_err err = workers[0].err;
    for (int i = 1; i < n_started; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        if (workers[i].err != TL_OK && err == TL_OK) {
            /* the detail stayed on that thread, where it was not the watch */
            err = tl_watch_check();
            err = err == TL_OK ? tl_fail(workers[i].err, "one of %d threads failed", n_started)
                               : err;
        }
    }
    return err;
}
