/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_QUEUE_H
#define TL_DAEMON_QUEUE_H

/*
 * A bounded queue of pointers between threads, in which owners take turns: whoever
 * puts in a hundred items at once waits for his second one until everyone else had a
 * first. Items of one owner leave in the order in which they came. It never
 * allocates after it was made, and pushing never waits.
 */

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tl_queue tl_queue;

TL_MUST_USE tl_err tl_queue_new(size_t capacity, tl_queue **out_queue);
void tl_queue_free(tl_queue *queue); /* must be empty; NULL is fine */

/*
 * False when the queue is full or closed; the caller then still owns item. A full queue
 * makes room by giving back the last item of an owner that has at least two more in it
 * than this one would have: the caller owns *out_displaced again, NULL: none.
 */
TL_MUST_USE bool tl_queue_push(
    tl_queue *queue, uint64_t owner, void *item, void **out_displaced);

/* Waits for an item; NULL once the queue is closed and empty. */
void *tl_queue_pop(tl_queue *queue);

/* Takes this item out, wherever it stands; false when it is not there (any more). */
TL_MUST_USE bool tl_queue_remove(tl_queue *queue, const void *item);

/* Nothing more comes in; wakes all who wait. */
void tl_queue_close(tl_queue *queue);

#endif
