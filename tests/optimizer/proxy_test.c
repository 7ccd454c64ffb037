/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "numerics/stats.h"
#include "optimizer/proxy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * Two known devices, one that counts convolutions and one that counts pools, and a new one
 * that pays as the first does, several times as much, and more for small convolutions.
 */
enum {
    N_DESIGNS = 300,
    N_KNOWN = 2,
    N_FEW = 20
};

static const char *const names[N_KNOWN] = {"counts-convolutions", "counts-pools"};
/* none, skip, 1x1, 3x3, pool */
static const double op_cost[N_KNOWN + 1][5] = {
    {0, .1, 1,  4,  .5},
    {0, 1,  .2, .1, 3 },
    {0, .4, 4,  16, 6 },
};

typedef struct world {
    tl_space *space;
    tl_predictor *predictor;
    const tl_model *model;
    size_t n_slots;
    tl_choice *designs; /* [N_DESIGNS, n_slots] */
    double latency[N_KNOWN + 1][N_DESIGNS];
    tl_dmat rows; /* [N_DESIGNS, Ps] */
} world;

static void make_designs(world *w)
{
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    w->designs = tl_mem_new(N_DESIGNS * w->n_slots, sizeof *w->designs);
    assert_non_null(w->designs);
    for (size_t i = 0; i < N_DESIGNS; i++) {
        tl_choice *design = w->designs + i * w->n_slots;
        tl_space_sample(w->space, &rng, design);
        for (int d = 0; d <= N_KNOWN; d++) {
            w->latency[d][i] = op_cost[d][3];
            for (int e = 0; e < 6; e++) {
                w->latency[d][i] += op_cost[d][design[e]];
            }
            w->latency[d][i] *= 1 + .01 * tl_rng_normal(&rng);
        }
    }
}

static void make_model(world *w)
{
    tl_features *features = NULL;
    tl_model *model = NULL;
    tl_source sources[N_KNOWN];
    tl_source *fitted[N_KNOWN];
    assert_ok(tl_features_new(w->space, &features));
    assert_ok(tl_dmat_init(&w->rows, N_DESIGNS, tl_features_n_source(features)));
    assert_ok(tl_features_encode(features, w->designs, N_DESIGNS, (tl_dmat){0}, w->rows));
    assert_ok(tl_model_new(w->space, &model));
    for (int s = 0; s < N_KNOWN; s++) {
        assert_ok(tl_source_fit(&sources[s], tl_dro(w->rows), w->latency[s]));
        fitted[s] = &sources[s];
    }
    assert_ok(tl_sources_standardize(features, fitted, N_KNOWN));
    for (int s = 0; s < N_KNOWN; s++) {
        assert_ok(tl_model_add_source(model, names[s], TL_COST_LATENCY, &sources[s]));
    }
    tl_features_free(features);
    assert_ok(tl_predictor_new(w->space, model, &w->predictor));
    w->model = tl_predictor_model(w->predictor);
}

static world make(void)
{
    char path[512];
    world w = {0};
    (void)snprintf(path, sizeof path, "%s/spaces/nasbench201.yaml", tl_test_source_dir());
    assert_ok(tl_space_load(path, &w.space));
    w.n_slots = (size_t)tl_space_n_slots(w.space);
    make_designs(&w);
    make_model(&w);
    return w;
}

static void unmake(world *w)
{
    tl_dmat_done(&w->rows);
    tl_mem_free(w->designs);
    tl_predictor_unref(w->predictor);
    tl_space_unref(w->space);
}

static tl_view *view_of(const world *w, int n)
{
    tl_view *view = NULL;
    tl_view_data data = {.device = "new", .samples = {{w->designs, w->latency[N_KNOWN], n}}};
    assert_ok(tl_view_new(w->predictor, &data, &view));
    return view;
}

static void the_device_that_ranks_alike_comes_first(void **state)
{
    (void)state;
    world w = make();
    tl_agreement got[N_KNOWN];
    const int sizes[] = {5, N_FEW, 50};
    double width = 2;
    for (size_t k = 0; k < TL_COUNT(sizes); k++) {
        tl_view *view = view_of(&w, sizes[k]);
        assert_int_equal(tl_proxy_max_agreements(view, TL_COST_LATENCY, "new"), N_KNOWN);
        assert_ok(tl_proxy_agreements(view, TL_COST_LATENCY, "new", 1, got));
        assert_string_equal(got[0].device, names[0]);
        for (int s = 0; s < N_KNOWN; s++) {
            double truth = 0;
            assert_ok(tl_spearman(N_DESIGNS, w.latency[s], w.latency[N_KNOWN], &truth));
            assert_true(got[s].low < got[s].spearman && got[s].spearman < got[s].high);
            assert_true(got[s].low < truth + .1 && truth - .1 < got[s].high);
        }
        assert_true(got[0].high - got[0].low < width);
        width = got[0].high - got[0].low + .01; /* more measurements, no wider */
        tl_view_unref(view);
    }
    assert_true(got[0].spearman > TL_PROXY_REUSABLE);
    assert_true(got[1].spearman < .5);
    unmake(&w);
}

static void a_device_is_not_its_own_proxy(void **state)
{
    (void)state;
    world w = make();
    tl_agreement got[N_KNOWN];
    tl_view *view = view_of(&w, N_FEW);
    assert_int_equal(tl_proxy_max_agreements(view, TL_COST_LATENCY, names[0]), 1);
    assert_int_equal(tl_proxy_max_agreements(view, TL_COST_ENERGY, "new"), 0);
    assert_ok(tl_proxy_agreements(view, TL_COST_LATENCY, names[0], 1, got));
    assert_string_equal(got[0].device, names[1]);
    tl_view_unref(view);
    view = view_of(&w, 0);
    assert_err(TL_ESTATE, tl_proxy_agreements(view, TL_COST_LATENCY, "new", 1, got));
    tl_view_unref(view);
    unmake(&w);
}

/* Median relative error on designs that it was not fitted to. */
static double error_of(const world *w, int device, const tl_adapted *adapted)
{
    static double values[N_DESIGNS];
    assert_ok(tl_adapted_predict(adapted, tl_dro(w->rows), values));
    for (int i = 0; i < N_DESIGNS; i++) {
        values[i] = fabs(values[i] / w->latency[device][i] - 1);
    }
    return tl_median_inplace(N_DESIGNS - N_FEW, values + N_FEW);
}

static void where_ranks_differ_adapting_tells_more_than_scaling(void **state)
{
    (void)state;
    world w = make();
    const tl_source *proxy = &tl_model_source_find(w.model, names[0], TL_COST_LATENCY)->source;
    tl_dcmat few = tl_dcmat_rows(tl_dro(w.rows), 0, N_FEW);
    tl_adapted scaled = {0};
    tl_adapted adapted = {0};
    assert_ok(tl_proxy_scale(proxy, few, w.latency[N_KNOWN], &scaled)); /* which ranks alike */
    assert_ok(tl_proxy_adapt(proxy, few, w.latency[N_KNOWN], &adapted));
    assert_true(error_of(&w, N_KNOWN, &scaled) < .15);
    assert_true(error_of(&w, N_KNOWN, &adapted) < .15);
    tl_adapted_done(&scaled);
    tl_adapted_done(&adapted);
    assert_ok(tl_proxy_scale(proxy, few, w.latency[1], &scaled)); /* which does not */
    assert_ok(tl_proxy_adapt(proxy, few, w.latency[1], &adapted));
    assert_true(error_of(&w, 1, &adapted) < .7 * error_of(&w, 1, &scaled));
    assert_true(adapted.relative_sd < scaled.relative_sd);
    assert_true(adapted.relative_sd > .5 * error_of(&w, 1, &adapted));
    tl_adapted_done(&scaled);
    tl_adapted_done(&adapted);
    unmake(&w);
}

static void one_measurement_sets_the_unit(void **state)
{
    (void)state;
    world w = make();
    const tl_source *proxy = &tl_model_source_find(w.model, names[0], TL_COST_LATENCY)->source;
    tl_dcmat one = tl_dcmat_rows(tl_dro(w.rows), 0, 1);
    tl_adapted fitted = {0};
    double value = 0;
    assert_ok(tl_proxy_scale(proxy, one, w.latency[N_KNOWN], &fitted));
    assert_ok(tl_adapted_predict(&fitted, one, &value));
    assert_close(value, w.latency[N_KNOWN][0], 1e-9 * value);
    assert_close(fitted.relative_sd, proxy->loo_sd, 1e-12);
    tl_adapted_done(&fitted);
    assert_ok(tl_proxy_adapt(proxy, one, w.latency[N_KNOWN], &fitted));
    assert_ok(tl_adapted_predict(&fitted, one, &value));
    assert_close(value, w.latency[N_KNOWN][0], .2 * value);
    tl_adapted_done(&fitted);
    unmake(&w);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    world w = make();
    tl_agreement got[N_KNOWN];
    tl_view *view = view_of(&w, N_FEW);
    const tl_source *proxy = &tl_model_source_find(w.model, names[0], TL_COST_LATENCY)->source;
    tl_dcmat few = tl_dcmat_rows(tl_dro(w.rows), 0, N_FEW);
    double values[N_FEW];
    tl_err err = TL_ENOMEM;
    for (long k = 1; err != TL_OK; k++) {
        tl_adapted scaled = {0};
        tl_adapted adapted = {0};
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        if ((err = tl_proxy_scale(proxy, few, w.latency[N_KNOWN], &scaled)) == TL_OK &&
            (err = tl_proxy_adapt(proxy, few, w.latency[N_KNOWN], &adapted)) == TL_OK &&
            (err = tl_adapted_predict(&adapted, few, values)) == TL_OK) {
            err = tl_proxy_agreements(view, TL_COST_LATENCY, "new", 1, got);
        }
        tl_mem_fail_at(0);
        tl_adapted_done(&scaled);
        tl_adapted_done(&adapted);
        assert_int_equal(tl_mem_live(), live_before);
        k += k / 8;
    }
    tl_view_unref(view);
    unmake(&w);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_device_that_ranks_alike_comes_first),
        TEST(a_device_is_not_its_own_proxy),
        TEST(where_ranks_differ_adapting_tells_more_than_scaling),
        TEST(one_measurement_sets_the_unit),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("optimizer/proxy", tests, NULL, NULL);
}
