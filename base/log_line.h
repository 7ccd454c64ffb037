/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_LOG_LINE_H
#define TL_BASE_LOG_LINE_H

/*
 * One line of the log, in any of its formats: for base/log.c and its test.
 *
 *     tl_log_line line;
 *     tl_log_line_begin(&line, TL_LOG_JSON, "2026-11-20T21:30:00.123Z", "info", "refused");
 *     tl_log_line_add(&line, &(tl_log_field){.key = "method", .text = "design.run"});
 *     size_t len = tl_log_line_end(&line);          line.data ends with a newline
 *
 * Whatever bytes come in, the line is one line of valid UTF-8. What does not fit is cut: a
 * message in its middle, a field as a whole.
 */

#include "base/log.h"

enum {
    TL_LOG_LINE_BYTES = 4096
};

typedef struct tl_log_line {
    tl_log_format format;
    size_t len;
    char data[TL_LOG_LINE_BYTES];
} tl_log_line;

void tl_log_line_begin(
    tl_log_line *line,
    tl_log_format format,
    const char *time,
    const char *level,
    const char *message);
void tl_log_line_add(tl_log_line *line, const tl_log_field *field);

/* The length, with the newline. */
size_t tl_log_line_end(tl_log_line *line);

#endif
