/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/explain_reply.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "daemon/solver.h"

typedef Tailor__V1__DesignRequest design_request;
typedef Tailor__V1__Answer answer_reply;

enum {
    MAX_COUNT = TL_SEARCH_LISTABLE
};

/* ---- the answer --------------------------------------------------------------------------- */

/* Infeasible answers: the nearest one alone, if there is any. */
static int n_answered(const tl_shortlist *list)
{
    int n = 0;
    while (n < list->n && tl_scored_is_feasible(&list->scores[n])) {
        n++;
    }
    return n == 0 && list->n > 0 ? 1 : n;
}

/* What the first design's choices cost, and what others would. */
static tl_err explain(tl_question *question, const tl_choice *design, answer_reply *reply)
{
    tl_explanation explanation = {0};
    TL_TRY(tl_explain(&question->problem, design, &explanation));
    tl_err err = tl_explain_reply(question->subject->space, &explanation, reply);
    tl_explanation_done(&explanation);
    return err;
}

static tl_err draw(
    void *context_base,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_rng *rng,
    tl_dmat out_draws)
{
    const tl_question *question = context_base;
    return tl_view_draw(question->subject->view, cost, designs, n, rng, out_draws);
}

static tl_err search(
    const design_request *request,
    tl_solver *solver,
    const tl_search_options *options,
    answer_reply *reply)
{
    tl_shortlist list = {0};
    const char *method = NULL;
    TL_TRY(tl_solver_search(solver, request->method, options, &list, &method));
    reply->is_infeasible = list.n == 0 || !tl_scored_is_feasible(&list.scores[0]);
    int n = request->with_infeasible ? list.n : n_answered(&list);
    tl_err err = tl_question_answer(&solver->question, list.designs, list.scores, n, reply);
    if (err == TL_OK && request->explain && list.n > 0) {
        solver->question.problem.predict = solver->predict; /* all designs predicted alike */
        err = explain(&solver->question, list.designs, reply);
    }
    if (err == TL_OK) {
        err = tl_handle_set_text(&reply->method, method);
    }
    tl_shortlist_done(&list);
    return err;
}

static tl_err propose(
    const design_request *request,
    tl_solver *solver,
    const tl_search_options *options,
    answer_reply *reply)
{
    if (request->count > 0 || request->with_infeasible || request->explain ||
        request->method[0] != '\0') {
        return tl_fail(
            TL_EINVAL, "propose: neither a count nor a method nor an explanation goes with it");
    }
    if (request->propose > TL_PROPOSE_MAX) {
        return tl_fail(
            TL_EINVAL, "propose: got %u, want at most %d", request->propose,
            (int)TL_PROPOSE_MAX);
    }
    const tl_propose_options proposals = {
        .count = (int)request->propose,
        .search = *options,
        .measured = &solver->columns.measured,
        .draw = draw};
    return tl_propose_reply(
        solver->question.call, solver->question.subject, &solver->question.problem, &proposals,
        reply);
}

static tl_err solve(
    tl_call *call,
    const design_request *request,
    const tl_subject *subject,
    answer_reply *reply)
{
    tl_solver solver;
    bool proposes = request->propose > 0;
    tl_asked asked = {request->limits, request->weights, request->maximize, request->minimize};
    tl_search_options options = {
        .n_best = request->count > 0 ? (int)request->count : 1,
        .seed = request->has_seed ? request->seed : 1,
        .deadline_ns = request->budget_us > 0
                           ? tl_clock_ns() + (int64_t)request->budget_us * TL_NS_PER_US
                           : 0};
    tl_err err = tl_solver_init(call, subject, &asked, !proposes, &solver);
    if (err == TL_OK) {
        err = proposes ? propose(request, &solver, &options, reply)
                       : search(request, &solver, &options, reply);
    }
    tl_solver_done(&solver);
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
    TL_TRY(tl_question_check_budget(request->budget_us));
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
