/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DEVICE_PROFILES_PROBE_H
#define TL_DEVICE_PROFILES_PROBE_H

/*
 * The probe: measures the machine that it runs on and fills a profile.
 *
 * fp32 is measured with a matrix product of numerics/, bandwidths by reading
 * buffers that fit L1, L2, L3 and none of them. Rates of other precisions and
 * the cost of starting an operator need an inference engine, which this folder
 * does not know: the caller hands them in as kernels. Every figure is the
 * median over repeats that are interleaved, so that a slow spell of the machine
 * shows as spread of all figures rather than as a bias of one.
 *
 * It measures with the calling thread: one core, unless the caller's engine has
 * threads of its own. Call tl_blas_single_thread() first for one core of BLAS.
 *
 *     tl_probe_result result;
 *     tl_probe_options options = {.launch = {run_tiny_operator, engine, 0}};
 *     TL_TRY(tl_probe_run(&options, &result));
 *     if (result.is_noisy) ...say worst_key with worst_spread_frac, and stolen_frac...
 */

#include "device-profiles/profile.h"

/* Work that can be repeated at will; an error ends the probe and becomes its result. */
typedef struct tl_probe_kernel {
    tl_err (*run)(void *context);
    void *context;
    double flop; /* of one run */
} tl_probe_kernel;

/*
 * A machine too busy to trust: a spread above this, or other programs having the
 * processor for more than this share of the time. The spread alone does not see
 * a neighbour that takes the same half of every slice.
 */
#define TL_PROBE_NOISY_SPREAD_FRAC 0.15
#define TL_PROBE_NOISY_STOLEN_FRAC 0.05
#define TL_PROBE_BUDGET_S          15.0

/* Zero means default throughout. */
typedef struct tl_probe_options {
    const char *name;                       /* of the profile; the host's name */
    int cores;                              /* that the kernels use, hence the profile's; 1 */
    double budget_s;                        /* TL_PROBE_BUDGET_S; it takes about half of it */
    double noisy_spread_frac;               /* TL_PROBE_NOISY_SPREAD_FRAC */
    tl_probe_kernel rates[TL_N_PRECISIONS]; /* not measured; [TL_FP32]: tl_gemm() */
    tl_probe_kernel launch;                 /* the smallest operator there is; not measured */
} tl_probe_options;

typedef struct tl_probe_result {
    tl_profile profile; /* valid; condition fp32, batch 1 */
    double worst_spread_frac;
    char worst_key[48]; /* "peak_gflops.fp32" */
    double stolen_frac; /* of the time of reading, in which the thread did not run */
    bool is_noisy;
} tl_probe_result;

/* Fails with TL_EINVAL on a bad name, TL_ENOMEM, TL_ENUMERIC, or as a kernel does. */
TL_MUST_USE tl_err tl_probe_run(const tl_probe_options *options, tl_probe_result *out_result);

#endif
