/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What adapting to a new device costs: choosing designs to measure, fitting a
 * head, predicting with it. One line for each pool, step and number of samples
 * with the fastest and the median of RUNS runs, in milliseconds of this thread's processor time: what
 * other programs take of a busy machine does not count.
 *
 *     bench_head SPACES DATA [RUNS]
 */

#include "base/units.h"
#include "bench/pool_trial.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MAX_RUNS = 1000,
    DEFAULT_RUNS = 50,
    N_SUGGESTED = 20,
};

static const int sizes[] = {1, 5, 10, 20, 50, 64, 200, 1000};

static int64_t thread_ns(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * TL_NS_PER_S + now.tv_nsec;
}

static double ms_since(int64_t begin_ns)
{
    return (double)(thread_ns() - begin_ns) / TL_NS_PER_MS;
}

static void print_line(const char *pool, const char *step, int n, int n_runs, double *ms)
{
    double least = ms[0];
    for (int r = 1; r < n_runs; r++) {
        least = ms[r] < least ? ms[r] : least;
    }
    (void)printf(
        "%s\t%s\t%d\t%.3f\t%.3f\n", pool, step, n, least, tl_median_inplace(n_runs, ms));
}

static void time_suggest(const pool_trial *trial, const char *pool, int n_runs)
{
    double ms[MAX_RUNS] = {0};
    int picks[N_SUGGESTED];
    tl_rng rng;
    tl_rng_init(&rng, 1);
    for (int r = 0; r < n_runs; r++) {
        int64_t begin_ns = thread_ns();
        trial_suggest(trial, N_SUGGESTED, &rng, picks);
        ms[r] = ms_since(begin_ns);
    }
    print_line(pool, "suggest of 3000", N_SUGGESTED, n_runs, ms);
}

static void time_head(const pool_trial *trial, const char *pool, int column, int n, int n_runs)
{
    double fit_ms[MAX_RUNS] = {0};
    double predict_ms[MAX_RUNS] = {0};
    int n_designs = trial->bench->table.n;
    int *measured = bench_array(3 * n_designs, sizeof *measured);
    int *samples = measured + n_designs;
    int n_measured = bench_measured(trial->bench, column, 0, measured);
    double *mean = bench_array(2 * n_designs, sizeof *mean);
    tl_rng rng;
    tl_rng_init(&rng, 2);
    for (int r = 0; r < n_runs; r++) {
        tl_head head = {0};
        tl_rng_choose(&rng, n_measured, n, measured + 2 * (ptrdiff_t)n_designs, samples);
        for (int i = 0; i < n; i++) {
            samples[i] = measured[samples[i]];
        }
        int64_t begin_ns = thread_ns();
        trial_fit(trial, column, samples, n, &head);
        fit_ms[r] = ms_since(begin_ns);
        begin_ns = thread_ns();
        bench_check(
            tl_head_predict(&head, tl_dro(trial->x), trial->z, mean, mean + n_designs),
            "predict");
        predict_ms[r] = ms_since(begin_ns);
        tl_head_done(&head);
    }
    print_line(pool, "fit", n, n_runs, fit_ms);
    if (n == N_SUGGESTED) {
        print_line(pool, "predict all designs", n, n_runs, predict_ms);
    }
    tl_mem_free(mean);
    tl_mem_free(measured);
}

static void run_pool(const char *spaces, const char *data, const pool_spec *pool, int n_runs)
{
    bench_data bench = {0};
    pool_sources sources;
    pool_trial trial;
    int column;
    bench_load(&bench, spaces, data, pool->space);
    pool_sources_init(&sources, &bench, pool, 0);
    trial_init(&trial, &bench, &sources, -1);
    (void)bench_next_column(&bench, pool->targets, &column);
    time_suggest(&trial, pool->name, n_runs);
    for (size_t s = 0; s < TL_COUNT(sizes); s++) {
        time_head(&trial, pool->name, column, sizes[s], n_runs);
    }
    trial_done(&trial);
    pool_sources_done(&sources);
    bench_unload(&bench);
}

int main(int argc, char **argv)
{
    long n_runs = argc > 3 ? strtol(argv[3], NULL, 10) : DEFAULT_RUNS;
    if (argc < 3 || n_runs < 1 || n_runs > MAX_RUNS) {
        (void)fprintf(stderr, "usage: bench_head SPACES DATA [RUNS], 1 to %d runs\n", MAX_RUNS);
        return 2;
    }
    tl_blas_single_thread();
    (void)printf("pool\tstep\tsamples\tmin_ms\tmedian_ms\n");
    for (int p = 0; p < n_pool_specs; p++) {
        if (strcmp(pool_specs[p].name, "ND") == 0 || strcmp(pool_specs[p].name, "FA") == 0) {
            run_pool(argv[1], argv[2], &pool_specs[p], (int)n_runs);
        }
    }
    return 0;
}
