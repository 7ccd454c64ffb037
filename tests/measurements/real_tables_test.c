/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/measurements/cell_space.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"
#include "measurements/columns.h"

#include <math.h>
#include <stdlib.h>

/* The public tables, where they are at hand: what goes in comes out, bit for bit. */

enum {
    MAX_TABLE_BYTES = 64 << 20,
    MAX_FIELDS = 256
};

static const struct {
    const char *file, *space;
} tables[] = {
    {"nasbench201",        "nasbench201"     },
    {"nasbench201-qat50",  "nasbench201"     },
    {"nasbench201-qat150", "nasbench201"     },
    {"nasbench201-int8",   "nasbench201"     },
    {"nasbench201-analog", "nasbench201"     },
    {"fbnet",              "fbnet"           },
    {"mobilenetv3",        "mobilenetv3"     },
    {"mnasnet",            "mnasnet"         },
    {"mobilenet-zoo",      "mobilenet-zoo"   },
    {"bitfusion-layers",   "bitfusion-layers"},
};

/* How many values, and the sum of their bits: the same in any order. */
typedef struct census {
    long n;
    uint64_t bits;
} census;

static void count_value(census *c, double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    c->n++;
    c->bits += bits * 0x9e3779b97f4a7c15U;
}

/* strtod() of a field alone: under a sanitizer that checks strings, string functions read the
 * rest of the file for every field. */
static double number_of(const char *field, size_t len)
{
    char text[64];
    assert_true(len < sizeof text);
    memcpy(text, field, len);
    text[len] = '\0';
    return strtod(text, NULL);
}

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

/* Reads the text in the plainest way: split at commas, numbers under the names with '@'. */
static census count_text(const char *csv)
{
    census c = {0};
    bool is_value[MAX_FIELDS] = {false};
    int field = 0;
    bool is_header = true;
    while (*csv != '\0') {
        size_t len = 0;
        while (csv[len] != '\0' && csv[len] != ',' && !is_line_end(csv[len])) {
            len++;
        }
        assert_in_range(field, 0, MAX_FIELDS - 1);
        if (is_header) {
            is_value[field] = memchr(csv, '@', len) != NULL;
        } else if (is_value[field] && len > 0) {
            count_value(&c, number_of(csv, len));
        }
        csv += len;
        field++;
        if (is_line_end(*csv)) {
            for (; is_line_end(*csv); csv++) {
            }
            field = 0;
            is_header = false;
        } else if (*csv == ',') {
            csv++;
        }
    }
    return c;
}

static void count_metric(tl_store *store, const tl_space *space, tl_metric metric, census *c)
{
    tl_column_list list = {0};
    size_t n_left_out = 0;
    assert_ok(tl_columns_largest(
        store, tl_space_name(space), metric, TL_TABLE_MAX_COLUMNS, &list, &n_left_out));
    assert_int_equal(n_left_out, 0);
    for (size_t i = 0; i < list.n_columns; i++) {
        tl_column column = {0};
        const tl_column_info *info = &list.columns[i];
        assert_ok(tl_columns_get(store, space, info->metric, info->subject, &column));
        assert_int_equal(column.n, info->n);
        for (int j = 0; j < column.n; j++) {
            count_value(c, column.values[j]);
        }
        tl_column_done(&column);
    }
    tl_column_list_done(&list);
}

static census count_store(tl_store *store, const tl_space *space)
{
    census c = {0};
    for (int m = 0; m < TL_N_METRICS; m++) {
        count_metric(store, space, (tl_metric)m, &c);
    }
    return c;
}

static tl_err append(void *context, const char *data, size_t len)
{
    tl_text *text = context;
    tl_text_add_bytes(text, data, len);
    return tl_text_err(text);
}

static tl_import_report import_text(
    tl_store *store, const tl_space *space, const char *csv, size_t len)
{
    tl_table table = {0};
    tl_import_report report = {0};
    assert_ok(tl_table_parse(space, "table", NULL, csv, len, &table));
    assert_ok(tl_columns_import(store, space, &table, NULL, NULL, &report));
    tl_table_done(&table);
    return report;
}

static void assert_round_trip(const char *path, const char *space_name)
{
    char *csv = NULL;
    size_t len = 0;
    tl_store *first = NULL;
    tl_store *second = NULL;
    tl_text text = {0};
    tl_text again = {0};
    tl_space *space = load_space(space_name);
    assert_ok(tl_file_read(path, MAX_TABLE_BYTES, &csv, &len));
    assert_ok(tl_store_open(tl_test_new_dir(), 1024, &first));
    assert_ok(tl_store_open(tl_test_new_dir(), 1024, &second));

    int64_t start_ns = tl_clock_ns();
    tl_import_report report = import_text(first, space, csv, len);
    int64_t imported_ns = tl_clock_ns();
    assert_ok(tl_columns_export(first, space, NULL, append, &text, NULL));
    int64_t exported_ns = tl_clock_ns();
    (void)printf(
        "%s: %d designs, %lld values; import %.0f ms, export %.0f ms\n", path, report.n_designs,
        (long long)report.n_values, (double)(imported_ns - start_ns) / (double)TL_NS_PER_MS,
        (double)(exported_ns - imported_ns) / (double)TL_NS_PER_MS);

    census wanted = count_text(csv);
    census got = count_store(first, space);
    assert_int_equal(report.n_repeated, 0);
    assert_int_equal(report.n_values, wanted.n);
    assert_int_equal(got.n, wanted.n);
    assert_true(got.bits == wanted.bits);
    report = import_text(second, space, text.data, text.len);
    assert_int_equal(report.n_new, wanted.n);
    assert_ok(tl_columns_export(second, space, NULL, append, &again, NULL));
    assert_string_equal(again.data, text.data);
    report = import_text(second, space, csv, len);
    assert_int_equal(report.n_new + report.n_changed, 0);

    tl_text_done(&text);
    tl_text_done(&again);
    tl_store_close(first);
    tl_store_close(second);
    tl_space_unref(space);
    tl_mem_free(csv);
}

static void what_is_imported_is_exported_bit_for_bit(void **state)
{
    (void)state;
    const char *data = tl_test_data_dir();
    if (data == NULL) {
        skip();
    }
    for (size_t i = 0; i < TL_COUNT(tables); i++) {
        char path[700];
        (void)snprintf(
            path, sizeof path, "%s/spaces/%s.yaml", tl_test_source_dir(), tables[i].space);
        if (!tl_file_exists(path)) {
            (void)printf("no space %s\n", tables[i].space);
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s.csv", data, tables[i].file);
        assert_round_trip(path, tables[i].space);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_imported_is_exported_bit_for_bit),
    };
    return cmocka_run_group_tests_name("measurements/real_tables", tests, NULL, NULL);
}
