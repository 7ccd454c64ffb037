/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/units.h"
#include "daemon/endpoint.h"
#include "daemon/envelope.h"
#include "daemon/queue.h"
#include "numerics/gemm.h"
#include "proto/wire.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum {
    MAX_ENDPOINTS = 16,
    MAX_WORKERS = 64,
    DEFAULT_MAX_QUEUED = 64,
    DRAIN = 16, /* requests read before results and the stop descriptor get a look */
    IDENTITY_BYTES = 255,
    STOP_EVENT_BYTES = 128,
    /* Messages held for one client. Bounded, so that one that never reads costs little; a
     * reply beyond it is lost and logged. */
    HIGH_WATER = 1000,
    RESULTS_HIGH_WATER = 64, /* a worker that sends parts waits for the router here */
    LINGER_MS = 2000,
    HANDSHAKE_MS = 5000,
    HEARTBEAT_MS = 10000,
    HEARTBEAT_TIMEOUT_MS = 30000
};

#define RESULTS_ENDPOINT "inproc://results"

/* One request, from its reception to its final reply. */
typedef struct task {
    tl_server *server;
    Tailor__V1__Request *request; /* owned */
    const tl_method *method;
    uint64_t request_id;
    int64_t received_ns, deadline_ns;
    uint64_t served_ns;
    size_t identity_len;
    uint8_t identity[IDENTITY_BYTES];
    atomic_bool is_cancelled;
    atomic_bool
        is_given_back; /* set by the worker before its last message: what orders memory */
    void *results;     /* the worker's socket; NULL on the router thread */
    struct task *prev, *next; /* of those at the workers; the router's */
} task;

/* Travels before each reply from a worker to the router. After the final one the task is
 * the router's again. */
typedef struct note {
    task *task;
    int kind;
} note;

typedef struct worker {
    pthread_t thread;
    tl_server *server;
    void *results;
    bool is_running;
} worker;

struct tl_server {
    tl_server_options options;
    void *context, *router, *results;
    char endpoints[MAX_ENDPOINTS][TL_ENDPOINT_MAX_BYTES + 1];
    tl_queue *queue;
    worker workers[MAX_WORKERS];
    int n_workers;
    task *at_workers; /* list */
    bool is_stopping;
};

static tl_err zmq_failed(const char *what)
{
    return tl_fail(TL_EIO, "%s: %s", what, zmq_strerror(zmq_errno()));
}

/* ---- replies ------------------------------------------------------------------------ */

/* Router thread only. Takes payload. False when the client is gone or reads too slowly. */
static bool send_to_client(const task *t, zmq_msg_t *payload)
{
    void *router = t->server->router;
    if (zmq_send(router, t->identity, t->identity_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
        zmq_send(router, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
        zmq_msg_send(payload, router, ZMQ_DONTWAIT) >= 0) {
        return true;
    }
    tl_log(
        TL_LOG_WARN, "request %llu: the reply could not be sent: %s",
        (unsigned long long)t->request_id, zmq_strerror(zmq_errno()));
    (void)zmq_msg_close(payload);
    return false;
}

/* From the thread that serves t. Takes payload. */
static void deliver(task *t, int kind, zmq_msg_t *payload)
{
    if (t->results == NULL) {
        if (!send_to_client(t, payload)) {
            atomic_store_explicit(&t->is_cancelled, true, memory_order_relaxed);
        }
        return;
    }
    note n = {.task = t, .kind = kind};
    void *results = t->results;
    if (kind == TAILOR__V1__REPLY__KIND__FINAL) {
        atomic_store_explicit(&t->is_given_back, true, memory_order_release);
    }
    /* Only a closed context makes these fail, and the router outlives the workers. */
    TL_ASSERT(zmq_send(results, &n, sizeof n, ZMQ_SNDMORE) >= 0);
    TL_ASSERT(zmq_msg_send(payload, results, 0) >= 0);
}

static void deliver_error(task *t, tl_err err)
{
    uint8_t bytes[TL_ENVELOPE_ERROR_BYTES];
    size_t len = tl_envelope_pack_error(t->request_id, err, bytes);
    zmq_msg_t payload;
    if (zmq_msg_init_size(&payload, len) != 0) {
        (void)zmq_msg_init(&payload); /* an empty reply still ends the wait */
    } else {
        memcpy(zmq_msg_data(&payload), bytes, len);
    }
    deliver(t, TAILOR__V1__REPLY__KIND__FINAL, &payload);
}

static tl_err deliver_body(task *t, int kind, const tl_bytes *body, const tl_call *call)
{
    Tailor__V1__Reply reply;
    tl_envelope_reply(t->request_id, kind, body, call, &reply);
    reply.served_ns = t->served_ns;
    size_t len = tailor__v1__reply__get_packed_size(&reply);
    if (len > TL_WIRE_MAX_BYTES) {
        return tl_fail(
            TL_ELIMIT, "the reply has %zu bytes, at most %d go in one message", len,
            (int)TL_WIRE_MAX_BYTES);
    }
    zmq_msg_t payload;
    if (zmq_msg_init_size(&payload, len) != 0) {
        return tl_fail(TL_ENOMEM, "a reply of %zu bytes", len);
    }
    (void)tailor__v1__reply__pack(&reply, zmq_msg_data(&payload));
    deliver(t, kind, &payload);
    return TL_OK;
}

/* tl_call.send: progress and parts. */
static void send_more(void *sink, int kind, const ProtobufCMessage *message)
{
    tl_bytes body = {0};
    tl_err err = tl_wire_pack(message, &body);
    if (err == TL_OK) {
        err = deliver_body(sink, kind, &body, NULL);
    }
    if (err != TL_OK) {
        tl_log(TL_LOG_WARN, "a reply was lost: %s", tl_err_detail());
    }
    tl_mem_free(body.data);
}

/* ---- serving ------------------------------------------------------------------------- */

static void log_served(const task *t, tl_err err)
{
    tl_log_level level = err == TL_OK ? TL_LOG_DEBUG : TL_LOG_INFO;
    if (!tl_log_is_on(level)) {
        return;
    }
    double ms = (double)(tl_clock_ns() - t->received_ns) / (double)TL_NS_PER_MS;
    tl_log(
        level, "%s id=%llu client=\"%s\" %.3f ms %s%s%s", t->method->name,
        (unsigned long long)t->request_id, t->request->client, ms, tl_err_name(err),
        err == TL_OK ? "" : ": ", err == TL_OK ? "" : tl_err_detail());
}

/* Runs the method and delivers its final reply; t is not touched after that. */
static void serve(task *t)
{
    tl_bytes body = {0};
    tl_call call = {
        .engine = t->server->options.engine,
        .role = TL_ROLE_ADMIN, /* everyone who reaches a local endpoint */
        .deadline_ns = t->deadline_ns,
        .is_cancelled = &t->is_cancelled,
        .send = send_more,
        .sink = t,
    };
    tl_err_clear();
    int64_t begin_ns = tl_clock_ns();
    tl_err err =
        tl_method_call(t->method, &call, t->request->body.data, t->request->body.len, &body);
    t->served_ns = (uint64_t)(tl_clock_ns() - begin_ns);
    log_served(t, err);
    if (err == TL_OK) {
        err = deliver_body(t, TAILOR__V1__REPLY__KIND__FINAL, &body, &call);
    }
    if (err != TL_OK) {
        deliver_error(t, err);
    }
    tl_call_done(&call);
    tl_mem_free(body.data);
}

static void *work(void *context)
{
    worker *w = context;
    tl_blas_single_thread();
    for (task *t = NULL; (t = tl_queue_pop(w->server->queue)) != NULL;) {
        t->results = w->results;
        serve(t);
    }
    return NULL;
}

/* ---- the router ------------------------------------------------------------------------ */

/* The tasks at the workers: a list, so that stopping can cancel them. */
static void list_add(tl_server *server, task *t)
{
    t->prev = NULL;
    t->next = server->at_workers;
    if (t->next != NULL) {
        t->next->prev = t;
    }
    server->at_workers = t;
}

static void list_remove(tl_server *server, task *t)
{
    if (t->prev != NULL) {
        t->prev->next = t->next;
    } else {
        server->at_workers = t->next;
    }
    if (t->next != NULL) {
        t->next->prev = t->prev;
    }
}

/* Moves t, with its request, to the workers. */
static tl_err hand_over(task *t)
{
    tl_server *server = t->server;
    task *copy = tl_mem_new(1, sizeof *copy);
    if (copy == NULL) {
        return tl_fail(TL_ENOMEM, "a request of %zu bytes", t->request->body.len);
    }
    memcpy(copy, t, sizeof *copy);
    list_add(server, copy);
    if (!tl_queue_push(server->queue, copy)) {
        list_remove(server, copy);
        tl_mem_free(copy);
        return tl_fail(
            TL_EBUSY, "%zu requests are waiting already; try again later",
            server->options.max_queued);
    }
    t->request = NULL;
    return TL_OK;
}

static tl_err unknown_method(const tl_server *server, const char *name)
{
    const char *names[256];
    size_t n = server->options.n_methods;
    n = n < TL_COUNT(names) ? n : TL_COUNT(names);
    for (size_t i = 0; i < n; i++) {
        names[i] = server->options.methods[i]->name;
    }
    const char *nearest = tl_name_nearest(name, names, n);
    return tl_fail(
        TL_ENOTFOUND, "no such method \"%.64s\"%s%s", name,
        nearest != NULL ? "; the nearest is " : "", nearest != NULL ? nearest : "");
}

/* What can be refused before the method runs. */
static tl_err accept(task *t, const zmq_msg_t *payload)
{
    tl_server *server = t->server;
    size_t len = zmq_msg_size(payload);
    const uint8_t *data = zmq_msg_data((zmq_msg_t *)(uintptr_t)payload);
    tl_err_clear();
    TL_TRY(tl_envelope_read(data, len, &t->request_id, &t->request));
    if (server->is_stopping) {
        return tl_fail(TL_ESTATE, "the daemon is stopping");
    }
    t->method = tl_method_find_in(
        server->options.methods, server->options.n_methods, t->request->method);
    if (t->method == NULL) {
        return unknown_method(server, t->request->method);
    }
    t->deadline_ns = tl_envelope_deadline_ns(t->method, t->request, t->received_ns);
    return TL_OK;
}

/* Short work is answered at once: waking a worker would take longer. */
static bool is_fast(const task *t)
{
    size_t max = t->method->fast_max_bytes;
    return t->method->lane == TL_LANE_FAST && (max == 0 || t->request->body.len <= max);
}

static void take_request(task *t, const zmq_msg_t *payload, bool is_framed)
{
    tl_err err = is_framed ? accept(t, payload)
                           : tl_fail(TL_EINVAL, "want one empty frame, then one Request");
    if (err == TL_OK && is_fast(t)) {
        serve(t);
    } else if (err == TL_OK) {
        err = hand_over(t);
    }
    if (err != TL_OK) {
        tl_log(
            TL_LOG_INFO, "request %llu refused: %s: %s", (unsigned long long)t->request_id,
            tl_err_name(err), tl_err_detail());
        deliver_error(t, err);
    }
    tl_wire_free((ProtobufCMessage *)t->request);
}

/* Reads the frames after the identity. False: not [empty, payload]. */
static bool read_frames(void *router, zmq_msg_t *payload)
{
    bool is_framed = true;
    int n_frames = 0;
    for (int more = 1; more != 0; n_frames++) {
        if (zmq_msg_recv(payload, router, 0) < 0) {
            return false;
        }
        more = zmq_msg_more(payload);
        is_framed = is_framed && (n_frames != 0 || (zmq_msg_size(payload) == 0 && more));
    }
    return is_framed && n_frames == 2;
}

/* Takes one request off the socket; false when there is none. */
static bool receive(tl_server *server)
{
    task t = {.server = server};
    int len = zmq_recv(server->router, t.identity, sizeof t.identity, ZMQ_DONTWAIT);
    if (len < 0) {
        return false;
    }
    TL_ASSERT((size_t)len <= sizeof t.identity);
    t.identity_len = (size_t)len;
    t.received_ns = tl_clock_ns();
    zmq_msg_t payload;
    (void)zmq_msg_init(&payload);
    size_t more_len = sizeof(int);
    int more = 0;
    (void)zmq_getsockopt(server->router, ZMQ_RCVMORE, &more, &more_len);
    bool is_framed = more != 0 && read_frames(server->router, &payload);
    take_request(&t, &payload, is_framed);
    (void)zmq_msg_close(&payload);
    return true;
}

/* Passes one reply of a worker on to its client; false when there is none. */
static bool pass_on(tl_server *server)
{
    note n;
    zmq_msg_t payload;
    int len = zmq_recv(server->results, &n, sizeof n, ZMQ_DONTWAIT);
    if (len < 0) {
        return false;
    }
    TL_ASSERT(len == (int)sizeof n);
    (void)zmq_msg_init(&payload);
    TL_ASSERT(zmq_msg_recv(&payload, server->results, 0) >= 0);
    if (!send_to_client(n.task, &payload)) {
        atomic_store_explicit(&n.task->is_cancelled, true, memory_order_relaxed);
    }
    if (n.kind == TAILOR__V1__REPLY__KIND__FINAL) {
        TL_ASSERT(atomic_load_explicit(&n.task->is_given_back, memory_order_acquire));
        list_remove(server, n.task);
        tl_wire_free((ProtobufCMessage *)n.task->request);
        tl_mem_free(n.task);
    }
    return true;
}

static void on_stop(tl_server *server)
{
    uint8_t event[STOP_EVENT_BYTES];
    if (read(server->options.stop_fd, event, sizeof event) < 0) {
        return;
    }
    if (!server->is_stopping) {
        server->is_stopping = true;
        tl_log(TL_LOG_INFO, "stopping: finishing what was accepted");
        return;
    }
    tl_log(TL_LOG_INFO, "stopping: cancelling what still runs");
    for (task *t = server->at_workers; t != NULL; t = t->next) {
        atomic_store_explicit(&t->is_cancelled, true, memory_order_relaxed);
    }
}

/* Up to DRAIN messages; true when there may be more. */
static bool drain(tl_server *server, bool (*take_one)(tl_server *server))
{
    for (int i = 0; i < DRAIN; i++) {
        if (!take_one(server)) {
            return false;
        }
    }
    return true;
}

static tl_err get_fd(void *socket, int *out_fd)
{
    size_t size = sizeof *out_fd;
    return zmq_getsockopt(socket, ZMQ_FD, out_fd, &size) == 0
               ? TL_OK
               : zmq_failed("a socket's descriptor");
}

/*
 * A socket's descriptor becomes readable when something has changed and says so only once,
 * and sending may swallow that. So the public socket is read until it is empty before every
 * wait. This costs a third of the system calls of zmq_poll().
 */
tl_err tl_server_run(tl_server *server)
{
    struct pollfd fds[] = {
        {.events = POLLIN},
        {                .events = POLLIN               },
        { .events = POLLIN,                .fd = server->options.stop_fd},
    };
    bool has_results = false;
    TL_TRY(get_fd(server->router, &fds[0].fd));
    TL_TRY(get_fd(server->results, &fds[1].fd));
    tl_blas_single_thread();
    while (!server->is_stopping || server->at_workers != NULL) {
        bool has_requests = drain(server, receive);
        if (poll(fds, TL_COUNT(fds), has_requests || has_results ? 0 : -1) < 0) {
            if (errno == EINTR) {
                continue;
            }
            return tl_fail(TL_EIO, "waiting for requests: %s", strerror(errno));
        }
        if (has_results || fds[1].revents != 0) {
            has_results = drain(server, pass_on);
        }
        if (fds[2].revents != 0) {
            on_stop(server);
        }
    }
    return TL_OK;
}

/* ---- opening and closing ------------------------------------------------------------------ */

typedef struct socket_option {
    int option, value;
} socket_option;

/* ZeroMQ's own defaults wait for ever, bound nothing and drop silently. */
static tl_err set_router_options(tl_server *server)
{
    static const socket_option options[] = {
        {ZMQ_ROUTER_MANDATORY,  1                   },
        {ZMQ_LINGER,            LINGER_MS           },
        {ZMQ_SNDHWM,            HIGH_WATER          },
        {ZMQ_RCVHWM,            HIGH_WATER          },
        {ZMQ_HANDSHAKE_IVL,     HANDSHAKE_MS        },
        {ZMQ_HEARTBEAT_IVL,     HEARTBEAT_MS        },
        {ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS},
    };
    int64_t max_bytes = TL_WIRE_HARD_MAX_BYTES;
    for (size_t i = 0; i < TL_COUNT(options); i++) {
        if (zmq_setsockopt(
                server->router, options[i].option, &options[i].value,
                sizeof options[i].value) != 0) {
            return zmq_failed("the public socket");
        }
    }
    if (zmq_setsockopt(server->router, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) != 0) {
        return zmq_failed("the public socket");
    }
    return TL_OK;
}

static tl_err bind_all(tl_server *server)
{
    for (size_t i = 0; i < server->options.n_endpoints; i++) {
        const char *wanted = server->options.endpoints[i];
        char resolved[TL_ENDPOINT_MAX_BYTES + 1];
        int is_tcp6 = tl_endpoint_is_tcp6(wanted) ? 1 : 0;
        size_t size = sizeof server->endpoints[i];
        TL_TRY(tl_endpoint_check(wanted));
        TL_TRY(tl_endpoint_check_unused(wanted));
        tl_endpoint_resolve(wanted, resolved);
        (void)zmq_setsockopt(server->router, ZMQ_IPV6, &is_tcp6, sizeof is_tcp6);
        if (zmq_bind(server->router, resolved) != 0) {
            return tl_fail(TL_EIO, "%s: %s", wanted, zmq_strerror(zmq_errno()));
        }
        if (zmq_getsockopt(server->router, ZMQ_LAST_ENDPOINT, server->endpoints[i], &size) !=
            0) {
            return zmq_failed(wanted);
        }
    }
    return TL_OK;
}

static tl_err open_sockets(tl_server *server)
{
    int water = RESULTS_HIGH_WATER;
    if ((server->context = zmq_ctx_new()) == NULL ||
        (server->router = zmq_socket(server->context, ZMQ_ROUTER)) == NULL ||
        (server->results = zmq_socket(server->context, ZMQ_PULL)) == NULL ||
        zmq_setsockopt(server->results, ZMQ_RCVHWM, &water, sizeof water) != 0 ||
        zmq_bind(server->results, RESULTS_ENDPOINT) != 0) {
        return zmq_failed("sockets");
    }
    TL_TRY(set_router_options(server));
    return bind_all(server);
}

static tl_err start_workers(tl_server *server)
{
    int water = RESULTS_HIGH_WATER;
    for (int i = 0; i < server->n_workers; i++) {
        worker *w = &server->workers[i];
        w->server = server;
        if ((w->results = zmq_socket(server->context, ZMQ_PUSH)) == NULL ||
            zmq_setsockopt(w->results, ZMQ_SNDHWM, &water, sizeof water) != 0 ||
            zmq_connect(w->results, RESULTS_ENDPOINT) != 0) {
            return zmq_failed("a worker's socket");
        }
        /* Starting the thread is the full fence that lets it use a socket made here. */
        if (pthread_create(&w->thread, NULL, work, w) != 0) {
            return tl_fail(TL_EIO, "cannot start worker %d", i);
        }
        w->is_running = true;
    }
    return TL_OK;
}

static void set_defaults(tl_server *server)
{
    tl_server_options *o = &server->options;
    if (o->methods == NULL) {
        o->methods = tl_methods;
        o->n_methods = tl_methods_len;
    }
    if (o->max_queued == 0) {
        o->max_queued = DEFAULT_MAX_QUEUED;
    }
    long n = o->n_workers > 0 ? o->n_workers : sysconf(_SC_NPROCESSORS_ONLN);
    if (o->n_workers <= 0 && n < 2) {
        n = 2; /* a training must not keep everyone else waiting */
    }
    server->n_workers = (int)(n < MAX_WORKERS ? n : MAX_WORKERS);
}

tl_err tl_server_open(const tl_server_options *options, tl_server **out_server)
{
    tl_err err = TL_OK;
    if (options->n_endpoints == 0 || options->n_endpoints > MAX_ENDPOINTS) {
        return tl_fail(
            TL_EINVAL, "endpoints: got %zu, want 1 to %d", options->n_endpoints,
            (int)MAX_ENDPOINTS);
    }
    tl_server *server = tl_mem_new(1, sizeof *server);
    if (server == NULL) {
        return tl_fail(TL_ENOMEM, "the server");
    }
    server->options = *options;
    set_defaults(server);
    if ((err = tl_queue_new(server->options.max_queued, &server->queue)) != TL_OK ||
        (err = open_sockets(server)) != TL_OK || (err = start_workers(server)) != TL_OK) {
        goto done;
    }
    server->options.endpoints = NULL; /* the caller's, bound by now */
    *out_server = server;
    server = NULL;
done:
    tl_server_close(server);
    return err;
}

const char *tl_server_endpoint(const tl_server *server, size_t i)
{
    TL_ASSERT(i < server->options.n_endpoints);
    return server->endpoints[i];
}

static void close_socket(void *socket)
{
    if (socket != NULL) {
        (void)zmq_close(socket);
    }
}

void tl_server_close(tl_server *server)
{
    if (server == NULL) {
        return;
    }
    if (server->queue != NULL) {
        tl_queue_close(server->queue);
    }
    for (int i = 0; i < server->n_workers; i++) {
        if (server->workers[i].is_running) {
            (void)pthread_join(server->workers[i].thread, NULL);
        }
        close_socket(server->workers[i].results);
    }
    close_socket(server->router);
    close_socket(server->results);
    if (server->context != NULL) {
        (void)zmq_ctx_term(server->context);
    }
    tl_queue_free(server->queue);
    tl_mem_free(server);
}
