/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/measurements/cell_store.h"

#include "base/mem.h"
#include "measurements/columns.h"

#include <math.h>

static tl_err import_text(const fixture *f, const char *csv, tl_import_report *report)
{
    tl_table table = {0};
    tl_import_report ignored;
    TL_TRY(parse(f->space, TL_TABLE_IMPORT, csv, &table));
    tl_err err = tl_columns_import(
        f->store, f->space, &table, NULL, NULL, report != NULL ? report : &ignored);
    tl_table_done(&table);
    return err;
}

static tl_err append(void *context, const char *data, size_t len)
{
    tl_text *text = context;
    tl_text_add_bytes(text, data, len);
    return tl_text_err(text);
}

static void assert_export(const fixture *f, const char *device, const char *wanted)
{
    tl_text text = {0};
    assert_ok(tl_columns_export(f->store, f->space, device, append, &text, NULL));
    assert_string_equal(text.data, wanted);
    tl_text_done(&text);
}

static uint64_t revision(const fixture *f)
{
    uint64_t r = 999;
    assert_ok(tl_columns_revision(f->store, "nasbench201", &r));
    return r;
}

#define FULL_HEADER HEADER ",w01,w02,w12,w03,w13,w23"
#define NO_BITS     ",-,-,-,-,-,-"

static void an_import_merges_and_an_export_returns_it(void **state)
{
    const fixture *f = *state;
    tl_import_report report = {0};
    assert_int_equal(revision(f), 0);
    assert_export(f, NULL, FULL_HEADER "\n");
    assert_ok(import_text(
        f,
        HEADER ",latency_ms@b,accuracy@t,energy_mj@b\n" CELL_B ",1.5,90,\n" CELL_A ",0.1,,\n",
        &report));
    assert_int_equal(report.n_designs, 2);
    assert_int_equal(report.n_columns, 2);
    assert_int_equal(report.n_values, 3);
    assert_int_equal(report.n_new, 3);
    assert_int_equal(report.n_changed, 0);
    assert_int_equal(report.revision, revision(f));
    assert_ok(import_text(
        f, HEADER ",latency_ms@b,latency_ms@a\n" CELL_C ",7,8\n" CELL_A ",0.2,\n", &report));
    assert_int_equal(report.n_new, 2);
    assert_int_equal(report.n_changed, 1);
    assert_export(
        f, NULL,
        FULL_HEADER ",latency_ms@a,latency_ms@b,accuracy@t\n" CELL_A NO_BITS
                    ",,0.2,\n" CELL_C NO_BITS ",8,7,\n" CELL_B NO_BITS ",,1.5,90\n");
    assert_export(f, "a", FULL_HEADER ",latency_ms@a\n" CELL_C NO_BITS ",8\n");
    assert_export(f, "none", FULL_HEADER "\n");
}

static void importing_again_changes_nothing(void **state)
{
    const fixture *f = *state;
    static const char csv[] = HEADER ",latency_ms@d\n" CELL_A ",1\n" CELL_B ",2\n";
    tl_import_report report = {0};
    assert_ok(import_text(f, csv, NULL));
    uint64_t before = revision(f);
    assert_ok(import_text(f, csv, &report));
    assert_int_equal(report.n_values, 2);
    assert_int_equal(report.n_new, 0);
    assert_int_equal(report.n_changed, 0);
    assert_int_equal(revision(f), before);
    assert_ok(import_text(f, HEADER ",latency_ms@d\n" CELL_A ",\n", &report));
    assert_int_equal(report.n_columns, 0);
    assert_int_equal(revision(f), before);
}

static void a_column_is_read_sorted_and_searched(void **state)
{
    const fixture *f = *state;
    tl_column column = {.n = -7};
    tl_table asked = {0};
    assert_ok(import_text(
        f, HEADER ",w01,latency_ms@d\n" CELL_D ",-,2\n" CELL_A ",-,1\n" CELL_D ",4,3\n", NULL));
    assert_err(
        TL_ENOTFOUND, tl_columns_get(f->store, f->space, TL_METRIC_ENERGY_MJ, "d", &column));
    assert_detail("no energy_mj of nasbench201 is measured on d");
    assert_err(
        TL_EINVAL, tl_columns_get(f->store, f->space, TL_METRIC_LATENCY_MS, "a b", &column));
    assert_int_equal(column.n, -7);
    assert_ok(tl_columns_get(f->store, f->space, TL_METRIC_LATENCY_MS, "d", &column));
    assert_int_equal(column.n, 3);
    assert_ok(parse(
        f->space, TL_TABLE_DESIGNS,
        HEADER ",w01\n" CELL_A ",-\n" CELL_D ",-\n" CELL_D ",4\n" CELL_D ",8\n" CELL_C ",-\n",
        &asked));
    static const double wanted[] = {1, 2, 3, (double)NAN, (double)NAN};
    for (int i = 0; i < asked.n; i++) {
        double value = tl_column_find(&column, asked.designs + i * asked.n_slots);
        assert_true(value == wanted[i] || (isnan(value) && isnan(wanted[i])));
    }
    tl_table_done(&asked);
    tl_column_done(&column);
}

static void a_device_is_forgotten_and_others_stay(void **state)
{
    const fixture *f = *state;
    tl_store_txn *txn = NULL;
    assert_ok(import_text(
        f, HEADER ",latency_ms@b,energy_mj@b,accuracy@b,latency_ms@bb\n" CELL_A ",1,2,3,4\n",
        NULL));
    uint64_t before = revision(f);
    assert_ok(tl_store_begin(f->store, &txn));
    assert_ok(tl_columns_remove_device(txn, "b"));
    assert_err(TL_EINVAL, tl_columns_remove_device(txn, ""));
    assert_ok(tl_store_commit(&txn));
    assert_export(f, NULL, FULL_HEADER ",latency_ms@bb,accuracy@b\n" CELL_A NO_BITS ",4,3\n");
    assert_true(revision(f) > before);
    before = revision(f);
    assert_ok(tl_store_begin(f->store, &txn));
    assert_ok(tl_columns_remove_device(txn, "unknown"));
    assert_ok(tl_store_commit(&txn));
    assert_int_equal(revision(f), before);
}

static void a_space_is_forgotten_and_its_revision_never_returns(void **state)
{
    const fixture *f = *state;
    tl_store_txn *txn = NULL;
    assert_ok(import_text(f, HEADER ",latency_ms@d\n" CELL_A ",1\n", NULL));
    uint64_t before = revision(f);
    assert_ok(tl_store_begin(f->store, &txn));
    assert_ok(tl_columns_remove_space(txn, "nasbench201"));
    assert_ok(tl_columns_remove_space(txn, "nasbench201"));
    assert_ok(tl_store_commit(&txn));
    assert_int_equal(revision(f), 0);
    assert_export(f, NULL, FULL_HEADER "\n");
    assert_ok(import_text(f, HEADER ",latency_ms@d\n" CELL_A ",1\n", NULL));
    assert_true(revision(f) > before);
}

static void another_space_of_the_same_name_is_refused(void **state)
{
    const fixture *f = *state;
    static const char csv[] = HEADER ",latency_ms@d\n" CELL_A ",1\n";
    fixture other = {.store = f->store, .space = another_space(f->space)};
    tl_column column = {0};
    tl_text text = {0};
    assert_ok(import_text(f, csv, NULL));
    assert_err(TL_ESTATE, import_text(&other, csv, NULL));
    assert_detail("of another space called nasbench201");
    assert_err(TL_ESTATE, import_text(&other, HEADER ",latency_ms@e\n" CELL_A ",1\n", NULL));
    assert_err(
        TL_ESTATE, tl_columns_get(f->store, other.space, TL_METRIC_LATENCY_MS, "d", &column));
    assert_err(TL_ESTATE, tl_columns_export(f->store, other.space, NULL, append, &text, NULL));
    tl_text_done(&text);
    tl_space_unref(other.space);
}

/* Registers devices as "known"; refuses one called "bad". */
static tl_err on_devices(
    void *context, tl_store_txn *txn, const char *const *devices, size_t n_devices)
{
    tl_text *seen = context;
    for (size_t i = 0; i < n_devices; i++) {
        if (strcmp(devices[i], "refused") == 0) {
            return tl_fail(TL_EDENIED, "no more devices");
        }
        tl_text_addf(seen, "%s ", devices[i]);
        TL_TRY(tl_store_put(txn, TL_DB_DEVICES, devices[i], strlen(devices[i]), "known", 5));
    }
    return tl_text_err(seen);
}

static void devices_are_registered_with_their_measurements_or_not_at_all(void **state)
{
    const fixture *f = *state;
    tl_text seen = {0};
    tl_table table = {0};
    tl_import_report report = {.n_columns = -7};
    void *value = NULL;
    size_t len = 0;
    assert_ok(parse(
        f->space, TL_TABLE_IMPORT,
        HEADER ",latency_ms@b,energy_mj@b,latency_ms@a,accuracy@t,latency_ms@refused\n" CELL_A
               ",1,2,,4,5\n",
        &table));
    assert_err(
        TL_EDENIED, tl_columns_import(f->store, f->space, &table, on_devices, &seen, &report));
    assert_string_equal(seen.data, "a b ");
    assert_int_equal(report.n_columns, -7);
    assert_int_equal(revision(f), 0);
    assert_export(f, NULL, FULL_HEADER "\n");
    assert_err(TL_ENOTFOUND, tl_store_get(f->store, TL_DB_DEVICES, "b", 1, &value, &len));
    table.n_columns--; /* of one row: what is left are its other cells */
    tl_text_clear(&seen);
    assert_ok(tl_columns_import(f->store, f->space, &table, on_devices, &seen, &report));
    assert_string_equal(seen.data, "a b ");
    assert_ok(tl_store_get(f->store, TL_DB_DEVICES, "a", 1, &value, &len));
    tl_mem_free(value);
    tl_table_done(&table);
    tl_text_done(&seen);
}

/* Every choice is one of its slot's, every value a number: nothing to fall over. */
static void assert_usable(const tl_space *space, const tl_column *column)
{
    for (int i = 0; i < column->n; i++) {
        assert_true(isfinite(column->values[i]));
        for (int s = 0; s < column->n_slots; s++) {
            tl_choice choice = column->designs[i * column->n_slots + s];
            assert_true(
                choice == TL_CHOICE_ABSENT || choice < tl_space_slot(space, s)->n_options);
        }
    }
}

static void a_column_damaged_in_the_store_is_said_to_be(void **state)
{
    const fixture *f = *state;
    static const char key[] = "cnasbench201\0"
                              "0d";
    tl_store_txn *txn = NULL;
    void *value = NULL;
    size_t len = 0;
    tl_column column = {0};
    assert_ok(import_text(f, HEADER ",latency_ms@d\n" CELL_A ",1\n" CELL_B ",2\n", NULL));
    assert_ok(tl_store_get(f->store, TL_DB_MEASUREMENTS, key, sizeof key - 1, &value, &len));
    for (size_t cut = 0; cut < len; cut++) {
        assert_ok(tl_store_begin(f->store, &txn));
        assert_ok(tl_store_put(txn, TL_DB_MEASUREMENTS, key, sizeof key - 1, value, cut));
        assert_ok(tl_store_commit(&txn));
        assert_err(
            TL_EDAMAGED,
            tl_columns_get(f->store, f->space, TL_METRIC_LATENCY_MS, "d", &column));
    }
    unsigned char *bytes = value;
    for (size_t i = 0; i < len; i++) {
        unsigned char before = bytes[i];
        bytes[i] = 0xfe;
        assert_ok(tl_store_begin(f->store, &txn));
        assert_ok(tl_store_put(txn, TL_DB_MEASUREMENTS, key, sizeof key - 1, value, len));
        assert_ok(tl_store_commit(&txn));
        tl_err err = tl_columns_get(f->store, f->space, TL_METRIC_LATENCY_MS, "d", &column);
        assert_true(
            err == TL_OK || err == TL_EDAMAGED || err == TL_EVERSION || err == TL_ESTATE);
        if (err == TL_OK) {
            assert_usable(f->space, &column);
            tl_column_done(&column);
        }
        bytes[i] = before;
    }
    tl_mem_free(value);
}

static tl_err refuse(void *context, const char *data, size_t len)
{
    (void)context;
    (void)data;
    (void)len;
    return tl_fail(TL_ECANCELLED, "the client has gone");
}

static void an_export_ends_when_its_reader_does(void **state)
{
    const fixture *f = *state;
    assert_err(TL_ECANCELLED, tl_columns_export(f->store, f->space, NULL, refuse, NULL, NULL));
    assert_detail("the client has gone");
}

static tl_err use_all(const fixture *f)
{
    tl_column column = {0};
    tl_column_list list = {0};
    tl_text text = {0};
    tl_store_txn *txn = NULL;
    TL_TRY(import_text(
        f, HEADER ",latency_ms@d,accuracy@t\n" CELL_A ",1,2\n" CELL_B ",2,\n", NULL));
    TL_TRY(tl_columns_get(f->store, f->space, TL_METRIC_LATENCY_MS, "d", &column));
    tl_column_done(&column);
    size_t n_left_out = 0;
    TL_TRY(tl_columns_largest(
        f->store, "nasbench201", TL_METRIC_LATENCY_MS, 2, &list, &n_left_out));
    tl_column_list_done(&list);
    tl_err err = tl_columns_export(f->store, f->space, NULL, append, &text, NULL);
    tl_text_done(&text);
    TL_TRY(err);
    TL_TRY(tl_store_begin(f->store, &txn));
    err = tl_columns_remove_device(txn, "d");
    tl_store_abort(&txn);
    return err;
}

/* libcsv asks for less when it is refused, so a failed allocation may go unnoticed. */
static void survives_every_allocation_failure(void **state)
{
    const fixture *f = *state;
    int n_failures = 0;
    for (long k = 1; k <= 90; k++) {
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        tl_err err = use_all(f);
        tl_mem_fail_at(0);
        assert_true(err == TL_OK || err == TL_ENOMEM);
        n_failures += err != TL_OK ? 1 : 0;
        assert_int_equal(tl_mem_live(), live_before);
    }
    assert_true(n_failures >= 30 && n_failures < 88);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_import_merges_and_an_export_returns_it),
        TEST(importing_again_changes_nothing),
        TEST(a_column_is_read_sorted_and_searched),
        TEST(a_device_is_forgotten_and_others_stay),
        TEST(a_space_is_forgotten_and_its_revision_never_returns),
        TEST(another_space_of_the_same_name_is_refused),
        TEST(devices_are_registered_with_their_measurements_or_not_at_all),
        TEST(a_column_damaged_in_the_store_is_said_to_be),
        TEST(an_export_ends_when_its_reader_does),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("measurements/columns", tests, NULL, NULL);
}
