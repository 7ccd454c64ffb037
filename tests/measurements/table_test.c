/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/measurements/cell_space.h"

#include "base/mem.h"
#include "measurements/designs.h"

#include <math.h>

static tl_space *space;

static int load(void **state)
{
    (void)state;
    space = load_space("nasbench201");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    tl_space_unref(space);
    return 0;
}

static double value_at(const tl_table *table, int row, int column)
{
    return table->values[row * table->n_columns + column];
}

static void columns_are_told_apart_by_their_names(void **state)
{
    (void)state;
    tl_table table = {0};
    assert_ok(parse(
        space, TL_TABLE_IMPORT,
        "accuracy@cifar10,macs_m,e23,e13,e03,e12,e02,e01,latency_ms@pixel6,spread_ms@pixel6,"
        "params_m,energy_mj@a.b+c-d\r\n"
        "93.5,1,none,avg_pool_3x3,nor_conv_3x3,nor_conv_1x1,skip_connect,none,1e-3,x,y,\r\n",
        &table));
    assert_int_equal(table.n, 1);
    assert_int_equal(table.n_columns, 3);
    assert_int_equal(table.columns[0].metric, TL_METRIC_ACCURACY);
    assert_string_equal(table.columns[0].name, "cifar10");
    assert_int_equal(table.columns[1].metric, TL_METRIC_LATENCY_MS);
    assert_string_equal(table.columns[1].name, "pixel6");
    assert_int_equal(table.columns[2].metric, TL_METRIC_ENERGY_MJ);
    assert_string_equal(table.columns[2].name, "a.b+c-d");
    assert_true(value_at(&table, 0, 0) == 93.5);
    assert_true(value_at(&table, 0, 1) == 1e-3);
    assert_true(isnan(value_at(&table, 0, 2)));
    tl_text text = {0};
    tl_table_add_design(space, table.designs, &text);
    assert_string_equal(text.data, CELL_A ",-,-,-,-,-,-");
    tl_text_done(&text);
    tl_table_done(&table);
}

static void optional_slots_may_be_there(void **state)
{
    (void)state;
    tl_table table = {0};
    assert_ok(parse(
        space, TL_TABLE_IMPORT,
        HEADER ",w01,w23,latency_ms@d\n" CELL_D ",8,-,1\n" CELL_D ",-,-,2\n" CELL_D ",2,-,3\n",
        &table));
    assert_int_equal(table.n, 3);
    tl_text text = {0};
    tl_table_add_design(space, table.designs, &text);
    assert_string_equal(text.data, CELL_D ",8,-,-,-,-,-");
    tl_text_done(&text);
    tl_table_done(&table);
}

static void what_is_no_table_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *csv, *detail;
    } cases[] = {
        {"",                                          "t.csv: got nothing, want a header line"                         },
        {"\n\n",                                      "t.csv: got nothing, want a header line"                         },
        {"e01,e02\n",                                 "t.csv line 1: the column of slot e12 of nasbench201 is missing" },
        {HEADER ",e01\n",                             "t.csv line 1, column e01: stands twice"                         },
        {HEADER ",latency_ms@d,latency_ms@d\n",
         "t.csv line 1, column latency_ms@d: stands twice"                                                             },
        {HEADER ",e04\n",                             "t.csv line 1, column e04: got neither a slot of nasbench201 nor"},
        {HEADER ",e04\n",                             "(nearest: e0"                                                   },
        {HEADER ",macs\n",                            "(nearest: macs_m)"                                              },
        {HEADER ",latency_ms\n",                      "t.csv line 1, column latency_ms: got neither"                   },
        {HEADER ",latency@d\n",                       "t.csv line 1, column latency@d: want latency_ms@DEVICE"         },
        {HEADER ",@d\n",                              "t.csv line 1, column @d: want latency_ms@DEVICE"                },
        {HEADER ",Latency_ms@d\n",                    "column Latency_ms@d: want latency_ms@DEVICE"                    },
        {HEADER ",latency_ms@\n",                     "t.csv line 1, column latency_ms@: device name: got nothing"     },
        {HEADER ",latency_ms@a b\n",                  "column latency_ms@a b: device name: got character 0x20"         },
        {HEADER ",latency_ms@a@b\n",                  "column latency_ms@a@b: device name: got character 0x40"         },
        {HEADER ",accuracy@-t\n",                     "column accuracy@-t: task name"                                  },
        {HEADER ",\n",                                "t.csv line 1: column number 7 has no name"                      },
        {HEADER ", latency_ms@d\n",                   "column  latency_ms@d: want latency_ms@DEVICE"                   },
        {HEADER ",latency_ms@d\n" CELL_A "\n",
         "t.csv line 2: got 6 fields, want 7 as in the header"                                                         },
        {HEADER ",latency_ms@d\n" CELL_A ",1,2\n",    "t.csv line 2: got 8 fields, want 7"                             },
        {HEADER ",latency_ms@d\n\n" CELL_A ",one\n",
         "t.csv line 3, column latency_ms@d: got \"one\", want a number"                                               },
        {HEADER ",latency_ms@d\n" CELL_A ",nan\n",
         "column latency_ms@d: got \"nan\", want a number"                                                             },
        {HEADER ",latency_ms@d\n" CELL_A ",inf\n",    "got \"inf\", want a number"                                     },
        {HEADER ",latency_ms@d\n" CELL_A ",1e999\n",  "got \"1e999\", want a number"                                   },
        {HEADER ",latency_ms@d\n" CELL_A ",1e-999\n", "want a number above 0"                                          },
        {HEADER ",latency_ms@d\n" CELL_A ",0x1p3\n",  "got \"0x1p3\", want a number"                                   },
        {HEADER ",latency_ms@d\n" CELL_A ",-\n",      "got \"-\", want a number"                                       },
        {HEADER ",latency_ms@d\n" CELL_A ", 1\n",     "got \" 1\", want a number"                                      },
        {HEADER ",latency_ms@d\n" CELL_A ",-1\n",     "got \"-1\", want a number above 0"                              },
        {HEADER ",latency_ms@d\n" CELL_A ",1e-300\n", "want a number from 1e-09 to 1e+12"                              },
        {HEADER ",latency_ms@d\n" CELL_A ",0\n",      "got \"0\", want a number above 0"                               },
        {HEADER ",energy_mj@d\n" CELL_A ",-0\n",
         "column energy_mj@d: got \"-0\", want a number above 0"                                                       },
        {HEADER ",accuracy@t\n" CELL_A ",-0.1\n",     "want a percentage from 0 to 100"                                },
        {HEADER ",accuracy@t\n" CELL_A ",100.1\n",    "want a percentage from 0 to 100"                                },
        {HEADER "\nnone,none,conv5,none,none,none\n",
         "t.csv line 2, column e12: got \"conv5\", want one of none, skip_connect"                                     },
        {HEADER "\nnone,none,,none,none,none\n",      "t.csv line 2, column e12: got \"\""                             },
        {HEADER "\nnone,none,-,none,none,none\n",     "t.csv line 2"                                                   },
        {HEADER ",w01\n" CELL_B ",3\n",               "t.csv line 2, column w01: got \"3\""                            },
        {HEADER "\n" CELL_A "\n" CELL_B "\n\"none\n", "t.csv line 4: a quotation mark"                                 },
        {HEADER "\nno\"ne\n",                         "t.csv line 2: a quotation mark"                                 },
    };
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        tl_table table = {.n = -7};
        assert_err(TL_EINVAL, parse(space, TL_TABLE_IMPORT, cases[i].csv, &table));
        assert_detail(cases[i].detail);
        assert_int_equal(table.n, -7);
    }
}

static void a_nul_byte_is_refused(void **state)
{
    (void)state;
    static const char csv[] = HEADER "\n" CELL_A "\0\n";
    tl_table table = {0};
    assert_err(TL_EINVAL, tl_table_parse(space, "t.csv", NULL, csv, sizeof csv - 1, &table));
    assert_detail("t.csv line 2: got a NUL byte");
}

static void a_table_without_rows_or_values_is_a_table(void **state)
{
    (void)state;
    tl_table table = {0};
    assert_ok(parse(space, TL_TABLE_IMPORT, HEADER ",latency_ms@d", &table));
    assert_int_equal(table.n, 0);
    assert_int_equal(table.n_columns, 1);
    tl_table_done(&table);
    assert_ok(parse(space, TL_TABLE_IMPORT, HEADER "\n" CELL_A "\n" CELL_A "\n", &table));
    assert_int_equal(table.n, 1);
    assert_int_equal(table.n_columns, 0);
    assert_int_equal(table.n_repeated, 1);
    tl_table_done(&table);
}

static void the_last_row_of_a_design_counts(void **state)
{
    (void)state;
    tl_table table = {0};
    assert_ok(parse(
        space, TL_TABLE_IMPORT,
        HEADER ",latency_ms@d,energy_mj@d\n" CELL_A ",1,9\n" CELL_B ",2,\n" CELL_A
               ",3,\n" CELL_C ",4,\n" CELL_A ",5,\n" CELL_B ",6,8\n",
        &table));
    assert_int_equal(table.n, 3);
    assert_int_equal(table.n_repeated, 3);
    assert_int_equal(table.repeated_line, 4);
    assert_true(value_at(&table, 0, 0) == 5);
    assert_true(value_at(&table, 0, 1) == 9); /* an empty cell takes nothing back */
    assert_true(value_at(&table, 1, 0) == 6);
    assert_true(value_at(&table, 1, 1) == 8);
    assert_true(value_at(&table, 2, 0) == 4);
    tl_table_done(&table);
}

static void designs_keep_their_order_and_repetitions(void **state)
{
    (void)state;
    tl_table table = {0};
    assert_ok(parse(
        space, TL_TABLE_DESIGNS,
        HEADER ",latency_ms@d,accuracy@a b,spread_ms@x,macs_m\n" CELL_B ",bad,,?,\n" CELL_A
               ",,,,\n" CELL_B ",-1,,,\n",
        &table));
    assert_int_equal(table.n, 3);
    assert_int_equal(table.n_columns, 0);
    assert_int_equal(table.n_repeated, 0);
    const tl_choice *b = tl_design_at(table.designs, table.n_slots, 0);
    assert_memory_equal(
        b, tl_design_at(table.designs, table.n_slots, 2), sizeof *b * (size_t)table.n_slots);
    assert_true(tl_design_compare(b, tl_design_at(table.designs, table.n_slots, 1), 6) != 0);
    tl_table_done(&table);
    assert_err(TL_EINVAL, parse(space, TL_TABLE_DESIGNS, HEADER ",p_feasible\n", &table));
    assert_err(TL_EINVAL, parse(space, TL_TABLE_DESIGNS, HEADER ",speed@d\n", &table));
    assert_err(TL_EINVAL, parse(space, TL_TABLE_DESIGNS, "e01,e02\n", &table));
}

static void bounds_hold(void **state)
{
    (void)state;
    static const char csv[] =
        HEADER ",latency_ms@d\n" CELL_A ",1\n" CELL_B ",2\n" CELL_C ",3\n";
    int width = tl_space_n_slots(space) + 1;
    tl_table_options options = {.max_rows = 2};
    tl_table table = {0};
    assert_err(
        TL_ELIMIT, tl_table_parse(space, "t.csv", &options, csv, sizeof csv - 1, &table));
    assert_detail("t.csv line 4: a table may have 2 rows");
    options = (tl_table_options){.max_cells = (size_t)width * 3 - 1};
    assert_err(
        TL_ELIMIT, tl_table_parse(space, "t.csv", &options, csv, sizeof csv - 1, &table));
    options = (tl_table_options){.max_cells = (size_t)width * 3, .max_rows = 3};
    assert_ok(tl_table_parse(space, "t.csv", &options, csv, sizeof csv - 1, &table));
    tl_table_done(&table);
}

static void too_many_columns_are_refused(void **state)
{
    (void)state;
    tl_text csv = {0};
    tl_table table = {0};
    tl_text_add(&csv, HEADER);
    for (int i = 0; i < TL_TABLE_MAX_COLUMNS; i++) {
        tl_text_addf(&csv, ",latency_ms@d%d", i);
    }
    assert_ok(parse(space, TL_TABLE_IMPORT, csv.data, &table));
    assert_int_equal(table.n_columns, TL_TABLE_MAX_COLUMNS);
    tl_table_done(&table);
    tl_text_add(&csv, ",energy_mj@d0\n");
    assert_err(TL_ELIMIT, parse(space, TL_TABLE_IMPORT, csv.data, &table));
    assert_detail("t.csv line 1: got more than 4096 columns of values");
    tl_text_done(&csv);
}

static void a_parser_that_failed_stays_failed(void **state)
{
    (void)state;
    tl_table_parser *parser = NULL;
    tl_table table = {0};
    assert_ok(tl_table_parser_new(space, "t.csv", NULL, &parser));
    assert_err(TL_EINVAL, tl_table_parser_feed(parser, "bad\n", 4));
    assert_err(TL_EINVAL, tl_table_parser_feed(parser, HEADER "\n", sizeof HEADER));
    assert_err(TL_EINVAL, tl_table_parser_finish(parser, &table));
    tl_table_parser_free(parser);
    tl_table_parser_free(NULL);
}

static const char small[] =
    "e01,e02,e12,e03,e13,e23,w01,macs_m,latency_ms@pixel6,accuracy@cifar10\r\n" CELL_A
    ",-,1,1.5,90.25\n\"nor_conv_3x3\",none,skip_connect,none,none,"
    "skip_connect,8,2,\"2.5\",\n" CELL_C ",-,,3e0,1\n";

/* Any bytes at all: a table, or TL_EINVAL (or a bound); never anything else. */
static void damaged_tables_are_read_or_refused(void **state)
{
    (void)state;
    static const char *const bytes = "\",\n\r@-.0eE\xff";
    uint64_t bits = tl_test_seed();
    int n_read = 0;
    int n_refused = 0;
    for (int round = 0; round < 2000; round++) {
        char csv[sizeof small];
        size_t len = sizeof small - 1;
        memcpy(csv, small, sizeof csv);
        for (int change = 0; change <= round % 3; change++) {
            bits = bits * 6364136223846793005U + 1442695040888963407U;
            size_t at = (size_t)(bits >> 33) % len;
            unsigned what = (unsigned)(bits >> 20) % 32;
            if (what == 31) {
                len = at + 1;
            } else {
                csv[at] =
                    what < 11 ? bytes[what] : (char)(what < 22 ? '0' + what % 10 : bits >> 12);
            }
        }
        tl_table table = {0};
        tl_err err = tl_table_parse(space, "t.csv", NULL, csv, len, &table);
        assert_true(err == TL_OK || err == TL_EINVAL);
        n_read += err == TL_OK ? 1 : 0;
        n_refused += err == TL_OK ? 0 : 1;
        tl_table_done(&table);
    }
    (void)printf("%d read, %d refused\n", n_read, n_refused);
    assert_true(n_read > 20 && n_refused > 100);
}

static tl_err parse_by_bytes(tl_table *out_table)
{
    tl_table_parser *parser = NULL;
    TL_TRY(tl_table_parser_new(space, "t.csv", NULL, &parser));
    tl_err err = TL_OK;
    for (size_t i = 0; i + 1 < sizeof small && err == TL_OK; i++) {
        err = tl_table_parser_feed(parser, small + i, 1);
    }
    if (err == TL_OK) {
        err = tl_table_parser_finish(parser, out_table);
    }
    tl_table_parser_free(parser);
    return err;
}

/* libcsv asks for less when it is refused, so a failed allocation may go unnoticed. */
static void survives_every_allocation_failure(void **state)
{
    (void)state;
    int n_failures = 0;
    for (long k = 1; k <= 40; k++) {
        long live_before = tl_mem_live();
        tl_table table = {0};
        tl_mem_fail_at(k);
        tl_err err = parse_by_bytes(&table);
        tl_mem_fail_at(0);
        assert_true(err == TL_ENOMEM || (err == TL_OK && table.n == 3));
        n_failures += err != TL_OK ? 1 : 0;
        tl_table_done(&table);
        assert_int_equal(tl_mem_live(), live_before);
    }
    assert_true(n_failures >= 12);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(columns_are_told_apart_by_their_names),
        TEST(optional_slots_may_be_there),
        TEST(what_is_no_table_is_refused_with_its_place),
        TEST(a_nul_byte_is_refused),
        TEST(a_table_without_rows_or_values_is_a_table),
        TEST(the_last_row_of_a_design_counts),
        TEST(designs_keep_their_order_and_repetitions),
        TEST(bounds_hold),
        TEST(too_many_columns_are_refused),
        TEST(a_parser_that_failed_stays_failed),
        TEST(damaged_tables_are_read_or_refused),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("measurements/table", tests, load, unload);
}
