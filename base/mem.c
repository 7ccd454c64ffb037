/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGN_BYTES = 64
};

static atomic_long n_live;
static _Thread_local long countdown;

static bool must_fail(void)
{
    if (countdown == 0) {
        return false;
    }
    countdown--;
    return countdown == 0;
}

/* NULL stays NULL and is not counted. */
static void *counted(void *block)
{
    if (block != NULL) {
        atomic_fetch_add_explicit(&n_live, 1, memory_order_relaxed);
    }
    return block;
}

void *tl_mem_new(size_t n, size_t size)
{
    size_t bytes = 0;
    if (must_fail() || __builtin_mul_overflow(n, size, &bytes)) {
        return NULL; /* calloc() would find the overflow too; a sanitizer takes it for a bug */
    }
    return counted(calloc(bytes > 0 ? bytes : 1, 1));
}

void *tl_mem_new_aligned(size_t n, size_t size)
{
    size_t bytes = 0;
    if (must_fail() || __builtin_mul_overflow(n, size, &bytes) ||
        bytes > SIZE_MAX - ALIGN_BYTES) {
        return NULL;
    }
    bytes = (bytes + ALIGN_BYTES) / ALIGN_BYTES * ALIGN_BYTES;
    return counted(aligned_alloc(ALIGN_BYTES, bytes));
}

void *tl_mem_resize(void *block, size_t n, size_t size)
{
    size_t bytes = 0;
    if (block == NULL) {
        return tl_mem_new(n, size);
    }
    if (must_fail() || __builtin_mul_overflow(n, size, &bytes)) {
        return NULL;
    }
    return realloc(block, bytes > 0 ? bytes : 1);
}

char *tl_mem_strndup(const char *text, size_t len)
{
    char *copy = tl_mem_new(len + 1, 1);
    if (copy != NULL) {
        memcpy(copy, text, len);
    }
    return copy;
}

char *tl_mem_strdup(const char *text)
{
    return tl_mem_strndup(text, strlen(text));
}

void tl_mem_free(void *block)
{
    if (block != NULL) {
        atomic_fetch_sub_explicit(&n_live, 1, memory_order_relaxed);
        free(block);
    }
}

void tl_mem_trim(void)
{
    (void)malloc_trim(0);
}

long tl_mem_live(void)
{
    return atomic_load_explicit(&n_live, memory_order_relaxed);
}

void tl_mem_fail_at(long k)
{
    countdown = k;
}
