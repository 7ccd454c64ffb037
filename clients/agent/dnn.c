/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/agent/dnn.h"

#include "base/mem.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    N_DIMS = 4,
    MAX_INPUTS = 4, /* of an operator other than add and concat */
    MAX_ELTWISE = 2,
    SPATIAL = 2 /* first spatial dimension */
};

/* One tensor, and one copy of it in the layout that a later operator asked for. */
typedef struct tensor {
    int ch, size;
    dnnl_memory_t memory;
    dnnl_memory_t copy; /* NULL: none yet */
} tensor;

typedef struct step {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t *args;
    int n_args;
} step;

struct tl_dnn {
    tl_dnn_fill *fill;
    void *context;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    tensor *tensors;
    int n_tensors, tensors_capacity;
    step *steps;
    int n_steps, steps_capacity;
    dnnl_memory_t *memories; /* all of them, owned */
    int n_memories, memories_capacity;
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

static tl_err check(dnnl_status_t status, const char *what)
{
    switch (status) {
    case dnnl_success: return TL_OK;
    case dnnl_out_of_memory: return tl_fail(TL_ENOMEM, "%s", what);
    case dnnl_unimplemented: return tl_fail(TL_ENOTFOUND, "%s: not on this machine", what);
    case dnnl_invalid_arguments: return tl_fail(TL_EINVAL, "%s: impossible shape", what);
    default: return tl_fail(TL_EIO, "%s: oneDNN status %d", what, (int)status);
    }
}

#define TRY_DNNL(call, what) TL_TRY(check((call), (what)))

/* ---- the plan ---------------------------------------------------------------- */

/* Room for one more element; *block grows by doubling. */
static tl_err reserve(void **block, int n, int *capacity, size_t size)
{
    if (n < *capacity) {
        return TL_OK;
    }
    int wanted = *capacity == 0 ? 32 : *capacity * 2;
    void *grown = *block == NULL ? tl_mem_new((size_t)wanted, size)
                                 : tl_mem_resize(*block, (size_t)wanted, size);
    if (grown == NULL) {
        return tl_fail(TL_ENOMEM, "a plan of %d parts", wanted);
    }
    *block = grown;
    *capacity = wanted;
    return TL_OK;
}

tl_err tl_dnn_new(tl_dnn_fill *fill, void *context, tl_dnn **out_plan)
{
    tl_err err = TL_OK;
    tl_dnn *plan = tl_mem_new(1, sizeof *plan);
    if (plan == NULL) {
        return tl_fail(TL_ENOMEM, "plan");
    }
    plan->fill = fill;
    plan->context = context;
    if ((err = check(dnnl_engine_create(&plan->engine, dnnl_cpu, 0), "engine")) != TL_OK ||
        (err = check(
             dnnl_stream_create(&plan->stream, plan->engine, dnnl_stream_default_flags),
             "stream")) != TL_OK) {
        goto done;
    }
    *out_plan = plan;
    plan = NULL;
done:
    tl_dnn_free(plan);
    return err;
}

void tl_dnn_free(tl_dnn *plan)
{
    if (plan == NULL) {
        return;
    }
    for (int i = 0; i < plan->n_steps; i++) {
        (void)dnnl_primitive_destroy(plan->steps[i].primitive);
        tl_mem_free(plan->steps[i].args);
    }
    for (int i = 0; i < plan->n_memories; i++) {
        (void)dnnl_memory_destroy(plan->memories[i]);
    }
    tl_mem_free(plan->steps);
    tl_mem_free(plan->memories);
    tl_mem_free(plan->tensors);
    if (plan->stream != NULL) {
        (void)dnnl_stream_destroy(plan->stream);
    }
    if (plan->engine != NULL) {
        (void)dnnl_engine_destroy(plan->engine);
    }
    tl_mem_free(plan);
}

/* Memory that the plan owns. */
static tl_err add_memory(tl_dnn *plan, const dnnl_memory_desc_t *md, dnnl_memory_t *out)
{
    void *block = plan->memories;
    TL_TRY(reserve(&block, plan->n_memories, &plan->memories_capacity, sizeof *plan->memories));
    plan->memories = block;
    TRY_DNNL(dnnl_memory_create(out, md, plan->engine, DNNL_MEMORY_ALLOCATE), "tensor");
    plan->memories[plan->n_memories++] = *out;
    return TL_OK;
}

static tl_err add_tensor(tl_dnn *plan, tensor t, tl_dnn_tensor *out)
{
    void *block = plan->tensors;
    TL_TRY(reserve(&block, plan->n_tensors, &plan->tensors_capacity, sizeof *plan->tensors));
    plan->tensors = block;
    plan->tensors[plan->n_tensors] = t;
    out->idx = plan->n_tensors++;
    return TL_OK;
}

/* Appends the primitive of descriptor; args are copied. */
static tl_err add_step(
    tl_dnn *plan,
    const_dnnl_primitive_desc_t descriptor,
    const dnnl_exec_arg_t *args,
    int n_args)
{
    void *block = plan->steps;
    TL_TRY(reserve(&block, plan->n_steps, &plan->steps_capacity, sizeof *plan->steps));
    plan->steps = block;
    dnnl_exec_arg_t *copy = tl_mem_new((size_t)n_args, sizeof *copy);
    if (copy == NULL) {
        return tl_fail(TL_ENOMEM, "operator");
    }
    memcpy(copy, args, (size_t)n_args * sizeof *copy);
    dnnl_primitive_t primitive = NULL;
    tl_err err = check(dnnl_primitive_create(&primitive, descriptor), "operator");
    if (err != TL_OK) {
        tl_mem_free(copy);
        return err;
    }
    plan->steps[plan->n_steps++] =
        (step){.primitive = primitive, .args = copy, .n_args = n_args};
    return TL_OK;
}

/* The same with one more argument, a new tensor [1, ch, size, size] for the result. */
static tl_err add_operator(
    tl_dnn *plan,
    const_dnnl_primitive_desc_t descriptor,
    dnnl_exec_arg_t *args,
    int n_args,
    tensor result,
    tl_dnn_tensor *out)
{
    const dnnl_memory_desc_t *md =
        dnnl_primitive_desc_query_md(descriptor, dnnl_query_dst_md, 0);
    TL_TRY(add_memory(plan, md, &result.memory));
    args[n_args] = (dnnl_exec_arg_t){.arg = DNNL_ARG_DST, .memory = result.memory};
    TL_TRY(add_step(plan, descriptor, args, n_args + 1));
    return add_tensor(plan, result, out);
}

/* ---- layouts --------------------------------------------------------------------- */

static const dnnl_memory_desc_t *md_of(const_dnnl_memory_t memory)
{
    const dnnl_memory_desc_t *md = NULL;
    dnnl_status_t status = dnnl_memory_get_memory_desc(memory, &md);
    TL_ASSERT(status == dnnl_success);
    return md;
}

static tl_err image_md(int ch, int size, dnnl_format_tag_t tag, dnnl_memory_desc_t *out)
{
    dnnl_dims_t dims = {1, ch, size, size};
    TRY_DNNL(dnnl_memory_desc_init_by_tag(out, N_DIMS, dims, dnnl_f32, tag), "tensor");
    return TL_OK;
}

static tl_err reorder_descriptor(
    const tl_dnn *plan, dnnl_memory_t from, dnnl_memory_t to, dnnl_primitive_desc_t *out)
{
    TRY_DNNL(
        dnnl_reorder_primitive_desc_create(
            out, md_of(from), plan->engine, md_of(to), plan->engine, NULL),
        "reorder");
    return TL_OK;
}

/* Reorders once, now. */
static tl_err reorder_now(tl_dnn *plan, dnnl_memory_t from, dnnl_memory_t to)
{
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_primitive_t primitive = NULL;
    TL_TRY(reorder_descriptor(plan, from, to, &descriptor));
    tl_err err = check(dnnl_primitive_create(&primitive, descriptor), "reorder");
    if (err == TL_OK) {
        dnnl_exec_arg_t args[] = {
            {DNNL_ARG_FROM, from},
            {DNNL_ARG_TO,   to  }
        };
        err = check(
            dnnl_primitive_execute(primitive, plan->stream, TL_COUNT(args), args), "reorder");
    }
    if (err == TL_OK) {
        err = check(dnnl_stream_wait(plan->stream), "reorder");
    }
    (void)dnnl_primitive_destroy(primitive);
    (void)dnnl_primitive_desc_destroy(descriptor);
    return err;
}

/* The tensor's memory in layout md: its own, its copy, or a new copy made by one more step. */
static tl_err in_layout(
    tl_dnn *plan, tl_dnn_tensor x, const dnnl_memory_desc_t *md, dnnl_memory_t *out)
{
    tensor *t = &plan->tensors[x.idx];
    if (dnnl_memory_desc_equal(md_of(t->memory), md)) {
        *out = t->memory;
        return TL_OK;
    }
    if (t->copy != NULL && dnnl_memory_desc_equal(md_of(t->copy), md)) {
        *out = t->copy;
        return TL_OK;
    }
    dnnl_memory_t copy = NULL;
    dnnl_primitive_desc_t descriptor = NULL;
    TL_TRY(add_memory(plan, md, &copy));
    TL_TRY(reorder_descriptor(plan, t->memory, copy, &descriptor));
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_FROM, t->memory},
        {DNNL_ARG_TO,   copy     }
    };
    tl_err err = add_step(plan, descriptor, args, TL_COUNT(args));
    (void)dnnl_primitive_desc_destroy(descriptor);
    if (err == TL_OK) {
        t->copy = copy;
        *out = copy;
    }
    return err;
}

/* Weights or biases with shape plain, filled, in the layout md. */
static tl_err add_weights(
    tl_dnn *plan,
    const dnnl_memory_desc_t *plain,
    const dnnl_memory_desc_t *md,
    size_t fan_in,
    dnnl_memory_t *out)
{
    dnnl_memory_t source = NULL;
    void *values = NULL;
    TL_TRY(add_memory(plan, md, out));
    TRY_DNNL(dnnl_memory_create(&source, plain, plan->engine, DNNL_MEMORY_ALLOCATE), "weights");
    tl_err err = check(dnnl_memory_get_data_handle(source, &values), "weights");
    if (err == TL_OK) {
        size_t n = dnnl_memory_desc_get_size(plain) / sizeof(float);
        plan->fill(plan->context, values, n, fan_in);
        err = reorder_now(plan, source, *out);
    }
    (void)dnnl_memory_destroy(source);
    return err;
}

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
    tl_err err = check(dnnl_primitive_attr_create(&attr), "activation");
    for (int i = 0; i < activation->n && err == TL_OK; i++) {
        const eltwise *part = &activation->parts[i];
        err = check(
            dnnl_post_ops_append_eltwise(ops, 1.0F, part->alg, part->alpha, part->beta), act);
    }
    if (err == TL_OK) {
        err = check(dnnl_primitive_attr_set_post_ops(attr, ops), act);
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
    tensor t = plan->tensors[x.idx];
    TRY_DNNL(
        dnnl_eltwise_forward_desc_init(
            &desc, dnnl_forward_inference, part->alg, md_of(t.memory), part->alpha, part->beta),
        "activation");
    TRY_DNNL(
        dnnl_primitive_desc_create(&descriptor, &desc, NULL, plan->engine, NULL), "activation");
    dnnl_exec_arg_t args[MAX_INPUTS] = {
        {DNNL_ARG_SRC, t.memory}
    };
    tl_err err =
        add_operator(plan, descriptor, args, 1, (tensor){.ch = t.ch, .size = t.size}, out);
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

tl_err tl_dnn_image(tl_dnn *plan, int ch, int size, tl_dnn_tensor *out)
{
    dnnl_memory_desc_t md;
    tensor t = {.ch = ch, .size = size};
    void *values = NULL;
    TL_TRY(image_md(ch, size, dnnl_nchw, &md));
    TL_TRY(add_memory(plan, &md, &t.memory));
    TRY_DNNL(dnnl_memory_get_data_handle(t.memory, &values), "image");
    memset(values, 0, dnnl_memory_desc_get_size(&md));
    return add_tensor(plan, t, out);
}

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
    tensor result,
    tl_dnn_tensor *out)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t descriptor = NULL;
    TL_TRY(fuse(act, &attr));
    tl_err err = check(
        dnnl_primitive_desc_create(&descriptor, desc, attr, plan->engine, NULL), "convolution");
    (void)dnnl_primitive_attr_destroy(attr);
    TL_TRY(err);

    dnnl_exec_arg_t args[MAX_INPUTS] = {
        {DNNL_ARG_SRC,     NULL},
        {DNNL_ARG_WEIGHTS, NULL},
        {DNNL_ARG_BIAS,    NULL}
    };
    if ((err = in_layout(
             plan, x, dnnl_primitive_desc_query_md(descriptor, dnnl_query_src_md, 0),
             &args[0].memory)) != TL_OK ||
        (err = add_weights(
             plan, &w->weights,
             dnnl_primitive_desc_query_md(descriptor, dnnl_query_weights_md, 0), w->fan_in,
             &args[1].memory)) != TL_OK) {
        goto done;
    }
    if (w->has_bias &&
        (err = add_weights(plan, &w->bias, &w->bias, 0, &args[2].memory)) != TL_OK) {
        goto done;
    }
    err = add_operator(plan, descriptor, args, w->has_bias ? 3 : 2, result, out);
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
    tensor in = plan->tensors[x.idx];
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
    int n_dims = g == 1 ? N_DIMS : N_DIMS + 1;
    TL_TRY(image_md(in.ch, in.size, dnnl_format_tag_any, &src));
    TL_TRY(image_md(window->out_ch, window->out_size, dnnl_format_tag_any, &dst));
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
    tensor result = {.ch = window->out_ch, .size = window->out_size};
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
    tensor in = plan->tensors[x.idx];
    dnnl_dims_t shape = {out_ch, in.ch, in.size, in.size};
    dnnl_dims_t biases = {out_ch}, outputs = {1, out_ch};
    dnnl_memory_desc_t src, dst, weights, image;
    weighted w = {
        .fan_in = (size_t)in.ch * (size_t)in.size * (size_t)in.size, .has_bias = has_bias};
    TL_TRY(image_md(in.ch, in.size, dnnl_format_tag_any, &src));
    TRY_DNNL(dnnl_memory_desc_init_by_tag(&dst, 2, outputs, dnnl_f32, dnnl_nc), "dense");
    TRY_DNNL(
        dnnl_memory_desc_init_by_tag(&weights, N_DIMS, shape, dnnl_f32, dnnl_format_tag_any),
        "dense");
    TRY_DNNL(
        dnnl_memory_desc_init_by_tag(&w.weights, N_DIMS, shape, dnnl_f32, dnnl_oihw), "dense");
    TRY_DNNL(dnnl_memory_desc_init_by_tag(&w.bias, 1, biases, dnnl_f32, dnnl_x), "biases");
    dnnl_inner_product_desc_t desc;
    TRY_DNNL(
        dnnl_inner_product_forward_desc_init(
            &desc, dnnl_forward_inference, &src, &weights, w.has_bias ? &w.bias : NULL, &dst),
        "dense");
    TL_TRY(add_weighted(plan, &desc, &w, act, x, (tensor){.ch = out_ch, .size = 1}, out));

    /* the same memory seen as an image [1, out_ch, 1, 1] */
    tensor *t = &plan->tensors[out->idx];
    void *values = NULL;
    TRY_DNNL(dnnl_memory_get_data_handle(t->memory, &values), "dense");
    TL_TRY(image_md(out_ch, 1, dnnl_nchw, &image));
    dnnl_memory_t as_image = NULL;
    TL_TRY(add_memory(plan, &image, &as_image));
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
    tensor in = plan->tensors[x.idx];
    int after = pad_after(in.size, window);
    dnnl_dims_t strides = {window->stride, window->stride};
    dnnl_dims_t kernel = {window->kernel, window->kernel};
    dnnl_dims_t before = {window->pad, window->pad}, behind = {after, after};
    dnnl_memory_desc_t dst;
    dnnl_pooling_desc_t desc;
    dnnl_primitive_desc_t descriptor = NULL;
    TL_TRY(image_md(in.ch, window->out_size, dnnl_format_tag_any, &dst));
    TRY_DNNL(
        dnnl_pooling_forward_desc_init(
            &desc, dnnl_forward_inference,
            kind == TL_DNN_POOL_MAX ? dnnl_pooling_max : dnnl_pooling_avg_exclude_padding,
            md_of(in.memory), &dst, strides, kernel, before, behind),
        "pool");
    TRY_DNNL(dnnl_primitive_desc_create(&descriptor, &desc, NULL, plan->engine, NULL), "pool");
    dnnl_exec_arg_t args[MAX_INPUTS] = {
        {DNNL_ARG_SRC, in.memory}
    };
    tl_err err = add_operator(
        plan, descriptor, args, 1, (tensor){.ch = in.ch, .size = window->out_size}, out);
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
            TL_TRY(in_layout(plan, x[i], md_of(plan->tensors[x[0].idx].memory), &memory));
        }
        m->args[i] = (dnnl_exec_arg_t){.arg = DNNL_ARG_MULTIPLE_SRC + i, .memory = memory};
        m->mds[i] = *md_of(memory);
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
    tensor first = plan->tensors[x[0].idx];
    dnnl_primitive_desc_t descriptor = NULL;
    many m = {0};
    tl_err err = TL_OK;
    if ((err = many_init(&m, n)) != TL_OK || (err = many_bind(plan, x, n, true, &m)) != TL_OK ||
        (err = check(
             dnnl_sum_primitive_desc_create(
                 &descriptor, &m.mds[0], n, m.ones, m.mds, NULL, plan->engine),
             "add")) != TL_OK) {
        goto done;
    }
    tensor result = {.ch = first.ch, .size = first.size};
    err = add_operator(plan, descriptor, m.args, n, result, out);
    (void)dnnl_primitive_desc_destroy(descriptor);
done:
    many_done(&m);
    return err;
}

tl_err tl_dnn_concat(tl_dnn *plan, const tl_dnn_tensor *x, int n, tl_dnn_tensor *out)
{
    tensor result = {.size = plan->tensors[x[0].idx].size};
    for (int i = 0; i < n; i++) {
        result.ch += plan->tensors[x[i].idx].ch;
    }
    dnnl_memory_desc_t dst;
    TL_TRY(image_md(result.ch, result.size, dnnl_format_tag_any, &dst));
    dnnl_primitive_desc_t descriptor = NULL;
    many m = {0};
    tl_err err = TL_OK;
    if ((err = many_init(&m, n)) != TL_OK ||
        (err = many_bind(plan, x, n, false, &m)) != TL_OK ||
        (err = check(
             dnnl_concat_primitive_desc_create(
                 &descriptor, &dst, n, /* channels */ 1, m.mds, NULL, plan->engine),
             "concat")) != TL_OK) {
        goto done;
    }
    err = add_operator(plan, descriptor, m.args, n, result, out);
    (void)dnnl_primitive_desc_destroy(descriptor);
done:
    many_done(&m);
    return err;
}

tl_err tl_dnn_scale(tl_dnn *plan, tl_dnn_tensor x, tl_dnn_tensor s, tl_dnn_tensor *out)
{
    tensor in = plan->tensors[x.idx];
    tensor by = plan->tensors[s.idx];
    dnnl_memory_desc_t dst;
    dnnl_binary_desc_t desc;
    dnnl_primitive_desc_t descriptor = NULL;
    TL_TRY(image_md(in.ch, in.size, dnnl_format_tag_any, &dst));
    TRY_DNNL(
        dnnl_binary_desc_init(&desc, dnnl_binary_mul, md_of(in.memory), md_of(by.memory), &dst),
        "scale");
    TRY_DNNL(dnnl_primitive_desc_create(&descriptor, &desc, NULL, plan->engine, NULL), "scale");
    dnnl_exec_arg_t args[MAX_INPUTS] = {
        {DNNL_ARG_SRC_0, in.memory},
        {DNNL_ARG_SRC_1, by.memory}
    };
    tl_err err =
        add_operator(plan, descriptor, args, 2, (tensor){.ch = in.ch, .size = in.size}, out);
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
        if ((err = add_memory(plan, mds[i], &args[i].memory)) == TL_OK &&
            (err = check(dnnl_memory_get_data_handle(args[i].memory, &values), "gemm")) ==
                TL_OK) {
            memset(values, 0, dnnl_memory_desc_get_size(mds[i]));
        }
    }
    if (err == TL_OK) {
        err = add_step(plan, descriptor, args, TL_COUNT(args));
    }
    (void)dnnl_primitive_desc_destroy(descriptor);
    return err;
}

/* ---- running --------------------------------------------------------------------- */

tl_err tl_dnn_run(tl_dnn *plan)
{
    for (int i = 0; i < plan->n_steps; i++) {
        const step *s = &plan->steps[i];
        TRY_DNNL(
            dnnl_primitive_execute(s->primitive, plan->stream, s->n_args, s->args), "operator");
    }
    TRY_DNNL(dnnl_stream_wait(plan->stream), "operator");
    return TL_OK;
}

int tl_dnn_n_steps(const tl_dnn *plan)
{
    return plan->n_steps;
}

/* Copies between the tensor and a plain array. */
static tl_err exchange(tl_dnn *plan, tl_dnn_tensor x, float *values, bool is_write)
{
    const tensor *t = &plan->tensors[x.idx];
    dnnl_memory_desc_t md;
    dnnl_memory_t plain = NULL;
    TL_TRY(image_md(t->ch, t->size, dnnl_nchw, &md));
    TRY_DNNL(dnnl_memory_create(&plain, &md, plan->engine, values), "tensor");
    tl_err err =
        is_write ? reorder_now(plan, plain, t->memory) : reorder_now(plan, t->memory, plain);
    (void)dnnl_memory_destroy(plain);
    return err;
}

tl_err tl_dnn_write(tl_dnn *plan, tl_dnn_tensor x, const float *values)
{
    union {
        const float *in;
        float *out;
    } read_only = {.in = values}; /* oneDNN's handle is not const; the source is only read */
    return exchange(plan, x, read_only.out, true);
}

tl_err tl_dnn_read(tl_dnn *plan, tl_dnn_tensor x, float *out_values)
{
    return exchange(plan, x, out_values, false);
}

int tl_dnn_ch(const tl_dnn *plan, tl_dnn_tensor x)
{
    return plan->tensors[x.idx].ch;
}

int tl_dnn_size(const tl_dnn *plan, tl_dnn_tensor x)
{
    return plan->tensors[x.idx].size;
}
