/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/agent/reference.h"

#include "base/attr.h"
#include "base/mem.h"
#include "clients/agent/execute.h"
#include "numerics/rng.h"

#include <math.h>
#include <string.h>

typedef struct image {
    const float *data;
    int ch, size;
} image;

void ref_fill(void *context, float *values, size_t n, size_t fan_in)
{
    ref_weights *weights = context;
    tl_rng rng;
    tl_rng_init(&rng, weights->seed + (uint64_t)weights->n_fills);
    tl_fill_random(&rng, values, n, fan_in);
    float *copy = tl_mem_new(n, sizeof *copy);
    TL_ASSERT(copy != NULL && weights->n_fills < REF_MAX_FILLS);
    memcpy(copy, values, n * sizeof *copy);
    weights->fills[weights->n_fills++] = copy;
}

void ref_weights_done(ref_weights *weights)
{
    for (int i = 0; i < weights->n_fills; i++) {
        tl_mem_free(weights->fills[i]);
    }
    *weights = (ref_weights){0};
}

static double clip(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static double activate(const char *act, double x)
{
    if (strcmp(act, "relu") == 0) {
        return x < 0.0 ? 0.0 : x;
    }
    if (strcmp(act, "relu6") == 0) {
        return clip(x, 0.0, 6.0);
    }
    if (strcmp(act, "hswish") == 0) {
        return x * clip(x + 3.0, 0.0, 6.0) / 6.0;
    }
    if (strcmp(act, "hsigmoid") == 0) {
        return clip(x + 3.0, 0.0, 6.0) / 6.0;
    }
    if (strcmp(act, "silu") == 0) {
        return x / (1.0 + exp(-x));
    }
    if (strcmp(act, "sigmoid") == 0) {
        return 1.0 / (1.0 + exp(-x));
    }
    TL_ASSERT(strcmp(act, "none") == 0);
    return x;
}

/* The pixel, or NaN beyond the border. */
static double pixel(image in, int c, int y, int x, const char *pre_act)
{
    bool is_inside = y >= 0 && y < in.size && x >= 0 && x < in.size;
    return is_inside ? activate(pre_act, (double)in.data[(c * in.size + y) * in.size + x])
                     : (double)NAN;
}

static double conv_at(
    const tailor_op *op, image in, const float *w, const float *b, int o, int y, int x)
{
    int in_group = op->in_ch / op->groups;
    int first = o / (op->out_ch / op->groups) * in_group;
    double sum = b != NULL ? (double)b[o] : 0.0;
    TL_ASSERT(w != NULL);
    for (int c = 0; c < in_group; c++) {
        for (int i = 0; i < op->kernel; i++) {
            for (int j = 0; j < op->kernel; j++) {
                double v = pixel(
                    in, first + c, y * op->stride + i - op->pad, x * op->stride + j - op->pad,
                    op->pre_act);
                double weight =
                    (double)w[((o * in_group + c) * op->kernel + i) * op->kernel + j];
                sum += isnan(v) ? 0.0 : v * weight;
            }
        }
    }
    return sum;
}

static double pool_at(const tailor_op *op, image in, int c, int y, int x)
{
    bool is_global = strcmp(op->kind, "pool_global") == 0;
    bool is_max = strcmp(op->kind, "pool_max") == 0;
    int k = is_global ? in.size : op->kernel;
    int top = is_global ? 0 : y * op->stride - op->pad;
    int left = is_global ? 0 : x * op->stride - op->pad;
    double sum = 0.0;
    double most = -HUGE_VAL;
    int n = 0;
    for (int i = 0; i < k; i++) {
        for (int j = 0; j < k; j++) {
            double v = pixel(in, c, top + i, left + j, op->pre_act);
            if (!isnan(v)) {
                sum += v;
                most = v > most ? v : most;
                n++;
            }
        }
    }
    return is_max ? most : sum / n;
}

static double dense_at(const tailor_op *op, image in, const float *w, const float *b, int o)
{
    int n = in.ch * in.size * in.size;
    double sum = b != NULL ? (double)b[o] : 0.0;
    TL_ASSERT(w != NULL);
    for (int i = 0; i < n; i++) {
        sum += (double)w[o * n + i] * activate(op->pre_act, (double)in.data[i]);
    }
    return sum;
}

static double concat_at(const image *in, int c, int y, int x, const char *pre_act)
{
    while (c >= in->ch) {
        c -= in->ch;
        in++;
    }
    return pixel(*in, c, y, x, pre_act);
}

static double value_at(
    const tailor_op *op, const image *in, const float *w, const float *b, int c, int y, int x)
{
    if (strcmp(op->kind, "conv") == 0) {
        return conv_at(op, in[0], w, b, c, y, x);
    }
    if (strcmp(op->kind, "dense") == 0) {
        return dense_at(op, in[0], w, b, c);
    }
    if (strcmp(op->kind, "concat") == 0) {
        return concat_at(in, c, y, x, op->pre_act);
    }
    if (strcmp(op->kind, "scale") == 0) {
        return pixel(in[0], c, y, x, op->pre_act) * pixel(in[1], c, 0, 0, op->pre_act);
    }
    if (strcmp(op->kind, "add") == 0) {
        double sum = 0.0;
        for (size_t i = 0; i < op->n_inputs; i++) {
            sum += pixel(in[i], c, y, x, op->pre_act);
        }
        return sum;
    }
    return pool_at(op, in[0], c, y, x);
}

static float *run_op(const tailor_op *op, const image *in, ref_weights *weights)
{
    bool has_weights = strcmp(op->kind, "conv") == 0 || strcmp(op->kind, "dense") == 0;
    const float *w = has_weights ? weights->fills[weights->n_used++] : NULL;
    bool has_bias = has_weights && (op->has_bias || op->has_norm);
    const float *b = has_bias ? weights->fills[weights->n_used++] : NULL;
    int size = op->out_size;
    float *out = tl_mem_new((size_t)op->out_ch * (size_t)size * (size_t)size, sizeof *out);
    TL_ASSERT(out != NULL);
    for (int c = 0; c < op->out_ch; c++) {
        for (int y = 0; y < size; y++) {
            for (int x = 0; x < size; x++) {
                double v = value_at(op, in, w, b, c, y, x);
                out[(c * size + y) * size + x] = (float)activate(op->act, v);
            }
        }
    }
    return out;
}

float *ref_run(const tailor_network *network, ref_weights *weights, const float *input)
{
    float *results[REF_MAX_OPS] = {NULL};
    image in[REF_MAX_OPS] = {
        {NULL, 0, 0}
    };
    TL_ASSERT(network->n_ops <= REF_MAX_OPS);
    for (size_t i = 0; i < network->n_ops; i++) {
        const tailor_op *op = &network->ops[i];
        for (size_t j = 0; j < op->n_inputs; j++) {
            int32_t from = op->inputs[j];
            in[j] = from < 0 ? (image){input, network->in_ch, network->in_size}
                             : (image){
                                   results[from], network->ops[from].out_ch,
                                   network->ops[from].out_size};
        }
        results[i] = run_op(op, in, weights);
    }
    for (size_t i = 0; i + 1 < network->n_ops; i++) {
        tl_mem_free(results[i]);
    }
    return results[network->n_ops - 1];
}
