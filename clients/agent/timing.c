/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/agent/timing.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "numerics/rng.h"

#include <stdlib.h>

enum {
    DEFAULT_RUNS = 60,
    DEFAULT_CAP_MS = 1500,
    MIN_RUNS = 5,
    N_ROUNDS = 5,
    N_WARM = 2,   /* runs before those that count, each round */
    LONG_MS = 100 /* a run that is long warms up by itself */
};

/* One network being timed. */
typedef struct subject {
    tl_execution *execution;
    double *durations_ms;
    int n_runs, n_wanted, n_warm;
} subject;

static int compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

/* Linear between the order statistics; sorted [n]. */
static double quantile(const double *sorted, int n, double frac)
{
    double place = frac * (n - 1);
    int below = (int)place;
    int above = below + 1 < n ? below + 1 : below;
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

tl_timing tl_timing_of(double *durations_ms, int n)
{
    qsort(durations_ms, (size_t)n, sizeof *durations_ms, compare);
    return (tl_timing){
        .latency_ms = quantile(durations_ms, n, 0.5),
        .spread_ms = (quantile(durations_ms, n, 0.75) - quantile(durations_ms, n, 0.25)) / 2.0,
        .n_runs = n,
    };
}

static tl_err run_once(subject *s, double *out_ms)
{
    int64_t start_ns = tl_clock_ns();
    TL_TRY(tl_execution_run(s->execution));
    *out_ms = (double)(tl_clock_ns() - start_ns) / (double)TL_NS_PER_MS;
    return TL_OK;
}

static tl_err write_image(subject *s, const tailor_network *network, tl_rng *rng)
{
    size_t n = (size_t)network->in_ch * (size_t)network->in_size * (size_t)network->in_size;
    float *image = tl_mem_new(n, sizeof *image);
    if (image == NULL) {
        return tl_fail(TL_ENOMEM, "image");
    }
    for (size_t i = 0; i < n; i++) {
        image[i] = (float)(2.0 * tl_rng_uniform(rng) - 1.0);
    }
    tl_err err = tl_execution_write(s->execution, image);
    tl_mem_free(image);
    return err;
}

/* The number of runs that the options ask for, or that fit when one takes run_ms. */
static int runs_wanted(const tl_timing_options *options, double run_ms)
{
    if (options->n_runs > 0) {
        return options->n_runs;
    }
    double cap_ms = options->cap_ms > 0 ? options->cap_ms : DEFAULT_CAP_MS;
    double fitting = cap_ms / (run_ms > 0.0 ? run_ms : 1e-3);
    int n = fitting < DEFAULT_RUNS ? (int)fitting : DEFAULT_RUNS;
    return n < MIN_RUNS ? MIN_RUNS : n;
}

static tl_err subject_init(
    subject *s, const tailor_network *network, const tl_timing_options *options, tl_rng *rng)
{
    double first_ms = 0.0, second_ms = 0.0;
    TL_TRY(tl_execution_new(network, tl_fill_random, rng, &s->execution));
    TL_TRY(write_image(s, network, rng));
    TL_TRY(run_once(s, &first_ms));
    TL_TRY(run_once(s, &second_ms));
    double run_ms = first_ms < second_ms ? first_ms : second_ms;
    s->n_wanted = runs_wanted(options, run_ms);
    s->n_warm = run_ms < LONG_MS ? N_WARM : 0;
    s->durations_ms = tl_mem_new((size_t)s->n_wanted, sizeof *s->durations_ms);
    return s->durations_ms != NULL ? TL_OK : tl_fail(TL_ENOMEM, "%d runs", s->n_wanted);
}

static void subjects_free(subject *subjects, int n)
{
    if (subjects == NULL) {
        return;
    }
    for (int i = 0; i < n; i++) {
        tl_execution_free(subjects[i].execution);
        tl_mem_free(subjects[i].durations_ms);
    }
    tl_mem_free(subjects);
}

/* The runs of one network in one round: its share of what is left. */
static tl_err run_round(subject *s, int round)
{
    int n = (s->n_wanted - s->n_runs) / (N_ROUNDS - round);
    double unused_ms = 0.0;
    for (int i = 0; i < s->n_warm && n > 0; i++) {
        TL_TRY(run_once(s, &unused_ms));
    }
    for (int i = 0; i < n; i++) {
        TL_TRY(run_once(s, &s->durations_ms[s->n_runs]));
        s->n_runs++;
    }
    return TL_OK;
}

tl_err tl_time_networks(
    const tailor_network *networks,
    int n,
    const tl_timing_options *options,
    tl_timing *out_timings)
{
    tl_err err = TL_OK;
    tl_rng rng;
    tl_rng_init(&rng, options->seed);
    subject *subjects = tl_mem_new((size_t)n, sizeof *subjects);
    if (subjects == NULL) {
        return tl_fail(TL_ENOMEM, "%d networks", n);
    }
    for (int i = 0; i < n; i++) {
        if ((err = subject_init(&subjects[i], &networks[i], options, &rng)) != TL_OK) {
            err = tl_fail_in(err, "network %d: ", i + 1);
            goto done;
        }
    }
    for (int round = 0; round < N_ROUNDS; round++) {
        for (int i = 0; i < n; i++) {
            if ((err = run_round(&subjects[i], round)) != TL_OK) {
                goto done;
            }
        }
    }
    for (int i = 0; i < n; i++) {
        out_timings[i] = tl_timing_of(subjects[i].durations_ms, subjects[i].n_runs);
    }
done:
    subjects_free(subjects, n);
    return err;
}
