/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_MEM_H
#define TL_BASE_MEM_H

/*
 * Memory: the only door to malloc.
 *
 * Every block is counted, so that a test can say "this call gave back all it
 * took", and any allocation can be made to fail, so that a test can walk
 * through every failure path (tl_mem_fail_at).
 *
 * All functions may be called from any thread.
 */

#include "base/attr.h"

#include <stddef.h>

/*
 * n * size zeroed bytes; NULL when there is no memory or the product
 * overflows. A product of 0 gives a block of one byte. Pair with tl_mem_free().
 */
TL_MUST_USE void *tl_mem_new(size_t n, size_t size);

/* The same, on a 64-byte boundary and not cleared; the pair is tl_mem_free(). */
TL_MUST_USE void *tl_mem_new_aligned(size_t n, size_t size);

/*
 * Grows or shrinks block, which came from tl_mem_new(), to n * size bytes;
 * new bytes are not cleared. On failure returns NULL and block is as it was.
 */
TL_MUST_USE void *tl_mem_resize(void *block, size_t n, size_t size);

/* Copies of text, owned by the caller. NULL when there is no memory. */
TL_MUST_USE char *tl_mem_strdup(const char *text);
TL_MUST_USE char *tl_mem_strndup(const char *text, size_t len);

void tl_mem_free(void *block); /* NULL is fine */

/* Gives what was freed back to the system, which otherwise happens late or never. Slow: for after
 * an unusual lot was freed, also by libraries. */
void tl_mem_trim(void);

/* Blocks now live in the whole process. */
long tl_mem_live(void);

/*
 * The k-th allocation of this thread from now fails (once); 0 switches it off. That of a whole
 * process, in whatever thread, is made to fail by a wrapper which the linker puts around these
 * functions in tests (tests/support/refuse.h): nothing of it is in what is installed.
 */
void tl_mem_fail_at(long k);

#endif
