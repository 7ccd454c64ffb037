/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_FLEET_ROWS_H
#define TL_CLIENTS_CLI_FLEET_ROWS_H

/*
 * A long table of devices in pieces: each is a CSV text of its own, with the header.
 * The file is streamed; only one piece is in memory. Rows of a piece stand as far from its
 * first row as in the file, so that one line number tells where all of them are: a piece ends
 * where blank lines were left out, and at TL_FLEET_PIECE_BYTES.
 */

#include "base/err.h"
#include "base/text.h"

#include <stdint.h>
#include <stdio.h>

typedef struct tl_fleet_rows tl_fleet_rows;

enum {
    TL_FLEET_PIECE_ROWS = 256,
    TL_FLEET_PIECE_BYTES = 1024 * 1024 /* of rows; a longer row stands alone */
};

typedef struct tl_fleet_piece {
    tl_text csv; /* a header and rows, of the first piece maybe none; empty after the last */
    uint64_t first_line; /* of its first row in the file */
    uint64_t n_rows;
    uint64_t rows_before; /* of the run; the caller's to set */
} tl_fleet_piece;

void tl_fleet_piece_done(tl_fleet_piece *piece);

/* "-" is standard input. Fails with TL_ENOTFOUND or TL_EIO, naming the file. */
TL_MUST_USE tl_err tl_fleet_rows_open(const char *path, tl_fleet_rows **out_rows);
void tl_fleet_rows_close(tl_fleet_rows *rows); /* NULL is fine */

/* Rows before first are passed over, and those from end on: set before the first piece. */
void tl_fleet_rows_restrict(tl_fleet_rows *rows, uint64_t first, uint64_t end);

/* Reads the next piece into a zeroed *out_piece. TL_EINVAL with the line on bad CSV. */
TL_MUST_USE tl_err tl_fleet_rows_next(tl_fleet_rows *rows, tl_fleet_piece *out_piece);

/* How many rows the file has, the header not counted. */
TL_MUST_USE tl_err tl_fleet_rows_count(const char *path, uint64_t *out_n);

#endif
