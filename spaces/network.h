/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_SPACES_NETWORK_H
#define TL_SPACES_NETWORK_H

/*
 * A network: the list of primitive operators that a design lowers to, with
 * shapes, bits and connections.
 *
 * Physical features, timing on a device and the export of a design all read
 * this one list. Operators stand in an order in which they can be executed: an
 * operator's inputs come before it. Tensors are square images, in_size x in_size
 * x in_ch; a dense layer has size 1. The batch is not part of the network.
 *
 * Batch normalization is folded into its convolution (has_norm counts its
 * parameters); an activation is fused into the operator it follows, or, where a
 * space puts it before the convolution (cells), into the operator it precedes.
 */

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum tl_op_kind {
    TL_OP_CONV,     /* groups == in_ch == out_ch: depthwise */
    TL_OP_POOL_AVG, /* window kernel, zero padding not counted */
    TL_OP_POOL_MAX,
    TL_OP_POOL_GLOBAL, /* mean over the image: out_size 1 */
    TL_OP_ADD,         /* element-wise sum of two or more inputs */
    TL_OP_CONCAT,      /* along channels */
    TL_OP_SCALE,       /* input 0 times input 1 per channel (squeeze-excite) */
    TL_OP_DENSE,
    TL_OP_ZERO, /* a tensor of zeros: what a cut edge delivers where one is needed */
    TL_N_OP_KINDS
} tl_op_kind;

typedef enum tl_activation {
    TL_ACT_NONE,
    TL_ACT_RELU,
    TL_ACT_RELU6,
    TL_ACT_HSWISH,
    TL_ACT_HSIGMOID,
    TL_ACT_SILU,
    TL_ACT_SIGMOID,
    TL_N_ACTIVATIONS
} tl_activation;

enum {
    TL_NETWORK_INPUT = -1 /* as an input: the image itself */
};

typedef struct tl_op {
    tl_op_kind kind;
    int in_ch, out_ch;
    int in_size, out_size; /* pixels along one side */
    int kernel, stride, pad, groups;
    int w_bits, a_bits;    /* width of weights and of the activations read; 32 is float */
    tl_activation act;     /* applied to the output */
    tl_activation pre_act; /* applied to the input */
    bool has_bias, has_norm;
    bool is_reached; /* some path from the image leads here */
    bool is_needed;  /* some path leads from here to the answer */
    int stage;       /* of the searched part, from 0; -1 in stem and head */
    int slot;        /* the slot that chose it; -1 where it is fixed */
    int first_input; /* index into tl_network.inputs */
    int n_inputs;
} tl_op;

typedef struct tl_network {
    tl_op *ops;
    int n_ops;
    int *inputs; /* operator indices or TL_NETWORK_INPUT */
    int n_inputs;
    int in_ch, in_size; /* of the image */
    int n_stages;
    int ops_capacity, inputs_capacity;
} tl_network;

/* Zero-initialize, build, reuse with tl_network_clear(). */
void tl_network_clear(tl_network *network);
void tl_network_done(tl_network *network);

/* Appends op (its input fields are set here) and gives its index. */
TL_MUST_USE tl_err
tl_network_add(tl_network *network, tl_op op, const int *inputs, int n_inputs, int *out_idx);

/* "conv", "pool_avg", ...: stable, used on the wire and in files. */
const char *tl_op_kind_name(tl_op_kind kind);
const char *tl_activation_name(tl_activation act);

/* Multiply-accumulates of convolutions and dense layers; 0 for the others. */
int64_t tl_op_macs(const tl_op *op);

/* Weights of convolutions and dense layers, without bias and norm. */
int64_t tl_op_weights(const tl_op *op);

/* Trainable parameters: weights, bias, two per channel for a norm. */
int64_t tl_op_params(const tl_op *op);

/* Elements read (all inputs) and written by the operator. */
int64_t tl_op_elements_in(const tl_op *op);
int64_t tl_op_elements_out(const tl_op *op);

/* Sums over the network, every operator counted. */
int64_t tl_network_macs(const tl_network *network);
int64_t tl_network_params(const tl_network *network);

#endif
