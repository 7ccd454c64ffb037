/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_NET_H
#define TL_PREDICTORS_NET_H

/*
 * A small network: a differentiable function of a design with all its
 * parameters in one flat vector, so that one trainer, one ensemble, one codec
 * and one gradient check serve every kind (cellnet.h, mlp.h).
 *
 *     tl_net net;
 *     tl_cellnet_init(&shape, &net);
 *     TL_TRY(tl_net_train(&net, input, targets, &options, params));
 *     TL_TRY(tl_net_predict(&net, input, params, n_members, mean, spread));
 */

#include "base/err.h"
#include "numerics/mat.h"
#include "numerics/rng.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct tl_net tl_net;

/* What a network reads: n designs. A kind ignores what it has no use for. */
typedef struct tl_net_input {
    int n;
    int n_codes;         /* per design */
    const int8_t *codes; /* [n, n_codes] */
    tl_cmat x;           /* [n, d]; d may be 0 */
    /*
     * NULL, or [n] for tl_net_predict() to write: the first design that has the same answer
     * because it is the same to the network. A kind that does not look leaves it alone.
     */
    int *first_like;
} tl_net_input;

typedef struct tl_net_kind {
    const char *name;
    /* Fills params [n_params] with random initial values. */
    void (*init_params)(const tl_net *net, tl_rng *rng, float *params);
    /* Scratch memory for up to max_n designs at once; NULL when there is none. */
    void *(*work_new)(const tl_net *net, int max_n);
    void (*work_free)(void *work);
    /* y [n, n_out] of the inputs; keeps in work what _bwd wants. */
    void (*fwd)(
        const tl_net *net,
        const float *params,
        const tl_net_input *input,
        void *work,
        tl_mat y);
    /* dparams += (dy/dparams)^T dy, right after _fwd on the same inputs. */
    void (*bwd)(
        const tl_net *net,
        const float *params,
        const tl_net_input *input,
        void *work,
        tl_cmat dy,
        float *dparams);
    /* tl_net_predict() as a whole, where a kind has a quicker way than _fwd; else NULL. */
    tl_err (*predict)(
        const tl_net *net,
        const tl_net_input *input,
        const float *params,
        int n_members,
        tl_mat mean,
        tl_mat spread);
} tl_net_kind;

enum {
    TL_NET_MAX_NODES = 8,
    TL_NET_MAX_EDGES = 28,
    TL_NET_MAX_CODES = 64,
};

/* The shape of a CellNet. */
typedef struct tl_cellnet_shape {
    int n_nodes, n_edges;
    int from[TL_NET_MAX_EDGES], to[TL_NET_MAX_EDGES]; /* from < to */
    int n_codes;                 /* codes of an edge: 0 skip, 1 ... n_codes - 1 operators */
    int block[TL_NET_MAX_CODES]; /* the weights that a code uses; -1 for code 0 */
    int n_blocks;
    int d, h; /* state of a node, hidden layer of the head */
    int n_conditions;
    int n_out;
} tl_cellnet_shape;

/* The shape of an MLP with two hidden layers. */
typedef struct tl_mlp_shape {
    int d, h, n_out;
} tl_mlp_shape;

/* A value: copy it freely. Made by tl_cellnet_init() or tl_mlp_init(). */
struct tl_net {
    const tl_net_kind *kind;
    int n_params, n_out;
    tl_cellnet_shape cell;
    tl_mlp_shape mlp;
};

typedef struct tl_net_train_options {
    int n_members;
    int n_steps, batch;
    double learning_rate, weight_decay;
    /*
     * Above 1, a network's outputs are those of that many heads, side by side: each learns
     * the targets, and they repel each other (repulsion.h) on unlabelled inputs, 64 a step.
     */
    int n_heads;
    double repulsion;
    const tl_net_input *unlabelled; /* NULL: no repulsion */
    uint64_t seed;
    int n_threads; /* 0 and 1: the calling thread alone; the result does not depend on it */
    /*
     * Called now and then on the calling thread with steps done and in all;
     * false cancels. May be NULL.
     */
    bool (*progress)(void *context, int64_t done, int64_t total);
    void *context;
} tl_net_train_options;

/*
 * Trains n_members networks from their own random starts, each with its own
 * order of the designs, on the mean squared error over the targets y [n, outputs of a head]
 * that are not NaN: AdamW, 50 steps of warm-up, then a cosine down to 0, the
 * gradient's norm clipped at 5. params [n_members, n_params] is written.
 * Fails with TL_ECANCELLED, or TL_ENUMERIC when a parameter is not finite at the end.
 */
TL_MUST_USE tl_err tl_net_train(
    const tl_net *net,
    const tl_net_input *input,
    tl_cmat y,
    const tl_net_train_options *options,
    float *params);

/*
 * Mean and variance over the members and their heads, each [n, outputs of a head]; how
 * many heads there are follows from the columns.
 */
TL_MUST_USE tl_err tl_net_predict(
    const tl_net *net,
    const tl_net_input *input,
    const float *params,
    int n_members,
    tl_mat mean,
    tl_mat spread);

/*
 * A network of the first n_out outputs alone: its parameters, of every one of n_members,
 * are written over the first part of params.
 */
void tl_net_keep_outputs(tl_net *net, int n_out, int n_members, float *params);

#endif
