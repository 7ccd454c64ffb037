/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/job_store.h"

#include "base/log.h"
#include "base/mem.h"
#include "proto/job.pb-c.h"
#include "proto/wire.h"

#include <stdio.h>
#include <string.h>

typedef Tailor__Job__V1__JobRecord record_message;

/* First letters of keys: never change once released. */
static const char record_kind = 'j';
static const char request_kind = 'q';
static const char outcome_kind = 'r';
static const char kept_kind = 'k';

enum {
    ID_BYTES = 8,
    PREFIX_BYTES = 1 + ID_BYTES,
    MAX_NAME_BYTES = 64,
    BITS_PER_BYTE = 8,
    LOW_BYTE = 0xff
};

typedef struct job_key {
    uint8_t bytes[PREFIX_BYTES + MAX_NAME_BYTES];
    size_t len;
} job_key;

/* Big-endian, so that keys are in the order of ids. name: NULL, or of what is kept. */
static job_key key_of(char kind, uint64_t id, const char *name)
{
    job_key key = {.len = PREFIX_BYTES};
    key.bytes[0] = (uint8_t)kind;
    for (int i = 0; i < ID_BYTES; i++) {
        key.bytes[1 + i] = (uint8_t)(id >> (BITS_PER_BYTE * (ID_BYTES - 1 - i)) & LOW_BYTE);
    }
    if (name != NULL) {
        size_t len = strlen(name);
        TL_ASSERT(len <= MAX_NAME_BYTES);
        memcpy(key.bytes + PREFIX_BYTES, name, len);
        key.len += len;
    }
    return key;
}

/* ---- records ------------------------------------------------------------------------------ */

/* The message borrows from the record. */
static void to_message(const tl_job_record *record, record_message *message)
{
    const tl_job_view *view = &record->view;
    tailor__job__v1__job_record__init(message);
    message->id = view->id;
    message->method = (char *)(uintptr_t)view->method;
    message->subject = (char *)(uintptr_t)view->subject;
    message->what = (char *)(uintptr_t)view->what;
    message->done = view->done;
    message->total = view->total;
    message->client = (char *)(uintptr_t)view->client;
    message->key = (char *)(uintptr_t)view->key;
    message->role = (uint32_t)record->role;
    message->token = (char *)(uintptr_t)record->token;
    message->queued_unix_s = view->queued_unix_s;
    message->started_unix_s = view->started_unix_s;
    message->ended_unix_s = view->ended_unix_s;
    message->elapsed_s = view->elapsed_s;
    message->starts = view->n_starts;
    message->state = (uint32_t)view->state;
    message->kind = (uint32_t)view->kind;
    message->is_cancelled = view->is_cancelled;
    message->error = (uint32_t)view->result;
    message->error_detail = (char *)(uintptr_t)view->detail;
    message->reply_bytes = view->reply_bytes;
    message->end_no = record->end_no;
    message->set_aside = record->n_set_aside;
}

/* What is longer than we ever wrote is cut, maybe within a character. */
static void copy_text(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from);
    tl_wire_clean(to);
}

#define COPY_TEXT(to, from) copy_text((to), sizeof(to), (from))

/* The rest of the program relies on it: who writes the file of a backup may write anything. */
static tl_err check_message(const record_message *message)
{
    if (message->role > TL_ROLE_ADMIN || message->state > TL_JOB_ENDED ||
        message->kind > TL_JOB_FLEET ||
        (message->state == TL_JOB_WAITING && message->kind != TL_JOB_DETACHED)) {
        return tl_fail(
            TL_EDAMAGED, "role %u, state %u, kind %u", message->role, message->state,
            message->kind);
    }
    if (message->id == 0 || message->id > TL_JOB_MAX_NUMBER ||
        message->end_no > TL_JOB_MAX_NUMBER) {
        return tl_fail(
            TL_EDAMAGED, "no number of a job or of an end: %llu, %llu",
            (unsigned long long)message->id, (unsigned long long)message->end_no);
    }
    if (strlen(message->token) > TL_JOB_MAX_TOKEN_BYTES) {
        return tl_fail(TL_EDAMAGED, "a token of %zu bytes", strlen(message->token));
    }
    return TL_OK;
}

static tl_err from_message(const record_message *message, tl_job_record *record)
{
    tl_job_view *view = &record->view;
    memset(record, 0, sizeof *record);
    TL_TRY(check_message(message));
    view->id = message->id;
    COPY_TEXT(view->method, message->method);
    COPY_TEXT(view->subject, message->subject);
    COPY_TEXT(view->what, message->what);
    COPY_TEXT(view->client, message->client);
    COPY_TEXT(view->key, message->key);
    COPY_TEXT(view->detail, message->error_detail);
    memcpy(record->token, message->token, strlen(message->token) + 1);
    view->done = message->done;
    view->total = message->total;
    view->queued_unix_s = message->queued_unix_s;
    view->started_unix_s = message->started_unix_s;
    view->ended_unix_s = message->ended_unix_s;
    view->elapsed_s = message->elapsed_s;
    view->n_starts = message->starts;
    view->state = (tl_job_state)message->state;
    view->kind = (tl_job_kind)message->kind;
    view->is_cancelled = message->is_cancelled;
    view->result = (tl_err)message->error;
    view->reply_bytes = message->reply_bytes;
    record->role = (tl_role)message->role;
    record->end_no = message->end_no;
    record->n_set_aside = message->set_aside;
    return TL_OK;
}

tl_err tl_job_store_put(tl_store_txn *txn, const tl_job_record *record)
{
    record_message message;
    tl_bytes bytes = {0};
    job_key key = key_of(record_kind, record->view.id, NULL);
    to_message(record, &message);
    TL_TRY(tl_wire_pack((ProtobufCMessage *)&message, &bytes));
    tl_err err = tl_store_put(txn, TL_DB_JOBS, key.bytes, key.len, bytes.data, bytes.len);
    tl_mem_free(bytes.data);
    return err;
}

/* ---- what belongs to a job ------------------------------------------------------------------ */

static tl_err put(tl_store_txn *txn, const job_key *key, const void *data, size_t len)
{
    return tl_store_put(txn, TL_DB_JOBS, key->bytes, key->len, data, len);
}

static tl_err get(tl_store *store, const job_key *key, void **out_data, size_t *out_len)
{
    return tl_store_get(store, TL_DB_JOBS, key->bytes, key->len, out_data, out_len);
}

static tl_err clear(tl_store_txn *txn, char kind, uint64_t id)
{
    job_key key = key_of(kind, id, NULL);
    return tl_store_delete_prefix(txn, TL_DB_JOBS, key.bytes, key.len, SIZE_MAX, NULL);
}

tl_err tl_job_store_put_request(tl_store_txn *txn, uint64_t id, const void *data, size_t len)
{
    job_key key = key_of(request_kind, id, NULL);
    return put(txn, &key, data, len);
}

tl_err tl_job_store_put_outcome(tl_store_txn *txn, uint64_t id, const void *data, size_t len)
{
    job_key key = key_of(outcome_kind, id, NULL);
    return put(txn, &key, data, len);
}

tl_err tl_job_store_put_kept(
    tl_store_txn *txn, uint64_t id, const char *name, const void *data, size_t len)
{
    job_key key = key_of(kept_kind, id, name);
    return put(txn, &key, data, len);
}

tl_err tl_job_store_clear(tl_store_txn *txn, uint64_t id)
{
    TL_TRY(clear(txn, request_kind, id));
    return clear(txn, kept_kind, id);
}

tl_err tl_job_store_remove_outcome(tl_store_txn *txn, uint64_t id)
{
    return clear(txn, outcome_kind, id);
}

tl_err tl_job_store_remove(tl_store_txn *txn, uint64_t id)
{
    TL_TRY(tl_job_store_clear(txn, id));
    TL_TRY(clear(txn, outcome_kind, id));
    return clear(txn, record_kind, id);
}

tl_err tl_job_store_get_request(tl_store *store, uint64_t id, void **out_data, size_t *out_len)
{
    job_key key = key_of(request_kind, id, NULL);
    return get(store, &key, out_data, out_len);
}

tl_err tl_job_store_get_outcome(tl_store *store, uint64_t id, void **out_data, size_t *out_len)
{
    job_key key = key_of(outcome_kind, id, NULL);
    return get(store, &key, out_data, out_len);
}

tl_err tl_job_store_get_kept(
    tl_store *store, uint64_t id, const char *name, void **out_data, size_t *out_len)
{
    job_key key = key_of(kept_kind, id, name);
    return get(store, &key, out_data, out_len);
}

/* ---- reading all ------------------------------------------------------------------------------ */

typedef struct visit_context {
    tl_job_store_visit_fn *visit;
    void *context;
    uint64_t last_id; /* also of one that cannot be read: its number is not given again */
} visit_context;

static uint64_t id_of(const tl_store_entry *entry)
{
    uint64_t id = 0;
    for (size_t i = 1; i < PREFIX_BYTES && i < entry->key_len; i++) {
        id = id << BITS_PER_BYTE | ((const uint8_t *)entry->key)[i];
    }
    return id;
}

static tl_err read_record(const tl_store_entry *entry, tl_job_record *record)
{
    ProtobufCMessage *message = NULL;
    TL_TRY(tl_wire_unpack(
        &tailor__job__v1__job_record__descriptor, entry->value, entry->value_len,
        TL_WIRE_MAX_MEMORY_BYTES, &message));
    tl_err err = from_message((const record_message *)(const void *)message, record);
    tl_wire_free(message);
    if (err == TL_OK) {
        job_key key = key_of(record_kind, record->view.id, NULL);
        if (key.len != entry->key_len || memcmp(key.bytes, entry->key, key.len) != 0) {
            return tl_fail(TL_EDAMAGED, "it stands under the number of another");
        }
    }
    return err;
}

static tl_err visit_entry(void *context, const tl_store_entry *entry)
{
    visit_context *v = context;
    tl_job_record record;
    if (entry->lost != NULL) {
        return TL_OK; /* the store told of it, and nothing can be written over it */
    }
    uint64_t id = id_of(entry);
    v->last_id = id <= TL_JOB_MAX_NUMBER ? id : v->last_id;
    tl_err err = entry->is_damaged ? tl_fail(TL_EDAMAGED, "its checksum does not hold")
                                   : read_record(entry, &record);
    if (err == TL_ENOMEM) {
        return err;
    }
    if (err != TL_OK) {
        tl_log(
            TL_LOG_WARN, "job %llu in the store is left out: %s", (unsigned long long)id,
            tl_err_detail());
        return TL_OK;
    }
    return v->visit(v->context, &record);
}

tl_err tl_job_store_each(
    tl_store *store, tl_job_store_visit_fn *visit, void *context, uint64_t *out_last_id)
{
    visit_context v = {.visit = visit, .context = context};
    const tl_store_range range = {
        .prefix = &record_kind, .prefix_len = 1, .with_damaged = true};
    TL_TRY(tl_store_iterate_range(store, TL_DB_JOBS, &range, visit_entry, &v));
    *out_last_id = v.last_id;
    return TL_OK;
}
