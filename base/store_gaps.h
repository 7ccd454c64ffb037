/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_STORE_GAPS_H
#define TL_BASE_STORE_GAPS_H

/*
 * What cannot be read of a store with damaged pages: gaps between keys.
 *
 * A gap lies between two keys that stand in sound pages, or reaches to an end of its database.
 * LMDB goes from the root down to the one page where a key is or would be, and from one page of
 * keys to the next: to look for a key outside all gaps, and to step between two keys with no gap
 * between them, leads through sound pages only. What was stored inside a gap is unknown: a key in
 * it is neither there nor absent.
 */

#include "base/store.h"

#include <stdint.h>

enum {
    TL_STORE_MAX_GAPS = 64, /* then the last one of each database takes the rest of it */
    TL_STORE_GAP_TEXT_BYTES = 512
};

typedef struct tl_store_gap {
    tl_db db;
    bool has_lo, has_hi; /* false: from the first key on, up to the last */
    size_t lo_len, hi_len;
    char lo[TL_STORE_MAX_KEY_BYTES], hi[TL_STORE_MAX_KEY_BYTES]; /* are not in it */
    char text[TL_STORE_GAP_TEXT_BYTES]; /* "devices between "a" and "b"" */
    char why[TL_STORE_GAP_TEXT_BYTES];  /* "page 7: its bounds are not possible" */
} tl_store_gap;

/* Sorted by database, then by key. A zeroed one says that the store is sound. */
typedef struct tl_store_gaps {
    tl_store_gap *gaps;
    size_t n;
    bool is_all;                           /* nothing of the file may be used */
    size_t n_entries[TL_N_DBS];            /* that are sound */
    char trouble[TL_STORE_GAP_TEXT_BYTES]; /* the first damage; "": there is none */
} tl_store_gaps;

void tl_store_gaps_done(tl_store_gaps *gaps);

/* Remembers damage; what comes after the first is not kept. */
void tl_store_gaps_note(tl_store_gaps *gaps, const char *why);

/* The gap that begins behind lo (len 0: before the first key), and has no end yet. */
TL_MUST_USE tl_err tl_store_gaps_begin(
    tl_store_gaps *gaps, tl_db db, const void *lo, size_t lo_len, const char *why);

/* Ends the last gap of the database before hi, unless it was to take the rest. */
void tl_store_gaps_end(tl_store_gaps *gaps, tl_db db, const void *hi, size_t hi_len);

/* Whether the database's last gap is open to the end. */
bool tl_store_gaps_is_open(const tl_store_gaps *gaps, tl_db db);

/* All of the database is one gap, whatever was known of it. */
TL_MUST_USE tl_err tl_store_gaps_whole(tl_store_gaps *gaps, tl_db db, const char *why);

/* All of every database. */
TL_MUST_USE tl_err tl_store_gaps_all(tl_store_gaps *gaps, const char *why);

/* The gap around a key; NULL: none. */
const tl_store_gap *tl_store_gaps_find(
    const tl_store_gaps *gaps, tl_db db, const void *key, size_t key_len);

/* A byte of a key as people see it: what cannot be printed is replaced. */
static inline char tl_store_shown(char c)
{
    return c == '\0' ? ' ' : c >= ' ' && c <= '~' ? c : '?';
}

/* As the store orders keys: by bytes, then by length. */
int tl_store_compare_keys(const void *a, size_t a_len, const void *b, size_t b_len);

#endif
