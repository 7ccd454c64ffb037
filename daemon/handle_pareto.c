/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/handle.h"
#include "daemon/methods.h"
#include "daemon/question.h"
#include "optimizer/pareto.h"
#include "optimizer/search.h"

#include <math.h>

typedef Tailor__V1__ParetoRequest pareto_request;
typedef Tailor__V1__Answer answer_reply;

enum {
    DEFAULT_POINTS = 20,
    MAX_POINTS = TL_PARETO_CAPACITY,
    MAX_CORNER_DESIGNS = 1000
};

static const double lean_of_90 = 1.645; /* standard deviations to either side */

/* ---- the volume ---------------------------------------------------------------------------- */

/*
 * The dearest and the worst of the space's reference designs: a corner that does not
 * depend on the front.
 */
static tl_err find_corner(tl_question *question, bool by_energy, tl_front_corner *out_corner)
{
    int n = 0;
    tl_front_corner corner = {-HUGE_VAL, HUGE_VAL};
    const tl_predictor *predictor = question->subject->predictor;
    const tl_choice *designs = tl_features_reference(tl_predictor_features(predictor), &n);
    n = n < MAX_CORNER_DESIGNS || designs == question->problem.listing ? n : MAX_CORNER_DESIGNS;
    tl_prediction *predictions = tl_mem_new((size_t)n, sizeof *predictions);
    if (predictions == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", n);
    }
    tl_err err = question->problem.predict(question, designs, n, predictions);
    for (int i = 0; i < n && err == TL_OK; i++) {
        double cost = by_energy ? predictions[i].energy_mj : predictions[i].latency_ms;
        corner.cost = fmax(corner.cost, cost);
        corner.accuracy = fmin(corner.accuracy, predictions[i].accuracy);
    }
    tl_mem_free(predictions);
    *out_corner = corner;
    return err;
}

static tl_err lean_volume(
    const tl_front *front, tl_front_corner corner, double lean, double *out_volume)
{
    tl_front leaned = {0};
    TL_TRY(tl_front_lean(front, lean, &leaned));
    *out_volume = tl_front_hypervolume(&leaned, corner);
    tl_front_done(&leaned);
    return TL_OK;
}

static tl_err measure_front(tl_question *question, const tl_front *front, answer_reply *reply)
{
    tl_front_corner corner;
    reply->front = tl_mem_new(1, sizeof *reply->front);
    if (reply->front == NULL) {
        return tl_fail(TL_ENOMEM, "a front");
    }
    tailor__v1__front__init(reply->front);
    reply->front->cost = tl_mem_strdup(front->by_energy ? "energy_mj" : "latency_ms");
    if (reply->front->cost == NULL) {
        return tl_fail(TL_ENOMEM, "a front");
    }
    TL_TRY(find_corner(question, front->by_energy, &corner));
    reply->front->corner_cost = corner.cost;
    reply->front->corner_accuracy = corner.accuracy;
    reply->front->hypervolume = tl_front_hypervolume(front, corner);
    TL_TRY(lean_volume(front, corner, -lean_of_90, &reply->front->hypervolume_low));
    return lean_volume(front, corner, lean_of_90, &reply->front->hypervolume_high);
}

/* ---- the method ------------------------------------------------------------------------------ */

static tl_err answer_front(
    tl_question *question, tl_front *front, const pareto_request *request, answer_reply *reply)
{
    if (question->subject->task != NULL) { /* without accuracy nothing is covered */
        TL_TRY(measure_front(question, front, reply));
    }
    tl_front_thin(front, request->points > 0 ? (int)request->points : DEFAULT_POINTS);
    return tl_question_answer(question, front->designs, front->scores, front->n, reply);
}

/* Nothing keeps the limits: the nearest design. */
static tl_err answer_nearest(tl_question *question, uint64_t seed, answer_reply *reply)
{
    tl_shortlist list = {0};
    tl_search_options options = {.n_best = 1, .seed = seed};
    const tl_search *search = tl_search_default(&question->problem, &options);
    reply->is_infeasible = true;
    TL_TRY(tl_search_run(search, &question->problem, &options, &list));
    tl_err err = tl_question_answer(question, list.designs, list.scores, list.n, reply);
    tl_shortlist_done(&list);
    return err;
}

static tl_err solve(
    tl_call *call,
    const pareto_request *request,
    const tl_subject *subject,
    answer_reply *reply)
{
    tl_question question;
    tl_front front = {0};
    tl_pareto_options options = {
        .seed = request->has_seed ? request->seed : 1,
        .deadline_ns = request->budget_us > 0
                           ? tl_clock_ns() + (int64_t)request->budget_us * TL_NS_PER_US
                           : 0};
    const char *cost = request->minimize[0] != '\0' ? request->minimize : "latency_ms";
    tl_asked asked = {.limits = request->limits, .maximize = "", .minimize = cost};
    TL_TRY(tl_question_init(call, subject, &asked, &question));
    options.by_energy = question.problem.objective == TL_MINIMIZE_ENERGY;
    TL_TRY(tl_question_front(&question, &options, &front));
    const char *method = front.is_exact ? "exhaustive" : "archive";
    if (subject->task == NULL && !front.is_exact) {
        method = "evolutionary";
    }
    tl_err err = front.n > 0 ? answer_front(&question, &front, request, reply)
                             : answer_nearest(&question, options.seed, reply);
    tl_front_done(&front);
    return err == TL_OK ? tl_handle_set_text(&reply->method, method) : err;
}

static tl_err run(
    tl_call *call, const ProtobufCMessage *request_base, ProtobufCMessage *reply_base)
{
    const pareto_request *request = (const pareto_request *)request_base;
    tl_subject subject = {0};
    if (request->points > MAX_POINTS) {
        return tl_fail(
            TL_EINVAL, "points: got %u, want at most %d", request->points, (int)MAX_POINTS);
    }
    TL_TRY(tl_question_check_budget(request->budget_us));
    TL_TRY(tl_subject_find(call, request->space, request->device, request->task, &subject));
    tl_err err = solve(call, request, &subject, (answer_reply *)reply_base);
    tl_subject_done(&subject);
    return err;
}

const tl_method tl_method_pareto_run = {
    .name = "pareto.run",
    .summary = "The predicted Pareto front of a device, cheapest first",
    .request = &tailor__v1__pareto_request__descriptor,
    .reply = &tailor__v1__answer__descriptor,
    .run = run,
    .min_role = TL_ROLE_READER,
    .lane = TL_LANE_WORK,
    .deadline_ms = 600000,
};
