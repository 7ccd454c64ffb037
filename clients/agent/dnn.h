/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_AGENT_DNN_H
#define TL_CLIENTS_AGENT_DNN_H

/*
 * The seam to oneDNN: a plan of operators, built once and run many times.
 *
 * A plan is built operator by operator; each takes tensors of earlier ones and
 * gives a new one. A tensor is one image [1, ch, size, size] in f32. Every
 * convolution chooses its own memory layout; where two operators disagree a
 * reorder becomes part of the plan. Weights are laid out while building. Running
 * neither allocates nor plans.
 *
 *     tl_dnn *plan = NULL;
 *     TL_TRY(tl_dnn_new(fill, context, &plan));
 *     err = tl_dnn_image(plan, 3, 32, &x);
 *     err = tl_dnn_conv(plan, &window, "relu", x, &y);
 *     err = tl_dnn_run(plan);
 *     tl_dnn_free(plan);
 *
 * The number of threads is the OpenMP runtime's: set OMP_NUM_THREADS before the
 * program starts. Functions fail with TL_ENOTFOUND where this machine's oneDNN
 * has no such operator, and with TL_ENOMEM. A failed plan can only be freed.
 */

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct tl_dnn tl_dnn;

/* A tensor of a plan, by index. */
typedef struct tl_dnn_tensor {
    int idx;
} tl_dnn_tensor;

/*
 * Writes the n weights or biases of one operator, in the order [out, in / groups,
 * kernel, kernel]; fan_in is how many of them meet in one output (0: biases).
 */
typedef void tl_dnn_fill(void *context, float *values, size_t n, size_t fan_in);

TL_MUST_USE tl_err tl_dnn_new(tl_dnn_fill *fill, void *context, tl_dnn **out_plan);
void tl_dnn_free(tl_dnn *plan); /* NULL is fine */

/* A tensor that is not computed: zeros until it is written. */
TL_MUST_USE tl_err tl_dnn_image(tl_dnn *plan, int ch, int size, tl_dnn_tensor *out);

/*
 * Activations are named as operators on the wire name them: "none", "relu", "relu6",
 * "hswish", "hsigmoid", "silu", "sigmoid". Fails with TL_EINVAL for any other.
 */
TL_MUST_USE tl_err
tl_dnn_activate(tl_dnn *plan, const char *act, tl_dnn_tensor x, tl_dnn_tensor *out);

typedef struct tl_dnn_window {
    int out_ch, out_size;
    int kernel, stride, pad, groups;
    bool has_bias;
} tl_dnn_window;

/* act is fused into the operator. */
TL_MUST_USE tl_err tl_dnn_conv(
    tl_dnn *plan,
    const tl_dnn_window *window,
    const char *act,
    tl_dnn_tensor x,
    tl_dnn_tensor *out);
TL_MUST_USE tl_err tl_dnn_dense(
    tl_dnn *plan,
    int out_ch,
    bool has_bias,
    const char *act,
    tl_dnn_tensor x,
    tl_dnn_tensor *out);

typedef enum tl_dnn_pool_kind {
    TL_DNN_POOL_AVG, /* padding is not counted */
    TL_DNN_POOL_MAX,
} tl_dnn_pool_kind;

/* Of window: out_size, kernel, stride, pad. */
TL_MUST_USE tl_err tl_dnn_pool(
    tl_dnn *plan,
    tl_dnn_pool_kind kind,
    const tl_dnn_window *window,
    tl_dnn_tensor x,
    tl_dnn_tensor *out);

/* n >= 1 tensors of one shape; of one image size for concat. */
TL_MUST_USE tl_err tl_dnn_add(tl_dnn *plan, const tl_dnn_tensor *x, int n, tl_dnn_tensor *out);
TL_MUST_USE tl_err
tl_dnn_concat(tl_dnn *plan, const tl_dnn_tensor *x, int n, tl_dnn_tensor *out);

/* x times s per channel; s has size 1. */
TL_MUST_USE tl_err
tl_dnn_scale(tl_dnn *plan, tl_dnn_tensor x, tl_dnn_tensor s, tl_dnn_tensor *out);

typedef enum tl_dnn_type {
    TL_DNN_F32,
    TL_DNN_BF16,
    TL_DNN_INT8, /* u8 by s8 into s32 */
} tl_dnn_type;

/* C [m, n] = A [m, k] B [k, n], of zeros: for measuring peak rates. */
TL_MUST_USE tl_err tl_dnn_gemm(tl_dnn *plan, tl_dnn_type type, int m, int n, int k);

/* Runs every operator once and waits for the end. */
TL_MUST_USE tl_err tl_dnn_run(tl_dnn *plan);

/* values [ch, size, size], whatever the tensor's layout. */
TL_MUST_USE tl_err tl_dnn_write(tl_dnn *plan, tl_dnn_tensor x, const float *values);
TL_MUST_USE tl_err tl_dnn_read(tl_dnn *plan, tl_dnn_tensor x, float *out_values);

int tl_dnn_ch(const tl_dnn *plan, tl_dnn_tensor x);
int tl_dnn_size(const tl_dnn *plan, tl_dnn_tensor x);

#endif
