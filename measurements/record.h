/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_MEASUREMENTS_RECORD_H
#define TL_MEASUREMENTS_RECORD_H

/*
 * How measurements lie in the store (database TL_DB_MEASUREMENTS). For columns.c,
 * import.c and export.c.
 *
 *     "r"                                  the last revision given out, u64
 *     "s" SPACE                            a space that has measurements: revision, digest
 *     "c" SPACE NUL METRIC SUBJECT         a column; METRIC is one digit
 *
 * A column is a header, n designs of n_slots u16 each, n doubles. Numbers are
 * in the byte order of the machine, as the rest of the file is.
 */

#include "base/store.h"
#include "measurements/columns.h"
#include "measurements/designs.h"

enum {
    TL_COLUMN_VERSION = 1,
    TL_DIGEST_BYTES = 64
};

typedef struct tl_column_header {
    uint32_t version;
    uint32_t n_slots;
    uint32_t n;
    uint32_t unused;
    char digest[TL_DIGEST_BYTES]; /* tl_space_digest() */
} tl_column_header;

typedef struct tl_space_record {
    uint64_t revision;
    char digest[TL_DIGEST_BYTES];
} tl_space_record;

typedef struct tl_record_key {
    char bytes[TL_STORE_MAX_KEY_BYTES];
    size_t len;
} tl_record_key;

/* Names are TL_EINVAL when they cannot be names, since they may come from outside. */
TL_MUST_USE tl_err tl_record_space_key(const char *space_name, tl_record_key *key);
TL_MUST_USE tl_err tl_record_columns_key(const char *space_name, tl_record_key *key);
TL_MUST_USE tl_err
tl_record_metric_key(const char *space_name, tl_metric metric, tl_record_key *key);
TL_MUST_USE tl_err tl_record_column_key(
    const char *space_name, tl_metric metric, const char *subject, tl_record_key *key);

/*
 * Metric and subject of a column's key; subject is not NUL-terminated. The prefix is
 * tl_record_columns_key() of its space. TL_EDAMAGED when it is no such key.
 */
TL_MUST_USE tl_err tl_record_key_parse(
    const tl_store_entry *entry,
    const tl_record_key *prefix,
    tl_metric *out_metric,
    const char **out_subject,
    size_t *out_subject_len);

/* "latency_ms@pixel6" of a column's key, whatever a damaged one holds; of a damaged part of the
 * store, what it is called. */
enum {
    TL_COLUMN_NAME_BYTES = TL_STORE_MAX_KEY_BYTES + 32
};
void tl_record_name_column(const tl_store_entry *entry, char name[TL_COLUMN_NAME_BYTES]);

/* The header of a stored column, checked against its length. */
TL_MUST_USE tl_err
tl_record_header(const void *value, size_t len, tl_column_header *out_header);

/* A stored column of this space, checked through and through, copied out. */
TL_MUST_USE tl_err
tl_record_decode(const tl_space *space, const void *value, size_t len, tl_column *out_column);

/* The stored form; the caller owns it (tl_mem_free). */
TL_MUST_USE tl_err tl_record_encode(
    const tl_space *space, const tl_column *column, void **out_value, size_t *out_len);

TL_MUST_USE tl_err tl_column_init(tl_column *column, int n_slots, int n);

/*
 * Stores the record with a revision that no space ever had, and sets it there. Where the last
 * revision given out is damaged, revisions go on from the clock, far beyond it.
 */
TL_MUST_USE tl_err
tl_record_bump(tl_store_txn *txn, const char *space_name, tl_space_record *record);

/*
 * TL_ENOTFOUND when the space has no measurements. All that it holds is known elsewhere: one
 * that is damaged (*out_is_damaged) is made again, of revision 0 and the digest that a sound
 * column has; to be stored by tl_record_bump().
 */
TL_MUST_USE tl_err tl_record_space_get(
    tl_store_txn *txn,
    const char *space_name,
    tl_space_record *out_record,
    bool *out_is_damaged);

/* TL_ESTATE when digest [TL_DIGEST_BYTES] is not that of the space. */
TL_MUST_USE tl_err tl_record_check_digest(const tl_space *space, const char *digest);
void tl_record_set_digest(const tl_space *space, char *out_digest);

#endif
