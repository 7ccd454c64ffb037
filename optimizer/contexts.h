/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_CONTEXTS_H
#define TL_OPTIMIZER_CONTEXTS_H

/*
 * Contexts: the problems that an optimizer is trained on.
 *
 * Each is one imagined device (imagined.h) and what is asked of it: limits at a
 * random quantile (.03 to .9) of what its predictions of random designs are, a
 * confidence from .5 to .99, a task, and now and then weights on costs. Several
 * contexts share a device: its predictions are made once for all of them.
 *
 * Where the space can be listed, accuracies of all designs are kept once and the costs of
 * each device too; elsewhere designs are encoded as they come.
 */

#include "optimizer/crew.h"
#include "optimizer/imagined.h"
#include "optimizer/signature.h"

/*
 * What designs are worth where no accuracies are predicted: fills values [n], in points.
 * Called from several threads.
 */
typedef tl_err tl_proxy_fn(void *context, const tl_choice *designs, int n, double *out_values);

enum {
    TL_CONTEXTS_MAX_BEST = 64
};

typedef struct tl_contexts_options {
    int n_devices;
    int n_per_device;
    uint64_t seed;
    tl_proxy_fn *proxy; /* replaces the accuracy of every task; NULL: none */
    void *proxy_context;
    tl_crew crew;
} tl_contexts_options;

typedef struct tl_context {
    int task;
    tl_limits limits;
    tl_weights weights;
} tl_context;

/* One device with the predictions that were made of it. */
typedef struct tl_context_device {
    tl_imagined imagined;
    float *listed[TL_N_COSTS]; /* mean and sd of the listing [2, n_listing]; NULL: not listed */
} tl_context_device;

/* Accuracies of designs by task: mean and sd [n_tasks, n] each. */
typedef struct tl_task_accuracies {
    float *mean, *sd;
} tl_task_accuracies;

typedef struct tl_contexts {
    tl_predictor *predictor; /* borrowed, as is signature */
    const tl_signature *signature;
    tl_contexts_options options;
    tl_imagined_pool pool;
    tl_task_accuracies pool_accuracies, listed_accuracies;
    double *points;           /* [n_tasks]: a deviation of good designs */
    const tl_choice *listing; /* NULL: not listed */
    int n_listing;
    int *order;                 /* [n_tasks, n_listing], by accuracy, best first */
    tl_context_device *devices; /* [n_devices] */
    tl_context *contexts;       /* [n_devices, n_per_device] */
    tl_mat x;                   /* their signatures [n, width] */
} tl_contexts;

/* Borrows predictor and signature. Fails with TL_ECANCELLED when the crew's progress said so. */
TL_MUST_USE tl_err tl_contexts_init(
    tl_predictor *predictor,
    const tl_signature *signature,
    const tl_contexts_options *options,
    tl_contexts *out_contexts);
void tl_contexts_done(tl_contexts *contexts);

static inline int tl_contexts_n(const tl_contexts *contexts)
{
    return contexts->options.n_devices * contexts->options.n_per_device;
}

/* What is predicted of designs on one device, for whatever context. */
typedef struct tl_outlook {
    int n;
    tl_prediction *costs; /* [n]; accuracy is not filled */
    tl_task_accuracies accuracies;
} tl_outlook;

/* Fills a zeroed *out for designs [n, n_slots]; wants tl_outlook_done(). */
TL_MUST_USE tl_err tl_contexts_look(
    const tl_contexts *contexts, int device, const tl_choice *designs, int n, tl_outlook *out);
void tl_outlook_done(tl_outlook *outlook);

/*
 * What the designs of an outlook are worth to a context: the larger the better,
 * feasible ones above all others (tl_contexts_is_feasible()), in points.
 */
TL_MUST_USE tl_err tl_contexts_worth(
    const tl_contexts *contexts, int context, const tl_outlook *outlook, double *out_worth);

static inline bool tl_contexts_is_feasible(double worth)
{
    return worth > -1e6;
}

/*
 * The best designs of a listed space for a context, best first: at most
 * n <= TL_CONTEXTS_MAX_BEST, each with its worth, and how many there are.
 */
TL_MUST_USE tl_err tl_contexts_best_listed(
    const tl_contexts *contexts,
    int context,
    int n,
    tl_choice *out_designs,
    double *out_worth,
    int *out_n);

#endif
