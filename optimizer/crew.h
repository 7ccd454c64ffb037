/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_OPTIMIZER_CREW_H
#define TL_OPTIMIZER_CREW_H

/*
 * A few threads that do numbered pieces of work until none is left. The caller is
 * one of them. Pieces must not depend on each other nor on which thread does them.
 */

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Does piece i of the work. */
typedef tl_err tl_crew_fn(void *context, int piece);

/*
 * Called now and then on the calling thread with the pieces done and in all; false
 * cancels. May be NULL.
 */
typedef bool tl_crew_progress_fn(void *context, int64_t done, int64_t total);

typedef struct tl_crew {
    int n_threads; /* 0 and 1: the calling thread alone */
    tl_crew_progress_fn *progress;
    void *progress_context;
} tl_crew;

/* Runs pieces 0 ... n - 1. The first error ends all; TL_ECANCELLED when progress said so. */
TL_MUST_USE tl_err tl_crew_run(const tl_crew *crew, int n, tl_crew_fn *fn, void *context);

#endif
