/* SPDX-License-Identifier: Apache-2.0 */
#include "measurements/columns.h"

#include "base/csv.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/watch.h"
#include "measurements/designs.h"
#include "measurements/record.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    PIECE_BYTES = 64 * 1024
};

/* One column of the export, and how far its rows are written. */
typedef struct source {
    tl_column column;
    int next;
    tl_metric metric;
    char subject[TL_NAME_MAX_BYTES + 1];
} source;

typedef struct export
{
    const tl_space *space;
    const char *device; /* NULL: every column */
    tl_damage *damaged; /* NULL: none is passed over */
    tl_record_key prefix;
    size_t n_found, n_values; /* of the whole space, before it is read */
    source *sources;
    size_t n_sources, capacity;
    tl_choice *designs; /* of all columns, one after the other */
    int *order;         /* of designs */
    int n_designs;
}
export;

static void export_done(export *ex)
{
    for (size_t i = 0; i < ex->n_sources; i++) {
        tl_column_done(&ex->sources[i].column);
    }
    tl_mem_free(ex->sources);
    tl_mem_free(ex->designs);
    tl_mem_free(ex->order);
}

/* Counts the columns and what is in them, before any of them is read: of damaged ones the next
 * pass tells. */
static tl_err count_source(void *context, const tl_store_entry *entry)
{
    export *ex = context;
    tl_column_header header;
    if (entry->is_damaged ||
        tl_record_header(entry->value, entry->value_len, &header) != TL_OK) {
        return TL_OK;
    }
    ex->n_found++;
    ex->n_values += header.n;
    if (ex->n_found > TL_TABLE_MAX_COLUMNS) {
        return tl_fail(
            TL_ELIMIT,
            "%s has more than %d columns of measurements: export one device at a time",
            tl_space_name(ex->space), (int)TL_TABLE_MAX_COLUMNS);
    }
    if (ex->n_values > TL_TABLE_MAX_CELLS) {
        return tl_fail(
            TL_ELIMIT, "%s has more than %d measurements: export one device at a time",
            tl_space_name(ex->space), (int)TL_TABLE_MAX_CELLS);
    }
    return TL_OK;
}

static tl_err make_room(export *ex)
{
    if (ex->n_sources < ex->capacity) {
        return TL_OK;
    }
    size_t capacity = ex->capacity > 0 ? 2 * ex->capacity : 16;
    source *sources = tl_mem_resize(ex->sources, capacity, sizeof *sources);
    if (sources == NULL) {
        return tl_fail(TL_ENOMEM, "an export of %zu columns", capacity);
    }
    ex->sources = sources;
    ex->capacity = capacity;
    return TL_OK;
}

static tl_err read_source(const export *ex, const tl_store_entry *entry, source *out_source)
{
    const char *subject = NULL;
    size_t subject_len = 0;
    source s = {0};
    TL_TRY(tl_record_key_parse(entry, &ex->prefix, &s.metric, &subject, &subject_len));
    memcpy(s.subject, subject, subject_len);
    TL_TRY(tl_record_decode(ex->space, entry->value, entry->value_len, &s.column));
    *out_source = s;
    return TL_OK;
}

static tl_err add_source(void *context, const tl_store_entry *entry)
{
    export *ex = context;
    char name[TL_COLUMN_NAME_BYTES];
    TL_TRY(tl_watch_check());
    TL_TRY(make_room(ex));
    tl_err err =
        entry->is_damaged ? TL_EDAMAGED : read_source(ex, entry, &ex->sources[ex->n_sources]);
    if (err == TL_OK) {
        ex->n_sources++;
    }
    if (err != TL_EDAMAGED) {
        return err;
    }
    tl_record_name_column(entry, name);
    return ex->damaged != NULL
               ? tl_damage_add(ex->damaged, name)
               : tl_fail(err, "%s of space %s is damaged", name, tl_space_name(ex->space));
}

/* Every sound column of the space, once it is known that they are not too many. */
static tl_err add_all(tl_store *store, export *ex)
{
    TL_TRY(tl_record_columns_key(tl_space_name(ex->space), &ex->prefix));
    tl_store_range all = {
        .prefix = ex->prefix.bytes,
        .prefix_len = ex->prefix.len,
        .heads_only = true,
        .with_damaged = true};
    TL_TRY(tl_store_iterate_range(store, TL_DB_MEASUREMENTS, &all, count_source, ex));
    all.heads_only = false;
    return tl_store_iterate_range(store, TL_DB_MEASUREMENTS, &all, add_source, ex);
}

static tl_err add_device(tl_store *store, export *ex)
{
    for (int m = 0; m < TL_N_METRICS; m++) {
        source s = {.metric = (tl_metric)m};
        if (!tl_metric_is_of_device(s.metric)) {
            continue;
        }
        TL_TRY(make_room(ex));
        (void)snprintf(s.subject, sizeof s.subject, "%s", ex->device);
        tl_err err = tl_columns_get(store, ex->space, s.metric, ex->device, &s.column);
        if (err == TL_OK) {
            ex->sources[ex->n_sources++] = s;
        } else if (err != TL_ENOTFOUND) {
            return err;
        }
    }
    return TL_OK;
}

static tl_err gather_designs(export *ex)
{
    size_t n_slots = (size_t)tl_space_n_slots(ex->space);
    size_t n = 0;
    for (size_t i = 0; i < ex->n_sources; i++) {
        n += (size_t)ex->sources[i].column.n;
    }
    if (n > INT32_MAX) {
        return tl_fail(TL_ELIMIT, "%zu measurements: export one device at a time", n);
    }
    ex->designs = tl_mem_new(n * n_slots, sizeof *ex->designs);
    if (ex->designs == NULL) {
        return tl_fail(TL_ENOMEM, "an export of %zu measurements", n);
    }
    n = 0;
    for (size_t i = 0; i < ex->n_sources; i++) {
        const tl_column *column = &ex->sources[i].column;
        memcpy(
            ex->designs + n * n_slots, column->designs,
            (size_t)column->n * n_slots * sizeof *ex->designs);
        n += (size_t)column->n;
    }
    ex->n_designs = (int)n;
    return tl_designs_order(ex->designs, (int)n_slots, ex->n_designs, &ex->order);
}

static void add_header(const export *ex, tl_text *text)
{
    char name[2 * TL_NAME_MAX_BYTES];
    tl_table_add_slots(ex->space, text);
    for (size_t i = 0; i < ex->n_sources; i++) {
        const source *s = &ex->sources[i];
        (void)snprintf(name, sizeof name, "%s@%s", tl_metric_name(s->metric), s->subject);
        tl_csv_add(text, name);
    }
    tl_csv_end(text);
}

/* Every column is sorted, so the row's value is the column's next one or none. */
static void add_row(export *ex, const tl_choice *design, tl_text *text)
{
    tl_table_add_design(ex->space, design, text);
    for (size_t i = 0; i < ex->n_sources; i++) {
        source *s = &ex->sources[i];
        const tl_column *c = &s->column;
        bool is_here =
            s->next < c->n &&
            tl_design_compare(
                design, tl_design_at(c->designs, c->n_slots, s->next), c->n_slots) == 0;
        tl_csv_add_double(text, is_here ? c->values[s->next++] : (double)NAN);
    }
    tl_csv_end(text);
}

static tl_err write_all(export *ex, tl_export_fn *write, void *context)
{
    tl_text text = {0};
    tl_err err = TL_OK;
    int n_slots = tl_space_n_slots(ex->space);
    add_header(ex, &text);
    for (int i = 0; i < ex->n_designs && err == TL_OK; i++) {
        const tl_choice *design = tl_design_at(ex->designs, n_slots, ex->order[i]);
        if (i > 0 &&
            tl_design_compare(
                tl_design_at(ex->designs, n_slots, ex->order[i - 1]), design, n_slots) == 0) {
            continue;
        }
        add_row(ex, design, &text);
        if (text.len >= PIECE_BYTES && (err = tl_text_err(&text)) == TL_OK) {
            err = write(context, text.data, text.len);
            tl_text_clear(&text);
        }
    }
    if (err == TL_OK && (err = tl_text_err(&text)) == TL_OK && text.len > 0) {
        err = write(context, text.data, text.len);
    }
    tl_text_done(&text);
    return err;
}

tl_err tl_columns_export(
    tl_store *store,
    const tl_space *space,
    const char *device,
    tl_export_fn *write,
    void *context,
    tl_damage *damaged)
{
    export ex = {.space = space, .device = device, .damaged = damaged};
    tl_err err = device != NULL ? add_device(store, &ex) : add_all(store, &ex);
    if (err != TL_OK || (err = gather_designs(&ex)) != TL_OK) {
        goto done;
    }
    err = write_all(&ex, write, context);
done:
    export_done(&ex);
    return err;
}
