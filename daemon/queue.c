/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/queue.h"

#include "base/mem.h"

#include <pthread.h>

struct tl_queue {
    pthread_mutex_t lock;
    pthread_cond_t is_ready; /* an item came in, or the queue was closed */
    size_t capacity, first, len;
    bool is_closed;
    void *items[];
};

tl_err tl_queue_new(size_t capacity, tl_queue **out_queue)
{
    tl_queue *queue = tl_mem_new(1, sizeof *queue + capacity * sizeof queue->items[0]);
    if (queue == NULL) {
        return tl_fail(TL_ENOMEM, "a queue of %zu", capacity);
    }
    queue->capacity = capacity;
    (void)pthread_mutex_init(&queue->lock, NULL);
    (void)pthread_cond_init(&queue->is_ready, NULL);
    *out_queue = queue;
    return TL_OK;
}

void tl_queue_free(tl_queue *queue)
{
    if (queue == NULL) {
        return;
    }
    TL_ASSERT(queue->len == 0);
    (void)pthread_cond_destroy(&queue->is_ready);
    (void)pthread_mutex_destroy(&queue->lock);
    tl_mem_free(queue);
}

bool tl_queue_push(tl_queue *queue, void *item)
{
    (void)pthread_mutex_lock(&queue->lock);
    bool is_in = !queue->is_closed && queue->len < queue->capacity;
    if (is_in) {
        queue->items[(queue->first + queue->len) % queue->capacity] = item;
        queue->len++;
        (void)pthread_cond_signal(&queue->is_ready);
    }
    (void)pthread_mutex_unlock(&queue->lock);
    return is_in;
}

void *tl_queue_pop(tl_queue *queue)
{
    void *item = NULL;
    (void)pthread_mutex_lock(&queue->lock);
    while (queue->len == 0 && !queue->is_closed) {
        (void)pthread_cond_wait(&queue->is_ready, &queue->lock);
    }
    if (queue->len > 0) {
        item = queue->items[queue->first];
        queue->first = (queue->first + 1) % queue->capacity;
        queue->len--;
    }
    (void)pthread_mutex_unlock(&queue->lock);
    return item;
}

void tl_queue_close(tl_queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
    queue->is_closed = true;
    (void)pthread_cond_broadcast(&queue->is_ready);
    (void)pthread_mutex_unlock(&queue->lock);
}
