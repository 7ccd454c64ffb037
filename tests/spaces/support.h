/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_SPACES_SUPPORT_H
#define TL_TESTS_SPACES_SUPPORT_H

/* What tests of spaces share: built-in spaces, and rows of the public tables. */

#include "tests/support/test.h"

#include "base/csv.h"
#include "base/file.h"
#include "base/mem.h"
#include "spaces/space.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The built-in space of that name; the caller unrefs. */
static inline tl_space *built_in(const char *name)
{
    char path[512];
    tl_space *space = NULL;
    (void)snprintf(path, sizeof path, "%s/spaces/%s.yaml", tl_test_source_dir(), name);
    assert_ok(tl_space_load(path, &space));
    return space;
}

/* A space given as text in the test. */
static inline tl_space *parsed(const char *yaml)
{
    tl_space *space = NULL;
    assert_ok(tl_space_parse(yaml, strlen(yaml), "test.yaml", &space));
    return space;
}

/* A row of a table: the design it names, and the values of the columns asked for. */
typedef void row_fn(void *context, const tl_choice *design, const double *values, long line);

typedef struct table {
    const tl_space *space;
    const char *const *columns;
    int n_columns;
    row_fn *on_row;
    void *context;
    int slot_of_field[128];
    int column_of_field[128];
    size_t n_fields;
    int n_rows;
} table;

static inline tl_err on_header(table *t, const tl_csv_record *record)
{
    assert_true(record->n_fields <= TL_COUNT(t->slot_of_field));
    t->n_fields = record->n_fields;
    for (size_t i = 0; i < record->n_fields; i++) {
        t->slot_of_field[i] = tl_space_slot_find(t->space, record->fields[i]);
        t->column_of_field[i] = -1;
        for (int j = 0; j < t->n_columns; j++) {
            if (strcmp(t->columns[j], record->fields[i]) == 0) {
                t->column_of_field[i] = j;
            }
        }
    }
    return TL_OK;
}

static inline tl_err on_record(void *context, const tl_csv_record *record)
{
    table *t = context;
    tl_choice design[TL_SPACE_MAX_SLOTS];
    double values[8] = {0};
    if (t->n_fields == 0) {
        return on_header(t, record);
    }
    for (int i = 0; i < TL_SPACE_MAX_SLOTS; i++) {
        design[i] = TL_CHOICE_ABSENT;
    }
    for (size_t i = 0; i < record->n_fields; i++) {
        int slot = t->slot_of_field[i];
        if (slot >= 0) {
            TL_TRY(tl_space_choice_parse(t->space, slot, record->fields[i], &design[slot]));
        }
        if (t->column_of_field[i] >= 0) {
            values[t->column_of_field[i]] = (double)NAN;
            if (record->fields[i][0] != '\0') {
                TL_TRY(tl_csv_number(record->fields[i], &values[t->column_of_field[i]]));
            }
        }
    }
    TL_TRY(tl_space_check(t->space, design));
    t->n_rows++;
    t->on_row(t->context, design, values, record->line);
    return TL_OK;
}

/* Shows every row of a public table; every row must be a valid design. Skips without tables. */
static inline int read_table(
    const tl_space *space,
    const char *file,
    const char *const *columns,
    int n_columns,
    row_fn *on_row,
    void *context)
{
    char path[512];
    char *text = NULL;
    size_t len = 0;
    table t = {
        .space = space,
        .columns = columns,
        .n_columns = n_columns,
        .on_row = on_row,
        .context = context};
    (void)snprintf(path, sizeof path, "%s/%s", tl_test_data_dir(), file);
    assert_ok(tl_file_read(path, (size_t)1 << 28, &text, &len));
    assert_ok(tl_csv_read(text, len, NULL, on_record, &t));
    tl_mem_free(text);
    assert_true(t.n_rows > 0);
    return t.n_rows;
}

/* Every operator's inputs come before it and have its shape. */
static inline void assert_well_formed(const tl_network *network)
{
    assert_true(network->n_ops > 0);
    for (int i = 0; i < network->n_ops; i++) {
        const tl_op *op = &network->ops[i];
        int n_ch = 0;
        assert_true(op->in_ch > 0 && op->out_ch > 0 && op->in_size > 0 && op->out_size > 0);
        assert_true(op->n_inputs > 0 || op->kind == TL_OP_ZERO);
        for (int j = 0; j < op->n_inputs; j++) {
            int from = network->inputs[op->first_input + j];
            assert_true(from >= TL_NETWORK_INPUT && from < i);
            const tl_op *source = from >= 0 ? &network->ops[from] : NULL;
            int ch = source != NULL ? source->out_ch : network->in_ch;
            int size = source != NULL ? source->out_size : network->in_size;
            bool is_factor = op->kind == TL_OP_SCALE && j == 1;
            assert_int_equal(size, is_factor ? 1 : op->in_size);
            assert_true(op->kind == TL_OP_CONCAT || ch == op->in_ch);
            n_ch += ch;
        }
        assert_true(op->kind != TL_OP_CONCAT || n_ch == op->out_ch);
    }
    assert_true(network->ops[network->n_ops - 1].is_needed);
}

#endif
