/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef tl_fail
#undef tl_fail_in

enum {
    DETAIL_BYTES = 1024
};

static _Thread_local char detail[DETAIL_BYTES];

void tl_assert_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}

const char *tl_err_name(tl_err err)
{
    switch (err) {
#define TL_ERR_NAME(name, number, message) \
    case TL_##name: return #name;
        TL_ERR_LIST(TL_ERR_NAME)
#undef TL_ERR_NAME
    }
    return "EUNKNOWN";
}

const char *tl_err_message(tl_err err)
{
    switch (err) {
#define TL_ERR_MESSAGE(name, number, message) \
    case TL_##name: return message;
        TL_ERR_LIST(TL_ERR_MESSAGE)
#undef TL_ERR_MESSAGE
    }
    return "an error this version does not know";
}

/* "the reply" alone would tell nobody what is wrong with it. */
static bool must_say_memory(tl_err err, const char *line)
{
    return err == TL_ENOMEM && strstr(line, tl_err_message(TL_ENOMEM)) == NULL;
}

tl_err tl_failv(tl_err err, const char *format, va_list args)
{
    char line[DETAIL_BYTES];
    (void)vsnprintf(line, sizeof line, format, args);
    memcpy(detail, line, sizeof detail);
    return must_say_memory(err, line) ? tl_fail_in(err, "%s: ", tl_err_message(err)) : err;
}

tl_err tl_fail(tl_err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tl_failv(err, format, args);
    va_end(args);
    return err;
}

tl_err tl_fail_in(tl_err err, const char *format, ...)
{
    char line[2 * DETAIL_BYTES];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, DETAIL_BYTES, format, args);
    va_end(args);
    if (len < 0 || len >= DETAIL_BYTES) {
        len = DETAIL_BYTES - 1;
    }
    size_t detail_len = strlen(detail);
    memcpy(line + len, detail, detail_len + 1);
    line[DETAIL_BYTES - 1] = '\0';
    memcpy(detail, line, sizeof detail);
    return err;
}

const char *tl_err_detail(void)
{
    return detail;
}

void tl_err_clear(void)
{
    detail[0] = '\0';
}
