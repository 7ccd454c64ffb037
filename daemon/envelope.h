/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_ENVELOPE_H
#define TL_DAEMON_ENVELOPE_H

/*
 * The Request and Reply around every method's messages.
 */

#include "base/err.h"
#include "daemon/method.h"
#include "proto/tailor.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TL_ENVELOPE_ERROR_BYTES = 2048 /* holds any error reply */
};

/*
 * On success the caller owns *out_request (tl_wire_free). Fails with TL_EINVAL, TL_ELIMIT
 * or TL_EVERSION; *out_request_id is set wherever it could be read. Beside its body, the
 * request has at most 64 fields and 16 KiB, of which some may be unknown.
 */
TL_MUST_USE tl_err tl_envelope_read(
    const uint8_t *data,
    size_t len,
    uint64_t *out_request_id,
    Tailor__V1__Request **out_request);

/*
 * When the call must have ended: the client's wish, bounded by the method's;
 * INT64_MAX where neither sets one.
 */
int64_t tl_envelope_deadline_ns(
    const tl_method *method, const Tailor__V1__Request *request, int64_t received_ns);

/* How often the client wants to hear that its request waits or runs; 0: not at all. */
int64_t tl_envelope_heartbeat_ns(const Tailor__V1__Request *request);

/* A reply that borrows body and the call's warnings (call may be NULL). */
void tl_envelope_reply(
    uint64_t request_id,
    int kind,
    const tl_bytes *body,
    const tl_call *call,
    Tailor__V1__Reply *out_reply);

/*
 * Packs the reply that says err, with the detail of this thread, without allocating. may_repeat:
 * nothing was done, and the same request may succeed soon.
 */
size_t tl_envelope_pack_error(
    uint64_t request_id,
    tl_err err,
    bool may_repeat,
    uint8_t out_bytes[TL_ENVELOPE_ERROR_BYTES]);

/* Packs a heartbeat. */
size_t tl_envelope_pack_heartbeat(
    uint64_t request_id, uint8_t out_bytes[TL_ENVELOPE_ERROR_BYTES]);

#endif
