/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/answer.h"
#include "daemon/methods.h"
#include "daemon/table_reply.h"
#include "optimizer/search.h"

#include <math.h>
#include <string.h>

typedef Tailor__V1__DesignRequest design_request;
typedef Tailor__V1__Answer answer_reply;

enum {
    MAX_COUNT = TL_SEARCH_LISTABLE,
    P_FEASIBLE_DIGITS = 6,
    ACCURACY_DOF =
        1000 /* its deviations are calibrated on thousands of designs: as good as normal */
};

static const double default_confidence = .9;
static const uint64_t max_budget_us = 600000000; /* the longest that a request may last */

/* What the search needs while it runs. */
typedef struct context {
    tl_call *call;
    const tl_subject *subject;
} context;

static tl_err predict(void *context_base, const tl_choice *designs, int n, tl_prediction *out)
{
    const context *c = context_base;
    return tl_subject_predict(c->subject, designs, n, out);
}

static tl_err interrupt(void *context_base)
{
    const context *c = context_base;
    return tl_call_check(c->call);
}

/* ---- the request as a problem ---------------------------------------------------------- */

static tl_err read_objective(const design_request *request, tl_objective *out_objective)
{
    const char *maximize = request->maximize;
    const char *minimize = request->minimize;
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

/* A limit or an objective of which nothing is known has no answer: say what to do instead. */
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
        if (wants[c] && tl_view_basis(subject->view, (tl_cost)c) == TL_BASIS_NOTHING) {
            return tl_fail(
                TL_ESTATE,
                "nothing is known of %s on device %s: import measurements of it, or register a "
                "profile with its peak rates and bandwidths%s",
                tl_cost_name((tl_cost)c), subject->profile.name,
                c == TL_COST_ENERGY ? ", and its power" : "");
        }
    }
    bool wants_accuracy =
        !isnan(limits->min_accuracy) || problem->objective == TL_MAXIMIZE_ACCURACY;
    if (wants_accuracy && subject->task == NULL) {
        return tl_fail(
            TL_ESTATE,
            "no accuracy model of space %s: train one, or ask to minimize latency_ms or energy_mj",
            tl_space_name(subject->space));
    }
    return TL_OK;
}

static tl_err make_problem(
    const design_request *request, const tl_subject *subject, tl_problem *problem)
{
    *problem = (tl_problem){
        .space = subject->space,
        .limits = read_limits(request->limits),
        .weights = read_weights(request->weights),
        .predict = predict,
        .interrupt = interrupt};
    problem->task = subject->task;
    problem->freedom = tl_predictor_task_has_bits(subject->predictor, subject->task)
                           ? TL_FREE_BITS
                           : TL_FREE_ARCHITECTURE;
    problem->listing = tl_predictor_listing(subject->predictor, &problem->n_listing);
    TL_TRY(check_asked(request->limits, request->weights));
    TL_TRY(read_objective(request, &problem->objective));
    TL_TRY(tl_problem_check(problem));
    tl_view_confidence(subject->view, TL_COST_LATENCY, &problem->latency_confidence);
    tl_view_confidence(subject->view, TL_COST_ENERGY, &problem->energy_confidence);
    tl_confidence_nominal(ACCURACY_DOF, &problem->accuracy_confidence);
    return check_known(problem, subject);
}

static tl_err unknown_method(const char *method)
{
    tl_text known = {0};
    tl_search_add_names(&known);
    tl_err err = tl_fail(
        TL_EINVAL, "method: got \"%.40s\", want %s", method,
        known.data != NULL ? known.data : "another");
    tl_text_done(&known);
    return err;
}

static tl_err choose_search(
    const design_request *request,
    const tl_problem *problem,
    const tl_search_options *options,
    const tl_search **out_search)
{
    const tl_space *space = problem->space;
    double size = tl_space_size_with(space, problem->freedom);
    *out_search = request->method[0] == '\0' ? tl_search_default(problem, options)
                                             : tl_search_find(request->method);
    if (*out_search == NULL) {
        return unknown_method(request->method);
    }
    if (*out_search == &tl_search_exhaustive && size > TL_SEARCH_EXHAUSTIBLE) {
        return tl_fail(
            TL_EINVAL, "method exhaustive: space %s has %.3g designs, at most %d can be listed",
            tl_space_name(space), size, (int)TL_SEARCH_EXHAUSTIBLE);
    }
    return TL_OK;
}

/* ---- the answer --------------------------------------------------------------------------- */

/* Infeasible answers: the nearest one alone. */
static int n_answered(const tl_shortlist *list)
{
    int n = 0;
    while (n < list->n && tl_scored_is_feasible(&list->scores[n])) {
        n++;
    }
    return n > 0 ? n : 1;
}

static tl_err add_scores(Tailor__V1__Table *table, const tl_shortlist *list, int n)
{
    double *p_feasible = NULL;
    tl_prediction *predictions = tl_mem_new((size_t)n, sizeof *predictions);
    if (predictions == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    for (int i = 0; i < n; i++) {
        predictions[i] = list->scores[i].prediction;
    }
    tl_err err = tl_answer_add_predictions(table, predictions, n);
    tl_mem_free(predictions);
    TL_TRY(err);
    TL_TRY(tl_table_reply_blank(table, "p_feasible", P_FEASIBLE_DIGITS, &p_feasible));
    for (int i = 0; i < n; i++) {
        p_feasible[i] = list->scores[i].p_feasible;
    }
    return TL_OK;
}

static tl_err answer(
    const tl_subject *subject,
    const tl_shortlist *list,
    bool is_feasible,
    int n,
    answer_reply *reply)
{
    reply->is_infeasible = !is_feasible;
    reply->table = tl_table_reply_new((size_t)n);
    if (reply->table == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    TL_TRY(tl_answer_add_designs(reply->table, subject->space, list->designs, n));
    TL_TRY(add_scores(reply->table, list, n));
    return tl_answer_sign(reply, subject);
}

static tl_err solve(
    tl_call *call,
    const design_request *request,
    const tl_subject *subject,
    answer_reply *reply)
{
    tl_problem problem;
    const tl_search *search = NULL;
    tl_shortlist list = {0};
    context c = {.call = call, .subject = subject};
    TL_TRY(make_problem(request, subject, &problem));
    problem.context = &c;
    tl_search_options options = {
        .n_best = request->count > 0 ? (int)request->count : 1,
        .seed = request->has_seed ? request->seed : 1,
        .deadline_ns = request->budget_us > 0
                           ? tl_clock_ns() + (int64_t)request->budget_us * TL_NS_PER_US
                           : 0};
    TL_TRY(choose_search(request, &problem, &options, &search));
    TL_TRY(tl_search_run(search, &problem, &options, &list));
    bool is_feasible = list.n > 0 && tl_scored_is_feasible(&list.scores[0]);
    int n = request->with_infeasible ? list.n : n_answered(&list);
    tl_err err = answer(subject, &list, is_feasible, n, reply);
    if (err == TL_OK) {
        reply->n_evaluations = (uint64_t)problem.n_evaluations;
        reply->method = tl_mem_strdup(search->name);
        err = reply->method == NULL ? tl_fail(TL_ENOMEM, "an answer") : TL_OK;
    }
    tl_shortlist_done(&list);
    return err;
}

static tl_err run(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const design_request *request = (const design_request *)request_base;
    tl_subject subject = {0};
    if (request->count > MAX_COUNT) {
        return tl_fail(
            TL_EINVAL, "count: got %u, want at most %d", request->count, (int)MAX_COUNT);
    }
    if (request->budget_us > max_budget_us) {
        return tl_fail(
            TL_EINVAL, "budget_us: got %llu, want at most %llu",
            (unsigned long long)request->budget_us, (unsigned long long)max_budget_us);
    }
    TL_TRY(tl_subject_find(call, request->space, request->device, request->task, &subject));
    tl_err err = solve(call, request, &subject, (answer_reply *)reply_base);
    tl_subject_done(&subject);
    return err;
}

const tl_method tl_method_design_run = {
    .name = "design.run",
    .summary = "The best designs for a device under limits, best first",
    .request = &tailor__v1__design_request__descriptor,
    .reply = &tailor__v1__answer__descriptor,
    .run = run,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_WORK,
    .deadline_ms = 600000,
};
