/* SPDX-License-Identifier: Apache-2.0 */
#include "optimizer/crew.h"
#include "tests/support/test.h"

#include <stdatomic.h>

enum {
    N_PIECES = 200
};

typedef struct work {
    atomic_int n_done[N_PIECES];
    int fails_at; /* -1: never */
} work;

static tl_err do_piece(void *context, int piece)
{
    work *w = context;
    atomic_fetch_add(&w->n_done[piece], 1);
    return piece == w->fails_at ? tl_fail(TL_EINVAL, "piece %d", piece) : TL_OK;
}

static void every_piece_is_done_once_by_any_number_of_threads(void **state)
{
    (void)state;
    static const int n_threads[] = {0, 1, 2, 5, 100};
    for (size_t i = 0; i < sizeof n_threads / sizeof *n_threads; i++) {
        work w = {.fails_at = -1};
        tl_crew crew = {.n_threads = n_threads[i]};
        assert_ok(tl_crew_run(&crew, N_PIECES, do_piece, &w));
        for (int k = 0; k < N_PIECES; k++) {
            assert_int_equal(atomic_load(&w.n_done[k]), 1);
        }
    }
}

static void no_pieces_are_no_work(void **state)
{
    (void)state;
    work w = {.fails_at = -1};
    tl_crew crew = {.n_threads = 3};
    assert_ok(tl_crew_run(&crew, 0, do_piece, &w));
    assert_int_equal(atomic_load(&w.n_done[0]), 0);
}

static void an_error_ends_the_work(void **state)
{
    (void)state;
    static const int n_threads[] = {1, 4};
    for (size_t i = 0; i < sizeof n_threads / sizeof *n_threads; i++) {
        work w = {.fails_at = 3};
        tl_crew crew = {.n_threads = n_threads[i]};
        assert_err(TL_EINVAL, tl_crew_run(&crew, N_PIECES, do_piece, &w));
        assert_int_equal(atomic_load(&w.n_done[3]), 1);
    }
}

static bool stop_soon(void *context, int64_t done, int64_t total)
{
    int *n_calls = context;
    assert_true(done <= total);
    return ++*n_calls < 5;
}

static void progress_can_cancel(void **state)
{
    (void)state;
    work w = {.fails_at = -1};
    int n_calls = 0;
    tl_crew crew = {.n_threads = 1, .progress = stop_soon, .progress_context = &n_calls};
    assert_err(TL_ECANCELLED, tl_crew_run(&crew, N_PIECES, do_piece, &w));
    assert_int_equal(n_calls, 5);
    assert_int_equal(atomic_load(&w.n_done[10]), 0);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_piece_is_done_once_by_any_number_of_threads),
        TEST(no_pieces_are_no_work),
        TEST(an_error_ends_the_work),
        TEST(progress_can_cancel),
    };
    return cmocka_run_group_tests_name("optimizer/crew", tests, NULL, NULL);
}
