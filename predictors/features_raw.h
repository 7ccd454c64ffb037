/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_FEATURES_RAW_H
#define TL_PREDICTORS_FEATURES_RAW_H

/*
 * Inside of features.h: columns before they are standardized. A layout names
 * the groups of raw columns for a space; features_cell.c fills rows for cells,
 * features_blocks.c for all other kinds.
 */

#include "predictors/features.h"
#include "spaces/parts.h"

#include <stdbool.h>

typedef struct tl_raw_group {
    char name[16];
    int begin, end; /* raw columns */
    bool is_unit;   /* each column over its own deviation; else one scale for all */
    bool is_head;   /* head groups come before the others */
    /*
     * The last n_shadows columns are zero in every reference design (optional
     * slots are absent there). They are not centred and share the scale of the
     * group's first column.
     */
    int n_shadows;
} tl_raw_group;

typedef struct tl_raw_layout {
    const tl_space *space;
    tl_raw_group groups[TL_FEATURES_MAX_GROUPS];
    int n_groups;
    int n_columns;
    int pair_group; /* products of its columns' pairs join the source columns; -1: none */
    tl_hypothesis hypotheses[TL_FEATURES_MAX_HYPOTHESES]; /* groups by raw index */
    int n_hypotheses;

    /* blocks */
    int n_stages;                         /* the last one is stem and head */
    int n_totals;                         /* 4, or 5 where bits vary */
    int slot_stage[TL_SPACE_MAX_SLOTS];   /* -1: the slot chose no operator */
    int slot_class[TL_SPACE_MAX_SLOTS];   /* slots of one list of options; -1: not counted */
    int class_begin[TL_SPACE_MAX_SLOTS];  /* first counter of a class */
    int n_counters;                       /* options over all classes */
    bool is_hot_slot[TL_SPACE_MAX_SLOTS]; /* has one-hot columns */
    const double *numbers[TL_SPACE_MAX_SLOTS]; /* value of each option; NULL: not numeric */
    double *number_memory;
} tl_raw_layout;

/* Appends a group of n columns and gives its index. */
int tl_raw_add_group(
    tl_raw_layout *layout, const char *name, int n_columns, bool is_unit, bool is_head);

/* Index of the group of that name, or -1. */
int tl_raw_find_group(const tl_raw_layout *layout, const char *name);

/* Adds a term to a hypothesis; a group that does not exist adds nothing. */
void tl_raw_add_term(
    const tl_raw_layout *layout, tl_hypothesis *hypothesis, const char *name, double centre);

void tl_raw_cell_layout(const tl_space *space, tl_raw_layout *layout);
void tl_raw_cell_row(const tl_raw_layout *layout, const tl_choice *design, double *raw);

/* Looks at the n reference designs for stages, bits and which slot acts where. */
TL_MUST_USE tl_err tl_raw_blocks_layout(
    const tl_space *space, const tl_choice *designs, int n, tl_raw_layout *layout);

/* The book of parts that rows of this layout are made of. The layout must outlive it. */
TL_MUST_USE tl_err tl_raw_blocks_parts(const tl_raw_layout *layout, tl_parts **out_parts);
TL_MUST_USE tl_err tl_raw_blocks_row(
    const tl_raw_layout *layout, const tl_choice *design, tl_parts *parts, double *raw);

void tl_raw_layout_done(tl_raw_layout *layout);

#endif
