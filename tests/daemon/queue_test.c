/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/attr.h"
#include "base/mem.h"
#include "daemon/queue.h"

#include <pthread.h>
#include <stdatomic.h>

static void items_leave_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    tl_queue *queue = NULL;
    int items[3] = {0};
    assert_ok(tl_queue_new(2, &queue));
    assert_true(tl_queue_push(queue, &items[0]));
    assert_true(tl_queue_push(queue, &items[1]));
    assert_false(tl_queue_push(queue, &items[2])); /* full: at once, and not kept */
    assert_ptr_equal(tl_queue_pop(queue), &items[0]);
    assert_true(tl_queue_push(queue, &items[2])); /* around the end of the ring */
    assert_ptr_equal(tl_queue_pop(queue), &items[1]);
    assert_ptr_equal(tl_queue_pop(queue), &items[2]);
    tl_queue_free(queue);
}

static void a_closed_queue_gives_what_it_has_and_then_nothing(void **state)
{
    (void)state;
    tl_queue *queue = NULL;
    int item = 0;
    assert_ok(tl_queue_new(4, &queue));
    assert_true(tl_queue_push(queue, &item));
    tl_queue_close(queue);
    assert_false(tl_queue_push(queue, &item));
    assert_ptr_equal(tl_queue_pop(queue), &item);
    assert_null(tl_queue_pop(queue));
    assert_null(tl_queue_pop(queue));
    tl_queue_free(queue);
    tl_queue_free(NULL);
}

enum {
    N_THREADS = 3,
    N_ITEMS = 3000
};

typedef struct crew {
    tl_queue *queue;
    atomic_int n_popped;
} crew;

static void *drain(void *context)
{
    crew *c = context;
    while (tl_queue_pop(c->queue) != NULL) {
        atomic_fetch_add(&c->n_popped, 1);
    }
    return NULL;
}

static void waiting_threads_get_every_item_once_and_are_woken_at_the_end(void **state)
{
    (void)state;
    crew c = {0};
    pthread_t threads[N_THREADS];
    assert_ok(tl_queue_new(8, &c.queue));
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, drain, &c), 0);
    }
    for (int i = 0; i < N_ITEMS;) {
        i += tl_queue_push(c.queue, &c);
    }
    tl_queue_close(c.queue);
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&c.n_popped), N_ITEMS);
    tl_queue_free(c.queue);
}

static void a_queue_that_gets_no_memory_is_none(void **state)
{
    (void)state;
    tl_queue *queue = NULL;
    tl_mem_fail_at(1);
    tl_err err = tl_queue_new(4, &queue);
    tl_mem_fail_at(0);
    assert_err(TL_ENOMEM, err);
    assert_null(queue);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(items_leave_in_the_order_in_which_they_came),
        TEST(a_closed_queue_gives_what_it_has_and_then_nothing),
        TEST(waiting_threads_get_every_item_once_and_are_woken_at_the_end),
        TEST(a_queue_that_gets_no_memory_is_none),
    };
    return cmocka_run_group_tests_name("daemon/queue", tests, NULL, NULL);
}
