/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/csv.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

/* Records are gathered as "line:[field][field]", so that a case is one string. */
static tl_err gather(void *context, const tl_csv_record *record)
{
    tl_text *text = context;
    tl_text_addf(text, "%ld:", record->line);
    for (size_t i = 0; i < record->n_fields; i++) {
        tl_text_addf(text, "[%s]", record->fields[i]);
    }
    return tl_text_err(text);
}

static tl_err read_in_chunks(const char *csv, size_t len, size_t chunk, tl_text *text)
{
    tl_csv_reader *reader = NULL;
    TL_TRY(tl_csv_reader_new(NULL, gather, text, &reader));
    tl_err err = TL_OK;
    for (size_t i = 0; i < len && err == TL_OK; i += chunk) {
        err = tl_csv_reader_feed(reader, csv + i, len - i < chunk ? len - i : chunk);
    }
    if (err == TL_OK) {
        err = tl_csv_reader_finish(reader);
    }
    tl_csv_reader_free(reader);
    return err;
}

static void records_are_read_whatever_the_chunks(void **state)
{
    (void)state;
    static const struct {
        const char *csv, *wanted;
    } cases[] = {
        {"",                                   ""                              },
        {"\n\r\n\n",                           ""                              },
        {"a,b\n1,2\n",                         "1:[a][b]2:[1][2]"              },
        {"a,b\r\n1,2\r\n",                     "1:[a][b]2:[1][2]"              },
        {"a,b\n1,2",                           "1:[a][b]2:[1][2]"              },
        {"a\rb\r",                             "1:[a]2:[b]"                    },
        {"\xef\xbb\xbf"
         "a,b\n",                     "1:[a][b]"                      },
        {"\xef\xbb\xbf",                       ""                              },
        {"\xef\xbd\x86,b\n",                   "1:[\xef\xbd\x86][b]"           },
        {"\xef",                               "1:[\xef]"                      },
        {"a,,\n,,\n",                          "1:[a][][]2:[][][]"             },
        {" a , b \n",                          "1:[ a ][ b ]"                  },
        {"\"a,b\",\"c\"\"d\"\n",               "1:[a,b][c\"d]"                 },
        {"\"\"\n",                             "1:[]"                          },
        {"x\n\n\"two\nlines\",y\n\nlast\n",    "1:[x]3:[two\nlines][y]6:[last]"},
        {"x\r\n\r\n\"two\r\nlines\"\r\nz\r\n", "1:[x]3:[two\r\nlines]5:[z]"    },
    };
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        size_t len = strlen(cases[i].csv);
        for (size_t chunk = 1; chunk <= len + 1; chunk++) {
            tl_text text = {0};
            tl_text_add(&text, "");
            assert_ok(read_in_chunks(cases[i].csv, len, chunk, &text));
            assert_string_equal(text.data, cases[i].wanted);
            tl_text_done(&text);
        }
    }
}

static void what_is_no_csv_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *csv;
        size_t len; /* 0: of the text */
        const char *detail;
    } cases[] = {
        {"a\nb\"c\n",      0, "line 2: a quotation mark inside a field"            },
        {"a\n\"b\"c\n",    0, "line 2: a quotation mark inside a field"            },
        {"a\nb\n\n\"c\nd", 0, "line 4: a quotation mark is opened and never closed"},
        {"a\nb\0c\n",      6, "line 2: got a NUL byte"                             },
        {"\xff\xfe"
         "a\0",   4, "line 1: got a NUL byte"                             },
    };
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        size_t len = cases[i].len > 0 ? cases[i].len : strlen(cases[i].csv);
        for (size_t chunk = 1; chunk <= len; chunk++) {
            tl_text text = {0};
            assert_err(TL_EINVAL, read_in_chunks(cases[i].csv, len, chunk, &text));
            assert_detail(cases[i].detail);
            tl_text_done(&text);
        }
    }
}

static void bounds_hold_also_for_a_field_that_never_ends(void **state)
{
    (void)state;
    static const tl_csv_options options = {
        .max_fields = 3, .max_field_bytes = 5, .max_record_bytes = 12};
    tl_text text = {0};
    static const struct {
        const char *csv, *detail;
    } cases[] = {
        {"a\n1,2,3,4\n",           "line 2: got more than 3 fields"            },
        {"a\n123456\n",            "line 2: got a field of more than 5 bytes"  },
        {"a\n12345,12345,12345\n", "line 2: got a record of more than 12 bytes"},
    };
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        const char *csv = cases[i].csv;
        assert_err(TL_EINVAL, tl_csv_read(csv, strlen(csv), &options, gather, &text));
        assert_detail(cases[i].detail);
    }
    tl_csv_reader *reader = NULL;
    tl_err err = TL_OK;
    int n_fed = 0;
    assert_ok(tl_csv_reader_new(NULL, gather, &text, &reader));
    for (; n_fed < 1000000 && err == TL_OK; n_fed++) {
        err = tl_csv_reader_feed(reader, "\"x", n_fed == 0 ? 2 : 1);
    }
    assert_int_equal(err, TL_EINVAL);
    assert_err(TL_EINVAL, tl_csv_reader_feed(reader, "\n", 1));
    assert_err(TL_EINVAL, tl_csv_reader_finish(reader));
    tl_csv_reader_free(reader);
    tl_text_done(&text);
}

static tl_err refuse(void *context, const tl_csv_record *record)
{
    int *n = context;
    (*n)++;
    return record->line == 2 ? tl_fail(TL_ENOTFOUND, "no more") : TL_OK;
}

static void the_answer_of_the_callback_ends_the_reading(void **state)
{
    (void)state;
    int n = 0;
    assert_err(TL_ENOTFOUND, tl_csv_read("a\nb\nc\n", 6, NULL, refuse, &n));
    assert_int_equal(n, 2);
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"plain",       "with, comma",      "with \"marks\""},
        {"",            "",                 ""              },
        {"line\nbreak", "carriage\rreturn", " spaces "      },
    };
    tl_text csv = {0};
    tl_text got = {0};
    tl_text wanted = {0};
    for (size_t i = 0; i < TL_COUNT(rows); i++) {
        for (size_t j = 0; j < 3; j++) {
            tl_csv_add(&csv, rows[i][j]);
        }
        tl_csv_end(&csv);
    }
    tl_csv_add(&csv, "");
    tl_csv_end(&csv);
    assert_ok(tl_csv_read(csv.data, csv.len, NULL, gather, &got));
    tl_text_add(&wanted, "1:[plain][with, comma][with \"marks\"]2:[][][]");
    tl_text_add(&wanted, "3:[line\nbreak][carriage\rreturn][ spaces ]6:[]");
    assert_string_equal(got.data, wanted.data);
    tl_text_done(&csv);
    tl_text_done(&got);
    tl_text_done(&wanted);
}

static void doubles_are_written_short_and_read_back_bit_for_bit(void **state)
{
    (void)state;
    tl_text text = {0};
    tl_csv_add_double(&text, 0.1);
    tl_csv_add_double(&text, (double)NAN);
    tl_csv_add_double(&text, 10.7544);
    tl_csv_add_double(&text, 1.0 / 3.0);
    tl_csv_end(&text);
    assert_string_equal(text.data, "0.1,,10.7544,0.3333333333333333\n");
    uint64_t bits = tl_test_seed();
    for (int i = 0; i < 20000; i++) {
        bits = bits * 6364136223846793005U + 1442695040888963407U;
        uint64_t mixed = bits ^ (bits >> 29);
        double value = 0;
        double back = 0;
        memcpy(&value, &mixed, sizeof value);
        if (!isfinite(value)) {
            continue;
        }
        tl_text_clear(&text);
        tl_csv_add_double(&text, value);
        assert_ok(tl_csv_number(text.data, &back));
        assert_memory_equal(&back, &value, sizeof value);
    }
    tl_text_done(&text);
}

static void a_number_is_a_plain_decimal_and_nothing_else(void **state)
{
    (void)state;
    static const char *const good[] = {"0", "1", "-1", "+1", "1.5", ".5", "5.", "1e3", "1E-3"};
    static const char *const bad[] = {"",      " 1",  "1 ", "0x10",  "inf",    "nan",
                                      "NaN",   "1,5", "1e", "1e999", "-1e999", "--1",
                                      "1.2.3", "e",   ".",  "one",   "1_000"};
    double value = 0;
    for (size_t i = 0; i < TL_COUNT(good); i++) {
        assert_ok(tl_csv_number(good[i], &value));
    }
    assert_true(value == 1e-3);
    for (size_t i = 0; i < TL_COUNT(bad); i++) {
        assert_err(TL_EINVAL, tl_csv_number(bad[i], &value));
        assert_detail("want a number");
        assert_true(value == 1e-3);
    }
}

/* libcsv asks for less when it is refused, so a failed allocation may go unnoticed. */
static void survives_every_allocation_failure(void **state)
{
    (void)state;
    static const char csv[] = "a,\"b \"\"and\"\" c\",d\n1,2,3\n";
    int n_failures = 0;
    for (long k = 1; k <= 12; k++) {
        long live_before = tl_mem_live();
        tl_text text = {0};
        tl_mem_fail_at(k);
        tl_err err = tl_csv_read(csv, sizeof csv - 1, NULL, gather, &text);
        tl_mem_fail_at(0);
        assert_true(err == TL_ENOMEM || (err == TL_OK && text.len > 0));
        n_failures += err != TL_OK ? 1 : 0;
        tl_text_done(&text);
        assert_int_equal(tl_mem_live(), live_before);
    }
    assert_true(n_failures >= 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_are_read_whatever_the_chunks),
        TEST(what_is_no_csv_is_refused_with_its_line),
        TEST(bounds_hold_also_for_a_field_that_never_ends),
        TEST(the_answer_of_the_callback_ends_the_reading),
        TEST(what_is_written_reads_back),
        TEST(doubles_are_written_short_and_read_back_bit_for_bit),
        TEST(a_number_is_a_plain_decimal_and_nothing_else),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("base/csv", tests, NULL, NULL);
}
