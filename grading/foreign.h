/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_GRADING_FOREIGN_H
#define TL_GRADING_FOREIGN_H

/*
 * Designs of other spaces, asked of a predictor that knows one space only: its uncertainty
 * should tell them from designs of its own.
 *
 * Their slots mean nothing here, but their networks have work like any other. A foreign
 * design's physical totals are what a regression over the space's own reference designs
 * makes of its MACs, parameters, elements moved and operators; of every choice of the
 * space it has as little as any reference design.
 */

#include "predictors/features.h"

enum {
    TL_FOREIGN_DESIGNS = 96 /* over all other spaces, in turn */
};

/*
 * Writes TL_FOREIGN_DESIGNS rows [.., Ps] of random designs of the other spaces (n_others > 0).
 * Fails as tl_space_lower() does, or with TL_ENOMEM.
 */
TL_MUST_USE tl_err tl_foreign_rows(
    const tl_features *features,
    const tl_space *const *others,
    int n_others,
    uint64_t seed,
    tl_dmat out_rows);

#endif
