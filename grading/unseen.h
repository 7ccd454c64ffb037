/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_GRADING_UNSEEN_H
#define TL_GRADING_UNSEEN_H

/*
 * A device that nothing was fitted to: one model of (design, device) pairs,
 * fitted to samples of the other devices, is asked of this one.
 *
 * A device is known by its signature, what an exact posterior of its own few samples
 * says of some reference designs. A pair's columns are those of the design, the products of
 * the signature with the design's totals, and a constant; a device of an odd
 * signature is far from all that was fitted, which an uncertainty should show.
 */

#include "grading/trial.h"

enum {
    TL_UNSEEN_MAX_KNOWN = 10,     /* devices that are fitted to */
    TL_UNSEEN_MIN_KNOWN = 2,      /* fewer: there is nothing to learn of devices */
    TL_UNSEEN_MAX_SAMPLES = 30,   /* of each of them: the work grows with the cube of all */
    TL_UNSEEN_INSIDE_QUERIES = 40 /* of each of them, that nothing was fitted to */
};

/* Pairs: samples [n, D], then queries, those of the known devices first. */
typedef struct tl_unseen {
    tl_dmat x, query, unlabelled;
    double *y;                        /* [n] relative latencies less 1 */
    double *offset, *measured, *gain; /* [m] */
    int n_inside;
} tl_unseen;

/* At most TL_UNSEEN_MAX_SAMPLES are used. TL_ESTATE where there are too few devices or designs. */
TL_MUST_USE tl_err tl_unseen_init(
    const tl_pool *pool, int device, int n_samples, uint64_t seed, tl_unseen *unseen);
void tl_unseen_done(tl_unseen *unseen);

#endif
