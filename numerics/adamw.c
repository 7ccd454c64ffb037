/* SPDX-License-Identifier: Apache-2.0 */
#include "numerics/adamw.h"

#include "base/mem.h"
#include "base/span.h"

#include <math.h>
#include <string.h>

struct tl_adamw {
    tl_adamw_options options;
    int n_params;
    tl_param *params;
    /* First and second moment of every parameter, block after block, row after row. */
    float *m, *v;
    double beta1_power, beta2_power; /* beta^t */
};

static double or_default(double value, double otherwise)
{
    return value == 0.0 ? otherwise : value;
}

tl_err tl_adamw_new(
    const tl_adamw_options *options, int n_params, const tl_param *params, tl_adamw **out_adamw)
{
    tl_err err = TL_OK;
    size_t n_values = 0;
    TL_ASSERT(n_params >= 0);
    for (int i = 0; i < n_params; i++) {
        const tl_param *p = &params[i];
        TL_ASSERT(p->value.rows == p->gradient.rows && p->value.cols == p->gradient.cols);
        n_values += (size_t)p->value.rows * (size_t)p->value.cols;
    }
    tl_adamw *adamw = tl_mem_new(1, sizeof *adamw);
    if (adamw == NULL) {
        return tl_fail(TL_ENOMEM, "optimizer of %zu parameters", n_values);
    }
    adamw->params = tl_mem_new((size_t)n_params, sizeof *adamw->params);
    adamw->m = tl_mem_new(n_values, sizeof *adamw->m);
    adamw->v = tl_mem_new(n_values, sizeof *adamw->v);
    if (adamw->params == NULL || adamw->m == NULL || adamw->v == NULL) {
        err = tl_fail(TL_ENOMEM, "optimizer of %zu parameters", n_values);
        goto done;
    }
    if (n_params > 0) {
        memcpy(adamw->params, params, (size_t)n_params * sizeof *params);
    }
    adamw->n_params = n_params;
    adamw->options = *options;
    adamw->options.beta1 = or_default(options->beta1, 0.9);
    adamw->options.beta2 = or_default(options->beta2, 0.999);
    adamw->options.epsilon = or_default(options->epsilon, 1e-8);
    adamw->beta1_power = 1.0;
    adamw->beta2_power = 1.0;

    *out_adamw = adamw;
    adamw = NULL;
done:
    tl_adamw_free(adamw);
    return err;
}

void tl_adamw_free(tl_adamw *adamw)
{
    if (adamw == NULL) {
        return;
    }
    tl_mem_free(adamw->params);
    tl_mem_free(adamw->m);
    tl_mem_free(adamw->v);
    tl_mem_free(adamw);
}

TL_KERNEL static void add_squares(int n, const float *x, double *sum)
{
    for (int j = 0; j < n; j++) {
        *sum += (double)x[j] * (double)x[j];
    }
}

static double gradient_norm(int n_params, const tl_param *params)
{
    double sum = 0.0;
    for (int p = 0; p < n_params; p++) {
        tl_cmat g = tl_ro(params[p].gradient);
        for (int i = 0; i < g.rows; i++) {
            TL_ASSERT_SPAN(tl_cmat_row(g, i), g.cols);
            add_squares(g.cols, tl_cmat_row(g, i), &sum);
        }
    }
    return sqrt(sum);
}

/* What one step has in common for all parameters of a block. */
typedef struct rates {
    float clip;           /* factor of the gradient */
    float keep;           /* factor of the parameter: 1 - lr decay */
    float keep_m, gain_m; /* beta1, 1 - beta1 (subtracted in double) */
    float keep_v, gain_v;
    float step;    /* lr / (1 - beta1^t) */
    float v_scale; /* 1 / sqrt(1 - beta2^t) */
    float epsilon;
} rates;

/* One row; the four arrays are different blocks of memory. */
TL_KERNEL static void update_row(
    const rates *r,
    int n,
    float *restrict w,
    float *restrict g,
    float *restrict m,
    float *restrict v)
{
    for (int j = 0; j < n; j++) {
        float clipped = g[j] * r->clip;
        m[j] = r->keep_m * m[j] + r->gain_m * clipped;
        v[j] = r->keep_v * v[j] + r->gain_v * clipped * clipped;
        w[j] = w[j] * r->keep - r->step * m[j] / (sqrtf(v[j]) * r->v_scale + r->epsilon);
        g[j] = 0.0F;
    }
}

double tl_adamw_step(tl_adamw *adamw, double lr)
{
    const tl_adamw_options *o = &adamw->options;
    double norm = gradient_norm(adamw->n_params, adamw->params);
    bool is_clipped = o->clip_norm > 0.0 && norm > o->clip_norm;
    adamw->beta1_power *= o->beta1;
    adamw->beta2_power *= o->beta2;
    rates r = {
        .clip = is_clipped ? (float)(o->clip_norm / norm) : 1.0F,
        .keep_m = (float)o->beta1,
        .gain_m = (float)(1.0 - o->beta1),
        .keep_v = (float)o->beta2,
        .gain_v = (float)(1.0 - o->beta2),
        .step = (float)(lr / (1.0 - adamw->beta1_power)),
        .v_scale = (float)(1.0 / sqrt(1.0 - adamw->beta2_power)),
        .epsilon = (float)o->epsilon,
    };
    size_t begin = 0;
    for (int p = 0; p < adamw->n_params; p++) {
        const tl_param *param = &adamw->params[p];
        int cols = param->value.cols;
        r.keep = param->has_decay ? (float)(1.0 - lr * o->weight_decay) : 1.0F;
        for (int i = 0; i < param->value.rows; i++) {
            float *w = tl_mat_row(param->value, i);
            float *g = tl_mat_row(param->gradient, i);
            float *m = adamw->m + begin;
            float *v = adamw->v + begin;
            TL_ASSERT_SPAN(w, cols);
            TL_ASSERT_SPAN(g, cols);
            TL_ASSERT_SPAN(m, cols);
            TL_ASSERT_SPAN(v, cols);
            update_row(&r, cols, w, g, m, v);
            begin += (size_t)cols;
        }
    }
    return norm;
}

double tl_warm_cosine(double lr, int n_warm, int t, int n_steps)
{
    const double pi = 3.14159265358979323846;
    TL_ASSERT(0 <= t && t < n_steps);
    double warm = t + 1 < n_warm ? (t + 1.0) / n_warm : 1.0;
    return lr * warm * 0.5 * (1.0 + cos(pi * t / n_steps));
}
