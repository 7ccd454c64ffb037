/* SPDX-License-Identifier: Apache-2.0 */
#include "measurements/header.h"

#include "base/mem.h"
#include "base/name.h"

#include <stdlib.h>
#include <string.h>

enum {
    SHOWN_BYTES = 128 /* of a column's name in an error */
};

/* Read by people and other tools: import has no use for them. */
static const char *const comments[] = {"macs_m", "params_m"};
static const char spread[] = "spread_ms";

static tl_err fail_column(const char *name, const char *what)
{
    return tl_fail(TL_EINVAL, ", column %.*s: %s", (int)SHOWN_BYTES, name, what);
}

static bool is_comment(const char *name)
{
    for (size_t i = 0; i < TL_COUNT(comments); i++) {
        if (strcmp(name, comments[i]) == 0) {
            return true;
        }
    }
    return false;
}

static tl_err fail_unknown(const tl_space *space, const char *name)
{
    static const char *const others[] = {
        "latency_ms@DEVICE", "energy_mj@DEVICE", "accuracy@TASK", "macs_m", "params_m"};
    const char *known[TL_SPACE_MAX_SLOTS + TL_COUNT(others)];
    size_t n = 0;
    for (int s = 0; s < tl_space_n_slots(space); s++) {
        known[n++] = tl_space_slot(space, s)->name;
    }
    for (size_t i = 0; i < TL_COUNT(others); i++) {
        known[n++] = others[i];
    }
    const char *nearest = tl_name_nearest(name, known, n);
    return tl_fail(
        TL_EINVAL,
        ", column %.*s: got neither a slot of %s nor metric@name nor macs_m or params_m%s%s%s",
        (int)SHOWN_BYTES, name, tl_space_name(space), nearest != NULL ? " (nearest: " : "",
        nearest != NULL ? nearest : "", nearest != NULL ? ")" : "");
}

static tl_err fail_metric(const char *name)
{
    return fail_column(
        name, "want latency_ms@DEVICE, energy_mj@DEVICE, accuracy@TASK or "
              "spread_ms@DEVICE");
}

/* metric@subject: a column of values, whose name is kept. */
static tl_err add_column(
    tl_metric metric, const char *name, const char *subject, tl_table *table, char **end)
{
    if (table->n_columns >= TL_TABLE_MAX_COLUMNS) {
        return tl_fail(
            TL_ELIMIT, ": got more than %d columns of values", (int)TL_TABLE_MAX_COLUMNS);
    }
    const char *what = tl_metric_is_of_device(metric) ? "device" : "task";
    tl_err err = tl_name_check(what, subject);
    if (err != TL_OK) {
        return tl_fail_in(err, ", column %.*s: ", (int)SHOWN_BYTES, name);
    }
    size_t bytes = strlen(subject) + 1;
    memcpy(*end, subject, bytes);
    table->columns[table->n_columns++] = (tl_table_column){metric, *end};
    *end += bytes;
    return TL_OK;
}

static tl_err parse_field(
    const tl_space *space,
    const char *name,
    bool has_values,
    tl_table_field *field,
    tl_table *table,
    char **end)
{
    const char *at = strchr(name, '@');
    size_t metric_len = at != NULL ? (size_t)(at - name) : 0;
    tl_metric metric = TL_METRIC_LATENCY_MS;
    int slot = tl_space_slot_find(space, name);
    if (slot >= 0) {
        *field = (tl_table_field){TL_FIELD_SLOT, slot};
        return TL_OK;
    }
    if (at == NULL) {
        return is_comment(name) ? TL_OK : fail_unknown(space, name);
    }
    if (metric_len == sizeof spread - 1 && memcmp(name, spread, metric_len) == 0) {
        return TL_OK;
    }
    if (!tl_metric_find(name, metric_len, &metric)) {
        return fail_metric(name);
    }
    if (!has_values) {
        return TL_OK;
    }
    *field = (tl_table_field){TL_FIELD_VALUE, table->n_columns};
    return add_column(metric, name, at + 1, table, end);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static tl_err check_twice(const tl_csv_record *record)
{
    tl_err err = TL_OK;
    const char **names = tl_mem_new(record->n_fields, sizeof *names);
    if (names == NULL) {
        return tl_fail(TL_ENOMEM, ": %zu columns", record->n_fields);
    }
    memcpy(names, record->fields, record->n_fields * sizeof *names);
    qsort(names, record->n_fields, sizeof *names, compare_names);
    for (size_t i = 1; i < record->n_fields && err == TL_OK; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            err = fail_column(names[i], "stands twice");
        }
    }
    tl_mem_free(names);
    return err;
}

static tl_err check_slots(const tl_space *space, const tl_table_header *header)
{
    bool is_there[TL_SPACE_MAX_SLOTS] = {false};
    for (size_t i = 0; i < header->n_fields; i++) {
        if (header->fields[i].role == TL_FIELD_SLOT) {
            is_there[header->fields[i].idx] = true;
        }
    }
    for (int s = 0; s < tl_space_n_slots(space); s++) {
        const tl_slot *slot = tl_space_slot(space, s);
        if (!is_there[s] && !slot->is_optional) {
            return tl_fail(
                TL_EINVAL, ": the column of slot %s of %s is missing", slot->name,
                tl_space_name(space));
        }
    }
    return TL_OK;
}

tl_err tl_table_header_parse(
    const tl_space *space,
    const tl_csv_record *record,
    bool has_values,
    tl_table_header *header,
    tl_table *table)
{
    size_t names_bytes = 1;
    for (size_t i = 0; i < record->n_fields; i++) {
        names_bytes += strlen(record->fields[i]) + 1;
    }
    header->fields = tl_mem_new(record->n_fields, sizeof *header->fields);
    table->columns = tl_mem_new(record->n_fields, sizeof *table->columns);
    table->names = tl_mem_new(names_bytes, 1);
    if (header->fields == NULL || table->columns == NULL || table->names == NULL) {
        return tl_fail(TL_ENOMEM, ": %zu columns", record->n_fields);
    }
    header->n_fields = record->n_fields;
    table->n_slots = tl_space_n_slots(space);
    char *end = table->names;
    for (size_t i = 0; i < record->n_fields; i++) {
        if (record->fields[i][0] == '\0') {
            return tl_fail(TL_EINVAL, ": column number %zu has no name", i + 1);
        }
        TL_TRY(
            parse_field(space, record->fields[i], has_values, &header->fields[i], table, &end));
    }
    TL_TRY(check_twice(record));
    return check_slots(space, header);
}

void tl_table_header_done(tl_table_header *header)
{
    tl_mem_free(header->fields);
    *header = (tl_table_header){0};
}
