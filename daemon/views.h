/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_VIEWS_H
#define TL_DAEMON_VIEWS_H

/*
 * Views of the devices last asked about, so that a device which is asked again is not
 * fitted again. At most TL_VIEWS_MAX are kept; the one that was not asked for longest goes
 * first. A view of a space that can be listed takes about 2 MB on nasbench201, so all of
 * them take some 150 MB, however many devices there are.
 *
 * A view is fresh while nothing was measured in its space since it was made; after that,
 * while the measurements of its own device are what they were. Measurements of
 * other devices do not make it stale.
 *
 * All functions may be called from any thread.
 */

#include "predictors/predictor.h"

#include "base/store.h"

enum {
    TL_VIEWS_MAX = 64
};

typedef struct tl_views tl_views;

/* Borrows store. */
TL_MUST_USE tl_err tl_views_new(tl_store *store, tl_views **out_views);
void tl_views_free(tl_views *views); /* NULL is fine */

/*
 * The device as the predictor sees it with what is measured now, with a
 * reference for the caller (tl_view_unref).
 */
TL_MUST_USE tl_err tl_views_get(
    tl_views *views, tl_predictor *predictor, const tl_profile *profile, tl_view **out_view);

/* The same where it is kept and fresh, at once; otherwise *out_view is NULL. */
TL_MUST_USE tl_err tl_views_find(
    tl_views *views, tl_predictor *predictor, const tl_profile *profile, tl_view **out_view);

/* How many are kept. */
size_t tl_views_n(tl_views *views);

#endif
