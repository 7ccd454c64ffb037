/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_METRICS_HTTP_H
#define TL_DAEMON_METRICS_HTTP_H

/*
 * The metrics page over HTTP, for Prometheus: GET /metrics, on a thread of its own. Nothing
 * else is served there, and nothing can be changed through it.
 *
 *     tl_metrics_http *http = NULL;
 *     TL_TRY(tl_metrics_http_open("127.0.0.1:9411", engine, metrics, &http));
 *     tl_log(TL_LOG_INFO, "metrics at %s", tl_metrics_http_address(http));
 *     tl_metrics_http_close(http);
 */

#include "daemon/engine.h"
#include "daemon/metrics.h"

typedef struct tl_metrics_http tl_metrics_http;

/*
 * TL_EINVAL for what is not HOST:PORT: HOST an address (an IPv6 one in brackets), localhost
 * or nothing, which is 127.0.0.1; PORT 0 (any free one) to 65535.
 */
TL_MUST_USE tl_err tl_metrics_http_check(const char *address);

/*
 * The page asks for no key: beyond this machine it is served by a daemon with keys alone, whose
 * owner has thought of others. TL_EDENIED elsewhere.
 */
TL_MUST_USE tl_err tl_metrics_http_check_reach(const char *address, bool has_keys);

/*
 * Borrows engine and metrics. Fails as tl_metrics_http_check(), and with TL_EIO when the
 * address cannot be bound.
 */
TL_MUST_USE tl_err tl_metrics_http_open(
    const char *address,
    tl_engine *engine,
    const tl_metrics *metrics,
    tl_metrics_http **out_http);

/* "http://127.0.0.1:9411/metrics", with the real port. Borrowed. */
const char *tl_metrics_http_address(const tl_metrics_http *http);

/* Waits for a page under way. NULL is fine. */
void tl_metrics_http_close(tl_metrics_http *http);

#endif
