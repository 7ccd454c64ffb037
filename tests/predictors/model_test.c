/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "base/units.h"
#include "numerics/rng.h"
#include "predictors/features.h"
#include "predictors/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    N_WEIGHTS = 7
};

static tl_space *load_space(const char *name)
{
    char path[512];
    tl_space *space = NULL;
    (void)snprintf(path, sizeof path, "%s/spaces/%s.yaml", tl_test_source_dir(), name);
    assert_ok(tl_space_load(path, &space));
    return space;
}

static tl_model *make(const tl_space *space)
{
    tl_model *model = NULL;
    tl_source source = {
        .n_weights = N_WEIGHTS,
        .mean = 1,
        .median = 12.5,
        .loo_sd = .03,
        .ref_mean = 1.1,
        .ref_sd = .2,
        .n_samples = 800};
    assert_ok(tl_model_new(space, &model));
    source.weights = tl_mem_new(N_WEIGHTS, sizeof *source.weights);
    for (int i = 0; i < N_WEIGHTS; i++) {
        source.weights[i] = .5 * i - 1;
    }
    size_t n_bins = (size_t)TL_BINNING_GRIDS * TL_BINNING_BINS;
    source.shape = (tl_binning){.begin = 1, .end = 3, .scale = 2, .mean = -.5};
    source.shape.weights = tl_mem_new(n_bins, sizeof *source.shape.weights);
    source.shape.weights[n_bins - 1] = .25;
    assert_ok(tl_model_add_source(model, "board", TL_COST_ENERGY, &source));
    assert_ok(tl_model_add_figure(model, "held-out designs", "board", "energy_mj", .97, 100));
    assert_ok(tl_model_add_table_sum(model, "energy_mj@board", 800, "abc"));
    model->calibrations[model->n_calibrations++] = (tl_model_calibration){
        .cost = TL_COST_ENERGY, .n_samples = 20, .z = {-.7, 0, .6, 1.5, TL_UNKNOWN}
    };
    model->prior = (tl_prior){
        .log_factor = 1.5,
        .log_factor_sd = .4,
        .log_launch_us = 3,
        .log_launch_sd = 1,
        .n_devices = 9};
    tl_profile profile = {.name = "board", .batch = 4, .runtime = "tflite"};
    assert_ok(tl_model_add_profile(model, &profile));
    model->relatives_scale[TL_COST_ENERGY] = 2.5;
    model->optimizer.data = tl_mem_new(5, 1);
    memcpy(model->optimizer.data, "bytes", 5);
    model->optimizer.len = 5;
    return model;
}

static tl_bytes pack(const tl_space *space)
{
    tl_bytes bytes = {0};
    tl_model *model = make(space);
    assert_ok(tl_model_pack(model, &bytes));
    tl_model_free(model);
    return bytes;
}

static void what_is_packed_is_unpacked(void **state)
{
    (void)state;
    tl_space *space = load_space("nasbench201");
    tl_bytes bytes = pack(space);
    tl_model *model = NULL;
    assert_ok(tl_model_unpack(space, N_WEIGHTS, bytes.data, bytes.len, "file", &model));
    const tl_model_source *source = tl_model_source_find(model, "board", TL_COST_ENERGY);
    assert_non_null(source);
    assert_null(tl_model_source_find(model, "board", TL_COST_LATENCY));
    assert_int_equal(source->source.n_samples, 800);
    assert_close(source->source.median, 12.5, 0);
    assert_close(source->source.weights[3], .5, 1e-7);
    assert_int_equal(source->source.shape.end, 3);
    assert_close(source->source.shape.mean, -.5, 0);
    assert_close(source->source.shape.weights[TL_BINNING_GRIDS * TL_BINNING_BINS - 1], .25, 0);
    assert_int_equal(model->n_calibrations, 1);
    assert_close(model->calibrations[0].z[3], 1.5, 0);
    assert_true(isnan(model->calibrations[0].z[4]));
    assert_int_equal(model->prior.n_devices, 9);
    assert_int_equal(model->n_profiles, 1);
    assert_string_equal(model->profiles[0].runtime, "tflite");
    assert_int_equal(model->profiles[0].batch, 4);
    assert_close(model->relatives_scale[TL_COST_LATENCY], 1, 0);
    assert_close(model->relatives_scale[TL_COST_ENERGY], 2.5, 0);
    assert_close(model->figures[0].value, .97, 0);
    assert_string_equal(model->table_sums[0].sha256, "abc");
    assert_int_equal(model->optimizer.len, 5);
    assert_memory_equal(model->optimizer.data, "bytes", 5);
    tl_model_free(model);
    tl_mem_free(bytes.data);
    tl_space_unref(space);
}

static void a_truncated_file_is_damaged_at_every_length(void **state)
{
    (void)state;
    tl_space *space = load_space("nasbench201");
    tl_bytes bytes = pack(space);
    for (size_t len = 0; len < bytes.len; len++) {
        tl_model *model = NULL;
        assert_err(
            TL_EDAMAGED,
            tl_model_unpack(space, N_WEIGHTS, bytes.data, len, "models/x.tlm", &model));
        assert_null(model);
    }
    assert_detail("models/x.tlm: ");
    tl_mem_free(bytes.data);
    tl_space_unref(space);
}

static void a_changed_byte_never_gives_a_model(void **state)
{
    (void)state;
    tl_space *space = load_space("nasbench201");
    tl_bytes bytes = pack(space);
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (size_t i = 0; i < bytes.len; i++) {
        tl_model *model = NULL;
        uint8_t was = bytes.data[i];
        bytes.data[i] = (uint8_t)(was ^ (1U + tl_rng_below(&rng, 255)));
        tl_err err = tl_model_unpack(space, N_WEIGHTS, bytes.data, bytes.len, "file", &model);
        assert_true(err == TL_EDAMAGED || err == TL_EVERSION);
        bytes.data[i] = was;
    }
    tl_mem_free(bytes.data);
    tl_space_unref(space);
}

static void a_newer_file_is_refused_by_its_version(void **state)
{
    (void)state;
    tl_space *space = load_space("nasbench201");
    tl_bytes bytes = pack(space);
    tl_model *model = NULL;
    /* field 1, the magic, has 12 letters: field 2, the version, follows at byte 14 */
    assert_int_equal(bytes.data[14], 0x10);
    bytes.data[15] = TL_MODEL_VERSION + 1;
    assert_err(
        TL_EVERSION, tl_model_unpack(space, N_WEIGHTS, bytes.data, bytes.len, "file", &model));
    assert_detail("got version 2, want at most 1");
    tl_mem_free(bytes.data);
    tl_space_unref(space);
}

static void a_model_of_another_space_or_width_is_refused(void **state)
{
    (void)state;
    tl_space *space = load_space("nasbench201");
    tl_space *other = load_space("fbnet");
    tl_bytes bytes = pack(space);
    tl_model *model = NULL;
    assert_err(
        TL_ESTATE, tl_model_unpack(other, N_WEIGHTS, bytes.data, bytes.len, "file", &model));
    assert_detail("want one of fbnet");
    assert_err(
        TL_EDAMAGED,
        tl_model_unpack(space, N_WEIGHTS + 1, bytes.data, bytes.len, "file", &model));
    assert_detail("got 7 weights, want 8");
    tl_mem_free(bytes.data);
    tl_space_unref(space);
    tl_space_unref(other);
}

static void confidence_comes_from_the_row_with_as_many_samples(void **state)
{
    (void)state;
    tl_space *space = load_space("nasbench201");
    tl_model *model = make(space);
    tl_confidence c;
    const tl_margin_unit unit = {.relative = .1, .least = 2};
    tl_model_confidence(model, TL_COST_ENERGY, 25, &unit, &c);
    assert_close(tl_confidence_margin(&c, .9), .6, 1e-9);
    assert_close(tl_margin_unit_at(&c.unit, 30, 7), 3, 1e-12);
    tl_model_confidence(model, TL_COST_ENERGY, 19, &unit, &c);
    assert_true(tl_confidence_margin(&c, .9) > 1.3);
    assert_close(tl_margin_unit_at(&c.unit, 30, 7), 7, 0); /* nominal: the design's own */
    tl_model_confidence(NULL, TL_COST_LATENCY, 20, &unit, &c);
    assert_true(tl_confidence_margin(&c, .9) > 1.3);
    tl_model_free(model);
    tl_space_unref(space);
}

static void survives_every_allocation_failure(void **state)
{
    (void)state;
    tl_space *space = load_space("nasbench201");
    tl_model *model = make(space);
    tl_bytes bytes = pack(space);
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    for (long k = 1; err != TL_OK; k++) {
        tl_bytes again = {0};
        tl_model *copy = NULL;
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_model_pack(model, &again);
        if (err == TL_OK) {
            err = tl_model_unpack(space, N_WEIGHTS, bytes.data, bytes.len, "file", &copy);
        }
        tl_mem_fail_at(0);
        tl_mem_free(again.data);
        tl_model_free(copy);
        assert_int_equal(tl_mem_live(), live_before);
        n_failures += err != TL_OK;
    }
    assert_true(n_failures > 20);
    tl_mem_free(bytes.data);
    tl_model_free(model);
    tl_space_unref(space);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_packed_is_unpacked),
        TEST(a_truncated_file_is_damaged_at_every_length),
        TEST(a_changed_byte_never_gives_a_model),
        TEST(a_newer_file_is_refused_by_its_version),
        TEST(a_model_of_another_space_or_width_is_refused),
        TEST(confidence_comes_from_the_row_with_as_many_samples),
        TEST(survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("predictors/model", tests, NULL, NULL);
}
