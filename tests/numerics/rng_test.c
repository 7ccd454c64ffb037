/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "numerics/rng.h"

#include <math.h>
#include <stdbool.h>

static tl_rng seeded(uint64_t seed)
{
    tl_rng rng;
    tl_rng_init(&rng, seed);
    return rng;
}

static void the_bits_are_those_of_the_published_generator(void **state)
{
    (void)state;
    /* The authors' test: state 1 2 3 4. */
    static const uint64_t published[] = {11520, 0, 1509978240, 1215971899390074240};
    tl_rng rng = {
        .state = {1, 2, 3, 4}
    };
    for (size_t i = 0; i < TL_COUNT(published); i++) {
        assert_true(tl_rng_next(&rng) == published[i]);
    }
    /* Seeded by splitmix64, from an independent program. */
    static const uint64_t seed_42[] = {
        0x15780b2e0c2ec716U, 0x6104d9866d113a7eU, 0xae17533239e499a1U};
    rng = seeded(42);
    for (size_t i = 0; i < TL_COUNT(seed_42); i++) {
        assert_true(tl_rng_next(&rng) == seed_42[i]);
    }
}

static void a_split_is_reproducible_and_leaves_the_parent_one_step_on(void **state)
{
    (void)state;
    tl_rng parent = seeded(42);
    tl_rng child = tl_rng_split(&parent);
    assert_true(tl_rng_next(&child) == 0x8ee445d14631c453U);
    assert_true(tl_rng_next(&parent) == 0x6104d9866d113a7eU);
    tl_rng second = tl_rng_split(&parent);
    assert_true(tl_rng_next(&second) != tl_rng_next(&child));
}

static void uniform_and_normal_have_their_moments(void **state)
{
    (void)state;
    enum {
        N = 200000
    };
    tl_rng rng = seeded(tl_test_seed());
    double u1 = 0.0;
    double u2 = 0.0;
    double z1 = 0.0;
    double z2 = 0.0;
    double z4 = 0.0;
    int n_beyond = 0;
    for (int i = 0; i < N; i++) {
        double u = tl_rng_uniform(&rng);
        double z = tl_rng_normal(&rng);
        assert_true(0.0 <= u && u < 1.0);
        u1 += u / N;
        u2 += u * u / N;
        z1 += z / N;
        z2 += z * z / N;
        z4 += z * z * z * z / N;
        n_beyond += fabs(z) > 1.959963984540054;
    }
    /* Five standard errors. */
    assert_close(u1, 0.5, 5 * 0.289 / sqrt(N));
    assert_close(u2, 1.0 / 3, 5 * 0.298 / sqrt(N));
    assert_close(z1, 0.0, 5 * 1.0 / sqrt(N));
    assert_close(z2, 1.0, 5 * 1.414 / sqrt(N));
    assert_close(z4, 3.0, 5 * 9.8 / sqrt(N));
    assert_close((double)n_beyond / N, 0.05, 5 * 0.218 / sqrt(N));
}

static void below_is_uniform_and_stays_below(void **state)
{
    (void)state;
    enum {
        BOUND = 7,
        N = 70000
    };
    int counts[BOUND] = {0};
    tl_rng rng = seeded(tl_test_seed());
    for (int i = 0; i < N; i++) {
        uint64_t x = tl_rng_below(&rng, BOUND);
        assert_true(x < BOUND);
        counts[x]++;
    }
    for (int i = 0; i < BOUND; i++) {
        assert_close(counts[i], (double)N / BOUND, 5 * sqrt((double)N / BOUND));
    }
    assert_true(tl_rng_below(&rng, 1) == 0);
    /* Without rejection the lowest third of this range would come half of the time. */
    uint64_t third = UINT64_C(1) << 62;
    int n_small = 0;
    for (int i = 0; i < N; i++) {
        uint64_t x = tl_rng_below(&rng, 3 * third);
        assert_true(x < 3 * third);
        n_small += x < third;
    }
    assert_close(n_small, N / 3.0, 5 * sqrt(N * 2.0 / 9.0));
}

static void a_permutation_holds_every_index_once(void **state)
{
    (void)state;
    enum {
        N = 100
    };
    tl_rng rng = seeded(tl_test_seed());
    int order[N] = {0};
    bool seen[N] = {false};
    tl_rng_permutation(&rng, N, order);
    for (int i = 0; i < N; i++) {
        assert_true(0 <= order[i] && order[i] < N && !seen[order[i]]);
        seen[order[i]] = true;
    }
    tl_rng_permutation(&rng, 0, order);
}

static void every_order_of_three_is_equally_likely(void **state)
{
    (void)state;
    enum {
        N = 60000
    };
    int counts[27] = {0};
    tl_rng rng = seeded(tl_test_seed());
    for (int i = 0; i < N; i++) {
        int order[3] = {0};
        tl_rng_permutation(&rng, 3, order);
        counts[order[0] * 9 + order[1] * 3 + order[2]]++;
    }
    static const int orders[] = {5, 7, 11, 15, 19, 21};
    for (size_t i = 0; i < TL_COUNT(orders); i++) {
        assert_close(counts[orders[i]], N / 6.0, 5 * sqrt(N / 6.0));
    }
}

static void a_choice_has_no_repeats_and_reaches_every_member(void **state)
{
    (void)state;
    enum {
        N = 12,
        K = 5,
        ROUNDS = 12000
    };
    int counts[N] = {0};
    int scratch[N];
    tl_rng rng = seeded(tl_test_seed());
    for (int r = 0; r < ROUNDS; r++) {
        int chosen[K] = {0};
        unsigned seen = 0;
        tl_rng_choose(&rng, N, K, scratch, chosen);
        for (int i = 0; i < K; i++) {
            assert_true(0 <= chosen[i] && chosen[i] < N);
            assert_int_equal(seen & (1U << chosen[i]), 0);
            seen |= 1U << chosen[i];
            counts[chosen[i]]++;
        }
    }
    for (int i = 0; i < N; i++) {
        assert_close(counts[i], (double)ROUNDS * K / N, 5 * sqrt((double)ROUNDS * K / N));
    }
    tl_rng_choose(&rng, N, 0, scratch, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bits_are_those_of_the_published_generator),
        cmocka_unit_test(a_split_is_reproducible_and_leaves_the_parent_one_step_on),
        cmocka_unit_test(uniform_and_normal_have_their_moments),
        cmocka_unit_test(below_is_uniform_and_stays_below),
        cmocka_unit_test(a_permutation_holds_every_index_once),
        cmocka_unit_test(every_order_of_three_is_equally_likely),
        cmocka_unit_test(a_choice_has_no_repeats_and_reaches_every_member),
    };
    return cmocka_run_group_tests_name("numerics/rng", tests, NULL, NULL);
}
