/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_EXPLAIN_REPLY_H
#define TL_DAEMON_EXPLAIN_REPLY_H

/*
 * An explanation as the two tables of an answer:
 *
 *     operators   slot, operator, latency_ms, latency_share, energy_mj, macs_m, weights_k:
 *                 what each chosen operator costs, dearest first
 *     slots       slot, choice, second, latency_ms, energy_mj, accuracy, p_feasible: what would
 *                 change with the second choice in the slot, in the order of slots
 */

#include "optimizer/explain.h"
#include "proto/tailor.pb-c.h"

TL_MUST_USE tl_err tl_explain_reply(
    const tl_space *space, const tl_explanation *explanation, Tailor__V1__Answer *answer);

#endif
