/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/queue.h"

#include "base/mem.h"

#include <pthread.h>

/* The items of an owner have one turn each, without gaps, from the turn now being served or the
 * next one on: also after one was taken out from among them. */
typedef struct place {
    void *item;
    uint64_t owner, turn, number;
} place;

struct tl_queue {
    pthread_mutex_t lock;
    pthread_cond_t is_ready; /* an item came in, or the queue was closed */
    size_t capacity, len;
    uint64_t turn;   /* of the last item that left */
    uint64_t number; /* of items that came */
    bool is_closed;
    place places[]; /* in no order: a few hundred are looked through faster than a wake-up */
};

tl_err tl_queue_new(size_t capacity, tl_queue **out_queue)
{
    tl_queue *queue = tl_mem_new(1, sizeof *queue + capacity * sizeof queue->places[0]);
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

/* How many of the owner's items wait, and the last turn among them. */
static size_t count_of(const tl_queue *queue, uint64_t owner, uint64_t *out_last_turn)
{
    size_t n = 0;
    uint64_t last = 0;
    for (size_t i = 0; i < queue->len; i++) {
        if (queue->places[i].owner == owner) {
            n++;
            last = queue->places[i].turn > last ? queue->places[i].turn : last;
        }
    }
    *out_last_turn = last;
    return n;
}

static void *take_out(tl_queue *queue, size_t i)
{
    void *item = queue->places[i].item;
    queue->places[i] = queue->places[--queue->len];
    return item;
}

/* Before its turn: what its owner sent later moves up. */
static void *remove_at(tl_queue *queue, size_t i)
{
    const place gone = queue->places[i];
    for (size_t k = 0; k < queue->len; k++) {
        place *p = &queue->places[k];
        p->turn -= p->owner == gone.owner && p->turn > gone.turn;
    }
    return take_out(queue, i);
}

static uint64_t last_turn(const tl_queue *queue)
{
    uint64_t last = queue->turn;
    for (size_t i = 0; i < queue->len; i++) {
        last = queue->places[i].turn > last ? queue->places[i].turn : last;
    }
    return last;
}

/*
 * The last item of whoever has the most, where that is at least two more than n_own. Without gaps,
 * nobody has more than all of those who have an item in the last turn, so only they are counted:
 * the longer their rows, the fewer they are.
 */
static void *displace(tl_queue *queue, size_t n_own)
{
    uint64_t last = last_turn(queue);
    uint64_t ignored = 0;
    size_t most = 0;
    size_t most_at = 0;
    for (size_t i = 0; i < queue->len && last - queue->turn + 1 >= n_own + 2; i++) {
        size_t n = queue->places[i].turn == last
                       ? count_of(queue, queue->places[i].owner, &ignored)
                       : 0;
        if (n > most) {
            most = n;
            most_at = i;
        }
    }
    return most >= n_own + 2 ? remove_at(queue, most_at) : NULL;
}

bool tl_queue_push(tl_queue *queue, uint64_t owner, void *item, void **out_displaced)
{
    uint64_t last = 0;
    *out_displaced = NULL;
    (void)pthread_mutex_lock(&queue->lock);
    size_t n_own = count_of(queue, owner, &last);
    if (queue->len == queue->capacity && !queue->is_closed) {
        *out_displaced = displace(queue, n_own);
    }
    bool is_in = !queue->is_closed && queue->len < queue->capacity;
    if (is_in) {
        uint64_t after = n_own > 0 && last > queue->turn ? last : queue->turn;
        queue->places[queue->len++] = (place){item, owner, after + 1, queue->number++};
        (void)pthread_cond_signal(&queue->is_ready);
    }
    (void)pthread_mutex_unlock(&queue->lock);
    return is_in;
}

static bool comes_before(const place *a, const place *b)
{
    return a->turn < b->turn || (a->turn == b->turn && a->number < b->number);
}

void *tl_queue_pop(tl_queue *queue)
{
    void *item = NULL;
    (void)pthread_mutex_lock(&queue->lock);
    while (queue->len == 0 && !queue->is_closed) {
        (void)pthread_cond_wait(&queue->is_ready, &queue->lock);
    }
    if (queue->len > 0) {
        size_t first = 0;
        for (size_t i = 1; i < queue->len; i++) {
            if (comes_before(&queue->places[i], &queue->places[first])) {
                first = i;
            }
        }
        queue->turn = queue->places[first].turn;
        item = take_out(queue, first);
    }
    (void)pthread_mutex_unlock(&queue->lock);
    return item;
}

bool tl_queue_remove(tl_queue *queue, const void *item)
{
    bool is_there = false;
    (void)pthread_mutex_lock(&queue->lock);
    for (size_t i = 0; i < queue->len && !is_there; i++) {
        if (queue->places[i].item == item) {
            (void)remove_at(queue, i);
            is_there = true;
        }
    }
    (void)pthread_mutex_unlock(&queue->lock);
    return is_there;
}

void tl_queue_close(tl_queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
    queue->is_closed = true;
    (void)pthread_cond_broadcast(&queue->is_ready);
    (void)pthread_mutex_unlock(&queue->lock);
}
