/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/agent/dnn.h"

#include "base/mem.h"
#include "clients/agent/dnn_impl.h"

#include <string.h>

tl_err tl_dnn_check(dnnl_status_t status, const char *what)
{
    switch (status) {
    case dnnl_success: return TL_OK;
    case dnnl_out_of_memory: return tl_fail(TL_ENOMEM, "%s", what);
    case dnnl_unimplemented: return tl_fail(TL_ENOTFOUND, "%s: not on this machine", what);
    case dnnl_invalid_arguments: return tl_fail(TL_EINVAL, "%s: impossible shape", what);
    default: return tl_fail(TL_EIO, "%s: oneDNN status %d", what, (int)status);
    }
}

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
    if ((err = tl_dnn_check(dnnl_engine_create(&plan->engine, dnnl_cpu, 0), "engine")) !=
            TL_OK ||
        (err = tl_dnn_check(
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

tl_err tl_dnn_add_memory(tl_dnn *plan, const dnnl_memory_desc_t *md, dnnl_memory_t *out)
{
    void *block = plan->memories;
    TL_TRY(reserve(&block, plan->n_memories, &plan->memories_capacity, sizeof *plan->memories));
    plan->memories = block;
    TRY_DNNL(dnnl_memory_create(out, md, plan->engine, DNNL_MEMORY_ALLOCATE), "tensor");
    plan->memories[plan->n_memories++] = *out;
    return TL_OK;
}

tl_err tl_dnn_add_tensor(tl_dnn *plan, tl_dnn_stored t, tl_dnn_tensor *out)
{
    void *block = plan->tensors;
    TL_TRY(reserve(&block, plan->n_tensors, &plan->tensors_capacity, sizeof *plan->tensors));
    plan->tensors = block;
    plan->tensors[plan->n_tensors] = t;
    out->idx = plan->n_tensors++;
    return TL_OK;
}

tl_err tl_dnn_add_step(
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
    tl_err err = tl_dnn_check(dnnl_primitive_create(&primitive, descriptor), "operator");
    if (err != TL_OK) {
        tl_mem_free(copy);
        return err;
    }
    plan->steps[plan->n_steps++] =
        (tl_dnn_step){.primitive = primitive, .args = copy, .n_args = n_args};
    return TL_OK;
}

tl_err tl_dnn_add_operator(
    tl_dnn *plan,
    const_dnnl_primitive_desc_t descriptor,
    dnnl_exec_arg_t *args,
    int n_args,
    tl_dnn_stored result,
    tl_dnn_tensor *out)
{
    const dnnl_memory_desc_t *md =
        dnnl_primitive_desc_query_md(descriptor, dnnl_query_dst_md, 0);
    TL_TRY(tl_dnn_add_memory(plan, md, &result.memory));
    args[n_args] = (dnnl_exec_arg_t){.arg = DNNL_ARG_DST, .memory = result.memory};
    TL_TRY(tl_dnn_add_step(plan, descriptor, args, n_args + 1));
    return tl_dnn_add_tensor(plan, result, out);
}

/* ---- layouts --------------------------------------------------------------------- */

const dnnl_memory_desc_t *tl_dnn_md(const_dnnl_memory_t memory)
{
    const dnnl_memory_desc_t *md = NULL;
    dnnl_status_t status = dnnl_memory_get_memory_desc(memory, &md);
    TL_ASSERT(status == dnnl_success);
    return md;
}

tl_err tl_dnn_image_md(int ch, int size, dnnl_format_tag_t tag, dnnl_memory_desc_t *out)
{
    dnnl_dims_t dims = {1, ch, size, size};
    TRY_DNNL(dnnl_memory_desc_init_by_tag(out, TL_DNN_N_DIMS, dims, dnnl_f32, tag), "tensor");
    return TL_OK;
}

static tl_err reorder_descriptor(
    const tl_dnn *plan, dnnl_memory_t from, dnnl_memory_t to, dnnl_primitive_desc_t *out)
{
    TRY_DNNL(
        dnnl_reorder_primitive_desc_create(
            out, tl_dnn_md(from), plan->engine, tl_dnn_md(to), plan->engine, NULL),
        "reorder");
    return TL_OK;
}

/* Reorders once, now. */
static tl_err reorder_now(tl_dnn *plan, dnnl_memory_t from, dnnl_memory_t to)
{
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_primitive_t primitive = NULL;
    TL_TRY(reorder_descriptor(plan, from, to, &descriptor));
    tl_err err = tl_dnn_check(dnnl_primitive_create(&primitive, descriptor), "reorder");
    if (err == TL_OK) {
        dnnl_exec_arg_t args[] = {
            {DNNL_ARG_FROM, from},
            {DNNL_ARG_TO,   to  }
        };
        err = tl_dnn_check(
            dnnl_primitive_execute(primitive, plan->stream, TL_COUNT(args), args), "reorder");
    }
    if (err == TL_OK) {
        err = tl_dnn_check(dnnl_stream_wait(plan->stream), "reorder");
    }
    (void)dnnl_primitive_destroy(primitive);
    (void)dnnl_primitive_desc_destroy(descriptor);
    return err;
}

tl_err tl_dnn_in_layout(
    tl_dnn *plan, tl_dnn_tensor x, const dnnl_memory_desc_t *md, dnnl_memory_t *out)
{
    tl_dnn_stored *t = &plan->tensors[x.idx];
    if (dnnl_memory_desc_equal(tl_dnn_md(t->memory), md)) {
        *out = t->memory;
        return TL_OK;
    }
    if (t->copy != NULL && dnnl_memory_desc_equal(tl_dnn_md(t->copy), md)) {
        *out = t->copy;
        return TL_OK;
    }
    dnnl_memory_t copy = NULL;
    dnnl_primitive_desc_t descriptor = NULL;
    TL_TRY(tl_dnn_add_memory(plan, md, &copy));
    TL_TRY(reorder_descriptor(plan, t->memory, copy, &descriptor));
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_FROM, t->memory},
        {DNNL_ARG_TO,   copy     }
    };
    tl_err err = tl_dnn_add_step(plan, descriptor, args, TL_COUNT(args));
    (void)dnnl_primitive_desc_destroy(descriptor);
    if (err == TL_OK) {
        t->copy = copy;
        *out = copy;
    }
    return err;
}

tl_err tl_dnn_add_weights(
    tl_dnn *plan,
    const dnnl_memory_desc_t *plain,
    const dnnl_memory_desc_t *md,
    size_t fan_in,
    dnnl_memory_t *out)
{
    dnnl_memory_t source = NULL;
    void *values = NULL;
    TL_TRY(tl_dnn_add_memory(plan, md, out));
    TRY_DNNL(dnnl_memory_create(&source, plain, plan->engine, DNNL_MEMORY_ALLOCATE), "weights");
    tl_err err = tl_dnn_check(dnnl_memory_get_data_handle(source, &values), "weights");
    if (err == TL_OK) {
        size_t n = dnnl_memory_desc_get_size(plain) / sizeof(float);
        plan->fill(plan->context, values, n, fan_in);
        err = reorder_now(plan, source, *out);
    }
    (void)dnnl_memory_destroy(source);
    return err;
}

tl_err tl_dnn_image(tl_dnn *plan, int ch, int size, tl_dnn_tensor *out)
{
    dnnl_memory_desc_t md;
    tl_dnn_stored t = {.ch = ch, .size = size};
    void *values = NULL;
    TL_TRY(tl_dnn_image_md(ch, size, dnnl_nchw, &md));
    TL_TRY(tl_dnn_add_memory(plan, &md, &t.memory));
    TRY_DNNL(dnnl_memory_get_data_handle(t.memory, &values), "image");
    memset(values, 0, dnnl_memory_desc_get_size(&md));
    return tl_dnn_add_tensor(plan, t, out);
}

/* ---- running --------------------------------------------------------------------- */

tl_err tl_dnn_run(tl_dnn *plan)
{
    for (int i = 0; i < plan->n_steps; i++) {
        const tl_dnn_step *s = &plan->steps[i];
        TRY_DNNL(
            dnnl_primitive_execute(s->primitive, plan->stream, s->n_args, s->args), "operator");
    }
    TRY_DNNL(dnnl_stream_wait(plan->stream), "operator");
    return TL_OK;
}

/* Copies between the tensor and a plain array. */
static tl_err exchange(tl_dnn *plan, tl_dnn_tensor x, float *values, bool is_write)
{
    const tl_dnn_stored *t = &plan->tensors[x.idx];
    dnnl_memory_desc_t md;
    dnnl_memory_t plain = NULL;
    TL_TRY(tl_dnn_image_md(t->ch, t->size, dnnl_nchw, &md));
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
