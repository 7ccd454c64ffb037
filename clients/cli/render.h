/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_RENDER_H
#define TL_CLIENTS_CLI_RENDER_H

/*
 * A table of the protocol as text: RFC 4180 CSV with lines that end in LF,
 * aligned columns for reading, or JSON lines. A missing number is empty, null in
 * JSON. All append to out; memory running out is found by tl_text_err().
 */

#include "base/json.h"
#include "base/text.h"
#include "clients/c/tailor.h"

#include <stdbool.h>
#include <stdint.h>

void tl_render_csv(const tailor_table *table, tl_text *out);

/* Text to the left, numbers to the right, two spaces between columns. */
void tl_render_aligned(const tailor_table *table, tl_text *out);

/*
 * The same of a table that comes in parts: widths [n_columns] are those of the parts before,
 * zeros at first, and grow. Only the first part has the line of names.
 */
void tl_render_aligned_part(
    const tailor_table *table, bool is_first, int *widths, tl_text *out);

/* One object a row, each on its own line. */
void tl_render_json_lines(const tailor_table *table, tl_text *out);

/* A member of a document (base/json.h): the same objects as a list. */
void tl_json_table(tl_text *out, const char *key, const tailor_table *table);

#endif
