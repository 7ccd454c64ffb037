/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_LOG_H
#define TL_BASE_LOG_H

/*
 * The log: one line a message on standard error, for the programs (daemon and
 * clients) only; library code returns errors and says nothing.
 *
 *     2026-11-20T21:30:00.123Z info  listening on tcp://127.0.0.1:7411
 *
 * A line is written with one write(), so lines of several threads do not mix.
 * Control characters become '?': what a client sends cannot forge a line.
 */

#include "base/err.h"

#include <stdbool.h>

typedef enum tl_log_level {
    TL_LOG_ERROR,
    TL_LOG_WARN,
    TL_LOG_INFO,
    TL_LOG_DEBUG,
} tl_log_level;

/* Messages beyond level are left out; TL_LOG_INFO at the start. */
void tl_log_set_level(tl_log_level level);
bool tl_log_is_on(tl_log_level level);

/* "error", "warn", "info" or "debug"; fails with TL_EINVAL. */
TL_MUST_USE tl_err tl_log_level_parse(const char *text, tl_log_level *out_level);

void tl_log(tl_log_level level, const char *format, ...) TL_PRINTF(2, 3);

#endif
