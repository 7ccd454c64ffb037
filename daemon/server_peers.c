/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How many may be connected at once. Router thread only.
 *
 * ZeroMQ accepts connections by itself and has no bound of its own; its monitor tells of each one
 * with its descriptor. What is beyond the bound is shut down there and then, before, during or
 * after its handshake, whatever the transport and with or without keys: the peer sees the
 * connection close, and clients try again. A refusal by the ZAP handler would come only after the
 * handshake, and one who never ends it would not be counted.
 *
 * The descriptor belongs to ZeroMQ's own thread. Where the peer left in the moment between, the
 * number may stand for a newer connection, which is then shut down in its place: it too is beyond
 * the bound, or connects again.
 */
#include "daemon/server_impl.h"

#include "base/log.h"
#include "base/mem.h"
#include "daemon/metrics.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define MONITOR_ENDPOINT "inproc://connections"

enum {
    DEFAULT_MAX_CONNECTIONS = 1000,
    /* Descriptors for everything else: the store, workers' wake-ups, listeners, the metrics page. */
    OTHER_FDS = 256,
    TELL_EVERY_S = 10,
    EVENTS = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED |
             ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
             ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
};

/* Descriptors enough for so many connections, or as many connections as there are descriptors:
 * who runs out of them can neither accept nor read a file. */
static size_t make_room(size_t wanted)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return wanted;
    }
    rlim_t needed = (rlim_t)wanted + OTHER_FDS;
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < needed) {
        rlim_t before = limit.rlim_cur;
        bool is_enough = limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= needed;
        limit.rlim_cur = is_enough ? needed : limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            limit.rlim_cur = before;
        }
    }
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= needed) {
        return wanted;
    }
    size_t room = limit.rlim_cur > 2 * OTHER_FDS ? (size_t)limit.rlim_cur - OTHER_FDS
                                                 : (size_t)limit.rlim_cur / 2;
    tl_log(
        TL_LOG_WARN, "%zu connections at most, not %zu: only %zu files may be open", room,
        wanted, (size_t)limit.rlim_cur);
    return room;
}

tl_err tl_server_peers_open(tl_server *server)
{
    tl_peers *p = &server->peers;
    size_t wanted = server->options.max_connections;
    int unlimited = 0; /* ZeroMQ's thread never waits for us; an event is a few bytes */
    p->max = make_room(wanted > 0 ? wanted : DEFAULT_MAX_CONNECTIONS);
    tl_metrics_set_max_connections(server->options.metrics, p->max);
    if (zmq_socket_monitor(server->router, MONITOR_ENDPOINT, EVENTS) != 0 ||
        (p->monitor = zmq_socket(server->context, ZMQ_PAIR)) == NULL ||
        zmq_setsockopt(p->monitor, ZMQ_RCVHWM, &unlimited, sizeof unlimited) != 0 ||
        zmq_connect(p->monitor, MONITOR_ENDPOINT) != 0) {
        return tl_server_zmq_failed("the monitor of connections");
    }
    return TL_OK;
}

void tl_server_peers_close(tl_server *server)
{
    if (server->router != NULL) {
        (void)zmq_socket_monitor(server->router, NULL, 0);
    }
    if (server->peers.monitor != NULL) {
        (void)zmq_close(server->peers.monitor);
    }
    tl_mem_free(server->peers.all);
}

/* True where fd is one of those that are counted, or could be remembered as such. */
static bool remember(tl_peers *p, size_t fd)
{
    if (fd >= p->n_fds) {
        size_t n = fd + OTHER_FDS;
        tl_peer *grown = tl_mem_resize(p->all, n, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        memset(grown + p->n_fds, 0, (n - p->n_fds) * sizeof *grown);
        p->all = grown;
        p->n_fds = n;
    }
    if (!p->all[fd].is_open) {
        p->all[fd].is_open = true;
        p->n_open++;
    }
    return true;
}

static void tell_refused(tl_server *server)
{
    tl_peers *p = &server->peers;
    p->n_refused++;
    tl_metrics_refused_connection(server->options.metrics);
    if (tl_log_is_due(TELL_EVERY_S, &p->told_ns)) {
        tl_log(
            TL_LOG_WARN, "%zu are connected: no more are let in (%llu refused so far)",
            p->n_open, (unsigned long long)p->n_refused);
    }
}

static void on_accepted(tl_server *server, int fd)
{
    tl_peers *p = &server->peers;
    bool is_known = (size_t)fd < p->n_fds && p->all[fd].is_open;
    bool has_room = is_known || p->n_open < p->max;
    if (!has_room || !remember(p, (size_t)fd) || !tl_server_flow_add(server, fd)) {
        tell_refused(server); /* first: who sees it closed finds it counted */
        (void)shutdown(fd, SHUT_RDWR);
    }
}

static void on_disconnected(tl_peers *p, int fd)
{
    if ((size_t)fd < p->n_fds && p->all[fd].is_open) {
        p->all[fd].is_open = false;
        p->n_open--;
    }
}

bool tl_server_peers_has_left(const tl_server *server, int fd)
{
    const tl_peers *p = &server->peers;
    return fd >= 0 && ((size_t)fd >= p->n_fds || !p->all[fd].is_open);
}

/* Two frames: a 16 bit event and a 32 bit value as the machine has them, then the endpoint. */
bool tl_server_peers_hear(tl_server *server)
{
    uint8_t frame[sizeof(uint16_t) + sizeof(int32_t)];
    char endpoint[TL_ENDPOINT_MAX_BYTES + 1];
    uint16_t event = 0;
    int32_t value = -1;
    tl_metrics *metrics = server->options.metrics;
    int len = zmq_recv(server->peers.monitor, frame, sizeof frame, ZMQ_DONTWAIT);
    if (len < 0) {
        return false;
    }
    (void)zmq_recv(server->peers.monitor, endpoint, sizeof endpoint, 0);
    if (len != (int)sizeof frame) {
        return true;
    }
    memcpy(&event, frame, sizeof event);
    memcpy(&value, frame + sizeof event, sizeof value);
    if (event == ZMQ_EVENT_ACCEPTED && value >= 0) {
        on_accepted(server, value);
    } else if (event == ZMQ_EVENT_DISCONNECTED && value >= 0) {
        on_disconnected(&server->peers, value);
        tl_server_cancel_all_of(server, value);
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        tl_metrics_handshake_failed(metrics, TL_HANDSHAKE_KEY);
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) {
        tl_metrics_handshake_failed(metrics, TL_HANDSHAKE_PROTOCOL);
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) {
        tl_metrics_handshake_failed(metrics, TL_HANDSHAKE_CLOSED);
    }
    tl_metrics_set_connections(metrics, server->peers.n_open);
    return true;
}
