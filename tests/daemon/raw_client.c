/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/raw_client.h"

#include "base/mem.h"
#include "base/units.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

raw_client connect_raw(const char *endpoint)
{
    raw_client c = {.context = zmq_ctx_new()};
    int patience_ms = PATIENCE_MS;
    int no_linger = 0;
    c.socket = zmq_socket(c.context, ZMQ_DEALER);
    assert_non_null(c.socket);
    assert_int_equal(
        zmq_setsockopt(c.socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms), 0);
    assert_int_equal(zmq_setsockopt(c.socket, ZMQ_LINGER, &no_linger, sizeof no_linger), 0);
    assert_int_equal(zmq_connect(c.socket, endpoint), 0);
    return c;
}

void disconnect(raw_client *c)
{
    (void)zmq_close(c->socket);
    (void)zmq_ctx_term(c->context);
}

void send_bytes(const raw_client *c, const void *bytes, size_t len)
{
    assert_true(zmq_send(c->socket, "", 0, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(c->socket, bytes, len, 0) >= 0);
}

Tailor__V1__Request request_for(uint64_t id, const char *method)
{
    Tailor__V1__Request request;
    tailor__v1__request__init(&request);
    request.protocol = TL_WIRE_PROTOCOL;
    request.request_id = id;
    request.method = (char *)(uintptr_t)method;
    return request;
}

void send_request(const raw_client *c, const Tailor__V1__Request *request)
{
    tl_bytes bytes = {0};
    assert_ok(tl_wire_pack((const ProtobufCMessage *)request, &bytes));
    send_bytes(c, bytes.data, bytes.len);
    tl_mem_free(bytes.data);
}

void send_text(const raw_client *c, uint64_t id, const char *method, const char *text)
{
    send_text_with_beats(c, id, method, text, 0);
}

void send_text_with_beats(
    const raw_client *c, uint64_t id, const char *method, const char *text, uint32_t beat_ms)
{
    Tailor__V1__Request request = request_for(id, method);
    request.heartbeat_ms = beat_ms;
    Tailor__V1__Text body;
    tl_bytes bytes = {0};
    tailor__v1__text__init(&body);
    body.text = (char *)(uintptr_t)text;
    assert_ok(tl_wire_pack((ProtobufCMessage *)&body, &bytes));
    request.body = (ProtobufCBinaryData){.len = bytes.len, .data = bytes.data};
    send_request(c, &request);
    tl_mem_free(bytes.data);
}

Tailor__V1__Reply *next_reply(const raw_client *c)
{
    zmq_msg_t frame;
    int n_frames = 0;
    (void)zmq_msg_init(&frame);
    do {
        assert_true(zmq_msg_recv(&frame, c->socket, 0) >= 0);
        n_frames++;
    } while (zmq_msg_more(&frame));
    assert_int_equal(n_frames, 2);
    ProtobufCMessage *message = NULL;
    assert_ok(tl_wire_unpack(
        &tailor__v1__reply__descriptor, zmq_msg_data(&frame), zmq_msg_size(&frame),
        TL_WIRE_MAX_MEMORY_BYTES, &message));
    (void)zmq_msg_close(&frame);
    Tailor__V1__Reply *reply = (Tailor__V1__Reply *)(void *)message;
    assert_int_equal(reply->protocol, TL_WIRE_PROTOCOL);
    return reply;
}

void expect(const raw_client *c, uint64_t id, tl_err err, const char *detail)
{
    Tailor__V1__Reply *reply = next_reply(c);
    if (reply->error != (uint32_t)err) {
        fail_msg(
            "got %s (%s), want %s", reply->error_name, reply->error_detail, tl_err_name(err));
    }
    assert_int_equal(reply->request_id, id);
    assert_int_equal(reply->kind, TAILOR__V1__REPLY__KIND__FINAL);
    assert_non_null(strstr(reply->error_detail, detail));
    if (err != TL_OK) {
        assert_string_equal(reply->error_name, tl_err_name(err));
    }
    tl_wire_free((ProtobufCMessage *)reply);
}

/* A new connection is greeted after those were looked at that were ready before it. Reading what
 * was sent and hearing that it was all take a look each. */
void wait_for_arrival(const char *endpoint)
{
    enum {
        N_LOOKS = 3,
        GREETING_BYTES = 10
    };
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = endpoint + strlen("ipc://");
    uint8_t greeting[GREETING_BYTES];
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    for (int i = 0; i < N_LOOKS; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(recv(fd, greeting, sizeof greeting, MSG_WAITALL), GREETING_BYTES);
        (void)close(fd);
    }
}

void start(fixture *f, int n_workers, size_t max_queued, tl_engine *engine)
{
    tl_server_options options = {
        .engine = engine,
        .n_workers = n_workers,
        .max_queued = max_queued,
        .methods = tl_test_methods,
        .n_methods = tl_test_methods_len};
    memset(f, 0, sizeof *f);
    tl_serving_start(&f->serving, options);
    f->client = connect_raw(f->serving.endpoint);
}

void stop(fixture *f)
{
    disconnect(&f->client);
    tl_serving_stop(&f->serving);
}

void wait_sleeping(int n)
{
    struct timespec step = {.tv_nsec = TL_NS_PER_MS};
    for (int i = 0; i < PATIENCE_MS && tl_test_n_sleeping() != n; i++) {
        (void)nanosleep(&step, NULL);
    }
    assert_int_equal(tl_test_n_sleeping(), n);
}
