/* SPDX-License-Identifier: Apache-2.0 */
#include "grading/contest.h"

#include "base/attr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "grading/metrics.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

/* Relative errors are of latencies from here on: below, timers measure nothing but themselves. */
static const double least_latency = .2;

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
    static const char *const names[] = {"near", "far", "corrupted", "unseen", "foreign"};
    return names[set];
}

tl_err tl_contest_init(tl_contest *contest)
{
    enum {
        PER_QUERY = 8
    };
    size_t m = (size_t)contest->problem.query.rows;
    contest->memory = tl_mem_new(m * PER_QUERY, sizeof *contest->memory);
    if (contest->memory == NULL) {
        return tl_fail(TL_ENOMEM, "%zu designs", m);
    }
    contest->mean = contest->memory;
    contest->sd = contest->mean + m;
    contest->exact_mean = contest->sd + m;
    contest->exact_sd = contest->exact_mean + m;
    contest->hmc_mean = contest->exact_sd + m;
    contest->hmc_sd = contest->hmc_mean + m;
    contest->score = contest->hmc_sd + m;
    contest->scale = contest->score + m;
    return TL_OK;
}

void tl_contest_done(tl_contest *contest)
{
    tl_mem_free(contest->memory);
    contest->memory = NULL;
}

/* ---- figures -------------------------------------------------------------------------------- */

/* Mean real cost over the limits; NaN without accuracies. */
static tl_err decide(const tl_graded *p, const double *gain, double *out_cost)
{
    const int n_limits = (int)TL_COUNT(limit_quantiles);
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
    for (int k = 0; k < n_limits; k++) {
        tl_decision decision = {
            .limit = tl_quantile_inplace(p->n, sorted, limit_quantiles[k]),
            .gain = gain,
            .miss_cost = miss_cost};
        sum += tl_grade_decision(p, &decision);
    }
    tl_mem_free(sorted);
    *out_cost = sum / n_limits;
    return TL_OK;
}

static tl_err fill_figures(
    const tl_contest *contest, const tl_graded *p, int begin, tl_grade *grade)
{
    double *f = grade->figures;
    TL_TRY(tl_spearman(p->n, p->mean, p->y, &f[TL_FIGURE_SPEARMAN]));
    TL_TRY(
        tl_grade_rejection(p, TL_CURVE_POINTS, grade->rejection, &f[TL_FIGURE_REJECTION_AREA]));
    TL_TRY(decide(p, contest->gain + begin, &f[TL_FIGURE_DECISION_COST]));
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
    if (contest->has_exact) {
        f[TL_FIGURE_DISTANCE_EXACT] =
            tl_grade_distance(p->n, contest->exact_mean + begin, contest->exact_sd + begin, p);
    }
    if (contest->has_hmc) {
        f[TL_FIGURE_DISTANCE_HMC] =
            tl_grade_distance(p->n, contest->hmc_mean + begin, contest->hmc_sd + begin, p);
    }
    return TL_OK;
}

/* A map of percent, asked of values that are relative to a level. */
typedef struct relative_map {
    const tl_rank_map *map;
    double level;
} relative_map;

static double to_score(const void *context, double y)
{
    const relative_map *r = context;
    return tl_rank_map_forward(r->map, y * r->level);
}

static double from_score(const void *context, double score)
{
    const relative_map *r = context;
    return tl_rank_map_inverse(r->map, score) / r->level;
}

/* grade: subject, method, set, time and memory are filled. */
static tl_err judge(
    const tl_contest *contest, const tl_infer_answer *answer, bool is_outside, tl_grade *grade)
{
    const tl_infer_accuracy *accuracy = contest->problem.accuracy;
    relative_map relative = {&answer->map, accuracy != NULL ? accuracy->level : 1};
    tl_grade_map map = {to_score, from_score, &relative};
    int n_inside = contest->n_inside;
    int n_outside = contest->problem.query.rows - n_inside;
    int begin = is_outside ? n_inside : 0;
    tl_graded p = {
        .n = is_outside ? n_outside : n_inside,
        .y = contest->measured + begin,
        .mean = contest->mean + begin,
        .sd = contest->sd + begin,
        .dof = answer->dof,
        .map = answer->has_map ? &map : NULL,
        .score = contest->score + begin,
        .scale = contest->scale + begin};
    grade->n_designs = p.n;
    if (grade->set != TL_SET_FOREIGN) {
        TL_TRY(fill_figures(contest, &p, begin, grade));
    }
    if (is_outside && n_inside > 0) {
        const double *sd = contest->sd;
        TL_TRY(tl_grade_auroc(
            n_inside, sd, n_outside, sd + n_inside, &grade->figures[TL_FIGURE_OOD_AUROC]));
        TL_TRY(tl_grade_divergence(
            n_inside, sd, n_outside, sd + n_inside,
            &grade->figures[TL_FIGURE_OOD_DIVERGENCE_BITS]));
    }
    return TL_OK;
}

/* ---- methods ----------------------------------------------------------------------------------- */

/* Later methods are compared with these two. */
static void remember(tl_contest *contest, const char *method)
{
    size_t bytes = (size_t)contest->problem.query.rows * sizeof *contest->mean;
    if (strcmp(method, "gp") == 0) {
        memcpy(contest->exact_mean, contest->mean, bytes);
        memcpy(contest->exact_sd, contest->sd, bytes);
        contest->has_exact = true;
    } else if (strcmp(method, "hmc") == 0) {
        memcpy(contest->hmc_mean, contest->mean, bytes);
        memcpy(contest->hmc_sd, contest->sd, bytes);
        contest->has_hmc = true;
    }
}

static tl_err answer_with(
    tl_contest *contest,
    const tl_infer_method *method,
    tl_infer_answer *answer,
    double *out_time_ms)
{
    *answer = (tl_infer_answer){
        .mean = contest->mean,
        .sd = contest->sd,
        .score = contest->score,
        .scale = contest->scale};
    int64_t begin_ns = tl_clock_ns();
    tl_err err = method->run(&contest->problem, answer);
    *out_time_ms = (double)(tl_clock_ns() - begin_ns) / (double)TL_NS_PER_MS;
    if (err != TL_OK) {
        return tl_fail_in(err, "%s: ", method->name);
    }
    for (int i = 0; i < contest->problem.query.rows; i++) {
        contest->mean[i] += contest->offset[i];
        if (!isfinite(contest->mean[i]) || !(contest->sd[i] > 0)) {
            return tl_fail(TL_ENUMERIC, "%s: no finite prediction", method->name);
        }
    }
    remember(contest, method->name);
    return TL_OK;
}

static tl_err add_grade(
    const tl_contest *contest,
    const tl_infer_method *method,
    const tl_infer_answer *answer,
    double time_ms,
    bool is_outside,
    tl_grade *grade)
{
    int set = is_outside ? contest->outside_set : contest->inside_set;
    *grade = (tl_grade){
        .subject = contest->subject, .method = method->name, .set = (tl_grade_set)set};
    for (int k = 0; k < TL_N_FIGURES; k++) {
        grade->figures[k] = TL_UNKNOWN;
    }
    grade->figures[TL_FIGURE_TIME_MS] = time_ms;
    grade->figures[TL_FIGURE_KEPT_BYTES] = (double)answer->kept_bytes;
    return judge(contest, answer, is_outside, grade);
}

tl_err tl_contest_run(tl_contest *contest, tl_grade *grades, int *n_grades)
{
    contest->has_exact = false;
    contest->has_hmc = false;
    for (int k = 0; k < tl_infer_n_methods; k++) {
        const tl_infer_method *method = &tl_infer_methods[k];
        tl_infer_answer answer;
        double time_ms = 0;
        bool is_taken =
            contest->takes == NULL || contest->takes(contest->context, method->name);
        bool can_run = tl_infer_can_run(method, &contest->problem);
        /* the exact posterior, first in the table, is the reference of the others in any case */
        if (!can_run || (!is_taken && k > 0)) {
            continue;
        }
        if (contest->goes_on != NULL && !contest->goes_on(contest->context)) {
            return tl_fail(TL_ECANCELLED, "grading stopped at %s", method->name);
        }
        TL_TRY(answer_with(contest, method, &answer, &time_ms));
        for (int is_outside = 0; is_taken && is_outside < 2; is_outside++) {
            int set = is_outside ? contest->outside_set : contest->inside_set;
            if (set != TL_CONTEST_NO_SET) {
                TL_TRY(add_grade(
                    contest, method, &answer, time_ms, is_outside, &grades[*n_grades]));
                (*n_grades)++;
            }
        }
    }
    return TL_OK;
}
