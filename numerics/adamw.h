/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_NUMERICS_ADAMW_H
#define TL_NUMERICS_ADAMW_H

#include "numerics/mat.h"

#include <stdbool.h>

/*
 * AdamW over a flat list of parameter blocks: decoupled weight decay, the
 * gradient clipped by its norm over all blocks, the learning rate given per step.
 *
 *     g' = g min(1, clip_norm / |g|)
 *     m  = beta1 m + (1 - beta1) g'
 *     v  = beta2 v + (1 - beta2) g'^2
 *     w  = w (1 - lr decay) - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
 *
 * Deterministic: same parameters and gradients, same bits.
 *
 *     tl_param params[] = {
 *         {.value = w, .gradient = dw, .has_decay = true},
 *         {.value = b, .gradient = db},
 *     };
 *     tl_adamw *adamw = NULL;
 *     TL_TRY(tl_adamw_new(&options, TL_COUNT(params), params, &adamw));
 *     for (int t = 0; t < n_steps; t++) {
 *         ...forward, backward...
 *         (void)tl_adamw_step(adamw, tl_warm_cosine(3e-3, 50, t, n_steps));
 *     }
 *     tl_adamw_free(adamw);
 */
typedef struct tl_adamw tl_adamw;

/* A block of parameters, a bias as one row, and its gradient of the same shape; both borrowed. */
typedef struct tl_param {
    tl_mat value;
    tl_mat gradient;
    bool has_decay;
} tl_param;

typedef struct tl_adamw_options {
    double weight_decay; /* 0: none */
    double clip_norm;    /* 0: no clipping */
    double beta1;        /* 0: 0.9 */
    double beta2;        /* 0: 0.999 */
    double epsilon;      /* 0: 1e-8 */
} tl_adamw_options;

/* Copies the list; the blocks must outlive the result. The caller owns *out_adamw. */
TL_MUST_USE tl_err tl_adamw_new(
    const tl_adamw_options *options,
    int n_params,
    const tl_param *params,
    tl_adamw **out_adamw);

void tl_adamw_free(tl_adamw *adamw); /* NULL is fine */

/*
 * One step; leaves the gradients zero, ready to accumulate. Returns the norm
 * before clipping. Where that is not finite the parameters become so too: the
 * training ends with TL_ENUMERIC, it does not go on silently.
 */
double tl_adamw_step(tl_adamw *adamw, double lr);

/*
 * Learning rate at step t of [0, n_steps): linear warm-up, then cosine to 0.
 *
 *     lr min(1, (t + 1) / n_warm) (1 + cos(pi t / n_steps)) / 2
 */
double tl_warm_cosine(double lr, int n_warm, int t, int n_steps);

#endif
