/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_STORE_H
#define TL_BASE_STORE_H

/*
 * The store: named databases of byte keys and byte values in one file, kept by
 * LMDB, which only base/store.c and base/store_open.c know.
 *
 * All changes happen in a write transaction, of which there is one at a time; it is
 * durable when tl_store_commit() returns TL_OK, and leaves no trace otherwise:
 *
 *     tl_store *store = NULL;
 *     TL_TRY(tl_store_open("/var/lib/tailor", 0, &store));
 *     tl_store_txn *txn = NULL;
 *     if ((err = tl_store_begin(store, &txn)) != TL_OK ||
 *         (err = tl_store_put(txn, TL_DB_DEVICES, "pixel6", 6, profile, len)) != TL_OK ||
 *         (err = tl_store_commit(&txn)) != TL_OK) {
 *         goto done;
 *     }
 *     ...
 *     done:
 *     tl_store_abort(&txn);
 *     tl_store_close(store);
 *
 * Readers see the state of the last commit, never wait for a writer and never
 * make one wait. A transaction belongs to the thread that began it; a thread that
 * begins a second write transaction before ending the first is a bug and is
 * asserted. Everything else may be called from any thread.
 *
 * A folder is open once: a second tl_store_open(), from this process or another,
 * fails with TL_ESTATE. A store must not be used in a child after fork(). A process
 * that may meet a file size limit must ignore SIGXFSZ.
 *
 * Every value is kept with a checksum of its key and of it, and the structure of the file is
 * checked before it is opened (base/store_check.h): what a disk or a memory changed is
 * TL_EDAMAGED, and names the value, instead of a wrong answer. tl_store_open() refuses a file of
 * damaged structure; tl_store_open_what_is_sound() reads around the damage, and writes nothing.
 *
 * Any call may fail with TL_EIO (the system refused a read or a write, as when the
 * disk is full), TL_EDAMAGED (the file is not what was written), TL_ELIMIT (max_mib
 * is reached) or TL_ENOMEM.
 */

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct tl_store tl_store;
typedef struct tl_store_txn tl_store_txn;

/* Database, and its name in the file: never changes once released. */
#define TL_DB_LIST(X)               \
    X(META, "meta")                 \
    X(SPACES, "spaces")             \
    X(DEVICES, "devices")           \
    X(MEASUREMENTS, "measurements") \
    X(MODELS, "models")             \
    X(JOBS, "jobs")

typedef enum tl_db {
#define TL_DB_ENUM(id, name) TL_DB_##id,
    TL_DB_LIST(TL_DB_ENUM)
#undef TL_DB_ENUM
    TL_N_DBS
} tl_db;

enum {
    TL_STORE_MAX_KEY_BYTES = 511,
};

/*
 * Opens or makes the store in dir, which is made when it is not there. max_mib
 * bounds the file; 0 is 64 GiB, or less where address space is limited. Fails with TL_ESTATE when the folder is in
 * use, TL_EVERSION when the file is of another LMDB, TL_EDAMAGED when it is damaged, or
 * missing from a folder that held one.
 */
TL_MUST_USE tl_err tl_store_open(const char *dir, size_t max_mib, tl_store **out_store);

/*
 * The same for who serves what can be read, whatever became of the rest. Where pages are damaged,
 * or the disk or the folder cannot be written, nothing is: tl_store_trouble() says why, and
 * tl_store_begin() fails with it. What stood in damaged pages is unknown: to ask for a key that
 * may have been there is TL_EDAMAGED. Fails with TL_ESTATE and TL_EVERSION as above, and with
 * TL_EIO where even the state cannot be told.
 */
TL_MUST_USE tl_err
tl_store_open_what_is_sound(const char *dir, size_t max_mib, tl_store **out_store);

/*
 * Keeps others, and every tl_store_open(), out of the folder until the descriptor is closed; a
 * process that is killed lets go of it. TL_ESTATE when one is in it.
 */
TL_MUST_USE tl_err tl_store_lock(const char *dir, int *out_fd);

/* No transaction may be open. NULL is fine. */
void tl_store_close(tl_store *store);

/* The values found damaged when the store was opened, one a line; "" where all is well. */
const char *tl_store_damage(const tl_store *store);

/* Why the store takes no writes, for people; "" where it does. It stays so until it is closed. */
const char *tl_store_trouble(const tl_store *store);

/* Fails as tl_store_begin() would where there is trouble. */
TL_MUST_USE tl_err tl_store_check_writable(const tl_store *store);

/* What lies in damaged pages, one a line: `devices between "a" and "b": page 7: ...`. */
const char *tl_store_lost(const tl_store *store);

/* Whether the key lies there: then nobody knows if it was stored. */
bool tl_store_is_lost(const tl_store *store, tl_db db, const void *key, size_t key_len);

/* ---- writing --------------------------------------------------------------- */

/* Waits until no other write transaction is open. Where there is tl_store_trouble(), it is TL_EIO
 * for what cannot be written, and TL_EDAMAGED for a damaged store. */
TL_MUST_USE tl_err tl_store_begin(tl_store *store, tl_store_txn **out_txn);

/* Adds or replaces. A key has 1 to TL_STORE_MAX_KEY_BYTES bytes. */
TL_MUST_USE tl_err tl_store_put(
    tl_store_txn *txn,
    tl_db db,
    const void *key,
    size_t key_len,
    const void *value,
    size_t value_len);

/* TL_ENOTFOUND when there is no such key. */
TL_MUST_USE tl_err
tl_store_delete(tl_store_txn *txn, tl_db db, const void *key, size_t key_len);

/*
 * Removes the keys that start with prefix, at most max of them (SIZE_MAX: all); out_n, how many
 * those were, may be NULL.
 */
TL_MUST_USE tl_err tl_store_delete_prefix(
    tl_store_txn *txn,
    tl_db db,
    const void *prefix,
    size_t prefix_len,
    size_t max,
    size_t *out_n);

/* Both end the transaction and set *txn to NULL, whatever comes of it; NULL in *txn is fine
 * for abort. */
TL_MUST_USE tl_err tl_store_commit(tl_store_txn **txn);
void tl_store_abort(tl_store_txn **txn);

/* ---- reading --------------------------------------------------------------- */

/*
 * A copy of the value, followed by a NUL that out_len does not count; the caller
 * owns it (tl_mem_free). TL_ENOTFOUND when there is no such key.
 */
TL_MUST_USE tl_err tl_store_get(
    tl_store *store,
    tl_db db,
    const void *key,
    size_t key_len,
    void **out_value,
    size_t *out_len);

/*
 * The value as this transaction has it, borrowed until the next change of the
 * transaction; it may stand at any address, so copy numbers out with memcpy.
 */
TL_MUST_USE tl_err tl_store_txn_get(
    tl_store_txn *txn,
    tl_db db,
    const void *key,
    size_t key_len,
    const void **out_value,
    size_t *out_len);

/* One key and its value, borrowed during the call that shows it. */
typedef struct tl_store_entry {
    const void *key;
    size_t key_len;
    const void *value; /* at any address: copy numbers out with memcpy */
    size_t value_len;
    bool is_damaged;  /* only shown where the range asks for such */
    const char *lost; /* not NULL: no entry, but all that lay in damaged pages here, in words;
                       * key is the one before it, or empty; is_damaged, and without a value */
} tl_store_entry;

/* Anything but TL_OK ends the walk and becomes its result. */
typedef tl_err tl_store_visit_fn(void *context, const tl_store_entry *entry);

/*
 * Visits every entry whose key starts with prefix (len 0: all), in byte order,
 * in one read transaction. While it runs, space freed by writers is not used again:
 * visit must copy what it needs and must not wait, compute or write to the store.
 */
TL_MUST_USE tl_err tl_store_iterate(
    tl_store *store,
    tl_db db,
    const void *prefix,
    size_t prefix_len,
    tl_store_visit_fn *visit,
    void *context);

/* Which keys of a database: those that start with prefix and stand behind after. */
typedef struct tl_store_range {
    const void *prefix;
    size_t prefix_len; /* 0: any */
    const void *after;
    size_t after_len;  /* 0: from the first on */
    bool heads_only;   /* only the beginning of values is looked at: nothing checks the rest,
                        * and of a long one it is not read */
    bool with_damaged; /* damaged entries are shown, marked, instead of ending the walk */
} tl_store_range;

/* The same for a range; what comes before it is not read. */
TL_MUST_USE tl_err tl_store_iterate_range(
    tl_store *store,
    tl_db db,
    const tl_store_range *range,
    tl_store_visit_fn *visit,
    void *context);

/* The same inside a write transaction; visit must not change it. */
TL_MUST_USE tl_err tl_store_txn_iterate_range(
    tl_store_txn *txn,
    tl_db db,
    const tl_store_range *range,
    tl_store_visit_fn *visit,
    void *context);

/*
 * The whole store as of one commit, entry by entry, however long that takes. Writers go on, but
 * space that they free is not used again until it is closed. Any thread may call these, one at
 * a time.
 */
typedef struct tl_store_snapshot tl_store_snapshot;
TL_MUST_USE tl_err tl_store_snapshot_open(tl_store *store, tl_store_snapshot **out_snapshot);
void tl_store_snapshot_close(tl_store_snapshot *snapshot); /* NULL is fine; before the store */

/* The entry is borrowed until the next call; a damaged one is shown, marked. */
TL_MUST_USE tl_err tl_store_snapshot_next(
    tl_store_snapshot *snapshot, tl_db *out_db, tl_store_entry *out_entry, bool *out_is_end);

/* As it stands in the file. */
const char *tl_store_db_name(tl_db db);

typedef struct tl_store_stat {
    size_t file_bytes;
    size_t max_bytes;
    size_t n_entries[TL_N_DBS];
} tl_store_stat;

TL_MUST_USE tl_err tl_store_stat_get(tl_store *store, tl_store_stat *out_stat);

#endif
