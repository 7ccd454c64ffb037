/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/clock.h"
#include "base/log_line.h"
#include "base/units.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    MESSAGE_BYTES = 2048,
    NS_PER_MS = 1000000
};

static atomic_int level_now = TL_LOG_INFO;
static atomic_int format_now = TL_LOG_TEXT;

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const format_names[] = {"text", "logfmt", "json"};

void tl_log_set_level(tl_log_level level)
{
    atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

bool tl_log_is_on(tl_log_level level)
{
    return (int)level <= atomic_load_explicit(&level_now, memory_order_relaxed);
}

void tl_log_set_format(tl_log_format format)
{
    atomic_store_explicit(&format_now, (int)format, memory_order_relaxed);
}

/* The place of text in names; -1: none. */
static int find_name(const char *text, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(text, names[i]) == 0) {
            return (int)i;
        }
    }
    return -1;
}

tl_err tl_log_level_parse(const char *text, tl_log_level *out_level)
{
    int i = find_name(text, level_names, TL_COUNT(level_names));
    if (i < 0) {
        return tl_fail(
            TL_EINVAL, "log level: got \"%s\", want error, warn, info or debug", text);
    }
    *out_level = (tl_log_level)i;
    return TL_OK;
}

tl_err tl_log_format_parse(const char *text, tl_log_format *out_format)
{
    int i = find_name(text, format_names, TL_COUNT(format_names));
    if (i < 0) {
        return tl_fail(TL_EINVAL, "log format: got \"%s\", want text, logfmt or json", text);
    }
    *out_format = (tl_log_format)i;
    return TL_OK;
}

static void print_time(char *text, size_t size)
{
    struct timespec now = {0};
    struct tm parts = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    size_t len = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(text + len, size - len, ".%03dZ", (int)(now.tv_nsec / NS_PER_MS));
}

void tl_log_fields(
    tl_log_level level, const char *message, const tl_log_field *fields, size_t n_fields)
{
    char time[48];
    tl_log_line line;
    if (!tl_log_is_on(level)) {
        return;
    }
    print_time(time, sizeof time);
    tl_log_line_begin(
        &line, (tl_log_format)atomic_load_explicit(&format_now, memory_order_relaxed), time,
        level_names[level], message);
    for (size_t i = 0; i < n_fields; i++) {
        tl_log_line_add(&line, &fields[i]);
    }
    size_t len = tl_log_line_end(&line);
    /* Nobody can be told that the log cannot be written. */
    if (write(STDERR_FILENO, line.data, len) < 0) {
        return;
    }
}

void tl_log(tl_log_level level, const char *format, ...)
{
    char message[MESSAGE_BYTES];
    if (!tl_log_is_on(level)) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    tl_log_fields(level, message, NULL, 0);
}

bool tl_log_is_due(int every_s, int64_t *told_ns)
{
    int64_t now_ns = tl_clock_ns();
    bool is_due = *told_ns == 0 || now_ns - *told_ns >= every_s * TL_NS_PER_S;
    if (is_due) {
        *told_ns = now_ns;
    }
    return is_due;
}
