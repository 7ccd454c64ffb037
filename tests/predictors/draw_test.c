/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "numerics/stats.h"
#include "predictors/predictor.h"

#include <math.h>
#include <stdio.h>

/* Joint draws of a view: what a choice among designs is simulated with. */
enum {
    N_SAMPLES = 12,
    N_DESIGNS = 20,
    N_DRAWS = 4000
};

typedef struct world {
    tl_space *space;
    tl_predictor *predictor;
    tl_choice *designs; /* N_SAMPLES measured ones, then N_DESIGNS others */
    double latency[N_SAMPLES], energy[N_SAMPLES];
} world;

static world make(void)
{
    static const double op_cost[5] = {0, .1, 1, 4, .5};
    char path[512];
    world w = {0};
    tl_rng rng;
    (void)snprintf(path, sizeof path, "%s/spaces/nasbench201.yaml", tl_test_source_dir());
    assert_ok(tl_space_load(path, &w.space));
    assert_ok(tl_predictor_new(w.space, NULL, &w.predictor));
    size_t n_slots = (size_t)tl_space_n_slots(w.space);
    w.designs = tl_mem_new((N_SAMPLES + N_DESIGNS) * n_slots, sizeof *w.designs);
    assert_non_null(w.designs);
    tl_rng_init(&rng, tl_test_seed());
    for (size_t i = 0; i < N_SAMPLES + N_DESIGNS; i++) {
        tl_space_sample(w.space, &rng, w.designs + i * n_slots);
        for (int e = 0; e < 6 && i < N_SAMPLES; e++) {
            w.latency[i] += op_cost[w.designs[i * n_slots + (size_t)e]];
        }
        if (i < N_SAMPLES) {
            w.latency[i] = (2 + w.latency[i]) * (1 + .05 * tl_rng_normal(&rng));
            w.energy[i] = 3 * w.latency[i];
        }
    }
    return w;
}

static void unmake(world *w)
{
    tl_predictor_unref(w->predictor);
    tl_space_unref(w->space);
    tl_mem_free(w->designs);
}

static const tl_choice *others(const world *w)
{
    return w->designs + N_SAMPLES * (ptrdiff_t)tl_space_n_slots(w->space);
}

static tl_view *measured_view(const world *w)
{
    tl_view *view = NULL;
    tl_view_data data = {
        .device = "new",
        .samples = {{w->designs, w->latency, N_SAMPLES}, {w->designs, w->energy, N_SAMPLES}}
    };
    assert_ok(tl_view_new(w->predictor, &data, &view));
    return view;
}

static void column_of(tl_dmat draws, int j, double *out)
{
    for (int i = 0; i < draws.rows; i++) {
        out[i] = tl_dmat_row(draws, i)[j];
    }
}

static double correlation(int n, const double *x, const double *y)
{
    double mx = tl_mean(n, x);
    double my = tl_mean(n, y);
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += (x[i] - mx) * (y[i] - my);
    }
    return sum / (n * tl_sd(n, x) * tl_sd(n, y));
}

static void draws_have_the_predicted_mean_and_deviation(void **state)
{
    (void)state;
    static double column[N_DRAWS];
    static tl_prediction p[N_DESIGNS];
    world w = make();
    tl_view *view = measured_view(&w);
    tl_dmat draws = {0};
    tl_rng rng;
    tl_rng_init(&rng, 1);
    assert_ok(tl_dmat_init(&draws, N_DRAWS, N_DESIGNS));
    assert_ok(tl_view_predict(view, others(&w), N_DESIGNS, p));
    for (int c = 0; c < TL_N_COSTS; c++) {
        assert_ok(tl_view_draw(view, (tl_cost)c, others(&w), N_DESIGNS, &rng, draws));
        for (int j = 0; j < N_DESIGNS; j++) {
            double mean = c == TL_COST_LATENCY ? p[j].latency_ms : p[j].energy_mj;
            double sd = c == TL_COST_LATENCY ? p[j].latency_std_ms : p[j].energy_std_mj;
            column_of(draws, j, column);
            assert_close(tl_median_inplace(N_DRAWS, column), mean, .1 * sd);
            column_of(draws, j, column);
            if (mean > 4 * sd) { /* nearer to 0 draws are kept positive */
                assert_close(tl_sd(N_DRAWS, column) / sd, 1, .1);
            }
        }
    }
    tl_dmat_done(&draws);
    tl_view_unref(view);
    unmake(&w);
}

static void without_measurements_designs_share_the_unknown_level(void **state)
{
    (void)state;
    static double a[N_DRAWS];
    static double b[N_DRAWS];
    world w = make();
    tl_view *view = NULL;
    tl_dmat draws = {0};
    tl_profile profile;
    tl_rng rng;
    tl_rng_init(&rng, 1);
    assert_ok(tl_profile_bare("board", &profile));
    profile.peak_gflops[TL_FP32] = 50;
    profile.bandwidth_gb_per_s[TL_DRAM] = 10;
    tl_view_data data = {.device = "board", .profile = &profile};
    assert_ok(tl_view_new(w.predictor, &data, &view));
    assert_ok(tl_dmat_init(&draws, N_DRAWS, N_DESIGNS));
    assert_ok(tl_view_draw(view, TL_COST_LATENCY, others(&w), N_DESIGNS, &rng, draws));
    for (int i = 0; i < N_DRAWS; i++) {
        a[i] = log(tl_dmat_row(draws, i)[0]);
        b[i] = log(tl_dmat_row(draws, i)[1]);
    }
    assert_true(correlation(N_DRAWS, a, b) > .7);
    assert_err(
        TL_ESTATE, tl_view_draw(view, TL_COST_ENERGY, others(&w), N_DESIGNS, &rng, draws));
    assert_detail("energy_mj");
    tl_dmat_done(&draws);
    tl_view_unref(view);
    unmake(&w);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    world w = make();
    tl_view *view = measured_view(&w);
    tl_dmat draws = {0};
    tl_rng rng;
    tl_rng_init(&rng, 1);
    assert_ok(tl_dmat_init(&draws, 10, N_DESIGNS));
    for (int c = 0; c < TL_N_COSTS; c++) {
        tl_err err = TL_ENOMEM;
        for (long k = 1; err != TL_OK; k++) {
            long live_before = tl_mem_live();
            tl_mem_fail_at(k);
            err = tl_view_draw(view, (tl_cost)c, others(&w), N_DESIGNS, &rng, draws);
            tl_mem_fail_at(0);
            assert_int_equal(tl_mem_live(), live_before);
        }
    }
    tl_dmat_done(&draws);
    tl_view_unref(view);
    unmake(&w);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(draws_have_the_predicted_mean_and_deviation),
        TEST(without_measurements_designs_share_the_unknown_level),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("predictors/draw", tests, NULL, NULL);
}
