/* SPDX-License-Identifier: Apache-2.0 */
#include "grading/hmc.h"

#include "base/mem.h"
#include "base/watch.h"
#include "numerics/gemm.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Where the chain is; all arrays [d] in one block. */
typedef struct chain {
    const tl_hmc_target *target;
    double log_density;
    double *memory;
    double *w, *gradient;           /* of the present place */
    double *next_w, *next_gradient; /* of the trajectory */
    double *momentum;
} chain;

static tl_err chain_init(const tl_hmc_target *target, const double *w, chain *c)
{
    size_t d = (size_t)target->d;
    *c = (chain){.target = target};
    c->memory = tl_mem_new(5 * d, sizeof *c->memory);
    if (c->memory == NULL) {
        return tl_fail(TL_ENOMEM, "a chain of %d coordinates", target->d);
    }
    c->w = c->memory;
    c->gradient = c->w + d;
    c->next_w = c->gradient + d;
    c->next_gradient = c->next_w + d;
    c->momentum = c->next_gradient + d;
    memcpy(c->w, w, d * sizeof *w);
    c->log_density = target->log_density(target->context, c->w, c->gradient);
    return isfinite(c->log_density)
               ? TL_OK
               : tl_fail(TL_ENUMERIC, "HMC: no finite density at the start");
}

static void push(int d, double step, const double *by, double *x)
{
    for (int j = 0; j < d; j++) {
        x[j] += step * by[j];
    }
}

/* Runs a trajectory; the log density at its end. */
static double leap(chain *c, double step, int n_leaps)
{
    const tl_hmc_target *target = c->target;
    double log_density = c->log_density;
    for (int k = 0; k < n_leaps && isfinite(log_density); k++) {
        push(target->d, step / 2, c->next_gradient, c->momentum);
        push(target->d, step, c->momentum, c->next_w);
        log_density = target->log_density(target->context, c->next_w, c->next_gradient);
        push(target->d, step / 2, c->next_gradient, c->momentum);
    }
    return log_density;
}

/* One trajectory; the probability with which it was to be accepted. */
static double advance(chain *c, double step, int n_leaps, tl_rng *rng, bool *out_accepted)
{
    int d = c->target->d;
    size_t bytes = (size_t)d * sizeof *c->w;
    for (int j = 0; j < d; j++) {
        c->momentum[j] = tl_rng_normal(rng);
    }
    double before = c->log_density - tl_ddot(d, c->momentum, c->momentum) / 2;
    memcpy(c->next_w, c->w, bytes);
    memcpy(c->next_gradient, c->gradient, bytes);
    double log_density = leap(c, step, n_leaps);
    double after = log_density - tl_ddot(d, c->momentum, c->momentum) / 2;
    double probability = isfinite(after) ? fmin(1, exp(after - before)) : 0;
    *out_accepted = tl_rng_uniform(rng) < probability;
    if (*out_accepted) {
        memcpy(c->w, c->next_w, bytes);
        memcpy(c->gradient, c->next_gradient, bytes);
        c->log_density = log_density;
    }
    return probability;
}

tl_err tl_hmc_sample(
    const tl_hmc_target *target,
    const tl_hmc_options *options,
    tl_rng *rng,
    double *w,
    tl_dmat draws,
    double *out_acceptance)
{
    static const double jitter = .2;
    chain c;
    int n_accepted = 0;
    double log_step = log(options->step);
    tl_err err = chain_init(target, w, &c);
    for (int k = -options->n_warm; k < draws.rows && err == TL_OK; k++) {
        bool is_accepted = false;
        if ((err = tl_watch_check()) != TL_OK) {
            break;
        }
        double step = exp(log_step) * (1 + jitter * (2 * tl_rng_uniform(rng) - 1));
        double probability = advance(&c, step, options->n_leaps, rng, &is_accepted);
        if (k < 0) {
            int round = k + options->n_warm + 1;
            log_step += (probability - options->acceptance) / sqrt(round);
            continue;
        }
        n_accepted += is_accepted;
        memcpy(tl_dmat_row(draws, k), c.w, (size_t)target->d * sizeof *w);
    }
    if (err == TL_OK) {
        memcpy(w, c.w, (size_t)target->d * sizeof *w);
        *out_acceptance = draws.rows > 0 ? (double)n_accepted / draws.rows : 0;
    }
    tl_mem_free(c.memory);
    return err;
}
