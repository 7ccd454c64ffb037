/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "predictors/calibrate.h"
#include "tests/predictors/synthetic.h"

enum {
    N_TORTURED = 12 /* allocations that fail before the first head is fitted, one at a time */
};

/* Three known devices with N_TRAIN of the world's 400 designs measured, in some unit. */
typedef struct known_devices {
    world w;
    tl_calibration_device devices[N_SOURCES];
    tl_choice *designs;
    double *values; /* [N_SOURCES, N_TRAIN] */
} known_devices;

static void known_init(known_devices *known, double unit)
{
    world_init(&known->w, "fbnet", N_SOURCES);
    const world *w = &known->w;
    size_t n_slots = (size_t)w->n_slots;
    known->designs = tl_mem_new((size_t)N_TRAIN * n_slots, sizeof *known->designs);
    known->values = tl_mem_new((size_t)N_SOURCES * N_TRAIN, sizeof *known->values);
    assert_non_null(known->designs);
    assert_non_null(known->values);
    for (int s = 0; s < N_SOURCES; s++) {
        double *values = known->values + (ptrdiff_t)s * N_TRAIN;
        for (int i = 0; i < N_TRAIN; i++) {
            int row = row_idx(w, i, 61);
            memcpy(
                known->designs + (size_t)i * n_slots, w->designs + (size_t)row * n_slots,
                n_slots * sizeof *known->designs);
            values[i] = unit * latency_of(w, s, row);
        }
        known->w.sources[s].median *= unit;
        known->devices[s] = (tl_calibration_device){
            .source = &w->sources[s],
            .designs = known->designs,
            .values = values,
            .n = N_TRAIN};
    }
}

static void known_done(known_devices *known)
{
    tl_mem_free(known->designs);
    tl_mem_free(known->values);
    world_done(&known->w);
}

static tl_err calibrate(
    const known_devices *known,
    int n_devices,
    bool (*progress)(void *context, int64_t done, int64_t total),
    tl_model *model,
    tl_calibration_figures *figures)
{
    tl_calibration_data data = {
        .features = known->w.features,
        .devices = known->devices,
        .n_devices = n_devices,
        .cost = TL_COST_LATENCY,
        .seed = 7,
        .progress = progress};
    memset(model, 0, sizeof *model);
    return tl_calibrate(&data, model, figures);
}

static void more_confidence_asks_for_more_margin(void **state)
{
    (void)state;
    known_devices known;
    tl_calibration_figures figures[N_SOURCES];
    tl_model model;
    known_init(&known, 1);
    assert_ok(calibrate(&known, N_SOURCES, NULL, &model, figures));
    assert_int_equal(model.n_calibrations, 3);
    for (int i = 0; i < model.n_calibrations; i++) {
        const tl_model_calibration *row = &model.calibrations[i];
        assert_int_equal(row->n_samples, 5 << i);
        assert_true(row->z[0] < row->z[2]); /* .5 and .9 */
        for (int k = 1; k < 4; k++) {
            assert_true(row->z[k - 1] <= row->z[k]);
        }
        assert_true(row->z[2] > -1.5 && row->z[3] < .6); /* 3% of noise, imagined too */
    }
    for (int d = 0; d < N_SOURCES; d++) {
        assert_true(figures[d].n > 0 && figures[d].spearman > .7);
        assert_true(figures[d].median_error < .1);
    }
    known_done(&known);
}

static void margins_know_no_unit_of_time(void **state)
{
    (void)state;
    tl_calibration_figures figures[N_SOURCES];
    tl_model model[2];
    for (int k = 0; k < 2; k++) {
        known_devices known;
        known_init(&known, k == 0 ? 1 : 1024); /* a power of two: nothing is rounded */
        assert_ok(calibrate(&known, N_SOURCES, NULL, &model[k], figures));
        known_done(&known);
    }
    for (int i = 0; i < model[0].n_calibrations; i++) {
        for (int k = 0; k < 4; k++) {
            assert_close(model[1].calibrations[i].z[k], model[0].calibrations[i].z[k], .06);
        }
    }
}

static bool refuse(void *context, int64_t done, int64_t total)
{
    (void)context;
    (void)total;
    return done < 1;
}

static void two_devices_say_nothing_and_one_may_be_enough_of_waiting(void **state)
{
    (void)state;
    known_devices known;
    tl_calibration_figures figures[N_SOURCES];
    tl_model model;
    known_init(&known, 1);
    assert_ok(calibrate(&known, 2, NULL, &model, figures));
    assert_int_equal(model.n_calibrations, 0);
    assert_true(isnan(figures[0].spearman));
    assert_err(TL_ECANCELLED, calibrate(&known, N_SOURCES, refuse, &model, figures));
    assert_int_equal(model.n_calibrations, 0);
    known_done(&known);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    known_devices known;
    tl_calibration_figures figures[N_SOURCES];
    tl_model model;
    known_init(&known, 1);
    for (int k = 1; k <= N_TORTURED; k++) {
        tl_mem_fail_at(k);
        assert_err(TL_ENOMEM, calibrate(&known, N_SOURCES, NULL, &model, figures));
        tl_mem_fail_at(0);
        assert_int_equal(model.n_calibrations, 0);
    }
    known_done(&known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_confidence_asks_for_more_margin),
        cmocka_unit_test(margins_know_no_unit_of_time),
        cmocka_unit_test(two_devices_say_nothing_and_one_may_be_enough_of_waiting),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests_name("predictors/calibrate", tests, NULL, NULL);
}
