/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/server_impl.h"

#include "base/log.h"
#include "base/mem.h"
#include "daemon/metrics.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    DEFAULT_MAX_QUEUED = 256,
    DEFAULT_MAX_HELD_BYTES = 128 * 1024 * 1024,
    /* Messages held for one client. Bounded, so that one that never reads costs little; a
     * reply beyond it is lost and logged. */
    HIGH_WATER = 1000,
    /* Whole messages that wait for the router, of one client; they may be long ones. */
    INPUT_HIGH_WATER = 16,
    RESULTS_HIGH_WATER = 64, /* a worker that sends parts waits for the router here */
    LINGER_MS = 2000,
    HANDSHAKE_MS = 5000,
    HEARTBEAT_MS = 10000,
    /* An answer to a ping waits behind the message that its sender is in the middle of, which may
     * be a long one on a slow line. */
    HEARTBEAT_TIMEOUT_MS = 120000
};

#define RESULTS_ENDPOINT "inproc://results"

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
        {ZMQ_RCVHWM,            INPUT_HIGH_WATER    },
        {ZMQ_HANDSHAKE_IVL,     HANDSHAKE_MS        },
        {ZMQ_HEARTBEAT_IVL,     HEARTBEAT_MS        },
        {ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS},
    };
    int64_t max_bytes = TL_WIRE_HARD_MAX_BYTES;
    for (size_t i = 0; i < TL_COUNT(options); i++) {
        if (zmq_setsockopt(
                server->router, options[i].option, &options[i].value,
                sizeof options[i].value) != 0) {
            return tl_server_zmq_failed("the public socket");
        }
    }
    if (zmq_setsockopt(server->router, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) != 0) {
        return tl_server_zmq_failed("the public socket");
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
        TL_TRY(tl_endpoint_check(wanted, server->keys != NULL));
        TL_TRY(tl_server_keys_guard(server, wanted));
        int fd = server->options.fds != NULL ? server->options.fds[i] : -1;
        if (fd < 0) {
            TL_TRY(tl_endpoint_check_unused(wanted));
        }
        tl_endpoint_resolve(wanted, resolved);
        (void)zmq_setsockopt(server->router, ZMQ_IPV6, &is_tcp6, sizeof is_tcp6);
        (void)zmq_setsockopt(server->router, ZMQ_USE_FD, &fd, sizeof fd);
        if (zmq_bind(server->router, resolved) != 0) {
            return tl_fail(TL_EIO, "%s: %s", wanted, zmq_strerror(zmq_errno()));
        }
        if (zmq_getsockopt(server->router, ZMQ_LAST_ENDPOINT, server->endpoints[i], &size) !=
            0) {
            return tl_server_zmq_failed(wanted);
        }
        TL_TRY(tl_server_keys_check_bound(server, server->endpoints[i]));
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
        return tl_server_zmq_failed("sockets");
    }
    TL_TRY(set_router_options(server));
    TL_TRY(tl_server_flow_open(server));
    TL_TRY(tl_server_peers_open(server));
    TL_TRY(tl_server_keys_open(server));
    return bind_all(server);
}

static tl_err start_lane(tl_server *server, tl_lane lane, int n_workers)
{
    int water = RESULTS_HIGH_WATER;
    size_t max_queued = server->options.max_queued;
    TL_TRY(tl_queue_new(max_queued, &server->queues[lane]));
    tl_metrics_set_limits(server->options.metrics, lane, n_workers, max_queued);
    for (int i = 0; i < n_workers; i++) {
        tl_worker *w = &server->workers[server->n_workers++];
        w->server = server;
        w->lane = lane;
        if ((w->results = zmq_socket(server->context, ZMQ_PUSH)) == NULL ||
            zmq_setsockopt(w->results, ZMQ_SNDHWM, &water, sizeof water) != 0 ||
            zmq_connect(w->results, RESULTS_ENDPOINT) != 0) {
            return tl_server_zmq_failed("a worker's socket");
        }
        /* Starting the thread is the full fence that lets it use a socket made here. */
        if (pthread_create(&w->thread, NULL, tl_server_work, w) != 0) {
            return tl_fail(TL_EIO, "cannot start worker %d", server->n_workers);
        }
        w->is_running = true;
    }
    return TL_OK;
}

/* Bulk has its own, so that however much of it there is, the others are free. */
static tl_err start_workers(tl_server *server)
{
    int n_workers = server->options.n_workers;
    TL_TRY(start_lane(server, TL_LANE_WORK, n_workers));
    TL_TRY(start_lane(server, TL_LANE_WRITE, 1));
    return start_lane(server, TL_LANE_BULK, n_workers);
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
    if (o->max_held_bytes == 0) {
        o->max_held_bytes = DEFAULT_MAX_HELD_BYTES;
    }
    long n = o->n_workers > 0 ? o->n_workers : sysconf(_SC_NPROCESSORS_ONLN);
    if (o->n_workers <= 0 && n < 2) {
        n = 2; /* one long search must not keep everyone else waiting */
    }
    o->n_workers = (int)(n < TL_SERVER_MAX_WORKERS ? n : TL_SERVER_MAX_WORKERS);
}

tl_err tl_server_open(const tl_server_options *options, tl_server **out_server)
{
    tl_err err = TL_OK;
    if (options->n_endpoints == 0 || options->n_endpoints > TL_SERVER_MAX_ENDPOINTS) {
        return tl_fail(
            TL_EINVAL, "endpoints: got %zu, want 1 to %d", options->n_endpoints,
            (int)TL_SERVER_MAX_ENDPOINTS);
    }
    tl_server *server = tl_mem_new(1, sizeof *server);
    if (server == NULL) {
        return tl_fail(TL_ENOMEM, "the server");
    }
    server->options = *options;
    server->flow.epoll_fd = -1;
    set_defaults(server);
    if ((err = open_sockets(server)) != TL_OK || (err = start_workers(server)) != TL_OK) {
        goto done;
    }
    server->options.endpoints = NULL; /* the caller's, bound by now */
    server->options.fds = NULL;
    server->options.keys_dir = NULL;
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
    for (int l = 0; l < TL_N_LANES; l++) {
        if (server->queues[l] != NULL) {
            tl_queue_close(server->queues[l]);
        }
    }
    for (int i = 0; i < server->n_workers; i++) {
        if (server->workers[i].is_running) {
            (void)pthread_join(server->workers[i].thread, NULL);
        }
        close_socket(server->workers[i].results);
    }
    tl_server_peers_close(server);
    tl_server_flow_close(server);
    close_socket(server->router);
    close_socket(server->results);
    close_socket(server->zap);
    if (server->context != NULL) {
        (void)zmq_ctx_term(server->context);
    }
    for (int l = 0; l < TL_N_LANES; l++) {
        tl_queue_free(server->queues[l]);
    }
    tl_keys_close(server->keys);
    tl_mem_free(server);
}
