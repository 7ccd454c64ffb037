/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "proto/tailor.pb-c.h"
#include "proto/wire.h"

#include <string.h>

enum {
    MAX_MEMORY = 1 << 20
};

static tl_err unpack(
    const ProtobufCMessageDescriptor *type, const void *data, size_t len, size_t max_bytes)
{
    ProtobufCMessage *message = NULL;
    tl_err err = tl_wire_unpack(type, data, len, max_bytes, &message);
    assert_true((message != NULL) == (err == TL_OK));
    tl_wire_free(message);
    return err;
}

/* A Table of one column: nesting, strings, packed doubles. Owned by the caller. */
static tl_bytes pack_table(void)
{
    char name[] = "latency_ms";
    double numbers[] = {1.5, 2.5, 3.5};
    Tailor__V1__Column column;
    Tailor__V1__Column *columns[] = {&column};
    Tailor__V1__Table table;
    tl_bytes bytes = {0};
    tailor__v1__column__init(&column);
    tailor__v1__table__init(&table);
    column.name = name;
    column.number = numbers;
    column.n_number = TL_COUNT(numbers);
    table.columns = columns;
    table.n_columns = TL_COUNT(columns);
    table.n_rows = TL_COUNT(numbers);
    assert_ok(tl_wire_pack((const ProtobufCMessage *)&table, &bytes));
    return bytes;
}

static void what_was_packed_is_unpacked(void **state)
{
    (void)state;
    tl_bytes bytes = pack_table();
    ProtobufCMessage *message = NULL;
    assert_ok(tl_wire_unpack(
        &tailor__v1__table__descriptor, bytes.data, bytes.len, MAX_MEMORY, &message));
    const Tailor__V1__Table *table = (const Tailor__V1__Table *)(const void *)message;
    assert_int_equal(table->n_rows, 3);
    assert_int_equal(table->n_columns, 1);
    assert_string_equal(table->columns[0]->name, "latency_ms");
    assert_int_equal(table->columns[0]->n_number, 3);
    assert_close(table->columns[0]->number[2], 3.5, 0);
    tl_wire_free(message);
    tl_mem_free(bytes.data);
}

/* Cut between two fields it is a shorter message; anywhere else it is refused. */
static void a_message_cut_anywhere_is_never_read_beyond_its_end(void **state)
{
    (void)state;
    tl_bytes bytes = pack_table();
    size_t n_refused = 0;
    for (size_t len = 0; len < bytes.len; len++) {
        uint8_t *exact = tl_mem_new(len, 1); /* so that a sanitizer sees one byte too many */
        assert_non_null(exact);
        memcpy(exact, bytes.data, len);
        tl_err err = unpack(&tailor__v1__table__descriptor, exact, len, MAX_MEMORY);
        assert_true(err == TL_OK || err == TL_EINVAL);
        n_refused += err == TL_EINVAL;
        tl_mem_free(exact);
    }
    assert_true(n_refused >= bytes.len - 4);
    tl_mem_free(bytes.data);
}

static void flipped_bits_are_refused_or_read_as_something_else(void **state)
{
    (void)state;
    tl_bytes bytes = pack_table();
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        tl_err err = unpack(&tailor__v1__table__descriptor, bytes.data, bytes.len, MAX_MEMORY);
        assert_true(err == TL_OK || err == TL_EINVAL || err == TL_ELIMIT);
        bytes.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    tl_mem_free(bytes.data);
}

static void texts_that_are_none_are_refused_by_the_name_of_their_field(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *detail;
    } cases[] = {
        {"\x0a\x02"
         "a\xff",                               4,  "name: not valid UTF-8 at byte 1"},
        {"\x0a\x03"
         "a\0b",                                5,  "name: a zero byte"              },
        {"\x0a\x03\xed\xa0\x80",                         5,  "name: not valid UTF-8"          }, /* a surrogate */
        {"\x0a\x02\xc0\x80",                             4,  "name: not valid UTF-8"          }, /* an overlong zero */
        {"\x0a\x09"
         "short",                               7,  "name: the message is cut short" },
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "name"                           },
        {"\x07\x00",                                     2,  "not a message"                  }, /* no such kind of field */
        {"\x00\x00",                                     2,  "not a message"                  }, /* field 0 */
    };
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        assert_err(
            TL_EINVAL,
            unpack(&tailor__v1__name__descriptor, cases[i].bytes, cases[i].len, MAX_MEMORY));
        assert_detail(cases[i].detail);
    }
}

static void fields_of_later_versions_are_passed_over(void **state)
{
    (void)state;
    static const char bytes[] = "\x0a\x02hi\xfa\x07\x03new"; /* 127: unknown here */
    ProtobufCMessage *message = NULL;
    assert_ok(tl_wire_unpack(
        &tailor__v1__name__descriptor, (const uint8_t *)bytes, sizeof bytes - 1, MAX_MEMORY,
        &message));
    assert_string_equal(((const Tailor__V1__Name *)(const void *)message)->name, "hi");
    tl_wire_free(message);
}

static void fields_are_read_one_by_one_and_not_beyond_the_end(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {
        0x08, 0x96, 0x01,                     /* 1: varint 150 */
        0x12, 2,    'h',  'i',                /* 2: two bytes */
        0x1d, 1,    2,    3,   4,             /* 3: 32 bits */
        0x21, 1,    2,    3,   4, 5, 6, 7, 8, /* 4: 64 bits */
    };
    static const size_t ends[] = {0, 3, 7, 12, 21};
    tl_wire_field field = {.number = 99};
    for (size_t len = 0; len <= sizeof bytes; len++) {
        const uint8_t *at = bytes;
        size_t n = 0;
        while (tl_wire_next(&at, bytes + len, &field)) {
            n++;
            assert_int_equal(field.number, n);
            assert_int_equal(field.bytes, ends[n] - ends[n - 1]);
            assert_int_equal(field.value, n == 1 ? 150 : 0);
        }
        assert_ptr_equal(at, bytes + ends[n]);
        assert_true(n == 4 ? len == sizeof bytes : len < ends[n + 1]);
    }
    static const uint8_t group[] = {0x0b};
    const uint8_t *at = group;
    assert_false(tl_wire_next(&at, group + sizeof group, &field));
}

static void memory_is_bounded(void **state)
{
    (void)state;
    tl_bytes bytes = pack_table();
    assert_err(TL_ELIMIT, unpack(&tailor__v1__table__descriptor, bytes.data, bytes.len, 64));
    assert_detail("64 bytes");
    tl_mem_free(bytes.data);
}

static void nothing_at_all_is_an_empty_message(void **state)
{
    (void)state;
    assert_ok(unpack(&tailor__v1__empty__descriptor, NULL, 0, MAX_MEMORY));
    tl_wire_free(NULL);
}

static void cleaned_text_is_one_line_of_utf8(void **state)
{
    (void)state;
    char text[] = "a\xff\n\x1b[0m \xc3\xa9\t!";
    tl_wire_clean(text);
    assert_string_equal(text, "a???[0m \xc3\xa9?!");
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    tl_bytes bytes = pack_table();
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    for (long k = 1; err != TL_OK; k++) {
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = unpack(&tailor__v1__table__descriptor, bytes.data, bytes.len, MAX_MEMORY);
        tl_mem_fail_at(0);
        assert_int_equal(tl_mem_live(), live_before);
        assert_true(err == TL_OK || err == TL_ENOMEM);
        n_failures += err != TL_OK;
    }
    assert_true(n_failures >= 4);
    tl_mem_free(bytes.data);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(what_was_packed_is_unpacked),
        TEST(a_message_cut_anywhere_is_never_read_beyond_its_end),
        TEST(flipped_bits_are_refused_or_read_as_something_else),
        TEST(texts_that_are_none_are_refused_by_the_name_of_their_field),
        TEST(fields_of_later_versions_are_passed_over),
        TEST(fields_are_read_one_by_one_and_not_beyond_the_end),
        TEST(memory_is_bounded),
        TEST(nothing_at_all_is_an_empty_message),
        TEST(cleaned_text_is_one_line_of_utf8),
        TEST(survives_every_allocation_failure),
    };
#undef TEST
    return cmocka_run_group_tests_name("proto/wire", tests, NULL, NULL);
}
