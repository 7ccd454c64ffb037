/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/handle_propose.h"

#include "base/mem.h"
#include "base/text.h"
#include "daemon/handle.h"

tl_err tl_device_columns_read(
    tl_call *call, const tl_subject *subject, bool few, tl_device_columns *out)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        int n = tl_view_n_samples(subject->view, (tl_cost)c);
        if (n == 0 || (few && n >= TL_MEASURED_MOST)) {
            continue;
        }
        tl_err err = tl_columns_get(
            tl_engine_store(call->engine), subject->space, (tl_metric)c, subject->profile.name,
            &out->columns[c]);
        if (err == TL_OK) {
            out->measured.costs[c] = &out->columns[c];
        } else if (
            err != TL_ENOTFOUND) { /* forgotten since the view was made: nothing measured */
            return err;
        }
    }
    return TL_OK;
}

void tl_device_columns_done(tl_device_columns *columns)
{
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_column_done(&columns->columns[c]);
    }
    *columns = (tl_device_columns){0};
}

static tl_err add_blank_cost(Tailor__V1__Table *table, tl_cost cost, const char *device)
{
    tl_text name = {0};
    tl_text_addf(&name, "%s@%s", tl_cost_name(cost), device);
    tl_err err = tl_text_err(&name);
    if (err == TL_OK) {
        err = tl_table_reply_numbers(table, name.data, 0, NULL);
    }
    tl_text_done(&name);
    return err;
}

static tl_err fill(
    const tl_subject *subject,
    const tl_problem *problem,
    const tl_shortlist *list,
    Tailor__V1__Answer *reply)
{
    reply->table = tl_table_reply_new((size_t)list->n);
    if (reply->table == NULL) {
        return tl_fail(TL_ENOMEM, "%d designs", list->n);
    }
    TL_TRY(tl_answer_add_designs(reply->table, subject->space, list->designs, list->n));
    for (int c = 0; c < TL_N_COSTS; c++) {
        if (tl_problem_asks(problem, (tl_cost)c)) {
            TL_TRY(add_blank_cost(reply->table, (tl_cost)c, subject->profile.name));
        }
    }
    reply->n_evaluations = (uint64_t)problem->n_evaluations;
    TL_TRY(tl_handle_set_text(&reply->method, "proposals"));
    return tl_answer_sign(reply, subject);
}

tl_err tl_propose_reply(
    tl_call *call,
    const tl_subject *subject,
    tl_problem *problem,
    const tl_propose_options *options,
    Tailor__V1__Answer *reply)
{
    tl_shortlist list = {0};
    TL_TRY(tl_propose(problem, options, &list));
    if (list.n < options->count) {
        tl_call_warn(
            call, "propose: got %d, but only %d designs are left to measure", options->count,
            list.n);
    }
    tl_err err = fill(subject, problem, &list, reply);
    tl_shortlist_done(&list);
    return err;
}
