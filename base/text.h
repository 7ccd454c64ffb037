/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_TEXT_H
#define TL_BASE_TEXT_H

/*
 * A growing text.
 *
 * Appending never fails at the call: when memory runs out the text remembers
 * it, ignores what follows, and tl_text_err() says so once at the end.
 *
 *     tl_text text = {0};
 *     tl_text_add(&text, "a,b\n");
 *     tl_text_addf(&text, "%d,%d\n", a, b);
 *     TL_TRY(tl_text_err(&text));
 *     ...text.data, text.len...
 *     tl_text_done(&text);
 */

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct tl_text {
    char *data; /* NUL-terminated; NULL while empty and never appended to */
    size_t len; /* without the NUL */
    size_t capacity_bytes;
    bool is_broken;
} tl_text;

void tl_text_add(tl_text *text, const char *more);
void tl_text_add_bytes(tl_text *text, const void *bytes, size_t len);
void tl_text_addf(tl_text *text, const char *format, ...) TL_PRINTF(2, 3);

/* The shortest decimal that reads back as the same bits. value is finite. */
void tl_text_add_double(tl_text *text, double value);

/* Keeps the memory, forgets the content (and that memory ran out). */
void tl_text_clear(tl_text *text);

/* TL_ENOMEM when an append was lost. */
TL_MUST_USE tl_err tl_text_err(const tl_text *text);

/* The caller owns the result (tl_mem_free); the text is empty again. "" never becomes NULL
 * unless memory runs out. */
TL_MUST_USE char *tl_text_steal(tl_text *text);

void tl_text_done(tl_text *text);

#endif
