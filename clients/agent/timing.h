/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_AGENT_TIMING_H
#define TL_CLIENTS_AGENT_TIMING_H

/*
 * Times networks on this machine: the median of many runs, and their spread.
 *
 * A group of networks is timed in rounds, each network a few runs a round, so
 * that a machine that is slow for a second is slow for all of them. Each round
 * begins with runs that are not counted.
 */

#include "clients/agent/execute.h"

#include <stdint.h>

typedef struct tl_timing_options {
    int n_runs;    /* of each network; 0: 60, or fewer where they take long */
    int cap_ms;    /* with n_runs 0: about the most spent on one network; 0: 1500 */
    uint64_t seed; /* of weights and images */
} tl_timing_options;

typedef struct tl_timing {
    double latency_ms; /* median */
    double spread_ms;  /* half the distance between the quartiles */
    int n_runs;
} tl_timing;

/* out_timings [n]. Fails with what tl_execution_new() fails with. */
TL_MUST_USE tl_err tl_time_networks(
    const tailor_network *networks,
    int n,
    const tl_timing_options *options,
    tl_timing *out_timings);

/* Median and spread of n >= 1 durations, which are sorted. */
tl_timing tl_timing_of(double *durations_ms, int n);

#endif
