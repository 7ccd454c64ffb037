/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/explain_reply.h"
#include "daemon/handle.h"
#include "daemon/handle_propose.h"
#include "daemon/methods.h"
#include "daemon/question.h"
#include "optimizer/search.h"

typedef Tailor__V1__DesignRequest design_request;
typedef Tailor__V1__Answer answer_reply;

enum {
    MAX_COUNT = TL_SEARCH_LISTABLE
};

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

/* What the first design's choices cost, and what others would. */
static tl_err explain(tl_question *question, const tl_choice *design, answer_reply *reply)
{
    tl_explanation explanation = {0};
    TL_TRY(tl_explain(&question->problem, design, &explanation));
    tl_err err = tl_explain_reply(question->subject->space, &explanation, reply);
    tl_explanation_done(&explanation);
    return err;
}

/* A question about a device of which some designs were measured. */
typedef struct context {
    tl_question question; /* first: the problem's context is this */
    tl_predict_fn *predict;
    tl_device_columns columns;
} context;

static tl_err predict(void *context_base, const tl_choice *designs, int n, tl_prediction *out)
{
    const context *c = context_base;
    TL_TRY(c->predict(context_base, designs, n, out));
    tl_measured_apply(
        &c->columns.measured, designs, n, tl_space_n_slots(c->question.problem.space), out);
    return TL_OK;
}

static tl_err draw(
    void *context_base,
    tl_cost cost,
    const tl_choice *designs,
    int n,
    tl_rng *rng,
    tl_dmat out_draws)
{
    const context *c = context_base;
    return tl_view_draw(c->question.subject->view, cost, designs, n, rng, out_draws);
}

static tl_err search(
    const design_request *request,
    context *c,
    const tl_search_options *options,
    answer_reply *reply)
{
    tl_problem *problem = &c->question.problem;
    const tl_search *chosen = NULL;
    tl_shortlist list = {0};
    TL_TRY(choose_search(request, problem, options, &chosen));
    TL_TRY(tl_search_run(chosen, problem, options, &list));
    tl_err err = tl_measured_lead(problem, &c->columns.measured, TL_MEASURED_DOUBT, &list);
    reply->is_infeasible = list.n == 0 || !tl_scored_is_feasible(&list.scores[0]);
    int n = request->with_infeasible ? list.n : n_answered(&list);
    if (err == TL_OK) {
        err = tl_question_answer(&c->question, list.designs, list.scores, n, reply);
    }
    if (err == TL_OK && request->explain) {
        problem->predict = c->predict; /* differences of designs: all predicted alike */
        err = explain(&c->question, list.designs, reply);
    }
    if (err == TL_OK) {
        err = tl_handle_set_text(&reply->method, chosen->name);
    }
    tl_shortlist_done(&list);
    return err;
}

static tl_err propose(
    const design_request *request,
    context *c,
    const tl_search_options *options,
    answer_reply *reply)
{
    if (request->count > 0 || request->with_infeasible || request->method[0] != '\0') {
        return tl_fail(TL_EINVAL, "propose: neither a count nor a method goes with it");
    }
    if (request->propose > TL_PROPOSE_MAX) {
        return tl_fail(
            TL_EINVAL, "propose: got %u, want at most %d", request->propose,
            (int)TL_PROPOSE_MAX);
    }
    const tl_propose_options proposals = {
        .count = (int)request->propose,
        .search = *options,
        .measured = &c->columns.measured,
        .draw = draw};
    return tl_propose_reply(
        c->question.call, c->question.subject, &c->question.problem, &proposals, reply);
}

static tl_err solve(
    tl_call *call,
    const design_request *request,
    const tl_subject *subject,
    answer_reply *reply)
{
    context c = {0};
    tl_asked asked = {request->limits, request->weights, request->maximize, request->minimize};
    TL_TRY(tl_question_init(call, subject, &asked, &c.question));
    c.predict = c.question.problem.predict;
    c.question.problem.predict = predict;
    tl_search_options options = {
        .n_best = request->count > 0 ? (int)request->count : 1,
        .seed = request->has_seed ? request->seed : 1,
        .deadline_ns = request->budget_us > 0
                           ? tl_clock_ns() + (int64_t)request->budget_us * TL_NS_PER_US
                           : 0};
    bool proposes = request->propose > 0;
    tl_err err = tl_device_columns_read(call, subject, !proposes, &c.columns);
    if (err == TL_OK) {
        err = proposes ? propose(request, &c, &options, reply)
                       : search(request, &c, &options, reply);
    }
    tl_device_columns_done(&c.columns);
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
