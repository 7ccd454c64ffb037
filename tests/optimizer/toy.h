/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_OPTIMIZER_TOY_H
#define TL_TESTS_OPTIMIZER_TOY_H

/*
 * A made-up world for tests of the optimizer: a chain of a few blocks, small enough
 * to train on in a second, three known devices with latency and energy, one task. The
 * device that is asked about is none of them.
 */

#include "tests/support/test.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "numerics/stats.h"
#include "optimizer/problem.h"
#include "predictors/predictor.h"
#include "predictors/train.h"

#include <math.h>
#include <string.h>

enum {
    TOY_N_DEVICES = 3,
    TOY_N_ROWS = 120,
    TOY_N_OPTIONS = 4,
    TOY_SMALL = 4, /* blocks: 256 designs, listed */
    TOY_LARGE = 8  /* 65,536 designs, not listed */
};

typedef struct toy {
    tl_space *space;
    tl_predictor *predictor;
    int n_slots;
} toy;

static inline tl_space *toy_space(int n_blocks)
{
    tl_text yaml = {0};
    tl_space *space = NULL;
    tl_text_addf(
        &yaml,
        "name: toy%d\nkind: chain\ninput: {channels: 8, size: 8}\nslot: b{block}\n"
        "stages: [{channels: 8, blocks: %d}]\noptions:\n"
        "  - {name: one, ops: [{op: conv, out: out, kernel: 1}]}\n"
        "  - {name: three, ops: [{op: conv, out: out, kernel: 3}]}\n"
        "  - {name: five, ops: [{op: conv, out: out, kernel: 5}]}\n"
        "  - {name: thin, ops: [{op: depthwise, kernel: 3}]}\n",
        n_blocks, n_blocks);
    assert_ok(tl_text_err(&yaml));
    assert_ok(tl_space_parse(yaml.data, yaml.len, "toy", &space));
    tl_text_done(&yaml);
    return space;
}

/* What an option costs on a device, and earns; device TOY_N_DEVICES is the unseen one. */
static inline double toy_cost(int device, const tl_choice *design, int n_slots)
{
    static const double cost[TOY_N_DEVICES + 1][TOY_N_OPTIONS] = {
        {1,   4,   9, 1.5},
        {1.5, 3,   7, 3  },
        {1,   5,   8, .8 },
        {1.2, 3.5, 8, 2  },
    };
    double sum = 1 + device;
    for (int k = 0; k < n_slots; k++) {
        sum += cost[device][design[k]] * (1 + .1 * k);
    }
    return sum;
}

static inline double toy_accuracy(const tl_choice *design, int n_slots)
{
    static const double gain[TOY_N_OPTIONS] = {.5, 3, 4, 1.8};
    double sum = 0;
    for (int k = 0; k < n_slots; k++) {
        sum += gain[design[k]] * (1.3 - .1 * k);
    }
    return 60 + 30 * (1 - exp(-sum / n_slots / 2));
}

/* Columns: latency and energy of each known device, then the task where has_task. */
static inline tl_model *toy_train(const toy *t, bool has_task)
{
    static const char *const names[] = {"alpha", "beta", "gamma"};
    tl_train_column columns[2 * TOY_N_DEVICES + 1];
    double values[2 * TOY_N_DEVICES + 1][TOY_N_ROWS];
    size_t n_slots = (size_t)t->n_slots;
    tl_choice *designs = tl_mem_new(TOY_N_ROWS * n_slots, sizeof *designs);
    tl_model *model = NULL;
    tl_text notes = {0};
    tl_rng rng;
    tl_rng_init(&rng, 11);
    for (size_t i = 0; i < TOY_N_ROWS; i++) {
        tl_choice *design = designs + i * n_slots;
        tl_space_sample(t->space, &rng, design);
        for (int d = 0; d < TOY_N_DEVICES; d++) {
            double ms = toy_cost(d, design, t->n_slots);
            values[2 * d][i] = ms * exp(.01 * tl_rng_normal(&rng));
            values[2 * d + 1][i] = ms * (1 + .02 * design[0]) * exp(.01 * tl_rng_normal(&rng));
        }
        values[2 * TOY_N_DEVICES][i] = toy_accuracy(design, t->n_slots);
    }
    int n = 2 * TOY_N_DEVICES + has_task;
    for (int c = 0; c < n; c++) {
        bool is_task = c == 2 * TOY_N_DEVICES;
        columns[c] = (tl_train_column){
            .metric = is_task      ? TL_METRIC_ACCURACY
                      : c % 2 == 0 ? TL_METRIC_LATENCY_MS
                                   : TL_METRIC_ENERGY_MJ,
            .subject = is_task ? "task" : names[c / 2],
            .designs = designs,
            .values = values[c],
            .n = TOY_N_ROWS};
    }
    tl_train_options options = {
        .space = t->space, .columns = columns, .n_columns = n, .seed = 1, .n_threads = 1};
    assert_ok(tl_train(&options, &notes, &model));
    tl_text_done(&notes);
    tl_mem_free(designs);
    return model;
}

static inline toy toy_make(int n_blocks, bool has_task)
{
    toy t = {.space = toy_space(n_blocks)};
    t.n_slots = tl_space_n_slots(t.space);
    assert_ok(tl_predictor_new(t.space, toy_train(&t, has_task), &t.predictor));
    return t;
}

static inline void toy_unmake(toy *t)
{
    tl_predictor_unref(t->predictor);
    tl_space_unref(t->space);
}

/* The truth about the unseen device, with deviations of 2%. */
static inline tl_err toy_predict(
    void *toy_any, const tl_choice *designs, int n, tl_prediction *out)
{
    const toy *t = toy_any;
    for (int i = 0; i < n; i++) {
        const tl_choice *design = designs + (ptrdiff_t)i * t->n_slots;
        double ms = toy_cost(TOY_N_DEVICES, design, t->n_slots);
        out[i] = (tl_prediction){
            .latency_ms = ms,
            .latency_std_ms = .02 * ms,
            .energy_mj = 2 * ms,
            .energy_std_mj = .04 * ms,
            .accuracy = toy_accuracy(design, t->n_slots),
            .accuracy_std = .1};
    }
    return TL_OK;
}

static inline tl_problem toy_problem(toy *t, double max_latency_ms)
{
    tl_problem problem = {
        .space = t->space,
        .task = "task",
        .limits =
            {.max_latency_ms = max_latency_ms,
                     .max_energy_mj = TL_UNKNOWN,
                     .min_accuracy = TL_UNKNOWN,
                     .confidence = .9},
        .weights = {TL_UNKNOWN,                 TL_UNKNOWN         },
        .predict = toy_predict,
        .context = t
    };
    tl_confidence_nominal(20, &problem.latency_confidence);
    tl_confidence_nominal(20, &problem.energy_confidence);
    tl_confidence_nominal(20, &problem.accuracy_confidence);
    return problem;
}

#endif
