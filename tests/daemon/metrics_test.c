/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/serving.h"

#include "base/mem.h"
#include "daemon/metrics_http.h"
#include "daemon/metrics_page.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_THREADS = 4,
    N_EACH = 5000,
    NS_PER_MS = 1000000
};

static tl_metrics *make(void)
{
    tl_metrics *metrics = NULL;
    assert_ok(tl_metrics_new(tl_test_methods, tl_test_methods_len, &metrics));
    return metrics;
}

static void assert_has(const tl_text *page, const char *line)
{
    if (strstr(page->data, line) == NULL) {
        print_error("no \"%s\" in\n%s", line, page->data);
        fail();
    }
}

static void answers_are_counted_by_method_and_error(void **state)
{
    (void)state;
    tl_metrics *metrics = make();
    tl_text page = {0};
    tl_metrics_now now;
    const char *name = tl_test_methods[0]->name;
    char line[256];
    tl_metrics_answered(metrics, tl_test_methods[0], TL_OK, 2 * NS_PER_MS);
    tl_metrics_answered(metrics, tl_test_methods[0], TL_OK, 40 * NS_PER_MS);
    tl_metrics_answered(metrics, tl_test_methods[0], TL_EBUSY, -5); /* clocks may differ */
    tl_metrics_answered(metrics, NULL, TL_EINVAL, 1);
    tl_metrics_write(metrics, &page);
    assert_ok(tl_text_err(&page));
    (void)snprintf(
        line, sizeof line, "\ntailor_requests_total{method=\"%s\",error=\"OK\"} 2\n", name);
    assert_has(&page, line);
    (void)snprintf(
        line, sizeof line, "\ntailor_requests_total{method=\"%s\",error=\"EBUSY\"} 1\n", name);
    assert_has(&page, line);
    assert_has(&page, "\ntailor_requests_total{method=\"unknown\",error=\"EINVAL\"} 1\n");
    (void)snprintf(
        line, sizeof line,
        "\ntailor_request_duration_seconds_bucket{method=\"%s\",le=\"0.0025\"} 2\n", name);
    assert_has(&page, line);
    (void)snprintf(
        line, sizeof line,
        "\ntailor_request_duration_seconds_bucket{method=\"%s\",le=\"+Inf\"} 3\n"
        "tailor_request_duration_seconds_sum{method=\"%s\"} 0.042\n"
        "tailor_request_duration_seconds_count{method=\"%s\"} 3\n",
        name, name, name);
    assert_has(&page, line);
    tl_metrics_read(metrics, &now);
    assert_int_equal(now.answered, 4);
    assert_int_equal(now.failed, 2);
    tl_text_done(&page);
    tl_metrics_free(metrics);
}

static void an_edge_belongs_to_its_bucket(void **state)
{
    (void)state;
    tl_metrics *metrics = make();
    tl_text page = {0};
    tl_metrics_taken(metrics, TL_LANE_WORK, NS_PER_MS);
    tl_metrics_taken(metrics, TL_LANE_WORK, NS_PER_MS + 1);
    tl_metrics_taken(metrics, TL_LANE_WORK, INT64_MAX);
    tl_metrics_taken(metrics, TL_LANE_BULK, NS_PER_MS);
    tl_metrics_write(metrics, &page);
    assert_has(&page, "\ntailor_queue_wait_seconds_bucket{lane=\"work\",le=\"0.0005\"} 0\n");
    assert_has(&page, "\ntailor_queue_wait_seconds_bucket{lane=\"work\",le=\"0.001\"} 1\n");
    assert_has(&page, "\ntailor_queue_wait_seconds_bucket{lane=\"work\",le=\"300\"} 2\n");
    assert_has(&page, "\ntailor_queue_wait_seconds_bucket{lane=\"work\",le=\"+Inf\"} 3\n");
    assert_has(&page, "\ntailor_queue_wait_seconds_count{lane=\"bulk\"} 1\n");
    tl_text_done(&page);
    tl_metrics_free(metrics);
}

static void gauges_go_up_and_down_and_never_below_zero(void **state)
{
    (void)state;
    tl_metrics *metrics = make();
    tl_metrics_now now;
    tl_text page = {0};
    tl_metrics_set_limits(metrics, TL_LANE_WORK, 3, 64);
    tl_metrics_set_limits(metrics, TL_LANE_BULK, 2, 8);
    tl_metrics_queued(metrics, TL_LANE_WORK);
    tl_metrics_queued(metrics, TL_LANE_WORK);
    tl_metrics_queued(metrics, TL_LANE_WORK);
    tl_metrics_dropped(metrics, TL_LANE_WORK);
    tl_metrics_taken(metrics, TL_LANE_WORK, 0);
    tl_metrics_queued(metrics, TL_LANE_BULK);
    tl_metrics_read(metrics, &now);
    assert_int_equal(now.lanes[TL_LANE_WORK].queued, 1);
    assert_int_equal(now.lanes[TL_LANE_WORK].busy_workers, 1);
    assert_int_equal(now.lanes[TL_LANE_BULK].queued, 1);
    assert_int_equal(now.all.queued, 2);
    assert_int_equal(now.all.n_workers, 5);
    assert_int_equal(now.all.max_queued, 72);
    tl_metrics_write(metrics, &page);
    assert_has(&page, "\ntailor_queue_depth{lane=\"work\"} 1\n");
    assert_has(&page, "\ntailor_queue_capacity{lane=\"bulk\"} 8\n");
    assert_has(&page, "\ntailor_workers{lane=\"work\"} 3\n");
    assert_has(&page, "\ntailor_workers_busy{lane=\"write\"} 0\n");
    tl_text_done(&page);
    tl_metrics_taken(metrics, TL_LANE_WORK, 0);
    tl_metrics_taken(metrics, TL_LANE_WORK, 0); /* before it was counted as queued */
    tl_metrics_read(metrics, &now);
    assert_int_equal(now.lanes[TL_LANE_WORK].queued, 0);
    tl_metrics_free(metrics);
    tl_metrics_queued(NULL, TL_LANE_WORK);
    tl_metrics_dropped(NULL, TL_LANE_WORK);
    tl_metrics_taken(NULL, TL_LANE_WORK, 0);
    tl_metrics_released(NULL, TL_LANE_WORK);
    tl_metrics_answered(NULL, NULL, TL_OK, 0);
    tl_metrics_set_limits(NULL, TL_LANE_WORK, 1, 1);
}

static void *count_many(void *context)
{
    for (int i = 0; i < N_EACH; i++) {
        tl_metrics_queued(context, TL_LANE_WORK);
        tl_metrics_taken(context, TL_LANE_WORK, i);
        tl_metrics_answered(context, tl_test_methods[i % 2], (tl_err)(i % 3), i);
        tl_metrics_released(context, TL_LANE_WORK);
    }
    return NULL;
}

static void no_count_is_lost_between_threads(void **state)
{
    (void)state;
    tl_metrics *metrics = make();
    pthread_t threads[N_THREADS];
    tl_metrics_now now;
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, metrics), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    tl_metrics_read(metrics, &now);
    assert_int_equal(now.answered, N_THREADS * N_EACH);
    assert_int_equal(now.failed, N_THREADS * (N_EACH - (N_EACH + 2) / 3));
    assert_int_equal(now.all.queued, 0);
    assert_int_equal(now.all.busy_workers, 0);
    tl_metrics_free(metrics);
}

static void labels_are_escaped(void **state)
{
    (void)state;
    tl_text text = {0};
    tl_metrics_label(&text, "a\"b\\c\nd");
    assert_string_equal(text.data, "a\\\"b\\\\c\\nd");
    tl_text_done(&text);
}

static void the_page_tells_of_the_engine(void **state)
{
    (void)state;
    tl_engine *engine = tl_test_engine_open(tl_test_new_dir());
    tl_metrics *metrics = make();
    tl_text page = {0};
    assert_ok(tl_metrics_page(engine, metrics, &page));
    assert_has(&page, "\ntailor_jobs_running 0\n");
    assert_has(&page, "\ntailor_views_cached 0\n");
    assert_has(&page, "\n# TYPE tailor_store_bytes gauge\ntailor_store_bytes ");
    assert_has(&page, "\n# TYPE tailor_store_writable gauge\ntailor_store_writable 1\n");
    assert_has(&page, "tailor_build_info{version=\"");
    tl_text_done(&page);
    tl_metrics_free(metrics);
    tl_engine_close(engine);
}

static void the_page_survives_every_allocation_failure(void **state)
{
    (void)state;
    tl_engine *engine = tl_test_engine_open(tl_test_new_dir());
    tl_metrics *metrics = make();
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    for (long k = 1; err != TL_OK; k++) {
        tl_text page = {0};
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_metrics_page(engine, metrics, &page);
        tl_mem_fail_at(0);
        tl_text_done(&page);
        assert_int_equal(tl_mem_live(), live_before);
        assert_true(err == TL_OK || err == TL_ENOMEM);
        n_failures += err != TL_OK;
    }
    assert_true(n_failures >= 3);
    tl_metrics_free(metrics);
    tl_engine_close(engine);
}

static void bad_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const good[] = {
        "127.0.0.1:9411", ":9411", "localhost:0", "[::1]:9411", "0.0.0.0:65535"};
    static const char *const bad[] = {
        "",          "9411",          "127.0.0.1",  "127.0.0.1:", "host:x",
        "host:9411", "[::1:9411",     "::1:9411",   "1.2.3:9411", "127.0.0.1:+1",
        "[]:9411",   "1.2.3.4:65536", "1.2.3.4:-1", " 1.2.3.4:1", "[1.2.3.4]:1"};
    for (size_t i = 0; i < TL_COUNT(good); i++) {
        assert_ok(tl_metrics_http_check(good[i]));
    }
    for (size_t i = 0; i < TL_COUNT(bad); i++) {
        assert_err(TL_EINVAL, tl_metrics_http_check(bad[i]));
        assert_detail("want HOST:PORT");
    }
}

static void a_taken_port_is_an_error(void **state)
{
    (void)state;
    char address[64];
    tl_metrics *metrics = make();
    tl_metrics_http *first = NULL;
    tl_metrics_http *second = NULL;
    assert_ok(tl_metrics_http_open(":0", NULL, metrics, &first));
    const char *port = strrchr(tl_metrics_http_address(first), ':') + 1;
    (void)snprintf(address, sizeof address, "127.0.0.1:%.*s", (int)strcspn(port, "/"), port);
    assert_err(TL_EIO, tl_metrics_http_open(address, NULL, metrics, &second));
    assert_detail("metrics: cannot listen at 127.0.0.1:");
    assert_null(second);
    tl_metrics_http_close(first);
    tl_metrics_http_close(NULL);
    tl_metrics_free(metrics);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(answers_are_counted_by_method_and_error),
        TEST(an_edge_belongs_to_its_bucket),
        TEST(gauges_go_up_and_down_and_never_below_zero),
        TEST(no_count_is_lost_between_threads),
        TEST(labels_are_escaped),
        TEST(the_page_tells_of_the_engine),
        TEST(the_page_survives_every_allocation_failure),
        TEST(bad_addresses_are_refused),
        TEST(a_taken_port_is_an_error),
    };
#undef TEST
    return cmocka_run_group_tests_name("daemon/metrics", tests, NULL, NULL);
}
