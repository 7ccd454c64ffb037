/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_WATCH_H
#define TL_BASE_WATCH_H

/*
 * Whether the work of this thread should end: whoever begins long work sets a watch, and
 * the depths of the work ask it now and then, without a word of it in every signature
 * between the two.
 *
 *     tl_watch former = tl_watch_set((tl_watch){check, context});
 *     err = long_work();
 *     (void)tl_watch_set(former);
 *
 *     for (int i = 0; i < n_devices; i++) {
 *         TL_TRY(tl_watch_check());
 *         TL_TRY(fit(&devices[i]));
 *     }
 *
 * It is asked where a failure is like any other: nothing is half done that is kept, and it
 * is not asked again once what was done stands. What many share, and somebody else would
 * have to begin anew, is done under no watch (tl_watch){0}.
 */

#include "base/err.h"

typedef struct tl_watch {
    tl_err (*check)(const void *context); /* NULL: never ends. From any thread */
    const void *context;
} tl_watch;

/* The watch of this thread from now on; returns the former one. */
tl_watch tl_watch_set(tl_watch watch);

/* This thread's, for threads that share its work. */
tl_watch tl_watch_get(void);

/* TL_OK, or why the work should end; tens of nanoseconds. */
TL_MUST_USE tl_err tl_watch_check(void);

#endif
