/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/render.h"

#include "base/csv.h"
#include "base/mem.h"

#include <stdbool.h>
#include <string.h>

/* ---- CSV ------------------------------------------------------------------ */

void tl_render_csv(const tailor_table *table, tl_text *out)
{
    char buffer[TAILOR_CELL_BYTES];
    size_t n_columns = tailor_table_n_columns(table);
    for (size_t j = 0; j < n_columns; j++) {
        tl_csv_add(out, tailor_table_name(table, j));
    }
    tl_csv_end(out);
    for (size_t i = 0; i < tailor_table_n_rows(table); i++) {
        for (size_t j = 0; j < n_columns; j++) {
            tl_csv_add(out, tailor_table_cell(table, j, i, buffer));
        }
        tl_csv_end(out);
    }
}

/* ---- for reading ------------------------------------------------------------ */

/* Characters of UTF-8 text: every byte but the continuation bytes. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xC0U) != 0x80U;
    }
    return width;
}

static void add_padded(tl_text *out, const char *cell, int width, bool is_right, bool is_last)
{
    int n_spaces = width - width_of(cell);
    if (is_right) {
        tl_text_addf(out, "%*s", n_spaces, "");
    }
    tl_text_add(out, cell);
    if (!is_last) {
        tl_text_addf(out, "%*s", is_right ? 2 : n_spaces + 2, "");
    }
}

static int column_width(const tailor_table *table, size_t column)
{
    char buffer[TAILOR_CELL_BYTES];
    int width = width_of(tailor_table_name(table, column));
    for (size_t i = 0; i < tailor_table_n_rows(table); i++) {
        int cell = width_of(tailor_table_cell(table, column, i, buffer));
        width = cell > width ? cell : width;
    }
    return width;
}

void tl_render_aligned_part(const tailor_table *table, bool is_first, int *widths, tl_text *out)
{
    char buffer[TAILOR_CELL_BYTES];
    size_t n_columns = tailor_table_n_columns(table);
    for (size_t j = 0; j < n_columns; j++) {
        int width = column_width(table, j);
        widths[j] = width > widths[j] ? width : widths[j];
        if (is_first) {
            add_padded(
                out, tailor_table_name(table, j), widths[j], tailor_table_is_number(table, j),
                j + 1 == n_columns);
        }
    }
    tl_text_add(out, is_first ? "\n" : "");
    for (size_t i = 0; i < tailor_table_n_rows(table); i++) {
        for (size_t j = 0; j < n_columns; j++) {
            add_padded(
                out, tailor_table_cell(table, j, i, buffer), widths[j],
                tailor_table_is_number(table, j), j + 1 == n_columns);
        }
        tl_text_add(out, "\n");
    }
}

void tl_render_aligned(const tailor_table *table, tl_text *out)
{
    int *widths = tl_mem_new(tailor_table_n_columns(table), sizeof *widths);
    if (widths == NULL) {
        out->is_broken = true;
        return;
    }
    tl_render_aligned_part(table, true, widths, out);
    tl_mem_free(widths);
}

/* ---- JSON ------------------------------------------------------------------- */

static void add_row(tl_text *out, const tailor_table *table, size_t row)
{
    char buffer[TAILOR_CELL_BYTES];
    tl_text_add(out, "{");
    for (size_t j = 0; j < tailor_table_n_columns(table); j++) {
        tl_json_cell(
            out, tailor_table_name(table, j), tailor_table_cell(table, j, row, buffer),
            tailor_table_is_number(table, j));
    }
    tl_text_add(out, "}");
}

void tl_render_json_lines(const tailor_table *table, tl_text *out)
{
    for (size_t i = 0; i < tailor_table_n_rows(table); i++) {
        add_row(out, table, i);
        tl_text_add(out, "\n");
    }
}

void tl_json_table(tl_text *out, const char *key, const tailor_table *table)
{
    tl_json_key(out, key);
    tl_text_add(out, "[");
    size_t n_rows = table != NULL ? tailor_table_n_rows(table) : 0;
    for (size_t i = 0; i < n_rows; i++) {
        tl_text_add(out, i == 0 ? "" : ",");
        add_row(out, table, i);
    }
    tl_text_add(out, "]");
}
