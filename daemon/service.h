/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_SERVICE_H
#define TL_DAEMON_SERVICE_H

/*
 * What a service manager says to a daemon and hears from it, as systemd defines it: sockets
 * that it listens on already (sd_listen_fds(3)), and a datagram for each change of state
 * (sd_notify(3)). Both are a few lines, so libsystemd is not linked.
 *
 *     tl_service_sockets sockets;
 *     TL_TRY(tl_service_sockets_take(&sockets));      before threads are started
 *     ...serve on them...
 *     tl_service_notify("READY=1");
 */

#include "base/err.h"
#include "daemon/endpoint.h"

#include <stddef.h>

enum {
    TL_SERVICE_MAX_SOCKETS = 16
};

typedef struct tl_service_sockets {
    size_t n;
    int fds[TL_SERVICE_MAX_SOCKETS];
    char endpoints[TL_SERVICE_MAX_SOCKETS][TL_ENDPOINT_MAX_BYTES + 1];
} tl_service_sockets;

/*
 * The listening sockets that this process was started with, and their addresses; none
 * without LISTEN_FDS. The variables are removed, so that no child takes them for its own.
 * Fails with TL_EINVAL when they say nonsense or a socket is no listening stream socket, and
 * as tl_endpoint_check().
 */
TL_MUST_USE tl_err tl_service_sockets_take(tl_service_sockets *out_sockets);

/* Sends a state, such as "READY=1", to NOTIFY_SOCKET; without one, nothing happens. Lost
 * silently: the manager then acts as if the daemon hung, which its log tells. */
void tl_service_notify(const char *state);

/* How often to say WATCHDOG=1: half of what the manager waits; 0: it does not watch. */
int tl_service_watchdog_ms(void);

#endif
