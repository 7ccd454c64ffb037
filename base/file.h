/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_FILE_H
#define TL_BASE_FILE_H

/*
 * Files and folders: whole-file reads with a bound, writes that are either
 * there completely or not at all, listings in a fixed order.
 *
 * Every failure says which path and what the system answered; TL_ENOTFOUND when
 * the path does not exist, TL_ENOMEM when memory or descriptors are short, TL_EIO for
 * everything else.
 */

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The whole file, followed by a NUL that len does not count; the caller owns
 * *out_data (tl_mem_free). Fails with TL_ELIMIT when it holds more than
 * max_bytes. Reads pipes and devices too.
 */
TL_MUST_USE tl_err
tl_file_read(const char *path, size_t max_bytes, char **out_data, size_t *out_len);

/* Whom a file may be open to, beside its owner, who must be this user or root; root reads
 * everyone's. */
typedef enum tl_file_guard {
    TL_FILE_SECRET = 077,  /* nobody else may read or write it */
    TL_FILE_TRUSTED = 022, /* nobody else may write it */
} tl_file_guard;

/* As tl_file_read(), but refuses a file that is open to others with TL_EDENIED. */
TL_MUST_USE tl_err tl_file_read_guarded(
    const char *path, tl_file_guard guard, size_t max_bytes, char **out_data, size_t *out_len);

/* Refuses a file or folder that is open to others with TL_EDENIED. */
TL_MUST_USE tl_err tl_file_check_guard(const char *path, tl_file_guard guard);

/*
 * Replaces the file by len bytes: a new file beside it is written, made durable
 * and renamed, so that a reader or a crash sees the old content or the new one.
 */
TL_MUST_USE tl_err tl_file_write(const char *path, const void *data, size_t len);

/* The same for what only this user may read: mode 0600 from its first byte on. */
TL_MUST_USE tl_err tl_file_write_secret(const char *path, const void *data, size_t len);

/*
 * The same for what comes in pieces: nobody sees the file before finish. Close after any of
 * them; what was not finished is gone then.
 *
 *     TL_TRY(tl_file_writer_open(path, false, &writer));
 *     err = tl_file_writer_add(writer, data, len);
 *     err = err == TL_OK ? tl_file_writer_finish(writer) : err;
 *     tl_file_writer_close(writer);
 */
typedef struct tl_file_writer tl_file_writer;
TL_MUST_USE tl_err
tl_file_writer_open(const char *path, bool is_secret, tl_file_writer **out_writer);
TL_MUST_USE tl_err tl_file_writer_add(tl_file_writer *writer, const void *data, size_t len);
TL_MUST_USE tl_err tl_file_writer_finish(tl_file_writer *writer);
void tl_file_writer_close(tl_file_writer *writer); /* NULL is fine */

/* Removes what writes that a kill ended have left in the folder, if there is one. */
TL_MUST_USE tl_err tl_file_remove_unfinished(const char *dir);

/* Removes a file, or a folder with all in it but hidden names; one that is not there is fine. */
TL_MUST_USE tl_err tl_file_remove_tree(const char *path);

/* Makes the folder and those above it, durably; one that exists is fine. */
TL_MUST_USE tl_err tl_file_make_dirs(const char *path);

/* What was created, renamed or removed in the folder survives a power cut. */
TL_MUST_USE tl_err tl_file_sync_dir(const char *path);

bool tl_file_exists(const char *path);

typedef struct tl_file_list {
    char **names; /* without the folder */
    size_t n_names;
} tl_file_list;

/* The names in dir that end in suffix and do not start with a dot, sorted by byte. */
TL_MUST_USE tl_err tl_file_list_init(tl_file_list *list, const char *dir, const char *suffix);
void tl_file_list_done(tl_file_list *list);

#endif
