/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "base/store_impl.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/restore.h"
#include "base/text.h"
#include "base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_READERS = 1024, /* reads at one moment */
    FILE_MODE = 0600,   /* keys and profiles are the owner's business */
    REASON_BYTES = 128,
    FORMAT = 2 /* of the values: with heads; 1 had none */
};

/*
 * The map is address space only: the file grows as it fills. Where there is not so much of
 * it, under RLIMIT_AS or in valgrind, half as much is taken, and so on down to the least.
 */
static const size_t default_map_bytes = (size_t)1 << (sizeof(size_t) > 4 ? 36 : 30);
static const size_t least_map_bytes = (size_t)1 << 28;

#define MARK_NAME "holds-data"

static const char *const db_names[] = {
#define TL_DB_NAME(id, name) [TL_DB_##id] = (name),
    TL_DB_LIST(TL_DB_NAME)
#undef TL_DB_NAME
};

const char *tl_store_db_name(tl_db db)
{
    return db_names[db];
}

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
tl_err tl_store_fail(const tl_store *store, const char *what, int status)
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
    bool has_reason = status > 0 && strerror_r(status, reason, sizeof reason) == 0;
    /* LMDB calls a write that the disk took only a part of EIO. */
    bool may_be_full = status == ENOSPC || status == EDQUOT || status == EFBIG ||
                       (status == EIO && strcmp(what, "write to") == 0);
    return tl_fail(
        err, "cannot %s the store in %s: %s%s", what, store->dir,
        has_reason ? reason : mdb_strerror(status),
        may_be_full ? "; is the disk full? Nothing of this was stored, all else is served"
                    : "");
}

/* ---- opening --------------------------------------------------------------- */

static tl_err path_in(const tl_store *store, const char *name, tl_text *path)
{
    tl_text_clear(path);
    tl_text_addf(path, "%s/%s", store->dir, name);
    return tl_text_err(path);
}

static tl_err fail_system(const char *what, const char *path, int status)
{
    char reason[REASON_BYTES];
    return tl_fail(
        TL_EIO, "cannot %s %s: %s", what, path,
        strerror_r(status, reason, sizeof reason) == 0 ? reason : "unknown error");
}

static tl_err take_lock(const char *dir, const char *path, int fd)
{
    char holder[32] = {0};
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int status = errno;
        ssize_t n = read(fd, holder, sizeof holder - 1);
        holder[n > 0 ? strcspn(holder, "\n") : 0] = '\0';
        return status != EWOULDBLOCK
                   ? fail_system("lock", path, status)
                   : tl_fail(
                         TL_ESTATE, "%s is in use by process %s: one daemon per data folder",
                         dir, holder[0] != '\0' ? holder : "(unknown)");
    }
    int len = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || write(fd, holder, (size_t)len) != len) {
        /* A full disk: who reads what is stored can do without the number. */
    }
    return TL_OK;
}

/* The number in the lock file is for people; the lock itself is what counts. */
static tl_err lock_dir(const char *dir, int flags, int *out_fd)
{
    tl_text path = {0};
    tl_text_addf(&path, "%s/lock", dir);
    TL_TRY(tl_text_err(&path));
    tl_err err = TL_OK;
    int fd = open(path.data, flags | O_CLOEXEC, FILE_MODE);
    if (fd < 0) {
        err = errno == ENOENT ? tl_fail(TL_ENOTFOUND, "there is no %s", path.data)
                              : fail_system("write", path.data, errno);
    } else if ((err = take_lock(dir, path.data, fd)) != TL_OK) {
        (void)close(fd);
    } else {
        *out_fd = fd;
    }
    tl_text_done(&path);
    return err;
}

tl_err tl_store_lock(const char *dir, int *out_fd)
{
    tl_err err = lock_dir(dir, O_RDWR | O_CREAT, out_fd);
    return err == TL_ENOTFOUND ? TL_EIO : err;
}

/* ---- who only reads ------------------------------------------------------------- */

static tl_err set_trouble(tl_store *store, tl_err err, const char *what, const char *why)
{
    if (store->trouble_err == TL_OK) {
        store->trouble_err = err;
        tl_text_addf(&store->trouble, "%s %s: %s", store->dir, what, why);
    }
    return tl_text_err(&store->trouble);
}

/* The first of the files that are to be written, and cannot be, with the reason; 0: all can. */
static int find_unwritable(const tl_store *store, tl_text *path)
{
    static const char *const names[] = {".", "store.mdb", "store.mdb-lock", "lock"};
    for (size_t i = 0; i < TL_COUNT(names); i++) {
        if (path_in(store, names[i], path) == TL_OK && access(path->data, W_OK) != 0 &&
            errno != ENOENT) {
            return errno;
        }
    }
    return 0;
}

/* A restore that was decided counts from then on, and cannot be put in place here. */
static tl_err refuse_unsettled(const tl_store *store, tl_text *path)
{
    TL_TRY(path_in(store, "restored", path));
    return tl_file_exists(path->data)
               ? tl_fail(
                     TL_EIO,
                     "%s waits to be put in place, and the disk is read-only: make it "
                     "writable",
                     path->data)
               : TL_OK;
}

/*
 * Holds the folder, for writing where that is possible. On a read-only disk, who wrote it before
 * may have left no lock, and cannot come now.
 */
static tl_err enter_dir(tl_store *store, bool may_be_read_only)
{
    char reason[REASON_BYTES] = "unknown error";
    tl_text path = {0};
    TL_TRY(tl_file_make_dirs(store->dir));
    int status = may_be_read_only ? find_unwritable(store, &path) : 0;
    tl_err err = TL_OK;
    if (status == 0) {
        err = tl_store_lock(store->dir, &store->lock_fd);
        err = err == TL_OK ? tl_restore_settle(store->dir) : err;
    } else {
        (void)strerror_r(status, reason, sizeof reason);
        err = set_trouble(
            store, TL_EIO,
            "cannot be written, so nothing is stored, and what was stored is served", reason);
        err = err == TL_OK ? lock_dir(store->dir, O_RDONLY, &store->lock_fd) : err;
        err = err == TL_OK || err == TL_ENOTFOUND ? refuse_unsettled(store, &path) : err;
    }
    tl_text_done(&path);
    return err;
}

/* ---- the file ------------------------------------------------------------------- */

/* Whether the folder held a store; the caller has *out_path to end. */
static tl_err find_mark(const tl_store *store, tl_text *out_path, bool *out_is_there)
{
    TL_TRY(path_in(store, MARK_NAME, out_path));
    *out_is_there = tl_file_exists(out_path->data);
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
    bool is_marked = false;
    if ((err = find_mark(store, &mark, &is_marked)) == TL_OK && is_marked) {
        err = tl_fail(
            TL_EDAMAGED,
            "%s is empty or missing, but %s says that it held data: restore a backup (tailor "
            "restore), or remove both to begin anew",
            path, mark.data);
    }
    tl_text_done(&mark);
    return err;
}

static tl_err list_lost(tl_store *store)
{
    for (size_t i = 0; i < store->gaps.n; i++) {
        const tl_store_gap *gap = &store->gaps.gaps[i];
        tl_text_addf(&store->lost, "%s: %s\n", gap->text, gap->why);
    }
    return tl_text_err(&store->lost);
}

/* The same, and what is damaged is left out. *out_is_there: the file can be opened. */
static tl_err look_through(tl_store *store, const char *path, bool *out_is_there)
{
    tl_text mark = {0};
    tl_err err = tl_store_find_gaps(path, &store->report, &store->gaps);
    bool is_there = err != TL_ENOTFOUND;
    bool is_marked = false;
    if (!is_there && (err = find_mark(store, &mark, &is_marked)) == TL_OK && is_marked) {
        err = tl_store_gaps_all(
            &store->gaps, "it is empty or missing, but holds-data beside it says that it held "
                          "data; remove both to begin anew");
    }
    tl_text_done(&mark);
    if (err == TL_OK && store->gaps.trouble[0] != '\0') {
        err = set_trouble(
            store, TL_EDAMAGED,
            "is damaged, so nothing is stored, and what is sound is served; restore a backup "
            "(tailor restore). store.mdb",
            store->gaps.trouble);
    }
    *out_is_there = is_there && !store->gaps.is_all;
    return err == TL_OK ? list_lost(store) : err;
}

static tl_err set_mark(const tl_store *store)
{
    static const char text[] = "A data folder of tailord. Where this file is, store.mdb must "
                               "be.\n";
    tl_text mark = {0};
    bool is_marked = false;
    tl_err err = find_mark(store, &mark, &is_marked);
    if (err == TL_OK && !is_marked) {
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
        return tl_store_fail(store, "open", status);
    }
    off_t wanted = (off_t)((env.me_last_pgno + 1) * pages.ms_psize);
    if (fstat(fd, &file) != 0 || (file.st_size < wanted && ftruncate(fd, wanted) != 0)) {
        return tl_store_fail(store, "open", errno);
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
    return status == 0 ? TL_OK : tl_store_fail(store, "open", status);
}

static tl_err start_env(tl_store *store, const char *path, unsigned flags)
{
    int status = mdb_env_create(&store->env);
    if (status != 0) {
        store->env = NULL;
        return tl_store_fail(store, "open", status);
    }
    if ((status = mdb_env_set_mapsize(store->env, store->map_bytes)) != 0 ||
        (status = mdb_env_set_maxdbs(store->env, TL_N_DBS)) != 0 ||
        (status = mdb_env_set_maxreaders(store->env, MAX_READERS)) != 0 ||
        (status = mdb_env_open(
             store->env, path, MDB_NOSUBDIR | MDB_NOTLS | flags, FILE_MODE)) != 0) {
        return tl_store_fail(store, "open", status);
    }
    return TL_OK;
}

static tl_err open_env(tl_store *store, const char *path)
{
    TL_TRY(start_env(store, path, 0));
    TL_TRY(extend_short_file(store));
    TL_TRY(fill_lock_file(store, path));
    int status = mdb_reader_check(store->env, NULL);
    return status == 0 ? tl_file_sync_dir(store->dir) : tl_store_fail(store, "open", status);
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
    int status = tl_store_put_sealed(txn, mdb_cursor_dbi(cursor), db, &k, copy, value->mv_size);
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
    MDB_val k = tl_store_val(tl_store_format_key, sizeof tl_store_format_key - 1);
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
        v = tl_store_val(&format, sizeof format);
        status = mdb_put(txn, store->dbis[TL_DB_META], &k, &v, 0);
    }
    return status == 0 ? TL_OK : tl_store_fail(store, "write to", status);
}

static tl_err open_dbs(tl_store *store)
{
    MDB_txn *txn = NULL;
    int status = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (status != 0) {
        return tl_store_fail(store, "open", status);
    }
    for (int db = 0; db < TL_N_DBS && status == 0; db++) {
        status = mdb_dbi_open(txn, db_names[db], MDB_CREATE, &store->dbis[db]);
        store->has_dbi[db] = status == 0;
    }
    tl_err err = status == 0 ? settle_format(store, txn) : tl_store_fail(store, "open", status);
    if (err != TL_OK) {
        mdb_txn_abort(txn);
        return err;
    }
    status = mdb_txn_commit(txn);
    return status == 0 ? TL_OK : tl_store_fail(store, "open", status);
}

/* Of a file that nobody writes: no readers need to be known, and none are. */
static tl_err open_to_read(tl_store *store, const char *path)
{
    MDB_txn *txn = NULL;
    if (!store->report.has_heads) {
        return tl_fail(
            TL_EVERSION,
            "the store in %s was written by an older version, and has to be written anew to be "
            "read: %s",
            store->dir, tl_store_trouble(store));
    }
    TL_TRY(start_env(store, path, MDB_RDONLY | MDB_NOLOCK));
    int status = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (status != 0) {
        return tl_store_fail(store, "open", status);
    }
    for (int db = 0; db < TL_N_DBS && status == 0; db++) {
        status = mdb_dbi_open(txn, db_names[db], 0, &store->dbis[db]);
        store->has_dbi[db] = status == 0;
        status = status == MDB_NOTFOUND ? 0 : status;
    }
    if (status != 0) {
        mdb_txn_abort(txn);
        return tl_store_fail(store, "open", status);
    }
    status = mdb_txn_commit(txn); /* which keeps the databases open */
    return status == 0 ? TL_OK : tl_store_fail(store, "open", status);
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

static size_t find_map_bytes(void)
{
    size_t bytes = default_map_bytes;
    while (bytes > least_map_bytes) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        void *map = mmap(NULL, bytes, PROT_NONE, flags, -1, 0);
        if (map != MAP_FAILED) {
            (void)munmap(map, bytes);
            break;
        }
        bytes /= 2;
    }
    return bytes;
}

static tl_err open_to_write(tl_store *store, const char *path)
{
    TL_TRY(open_env(store, path));
    TL_TRY(open_dbs(store));
    return set_mark(store);
}

static tl_err open_file(tl_store *store, bool is_lenient, const char *path)
{
    bool is_there = true;
    TL_TRY(is_lenient ? look_through(store, path, &is_there) : check_file(store, path));
    if (store->trouble_err == TL_OK) {
        return open_to_write(store, path);
    }
    return is_there ? open_to_read(store, path) : TL_OK;
}

static tl_err set_map_bytes(tl_store *store, size_t max_mib)
{
    if (max_mib > SIZE_MAX / 2 / (size_t)TL_MIB_BYTES) {
        return tl_fail(TL_EINVAL, "store size: got %zu MiB", max_mib);
    }
    store->map_bytes = max_mib == 0 ? find_map_bytes() : max_mib * (size_t)TL_MIB_BYTES;
    return TL_OK;
}

static tl_err store_init(tl_store *store, const char *dir, size_t max_mib, bool is_lenient)
{
    tl_text path = {0};
    tl_err err = TL_OK;
    store->lock_fd = -1;
    store->pid = getpid();
    TL_TRY(set_map_bytes(store, max_mib));
    store->dir = tl_mem_strdup(dir);
    if (store->dir == NULL) {
        return tl_fail(TL_ENOMEM, "a path");
    }
    if ((err = make_writer_mutex(store)) != TL_OK ||
        (err = enter_dir(store, is_lenient)) != TL_OK ||
        (err = path_in(store, "store.mdb", &path)) != TL_OK) {
        goto done;
    }
    err = open_file(store, is_lenient, path.data);
done:
    tl_text_done(&path);
    return err;
}

static tl_err store_open(const char *dir, size_t max_mib, bool is_lenient, tl_store **out_store)
{
    tl_store *store = tl_mem_new(1, sizeof *store);
    if (store == NULL) {
        return tl_fail(TL_ENOMEM, "a store");
    }
    tl_err err = store_init(store, dir, max_mib, is_lenient);
    if (err != TL_OK) {
        tl_store_close(store);
        return err;
    }
    *out_store = store;
    return TL_OK;
}

tl_err tl_store_open(const char *dir, size_t max_mib, tl_store **out_store)
{
    return store_open(dir, max_mib, false, out_store);
}

tl_err tl_store_open_what_is_sound(const char *dir, size_t max_mib, tl_store **out_store)
{
    return store_open(dir, max_mib, true, out_store);
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
    tl_text_done(&store->trouble);
    tl_text_done(&store->lost);
    tl_store_gaps_done(&store->gaps);
    tl_mem_free(store->dir);
    tl_mem_free(store);
}

const char *tl_store_damage(const tl_store *store)
{
    return store->report.damaged.data != NULL ? store->report.damaged.data : "";
}

const char *tl_store_trouble(const tl_store *store)
{
    return store->trouble.data != NULL ? store->trouble.data : "";
}

const char *tl_store_lost(const tl_store *store)
{
    return store->lost.data != NULL ? store->lost.data : "";
}

tl_err tl_store_check_writable(const tl_store *store)
{
    return store->trouble_err == TL_OK ? TL_OK
                                       : tl_fail(store->trouble_err, "%s", store->trouble.data);
}
