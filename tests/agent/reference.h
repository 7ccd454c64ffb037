/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_AGENT_REFERENCE_H
#define TL_TESTS_AGENT_REFERENCE_H

/* The plain loops that the engine's results are compared with. */

#include "clients/c/tailor.h"

enum {
    REF_MAX_OPS = 16,
    REF_MAX_FILLS = 2 * REF_MAX_OPS
};

/* Weights and biases in the order in which the engine asked for them. */
typedef struct ref_weights {
    uint64_t seed;
    int n_fills, n_used;
    float *fills[REF_MAX_FILLS];
} ref_weights;

/* A tl_dnn_fill; context is a ref_weights. */
void ref_fill(void *context, float *values, size_t n, size_t fan_in);
void ref_weights_done(ref_weights *weights);

/* Runs every operator of the network; returns the last one's result, for tl_mem_free(). */
float *ref_run(const tailor_network *network, ref_weights *weights, const float *image);

#endif
