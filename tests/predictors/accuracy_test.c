/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/mem.h"
#include "base/text.h"
#include "numerics/gemm.h"
#include "numerics/stats.h"
#include "predictors/accuracy.h"
#include "predictors/accuracy_codec.h"
#include "predictors/folds.h"
#include "proto/accuracy.pb-c.h"

#include <math.h>
#include <string.h>

enum {
    MAX_DESIGNS = 1200,
    N_TRAIN = 300,
    N_TASKS = 2,
};

static const char *const tasks[N_TASKS] = {"easy", "hard"};
static const double chance = 10.0;

static tl_space *load(const char *name)
{
    tl_space *space = NULL;
    tl_text path = {0};
    tl_text_addf(&path, "%s/spaces/%s.yaml", tl_test_source_dir(), name);
    assert_ok(tl_space_load(path.data, &space));
    tl_text_done(&path);
    return space;
}

/* Random designs and made-up accuracies: what a network could learn about them. */
typedef struct fixture {
    tl_space *space;
    tl_choice *designs;
    double labels[MAX_DESIGNS * N_TASKS];
    double mean[MAX_DESIGNS * N_TASKS], std[MAX_DESIGNS * N_TASKS];
    bool is_dead[MAX_DESIGNS];
    int n, n_slots;
} fixture;

/* Cells: convolutions on live edges help, less and less; elsewhere size does. */
static double made_up_quality(fixture *f, const tl_choice *design, bool *out_is_dead)
{
    const tl_cell *cell = tl_space_cell(f->space);
    *out_is_dead = false;
    if (cell == NULL) {
        tl_network network = {0};
        assert_ok(tl_space_lower(f->space, design, &network));
        double quality = log((double)tl_network_macs(&network)) - 20.0 + 0.5 * design[1];
        tl_network_done(&network);
        return quality;
    }
    uint32_t reached = 0;
    uint32_t needed = 0;
    tl_cell_masks(cell, design, &reached, &needed);
    *out_is_dead = (reached & needed) == 0;
    double sum = 0.0;
    for (int e = 0; e < cell->n_edges; e++) {
        tl_edge_option o = cell->options[design[cell->edge_slot[e]]];
        if ((reached & needed) >> e & 1U) {
            sum += o.op == TL_EDGE_CONV ? (o.kernel == 3 ? 3.0 : 2.0)
                                        : (o.op == TL_EDGE_SKIP ? 0.5 : -0.5);
        }
    }
    return 4.0 * log(4.0 + sum);
}

static fixture *make(const char *space_name, int n)
{
    fixture *f = tl_mem_new(1, sizeof *f);
    assert_non_null(f);
    f->space = load(space_name);
    f->n = n;
    f->n_slots = tl_space_n_slots(f->space);
    f->designs = tl_mem_new((size_t)n * (size_t)f->n_slots, sizeof *f->designs);
    assert_non_null(f->designs);
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (int i = 0; i < n; i++) {
        tl_choice *design = f->designs + (ptrdiff_t)i * f->n_slots;
        tl_space_sample(f->space, &rng, design);
        double quality = made_up_quality(f, design, &f->is_dead[i]);
        for (int k = 0; k < N_TASKS; k++) {
            double value = 80.0 - 20.0 * k + (1.0 + k) * quality + 0.1 * tl_rng_normal(&rng);
            f->labels[i * N_TASKS + k] = f->is_dead[i] ? chance / (1.0 + k) : value;
        }
    }
    return f;
}

static void unmake(fixture *f)
{
    tl_space_unref(f->space);
    tl_mem_free(f->designs);
    tl_mem_free(f);
}

static tl_err fit(
    const fixture *f,
    int n,
    const tl_accuracy_options *options,
    tl_accuracy_model **out_model,
    tl_accuracy_report *out_report)
{
    tl_accuracy_data data = {
        .space = f->space,
        .designs = f->designs,
        .n = n,
        .labels = f->labels,
        .tasks = tasks,
        .n_tasks = N_TASKS,
    };
    return tl_accuracy_fit(&data, options, out_model, out_report);
}

static void assert_learns(const char *space_name)
{
    fixture *f = make(space_name, MAX_DESIGNS);
    tl_accuracy_model *model = NULL;
    tl_accuracy_report report[N_TASKS];
    tl_accuracy_options options = {.seed = 1, .n_threads = 2};
    assert_ok(fit(f, N_TRAIN, &options, &model, report));
    assert_ok(tl_accuracy_predict(model, f->designs, f->n, f->mean, f->std));
    for (int k = 0; k < N_TASKS; k++) {
        static double predicted[MAX_DESIGNS];
        static double truth[MAX_DESIGNS];
        int n = 0;
        int n_covered = 0;
        for (int i = N_TRAIN; i < f->n; i++) {
            predicted[n] = f->mean[i * N_TASKS + k];
            truth[n] = f->labels[i * N_TASKS + k];
            n_covered += fabs(predicted[n] - truth[n]) <= 2.0 * f->std[i * N_TASKS + k];
            n++;
        }
        double rho = 0.0;
        assert_ok(tl_spearman(n, predicted, truth, &rho));
        assert_true(rho > 0.9);
        assert_true(report[k].spearman > 0.85);
        assert_int_equal(report[k].n_labels, N_TRAIN);
        assert_true(report[k].n_held_out > 0);
        assert_true(n_covered > 0.8 * n);
        assert_string_equal(tl_accuracy_model_task(model, k), tasks[k]);
    }
    tl_accuracy_model_free(model);
    unmake(f);
}

static void a_made_up_accuracy_of_cells_is_learnt(void **state)
{
    (void)state;
    assert_learns("nasbench201");
}

static void a_made_up_accuracy_of_staged_networks_is_learnt(void **state)
{
    (void)state;
    assert_learns("mnasnet");
}

static void a_cell_without_a_path_scores_what_such_cells_scored(void **state)
{
    (void)state;
    fixture *f = make("nasbench201", 400);
    tl_accuracy_model *model = NULL;
    tl_accuracy_options options = {.seed = 1};
    tl_accuracy_report report[N_TASKS];
    assert_ok(fit(f, N_TRAIN, &options, &model, report));
    assert_ok(tl_accuracy_predict(model, f->designs, f->n, f->mean, f->std));
    int n_dead = 0;
    for (int i = 0; i < f->n; i++) {
        for (int k = 0; k < N_TASKS && f->is_dead[i]; k++) {
            assert_close(f->mean[i * N_TASKS + k], chance / (1.0 + k), 1e-9);
        }
        n_dead += i < N_TRAIN && f->is_dead[i];
    }
    assert_true(n_dead > 0);
    assert_int_equal(report[0].n_dead, n_dead);
    tl_accuracy_model_free(model);
    unmake(f);
}

static void missing_labels_are_skipped_and_a_task_without_any_is_refused(void **state)
{
    (void)state;
    fixture *f = make("mnasnet", 60);
    tl_accuracy_options options = {.seed = 1};
    tl_accuracy_model *model = NULL;
    for (int i = 0; i < f->n; i++) {
        f->labels[i * N_TASKS] = i % 2 == 0 ? f->labels[i * N_TASKS] : (double)NAN;
        f->labels[i * N_TASKS + 1] = (double)NAN;
    }
    assert_err(TL_EINVAL, fit(f, f->n, &options, &model, NULL));
    assert_detail("accuracy of hard");
    assert_null(model);
    f->labels[1] = 50.0;
    assert_ok(fit(f, f->n, &options, &model, NULL));
    assert_int_equal(tl_accuracy_model_n_labels(model, 0), 30);
    assert_int_equal(tl_accuracy_model_n_labels(model, 1), 1);
    assert_ok(tl_accuracy_predict(model, f->designs, f->n, f->mean, f->std));
    tl_accuracy_model_free(model);
    f->labels[0] = (double)INFINITY;
    model = NULL;
    assert_err(TL_ENUMERIC, fit(f, f->n, &options, &model, NULL));
    unmake(f);
}

static void very_few_designs_still_make_a_model(void **state)
{
    (void)state;
    static const char *const names[] = {"nasbench201", "mnasnet", "mobilenet-zoo"};
    for (size_t s = 0; s < TL_COUNT(names); s++) {
        fixture *f = make(names[s], 12);
        for (int n = 1; n <= 12; n += n < 3 ? 1 : 9) {
            tl_accuracy_options options = {.seed = 1};
            tl_accuracy_model *model = NULL;
            assert_ok(fit(f, n, &options, &model, NULL));
            assert_ok(tl_accuracy_predict(model, f->designs, f->n, f->mean, f->std));
            for (int i = 0; i < f->n * N_TASKS; i++) {
                assert_true(f->mean[i] >= 0.0 && f->mean[i] <= 100.0 && f->std[i] > 0.0);
            }
            tl_accuracy_model_free(model);
        }
        unmake(f);
    }
}

static bool stop_at_once(void *context, int64_t done, int64_t total)
{
    int *n_calls = context;
    ++*n_calls;
    assert_true(done <= total);
    return false;
}

/* The chance that a design's accuracy is at least this, by the curve of that minimum. */
static double chance_of(
    const tl_accuracy_model *model, int task, double least, double accuracy, double std)
{
    tl_confidence confidence;
    tl_accuracy_confidence(model, task, least, &confidence);
    for (int k = 1; k < confidence.n; k++) {
        assert_true(confidence.z[k] > confidence.z[k - 1]);
        assert_true(confidence.p[k] > confidence.p[k - 1]);
    }
    return tl_confidence_of_margin(&confidence, (accuracy - least) / std);
}

static void a_minimum_holds_as_often_as_the_intervals_say(void **state)
{
    (void)state;
    static double low[MAX_DESIGNS * N_TASKS];
    static double high[MAX_DESIGNS * N_TASKS];
    fixture *f = make("nasbench201", MAX_DESIGNS);
    tl_accuracy_model *model = NULL;
    tl_accuracy_options options = {.seed = tl_test_seed(), .n_threads = 2};
    assert_ok(fit(f, N_TRAIN, &options, &model, NULL));
    assert_ok(tl_accuracy_predict(model, f->designs, f->n, f->mean, f->std));
    assert_ok(tl_accuracy_intervals(model, f->designs, f->n, 0.8, low, high));
    double off_low = 0.0;
    double off_high = 0.0;
    int n = 0;
    for (int i = N_TRAIN; i < f->n; i++) {
        int at = i * N_TASKS + 1;
        if (!f->is_dead[i]) {
            off_low += fabs(chance_of(model, 1, low[at], f->mean[at], f->std[at]) - 0.9);
            off_high += fabs(chance_of(model, 1, high[at], f->mean[at], f->std[at]) - 0.1);
            n++;
        }
    }
    assert_true(n > 0);
    assert_true(off_low / n < 0.03);
    assert_true(off_high / n < 0.03);
    tl_accuracy_model_free(model);
    unmake(f);
}

/*
 * The first task of few designs, the second, which has the same order, of many: it teaches. A
 * second task of noise does not.
 */
static void another_task_teaches_where_it_helps(void **state)
{
    (void)state;
    enum {
        FEW = 60
    };
    fixture *f = make("nasbench201", MAX_DESIGNS);
    tl_rng rng;
    tl_rng_init(&rng, tl_test_seed());
    for (int is_noise = 0; is_noise < 2; is_noise++) {
        tl_accuracy_model *model = NULL;
        tl_accuracy_report report;
        tl_accuracy_options options = {.seed = tl_test_seed(), .n_threads = 2};
        for (int i = 0; i < f->n; i++) {
            f->labels[i * N_TASKS] = i < FEW ? f->labels[i * N_TASKS] : (double)NAN;
            if (is_noise) {
                f->labels[i * N_TASKS + 1] = tl_rng_normal(&rng);
            }
        }
        tl_accuracy_data data = {
            .space = f->space,
            .designs = f->designs,
            .n = N_TRAIN,
            .labels = f->labels,
            .tasks = tasks,
            .n_tasks = N_TASKS,
            .n_auxiliary = 1};
        assert_ok(tl_accuracy_fit(&data, &options, &model, &report));
        assert_int_equal(report.is_taught, !is_noise);
        assert_int_equal(tl_accuracy_model_n_tasks(model), 1);
        assert_int_equal(tl_accuracy_model_n_labels(model, 0), FEW);
        assert_ok(tl_accuracy_predict(model, f->designs, f->n, f->mean, f->std));
        tl_accuracy_model_free(model);
    }
    unmake(f);
}

static void progress_is_told_and_can_cancel(void **state)
{
    (void)state;
    fixture *f = make("nasbench201", 40);
    int n_calls = 0;
    tl_accuracy_options options = {.progress = stop_at_once, .context = &n_calls};
    tl_accuracy_model *model = NULL;
    assert_err(TL_ECANCELLED, fit(f, f->n, &options, &model, NULL));
    assert_int_equal(n_calls, 1);
    assert_null(model);
    unmake(f);
}

static void tasks_measured_on_the_same_designs_share_a_group(void **state)
{
    (void)state;
    enum {
        N = 100,
        N_COLUMNS = 4
    };
    double labels[N * N_COLUMNS];
    int group[N_COLUMNS];
    for (int i = 0; i < N; i++) {
        labels[i * N_COLUMNS] = 1.0;
        labels[i * N_COLUMNS + 1] = i < 50 ? 1.0 : (double)NAN; /* half of them */
        labels[i * N_COLUMNS + 2] = (double)NAN;
        labels[i * N_COLUMNS + 3] = i < 95 ? 1.0 : (double)NAN;
    }
    assert_int_equal(tl_accuracy_group_tasks(N, N_COLUMNS, labels, group), 2);
    assert_int_equal(group[0], 0);
    assert_int_equal(group[1], 1);
    assert_int_equal(group[2], -1);
    assert_int_equal(group[3], 0);
}

static void folds_keep_isomorphic_cells_together_and_forget_the_order(void **state)
{
    (void)state;
    enum {
        N = 1000,
        K = 5
    };
    fixture *f = make("nasbench201", N);
    static int fold[N];
    static int reversed[N];
    int count[K] = {0};
    assert_ok(tl_canonical_folds(f->space, f->designs, N, K, 9, fold));
    tl_text a = {0};
    tl_text b = {0};
    for (int i = 0; i < N; i++) {
        count[fold[i]]++;
        for (int j = 0; j < 50; j++) {
            tl_text_clear(&a);
            tl_text_clear(&b);
            tl_space_canonical(f->space, f->designs + (ptrdiff_t)i * f->n_slots, &a);
            tl_space_canonical(f->space, f->designs + (ptrdiff_t)j * f->n_slots, &b);
            if (a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0)) {
                assert_int_equal(fold[i], fold[j]);
            }
        }
    }
    for (int k = 0; k < K; k++) {
        assert_in_range(count[k], N / K / 2, N / K * 2);
    }
    for (int i = 0; i < N / 2; i++) {
        for (int s = 0; s < f->n_slots; s++) {
            tl_choice *x = &f->designs[(ptrdiff_t)i * f->n_slots + s];
            tl_choice *y = &f->designs[(ptrdiff_t)(N - 1 - i) * f->n_slots + s];
            tl_choice kept = *x;
            *x = *y;
            *y = kept;
        }
    }
    assert_ok(tl_canonical_folds(f->space, f->designs, N, K, 9, reversed));
    for (int i = 0; i < N; i++) {
        assert_int_equal(fold[i], reversed[N - 1 - i]);
    }
    tl_text_done(&a);
    tl_text_done(&b);
    unmake(f);
}

static void a_fit_repeats_for_a_seed_and_any_number_of_threads(void **state)
{
    (void)state;
    fixture *f = make("nasbench201", 100);
    tl_bytes packed[3] = {{0}};
    for (int i = 0; i < 3; i++) {
        tl_accuracy_options options = {.seed = i < 2 ? 1 : 2, .n_threads = i == 1 ? 4 : 1};
        tl_accuracy_model *model = NULL;
        assert_ok(fit(f, f->n, &options, &model, NULL));
        assert_ok(tl_accuracy_pack(model, &packed[i]));
        tl_accuracy_model_free(model);
    }
    assert_int_equal(packed[0].len, packed[1].len);
    assert_memory_equal(packed[0].data, packed[1].data, packed[0].len);
    assert_true(
        packed[0].len != packed[2].len ||
        memcmp(packed[0].data, packed[2].data, packed[0].len) != 0);
    for (int i = 0; i < 3; i++) {
        tl_mem_free(packed[i].data);
    }
    unmake(f);
}

/* A small model of each kind, packed. */
static tl_bytes pack_small(const char *space_name, int n, fixture **out_fixture)
{
    fixture *f = make(space_name, n);
    tl_accuracy_model *model = NULL;
    tl_bytes packed = {0};
    tl_accuracy_options options = {.seed = 1};
    assert_ok(fit(f, n, &options, &model, NULL));
    assert_ok(tl_accuracy_predict(model, f->designs, n, f->mean, f->std));
    assert_ok(tl_accuracy_pack(model, &packed));
    tl_accuracy_model_free(model);
    *out_fixture = f;
    return packed;
}

static const struct {
    const char *space;
    int n;
} stored[] = {
    {"nasbench201",   60 },
    {"mnasnet",       160},
    {"mobilenet-zoo", 30 },
};

static void a_stored_model_predicts_the_same(void **state)
{
    (void)state;
    for (size_t s = 0; s < TL_COUNT(stored); s++) {
        fixture *f = NULL;
        tl_bytes packed = pack_small(stored[s].space, stored[s].n, &f);
        tl_accuracy_model *again = NULL;
        assert_ok(tl_accuracy_unpack(f->space, packed.data, packed.len, &again));
        double *mean = tl_mem_new((size_t)f->n, 2 * N_TASKS * sizeof *mean);
        assert_non_null(mean);
        double *std = mean + (ptrdiff_t)f->n * N_TASKS;
        assert_ok(tl_accuracy_predict(again, f->designs, f->n, mean, std));
        assert_memory_equal(mean, f->mean, (size_t)f->n * N_TASKS * sizeof *mean);
        assert_memory_equal(std, f->std, (size_t)f->n * N_TASKS * sizeof *std);
        tl_mem_free(mean);
        tl_mem_free(packed.data);
        tl_accuracy_model_free(again);
        unmake(f);
    }
}

/* Bytes changed, cut or appended: a model that works or a clear error, nothing else. */
static void damaged_bytes_never_crash(void **state)
{
    (void)state;
    enum {
        N_MUTATIONS = 2000
    };
    for (size_t s = 0; s < TL_COUNT(stored); s++) {
        fixture *f = NULL;
        tl_bytes packed = pack_small(stored[s].space, stored[s].n, &f);
        uint8_t *bytes = tl_mem_new(packed.len, 1);
        assert_non_null(bytes);
        tl_rng rng;
        tl_rng_init(&rng, tl_test_seed());
        int n_refused = 0;
        for (int m = 0; m < N_MUTATIONS; m++) {
            size_t len = packed.len;
            memcpy(bytes, packed.data, len);
            if (m % 4 == 0) {
                len = (size_t)tl_rng_below(&rng, len);
            } else {
                /* Half of the changes in the head of the message, where the sizes are. */
                size_t span = m % 2 == 0 && len > 400 ? 400 : len;
                for (int k = 0; k < 1 + m % 3; k++) {
                    bytes[tl_rng_below(&rng, span)] = (uint8_t)tl_rng_next(&rng);
                }
            }
            tl_accuracy_model *model = NULL;
            tl_err err = tl_accuracy_unpack(f->space, bytes, len, &model);
            if (err == TL_OK) {
                tl_err answer = tl_accuracy_predict(model, f->designs, 4, f->mean, f->std);
                assert_true(answer == TL_OK || answer == TL_ENUMERIC);
            } else {
                assert_true(err == TL_EDAMAGED || err == TL_EVERSION);
                assert_null(model);
                n_refused++;
            }
            tl_accuracy_model_free(model);
        }
        assert_true(n_refused > N_MUTATIONS / 4 - 10);
        tl_mem_free(bytes);
        tl_mem_free(packed.data);
        unmake(f);
    }
}

typedef Tailor__Model__V1__AccuracyModel message;

static void shorten_params(message *m)
{
    m->n_params--;
}

static void name_more_members(message *m)
{
    m->members++;
}

static void name_no_network(message *m)
{
    m->h = 0;
}

static void read_as_no_code(message *m)
{
    m->read_as.data[0] = 200;
}

static void poison_a_parameter(message *m)
{
    m->params[3] = NAN;
}

static void let_knots_descend(message *m)
{
    m->tasks[0]->knot_score[1] = m->tasks[0]->knot_score[0];
}

static void drop_a_knot(message *m)
{
    m->tasks[0]->n_knot_score--;
}

static void make_noise_negative(message *m)
{
    m->tasks[1]->noise = -1.0;
}

static void add_a_ridge(message *m)
{
    m->ridges = 1;
}

static void come_from_the_future(message *m)
{
    m->version = 2;
}

static const struct {
    const char *what; /* the detail says */
    void (*damage)(message *m);
    tl_err wanted;
} wrong_fields[] = {
    {"parameters",    shorten_params,       TL_EDAMAGED},
    {"parameters",    name_more_members,    TL_EDAMAGED},
    {"sizes",         name_no_network,      TL_EDAMAGED},
    {"code 0",        read_as_no_code,      TL_EDAMAGED},
    {"not finite",    poison_a_parameter,   TL_EDAMAGED},
    {"not ascend",    let_knots_descend,    TL_EDAMAGED},
    {"knots",         drop_a_knot,          TL_EDAMAGED},
    {"out of range",  make_noise_negative,  TL_EDAMAGED},
    {"1 ridges",      add_a_ridge,          TL_EDAMAGED},
    {"got version 2", come_from_the_future, TL_EVERSION},
};

static void every_wrong_field_is_named(void **state)
{
    (void)state;
    fixture *f = NULL;
    tl_bytes packed = pack_small("nasbench201", 60, &f);
    for (size_t i = 0; i < TL_COUNT(wrong_fields); i++) {
        ProtobufCMessage *base = NULL;
        tl_bytes damaged = {0};
        tl_accuracy_model *model = NULL;
        assert_ok(tl_wire_unpack(
            &tailor__model__v1__accuracy_model__descriptor, packed.data, packed.len, 1 << 24,
            &base));
        wrong_fields[i].damage((message *)base);
        assert_ok(tl_wire_pack(base, &damaged));
        assert_err(
            wrong_fields[i].wanted,
            tl_accuracy_unpack(f->space, damaged.data, damaged.len, &model));
        assert_detail(wrong_fields[i].what);
        assert_null(model);
        tl_mem_free(damaged.data);
        tl_wire_free(base);
    }
    tl_mem_free(packed.data);
    unmake(f);
}

static void a_model_of_another_space_is_refused(void **state)
{
    (void)state;
    fixture *f = NULL;
    tl_bytes packed = pack_small("nasbench201", 40, &f);
    tl_space *other = load("mnasnet");
    tl_accuracy_model *model = NULL;
    assert_err(TL_EDAMAGED, tl_accuracy_unpack(other, packed.data, packed.len, &model));
    assert_err(TL_EDAMAGED, tl_accuracy_unpack(f->space, packed.data, 0, &model));
    assert_null(model);
    tl_space_unref(other);
    tl_mem_free(packed.data);
    unmake(f);
}

static void packing_survives_every_allocation_failure(void **state)
{
    (void)state;
    fixture *f = NULL;
    tl_bytes packed = pack_small("mnasnet", 20, &f);
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    for (long k = 1; err != TL_OK; k++) {
        tl_accuracy_model *model = NULL;
        tl_bytes again = {0};
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = tl_accuracy_unpack(f->space, packed.data, packed.len, &model);
        if (err == TL_OK) {
            err = tl_accuracy_pack(model, &again);
        }
        tl_mem_fail_at(0);
        n_failures += err != TL_OK;
        tl_accuracy_model_free(model);
        tl_mem_free(again.data);
        assert_int_equal(tl_mem_live(), live_before);
    }
    assert_true(n_failures >= 10);
    tl_mem_free(packed.data);
    unmake(f);
}

static void fitting_survives_every_allocation_failure(void **state)
{
    (void)state;
    fixture *f = make("mobilenet-zoo", 12);
    tl_err err = TL_ENOMEM;
    int n_failures = 0;
    for (long k = 1; err != TL_OK; k++) {
        tl_accuracy_model *model = NULL;
        tl_accuracy_options options = {.seed = 1};
        long live_before = tl_mem_live();
        tl_mem_fail_at(k);
        err = fit(f, f->n, &options, &model, NULL);
        tl_mem_fail_at(0);
        n_failures += err != TL_OK;
        tl_accuracy_model_free(model);
        assert_int_equal(tl_mem_live(), live_before);
    }
    assert_true(n_failures >= 30);
    unmake(f);
}

int main(void)
{
    tl_blas_single_thread();
#define TIDY(test) cmocka_unit_test_setup_teardown(test, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TIDY(a_made_up_accuracy_of_cells_is_learnt),
        TIDY(a_made_up_accuracy_of_staged_networks_is_learnt),
        TIDY(a_cell_without_a_path_scores_what_such_cells_scored),
        TIDY(missing_labels_are_skipped_and_a_task_without_any_is_refused),
        TIDY(very_few_designs_still_make_a_model),
        TIDY(a_minimum_holds_as_often_as_the_intervals_say),
        TIDY(another_task_teaches_where_it_helps),
        TIDY(progress_is_told_and_can_cancel),
        TIDY(tasks_measured_on_the_same_designs_share_a_group),
        TIDY(folds_keep_isomorphic_cells_together_and_forget_the_order),
        TIDY(a_fit_repeats_for_a_seed_and_any_number_of_threads),
        TIDY(a_stored_model_predicts_the_same),
        TIDY(damaged_bytes_never_crash),
        TIDY(every_wrong_field_is_named),
        TIDY(a_model_of_another_space_is_refused),
        TIDY(packing_survives_every_allocation_failure),
        TIDY(fitting_survives_every_allocation_failure),
    };
    return cmocka_run_group_tests_name("predictors/accuracy", tests, NULL, NULL);
}
