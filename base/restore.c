/* SPDX-License-Identifier: Apache-2.0 */
#include "base/restore.h"

#include "base/backup.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/store.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 1024 * 1024,
    PREFIX_LEN = 8, /* of "restore." */
    BUILD_NAME_LEN = 14
};

/* Entries are committed in such portions: LMDB keeps what is not committed in memory. */
static const size_t commit_bytes = (size_t)64 << 20;

static tl_err fail_errno(const char *what, const char *path)
{
    return tl_fail(TL_EIO, "cannot %s %s: %s", what, path, strerror(errno));
}

/* DIR/NAME in a text that is used again. */
static tl_err join(const char *dir, const char *name, tl_text *out)
{
    tl_text_clear(out);
    tl_text_addf(out, "%s/%s", dir, name);
    return tl_text_err(out);
}

/* ---- moving into place --------------------------------------------------------------------- */

/* Renames DIR/from to DIR/to where it is there. */
static tl_err move(const char *from_dir, const char *from, const char *to_dir, const char *to)
{
    tl_text old_path = {0};
    tl_text new_path = {0};
    tl_err err = join(from_dir, from, &old_path);
    if (err == TL_OK && (err = join(to_dir, to, &new_path)) == TL_OK &&
        rename(old_path.data, new_path.data) != 0 && errno != ENOENT) {
        err = fail_errno("replace", new_path.data);
    }
    tl_text_done(&old_path);
    tl_text_done(&new_path);
    return err;
}

static tl_err exists_in(const char *dir, const char *name, bool *out_exists)
{
    tl_text path = {0};
    tl_err err = join(dir, name, &path);
    if (err == TL_OK) {
        *out_exists = tl_file_exists(path.data);
    }
    tl_text_done(&path);
    return err;
}

static tl_err remove_in(const char *dir, const char *name)
{
    tl_text path = {0};
    tl_err err = join(dir, name, &path);
    if (err == TL_OK) {
        err = tl_file_remove_tree(path.data);
    }
    tl_text_done(&path);
    return err;
}

/* Each step is found done or not by who comes after an interruption. */
static tl_err settle_restored(const char *dir, const char *restored)
{
    bool has_models = false;
    TL_TRY(move(restored, "store.mdb", dir, "store.mdb"));
    TL_TRY(remove_in(dir, "store.mdb-lock"));
    TL_TRY(exists_in(restored, "models", &has_models));
    if (has_models) {
        TL_TRY(move(dir, "models", restored, "former-models"));
        TL_TRY(move(restored, "models", dir, "models"));
    }
    TL_TRY(tl_file_sync_dir(dir));
    TL_TRY(tl_file_remove_tree(restored));
    return tl_file_sync_dir(dir);
}

/* The folders of builds that came to no end. */
static tl_err remove_builds(const char *dir)
{
    tl_file_list files = {0};
    TL_TRY(tl_file_list_init(&files, dir, ""));
    tl_err err = TL_OK;
    for (size_t i = 0; i < files.n_names && err == TL_OK; i++) {
        const char *name = files.names[i];
        if (strncmp(name, "restore.", PREFIX_LEN) == 0 && strlen(name) == BUILD_NAME_LEN) {
            err = remove_in(dir, name);
        }
    }
    tl_file_list_done(&files);
    return err;
}

tl_err tl_restore_settle(const char *data_dir)
{
    tl_text restored = {0};
    tl_err err = remove_builds(data_dir);
    if (err == TL_OK && (err = join(data_dir, "restored", &restored)) == TL_OK &&
        tl_file_exists(restored.data)) {
        err = settle_restored(data_dir, restored.data);
    }
    tl_text_done(&restored);
    return err;
}

/* ---- building ------------------------------------------------------------------------------ */

typedef struct build {
    const tl_restore_options *options;
    tl_restore_report report;
    tl_text dir; /* DIR/restore.XXXXXX */
    tl_store *store;
    tl_store_txn *txn; /* open while there are entries to commit */
    size_t n_open;     /* bytes in it */
} build;

static tl_err commit(build *b)
{
    b->n_open = 0;
    return b->txn != NULL ? tl_store_commit(&b->txn) : TL_OK;
}

static tl_err take_entry(build *b, const tl_backup_record *record)
{
    if (b->txn == NULL) {
        TL_TRY(tl_store_begin(b->store, &b->txn));
    }
    TL_TRY(tl_store_put(
        b->txn, record->db, record->key, record->key_len, record->value, record->value_len));
    b->report.n_entries++;
    b->n_open += record->key_len + record->value_len;
    return b->n_open > commit_bytes ? commit(b) : TL_OK;
}

static tl_err take_file(build *b, const tl_backup_record *record)
{
    tl_text path = {0};
    tl_err err = join(b->dir.data, record->key, &path);
    if (err == TL_OK) {
        err = tl_file_write(path.data, record->value, record->value_len);
    }
    tl_text_done(&path);
    b->report.n_files++;
    return err;
}

static tl_err take_record(void *context, const tl_backup_record *record)
{
    build *b = context;
    switch (record->kind) {
    case TL_BACKUP_ENTRY: return take_entry(b, record);
    case TL_BACKUP_FILE: return take_file(b, record);
    case TL_BACKUP_INFO:
        if (strcmp(record->key, "created") == 0) {
            (void)snprintf(b->report.created, sizeof b->report.created, "%.31s", record->value);
        }
        return TL_OK;
    case TL_BACKUP_DB:
    case TL_BACKUP_END: break;
    }
    return TL_OK;
}

/* The whole file through the reader. */
static tl_err read_backup(build *b, FILE *file, tl_backup_reader *reader, char *piece)
{
    struct stat status;
    uint64_t total = fstat(fileno(file), &status) == 0 ? (uint64_t)status.st_size : 0;
    for (;;) {
        size_t n = fread(piece, 1, PIECE_BYTES, file);
        if (n == 0) {
            break;
        }
        TL_TRY(tl_backup_reader_feed(reader, piece, n));
        b->report.n_bytes += n;
        if (b->options->progress != NULL) {
            b->options->progress(b->options->context, b->report.n_bytes, total);
        }
    }
    TL_TRY(ferror(file) ? fail_errno("read", b->options->path) : TL_OK);
    TL_TRY(tl_backup_reader_finish(reader));
    return commit(b);
}

static tl_err fill(build *b, FILE *file)
{
    tl_backup_reader *reader = NULL;
    char *piece = tl_mem_new(PIECE_BYTES, 1);
    if (piece == NULL) {
        return tl_fail(TL_ENOMEM, "a piece of a backup");
    }
    tl_err err = tl_backup_reader_new(take_record, b, &reader);
    if (err == TL_OK) {
        err = read_backup(b, file, reader, piece);
    }
    tl_backup_reader_free(reader);
    tl_mem_free(piece);
    return err;
}

/* Makes DIR/restore.XXXXXX, DIR/restore.XXXXXX/models and an empty store there. */
static tl_err start_build(build *b)
{
    tl_text models = {0};
    TL_TRY(join(b->options->data_dir, "restore.XXXXXX", &b->dir));
    if (mkdtemp(b->dir.data) == NULL) {
        tl_err err = fail_errno("write to", b->options->data_dir);
        tl_text_done(&b->dir); /* there is none to remove */
        return err;
    }
    tl_err err = join(b->dir.data, "models", &models);
    if (err == TL_OK && (err = tl_file_make_dirs(models.data)) == TL_OK) {
        err = tl_store_open(b->dir.data, 0, &b->store);
    }
    tl_text_done(&models);
    return err;
}

/* As tailor key new does: what root makes in another one's folder must be readable to it. */
static void give_to_owner(const char *dir, const char *path)
{
    struct stat owner;
    if (geteuid() == 0 && stat(dir, &owner) == 0 &&
        lchown(path, owner.st_uid, owner.st_gid) != 0) {
        /* A file system without owners: the daemon will say what it cannot read. */
    }
}

static tl_err give_in(const char *dir, const char *sub)
{
    tl_file_list files = {0};
    tl_text folder = {0};
    tl_text path = {0};
    tl_err err = join(dir, sub, &folder);
    if (err == TL_OK && (err = tl_file_list_init(&files, folder.data, "")) == TL_OK) {
        give_to_owner(dir, folder.data);
        for (size_t i = 0; i < files.n_names && err == TL_OK; i++) {
            if ((err = join(folder.data, files.names[i], &path)) == TL_OK) {
                give_to_owner(dir, path.data);
            }
        }
    }
    tl_file_list_done(&files);
    tl_text_done(&folder);
    tl_text_done(&path);
    return err;
}

static tl_err give_lock(const char *dir)
{
    tl_text path = {0};
    tl_err err = join(dir, "lock", &path);
    if (err == TL_OK) {
        give_to_owner(dir, path.data);
    }
    tl_text_done(&path);
    return err;
}

/* The build is complete and on the disk: it becomes what counts. */
static tl_err put_in_place(build *b)
{
    const char *dir = b->options->data_dir;
    tl_text restored = {0};
    tl_text models = {0};
    const char *name = strrchr(b->dir.data, '/') + 1;
    tl_text_addf(&models, "%s/models", name);
    tl_err err = tl_text_err(&models);
    if (err == TL_OK && (err = give_in(dir, name)) == TL_OK &&
        (err = give_in(dir, models.data)) == TL_OK && (err = give_lock(dir)) == TL_OK &&
        (err = tl_file_sync_dir(b->dir.data)) == TL_OK &&
        (err = join(dir, "restored", &restored)) == TL_OK) {
        if (rename(b->dir.data, restored.data) != 0) {
            err = fail_errno("write", restored.data);
        } else {
            tl_text_done(&b->dir);
            err = tl_file_sync_dir(dir);
            err = err == TL_OK ? tl_restore_settle(dir) : err;
        }
    }
    tl_text_done(&restored);
    tl_text_done(&models);
    return err;
}

static tl_err build_all(build *b, FILE *file)
{
    tl_err err = start_build(b);
    if (err == TL_OK) {
        err = fill(b, file);
    }
    tl_store_abort(&b->txn);
    tl_store_close(b->store);
    b->store = NULL;
    if (err == TL_OK) {
        err = put_in_place(b);
    }
    if (b->dir.data != NULL && b->dir.len > 0) {
        tl_err removing = tl_file_remove_tree(b->dir.data);
        err = err == TL_OK ? removing : err;
    }
    tl_text_done(&b->dir);
    return err;
}

/* ---- the folder ---------------------------------------------------------------------------- */

static tl_err holds_data(const char *dir, bool *out_holds)
{
    tl_file_list models = {0};
    tl_text path = {0};
    TL_TRY(exists_in(dir, "store.mdb", out_holds));
    tl_err err = join(dir, "models", &path);
    if (err == TL_OK && !*out_holds && tl_file_exists(path.data) &&
        (err = tl_file_list_init(&models, path.data, ".tlm")) == TL_OK) {
        *out_holds = models.n_names > 0;
    }
    tl_file_list_done(&models);
    tl_text_done(&path);
    return err;
}

static tl_err restore_locked(build *b, FILE *file)
{
    bool holds = false;
    const char *dir = b->options->data_dir;
    TL_TRY(tl_restore_settle(dir));
    TL_TRY(holds_data(dir, &holds));
    if (holds && !b->options->replaces) {
        return tl_fail(
            TL_ESTATE,
            "%s holds data already: restore into another folder, or replace it with "
            "--force",
            dir);
    }
    return build_all(b, file);
}

tl_err tl_restore(const tl_restore_options *options, tl_restore_report *out_report)
{
    build b = {.options = options};
    int lock_fd = -1;
    FILE *file = fopen(options->path, "rb");
    if (file == NULL) {
        return tl_fail(
            errno == ENOENT ? TL_ENOTFOUND : TL_EIO, "cannot open %s: %s", options->path,
            strerror(errno));
    }
    tl_err err = tl_file_make_dirs(options->data_dir);
    if (err == TL_OK && (err = tl_store_lock(options->data_dir, &lock_fd)) == TL_OK) {
        err = restore_locked(&b, file);
        (void)close(lock_fd);
    }
    (void)fclose(file);
    if (err == TL_OK) {
        *out_report = b.report;
    }
    return err == TL_EDAMAGED || err == TL_EVERSION ? tl_fail_in(err, "%s: ", options->path)
                                                    : err;
}
