/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "predictors/listed.h"
#include "predictors/predictor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    N = 40 /* designs: too few for the listing to be predicted */
};

typedef struct world {
    tl_predictor *predictor;
    const tl_choice *listing;
    int n_listing, n_slots;
    tl_choice *designs; /* [N, n_slots] */
    int places[N];
} world;

static void load_model(const tl_space *space, tl_model **out_model)
{
    char *data = NULL;
    size_t len = 0;
    tl_features *features = NULL;
    tl_text path = {0};
    tl_text_addf(&path, "%s/models/nasbench201.tlm", tl_test_source_dir());
    assert_ok(tl_file_read(path.data, TL_MODEL_MAX_BYTES, &data, &len));
    assert_ok(tl_features_new(space, &features));
    assert_ok(tl_model_unpack(
        space, tl_features_n_source(features), data, len, path.data, out_model));
    tl_features_free(features);
    tl_mem_free(data);
    tl_text_done(&path);
}

static world make(void)
{
    world w = {0};
    tl_rng rng;
    tl_space *space = NULL;
    tl_model *model = NULL;
    tl_text path = {0};
    tl_text_addf(&path, "%s/spaces/nasbench201.yaml", tl_test_source_dir());
    assert_ok(tl_space_load(path.data, &space));
    tl_text_done(&path);
    load_model(space, &model);
    assert_ok(tl_predictor_new(space, model, &w.predictor));
    w.n_slots = tl_space_n_slots(space);
    w.listing = tl_predictor_listing(w.predictor, &w.n_listing);
    w.designs = tl_mem_new((size_t)N * (size_t)w.n_slots, sizeof *w.designs);
    tl_rng_init(&rng, tl_test_seed());
    for (int i = 0; i < N; i++) {
        w.places[i] = (int)tl_rng_below(&rng, (uint64_t)w.n_listing);
        memcpy(
            w.designs + (ptrdiff_t)i * w.n_slots,
            w.listing + (ptrdiff_t)w.places[i] * w.n_slots,
            (size_t)w.n_slots * sizeof *w.designs);
    }
    tl_space_unref(space);
    return w;
}

static void unmake(world *w)
{
    tl_mem_free(w->designs);
    tl_predictor_unref(w->predictor);
}

static tl_view *view_of(const world *w, const tl_profile *profile)
{
    tl_view *view = NULL;
    tl_view_data data = {.device = profile->name, .profile = profile};
    assert_ok(tl_view_new(w->predictor, &data, &view));
    return view;
}

/* A published profile, one with caches, one that gains from narrow numbers, one of few words. */
static int make_profiles(tl_profile *p)
{
    tl_profile plain = {.name = "x", .device_class = TL_DEVICE_GPU, .batch = 1};
    plain.peak_gflops[TL_FP32] = 900;
    plain.bandwidth_gb_per_s[TL_DRAM] = 30;
    for (int i = 0; i < 4; i++) {
        p[i] = plain;
    }
    p[1].device_class = TL_DEVICE_CPU;
    p[1].peak_gflops[TL_FP32] = 20000; /* moving bytes is what takes time */
    p[1].cache_kib[TL_L2] = 2048;
    p[1].bandwidth_gb_per_s[TL_L2] = 200;
    p[1].cache_kib[TL_L1] = 64;
    p[1].bandwidth_gb_per_s[TL_L1] = 900;
    p[2].device_class = TL_DEVICE_ASIC;
    p[2].weight_bits = (tl_widths){
        .bits = {4, 8},
          .n = 2
    };
    p[2].peak_gflops[TL_INT8] = 4000;
    p[3] = (tl_profile){.name = "x", .device_class = TL_DEVICE_MCU};
    return 4;
}

static bool is_near(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-6 * fabs(b);
}

static void assert_near(
    const tl_prediction *a, const tl_prediction *b, bool is_exact, const char *what)
{
    for (int i = 0; i < N; i++) {
        bool holds = is_exact ? (a[i].latency_ms == b[i].latency_ms &&
                                 a[i].latency_std_ms == b[i].latency_std_ms)
                              : is_near(a[i].latency_ms, b[i].latency_ms) &&
                                    is_near(a[i].latency_std_ms, b[i].latency_std_ms);
        holds = holds && is_near(a[i].energy_mj, b[i].energy_mj) &&
                is_near(a[i].energy_std_mj, b[i].energy_std_mj);
        if (!holds) {
            fail_msg(
                "%s, design %d: %.9g and %.9g ms, %.9g and %.9g mJ", what, i, a[i].latency_ms,
                b[i].latency_ms, a[i].energy_mj, b[i].energy_mj);
        }
    }
}

static void the_listing_costs_what_each_design_costs(void **state)
{
    (void)state;
    tl_profile profiles[4];
    world w = make();
    int n = make_profiles(profiles);
    tl_prediction *all = tl_mem_new((size_t)w.n_listing, sizeof *all);
    for (int k = 0; k < n; k++) {
        char what[32];
        tl_prediction each[N];
        tl_prediction placed[N];
        tl_prediction listed[N];
        tl_view *view = view_of(&w, &profiles[k]);
        (void)snprintf(what, sizeof what, "profile %d", k);
        assert_int_equal(tl_view_basis(view, TL_COST_LATENCY), TL_BASIS_PROFILE);
        assert_ok(tl_view_predict(view, w.designs, N, each));
        assert_ok(tl_view_predict_listed(view, w.places, N, placed));
        assert_ok(tl_view_predict(view, w.listing, w.n_listing, all));
        for (int i = 0; i < N; i++) {
            listed[i] = all[w.places[i]];
        }
        assert_near(listed, each, false, what);
        assert_near(placed, listed, true, what);
        tl_view_unref(view);
    }
    tl_mem_free(all);
    unmake(&w);
}

static void counts_of_operators_give_the_roofline_of_the_network(void **state)
{
    (void)state;
    tl_profile profiles[4];
    world w = make();
    const tl_space *space = tl_predictor_space(w.predictor);
    tl_op_table table;
    tl_network network = {0};
    int n = make_profiles(profiles);
    assert_ok(tl_op_table_init(space, w.designs, N, &table));
    for (int k = 0; k < n; k++) {
        tl_op_prices prices;
        assert_ok(tl_op_prices_init(&table, &profiles[k], &prices));
        for (int i = 0; i < N; i++) {
            tl_roofline roofline = {0};
            double work = tl_op_prices_work(&prices, &table, i);
            assert_ok(tl_space_lower(space, w.designs + (ptrdiff_t)i * w.n_slots, &network));
            if (tl_prior_is_known(&profiles[k])) {
                assert_ok(tl_prior_roofline(&profiles[k], &network, &roofline));
                assert_close(work, roofline.bound_ms, 1e-12 * roofline.bound_ms);
            } else {
                assert_true(work >= 0 && work <= (double)tl_network_macs(&network));
            }
        }
        tl_op_prices_done(&prices);
    }
    tl_op_table_done(&table);
    tl_network_done(&network);
    unmake(&w);
}

static void parts_of_networks_give_the_roofline_of_the_network(void **state)
{
    (void)state;
    static const char *const names[] = {"mnasnet", "fbnet", "mobilenetv3", "nasbench201"};
    tl_profile profiles[4];
    int n = make_profiles(profiles);
    for (size_t s = 0; s < TL_COUNT(names); s++) {
        tl_rng rng;
        tl_space *space = NULL;
        tl_network network = {0};
        tl_text path = {0};
        tl_rng_init(&rng, tl_test_seed());
        tl_text_addf(&path, "%s/spaces/%s.yaml", tl_test_source_dir(), names[s]);
        assert_ok(tl_space_load(path.data, &space));
        tl_text_done(&path);
        size_t n_slots = (size_t)tl_space_n_slots(space);
        tl_choice *designs = tl_mem_new(N * n_slots, sizeof *designs);
        for (size_t i = 0; i < N; i++) {
            tl_space_sample(space, &rng, designs + i * n_slots);
        }
        for (int k = 0; k < n; k++) {
            double works[N];
            assert_ok(tl_op_works(space, &profiles[k], designs, N, works));
            for (size_t i = 0; i < N && tl_prior_is_known(&profiles[k]); i++) {
                tl_roofline roofline = {0};
                assert_ok(tl_space_lower(space, designs + i * n_slots, &network));
                assert_ok(tl_prior_roofline(&profiles[k], &network, &roofline));
                assert_close(works[i], roofline.bound_ms, 1e-12 * roofline.bound_ms);
            }
        }
        tl_mem_free(designs);
        tl_network_done(&network);
        tl_space_unref(space);
    }
}

static void memory_that_runs_out_leaves_nothing_behind(void **state)
{
    (void)state;
    world w = make();
    const tl_features *features = tl_predictor_features(w.predictor);
    tl_relative *devices = NULL;
    int n = 0;
    assert_ok(tl_model_relatives(
        tl_predictor_model(w.predictor), TL_COST_LATENCY, NULL, &devices, &n));
    tl_profile profiles[4];
    (void)make_profiles(profiles);
    tl_err err = TL_ENOMEM;
    for (int k = 1; err == TL_ENOMEM; k++) {
        double logs[N];
        tl_known *known = NULL;
        tl_listed *listed = NULL;
        tl_zero_shot shot = {0};
        tl_mem_fail_at(k);
        if ((err = tl_known_new(features, devices, n, &known)) == TL_OK &&
            (err = tl_zero_shot_init(known, &profiles[1], 1, &shot)) == TL_OK &&
            (err = tl_listed_new(known, w.designs, N, &listed)) == TL_OK) {
            err = tl_listed_predict(listed, &shot, NULL, N, logs);
        }
        tl_mem_fail_at(0);
        tl_zero_shot_done(&shot);
        tl_listed_free(listed);
        tl_known_free(known);
    }
    assert_ok(err);
    tl_mem_free(devices);
    unmake(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_listing_costs_what_each_design_costs),
        TEST(counts_of_operators_give_the_roofline_of_the_network),
        TEST(parts_of_networks_give_the_roofline_of_the_network),
        TEST(memory_that_runs_out_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
