/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fleet_table.h"

#include "base/csv.h"
#include "base/mem.h"
#include "proto/wire.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_COLUMNS = 64
};

typedef enum column_kind {
    COLUMN_DEVICE,
    COLUMN_LATENCY,
    COLUMN_ENERGY,
    COLUMN_ACCURACY,
    COLUMN_CONFIDENCE,
    COLUMN_KEY, /* of a profile */
} column_kind;

typedef struct reading {
    const tl_fleet_source *source;
    tl_fleet_row_fn *on_row;
    void *context;
    int n_columns; /* 0: the header has not been read */
    int n_rows;
    column_kind kinds[MAX_COLUMNS];
    char names[MAX_COLUMNS][TL_NAME_MAX_BYTES + 1];
    tl_fleet_row row;
} reading;

const char *tl_fleet_row_name(const tl_fleet_row *row)
{
    return row->device[0] != '\0' ? row->device : row->profile.name;
}

void tl_fleet_row_fail(tl_fleet_row *row, const char *detail)
{
    (void)snprintf(row->error, sizeof row->error, "%s", detail);
    tl_wire_clean(row->error); /* it quotes the table, whose bytes may be anything */
}

/* ---- the header ------------------------------------------------------------------------- */

/* Columns that are no profile keys. */
static const char *const own_columns[] = {
    [COLUMN_DEVICE] = "device",         [COLUMN_LATENCY] = "max_latency_ms",
    [COLUMN_ENERGY] = "max_energy_mj",  [COLUMN_ACCURACY] = "min_accuracy",
    [COLUMN_CONFIDENCE] = "confidence",
};

static tl_err kind_of(const char *name, column_kind *out_kind)
{
    for (size_t i = 0; i < TL_COUNT(own_columns); i++) {
        if (strcmp(name, own_columns[i]) == 0) {
            *out_kind = (column_kind)i;
            return TL_OK;
        }
    }
    if (tl_profile_key_find(name) == NULL) {
        return tl_profile_unknown_key(name, own_columns, TL_COUNT(own_columns));
    }
    *out_kind = COLUMN_KEY;
    return TL_OK;
}

static tl_err add_column(reading *r, const char *name)
{
    for (int c = 0; c < r->n_columns; c++) {
        if (strcmp(r->names[c], name) == 0) {
            return tl_fail(TL_EINVAL, "there are two of that name");
        }
    }
    TL_TRY(kind_of(name, &r->kinds[r->n_columns]));
    (void)snprintf(r->names[r->n_columns], sizeof r->names[0], "%s", name);
    r->n_columns++;
    return TL_OK;
}

static tl_err read_header(reading *r, const tl_csv_record *record)
{
    bool says_who = false;
    if (record->n_fields > MAX_COLUMNS) {
        return tl_fail(
            TL_EINVAL, "%s line 1: got %zu columns, want at most %d", r->source->origin,
            record->n_fields, (int)MAX_COLUMNS);
    }
    for (size_t i = 0; i < record->n_fields; i++) {
        if (add_column(r, record->fields[i]) != TL_OK) {
            return tl_fail_in(
                TL_EINVAL, "%s line 1, column %s: ", r->source->origin, record->fields[i]);
        }
        says_who = says_who || r->kinds[i] == COLUMN_DEVICE || r->kinds[i] == COLUMN_KEY;
    }
    return says_who ? TL_OK
                    : tl_fail(
                          TL_EINVAL,
                          "%s line 1: want a column device, or columns named like profile keys",
                          r->source->origin);
}

/* ---- rows --------------------------------------------------------------------------------- */

static tl_err set_limit(const char *text, protobuf_c_boolean *out_has, double *out_value)
{
    TL_TRY(tl_csv_number(text, out_value));
    *out_has = true;
    return TL_OK;
}

static tl_err set_device(tl_fleet_row *row, const char *text)
{
    TL_TRY(tl_name_check("device", text));
    (void)snprintf(row->device, sizeof row->device, "%s", text);
    return TL_OK;
}

static tl_err set_field(reading *r, int column, const char *text)
{
    tl_fleet_row *row = &r->row;
    switch (r->kinds[column]) {
    case COLUMN_DEVICE: return set_device(row, text);
    case COLUMN_KEY: return tl_profile_set(&row->profile, r->names[column], text);
    case COLUMN_LATENCY:
        return set_limit(text, &row->limits.has_max_latency_ms, &row->limits.max_latency_ms);
    case COLUMN_ENERGY:
        return set_limit(text, &row->limits.has_max_energy_mj, &row->limits.max_energy_mj);
    case COLUMN_ACCURACY:
        return set_limit(text, &row->limits.has_min_accuracy, &row->limits.min_accuracy);
    case COLUMN_CONFIDENCE:
        return set_limit(text, &row->limits.has_confidence, &row->limits.confidence);
    }
    return TL_OK;
}

/* Some details begin with the name of the column, which is said once. */
static void fail_field(reading *r, int column, long line)
{
    const char *name = r->names[column];
    size_t len = strlen(name);
    const char *detail = tl_err_detail();
    bool is_said =
        strncmp(detail, name, len) == 0 && (detail[len] == ':' || detail[len] == ' ');
    (void)tl_fail_in(
        TL_EINVAL, "%s line %ld, column %s%s", r->source->origin, line, is_said ? "" : name,
        is_said ? "" : ": ");
    tl_fleet_row_fail(&r->row, tl_err_detail());
}

/* Anything that is wrong is the row's error. */
static void fill_row(reading *r, const tl_csv_record *record, long line)
{
    bool is_described = false;
    for (int c = 0; c < r->n_columns; c++) {
        const char *text = record->fields[c];
        if (text[0] == '\0') {
            continue;
        }
        is_described = is_described || r->kinds[c] == COLUMN_KEY;
        if (set_field(r, c, text) != TL_OK) {
            fail_field(r, c, line);
            return;
        }
    }
    if (is_described == (r->row.device[0] != '\0')) {
        (void)tl_fail(
            TL_EINVAL, "%s line %ld: want a device or a profile%s", r->source->origin, line,
            is_described ? ", not both" : "");
        tl_fleet_row_fail(&r->row, tl_err_detail());
    }
}

static tl_err read_row(reading *r, const tl_csv_record *record)
{
    long line = (long)r->source->first_line + record->line - 2;
    if (++r->n_rows > TL_FLEET_MAX_ROWS) {
        return tl_fail(
            TL_ELIMIT, "%s: want at most %d rows at once", r->source->origin,
            (int)TL_FLEET_MAX_ROWS);
    }
    memset(&r->row, 0, sizeof r->row);
    tailor__v1__limits__init(&r->row.limits);
    if (r->source->limits != NULL) {
        r->row.limits = *r->source->limits;
    }
    if ((int)record->n_fields == r->n_columns) {
        fill_row(r, record, line);
    } else {
        (void)tl_fail(
            TL_EINVAL, "%s line %ld: got %zu fields, want %d", r->source->origin, line,
            record->n_fields, r->n_columns);
        tl_fleet_row_fail(&r->row, tl_err_detail());
    }
    return r->on_row(r->context, &r->row);
}

static tl_err on_record(void *context, const tl_csv_record *record)
{
    reading *r = context;
    return r->n_columns == 0 ? read_header(r, record) : read_row(r, record);
}

tl_err tl_fleet_read(const tl_fleet_source *source, tl_fleet_row_fn *on_row, void *context)
{
    reading *r = tl_mem_new(1, sizeof *r);
    if (r == NULL) {
        return tl_fail(TL_ENOMEM, "a fleet");
    }
    *r = (reading){.source = source, .on_row = on_row, .context = context};
    tl_err err = tl_csv_read(source->csv, source->len, NULL, on_record, r);
    if (err == TL_OK && r->n_columns == 0) {
        err = tl_fail(
            TL_EINVAL, "%s: got an empty table, want a header and rows", source->origin);
    }
    tl_mem_free(r);
    return err;
}
