/* SPDX-License-Identifier: Apache-2.0 */
#include "base/store.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/store_check.h"
#include "base/text.h"
#include "base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_READERS = 1024, /* reads at one moment */
    FILE_MODE = 0600,   /* keys and profiles are the owner's business */
    REASON_BYTES = 128,
    FORMAT = 2 /* of the values: with heads; 1 had none */
};

static const char format_key[] = TL_STORE_FORMAT_KEY;

/* The map is address space only: the file grows as it fills. */
static const size_t default_map_bytes = (size_t)1 << (sizeof(size_t) > 4 ? 36 : 30);

#define MARK_NAME "holds-data"

static const char *const db_names[] = {
#define TL_DB_NAME(id, name) [TL_DB_##id] = (name),
    TL_DB_LIST(TL_DB_NAME)
#undef TL_DB_NAME
};

struct tl_store {
    MDB_env *env;
    MDB_dbi dbis[TL_N_DBS];
    char *dir;
    size_t map_bytes;
    int lock_fd; /* holds the folder while it is open */
    pid_t pid;   /* of the opener: LMDB must not be used across fork() */
    pthread_mutex_t writer;
    bool has_writer_mutex;
    tl_store_report report; /* of the check before it was opened */
};

struct tl_store_txn {
    tl_store *store;
    MDB_txn *txn;
};

/* ---- errors ---------------------------------------------------------------- */

static tl_err code_of(int status)
{
    switch (status) {
    case MDB_NOTFOUND: return TL_ENOTFOUND;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case MDB_READERS_FULL: return TL_ELIMIT;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_CURSOR_FULL:
    case MDB_INVALID: return TL_EDAMAGED;
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE: return TL_EVERSION;
    case MDB_BAD_TXN: return TL_ESTATE;
    case MDB_PANIC: return TL_EIO;
    case ENOMEM: return TL_ENOMEM;
    default: return TL_EIO;
    }
}

/* LMDB and system codes become ours here and nowhere else. */
static tl_err fail_status(const tl_store *store, const char *what, int status)
{
    tl_err err = code_of(status);
    if (status == MDB_NOTFOUND) {
        return tl_fail(err, "the store holds no such key");
    }
    if (status == MDB_MAP_FULL) {
        return tl_fail(
            err, "the store in %s is full: it may hold %zu MiB", store->dir,
            store->map_bytes / (size_t)TL_MIB_BYTES);
    }
    char reason[REASON_BYTES];
    if (status > 0 && strerror_r(status, reason, sizeof reason) == 0) {
        return tl_fail(err, "cannot %s the store in %s: %s", what, store->dir, reason);
    }
    return tl_fail(
        err, "cannot %s the store in %s: %s", what, store->dir, mdb_strerror(status));
}

/* ---- opening --------------------------------------------------------------- */

static tl_err path_in(const tl_store *store, const char *name, tl_text *path)
{
    tl_text_clear(path);
    tl_text_addf(path, "%s/%s", store->dir, name);
    return tl_text_err(path);
}

/* The number in the lock file is for people; the lock itself is what counts. */
static tl_err lock_dir(tl_store *store, const char *path)
{
    char holder[32] = {0};
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (store->lock_fd < 0) {
        return fail_status(store, "open", errno);
    }
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        int status = errno;
        ssize_t n = read(store->lock_fd, holder, sizeof holder - 1);
        holder[n > 0 ? strcspn(holder, "\n") : 0] = '\0';
        return status != EWOULDBLOCK
                   ? fail_status(store, "lock", status)
                   : tl_fail(
                         TL_ESTATE, "%s is in use by process %s: one daemon per data folder",
                         store->dir, holder[0] != '\0' ? holder : "(unknown)");
    }
    int len = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
    if (ftruncate(store->lock_fd, 0) != 0 ||
        write(store->lock_fd, holder, (size_t)len) != len) {
        /* A full disk: who reads what is stored can do without the number. */
    }
    return TL_OK;
}

/*
 * A file that is empty or gone would be made anew, and everything lost without a word: a
 * folder that held a store has a mark. What is there is read through before LMDB follows it.
 */
static tl_err check_file(tl_store *store, const char *path)
{
    tl_text mark = {0};
    tl_err err = tl_store_check(path, false, &store->report);
    if (err != TL_ENOTFOUND) {
        return err;
    }
    if ((err = path_in(store, MARK_NAME, &mark)) == TL_OK && tl_file_exists(mark.data)) {
        err = tl_fail(
            TL_EDAMAGED,
            "%s is empty or missing, but %s says that it held data: restore a backup (tailor "
            "restore), or remove both to begin anew",
            path, mark.data);
    }
    tl_text_done(&mark);
    return err;
}

static tl_err set_mark(const tl_store *store)
{
    static const char text[] = "A data folder of tailord. Where this file is, store.mdb must "
                               "be.\n";
    tl_text mark = {0};
    tl_err err = path_in(store, MARK_NAME, &mark);
    if (err == TL_OK && !tl_file_exists(mark.data)) {
        err = tl_file_write(mark.data, text, sizeof text - 1);
    }
    tl_text_done(&mark);
    return err == TL_EIO ? TL_OK : err; /* a full disk: the next start sets it */
}

/*
 * A file that ends before its last page would end the process with SIGBUS where
 * the map is read. Pages of zeros there are refused by LMDB as damaged instead,
 * and a page that was never written because it is free stays unread.
 */
static tl_err extend_short_file(tl_store *store)
{
    MDB_envinfo env;
    MDB_stat pages;
    struct stat file;
    int fd = -1;
    int status = mdb_env_info(store->env, &env);
    if (status != 0 || (status = mdb_env_stat(store->env, &pages)) != 0 ||
        (status = mdb_env_get_fd(store->env, &fd)) != 0) {
        return fail_status(store, "open", status);
    }
    off_t wanted = (off_t)((env.me_last_pgno + 1) * pages.ms_psize);
    if (fstat(fd, &file) != 0 || (file.st_size < wanted && ftruncate(fd, wanted) != 0)) {
        return fail_status(store, "open", errno);
    }
    store->map_bytes = env.me_mapsize;
    return TL_OK;
}

/*
 * LMDB's table of readers is a sparse file in memory: on a full disk, a reader whose place was
 * never used would end the process with SIGBUS. So all of it gets its place on the disk now.
 */
static tl_err fill_lock_file(const tl_store *store, const char *path)
{
    struct stat file;
    tl_text name = {0};
    tl_text_addf(&name, "%s-lock", path);
    TL_TRY(tl_text_err(&name));
    int status = 0;
    int fd = open(name.data, O_RDWR | O_CLOEXEC);
    tl_text_done(&name);
    if (fd < 0 || fstat(fd, &file) != 0) {
        status = errno;
    } else {
        status = posix_fallocate(fd, 0, file.st_size);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return status == 0 ? TL_OK : fail_status(store, "open", status);
}

static tl_err open_env(tl_store *store, const char *path)
{
    int status = mdb_env_create(&store->env);
    if (status != 0) {
        store->env = NULL;
        return fail_status(store, "open", status);
    }
    if ((status = mdb_env_set_mapsize(store->env, store->map_bytes)) != 0 ||
        (status = mdb_env_set_maxdbs(store->env, TL_N_DBS)) != 0 ||
        (status = mdb_env_set_maxreaders(store->env, MAX_READERS)) != 0 ||
        (status = mdb_env_open(store->env, path, MDB_NOSUBDIR | MDB_NOTLS, FILE_MODE)) != 0) {
        return fail_status(store, "open", status);
    }
    TL_TRY(extend_short_file(store));
    TL_TRY(fill_lock_file(store, path));
    if ((status = mdb_reader_check(store->env, NULL)) != 0) {
        return fail_status(store, "open", status);
    }
    return tl_file_sync_dir(store->dir);
}

/* ---- heads of values --------------------------------------------------------- */

/* LMDB does not write to what it is given. */
static MDB_val val(const void *data, size_t len)
{
    union {
        const void *given;
        void *wanted;
    } bytes = {.given = data};
    return (MDB_val){.mv_data = bytes.wanted, .mv_size = len};
}

/* value must not lie in the map: the room for it may be where it was. */
static int put_sealed(
    MDB_txn *txn, MDB_dbi dbi, tl_db db, MDB_val *k, const void *value, size_t value_len)
{
    tl_store_head head =
        tl_store_head_of(db_names[db], k->mv_data, k->mv_size, value, value_len);
    MDB_val room = {.mv_size = sizeof head + value_len};
    int status = mdb_put(txn, dbi, k, &room, MDB_RESERVE);
    if (status == 0) {
        char *to = room.mv_data;
        memcpy(to, &head, sizeof head);
        if (value_len > 0) {
            memcpy(to + sizeof head, value, value_len);
        }
    }
    return status;
}

static tl_err fail_damaged(const tl_store *store, tl_db db, const MDB_val *k)
{
    tl_text name = {0};
    tl_store_name_entry(&name, db_names[db], k->mv_data, k->mv_size);
    tl_err err = tl_fail(
        TL_EDAMAGED,
        "%s in %s/store.mdb is damaged: its checksum does not hold; write it again or restore "
        "a backup",
        name.data != NULL ? name.data : db_names[db], store->dir);
    tl_text_done(&name);
    return err;
}

/* Takes the head off. Where only the head is wanted, a long value is not read. */
static tl_err unseal(
    const tl_store *store, tl_db db, const MDB_val *k, bool is_whole, MDB_val *v)
{
    tl_store_head head;
    if (v->mv_size < sizeof head) {
        return fail_damaged(store, db, k);
    }
    memcpy(&head, v->mv_data, sizeof head);
    v->mv_data = (char *)v->mv_data + sizeof head;
    v->mv_size -= sizeof head;
    tl_store_head wanted = head;
    if (is_whole) {
        wanted = tl_store_head_of(db_names[db], k->mv_data, k->mv_size, v->mv_data, v->mv_size);
    } else {
        wanted.key_sum = tl_store_key_sum(db_names[db], k->mv_data, k->mv_size);
    }
    return head.key_sum == wanted.key_sum && head.value_sum == wanted.value_sum
               ? TL_OK
               : fail_damaged(store, db, k);
}

/* Puts the value at the cursor behind a head; the cursor stands there again. */
static int seal_one(
    MDB_txn *txn, MDB_cursor *cursor, tl_db db, const MDB_val *key, const MDB_val *value)
{
    char key_copy[TL_STORE_MAX_KEY_BYTES];
    MDB_val k = {.mv_data = key_copy, .mv_size = key->mv_size};
    memcpy(key_copy, key->mv_data, key->mv_size);
    char *copy = tl_mem_strndup(value->mv_data, value->mv_size);
    if (copy == NULL) {
        return ENOMEM;
    }
    int status = put_sealed(txn, mdb_cursor_dbi(cursor), db, &k, copy, value->mv_size);
    tl_mem_free(copy);
    MDB_val at = {.mv_data = NULL};
    return status == 0 ? mdb_cursor_get(cursor, &k, &at, MDB_SET) : status;
}

static int seal_db(const tl_store *store, MDB_txn *txn, tl_db db)
{
    MDB_cursor *cursor = NULL;
    MDB_val k;
    MDB_val v;
    int status = mdb_cursor_open(txn, store->dbis[db], &cursor);
    if (status != 0) {
        return status;
    }
    status = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
    while (status == 0 && (status = seal_one(txn, cursor, db, &k, &v)) == 0) {
        status = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return status == MDB_NOTFOUND ? 0 : status;
}

/* A new store, or one written without heads, gets them all in the one transaction. */
static tl_err settle_format(const tl_store *store, MDB_txn *txn)
{
    MDB_val k = val(format_key, sizeof format_key - 1);
    MDB_val v;
    uint32_t format = FORMAT;
    int status = mdb_get(txn, store->dbis[TL_DB_META], &k, &v);
    if (status == 0) {
        if (v.mv_size == sizeof format) {
            memcpy(&format, v.mv_data, sizeof format);
        }
        return v.mv_size == sizeof format && format == FORMAT
                   ? TL_OK
                   : tl_fail(
                         TL_EVERSION, "the store in %s is of format %u, want %d", store->dir,
                         format, (int)FORMAT);
    }
    status = status == MDB_NOTFOUND ? 0 : status;
    for (int db = 0; db < TL_N_DBS && status == 0; db++) {
        status = seal_db(store, txn, (tl_db)db);
    }
    if (status == 0) {
        v = val(&format, sizeof format);
        status = mdb_put(txn, store->dbis[TL_DB_META], &k, &v, 0);
    }
    return status == 0 ? TL_OK : fail_status(store, "write to", status);
}

static tl_err open_dbs(tl_store *store)
{
    MDB_txn *txn = NULL;
    int status = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (status != 0) {
        return fail_status(store, "open", status);
    }
    for (int db = 0; db < TL_N_DBS && status == 0; db++) {
        status = mdb_dbi_open(txn, db_names[db], MDB_CREATE, &store->dbis[db]);
    }
    tl_err err = status == 0 ? settle_format(store, txn) : fail_status(store, "open", status);
    if (err != TL_OK) {
        mdb_txn_abort(txn);
        return err;
    }
    status = mdb_txn_commit(txn);
    return status == 0 ? TL_OK : fail_status(store, "open", status);
}

/* ---- opening, and closing ------------------------------------------------------- */

/* Checks for deadlock and for the wrong thread: both are bugs of ours. */
static tl_err make_writer_mutex(tl_store *store)
{
    pthread_mutexattr_t attr;
    if (pthread_mutexattr_init(&attr) != 0) {
        return tl_fail(TL_ENOMEM, "a mutex");
    }
    int status = pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    if (status == 0) {
        status = pthread_mutex_init(&store->writer, &attr);
    }
    (void)pthread_mutexattr_destroy(&attr);
    store->has_writer_mutex = status == 0;
    return status == 0 ? TL_OK : tl_fail(TL_ENOMEM, "a mutex");
}

static tl_err store_init(tl_store *store, const char *dir, size_t max_mib)
{
    tl_text path = {0};
    tl_err err = TL_OK;
    store->lock_fd = -1;
    store->pid = getpid();
    store->map_bytes = default_map_bytes;
    if (max_mib > 0) {
        if (max_mib > SIZE_MAX / 2 / (size_t)TL_MIB_BYTES) {
            return tl_fail(TL_EINVAL, "store size: got %zu MiB", max_mib);
        }
        store->map_bytes = max_mib * (size_t)TL_MIB_BYTES;
    }
    store->dir = tl_mem_strdup(dir);
    if (store->dir == NULL) {
        return tl_fail(TL_ENOMEM, "a path");
    }
    if ((err = make_writer_mutex(store)) != TL_OK || (err = tl_file_make_dirs(dir)) != TL_OK ||
        (err = path_in(store, "lock", &path)) != TL_OK ||
        (err = lock_dir(store, path.data)) != TL_OK ||
        (err = path_in(store, "store.mdb", &path)) != TL_OK ||
        (err = check_file(store, path.data)) != TL_OK ||
        (err = open_env(store, path.data)) != TL_OK || (err = open_dbs(store)) != TL_OK) {
        goto done;
    }
    err = set_mark(store);
done:
    tl_text_done(&path);
    return err;
}

tl_err tl_store_open(const char *dir, size_t max_mib, tl_store **out_store)
{
    tl_store *store = tl_mem_new(1, sizeof *store);
    if (store == NULL) {
        return tl_fail(TL_ENOMEM, "a store");
    }
    tl_err err = store_init(store, dir, max_mib);
    if (err != TL_OK) {
        tl_store_close(store);
        return err;
    }
    *out_store = store;
    return TL_OK;
}

void tl_store_close(tl_store *store)
{
    if (store == NULL) {
        return;
    }
    if (store->env != NULL) {
        mdb_env_close(store->env);
    }
    if (store->lock_fd >= 0) {
        (void)close(store->lock_fd);
    }
    if (store->has_writer_mutex) {
        (void)pthread_mutex_destroy(&store->writer);
    }
    tl_text_done(&store->report.damaged);
    tl_mem_free(store->dir);
    tl_mem_free(store);
}

const char *tl_store_damage(const tl_store *store)
{
    return store->report.damaged.data != NULL ? store->report.damaged.data : "";
}

/* ---- writing --------------------------------------------------------------- */

static tl_err check_key(size_t key_len)
{
    if (key_len == 0 || key_len > TL_STORE_MAX_KEY_BYTES) {
        return tl_fail(
            TL_EINVAL, "store key: got %zu bytes, want 1 to %d", key_len,
            (int)TL_STORE_MAX_KEY_BYTES);
    }
    return TL_OK;
}

tl_err tl_store_begin(tl_store *store, tl_store_txn **out_txn)
{
    TL_ASSERT(store->pid == getpid());
    tl_store_txn *txn = tl_mem_new(1, sizeof *txn);
    if (txn == NULL) {
        return tl_fail(TL_ENOMEM, "a transaction");
    }
    txn->store = store;
    int locked = pthread_mutex_lock(&store->writer);
    TL_ASSERT(locked == 0);
    int status = mdb_txn_begin(store->env, NULL, 0, &txn->txn);
    if (status != 0) {
        (void)pthread_mutex_unlock(&store->writer);
        tl_mem_free(txn);
        return fail_status(store, "write to", status);
    }
    *out_txn = txn;
    return TL_OK;
}

/* What follows the end of the LMDB transaction. */
static void end_txn(tl_store_txn **txn)
{
    int unlocked = pthread_mutex_unlock(&(*txn)->store->writer);
    TL_ASSERT(unlocked == 0);
    tl_mem_free(*txn);
    *txn = NULL;
}

tl_err tl_store_commit(tl_store_txn **txn)
{
    tl_store *store = (*txn)->store;
    int status = mdb_txn_commit((*txn)->txn);
    end_txn(txn);
    return status == 0 ? TL_OK : fail_status(store, "write to", status);
}

void tl_store_abort(tl_store_txn **txn)
{
    if (*txn != NULL) {
        mdb_txn_abort((*txn)->txn);
        end_txn(txn);
    }
}

tl_err tl_store_put(
    tl_store_txn *txn,
    tl_db db,
    const void *key,
    size_t key_len,
    const void *value,
    size_t value_len)
{
    TL_TRY(check_key(key_len));
    MDB_val k = val(key, key_len);
    int status = put_sealed(txn->txn, txn->store->dbis[db], db, &k, value, value_len);
    return status == 0 ? TL_OK : fail_status(txn->store, "write to", status);
}

tl_err tl_store_delete(tl_store_txn *txn, tl_db db, const void *key, size_t key_len)
{
    TL_TRY(check_key(key_len));
    MDB_val k = val(key, key_len);
    int status = mdb_del(txn->txn, txn->store->dbis[db], &k, NULL);
    return status == 0 ? TL_OK : fail_status(txn->store, "write to", status);
}

static bool has_prefix(const MDB_val *key, const void *prefix, size_t prefix_len)
{
    return key->mv_size >= prefix_len &&
           (prefix_len == 0 || memcmp(key->mv_data, prefix, prefix_len) == 0);
}

/* The first entry at or after prefix. */
static int seek(
    MDB_cursor *cursor, const void *prefix, size_t prefix_len, MDB_val *k, MDB_val *v)
{
    *k = val(prefix, prefix_len);
    return mdb_cursor_get(cursor, k, v, prefix_len > 0 ? MDB_SET_RANGE : MDB_FIRST);
}

/* Whether the bytes of prefix come before the key in the order of keys, or are it. */
static bool is_before(const void *prefix, size_t prefix_len, const MDB_val *key)
{
    size_t n = prefix_len < key->mv_size ? prefix_len : key->mv_size;
    int order = n > 0 ? memcmp(prefix, key->mv_data, n) : 0;
    return order != 0 ? order < 0 : prefix_len <= key->mv_size;
}

tl_err tl_store_delete_prefix(
    tl_store_txn *txn, tl_db db, const void *prefix, size_t prefix_len, size_t *out_n)
{
    MDB_cursor *cursor = NULL;
    MDB_val k;
    MDB_val v;
    size_t n = 0;
    int status = mdb_cursor_open(txn->txn, txn->store->dbis[db], &cursor);
    if (status != 0) {
        return fail_status(txn->store, "write to", status);
    }
    while ((status = seek(cursor, prefix, prefix_len, &k, &v)) == 0 &&
           has_prefix(&k, prefix, prefix_len) && (status = mdb_cursor_del(cursor, 0)) == 0) {
        n++;
    }
    mdb_cursor_close(cursor);
    if (status != 0 && status != MDB_NOTFOUND) {
        return fail_status(txn->store, "write to", status);
    }
    if (out_n != NULL) {
        *out_n = n;
    }
    return TL_OK;
}

/* ---- reading --------------------------------------------------------------- */

static tl_err begin_read(tl_store *store, MDB_txn **out_txn)
{
    TL_ASSERT(store->pid == getpid());
    int status = mdb_txn_begin(store->env, NULL, MDB_RDONLY, out_txn);
    return status == 0 ? TL_OK : fail_status(store, "read", status);
}

static tl_err get(
    tl_store *store,
    MDB_txn *txn,
    tl_db db,
    const void *key,
    size_t key_len,
    MDB_val *out_value)
{
    TL_TRY(check_key(key_len));
    MDB_val k = val(key, key_len);
    int status = mdb_get(txn, store->dbis[db], &k, out_value);
    return status == 0 ? unseal(store, db, &k, true, out_value)
                       : fail_status(store, "read", status);
}

tl_err tl_store_get(
    tl_store *store,
    tl_db db,
    const void *key,
    size_t key_len,
    void **out_value,
    size_t *out_len)
{
    MDB_txn *txn = NULL;
    MDB_val value;
    TL_TRY(begin_read(store, &txn));
    tl_err err = get(store, txn, db, key, key_len, &value);
    if (err == TL_OK) {
        char *copy = tl_mem_strndup(value.mv_data, value.mv_size);
        if (copy == NULL) {
            err = tl_fail(TL_ENOMEM, "a value of %zu bytes", value.mv_size);
        } else {
            *out_value = copy;
            *out_len = value.mv_size;
        }
    }
    mdb_txn_abort(txn);
    return err;
}

tl_err tl_store_txn_get(
    tl_store_txn *txn,
    tl_db db,
    const void *key,
    size_t key_len,
    const void **out_value,
    size_t *out_len)
{
    MDB_val value;
    TL_TRY(get(txn->store, txn->txn, db, key, key_len, &value));
    *out_value = value.mv_data;
    *out_len = value.mv_size;
    return TL_OK;
}

/* The first entry behind after, which is at or after prefix. */
static int seek_range(MDB_cursor *cursor, const tl_store_range *range, MDB_val *k, MDB_val *v)
{
    MDB_val after = val(range->after, range->after_len);
    if (range->after_len == 0 || !is_before(range->prefix, range->prefix_len, &after)) {
        return seek(cursor, range->prefix, range->prefix_len, k, v);
    }
    int status = seek(cursor, range->after, range->after_len, k, v);
    bool is_after = status == 0 && k->mv_size == after.mv_size &&
                    memcmp(k->mv_data, after.mv_data, after.mv_size) == 0;
    return is_after ? mdb_cursor_get(cursor, k, v, MDB_NEXT) : status;
}

/* The store's own entry, which nobody else sees. */
static bool is_format(tl_db db, const MDB_val *k)
{
    return db == TL_DB_META && k->mv_size == sizeof format_key - 1 &&
           memcmp(k->mv_data, format_key, k->mv_size) == 0;
}

static tl_err iterate(
    tl_store *store,
    MDB_txn *txn,
    tl_db db,
    const tl_store_range *range,
    tl_store_visit_fn *visit,
    void *context)
{
    MDB_cursor *cursor = NULL;
    MDB_val k;
    MDB_val v;
    tl_err err = TL_OK;
    int status = mdb_cursor_open(txn, store->dbis[db], &cursor);
    if (status != 0) {
        return fail_status(store, "read", status);
    }
    status = seek_range(cursor, range, &k, &v);
    while (status == 0 && has_prefix(&k, range->prefix, range->prefix_len)) {
        if (!is_format(db, &k)) {
            bool is_sound = unseal(store, db, &k, !range->heads_only, &v) == TL_OK;
            if (!is_sound && !range->with_damaged) {
                err = TL_EDAMAGED;
                break;
            }
            tl_store_entry entry = {k.mv_data, k.mv_size, v.mv_data, v.mv_size, !is_sound};
            if ((err = visit(context, &entry)) != TL_OK) {
                break;
            }
        }
        status = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (status != 0 && status != MDB_NOTFOUND) {
        return fail_status(store, "read", status);
    }
    return err;
}

tl_err tl_store_iterate(
    tl_store *store,
    tl_db db,
    const void *prefix,
    size_t prefix_len,
    tl_store_visit_fn *visit,
    void *context)
{
    const tl_store_range range = {.prefix = prefix, .prefix_len = prefix_len};
    return tl_store_iterate_range(store, db, &range, visit, context);
}

tl_err tl_store_iterate_range(
    tl_store *store,
    tl_db db,
    const tl_store_range *range,
    tl_store_visit_fn *visit,
    void *context)
{
    MDB_txn *txn = NULL;
    TL_TRY(begin_read(store, &txn));
    tl_err err = iterate(store, txn, db, range, visit, context);
    mdb_txn_abort(txn);
    return err;
}

tl_err tl_store_txn_iterate(
    tl_store_txn *txn,
    tl_db db,
    const void *prefix,
    size_t prefix_len,
    tl_store_visit_fn *visit,
    void *context)
{
    const tl_store_range range = {.prefix = prefix, .prefix_len = prefix_len};
    return iterate(txn->store, txn->txn, db, &range, visit, context);
}

tl_err tl_store_stat_get(tl_store *store, tl_store_stat *out_stat)
{
    MDB_txn *txn = NULL;
    struct stat file = {0};
    int fd = -1;
    tl_store_stat stat = {.max_bytes = store->map_bytes};
    TL_TRY(begin_read(store, &txn));
    int status = mdb_env_get_fd(store->env, &fd);
    if (status == 0 && fstat(fd, &file) != 0) {
        status = errno;
    }
    for (int db = 0; db < TL_N_DBS && status == 0; db++) {
        MDB_stat entries = {0};
        status = mdb_stat(txn, store->dbis[db], &entries);
        stat.n_entries[db] = entries.ms_entries - (db == TL_DB_META ? 1 : 0);
    }
    mdb_txn_abort(txn);
    if (status != 0) {
        return fail_status(store, "read", status);
    }
    stat.file_bytes = (size_t)file.st_size;
    *out_stat = stat;
    return TL_OK;
}
