/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/signature.h"

#include "base/mem.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

static const uint64_t reference_seed = 0x7369676e;
static const double smallest_share =
    .01; /* of the limit, which a cautious cost comes down to */

static tl_err copy_tasks(int n, const char *const *tasks, tl_signature *signature)
{
    signature->tasks = tl_mem_new((size_t)n, sizeof *signature->tasks);
    if (signature->tasks == NULL) {
        return tl_fail(TL_ENOMEM, "%d tasks", n);
    }
    for (int i = 0; i < n; i++) {
        char *copy = tl_mem_strdup(tasks[i]);
        if (copy == NULL) {
            return tl_fail(TL_ENOMEM, "%d tasks", n);
        }
        signature->tasks[signature->n_tasks++] = copy;
    }
    return TL_OK;
}

tl_err tl_signature_init(
    const tl_space *space,
    tl_freedom freedom,
    int n_references,
    bool has_energy,
    int n_tasks,
    const char *const *tasks,
    tl_signature *out_signature)
{
    size_t n_slots = (size_t)tl_space_n_slots(space);
    tl_signature signature = {
        .space = tl_space_ref(space),
        .freedom = freedom,
        .n_references = n_references > 0 ? n_references : TL_SIGNATURE_REFERENCES,
        .has_energy = has_energy};
    tl_err err = copy_tasks(n_tasks, tasks, &signature);
    size_t n = (size_t)signature.n_references;
    signature.references =
        err == TL_OK ? tl_mem_new(n * n_slots, sizeof *signature.references) : NULL;
    if (err == TL_OK && signature.references == NULL) {
        err = tl_fail(TL_ENOMEM, "%zu reference designs", n);
    }
    if (err != TL_OK) {
        tl_signature_done(&signature);
        return err;
    }
    tl_rng rng;
    tl_rng_init(&rng, reference_seed);
    for (size_t i = 0; i < n; i++) {
        tl_space_sample_with(space, freedom, &rng, signature.references + i * n_slots);
    }
    *out_signature = signature;
    return TL_OK;
}

void tl_signature_done(tl_signature *signature)
{
    for (int i = 0; i < signature->n_tasks; i++) {
        tl_mem_free(signature->tasks[i]);
    }
    tl_mem_free(signature->tasks);
    tl_mem_free(signature->references);
    tl_space_unref(signature->space);
    *signature = (tl_signature){0};
}

int tl_signature_width(const tl_signature *signature)
{
    int n_costs = signature->has_energy ? 2 : 1;
    return (2 * n_costs + 1) * signature->n_references + signature->n_tasks;
}

int tl_signature_task(const tl_signature *signature, const char *task)
{
    for (int i = 0; i < signature->n_tasks; i++) {
        if (strcmp(signature->tasks[i], task) == 0) {
            return i;
        }
    }
    return -1;
}

/* ---- the row ----------------------------------------------------------------------------- */

/* The confidence of each limit with which all hold together, independent as the problem has them. */
static double share_confidence(const tl_limits *limits)
{
    int n = !isnan(limits->max_latency_ms) + !isnan(limits->max_energy_mj) +
            !isnan(limits->min_accuracy);
    return n > 1 ? pow(limits->confidence, 1.0 / n) : limits->confidence;
}

/* tanh q and tanh 4q of one cost, [R] each; mean and sd are those of predictions. */
static void fill_cost(
    int n,
    const double *mean,
    const double *sd,
    double limit,
    const tl_confidence *margins,
    double confidence,
    float *out)
{
    const ptrdiff_t stride = sizeof(tl_prediction) / sizeof(double);
    double z = tl_confidence_margin(margins, confidence);
    for (int i = 0; i < n; i++) {
        double q = HUGE_VAL; /* a limit on what nobody knows is never held */
        double unit = tl_margin_unit_at(&margins->unit, mean[i * stride], sd[i * stride]);
        double cost = mean[i * stride] + z * unit;
        if (isnan(limit)) {
            q = -HUGE_VAL;
        } else if (!isnan(cost)) {
            q = log(fmax(cost / limit, smallest_share));
        }
        out[i] = (float)tanh(q);
        out[n + i] = (float)tanh(4 * q);
    }
}

static double points_of_upper_half(int n, const tl_prediction *references)
{
    double accuracies[TL_SIGNATURE_MAX_REFERENCES];
    for (int i = 0; i < n; i++) {
        accuracies[i] = references[i].accuracy;
    }
    double median = tl_median_inplace(n, accuracies);
    return fmax(tl_quantile_inplace(n, accuracies, .9) - median, .1);
}

static void fill_tolls(
    int n, const tl_weights *weights, const tl_prediction *references, float *out)
{
    double tolls[TL_SIGNATURE_MAX_REFERENCES];
    double latency = isnan(weights->latency_points_per_ms) ? 0 : weights->latency_points_per_ms;
    double energy = isnan(weights->energy_points_per_mj) ? 0 : weights->energy_points_per_mj;
    double mean = 0;
    for (int i = 0; i < n; i++) {
        tolls[i] = (latency > 0 ? latency * references[i].latency_ms : 0) +
                   (energy > 0 ? energy * references[i].energy_mj : 0);
        mean += tolls[i] / n;
    }
    bool is_asked = latency > 0 || energy > 0;
    double scale = is_asked ? points_of_upper_half(n, references) : 1;
    for (int i = 0; i < n; i++) {
        double toll = (tolls[i] - mean) / (2 * scale);
        out[i] = isnan(toll) ? 0.0F : (float)tanh(toll);
    }
}

void tl_signature_fill(
    const tl_signature *signature,
    const tl_problem *problem,
    int task,
    const tl_prediction *references,
    float *out_row)
{
    const tl_limits *limits = &problem->limits;
    int n = signature->n_references;
    double confidence = share_confidence(limits);
    float *row = out_row;
    fill_cost(
        n, &references->latency_ms, &references->latency_std_ms, limits->max_latency_ms,
        &problem->latency_confidence, confidence, row);
    row += 2 * (ptrdiff_t)n;
    if (signature->has_energy) {
        fill_cost(
            n, &references->energy_mj, &references->energy_std_mj, limits->max_energy_mj,
            &problem->energy_confidence, confidence, row);
        row += 2 * (ptrdiff_t)n;
    }
    fill_tolls(n, &problem->weights, references, row);
    row += n;
    for (int i = 0; i < signature->n_tasks; i++) {
        row[i] = i == task ? 1.0F : 0.0F;
    }
}
