/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/backups.h"

#include "base/backup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/store_check.h"
#include "base/units.h"
#include "predictors/model.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    DATE_BYTES = 32
};

/* What comes next of the stream. */
typedef enum stage {
    STAGE_BEGIN,
    STAGE_ENTRIES,
    STAGE_FILES,
    STAGE_END,
    STAGE_DONE
} stage;

typedef struct backup {
    uint64_t id; /* 0: a free place */
    bool is_busy;
    int64_t used_ns;
    tl_store_snapshot *snapshot;
    tl_file_list models;
    size_t n_models; /* that had their turn */
    stage stage;
    bool has_db;
    tl_db db;
    tl_digest digest;
    tl_text front;     /* heads and keys, given out before the value */
    size_t front_done; /* of it */
    const char *value; /* borrowed of the snapshot, or the file */
    size_t value_len, value_done;
    char *file; /* the model whose turn it is */
    uint64_t offset;
    uint8_t *piece; /* the last one given out: [piece_len], at piece_offset */
    size_t piece_len;
    uint64_t piece_offset;
    tl_damage left_out;
} backup;

struct tl_backups {
    tl_store *store;
    char *models_dir;
    pthread_mutex_t lock; /* of the table; a busy backup belongs to who made it busy */
    uint64_t last_id;
    backup table[TL_BACKUPS_MAX];
};

/* ---- life ------------------------------------------------------------------------------ */

/* What is needed only while there is more to come. */
static void release_source(backup *b)
{
    tl_store_snapshot_close(b->snapshot);
    b->snapshot = NULL;
    tl_file_list_done(&b->models);
    tl_mem_free(b->file);
    b->file = NULL;
}

static void clear(backup *b)
{
    release_source(b);
    tl_text_done(&b->front);
    tl_damage_done(&b->left_out);
    tl_mem_free(b->piece);
    *b = (backup){0};
}

void tl_backups_sweep(tl_backups *backups, int64_t now_ns)
{
    (void)pthread_mutex_lock(&backups->lock);
    for (int i = 0; i < TL_BACKUPS_MAX; i++) {
        backup *b = &backups->table[i];
        if (b->id != 0 && !b->is_busy && now_ns - b->used_ns > TL_BACKUP_IDLE_S * TL_NS_PER_S) {
            clear(b);
        }
    }
    (void)pthread_mutex_unlock(&backups->lock);
}

tl_err tl_backups_new(tl_store *store, const char *data_dir, tl_backups **out_backups)
{
    tl_text models = {0};
    tl_backups *backups = tl_mem_new(1, sizeof *backups);
    if (backups == NULL) {
        return tl_fail(TL_ENOMEM, "backups");
    }
    backups->store = store;
    /* Ids of an earlier daemon must not name backups of this one. */
    backups->last_id = tl_clock_fresh_number();
    (void)pthread_mutex_init(&backups->lock, NULL);
    tl_text_addf(&models, "%s/models", data_dir);
    tl_err err = tl_text_err(&models);
    backups->models_dir = tl_text_steal(&models);
    tl_text_done(&models);
    if (err != TL_OK) {
        tl_backups_free(backups);
        return err;
    }
    *out_backups = backups;
    return TL_OK;
}

void tl_backups_free(tl_backups *backups)
{
    if (backups == NULL) {
        return;
    }
    for (int i = 0; i < TL_BACKUPS_MAX; i++) {
        clear(&backups->table[i]);
    }
    (void)pthread_mutex_destroy(&backups->lock);
    tl_mem_free(backups->models_dir);
    tl_mem_free(backups);
}

/* ---- the stream ------------------------------------------------------------------------ */

/* A record of which the value follows; short values stand in front as well. */
static tl_err add_record(
    backup *b, tl_backup_kind kind, const void *key, size_t key_len, size_t value_len)
{
    uint8_t head[TL_BACKUP_HEAD_BYTES];
    tl_backup_head(kind, key_len, value_len, head);
    tl_text_add_bytes(&b->front, (const char *)head, sizeof head);
    tl_text_add_bytes(&b->front, key, key_len);
    return tl_text_err(&b->front);
}

static tl_err add_info(backup *b, const char *key, const char *value)
{
    TL_TRY(add_record(b, TL_BACKUP_INFO, key, strlen(key), strlen(value)));
    tl_text_add(&b->front, value);
    return tl_text_err(&b->front);
}

static tl_err begin_stream(backup *b)
{
    char date[DATE_BYTES] = "";
    struct tm utc;
    time_t now = time(NULL);
    if (gmtime_r(&now, &utc) != NULL) {
        (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    tl_text_add(&b->front, tl_backup_magic);
    TL_TRY(add_info(b, "created", date));
    TL_TRY(add_info(b, "made-by", "tailord " TL_VERSION));
    TL_TRY(add_info(b, TL_BACKUP_BYTE_ORDER_KEY, tl_backup_byte_order()));
    b->stage = STAGE_ENTRIES;
    return TL_OK;
}

static tl_err leave_out(backup *b, tl_db db, const tl_store_entry *entry)
{
    tl_text name = {0};
    if (entry->lost != NULL) {
        tl_text_add(&name, entry->lost);
    } else {
        tl_store_name_entry(&name, tl_store_db_name(db), entry->key, entry->key_len);
    }
    tl_err err = tl_text_err(&name);
    if (err == TL_OK) {
        err = tl_damage_add(&b->left_out, name.data);
    }
    tl_text_done(&name);
    return err;
}

static tl_err next_entry(backup *b)
{
    tl_db db;
    tl_store_entry entry;
    bool is_end = false;
    TL_TRY(tl_store_snapshot_next(b->snapshot, &db, &entry, &is_end));
    if (is_end) {
        tl_store_snapshot_close(b->snapshot);
        b->snapshot = NULL;
        b->stage = STAGE_FILES;
        return TL_OK;
    }
    if (entry.is_damaged) {
        return leave_out(b, db, &entry);
    }
    if (!b->has_db || b->db != db) {
        const char *name = tl_store_db_name(db);
        TL_TRY(add_record(b, TL_BACKUP_DB, name, strlen(name), 0));
        b->has_db = true;
        b->db = db;
    }
    b->value = entry.value;
    b->value_len = entry.value_len;
    return add_record(b, TL_BACKUP_ENTRY, entry.key, entry.key_len, entry.value_len);
}

/* A model that was removed meanwhile is no part of the state any more. */
static tl_err next_file(const tl_backups *backups, backup *b)
{
    tl_text path = {0};
    tl_text key = {0};
    tl_mem_free(b->file);
    b->file = NULL;
    if (b->n_models == b->models.n_names) {
        b->stage = STAGE_END;
        return TL_OK;
    }
    const char *name = b->models.names[b->n_models++];
    tl_text_addf(&path, "%s/%s", backups->models_dir, name);
    tl_text_addf(&key, "models/%s", name);
    tl_err err = TL_OK;
    if ((err = tl_text_err(&path)) == TL_OK && (err = tl_text_err(&key)) == TL_OK &&
        (err = tl_file_read(path.data, TL_MODEL_MAX_BYTES, &b->file, &b->value_len)) == TL_OK) {
        b->value = b->file;
        err = add_record(b, TL_BACKUP_FILE, key.data, key.len, b->value_len);
    }
    tl_text_done(&path);
    tl_text_done(&key);
    return err == TL_ENOTFOUND ? TL_OK : err;
}

/* The digest is of all before it, also of the head of its own record, which is out by then. */
static tl_err end_stream(backup *b)
{
    uint8_t digest[TL_DIGEST_BYTES];
    uint8_t head[TL_BACKUP_HEAD_BYTES];
    tl_backup_head(TL_BACKUP_END, 0, sizeof digest, head);
    tl_digest_add(&b->digest, head, sizeof head);
    tl_digest_end(&b->digest, digest);
    tl_text_add_bytes(&b->front, (const char *)head, sizeof head);
    tl_text_add_bytes(&b->front, (const char *)digest, sizeof digest);
    b->stage = STAGE_DONE;
    return tl_text_err(&b->front);
}

static tl_err next_record(const tl_backups *backups, backup *b)
{
    tl_text_clear(&b->front);
    b->front_done = 0;
    b->value_len = 0;
    b->value_done = 0;
    switch (b->stage) {
    case STAGE_BEGIN: return begin_stream(b);
    case STAGE_ENTRIES: return next_entry(b);
    case STAGE_FILES: return next_file(backups, b);
    case STAGE_END: return end_stream(b);
    case STAGE_DONE: break;
    }
    return TL_OK;
}

static size_t take(const char *from, size_t len, size_t *done, uint8_t *to, size_t room)
{
    size_t n = len - *done < room ? len - *done : room;
    if (n > 0) {
        memcpy(to, from + *done, n);
    }
    *done += n;
    return n;
}

static bool is_given_out(const backup *b)
{
    return b->front_done == b->front.len && b->value_done == b->value_len;
}

/* Fills the piece, which has room for all of TL_BACKUP_PIECE_BYTES. */
static tl_err make_piece(const tl_backups *backups, backup *b)
{
    size_t len = 0;
    while (len < TL_BACKUP_PIECE_BYTES && (!is_given_out(b) || b->stage != STAGE_DONE)) {
        bool is_end = b->stage == STAGE_DONE; /* the end has digested itself */
        size_t room = TL_BACKUP_PIECE_BYTES - len;
        if (is_given_out(b)) {
            TL_TRY(next_record(backups, b));
            continue;
        }
        uint8_t *to = b->piece + len;
        size_t n = take(b->front.data, b->front.len, &b->front_done, to, room);
        n += take(b->value, b->value_len, &b->value_done, to + n, room - n);
        if (!is_end) {
            tl_digest_add(&b->digest, to, n);
        }
        len += n;
    }
    b->piece_len = len;
    return TL_OK;
}

/* ---- the table ------------------------------------------------------------------------- */

static uint64_t file_bytes(const char *dir, const char *name)
{
    struct stat status = {0};
    tl_text path = {0};
    tl_text_addf(&path, "%s/%s", dir, name);
    bool is_there = tl_text_err(&path) == TL_OK && stat(path.data, &status) == 0;
    tl_text_done(&path);
    return is_there ? (uint64_t)status.st_size : 0;
}

/*
 * The snapshot first: what ends between it and the list of models is a job that the backup has
 * as unfinished, with its model; the other way round it would have ended without one.
 */
static tl_err open_source(const tl_backups *backups, backup *b, uint64_t *out_about_bytes)
{
    tl_store_stat stat;
    TL_TRY(tl_store_snapshot_open(backups->store, &b->snapshot));
    TL_TRY(tl_store_stat_get(backups->store, &stat));
    b->piece = tl_mem_new(TL_BACKUP_PIECE_BYTES, 1);
    if (b->piece == NULL) {
        return tl_fail(TL_ENOMEM, "a piece of a backup");
    }
    tl_digest_init(&b->digest);
    tl_err err = tl_file_list_init(&b->models, backups->models_dir, ".tlm");
    TL_TRY(err == TL_ENOTFOUND ? TL_OK : err);
    uint64_t about = stat.file_bytes;
    for (size_t i = 0; i < b->models.n_names; i++) {
        about += file_bytes(backups->models_dir, b->models.names[i]);
    }
    *out_about_bytes = about;
    return TL_OK;
}

/* A free place or one that is done with. Locked. */
static backup *find_room(tl_backups *backups)
{
    for (int i = 0; i < TL_BACKUPS_MAX; i++) {
        backup *b = &backups->table[i];
        if (b->id == 0 || (!b->is_busy && b->stage == STAGE_DONE && is_given_out(b))) {
            return b;
        }
    }
    return NULL;
}

tl_err tl_backups_begin(tl_backups *backups, uint64_t *out_id, uint64_t *out_about_bytes)
{
    backup fresh = {.used_ns = tl_clock_ns()};
    tl_err err = open_source(backups, &fresh, out_about_bytes);
    if (err != TL_OK) {
        clear(&fresh);
        return err;
    }
    (void)pthread_mutex_lock(&backups->lock);
    backup *room = find_room(backups);
    if (room != NULL) {
        clear(room);
        fresh.id = ++backups->last_id;
        *room = fresh;
        *out_id = fresh.id;
    }
    (void)pthread_mutex_unlock(&backups->lock);
    if (room == NULL) {
        clear(&fresh);
        return tl_fail(TL_EBUSY, "%d backups are open already", (int)TL_BACKUPS_MAX);
    }
    return TL_OK;
}

/* Marks it busy, so that this thread alone has it until give_back(). */
static tl_err borrow(tl_backups *backups, uint64_t id, backup **out_backup)
{
    backup *found = NULL;
    bool is_busy = false;
    (void)pthread_mutex_lock(&backups->lock);
    for (int i = 0; i < TL_BACKUPS_MAX && id != 0 && found == NULL; i++) {
        found = backups->table[i].id == id ? &backups->table[i] : NULL;
    }
    if (found != NULL) {
        is_busy = found->is_busy;
        found->is_busy = true;
    }
    (void)pthread_mutex_unlock(&backups->lock);
    if (found == NULL) {
        return tl_fail(
            TL_ENOTFOUND, "no backup %llu is open: one that is not fetched for %d s is dropped",
            (unsigned long long)id, (int)TL_BACKUP_IDLE_S);
    }
    if (is_busy) {
        return tl_fail(TL_ESTATE, "backup %llu is being read already", (unsigned long long)id);
    }
    *out_backup = found;
    return TL_OK;
}

static void give_back(tl_backups *backups, backup *b, bool is_over)
{
    (void)pthread_mutex_lock(&backups->lock);
    b->is_busy = false;
    b->used_ns = tl_clock_ns();
    if (is_over) {
        clear(b);
    }
    (void)pthread_mutex_unlock(&backups->lock);
}

/* Makes the piece at offset the present one. */
static tl_err move_to(const tl_backups *backups, backup *b, uint64_t offset)
{
    if (offset == b->piece_offset && b->piece_len > 0) {
        return TL_OK; /* its reply was lost */
    }
    if (offset != b->offset) {
        return tl_fail(
            TL_ESTATE, "offset: got %llu, want %llu", (unsigned long long)offset,
            (unsigned long long)b->offset);
    }
    TL_TRY(make_piece(backups, b));
    b->piece_offset = offset;
    b->offset = offset + b->piece_len;
    if (b->stage == STAGE_DONE) {
        release_source(b);
    }
    return TL_OK;
}

tl_err tl_backups_read(
    tl_backups *backups,
    uint64_t id,
    uint64_t offset,
    uint8_t **out_data,
    size_t *out_len,
    bool *out_is_last,
    tl_damage *left_out)
{
    backup *b = NULL;
    bool is_over = false;
    TL_TRY(borrow(backups, id, &b));
    tl_err err = move_to(backups, b, offset);
    if (err == TL_OK) {
        uint8_t *data = tl_mem_new(b->piece_len, 1);
        if (data == NULL) {
            err = tl_fail(TL_ENOMEM, "a piece of a backup");
        } else {
            memcpy(data, b->piece, b->piece_len);
            *out_data = data;
            *out_len = b->piece_len;
            *out_is_last = b->stage == STAGE_DONE && is_given_out(b);
            if (*out_is_last &&
                b->left_out.n > 0) { /* a copy: the piece may be asked for again */
                left_out->n = b->left_out.n;
                tl_text_add(&left_out->names, b->left_out.names.data);
            }
        }
    } else {
        is_over = err != TL_ESTATE; /* half a piece may be out of the source */
    }
    give_back(backups, b, is_over);
    return err;
}

tl_err tl_backups_end(tl_backups *backups, uint64_t id)
{
    backup *b = NULL;
    TL_TRY(borrow(backups, id, &b));
    give_back(backups, b, true);
    return TL_OK;
}
