/* SPDX-License-Identifier: Apache-2.0 */
#include "grading/evaluate.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "grading/metrics.h"
#include "numerics/rng.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

/* Relative errors are of latencies from here on: below, timers measure nothing but themselves. */
static const double least_latency = .2;

/* A share of the samples is multiplied by a factor within these. */
static const double corrupted_frac = .2;
static const double least_factor = 3;
static const double most_factor = 10;

/* Points of accuracy that a missed limit costs, and limits as quantiles of what was measured. */
static const double miss_cost = 10;
static const double limit_quantiles[] = {.2, .4, .6, .8};

const char *tl_figure_name(tl_figure figure)
{
    static const char *const names[] = {
#define FIGURE_NAME(id, name) name,
        TL_FIGURE_LIST(FIGURE_NAME)
#undef FIGURE_NAME
    };
    return names[figure];
}

const char *tl_grade_set_name(tl_grade_set set)
{
    static const char *const names[] = {"near", "far", "corrupted"};
    return names[set];
}

/* One device's run: what all methods share. */
typedef struct device_run {
    const tl_evaluate_options *options;
    const char *device;
    tl_trial trial;
    tl_infer_head head;
    tl_infer_problem problem;
    double level;      /* of the samples as they are used */
    double *memory;    /* everything below */
    double *samples;   /* [n] values of the samples, perhaps damaged */
    double *targets;   /* [n] */
    double *mean, *sd; /* [m] of the method at work, relative latencies */
    double *measured;  /* [m] the same of what was measured */
    double *exact_mean, *exact_sd;
    double *hmc_mean, *hmc_sd;
    bool has_exact, has_hmc;
} device_run;

static void run_done(device_run *run)
{
    tl_trial_done(&run->trial);
    tl_mem_free(run->memory);
}

static tl_err run_init(
    const tl_pool *pool, const tl_evaluate_options *options, int device, device_run *run)
{
    enum {
        PER_SAMPLE = 2,
        PER_QUERY = 7
    };
    int n = options->n_samples > 0 ? options->n_samples : TL_EVALUATE_SAMPLES;
    *run = (device_run){.options = options, .device = pool->columns[device]->subject};
    TL_TRY(tl_trial_init(pool, device, n, options->seed + (uint64_t)device, &run->trial));
    int m = run->trial.queries.n;
    run->memory =
        tl_mem_new((size_t)n * PER_SAMPLE + (size_t)m * PER_QUERY, sizeof *run->memory);
    if (run->memory == NULL) {
        run_done(run);
        return tl_fail(TL_ENOMEM, "%d designs", m);
    }
    run->samples = run->memory;
    run->targets = run->samples + n;
    run->mean = run->targets + n;
    run->sd = run->mean + m;
    run->measured = run->sd + m;
    run->exact_mean = run->measured + m;
    run->exact_sd = run->exact_mean + m;
    run->hmc_mean = run->exact_sd + m;
    run->hmc_sd = run->hmc_mean + m;
    memcpy(run->samples, run->trial.samples.value, (size_t)n * sizeof *run->samples);
    run->head = (tl_infer_head){
        .features = pool->features,
        .samples =
            {.n_sources = run->trial.n_sources,
                      .spread = run->trial.spread,
                      .x = tl_dro(run->trial.samples.head),
                      .z = run->trial.samples.z,
                      .y = run->samples},
        .query = tl_dro(run->trial.queries.head),
        .query_z = run->trial.queries.z,
        .query_offset = run->trial.queries.offset
    };
    return TL_OK;
}

/* The problem that the samples, as they now are, pose. */
static tl_err pose(device_run *run)
{
    const tl_trial *trial = &run->trial;
    TL_TRY(tl_trial_level(trial, run->samples, &run->level));
    for (int i = 0; i < trial->samples.n; i++) {
        run->targets[i] = run->samples[i] / run->level - trial->samples.offset[i];
    }
    for (int i = 0; i < trial->queries.n; i++) {
        run->measured[i] = trial->queries.value[i] / run->level;
    }
    run->head.level = run->level;
    run->has_exact = false;
    run->has_hmc = false;
    run->problem = (tl_infer_problem){
        .x = tl_dro(trial->samples.scaled),
        .y = run->targets,
        .query = tl_dro(trial->queries.scaled),
        .unlabelled = tl_dro(trial->unlabelled.scaled),
        .head = &run->head,
        .seed = run->options->seed};
    return tl_infer_scales(&run->problem);
}

static void corrupt(device_run *run)
{
    tl_rng rng;
    tl_rng_init(&rng, run->options->seed);
    for (int i = 0; i < run->trial.samples.n; i++) {
        bool is_hit = tl_rng_uniform(&rng) < corrupted_frac;
        double factor = least_factor + (most_factor - least_factor) * tl_rng_uniform(&rng);
        run->samples[i] *= is_hit ? factor : 1;
    }
}

/* ---- figures -------------------------------------------------------------------------------- */

/* Mean real cost over the limits; NaN without accuracies. */
static tl_err decide(const device_run *run, const tl_graded *p, int begin, double *out_cost)
{
    const double *gain = run->trial.queries.gain + begin;
    double sum = 0;
    *out_cost = TL_UNKNOWN;
    for (int i = 0; i < p->n; i++) {
        if (isnan(gain[i])) {
            return TL_OK;
        }
    }
    double *sorted = tl_mem_new((size_t)p->n, sizeof *sorted);
    if (sorted == NULL) {
        return tl_fail(TL_ENOMEM, "%d limits", p->n);
    }
    memcpy(sorted, p->y, (size_t)p->n * sizeof *sorted);
    for (size_t k = 0; k < TL_COUNT(limit_quantiles); k++) {
        tl_decision decision = {
            .limit = tl_quantile_inplace(p->n, sorted, limit_quantiles[k]),
            .gain = gain,
            .miss_cost = miss_cost};
        sum += tl_grade_decision(p, &decision);
    }
    tl_mem_free(sorted);
    *out_cost = sum / (double)TL_COUNT(limit_quantiles);
    return TL_OK;
}

static tl_err fill_grade(const device_run *run, const tl_graded *p, int begin, tl_grade *grade)
{
    double *f = grade->figures;
    grade->n_designs = p->n;
    TL_TRY(tl_spearman(p->n, p->mean, p->y, &f[TL_FIGURE_SPEARMAN]));
    TL_TRY(
        tl_grade_rejection(p, TL_CURVE_POINTS, grade->rejection, &f[TL_FIGURE_REJECTION_AREA]));
    TL_TRY(decide(run, p, begin, &f[TL_FIGURE_DECISION_COST]));
    f[TL_FIGURE_RMSE] = tl_grade_rmse(p);
    f[TL_FIGURE_MAPE] = tl_grade_mape(p, least_latency);
    f[TL_FIGURE_NLL] = tl_grade_nll(p);
    f[TL_FIGURE_PICP_50] = tl_grade_coverage(p, .5);
    f[TL_FIGURE_PICP_80] = tl_grade_coverage(p, .8);
    f[TL_FIGURE_PICP_95] = tl_grade_coverage(p, .95);
    f[TL_FIGURE_MPIW_50] = tl_grade_width(p, .5);
    f[TL_FIGURE_MPIW_80] = tl_grade_width(p, .8);
    f[TL_FIGURE_MPIW_95] = tl_grade_width(p, .95);
    f[TL_FIGURE_CALIBRATION_ERROR] =
        tl_grade_calibration(p, TL_CURVE_POINTS, grade->calibration);
    if (run->has_exact) {
        f[TL_FIGURE_DISTANCE_EXACT] =
            tl_grade_distance(p->n, run->exact_mean + begin, run->exact_sd + begin, p);
    }
    if (run->has_hmc) {
        f[TL_FIGURE_DISTANCE_HMC] =
            tl_grade_distance(p->n, run->hmc_mean + begin, run->hmc_sd + begin, p);
    }
    return TL_OK;
}

static tl_err grade_set(
    const device_run *run,
    const tl_infer_answer *answer,
    const char *method,
    tl_grade_set set,
    double time_ms,
    tl_grade *grade)
{
    int n_near = run->trial.n_near;
    int n_far = run->trial.queries.n - n_near;
    bool is_far = set == TL_SET_FAR;
    int begin = is_far ? n_near : 0;
    tl_graded p = {
        .n = is_far ? n_far : n_near,
        .y = run->measured + begin,
        .mean = run->mean + begin,
        .sd = run->sd + begin,
        .dof = answer->dof};
    *grade = (tl_grade){.device = run->device, .method = method, .set = set};
    for (int k = 0; k < TL_N_FIGURES; k++) {
        grade->figures[k] = TL_UNKNOWN;
    }
    grade->figures[TL_FIGURE_TIME_MS] = time_ms;
    grade->figures[TL_FIGURE_KEPT_BYTES] = (double)answer->kept_bytes;
    TL_TRY(fill_grade(run, &p, begin, grade));
    if (is_far) {
        TL_TRY(tl_grade_auroc(
            n_near, run->sd, n_far, run->sd + n_near, &grade->figures[TL_FIGURE_OOD_AUROC]));
        TL_TRY(tl_grade_divergence(
            n_near, run->sd, n_far, run->sd + n_near,
            &grade->figures[TL_FIGURE_OOD_DIVERGENCE_BITS]));
    }
    return TL_OK;
}

/* ---- methods on a device -------------------------------------------------------------------- */

static bool takes(const tl_evaluate_options *options, const tl_infer_method *method)
{
    return options->takes == NULL || options->takes(options->context, method->name);
}

/* Answers into run->mean and run->sd, as relative latencies, and remembers the references. */
static tl_err answer_with(
    device_run *run,
    const tl_infer_method *method,
    tl_infer_answer *answer,
    double *out_time_ms)
{
    int m = run->trial.queries.n;
    *answer = (tl_infer_answer){.mean = run->mean, .sd = run->sd};
    int64_t begin_ns = tl_clock_ns();
    tl_err err = method->run(&run->problem, answer);
    *out_time_ms = (double)(tl_clock_ns() - begin_ns) / (double)TL_NS_PER_MS;
    if (err != TL_OK) {
        return tl_fail_in(err, "%s: ", method->name);
    }
    for (int i = 0; i < m; i++) {
        run->mean[i] += run->trial.queries.offset[i];
        if (!isfinite(run->mean[i]) || !(run->sd[i] > 0)) {
            return tl_fail(TL_ENUMERIC, "%s: no finite prediction", method->name);
        }
    }
    bool is_exact = strcmp(method->name, "gp") == 0;
    bool is_hmc = strcmp(method->name, "hmc") == 0;
    if (is_exact || is_hmc) {
        memcpy(
            is_exact ? run->exact_mean : run->hmc_mean, run->mean, (size_t)m * sizeof(double));
        memcpy(is_exact ? run->exact_sd : run->hmc_sd, run->sd, (size_t)m * sizeof(double));
        run->has_exact = run->has_exact || is_exact;
        run->has_hmc = run->has_hmc || is_hmc;
    }
    return TL_OK;
}

/* The exact posterior and HMC are run in any case when they come first in the table. */
static tl_err grade_methods(device_run *run, bool is_corrupted, tl_evaluation *out)
{
    for (int k = 0; k < tl_infer_n_methods; k++) {
        const tl_infer_method *method = &tl_infer_methods[k];
        tl_infer_answer answer;
        double time_ms = 0;
        if (!takes(run->options, method) && k > 0) {
            continue;
        }
        TL_TRY(answer_with(run, method, &answer, &time_ms));
        if (!takes(run->options, method)) {
            continue; /* the exact posterior was only needed as the reference */
        }
        tl_grade_set first = is_corrupted ? TL_SET_CORRUPTED : TL_SET_NEAR;
        tl_grade_set last = is_corrupted ? TL_SET_CORRUPTED : TL_SET_FAR;
        for (tl_grade_set set = first; set <= last; set++) {
            TL_TRY(grade_set(
                run, &answer, method->name, set, time_ms, &out->grades[out->n_grades]));
            out->n_grades++;
        }
    }
    return TL_OK;
}

static tl_err grade_device(
    const tl_pool *pool, const tl_evaluate_options *options, int device, tl_evaluation *out)
{
    device_run run;
    int n_before = out->n_grades;
    TL_TRY(run_init(pool, options, device, &run));
    tl_err err = pose(&run);
    if (err == TL_OK && (err = grade_methods(&run, false, out)) == TL_OK) {
        corrupt(&run);
        if ((err = pose(&run)) == TL_OK) {
            err = grade_methods(&run, true, out);
        }
    }
    run_done(&run);
    if (err != TL_OK) {
        out->n_grades = n_before;
        return tl_fail_in(err, "%s: ", pool->columns[device]->subject);
    }
    return TL_OK;
}

/* ---- means ------------------------------------------------------------------------------------- */

static void add_to_mean(const tl_grade *grade, int n_devices, tl_grade *mean)
{
    mean->n_designs += grade->n_designs;
    for (int k = 0; k < TL_N_FIGURES; k++) {
        mean->figures[k] += grade->figures[k] / n_devices;
    }
    for (int k = 0; k < TL_CURVE_POINTS; k++) {
        mean->calibration[k] += grade->calibration[k] / n_devices;
        mean->rejection[k] += grade->rejection[k] / n_devices;
    }
}

/* Every device has the same methods and sets in the same order. */
static void add_means(int n_devices, tl_evaluation *out)
{
    int per_device = out->n_grades / n_devices;
    for (int i = 0; i < per_device; i++) {
        tl_grade *mean = &out->grades[out->n_grades + i];
        *mean = (tl_grade){
            .device = "mean", .method = out->grades[i].method, .set = out->grades[i].set};
        for (int d = 0; d < n_devices; d++) {
            add_to_mean(&out->grades[d * per_device + i], n_devices, mean);
        }
    }
    out->n_grades += per_device;
}

/* ---- all of it ----------------------------------------------------------------------------------- */

static tl_err grade_pool(
    const tl_pool *pool, const tl_evaluate_options *options, tl_text *notes, tl_evaluation *out)
{
    int n_graded = 0;
    for (int i = 0; i < pool->n_devices; i++) {
        if (!options->is_graded[i]) {
            continue;
        }
        if (options->progress != NULL &&
            !options->progress(
                options->context, pool->columns[i]->subject, i, pool->n_devices)) {
            return tl_fail(TL_ECANCELLED, "grading, at %s", pool->columns[i]->subject);
        }
        tl_err err = grade_device(pool, options, i, out);
        if (err == TL_ESTATE) {
            tl_text_addf(notes, "%s\n", tl_err_detail());
        } else if (err != TL_OK) {
            return err;
        } else {
            n_graded++;
        }
    }
    if (n_graded == 0 || out->n_grades == 0) {
        return tl_fail(
            TL_ESTATE, "no device could be graded: want one with %d measured designs",
            (int)TL_POOL_MIN_ROWS);
    }
    add_means(n_graded, out);
    return TL_OK;
}

tl_err tl_evaluate(
    const tl_evaluate_options *options, tl_text *notes, tl_evaluation *out_evaluation)
{
    tl_pool pool = {0};
    tl_evaluation evaluation = {0};
    size_t most = ((size_t)options->n_columns + 1) * (size_t)tl_infer_n_methods * TL_N_SETS;
    TL_TRY(tl_pool_init(
        options->space, options->columns, options->n_columns, options->accuracy, options->seed,
        &pool));
    evaluation.grades = tl_mem_new(most, sizeof *evaluation.grades);
    tl_err err = evaluation.grades == NULL ? tl_fail(TL_ENOMEM, "%zu grades", most)
                                           : grade_pool(&pool, options, notes, &evaluation);
    if (err == TL_OK) {
        *out_evaluation = evaluation;
        evaluation = (tl_evaluation){0};
    }
    tl_evaluation_done(&evaluation);
    tl_pool_done(&pool);
    return err;
}

void tl_evaluation_done(tl_evaluation *evaluation)
{
    tl_mem_free(evaluation->grades);
    *evaluation = (tl_evaluation){0};
}
