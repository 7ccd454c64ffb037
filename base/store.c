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

/* The first entry at or after prefix. */
static int seek(
    MDB_cursor *cursor, const void *prefix, size_t prefix_len, MDB_val *k, MDB_val *v)
{
    *k = tl_store_val(prefix, prefix_len);
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
    int status = mdb_txn_begin(store->env, NULL, MDB_RDONLY, out_txn);
    return status == 0 ? TL_OK : tl_store_fail(store, "read", status);
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
    MDB_val k = tl_store_val(key, key_len);
    int status = mdb_get(txn, store->dbis[db], &k, out_value);
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
    MDB_val after = tl_store_val(range->after, range->after_len);
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
    return db == TL_DB_META && k->mv_size == sizeof tl_store_format_key - 1 &&
           memcmp(k->mv_data, tl_store_format_key, k->mv_size) == 0;
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
        return tl_store_fail(store, "read", status);
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
    mdb_txn_abort(txn);
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
    MDB_cursor *cursor; /* in the database of number db; NULL: none is begun */
    int db;
};

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
    *out_snapshot = snapshot;
    return TL_OK;
}

void tl_store_snapshot_close(tl_store_snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    if (snapshot->cursor != NULL) {
        mdb_cursor_close(snapshot->cursor);
    }
    mdb_txn_abort(snapshot->txn);
    tl_mem_free(snapshot);
}

/* The next entry of the database that is due; MDB_NOTFOUND at its end. */
static int snapshot_step(tl_store_snapshot *s, MDB_val *k, MDB_val *v)
{
    MDB_cursor_op step = MDB_NEXT;
    if (s->cursor == NULL) {
        int status = mdb_cursor_open(s->txn, s->store->dbis[s->db], &s->cursor);
        if (status != 0) {
            s->cursor = NULL;
            return status;
        }
        step = MDB_FIRST;
    }
    int status = mdb_cursor_get(s->cursor, k, v, step);
    if (status == 0 && is_format((tl_db)s->db, k)) {
        status = mdb_cursor_get(s->cursor, k, v, MDB_NEXT);
    }
    return status;
}

tl_err tl_store_snapshot_next(
    tl_store_snapshot *snapshot, tl_db *out_db, tl_store_entry *out_entry, bool *out_is_end)
{
    MDB_val k;
    MDB_val v;
    *out_is_end = false;
    for (; snapshot->db < TL_N_DBS; snapshot->db++) {
        int status = snapshot_step(snapshot, &k, &v);
        if (status == 0) {
            bool is_sound = unseal(snapshot->store, (tl_db)snapshot->db, &k, true, &v) == TL_OK;
            *out_db = (tl_db)snapshot->db;
            *out_entry =
                (tl_store_entry){k.mv_data, k.mv_size, v.mv_data, v.mv_size, !is_sound};
            return TL_OK;
        }
        if (status != MDB_NOTFOUND) {
            return tl_store_fail(snapshot->store, "read", status);
        }
        mdb_cursor_close(snapshot->cursor);
        snapshot->cursor = NULL;
    }
    *out_is_end = true;
    return TL_OK;
}
