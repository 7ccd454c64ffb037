/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "clients/c/impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef Tailor__V1__Table table_msg;
typedef Tailor__V1__Column column_msg;

enum {
    EXACT_DIGITS = 17 /* of a double */
};

struct tailor_table {
    table_msg *message;
};

static bool is_text(const column_msg *column)
{
    return column->kind == TAILOR__V1__COLUMN__KIND__TEXT;
}

tl_err tl_client_table_check(const table_msg *message)
{
    if (message != NULL && message->n_columns == 0 && message->n_rows > 0) {
        return tl_fail(
            TL_EDAMAGED, "a table of %llu rows without a column",
            (unsigned long long)message->n_rows);
    }
    for (size_t c = 0; message != NULL && c < message->n_columns; c++) {
        const column_msg *column = message->columns[c];
        size_t n = is_text(column) ? column->n_index : column->n_number;
        if (n != message->n_rows) {
            return tl_fail(
                TL_EDAMAGED, "column %s: got %zu cells, want %llu", column->name, n,
                (unsigned long long)message->n_rows);
        }
        for (size_t row = 0; is_text(column) && row < n; row++) {
            if (column->index[row] >= column->n_dictionary) {
                return tl_fail(
                    TL_EDAMAGED, "column %s: row %zu points beyond its %zu values",
                    column->name, row, column->n_dictionary);
            }
        }
    }
    return TL_OK;
}

tl_err tl_client_table_take(table_msg **message, tailor_table **out_table)
{
    tailor_table *table = tl_mem_new(1, sizeof *table);
    if (table == NULL) {
        return tl_fail(TL_ENOMEM, "a table");
    }
    if (*message == NULL) {
        *message = (table_msg *)(void *)tl_wire_new(&tailor__v1__table__descriptor);
    }
    if (*message == NULL) {
        tl_mem_free(table);
        return tl_fail(TL_ENOMEM, "a table");
    }
    table->message = *message;
    *message = NULL;
    *out_table = table;
    return TL_OK;
}

static tl_err append_numbers(column_msg *column, const column_msg *more)
{
    size_t n = column->n_number + more->n_number;
    double *grown = tl_mem_resize(column->number, n, sizeof *grown);
    if (grown == NULL) {
        return tl_fail(TL_ENOMEM, "%zu numbers", n);
    }
    column->number = grown;
    if (more->n_number > 0) {
        memcpy(grown + column->n_number, more->number, more->n_number * sizeof *grown);
    }
    column->n_number = n;
    return TL_OK;
}

static bool is_same_dictionary(const column_msg *a, const column_msg *b)
{
    bool is_same = a->n_dictionary == b->n_dictionary;
    for (size_t i = 0; is_same && i < a->n_dictionary; i++) {
        is_same = strcmp(a->dictionary[i], b->dictionary[i]) == 0;
    }
    return is_same;
}

/* Moves the values of more behind those of column. */
static tl_err append_dictionary(column_msg *column, column_msg *more)
{
    size_t n = column->n_dictionary + more->n_dictionary;
    char **grown = tl_mem_resize(column->dictionary, n, sizeof *grown);
    if (grown == NULL) {
        return tl_fail(TL_ENOMEM, "%zu texts", n);
    }
    column->dictionary = grown;
    for (size_t i = 0; i < more->n_dictionary; i++) {
        grown[column->n_dictionary++] = more->dictionary[i];
        more->dictionary[i] = NULL;
    }
    more->n_dictionary = 0;
    return TL_OK;
}

static tl_err append_texts(column_msg *column, column_msg *more)
{
    size_t n = column->n_index + more->n_index;
    uint32_t offset = 0;
    if (!is_same_dictionary(column, more)) {
        offset = (uint32_t)column->n_dictionary;
        TL_TRY(append_dictionary(column, more));
    }
    uint32_t *grown = tl_mem_resize(column->index, n, sizeof *grown);
    if (grown == NULL) {
        return tl_fail(TL_ENOMEM, "%zu cells", n);
    }
    column->index = grown;
    for (size_t i = 0; i < more->n_index; i++) {
        grown[column->n_index + i] = more->index[i] + offset;
    }
    column->n_index = n;
    return TL_OK;
}

tl_err tl_client_table_append(table_msg *table, table_msg *more)
{
    if (table->n_columns != more->n_columns) {
        return tl_fail(
            TL_EDAMAGED, "a part of the table has %zu columns, want %zu", more->n_columns,
            table->n_columns);
    }
    for (size_t c = 0; c < table->n_columns; c++) {
        column_msg *column = table->columns[c];
        column_msg *rest = more->columns[c];
        if (strcmp(column->name, rest->name) != 0 || column->kind != rest->kind) {
            return tl_fail(
                TL_EDAMAGED, "a part of the table has a column %s, want %s", rest->name,
                column->name);
        }
        TL_TRY(is_text(column) ? append_texts(column, rest) : append_numbers(column, rest));
    }
    table->n_rows += more->n_rows;
    return TL_OK;
}

void tailor_table_free(tailor_table *table)
{
    if (table != NULL) {
        tl_wire_free((ProtobufCMessage *)table->message);
        tl_mem_free(table);
    }
}

size_t tailor_table_n_rows(const tailor_table *table)
{
    return (size_t)table->message->n_rows;
}

size_t tailor_table_n_columns(const tailor_table *table)
{
    return table->message->n_columns;
}

static const column_msg *column_of(const tailor_table *table, size_t column)
{
    return column < table->message->n_columns ? table->message->columns[column] : NULL;
}

const char *tailor_table_name(const tailor_table *table, size_t column)
{
    const column_msg *c = column_of(table, column);
    return c != NULL ? c->name : "";
}

bool tailor_table_is_number(const tailor_table *table, size_t column)
{
    const column_msg *c = column_of(table, column);
    return c != NULL && !is_text(c);
}

size_t tailor_table_find(const tailor_table *table, const char *name)
{
    size_t c = 0;
    while (c < table->message->n_columns && strcmp(tailor_table_name(table, c), name) != 0) {
        c++;
    }
    return c;
}

const char *tailor_table_text(const tailor_table *table, size_t column, size_t row)
{
    const column_msg *c = column_of(table, column);
    return c != NULL && is_text(c) && row < c->n_index ? c->dictionary[c->index[row]] : "";
}

double tailor_table_number(const tailor_table *table, size_t column, size_t row)
{
    const column_msg *c = column_of(table, column);
    return c != NULL && !is_text(c) && row < c->n_number ? c->number[row] : (double)NAN;
}

/* The fewest digits that read back as the same number. */
static void print_exactly(double value, char buffer[TAILOR_CELL_BYTES])
{
    for (int digits = 15; digits <= EXACT_DIGITS; digits++) {
        (void)snprintf(buffer, TAILOR_CELL_BYTES, "%.*g", digits, value);
        double back = strtod(buffer, NULL);
        if (back == value) {
            return;
        }
    }
}

const char *tailor_table_cell(
    const tailor_table *table, size_t column, size_t row, char buffer[TAILOR_CELL_BYTES])
{
    if (!tailor_table_is_number(table, column)) {
        return tailor_table_text(table, column, row);
    }
    uint32_t digits = column_of(table, column)->digits;
    double value = tailor_table_number(table, column, row);
    if (isnan(value)) {
        return "";
    }
    if (digits == 0 || digits > EXACT_DIGITS) {
        print_exactly(value, buffer);
    } else {
        (void)snprintf(buffer, TAILOR_CELL_BYTES, "%.*g", (int)digits, value);
    }
    return buffer;
}
