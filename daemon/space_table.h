/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_SPACE_TABLE_H
#define TL_DAEMON_SPACE_TABLE_H

/* The spaces that the engine knows, by name. Any thread may call. */

#include "base/err.h"
#include "spaces/space.h"

#include <stdbool.h>
#include <stddef.h>

struct tl_space_entry;

typedef struct tl_space_table tl_space_table;

TL_MUST_USE tl_err tl_space_table_new(tl_space_table **out_table);
void tl_space_table_free(tl_space_table *table); /* NULL is fine */

/* Takes a reference of its own. TL_EEXISTS when there is one of that name. */
TL_MUST_USE tl_err tl_space_table_add(tl_space_table *table, tl_space *space, bool is_built_in);

/* No such space: nothing happens. */
void tl_space_table_remove(tl_space_table *table, const char *name);

/* With a reference for the caller; out_is_built_in may be NULL. TL_ENOTFOUND names the nearest. */
TL_MUST_USE tl_err tl_space_table_find(
    tl_space_table *table, const char *name, tl_space **out_space, bool *out_is_built_in);

/* As tl_engine_spaces(). */
TL_MUST_USE tl_err
tl_space_table_list(tl_space_table *table, struct tl_space_entry **out_entries, size_t *out_n);

#endif
