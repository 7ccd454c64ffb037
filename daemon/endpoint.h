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
 * TL_EINVAL for what is no endpoint; TL_EDENIED for a tcp address beyond
 * loopback, which needs keys that this version does not have.
 */
TL_MUST_USE tl_err tl_endpoint_check(const char *endpoint);

bool tl_endpoint_is_tcp6(const char *endpoint);

#endif
