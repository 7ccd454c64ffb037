/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_BACKUPS_H
#define TL_DAEMON_BACKUPS_H

/*
 * Open backups: what the data folder holds, as base/backup.h lays it out, fetched piece by
 * piece by a client that goes at its own speed. The store is read as of the moment when the
 * backup began; each model's file as of the moment when its turn comes, old or new and never
 * half. Writers and queries go on.
 *
 * A snapshot keeps space of the store from being used again, so one that hears nothing for
 * TL_BACKUP_IDLE_S is dropped. Keys are secrets and no part of it.
 */

#include "base/damage.h"
#include "base/err.h"
#include "base/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TL_BACKUPS_MAX = 4,
    TL_BACKUP_IDLE_S = 60,
    TL_BACKUP_PIECE_BYTES = 1024 * 1024
};

typedef struct tl_backups tl_backups;

/* Borrows store. */
TL_MUST_USE tl_err
tl_backups_new(tl_store *store, const char *data_dir, tl_backups **out_backups);
void tl_backups_free(tl_backups *backups); /* NULL is fine; before the store is closed */

/* Drops what was left; to be called now and then. now_ns: tl_clock_ns(). */
void tl_backups_sweep(tl_backups *backups, int64_t now_ns);

/* about_bytes: how long it will be, give or take. TL_EBUSY when too many are open. */
TL_MUST_USE tl_err
tl_backups_begin(tl_backups *backups, uint64_t *out_id, uint64_t *out_about_bytes);

/*
 * The piece that begins at offset: the next one, or the last one again. The caller owns
 * *out_data (tl_mem_free). With the last piece *out_is_last is true, and left_out (the caller's:
 * tl_damage_done()) tells which damaged values are not in the backup. Fails with TL_ENOTFOUND (dropped, or
 * never begun) and TL_ESTATE (another offset, or two read at once).
 */
TL_MUST_USE tl_err tl_backups_read(
    tl_backups *backups,
    uint64_t id,
    uint64_t offset,
    uint8_t **out_data,
    size_t *out_len,
    bool *out_is_last,
    tl_damage *left_out);

/* Forgets it. TL_ENOTFOUND when there is none. */
TL_MUST_USE tl_err tl_backups_end(tl_backups *backups, uint64_t id);

#endif
