/* SPDX-License-Identifier: Apache-2.0 */

/* Who waits for whom, and what becomes of requests whose client left. */

#include "tests/daemon/raw_client.h"

#include "base/file.h"
#include "base/keyfile.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "daemon/metrics.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <zmq.h>

#define LONG  "60000"
#define SHORT "1"

enum {
    BEAT_MS = 10
};

/* ---- lanes -------------------------------------------------------------------------------- */

static void bulk_and_writing_keep_nobody_else_waiting(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 1, NULL);
    raw_client busy = connect_raw(f.serving.endpoint);
    send_text(&busy, 1, "test.bulk", LONG);
    send_text(&busy, 2, "test.write", LONG);
    wait_sleeping(2);
    send_text(&busy, 3, "test.bulk", SHORT); /* waits */
    send_text(&busy, 4, "test.bulk", SHORT);
    expect(&busy, 4, TL_EBUSY, "1 requests are waiting");
    send_text(&busy, 5, "test.write", SHORT);
    send_text(&busy, 6, "test.write", SHORT);
    expect(&busy, 6, TL_EBUSY, "1 requests are waiting");
    send_text(&f.client, 7, "test.sleep", SHORT);
    expect(&f.client, 7, TL_OK, "");
    disconnect(&busy);
    wait_sleeping(0);
    send_text(&f.client, 8, "test.bulk", SHORT);
    expect(&f.client, 8, TL_OK, "");
    send_text(&f.client, 9, "test.write", SHORT);
    expect(&f.client, 9, TL_OK, "");
    stop(&f);
}

static void what_is_long_for_its_lane_goes_to_another(void **state)
{
    (void)state;
    enum {
        LEN = 400 * 1000
    };
    fixture f;
    start(&f, 1, 0, NULL);
    char *text = tl_mem_new(LEN + 1, 1);
    assert_non_null(text);
    memset(text, 'x', LEN);
    send_text(&f.client, 1, "test.bulk", "100");
    wait_sleeping(1);
    send_text(&f.client, 2, "test.echo", text); /* as long as bulk */
    send_text(&f.client, 3, "test.echo", "worker");
    expect(&f.client, 3, TL_OK, "");
    expect(&f.client, 1, TL_OK, "");
    expect(&f.client, 2, TL_OK, "");
    tl_mem_free(text);
    stop(&f);
}

/* Requests from id on, the first of which holds the router until the others are there: n short
 * ones, then this one. Answers come to the short ones. */
static void send_held(
    const fixture *f, uint64_t id, uint64_t n, const char *method, const char *text)
{
    int n_before = tl_test_n_sleeping();
    send_text(&f->client, id, "test.hold", "");
    wait_sleeping(n_before + 1);
    for (uint64_t i = 1; i <= n; i++) {
        send_text(&f->client, id + i, "test.echo", "x");
    }
    send_text(&f->client, id + n + 1, method, text);
    wait_for_arrival(f->serving.endpoint);
    tl_test_let_go();
    for (uint64_t i = 0; i <= n; i++) {
        Tailor__V1__Reply *reply = next_reply(&f->client);
        assert_int_equal(reply->error, TL_OK);
        assert_in_range(reply->request_id, id, id + n);
        tl_wire_free((ProtobufCMessage *)reply);
    }
}

static void short_requests_do_not_wait_behind_long_ones(void **state)
{
    (void)state;
    fixture f;
    start(&f, 2, 0, NULL);
    raw_client busy = connect_raw(f.serving.endpoint);
    send_text(&busy, 1, "test.sleep", LONG);
    send_text(&busy, 2, "test.sleep", LONG);
    wait_sleeping(2);
    send_held(&f, 1, 20, "test.sleep", LONG);
    assert_int_equal(tl_test_n_sleeping(), 2);
    disconnect(&busy);
    stop(&f);
}

/* The long one comes when short ones wait already, for a worker that is held by a short one. */
static void long_requests_give_short_ones_back(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    send_held(&f, 1, 6, "test.echo", "hold");
    wait_sleeping(1);
    send_held(&f, 11, 8, "test.sleep", LONG);
    stop(&f);
}

static void a_flood_of_one_client_leaves_room_for_others(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 3, NULL);
    raw_client flood = connect_raw(f.serving.endpoint);
    send_text(&flood, 1, "test.sleep", "200");
    wait_sleeping(1);
    for (uint64_t id = 2; id <= 4; id++) {
        send_text(&flood, id, "test.sleep", SHORT);
    }
    send_text(&flood, 5, "test.sleep", SHORT);
    expect(&flood, 5, TL_EBUSY, "3 requests are waiting");
    send_text(&f.client, 1, "test.sleep", SHORT);
    expect(&flood, 4, TL_EBUSY, "3 requests are waiting"); /* gave its place */
    expect(&f.client, 1, TL_OK, "");
    expect(&flood, 1, TL_OK, "");
    expect(&flood, 2, TL_OK, "");
    expect(&flood, 3, TL_OK, "");
    disconnect(&flood);
    stop(&f);
}

/* ---- clients that leave ------------------------------------------------------------------- */

/* Polled: the daemon answers nothing to who is gone. */
static void wait_idle(const tl_metrics *metrics)
{
    tl_metrics_now now = {.all = {.queued = 1}};
    struct timespec step = {.tv_nsec = TL_NS_PER_MS};
    for (int i = 0; i < PATIENCE_MS && now.all.queued + now.all.busy_workers > 0; i++) {
        (void)nanosleep(&step, NULL);
        tl_metrics_read(metrics, &now);
    }
    assert_int_equal(now.all.queued, 0);
    assert_int_equal(now.all.busy_workers, 0);
}

static void expect_page(const tl_metrics *metrics, const char *line)
{
    tl_text page = {0};
    tl_metrics_write(metrics, &page);
    if (strstr(page.data, line) == NULL) {
        fail_msg("no \"%s\" in\n%s", line, page.data);
    }
    tl_text_done(&page);
}

static void count_cancelled(const tl_metrics *metrics, int n)
{
    char line[128];
    (void)snprintf(
        line, sizeof line,
        "tailor_requests_total{method=\"test.bulk\",error=\"ECANCELLED\"} %d\n", n);
    expect_page(metrics, line);
}

static void *serve(void *context)
{
    tl_serving *serving = context;
    serving->result = tl_server_run(serving->server);
    return NULL;
}

static void serve_at(tl_serving *serving, tl_server_options options)
{
    serving->stop_fd = eventfd(0, EFD_NONBLOCK);
    options.stop_fd = serving->stop_fd;
    assert_ok(tl_server_open(&options, &serving->server));
    (void)snprintf(
        serving->endpoint, sizeof serving->endpoint, "%s",
        tl_server_endpoint(serving->server, 0));
    assert_int_equal(pthread_create(&serving->thread, NULL, serve, serving), 0);
}

/* One runs, two wait; it asked for nothing to be sent and nothing is. */
static void leave(const char *endpoint, const char *keys_dir, void (*guard)(void *socket))
{
    fixture f = {.client = {.context = NULL}};
    tl_metrics *metrics = NULL;
    assert_ok(tl_metrics_new(tl_test_methods, tl_test_methods_len, &metrics));
    tl_server_options options = {
        .n_workers = 1,
        .endpoints = &endpoint,
        .n_endpoints = 1,
        .methods = tl_test_methods,
        .n_methods = tl_test_methods_len,
        .metrics = metrics,
        .keys_dir = keys_dir};
    serve_at(&f.serving, options);
    for (int round = 1; round <= 2; round++) { /* a descriptor is used again */
        raw_client gone = {.context = zmq_ctx_new()};
        gone.socket = zmq_socket(gone.context, ZMQ_DEALER);
        int no_linger = 0;
        (void)zmq_setsockopt(gone.socket, ZMQ_LINGER, &no_linger, sizeof no_linger);
        if (guard != NULL) {
            guard(gone.socket);
        }
        assert_int_equal(zmq_connect(gone.socket, f.serving.endpoint), 0);
        for (uint64_t id = 1; id <= 3; id++) {
            send_text(&gone, id, "test.bulk", LONG);
        }
        wait_sleeping(1);
        disconnect(&gone);
        wait_sleeping(0);
        wait_idle(metrics);
        count_cancelled(metrics, 3 * round);
    }
    tl_serving_stop(&f.serving);
    tl_metrics_free(metrics);
}

static void work_for_a_client_that_left_ends_on_ipc(void **state)
{
    (void)state;
    char endpoint[256];
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/socket", tl_test_new_dir());
    leave(endpoint, NULL, NULL);
}

static void work_for_a_client_that_left_ends_on_tcp(void **state)
{
    (void)state;
    leave("tcp://127.0.0.1:*", NULL, NULL);
}

static tl_key_file client_key;

static void use_key(void *socket)
{
    (void)zmq_setsockopt(
        socket, ZMQ_CURVE_SERVERKEY, client_key.server_key, sizeof client_key.server_key);
    (void)zmq_setsockopt(
        socket, ZMQ_CURVE_PUBLICKEY, client_key.public_key, sizeof client_key.public_key);
    (void)zmq_setsockopt(
        socket, ZMQ_CURVE_SECRETKEY, client_key.secret_key, sizeof client_key.secret_key);
}

static void write_key(const char *dir, const char *name, const tl_key_file *key)
{
    char path[512];
    tl_text text = {0};
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    tl_key_file_print(key, &text);
    assert_ok(tl_file_write_secret(path, text.data, text.len));
    tl_text_done(&text);
}

static void work_for_a_client_that_left_ends_with_keys(void **state)
{
    (void)state;
    const char *dir = tl_test_new_dir();
    tl_key_file server = {.name = ""};
    tl_key_file alice = {.name = "alice", .role = "reader"};
    assert_int_equal(zmq_curve_keypair(server.public_key, server.secret_key), 0);
    assert_int_equal(zmq_curve_keypair(client_key.public_key, client_key.secret_key), 0);
    memcpy(client_key.server_key, server.public_key, sizeof server.public_key);
    memcpy(alice.public_key, client_key.public_key, sizeof alice.public_key);
    write_key(dir, "server.key", &server);
    write_key(dir, "alice.client", &alice);
    leave("tcp://127.0.0.1:*", dir, use_key);
}

/* It is gone before the router, which is held meanwhile, sees that there is a request. */
static void work_for_a_client_that_left_at_once_is_not_begun(void **state)
{
    (void)state;
    fixture f = {.client = {.context = NULL}};
    tl_metrics *metrics = NULL;
    assert_ok(tl_metrics_new(tl_test_methods, tl_test_methods_len, &metrics));
    tl_serving_start(
        &f.serving, (tl_server_options){
                        .n_workers = 1,
                        .methods = tl_test_methods,
                        .n_methods = tl_test_methods_len,
                        .metrics = metrics});
    f.client = connect_raw(f.serving.endpoint);
    send_text(&f.client, 1, "test.hold", "");
    wait_sleeping(1);
    for (int i = 0; i < 20; i++) {
        raw_client hasty = connect_raw(f.serving.endpoint);
        int linger_ms = PATIENCE_MS; /* sends what it has, then leaves */
        (void)zmq_setsockopt(hasty.socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
        send_text(&hasty, 1, "test.bulk", LONG);
        disconnect(&hasty);
    }
    wait_for_arrival(f.serving.endpoint);
    send_text(&f.client, 2, "test.bulk", SHORT); /* behind all of these */
    tl_test_let_go();
    expect(&f.client, 1, TL_OK, "");
    expect(&f.client, 2, TL_OK, "");
    count_cancelled(metrics, 20);
    expect_page(metrics, "\ntailor_queue_wait_seconds_count{lane=\"bulk\"} 1\n");
    stop(&f);
    tl_metrics_free(metrics);
}

/* ---- heartbeats ----------------------------------------------------------------------------- */

/* Reads until n finals came; counts the beats of requests 1 and 2. */
static void read_beats(const raw_client *c, int n_finals, int n_beats[3])
{
    for (int n = 0; n < n_finals;) {
        Tailor__V1__Reply *reply = next_reply(c);
        if (reply->kind == TAILOR__V1__REPLY__KIND__HEARTBEAT) {
            assert_in_range(reply->request_id, 1, 2);
            assert_int_equal(reply->body.len, 0);
            assert_int_equal(reply->error, 0);
            n_beats[reply->request_id]++;
        } else {
            assert_int_equal(reply->kind, TAILOR__V1__REPLY__KIND__FINAL);
            assert_int_equal(reply->error, 0);
            n++;
        }
        tl_wire_free((ProtobufCMessage *)reply);
    }
}

static void who_wants_heartbeats_gets_them_while_waiting_and_running(void **state)
{
    (void)state;
    fixture f;
    int n_beats[3] = {0};
    start(&f, 1, 0, NULL);
    send_text_with_beats(&f.client, 1, "test.sleep", "100", BEAT_MS);
    wait_sleeping(1);
    send_text_with_beats(&f.client, 2, "test.sleep", SHORT, BEAT_MS);
    read_beats(&f.client, 2, n_beats);
    assert_in_range(n_beats[1], 1, 100);
    assert_in_range(n_beats[2], 1, 100);
    stop(&f);
}

static void heartbeats_are_sent_to_nobody_else_and_not_too_often(void **state)
{
    (void)state;
    fixture f;
    int n_beats[3] = {0};
    start(&f, 2, 0, NULL);
    send_text_with_beats(&f.client, 1, "test.sleep", "50", 1); /* ten are enough */
    send_text(&f.client, 2, "test.sleep", "50");
    read_beats(&f.client, 2, n_beats);
    assert_in_range(n_beats[1], 1, 40);
    assert_int_equal(n_beats[2], 0);
    stop(&f);
}

int main(void)
{
    tl_log_set_level(TL_LOG_ERROR);
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(bulk_and_writing_keep_nobody_else_waiting),
        TEST(what_is_long_for_its_lane_goes_to_another),
        TEST(short_requests_do_not_wait_behind_long_ones),
        TEST(long_requests_give_short_ones_back),
        TEST(a_flood_of_one_client_leaves_room_for_others),
        TEST(work_for_a_client_that_left_ends_on_ipc),
        TEST(work_for_a_client_that_left_ends_on_tcp),
        TEST(work_for_a_client_that_left_ends_with_keys),
        TEST(work_for_a_client_that_left_at_once_is_not_begun),
        TEST(who_wants_heartbeats_gets_them_while_waiting_and_running),
        TEST(heartbeats_are_sent_to_nobody_else_and_not_too_often),
    };
#undef TEST
    return cmocka_run_group_tests_name("daemon/lanes", tests, NULL, NULL);
}
