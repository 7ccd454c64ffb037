/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_AGENT_DNN_IMPL_H
#define TL_CLIENTS_AGENT_DNN_IMPL_H

/*
 * Inside a plan: what dnn.c, which keeps and runs it, lends to dnn_ops.c, which
 * adds the operators. Only these two know oneDNN.
 */

#include "clients/agent/dnn.h"

#include <oneapi/dnnl/dnnl.h>
#include <stddef.h>

enum {
    TL_DNN_N_DIMS = 4
};

/* One tensor, and one copy of it in the layout that a later operator asked for. */
typedef struct tl_dnn_stored {
    int ch, size;
    dnnl_memory_t memory;
    dnnl_memory_t copy; /* NULL: none yet */
} tl_dnn_stored;

typedef struct tl_dnn_step {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t *args;
    int n_args;
} tl_dnn_step;

struct tl_dnn {
    tl_dnn_fill *fill;
    void *context;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    tl_dnn_stored *tensors;
    int n_tensors, tensors_capacity;
    tl_dnn_step *steps;
    int n_steps, steps_capacity;
    dnnl_memory_t *memories; /* all of them, owned */
    int n_memories, memories_capacity;
};

tl_err tl_dnn_check(dnnl_status_t status, const char *what);

#define TRY_DNNL(call, what) TL_TRY(tl_dnn_check((call), (what)))

/* Memory that the plan owns. */
TL_MUST_USE tl_err
tl_dnn_add_memory(tl_dnn *plan, const dnnl_memory_desc_t *md, dnnl_memory_t *out);

TL_MUST_USE tl_err tl_dnn_add_tensor(tl_dnn *plan, tl_dnn_stored t, tl_dnn_tensor *out);

/* Appends the primitive of descriptor; args are copied. */
TL_MUST_USE tl_err tl_dnn_add_step(
    tl_dnn *plan,
    const_dnnl_primitive_desc_t descriptor,
    const dnnl_exec_arg_t *args,
    int n_args);

/*
 * The same with one more argument, for which args has room: a new tensor
 * [1, ch, size, size] for the result.
 */
TL_MUST_USE tl_err tl_dnn_add_operator(
    tl_dnn *plan,
    const_dnnl_primitive_desc_t descriptor,
    dnnl_exec_arg_t *args,
    int n_args,
    tl_dnn_stored result,
    tl_dnn_tensor *out);

/* Borrowed from the memory. */
const dnnl_memory_desc_t *tl_dnn_md(const_dnnl_memory_t memory);

/* [1, ch, size, size] of floats. */
TL_MUST_USE tl_err
tl_dnn_image_md(int ch, int size, dnnl_format_tag_t tag, dnnl_memory_desc_t *out);

/* The tensor's memory in layout md: its own, its copy, or a new copy made by one more step. */
TL_MUST_USE tl_err tl_dnn_in_layout(
    tl_dnn *plan, tl_dnn_tensor x, const dnnl_memory_desc_t *md, dnnl_memory_t *out);

/* Weights or biases with shape plain, filled, in the layout md. */
TL_MUST_USE tl_err tl_dnn_add_weights(
    tl_dnn *plan,
    const dnnl_memory_desc_t *plain,
    const dnnl_memory_desc_t *md,
    size_t fan_in,
    dnnl_memory_t *out);

#endif
