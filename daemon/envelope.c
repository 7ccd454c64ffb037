/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/envelope.h"

#include "base/units.h"
#include "proto/wire.h"

#include <stdio.h>
#include <string.h>

enum {
    DETAIL_BYTES = 1024,
    MAX_METHOD_BYTES = 64,
    MAX_CLIENT_BYTES = 256,
    /* Room for what newer clients may add, and little enough to be read in no time. */
    MAX_FIELDS = 64,
    MAX_OTHER_BYTES = 16 * 1024, /* than the body */
    REQUEST_ID = 2,
    BODY = 5,
    MIN_HEARTBEAT_MS = 10 /* nobody floods himself */
};

/* Both are logged. */
static tl_err check_names(const Tailor__V1__Request *request)
{
    if (strlen(request->method) > MAX_METHOD_BYTES) {
        return tl_fail(TL_EINVAL, "method: longer than %d bytes", (int)MAX_METHOD_BYTES);
    }
    if (strlen(request->client) > MAX_CLIENT_BYTES) {
        return tl_fail(TL_EINVAL, "client: longer than %d bytes", (int)MAX_CLIENT_BYTES);
    }
    return TL_OK;
}

/*
 * Before memory is taken, and on the router thread: fields that are not known are kept by the
 * decoder, and many small ones take longer than a long body.
 */
static tl_err check_fields(const uint8_t *data, size_t len, uint64_t *out_request_id)
{
    const uint8_t *at = data;
    const uint8_t *end = len > 0 ? data + len : data;
    tl_wire_field field;
    size_t n_fields = 0;
    size_t other_bytes = 0;
    while (n_fields <= MAX_FIELDS && tl_wire_next(&at, end, &field)) {
        n_fields++;
        other_bytes += field.number == BODY ? 0 : field.bytes;
        *out_request_id = field.number == REQUEST_ID ? field.value : *out_request_id;
    }
    if (n_fields > MAX_FIELDS) {
        return tl_fail(TL_ELIMIT, "the request has more than %d fields", (int)MAX_FIELDS);
    }
    if (other_bytes > MAX_OTHER_BYTES) {
        return tl_fail(
            TL_ELIMIT, "the request has %zu bytes beside its body, at most %d are accepted",
            other_bytes, (int)MAX_OTHER_BYTES);
    }
    return TL_OK;
}

tl_err tl_envelope_read(
    const uint8_t *data,
    size_t len,
    uint64_t *out_request_id,
    Tailor__V1__Request **out_request)
{
    ProtobufCMessage *message = NULL;
    *out_request_id = 0;
    if (len > TL_WIRE_MAX_BYTES) {
        return tl_fail(
            TL_ELIMIT, "the request has %zu bytes, at most %d are accepted", len,
            (int)TL_WIRE_MAX_BYTES);
    }
    TL_TRY(check_fields(data, len, out_request_id));
    TL_TRY(tl_wire_unpack(
        &tailor__v1__request__descriptor, data, len, TL_WIRE_MAX_MEMORY_BYTES, &message));
    Tailor__V1__Request *request = (Tailor__V1__Request *)(void *)message;
    *out_request_id = request->request_id;
    tl_err err = check_names(request);
    if (request->protocol != TL_WIRE_PROTOCOL) {
        err = tl_fail(
            TL_EVERSION, "protocol: got version %u, this daemon speaks %d", request->protocol,
            (int)TL_WIRE_PROTOCOL);
    }
    if (err != TL_OK) {
        tl_wire_free(message);
        return err;
    }
    *out_request = request;
    return TL_OK;
}

int64_t tl_envelope_deadline_ns(
    const tl_method *method, const Tailor__V1__Request *request, int64_t received_ns)
{
    uint32_t ms = request->deadline_ms;
    if (ms == 0 || (method->deadline_ms != 0 && method->deadline_ms < ms)) {
        ms = method->deadline_ms;
    }
    return ms == 0 ? INT64_MAX : received_ns + (int64_t)ms * TL_NS_PER_MS;
}

int64_t tl_envelope_heartbeat_ns(const Tailor__V1__Request *request)
{
    uint32_t ms = request->heartbeat_ms;
    ms = ms > 0 && ms < MIN_HEARTBEAT_MS ? MIN_HEARTBEAT_MS : ms;
    return (int64_t)ms * TL_NS_PER_MS;
}

void tl_envelope_reply(
    uint64_t request_id,
    int kind,
    const tl_bytes *body,
    const tl_call *call,
    Tailor__V1__Reply *out_reply)
{
    tailor__v1__reply__init(out_reply);
    out_reply->protocol = TL_WIRE_PROTOCOL;
    out_reply->request_id = request_id;
    out_reply->kind = (Tailor__V1__Reply__Kind)kind;
    out_reply->body = (ProtobufCBinaryData){.len = body->len, .data = body->data};
    if (call != NULL) {
        out_reply->n_warnings = call->n_warnings;
        out_reply->warnings = call->warnings;
    }
}

size_t tl_envelope_pack_error(
    uint64_t request_id,
    tl_err err,
    bool may_repeat,
    uint8_t out_bytes[TL_ENVELOPE_ERROR_BYTES])
{
    char name[sizeof "ECANCELLED____"];
    char detail[DETAIL_BYTES];
    Tailor__V1__Reply reply;
    const char *known = tl_err_detail();
    (void)snprintf(name, sizeof name, "%s", tl_err_name(err));
    (void)snprintf(detail, sizeof detail, "%s", known[0] != '\0' ? known : tl_err_message(err));
    tl_wire_clean(detail);
    tailor__v1__reply__init(&reply);
    reply.protocol = TL_WIRE_PROTOCOL;
    reply.request_id = request_id;
    reply.kind = TAILOR__V1__REPLY__KIND__FINAL;
    reply.error = (uint32_t)err;
    reply.error_name = name;
    reply.error_detail = detail;
    reply.may_repeat = may_repeat;
    TL_ASSERT(tailor__v1__reply__get_packed_size(&reply) <= TL_ENVELOPE_ERROR_BYTES);
    return tailor__v1__reply__pack(&reply, out_bytes);
}

size_t tl_envelope_pack_heartbeat(
    uint64_t request_id, uint8_t out_bytes[TL_ENVELOPE_ERROR_BYTES])
{
    Tailor__V1__Reply reply;
    tailor__v1__reply__init(&reply);
    reply.protocol = TL_WIRE_PROTOCOL;
    reply.request_id = request_id;
    reply.kind = TAILOR__V1__REPLY__KIND__HEARTBEAT;
    return tailor__v1__reply__pack(&reply, out_bytes);
}
