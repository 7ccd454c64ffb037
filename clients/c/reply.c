/* SPDX-License-Identifier: Apache-2.0 */

/* What the daemon sends, before anyone has vouched for it. */

#include "clients/c/impl.h"

tl_err tl_client_unpack(
    const ProtobufCMessageDescriptor *type,
    const uint8_t *data,
    size_t len,
    ProtobufCMessage **out_message)
{
    tl_err err = tl_wire_unpack(type, data, len, TL_WIRE_MAX_MEMORY_BYTES, out_message);
    if (err == TL_OK) {
        return TL_OK;
    }
    return tl_fail_in(err == TL_EINVAL ? TL_EDAMAGED : err, "the daemon's reply: ");
}

tl_err tl_client_reply_read(
    const void *data, size_t len, const char *endpoint, Tailor__V1__Reply **out_reply)
{
    ProtobufCMessage *message = NULL;
    TL_TRY(tl_client_unpack(&tailor__v1__reply__descriptor, data, len, &message));
    Tailor__V1__Reply *reply = (Tailor__V1__Reply *)(void *)message;
    if (reply->protocol != TL_WIRE_PROTOCOL) {
        tl_err err = tl_fail(
            TL_EVERSION, "the daemon at %s speaks version %u, this client %d", endpoint,
            reply->protocol, (int)TL_WIRE_PROTOCOL);
        tl_wire_free(message);
        return err;
    }
    *out_reply = reply;
    return TL_OK;
}

void tl_client_progress_show(
    const Tailor__V1__Reply *reply, tailor_progress_fn *progress, void *context)
{
    ProtobufCMessage *message = NULL;
    if (progress == NULL || tl_wire_unpack(
                                &tailor__v1__progress__descriptor, reply->body.data,
                                reply->body.len, TL_WIRE_MAX_MEMORY_BYTES, &message) != TL_OK) {
        return;
    }
    const Tailor__V1__Progress *p = (const Tailor__V1__Progress *)(const void *)message;
    tailor_progress report = {
        .what = p->what,
        .done = p->done,
        .total = p->total,
        .elapsed_s = p->elapsed_s,
        .job_id = p->job_id};
    progress(context, &report);
    tl_wire_free(message);
}
