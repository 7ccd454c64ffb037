/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_BYTES = 256
};

/* Room for len more bytes and the NUL. */
static bool reserve(tl_text *text, size_t len)
{
    if (text->is_broken) {
        return false;
    }
    size_t wanted = text->len + len + 1;
    if (wanted <= text->capacity_bytes) {
        return true;
    }
    size_t capacity = text->capacity_bytes > 0 ? text->capacity_bytes : FIRST_BYTES;
    while (capacity < wanted) {
        capacity *= 2;
    }
    char *data = tl_mem_resize(text->data, capacity, 1);
    if (data == NULL) {
        text->is_broken = true;
        return false;
    }
    text->data = data;
    text->capacity_bytes = capacity;
    return true;
}

void tl_text_add_bytes(tl_text *text, const void *bytes, size_t len)
{
    if (!reserve(text, len)) {
        return;
    }
    if (len > 0) {
        memcpy(text->data + text->len, bytes, len);
    }
    text->len += len;
    text->data[text->len] = '\0';
}

void tl_text_add(tl_text *text, const char *more)
{
    tl_text_add_bytes(text, more, strlen(more));
}

void tl_text_addf(tl_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len >= 0 && reserve(text, (size_t)len)) {
        (void)vsnprintf(text->data + text->len, (size_t)len + 1, format, again);
        text->len += (size_t)len;
    }
    va_end(again);
}

void tl_text_add_double(tl_text *text, double value)
{
    enum {
        LEAST_DIGITS = 15, /* always enough to print what was read from as many */
        MOST_DIGITS = 17,  /* always enough to read back the same bits */
        DIGITS_BYTES = 32
    };
    char digits[DIGITS_BYTES];
    for (int n = LEAST_DIGITS; n <= MOST_DIGITS; n++) {
        (void)snprintf(digits, sizeof digits, "%.*g", n, value);
        if (n == MOST_DIGITS || strtod(digits, NULL) == value) {
            break;
        }
    }
    tl_text_add(text, digits);
}

void tl_text_clear(tl_text *text)
{
    text->len = 0;
    text->is_broken = false;
    if (text->data != NULL) {
        text->data[0] = '\0';
    }
}

tl_err tl_text_err(const tl_text *text)
{
    return text->is_broken ? tl_fail(TL_ENOMEM, "a text of %zu bytes", text->len) : TL_OK;
}

char *tl_text_steal(tl_text *text)
{
    tl_text_add_bytes(text, "", 0);
    if (text->is_broken) {
        return NULL;
    }
    char *data = text->data;
    *text = (tl_text){0};
    return data;
}

void tl_text_done(tl_text *text)
{
    tl_mem_free(text->data);
    *text = (tl_text){0};
}
