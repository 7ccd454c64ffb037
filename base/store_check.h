/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_STORE_CHECK_H
#define TL_BASE_STORE_CHECK_H

/*
 * Reads the file of a store that nobody has open and says whether it is what was written.
 *
 * LMDB believes its pages: one flipped bit may end the process that follows it. So every page
 * of every tree is read here first, as a file, without LMDB: what it points to must lie in the
 * file and belong to nothing else, keys must ascend, what is counted must add up, and a page
 * on the list of free ones must not be in use. What passes cannot lead LMDB astray.
 *
 * Values carry checksums (base/store.h). Of those in the trees' own pages they are checked on
 * the way; long ones, which have pages of their own, only when is_thorough: they are checked
 * again whenever they are read. The time is that of reading the trees, a few per cent of a
 * store of long columns.
 *
 * Only the layout of LMDB's format 1 (all of 0.9) with pages of this machine is understood.
 */

#include "base/err.h"
#include "base/store_gaps.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TL_STORE_HEAD_BYTES = 16,
    TL_STORE_MAX_NAMED = 16 /* damaged values that a report names */
};

/* What stands before every value: sums of its key and of it. */
typedef struct tl_store_head {
    uint64_t key_sum, value_sum;
} tl_store_head;

/* Of a value under this key of the database of this name. */
tl_store_head tl_store_head_of(
    const char *db, const void *key, size_t key_len, const void *value, size_t value_len);

/* The key's half alone, for who does not want to read the value. */
uint64_t tl_store_key_sum(const char *db, const void *key, size_t key_len);

/* Database and key for people: bytes that cannot be printed are replaced. */
void tl_store_name_entry(tl_text *out, const char *db, const void *key, size_t key_len);

/* Database and key of the entry that says that values have heads; it has none itself. */
#define TL_STORE_FORMAT_DB  "meta"
#define TL_STORE_FORMAT_KEY "format"

typedef struct tl_store_report {
    bool has_heads; /* written with checksums */
    uint64_t n_entries, n_pages;
    uint64_t n_damaged; /* values whose checksum does not hold */
    tl_text damaged;    /* the first of them, one a line; tl_text_done() */
} tl_store_report;

/*
 * Fails with TL_EDAMAGED, naming file and page, where the pages cannot be trusted; TL_EVERSION
 * for another format of LMDB, TL_EIO where the disk refuses, TL_ENOTFOUND without such a file
 * or with an empty one. A damaged value is no failure: it is reported, and refused when it is
 * asked for.
 */
TL_MUST_USE tl_err
tl_store_check(const char *path, bool is_thorough, tl_store_report *out_report);

/*
 * The same for who can do without the damaged pages: they become gaps, and damage that concerns
 * writing only is noted. TL_EDAMAGED is no result, and TL_EIO only where the file cannot be opened.
 * gaps is zeroed before, and done by the caller, also on failure (tl_store_gaps_done()).
 */
TL_MUST_USE tl_err
tl_store_find_gaps(const char *path, tl_store_report *out_report, tl_store_gaps *gaps);

#endif
