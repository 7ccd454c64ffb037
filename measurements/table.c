/* SPDX-License-Identifier: Apache-2.0 */
#include "measurements/table.h"

#include "base/csv.h"
#include "base/mem.h"
#include "base/watch.h"
#include "measurements/designs.h"
#include "measurements/header.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum {
    FIRST_ROWS = 256,
    PIECE_BYTES = 256 * 1024, /* parsed between two looks at the watch */
    MAX_CSV_FIELDS = TL_TABLE_MAX_COLUMNS + TL_SPACE_MAX_SLOTS + 40 /* comments */
};

struct tl_table_parser {
    tl_space *space;
    char *origin;
    tl_table_options options;
    tl_csv_reader *reader;
    tl_table_header header;
    bool has_header;
    bool is_told; /* the detail of the failure names the origin already */
    tl_table table;
    long *lines; /* of the rows, to name one that repeats another; import only */
    size_t capacity_rows;
};

static size_t row_cells(const tl_table *table)
{
    return (size_t)table->n_slots + (size_t)table->n_columns;
}

size_t tl_table_n_cells(const tl_table *table)
{
    return (size_t)table->n * row_cells(table);
}

void tl_table_done(tl_table *table)
{
    tl_mem_free(table->designs);
    tl_mem_free(table->columns);
    tl_mem_free(table->values);
    tl_mem_free(table->names);
    *table = (tl_table){0};
}

/* ---- one row ---------------------------------------------------------------- */

/* What could be had is kept when the rest could not. */
static tl_err grow(tl_table_parser *parser, size_t capacity)
{
    tl_table *table = &parser->table;
    size_t n_slots = (size_t)table->n_slots;
    size_t n_columns = (size_t)table->n_columns;
    tl_choice *designs = tl_mem_resize(table->designs, capacity * n_slots, sizeof *designs);
    table->designs = designs != NULL ? designs : table->designs;
    double *values = tl_mem_resize(table->values, capacity * n_columns, sizeof *values);
    table->values = values != NULL ? values : table->values;
    long *lines = tl_mem_resize(parser->lines, capacity, sizeof *lines);
    parser->lines = lines != NULL ? lines : parser->lines;
    if (designs == NULL || values == NULL || lines == NULL) {
        return tl_fail(TL_ENOMEM, "a table of %zu rows", capacity);
    }
    parser->capacity_rows = capacity;
    return TL_OK;
}

static tl_err make_room(tl_table_parser *parser, long line)
{
    tl_table *table = &parser->table;
    size_t n = (size_t)table->n;
    if (n >= parser->options.max_rows ||
        (n + 1) * row_cells(table) > parser->options.max_cells) {
        return tl_fail(
            TL_ELIMIT,
            "%s line %ld: a table may have %zu rows and %zu cells; split it into several",
            parser->origin, line, parser->options.max_rows, parser->options.max_cells);
    }
    if (n < parser->capacity_rows) {
        return TL_OK;
    }
    return grow(parser, n > 0 ? 2 * n : FIRST_ROWS);
}

/* Nothing runs within a picosecond or for thirty years. A value beyond is a slip, and a few
 * of them among others leave a device without a prediction: its kernel is no longer definite. */
static const double MIN_COST = 1e-9;
static const double MAX_COST = 1e12;

static tl_err parse_value(tl_metric metric, const char *field, double *out_value)
{
    double value = 0;
    if (field[0] == '\0') {
        *out_value = (double)NAN;
        return TL_OK;
    }
    TL_TRY(tl_csv_number(field, &value));
    if (metric == TL_METRIC_ACCURACY && (value < 0 || value > 100)) {
        return tl_fail(TL_EINVAL, "got \"%.40s\", want a percentage from 0 to 100", field);
    }
    if (metric != TL_METRIC_ACCURACY && !(value > 0)) {
        return tl_fail(TL_EINVAL, "got \"%.40s\", want a number above 0", field);
    }
    if (metric != TL_METRIC_ACCURACY && (value < MIN_COST || value > MAX_COST)) {
        return tl_fail(
            TL_EINVAL, "got \"%.40s\", want a number from %g to %g", field, MIN_COST, MAX_COST);
    }
    *out_value = value;
    return TL_OK;
}

static tl_err parse_slot(
    tl_table_parser *parser, const tl_csv_record *record, int slot, const char *field)
{
    tl_table *table = &parser->table;
    tl_choice *design = table->designs + (size_t)table->n * (size_t)table->n_slots;
    tl_err err = tl_space_choice_parse(parser->space, slot, field, &design[slot]);
    if (err == TL_EINVAL) { /* the detail starts with the name of the slot */
        return tl_fail_in(err, "%s line %ld, column ", parser->origin, record->line);
    }
    return err;
}

static tl_err parse_column(
    tl_table_parser *parser, const tl_csv_record *record, int column, const char *field)
{
    tl_table *table = &parser->table;
    const tl_table_column *c = &table->columns[column];
    double *row = table->values + (size_t)table->n * (size_t)table->n_columns;
    tl_err err = parse_value(c->metric, field, &row[column]);
    if (err != TL_OK) {
        return tl_fail_in(
            err, "%s line %ld, column %s@%s: ", parser->origin, record->line,
            tl_metric_name(c->metric), c->name);
    }
    return TL_OK;
}

static tl_err parse_row(tl_table_parser *parser, const tl_csv_record *record)
{
    tl_table *table = &parser->table;
    const tl_table_header *header = &parser->header;
    if (record->n_fields != header->n_fields) {
        return tl_fail(
            TL_EINVAL, "%s line %ld: got %zu fields, want %zu as in the header", parser->origin,
            record->line, record->n_fields, header->n_fields);
    }
    TL_TRY(make_room(parser, record->line));
    tl_choice *design = table->designs + (size_t)table->n * (size_t)table->n_slots;
    for (int s = 0; s < table->n_slots; s++) {
        design[s] = TL_CHOICE_ABSENT;
    }
    for (size_t i = 0; i < header->n_fields; i++) {
        const tl_table_field *field = &header->fields[i];
        if (field->role == TL_FIELD_SLOT) {
            TL_TRY(parse_slot(parser, record, field->idx, record->fields[i]));
        } else if (field->role == TL_FIELD_VALUE) {
            TL_TRY(parse_column(parser, record, field->idx, record->fields[i]));
        }
    }
    tl_err err = tl_space_check(parser->space, design);
    if (err != TL_OK) {
        return tl_fail_in(err, "%s line %ld: ", parser->origin, record->line);
    }
    if (parser->options.mode == TL_TABLE_IMPORT) {
        tl_space_normalize(parser->space, design);
    }
    parser->lines[table->n] = record->line;
    table->n++;
    return TL_OK;
}

static tl_err on_record(void *context, const tl_csv_record *record)
{
    tl_table_parser *parser = context;
    tl_err err = TL_OK;
    if (parser->has_header) {
        err = parse_row(parser, record);
    } else {
        bool is_import = parser->options.mode == TL_TABLE_IMPORT;
        err = tl_table_header_parse(
            parser->space, record, is_import, &parser->header, &parser->table);
        if (err != TL_OK) {
            err = tl_fail_in(err, "%s line %ld", parser->origin, record->line);
        }
        parser->has_header = true;
    }
    parser->is_told = err != TL_OK;
    return err;
}

/* ---- the parser --------------------------------------------------------------- */

tl_err tl_table_parser_new(
    const tl_space *space,
    const char *origin,
    const tl_table_options *options,
    tl_table_parser **out_parser)
{
    const tl_csv_options csv = {.max_fields = MAX_CSV_FIELDS};
    tl_err err = TL_OK;
    tl_table_parser *parser = tl_mem_new(1, sizeof *parser);
    if (parser == NULL) {
        return tl_fail(TL_ENOMEM, "a table");
    }
    parser->options = options != NULL ? *options : (tl_table_options){0};
    if (parser->options.max_rows == 0 || parser->options.max_rows > TL_TABLE_MAX_ROWS) {
        parser->options.max_rows = TL_TABLE_MAX_ROWS;
    }
    if (parser->options.max_cells == 0) {
        parser->options.max_cells = TL_TABLE_MAX_CELLS;
    }
    parser->space = tl_space_ref(space);
    parser->origin = tl_mem_strdup(origin);
    if (parser->origin == NULL) {
        err = tl_fail(TL_ENOMEM, "a table");
        goto done;
    }
    if ((err = tl_csv_reader_new(&csv, on_record, parser, &parser->reader)) != TL_OK) {
        goto done;
    }
    *out_parser = parser;
    parser = NULL;
done:
    tl_table_parser_free(parser);
    return err;
}

void tl_table_parser_free(tl_table_parser *parser)
{
    if (parser == NULL) {
        return;
    }
    tl_csv_reader_free(parser->reader);
    tl_table_header_done(&parser->header);
    tl_table_done(&parser->table);
    tl_space_unref(parser->space);
    tl_mem_free(parser->origin);
    tl_mem_free(parser->lines);
    tl_mem_free(parser);
}

/* What the CSV reader says starts with the line; the origin goes before it. */
static tl_err tell_origin(const tl_table_parser *parser, tl_err err)
{
    return err == TL_OK || parser->is_told ? err : tl_fail_in(err, "%s ", parser->origin);
}

tl_err tl_table_parser_feed(tl_table_parser *parser, const void *data, size_t len)
{
    return tell_origin(parser, tl_csv_reader_feed(parser->reader, data, len));
}

/* Values of row from replace those of row to where there are any. */
static void take_values(tl_table *table, int from, int to)
{
    size_t n_columns = (size_t)table->n_columns;
    for (size_t c = 0; c < n_columns; c++) {
        double value = table->values[(size_t)from * n_columns + c];
        if (!isnan(value)) {
            table->values[(size_t)to * n_columns + c] = value;
        }
    }
}

static void move_row(tl_table *table, int from, int to)
{
    size_t n_slots = (size_t)table->n_slots;
    size_t n_columns = (size_t)table->n_columns;
    memmove(
        table->designs + (size_t)to * n_slots, table->designs + (size_t)from * n_slots,
        n_slots * sizeof *table->designs);
    memmove(
        table->values + (size_t)to * n_columns, table->values + (size_t)from * n_columns,
        n_columns * sizeof *table->values);
}

/* Folds each design's rows into its first one; their lines become 0. */
static void fold_repeated(tl_table_parser *parser, const int *order)
{
    tl_table *table = &parser->table;
    int first = 0;
    for (int i = 1; i < table->n; i++) {
        const tl_choice *a = tl_design_at(table->designs, table->n_slots, order[first]);
        const tl_choice *b = tl_design_at(table->designs, table->n_slots, order[i]);
        if (tl_design_compare(a, b, table->n_slots) != 0) {
            first = i;
            continue;
        }
        long line = parser->lines[order[i]];
        if (table->repeated_line == 0 || line < table->repeated_line) {
            table->repeated_line = line;
        }
        table->n_repeated++;
        take_values(table, order[i], order[first]);
        parser->lines[order[i]] = 0;
    }
}

static tl_err join_repeated(tl_table_parser *parser)
{
    tl_table *table = &parser->table;
    int *order = NULL;
    TL_TRY(tl_designs_order(table->designs, table->n_slots, table->n, &order));
    fold_repeated(parser, order);
    tl_mem_free(order);
    int n = 0;
    for (int i = 0; i < table->n; i++) {
        if (parser->lines[i] != 0) {
            move_row(table, i, n++);
        }
    }
    table->n = n;
    return TL_OK;
}

size_t tl_table_parser_n_cells(const tl_table_parser *parser)
{
    return tl_table_n_cells(&parser->table);
}

tl_err tl_table_parser_finish(tl_table_parser *parser, tl_table *out_table)
{
    tl_err err = tell_origin(parser, tl_csv_reader_finish(parser->reader));
    if (err != TL_OK) {
        return err;
    }
    if (!parser->has_header) {
        return tl_fail(TL_EINVAL, "%s: got nothing, want a header line", parser->origin);
    }
    if (parser->table.n > 0 && parser->options.mode == TL_TABLE_IMPORT) {
        TL_TRY(join_repeated(parser));
    }
    *out_table = parser->table;
    parser->table = (tl_table){0};
    return TL_OK;
}

/* A whole table is asked of by one call, which may end between two pieces. */
static tl_err feed_watched(tl_table_parser *parser, const char *data, size_t len)
{
    tl_err err = TL_OK;
    for (size_t at = 0; at < len && err == TL_OK; at += PIECE_BYTES) {
        size_t n = len - at < PIECE_BYTES ? len - at : PIECE_BYTES;
        if ((err = tl_watch_check()) == TL_OK) {
            err = tl_table_parser_feed(parser, data + at, n);
        }
    }
    return err;
}

tl_err tl_table_parse(
    const tl_space *space,
    const char *origin,
    const tl_table_options *options,
    const char *data,
    size_t len,
    tl_table *out_table)
{
    tl_table_parser *parser = NULL;
    TL_TRY(tl_table_parser_new(space, origin, options, &parser));
    tl_err err = feed_watched(parser, data, len);
    if (err == TL_OK) {
        err = tl_table_parser_finish(parser, out_table);
    }
    tl_table_parser_free(parser);
    return err;
}

/* ---- printing ------------------------------------------------------------------- */

void tl_table_add_slots(const tl_space *space, tl_text *text)
{
    for (int s = 0; s < tl_space_n_slots(space); s++) {
        tl_csv_add(text, tl_space_slot(space, s)->name);
    }
}

void tl_table_add_design(const tl_space *space, const tl_choice *design, tl_text *text)
{
    for (int s = 0; s < tl_space_n_slots(space); s++) {
        tl_csv_add(text, tl_space_choice_name(space, s, design[s]));
    }
}
