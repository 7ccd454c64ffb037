/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_ENDPOINT_H
#define TL_DAEMON_ENDPOINT_H

/* Where a daemon may listen. */

#include "base/err.h"

#include <stdbool.h>

enum {
    TL_ENDPOINT_MAX_BYTES = 255
};

/*
 * TL_EINVAL for what is no endpoint or has no port from 1 to 65535 (or "*", any);
 * TL_EDENIED for a tcp address beyond loopback without keys.
 */
TL_MUST_USE tl_err tl_endpoint_check(const char *endpoint, bool has_keys);

/*
 * True for an ipc endpoint that is a file: its owner, group and mode say who may connect, and
 * no key is asked for. Whoever is on the machine reaches tcp and abstract sockets.
 */
bool tl_endpoint_has_owner(const char *endpoint);

/* What to bind for a checked endpoint: ZeroMQ binds addresses, not the name localhost. */
void tl_endpoint_resolve(const char *endpoint, char out[TL_ENDPOINT_MAX_BYTES + 1]);

/*
 * TL_EBUSY when someone listens at an ipc endpoint already. Binding it would
 * succeed all the same, and take the other one's clients from it.
 */
TL_MUST_USE tl_err tl_endpoint_check_unused(const char *endpoint);

bool tl_endpoint_is_tcp6(const char *endpoint);

#endif
