/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/solver.h"

#include "optimizer/fleet.h"

/* ---- designs that were measured ------------------------------------------------------- */

static tl_err predict(void *context, const tl_choice *designs, int n, tl_prediction *out)
{
    const tl_solver *s = context;
    TL_TRY(s->predict(context, designs, n, out));
    tl_measured_apply(
        &s->columns.measured, designs, n, tl_space_n_slots(s->question.problem.space), out);
    return TL_OK;
}

tl_err tl_solver_init(
    tl_call *call,
    const tl_subject *subject,
    const tl_asked *asked,
    bool few,
    tl_solver *out_solver)
{
    *out_solver = (tl_solver){0};
    TL_TRY(tl_question_init(call, subject, asked, &out_solver->question));
    out_solver->predict = out_solver->question.problem.predict;
    out_solver->question.problem.predict = predict;
    return subject->is_registered
               ? tl_device_columns_read(call, subject, few, &out_solver->columns)
               : TL_OK;
}

void tl_solver_done(tl_solver *solver)
{
    tl_device_columns_done(&solver->columns);
}

/* ---- searching ---------------------------------------------------------------------------- */

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

tl_err tl_solver_check_method(const char *method)
{
    return method[0] == '\0' || tl_search_find(method) != NULL ? TL_OK : unknown_method(method);
}

static tl_err choose_search(
    const char *method,
    const tl_problem *problem,
    const tl_search_options *options,
    const tl_search **out_search)
{
    const tl_space *space = problem->space;
    TL_TRY(tl_solver_check_method(method));
    double size = tl_space_size_with(space, problem->freedom);
    *out_search =
        method[0] == '\0' ? tl_search_default(problem, options) : tl_search_find(method);
    if (*out_search == &tl_search_exhaustive && size > TL_SEARCH_EXHAUSTIBLE) {
        return tl_fail(
            TL_EINVAL, "method exhaustive: space %s has %.3g designs, at most %d can be listed",
            tl_space_name(space), size, (int)TL_SEARCH_EXHAUSTIBLE);
    }
    return TL_OK;
}

static tl_err search_and_lead(
    tl_solver *solver,
    const char *method,
    const tl_search_options *options,
    tl_shortlist *out_list,
    const char **out_method)
{
    tl_problem *problem = &solver->question.problem;
    const tl_search *search = NULL;
    tl_shortlist list = {0};
    TL_TRY(choose_search(method, problem, options, &search));
    TL_TRY(tl_search_run(search, problem, options, &list));
    tl_err err = tl_measured_lead(problem, &solver->columns.measured, TL_MEASURED_DOUBT, &list);
    if (err != TL_OK) {
        tl_shortlist_done(&list);
        return err;
    }
    *out_list = list;
    *out_method = search->name;
    return TL_OK;
}

tl_err tl_solver_search(
    tl_solver *solver,
    const char *method,
    const tl_search_options *options,
    tl_shortlist *out_list,
    const char **out_method)
{
    const tl_question *question = &solver->question;
    tl_search_options own = *options;
    tl_optimizer *optimizer = tl_predictors_optimizer(
        tl_engine_predictors(question->call->engine), question->subject->predictor);
    own.optimizer = optimizer;
    tl_err err = search_and_lead(solver, method, &own, out_list, out_method);
    tl_optimizer_unref(optimizer);
    return err;
}

tl_err tl_solver_walk(tl_solver *solver, tl_shortlist *out_list)
{
    const tl_question *question = &solver->question;
    tl_problem *problem = &solver->question.problem;
    tl_shortlist list = {0};
    tl_fleet_case found = {
        .view = question->subject->view,
        .problem = problem,
        .measured = &solver->columns.measured};
    TL_TRY(tl_fleet_walk(question->subject->predictor, &found));
    TL_TRY(tl_shortlist_init(&list, tl_space_n_slots(problem->space), 1));
    tl_err err = TL_OK;
    if (found.is_solved) {
        tl_shortlist_offer(&list, found.design, &found.score, 1);
        err = tl_measured_lead(problem, &solver->columns.measured, TL_MEASURED_DOUBT, &list);
    }
    if (err != TL_OK) {
        tl_shortlist_done(&list);
        return err;
    }
    *out_list = list;
    return TL_OK;
}
