/* SPDX-License-Identifier: Apache-2.0 */
#include "device-profiles/probe.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "device-profiles/host.h"
#include "device-profiles/stream.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    N_REPEATS = 9,
    MIN_REPEATS = 3, /* even when the budget is gone: a median needs company */
    MAX_FIGURES = TL_N_PRECISIONS + TL_N_MEMORIES + 1,
    GEMM_SIZE = 512,
    CHUNK_BYTES = 1 << 20, /* read between two looks at the clock */
    DEFAULT_L1_BYTES = 32 << 10,
    DEFAULT_L2_BYTES = 512 << 10,
    MIN_DRAM_BYTES = 64 << 20,
    MAX_DRAM_BYTES = 512 << 20,
};

/* A repeat runs no longer than this, and all repeats share half of the budget. */
static const double max_slot_s = 0.1;
static const double budget_share = 0.5;

static const double max_spread_frac = 100; /* what a profile holds; beyond is only noise */

/* What is measured: rate = work / time, or time itself where work is 0. */
typedef struct figure {
    const char *key; /* full name in the profile */
    tl_probe_kernel kernel;
    double work; /* giga-units of one run: GFLOP or GB; 0: microseconds are wanted */
    double samples[N_REPEATS];
    int n_samples;
} figure;

typedef struct gemm_work {
    tl_mat a, b, c; /* [GEMM_SIZE, GEMM_SIZE] */
} gemm_work;

/* Reads `bytes` bytes round and round, CHUNK_BYTES at a time. */
typedef struct read_work {
    const char *data;
    size_t bytes, at;
    uint64_t sum; /* kept, so that the reads are not optimized away */
} read_work;

typedef struct probe {
    gemm_work gemm;
    read_work reads[TL_N_MEMORIES];
    char *buffer; /* the largest size; the small ones are its beginning */
    figure figures[MAX_FIGURES];
    size_t n_figures;
    bool is_single;            /* kernels run in the calling thread alone */
    double read_s, read_cpu_s; /* time of reading, and of it what this thread had */
} probe;

/* ---- the kernels ---- */

static tl_err run_gemm(void *context)
{
    gemm_work *g = context;
    tl_gemm(1.0F, TL_N, tl_ro(g->a), TL_N, tl_ro(g->b), 0.0F, g->c);
    return TL_OK;
}

static tl_err run_read(void *context)
{
    read_work *r = context;
    for (size_t left = CHUNK_BYTES; left > 0;) {
        size_t n = r->bytes - r->at < left ? r->bytes - r->at : left;
        r->sum += tl_stream_sum(r->data + r->at, n);
        r->at = r->at + n == r->bytes ? 0 : r->at + n;
        left -= n;
    }
    return TL_OK;
}

static tl_err init_gemm(gemm_work *g)
{
    TL_TRY(tl_mat_init(&g->a, GEMM_SIZE, GEMM_SIZE));
    TL_TRY(tl_mat_init(&g->b, GEMM_SIZE, GEMM_SIZE));
    TL_TRY(tl_mat_init(&g->c, GEMM_SIZE, GEMM_SIZE));
    for (int i = 0; i < GEMM_SIZE; i++) {
        for (int j = 0; j < GEMM_SIZE; j++) {
            tl_mat_row(g->a, i)[j] = (float)((i + j) % 7) * 0.1F;
            tl_mat_row(g->b, i)[j] = (float)((i * j) % 5) * 0.1F;
        }
    }
    return TL_OK;
}

/* ---- what to read ---- */

static size_t clamp(size_t value, size_t low, size_t high)
{
    return value < low ? low : value > high ? high : value;
}

/*
 * Half of L1 and of L2: all of it would meet the neighbours' lines. L3 is shared,
 * and in a virtual machine larger than our part of it: twice L2 is surely in it.
 * DRAM: four times the largest cache, but no more than a quarter of free memory.
 */
static void choose_sizes(const tl_host *host, size_t out_bytes[TL_N_MEMORIES])
{
    size_t l1 = host->cache_bytes[TL_L1] > 0 ? host->cache_bytes[TL_L1] : DEFAULT_L1_BYTES;
    size_t l2 = host->cache_bytes[TL_L2] > 0 ? host->cache_bytes[TL_L2] : DEFAULT_L2_BYTES;
    size_t l3 = host->cache_bytes[TL_L3];
    size_t free_bytes = host->cache_bytes[TL_DRAM];
    size_t most = free_bytes > 0 ? free_bytes / 4 : MIN_DRAM_BYTES;

    out_bytes[TL_L1] = clamp(l1 / 2, 4U << 10, 1U << 20);
    out_bytes[TL_L2] = clamp(l2 / 2, 2 * out_bytes[TL_L1], 64U << 20);
    out_bytes[TL_L3] = l3 > 2 * l2 ? 2 * l2 : 0;
    out_bytes[TL_DRAM] = clamp(
        4 * (l3 > l2 ? l3 : l2), MIN_DRAM_BYTES,
        clamp(most, MIN_DRAM_BYTES / 4, MAX_DRAM_BYTES));
    for (int i = 0; i < TL_N_MEMORIES; i++) {
        out_bytes[i] -= out_bytes[i] % TL_STREAM_STEP_BYTES;
    }
}

static tl_err init_reads(probe *p, const tl_host *host)
{
    size_t bytes[TL_N_MEMORIES];
    size_t largest = 0;
    choose_sizes(host, bytes);
    for (int i = 0; i < TL_N_MEMORIES; i++) {
        largest = bytes[i] > largest ? bytes[i] : largest;
    }
    p->buffer = tl_mem_new_aligned(largest, 1);
    if (p->buffer == NULL) {
        return tl_fail(TL_ENOMEM, "%zu bytes to read", largest);
    }
    memset(p->buffer, 1, largest); /* untouched pages would all be one page of zeros */
    for (int i = 0; i < TL_N_MEMORIES; i++) {
        p->reads[i] = (read_work){.data = p->buffer, .bytes = bytes[i]};
    }
    return TL_OK;
}

/* ---- the list of figures ---- */

static void add_figure(probe *p, const char *key, tl_probe_kernel kernel, double work)
{
    p->figures[p->n_figures++] = (figure){.key = key, .kernel = kernel, .work = work};
}

static void list_figures(probe *p, const tl_probe_options *options)
{
    static const char *const rate_keys[TL_N_PRECISIONS] = {
        "peak_gflops.fp32", "peak_gflops.fp16", "peak_gflops.bf16", "peak_gflops.int8",
        "peak_gflops.int4"};
    static const char *const read_keys[TL_N_MEMORIES] = {
        "bandwidth_gb_per_s.l1", "bandwidth_gb_per_s.l2", "bandwidth_gb_per_s.l3",
        "bandwidth_gb_per_s.dram"};
    double gemm_flop = TL_FLOP_PER_MAC * GEMM_SIZE * GEMM_SIZE * GEMM_SIZE;
    for (int i = 0; i < TL_N_PRECISIONS; i++) {
        tl_probe_kernel kernel = options->rates[i];
        if (kernel.run == NULL && i == TL_FP32) {
            kernel = (tl_probe_kernel){.run = run_gemm, .context = &p->gemm, .flop = gemm_flop};
        }
        if (kernel.run != NULL) {
            TL_ASSERT(kernel.flop > 0);
            add_figure(p, rate_keys[i], kernel, kernel.flop / TL_PER_GIGA);
        }
    }
    for (int i = 0; i < TL_N_MEMORIES; i++) {
        if (p->reads[i].bytes > 0) {
            tl_probe_kernel kernel = {.run = run_read, .context = &p->reads[i]};
            add_figure(p, read_keys[i], kernel, (double)CHUNK_BYTES / TL_PER_GIGA);
        }
    }
    if (options->launch.run != NULL) {
        add_figure(p, "launch_us", options->launch, 0);
    }
}

/* ---- measuring ---- */

static double seconds_since(int64_t start_ns)
{
    return (double)(tl_clock_ns() - start_ns) / (double)TL_NS_PER_S;
}

static double thread_cpu_s(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / (double)TL_NS_PER_S;
}

/*
 * Runs for slot_s, at least once. Kernels of one thread never wait: what they lack of
 * their time, other programs had. Their rates are those of the time that they had, as the
 * median run of a design is one that nobody interrupted.
 */
static tl_err take_sample(probe *p, const figure *f, double slot_s, double *out_sample)
{
    int64_t start_ns = tl_clock_ns();
    double start_cpu_s = thread_cpu_s();
    double elapsed_s = 0;
    double n_runs = 0;
    while (n_runs == 0 || elapsed_s < slot_s) {
        TL_TRY(f->kernel.run(f->kernel.context));
        n_runs++;
        elapsed_s = seconds_since(start_ns);
    }
    double cpu_s = thread_cpu_s() - start_cpu_s;
    if (f->kernel.run == run_read) {
        p->read_s += elapsed_s;
        p->read_cpu_s += cpu_s;
    }
    if (p->is_single && cpu_s > 0) {
        elapsed_s = cpu_s;
    }
    elapsed_s = elapsed_s > 0 ? elapsed_s : 1.0 / (double)TL_NS_PER_S;
    *out_sample = f->work > 0 ? n_runs * f->work / elapsed_s
                              : elapsed_s / n_runs * TL_MS_PER_S * TL_US_PER_MS;
    return TL_OK;
}

/* Round 0 warms up and is not counted. */
static tl_err take_all(probe *p, double budget_s)
{
    int64_t start_ns = tl_clock_ns();
    double slot_s = budget_share * budget_s / (double)(p->n_figures * (N_REPEATS + 1));
    slot_s = slot_s < max_slot_s ? slot_s : max_slot_s;
    for (int round = 0; round <= N_REPEATS; round++) {
        if (round > MIN_REPEATS && seconds_since(start_ns) > budget_share * budget_s) {
            break;
        }
        for (size_t i = 0; i < p->n_figures; i++) {
            figure *f = &p->figures[i];
            double sample = 0;
            TL_TRY(take_sample(p, f, slot_s, &sample));
            if (round > 0) {
                f->samples[f->n_samples++] = sample;
            }
        }
    }
    return TL_OK;
}

/* ---- the result ---- */

static tl_err set_number(tl_profile *profile, const char *key, double value)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%.4g", value); /* more digits would be noise */
    return tl_profile_set(profile, key, text);
}

static tl_err report_figure(figure *f, tl_probe_result *result)
{
    char spread_key[64];
    double median = tl_median_inplace(f->n_samples, f->samples);
    double low = tl_quantile_inplace(f->n_samples, f->samples, 0.25);
    double high = tl_quantile_inplace(f->n_samples, f->samples, 0.75);
    double spread_frac = (high - low) / median;
    if (!isfinite(median) || !(median > 0) || !isfinite(spread_frac)) {
        return tl_fail(TL_ENUMERIC, "%s: got %g, want a positive figure", f->key, median);
    }
    TL_TRY(set_number(&result->profile, f->key, median));
    (void)snprintf(spread_key, sizeof spread_key, "spread_frac.%s", f->key);
    TL_TRY(set_number(
        &result->profile, spread_key,
        spread_frac < max_spread_frac ? spread_frac : max_spread_frac));
    if (spread_frac >= result->worst_spread_frac) {
        result->worst_spread_frac = spread_frac;
        (void)snprintf(result->worst_key, sizeof result->worst_key, "%s", f->key);
    }
    return TL_OK;
}

static tl_err describe(const tl_probe_options *options, const tl_host *host, tl_profile *out)
{
    TL_TRY(tl_profile_bare(options->name != NULL ? options->name : host->name, out));
    const char *processor = host->processor[0] != '\0' ? host->processor : "processor unknown";
    (void)snprintf(
        out->description, sizeof out->description, "%s, %d core%s", processor, host->cores,
        host->cores == 1 ? "" : "s");
    TL_TRY(tl_profile_set(out, "source", "measured on the machine itself by the probe"));
    TL_TRY(tl_profile_set(out, "condition", "fp32"));
    out->device_class = TL_DEVICE_CPU;
    out->batch = 1;
    out->cores = options->cores > 0 ? options->cores : 1;
    out->clock_mhz = round(host->clock_mhz);
    for (int i = 0; i < TL_DRAM; i++) {
        out->cache_kib[i] = (double)host->cache_bytes[i] / (double)TL_KIB_BYTES;
    }
    return TL_OK;
}

static void probe_done(probe *p)
{
    tl_mat_done(&p->gemm.a);
    tl_mat_done(&p->gemm.b);
    tl_mat_done(&p->gemm.c);
    tl_mem_free(p->buffer);
    tl_mem_free(p);
}

tl_err tl_probe_run(const tl_probe_options *options, tl_probe_result *out_result)
{
    tl_err err = TL_OK;
    tl_host host;
    tl_probe_result result = {0};
    double budget_s = options->budget_s > 0 ? options->budget_s : TL_PROBE_BUDGET_S;
    double limit_frac = options->noisy_spread_frac > 0 ? options->noisy_spread_frac
                                                       : TL_PROBE_NOISY_SPREAD_FRAC;

    tl_host_read("", &host);
    TL_TRY(describe(options, &host, &result.profile));
    probe *p = tl_mem_new(1, sizeof *p);
    if (p == NULL) {
        return tl_fail(TL_ENOMEM, "probe");
    }
    if ((err = init_gemm(&p->gemm)) != TL_OK || (err = init_reads(p, &host)) != TL_OK) {
        goto done;
    }
    p->is_single = options->cores <= 1;
    list_figures(p, options);
    if ((err = take_all(p, budget_s)) != TL_OK) {
        goto done;
    }
    for (size_t i = 0; i < p->n_figures; i++) {
        if ((err = report_figure(&p->figures[i], &result)) != TL_OK) {
            goto done;
        }
    }
    result.stolen_frac = p->read_cpu_s < p->read_s ? 1.0 - p->read_cpu_s / p->read_s : 0;
    result.is_noisy = result.worst_spread_frac > limit_frac ||
                      result.stolen_frac > TL_PROBE_NOISY_STOLEN_FRAC;
    if ((err = tl_profile_check(&result.profile)) == TL_OK) {
        *out_result = result;
    }
done:
    probe_done(p);
    return err;
}
