/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_BACKUP_H
#define TL_BASE_BACKUP_H

/*
 * The file of a backup: everything a data folder holds, as one stream of records.
 *
 *     "tailor backup 1\n"              16 bytes
 *     records                          head of 16 bytes, key, value
 *         kind u32, key_len u32, value_len u64, little-endian
 *
 *     kind        key                  value
 *     1 INFO      "created", ...       for people; "byte-order" is checked
 *     2 DB        database             none; what follows belongs to it
 *     3 ENTRY     key                  value, as the store hands it out
 *     4 FILE      "models/SPACE.tlm"   the file
 *     5 END       none                 SHA-256 of every byte before these 32
 *
 * It is made and read in pieces of any size and never held as a whole. A reader shows each
 * record as it is complete; whether the stream is what was written is known only at its end, so
 * nothing of it may be relied on before tl_backup_reader_finish() returned TL_OK.
 *
 *     tl_backup_reader *reader = NULL;
 *     TL_TRY(tl_backup_reader_new(visit, context, &reader));
 *     while (err == TL_OK && ...) {
 *         err = tl_backup_reader_feed(reader, data, len);
 *     }
 *     err = err == TL_OK ? tl_backup_reader_finish(reader) : err;
 *     tl_backup_reader_free(reader);
 */

#include "base/err.h"
#include "base/store.h"

#include <stddef.h>
#include <stdint.h>

enum {
    TL_BACKUP_MAGIC_BYTES = 16,
    TL_BACKUP_HEAD_BYTES = 16
};

extern const char tl_backup_magic[TL_BACKUP_MAGIC_BYTES + 1];

/* "little" or "big": values are numbers as this machine has them. */
const char *tl_backup_byte_order(void);
#define TL_BACKUP_BYTE_ORDER_KEY "byte-order"

typedef enum tl_backup_kind {
    TL_BACKUP_INFO = 1,
    TL_BACKUP_DB,
    TL_BACKUP_ENTRY,
    TL_BACKUP_FILE,
    TL_BACKUP_END
} tl_backup_kind;

/* The head of a record, as it stands in the file. */
void tl_backup_head(
    tl_backup_kind kind,
    size_t key_len,
    size_t value_len,
    uint8_t out_head[TL_BACKUP_HEAD_BYTES]);

/* Borrowed during the call that shows it. */
typedef struct tl_backup_record {
    tl_backup_kind kind; /* never TL_BACKUP_END */
    tl_db db;            /* of an entry */
    const char *key;     /* with a NUL behind it that key_len does not count */
    size_t key_len;
    const char *value;
    size_t value_len;
} tl_backup_record;

/* Anything but TL_OK ends the reading and becomes its result. */
typedef tl_err tl_backup_visit_fn(void *context, const tl_backup_record *record);

typedef struct tl_backup_reader tl_backup_reader;

/* visit NULL: only checks, and holds no value. */
TL_MUST_USE tl_err
tl_backup_reader_new(tl_backup_visit_fn *visit, void *context, tl_backup_reader **out_reader);
void tl_backup_reader_free(tl_backup_reader *reader); /* NULL is fine */

/*
 * Fails with TL_EDAMAGED where it is no backup, TL_EVERSION where it is one of a newer version
 * or of a machine with another byte order. After a failure only free is allowed.
 */
TL_MUST_USE tl_err
tl_backup_reader_feed(tl_backup_reader *reader, const void *data, size_t len);

/* TL_EDAMAGED unless the end was reached and the SHA-256 holds. */
TL_MUST_USE tl_err tl_backup_reader_finish(tl_backup_reader *reader);

#endif
