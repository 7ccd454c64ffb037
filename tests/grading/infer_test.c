/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "grading/hmc.h"
#include "grading/infer.h"
#include "grading/metrics.h"
#include "grading/scales.h"
#include "numerics/gemm.h"
#include "numerics/linalg.h"
#include "numerics/stats.h"

#include <math.h>
#include <string.h>

/* A linear world of which the scales are known. */
typedef struct world {
    tl_infer_problem problem;
    tl_dmat x, query, unlabelled;
    double *y, *truth; /* truth [m]: measured at the queries */
    tl_infer_answer answer, exact;
} world;

enum {
    SAMPLES = 40,
    QUERIES = 400,
    WIDTH = 12
};

static const double noise_sd = .1;
static const double prior_sd = .5;

static void fill(tl_rng *rng, double scale, tl_dmat x)
{
    for (int i = 0; i < x.rows; i++) {
        for (int j = 0; j < x.cols; j++) {
            tl_dmat_row(x, i)[j] = scale * tl_rng_normal(rng);
        }
    }
}

static double *new_array(int n)
{
    double *array = tl_mem_new((size_t)n, sizeof *array);
    assert_non_null(array);
    return array;
}

static void value(tl_rng *rng, tl_dmat x, const double *w, double *y)
{
    for (int i = 0; i < x.rows; i++) {
        y[i] = tl_ddot(x.cols, tl_dmat_row(x, i), w) + noise_sd * tl_rng_normal(rng);
    }
}

static void world_init(world *out, uint64_t seed)
{
    tl_rng rng;
    double w[WIDTH];
    world t = {.y = new_array(SAMPLES), .truth = new_array(QUERIES)};
    tl_rng_init(&rng, seed);
    assert_ok(tl_dmat_init(&t.x, SAMPLES, WIDTH));
    assert_ok(tl_dmat_init(&t.query, QUERIES, WIDTH));
    assert_ok(tl_dmat_init(&t.unlabelled, 30, WIDTH));
    fill(&rng, 1, t.x);
    fill(&rng, 1, t.query);
    fill(&rng, 1, t.unlabelled);
    for (int j = 0; j < WIDTH; j++) {
        w[j] = prior_sd * tl_rng_normal(&rng);
    }
    value(&rng, t.x, w, t.y);
    value(&rng, t.query, w, t.truth);
    t.problem = (tl_infer_problem){
        .x = tl_dro(t.x),
        .y = t.y,
        .query = tl_dro(t.query),
        .unlabelled = tl_dro(t.unlabelled),
        .prior_variance = prior_sd * prior_sd,
        .noise_variance = noise_sd * noise_sd,
        .seed = seed};
    t.answer = (tl_infer_answer){.mean = new_array(QUERIES), .sd = new_array(QUERIES)};
    t.exact = (tl_infer_answer){.mean = new_array(QUERIES), .sd = new_array(QUERIES)};
    *out = t;
}

static void world_done(world *t)
{
    tl_dmat_done(&t->x);
    tl_dmat_done(&t->query);
    tl_dmat_done(&t->unlabelled);
    tl_mem_free(t->y);
    tl_mem_free(t->truth);
    tl_mem_free(t->answer.mean);
    tl_mem_free(t->answer.sd);
    tl_mem_free(t->exact.mean);
    tl_mem_free(t->exact.sd);
}

static tl_graded graded(const world *t)
{
    return (tl_graded){
        .n = QUERIES,
        .y = t->truth,
        .mean = t->answer.mean,
        .sd = t->answer.sd,
        .dof = t->answer.dof};
}

static void run(world *t, const char *method)
{
    const tl_infer_method *found = tl_infer_find(method);
    assert_non_null(found);
    assert_ok(found->run(&t->problem, &t->answer));
}

/* KL of the exact posterior from the method's, a query. */
static double distance(world *t, const char *method)
{
    assert_ok(tl_infer_find("gp")->run(&t->problem, &t->exact));
    run(t, method);
    tl_graded p = graded(t);
    return tl_grade_distance(QUERIES, t->exact.mean, t->exact.sd, &p);
}

/* ---- the exact posterior -------------------------------------------------------------------- */

/* mean = q . A^-1 x^T y / t^2 and var = q^T A^-1 q + t^2, solved in the space of weights. */
static void the_closed_form_agrees_with_the_space_of_weights(void **state)
{
    world t;
    tl_dmat a;
    double w[WIDTH];
    double turned[WIDTH];
    (void)state;
    world_init(&t, tl_test_seed());
    run(&t, "gp");
    assert_ok(tl_dmat_init(&a, WIDTH, WIDTH));
    tl_dsyrk(1 / t.problem.noise_variance, TL_T, t.problem.x, 0, a);
    for (int j = 0; j < WIDTH; j++) {
        tl_dmat_row(a, j)[j] += 1 / t.problem.prior_variance;
    }
    assert_ok(tl_chol(a));
    tl_dgemv(1 / t.problem.noise_variance, TL_T, t.problem.x, t.y, 0, w);
    tl_chol_solve(tl_dro(a), w);
    for (int i = 0; i < QUERIES; i++) {
        const double *q = tl_dmat_row(t.query, i);
        memcpy(turned, q, sizeof turned);
        tl_chol_solve(tl_dro(a), turned);
        double variance = tl_ddot(WIDTH, q, turned) + t.problem.noise_variance;
        assert_close(t.answer.mean[i], tl_ddot(WIDTH, q, w), 1e-9);
        assert_close(t.answer.sd[i], sqrt(variance), 1e-9);
    }
    tl_dmat_done(&a);
    world_done(&t);
}

static void the_scales_of_largest_evidence_are_near_the_true_ones(void **state)
{
    world t;
    double log_noise = 0;
    double log_prior = 0;
    (void)state;
    for (int k = 0; k < 5; k++) {
        world_init(&t, tl_test_seed() + (uint64_t)k);
        assert_ok(tl_infer_scales(&t.problem));
        log_noise += log(sqrt(t.problem.noise_variance) / noise_sd) / 5;
        log_prior += log(sqrt(t.problem.prior_variance) / prior_sd) / 5;
        world_done(&t);
    }
    assert_close(log_noise, 0, .4);
    assert_close(log_prior, 0, .4);
}

static void the_slope_of_the_scales_is_that_of_differences(void **state)
{
    static const double step = 1e-5;
    world t;
    tl_scales scales;
    double gradient[2];
    double ignored[2];
    (void)state;
    world_init(&t, tl_test_seed());
    assert_ok(tl_scales_init(t.problem.x, t.y, &scales));
    double at[] = {scales.centre[0] + .3, scales.centre[1] - .7};
    (void)tl_scales_log_density(&scales, at, gradient);
    for (int k = 0; k < 2; k++) {
        double above[] = {at[0], at[1]};
        double below[] = {at[0], at[1]};
        above[k] += step;
        below[k] -= step;
        double slope = (tl_scales_log_density(&scales, above, ignored) -
                        tl_scales_log_density(&scales, below, ignored)) /
                       (2 * step);
        assert_close(gradient[k], slope, 1e-4 * fabs(slope) + 1e-6);
    }
    tl_scales_done(&scales);
    world_done(&t);
}

static double scales_density(void *context, const double *at, double *gradient)
{
    return tl_scales_log_density(context, at, gradient);
}

/* Mean of each scale's logarithm by summing over a fine grid. */
static void sum_grid(const tl_scales *scales, double *out_mean)
{
    enum {
        POINTS = 300
    };
    double best[2];
    double gradient[2];
    double total = 0;
    tl_scales_best(scales, best);
    double most = tl_scales_log_density(scales, best, gradient);
    out_mean[0] = 0;
    out_mean[1] = 0;
    for (int i = 0; i < POINTS; i++) {
        for (int j = 0; j < POINTS; j++) {
            double at[] = {
                best[0] + 3 * (2.0 * i / (POINTS - 1) - 1),
                best[1] + 3 * (2.0 * j / (POINTS - 1) - 1)};
            double weight = exp(tl_scales_log_density(scales, at, gradient) - most);
            total += weight;
            out_mean[0] += weight * at[0];
            out_mean[1] += weight * at[1];
        }
    }
    out_mean[0] /= total;
    out_mean[1] /= total;
}

static void hmc_draws_the_scales_that_a_grid_sums_to(void **state)
{
    enum {
        DRAWS = 4000
    };
    world t;
    tl_rng rng;
    tl_scales scales;
    tl_dmat draws;
    double column[DRAWS];
    double mean[2];
    double at[2];
    double acceptance = 0;
    (void)state;
    world_init(&t, tl_test_seed());
    assert_ok(tl_scales_init(t.problem.x, t.y, &scales));
    assert_ok(tl_dmat_init(&draws, DRAWS, 2));
    tl_rng_init(&rng, tl_test_seed());
    tl_scales_best(&scales, at);
    tl_hmc_target target = {.d = 2, .log_density = scales_density, .context = &scales};
    tl_hmc_options options = {.n_warm = 300, .n_leaps = 10, .step = .1, .acceptance = .8};
    assert_ok(tl_hmc_sample(&target, &options, &rng, at, draws, &acceptance));
    sum_grid(&scales, mean);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < DRAWS; i++) {
            column[i] = tl_dmat_row(draws, i)[k];
        }
        assert_close(tl_mean(DRAWS, column), mean[k], .2 * tl_sd(DRAWS, column));
    }
    tl_scales_done(&scales);
    tl_dmat_done(&draws);
    world_done(&t);
}

static void damaged_targets_have_no_scales(void **state)
{
    world t;
    (void)state;
    world_init(&t, tl_test_seed());
    tl_dmat_row(t.x, 0)[0] = (double)NAN;
    assert_err(TL_ENUMERIC, tl_infer_scales(&t.problem));
    world_done(&t);
}

/* ---- HMC ---------------------------------------------------------------------------------------- */

/* log density of the linear model's posterior, and its gradient, in plain weights. */
static double linear_density(void *context, const double *w, double *gradient)
{
    const tl_infer_problem *p = context;
    double residual[SAMPLES];
    memcpy(residual, p->y, sizeof residual);
    tl_dgemv(-1, TL_N, p->x, w, 1, residual);
    tl_dgemv(1 / p->noise_variance, TL_T, p->x, residual, 0, gradient);
    double norm = 0;
    for (int j = 0; j < WIDTH; j++) {
        gradient[j] -= w[j] / p->prior_variance;
        norm += w[j] * w[j];
    }
    return -tl_ddot(SAMPLES, residual, residual) / (2 * p->noise_variance) -
           norm / (2 * p->prior_variance);
}

static void hmc_draws_the_exact_posterior_of_a_linear_model(void **state)
{
    enum {
        DRAWS = 3000
    };
    world t;
    tl_rng rng;
    tl_dmat draws;
    tl_dmat values;
    double w[WIDTH] = {0};
    double acceptance = 0;
    (void)state;
    world_init(&t, tl_test_seed());
    run(&t, "gp");
    tl_rng_init(&rng, tl_test_seed());
    assert_ok(tl_dmat_init(&draws, DRAWS, WIDTH));
    assert_ok(tl_dmat_init(&values, DRAWS, QUERIES));
    tl_hmc_target target = {.d = WIDTH, .log_density = linear_density, .context = &t.problem};
    tl_hmc_options options = {.n_warm = 500, .n_leaps = 15, .step = .01, .acceptance = .8};
    assert_ok(tl_hmc_sample(&target, &options, &rng, w, draws, &acceptance));
    assert_close(acceptance, .8, .12);
    tl_dgemm(1, TL_N, tl_dro(draws), TL_T, t.problem.query, 0, values);
    for (int i = 0; i < QUERIES; i++) {
        double column[DRAWS];
        for (int k = 0; k < DRAWS; k++) {
            column[k] = tl_dmat_row(values, k)[i];
        }
        double sd = sqrt(t.answer.sd[i] * t.answer.sd[i] - t.problem.noise_variance);
        assert_close(tl_mean(DRAWS, column), t.answer.mean[i], .2 * sd);
        assert_close(tl_sd(DRAWS, column) / sd, 1, .15);
    }
    tl_dmat_done(&draws);
    tl_dmat_done(&values);
    world_done(&t);
}

static double no_density(void *context, const double *w, double *gradient)
{
    (void)context;
    gradient[0] = w[0];
    return (double)NAN;
}

static void hmc_refuses_a_start_without_density(void **state)
{
    tl_rng rng;
    tl_dmat draws;
    double w[1] = {0};
    double acceptance = 0;
    tl_hmc_target target = {.d = 1, .log_density = no_density};
    tl_hmc_options options = {.n_warm = 1, .n_leaps = 1, .step = 1, .acceptance = .8};
    (void)state;
    tl_rng_init(&rng, 1);
    assert_ok(tl_dmat_init(&draws, 1, 1));
    assert_err(TL_ENUMERIC, tl_hmc_sample(&target, &options, &rng, w, draws, &acceptance));
    tl_dmat_done(&draws);
}

/* ---- the other methods ---------------------------------------------------------------------------- */

static void hmc_over_the_scales_is_near_the_exact_posterior(void **state)
{
    world t;
    (void)state;
    world_init(&t, tl_test_seed());
    /* with 40 samples of 12 weights the scales are all but known */
    assert_true(distance(&t, "hmc") < .3);
    world_done(&t);
}

static void mean_field_has_the_exact_mean_and_too_small_a_spread(void **state)
{
    world t;
    (void)state;
    world_init(&t, tl_test_seed());
    double nats = distance(&t, "mean-field");
    assert_true(nats > 1e-5);
    double narrower = 0;
    for (int i = 0; i < QUERIES; i++) {
        assert_close(t.answer.mean[i], t.exact.mean[i], 1e-9);
        narrower += t.answer.sd[i] < t.exact.sd[i];
    }
    assert_true(narrower / QUERIES > .6);
    world_done(&t);
}

static void repulsive_heads_keep_apart_around_the_exact_mean(void **state)
{
    world t;
    double ratio = 0;
    double off = 0;
    (void)state;
    world_init(&t, tl_test_seed());
    (void)distance(&t, "repulsive");
    for (int i = 0; i < QUERIES; i++) {
        double noise = t.problem.noise_variance;
        double exact = sqrt(t.exact.sd[i] * t.exact.sd[i] - noise);
        ratio += sqrt(fmax(t.answer.sd[i] * t.answer.sd[i] - noise, 0)) / exact / QUERIES;
        off += fabs(t.answer.mean[i] - t.exact.mean[i]) / exact / QUERIES;
    }
    /* ten heads cannot fill twelve dimensions, but they do not fall onto one point */
    assert_true(ratio > .3 && ratio < 3);
    assert_true(off < 1);
    world_done(&t);
}

static void networks_learn_the_function(void **state)
{
    static const char *const names[] = {"ensemble", "dropout"};
    world t;
    (void)state;
    world_init(&t, tl_test_seed());
    double spread = tl_sd(QUERIES, t.truth);
    for (size_t k = 0; k < TL_COUNT(names); k++) {
        run(&t, names[k]);
        tl_graded p = graded(&t);
        assert_true(tl_grade_rmse(&p) < .8 * spread);
        assert_true(tl_sd(QUERIES, t.answer.sd) > 0);
    }
    world_done(&t);
}

static void every_method_of_the_table_answers_and_says_what_it_keeps(void **state)
{
    world t;
    (void)state;
    world_init(&t, tl_test_seed());
    assert_true(tl_infer_n_methods >= 7);
    for (int k = 0; k < tl_infer_n_methods; k++) {
        const tl_infer_method *method = &tl_infer_methods[k];
        assert_ptr_equal(tl_infer_find(method->name), method);
        if (!tl_infer_can_run(method, &t.problem)) {
            assert_err(TL_ESTATE, method->run(&t.problem, &t.answer));
            continue;
        }
        t.answer.kept_bytes = 0;
        assert_ok(method->run(&t.problem, &t.answer));
        assert_true(t.answer.kept_bytes > 0);
        for (int i = 0; i < QUERIES; i++) {
            assert_true(isfinite(t.answer.mean[i]) && t.answer.sd[i] >= noise_sd / 2);
        }
    }
    assert_null(tl_infer_find("nobody"));
    world_done(&t);
}

static void the_same_seed_gives_the_same_bits(void **state)
{
    world t;
    (void)state;
    world_init(&t, tl_test_seed());
    for (int k = 0; k < tl_infer_n_methods; k++) {
        const char *name = tl_infer_methods[k].name;
        if (tl_infer_can_run(&tl_infer_methods[k], &t.problem)) {
            run(&t, name);
            memcpy(t.exact.mean, t.answer.mean, QUERIES * sizeof *t.exact.mean);
            run(&t, name);
            assert_memory_equal(t.exact.mean, t.answer.mean, QUERIES * sizeof *t.exact.mean);
        }
    }
    world_done(&t);
}

static void memory_that_runs_out_is_an_error_and_nothing_leaks(void **state)
{
    enum {
        MOST_BLOCKS = 1000
    };
    world t;
    (void)state;
    world_init(&t, tl_test_seed());
    for (int k = 0; k < tl_infer_n_methods; k++) {
        const tl_infer_method *method = &tl_infer_methods[k];
        if (!tl_infer_can_run(method, &t.problem)) {
            continue;
        }
        long at = 1;
        for (; at <= MOST_BLOCKS; at++) {
            tl_mem_fail_at(at);
            tl_err err = method->run(&t.problem, &t.answer);
            tl_mem_fail_at(0);
            if (err == TL_OK) {
                break;
            }
            assert_err(TL_ENOMEM, err);
        }
        assert_true(at > 1 && at <= MOST_BLOCKS);
    }
    world_done(&t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(the_closed_form_agrees_with_the_space_of_weights),
        TEST(the_scales_of_largest_evidence_are_near_the_true_ones),
        TEST(the_slope_of_the_scales_is_that_of_differences),
        TEST(hmc_draws_the_scales_that_a_grid_sums_to),
        TEST(damaged_targets_have_no_scales),
        TEST(hmc_draws_the_exact_posterior_of_a_linear_model),
        TEST(hmc_refuses_a_start_without_density),
        TEST(hmc_over_the_scales_is_near_the_exact_posterior),
        TEST(mean_field_has_the_exact_mean_and_too_small_a_spread),
        TEST(repulsive_heads_keep_apart_around_the_exact_mean),
        TEST(networks_learn_the_function),
        TEST(every_method_of_the_table_answers_and_says_what_it_keeps),
        TEST(the_same_seed_gives_the_same_bits),
        TEST(memory_that_runs_out_is_an_error_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
