/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_PREDICTORS_SUGGEST_H
#define TL_PREDICTORS_SUGGEST_H

/*
 * Which designs to measure next: greedy D-optimal choice.
 *
 * Each pick is the candidate of which the head, given what is measured and
 * picked already, knows least: pivoted Cholesky of the prior kernel. Values
 * that were measured do not matter, only which designs they belong to.
 *
 *     Q = [sqrt(v_j) x_j, 10]     k = Q Q^T, noise .1
 *
 * For a device without any measurement the first of several picks is the
 * candidate with the largest prior variance; its distance from everyday designs
 * is what makes the next few teach so much. A single pick is the candidate nearest
 * the mean of Q instead: alone it can teach the level only, and an extreme design
 * teaches it badly.
 */

#include "predictors/features.h"

/*
 * candidates [n, P + S] and measured [n_measured, P + S] (may be empty: rows 0)
 * are head rows, sources' columns last. Writes the indices of count <= n
 * different candidates in the order of choice.
 */
TL_MUST_USE tl_err tl_suggest(
    const tl_features *features,
    int n_sources,
    tl_dcmat candidates,
    tl_dcmat measured,
    int count,
    int *out_picks);

/* Asked before every pick; any error ends the choice with it. */
typedef tl_err tl_suggest_check_fn(void *context);

/* The same, for those who may have to give up: a thousand picks of 20,000 take half a second. */
TL_MUST_USE tl_err tl_suggest_checked(
    const tl_features *features,
    int n_sources,
    tl_dcmat candidates,
    tl_dcmat measured,
    int count,
    tl_suggest_check_fn *check,
    void *context,
    int *out_picks);

/* The D-optimal choice itself, on rows Q [n, D] as above; rows of known are taken as measured. */
TL_MUST_USE tl_err tl_suggest_rows(tl_dmat q, tl_dcmat known, int count, int *out_picks);

#endif
