/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_MEASUREMENTS_HEADER_H
#define TL_MEASUREMENTS_HEADER_H

/* The header of a measurement table: what each field of a row is. For table.c. */

#include "base/csv.h"
#include "measurements/table.h"

typedef enum tl_field_role {
    TL_FIELD_IGNORED,
    TL_FIELD_SLOT,  /* idx: the slot */
    TL_FIELD_VALUE, /* idx: the table's column */
} tl_field_role;

typedef struct tl_table_field {
    tl_field_role role;
    int idx;
} tl_table_field;

typedef struct tl_table_header {
    tl_table_field *fields;
    size_t n_fields;
} tl_table_header;

/*
 * Fills the header and the table's n_slots, columns and names (has_values false: no
 * columns). The detail of a failure starts with ": " or ", column NAME: ", for the
 * caller to put origin and line before. Both are left to be released in any case.
 */
TL_MUST_USE tl_err tl_table_header_parse(
    const tl_space *space,
    const tl_csv_record *record,
    bool has_values,
    tl_table_header *header,
    tl_table *table);

void tl_table_header_done(tl_table_header *header);

#endif
