/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/serving.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/metrics.h"
#include "proto/tailor.pb-c.h"
#include "proto/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum {
    MAX = 3,
    PATIENCE_MS = 20000,
    GREETING_BYTES = 10 /* what ZeroMQ says before it heard anything */
};

/* A peer that connects and says nothing. */
static int connect_dumb(const char *endpoint)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    const char *path = endpoint + strlen("ipc://");
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void expect_greeting(int fd)
{
    uint8_t greeting[GREETING_BYTES];
    assert_int_equal(recv(fd, greeting, sizeof greeting, MSG_WAITALL), GREETING_BYTES);
    assert_int_equal(greeting[0], 0xff);
}

static void expect_closed(int fd)
{
    uint8_t bytes[64];
    while (recv(fd, bytes, sizeof bytes, 0) > 0) {
    }
    (void)close(fd);
}

/* Asks test.echo until it is answered. */
static void expect_answer(const char *endpoint)
{
    int patience_ms = PATIENCE_MS;
    int no_linger = 0;
    char reply[256];
    tl_bytes bytes = {0};
    Tailor__V1__Request request;
    void *context = zmq_ctx_new();
    void *client = zmq_socket(context, ZMQ_DEALER);
    assert_non_null(client);
    tailor__v1__request__init(&request);
    request.protocol = TL_WIRE_PROTOCOL;
    request.method = (char *)(uintptr_t) "test.echo";
    assert_ok(tl_wire_pack((ProtobufCMessage *)&request, &bytes));
    assert_int_equal(zmq_setsockopt(client, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms), 0);
    assert_int_equal(zmq_setsockopt(client, ZMQ_LINGER, &no_linger, sizeof no_linger), 0);
    assert_int_equal(zmq_connect(client, endpoint), 0);
    assert_true(zmq_send(client, "", 0, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(client, bytes.data, bytes.len, 0) >= 0);
    assert_int_equal(zmq_recv(client, reply, sizeof reply, 0), 0);
    assert_true(zmq_recv(client, reply, sizeof reply, 0) > 0);
    (void)zmq_close(client);
    (void)zmq_ctx_term(context);
    tl_mem_free(bytes.data);
}

static void expect_page(const tl_metrics *metrics, const char *line)
{
    tl_text text = {0};
    tl_metrics_write(metrics, &text);
    assert_ok(tl_text_err(&text));
    if (strstr(text.data, line) == NULL) {
        fail_msg("no \"%s\" in\n%s", line, text.data);
    }
    tl_text_done(&text);
}

static void start(tl_serving *serving, tl_metrics *metrics, size_t max_connections)
{
    tl_server_options options = {
        .n_workers = 1,
        .methods = tl_test_methods,
        .n_methods = tl_test_methods_len,
        .metrics = metrics,
        .max_connections = max_connections};
    tl_serving_start(serving, options);
}

static void no_more_are_let_in_than_may(void **state)
{
    tl_serving serving;
    tl_metrics *metrics = NULL;
    int fds[MAX];
    (void)state;
    assert_ok(tl_metrics_new(tl_test_methods, tl_test_methods_len, &metrics));
    start(&serving, metrics, MAX);
    for (int i = 0; i < MAX; i++) {
        fds[i] = connect_dumb(serving.endpoint);
        expect_greeting(fds[i]);
    }
    for (int i = 0; i < 2 * MAX; i++) {
        expect_closed(connect_dumb(serving.endpoint));
    }
    expect_page(metrics, "\ntailor_connections_max 3\n");
    expect_page(metrics, "\ntailor_connections_refused_total 6\n");
    (void)close(fds[0]);
    expect_answer(serving.endpoint);
    expect_answer(serving.endpoint);
    for (int i = 1; i < MAX; i++) {
        (void)close(fds[i]);
    }
    tl_serving_stop(&serving);
    tl_metrics_free(metrics);
}

static void connections_are_as_many_as_files_allow(void **state)
{
    tl_serving serving;
    struct rlimit before;
    struct rlimit few = {.rlim_cur = 200, .rlim_max = 0};
    tl_metrics *metrics = NULL;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_ok(tl_metrics_new(tl_test_methods, tl_test_methods_len, &metrics));
    start(&serving, metrics, 300);
    struct rlimit after;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_true(after.rlim_cur > 300 || after.rlim_cur == after.rlim_max);
    expect_page(metrics, "\ntailor_connections_max 300\n");
    expect_answer(serving.endpoint);
    tl_serving_stop(&serving);
    tl_metrics_free(metrics);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* Whether the page of a server that wants 1000 says so. In a process of its own, which may not
 * open more files again: no assertion of a test. */
static int open_with_few_files(size_t n_files, const char *line)
{
    struct rlimit few = {.rlim_cur = n_files, .rlim_max = n_files};
    char endpoint[256];
    const char *const endpoints[] = {endpoint};
    tl_metrics *metrics = NULL;
    tl_server *server = NULL;
    tl_text text = {0};
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/socket", tl_test_new_dir());
    tl_log_set_level(TL_LOG_ERROR);
    if (setrlimit(RLIMIT_NOFILE, &few) != 0 ||
        tl_metrics_new(tl_test_methods, tl_test_methods_len, &metrics) != TL_OK) {
        return 2;
    }
    tl_server_options options = {
        .endpoints = endpoints,
        .n_endpoints = 1,
        .n_workers = 1,
        .methods = tl_test_methods,
        .n_methods = tl_test_methods_len,
        .metrics = metrics,
        .stop_fd = -1};
    if (tl_server_open(&options, &server) != TL_OK) {
        return 3;
    }
    tl_metrics_write(metrics, &text);
    return strstr(text.data, line) != NULL ? 0 : 4;
}

static void expect_with_few_files(size_t n_files, const char *line)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(open_with_few_files(n_files, line));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void connections_are_fewer_where_files_are_short(void **state)
{
    (void)state;
    expect_with_few_files(600, "\ntailor_connections_max 344\n"); /* 256 for all else */
    expect_with_few_files(400, "\ntailor_connections_max 200\n"); /* or a half */
}

/* ---- what they send ------------------------------------------------------------------------ */

static int connect_tcp(const char *endpoint)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)strtol(strrchr(endpoint, ':') + 1, NULL, 10));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Sends until n bytes are sent, or the other side has hung up: false. */
static bool send_bytes(int fd, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        uint8_t heard[256];
        struct pollfd ready = {.fd = fd, .events = POLLIN | POLLOUT};
        assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
        if ((ready.revents & ~POLLOUT) != 0 && recv(fd, heard, sizeof heard, 0) <= 0) {
            return false;
        }
        ssize_t sent = send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            return false;
        }
        bytes += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

/* Shakes hands without keys and begins a frame that is longer than what follows. */
static void begin_message(int fd)
{
    static const uint8_t ready[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06"
                                   "DEALER";
    static const uint8_t head[] = {2, 0, 0, 0, 0, 4, 0, 0, 0};
    uint8_t greeting[64] = {0xff, [9] = 0x7f, [10] = 3, [12] = 'N', 'U', 'L', 'L'};
    assert_true(send_bytes(fd, greeting, sizeof greeting));
    assert_true(send_bytes(fd, ready, sizeof ready - 1));
    assert_true(send_bytes(fd, head, sizeof head));
}

static void who_sends_most_is_cut_off_where_all_send_too_much(void **state)
{
    enum {
        MIB = 1024 * 1024,
        MAX_BYTES = 8 * MIB
    };
    tl_serving serving = {.endpoint = "tcp://127.0.0.1:*"};
    tl_metrics *metrics = NULL;
    uint8_t *bytes = tl_mem_new(1, MIB);
    bool stands = true;
    (void)state;
    assert_non_null(bytes);
    assert_ok(tl_metrics_new(tl_test_methods, tl_test_methods_len, &metrics));
    tl_server_options options = {
        .n_workers = 1,
        .methods = tl_test_methods,
        .n_methods = tl_test_methods_len,
        .metrics = metrics,
        .max_incoming_bytes = MAX_BYTES};
    tl_serving_start_again(&serving, options);
    const char *endpoint = tl_server_endpoint(serving.server, 0);
    int one = connect_tcp(endpoint);
    int other = connect_tcp(endpoint);
    begin_message(one);
    begin_message(other);
    assert_true(send_bytes(one, bytes, MIB));
    for (int i = 0; i < 60 && stands; i++) {
        stands = send_bytes(other, bytes, MIB);
    }
    if (stands) { /* all is on its way */
        expect_closed(other);
    } else {
        (void)close(other);
    }
    expect_answer(endpoint);
    assert_true(send_bytes(one, bytes, MIB));
    expect_page(metrics, "\ntailor_connections_cut_total{reason=\"sum\"} 1\n");
    expect_page(metrics, "\ntailor_connections_cut_total{reason=\"message\"} 0\n");
    (void)close(one);
    tl_serving_stop(&serving);
    tl_metrics_free(metrics);
    tl_mem_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            no_more_are_let_in_than_may, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            connections_are_as_many_as_files_allow, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            connections_are_fewer_where_files_are_short, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            who_sends_most_is_cut_off_where_all_send_too_much, tl_test_count_blocks,
            tl_test_no_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
