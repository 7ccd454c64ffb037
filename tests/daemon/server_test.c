/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/raw_client.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/endpoint.h"
#include "numerics/rng.h"
#include "proto/tailor.pb-c.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum {
    SHORT_MS = 50
};

/* ---- answers ------------------------------------------------------------------------ */

static void both_lanes_answer_under_the_request_id(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    send_text(&f.client, 7, "test.echo", "hello");
    Tailor__V1__Reply *reply = next_reply(&f.client);
    assert_int_equal(reply->request_id, 7);
    assert_int_equal(reply->error, 0);
    assert_int_equal(reply->body.len, 7); /* tag, length, hello */
    tl_wire_free((ProtobufCMessage *)reply);
    send_text(&f.client, 8, "test.sleep", "1");
    expect(&f.client, 8, TL_OK, "");
    stop(&f);
}

static void warnings_travel_with_the_answer(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    send_text(&f.client, 1, "test.echo", "warn");
    Tailor__V1__Reply *reply = next_reply(&f.client);
    assert_int_equal(reply->n_warnings, 1);
    assert_string_equal(reply->warnings[0], "you said warn");
    tl_wire_free((ProtobufCMessage *)reply);
    stop(&f);
}

/* One of n_bytes waits for the only worker, another one does not. */
static void assert_goes_to_a_worker(const char *method, size_t n_bytes, tl_err err)
{
    fixture f;
    start(&f, 1, 0, NULL);
    char *text = tl_mem_new(n_bytes + 1, 1);
    assert_non_null(text);
    memset(text, 'x', n_bytes);
    send_text(&f.client, 1, "test.sleep", "100");
    send_text(&f.client, 2, method, text);
    send_text(&f.client, 3, method, "short");
    expect(&f.client, 3, err, "");
    expect(&f.client, 1, TL_OK, "");
    expect(&f.client, 2, err, "");
    tl_mem_free(text);
    stop(&f);
}

static void long_requests_of_the_fast_lane_go_to_a_worker(void **state)
{
    (void)state;
    assert_goes_to_a_worker("test.echo", 200 * 1000, TL_OK);
    assert_goes_to_a_worker("test.fail", 17 * 1024, TL_ESHAPE); /* also where none is named */
}

static void progress_and_parts_come_before_the_final_reply(void **state)
{
    (void)state;
    tl_engine *engine = tl_test_engine_open(tl_test_new_dir());
    fixture f;
    start(&f, 2, 0, engine);
    int n_of[3] = {0};
    send_text(&f.client, 5, "test.parts", "");
    for (bool is_final = false; !is_final;) {
        Tailor__V1__Reply *reply = next_reply(&f.client);
        assert_int_equal(reply->request_id, 5);
        assert_int_equal(reply->error, 0);
        n_of[reply->kind]++;
        is_final = reply->kind == TAILOR__V1__REPLY__KIND__FINAL;
        tl_wire_free((ProtobufCMessage *)reply);
    }
    assert_true(n_of[TAILOR__V1__REPLY__KIND__PROGRESS] >= 1);
    assert_int_equal(n_of[TAILOR__V1__REPLY__KIND__PART], 2);
    stop(&f);
    tl_engine_close(engine);
}

/* How many parts came before the final reply, which says err with this in its detail. */
static int read_parts(const raw_client *c, tl_err err, const char *detail)
{
    for (int n = 0;; n++) {
        Tailor__V1__Reply *reply = next_reply(c);
        bool is_final = reply->kind == TAILOR__V1__REPLY__KIND__FINAL;
        if (is_final) {
            assert_int_equal(reply->error, err);
            assert_non_null(strstr(reply->error_detail, detail));
        }
        tl_wire_free((ProtobufCMessage *)reply);
        if (is_final) {
            return n;
        }
    }
}

static void a_part_that_could_not_be_made_is_an_error_at_the_end(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    send_text(&f.client, 1, "test.huge", "");
    assert_int_equal(read_parts(&f.client, TL_ELIMIT, "a part of the reply was lost"), 2);
    stop(&f);
}

/* It reads on only when a part was lost, and then finds more parts. */
static void a_part_that_could_not_be_sent_is_an_error_at_the_end(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    send_text(&f.client, 1, "test.torn", "");
    wait_sleeping(1);
    for (bool is_after = false; !is_after;) {
        Tailor__V1__Reply *reply = next_reply(&f.client);
        assert_int_equal(reply->kind, TAILOR__V1__REPLY__KIND__PART);
        is_after = reply->body.len < 16;
        tl_wire_free((ProtobufCMessage *)reply);
    }
    tl_test_let_go();
    (void)read_parts(&f.client, TL_ELIMIT, "read too slowly");
    send_text(&f.client, 2, "test.echo", "still there");
    expect(&f.client, 2, TL_OK, "");
    stop(&f);
}

/* ---- refusals -------------------------------------------------------------------------- */

static void unknown_methods_are_named_with_the_nearest(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    send_text(&f.client, 3, "test.ecko", "x");
    expect(&f.client, 3, TL_ENOTFOUND, "the nearest is test.echo");
    send_text(&f.client, 4, "", "x");
    expect(&f.client, 4, TL_ENOTFOUND, "no such method");
    stop(&f);
}

static void another_protocol_version_is_refused(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    Tailor__V1__Request request = request_for(9, "test.echo");
    request.protocol = 2;
    send_request(&f.client, &request);
    expect(&f.client, 9, TL_EVERSION, "version 2");
    request.protocol = 0;
    send_request(&f.client, &request);
    expect(&f.client, 9, TL_EVERSION, "version 0");
    stop(&f);
}

static void names_that_are_too_long_are_refused(void **state)
{
    enum {
        N = 300
    };
    char name[N + 1];
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    memset(name, 'x', N);
    name[N] = '\0';
    Tailor__V1__Request request = request_for(7, name);
    send_request(&f.client, &request);
    expect(&f.client, 7, TL_EINVAL, "method: longer than 64 bytes");
    request = request_for(8, "test.echo");
    request.client = name;
    send_request(&f.client, &request);
    expect(&f.client, 8, TL_EINVAL, "client: longer than 256 bytes");
    stop(&f);
}

static void errors_are_typed_and_their_texts_are_clean(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    send_text(&f.client, 1, "test.fail", "a\nb");
    expect(&f.client, 1, TL_ESHAPE, "got ? and a?b");
    stop(&f);
}

static void malformed_frames_are_answered(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    void *socket = f.client.socket;
    assert_true(zmq_send(socket, "one frame", 9, 0) >= 0);
    expect(&f.client, 0, TL_EINVAL, "one empty frame");
    assert_true(zmq_send(socket, "", 0, 0) >= 0);
    expect(&f.client, 0, TL_EINVAL, "one empty frame");
    assert_true(zmq_send(socket, "x", 1, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(socket, "y", 1, 0) >= 0);
    expect(&f.client, 0, TL_EINVAL, "one empty frame");
    assert_true(zmq_send(socket, "", 0, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(socket, "y", 1, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(socket, "z", 1, 0) >= 0);
    expect(&f.client, 0, TL_EINVAL, "one empty frame");
    send_bytes(&f.client, "\xff\xff\xff", 3);
    expect(&f.client, 0, TL_EINVAL, "");
    send_text(&f.client, 2, "test.echo", "still there");
    expect(&f.client, 2, TL_OK, "");
    stop(&f);
}

static void a_request_cut_anywhere_is_answered(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    Tailor__V1__Request request = request_for(1, "test.echo");
    uint8_t bytes[64];
    request.client = (char *)(uintptr_t) "test";
    size_t whole = tailor__v1__request__pack(&request, bytes);
    for (size_t len = 0; len < whole; len++) {
        send_bytes(&f.client, bytes, len);
        Tailor__V1__Reply *reply = next_reply(&f.client);
        assert_int_equal(reply->kind, TAILOR__V1__REPLY__KIND__FINAL);
        tl_wire_free((ProtobufCMessage *)reply);
    }
    stop(&f);
}

static void random_messages_are_answered(void **state)
{
    (void)state;
    enum {
        N = 500
    };
    fixture f;
    start(&f, 1, 0, NULL);
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (int i = 0; i < N; i++) {
        uint8_t bytes[128];
        size_t len = (size_t)tl_rng_below(&rng, sizeof bytes);
        for (size_t b = 0; b < len; b++) {
            bytes[b] = (uint8_t)tl_rng_below(&rng, 256);
        }
        send_bytes(&f.client, bytes, len);
        Tailor__V1__Reply *reply = next_reply(&f.client);
        assert_true(reply->error != 0);
        tl_wire_free((ProtobufCMessage *)reply);
    }
    stop(&f);
}

static void a_message_that_is_too_large_is_refused(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    size_t len = (size_t)TL_WIRE_MAX_BYTES + 1;
    uint8_t *bytes = tl_mem_new(len, 1);
    assert_non_null(bytes);
    send_bytes(&f.client, bytes, len);
    expect(&f.client, 0, TL_ELIMIT, "at most");
    tl_mem_free(bytes);

    /* Beyond the hard limit the connection is closed; others do not notice. */
    raw_client rude = connect_raw(f.serving.endpoint);
    int patience_ms = SHORT_MS;
    char nothing[1];
    bytes = tl_mem_new((size_t)TL_WIRE_HARD_MAX_BYTES + 1, 1);
    assert_non_null(bytes);
    assert_int_equal(
        zmq_setsockopt(rude.socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms), 0);
    send_bytes(&rude, bytes, (size_t)TL_WIRE_HARD_MAX_BYTES + 1);
    assert_int_equal(zmq_recv(rude.socket, nothing, sizeof nothing, 0), -1);
    disconnect(&rude);
    tl_mem_free(bytes);
    send_text(&f.client, 2, "test.echo", "still there");
    expect(&f.client, 2, TL_OK, "");
    stop(&f);
}

/* ---- deadlines, load, stopping ---------------------------------------------------------- */

static void a_deadline_ends_running_and_waiting_work(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    Tailor__V1__Request request = request_for(1, "test.sleep");
    uint8_t body[] = {0x0a, 5, '3', '0', '0', '0', '0'};
    request.body = (ProtobufCBinaryData){.len = sizeof body, .data = body};
    request.deadline_ms = 4 * SHORT_MS;
    int64_t started_ns = tl_clock_ns();
    send_request(&f.client, &request);
    wait_sleeping(1);
    request.request_id = 2;
    request.deadline_ms = 1; /* over before the worker is free: it hears of it before that */
    send_request(&f.client, &request);
    expect(&f.client, 2, TL_EDEADLINE, "before a worker was free");
    expect(&f.client, 1, TL_EDEADLINE, "");
    assert_true(tl_clock_ns() - started_ns < PATIENCE_MS * TL_NS_PER_MS);
    stop(&f);
}

enum {
    LONG_BYTES = 100 * 1000 /* of a text; the message has a few more */
};

static void start_bounded(fixture *f, size_t max_held_bytes)
{
    tl_server_options options = {
        .n_workers = 1,
        .max_held_bytes = max_held_bytes,
        .methods = tl_test_methods,
        .n_methods = tl_test_methods_len};
    tl_serving_start(&f->serving, options);
    f->client = connect_raw(f->serving.endpoint);
}

/* As send_text(), with spaces behind the text. */
static void send_long(const raw_client *c, uint64_t id, const char *method, const char *text)
{
    static char padded[LONG_BYTES + 1];
    (void)snprintf(padded, sizeof padded, "%-*s", (int)LONG_BYTES, text);
    send_text(c, id, method, padded);
}

static void waiting_requests_are_bounded_in_bytes(void **state)
{
    (void)state;
    fixture f;
    start_bounded(&f, 1000);
    send_long(&f.client, 1, "test.sleep", "50"); /* alone, it may be as long as it is */
    wait_sleeping(1);
    send_long(&f.client, 2, "test.sleep", "50");
    expect(&f.client, 2, TL_EBUSY, "bytes are waiting already");
    send_text(&f.client, 3, "test.sleep", "1"); /* short ones are bounded by their number */
    send_long(&f.client, 4, "test.write", "1"); /* another lane has a bound of its own */
    int n_seen[5] = {0};
    for (int i = 0; i < 3; i++) {
        Tailor__V1__Reply *reply = next_reply(&f.client);
        assert_int_equal(reply->error, 0);
        assert_in_range(reply->request_id, 1, 4);
        n_seen[reply->request_id]++;
        tl_wire_free((ProtobufCMessage *)reply);
    }
    assert_true(n_seen[1] == 1 && n_seen[3] == 1 && n_seen[4] == 1);
    send_long(&f.client, 5, "test.sleep", "1"); /* given back, it counts no more */
    expect(&f.client, 5, TL_OK, "");
    stop(&f);
}

static void who_holds_most_bytes_gives_some_back(void **state)
{
    (void)state;
    fixture f;
    start_bounded(&f, 5 * LONG_BYTES / 2);
    raw_client greedy = connect_raw(f.serving.endpoint);
    send_long(&greedy, 1, "test.sleep", "60000");
    wait_sleeping(1);
    send_long(&greedy, 2, "test.sleep", "1");
    send_long(&greedy, 3, "test.sleep", "1");
    expect(&greedy, 3, TL_EBUSY, "bytes are waiting already");
    send_long(&f.client, 1, "test.sleep", "1");
    expect(&greedy, 2, TL_EBUSY, "bytes are waiting already"); /* gave its place */
    send_long(&f.client, 2, "test.sleep", "1");
    expect(&f.client, 2, TL_EBUSY, "bytes are waiting already"); /* both have one now */
    disconnect(&greedy);
    expect(&f.client, 1, TL_OK, "");
    stop(&f);
}

static void too_much_work_is_refused_while_short_work_goes_on(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 2, NULL);
    send_text(&f.client, 1, "test.sleep", "300");
    wait_sleeping(1);
    send_text(&f.client, 2, "test.sleep", "1");
    send_text(&f.client, 3, "test.sleep", "1");
    send_text(&f.client, 4, "test.sleep", "1");
    expect(&f.client, 4, TL_EBUSY, "2 requests are waiting");
    send_text(&f.client, 5, "test.echo", "x");
    expect(&f.client, 5, TL_OK, "");
    expect(&f.client, 1, TL_OK, "");
    expect(&f.client, 2, TL_OK, "");
    expect(&f.client, 3, TL_OK, "");
    stop(&f);
}

enum {
    MAX_ALL = 100
};

/* Requests 1 to n are answered, each once, in any order: how many were refused by a stopping
 * daemon. */
static int expect_all(const raw_client *c, int n)
{
    bool is_seen[MAX_ALL + 1] = {false};
    int n_refused = 0;
    assert_true(n <= MAX_ALL);
    for (int i = 0; i < n; i++) {
        Tailor__V1__Reply *reply = next_reply(c);
        assert_in_range(reply->request_id, 1, n);
        assert_false(is_seen[reply->request_id]);
        assert_true(reply->error == TL_OK || reply->error == TL_ESTATE);
        is_seen[reply->request_id] = true;
        n_refused += reply->error != TL_OK;
        tl_wire_free((ProtobufCMessage *)reply);
    }
    return n_refused;
}

/* More than the router reads in one go, all there before it is told to stop. */
static void what_came_before_the_stop_is_answered_too(void **state)
{
    (void)state;
    enum {
        N_REQUESTS = MAX_ALL
    };
    char endpoint[256];
    const char *const endpoints[] = {endpoint};
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/socket", tl_test_new_dir());
    int stop_fd = eventfd(1, EFD_NONBLOCK);
    tl_server *server = NULL;
    tl_server_options options = {
        .endpoints = endpoints,
        .n_endpoints = 1,
        .methods = tl_test_methods,
        .n_methods = tl_test_methods_len,
        .stop_fd = stop_fd,
    };
    assert_ok(tl_server_open(&options, &server));
    raw_client c = connect_raw(endpoint);
    for (uint64_t id = 1; id <= N_REQUESTS; id++) {
        send_text(&c, id, "test.echo", "x");
    }
    const struct timespec arrival = {.tv_nsec = 200 * 1000 * 1000};
    (void)nanosleep(&arrival, NULL);
    assert_ok(tl_server_run(server));
    assert_in_range(expect_all(&c, N_REQUESTS), 1, N_REQUESTS);
    disconnect(&c);
    tl_server_close(server);
    (void)close(stop_fd);
}

static void stopping_finishes_what_was_accepted(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    send_text(&f.client, 1, "test.sleep", "200");
    send_text(&f.client, 2, "test.sleep", "1");
    wait_sleeping(1);
    tl_serving_ask_to_stop(&f.serving);
    struct timespec moment = {.tv_nsec = SHORT_MS * TL_NS_PER_MS};
    (void)nanosleep(&moment, NULL);
    send_text(&f.client, 3, "test.echo", "late");
    expect(&f.client, 3, TL_ESTATE, "stopping");
    expect(&f.client, 1, TL_OK, "");
    expect(&f.client, 2, TL_OK, "");
    assert_int_equal(pthread_join(f.serving.thread, NULL), 0);
    tl_server_close(f.serving.server);
    assert_err(TL_OK, f.serving.result);
    (void)close(f.serving.stop_fd);
    disconnect(&f.client);
}

/* poll() refuses more descriptors than a process may have. */
static void a_router_that_cannot_go_on_leaves_nothing_behind(void **state)
{
    (void)state;
    fixture f;
    struct rlimit before;
    start(&f, 1, 0, NULL);
    send_text(&f.client, 1, "test.sleep", "60000");
    wait_sleeping(1);
    send_text(&f.client, 2, "test.sleep", "1");
    send_text(&f.client, 3, "test.echo", "x"); /* it waits by now */
    expect(&f.client, 3, TL_OK, "");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit few = {.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    send_text(&f.client, 4, "test.echo", "x");
    assert_int_equal(pthread_join(f.serving.thread, NULL), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_err(TL_EIO, f.serving.result);
    assert_int_equal(tl_test_n_sleeping(), 0);
    tl_server_close(f.serving.server);
    (void)close(f.serving.stop_fd);
    disconnect(&f.client);
}

static void a_second_signal_cancels(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    struct timespec moment = {.tv_nsec = SHORT_MS * TL_NS_PER_MS};
    int64_t started_ns = tl_clock_ns();
    send_text(&f.client, 1, "test.sleep", "30000");
    wait_sleeping(1);
    tl_serving_ask_to_stop(&f.serving);
    (void)nanosleep(&moment, NULL);
    tl_serving_stop(&f.serving);
    expect(&f.client, 1, TL_ECANCELLED, "");
    assert_true(tl_clock_ns() - started_ns < PATIENCE_MS * TL_NS_PER_MS);
    disconnect(&f.client);
}

static void a_client_that_left_disturbs_nobody(void **state)
{
    (void)state;
    fixture f;
    start(&f, 1, 0, NULL);
    raw_client gone = connect_raw(f.serving.endpoint);
    send_text(&gone, 1, "test.sleep", "100");
    wait_sleeping(1);
    disconnect(&gone);
    send_text(&f.client, 2, "test.sleep", "1");
    expect(&f.client, 2, TL_OK, "");
    stop(&f);
}

static void several_clients_share_the_workers(void **state)
{
    (void)state;
    enum {
        N_CLIENTS = 8,
        N_REQUESTS = 40
    };
    fixture f;
    start(&f, 2, 1000, NULL);
    raw_client clients[N_CLIENTS];
    for (int c = 0; c < N_CLIENTS; c++) {
        clients[c] = connect_raw(f.serving.endpoint);
    }
    for (uint64_t i = 1; i <= N_REQUESTS; i++) {
        for (int c = 0; c < N_CLIENTS; c++) {
            send_text(&clients[c], i, "test.echo", "x");
        }
    }
    for (int c = 0; c < N_CLIENTS; c++) {
        assert_int_equal(expect_all(&clients[c], N_REQUESTS), 0);
        disconnect(&clients[c]);
    }
    stop(&f);
}

/* ---- endpoints ---------------------------------------------------------------------------- */

static void only_this_machine_can_be_listened_to(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint;
        tl_err err;
    } cases[] = {
        {"tcp://127.0.0.1:7411",         TL_OK     },
        {"tcp://127.1.2.3:*",            TL_OK     },
        {"tcp://localhost:7411",         TL_OK     },
        {"tcp://[::1]:7411",             TL_OK     },
        {"ipc:///run/tailor/socket",     TL_OK     },
        {"tcp://*:7411",                 TL_EDENIED},
        {"tcp://0.0.0.0:7411",           TL_EDENIED},
        {"tcp://[::]:7411",              TL_EDENIED},
        {"tcp://eth0:7411",              TL_EDENIED},
        {"tcp://192.168.1.4:7411",       TL_EDENIED},
        {"tcp://127.0.0.1.example:7411", TL_EDENIED},
        {"tcp://1270.0.0.1:7411",        TL_EDENIED},
        {"udp://127.0.0.1:7411",         TL_EINVAL },
        {"7411",                         TL_EINVAL },
        {"ipc://",                       TL_EINVAL },
        {"inproc://tailor",              TL_EINVAL },
        {"tcp://127.0.0.1",              TL_EINVAL },
        {"tcp://127.0.0.1:",             TL_EINVAL },
        {"tcp://127.0.0.1:0",            TL_EINVAL },
        {"tcp://127.0.0.1:65536",        TL_EINVAL },
        {"tcp://[::1]:999999",           TL_EINVAL },
        {"tcp://localhost:http",         TL_EINVAL },
        {"",                             TL_EINVAL },
    };
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        tl_err err = tl_endpoint_check(cases[i].endpoint, false);
        if (err != cases[i].err) {
            fail_msg(
                "%s: got %s, want %s", cases[i].endpoint, tl_err_name(err),
                tl_err_name(cases[i].err));
        }
        /* With keys others may come; what is no endpoint stays none. */
        assert_err(
            cases[i].err == TL_EINVAL ? TL_EINVAL : TL_OK,
            tl_endpoint_check(cases[i].endpoint, true));
    }
}

static tl_server_options listening_at(const char *const *endpoint)
{
    return (tl_server_options){
        .endpoints = endpoint,
        .n_endpoints = 1,
        .methods = tl_test_methods,
        .n_methods = tl_test_methods_len,
        .stop_fd = -1};
}

static void an_endpoint_in_use_is_said(void **state)
{
    (void)state;
    const char *endpoint = "tcp://127.0.0.1:*";
    tl_server *first = NULL;
    tl_server *second = NULL;
    tl_server_options options = listening_at(&endpoint);
    assert_ok(tl_server_open(&options, &first));
    endpoint = tl_server_endpoint(first, 0);
    assert_null(strchr(endpoint, '*'));
    assert_err(TL_EIO, tl_server_open(&options, &second));
    assert_detail("in use");
    endpoint = "tcp://0.0.0.0:*";
    assert_err(TL_EDENIED, tl_server_open(&options, &second));
    tl_server_close(first);
}

static void a_socket_that_is_served_is_not_taken_over(void **state)
{
    (void)state;
    fixture f;
    tl_server *second = NULL;
    start(&f, 1, 0, NULL);
    const char *endpoint = f.serving.endpoint;
    tl_server_options options = listening_at(&endpoint);
    assert_err(TL_EBUSY, tl_server_open(&options, &second));
    assert_detail("in use");
    raw_client late = connect_raw(f.serving.endpoint);
    send_text(&late, 1, "test.echo", "still here");
    expect(&late, 1, TL_OK, "");
    disconnect(&late);
    stop(&f);
}

static void localhost_is_the_address_that_clients_connect_to(void **state)
{
    (void)state;
    const char *endpoint = "tcp://localhost:*";
    tl_server *server = NULL;
    tl_server_options options = listening_at(&endpoint);
    assert_ok(tl_server_open(&options, &server));
    assert_non_null(strstr(tl_server_endpoint(server, 0), "tcp://127.0.0.1:"));
    tl_server_close(server);
}

int main(void)
{
    tl_log_set_level(TL_LOG_ERROR);
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(both_lanes_answer_under_the_request_id),
        TEST(warnings_travel_with_the_answer),
        TEST(long_requests_of_the_fast_lane_go_to_a_worker),
        TEST(progress_and_parts_come_before_the_final_reply),
        TEST(a_part_that_could_not_be_made_is_an_error_at_the_end),
        TEST(a_part_that_could_not_be_sent_is_an_error_at_the_end),
        TEST(unknown_methods_are_named_with_the_nearest),
        TEST(another_protocol_version_is_refused),
        TEST(names_that_are_too_long_are_refused),
        TEST(waiting_requests_are_bounded_in_bytes),
        TEST(who_holds_most_bytes_gives_some_back),
        TEST(errors_are_typed_and_their_texts_are_clean),
        TEST(malformed_frames_are_answered),
        TEST(a_request_cut_anywhere_is_answered),
        TEST(random_messages_are_answered),
        TEST(a_message_that_is_too_large_is_refused),
        TEST(a_deadline_ends_running_and_waiting_work),
        TEST(too_much_work_is_refused_while_short_work_goes_on),
        TEST(what_came_before_the_stop_is_answered_too),
        TEST(stopping_finishes_what_was_accepted),
        TEST(a_second_signal_cancels),
        TEST(a_router_that_cannot_go_on_leaves_nothing_behind),
        TEST(a_client_that_left_disturbs_nobody),
        TEST(several_clients_share_the_workers),
        TEST(only_this_machine_can_be_listened_to),
        TEST(an_endpoint_in_use_is_said),
        TEST(a_socket_that_is_served_is_not_taken_over),
        TEST(localhost_is_the_address_that_clients_connect_to),
    };
#undef TEST
    return cmocka_run_group_tests_name("daemon/server", tests, NULL, NULL);
}
