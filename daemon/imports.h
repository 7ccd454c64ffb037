/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_IMPORTS_H
#define TL_DAEMON_IMPORTS_H

/*
 * Open imports: measurement tables that arrive in pieces and are parsed as they
 * come. Nothing is stored before the caller has taken the whole table and
 * stores it.
 *
 * At most TL_IMPORTS_MAX are open; one that hears nothing for ten minutes is
 * dropped, as its table may be large. A table that turned out to be damaged is dropped at once.
 * While all of them together hold TL_IMPORTS_MAX_CELLS, the largest alone goes on: it ends at
 * TL_TABLE_MAX_CELLS, and makes room for the others then.
 */

#include "base/err.h"
#include "measurements/table.h"
#include "spaces/space.h"

#include <stddef.h>
#include <stdint.h>

enum {
    TL_IMPORTS_MAX = 16,
    TL_IMPORTS_MAX_CELLS = TL_TABLE_MAX_CELLS, /* of slots and values, 8 bytes each */
    TL_IMPORT_IDLE_S = 600,
    TL_IMPORT_MAX_FEED_BYTES = 1024 * 1024
};

typedef struct tl_imports tl_imports;

/* max_cells 0: TL_IMPORTS_MAX_CELLS. */
TL_MUST_USE tl_err tl_imports_new(size_t max_cells, tl_imports **out_imports);
void tl_imports_free(tl_imports *imports); /* NULL is fine */

/* Drops what was left; to be called now and then. now_ns: tl_clock_ns(). */
void tl_imports_sweep(tl_imports *imports, int64_t now_ns);

/* Takes a reference of its own on space. Fails with TL_EBUSY when too many are open. */
TL_MUST_USE tl_err
tl_imports_begin(tl_imports *imports, tl_space *space, const char *origin, uint64_t *out_id);

/*
 * The next piece. sequence counts from 0; a piece that came already is ignored. Fails with
 * TL_ENOTFOUND (dropped, or never begun), TL_ESTATE (a piece is missing, or two threads feed
 * at once), TL_EBUSY (all imports together are too large: the same piece again, later), or as
 * tl_table_parser_feed(), which ends the import.
 */
TL_MUST_USE tl_err tl_imports_feed(
    tl_imports *imports, uint64_t id, uint64_t sequence, const void *data, size_t len);

/*
 * Ends the import, whatever comes of it, unless it is put back. On success the caller owns the
 * table (tl_table_done) and a reference on its space.
 */
TL_MUST_USE tl_err
tl_imports_finish(tl_imports *imports, uint64_t id, tl_table *out_table, tl_space **out_space);

/*
 * The import is open again, with all its pieces: for a table that was not stored for want of
 * time. Takes the table; takes a reference of its own on space. With TL_IMPORTS_MAX others open
 * the import is over.
 */
void tl_imports_put_back(tl_imports *imports, uint64_t id, tl_table *table, tl_space *space);

/* Forgets the import. TL_ENOTFOUND when there is none. */
TL_MUST_USE tl_err tl_imports_abort(tl_imports *imports, uint64_t id);

#endif
