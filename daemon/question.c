/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/question.h"

#include "base/mem.h"
#include "base/units.h"
#include "daemon/table_reply.h"

#include <math.h>
#include <string.h>

enum {
    P_FEASIBLE_DIGITS = 6
};

static const double default_confidence = .9;

static tl_err predict(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    const tl_question *q = context;
    return tl_subject_predict(q->subject, designs, n, out);
}

static tl_err interrupt(void *context)
{
    const tl_question *q = context;
    return tl_call_check(q->call);
}

static tl_err read_objective(
    const char *maximize, const char *minimize, tl_objective *out_objective)
{
    if (maximize[0] != '\0' && minimize[0] != '\0') {
        return tl_fail(
            TL_EINVAL, "got both maximize %.40s and minimize %.40s, want one", maximize,
            minimize);
    }
    if (strcmp(minimize, "latency_ms") == 0) {
        *out_objective = TL_MINIMIZE_LATENCY;
    } else if (strcmp(minimize, "energy_mj") == 0) {
        *out_objective = TL_MINIMIZE_ENERGY;
    } else if (minimize[0] != '\0') {
        return tl_fail(
            TL_EINVAL, "minimize: got \"%.40s\", want latency_ms or energy_mj", minimize);
    } else if (maximize[0] == '\0' || strcmp(maximize, "accuracy") == 0) {
        *out_objective = TL_MAXIMIZE_ACCURACY;
    } else {
        return tl_fail(TL_EINVAL, "maximize: got \"%.40s\", want accuracy", maximize);
    }
    return TL_OK;
}

static tl_limits read_limits(const Tailor__V1__Limits *limits)
{
    if (limits == NULL) {
        return (tl_limits){TL_UNKNOWN, TL_UNKNOWN, TL_UNKNOWN, default_confidence};
    }
    return (tl_limits){
        .max_latency_ms = limits->has_max_latency_ms ? limits->max_latency_ms : TL_UNKNOWN,
        .max_energy_mj = limits->has_max_energy_mj ? limits->max_energy_mj : TL_UNKNOWN,
        .min_accuracy = limits->has_min_accuracy ? limits->min_accuracy : TL_UNKNOWN,
        .confidence = limits->has_confidence ? limits->confidence : default_confidence,
    };
}

static tl_weights read_weights(const Tailor__V1__Weights *weights)
{
    if (weights == NULL) {
        return (tl_weights){TL_UNKNOWN, TL_UNKNOWN};
    }
    return (tl_weights){
        .latency_points_per_ms = weights->has_latency ? weights->latency : TL_UNKNOWN,
        .energy_points_per_mj = weights->has_energy ? weights->energy : TL_UNKNOWN,
    };
}

/* NaN stands for "not asked for" below: asked for NaN, it is refused here. */
static tl_err check_asked(const Tailor__V1__Limits *limits, const Tailor__V1__Weights *weights)
{
    if (weights != NULL && ((weights->has_latency && isnan(weights->latency)) ||
                            (weights->has_energy && isnan(weights->energy)))) {
        return tl_fail(TL_EINVAL, "a weight is not a number");
    }
    if (limits != NULL && ((limits->has_max_latency_ms && isnan(limits->max_latency_ms)) ||
                           (limits->has_max_energy_mj && isnan(limits->max_energy_mj)) ||
                           (limits->has_min_accuracy && isnan(limits->min_accuracy)))) {
        return tl_fail(TL_EINVAL, "a limit is not a number");
    }
    return TL_OK;
}

tl_err tl_question_check_budget(uint64_t budget_us)
{
    static const uint64_t max_budget_us = 600000000; /* the longest that a request may last */
    return budget_us <= max_budget_us
               ? TL_OK
               : tl_fail(
                     TL_EINVAL, "budget_us: got %llu, want at most %llu",
                     (unsigned long long)budget_us, (unsigned long long)max_budget_us);
}

/* What nothing is known of has no answer: say what to do instead. */
static tl_err check_cost(const tl_subject *subject, tl_cost cost)
{
    if (tl_view_basis(subject->view, cost) != TL_BASIS_NOTHING) {
        return TL_OK;
    }
    return tl_fail(
        TL_ESTATE,
        "nothing is known of %s on device %s: import measurements of it, or register a "
        "profile with its peak rates and bandwidths%s",
        tl_cost_name(cost), subject->profile.name,
        cost == TL_COST_ENERGY ? ", and its power" : "");
}

/* how: what to do where there is no model, and none can be trained. */
static tl_err check_accuracy(const tl_subject *subject, const char *how)
{
    return subject->task != NULL
               ? TL_OK
               : tl_fail(
                     TL_ESTATE, "no accuracy model of space %s: train one, or %s",
                     tl_space_name(subject->space), how);
}

static tl_err check_known(const tl_problem *problem, const tl_subject *subject)
{
    const tl_limits *limits = &problem->limits;
    const tl_weights *weights = &problem->weights;
    bool wants[TL_N_COSTS] = {
        !isnan(limits->max_latency_ms) || problem->objective == TL_MINIMIZE_LATENCY ||
            weights->latency_points_per_ms > 0,
        !isnan(limits->max_energy_mj) || problem->objective == TL_MINIMIZE_ENERGY ||
            weights->energy_points_per_mj > 0,
    };
    for (int c = 0; c < TL_N_COSTS; c++) {
        if (wants[c]) {
            TL_TRY(check_cost(subject, (tl_cost)c));
        }
    }
    if (!isnan(limits->min_accuracy)) {
        TL_TRY(check_accuracy(subject, "ask without min_accuracy"));
    }
    return problem->objective == TL_MAXIMIZE_ACCURACY
               ? check_accuracy(subject, "ask to minimize latency_ms or energy_mj")
               : TL_OK;
}

static tl_err make_problem(
    const tl_asked *asked, const tl_subject *subject, tl_problem *problem)
{
    *problem = (tl_problem){
        .space = subject->space,
        .task = subject->task,
        .limits = read_limits(asked->limits),
        .weights = read_weights(asked->weights),
        .predict = predict,
        .interrupt = interrupt};
    problem->freedom = tl_predictor_task_has_bits(subject->predictor, subject->task)
                           ? TL_FREE_BITS
                           : TL_FREE_ARCHITECTURE;
    problem->listing = tl_predictor_listing(subject->predictor, &problem->n_listing);
    TL_TRY(check_asked(asked->limits, asked->weights));
    TL_TRY(read_objective(asked->maximize, asked->minimize, &problem->objective));
    TL_TRY(tl_problem_check(problem));
    tl_view_confidence(subject->view, TL_COST_LATENCY, &problem->latency_confidence);
    tl_view_confidence(subject->view, TL_COST_ENERGY, &problem->energy_confidence);
    tl_predictor_accuracy_confidence(
        subject->predictor, subject->task, problem->limits.min_accuracy,
        &problem->accuracy_confidence);
    return check_known(problem, subject);
}

tl_err tl_question_init(
    tl_call *call, const tl_subject *subject, const tl_asked *asked, tl_question *out_question)
{
    tl_problem problem;
    TL_TRY(make_problem(asked, subject, &problem));
    *out_question = (tl_question){.call = call, .subject = subject, .problem = problem};
    out_question->problem.context = out_question;
    return TL_OK;
}

tl_err tl_question_front(
    tl_question *question, const tl_pareto_options *options, tl_front *out_front)
{
    const tl_subject *subject = question->subject;
    if (subject->task != NULL) {
        question->problem.objective = TL_MAXIMIZE_ACCURACY;
        return tl_pareto_run(&question->problem, options, out_front);
    }
    tl_call_warn(
        question->call,
        "no accuracy model of space %s: the design of least %s alone, instead of a front",
        tl_space_name(subject->space),
        tl_cost_name(options->by_energy ? TL_COST_ENERGY : TL_COST_LATENCY));
    return tl_pareto_cheapest(&question->problem, options, out_front);
}

/* ---- the answer --------------------------------------------------------------------------- */

tl_err tl_answer_add_scores(Tailor__V1__Table *table, const tl_scored *scores, int n)
{
    double *p_feasible = NULL;
    tl_prediction *predictions = tl_mem_new((size_t)n, sizeof *predictions);
    if (predictions == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    for (int i = 0; i < n; i++) {
        predictions[i] = scores[i].prediction;
    }
    tl_err err = tl_answer_add_predictions(table, predictions, n);
    tl_mem_free(predictions);
    TL_TRY(err);
    TL_TRY(tl_table_reply_blank(table, "p_feasible", P_FEASIBLE_DIGITS, &p_feasible));
    for (int i = 0; i < n; i++) {
        p_feasible[i] = scores[i].p_feasible;
    }
    return TL_OK;
}

tl_err tl_question_answer(
    const tl_question *question,
    const tl_choice *designs,
    const tl_scored *scores,
    int n,
    Tailor__V1__Answer *answer)
{
    answer->table = tl_table_reply_new((size_t)n);
    if (answer->table == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    TL_TRY(tl_answer_add_designs(answer->table, question->subject->space, designs, n));
    TL_TRY(tl_answer_add_scores(answer->table, scores, n));
    answer->n_evaluations = (uint64_t)question->problem.n_evaluations;
    return tl_answer_sign(answer, question->subject);
}
