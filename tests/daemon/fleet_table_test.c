/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "daemon/fleet_table.h"
#include "proto/wire.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_KEPT = 8
};

/* The first rows that were shown. */
typedef struct kept {
    tl_fleet_row rows[MAX_KEPT];
    int n;
} kept;

static tl_err keep(void *context, tl_fleet_row *row)
{
    kept *k = context;
    if (k->n < MAX_KEPT) {
        k->rows[k->n] = *row;
    }
    k->n++;
    return TL_OK;
}

static tl_err read_text(const char *csv, const Tailor__V1__Limits *limits, kept *k)
{
    *k = (kept){0};
    tl_fleet_source source = {
        .origin = "fleet.csv",
        .first_line = 100,
        .csv = csv,
        .len = strlen(csv),
        .limits = limits};
    return tl_fleet_read(&source, keep, k);
}

static void a_row_names_a_device_or_describes_one(void **state)
{
    (void)state;
    kept k;
    assert_ok(read_text(
        "device,name,class,peak_gflops.fp32,bits.weights\nrig,,,,\n,mine,cpu,48,4 8\n", NULL,
        &k));
    assert_int_equal(k.n, 2);
    assert_string_equal(k.rows[0].error, "");
    assert_string_equal(tl_fleet_row_name(&k.rows[0]), "rig");
    assert_string_equal(k.rows[1].error, "");
    assert_string_equal(k.rows[1].device, "");
    assert_string_equal(tl_fleet_row_name(&k.rows[1]), "mine");
    assert_int_equal(k.rows[1].profile.device_class, TL_DEVICE_CPU);
    assert_close(k.rows[1].profile.peak_gflops[TL_FP32], 48, 0);
    assert_int_equal(k.rows[1].profile.weight_bits.n, 2);
}

static void a_row_has_limits_of_its_own_or_those_of_all(void **state)
{
    (void)state;
    kept k;
    Tailor__V1__Limits limits;
    tailor__v1__limits__init(&limits);
    limits.has_max_latency_ms = true;
    limits.max_latency_ms = 10;
    assert_ok(read_text(
        "device,max_latency_ms,max_energy_mj,min_accuracy,confidence\na,,,,\nb,5,6,70,.5\n",
        &limits, &k));
    assert_close(k.rows[0].limits.max_latency_ms, 10, 0);
    assert_false(k.rows[0].limits.has_confidence);
    assert_close(k.rows[1].limits.max_latency_ms, 5, 0);
    assert_close(k.rows[1].limits.max_energy_mj, 6, 0);
    assert_close(k.rows[1].limits.min_accuracy, 70, 0);
    assert_close(k.rows[1].limits.confidence, .5, 0);
}

static void what_is_wrong_with_a_row_is_its_own_error(void **state)
{
    (void)state;
    static const struct {
        const char *row, *error;
    } cases[] = {
        {"a,cpu,",  "fleet.csv line 100: want a device or a profile, not both"              },
        {",,5",     "fleet.csv line 100: want a device or a profile"                        },
        {"a,,five", "fleet.csv line 100, column max_latency_ms: got \"five\", want a number"},
        {"a b,,5",  "fleet.csv line 100, column device name: got character"                 },
        {",cpx,5",  "fleet.csv line 100, column class: got \"cpx\""                         },
        {"a,5",     "fleet.csv line 100: got 2 fields, want 3"                              },
    };
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        char csv[256];
        kept k;
        (void)snprintf(
            csv, sizeof csv, "device,class,max_latency_ms\n%s\ngood,,1\n", cases[i].row);
        assert_ok(read_text(csv, NULL, &k));
        assert_int_equal(k.n, 2);
        assert_string_equal(k.rows[1].error, "");
        assert_memory_equal(k.rows[0].error, cases[i].error, strlen(cases[i].error));
    }
}

static void errors_are_one_line_of_text_whatever_the_field_holds(void **state)
{
    (void)state;
    kept k;
    char csv[1024] = "device,class\n\"a\nb\",\n\xff,\n";
    size_t len = strlen(csv);
    for (size_t i = 0; i < 300; i++, len += 2) {
        csv[len] = '\xc3'; /* cut somewhere, maybe within one */
        csv[len + 1] = '\xa9';
    }
    (void)snprintf(csv + len, sizeof csv - len, ",");
    assert_ok(read_text(csv, NULL, &k));
    assert_int_equal(k.n, 3);
    for (int i = 0; i < k.n; i++) {
        char copy[TL_FLEET_ERROR_BYTES];
        assert_true(strlen(k.rows[i].error) > 20);
        memcpy(copy, k.rows[i].error, sizeof copy);
        tl_wire_clean(copy);
        assert_string_equal(copy, k.rows[i].error);
    }
}

static void what_is_wrong_with_the_header_fails_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *csv, *detail;
    } cases[] = {
        {"",                          "fleet.csv: got an empty table"           },
        {"device,clock_mhs\na,1\n",   "clock_mhz"                               },
        {"device,peak_gflops\na,1\n",
         "fleet.csv line 1, column peak_gflops: unknown key \"peak_gflops\", nearest is "
         "\"peak_gflops.fp32\""                                                 },
        {"device,max_latency\na,1\n", "nearest is \"max_latency_ms\""           },
        {"device,min_acuracy\na,1\n", "nearest is \"min_accuracy\""             },
        {"device,zzzzzz\na,1\n",      "unknown key \"zzzzzz\", nearest is \""   },
        {"device,device\na,b\n",      "line 1, column device: there are two"    },
        {"max_latency_ms\n5\n",       "line 1: want a column device, or columns"},
        {"device\n\"a\n",             "line 2"                                  },
    };
    kept k;
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        assert_err(TL_EINVAL, read_text(cases[i].csv, NULL, &k));
        assert_detail(cases[i].detail);
        assert_int_equal(k.n, 0);
    }
    tl_text wide = {0};
    for (int i = 0; i < 65; i++) {
        tl_text_addf(&wide, "%sc%d", i == 0 ? "" : ",", i);
    }
    tl_text_add(&wide, "\n");
    assert_err(TL_EINVAL, read_text(wide.data, NULL, &k));
    assert_detail("got 65 columns, want at most 64");
    tl_text_done(&wide);
}

static void the_rows_of_one_request_are_bounded(void **state)
{
    (void)state;
    kept k;
    tl_text text = {0};
    tl_text_add(&text, "device\n");
    for (int i = 0; i < TL_FLEET_MAX_ROWS; i++) {
        tl_text_add(&text, "a\n");
    }
    assert_ok(read_text(text.data, NULL, &k));
    assert_int_equal(k.n, TL_FLEET_MAX_ROWS);
    tl_text_add(&text, "a\n");
    assert_err(TL_ELIMIT, read_text(text.data, NULL, &k));
    assert_detail("at most 4096 rows");
    tl_text_done(&text);
}

static tl_err refuse_row(void *context, tl_fleet_row *row)
{
    (void)context;
    return tl_fail(TL_EDEADLINE, "at %s", row->device);
}

static void the_reader_stops_where_it_is_told_to(void **state)
{
    (void)state;
    static const char csv[] = "device\na\nb\n";
    tl_fleet_source source = {.origin = "f", .first_line = 2, .csv = csv, .len = strlen(csv)};
    assert_err(TL_EDEADLINE, tl_fleet_read(&source, refuse_row, NULL));
    assert_detail("at a");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_row_names_a_device_or_describes_one),
        TEST(a_row_has_limits_of_its_own_or_those_of_all),
        TEST(what_is_wrong_with_a_row_is_its_own_error),
        TEST(errors_are_one_line_of_text_whatever_the_field_holds),
        TEST(what_is_wrong_with_the_header_fails_the_table),
        TEST(the_rows_of_one_request_are_bounded),
        TEST(the_reader_stops_where_it_is_told_to),
    };
    return cmocka_run_group_tests_name("daemon/fleet_table", tests, NULL, NULL);
}
