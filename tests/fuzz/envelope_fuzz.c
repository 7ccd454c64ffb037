/* SPDX-License-Identifier: Apache-2.0 */

/* The outermost messages: a Request as the daemon reads it, a Reply as a client does. */

#include "base/mem.h"
#include "clients/c/impl.h"
#include "daemon/envelope.h"
#include "tests/fuzz/fuzz.h"

static void read_reply(const uint8_t *data, size_t size)
{
    ProtobufCMessage *message = NULL;
    ProtobufCMessage *body = NULL;
    if (tl_wire_unpack(&tailor__v1__reply__descriptor, data, size, size * 64, &message) !=
        TL_OK) {
        return;
    }
    const Tailor__V1__Reply *reply = (const Tailor__V1__Reply *)(const void *)message;
    if (tl_wire_unpack(
            &tailor__v1__table__descriptor, reply->body.data, reply->body.len,
            TL_WIRE_MAX_MEMORY_BYTES, &body) == TL_OK) {
        tl_err err = tl_client_table_check((const Tailor__V1__Table *)(const void *)body);
        tl_fuzz_check(err == TL_OK || tl_err_detail()[0] != '\0', "a refusal without a reason");
    }
    tl_wire_free(body);
    tl_wire_free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = tl_fuzz_blocks();
    uint64_t id = 0;
    Tailor__V1__Request *request = NULL;
    uint8_t error[TL_ENVELOPE_ERROR_BYTES];
    tl_err err = tl_envelope_read(data, size, &id, &request);
    if (err == TL_OK) {
        tl_wire_free((ProtobufCMessage *)request);
    } else {
        (void)tl_envelope_pack_error(id, err, false, error);
    }
    read_reply(data, size);
    tl_fuzz_check_blocks(before);
    return 0;
}
