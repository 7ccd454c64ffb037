/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_OP_TABLE_H
#define TL_PREDICTORS_OP_TABLE_H

/*
 * Designs as counts of distinct operators, so that a profile's rooflines of all of them
 * are one price an operator and one product: no design is lowered twice.
 *
 *     bound(x) = sum over operators of count(x, o) price(o)
 *
 * The same as tl_prior_roofline() says. An operator's price depends on where the weights
 * of the whole network lie; where the profile tells caches, there is one row of prices
 * for each place, and the design's weights, one more product, choose among them.
 *
 *     tl_op_table table;
 *     TL_TRY(tl_op_table_init(space, designs, n, &table));
 *     TL_TRY(tl_op_prices_init(&table, profile, &prices));
 *     ... tl_op_prices_work(&prices, &table, i) ...
 */

#include "predictors/prior.h"
#include "spaces/space.h"

typedef struct tl_op_count {
    int op, n;
} tl_op_count;

/* Immutable once made. Optional slots of the designs are taken as absent. */
typedef struct tl_op_table {
    tl_op_work *ops; /* [n_ops], distinct */
    int n_ops, n;    /* operators, designs */
    int *begin;      /* [n + 1]: the counts of design i are [begin[i], begin[i + 1]) */
    tl_op_count *counts;
    int ops_capacity, counts_capacity;
} tl_op_table;

TL_MUST_USE tl_err tl_op_table_init(
    const tl_space *space, const tl_choice *designs, int n, tl_op_table *out_table);
void tl_op_table_done(tl_op_table *table);

/* Prices of one profile: the bound in ms, or MACs where it tells no peak and no bandwidth. */
typedef struct tl_op_prices {
    const tl_profile *profile; /* borrowed */
    bool has_caches;
    int n_ops;
    double *by_place;     /* [TL_N_MEMORIES, n_ops], of TL_DRAM alone without caches */
    double *weight_bytes; /* [n_ops] */
} tl_op_prices;

TL_MUST_USE tl_err tl_op_prices_init(
    const tl_op_table *table, const tl_profile *profile, tl_op_prices *out_prices);
void tl_op_prices_done(tl_op_prices *prices);

/* The prices [n_ops] that hold while the weights lie in memory. */
const double *tl_op_prices_at(const tl_op_prices *prices, tl_memory place);

/* The work of design i. */
double tl_op_prices_work(const tl_op_prices *prices, const tl_op_table *table, int i);

/*
 * The work of designs [n, n_slots] as they are, optional slots and all: bounds in ms, or MACs
 * where the profile tells no peak and no bandwidth. Parts that designs share are lowered once.
 */
TL_MUST_USE tl_err tl_op_works(
    const tl_space *space,
    const tl_profile *profile,
    const tl_choice *designs,
    int n,
    double *out_work);

/* The design without its optional slots; false when it has none. */
bool tl_design_strip(const tl_space *space, const tl_choice *design, tl_choice *out_plain);

#endif
