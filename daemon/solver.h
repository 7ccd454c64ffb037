/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_SOLVER_H
#define TL_DAEMON_SOLVER_H

/*
 * A question with what was measured of its device, and its answer by search.
 *
 *     tl_solver solver;
 *     err = tl_solver_init(call, &subject, &asked, true, &solver);
 *     if (err == TL_OK) {
 *         err = tl_solver_search(&solver, "", &options, &list, &method);
 *     }
 *     tl_solver_done(&solver);
 */

#include "daemon/handle_propose.h"
#include "daemon/question.h"
#include "optimizer/search.h"

typedef struct tl_solver {
    tl_question question;   /* first: the problem's context is this */
    tl_predict_fn *predict; /* what the problem predicted before measurements were known */
    tl_device_columns columns;
} tl_solver;

/* few: as in tl_device_columns_read(). Stays where it is; wants _done() after a failure too. */
TL_MUST_USE tl_err tl_solver_init(
    tl_call *call,
    const tl_subject *subject,
    const tl_asked *asked,
    bool few,
    tl_solver *out_solver);
void tl_solver_done(tl_solver *solver);

/* TL_EINVAL when there is no method of that name; "" is fine. */
TL_MUST_USE tl_err tl_solver_check_method(const char *method);

/*
 * The best designs, measured ones leading (optimizer/measured.h), by the method of that name; "":
 * the best for the space. The model's optimizer takes part (options name none). On success *out_list is the caller's; *out_method is static.
 */
TL_MUST_USE tl_err tl_solver_search(
    tl_solver *solver,
    const char *method,
    const tl_search_options *options,
    tl_shortlist *out_list,
    const char **out_method);

/*
 * The same of the best design alone, where it is found among the most accurate ones of a listed space
 * (optimizer/fleet.h); an empty list otherwise: search. The caller owns *out_list.
 */
TL_MUST_USE tl_err tl_solver_walk(tl_solver *solver, tl_shortlist *out_list);

#endif
