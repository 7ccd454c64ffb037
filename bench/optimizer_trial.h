/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BENCH_OPTIMIZER_TRIAL_H
#define TL_BENCH_OPTIMIZER_TRIAL_H

/*
 * Problems on unseen devices, for benches that hold ways of solving them against each
 * other: predictors trained on a pool's known devices, views of its other devices
 * from a few random measurements, limits at percentiles of what they really cost.
 */

#include "measurements/table.h"
#include "optimizer/problem.h"
#include "predictors/predictor.h"

enum {
    TRIAL_N_LIMITS = 4,
    TRIAL_N_CONFIDENCES = 3,
    TRIAL_N_SAMPLES = 20
};

/* The 20th, 40th, 60th and 80th percentile; .5, .9 and .95. */
extern const double trial_limit_percentile[TRIAL_N_LIMITS];
extern const double trial_confidence[TRIAL_N_CONFIDENCES];

typedef struct trial_spec {
    const char *name, *space;
    const char *accuracies; /* table of the tasks; NULL: the proxy's value stands in */
    bool has_bits;          /* designs have bits, the devices are made up */
    const char *sources, *targets;
} trial_spec;

/* NULL when there is none of that name. */
const trial_spec *trial_spec_find(const char *name);

/* A device with what is known and what is true of it. */
typedef struct trial_device {
    const char *name;
    int n;
    tl_choice *designs; /* [n, n_slots], where its latency is known */
    double *latency_ms; /* [n] */
    /* Of a made-up device: of any design. NULL: what was measured is all. */
    double (*latency_of)(const tl_space *space, const tl_choice *design);
} trial_device;

typedef struct trial {
    const trial_spec *spec;
    tl_freedom freedom;
    tl_space *space;
    tl_table table;
    tl_table accuracies; /* of the tasks, where they stand in another table; else empty */
    tl_predictor *predictor;
    int n_devices;
    trial_device devices[16];
    int n_tasks;
    const char *tasks[8]; /* NULL: the proxy */
    /* What is measured: so many random designs, and of a table that has all, these rows too. */
    int n_source_rows, n_accuracy_rows;
    const bool *also;
} trial;

/* model: a file that is read where it exists and written where it does not. */
void trial_load(
    trial *t, const char *spaces, const char *data, const char *pool, const char *model);
void trial_unload(trial *t);

/* Trains the predictor anew on what is measured now; views of the former one are to be gone. */
void trial_retrain(trial *t);

/*
 * What designs of a space without accuracies are taken to be worth, in points:
 * 10 log10(MACs) + 10 log10(parameters). It is of the form of tl_proxy_fn; context is the space.
 */
tl_err trial_proxy(void *space, const tl_choice *designs, int n, double *out_values);

/* One device seen through TRIAL_N_SAMPLES random measurements. */
typedef struct trial_view {
    const trial *of;
    tl_view *view;
    const char *task;
    double limit_ms[TRIAL_N_LIMITS];
    /* Predictions of the listing, where it is looked up rather than computed. */
    int n_listing;
    tl_prediction *listed[8]; /* by task */
} trial_view;

/* is_listed: predictions are made once and looked up, so that searches are quick to compare. */
void trial_view_init(trial_view *view, const trial *of, int device, int seed, bool is_listed);
void trial_view_done(trial_view *view);

/* The problem of one limit, confidence and task; view->task is set. */
tl_problem trial_problem(trial_view *view, int limit, int confidence, int task);

#endif
