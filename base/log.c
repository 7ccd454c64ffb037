/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_BYTES = 2048,
    NS_PER_MS = 1000000
};

static atomic_int level_now = TL_LOG_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void tl_log_set_level(tl_log_level level)
{
    atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

bool tl_log_is_on(tl_log_level level)
{
    return (int)level <= atomic_load_explicit(&level_now, memory_order_relaxed);
}

tl_err tl_log_level_parse(const char *text, tl_log_level *out_level)
{
    for (size_t i = 0; i < TL_COUNT(level_names); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out_level = (tl_log_level)i;
            return TL_OK;
        }
    }
    return tl_fail(TL_EINVAL, "log level: got \"%s\", want error, warn, info or debug", text);
}

static size_t print_head(tl_log_level level, char *line, size_t size)
{
    struct timespec now = {0};
    struct tm parts = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    size_t len = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &parts);
    int more = snprintf(
        line + len, size - len, ".%03dZ %-5s ", (int)(now.tv_nsec / NS_PER_MS),
        level_names[level]);
    return len + (more > 0 ? (size_t)more : 0);
}

void tl_log(tl_log_level level, const char *format, ...)
{
    char line[LINE_BYTES];
    if (!tl_log_is_on(level)) {
        return;
    }
    size_t len = print_head(level, line, sizeof line);
    va_list args;
    va_start(args, format);
    int body_len = vsnprintf(line + len, sizeof line - len, format, args);
    va_end(args);
    size_t end = body_len > 0 ? len + (size_t)body_len : len;
    if (end > sizeof line - 1) {
        end = sizeof line - 1;
    }
    for (size_t i = len; i < end; i++) {
        unsigned char c = (unsigned char)line[i];
        line[i] = c < 0x20 || c == 0x7f ? '?' : line[i];
    }
    line[end] = '\n';
    /* Nobody can be told that the log cannot be written. */
    if (write(STDERR_FILENO, line, end + 1) < 0) {
        return;
    }
}
