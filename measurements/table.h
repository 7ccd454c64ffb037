/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_MEASUREMENTS_TABLE_H
#define TL_MEASUREMENTS_TABLE_H

/*
 * Measurement tables: CSV with a header, columns told apart by their names alone.
 *
 *     a slot of the space       one choice of the design, by its option's name; "-" where absent
 *     latency_ms@DEVICE         1e-9 to 1e12; an empty cell is not measured
 *     energy_mj@DEVICE          1e-9 to 1e12
 *     accuracy@TASK             top-1, 0 to 100 percent
 *     macs_m params_m spread_ms@...   comments: ignored
 *
 * Slots stand in any order; optional ones may be left out, which reads as "-".
 * Whatever else is found is TL_EINVAL, with a detail for the user:
 *
 *     nasbench201.csv line 17, column e12: got "conv5", want one of none, skip_connect, ...
 *
 * A table is parsed as it comes:
 *
 *     tl_table_parser *parser = NULL;
 *     TL_TRY(tl_table_parser_new(space, "nasbench201.csv", NULL, &parser));
 *     while (...more...) {
 *         if ((err = tl_table_parser_feed(parser, chunk, len)) != TL_OK) { goto done; }
 *     }
 *     tl_table table = {0};
 *     err = tl_table_parser_finish(parser, &table);
 *     done:
 *     tl_table_parser_free(parser);
 */

#include "base/err.h"
#include "base/text.h"
#include "measurements/metric.h"
#include "spaces/space.h"

#include <stddef.h>

enum {
    TL_TABLE_MAX_COLUMNS = 4096, /* of values */
    TL_TABLE_MAX_ROWS = 10 * 1000 * 1000,
    TL_TABLE_MAX_CELLS = 128 * 1000 * 1000 /* of slots and values, in all rows */
};

typedef enum tl_table_mode {
    /*
     * Designs are normalized (tl_space_normalize) and stand once. Of a design that
     * stands in several rows the last value of each column counts.
     */
    TL_TABLE_IMPORT,
    /* Designs as written, in their order, with repetitions; every metric@... is ignored. */
    TL_TABLE_DESIGNS,
} tl_table_mode;

/* Zero means the default. */
typedef struct tl_table_options {
    tl_table_mode mode; /* TL_TABLE_IMPORT */
    size_t max_rows;    /* TL_TABLE_MAX_ROWS */
    size_t max_cells;   /* TL_TABLE_MAX_CELLS */
} tl_table_options;

typedef struct tl_table_column {
    tl_metric metric;
    const char *name; /* of the device or task; owned by the table */
} tl_table_column;

typedef struct tl_table {
    int n, n_slots, n_columns;
    tl_choice *designs;       /* [n, n_slots] */
    tl_table_column *columns; /* [n_columns] */
    double *values;           /* [n, n_columns]; NaN: not measured */
    int n_repeated;           /* rows left out because a later one has the same design */
    long repeated_line;       /* the first line whose design stood before; 0: none */
    char *names;              /* the bytes of the columns' names */
} tl_table;

void tl_table_done(tl_table *table);

/* Slots and values in memory. */
size_t tl_table_n_cells(const tl_table *table);

typedef struct tl_table_parser tl_table_parser;

/* origin names the table in errors; options may be NULL. On success the caller owns *out_parser. */
TL_MUST_USE tl_err tl_table_parser_new(
    const tl_space *space,
    const char *origin,
    const tl_table_options *options,
    tl_table_parser **out_parser);

void tl_table_parser_free(tl_table_parser *parser); /* NULL is fine */

/*
 * Any chunk, as it comes. Fails with TL_EINVAL for what is no table of this space and
 * TL_ELIMIT when it is too long; after a failure every further call fails.
 */
TL_MUST_USE tl_err tl_table_parser_feed(tl_table_parser *parser, const void *data, size_t len);

/* tl_table_n_cells() so far, of at most max_cells. */
size_t tl_table_parser_n_cells(const tl_table_parser *parser);

/* The end of the table, which the caller owns from now on (tl_table_done). */
TL_MUST_USE tl_err tl_table_parser_finish(tl_table_parser *parser, tl_table *out_table);

/* A table that is in memory as a whole. */
TL_MUST_USE tl_err tl_table_parse(
    const tl_space *space,
    const char *origin,
    const tl_table_options *options,
    const char *data,
    size_t len,
    tl_table *out_table);

/* Appends the names of all slots, or the names of the design's choices, as CSV fields. */
void tl_table_add_slots(const tl_space *space, tl_text *text);
void tl_table_add_design(const tl_space *space, const tl_choice *design, tl_text *text);

#endif
