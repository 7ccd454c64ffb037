/* SPDX-License-Identifier: Apache-2.0 */
/* On a thread of its own, where cmocka's assertions cannot be: these end the program. */

#include "tests/clients/faulty.h"

#include "base/mem.h"
#include "base/units.h"
#include "daemon/table_reply.h"
#include "proto/tailor.pb-c.h"
#include "proto/wire.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

enum {
    MS_PER_S = 1000,
    POLL_MS = 5,
    N_LATE = 8, /* heartbeats that a late answer misses */
    N_FOREIGN = 20,
    LINGER_MS = 500,
    IDENTITY_BYTES = 255
};

/* A request, and where its replies go. */
typedef struct asked {
    uint8_t identity[IDENTITY_BYTES];
    int identity_len;
    uint64_t id;
} asked;

static void sleep_ms(long ms)
{
    struct timespec left = {
        .tv_sec = ms / MS_PER_S, .tv_nsec = ms % MS_PER_S * (long)TL_NS_PER_MS};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* A port that was just closed may take a moment to be free. */
static void bind_again(tl_faulty *f)
{
    int linger_ms = LINGER_MS; /* what was sent before the end arrives */
    f->router = zmq_socket(f->context, ZMQ_ROUTER);
    TL_ASSERT(f->router != NULL);
    TL_ASSERT(zmq_setsockopt(f->router, ZMQ_LINGER, &linger_ms, sizeof linger_ms) == 0);
    while (zmq_bind(f->router, f->endpoint) != 0) {
        TL_ASSERT(zmq_errno() == EADDRINUSE);
        sleep_ms(1);
    }
}

static void close_connections(tl_faulty *f)
{
    TL_ASSERT(zmq_close(f->router) == 0);
    bind_again(f);
}

static void send_bytes(tl_faulty *f, const asked *to, const void *data, size_t len)
{
    (void)zmq_send(f->router, to->identity, (size_t)to->identity_len, ZMQ_SNDMORE);
    (void)zmq_send(f->router, "", 0, ZMQ_SNDMORE);
    (void)zmq_send(f->router, data, len, 0);
}

static void send_reply(tl_faulty *f, const asked *to, Tailor__V1__Reply *reply)
{
    tl_bytes bytes = {0};
    TL_ASSERT(tl_wire_pack((ProtobufCMessage *)reply, &bytes) == TL_OK);
    send_bytes(f, to, bytes.data, bytes.len);
    tl_mem_free(bytes.data);
}

static Tailor__V1__Reply new_reply(const asked *to, Tailor__V1__Reply__Kind kind)
{
    Tailor__V1__Reply reply;
    tailor__v1__reply__init(&reply);
    reply.protocol = TL_WIRE_PROTOCOL;
    reply.request_id = to->id;
    reply.kind = kind;
    return reply;
}

static void answer(tl_faulty *f, const asked *to)
{
    static char said[] = "nothing was done";
    char *warnings[] = {said};
    Tailor__V1__Reply reply = new_reply(to, TAILOR__V1__REPLY__KIND__FINAL);
    reply.n_warnings = 1;
    reply.warnings = warnings;
    send_reply(f, to, &reply);
}

static void send_error(tl_faulty *f, const asked *to, tl_err err, bool may_repeat)
{
    static char detail[] = "as the test wants";
    Tailor__V1__Reply reply = new_reply(to, TAILOR__V1__REPLY__KIND__FINAL);
    reply.error = (uint32_t)err;
    reply.error_name = (char *)(uintptr_t)tl_err_name(err);
    reply.error_detail = detail;
    reply.may_repeat = may_repeat;
    send_reply(f, to, &reply);
}

static void send_table(tl_faulty *f, const asked *to, bool is_part, bool is_bad)
{
    Tailor__V1__Reply reply =
        new_reply(to, is_part ? TAILOR__V1__REPLY__KIND__PART : TAILOR__V1__REPLY__KIND__FINAL);
    Tailor__V1__Table *table = tl_table_reply_new(1);
    tl_bytes body = {0};
    double number = 1.0;
    TL_ASSERT(table != NULL);
    TL_ASSERT(tl_table_reply_numbers(table, "number", 0, &number) == TL_OK);
    table->n_rows = is_bad ? 1000000 : 1;
    TL_ASSERT(tl_wire_pack((ProtobufCMessage *)table, &body) == TL_OK);
    reply.body = (ProtobufCBinaryData){.len = body.len, .data = body.data};
    send_reply(f, to, &reply);
    tl_mem_free(body.data);
    tl_table_reply_free(table);
}

static void send_kind(tl_faulty *f, const asked *to, Tailor__V1__Reply__Kind kind)
{
    Tailor__V1__Reply reply = new_reply(to, kind);
    send_reply(f, to, &reply);
}

static void send_large(tl_faulty *f, const asked *to)
{
    static uint8_t body[TL_FAULTY_LARGE_BYTES];
    Tailor__V1__Reply reply = new_reply(to, TAILOR__V1__REPLY__KIND__FINAL);
    reply.body = (ProtobufCBinaryData){.len = sizeof body, .data = body};
    send_kind(f, to, TAILOR__V1__REPLY__KIND__HEARTBEAT);
    send_reply(f, to, &reply);
}

static void beat(tl_faulty *f, const asked *to)
{
    for (int i = 0; i < N_LATE; i++) {
        send_kind(f, to, TAILOR__V1__REPLY__KIND__HEARTBEAT);
        sleep_ms(TL_FAULTY_HEARTBEAT_MS);
    }
}

static void be_foreign(tl_faulty *f, const asked *to)
{
    asked other = *to;
    for (int i = 1; i <= N_FOREIGN; i++) {
        other.id = to->id + (uint64_t)i;
        send_error(f, &other, TL_EIO, false);
    }
}

static void send_damaged(tl_faulty *f, const asked *to, tl_faulty_act act)
{
    static const uint8_t garbage[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x00, 0x42};
    Tailor__V1__Reply reply = new_reply(to, TAILOR__V1__REPLY__KIND__FINAL);
    if (act == TL_FAULTY_GARBAGE) {
        send_bytes(f, to, garbage, sizeof garbage);
    } else if (act == TL_FAULTY_EMPTY) {
        send_bytes(f, to, "", 0);
    } else {
        reply.protocol = TL_WIRE_PROTOCOL + 1;
        send_reply(f, to, &reply);
    }
}

static void act(tl_faulty *f, const asked *to, tl_faulty_step step)
{
    asked nobody = *to;
    nobody.id = 0;
    switch (step.act) {
    case TL_FAULTY_SILENT: return;
    case TL_FAULTY_ERROR: send_error(f, to, step.error, false); return;
    case TL_FAULTY_TURNS_AWAY: send_error(f, to, step.error, true); return;
    case TL_FAULTY_ID_0: send_error(f, &nobody, TL_EINVAL, false); return;
    case TL_FAULTY_HANGS: send_kind(f, to, TAILOR__V1__REPLY__KIND__HEARTBEAT); return;
    case TL_FAULTY_CLOSES: close_connections(f); return;
    case TL_FAULTY_PART_CLOSES:
        send_table(f, to, true, false);
        close_connections(f);
        return;
    case TL_FAULTY_PART_BUSY:
        send_table(f, to, true, false);
        send_error(f, to, TL_EBUSY, true);
        return;
    case TL_FAULTY_TABLE:
        send_table(f, to, true, false);
        send_table(f, to, false, false);
        return;
    case TL_FAULTY_LARGE: send_large(f, to); return;
    case TL_FAULTY_BAD_TABLE: send_table(f, to, false, true); return;
    case TL_FAULTY_GARBAGE:
    case TL_FAULTY_EMPTY:
    case TL_FAULTY_VERSION: send_damaged(f, to, step.act); return;
    case TL_FAULTY_LATE: sleep_ms((long)N_LATE * TL_FAULTY_HEARTBEAT_MS); break;
    case TL_FAULTY_ALIVE: beat(f, to); break;
    case TL_FAULTY_PROGRESS: send_kind(f, to, TAILOR__V1__REPLY__KIND__PROGRESS); break;
    case TL_FAULTY_FOREIGN: be_foreign(f, to); break;
    case TL_FAULTY_ANSWERS: break;
    }
    answer(f, to);
}

/* Takes one request; false when there is none. */
static bool take(tl_faulty *f, asked *out)
{
    zmq_msg_t frame;
    ProtobufCMessage *message = NULL;
    out->identity_len = zmq_recv(f->router, out->identity, IDENTITY_BYTES, ZMQ_DONTWAIT);
    if (out->identity_len < 0) {
        return false;
    }
    (void)zmq_msg_init(&frame);
    do {
        TL_ASSERT(zmq_msg_recv(&frame, f->router, 0) >= 0);
    } while (zmq_msg_more(&frame));
    tl_err err = tl_wire_unpack(
        &tailor__v1__request__descriptor, zmq_msg_data(&frame), zmq_msg_size(&frame),
        TL_WIRE_MAX_MEMORY_BYTES, &message);
    TL_ASSERT(err == TL_OK);
    (void)zmq_msg_close(&frame);
    const Tailor__V1__Request *request = (const Tailor__V1__Request *)(const void *)message;
    int n = atomic_load(&f->n_asked);
    out->id = request->request_id;
    if (n < TL_FAULTY_MAX_ASKED) {
        f->deadline_ms[n] = request->deadline_ms;
        f->heartbeat_ms[n] = request->heartbeat_ms;
    }
    atomic_store(&f->n_asked, n + 1);
    tl_wire_free(message);
    return true;
}

static void *serve(void *context)
{
    tl_faulty *f = context;
    while (!atomic_load(&f->is_stopped)) {
        zmq_pollitem_t item = {.socket = f->router, .events = ZMQ_POLLIN};
        asked request;
        (void)zmq_poll(&item, 1, POLL_MS);
        while (take(f, &request)) {
            size_t i = (size_t)atomic_load(&f->n_asked) - 1;
            tl_faulty_step step = {TL_FAULTY_ANSWERS, TL_OK};
            act(f, &request, i < f->n_steps ? f->steps[i] : step);
        }
    }
    return NULL;
}

void tl_faulty_start(tl_faulty *f, const tl_faulty_step *steps, size_t n_steps)
{
    size_t len = sizeof f->endpoint;
    memset(f, 0, sizeof *f);
    f->steps = steps;
    f->n_steps = n_steps;
    f->context = zmq_ctx_new();
    TL_ASSERT(f->context != NULL);
    (void)snprintf(f->endpoint, sizeof f->endpoint, "tcp://127.0.0.1:*");
    bind_again(f);
    TL_ASSERT(zmq_getsockopt(f->router, ZMQ_LAST_ENDPOINT, f->endpoint, &len) == 0);
    TL_ASSERT(pthread_create(&f->thread, NULL, serve, f) == 0);
}

void tl_faulty_stop(tl_faulty *f)
{
    atomic_store(&f->is_stopped, true);
    TL_ASSERT(pthread_join(f->thread, NULL) == 0);
    TL_ASSERT(zmq_close(f->router) == 0);
    TL_ASSERT(zmq_ctx_term(f->context) == 0);
}
