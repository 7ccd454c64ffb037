/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_QUESTION_H
#define TL_DAEMON_QUESTION_H

/*
 * A question: what a client wants designs for, as the problem that searches solve.
 * Methods that look for designs share it.
 *
 *     tl_question question;
 *     TL_TRY(tl_question_init(call, &subject, &asked, &question));
 *     err = tl_search_run(search, &question.problem, &options, &list);
 */

#include "daemon/answer.h"
#include "optimizer/pareto.h"

/* As they stand in a request; NULL or "": not asked for. */
typedef struct tl_asked {
    const Tailor__V1__Limits *limits;
    const Tailor__V1__Weights *weights;
    const char *maximize; /* "accuracy" or "" */
    const char *minimize; /* "latency_ms", "energy_mj" or "" */
} tl_asked;

/* Borrows call and subject. The problem's context is the question itself: it stays where it is. */
typedef struct tl_question {
    tl_call *call;
    const tl_subject *subject;
    tl_problem problem;
} tl_question;

/*
 * Fails with TL_EINVAL when what is asked makes no sense, TL_ESTATE when nothing is known of
 * what it asks for; the detail says what to do.
 */
TL_MUST_USE tl_err tl_question_init(
    tl_call *call, const tl_subject *subject, const tl_asked *asked, tl_question *out_question);

/*
 * The front of a question that minimizes the cost of the options, which so is known; its problem
 * is left with the objective that was searched by. Without an accuracy model the front is the
 * cheapest design alone, and a warning says so. The caller owns *out_front.
 */
TL_MUST_USE tl_err
tl_question_front(tl_question *question, const tl_pareto_options *options, tl_front *out_front);

/* TL_EINVAL when a search may not take so long. */
TL_MUST_USE tl_err tl_question_check_budget(uint64_t budget_us);

/* The six columns of predictions and p_feasible. */
TL_MUST_USE tl_err
tl_answer_add_scores(Tailor__V1__Table *table, const tl_scored *scores, int n);

/* Fills an answer: the slots of designs [n, n_slots], what is predicted of them, p_feasible. */
TL_MUST_USE tl_err tl_question_answer(
    const tl_question *question,
    const tl_choice *designs,
    const tl_scored *scores,
    int n,
    Tailor__V1__Answer *answer);

#endif
