/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_STORE_IMPL_H
#define TL_BASE_STORE_IMPL_H

/* What the files of the store share: store.c and store_open.c, which alone know LMDB. */

#include "base/store.h"
#include "base/store_check.h"

#include <lmdb.h>
#include <pthread.h>
#include <string.h>
#include <sys/types.h>

static const char tl_store_format_key[] = TL_STORE_FORMAT_KEY;

struct tl_store {
    MDB_env *env; /* NULL: nothing of the file may be used, or there is none */
    MDB_dbi dbis[TL_N_DBS];
    bool has_dbi[TL_N_DBS]; /* false: the file has no such database, and cannot get it */
    char *dir;
    size_t map_bytes;
    int lock_fd; /* holds the folder while it is open; -1: a read-only disk has none */
    pid_t pid;   /* of the opener: LMDB must not be used across fork() */
    pthread_mutex_t writer;
    bool has_writer_mutex;
    tl_store_report report; /* of the check before it was opened */
    tl_store_gaps gaps;     /* found by it */
    tl_text trouble, lost;  /* why nothing is written; the gaps, one a line */
    tl_err trouble_err;     /* what a writer is told; TL_OK: it may write */
};

/* LMDB and system codes become ours here and nowhere else; what: "read", "write to". */
tl_err tl_store_fail(const tl_store *store, const char *what, int status);

/* LMDB does not write to what it is given. */
static inline MDB_val tl_store_val(const void *data, size_t len)
{
    union {
        const void *given;
        void *wanted;
    } bytes = {.given = data};
    return (MDB_val){.mv_data = bytes.wanted, .mv_size = len};
}

/*
 * Puts a value behind its head. It must not lie in the map: the room for it may be where it
 * was. The status is LMDB's.
 */
int tl_store_put_sealed(
    MDB_txn *txn, MDB_dbi dbi, tl_db db, MDB_val *k, const void *value, size_t value_len);

#endif
