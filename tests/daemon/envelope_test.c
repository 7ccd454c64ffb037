/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "base/units.h"
#include "daemon/envelope.h"
#include "proto/wire.h"

#include <stdio.h>
#include <string.h>

static tl_err read_request(const Tailor__V1__Request *request, uint64_t *out_id)
{
    Tailor__V1__Request *read = NULL;
    tl_bytes bytes = {0};
    assert_ok(tl_wire_pack((const ProtobufCMessage *)request, &bytes));
    tl_err err = tl_envelope_read(bytes.data, bytes.len, out_id, &read);
    assert_true((err == TL_OK) == (read != NULL));
    tl_wire_free((ProtobufCMessage *)read);
    tl_mem_free(bytes.data);
    return err;
}

static void a_request_is_read_and_its_bounds_are_kept(void **state)
{
    (void)state;
    char longest[258];
    uint64_t id = 0;
    Tailor__V1__Request request;
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    tailor__v1__request__init(&request);
    request.protocol = TL_WIRE_PROTOCOL;
    request.request_id = 42;
    request.method = longest + sizeof longest - 1 - 64;
    request.client = longest + sizeof longest - 1 - 256;
    assert_ok(read_request(&request, &id));
    assert_int_equal(id, 42);
    request.method--;
    assert_err(TL_EINVAL, read_request(&request, &id));
    assert_detail("method: longer than 64");
    request.method++;
    request.client--;
    assert_err(TL_EINVAL, read_request(&request, &id));
    assert_detail("client: longer than 256");
}

static void another_protocol_is_told_with_the_number_of_the_request(void **state)
{
    (void)state;
    uint64_t id = 0;
    Tailor__V1__Request request;
    tailor__v1__request__init(&request);
    request.protocol = TL_WIRE_PROTOCOL + 1;
    request.request_id = 43;
    assert_err(TL_EVERSION, read_request(&request, &id));
    assert_detail("got version 2, this daemon speaks 1");
    assert_int_equal(id, 43);
}

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    uint64_t id = 7;
    Tailor__V1__Request *request = NULL;
    static const uint8_t bytes[] = {0xff, 0xff, 0xff};
    assert_err(TL_EINVAL, tl_envelope_read(bytes, sizeof bytes, &id, &request));
    assert_int_equal(id, 0);
    assert_err(TL_ELIMIT, tl_envelope_read(bytes, TL_WIRE_MAX_BYTES + 1U, &id, &request));
    assert_null(request);
}

/* Appends n fields of two bytes that no version knows. */
static void add_unknown(uint8_t *bytes, size_t *len, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bytes[(*len)++] = 15U << 3U; /* number 15, a varint */
        bytes[(*len)++] = 1;
    }
}

static void a_few_fields_of_newer_clients_pass_and_many_do_not(void **state)
{
    (void)state;
    uint8_t bytes[512];
    Tailor__V1__Request *read = NULL;
    Tailor__V1__Request request;
    tailor__v1__request__init(&request);
    request.protocol = TL_WIRE_PROTOCOL;
    request.request_id = 44;
    size_t len = tailor__v1__request__pack(&request, bytes);
    uint64_t id = 0;
    add_unknown(bytes, &len, 62);
    assert_ok(tl_envelope_read(bytes, len, &id, &read));
    tl_wire_free((ProtobufCMessage *)read);
    add_unknown(bytes, &len, 1);
    id = 0;
    assert_err(TL_ELIMIT, tl_envelope_read(bytes, len, &id, &read));
    assert_detail("more than 64 fields");
    assert_int_equal(id, 44);
}

static void only_the_body_of_a_request_may_be_long(void **state)
{
    (void)state;
    enum {
        LEN = 17 * 1024
    };
    static uint8_t bytes[LEN + 64];
    static uint8_t body[LEN];
    uint64_t id = 0;
    Tailor__V1__Request *read = NULL;
    Tailor__V1__Request request;
    tailor__v1__request__init(&request);
    request.protocol = TL_WIRE_PROTOCOL;
    request.request_id = 45;
    request.body = (ProtobufCBinaryData){.len = LEN, .data = body};
    size_t len = tailor__v1__request__pack(&request, bytes);
    assert_ok(tl_envelope_read(bytes, len, &id, &read));
    tl_wire_free((ProtobufCMessage *)read);
    bytes[4] = 15U << 3U | 2U; /* what was the body is unknown now */
    id = 0;
    assert_err(TL_ELIMIT, tl_envelope_read(bytes, len, &id, &read));
    assert_detail("bytes beside its body, at most 16384");
    assert_int_equal(id, 45);
    assert_ok(tl_envelope_read(bytes, 4, &id, &read)); /* protocol and id alone */
    tl_wire_free((ProtobufCMessage *)read);
    assert_err(TL_EVERSION, tl_envelope_read(NULL, 0, &id, &read));
}

static void the_shorter_of_two_deadlines_holds(void **state)
{
    (void)state;
    tl_method method = {.deadline_ms = 1000};
    Tailor__V1__Request request;
    tailor__v1__request__init(&request);
    assert_int_equal(tl_envelope_deadline_ns(&method, &request, 5), 5 + 1000 * TL_NS_PER_MS);
    request.deadline_ms = 10;
    assert_int_equal(tl_envelope_deadline_ns(&method, &request, 5), 5 + 10 * TL_NS_PER_MS);
    request.deadline_ms = UINT32_MAX;
    assert_int_equal(tl_envelope_deadline_ns(&method, &request, 5), 5 + 1000 * TL_NS_PER_MS);
    method.deadline_ms = 0;
    request.deadline_ms = 0;
    assert_int_equal(tl_envelope_deadline_ns(&method, &request, 5), INT64_MAX);
}

static void an_error_fits_its_room_and_is_text_whatever_it_quotes(void **state)
{
    (void)state;
    uint8_t bytes[TL_ENVELOPE_ERROR_BYTES];
    char quoted[3000];
    ProtobufCMessage *message = NULL;
    memset(quoted, 0xe9, sizeof quoted);
    quoted[sizeof quoted - 1] = '\0';
    size_t len = tl_envelope_pack_error(9, tl_fail(TL_EINVAL, "got\n%s", quoted), true, bytes);
    assert_true(len <= sizeof bytes);
    assert_ok(tl_wire_unpack(
        &tailor__v1__reply__descriptor, bytes, len, TL_WIRE_MAX_MEMORY_BYTES, &message));
    const Tailor__V1__Reply *reply = (const Tailor__V1__Reply *)(void *)message;
    assert_int_equal(reply->request_id, 9);
    assert_int_equal(reply->error, TL_EINVAL);
    assert_string_equal(reply->error_name, "EINVAL");
    assert_memory_equal(reply->error_detail, "got???", 6);
    tl_wire_free(message);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_read_and_its_bounds_are_kept),
        TEST(another_protocol_is_told_with_the_number_of_the_request),
        TEST(what_is_no_request_is_refused),
        TEST(a_few_fields_of_newer_clients_pass_and_many_do_not),
        TEST(only_the_body_of_a_request_may_be_long),
        TEST(the_shorter_of_two_deadlines_holds),
        TEST(an_error_fits_its_room_and_is_text_whatever_it_quotes),
    };
    return cmocka_run_group_tests_name("daemon/envelope", tests, NULL, NULL);
}
