/* SPDX-License-Identifier: Apache-2.0 */
#include "spaces/arena.h"

#include "base/mem.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

enum {
    CHUNK_BYTES = 16 * 1024,
    ALIGN = alignof(max_align_t)
};

typedef struct tl_arena_chunk {
    struct tl_arena_chunk *next;
    size_t capacity_bytes;
    alignas(ALIGN) unsigned char bytes[];
} tl_arena_chunk;

static tl_arena_chunk *grow(tl_arena *arena, size_t bytes)
{
    size_t capacity = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    tl_arena_chunk *chunk = tl_mem_new(1, sizeof *chunk + capacity);
    if (chunk != NULL) {
        chunk->capacity_bytes = capacity;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->used_bytes = 0;
    }
    return chunk;
}

void *tl_arena_new(tl_arena *arena, size_t n, size_t size)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > PTRDIFF_MAX / 2) {
        return NULL;
    }
    bytes = (bytes / ALIGN + 1) * ALIGN;
    tl_arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->capacity_bytes - arena->used_bytes < bytes) {
        chunk = grow(arena, bytes);
        if (chunk == NULL) {
            return NULL;
        }
    }
    void *block = chunk->bytes + arena->used_bytes;
    arena->used_bytes += bytes;
    return block;
}

char *tl_arena_strdup(tl_arena *arena, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = tl_arena_new(arena, bytes, 1);
    if (copy != NULL) {
        memcpy(copy, text, bytes);
    }
    return copy;
}

void tl_arena_done(tl_arena *arena)
{
    while (arena->chunks != NULL) {
        tl_arena_chunk *next = arena->chunks->next;
        tl_mem_free(arena->chunks);
        arena->chunks = next;
    }
    *arena = (tl_arena){0};
}
