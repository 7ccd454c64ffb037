/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_WORDS_H
#define TL_CLIENTS_CLI_WORDS_H

/* The comma-separated words of an option. */

#include "base/err.h"

#include <stddef.h>

typedef struct tl_words {
    char *text;
    const char **words;
    size_t n_words;
} tl_words;

/* list is zeroed; text may be NULL, which is no words. */
TL_MUST_USE tl_err tl_words_init(tl_words *list, const char *text);
void tl_words_done(tl_words *list);

#endif
