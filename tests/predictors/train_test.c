/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"
#include "tests/support/torture.h"

#include "base/mem.h"
#include "numerics/stats.h"
#include "predictors/predictor.h"
#include "predictors/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * A made-up world on nasbench201: devices whose latency is a sum over the
 * operators of a cell, a task whose accuracy grows with the convolutions.
 */
enum {
    N_DEVICES = 4,
    N_ROWS = 150,
    N_TASK_ROWS = 120
};

typedef struct world {
    tl_space *space;
    size_t n_slots;
    tl_choice *designs; /* [N_ROWS, n_slots] */
    double latency[N_DEVICES][N_ROWS];
    double accuracy[N_ROWS];
    tl_train_column columns[2 * N_DEVICES];
    int n_steps; /* progress calls until it says stop; 0: never */
} world;

static const char *const device_names[N_DEVICES] = {"alpha", "beta", "gamma", "delta"};

/* none, skip, 1x1, 3x3, pool */
static double cost_of(int device, const tl_choice *design)
{
    static const double op_cost[N_DEVICES][5] = {
        {0, .02, 1,   4,   .3},
        {0, .1,  1.5, 3,   .5},
        {0, 0,   .8,  5,   .2},
        {0, .05, 2,   2.5, 1 },
    };
    double cost = 2 + device;
    for (int e = 0; e < 6; e++) {
        cost += op_cost[device][design[e]] * (1 + .1 * e);
    }
    return cost;
}

static double accuracy_of(const tl_choice *design)
{
    static const double gain[5] = {0, 1, 3, 5, .5};
    double sum = 0;
    for (int e = 0; e < 6; e++) {
        sum += gain[design[e]] * (1 + .05 * e);
    }
    return 60 + 30 * (1 - exp(-sum / 10));
}

static world make(void)
{
    char path[512];
    world w = {0};
    tl_rng rng;
    (void)snprintf(path, sizeof path, "%s/spaces/nasbench201.yaml", tl_test_source_dir());
    assert_ok(tl_space_load(path, &w.space));
    w.n_slots = (size_t)tl_space_n_slots(w.space);
    w.designs = tl_mem_new(N_ROWS * w.n_slots, sizeof *w.designs);
    tl_rng_init(&rng, tl_test_seed());
    for (size_t i = 0; i < N_ROWS; i++) {
        tl_choice *design = w.designs + i * w.n_slots;
        tl_space_sample(w.space, &rng, design);
        for (int d = 0; d < N_DEVICES; d++) {
            w.latency[d][i] = cost_of(d, design) * (1 + .01 * tl_rng_normal(&rng));
        }
        w.accuracy[i] = accuracy_of(design);
    }
    return w;
}

/* The columns point into the world, so they are set where it stays. */
static void set_columns(world *w)
{
    for (int d = 0; d < N_DEVICES; d++) {
        w->columns[d] = (tl_train_column){
            .metric = TL_METRIC_LATENCY_MS,
            .subject = device_names[d],
            .designs = w->designs,
            .values = w->latency[d],
            .n = N_ROWS};
    }
    w->columns[N_DEVICES] = (tl_train_column){
        .metric = TL_METRIC_ACCURACY,
        .subject = "task",
        .designs = w->designs,
        .values = w->accuracy,
        .n = N_TASK_ROWS};
}

static void unmake(world *w)
{
    tl_mem_free(w->designs);
    tl_space_unref(w->space);
}

static tl_model *train(world *w, int first, int n, const tl_model *base, bool drops)
{
    tl_model *model = NULL;
    tl_text notes = {0};
    tl_train_options options = {
        .space = w->space,
        .columns = w->columns + first,
        .n_columns = n,
        .base = base,
        .drops_base_sources = drops,
        .seed = 1,
        .n_threads = 1};
    assert_ok(tl_train(&options, &notes, &model));
    tl_text_done(&notes);
    return model;
}

static tl_predictor *predictor_of(world *w, tl_model *model)
{
    tl_predictor *predictor = NULL;
    assert_ok(tl_predictor_new(w->space, model, &predictor));
    return predictor;
}

static tl_view *view_of(tl_predictor *predictor, const char *device, tl_samples latency)
{
    tl_view *view = NULL;
    tl_view_data data = {.device = device, .samples = {latency}};
    assert_ok(tl_view_new(predictor, &data, &view));
    return view;
}

static const tl_model_figure *figure_of(
    const tl_model *model, const char *part, const char *subject)
{
    for (int i = 0; i < model->n_figures; i++) {
        if (strcmp(model->figures[i].part, part) == 0 &&
            strcmp(model->figures[i].subject, subject) == 0) {
            return &model->figures[i];
        }
    }
    fail_msg("no figure \"%s\" of %s", part, subject);
    return NULL;
}

static void a_model_knows_its_devices_and_tasks_and_reports_on_held_out_designs(void **state)
{
    (void)state;
    world w = make();
    set_columns(&w);
    tl_model *model = train(&w, 0, N_DEVICES + 1, NULL, false);
    int output = 0;
    assert_int_equal(model->n_sources, N_DEVICES);
    assert_non_null(tl_model_task_find(model, "task", &output));
    for (int d = 0; d < N_DEVICES; d++) {
        assert_true(figure_of(model, "held-out designs", device_names[d])->value > .95);
        assert_true(
            figure_of(model, "left-out device, 20 samples", device_names[d])->value > .9);
    }
    assert_true(model->n_calibrations >= 3);
    assert_int_equal(model->n_table_sums, N_DEVICES + 1);
    tl_model_free(model);
    unmake(&w);
}

static void fewer_measurements_than_columns_give_weights_to_the_heads_columns_alone(
    void **state)
{
    (void)state;
    world w = make();
    set_columns(&w);
    tl_features *features = NULL;
    tl_model *model = train(&w, 0, 1, NULL, false);
    assert_ok(tl_features_new(w.space, &features));
    const tl_source *source = &model->sources[0].source;
    assert_true(N_ROWS < source->n_weights);
    assert_int_equal(source->n_weights, tl_features_n_source(features));
    for (int i = tl_features_n_head(features); i < source->n_weights; i++) {
        assert_close(source->weights[i], 0, 0);
    }
    tl_features_free(features);
    tl_model_free(model);
    unmake(&w);
}

static void twenty_samples_of_a_new_device_predict_the_rest(void **state)
{
    (void)state;
    world w = make();
    set_columns(&w);
    tl_predictor *predictor = predictor_of(&w, train(&w, 0, N_DEVICES - 1, NULL, false));
    tl_samples samples = {.designs = w.designs, .values = w.latency[N_DEVICES - 1], .n = 20};
    tl_view *view = view_of(predictor, "delta", samples);
    assert_int_equal(tl_view_basis(view, TL_COST_LATENCY), TL_BASIS_MEASURED);
    assert_int_equal(tl_view_basis(view, TL_COST_ENERGY), TL_BASIS_NOTHING);
    tl_prediction predictions[N_ROWS];
    double got[N_ROWS];
    double rho = 0;
    assert_ok(tl_view_predict(view, w.designs, N_ROWS, predictions));
    for (int i = 0; i < N_ROWS; i++) {
        got[i] = predictions[i].latency_ms;
        assert_true(predictions[i].latency_std_ms > 0);
        assert_true(isnan(predictions[i].energy_mj) && isnan(predictions[i].energy_std_mj));
    }
    assert_ok(tl_spearman(N_ROWS - 20, got + 20, w.latency[N_DEVICES - 1] + 20, &rho));
    assert_true(rho > .95);
    tl_view_unref(view);
    tl_predictor_unref(predictor);
    unmake(&w);
}

static void a_known_device_needs_no_samples_and_few_samples_set_its_level(void **state)
{
    (void)state;
    world w = make();
    set_columns(&w);
    tl_predictor *predictor = predictor_of(&w, train(&w, 0, N_DEVICES, NULL, false));
    tl_view *known = view_of(predictor, "beta", (tl_samples){0});
    double doubled[3];
    for (int i = 0; i < 3; i++) {
        doubled[i] = 2 * w.latency[1][i];
    }
    tl_view *scaled = view_of(
        predictor, "beta", (tl_samples){.designs = w.designs, .values = doubled, .n = 3});
    assert_int_equal(tl_view_basis(known, TL_COST_LATENCY), TL_BASIS_KNOWN);
    tl_prediction a[N_ROWS];
    tl_prediction b[N_ROWS];
    assert_ok(tl_view_predict(known, w.designs, N_ROWS, a));
    assert_ok(tl_view_predict(scaled, w.designs, N_ROWS, b));
    for (int i = 0; i < N_ROWS; i++) {
        assert_close(a[i].latency_ms / w.latency[1][i], 1, .15);
        assert_close(b[i].latency_ms / a[i].latency_ms, 2, .1);
    }
    tl_view_unref(known);
    tl_view_unref(scaled);
    tl_predictor_unref(predictor);
    unmake(&w);
}

static void a_profile_alone_gives_a_wide_answer_and_a_bare_name_none(void **state)
{
    (void)state;
    world w = make();
    set_columns(&w);
    tl_predictor *predictor = predictor_of(&w, NULL);
    tl_profile profile;
    assert_ok(tl_profile_bare("board", &profile));
    tl_view_data data = {.device = "board", .profile = &profile};
    tl_view *bare = NULL;
    assert_ok(tl_view_new(predictor, &data, &bare));
    assert_int_equal(tl_view_basis(bare, TL_COST_LATENCY), TL_BASIS_NOTHING);
    profile.peak_gflops[TL_FP32] = 50;
    profile.bandwidth_gb_per_s[TL_DRAM] = 10;
    tl_view *known = NULL;
    assert_ok(tl_view_new(predictor, &data, &known));
    assert_int_equal(tl_view_basis(known, TL_COST_LATENCY), TL_BASIS_PROFILE);
    tl_prediction p;
    assert_ok(tl_view_predict(bare, w.designs, 1, &p));
    assert_true(isnan(p.latency_ms));
    assert_ok(tl_view_predict(known, w.designs, 1, &p));
    assert_true(p.latency_ms > 0 && p.latency_std_ms > .2 * p.latency_ms);
    tl_view_unref(bare);
    tl_view_unref(known);
    tl_predictor_unref(predictor);
    unmake(&w);
}

/* Two processors and two graphics cards, a batch each; energy of all but the last. */
static void set_profiles(world *w, tl_profile *profiles, double (*energy)[N_ROWS])
{
    for (int d = 0; d < N_DEVICES; d++) {
        assert_ok(tl_profile_bare(device_names[d], &profiles[d]));
        profiles[d].device_class = d < 2 ? TL_DEVICE_CPU : TL_DEVICE_GPU;
        profiles[d].peak_gflops[TL_FP32] = d < 2 ? 100 * (1 + d) : 5000 * d;
        w->columns[d].profile = &profiles[d];
    }
    for (int d = 0; d < N_DEVICES - 1; d++) {
        for (int i = 0; i < N_ROWS; i++) {
            energy[d][i] = 3 * w->latency[d][i];
        }
        w->columns[N_DEVICES + d] = w->columns[d];
        w->columns[N_DEVICES + d].metric = TL_METRIC_ENERGY_MJ;
        w->columns[N_DEVICES + d].values = energy[d];
    }
}

/* Largest difference of the ratio a / b from what is wanted, over the world's designs. */
static double worst_ratio(
    tl_view *view, const world *w, const double *latency_ms, double wanted, tl_cost cost)
{
    static tl_prediction p[N_ROWS];
    double worst = 0;
    assert_ok(tl_view_predict(view, w->designs, N_ROWS, p));
    for (int i = 0; i < N_ROWS; i++) {
        double got = cost == TL_COST_LATENCY ? p[i].latency_ms : p[i].energy_mj;
        worst = fmax(worst, fabs(log(got / latency_ms[i] / wanted)));
    }
    return worst;
}

static void a_profile_like_that_of_a_known_device_predicts_like_it(void **state)
{
    (void)state;
    static double energy[N_DEVICES - 1][N_ROWS];
    tl_profile profiles[N_DEVICES];
    world w = make();
    set_columns(&w);
    set_profiles(&w, profiles, energy);
    tl_model *model = train(&w, 0, 2 * N_DEVICES - 1, NULL, false);
    assert_int_equal(model->n_profiles, N_DEVICES);
    tl_predictor *predictor = predictor_of(&w, model);
    tl_profile twin = profiles[1];
    tl_view_data data = {.device = "twin", .profile = &twin};
    tl_view *view = NULL;
    assert_ok(tl_view_new(predictor, &data, &view));
    assert_int_equal(tl_view_basis(view, TL_COST_LATENCY), TL_BASIS_PROFILE);
    assert_true(worst_ratio(view, &w, w.latency[1], 1, TL_COST_LATENCY) < .3);
    assert_true(worst_ratio(view, &w, w.latency[1], 3, TL_COST_ENERGY) < .3);
    tl_prediction near;
    assert_ok(tl_view_predict(view, w.designs, 1, &near));
    tl_view_unref(view);

    twin.device_class = TL_DEVICE_ASIC; /* nobody knows one */
    twin.batch = 64;
    assert_ok(tl_view_new(predictor, &data, &view));
    tl_prediction far;
    assert_ok(tl_view_predict(view, w.designs, 1, &far));
    assert_true(far.latency_std_ms / far.latency_ms > near.latency_std_ms / near.latency_ms);
    assert_true(far.latency_ms > near.latency_ms);
    tl_view_unref(view);
    tl_predictor_unref(predictor);
    unmake(&w);
}

static void narrow_weights_are_cheaper_where_the_profile_gains_from_them(void **state)
{
    (void)state;
    static double energy[N_DEVICES - 1][N_ROWS];
    tl_profile profiles[N_DEVICES];
    tl_choice design[2][TL_SPACE_MAX_SLOTS];
    tl_prediction p[2];
    world w = make();
    set_columns(&w);
    set_profiles(&w, profiles, energy);
    tl_predictor *predictor = predictor_of(&w, train(&w, 0, 2 * N_DEVICES - 1, NULL, false));
    for (int s = 0; s < (int)w.n_slots; s++) {
        bool is_width = tl_space_slot(w.space, s)->is_optional;
        const char *narrow = is_width ? "2" : "nor_conv_3x3";
        assert_ok(tl_space_choice_parse(w.space, s, narrow, &design[0][s]));
        design[1][s] = is_width ? TL_CHOICE_ABSENT : design[0][s];
    }
    tl_profile twin = profiles[1];
    twin.bandwidth_gb_per_s[TL_DRAM] = 5;
    twin.peak_gflops[TL_INT8] = 800;
    for (int gains = 0; gains < 2; gains++) {
        twin.weight_bits = (tl_widths){
            .bits = {2, 8, 32},
              .n = gains ? 3 : 0
        };
        tl_view_data data = {.device = "twin", .profile = &twin};
        tl_view *view = NULL;
        assert_ok(tl_view_new(predictor, &data, &view));
        assert_ok(tl_view_predict(view, design[0], 1, &p[0]));
        assert_ok(tl_view_predict(view, design[1], 1, &p[1]));
        double ratio = p[0].latency_ms / p[1].latency_ms;
        assert_true(gains ? ratio < .7 : ratio > .8);
        tl_view_unref(view);
    }
    tl_predictor_unref(predictor);
    unmake(&w);
}

static void energy_of_a_device_of_known_latency_takes_few_samples(void **state)
{
    (void)state;
    enum {
        FEW = 4
    };
    static double energy[N_DEVICES - 1][N_ROWS];
    tl_profile profiles[N_DEVICES];
    double measured[FEW];
    world w = make();
    set_columns(&w);
    set_profiles(&w, profiles, energy);
    tl_predictor *predictor = predictor_of(&w, train(&w, 0, 2 * N_DEVICES - 1, NULL, false));
    for (int i = 0; i < FEW; i++) {
        measured[i] = 20 * w.latency[3][i];
    }
    tl_view_data data = {.device = device_names[3], .profile = &profiles[3]};
    tl_view *view = NULL;
    assert_ok(tl_view_new(predictor, &data, &view));
    assert_int_equal(tl_view_basis(view, TL_COST_ENERGY), TL_BASIS_PROFILE);
    assert_true(worst_ratio(view, &w, w.latency[3], 3, TL_COST_ENERGY) < .3);
    tl_view_unref(view);
    data.samples[TL_COST_ENERGY] =
        (tl_samples){.designs = w.designs, .values = measured, .n = FEW};
    assert_ok(tl_view_new(predictor, &data, &view));
    assert_int_equal(tl_view_basis(view, TL_COST_ENERGY), TL_BASIS_MEASURED);
    assert_true(worst_ratio(view, &w, w.latency[3], 20, TL_COST_ENERGY) < .2);
    tl_view_unref(view);
    tl_predictor_unref(predictor);
    unmake(&w);
}

static void one_design_is_predicted_as_it_is_among_many(void **state)
{
    (void)state;
    world w = make();
    set_columns(&w);
    tl_predictor *predictor = predictor_of(&w, train(&w, 0, N_DEVICES + 1, NULL, false));
    tl_samples samples = {.designs = w.designs, .values = w.latency[3], .n = 12};
    tl_view *view = view_of(predictor, "another", samples);
    tl_prediction many[N_ROWS];
    assert_ok(tl_view_predict(view, w.designs, N_ROWS, many));
    assert_ok(tl_predictor_accuracy(predictor, "task", w.designs, N_ROWS, many));
    for (int i = 0; i < 10; i++) {
        tl_prediction one;
        const tl_choice *design = w.designs + (size_t)i * w.n_slots;
        assert_ok(tl_view_predict(view, design, 1, &one));
        assert_ok(tl_predictor_accuracy(predictor, "task", design, 1, &one));
        assert_close(one.latency_ms, many[i].latency_ms, 1e-9 * many[i].latency_ms);
        assert_close(one.latency_std_ms, many[i].latency_std_ms, 1e-6 * many[i].latency_ms);
        assert_close(one.accuracy, many[i].accuracy, 1e-3);
    }
    tl_view_unref(view);
    tl_predictor_unref(predictor);
    unmake(&w);
}

static void training_again_keeps_what_it_did_not_replace(void **state)
{
    (void)state;
    world w = make();
    set_columns(&w);
    tl_model *base = train(&w, 0, 2, NULL, false);
    tl_model *more = train(&w, 2, 3, base, false);
    tl_model *exact = train(&w, 2, 2, more, true);
    int output = 0;
    assert_int_equal(more->n_sources, N_DEVICES);
    assert_non_null(tl_model_task_find(more, "task", &output));
    assert_int_equal(exact->n_sources, 2);
    assert_null(tl_model_source_find(exact, "alpha", TL_COST_LATENCY));
    assert_non_null(tl_model_task_find(exact, "task", &output));
    tl_model_free(base);
    tl_model_free(more);
    tl_model_free(exact);
    unmake(&w);
}

static void columns_with_too_little_are_left_out_with_a_note(void **state)
{
    (void)state;
    world w = make();
    set_columns(&w);
    w.columns[1].n = 10;
    tl_model *model = NULL;
    tl_text notes = {0};
    tl_train_options options = {.space = w.space, .columns = w.columns, .n_columns = 2};
    assert_ok(tl_train(&options, &notes, &model));
    assert_non_null(strstr(notes.data, "latency_ms@beta: 10 measurements"));
    assert_int_equal(model->n_sources, 1);
    tl_model_free(model);
    model = NULL;
    options.columns = &w.columns[1];
    options.n_columns = 1;
    assert_err(TL_ESTATE, tl_train(&options, &notes, &model));
    assert_null(model);
    tl_text_done(&notes);
    unmake(&w);
}

static bool stop_after(void *context, const char *what, int64_t done, int64_t total)
{
    (void)what;
    (void)done;
    (void)total;
    world *w = context;
    return --w->n_steps > 0;
}

static void training_can_be_cancelled_at_any_step(void **state)
{
    (void)state;
    world w = make();
    set_columns(&w);
    for (int n = 1; n < 8; n++) {
        tl_model *model = NULL;
        tl_text notes = {0};
        w.n_steps = n;
        tl_train_options options = {
            .space = w.space,
            .columns = w.columns,
            .n_columns = N_DEVICES + 1,
            .progress = stop_after,
            .context = &w};
        assert_err(TL_ECANCELLED, tl_train(&options, &notes, &model));
        assert_null(model);
        tl_text_done(&notes);
    }
    unmake(&w);
}

/* What is refused once all devices but the last are fitted, and how it ended. */
typedef struct shortage {
    const world *w;
    int n_columns;
    long k;
} shortage;

static bool refuse_late(void *context, const char *what, int64_t done, int64_t total)
{
    const shortage *s = context;
    bool is_last_device = strcmp(what, s->w->columns[s->n_columns - 1].subject) == 0;
    if (is_last_device && done == total - 1) {
        tl_mem_fail_at(s->k);
    }
    return strstr(what, "confidence") == NULL; /* which comes after, and takes long */
}

/* Devices of known profile are judged by each other: after all were fitted. */
static void judging_devices_by_each_other_survives_every_allocation_failure(void **state)
{
    (void)state;
    static double energy[N_DEVICES - 1][N_ROWS];
    tl_profile profiles[N_DEVICES];
    world w = make();
    set_columns(&w);
    set_profiles(&w, profiles, energy);
    shortage s = {.w = &w, .n_columns = 3}; /* each has two others to be judged by */
    for (int c = 0; c < s.n_columns; c++) {
        w.columns[c].n = TL_TRAIN_MIN_DEVICE_ROWS;
    }
    tl_train_options options = {
        .space = w.space,
        .columns = w.columns,
        .n_columns = s.n_columns,
        .seed = 1,
        .n_threads = 1,
        .progress = refuse_late,
        .context = &s};
    bool is_refused = true;
    for (s.k = 1; is_refused; s.k += tl_test_tortures_all() ? 1 : 5) {
        long live_before = tl_mem_live();
        long n_refused = tl_test_n_refused();
        tl_text notes = {0};
        tl_model *model = NULL;
        tl_err err = tl_train(&options, &notes, &model);
        tl_mem_fail_at(0);
        is_refused = tl_test_n_refused() != n_refused;
        assert_true(err == TL_ECANCELLED || (is_refused && err == TL_ENOMEM));
        tl_text_done(&notes);
        assert_int_equal(tl_mem_live(), live_before);
    }
    assert_true(s.k > 50);
    (void)printf("  the last of them was number %ld\n", s.k);
    unmake(&w);
}

static void tasks_follow_the_condition_of_the_device(void **state)
{
    (void)state;
    world w = make();
    set_columns(&w);
    static const char *const names[] = {"cifar", "cifar-int8", "other-fp16"};
    tl_train_column columns[3];
    for (int i = 0; i < 3; i++) {
        columns[i] = w.columns[N_DEVICES];
        columns[i].subject = names[i];
        columns[i].n = 40;
    }
    tl_model *model = NULL;
    tl_text notes = {0};
    tl_train_options options = {.space = w.space, .columns = columns, .n_columns = 3};
    assert_ok(tl_train(&options, &notes, &model));
    tl_predictor *predictor = predictor_of(&w, model);
    static const struct {
        const char *asked, *condition, *wanted;
        bool is_noted;
    } cases[] = {
        {"",           "",     "cifar",      false},
        {"",           "fp32", "cifar",      false},
        {"",           "int8", "cifar-int8", false},
        {"",           "int4", "cifar",      true },
        {"cifar",      "int8", "cifar",      true },
        {"other",      "fp16", "other-fp16", false},
        {"cifar-int8", "",     "cifar-int8", false},
        {"cifar-int8", "int4", "cifar-int8", false},
        {"cifar",      "int4", "cifar",      true },
    };
    for (size_t i = 0; i < TL_COUNT(cases); i++) {
        const char *task = NULL;
        tl_text_clear(&notes);
        assert_ok(tl_predictor_resolve_task(
            predictor, cases[i].asked, cases[i].condition, &notes, &task));
        assert_string_equal(task, cases[i].wanted);
        assert_int_equal(notes.len > 0, cases[i].is_noted);
    }
    const char *task = NULL;
    assert_err(
        TL_ENOTFOUND, tl_predictor_resolve_task(predictor, "nonsense", "", &notes, &task));
    assert_detail("cifar, cifar-int8, other-fp16");
    tl_text_done(&notes);
    tl_predictor_unref(predictor);
    unmake(&w);
}

static void without_any_model_there_is_no_task_and_no_accuracy(void **state)
{
    (void)state;
    world w = make();
    tl_predictor *predictor = predictor_of(&w, NULL);
    const char *task = "untouched";
    tl_text note = {0};
    assert_ok(tl_predictor_resolve_task(predictor, "", "int8", &note, &task));
    assert_null(task);
    assert_err(TL_ENOTFOUND, tl_predictor_resolve_task(predictor, "cifar", "", &note, &task));
    tl_prediction p = {0};
    assert_ok(tl_predictor_accuracy(predictor, NULL, w.designs, 1, &p));
    assert_true(isnan(p.accuracy) && isnan(p.accuracy_std));
    tl_predictor_unref(predictor);
    unmake(&w);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

/* Every convolution of every design gets some bits. */
static tl_choice *with_bits(const world *w)
{
    const tl_cell *cell = tl_space_cell(w->space);
    tl_choice *designs = tl_mem_new(N_ROWS * w->n_slots, sizeof *designs);
    assert_non_null(designs);
    memcpy(designs, w->designs, N_ROWS * w->n_slots * sizeof *designs);
    for (size_t i = 0; i < N_ROWS; i++) {
        tl_choice *design = designs + i * w->n_slots;
        for (int e = 0; e < cell->n_edges; e++) {
            if (cell->options[design[cell->edge_slot[e]]].op == TL_EDGE_CONV) {
                design[cell->bits_slot[e]] = (tl_choice)((i + (size_t)e) % 3);
            }
        }
    }
    return designs;
}

static void tasks_of_designs_with_weight_bits_share_a_model(void **state)
{
    (void)state;
    enum {
        HALF = N_ROWS / 2
    };
    world w = make();
    set_columns(&w);
    tl_choice *designs = with_bits(&w);
    tl_train_column *columns = w.columns + N_DEVICES;
    columns[1] = columns[2] = columns[0];
    columns[1].subject = "task-long";
    columns[2].subject = "task-short";
    columns[1].n = columns[2].n = HALF;
    columns[1].designs = designs;
    columns[2].designs = designs + HALF * w.n_slots;
    columns[2].values = w.accuracy + HALF;
    tl_model *model = train(&w, N_DEVICES, 3, NULL, false);
    int output = 0;
    const tl_accuracy_model *plain = tl_model_task_find(model, "task", &output);
    const tl_accuracy_model *of_long = tl_model_task_find(model, "task-long", &output);
    const tl_accuracy_model *of_short = tl_model_task_find(model, "task-short", &output);
    assert_int_equal(model->n_accuracies, 2);
    assert_non_null(plain);
    assert_non_null(of_long);
    assert_ptr_equal(of_long, of_short);
    assert_ptr_not_equal(of_long, plain);
    assert_int_equal(tl_accuracy_model_n_labels(of_short, output), HALF);
    tl_model_free(model);
    tl_mem_free(designs);
    unmake(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_model_knows_its_devices_and_tasks_and_reports_on_held_out_designs),
        TEST(fewer_measurements_than_columns_give_weights_to_the_heads_columns_alone),
        TEST(twenty_samples_of_a_new_device_predict_the_rest),
        TEST(a_known_device_needs_no_samples_and_few_samples_set_its_level),
        TEST(a_profile_alone_gives_a_wide_answer_and_a_bare_name_none),
        TEST(a_profile_like_that_of_a_known_device_predicts_like_it),
        TEST(narrow_weights_are_cheaper_where_the_profile_gains_from_them),
        TEST(energy_of_a_device_of_known_latency_takes_few_samples),
        TEST(one_design_is_predicted_as_it_is_among_many),
        TEST(training_again_keeps_what_it_did_not_replace),
        TEST(columns_with_too_little_are_left_out_with_a_note),
        TEST(training_can_be_cancelled_at_any_step),
        TEST(tasks_of_designs_with_weight_bits_share_a_model),
        TEST(tasks_follow_the_condition_of_the_device),
        TEST(judging_devices_by_each_other_survives_every_allocation_failure),
        TEST(without_any_model_there_is_no_task_and_no_accuracy),
    };
    return cmocka_run_group_tests_name("predictors/train", tests, NULL, NULL);
}
