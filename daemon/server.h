/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_SERVER_H
#define TL_DAEMON_SERVER_H

/*
 * The server: requests in over ZeroMQ, replies out. Only daemon/server*.c know
 * ZeroMQ, through server_impl.h.
 *
 * One thread, the router, owns the public socket. It answers methods of the fast
 * lane itself, up to 16 in a row, and hands the others to worker threads through
 * bounded queues, one for each lane, in which clients take turns; their replies come
 * back to it over inproc, so no socket is ever shared. docs/threads.md tells the rest.
 *
 * Who leaves is noticed, also when it only waited: its requests are cancelled, those
 * that no worker has yet are dropped. Who asked for heartbeats gets them from the router.
 *
 *     tl_server *server = NULL;
 *     TL_TRY(tl_server_open(&options, &server));
 *     tl_log(TL_LOG_INFO, "listening on %s", tl_server_endpoint(server, 0));
 *     err = tl_server_run(server);             until options.stop_fd becomes readable
 *     tl_server_close(server);
 *
 * Every request is answered: what cannot be read gets a typed error, with
 * request id 0 where even the id is unreadable.
 */

#include "base/err.h"
#include "daemon/method.h"

#include <stddef.h>

typedef struct tl_server tl_server;

typedef struct tl_server_options {
    struct tl_engine *engine; /* given to every call; may be NULL where no method needs it */
    const char *const *endpoints;
    size_t n_endpoints; /* 1 to 16 */
    const int *fds; /* listen at these endpoints already, and are taken; -1: none. NULL: no */
    int n_workers;  /* of the work lane, and as many of the bulk lane, which yield to all
                        * others; the write lane has one. 0: one per processor, at least 2 */
    size_t max_queued; /* requests waiting for a worker, in each lane; 0: 256 */
    /* Messages of more than 64 KiB at the workers of each lane, where one alone may be longer;
     * 0: 128 MiB. */
    size_t max_held_bytes;
    size_t max_connections;          /* 0: 1000; fewer where files may be open are short */
    size_t max_incoming_bytes;       /* of tcp connections, not whole requests yet; 0: 1 GiB */
    const tl_method *const *methods; /* sorted by name; NULL: tl_methods */
    size_t n_methods;
    struct tl_metrics *metrics; /* counts what is served; borrowed; NULL: none */

    /*
     * Becomes readable when the server shall stop: it then finishes what it has accepted and
     * refuses the rest with TL_ESTATE. Readable once more: it cancels what is running. Each
     * event is read off (up to 128 bytes). An eventfd, a pipe or a signalfd.
     */
    int stop_fd;

    /*
     * Called on the router thread between requests: every tick_ms (0: never for that reason),
     * when wake_fd is readable (it must read that off), and when stopping begins. Short:
     * clients wait. NULL: none, and wake_fd is not looked at.
     */
    void (*tick)(void *context, bool is_stopping);
    void *tick_context;
    int tick_ms;
    int wake_fd;

    /*
     * Keys of the daemon and its clients (keys.h), read again when the folder changes and when
     * wake_fd is readable. NULL: no keys, and no endpoint beyond this machine.
     */
    const char *keys_dir;
} tl_server_options;

/*
 * Binds all endpoints. With keys, who connects by tcp needs one; without, a tcp address
 * beyond loopback is refused with TL_EDENIED. A tcp port may be "*" (any). Fails with
 * TL_EINVAL or TL_EIO, the detail naming the endpoint, and as tl_keys_open().
 */
TL_MUST_USE tl_err tl_server_open(const tl_server_options *options, tl_server **out_server);

/* The endpoint as it was bound, with its real port. Borrowed. */
const char *tl_server_endpoint(const tl_server *server, size_t i);

/* Serves until it is stopped. Once per server. */
TL_MUST_USE tl_err tl_server_run(tl_server *server);

/* NULL is fine. Not while tl_server_run() runs. */
void tl_server_close(tl_server *server);

#endif
