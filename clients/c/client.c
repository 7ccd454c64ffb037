/* SPDX-License-Identifier: Apache-2.0 */

/* The connection: with keys.c the only file of the library that knows ZeroMQ. */

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "clients/c/impl.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum {
    ENDPOINT_BYTES = 256,
    NAME_BYTES = 64,
    HANDSHAKE_MS = 5000,
    HEARTBEAT_MS = 10000,
    HEARTBEAT_TIMEOUT_MS = 30000,
    /* The daemon is told to give up this share earlier than the client, so that its answer
     * says so instead of nothing. */
    EARLIER_FRACTION = 20
};

struct tailor_client {
    char endpoint[ENDPOINT_BYTES];
    char name[NAME_BYTES];
    int timeout_ms;
    uint64_t last_id;
    unsigned n_sockets; /* opened so far: a closed one keeps its monitor's name for a while */
    void *context, *socket, *monitor;
    bool is_connected; /* as the monitor last said */
    tl_key_file keys;  /* "": none */
    uint16_t refusal;  /* the last event that says why a handshake failed; 0: none */
    uint32_t refusal_value;
    tailor_progress_fn *progress;
    void *progress_context;
    Tailor__V1__Reply *last_reply; /* keeps its warnings */
};

#define CHECK_NUMBER(name, number, message) \
    _Static_assert((int)TAILOR_##name == (number), "the public numbers are those on the wire");
TL_ERR_LIST(CHECK_NUMBER)
#undef CHECK_NUMBER
_Static_assert((int)TAILOR_MAX_MESSAGE_BYTES == (int)TL_WIRE_MAX_BYTES, "one limit");

/* ---- the socket -------------------------------------------------------------------- */

static void close_socket(tailor_client *client)
{
    if (client->socket != NULL) {
        (void)zmq_socket_monitor(client->socket, NULL, 0);
        (void)zmq_close(client->socket);
    }
    if (client->monitor != NULL) {
        (void)zmq_close(client->monitor);
    }
    client->socket = NULL;
    client->monitor = NULL;
    client->is_connected = false;
}

/* IPv6 only where it is written so: "localhost" must mean where the daemon listens. */
static bool set_options(void *socket, const char *endpoint)
{
    static const struct {
        int option, value;
    } options[] = {
        {ZMQ_LINGER,            0                   },
        {ZMQ_HANDSHAKE_IVL,     HANDSHAKE_MS        },
        {ZMQ_HEARTBEAT_IVL,     HEARTBEAT_MS        },
        {ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS},
    };
    int64_t max_bytes = TL_WIRE_HARD_MAX_BYTES;
    int is_tcp6 = strncmp(endpoint, "tcp://[", strlen("tcp://[")) == 0;
    for (size_t i = 0; i < TL_COUNT(options); i++) {
        if (zmq_setsockopt(
                socket, options[i].option, &options[i].value, sizeof options[i].value) != 0) {
            return false;
        }
    }
    return zmq_setsockopt(socket, ZMQ_IPV6, &is_tcp6, sizeof is_tcp6) == 0 &&
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) == 0;
}

static bool set_keys(void *socket, const tl_key_file *keys)
{
    size_t size = sizeof keys->server_key;
    return keys->server_key[0] == '\0' ||
           (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->server_key, size) == 0 &&
            zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->public_key, size) == 0 &&
            zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, size) == 0);
}

static tl_err open_socket(tailor_client *client)
{
    int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                 ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                 ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
    int no_linger = 0;
    char monitor[32];
    if (client->socket != NULL) {
        return TL_OK;
    }
    client->refusal = 0; /* the daemon may have learned the key by now */
    (void)snprintf(monitor, sizeof monitor, "inproc://monitor-%u", client->n_sockets++);
    if ((client->socket = zmq_socket(client->context, ZMQ_DEALER)) == NULL ||
        !set_options(client->socket, client->endpoint) ||
        !set_keys(client->socket, &client->keys) ||
        zmq_socket_monitor(client->socket, monitor, events) != 0 ||
        (client->monitor = zmq_socket(client->context, ZMQ_PAIR)) == NULL ||
        zmq_setsockopt(client->monitor, ZMQ_LINGER, &no_linger, sizeof no_linger) != 0 ||
        zmq_connect(client->monitor, monitor) != 0) {
        tl_err err = tl_fail(TL_EIO, "a socket: %s", zmq_strerror(zmq_errno()));
        close_socket(client);
        return err;
    }
    if (zmq_connect(client->socket, client->endpoint) != 0) {
        int code = zmq_errno();
        close_socket(client);
        return tl_fail(
            code == EINVAL || code == EPROTONOSUPPORT ? TL_EINVAL : TL_EIO,
            "endpoint \"%s\": %s", client->endpoint, zmq_strerror(code));
    }
    return TL_OK;
}

/* Reads off what happened to the connection. */
static void watch_connection(tailor_client *client)
{
    uint8_t event[8];
    char address[ENDPOINT_BYTES];
    while (zmq_recv(client->monitor, event, sizeof event, ZMQ_DONTWAIT) >= 2) {
        uint16_t what = 0;
        memcpy(&what, event, sizeof what);
        (void)zmq_recv(client->monitor, address, sizeof address, 0);
        client->is_connected = what == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
        if (what == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
            client->refusal = 0;
        } else if (
            what != ZMQ_EVENT_DISCONNECTED &&
            (what != ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL || client->refusal == 0)) {
            client->refusal = what;
            memcpy(&client->refusal_value, event + sizeof what, sizeof client->refusal_value);
        }
    }
}

/* ---- one call ------------------------------------------------------------------------- */

/* A call in flight. */
typedef struct flight {
    uint64_t id;
    const tailor_request *request;
    int timeout_ms; /* 0: unbounded */
    int64_t started_ns;
    bool was_connected;
} flight;

/* TL_EDENIED when the daemon refused the handshake for good. */
static tl_err check_refusal(const tailor_client *client)
{
    bool has_keys = client->keys.server_key[0] != '\0';
    if (client->refusal == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        return tl_fail(
            TL_EDENIED, "the daemon at %s does not know the key of this client",
            client->endpoint);
    }
    if (client->refusal == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL &&
        client->refusal_value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH) {
        return tl_fail(
            TL_EDENIED, "the daemon at %s asks for %s", client->endpoint,
            has_keys ? "no key, and does not talk to a client that uses one"
                     : "a key (--key FILE, TAILOR_KEY)");
    }
    return TL_OK;
}

static tl_err nobody_answers(tailor_client *client, int timeout_ms)
{
    watch_connection(client);
    TL_TRY(check_refusal(client));
    if (client->refusal != 0) {
        return tl_fail(
            TL_EUNREACHABLE, "the daemon at %s ends every handshake: it may %s",
            client->endpoint,
            client->keys.server_key[0] != '\0' ? "have another key than this client was given"
                                               : "ask for a key (--key FILE, TAILOR_KEY)");
    }
    return tl_fail(
        TL_EUNREACHABLE, "no daemon answers at %s within %d ms", client->endpoint, timeout_ms);
}

static tl_err send_request(tailor_client *client, const flight *f)
{
    Tailor__V1__Request request;
    tl_bytes bytes = {0};
    tailor__v1__request__init(&request);
    request.protocol = TL_WIRE_PROTOCOL;
    request.request_id = f->id;
    request.method = tl_client_string(f->request->method);
    request.client = client->name;
    request.deadline_ms = (uint32_t)(f->timeout_ms - f->timeout_ms / EARLIER_FRACTION);
    request.body = (ProtobufCBinaryData){
        .len = f->request->len, .data = (uint8_t *)(uintptr_t)f->request->body};
    TL_TRY(tl_wire_pack((ProtobufCMessage *)&request, &bytes));
    bool is_sent = zmq_send(client->socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
                   zmq_send(client->socket, bytes.data, bytes.len, ZMQ_DONTWAIT) >= 0;
    tl_mem_free(bytes.data);
    return is_sent ? TL_OK : tl_fail(TL_EIO, "sending: %s", zmq_strerror(zmq_errno()));
}

/* How long to poll, or an error when the wait is over. */
static tl_err time_left(tailor_client *client, flight *f, long *out_ms)
{
    int64_t elapsed_ms = (tl_clock_ns() - f->started_ns) / TL_NS_PER_MS;
    if (!client->is_connected || f->timeout_ms == 0) {
        watch_connection(client);
        TL_TRY(check_refusal(client));
    }
    if (f->timeout_ms > 0) {
        if (elapsed_ms >= f->timeout_ms) {
            return nobody_answers(client, f->timeout_ms);
        }
        *out_ms = (long)(f->timeout_ms - elapsed_ms);
        return TL_OK;
    }
    if (client->is_connected) {
        f->was_connected = true;
        *out_ms = -1;
        return TL_OK;
    }
    if (f->was_connected) {
        return tl_fail(
            TL_EUNREACHABLE, "the connection to the daemon at %s was lost", client->endpoint);
    }
    if (elapsed_ms >= client->timeout_ms) {
        return nobody_answers(client, client->timeout_ms);
    }
    *out_ms = (long)(client->timeout_ms - elapsed_ms);
    return TL_OK;
}

/* Waits until a reply has arrived. */
static tl_err wait_reply(tailor_client *client, flight *f)
{
    zmq_pollitem_t items[] = {
        {.socket = client->socket,  .events = ZMQ_POLLIN},
        {.socket = client->monitor, .events = ZMQ_POLLIN},
    };
    do {
        long left_ms = 0;
        items[0].revents = 0;
        TL_TRY(time_left(client, f, &left_ms));
        int n_items = f->timeout_ms > 0 && client->is_connected ? 1 : 2;
        if (zmq_poll(items, n_items, left_ms) < 0 && zmq_errno() != EINTR) {
            return tl_fail(TL_EIO, "waiting: %s", zmq_strerror(zmq_errno()));
        }
    } while ((items[0].revents & ZMQ_POLLIN) == 0);
    return TL_OK;
}

/* Takes one message off the socket; its last frame is the reply. */
static tl_err receive(tailor_client *client, Tailor__V1__Reply **out_reply)
{
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    do {
        if (zmq_msg_recv(&frame, client->socket, 0) < 0) {
            (void)zmq_msg_close(&frame);
            return tl_fail(TL_EIO, "receiving: %s", zmq_strerror(zmq_errno()));
        }
    } while (zmq_msg_more(&frame));
    ProtobufCMessage *message = NULL;
    tl_err err = tl_wire_unpack(
        &tailor__v1__reply__descriptor, zmq_msg_data(&frame), zmq_msg_size(&frame),
        TL_WIRE_MAX_MEMORY_BYTES, &message);
    (void)zmq_msg_close(&frame);
    if (err != TL_OK) {
        return tl_fail_in(err, "the daemon's reply: ");
    }
    Tailor__V1__Reply *reply = (Tailor__V1__Reply *)(void *)message;
    if (reply->protocol != TL_WIRE_PROTOCOL) {
        err = tl_fail(
            TL_EVERSION, "the daemon at %s speaks version %u, this client %d", client->endpoint,
            reply->protocol, (int)TL_WIRE_PROTOCOL);
        tl_wire_free(message);
        return err;
    }
    *out_reply = reply;
    return TL_OK;
}

static void show_progress(const tailor_client *client, const Tailor__V1__Reply *reply)
{
    ProtobufCMessage *message = NULL;
    if (client->progress == NULL ||
        tl_wire_unpack(
            &tailor__v1__progress__descriptor, reply->body.data, reply->body.len,
            TL_WIRE_MAX_MEMORY_BYTES, &message) != TL_OK) {
        return;
    }
    const Tailor__V1__Progress *p = (const Tailor__V1__Progress *)(const void *)message;
    tailor_progress progress = {
        .what = p->what,
        .done = p->done,
        .total = p->total,
        .elapsed_s = p->elapsed_s,
        .job_id = p->job_id};
    client->progress(client->progress_context, &progress);
    tl_wire_free(message);
}

/* One message that came before the final one. */
static tl_err take_more(
    const tailor_client *client, const flight *f, const Tailor__V1__Reply *reply)
{
    if (reply->kind == TAILOR__V1__REPLY__KIND__PROGRESS) {
        show_progress(client, reply);
    } else if (reply->kind == TAILOR__V1__REPLY__KIND__PART && f->request->part != NULL) {
        return (tl_err)f->request->part(f->request->context, reply->body.data, reply->body.len);
    }
    return TL_OK;
}

/* Until the final reply. */
static tl_err converse(tailor_client *client, flight *f, Tailor__V1__Reply **out_reply)
{
    for (;;) {
        Tailor__V1__Reply *reply = NULL;
        TL_TRY(wait_reply(client, f));
        TL_TRY(receive(client, &reply));
        /* An unreadable request is answered under id 0; other ids are of earlier calls. */
        bool is_mine = reply->request_id == f->id || reply->request_id == 0;
        if (is_mine && reply->kind == TAILOR__V1__REPLY__KIND__FINAL) {
            *out_reply = reply;
            return TL_OK;
        }
        tl_err err = is_mine ? take_more(client, f, reply) : TL_OK;
        tl_wire_free((ProtobufCMessage *)reply);
        TL_TRY(err);
    }
}

static tl_err call(tailor_client *client, const tailor_request *request)
{
    flight f = {.id = ++client->last_id, .request = request, .started_ns = tl_clock_ns()};
    f.timeout_ms = request->timeout_ms == 0  ? client->timeout_ms
                   : request->timeout_ms < 0 ? 0
                                             : request->timeout_ms;
    Tailor__V1__Reply *reply = NULL;
    tl_wire_free((ProtobufCMessage *)client->last_reply);
    client->last_reply = NULL;
    TL_TRY(open_socket(client));
    tl_err err = send_request(client, &f);
    if (err == TL_OK) {
        err = converse(client, &f, &reply);
    }
    if (err != TL_OK) {
        close_socket(client); /* what still comes belongs to no call */
        return err;
    }
    if (reply->error != 0) {
        err = tl_fail(
            (tl_err)reply->error, "%s",
            reply->error_detail[0] != '\0' ? reply->error_detail : reply->error_name);
        tl_wire_free((ProtobufCMessage *)reply);
        return err;
    }
    client->last_reply = reply;
    return TL_OK;
}

tailor_err tailor_call(
    tailor_client *client, const tailor_request *request, char **out_reply, size_t *out_len)
{
    tl_err err = call(client, request);
    if (err != TL_OK) {
        return tl_client_err(err);
    }
    ProtobufCBinaryData body = client->last_reply->body;
    char *copy = tl_mem_new(body.len + 1, 1);
    if (copy == NULL) {
        return tl_client_err(tl_fail(TL_ENOMEM, "a reply of %zu bytes", body.len));
    }
    if (body.len > 0) {
        memcpy(copy, body.data, body.len);
    }
    *out_reply = copy;
    *out_len = body.len;
    return TAILOR_OK;
}

tl_err tl_client_exchange(
    tailor_client *client, const tl_exchange *exchange, ProtobufCMessage **out_reply)
{
    tl_bytes body = {0};
    TL_TRY(tl_wire_pack(exchange->request, &body));
    tailor_request request = {
        .method = exchange->method,
        .body = body.data,
        .len = body.len,
        .timeout_ms = exchange->is_unbounded ? -1 : 0,
        .part = exchange->part,
        .context = exchange->context,
    };
    tl_err err = call(client, &request);
    tl_mem_free(body.data);
    TL_TRY(err);
    if (exchange->reply_type == NULL) {
        return TL_OK;
    }
    err = tl_wire_unpack(
        exchange->reply_type, client->last_reply->body.data, client->last_reply->body.len,
        TL_WIRE_MAX_MEMORY_BYTES, out_reply);
    return err == TL_OK ? TL_OK : tl_fail_in(err, "the daemon's reply: ");
}

/* ---- life ------------------------------------------------------------------------------- */

static const char *chosen_endpoint(const tailor_options *options)
{
    if (options->endpoint != NULL) {
        return options->endpoint;
    }
    const char *named = getenv("TAILOR_ENDPOINT");
    return named != NULL && named[0] != '\0' ? named : TAILOR_DEFAULT_ENDPOINT;
}

tailor_err tailor_open(const tailor_options *options, tailor_client **out_client)
{
    static const tailor_options defaults = {0};
    options = options != NULL ? options : &defaults;
    const char *endpoint = chosen_endpoint(options);
    if (strlen(endpoint) >= ENDPOINT_BYTES) {
        return tl_client_err(
            tl_fail(TL_EINVAL, "endpoint: longer than %d bytes", ENDPOINT_BYTES - 1));
    }
    if (options->timeout_ms < 0) {
        return tl_client_err(
            tl_fail(TL_EINVAL, "timeout: got %d ms, want 0 or more", options->timeout_ms));
    }
    tl_key_file keys;
    tl_err err = tl_client_find_keys(options, endpoint, &keys);
    if (err != TL_OK) {
        return tl_client_err(err);
    }
    tailor_client *client = tl_mem_new(1, sizeof *client);
    if (client == NULL) {
        return tl_client_err(tl_fail(TL_ENOMEM, "a client"));
    }
    client->keys = keys;
    (void)snprintf(client->endpoint, sizeof client->endpoint, "%s", endpoint);
    (void)snprintf(
        client->name, sizeof client->name, "%.60s",
        options->name != NULL ? options->name : "libtailor");
    tailor_set_timeout_ms(client, options->timeout_ms);
    if ((client->context = zmq_ctx_new()) == NULL) {
        err = tl_fail(TL_EIO, "ZeroMQ: %s", zmq_strerror(zmq_errno()));
    }
    if (err != TL_OK || (err = open_socket(client)) != TL_OK) {
        tailor_close(client);
        return tl_client_err(err);
    }
    *out_client = client;
    return TAILOR_OK;
}

void tailor_close(tailor_client *client)
{
    if (client == NULL) {
        return;
    }
    close_socket(client);
    if (client->context != NULL) {
        (void)zmq_ctx_term(client->context);
    }
    tl_wire_free((ProtobufCMessage *)client->last_reply);
    memset(&client->keys, 0, sizeof client->keys);
    tl_mem_free(client);
}

const char *tailor_endpoint(const tailor_client *client)
{
    return client->endpoint;
}

void tailor_set_timeout_ms(tailor_client *client, int timeout_ms)
{
    client->timeout_ms = timeout_ms > 0 ? timeout_ms : TAILOR_DEFAULT_TIMEOUT_MS;
}

void tailor_on_progress(tailor_client *client, tailor_progress_fn *progress, void *context)
{
    client->progress = progress;
    client->progress_context = context;
}

void tl_client_get_progress(
    const tailor_client *client, tailor_progress_fn **out_progress, void **out_context)
{
    *out_progress = client->progress;
    *out_context = client->progress_context;
}

size_t tailor_n_warnings(const tailor_client *client)
{
    return client->last_reply != NULL ? client->last_reply->n_warnings : 0;
}

const char *tailor_warning(const tailor_client *client, size_t i)
{
    return i < tailor_n_warnings(client) ? client->last_reply->warnings[i] : "";
}

const char *tailor_err_name(tailor_err err)
{
    return tl_err_name((tl_err)err);
}

const char *tailor_err_detail(void)
{
    return tl_err_detail();
}

void tailor_text_free(char *text)
{
    tl_mem_free(text);
}
