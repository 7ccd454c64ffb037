/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_SPACES_ARENA_H
#define TL_SPACES_ARENA_H

/*
 * Memory that lives exactly as long as a space: many small blocks, freed at
 * once. Zero-initialize; tl_arena_done() accepts a zeroed arena.
 */

#include "base/attr.h"

#include <stddef.h>

typedef struct tl_arena {
    struct tl_arena_chunk *chunks; /* newest first */
    size_t used_bytes;             /* of the newest chunk */
} tl_arena;

/* n * size zeroed bytes, aligned for any type; NULL when there is no memory. */
TL_MUST_USE void *tl_arena_new(tl_arena *arena, size_t n, size_t size);

TL_MUST_USE char *tl_arena_strdup(tl_arena *arena, const char *text);

void tl_arena_done(tl_arena *arena);

#endif
