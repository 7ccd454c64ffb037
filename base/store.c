/* SPDX-License-Identifier: Apache-2.0 */
#include "base/store.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/store_impl.h"
#include "base/text.h"

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

struct tl_store_txn {
    tl_store *store;
    MDB_txn *txn;
};

/* ---- heads of values --------------------------------------------------------- */

int tl_store_put_sealed(
    MDB_txn *txn, MDB_dbi dbi, tl_db db, MDB_val *k, const void *value, size_t value_len)
{
    tl_store_head head =
        tl_store_head_of(tl_store_db_name(db), k->mv_data, k->mv_size, value, value_len);
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
    tl_store_name_entry(&name, tl_store_db_name(db), k->mv_data, k->mv_size);
    tl_err err = tl_fail(
        TL_EDAMAGED,
        "%s in %s/store.mdb is damaged: its checksum does not hold; write it again or restore "
        "a backup",
        name.data != NULL ? name.data : tl_store_db_name(db), store->dir);
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
        wanted = tl_store_head_of(
            tl_store_db_name(db), k->mv_data, k->mv_size, v->mv_data, v->mv_size);
    } else {
        wanted.key_sum = tl_store_key_sum(tl_store_db_name(db), k->mv_data, k->mv_size);
    }
    return head.key_sum == wanted.key_sum && head.value_sum == wanted.value_sum
               ? TL_OK
               : fail_damaged(store, db, k);
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
    TL_TRY(tl_store_check_writable(store));
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
        return tl_store_fail(store, "write to", status);
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
    return status == 0 ? TL_OK : tl_store_fail(store, "write to", status);
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
    MDB_val k = tl_store_val(key, key_len);
    int status = tl_store_put_sealed(txn->txn, txn->store->dbis[db], db, &k, value, value_len);
    return status == 0 ? TL_OK : tl_store_fail(txn->store, "write to", status);
}

tl_err tl_store_delete(tl_store_txn *txn, tl_db db, const void *key, size_t key_len)
{
    TL_TRY(check_key(key_len));
    MDB_val k = tl_store_val(key, key_len);
    int status = mdb_del(txn->txn, txn->store->dbis[db], &k, NULL);
    return status == 0 ? TL_OK : tl_store_fail(txn->store, "write to", status);
}

static bool has_prefix(const MDB_val *key, const void *prefix, size_t prefix_len)
{
    return key->mv_size >= prefix_len &&
           (prefix_len == 0 || memcmp(key->mv_data, prefix, prefix_len) == 0);
}

/* The first entry at or after key; len 0: the first of all. */
static int seek(MDB_cursor *cursor, const void *key, size_t len, MDB_val *k, MDB_val *v)
{
    *k = tl_store_val(key, len);
    return mdb_cursor_get(cursor, k, v, len > 0 ? MDB_SET_RANGE : MDB_FIRST);
}

tl_err tl_store_delete_prefix(
    tl_store_txn *txn,
    tl_db db,
    const void *prefix,
    size_t prefix_len,
    size_t max,
    size_t *out_n)
{
    MDB_cursor *cursor = NULL;
    MDB_val k;
    MDB_val v;
    size_t n = 0;
    int status = mdb_cursor_open(txn->txn, txn->store->dbis[db], &cursor);
    if (status != 0) {
        return tl_store_fail(txn->store, "write to", status);
    }
    while (n < max && (status = seek(cursor, prefix, prefix_len, &k, &v)) == 0 &&
           has_prefix(&k, prefix, prefix_len) && (status = mdb_cursor_del(cursor, 0)) == 0) {
        n++;
    }
    mdb_cursor_close(cursor);
    if (status != 0 && status != MDB_NOTFOUND) {
        return tl_store_fail(txn->store, "write to", status);
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
    if (store->env == NULL) {
        *out_txn = NULL;
        return TL_OK;
    }
    int status = mdb_txn_begin(store->env, NULL, MDB_RDONLY, out_txn);
    return status == 0 ? TL_OK : tl_store_fail(store, "read", status);
}

static void end_read(MDB_txn *txn)
{
    if (txn != NULL) {
        mdb_txn_abort(txn);
    }
}

static tl_err fail_lost(const tl_store *store, const tl_store_gap *gap)
{
    return tl_fail(
        TL_EDAMAGED,
        "%s/store.mdb is damaged: nothing can be told of %s (%s); restore a backup", store->dir,
        gap->text, gap->why);
}

bool tl_store_is_lost(const tl_store *store, tl_db db, const void *key, size_t key_len)
{
    return tl_store_gaps_find(&store->gaps, db, key, key_len) != NULL;
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
    const tl_store_gap *gap = tl_store_gaps_find(&store->gaps, db, key, key_len);
    if (gap != NULL) {
        return fail_lost(store, gap);
    }
    MDB_val k = tl_store_val(key, key_len);
    int status =
        store->has_dbi[db] ? mdb_get(txn, store->dbis[db], &k, out_value) : MDB_NOTFOUND;
    return status == 0 ? unseal(store, db, &k, true, out_value)
                       : tl_store_fail(store, "read", status);
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
    end_read(txn);
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

/* ---- one entry after the other ------------------------------------------------- */

/*
 * Entries and gaps of a database in the order of their keys. No step leads from one side of a gap
 * to the other: behind a gap a new cursor looks for the key where it ends.
 */
typedef struct scan {
    const tl_store *store;
    MDB_txn *txn;
    tl_db db;
    MDB_cursor *cursor; /* NULL: it is to be placed at the first key from here on */
    MDB_val from;       /* borrowed; empty: the first of all */
    MDB_val at;         /* where the cursor stands */
    bool is_over;
} scan;

static void scan_done(scan *s)
{
    if (s->cursor != NULL) {
        mdb_cursor_close(s->cursor);
        s->cursor = NULL;
    }
}

static bool is_key(const MDB_val *k, const void *key, size_t key_len)
{
    return key_len > 0 && k->mv_size == key_len && memcmp(k->mv_data, key, key_len) == 0;
}

/* The gap that the next step would lead into; NULL: none. */
static const tl_store_gap *gap_ahead(const scan *s)
{
    const tl_store_gaps *gaps = &s->store->gaps;
    for (size_t i = 0; i < gaps->n; i++) {
        const tl_store_gap *gap = &gaps->gaps[i];
        if (gap->db == s->db && gap->has_lo && is_key(&s->at, gap->lo, gap->lo_len)) {
            return gap;
        }
    }
    return NULL;
}

static int scan_place(scan *s, MDB_val *k, MDB_val *v)
{
    if (!s->store->has_dbi[s->db]) {
        return MDB_NOTFOUND;
    }
    int status = mdb_cursor_open(s->txn, s->store->dbis[s->db], &s->cursor);
    if (status != 0) {
        s->cursor = NULL;
        return status;
    }
    return seek(s->cursor, s->from.mv_data, s->from.mv_size, k, v);
}

/* The next entry, or *gap; MDB_NOTFOUND at the end. The status is LMDB's. */
static int scan_next(scan *s, MDB_val *k, MDB_val *v, const tl_store_gap **out_gap)
{
    bool is_placed = s->cursor != NULL;
    if (s->is_over) {
        return MDB_NOTFOUND;
    }
    const tl_store_gap *gap =
        s->store->gaps.n == 0 ? NULL
        : is_placed
            ? gap_ahead(s)
            : tl_store_gaps_find(&s->store->gaps, s->db, s->from.mv_data, s->from.mv_size);
    *out_gap = gap;
    if (gap != NULL) {
        scan_done(s);
        s->from = tl_store_val(gap->hi, gap->hi_len);
        s->is_over = !gap->has_hi;
        *k = tl_store_val(gap->lo, gap->lo_len);
        *v = tl_store_val("", 0);
        return 0;
    }
    int status = is_placed ? mdb_cursor_get(s->cursor, k, v, MDB_NEXT) : scan_place(s, k, v);
    s->is_over = status != 0;
    s->at = *k;
    return status;
}

/* The store's own entry, which nobody else sees. */
static bool is_format(tl_db db, const MDB_val *k)
{
    return db == TL_DB_META && k->mv_size == sizeof tl_store_format_key - 1 &&
           memcmp(k->mv_data, tl_store_format_key, k->mv_size) == 0;
}

/* Where the entries of a range begin: at its prefix, or behind a key. */
static MDB_val begin_of(const tl_store_range *range)
{
    bool is_behind = range->after_len > 0 &&
                     tl_store_compare_keys(
                         range->prefix, range->prefix_len, range->after, range->after_len) <= 0;
    return is_behind ? tl_store_val(range->after, range->after_len)
                     : tl_store_val(range->prefix, range->prefix_len);
}

/* Where the scan stands, also where it is damaged: the error says so. */
static tl_err show_entry(
    const scan *s,
    const tl_store_gap *gap,
    const MDB_val *k,
    MDB_val *v,
    bool is_whole,
    tl_store_entry *out_entry)
{
    if (gap != NULL) {
        *out_entry = (tl_store_entry){gap->lo, gap->lo_len, "", 0, true, gap->text};
        return fail_lost(s->store, gap);
    }
    tl_err err = unseal(s->store, s->db, k, is_whole, v);
    *out_entry =
        (tl_store_entry){k->mv_data, k->mv_size, v->mv_data, v->mv_size, err != TL_OK, NULL};
    return err;
}

static tl_err visit_entry(
    const scan *s,
    const tl_store_range *range,
    const tl_store_gap *gap,
    const MDB_val *k,
    MDB_val *v,
    tl_store_visit_fn *visit,
    void *context)
{
    tl_store_entry entry;
    tl_err err = show_entry(s, gap, k, v, !range->heads_only, &entry);
    if (err != TL_OK && !range->with_damaged) {
        return err;
    }
    return visit(context, &entry);
}

static tl_err iterate(
    tl_store *store,
    MDB_txn *txn,
    tl_db db,
    const tl_store_range *range,
    tl_store_visit_fn *visit,
    void *context)
{
    MDB_val k;
    MDB_val v;
    const tl_store_gap *gap = NULL;
    const MDB_val begin = begin_of(range);
    scan s = {.store = store, .txn = txn, .db = db, .from = begin};
    tl_err err = TL_OK;
    int status = 0;
    while (err == TL_OK && (status = scan_next(&s, &k, &v, &gap)) == 0) {
        /* A gap that begins before the range may reach into it; one behind an entry does. */
        bool is_at_begin =
            gap != NULL &&
            tl_store_gaps_find(&store->gaps, db, begin.mv_data, begin.mv_size) == gap;
        if (!has_prefix(is_at_begin ? &begin : &k, range->prefix, range->prefix_len)) {
            break;
        }
        bool is_shown =
            gap != NULL || (!is_format(db, &k) && !is_key(&k, range->after, range->after_len));
        err = is_shown ? visit_entry(&s, range, gap, &k, &v, visit, context) : TL_OK;
    }
    scan_done(&s);
    if (status != 0 && status != MDB_NOTFOUND) {
        return tl_store_fail(store, "read", status);
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
    end_read(txn);
    return err;
}

tl_err tl_store_txn_iterate_range(
    tl_store_txn *txn,
    tl_db db,
    const tl_store_range *range,
    tl_store_visit_fn *visit,
    void *context)
{
    return iterate(txn->store, txn->txn, db, range, visit, context);
}

static tl_err count_entries(tl_store *store, tl_store_stat *stat)
{
    MDB_txn *txn = NULL;
    int status = 0;
    TL_TRY(begin_read(store, &txn));
    for (int db = 0; db < TL_N_DBS && status == 0 && txn != NULL; db++) {
        MDB_stat entries = {0};
        status = store->has_dbi[db] ? mdb_stat(txn, store->dbis[db], &entries) : 0;
        /* What the file says of a damaged database may be wrong. */
        stat->n_entries[db] =
            store->gaps.n > 0 ? store->gaps.n_entries[db] : entries.ms_entries;
    }
    end_read(txn);
    stat->n_entries[TL_DB_META] -= stat->n_entries[TL_DB_META] > 0 ? 1 : 0; /* our own */
    return status == 0 ? TL_OK : tl_store_fail(store, "read", status);
}

tl_err tl_store_stat_get(tl_store *store, tl_store_stat *out_stat)
{
    struct stat file = {0};
    int fd = -1;
    tl_store_stat stat = {.max_bytes = store->map_bytes};
    TL_TRY(count_entries(store, &stat));
    int status = store->env != NULL ? mdb_env_get_fd(store->env, &fd) : 0;
    if (status == 0 && fd >= 0 && fstat(fd, &file) != 0) {
        status = errno;
    }
    if (status != 0) {
        return tl_store_fail(store, "read", status);
    }
    stat.file_bytes = (size_t)file.st_size;
    *out_stat = stat;
    return TL_OK;
}

/* ---- snapshots --------------------------------------------------------------- */

struct tl_store_snapshot {
    tl_store *store;
    MDB_txn *txn;
    scan scan; /* of the database that is due */
};

/* From its first entry on. */
static void enter_db(tl_store_snapshot *s, int db)
{
    scan_done(&s->scan);
    s->scan =
        (scan){.store = s->store, .txn = s->txn, .db = (tl_db)db, .from = tl_store_val("", 0)};
}

tl_err tl_store_snapshot_open(tl_store *store, tl_store_snapshot **out_snapshot)
{
    tl_store_snapshot *snapshot = tl_mem_new(1, sizeof *snapshot);
    if (snapshot == NULL) {
        return tl_fail(TL_ENOMEM, "a snapshot");
    }
    snapshot->store = store;
    tl_err err = begin_read(store, &snapshot->txn);
    if (err != TL_OK) {
        tl_mem_free(snapshot);
        return err;
    }
    enter_db(snapshot, 0);
    *out_snapshot = snapshot;
    return TL_OK;
}

void tl_store_snapshot_close(tl_store_snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    scan_done(&snapshot->scan);
    end_read(snapshot->txn);
    tl_mem_free(snapshot);
}

tl_err tl_store_snapshot_next(
    tl_store_snapshot *snapshot, tl_db *out_db, tl_store_entry *out_entry, bool *out_is_end)
{
    MDB_val k;
    MDB_val v;
    const tl_store_gap *gap = NULL;
    *out_is_end = false;
    while (snapshot->scan.db < TL_N_DBS) {
        int status = scan_next(&snapshot->scan, &k, &v, &gap);
        if (status == 0 && gap == NULL && is_format(snapshot->scan.db, &k)) {
            continue;
        }
        if (status == 0) {
            *out_db = snapshot->scan.db;
            (void)show_entry(&snapshot->scan, gap, &k, &v, true, out_entry); /* it is marked */
            return TL_OK;
        }
        if (status != MDB_NOTFOUND) {
            return tl_store_fail(snapshot->store, "read", status);
        }
        enter_db(snapshot, (int)snapshot->scan.db + 1);
    }
    *out_is_end = true;
    return TL_OK;
}
