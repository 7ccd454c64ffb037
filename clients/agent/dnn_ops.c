/* SPDX-License-Identifier: Apache-2.0 */

/* The operators of a plan: activations, convolution, dense, pool, add, concat, scale, gemm. */

#include "base/mem.h"
#include "clients/agent/dnn.h"
#include "clients/agent/dnn_impl.h"

#include <stdbool.h>
#include <string.h>

enum {
    MAX_INPUTS = 4, /* of an operator other than add and concat */
    MAX_ELTWISE = 2
};

typedef struct eltwise {
    dnnl_alg_kind_t alg;
    float alpha, beta;
} eltwise;

/* hsigmoid is clip(x / 6 + 1 / 2, 0, 1). */
/* clang-format off */
static const struct activation {
    const char *name;
    int n;
    eltwise parts[MAX_ELTWISE];
} activations[] = {
    {"none",     0, {{0}}},
    {"relu",     1, {{dnnl_eltwise_relu, 0.0F, 0.0F}}},
    {"relu6",    1, {{dnnl_eltwise_clip, 0.0F, 6.0F}}},
    {"hswish",   1, {{dnnl_eltwise_hardswish, 0.0F, 0.0F}}},
    {"hsigmoid", 2, {{dnnl_eltwise_linear, 1.0F / 6.0F, 0.5F},
                     {dnnl_eltwise_clip, 0.0F, 1.0F}}},
    {"silu",     1, {{dnnl_eltwise_swish, 1.0F, 0.0F}}},
    {"sigmoid",  1, {{dnnl_eltwise_logistic, 0.0F, 0.0F}}},
};
/* clang-format on */

/* ---- activations ------------------------------------------------------------------- */

static tl_err activation_find(const char *name, const struct activation **out)
{
    for (size_t i = 0; i < TL_COUNT(activations); i++) {
        if (strcmp(activations[i].name, name) == 0) {
            *out = &activations[i];
            return TL_OK;
        }
    }
    return tl_fail(TL_EINVAL, "activation \"%s\" is not known here", name);
}

/* *out_attr, for dnnl_primitive_attr_destroy(), applies the activation to the result. */
static tl_err fuse(const char *act, dnnl_primitive_attr_t *out_attr)
{
    const struct activation *activation = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    TL_TRY(activation_find(act, &activation));
    TRY_DNNL(dnnl_post_ops_create(&ops), "activation");
    tl_err err = tl_dnn_check(dnnl_primitive_attr_create(&attr), "activation");
    for (int i = 0; i < activation->n && err == TL_OK; i++) {
        const eltwise *part = &activation->parts[i];
        err = tl_dnn_check(
            dnnl_post_ops_append_eltwise(ops, 1.0F, part->alg, part->alpha, part->beta), act);
    }
    if (err == TL_OK) {
        err = tl_dnn_check(dnnl_primitive_attr_set_post_ops(attr, ops), act);
    }
    (void)dnnl_post_ops_destroy(ops);
    if (err == TL_OK) {
        *out_attr = attr;
    } else if (attr != NULL) {
        (void)dnnl_primitive_attr_destroy(attr);
    }
    return err;
}

static tl_err add_eltwise(
    tl_dnn *plan, const eltwise *part, tl_dnn_tensor x, tl_dnn_tensor *out)
{
    dnnl_eltwise_desc_t desc;
    dnnl_primitive_desc_t descriptor = NULL;
    tl_dnn_stored t = plan->tensors[x.idx];
    TRY_DNNL(
        dnnl_eltwise_forward_desc_init(
            &desc, dnnl_forward_inference, part->alg, tl_dnn_md(t.memory), part->alpha,
            part->beta),
        "activation");
    TRY_DNNL(
        dnnl_primitive_desc_create(&descriptor, &desc, NULL, plan->engine, NULL), "activation");
    dnnl_exec_arg_t args[MAX_INPUTS] = {
        {DNNL_ARG_SRC, t.memory}
    };
    tl_err err = tl_dnn_add_operator(
        plan, descriptor, args, 1, (tl_dnn_stored){.ch = t.ch, .size = t.size}, out);
    (void)dnnl_primitive_desc_destroy(descriptor);
    return err;
}

tl_err tl_dnn_activate(tl_dnn *plan, const char *act, tl_dnn_tensor x, tl_dnn_tensor *out)
{
    const struct activation *activation = NULL;
    TL_TRY(activation_find(act, &activation));
    for (int i = 0; i < activation->n; i++) {
        TL_TRY(add_eltwise(plan, &activation->parts[i], x, &x));
    }
    *out = x;
    return TL_OK;
}

/* ---- operators ------------------------------------------------------------------------ */

/* What convolution and dense layers share: an operator with weights and maybe biases. */
typedef struct weighted {
    dnnl_memory_desc_t weights, bias; /* plain */
    size_t fan_in;
    bool has_bias;
} weighted;

static tl_err add_weighted(
    tl_dnn *plan,
    const void *desc,
    const weighted *w,
    const char *act,
    tl_dnn_tensor x,
    tl_dnn_stored result,
    tl_dnn_tensor *out)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t descriptor = NULL;
    TL_TRY(fuse(act, &attr));
    tl_err err = tl_dnn_check(
        dnnl_primitive_desc_create(&descriptor, desc, attr, plan->engine, NULL), "convolution");
    (void)dnnl_primitive_attr_destroy(attr);
    TL_TRY(err);

    dnnl_exec_arg_t args[MAX_INPUTS] = {
        {DNNL_ARG_SRC,     NULL},
        {DNNL_ARG_WEIGHTS, NULL},
        {DNNL_ARG_BIAS,    NULL}
    };
    if ((err = tl_dnn_in_layout(
             plan, x, dnnl_primitive_desc_query_md(descriptor, dnnl_query_src_md, 0),
             &args[0].memory)) != TL_OK ||
        (err = tl_dnn_add_weights(
             plan, &w->weights,
             dnnl_primitive_desc_query_md(descriptor, dnnl_query_weights_md, 0), w->fan_in,
             &args[1].memory)) != TL_OK) {
        goto done;
    }
    if (w->has_bias &&
        (err = tl_dnn_add_weights(plan, &w->bias, &w->bias, 0, &args[2].memory)) != TL_OK) {
        goto done;
    }
    err = tl_dnn_add_operator(plan, descriptor, args, w->has_bias ? 3 : 2, result, out);
done:
    (void)dnnl_primitive_desc_destroy(descriptor);
    return err;
}

/* Padding to the right and below that gives the wanted number of outputs. */
static int pad_after(int in_size, const tl_dnn_window *w)
{
    int pad = (w->out_size - 1) * w->stride + w->kernel - in_size - w->pad;
    return pad > 0 ? pad : 0;
}

tl_err tl_dnn_conv(
    tl_dnn *plan,
    const tl_dnn_window *window,
    const char *act,
    tl_dnn_tensor x,
    tl_dnn_tensor *out)
{
    tl_dnn_stored in = plan->tensors[x.idx];
    int g = window->groups, k = window->kernel;
    int after = pad_after(in.size, window);
    dnnl_dims_t grouped = {g, window->out_ch / g, in.ch / g, k, k};
    dnnl_dims_t biases = {window->out_ch};
    dnnl_dims_t strides = {window->stride, window->stride};
    dnnl_dims_t before = {window->pad, window->pad}, behind = {after, after};
    dnnl_memory_desc_t src, dst, weights;
    weighted w = {
        .fan_in = (size_t)(in.ch / g) * (size_t)k * (size_t)k, .has_bias = window->has_bias};

    /* without groups the first dimension is left out, which more kernels accept */
    const dnnl_dim_t *shape = g == 1 ? grouped + 1 : grouped;
    int n_dims = g == 1 ? TL_DNN_N_DIMS : TL_DNN_N_DIMS + 1;
    TL_TRY(tl_dnn_image_md(in.ch, in.size, dnnl_format_tag_any, &src));
    TL_TRY(tl_dnn_image_md(window->out_ch, window->out_size, dnnl_format_tag_any, &dst));
    TRY_DNNL(
        dnnl_memory_desc_init_by_tag(&weights, n_dims, shape, dnnl_f32, dnnl_format_tag_any),
        "convolution");
    TRY_DNNL(
        dnnl_memory_desc_init_by_tag(
            &w.weights, n_dims, shape, dnnl_f32, g == 1 ? dnnl_oihw : dnnl_goihw),
        "convolution");
    TRY_DNNL(dnnl_memory_desc_init_by_tag(&w.bias, 1, biases, dnnl_f32, dnnl_x), "biases");
    dnnl_convolution_desc_t desc;
    TRY_DNNL(
        dnnl_convolution_forward_desc_init(
            &desc, dnnl_forward_inference, dnnl_convolution_direct, &src, &weights,
            w.has_bias ? &w.bias : NULL, &dst, strides, before, behind),
        "convolution");
    tl_dnn_stored result = {.ch = window->out_ch, .size = window->out_size};
    return add_weighted(plan, &desc, &w, act, x, result, out);
}

tl_err tl_dnn_dense(
    tl_dnn *plan,
    int out_ch,
    bool has_bias,
    const char *act,
    tl_dnn_tensor x,
    tl_dnn_tensor *out)
{
    tl_dnn_stored in = plan->tensors[x.idx];
    dnnl_dims_t shape = {out_ch, in.ch, in.size, in.size};
    dnnl_dims_t biases = {out_ch}, outputs = {1, out_ch};
    dnnl_memory_desc_t src, dst, weights, image;
    weighted w = {
        .fan_in = (size_t)in.ch * (size_t)in.size * (size_t)in.size, .has_bias = has_bias};
    TL_TRY(tl_dnn_image_md(in.ch, in.size, dnnl_format_tag_any, &src));
    TRY_DNNL(dnnl_memory_desc_init_by_tag(&dst, 2, outputs, dnnl_f32, dnnl_nc), "dense");
    TRY_DNNL(
        dnnl_memory_desc_init_by_tag(
            &weights, TL_DNN_N_DIMS, shape, dnnl_f32, dnnl_format_tag_any),
        "dense");
    TRY_DNNL(
        dnnl_memory_desc_init_by_tag(&w.weights, TL_DNN_N_DIMS, shape, dnnl_f32, dnnl_oihw),
        "dense");
    TRY_DNNL(dnnl_memory_desc_init_by_tag(&w.bias, 1, biases, dnnl_f32, dnnl_x), "biases");
    dnnl_inner_product_desc_t desc;
    TRY_DNNL(
        dnnl_inner_product_forward_desc_init(
            &desc, dnnl_forward_inference, &src, &weights, w.has_bias ? &w.bias : NULL, &dst),
        "dense");
    TL_TRY(
        add_weighted(plan, &desc, &w, act, x, (tl_dnn_stored){.ch = out_ch, .size = 1}, out));

    /* the same memory seen as an image [1, out_ch, 1, 1] */
    tl_dnn_stored *t = &plan->tensors[out->idx];
    void *values = NULL;
    TRY_DNNL(dnnl_memory_get_data_handle(t->memory, &values), "dense");
    TL_TRY(tl_dnn_image_md(out_ch, 1, dnnl_nchw, &image));
    dnnl_memory_t as_image = NULL;
    TL_TRY(tl_dnn_add_memory(plan, &image, &as_image));
    TRY_DNNL(dnnl_memory_set_data_handle(as_image, values), "dense");
    t->memory = as_image;
    return TL_OK;
}

tl_err tl_dnn_pool(
    tl_dnn *plan,
    tl_dnn_pool_kind kind,
    const tl_dnn_window *window,
    tl_dnn_tensor x,
    tl_dnn_tensor *out)
{
    tl_dnn_stored in = plan->tensors[x.idx];
    int after = pad_after(in.size, window);
    dnnl_dims_t strides = {window->stride, window->stride};
    dnnl_dims_t kernel = {window->kernel, window->kernel};
    dnnl_dims_t before = {window->pad, window->pad}, behind = {after, after};
    dnnl_memory_desc_t dst;
    dnnl_pooling_desc_t desc;
    dnnl_primitive_desc_t descriptor = NULL;
    TL_TRY(tl_dnn_image_md(in.ch, window->out_size, dnnl_format_tag_any, &dst));
    TRY_DNNL(
        dnnl_pooling_forward_desc_init(
            &desc, dnnl_forward_inference,
            kind == TL_DNN_POOL_MAX ? dnnl_pooling_max : dnnl_pooling_avg_exclude_padding,
            tl_dnn_md(in.memory), &dst, strides, kernel, before, behind),
        "pool");
    TRY_DNNL(dnnl_primitive_desc_create(&descriptor, &desc, NULL, plan->engine, NULL), "pool");
    dnnl_exec_arg_t args[MAX_INPUTS] = {
        {DNNL_ARG_SRC, in.memory}
    };
    tl_err err = tl_dnn_add_operator(
        plan, descriptor, args, 1, (tl_dnn_stored){.ch = in.ch, .size = window->out_size}, out);
    (void)dnnl_primitive_desc_destroy(descriptor);
    return err;
}

/* Arguments and descriptors of an operator with any number of inputs. */
typedef struct many {
    dnnl_exec_arg_t *args; /* one more than inputs */
    dnnl_memory_desc_t *mds;
    float *ones;
} many;

static void many_done(many *m)
{
    tl_mem_free(m->args);
    tl_mem_free(m->mds);
    tl_mem_free(m->ones);
}

static tl_err many_init(many *m, int n)
{
    m->args = tl_mem_new((size_t)n + 1, sizeof *m->args);
    m->mds = tl_mem_new((size_t)n, sizeof *m->mds);
    m->ones = tl_mem_new((size_t)n, sizeof *m->ones);
    if (m->args == NULL || m->mds == NULL || m->ones == NULL) {
        return tl_fail(TL_ENOMEM, "an operator of %d inputs", n);
    }
    return TL_OK;
}

/* All inputs in the layout of the first; as they are where the shapes differ. */
static tl_err many_bind(
    tl_dnn *plan, const tl_dnn_tensor *x, int n, bool is_one_layout, many *m)
{
    for (int i = 0; i < n; i++) {
        dnnl_memory_t memory = plan->tensors[x[i].idx].memory;
        if (is_one_layout) {
            TL_TRY(tl_dnn_in_layout(
                plan, x[i], tl_dnn_md(plan->tensors[x[0].idx].memory), &memory));
        }
        m->args[i] = (dnnl_exec_arg_t){.arg = DNNL_ARG_MULTIPLE_SRC + i, .memory = memory};
        m->mds[i] = *tl_dnn_md(memory);
        m->ones[i] = 1.0F;
    }
    return TL_OK;
}

tl_err tl_dnn_add(tl_dnn *plan, const tl_dnn_tensor *x, int n, tl_dnn_tensor *out)
{
    if (n == 1) {
        *out = x[0];
        return TL_OK;
    }
    tl_dnn_stored first = plan->tensors[x[0].idx];
    dnnl_primitive_desc_t descriptor = NULL;
    many m = {0};
    tl_err err = TL_OK;
    if ((err = many_init(&m, n)) != TL_OK || (err = many_bind(plan, x, n, true, &m)) != TL_OK ||
        (err = tl_dnn_check(
             dnnl_sum_primitive_desc_create(
                 &descriptor, &m.mds[0], n, m.ones, m.mds, NULL, plan->engine),
             "add")) != TL_OK) {
        goto done;
    }
    tl_dnn_stored result = {.ch = first.ch, .size = first.size};
    err = tl_dnn_add_operator(plan, descriptor, m.args, n, result, out);
    (void)dnnl_primitive_desc_destroy(descriptor);
done:
    many_done(&m);
    return err;
}

tl_err tl_dnn_concat(tl_dnn *plan, const tl_dnn_tensor *x, int n, tl_dnn_tensor *out)
{
    tl_dnn_stored result = {.size = plan->tensors[x[0].idx].size};
    for (int i = 0; i < n; i++) {
        result.ch += plan->tensors[x[i].idx].ch;
    }
    dnnl_memory_desc_t dst;
    TL_TRY(tl_dnn_image_md(result.ch, result.size, dnnl_format_tag_any, &dst));
    dnnl_primitive_desc_t descriptor = NULL;
    many m = {0};
    tl_err err = TL_OK;
    if ((err = many_init(&m, n)) != TL_OK ||
        (err = many_bind(plan, x, n, false, &m)) != TL_OK ||
        (err = tl_dnn_check(
             dnnl_concat_primitive_desc_create(
                 &descriptor, &dst, n, /* channels */ 1, m.mds, NULL, plan->engine),
             "concat")) != TL_OK) {
        goto done;
    }
    err = tl_dnn_add_operator(plan, descriptor, m.args, n, result, out);
    (void)dnnl_primitive_desc_destroy(descriptor);
done:
    many_done(&m);
    return err;
}

tl_err tl_dnn_scale(tl_dnn *plan, tl_dnn_tensor x, tl_dnn_tensor s, tl_dnn_tensor *out)
{
    tl_dnn_stored in = plan->tensors[x.idx];
    tl_dnn_stored by = plan->tensors[s.idx];
    dnnl_memory_desc_t dst;
    dnnl_binary_desc_t desc;
    dnnl_primitive_desc_t descriptor = NULL;
    TL_TRY(tl_dnn_image_md(in.ch, in.size, dnnl_format_tag_any, &dst));
    TRY_DNNL(
        dnnl_binary_desc_init(
            &desc, dnnl_binary_mul, tl_dnn_md(in.memory), tl_dnn_md(by.memory), &dst),
        "scale");
    TRY_DNNL(dnnl_primitive_desc_create(&descriptor, &desc, NULL, plan->engine, NULL), "scale");
    dnnl_exec_arg_t args[MAX_INPUTS] = {
        {DNNL_ARG_SRC_0, in.memory},
        {DNNL_ARG_SRC_1, by.memory}
    };
    tl_err err = tl_dnn_add_operator(
        plan, descriptor, args, 2, (tl_dnn_stored){.ch = in.ch, .size = in.size}, out);
    (void)dnnl_primitive_desc_destroy(descriptor);
    return err;
}

tl_err tl_dnn_gemm(tl_dnn *plan, tl_dnn_type type, int m, int n, int k)
{
    static const dnnl_data_type_t types[][3] = {
        [TL_DNN_F32] = {dnnl_f32,  dnnl_f32,  dnnl_f32},
        [TL_DNN_BF16] = {dnnl_bf16, dnnl_bf16, dnnl_f32},
        [TL_DNN_INT8] = {dnnl_u8,   dnnl_s8,   dnnl_s32},
    };
    dnnl_dims_t a_dims = {m, k}, b_dims = {k, n}, c_dims = {m, n};
    dnnl_memory_desc_t a, b, c;
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t descriptor = NULL;
    const dnnl_data_type_t *t = types[type];
    TRY_DNNL(dnnl_memory_desc_init_by_tag(&a, 2, a_dims, t[0], dnnl_ab), "gemm");
    TRY_DNNL(dnnl_memory_desc_init_by_tag(&b, 2, b_dims, t[1], dnnl_format_tag_any), "gemm");
    TRY_DNNL(dnnl_memory_desc_init_by_tag(&c, 2, c_dims, t[2], dnnl_ab), "gemm");
    TRY_DNNL(dnnl_matmul_desc_init(&desc, &a, &b, NULL, &c), "gemm");
    TRY_DNNL(dnnl_primitive_desc_create(&descriptor, &desc, NULL, plan->engine, NULL), "gemm");

    const dnnl_memory_desc_t *mds[] = {
        &a, dnnl_primitive_desc_query_md(descriptor, dnnl_query_weights_md, 0), &c};
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC,     NULL},
        {DNNL_ARG_WEIGHTS, NULL},
        {DNNL_ARG_DST,     NULL}
    };
    tl_err err = TL_OK;
    for (size_t i = 0; i < TL_COUNT(args) && err == TL_OK; i++) {
        void *values = NULL;
        if ((err = tl_dnn_add_memory(plan, mds[i], &args[i].memory)) == TL_OK &&
            (err = tl_dnn_check(
                 dnnl_memory_get_data_handle(args[i].memory, &values), "gemm")) == TL_OK) {
            memset(values, 0, dnnl_memory_desc_get_size(mds[i]));
        }
    }
    if (err == TL_OK) {
        err = tl_dnn_add_step(plan, descriptor, args, TL_COUNT(args));
    }
    (void)dnnl_primitive_desc_destroy(descriptor);
    return err;
}
