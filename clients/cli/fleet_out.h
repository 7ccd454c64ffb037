/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_CLI_FLEET_OUT_H
#define TL_CLIENTS_CLI_FLEET_OUT_H

/*
 * Where the designs of a fleet go: standard output, a file that grows and may be
 * continued, or a file that is there whole or not at all.
 */

#include "base/err.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct tl_fleet_out tl_fleet_out;

typedef struct tl_fleet_out_options {
    const char *path; /* NULL: standard output */
    bool is_resumed;  /* continue after the last whole line of the file, if there is one */
    bool is_whole;    /* a new file beside it takes its place at the end */
    bool has_header;  /* CSV: the first line is no row */
} tl_fleet_out_options;

/* Rows of a file; the others have a design that keeps the limits. */
typedef struct tl_fleet_count {
    uint64_t n_rows, n_infeasible, n_failed; /* with the nearest design, without one */
} tl_fleet_count;

/*
 * *out_done: rows that the file has already; another file's content stays until the first
 * rows are added. Fails with TL_EIO, naming the file, and with TL_ESTATE when a file is
 * continued that holds something else.
 */
TL_MUST_USE tl_err tl_fleet_out_open(
    const tl_fleet_out_options *options, tl_fleet_out **out_out, tl_fleet_count *out_done);

/* The rows of options->path, which is left alone. Fails with TL_EIO. */
TL_MUST_USE tl_err
tl_fleet_out_count(const tl_fleet_out_options *options, tl_fleet_count *out_done);

/*
 * Appends rows: text begins with the header where there is one, which is written once; TL_ESTATE
 * when the file that is continued has another. What was added survives the death of this
 * program.
 */
TL_MUST_USE tl_err tl_fleet_out_add(tl_fleet_out *out, const tl_text *text);

/* The file is durable and in its place. */
TL_MUST_USE tl_err tl_fleet_out_finish(tl_fleet_out *out);

/* A whole file that was not finished is removed. NULL is fine. */
void tl_fleet_out_close(tl_fleet_out *out);

#endif
