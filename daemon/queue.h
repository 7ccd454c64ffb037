/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_QUEUE_H
#define TL_DAEMON_QUEUE_H

/*
 * A bounded first-in, first-out queue of pointers between threads. It never
 * allocates after it was made, and pushing never waits.
 */

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct tl_queue tl_queue;

TL_MUST_USE tl_err tl_queue_new(size_t capacity, tl_queue **out_queue);
void tl_queue_free(tl_queue *queue); /* must be empty; NULL is fine */

/* False when the queue is full or closed; the caller then still owns item. */
TL_MUST_USE bool tl_queue_push(tl_queue *queue, void *item);

/* Waits for an item; NULL once the queue is closed and empty. */
void *tl_queue_pop(tl_queue *queue);

/* Nothing more comes in; wakes all who wait. */
void tl_queue_close(tl_queue *queue);

#endif
