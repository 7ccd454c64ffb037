/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/table_reply.h"

#include "base/mem.h"
#include "proto/wire.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef Tailor__V1__Table table_msg;
typedef Tailor__V1__Column column_msg;

table_msg *tl_table_reply_new(size_t n_rows)
{
    ProtobufCMessage *message = tl_wire_new(&tailor__v1__table__descriptor);
    table_msg *table = (table_msg *)(void *)message;
    if (table != NULL) {
        tl_table_reply_init(table, n_rows);
    }
    return table;
}

void tl_table_reply_init(table_msg *table, size_t n_rows)
{
    table->n_rows = n_rows;
}

void tl_table_reply_free(table_msg *table)
{
    tl_wire_free((ProtobufCMessage *)table);
}

/* An empty column, owned by the table from the start. */
static tl_err add_column(
    table_msg *table, const char *name, Tailor__V1__Column__Kind kind, column_msg **out_column)
{
    column_msg **grown = tl_mem_resize(table->columns, table->n_columns + 1, sizeof *grown);
    if (grown == NULL) {
        return tl_fail(TL_ENOMEM, "column %s", name);
    }
    table->columns = grown;
    column_msg *column = (column_msg *)(void *)tl_wire_new(&tailor__v1__column__descriptor);
    if (column == NULL) {
        return tl_fail(TL_ENOMEM, "column %s", name);
    }
    table->columns[table->n_columns++] = column;
    column->kind = kind;
    char *copy = tl_mem_strdup(name);
    if (copy == NULL) {
        return tl_fail(TL_ENOMEM, "column %s", name);
    }
    column->name = copy;
    *out_column = column;
    return TL_OK;
}

tl_err tl_table_reply_blank(
    table_msg *table, const char *name, uint32_t digits, double **out_numbers)
{
    column_msg *column = NULL;
    TL_TRY(add_column(table, name, TAILOR__V1__COLUMN__KIND__NUMBER, &column));
    column->digits = digits;
    if ((column->number = tl_mem_new(table->n_rows, sizeof *column->number)) == NULL) {
        return tl_fail(TL_ENOMEM, "column %s", name);
    }
    column->n_number = table->n_rows;
    for (size_t i = 0; i < column->n_number; i++) {
        column->number[i] = (double)NAN;
    }
    *out_numbers = column->number;
    return TL_OK;
}

tl_err tl_table_reply_numbers(
    table_msg *table, const char *name, uint32_t digits, const double *numbers)
{
    double *column = NULL;
    TL_TRY(tl_table_reply_blank(table, name, digits, &column));
    if (numbers != NULL) {
        memcpy(column, numbers, table->n_rows * sizeof *column);
    }
    return TL_OK;
}

/* A text column with room for n_options values; every cell is value 0. */
static tl_err add_text_column(
    table_msg *table, const char *name, size_t n_options, column_msg **out_column)
{
    column_msg *column = NULL;
    TL_TRY(add_column(table, name, TAILOR__V1__COLUMN__KIND__TEXT, &column));
    column->dictionary = tl_mem_new(n_options, sizeof *column->dictionary);
    column->index = tl_mem_new(table->n_rows, sizeof *column->index);
    if (column->dictionary == NULL || column->index == NULL) {
        return tl_fail(TL_ENOMEM, "column %s", name);
    }
    column->n_index = table->n_rows;
    *out_column = column;
    return TL_OK;
}

/* Appends a value for which the dictionary has room. */
static tl_err add_value(column_msg *column, const char *value, uint32_t *out_index)
{
    char *copy = tl_mem_strdup(value);
    if (copy == NULL) {
        return tl_fail(TL_ENOMEM, "column %s", column->name);
    }
    *out_index = (uint32_t)column->n_dictionary;
    column->dictionary[column->n_dictionary++] = copy;
    return TL_OK;
}

tl_err tl_table_reply_choices(
    table_msg *table,
    const char *name,
    const char *const *options,
    size_t n_options,
    const uint16_t *index)
{
    column_msg *column = NULL;
    uint32_t ignored = 0;
    TL_TRY(add_text_column(table, name, n_options + 1, &column));
    for (size_t i = 0; i < n_options; i++) {
        TL_TRY(add_value(column, options[i], &ignored));
    }
    TL_TRY(add_value(column, "-", &ignored));
    for (size_t row = 0; row < column->n_index; row++) {
        column->index[row] = index[row] < n_options ? index[row] : (uint32_t)n_options;
    }
    return TL_OK;
}

/* A cell's text and its row, to be sorted so that equal texts stand together. */
typedef struct cell {
    const char *text;
    size_t row;
} cell;

static int by_text(const void *a, const void *b)
{
    return strcmp(((const cell *)a)->text, ((const cell *)b)->text);
}

/* Fills the column's cells; cells [n_index] is scratch. */
static tl_err fill_texts(column_msg *column, const char *const *texts, cell *cells)
{
    for (size_t row = 0; row < column->n_index; row++) {
        cells[row] = (cell){.text = texts[row] != NULL ? texts[row] : "", .row = row};
    }
    qsort(cells, column->n_index, sizeof *cells, by_text);
    uint32_t index = 0;
    for (size_t i = 0; i < column->n_index; i++) {
        if (i == 0 || strcmp(cells[i].text, cells[i - 1].text) != 0) {
            TL_TRY(add_value(column, cells[i].text, &index));
        }
        column->index[cells[i].row] = index;
    }
    return TL_OK;
}

tl_err tl_table_reply_texts(table_msg *table, const char *name, const char *const *texts)
{
    column_msg *column = NULL;
    TL_TRY(add_text_column(table, name, table->n_rows, &column));
    cell *cells = tl_mem_new(table->n_rows, sizeof *cells);
    if (cells == NULL) {
        return tl_fail(TL_ENOMEM, "column %s", name);
    }
    tl_err err = fill_texts(column, texts, cells);
    tl_mem_free(cells);
    return err;
}

tl_err tl_table_reply_text(table_msg *table, const char *name, column_msg **out_column)
{
    uint32_t ignored = 0;
    column_msg *column = NULL;
    TL_TRY(add_text_column(table, name, 1, &column));
    TL_TRY(add_value(column, "", &ignored));
    *out_column = column;
    return TL_OK;
}

tl_err tl_table_reply_set_text(column_msg *column, size_t row, const char *text)
{
    TL_ASSERT(row < column->n_index);
    uint32_t index = 0;
    while (index < column->n_dictionary && strcmp(column->dictionary[index], text) != 0) {
        index++;
    }
    if (index == column->n_dictionary) {
        char **grown =
            tl_mem_resize(column->dictionary, column->n_dictionary + 1, sizeof *grown);
        if (grown == NULL) {
            return tl_fail(TL_ENOMEM, "column %s", column->name);
        }
        column->dictionary = grown;
        TL_TRY(add_value(column, text, &index));
    }
    column->index[row] = index;
    return TL_OK;
}
