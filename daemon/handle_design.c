/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/explain_reply.h"
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

static tl_err solve(
    tl_call *call,
    const design_request *request,
    const tl_subject *subject,
    answer_reply *reply)
{
    tl_question question;
    const tl_search *search = NULL;
    tl_shortlist list = {0};
    tl_asked asked = {request->limits, request->weights, request->maximize, request->minimize};
    TL_TRY(tl_question_init(call, subject, &asked, &question));
    tl_problem *problem = &question.problem;
    tl_search_options options = {
        .n_best = request->count > 0 ? (int)request->count : 1,
        .seed = request->has_seed ? request->seed : 1,
        .deadline_ns = request->budget_us > 0
                           ? tl_clock_ns() + (int64_t)request->budget_us * TL_NS_PER_US
                           : 0};
    TL_TRY(choose_search(request, problem, &options, &search));
    TL_TRY(tl_search_run(search, problem, &options, &list));
    bool is_feasible = list.n > 0 && tl_scored_is_feasible(&list.scores[0]);
    int n = request->with_infeasible ? list.n : n_answered(&list);
    reply->is_infeasible = !is_feasible;
    tl_err err = tl_question_answer(&question, list.designs, list.scores, n, reply);
    if (err == TL_OK && request->explain) {
        err = explain(&question, list.designs, reply);
    }
    if (err == TL_OK) {
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
