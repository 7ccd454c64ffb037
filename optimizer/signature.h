/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_SIGNATURE_H
#define TL_OPTIMIZER_SIGNATURE_H

/*
 * Signature: a problem as a row of numbers that a network can read.
 *
 * It says how R fixed reference designs x_i of the space stand to what is asked
 * for. For each cost (latency, and energy where the space knows it)
 *
 *     q_i = log((mean(x_i) + z unit(x_i)) / limit)     tanh(q_i), tanh(4 q_i)
 *
 * z being the margin, in its unit (confidence.h), at which the problem's limits hold with the asked
 * confidence, all of them together; an absent limit is an infinitely loose one,
 * -1 throughout. Then what the weighted costs take from the value,
 *
 *     tanh((toll(x_i) - mean toll) / (2 s))
 *
 * s being the points between the median accuracy of the references and their 90th
 * percentile; 0 without weights. Then the task, one-hot.
 *
 * So device, measurements, limits and confidence enter through what the
 * predictors say, and nothing else has to be told apart: a device known from its
 * profile and one with twenty measurements read alike.
 *
 * The references follow from the space, the freedom and R alone.
 */

#include "optimizer/problem.h"

typedef struct tl_signature {
    tl_space *space;
    tl_freedom freedom;
    int n_references;
    tl_choice *references; /* [R, n_slots] */
    bool has_energy;
    int n_tasks;
    char **tasks;
} tl_signature;

enum {
    TL_SIGNATURE_REFERENCES = 32,
    TL_SIGNATURE_MAX_REFERENCES = 256,
    TL_SIGNATURE_MAX_TASKS = 256
};

/* n_references 0: TL_SIGNATURE_REFERENCES. Keeps a reference to space; copies tasks. */
TL_MUST_USE tl_err tl_signature_init(
    const tl_space *space,
    tl_freedom freedom,
    int n_references,
    bool has_energy,
    int n_tasks,
    const char *const *tasks,
    tl_signature *out_signature);
void tl_signature_done(tl_signature *signature);

int tl_signature_width(const tl_signature *signature);

/* -1 when there is none of that name. */
int tl_signature_task(const tl_signature *signature, const char *task);

/* The row [width] of a problem, from what is predicted of the references. */
void tl_signature_fill(
    const tl_signature *signature,
    const tl_problem *problem,
    int task,
    const tl_prediction *references,
    float *out_row);

#endif
