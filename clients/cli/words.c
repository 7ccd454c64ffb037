/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/words.h"

#include "base/mem.h"

#include <string.h>

void tl_words_done(tl_words *list)
{
    tl_mem_free(list->words);
    tl_mem_free(list->text);
    *list = (tl_words){0};
}

tl_err tl_words_init(tl_words *list, const char *text)
{
    if (text == NULL) {
        return TL_OK;
    }
    size_t n = 1;
    for (const char *c = text; *c != '\0'; c++) {
        n += *c == ',';
    }
    list->text = tl_mem_strdup(text);
    list->words = tl_mem_new(n, sizeof *list->words);
    if (list->text == NULL || list->words == NULL) {
        tl_words_done(list);
        return tl_fail(TL_ENOMEM, "%zu names", n);
    }
    for (char *rest = list->text; rest != NULL;) {
        list->words[list->n_words++] = rest;
        rest = strchr(rest, ',');
        if (rest != NULL) {
            *rest++ = '\0';
        }
    }
    return TL_OK;
}
