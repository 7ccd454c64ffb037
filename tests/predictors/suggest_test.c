/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/predictors/synthetic.h"

#include "numerics/gemm.h"
#include "predictors/suggest.h"

enum {
    N = 60,
    D = 7,
    N_PICKS = 12,
};

static void fill(tl_dmat q, uint64_t seed)
{
    tl_rng rng;
    tl_rng_init(&rng, seed);
    for (int i = 0; i < q.rows; i++) {
        for (int j = 0; j < q.cols; j++) {
            tl_dmat_row(q, i)[j] = tl_rng_normal(&rng);
        }
    }
}

/*
 * The plain form: the n x n matrix of covariances, one column eliminated for
 * each pick. The first n_forced rows are picked first.
 */
static void plain_picks(tl_dcmat q, int n_forced, int count, int *out_picks)
{
    static double k[N + N_PICKS][N + N_PICKS];
    bool is_taken[N + N_PICKS] = {false};
    for (int i = 0; i < q.rows; i++) {
        for (int j = 0; j < q.rows; j++) {
            k[i][j] = tl_ddot(q.cols, tl_dcmat_row(q, i), tl_dcmat_row(q, j));
        }
    }
    for (int step = 0; step < n_forced + count; step++) {
        int pick = step < n_forced ? step : -1;
        for (int i = n_forced; step >= n_forced && i < q.rows; i++) {
            if (!is_taken[i] && (pick < 0 || k[i][i] > k[pick][pick])) {
                pick = i;
            }
        }
        is_taken[pick] = true;
        if (step >= n_forced) {
            out_picks[step - n_forced] = pick - n_forced;
        }
        double pivot = k[pick][pick] + .1;
        double column[N + N_PICKS];
        for (int i = 0; i < q.rows; i++) {
            column[i] = k[i][pick];
        }
        for (int i = 0; i < q.rows; i++) {
            for (int j = 0; j < q.rows; j++) {
                k[i][j] -= column[i] * column[j] / pivot;
            }
        }
    }
}

static void picks_of_a_fixed_matrix_are_those_of_the_plain_form(void **state)
{
    (void)state;
    int wanted[N_PICKS];
    int got[N_PICKS];
    tl_dmat q;
    assert_ok(tl_dmat_init(&q, N, D));
    fill(q, 5);
    plain_picks(tl_dro(q), 0, N_PICKS, wanted);
    assert_ok(tl_suggest_rows(q, (tl_dcmat){0}, N_PICKS, got));
    assert_memory_equal(got, wanted, sizeof got);
    tl_dmat_done(&q);
}

static void measured_designs_count_as_picked_before(void **state)
{
    (void)state;
    int wanted[N_PICKS];
    int got[N_PICKS];
    tl_dmat all;
    assert_ok(tl_dmat_init(&all, N + N_PICKS, D));
    fill(all, tl_test_seed());
    plain_picks(tl_dro(all), N_PICKS, N_PICKS, wanted);
    tl_dmat known = tl_dmat_rows(all, 0, N_PICKS);
    tl_dmat rest = tl_dmat_rows(all, N_PICKS, N + N_PICKS);
    assert_ok(tl_suggest_rows(rest, tl_dro(known), N_PICKS, got));
    assert_memory_equal(got, wanted, sizeof got);
    tl_dmat_done(&all);
}

static void no_candidate_is_picked_twice(void **state)
{
    (void)state;
    int picks[N];
    bool is_seen[N] = {false};
    tl_dmat q;
    assert_ok(tl_dmat_init(&q, N, D));
    fill(q, tl_test_seed());
    for (int i = 1; i < N; i++) {
        memcpy(tl_dmat_row(q, i), tl_dmat_row(q, 0), D * sizeof(double));
    }
    assert_ok(tl_suggest_rows(q, (tl_dcmat){0}, N, picks));
    for (int i = 0; i < N; i++) {
        assert_in_range(picks[i], 0, N - 1);
        assert_false(is_seen[picks[i]]);
        is_seen[picks[i]] = true;
    }
    tl_dmat_done(&q);
}

static void a_design_that_was_measured_is_not_suggested_again(void **state)
{
    (void)state;
    world w;
    int picks[N_PICKS];
    int more[N_PICKS];
    tl_dmat measured;
    world_init(&w, "nasbench201", N_SOURCES);
    tl_dcmat candidates = tl_dcmat_rows(tl_dro(w.x), 0, 3000);
    assert_ok(tl_suggest(w.features, N_SOURCES, candidates, (tl_dcmat){0}, N_PICKS, picks));
    assert_ok(tl_dmat_init(&measured, N_PICKS, w.x.cols));
    for (int i = 0; i < N_PICKS; i++) {
        memcpy(
            tl_dmat_row(measured, i), tl_dmat_row(w.x, picks[i]),
            (size_t)w.x.cols * sizeof(double));
    }
    assert_ok(tl_suggest(w.features, N_SOURCES, candidates, tl_dro(measured), N_PICKS, more));
    for (int i = 0; i < N_PICKS; i++) {
        for (int j = 0; j < N_PICKS; j++) {
            assert_int_not_equal(more[i], picks[j]);
        }
    }
    tl_dmat_done(&measured);
    world_done(&w);
}

/* context: how often it may be asked. */
static tl_err give_up(void *context)
{
    int *n_left = context;
    return (*n_left)-- > 0 ? TL_OK : tl_fail(TL_ECANCELLED, "enough");
}

static void a_choice_can_be_given_up_between_two_picks(void **state)
{
    (void)state;
    world w;
    int picks[N_PICKS];
    int n_left = N_PICKS;
    world_init(&w, "nasbench201", N_SOURCES);
    tl_dcmat candidates = tl_dcmat_rows(tl_dro(w.x), 0, 3000);
    assert_ok(tl_suggest_checked(
        w.features, N_SOURCES, candidates, (tl_dcmat){0}, N_PICKS, give_up, &n_left, picks));
    n_left = N_PICKS - 1;
    assert_err(
        TL_ECANCELLED, tl_suggest_checked(
                           w.features, N_SOURCES, candidates, (tl_dcmat){0}, N_PICKS, give_up,
                           &n_left, picks));
    assert_int_equal(n_left, -1); /* and asked no more */
    world_done(&w);
}

static void the_only_sample_is_an_everyday_design(void **state)
{
    (void)state;
    world w;
    int first = 0;
    int many[N_PICKS];
    tl_dcmat none = {0};
    world_init(&w, "nasbench201", N_SOURCES);
    tl_dcmat candidates = tl_dcmat_rows(tl_dro(w.x), 0, 3000);
    assert_ok(tl_suggest(w.features, N_SOURCES, candidates, none, 1, &first));
    assert_ok(tl_suggest(w.features, N_SOURCES, candidates, none, N_PICKS, many));
    for (int i = 0; i < N_PICKS; i++) { /* columns are centred */
        assert_true(
            tl_ddot(w.x.cols, tl_dmat_row(w.x, first), tl_dmat_row(w.x, first)) <
            tl_ddot(w.x.cols, tl_dmat_row(w.x, many[i]), tl_dmat_row(w.x, many[i])));
    }
    world_done(&w);
}

static void lack_of_memory_is_survived(void **state)
{
    (void)state;
    int picks[N_PICKS];
    tl_dmat q;
    tl_dmat known;
    assert_ok(tl_dmat_init(&q, N, D));
    assert_ok(tl_dmat_init(&known, N_PICKS, D));
    fill(q, 1);
    fill(known, 2);
    tl_err err = TL_ENOMEM;
    for (long k = 1; err != TL_OK; k++) {
        long live = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_suggest_rows(q, tl_dro(known), N_PICKS, picks);
        tl_mem_fail_at(0);
        assert_int_equal(tl_mem_live(), live);
    }
    tl_dmat_done(&q);
    tl_dmat_done(&known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            picks_of_a_fixed_matrix_are_those_of_the_plain_form, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            measured_designs_count_as_picked_before, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            no_candidate_is_picked_twice, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            a_design_that_was_measured_is_not_suggested_again, tl_test_count_blocks,
            tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            a_choice_can_be_given_up_between_two_picks, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            the_only_sample_is_an_everyday_design, tl_test_count_blocks, tl_test_no_leaks),
        cmocka_unit_test_setup_teardown(
            lack_of_memory_is_survived, tl_test_count_blocks, tl_test_no_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
