/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_LOG_H
#define TL_BASE_LOG_H

/*
 * The log: one line a message on standard error, for the programs (daemon and
 * clients) only; library code returns errors and says nothing.
 *
 *     2026-11-20T21:30:00.123Z info  listening on tcp://127.0.0.1:7411
 *
 * A message may have fields, which machines read in one of two other formats:
 *
 *     2026-11-20T21:30:01.456Z info  refused method=design.run id=7 error=EBUSY
 *     ts=2026-11-20T21:30:01.456Z level=info msg=refused method=design.run id=7 error=EBUSY
 *     {"ts":"2026-11-20T21:30:01.456Z","level":"info","msg":"refused","method":"design.run",...
 *
 * A line is written with one write(), so lines of several threads do not mix.
 * Control characters become '?': what a client sends cannot forge a line.
 */

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

typedef enum tl_log_format {
    TL_LOG_TEXT,   /* for people */
    TL_LOG_LOGFMT, /* key=value */
    TL_LOG_JSON,   /* one object a line */
} tl_log_format;

/* TL_LOG_TEXT at the start. */
void tl_log_set_format(tl_log_format format);

/* "text", "logfmt" or "json"; fails with TL_EINVAL. */
TL_MUST_USE tl_err tl_log_format_parse(const char *text, tl_log_format *out_format);

void tl_log(tl_log_level level, const char *format, ...) TL_PRINTF(2, 3);

/*
 * For what strangers can make happen as often as they like: true once in so many seconds. told_ns
 * is when it was true last, 0 before; one thread's, or under its lock.
 */
bool tl_log_is_due(int every_s, int64_t *told_ns);

/* A field of a message: text, or a whole number, or a duration where text is NULL. */
typedef struct tl_log_field {
    const char *key; /* lower case, digits and _ */
    const char *text;
    bool is_whole;
    uint64_t whole;
    double ms;
} tl_log_field;

/* A message, which is the same each time, with what differs in fields. A line that gets too
 * long loses its last fields, and is still well formed. */
void tl_log_fields(
    tl_log_level level, const char *message, const tl_log_field *fields, size_t n_fields);

#endif
