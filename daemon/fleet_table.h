/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_FLEET_TABLE_H
#define TL_DAEMON_FLEET_TABLE_H

/*
 * A table of devices: each row names a registered one (column device) or describes one
 * (profile keys, nested ones dotted: peak_gflops.fp32), and may have limits of its own
 * (max_latency_ms, max_energy_mj, min_accuracy, confidence). Empty fields are not
 * given.
 *
 * What is wrong with the header fails the whole table; what is wrong with a row is that
 * row's error, and the others go on.
 */

#include "base/err.h"
#include "device-profiles/profile.h"
#include "proto/tailor.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TL_FLEET_MAX_ROWS = 4096,
    TL_FLEET_ERROR_BYTES = 256
};

typedef struct tl_fleet_row {
    char device[TL_NAME_MAX_BYTES + 1]; /* registered; "": the profile says all */
    tl_profile profile;                 /* where device is "" */
    Tailor__V1__Limits limits;          /* the table's own, replaced by the row's */
    char error[TL_FLEET_ERROR_BYTES];   /* "" where the row can be asked */
} tl_fleet_row;

/* What a row is called: its device, or the name in its profile, or "". */
const char *tl_fleet_row_name(const tl_fleet_row *row);

/* Writes detail into the row, cut to its room: one line, and text that a reply can hold. */
void tl_fleet_row_fail(tl_fleet_row *row, const char *detail);

/* Shows one row; anything but TL_OK ends the reading. row is borrowed and may be changed. */
typedef tl_err tl_fleet_row_fn(void *context, tl_fleet_row *row);

typedef struct tl_fleet_source {
    const char *origin;  /* for errors */
    uint64_t first_line; /* of the first row in that file */
    const void *csv;
    size_t len;
    const Tailor__V1__Limits *limits; /* of rows without their own; may be NULL */
} tl_fleet_source;

/*
 * Reads the table row by row. Fails with TL_EINVAL on a header or a syntax that cannot be
 * read, TL_ELIMIT on more than TL_FLEET_MAX_ROWS rows, and as on_row does.
 */
TL_MUST_USE tl_err
tl_fleet_read(const tl_fleet_source *source, tl_fleet_row_fn *on_row, void *context);

#endif
