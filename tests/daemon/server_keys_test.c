/* SPDX-License-Identifier: Apache-2.0 */

/* Keys that come, go and change while clients ask; for the thread sanitizer above all. */

#include "tests/daemon/serving.h"

#include "base/keyfile.h"
#include "base/mem.h"
#include "proto/tailor.pb-c.h"
#include "proto/wire.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

enum {
    N_CLIENTS = 3, /* the last one's key comes and goes */
    N_ASKED = 300,
    PATIENCE_MS = 30000
};

typedef struct client {
    pthread_t thread;
    const char *endpoint, *server_key;
    tl_key_file key;
    int n_answered, n_denied, n_other;
} client;

static atomic_int n_done;
static pthread_barrier_t connected;

static void make_pair(tl_key_file *key, const char *name, const char *role)
{
    memset(key, 0, sizeof *key);
    (void)snprintf(key->name, sizeof key->name, "%s", name);
    (void)snprintf(key->role, sizeof key->role, "%s", role);
    assert_int_equal(zmq_curve_keypair(key->public_key, key->secret_key), 0);
}

static void write_key(const char *dir, const char *file, const tl_key_file *key)
{
    char path[512];
    tl_text text = {0};
    tl_key_file_print(key, &text);
    assert_ok(tl_text_err(&text));
    (void)snprintf(path, sizeof path, "%s/%s", dir, file);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.data, text.len), text.len);
    (void)close(fd);
    tl_text_done(&text);
}

/* What the daemon keeps of a client has no secret. */
static void write_client(const char *dir, tl_key_file key)
{
    char file[TL_NAME_MAX_BYTES + 16];
    (void)snprintf(file, sizeof file, "%s.client", key.name);
    key.secret_key[0] = '\0';
    write_key(dir, file, &key);
}

static void ask(client *c, void *socket, const tl_bytes *request)
{
    zmq_msg_t frame;
    ProtobufCMessage *message = NULL;
    (void)zmq_msg_init(&frame);
    if (zmq_send(socket, "", 0, ZMQ_SNDMORE) < 0 ||
        zmq_send(socket, request->data, request->len, 0) < 0 ||
        zmq_msg_recv(&frame, socket, 0) < 0 || zmq_msg_recv(&frame, socket, 0) < 0 ||
        tl_wire_unpack(
            &tailor__v1__reply__descriptor, zmq_msg_data(&frame), zmq_msg_size(&frame),
            TL_WIRE_MAX_MEMORY_BYTES, &message) != TL_OK) {
        c->n_other++;
    } else {
        uint32_t error = ((const Tailor__V1__Reply *)(const void *)message)->error;
        c->n_answered += error == TL_OK ? 1 : 0;
        c->n_denied += error == TL_EDENIED ? 1 : 0;
        c->n_other += error != TL_OK && error != TL_EDENIED ? 1 : 0;
    }
    tl_wire_free(message);
    (void)zmq_msg_close(&frame);
}

static void *ask_on(void *context)
{
    client *c = context;
    int patience_ms = PATIENCE_MS;
    int no_linger = 0;
    bool is_connected = false;
    tl_bytes bytes = {0};
    Tailor__V1__Request request;
    tailor__v1__request__init(&request);
    request.protocol = TL_WIRE_PROTOCOL;
    request.method = (char *)(uintptr_t) "test.echo";
    void *zmq = zmq_ctx_new();
    void *socket = zmq_socket(zmq, ZMQ_DEALER);
    if (tl_wire_pack((ProtobufCMessage *)&request, &bytes) != TL_OK || socket == NULL ||
        zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms) != 0 ||
        zmq_setsockopt(socket, ZMQ_LINGER, &no_linger, sizeof no_linger) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, c->server_key, TL_KEY_CHARS + 1) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, c->key.public_key, TL_KEY_CHARS + 1) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, c->key.secret_key, TL_KEY_CHARS + 1) != 0 ||
        zmq_connect(socket, c->endpoint) != 0) {
        c->n_other++;
    }
    for (int i = 0; i < N_ASKED && c->n_other == 0; i++) {
        ask(c, socket, &bytes);
        if (i == 0) {
            is_connected = true; /* and stays so: one that is refused would not try again */
            (void)pthread_barrier_wait(&connected);
        }
    }
    if (!is_connected) {
        (void)pthread_barrier_wait(&connected);
    }
    (void)zmq_close(socket);
    (void)zmq_ctx_term(zmq);
    tl_mem_free(bytes.data);
    (void)atomic_fetch_add(&n_done, 1);
    return NULL;
}

static void *serve(void *context)
{
    tl_serving *serving = context;
    serving->result = tl_server_run(serving->server);
    return NULL;
}

static void read_off(void *context, bool is_stopping)
{
    uint64_t n = 0;
    (void)is_stopping;
    if (read(*(const int *)context, &n, sizeof n) < 0) {
        /* ticked for another reason */
    }
}

static void keys_change_under_load(void **state)
{
    const char *dir = tl_test_new_dir();
    const char *endpoint = "tcp://127.0.0.1:*";
    tl_serving serving = {.stop_fd = eventfd(0, EFD_NONBLOCK)};
    int wake_fd = eventfd(0, EFD_NONBLOCK);
    client clients[N_CLIENTS];
    char last[600];
    tl_key_file server_key;
    (void)state;
    make_pair(&server_key, "", "");
    write_key(dir, "server.key", &server_key);
    memset(clients, 0, sizeof clients);
    for (int i = 0; i < N_CLIENTS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "client%d", i);
        make_pair(&clients[i].key, name, "reader");
        write_client(dir, clients[i].key);
    }
    (void)snprintf(last, sizeof last, "%s/client%d.client", dir, N_CLIENTS - 1);
    tl_server_options options = {
        .endpoints = &endpoint,
        .n_endpoints = 1,
        .n_workers = 1,
        .methods = tl_test_methods,
        .n_methods = tl_test_methods_len,
        .stop_fd = serving.stop_fd,
        .tick = read_off,
        .tick_context = &wake_fd,
        .wake_fd = wake_fd,
        .keys_dir = dir};
    assert_ok(tl_server_open(&options, &serving.server));
    assert_int_equal(pthread_create(&serving.thread, NULL, serve, &serving), 0);
    atomic_store(&n_done, 0);
    assert_int_equal(pthread_barrier_init(&connected, NULL, N_CLIENTS + 1), 0);
    for (int i = 0; i < N_CLIENTS; i++) {
        clients[i].endpoint = tl_server_endpoint(serving.server, 0);
        clients[i].server_key = server_key.public_key;
        assert_int_equal(pthread_create(&clients[i].thread, NULL, ask_on, &clients[i]), 0);
    }
    (void)pthread_barrier_wait(&connected);
    for (uint64_t i = 0, one = 1; atomic_load(&n_done) < N_CLIENTS; i++) {
        if (i % 2 == 0) {
            (void)unlink(last);
        } else {
            write_client(dir, clients[N_CLIENTS - 1].key);
        }
        assert_int_equal(write(wake_fd, &one, sizeof one), sizeof one);
    }
    for (int i = 0; i < N_CLIENTS; i++) {
        assert_int_equal(pthread_join(clients[i].thread, NULL), 0);
        assert_int_equal(clients[i].n_other, 0);
        assert_int_equal(clients[i].n_answered + clients[i].n_denied, N_ASKED);
    }
    assert_int_equal(clients[0].n_denied + clients[1].n_denied, 0);
    tl_serving_stop(&serving);
    (void)pthread_barrier_destroy(&connected);
    (void)close(wake_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            keys_change_under_load, tl_test_count_blocks, tl_test_no_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
