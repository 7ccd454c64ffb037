/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "base/units.h"
#include "grading/metrics.h"
#include "numerics/rng.h"
#include "numerics/stats.h"

#include <math.h>
#include <stdio.h>

enum {
    N = 20000
};

static const double infinite = (double)INFINITY;

/* Four predictions whose figures can be worked out by hand. */
static const double y4[] = {1, 2, 4, 5};
static const double mean4[] = {1, 3, 4, 3};
static const double sd4[] = {.5, 1, .5, 2};

static tl_graded four(void)
{
    return (tl_graded){.n = 4, .y = y4, .mean = mean4, .sd = sd4, .dof = infinite};
}

static void errors_are_those_worked_out_by_hand(void **state)
{
    tl_graded p = four();
    (void)state;
    assert_close(tl_grade_rmse(&p), sqrt(5.0 / 4), 1e-12);
    assert_close(tl_grade_mape(&p, 1), (.5 + .4) / 4, 1e-12);
    assert_close(tl_grade_mape(&p, 3), .4 / 2, 1e-12);
    assert_close(tl_grade_mape(&p, 9), 0, 0);
}

static void the_likelihood_is_the_density_of_a_normal_and_of_student(void **state)
{
    static const double one = 1;
    static const double zero = 0;
    static const double two = 2;
    tl_graded p = {.n = 1, .y = &one, .mean = &zero, .sd = &two, .dof = infinite};
    (void)state;
    assert_close(tl_grade_nll(&p), .125 + log(2) + .5 * log(2 * 3.14159265358979), 1e-9);
    p.dof = 1; /* Cauchy: 1 / (pi s (1 + z^2)) */
    assert_close(tl_grade_nll(&p), log(3.14159265358979 * 2 * 1.25), 1e-9);
    p.dof = 3; /* 6 sqrt(3) / (pi (3 + z^2)^2) */
    double density = 6 * sqrt(3) / (3.14159265358979 * pow(3.25, 2)) / 2;
    assert_close(tl_grade_nll(&p), -log(density), 1e-9);
}

static double log_of(const void *context, double y)
{
    (void)context;
    return log(y);
}

static double exp_of(const void *context, double score)
{
    (void)context;
    return exp(score);
}

static void a_mapped_prediction_is_a_density_of_the_value(void **state)
{
    static const double y = 2;
    static const double mean = 1;
    static const double sd = 1;
    static const double zero = 0;
    static const double half = .5;
    static const tl_grade_map map = {log_of, exp_of, NULL};
    tl_graded p = {
        .n = 1,
        .y = &y,
        .mean = &mean,
        .sd = &sd,
        .dof = infinite,
        .map = &map,
        .score = &zero,
        .scale = &half};
    (void)state;
    /* lognormal: -log density = z^2 / 2 + log(scale) + log(y) + log(2 pi) / 2 */
    double z = log(2) / .5;
    double nll = z * z / 2 + log(.5) + log(2) + .5 * log(2 * 3.14159265358979);
    assert_close(tl_grade_nll(&p), nll, 1e-6);
    assert_close(tl_grade_coverage(&p, .8), 0, 0); /* z is 1.39 */
    assert_close(tl_grade_coverage(&p, .9), 1, 0);
    double t = tl_normal_quantile(.9);
    assert_close(tl_grade_width(&p, .8), exp(.5 * t) - exp(-.5 * t), 1e-9);
}

static void intervals_cover_what_they_reach_and_are_as_wide_as_said(void **state)
{
    tl_graded p = four();
    (void)state;
    /* |y - mean| / sd: 0, 1, 0, 1; an 80% interval reaches 1.28, a 50% one .67 */
    assert_close(tl_grade_coverage(&p, .8), 1, 0);
    assert_close(tl_grade_coverage(&p, .5), .5, 0);
    assert_close(tl_grade_width(&p, .95), 2 * 1.959964 * 1, 1e-5);
}

/* y drawn as claimed, the sd claimed multiplied by factor. */
static void draw(tl_rng *rng, double factor, double *y, double *mean, double *sd)
{
    for (int i = 0; i < N; i++) {
        mean[i] = tl_rng_normal(rng);
        sd[i] = .5 + tl_rng_uniform(rng);
        y[i] = mean[i] + sd[i] * tl_rng_normal(rng);
        sd[i] *= factor;
    }
}

static void calibrated_predictions_have_a_straight_curve_and_others_not(void **state)
{
    static double y[N], mean[N], sd[N];
    double observed[9];
    tl_rng rng;
    tl_graded p = {.n = N, .y = y, .mean = mean, .sd = sd, .dof = infinite};
    (void)state;
    tl_rng_init(&rng, tl_test_seed());
    draw(&rng, 1, y, mean, sd);
    assert_close(tl_grade_calibration(&p, 9, observed), 0, .01);
    assert_close(observed[4], .5, .02);
    assert_close(tl_grade_coverage(&p, .95), .95, .01);
    draw(&rng, .25, y, mean, sd);
    /* of an sd four times too small, the 10% quantile has P(z < -1.2816 / 4) below it */
    (void)tl_grade_calibration(&p, 9, observed);
    assert_close(observed[0], tl_normal_cdf(-1.2815516 / 4), .02);
    assert_true(tl_grade_calibration(&p, 9, observed) > .1);
}

static void rejecting_the_uncertain_leaves_the_smaller_errors(void **state)
{
    tl_graded p = four();
    double error[2];
    double area = 0;
    (void)state;
    assert_ok(tl_grade_rejection(&p, 2, error, &area));
    assert_close(error[0], sqrt(5.0 / 4), 1e-12);
    assert_close(error[1], 0, 1e-12); /* the two of sd .5 are exact */
    assert_close(area, .5, 1e-12);
}

static void an_uncertainty_that_says_nothing_has_an_area_of_one(void **state)
{
    static const double same[] = {1, 1, 1, 1};
    static const double off[] = {2, 1, 5, 4};
    tl_graded p = {.n = 4, .y = y4, .mean = off, .sd = same, .dof = infinite};
    double error[4];
    double area = 0;
    (void)state;
    assert_ok(tl_grade_rejection(&p, 4, error, &area));
    assert_close(area, 1, 1e-12);
}

static void auroc_is_the_share_of_pairs_in_the_right_order(void **state)
{
    static const double inside[] = {1, 2, 3};
    static const double outside[] = {2, 4};
    double auroc = 0;
    (void)state;
    assert_ok(tl_grade_auroc(3, inside, 2, outside, &auroc));
    assert_close(auroc, (1.5 + 3) / 6, 1e-12); /* 2 beats 1, ties with 2; 4 beats all */
    assert_ok(tl_grade_auroc(2, outside, 3, inside, &auroc));
    assert_close(auroc, 1.5 / 6, 1e-12);
}

static void divergence_is_zero_for_the_same_and_one_bit_for_what_is_apart(void **state)
{
    static double near[100], far[100];
    double bits = -1;
    (void)state;
    for (int i = 0; i < 100; i++) {
        near[i] = i;
        far[i] = 1000 + i;
    }
    assert_ok(tl_grade_divergence(100, near, 100, near, &bits));
    assert_close(bits, 0, 1e-12);
    assert_ok(tl_grade_divergence(100, near, 100, far, &bits));
    assert_close(bits, 1, 1e-12);
}

static void distance_is_the_divergence_of_two_normals(void **state)
{
    static const double at[] = {0};
    static const double unit[] = {1};
    static const double mean[] = {1};
    static const double sd[] = {2};
    tl_graded p = {.n = 1, .y = at, .mean = mean, .sd = sd, .dof = infinite};
    tl_graded same = {.n = 1, .y = at, .mean = at, .sd = unit, .dof = infinite};
    (void)state;
    assert_close(tl_grade_distance(1, at, unit, &same), 0, 1e-15);
    assert_close(tl_grade_distance(1, at, unit, &p), log(2) + (1 + 1) / 8.0 - .5, 1e-12);
}

static void a_decision_costs_the_gain_lost_or_the_miss(void **state)
{
    static const double y[] = {1, 2, 3};
    static const double gain[] = {70, 80, 90};
    static const double sd[] = {.1, .1, .1};
    static const double sure[] = {1, 2, 3};
    static const double wrong[] = {1, 2, 1.5}; /* the third seems to keep the limit */
    static const double timid[] = {1, 2.4, 3}; /* the second seems to break it */
    tl_graded p = {.n = 3, .y = y, .mean = sure, .sd = sd, .dof = infinite};
    tl_decision decision = {.limit = 2.2, .gain = gain, .miss_cost = 50};
    (void)state;
    assert_close(tl_grade_decision(&p, &decision), 0, 0);
    p.mean = wrong;
    assert_close(tl_grade_decision(&p, &decision), 50, 0);
    p.mean = timid;
    assert_close(tl_grade_decision(&p, &decision), 10, 0);
    /* when a miss costs next to nothing it is worth the risk */
    decision.miss_cost = 1;
    p.mean = sure;
    assert_close(tl_grade_decision(&p, &decision), 1, 0);
    decision.limit = .5;
    assert_true(isnan(tl_grade_decision(&p, &decision)));
}

static void memory_that_runs_out_is_an_error(void **state)
{
    tl_graded p = four();
    double error[2];
    double out = -1;
    (void)state;
    for (long k = 1; k <= 2; k++) {
        tl_mem_fail_at(k);
        assert_err(TL_ENOMEM, tl_grade_rejection(&p, 2, error, &out));
        tl_mem_fail_at(k);
        assert_err(TL_ENOMEM, tl_grade_auroc(4, y4, 4, sd4, &out));
    }
    tl_mem_fail_at(1);
    assert_err(TL_ENOMEM, tl_grade_divergence(4, y4, 4, sd4, &out));
    tl_mem_fail_at(0);
    assert_close(out, -1, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(errors_are_those_worked_out_by_hand),
        TEST(the_likelihood_is_the_density_of_a_normal_and_of_student),
        TEST(a_mapped_prediction_is_a_density_of_the_value),
        TEST(intervals_cover_what_they_reach_and_are_as_wide_as_said),
        TEST(calibrated_predictions_have_a_straight_curve_and_others_not),
        TEST(rejecting_the_uncertain_leaves_the_smaller_errors),
        TEST(an_uncertainty_that_says_nothing_has_an_area_of_one),
        TEST(auroc_is_the_share_of_pairs_in_the_right_order),
        TEST(divergence_is_zero_for_the_same_and_one_bit_for_what_is_apart),
        TEST(distance_is_the_divergence_of_two_normals),
        TEST(a_decision_costs_the_gain_lost_or_the_miss),
        TEST(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
