/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_FOLDS_H
#define TL_PREDICTORS_FOLDS_H

/*
 * Folds for judging on unseen designs: designs that compute the same function
 * (isomorphic cells) are always in one fold.
 */

#include "spaces/space.h"

/*
 * out_fold [n] in [0, k): the different canonical forms among designs [n, n_slots],
 * dealt to the folds in random order. The fold of a design does not depend on the
 * order in which the designs come. k >= 1.
 */
TL_MUST_USE tl_err tl_canonical_folds(
    const tl_space *space,
    const tl_choice *designs,
    int n,
    int k,
    uint64_t seed,
    int *out_fold);

#endif
