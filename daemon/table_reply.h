/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_TABLE_REPLY_H
#define TL_DAEMON_TABLE_REPLY_H

/*
 * Building the Table messages that most methods answer.
 *
 * The number of rows comes first; columns are then added in the order in which
 * they are printed. Everything comes from tl_mem_new(), and the table owns it:
 * whoever releases the reply releases its table, also a half-built one.
 *
 *     tl_table_reply_init(table, n);                  the reply is a Table
 *     answer->table = tl_table_reply_new(n);          the reply holds one
 *
 *     TL_TRY(tl_table_reply_numbers(table, "latency_ms", 6, latency_ms));
 *     TL_TRY(tl_table_reply_choices(table, slot->name, slot->options, n_options, index));
 *
 *     Tailor__V1__Column *column = NULL;              cell by cell, for lists
 *     TL_TRY(tl_table_reply_text(table, "device", &column));
 *     TL_TRY(tl_table_reply_set_text(column, row, profile.name));
 *
 * Protobuf has no home for a missing number: it is NaN here and an empty field
 * when it is printed.
 */

#include "base/err.h"
#include "proto/tailor.pb-c.h"

#include <stddef.h>
#include <stdint.h>

/* An empty table of n_rows rows; NULL when memory is short. Owned by the caller
 * until it is attached to a reply. */
TL_MUST_USE Tailor__V1__Table *tl_table_reply_new(size_t n_rows);

/* The same in a message that is there already (zero-initialized, no columns yet). */
void tl_table_reply_init(Tailor__V1__Table *table, size_t n_rows);

/* A table that was not attached to any reply; NULL is fine. */
void tl_table_reply_free(Tailor__V1__Table *table);

/*
 * A column of numbers [n_rows], copied. digits: significant digits to print;
 * 0: as many as read back exactly. numbers NULL: all missing.
 */
TL_MUST_USE tl_err tl_table_reply_numbers(
    Tailor__V1__Table *table, const char *name, uint32_t digits, const double *numbers);

/* A column of numbers, all missing, for the caller to fill: (*out_numbers)[n_rows], borrowed. */
TL_MUST_USE tl_err tl_table_reply_blank(
    Tailor__V1__Table *table, const char *name, uint32_t digits, double **out_numbers);

/*
 * A text column whose values come from a short list. index [n_rows] into
 * options [n_options]; an index beyond it (TL_CHOICE_ABSENT, 0xffff) is "-".
 * Both are copied.
 */
TL_MUST_USE tl_err tl_table_reply_choices(
    Tailor__V1__Table *table,
    const char *name,
    const char *const *options,
    size_t n_options,
    const uint16_t *index);

/* A text column from n_rows texts, copied; NULL stands for "". Equal texts are stored once. */
TL_MUST_USE tl_err
tl_table_reply_texts(Tailor__V1__Table *table, const char *name, const char *const *texts);

/* A text column whose cells are all "", to be set one by one. Borrowed. */
TL_MUST_USE tl_err tl_table_reply_text(
    Tailor__V1__Table *table, const char *name, Tailor__V1__Column **out_column);

/* Sets a cell of it; for lists of a few hundred different values at most. */
TL_MUST_USE tl_err
tl_table_reply_set_text(Tailor__V1__Column *column, size_t row, const char *text);

#endif
