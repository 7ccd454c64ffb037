/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_METRICS_PAGE_H
#define TL_DAEMON_METRICS_PAGE_H

/*
 * The whole page that Prometheus reads: the requests (daemon/metrics.h), the process and
 * what the engine holds. docs/operations.md lists every metric.
 */

#include "base/text.h"
#include "daemon/engine.h"
#include "daemon/metrics.h"

/* Appends the page. From any thread; looks at the store, but loads no model. */
TL_MUST_USE tl_err tl_metrics_page(tl_engine *engine, const tl_metrics *metrics, tl_text *out);

#endif
