/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_HANDLE_PROPOSE_H
#define TL_DAEMON_HANDLE_PROPOSE_H

/*
 * The part of design.run that measurements play: what is known of the designs that
 * were measured on the device, and proposals of what to measure next.
 */

#include "daemon/answer.h"
#include "measurements/columns.h"
#include "optimizer/propose.h"

/* The stored measurements of a device; zeroed: none. */
typedef struct tl_device_columns {
    tl_column columns[TL_N_COSTS];
    tl_measured measured; /* points into columns, so that this struct must stay where it is */
} tl_device_columns;

/*
 * Reads what was measured of the subject's device. few: leaves out a cost that was measured on
 * TL_MEASURED_MOST designs or more. Wants _done() after a failure too.
 */
TL_MUST_USE tl_err tl_device_columns_read(
    tl_call *call, const tl_subject *subject, bool few, tl_device_columns *out);
void tl_device_columns_done(tl_device_columns *columns); /* a zeroed one is fine */

/*
 * Proposals as a table to fill in: the slots, then an empty column of each asked cost,
 * latency_ms@DEVICE and energy_mj@DEVICE.
 */
TL_MUST_USE tl_err tl_propose_reply(
    tl_call *call,
    const tl_subject *subject,
    tl_problem *problem,
    const tl_propose_options *options,
    Tailor__V1__Answer *reply);

#endif
