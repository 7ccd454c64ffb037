/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/attr.h"
#include "base/mem.h"
#include "daemon/queue.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    ALICE = 1,
    BOB = 2,
    CAROL = 3
};

/* Pushes where nothing is displaced. */
static bool push(tl_queue *queue, uint64_t owner, void *item)
{
    void *displaced = NULL;
    bool is_in = tl_queue_push(queue, owner, item, &displaced);
    assert_null(displaced);
    return is_in;
}

static void items_leave_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    tl_queue *queue = NULL;
    int items[3] = {0};
    assert_ok(tl_queue_new(2, &queue));
    assert_true(push(queue, ALICE, &items[0]));
    assert_true(push(queue, ALICE, &items[1]));
    assert_false(push(queue, ALICE, &items[2])); /* full: at once, and not kept */
    assert_ptr_equal(tl_queue_pop(queue), &items[0]);
    assert_true(push(queue, ALICE, &items[2])); /* there is room again */
    assert_ptr_equal(tl_queue_pop(queue), &items[1]);
    assert_ptr_equal(tl_queue_pop(queue), &items[2]);
    tl_queue_free(queue);
}

static void owners_take_turns(void **state)
{
    (void)state;
    tl_queue *queue = NULL;
    int alice[4] = {0};
    int bob[2] = {0};
    int carol = 0;
    assert_ok(tl_queue_new(8, &queue));
    for (int i = 0; i < 4; i++) {
        assert_true(push(queue, ALICE, &alice[i]));
    }
    assert_true(push(queue, BOB, &bob[0]));
    assert_true(push(queue, BOB, &bob[1]));
    assert_ptr_equal(tl_queue_pop(queue), &alice[0]);
    assert_ptr_equal(tl_queue_pop(queue), &bob[0]);
    assert_true(push(queue, CAROL, &carol)); /* the next turn, not the one that is over */
    assert_ptr_equal(tl_queue_pop(queue), &alice[1]);
    assert_ptr_equal(tl_queue_pop(queue), &bob[1]);
    assert_ptr_equal(tl_queue_pop(queue), &carol);
    assert_ptr_equal(tl_queue_pop(queue), &alice[2]);
    assert_ptr_equal(tl_queue_pop(queue), &alice[3]);
    tl_queue_free(queue);
}

static void one_owner_cannot_keep_others_out(void **state)
{
    (void)state;
    tl_queue *queue = NULL;
    void *displaced = NULL;
    int alice[4] = {0};
    int bob[3] = {0};
    assert_ok(tl_queue_new(4, &queue));
    for (int i = 0; i < 4; i++) {
        assert_true(push(queue, ALICE, &alice[i]));
    }
    assert_true(tl_queue_push(queue, BOB, &bob[0], &displaced));
    assert_ptr_equal(displaced, &alice[3]);
    assert_true(tl_queue_push(queue, BOB, &bob[1], &displaced));
    assert_ptr_equal(displaced, &alice[2]);
    assert_false(push(queue, BOB, &bob[2])); /* both have two now */
    assert_false(push(queue, ALICE, &alice[2]));
    assert_ptr_equal(tl_queue_pop(queue), &alice[0]);
    assert_ptr_equal(tl_queue_pop(queue), &bob[0]);
    assert_ptr_equal(tl_queue_pop(queue), &alice[1]);
    assert_ptr_equal(tl_queue_pop(queue), &bob[1]);
    tl_queue_free(queue);
}

static void an_item_that_nobody_wants_any_more_is_taken_out(void **state)
{
    (void)state;
    tl_queue *queue = NULL;
    int items[3] = {0};
    assert_ok(tl_queue_new(3, &queue));
    for (int i = 0; i < 3; i++) {
        assert_true(push(queue, ALICE, &items[i]));
    }
    assert_true(tl_queue_remove(queue, &items[1]));
    assert_false(tl_queue_remove(queue, &items[1]));
    assert_ptr_equal(tl_queue_pop(queue), &items[0]);
    assert_false(tl_queue_remove(queue, &items[0])); /* somebody has it */
    assert_ptr_equal(tl_queue_pop(queue), &items[2]);
    tl_queue_free(queue);
}

/* Who had items taken out of the middle waits no longer for his next ones than anyone. */
static void what_was_taken_out_costs_no_turn(void **state)
{
    (void)state;
    tl_queue *queue = NULL;
    int alice[5] = {0};
    int bob[2] = {0};
    assert_ok(tl_queue_new(8, &queue));
    for (int i = 0; i < 4; i++) {
        assert_true(push(queue, ALICE, &alice[i]));
    }
    for (int i = 0; i < 3; i++) {
        assert_true(tl_queue_remove(queue, &alice[i]));
    }
    assert_true(push(queue, BOB, &bob[0]));
    assert_true(push(queue, BOB, &bob[1]));
    assert_true(push(queue, ALICE, &alice[4]));
    assert_ptr_equal(tl_queue_pop(queue), &alice[3]);
    assert_ptr_equal(tl_queue_pop(queue), &bob[0]);
    assert_ptr_equal(tl_queue_pop(queue), &bob[1]);
    assert_ptr_equal(tl_queue_pop(queue), &alice[4]);
    tl_queue_free(queue);
}

/* Both stand in the last turn, but Alice was served in this one and Bob was not. */
static void who_has_most_gives_his_place(void **state)
{
    (void)state;
    tl_queue *queue = NULL;
    void *displaced = NULL;
    int alice[4] = {0};
    int bob[3] = {0};
    int carol[2] = {0};
    assert_ok(tl_queue_new(6, &queue));
    for (int i = 0; i < 4; i++) {
        assert_true(push(queue, ALICE, &alice[i]));
    }
    assert_ptr_equal(tl_queue_pop(queue), &alice[0]);
    for (int i = 0; i < 3; i++) {
        assert_true(push(queue, BOB, &bob[i]));
    }
    assert_ptr_equal(tl_queue_pop(queue), &alice[1]);
    assert_true(push(queue, CAROL, &carol[0]));
    assert_true(tl_queue_push(queue, CAROL, &carol[1], &displaced));
    assert_ptr_equal(displaced, &bob[2]);
    assert_ptr_equal(tl_queue_pop(queue), &bob[0]);
    assert_ptr_equal(tl_queue_pop(queue), &alice[2]);
    assert_ptr_equal(tl_queue_pop(queue), &bob[1]);
    assert_ptr_equal(tl_queue_pop(queue), &carol[0]);
    assert_ptr_equal(tl_queue_pop(queue), &alice[3]);
    assert_ptr_equal(tl_queue_pop(queue), &carol[1]);
    tl_queue_free(queue);
}

static void a_closed_queue_gives_what_it_has_and_then_nothing(void **state)
{
    (void)state;
    tl_queue *queue = NULL;
    int item = 0;
    assert_ok(tl_queue_new(4, &queue));
    assert_true(push(queue, ALICE, &item));
    tl_queue_close(queue);
    assert_false(push(queue, ALICE, &item));
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
        i += push(c.queue, ALICE, &c);
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
        TEST(owners_take_turns),
        TEST(one_owner_cannot_keep_others_out),
        TEST(an_item_that_nobody_wants_any_more_is_taken_out),
        TEST(what_was_taken_out_costs_no_turn),
        TEST(who_has_most_gives_his_place),
        TEST(a_closed_queue_gives_what_it_has_and_then_nothing),
        TEST(waiting_threads_get_every_item_once_and_are_woken_at_the_end),
        TEST(a_queue_that_gets_no_memory_is_none),
    };
    return cmocka_run_group_tests_name("daemon/queue", tests, NULL, NULL);
}
