/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backup.h"

#include "base/digest.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/text.h"

#include <stdbool.h>
#include <string.h>

const char tl_backup_magic[TL_BACKUP_MAGIC_BYTES + 1] = "tailor backup 1\n";

enum {
    MAX_KEY_BYTES = TL_STORE_MAX_KEY_BYTES,
    MAGIC_FAMILY_BYTES = 14 /* "tailor backup " */
};

/* More is no value of a store nor a model. */
static const uint64_t max_value_bytes = (uint64_t)1 << 32;

/* The value of this many bytes is taken at once; a longer one grows as it comes. */
static const size_t step_bytes = (size_t)1 << 20;

static const char *const db_names[] = {
#define DB_NAME(id, name) [TL_DB_##id] = (name),
    TL_DB_LIST(DB_NAME)
#undef DB_NAME
};

const char *tl_backup_byte_order(void)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? "little" : "big";
}

static void put_number(uint64_t number, size_t n_bytes, uint8_t *out)
{
    for (size_t i = 0; i < n_bytes; i++) {
        out[i] = (uint8_t)(number >> (8 * i));
    }
}

static uint64_t get_number(const uint8_t *bytes, size_t n_bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        number |= (uint64_t)bytes[i] << (8 * i);
    }
    return number;
}

void tl_backup_head(
    tl_backup_kind kind,
    size_t key_len,
    size_t value_len,
    uint8_t out_head[TL_BACKUP_HEAD_BYTES])
{
    put_number((uint64_t)kind, 4, out_head);
    put_number(key_len, 4, out_head + 4);
    put_number(value_len, 8, out_head + 8);
}

/* ---- reading ----------------------------------------------------------------------------- */

typedef enum part {
    PART_MAGIC,
    PART_HEAD,
    PART_KEY,
    PART_VALUE,
    PART_DONE
} part;

struct tl_backup_reader {
    tl_backup_visit_fn *visit;
    void *context;
    tl_digest digest;
    part part;
    uint8_t head[TL_BACKUP_HEAD_BYTES]; /* or the magic, or the digest of the end */
    size_t n_head;
    tl_backup_kind kind;
    size_t key_len, n_key;
    uint64_t value_len, n_value;
    char key[MAX_KEY_BYTES + 1];
    char *value; /* [value_room] as far as it came */
    size_t value_room;
    bool has_db;
    tl_db db;
    uint8_t end[TL_DIGEST_BYTES];
};

_Static_assert((int)TL_BACKUP_MAGIC_BYTES == (int)TL_BACKUP_HEAD_BYTES, "one buffer for both");

tl_err tl_backup_reader_new(
    tl_backup_visit_fn *visit, void *context, tl_backup_reader **out_reader)
{
    tl_backup_reader *reader = tl_mem_new(1, sizeof *reader);
    if (reader == NULL) {
        return tl_fail(TL_ENOMEM, "a reader of backups");
    }
    reader->visit = visit;
    reader->context = context;
    tl_digest_init(&reader->digest);
    *out_reader = reader;
    return TL_OK;
}

void tl_backup_reader_free(tl_backup_reader *reader)
{
    if (reader != NULL) {
        tl_mem_free(reader->value);
        tl_mem_free(reader);
    }
}

static tl_err no_backup(const char *why)
{
    return tl_fail(TL_EDAMAGED, "the backup is damaged: %s", why);
}

static tl_err check_magic(const tl_backup_reader *reader)
{
    if (memcmp(reader->head, tl_backup_magic, TL_BACKUP_MAGIC_BYTES) == 0) {
        return TL_OK;
    }
    return memcmp(reader->head, tl_backup_magic, MAGIC_FAMILY_BYTES) == 0
               ? tl_fail(TL_EVERSION, "the backup is of a newer version of tailor")
               : tl_fail(TL_EDAMAGED, "this is no backup of tailor");
}

static tl_err start_record(tl_backup_reader *reader)
{
    uint64_t kind = get_number(reader->head, 4);
    uint64_t key_len = get_number(reader->head + 4, 4);
    reader->value_len = get_number(reader->head + 8, 8);
    if (kind < TL_BACKUP_INFO || kind > TL_BACKUP_END) {
        return no_backup("a record of an unknown kind");
    }
    reader->kind = (tl_backup_kind)kind;
    bool is_end = reader->kind == TL_BACKUP_END;
    if ((key_len == 0) != is_end || key_len > MAX_KEY_BYTES ||
        (is_end && reader->value_len != TL_DIGEST_BYTES) ||
        (reader->kind == TL_BACKUP_DB && reader->value_len != 0) ||
        reader->value_len > max_value_bytes) {
        return no_backup("a record of impossible size");
    }
    if (reader->kind == TL_BACKUP_ENTRY && !reader->has_db) {
        return no_backup("an entry of no database");
    }
    reader->key_len = (size_t)key_len;
    reader->n_key = 0;
    reader->n_value = 0;
    return TL_OK;
}

static tl_err set_db(tl_backup_reader *reader)
{
    for (int db = 0; db < TL_N_DBS; db++) {
        if (strcmp(db_names[db], reader->key) == 0) {
            reader->db = (tl_db)db;
            reader->has_db = true;
            return TL_OK;
        }
    }
    return tl_fail(
        TL_EVERSION,
        "the backup holds the database \"%.40s\", which this version does not know",
        reader->key);
}

/* A file's key becomes a path: one folder, one name. */
static tl_err check_file_key(const tl_backup_reader *reader)
{
    static const char folder[] = "models/";
    static const char suffix[] = ".tlm";
    char name[MAX_KEY_BYTES + 1];
    size_t fixed = sizeof folder - 1 + sizeof suffix - 1;
    size_t len = reader->key_len > fixed ? reader->key_len - fixed : 0;
    memcpy(name, reader->key + (len > 0 ? sizeof folder - 1 : 0), len);
    name[len] = '\0';
    if (len == 0 || strncmp(reader->key, folder, sizeof folder - 1) != 0 ||
        strcmp(reader->key + reader->key_len - (sizeof suffix - 1), suffix) != 0 ||
        strlen(name) != len || tl_name_check("model", name) != TL_OK) {
        return no_backup("a file of an impossible name");
    }
    return TL_OK;
}

static tl_err check_record(tl_backup_reader *reader)
{
    reader->key[reader->key_len] = '\0';
    switch (reader->kind) {
    case TL_BACKUP_DB: return set_db(reader);
    case TL_BACKUP_FILE: return check_file_key(reader);
    default: return TL_OK;
    }
}

static tl_err check_info(const tl_backup_reader *reader)
{
    const char *order = tl_backup_byte_order();
    if (reader->kind != TL_BACKUP_INFO || reader->visit == NULL ||
        strcmp(reader->key, TL_BACKUP_BYTE_ORDER_KEY) != 0) {
        return TL_OK;
    }
    bool is_same = reader->value_len == strlen(order) &&
                   memcmp(reader->value, order, (size_t)reader->value_len) == 0;
    return is_same
               ? TL_OK
               : tl_fail(
                     TL_EVERSION,
                     "the backup is of a machine with another order of bytes: got \"%.16s\", "
                     "want \"%s\"",
                     reader->value, order);
}

static tl_err end_record(tl_backup_reader *reader)
{
    if (reader->kind == TL_BACKUP_END) {
        reader->part = PART_DONE;
        return TL_OK;
    }
    reader->part = PART_HEAD;
    reader->n_head = 0;
    TL_TRY(check_info(reader));
    tl_backup_record record = {
        .kind = reader->kind,
        .db = reader->db,
        .key = reader->key,
        .key_len = reader->key_len,
        .value = reader->value != NULL ? reader->value : "",
        .value_len = (size_t)reader->value_len};
    return reader->visit != NULL ? reader->visit(reader->context, &record) : TL_OK;
}

/* Room for n bytes more and a NUL. What a head promises is not believed before it comes. */
static tl_err make_room(tl_backup_reader *reader, size_t n)
{
    size_t wanted = (size_t)reader->n_value + n + 1;
    if (wanted <= reader->value_room) {
        return TL_OK;
    }
    size_t room = reader->value_room < step_bytes ? step_bytes : 2 * reader->value_room;
    size_t most = (size_t)reader->value_len + 1;
    room = room < wanted ? wanted : room;
    room = room > most && most >= wanted ? most : room;
    char *value = tl_mem_resize(reader->value, room, 1);
    if (value == NULL) {
        return tl_fail(TL_ENOMEM, "a value of %zu bytes", room);
    }
    reader->value = value;
    reader->value_room = room;
    return TL_OK;
}

/* n bytes of the value, which has at least so many more. */
static tl_err take_value(tl_backup_reader *reader, const uint8_t *data, size_t n)
{
    if (reader->kind == TL_BACKUP_END) {
        memcpy(reader->end + reader->n_value, data, n);
    } else {
        tl_digest_add(&reader->digest, data, n);
        if (reader->visit != NULL) {
            TL_TRY(make_room(reader, n));
            memcpy(reader->value + reader->n_value, data, n);
            reader->value[reader->n_value + n] = '\0';
        }
    }
    reader->n_value += n;
    return TL_OK;
}

static size_t least(size_t a, uint64_t b)
{
    return a < b ? a : (size_t)b;
}

/* Takes what it can of the part that is due, and how much that was. */
static tl_err take_some(
    tl_backup_reader *reader, const uint8_t *data, size_t len, size_t *out_n)
{
    size_t n = 0;
    switch (reader->part) {
    case PART_MAGIC:
    case PART_HEAD:
        n = least(len, TL_BACKUP_HEAD_BYTES - reader->n_head);
        memcpy(reader->head + reader->n_head, data, n);
        reader->n_head += n;
        break;
    case PART_KEY:
        n = least(len, reader->key_len - reader->n_key);
        memcpy(reader->key + reader->n_key, data, n);
        reader->n_key += n;
        break;
    case PART_VALUE:
        n = least(len, reader->value_len - reader->n_value);
        *out_n = n;
        return n > 0 ? take_value(reader, data, n) : TL_OK;
    case PART_DONE: return no_backup("something follows its end");
    }
    if (n > 0) {
        tl_digest_add(&reader->digest, data, n);
    }
    *out_n = n;
    return TL_OK;
}

/* Goes on to the next part, as long as the present one is complete. */
static tl_err advance(tl_backup_reader *reader)
{
    if (reader->part == PART_MAGIC && reader->n_head == TL_BACKUP_MAGIC_BYTES) {
        TL_TRY(check_magic(reader));
        reader->part = PART_HEAD;
        reader->n_head = 0;
    }
    if (reader->part == PART_HEAD && reader->n_head == TL_BACKUP_HEAD_BYTES) {
        TL_TRY(start_record(reader));
        reader->part = PART_KEY;
    }
    if (reader->part == PART_KEY && reader->n_key == reader->key_len) {
        TL_TRY(check_record(reader));
        reader->part = PART_VALUE;
        if (reader->visit != NULL && reader->value_len == 0) {
            TL_TRY(make_room(reader, 0));
            reader->value[0] = '\0';
        }
    }
    if (reader->part == PART_VALUE && reader->n_value == reader->value_len) {
        TL_TRY(end_record(reader));
    }
    return TL_OK;
}

tl_err tl_backup_reader_feed(tl_backup_reader *reader, const void *data, size_t len)
{
    const uint8_t *at = data;
    while (len > 0) {
        size_t n = 0;
        TL_TRY(take_some(reader, at, len, &n));
        at += n;
        len -= n;
        TL_TRY(advance(reader));
    }
    return TL_OK;
}

tl_err tl_backup_reader_finish(tl_backup_reader *reader)
{
    uint8_t digest[TL_DIGEST_BYTES];
    if (reader->part != PART_DONE) {
        return no_backup("it ends too early");
    }
    tl_digest_end(&reader->digest, digest);
    return memcmp(digest, reader->end, sizeof digest) == 0
               ? TL_OK
               : no_backup("its SHA-256 is not the one that it names");
}
