/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PROTO_WIRE_H
#define TL_PROTO_WIRE_H

/*
 * Packing and unpacking of protocol messages, for bytes that nobody vouches
 * for.
 *
 * protobuf-c alone lets invalid UTF-8 pass, cuts a string at an embedded NUL
 * and takes as much memory as a hostile message asks for. Here the bytes are
 * checked against the message type first, and memory comes from tl_mem_new()
 * within a budget.
 *
 *     ProtobufCMessage *message = NULL;
 *     TL_TRY(tl_wire_unpack(&tailor__v1__name__descriptor, data, len, max_bytes, &message));
 *     const Tailor__V1__Name *name = (const Tailor__V1__Name *)message;
 *     ...
 *     tl_wire_free(message);
 */

#include "base/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TL_WIRE_PROTOCOL = 1, /* Request.protocol and Reply.protocol */

    /* The largest Request or Reply. Sockets close the connection of a client that announces
     * more than the hard limit; between the two it is told so. */
    TL_WIRE_MAX_BYTES = 64 * 1024 * 1024,
    TL_WIRE_HARD_MAX_BYTES = 96 * 1024 * 1024,

    /* Memory that one unpacked message may take. */
    TL_WIRE_MAX_MEMORY_BYTES = 256 * 1024 * 1024,
};

typedef struct tl_bytes {
    uint8_t *data;
    size_t len;
} tl_bytes;

/* An empty message of the type from tl_mem_new(); NULL when memory is short. */
TL_MUST_USE ProtobufCMessage *tl_wire_new(const ProtobufCMessageDescriptor *type);

/*
 * On success the caller owns *out_message (tl_wire_free). Fails with TL_EINVAL, the detail
 * naming the field, for bytes that are no such message, invalid UTF-8 or a NUL within
 * a string; TL_ELIMIT when it would take more than max_bytes of memory.
 */
TL_MUST_USE tl_err tl_wire_unpack(
    const ProtobufCMessageDescriptor *type,
    const uint8_t *data,
    size_t len,
    size_t max_bytes,
    ProtobufCMessage **out_message);

/* One field of a packed message as it stands there. */
typedef struct tl_wire_field {
    uint32_t number;
    uint64_t value; /* of a varint; else 0 */
    size_t bytes;   /* that it takes, its tag included */
} tl_wire_field;

/*
 * Reads the field at *at, which is moved behind it: for looking at a message before memory is
 * taken. False at the end, and where the bytes are no message.
 */
TL_MUST_USE bool tl_wire_next(const uint8_t **at, const uint8_t *end, tl_wire_field *out_field);

/* Releases a message and all it holds, which must come from tl_mem_new(). NULL is fine. */
void tl_wire_free(ProtobufCMessage *message);

/*
 * On success the caller owns out_bytes->data (tl_mem_free). Fails with TL_ELIMIT beyond
 * TL_WIRE_MAX_BYTES.
 */
TL_MUST_USE tl_err tl_wire_pack(const ProtobufCMessage *message, tl_bytes *out_bytes);

/*
 * Makes text fit for a protobuf string and one line of a log: bytes that are not UTF-8 and
 * control characters become '?'.
 */
void tl_wire_clean(char *text);

#endif
