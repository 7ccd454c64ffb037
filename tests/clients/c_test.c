/* SPDX-License-Identifier: Apache-2.0 */

/* libtailor against a server in this process. */

#include "tests/daemon/serving.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "clients/c/impl.h"
#include "clients/c/tailor.h"
#include "daemon/table_reply.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SHORT_MS = 200
};

typedef struct fixture {
    tl_engine *engine;
    tl_serving serving;
    tailor_client *client;
} fixture;

static tailor_client *open_client(const char *endpoint, int timeout_ms)
{
    tailor_client *client = NULL;
    tailor_options options = {.endpoint = endpoint, .timeout_ms = timeout_ms, .name = "c_test"};
    assert_int_equal(tailor_open(&options, &client), TAILOR_OK);
    return client;
}

/* methods NULL: those of a real daemon. */
static void start(fixture *f, const tl_method *const *methods, size_t n_methods)
{
    memset(f, 0, sizeof *f);
    f->engine = tl_test_engine_open(tl_test_new_dir());
    tl_server_options options = {
        .engine = f->engine, .n_workers = 2, .methods = methods, .n_methods = n_methods};
    tl_serving_start(&f->serving, options);
    f->client = open_client(f->serving.endpoint, 0);
}

static void stop(fixture *f)
{
    tailor_close(f->client);
    tl_serving_stop(&f->serving);
    tl_engine_close(f->engine);
}

#define assert_done(call)                                                                   \
    do {                                                                                    \
        tailor_err done_err_ = (call);                                                      \
        if (done_err_ != TAILOR_OK) {                                                       \
            fail_msg("%s: %s: %s", #call, tailor_err_name(done_err_), tailor_err_detail()); \
        }                                                                                   \
    } while (0)

#define assert_refused(wanted, text, call)                                            \
    do {                                                                              \
        tailor_err got_err_ = (call);                                                 \
        assert_string_equal(tailor_err_name(got_err_), tailor_err_name(wanted));      \
        if (strstr(tailor_err_detail(), text) == NULL) {                              \
            fail_msg("detail \"%s\" does not say \"%s\"", tailor_err_detail(), text); \
        }                                                                             \
    } while (0)

/* ---- stories ------------------------------------------------------------------------- */

static void spaces_are_listed_and_shown(void **state)
{
    (void)state;
    fixture f;
    tailor_table *table = NULL;
    char *text = NULL;
    char cell[TAILOR_CELL_BYTES];
    start(&f, NULL, 0);
    assert_done(tailor_space_list(f.client, &table));
    assert_true(tailor_table_n_rows(table) >= 6);
    assert_string_equal(tailor_table_name(table, 0), "space");
    size_t slots = tailor_table_find(table, "slots");
    assert_true(tailor_table_is_number(table, slots));
    for (size_t row = 0; row < tailor_table_n_rows(table); row++) {
        if (strcmp(tailor_table_text(table, 0, row), "nasbench201") == 0) {
            assert_string_equal(tailor_table_cell(table, slots, row, cell), "12");
        }
    }
    assert_int_equal(tailor_table_find(table, "nothing"), tailor_table_n_columns(table));
    tailor_table_free(table);

    assert_done(tailor_space_show(f.client, "nasbench201", &text));
    assert_non_null(strstr(text, "name: nasbench201"));
    tailor_text_free(text);
    assert_refused(
        TAILOR_ENOTFOUND, "nasbench201", tailor_space_show(f.client, "nasbench2", &text));
    assert_refused(TAILOR_ESTATE, "built in", tailor_space_remove(f.client, "nasbench201"));
    assert_refused(
        TAILOR_EINVAL, "mine.yaml",
        tailor_space_add(f.client, "mine.yaml", "kind: x\n", strlen("kind: x\n"), NULL));
    stop(&f);
}

static void devices_are_added_shown_and_removed(void **state)
{
    (void)state;
    static const char yaml[] = "name: bench9\nclass: cpu\n";
    fixture f;
    char *text = NULL;
    start(&f, NULL, 0);
    assert_done(tailor_device_add(f.client, "bench9.yaml", yaml, sizeof yaml - 1, &text));
    assert_string_equal(text, "bench9");
    tailor_text_free(text);
    assert_done(tailor_device_add_bare(f.client, "bare1"));
    assert_int_equal(tailor_n_warnings(f.client), 0);
    assert_done(tailor_device_add_bare(f.client, "bench9"));
    assert_int_equal(tailor_n_warnings(f.client), 1);
    assert_non_null(strstr(tailor_warning(f.client, 0), "known already"));
    assert_done(tailor_device_show(f.client, "bench9", &text));
    assert_non_null(strstr(text, "class: cpu"));
    tailor_text_free(text);
    assert_done(tailor_device_remove(f.client, "bare1"));
    assert_refused(TAILOR_ENOTFOUND, "bare1", tailor_device_remove(f.client, "bare1"));
    stop(&f);
}

static void status_and_jobs_are_listed(void **state)
{
    (void)state;
    fixture f;
    tailor_table *table = NULL;
    start(&f, NULL, 0);
    assert_done(tailor_status(f.client, &table));
    tailor_table_free(table);
    assert_done(tailor_job_list(f.client, &table));
    assert_int_equal(tailor_table_n_rows(table), 0);
    tailor_table_free(table);
    assert_refused(TAILOR_ENOTFOUND, "no job 9", tailor_job_cancel(f.client, 9));
    stop(&f);
}

/* A table that is handed out in pieces of a few bytes. */
typedef struct pieces {
    const char *text;
    size_t at, step, fail_at;
} pieces;

static int read_piece(void *context, char *buffer, size_t capacity, size_t *out_len)
{
    pieces *p = context;
    size_t left = strlen(p->text) - p->at;
    size_t len = p->step < left ? p->step : left;
    len = len < capacity ? len : capacity;
    if (p->fail_at != 0 && p->at >= p->fail_at) {
        return -1;
    }
    memcpy(buffer, p->text + p->at, len);
    p->at += len;
    *out_len = len;
    return 0;
}

static void count_progress(void *context, const tailor_progress *progress)
{
    int *n = context;
    assert_true(strlen(progress->what) > 0);
    ++*n;
}

static const char table_csv[] = "e01,e02,e12,e03,e13,e23,latency_ms@rig,accuracy@toy\n"
                                "none,none,none,none,none,none,1.1,10\n"
                                "nor_conv_3x3,none,none,none,none,none,2.7182818284590452,\n"
                                "none,none,none,none,none,none,1.3,11\n";

static void a_table_is_imported_and_comes_back(void **state)
{
    (void)state;
    fixture f;
    pieces p = {.text = table_csv, .step = 37};
    tailor_import_report *report = NULL;
    tailor_table *table = NULL;
    char cell[TAILOR_CELL_BYTES];
    int n_progress = 0;
    start(&f, NULL, 0);
    tailor_on_progress(f.client, count_progress, &n_progress);
    assert_done(
        tailor_measure_import(f.client, "nasbench201", "t.csv", read_piece, &p, &report));
    assert_true(n_progress > 3);
    assert_int_equal(report->n_rows, 3);
    assert_int_equal(report->n_designs, 2);
    assert_int_equal(report->n_values, 3);
    assert_int_equal(report->n_duplicate_rows, 1);
    assert_int_equal(report->n_new_devices, 1);
    assert_string_equal(report->new_devices[0], "rig");
    assert_int_equal(report->n_columns, 2);
    assert_string_equal(report->columns[1], "accuracy@toy");
    tailor_import_report_free(report);
    assert_int_equal(tailor_n_warnings(f.client), 1);

    assert_done(tailor_measure_export(f.client, "nasbench201", NULL, &table));
    assert_int_equal(tailor_table_n_rows(table), 2);
    size_t latency = tailor_table_find(table, "latency_ms@rig");
    size_t accuracy = tailor_table_find(table, "accuracy@toy");
    size_t e01 = tailor_table_find(table, "e01");
    for (size_t row = 0; row < 2; row++) {
        bool is_conv = strcmp(tailor_table_text(table, e01, row), "nor_conv_3x3") == 0;
        assert_string_equal(
            tailor_table_cell(table, latency, row, cell),
            is_conv ? "2.718281828459045" : "1.3");
        assert_string_equal(tailor_table_cell(table, accuracy, row, cell), is_conv ? "" : "11");
    }
    tailor_table_free(table);
    assert_refused(
        TAILOR_ENOTFOUND, "rigg",
        tailor_measure_export(f.client, "nasbench201", "rigg", &table));
    stop(&f);
}

static void a_failed_import_stores_nothing(void **state)
{
    (void)state;
    fixture f;
    pieces torn = {.text = table_csv, .step = 40, .fail_at = 80};
    pieces bad = {.text = "e01,e99\nnone,none\n", .step = 100};
    tailor_import_report *report = NULL;
    tailor_table *table = NULL;
    start(&f, NULL, 0);
    assert_refused(
        TAILOR_EIO, "cannot be read",
        tailor_measure_import(f.client, "nasbench201", "t.csv", read_piece, &torn, &report));
    assert_refused(
        TAILOR_EINVAL, "t.csv line 1",
        tailor_measure_import(f.client, "nasbench201", "t.csv", read_piece, &bad, &report));
    assert_refused(
        TAILOR_ENOTFOUND, "space",
        tailor_measure_import(f.client, "nowhere", "t.csv", read_piece, &bad, &report));
    assert_done(tailor_measure_export(f.client, "nasbench201", NULL, &table));
    assert_int_equal(tailor_table_n_rows(table), 0);
    tailor_table_free(table);
    stop(&f);
}

static void networks_come_whole(void **state)
{
    (void)state;
    static const char csv[] = "e01,e02,e12,e03,e13,e23\n"
                              "nor_conv_3x3,none,skip_connect,none,none,avg_pool_3x3\n"
                              "none,none,none,none,none,none\n";
    fixture f;
    tailor_lowered *lowered = NULL;
    start(&f, NULL, 0);
    assert_done(
        tailor_space_lower(f.client, "nasbench201", "d.csv", csv, sizeof csv - 1, &lowered));
    assert_int_equal(lowered->n_networks, 2);
    assert_int_equal(tailor_table_n_rows(lowered->designs), 2);
    assert_int_equal(lowered->networks[0].in_ch, 3);
    assert_string_equal(lowered->networks[0].ops[0].kind, "conv");
    assert_int_equal(lowered->networks[0].ops[0].inputs[0], -1);
    tailor_lowered_free(lowered);
    assert_refused(
        TAILOR_EINVAL, "d.csv",
        tailor_space_lower(f.client, "nasbench201", "d.csv", "e01\nx\n", 6, &lowered));
    stop(&f);
}

/* ---- the connection ------------------------------------------------------------------------ */

static tailor_err call_text(
    tailor_client *client, const char *method, const char *text, int timeout_ms)
{
    uint8_t body[64];
    char *reply = NULL;
    size_t len = 0;
    Tailor__V1__Text message;
    tailor__v1__text__init(&message);
    message.text = (char *)(uintptr_t)text;
    tailor_request request = {
        .method = method, .body = body, .len = tailor__v1__text__pack(&message, body)};
    request.timeout_ms = timeout_ms;
    tailor_err err = tailor_call(client, &request, &reply, &len);
    tailor_text_free(reply);
    return err;
}

static void nobody_there_is_said_in_time(void **state)
{
    (void)state;
    tailor_client *client = open_client("tcp://127.0.0.1:9", SHORT_MS);
    tailor_table *table = NULL;
    tailor_train_report *report = NULL;
    tailor_train_options options = {.space = "x"};
    tailor_evaluation *evaluation = NULL;
    tailor_evaluate_options evaluate_options = {.space = "x"};
    int64_t started_ns = tl_clock_ns();
    assert_refused(
        TAILOR_EUNREACHABLE, "no daemon answers at tcp://127.0.0.1:9 within 200 ms",
        tailor_status(client, &table));
    assert_refused(
        TAILOR_EUNREACHABLE, "no daemon answers at tcp://127.0.0.1:9 within 200 ms",
        tailor_train(client, &options, &report));
    assert_refused(
        TAILOR_EUNREACHABLE, "no daemon answers at tcp://127.0.0.1:9 within 200 ms",
        tailor_evaluate(client, &evaluate_options, &evaluation));
    int64_t elapsed_ms = (tl_clock_ns() - started_ns) / TL_NS_PER_MS;
    assert_in_range(elapsed_ms, 3 * SHORT_MS, 15 * SHORT_MS);
    tailor_close(client);
}

static void a_bad_endpoint_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "nonsense", "smoke://signal", "tcp://", "tcp://host"};
    for (size_t i = 0; i < TL_COUNT(bad); i++) {
        tailor_client *client = NULL;
        tailor_options options = {.endpoint = bad[i]};
        assert_refused(TAILOR_EINVAL, bad[i], tailor_open(&options, &client));
        assert_null(client);
    }
}

static void a_timeout_ends_the_wait_and_the_next_call_works(void **state)
{
    (void)state;
    fixture f;
    start(&f, tl_test_methods, tl_test_methods_len);
    int64_t started_ns = tl_clock_ns();
    tailor_err err = call_text(f.client, "test.sleep", "3000", SHORT_MS);
    assert_true(err == TAILOR_EDEADLINE || err == TAILOR_EUNREACHABLE);
    assert_true((tl_clock_ns() - started_ns) / TL_NS_PER_MS < 2000);
    assert_done(call_text(f.client, "test.echo", "hello", 0));
    assert_done(call_text(f.client, "test.sleep", "1", 0));
    stop(&f);
}

static void a_daemon_that_restarts_is_found_again(void **state)
{
    (void)state;
    fixture f;
    start(&f, tl_test_methods, tl_test_methods_len);
    assert_done(call_text(f.client, "test.echo", "hello", 0));
    tl_serving_stop(&f.serving);
    assert_refused(
        TAILOR_EUNREACHABLE, "no daemon answers",
        call_text(f.client, "test.echo", "hello", SHORT_MS));
    tl_serving again;
    tl_server_options options = {
        .engine = f.engine,
        .n_workers = 1,
        .methods = tl_test_methods,
        .n_methods = tl_test_methods_len};
    tl_serving_start(&again, options);
    tailor_client *client = open_client(again.endpoint, 0);
    assert_done(call_text(client, "test.echo", "hello", 0));
    tailor_close(client);
    tl_serving_stop(&again);
    tailor_close(f.client);
    tl_engine_close(f.engine);
}

static void *stop_later(void *context)
{
    fixture *f = context;
    struct timespec moment = {.tv_nsec = SHORT_MS * TL_NS_PER_MS};
    (void)nanosleep(&moment, NULL);
    tl_serving_stop(&f->serving);
    return NULL;
}

static void an_unbounded_call_notices_that_the_daemon_left(void **state)
{
    (void)state;
    fixture f;
    pthread_t stopper;
    start(&f, tl_test_methods, tl_test_methods_len);
    assert_done(call_text(f.client, "test.echo", "hello", -1));
    assert_int_equal(pthread_create(&stopper, NULL, stop_later, &f), 0);
    /* Ends only by the daemon's end: one of the calls finds no one to answer. */
    tailor_err err = TAILOR_OK;
    tailor_set_timeout_ms(f.client, SHORT_MS);
    while (err == TAILOR_OK || err == TAILOR_ESTATE) {
        err = call_text(f.client, "test.echo", "hello", -1);
    }
    assert_string_equal(tailor_err_name(err), "EUNREACHABLE");
    assert_int_equal(pthread_join(stopper, NULL), 0);
    tailor_close(f.client);
    tl_engine_close(f.engine);
}

static tailor_err join_numbers(void *context, const uint8_t *part, size_t len)
{
    int *n = context;
    assert_true(len > 0 && part != NULL);
    ++*n;
    return TAILOR_OK;
}

static void parts_and_progress_reach_the_caller(void **state)
{
    (void)state;
    fixture f;
    int n_progress = 0;
    int n_parts = 0;
    char *reply = NULL;
    size_t len = 0;
    start(&f, tl_test_methods, tl_test_methods_len);
    tailor_on_progress(f.client, count_progress, &n_progress);
    tailor_request request = {
        .method = "test.parts", .part = join_numbers, .context = &n_parts};
    assert_done(tailor_call(f.client, &request, &reply, &len));
    tailor_text_free(reply);
    assert_int_equal(n_parts, 2);
    assert_true(n_progress >= 1);
    assert_refused(TAILOR_ENOTFOUND, "test.parts", call_text(f.client, "test.part", "", 0));
    assert_refused(TAILOR_ESHAPE, "got ?", call_text(f.client, "test.fail", "x", 0));
    stop(&f);
}

/* ---- tables ----------------------------------------------------------------------------------- */

static Tailor__V1__Table *small_table(double number, const char *text)
{
    Tailor__V1__Table *table = tl_table_reply_new(1);
    assert_non_null(table);
    assert_ok(tl_table_reply_numbers(table, "number", 4, &number));
    assert_ok(tl_table_reply_texts(table, "text", &text));
    return table;
}

static void parts_of_a_table_are_joined(void **state)
{
    (void)state;
    Tailor__V1__Table *first = small_table(1.0, "a");
    Tailor__V1__Table *second = small_table(0.123456789, "b");
    Tailor__V1__Table *third = small_table((double)NAN, "b");
    Tailor__V1__Table *other = tl_table_reply_new(1);
    tailor_table *table = NULL;
    char cell[TAILOR_CELL_BYTES];
    assert_ok(tl_client_table_append(first, second));
    assert_ok(tl_client_table_append(first, third));
    assert_err(TL_EDAMAGED, tl_client_table_append(first, other));
    assert_ok(tl_client_table_check(first));
    assert_ok(tl_client_table_take(&first, &table));
    assert_int_equal(tailor_table_n_rows(table), 3);
    assert_string_equal(tailor_table_text(table, 1, 0), "a");
    assert_string_equal(tailor_table_text(table, 1, 1), "b");
    assert_string_equal(tailor_table_text(table, 1, 2), "b");
    assert_string_equal(tailor_table_cell(table, 0, 1, cell), "0.1235");
    assert_string_equal(tailor_table_cell(table, 0, 2, cell), "");
    assert_string_equal(tailor_table_text(table, 9, 9), "");
    assert_string_equal(tailor_table_text(table, 0, 0), "");
    assert_true(isnan(tailor_table_number(table, 1, 0)));
    assert_true(isnan(tailor_table_number(table, 0, 77)));
    tailor_table_free(table);
    tl_table_reply_free(second);
    tl_table_reply_free(third);
    tl_table_reply_free(other);
}

static void a_table_that_contradicts_itself_is_refused(void **state)
{
    (void)state;
    Tailor__V1__Table *table = small_table(1.0, "a");
    table->columns[1]->index[0] = 7;
    assert_err(TL_EDAMAGED, tl_client_table_check(table));
    table->columns[1]->index[0] = 0;
    table->n_rows = 2;
    assert_err(TL_EDAMAGED, tl_client_table_check(table));
    table->n_rows = 1;
    assert_ok(tl_client_table_check(table));
    tl_table_reply_free(table);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(spaces_are_listed_and_shown),
        TEST(devices_are_added_shown_and_removed),
        TEST(status_and_jobs_are_listed),
        TEST(a_table_is_imported_and_comes_back),
        TEST(a_failed_import_stores_nothing),
        TEST(networks_come_whole),
        TEST(nobody_there_is_said_in_time),
        TEST(a_bad_endpoint_is_refused),
        TEST(a_timeout_ends_the_wait_and_the_next_call_works),
        TEST(a_daemon_that_restarts_is_found_again),
        TEST(an_unbounded_call_notices_that_the_daemon_left),
        TEST(parts_and_progress_reach_the_caller),
        TEST(parts_of_a_table_are_joined),
        TEST(a_table_that_contradicts_itself_is_refused),
    };
#undef TEST
    tl_log_set_level(TL_LOG_ERROR);
    return cmocka_run_group_tests_name("clients/c", tests, NULL, NULL);
}
