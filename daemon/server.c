/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/server_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/name.h"
#include "base/units.h"
#include "daemon/envelope.h"
#include "numerics/gemm.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum {
    DRAIN = 16, /* requests read before results and the stop descriptor get a look, */
    DRAIN_NS = 2 * 1000 * 1000, /* or as many as this takes */
    FAST_MAX_BYTES = 16 * 1024, /* of requests that the router reads, unless a method says */
    STOP_EVENT_BYTES = 128,
    MAX_REFUSED = 10000,
    REST_MS = 20,
    MAX_RESTS = 50,
    BACKLOG = 4, /* requests in a row */
    MAX_WAIT_MS = 60 * 1000
};

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

/* Short work is answered at once: waking a worker would take longer. But where requests come
 * faster than one thread answers them, idle workers get some. */
static tl_lane lane_of(tl_task *t)
{
    const tl_method *method = t->method;
    size_t len = t->request->body.len;
    size_t fast_max = method->fast_max_bytes != 0 ? method->fast_max_bytes : FAST_MAX_BYTES;
    if (method->bulk_min_bytes != 0 && len >= method->bulk_min_bytes) {
        return TL_LANE_BULK;
    }
    if (method->lane != TL_LANE_FAST) {
        return method->lane;
    }
    t->is_short = len <= fast_max && method->fast_max_bytes != 0 &&
                  t->server->n_in_a_row > BACKLOG && tl_server_has_free_worker(t->server);
    return len > fast_max || t->is_short ? TL_LANE_WORK : TL_LANE_FAST;
}

/* What can be refused before the method runs. */
static tl_err accept(tl_task *t, const zmq_msg_t *payload)
{
    tl_server *server = t->server;
    size_t len = zmq_msg_size(payload);
    const uint8_t *data = zmq_msg_data((zmq_msg_t *)(uintptr_t)payload);
    tl_err_clear();
    t->bytes = len;
    TL_TRY(tl_envelope_read(data, len, &t->request_id, &t->request));
    /* first: what is refused is counted under its name */
    t->method = tl_method_find_in(
        server->options.methods, server->options.n_methods, t->request->method);
    TL_TRY(tl_server_keys_identify(t, payload));
    if (server->is_stopping) {
        t->is_turned_away = true;
        return tl_fail(TL_ESTATE, "the daemon is stopping");
    }
    if (t->method == NULL) {
        return unknown_method(server, t->request->method);
    }
    TL_TRY(tl_method_check_role(t->method, t->role));
    t->deadline_ns = tl_envelope_deadline_ns(t->method, t->request, t->received_ns);
    t->heartbeat_ns = tl_envelope_heartbeat_ns(t->request);
    t->lane = lane_of(t);
    return TL_OK;
}

static void take_request(tl_task *t, const zmq_msg_t *payload, bool is_framed)
{
    tl_err err = is_framed ? accept(t, payload)
                           : tl_fail(TL_EINVAL, "want one empty frame, then one Request");
    if (err == TL_OK && (t->lane != TL_LANE_FAST || !tl_server_serve(t))) {
        err = tl_server_hand_over(t);
    }
    if (err != TL_OK && t->is_gone) {
        tl_server_drop(t);
    } else if (err != TL_OK) {
        tl_server_log_refused(t, err);
        tl_server_deliver_error(t, err);
    }
    tl_wire_free((ProtobufCMessage *)t->request);
}

/* Reads the frames after the identity. False: not [empty, payload]. */
static bool read_frames(tl_task *t, zmq_msg_t *payload)
{
    bool is_framed = true;
    int n_frames = 0;
    size_t n_bytes = 0;
    for (int more = 1; more != 0; n_frames++) {
        if (zmq_msg_recv(payload, t->server->router, 0) < 0) {
            return false;
        }
        more = zmq_msg_more(payload);
        n_bytes += tl_server_flow_frame_bytes(t->server, zmq_msg_size(payload));
        is_framed = is_framed && (n_frames != 0 || (zmq_msg_size(payload) == 0 && more));
    }
    t->fd = zmq_msg_get(payload, ZMQ_SRCFD);
    tl_server_flow_took(t->server, t->fd, n_bytes);
    return is_framed && n_frames == 2;
}

/* Takes one request off the socket; false when there is none. */
static bool receive(tl_server *server)
{
    tl_task t = {.server = server, .fd = -1};
    int len = zmq_recv(server->router, t.identity, sizeof t.identity, ZMQ_DONTWAIT);
    if (len < 0) {
        server->n_in_a_row = 0;
        return false;
    }
    server->n_in_a_row++;
    TL_ASSERT((size_t)len <= sizeof t.identity);
    t.identity_len = (size_t)len;
    t.received_ns = tl_clock_ns();
    zmq_msg_t payload;
    (void)zmq_msg_init(&payload);
    size_t more_len = sizeof(int);
    int more = 0;
    (void)zmq_getsockopt(server->router, ZMQ_RCVMORE, &more, &more_len);
    bool is_framed = more != 0 && read_frames(&t, &payload);
    take_request(&t, &payload, is_framed);
    (void)zmq_msg_close(&payload);
    return true;
}

/* What it had to say before was not sent: the client must not take the rest for the whole. */
static void replace_final(const tl_task *t, zmq_msg_t *payload)
{
    (void)zmq_msg_close(payload);
    tl_server_error_message(
        t, tl_fail(TL_ELIMIT, "a part of the reply was lost: it is read too slowly"), payload);
}

/* Passes one reply of a worker on to its client; false when there is none. Waits for one without
 * ZMQ_DONTWAIT. */
static bool pass_on_one(tl_server *server, int flags)
{
    tl_note n;
    zmq_msg_t payload;
    int len = zmq_recv(server->results, &n, sizeof n, flags);
    if (len < 0) {
        return false;
    }
    TL_ASSERT(len == (int)sizeof n);
    (void)zmq_msg_init(&payload);
    TL_ASSERT(zmq_msg_recv(&payload, server->results, 0) >= 0);
    if (n.kind == TAILOR__V1__REPLY__KIND__FINAL && n.task->is_cut) {
        replace_final(n.task, &payload);
    }
    if (n.task->is_gone) {
        (void)zmq_msg_close(&payload);
    } else if (!tl_server_send_to_client(n.task, &payload)) {
        n.task->is_cut = n.task->is_cut || n.kind == TAILOR__V1__REPLY__KIND__PART;
        atomic_store_explicit(&n.task->is_cancelled, true, memory_order_relaxed);
    }
    if (n.kind == TAILOR__V1__REPLY__KIND__FINAL) {
        TL_ASSERT(atomic_load_explicit(&n.task->is_given_back, memory_order_acquire));
        tl_server_task_free(n.task);
    }
    return true;
}

static bool pass_on(tl_server *server)
{
    return pass_on_one(server, ZMQ_DONTWAIT);
}

/* The router cannot go on: ends what is at the workers, who would wait for it. */
static void abandon(tl_server *server)
{
    tl_server_cancel_all(server);
    while (server->at_workers != NULL) {
        (void)pass_on_one(server, 0);
    }
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
    for (tl_task *t = server->at_workers; t != NULL; t = t->next) {
        atomic_store_explicit(&t->is_cancelled, true, memory_order_relaxed);
    }
}

/* What the daemon does beside serving. */
static void tick(tl_server *server, bool is_woken)
{
    const tl_server_options *o = &server->options;
    if (o->tick == NULL) {
        return;
    }
    int64_t now_ns = tl_clock_ns();
    bool is_due = o->tick_ms > 0 && now_ns >= server->next_tick_ns;
    if (is_due || is_woken || server->is_stopping != server->has_told_stopping) {
        server->next_tick_ns = now_ns + (int64_t)o->tick_ms * TL_NS_PER_MS;
        server->has_told_stopping = server->is_stopping;
        o->tick(o->tick_context, server->is_stopping);
    }
}

/* Up to DRAIN messages, for a moment; true when there may be more. */
static bool drain(tl_server *server, bool (*take_one)(tl_server *server))
{
    int64_t end_ns = tl_clock_ns() + DRAIN_NS;
    for (int i = 0; i < DRAIN && (i == 0 || tl_clock_ns() < end_ns); i++) {
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
               : tl_server_zmq_failed("a socket's descriptor");
}

/* How long poll() may wait: until the next tick, look, heartbeat or deadline. */
static int wait_ms(const tl_server *server)
{
    bool has_ticks = server->options.tick != NULL && server->options.tick_ms > 0;
    int64_t at_ns = tl_server_tend_at_ns(server);
    at_ns = server->flow.look_ns < at_ns ? server->flow.look_ns : at_ns;
    at_ns = has_ticks && server->next_tick_ns < at_ns ? server->next_tick_ns : at_ns;
    if (at_ns == INT64_MAX) {
        return -1;
    }
    int64_t left_ns = at_ns - tl_clock_ns();
    int64_t left_ms = left_ns > 0 ? left_ns / TL_NS_PER_MS + 1 : 0;
    return left_ms < MAX_WAIT_MS ? (int)left_ms : MAX_WAIT_MS;
}

enum {
    FD_REQUESTS,
    FD_RESULTS,
    FD_STOP,
    FD_WAKE,
    FD_HANDSHAKES,
    FD_PEERS,
    FD_FLOW,
    N_FDS
};

/* poll() passes over descriptors below 0. */
static tl_err get_fds(const tl_server *server, struct pollfd fds[N_FDS])
{
    for (int i = 0; i < N_FDS; i++) {
        fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    }
    fds[FD_STOP].fd = server->options.stop_fd;
    fds[FD_WAKE].fd = server->options.tick != NULL ? server->options.wake_fd : -1;
    TL_TRY(get_fd(server->router, &fds[FD_REQUESTS].fd));
    TL_TRY(get_fd(server->results, &fds[FD_RESULTS].fd));
    TL_TRY(get_fd(server->peers.monitor, &fds[FD_PEERS].fd));
    return server->zap != NULL ? get_fd(server->zap, &fds[FD_HANDSHAKES].fd) : TL_OK;
}

/* Acts on what poll() saw beside requests and results. */
static void look_around(tl_server *server, const struct pollfd fds[N_FDS])
{
    bool is_woken = fds[FD_WAKE].revents != 0;
    if (server->keys != NULL) {
        tl_server_keys_look(server, is_woken);
    }
    if (fds[FD_STOP].revents != 0) {
        on_stop(server);
    }
    tick(server, is_woken);
}

/* Whether more comes at once of what had arrived: ZeroMQ hands over a few of each client, and
 * the next ones when these were read. */
static bool comes_more(const struct pollfd *requests)
{
    struct pollfd fd = *requests;
    return poll(&fd, 1, REST_MS) > 0;
}

/* What arrived before the end hears that it came too late, instead of nothing. So many and no
 * more: clients that go on asking do not keep the daemon alive. */
static void refuse_the_rest(tl_server *server, const struct pollfd *requests)
{
    int n_waits = 0;
    for (int i = 0; i < MAX_REFUSED; i++) {
        if (!receive(server) && (n_waits++ == MAX_RESTS || !comes_more(requests))) {
            return;
        }
    }
}

/*
 * A socket's descriptor becomes readable when something has changed and says so only once,
 * and sending may swallow that. So the public socket is read until it is empty before every
 * wait, as are those of handshakes and connections once they were seen readable. This costs a third of the
 * system calls of zmq_poll().
 */
tl_err tl_server_run(tl_server *server)
{
    struct pollfd fds[N_FDS];
    bool has_results = false;
    bool has_handshakes = false;
    bool has_peers = true; /* some came before the daemon looked */
    TL_TRY(get_fds(server, fds));
    tl_blas_single_thread();
    while (!server->is_stopping || server->at_workers != NULL) {
        bool has_requests = drain(server, receive);
        tl_server_flow_look(server, !has_requests);
        fds[FD_FLOW].fd = tl_server_flow_fd(server);
        bool has_more = has_requests || has_results || has_handshakes || has_peers;
        if (poll(fds, N_FDS, has_more ? 0 : wait_ms(server)) < 0) {
            int error = errno;
            if (error == EINTR) {
                continue;
            }
            abandon(server);
            return tl_fail(TL_EIO, "waiting for requests: %s", strerror(error));
        }
        look_around(server, fds);
        tl_server_tend(server);
        if (has_results || fds[FD_RESULTS].revents != 0) {
            has_results = drain(server, pass_on);
        }
        if (has_handshakes || fds[FD_HANDSHAKES].revents != 0) {
            has_handshakes = drain(server, tl_server_keys_answer);
        }
        if (has_peers || fds[FD_PEERS].revents != 0) {
            has_peers = drain(server, tl_server_peers_hear);
        }
        if (fds[FD_FLOW].revents != 0) {
            tl_server_flow_wake(server);
        }
    }
    refuse_the_rest(server, &fds[FD_REQUESTS]);
    return TL_OK;
}
