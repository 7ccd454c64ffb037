/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_RESTORE_H
#define TL_BASE_RESTORE_H

/*
 * A data folder made from the file of a backup (base/backup.h).
 *
 * Everything is built in DIR/restore.XXXXXX and read to the end, where the SHA-256 stands. Then
 * that folder is renamed to DIR/restored, which decides: from then on the new state counts, and
 * whoever opens DIR next moves it into place before anything else (tl_restore_settle()), however
 * often that is interrupted. A kill before leaves the old state, and one after it the new one.
 */

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void tl_restore_progress_fn(void *context, uint64_t done_bytes, uint64_t total_bytes);

typedef struct tl_restore_options {
    const char *path;                 /* of the backup */
    const char *data_dir;             /* made when it is not there */
    bool replaces;                    /* what the folder holds; else such a one is TL_ESTATE */
    tl_restore_progress_fn *progress; /* NULL is fine */
    void *context;
} tl_restore_options;

typedef struct tl_restore_report {
    uint64_t n_bytes, n_entries, n_files;
    char created[32]; /* when the backup was made; "" unknown */
} tl_restore_report;

/*
 * Fails with TL_ESTATE while a daemon uses the folder, TL_EDAMAGED and TL_EVERSION as
 * tl_backup_reader_feed(); the folder is then as it was. What is made belongs to the owner of
 * the folder.
 */
TL_MUST_USE tl_err tl_restore(const tl_restore_options *options, tl_restore_report *out_report);

/*
 * Finishes or takes back a restore that was interrupted, in a folder that the caller has
 * locked. Nothing to do is fine.
 */
TL_MUST_USE tl_err tl_restore_settle(const char *data_dir);

#endif
