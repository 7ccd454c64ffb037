/* SPDX-License-Identifier: Apache-2.0 */
#include "measurements/record.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/name.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char revision_key[] = "r";

/* ---- keys -------------------------------------------------------------------- */

/* A name has at most TL_NAME_MAX_BYTES, so that two of them always fit a key. */
static void append(tl_record_key *key, const void *bytes, size_t len)
{
    TL_ASSERT(key->len + len <= sizeof key->bytes);
    memcpy(key->bytes + key->len, bytes, len);
    key->len += len;
}

static tl_err space_key(char first, const char *space_name, tl_record_key *key)
{
    TL_TRY(tl_name_check("space", space_name));
    key->len = 0;
    append(key, &first, 1);
    append(key, space_name, strlen(space_name));
    return TL_OK;
}

tl_err tl_record_space_key(const char *space_name, tl_record_key *key)
{
    return space_key('s', space_name, key);
}

tl_err tl_record_columns_key(const char *space_name, tl_record_key *key)
{
    TL_TRY(space_key('c', space_name, key));
    append(key, "", 1);
    return TL_OK;
}

tl_err tl_record_metric_key(const char *space_name, tl_metric metric, tl_record_key *key)
{
    char digit = (char)('0' + (int)metric);
    TL_TRY(tl_record_columns_key(space_name, key));
    append(key, &digit, 1);
    return TL_OK;
}

tl_err tl_record_column_key(
    const char *space_name, tl_metric metric, const char *subject, tl_record_key *key)
{
    TL_TRY(tl_name_check(tl_metric_is_of_device(metric) ? "device" : "task", subject));
    TL_TRY(tl_record_metric_key(space_name, metric, key));
    append(key, subject, strlen(subject));
    return TL_OK;
}

tl_err tl_record_key_parse(
    const tl_store_entry *entry,
    const tl_record_key *prefix,
    tl_metric *out_metric,
    const char **out_subject,
    size_t *out_subject_len)
{
    const char *key = entry->key;
    int metric = entry->key_len > prefix->len ? key[prefix->len] - '0' : -1;
    size_t subject_len = entry->key_len - prefix->len - 1;
    if (metric < 0 || metric >= TL_N_METRICS || subject_len == 0 ||
        subject_len > TL_NAME_MAX_BYTES) {
        return tl_fail(TL_EDAMAGED, "the store holds a measurement column of no metric");
    }
    *out_metric = (tl_metric)metric;
    *out_subject = key + prefix->len + 1;
    *out_subject_len = subject_len;
    return TL_OK;
}

void tl_record_name_column(const tl_store_entry *entry, char name[TL_COLUMN_NAME_BYTES])
{
    if (entry->lost != NULL) {
        (void)snprintf(name, TL_COLUMN_NAME_BYTES, "%s", entry->lost);
        return;
    }
    const char *key = entry->key;
    const char *end = entry->key_len > 0 ? memchr(key, '\0', entry->key_len) : NULL;
    const char *subject = end != NULL ? end + 1 : key;
    size_t subject_len = entry->key_len - (size_t)(subject - key);
    int metric = end != NULL && subject_len > 0 ? subject[0] - '0' : -1;
    bool is_known = metric >= 0 && metric < TL_N_METRICS;
    (void)snprintf(
        name, TL_COLUMN_NAME_BYTES, "%s@%.*s",
        is_known ? tl_metric_name((tl_metric)metric) : "",
        (int)(is_known ? subject_len - 1 : subject_len), is_known ? subject + 1 : subject);
    for (char *c = name; *c != '\0'; c++) {
        *c = *c >= ' ' && *c <= '~' ? *c : '?';
    }
}

/* ---- columns ------------------------------------------------------------------- */

tl_err tl_column_init(tl_column *column, int n_slots, int n)
{
    tl_column made = {.n = n, .n_slots = n_slots};
    made.designs = tl_mem_new((size_t)n * (size_t)n_slots, sizeof *made.designs);
    made.values = tl_mem_new((size_t)n, sizeof *made.values);
    if (made.designs == NULL || made.values == NULL) {
        tl_column_done(&made);
        return tl_fail(TL_ENOMEM, "a column of %d measurements", n);
    }
    *column = made;
    return TL_OK;
}

void tl_column_done(tl_column *column)
{
    tl_mem_free(column->designs);
    tl_mem_free(column->values);
    *column = (tl_column){0};
}

static size_t designs_bytes(uint32_t n, uint32_t n_slots)
{
    return (size_t)n * n_slots * sizeof(tl_choice);
}

tl_err tl_record_header(const void *value, size_t len, tl_column_header *out_header)
{
    tl_column_header header;
    if (len < sizeof header) {
        return tl_fail(TL_EDAMAGED, "a measurement column of %zu bytes", len);
    }
    memcpy(&header, value, sizeof header);
    if (header.version > TL_COLUMN_VERSION) {
        return tl_fail(
            TL_EVERSION, "measurements: got version %u, want %d", header.version,
            (int)TL_COLUMN_VERSION);
    }
    if (header.version == 0 || header.n_slots > TL_SPACE_MAX_SLOTS || header.n == 0 ||
        header.n > INT32_MAX ||
        len != sizeof header + designs_bytes(header.n, header.n_slots) +
                   (size_t)header.n * sizeof(double)) {
        return tl_fail(
            TL_EDAMAGED, "a measurement column of %zu bytes for %u designs", len, header.n);
    }
    *out_header = header;
    return TL_OK;
}

void tl_record_set_digest(const tl_space *space, char *out_digest)
{
    const char *digest = tl_space_digest(space);
    size_t len = strlen(digest);
    memset(out_digest, 0, TL_DIGEST_BYTES);
    memcpy(out_digest, digest, len < TL_DIGEST_BYTES ? len : TL_DIGEST_BYTES);
}

tl_err tl_record_check_digest(const tl_space *space, const char *digest)
{
    char wanted[TL_DIGEST_BYTES];
    tl_record_set_digest(space, wanted);
    if (memcmp(wanted, digest, sizeof wanted) != 0) {
        return tl_fail(
            TL_ESTATE,
            "the stored measurements are of another space called %s (%.12s..., this one is "
            "%.12s...): remove it, or give this space another name",
            tl_space_name(space), digest, wanted);
    }
    return TL_OK;
}

/* What a reader relies on: choices that exist, designs in order, finite values. */
static bool is_sound(const tl_space *space, const tl_column *column)
{
    for (int i = 0; i < column->n; i++) {
        const tl_choice *design = tl_design_at(column->designs, column->n_slots, i);
        for (int s = 0; s < column->n_slots; s++) {
            if (design[s] != TL_CHOICE_ABSENT &&
                design[s] >= tl_space_slot(space, s)->n_options) {
                return false;
            }
        }
        if (!isfinite(column->values[i]) ||
            (i > 0 &&
             tl_design_compare(design - column->n_slots, design, column->n_slots) >= 0)) {
            return false;
        }
    }
    return true;
}

tl_err tl_record_decode(
    const tl_space *space, const void *value, size_t len, tl_column *out_column)
{
    tl_column_header header;
    tl_column column = {0};
    TL_TRY(tl_record_header(value, len, &header));
    TL_TRY(tl_record_check_digest(space, header.digest));
    if (header.n_slots != (uint32_t)tl_space_n_slots(space)) {
        return tl_fail(TL_EDAMAGED, "a measurement column of %u slots", header.n_slots);
    }
    TL_TRY(tl_column_init(&column, (int)header.n_slots, (int)header.n));
    const char *bytes = value;
    bytes += sizeof header;
    memcpy(column.designs, bytes, designs_bytes(header.n, header.n_slots));
    bytes += designs_bytes(header.n, header.n_slots);
    memcpy(column.values, bytes, header.n * sizeof *column.values);
    if (!is_sound(space, &column)) {
        tl_column_done(&column);
        return tl_fail(TL_EDAMAGED, "a measurement column of %s", tl_space_name(space));
    }
    *out_column = column;
    return TL_OK;
}

tl_err tl_record_encode(
    const tl_space *space, const tl_column *column, void **out_value, size_t *out_len)
{
    uint32_t n = (uint32_t)column->n;
    uint32_t n_slots = (uint32_t)column->n_slots;
    tl_column_header header = {.version = TL_COLUMN_VERSION, .n_slots = n_slots, .n = n};
    tl_record_set_digest(space, header.digest);
    size_t len = sizeof header + designs_bytes(n, n_slots) + n * sizeof *column->values;
    char *value = tl_mem_new(len, 1);
    if (value == NULL) {
        return tl_fail(TL_ENOMEM, "a column of %u measurements", n);
    }
    memcpy(value, &header, sizeof header);
    memcpy(value + sizeof header, column->designs, designs_bytes(n, n_slots));
    memcpy(
        value + sizeof header + designs_bytes(n, n_slots), column->values,
        n * sizeof *column->values);
    *out_value = value;
    *out_len = len;
    return TL_OK;
}

/* ---- spaces and revisions ---------------------------------------------------------- */

/* Ends at the first sound column. */
static tl_err take_digest(void *context, const tl_store_entry *entry)
{
    tl_space_record *record = context;
    tl_column_header header;
    if (entry->is_damaged ||
        tl_record_header(entry->value, entry->value_len, &header) != TL_OK) {
        return TL_OK;
    }
    memcpy(record->digest, header.digest, sizeof record->digest);
    return TL_ECANCELLED; /* enough: not a failure of anything */
}

static tl_err rebuild(tl_store_txn *txn, const char *space_name, tl_space_record *out_record)
{
    tl_record_key key;
    tl_space_record record = {0};
    TL_TRY(tl_record_columns_key(space_name, &key));
    const tl_store_range columns = {
        .prefix = key.bytes, .prefix_len = key.len, .with_damaged = true};
    tl_err err =
        tl_store_txn_iterate_range(txn, TL_DB_MEASUREMENTS, &columns, take_digest, &record);
    if (err == TL_OK) {
        return tl_fail(TL_ENOTFOUND, "no sound measurements of %s are stored", space_name);
    }
    if (err != TL_ECANCELLED) {
        return err;
    }
    *out_record = record;
    return TL_OK;
}

tl_err tl_record_space_get(
    tl_store_txn *txn,
    const char *space_name,
    tl_space_record *out_record,
    bool *out_is_damaged)
{
    tl_record_key key;
    const void *value = NULL;
    size_t len = 0;
    TL_TRY(tl_record_space_key(space_name, &key));
    tl_err err = tl_store_txn_get(txn, TL_DB_MEASUREMENTS, key.bytes, key.len, &value, &len);
    *out_is_damaged = err == TL_EDAMAGED || (err == TL_OK && len != sizeof *out_record);
    if (*out_is_damaged) {
        return rebuild(txn, space_name, out_record);
    }
    if (err == TL_OK) {
        memcpy(out_record, value, sizeof *out_record);
    }
    return err;
}

/* last: the space's own, so that a counter that was lost altogether is noticed, too. */
static tl_err next_revision(tl_store_txn *txn, uint64_t last, uint64_t *out_revision)
{
    const void *value = NULL;
    size_t len = 0;
    uint64_t revision = 0;
    tl_err err = tl_store_txn_get(txn, TL_DB_MEASUREMENTS, revision_key, 1, &value, &len);
    if (err != TL_OK && err != TL_ENOTFOUND && err != TL_EDAMAGED) {
        return err;
    }
    bool is_sound = err != TL_EDAMAGED && (err == TL_ENOTFOUND || len == sizeof revision);
    if (is_sound && err == TL_OK) {
        memcpy(&revision, value, sizeof revision);
    }
    if (!is_sound || revision < last) {
        uint64_t now = tl_clock_fresh_number();
        revision = now > last ? now : last;
    }
    revision++;
    TL_TRY(tl_store_put(txn, TL_DB_MEASUREMENTS, revision_key, 1, &revision, sizeof revision));
    *out_revision = revision;
    return TL_OK;
}

tl_err tl_record_bump(tl_store_txn *txn, const char *space_name, tl_space_record *record)
{
    tl_record_key key;
    TL_TRY(tl_record_space_key(space_name, &key));
    TL_TRY(next_revision(txn, record->revision, &record->revision));
    return tl_store_put(txn, TL_DB_MEASUREMENTS, key.bytes, key.len, record, sizeof *record);
}
