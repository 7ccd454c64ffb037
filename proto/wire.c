/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include "base/mem.h"

#include <string.h>

enum {
    WIRE_VARINT = 0,
    WIRE_64BIT = 1,
    WIRE_BYTES = 2,
    WIRE_32BIT = 5,
    MAX_VARINT_BYTES = 10
};

/* What is left to read of one message. */
typedef struct cursor {
    const uint8_t *at;
    const uint8_t *end;
} cursor;

/* ---- memory ------------------------------------------------------------------ */

typedef struct budget {
    size_t left_bytes;
    bool is_exceeded;  /* the message asked for more than it may */
    bool is_exhausted; /* memory ran out */
} budget;

static void *budget_alloc(void *context, size_t size)
{
    budget *b = context;
    if (size > b->left_bytes) {
        b->is_exceeded = true;
        return NULL;
    }
    b->left_bytes -= size;
    void *block = tl_mem_new(size, 1);
    b->is_exhausted = b->is_exhausted || block == NULL;
    return block;
}

static void plain_free(void *context, void *block)
{
    (void)context;
    tl_mem_free(block);
}

/* ---- checking ------------------------------------------------------------------ */

static bool read_varint(cursor *c, uint64_t *out_value)
{
    uint64_t value = 0;
    for (int i = 0; i < MAX_VARINT_BYTES && c->at < c->end; i++) {
        uint8_t byte = *c->at++;
        value |= (uint64_t)(byte & 0x7fU) << (7 * i);
        if (byte < 0x80U) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

static bool skip(cursor *c, size_t len)
{
    if ((size_t)(c->end - c->at) < len) {
        return false;
    }
    c->at += len;
    return true;
}

/* Length of the UTF-8 sequence that starts at s, or 0 when there is none (RFC 3629). */
static size_t utf8_len(const uint8_t *s, size_t n)
{
    if (s[0] < 0x80U) {
        return 1;
    }
    if (s[0] < 0xc2U || s[0] > 0xf4U) {
        return 0;
    }
    size_t len = s[0] < 0xe0U ? 2 : s[0] < 0xf0U ? 3 : 4;
    if (n < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0U) != 0x80U) {
            return 0;
        }
    }
    bool is_overlong = (s[0] == 0xe0U && s[1] < 0xa0U) || (s[0] == 0xf0U && s[1] < 0x90U);
    bool is_surrogate = s[0] == 0xedU && s[1] > 0x9fU;
    bool is_beyond = s[0] == 0xf4U && s[1] > 0x8fU;
    return is_overlong || is_surrogate || is_beyond ? 0 : len;
}

static tl_err check_string(const char *field, const uint8_t *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        if (s[i] == 0) {
            return tl_fail(TL_EINVAL, "%s: a zero byte within the text", field);
        }
        size_t step = utf8_len(s + i, len - i);
        if (step == 0) {
            return tl_fail(TL_EINVAL, "%s: not valid UTF-8 at byte %zu", field, i);
        }
        i += step;
    }
    return TL_OK;
}

static tl_err check_message(const ProtobufCMessageDescriptor *type, cursor c);

/* A length-delimited field: the only kind that holds texts and messages. */
static tl_err check_bytes(
    const ProtobufCFieldDescriptor *field, cursor *c, const char *type_name)
{
    const char *name = field != NULL ? field->name : type_name;
    uint64_t len = 0;
    if (!read_varint(c, &len) || len > (uint64_t)(c->end - c->at)) {
        return tl_fail(TL_EINVAL, "%s: the message is cut short", name);
    }
    const uint8_t *begin = c->at;
    c->at += len;
    if (field == NULL) {
        return TL_OK;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return check_string(name, begin, (size_t)len);
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return check_message(field->descriptor, (cursor){.at = begin, .end = begin + len});
    }
    return TL_OK;
}

/* The value behind a tag. */
static tl_err check_value(const ProtobufCMessageDescriptor *type, uint64_t tag, cursor *c)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3U));
    uint64_t ignored = 0;
    bool is_whole = true;
    switch (tag & 7U) {
    case WIRE_VARINT: is_whole = read_varint(c, &ignored); break;
    case WIRE_64BIT: is_whole = skip(c, 8); break;
    case WIRE_32BIT: is_whole = skip(c, 4); break;
    case WIRE_BYTES: return check_bytes(field, c, type->short_name);
    default: return tl_fail(TL_EINVAL, "%s: not a message of this protocol", type->short_name);
    }
    return is_whole ? TL_OK
                    : tl_fail(
                          TL_EINVAL, "%s: the message is cut short",
                          field != NULL ? field->name : type->short_name);
}

/* Depth is that of the schema, which is not recursive. */
static tl_err check_message(const ProtobufCMessageDescriptor *type, cursor c)
{
    while (c.at < c.end) {
        uint64_t tag = 0;
        if (!read_varint(&c, &tag) || tag >> 3U == 0 || tag > UINT32_MAX) {
            return tl_fail(TL_EINVAL, "%s: not a message of this protocol", type->short_name);
        }
        TL_TRY(check_value(type, tag, &c));
    }
    return TL_OK;
}

/* ---- the interface ------------------------------------------------------------------ */

ProtobufCMessage *tl_wire_new(const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = tl_mem_new(1, type->sizeof_message);
    if (message != NULL) {
        protobuf_c_message_init(type, message);
    }
    return message;
}

bool tl_wire_next(const uint8_t **at, const uint8_t *end, tl_wire_field *out_field)
{
    cursor c = {.at = *at, .end = end};
    uint64_t tag = 0;
    uint64_t value = 0;
    uint64_t len = 0;
    bool is_whole = read_varint(&c, &tag) && tag >> 3U != 0 && tag <= UINT32_MAX;
    if (!is_whole) {
        return false;
    }
    switch (tag & 7U) {
    case WIRE_VARINT: is_whole = read_varint(&c, &value); break;
    case WIRE_64BIT: is_whole = skip(&c, 8); break;
    case WIRE_32BIT: is_whole = skip(&c, 4); break;
    case WIRE_BYTES: is_whole = read_varint(&c, &len) && skip(&c, (size_t)len); break;
    default: return false;
    }
    if (is_whole) {
        *out_field = (tl_wire_field){
            .number = (uint32_t)(tag >> 3U), .value = value, .bytes = (size_t)(c.at - *at)};
        *at = c.at;
    }
    return is_whole;
}

tl_err tl_wire_unpack(
    const ProtobufCMessageDescriptor *type,
    const uint8_t *data,
    size_t len,
    size_t max_bytes,
    ProtobufCMessage **out_message)
{
    static const uint8_t nothing[1];
    if (data == NULL) {
        data = nothing;
    }
    TL_TRY(check_message(type, (cursor){.at = data, .end = data + len}));
    budget b = {.left_bytes = max_bytes};
    ProtobufCAllocator allocator = {
        .alloc = budget_alloc, .free = plain_free, .allocator_data = &b};
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, len, data);
    if (message != NULL) {
        *out_message = message;
        return TL_OK;
    }
    if (b.is_exceeded) {
        return tl_fail(
            TL_ELIMIT, "%s: takes more than %zu bytes of memory", type->short_name, max_bytes);
    }
    if (b.is_exhausted) {
        return tl_fail(TL_ENOMEM, "%s of %zu bytes", type->short_name, len);
    }
    return tl_fail(TL_EINVAL, "%s: not a message of this protocol", type->short_name);
}

void tl_wire_free(ProtobufCMessage *message)
{
    ProtobufCAllocator allocator = {.alloc = NULL, .free = plain_free, .allocator_data = NULL};
    if (message != NULL) {
        protobuf_c_message_free_unpacked(message, &allocator);
    }
}

tl_err tl_wire_pack(const ProtobufCMessage *message, tl_bytes *out_bytes)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    if (len > TL_WIRE_MAX_BYTES) {
        return tl_fail(
            TL_ELIMIT, "%s: %zu bytes, at most %d go in one message",
            message->descriptor->short_name, len, (int)TL_WIRE_MAX_BYTES);
    }
    uint8_t *data = tl_mem_new(len, 1);
    if (data == NULL) {
        return tl_fail(TL_ENOMEM, "%zu bytes of %s", len, message->descriptor->short_name);
    }
    (void)protobuf_c_message_pack(message, data);
    *out_bytes = (tl_bytes){.data = data, .len = len};
    return TL_OK;
}

void tl_wire_clean(char *text)
{
    size_t left = strlen(text);
    for (size_t step = 0; left > 0; text += step, left -= step) {
        step = utf8_len((const uint8_t *)text, left);
        unsigned char c = (unsigned char)*text;
        if (step == 0 || c < 0x20U || c == 0x7fU) {
            *text = '?';
            step = 1;
        }
    }
}
