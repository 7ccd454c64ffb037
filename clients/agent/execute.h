/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_AGENT_EXECUTE_H
#define TL_CLIENTS_AGENT_EXECUTE_H

/*
 * Executes a network on this machine, one image at a time, in f32.
 *
 * Operators that some path joins to both the image and the answer are executed;
 * the others cost nothing, as a compiler would have it: what they deliver is
 * left out of sums and is zeros elsewhere. A network whose answer does not
 * depend on the image at all is executed as it stands, every operator of it, so
 * that it has a latency like any other.
 *
 * Batch normalization is folded into biases; bit widths are not looked at.
 */

#include "clients/agent/dnn.h"
#include "clients/c/tailor.h"

typedef struct tl_execution tl_execution;

/*
 * fill gives the weights (see clients/agent/dnn.h). Fails with TL_EINVAL naming
 * the operator that cannot be executed.
 */
TL_MUST_USE tl_err tl_execution_new(
    const tailor_network *network,
    tl_dnn_fill *fill,
    void *context,
    tl_execution **out_execution);
void tl_execution_free(tl_execution *execution); /* NULL is fine */

/* One inference. */
TL_MUST_USE tl_err tl_execution_run(tl_execution *execution);

/* image [in_ch, in_size, in_size]; out_answer as many as tl_execution_answer_len(). */
TL_MUST_USE tl_err tl_execution_write(tl_execution *execution, const float *image);
TL_MUST_USE tl_err tl_execution_read(tl_execution *execution, float *out_answer);
size_t tl_execution_answer_len(const tl_execution *execution);

/* Random weights that keep the scale of what passes through; context is a tl_rng. */
void tl_fill_random(void *context, float *values, size_t n, size_t fan_in);

#endif
