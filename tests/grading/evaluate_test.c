/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/grading/world.h"

#include "base/mem.h"
#include "grading/evaluate.h"
#include "measurements/designs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static tl_evaluate_options options_of(const world *w)
{
    return (tl_evaluate_options){
        .space = w->space,
        .columns = w->pointers,
        .n_columns = N_DEVICES,
        .is_graded = w->is_graded,
        .accuracy = &w->accuracy,
        .seed = 7};
}

enum {
    OWN_SETS = TL_N_SETS - 1 /* graded where no other space is given */
};

/* What a test works on; options are the usual ones until it changes them. */
typedef struct trial {
    world w;
    tl_text notes;
    tl_evaluation evaluation;
    tl_evaluate_options options;
} trial;

static void trial_begin(trial *t)
{
    *t = (trial){0};
    world_init(&t->w);
    t->options = options_of(&t->w);
}

static void trial_end(trial *t)
{
    tl_evaluation_done(&t->evaluation);
    tl_text_done(&t->notes);
    world_done(&t->w);
}

static const tl_grade *find(
    const tl_evaluation *evaluation, const char *subject, const char *method, tl_grade_set set)
{
    for (int i = 0; i < evaluation->n_grades; i++) {
        const tl_grade *grade = &evaluation->grades[i];
        if (strcmp(grade->subject, subject) == 0 && strcmp(grade->method, method) == 0 &&
            grade->set == set) {
            return grade;
        }
    }
    fail_msg("%s %s is not graded", subject, method);
    return NULL;
}

/* Lines of notes that say so, and grades of which it is true. */
static void assert_misled_are_noted(const trial *t)
{
    int n_said = 0;
    int n_true = 0;
    const char *at = t->notes.data;
    while (at != NULL && (at = strstr(at, "likelihood misleads")) != NULL) {
        n_said++;
        at++;
    }
    for (int i = 0; i < t->evaluation.n_grades; i++) {
        const tl_grade *grade = &t->evaluation.grades[i];
        const tl_grade *exact = find(&t->evaluation, grade->subject, "gp", grade->set);
        if (strcmp(grade->subject, "mean") != 0 && strcmp(grade->method, "head") != 0) {
            n_true += grade->figures[TL_FIGURE_NLL] < exact->figures[TL_FIGURE_NLL] &&
                      grade->figures[TL_FIGURE_DISTANCE_EXACT] > .2;
        }
    }
    assert_int_equal(n_said, n_true);
    assert_true(n_true > 0); /* networks, far from the samples */
}

static void every_method_is_graded_on_every_set(void **state)
{
    trial t;
    (void)state;
    trial_begin(&t);
    assert_ok(tl_evaluate(&t.options, &t.notes, &t.evaluation));
    /* the shipped head has no answer for a device without samples */
    assert_int_equal(t.evaluation.n_grades, 3 * ((tl_infer_n_methods - 1) * OWN_SETS - 1));
    for (int k = 0; k < tl_infer_n_methods; k++) {
        const char *method = tl_infer_methods[k].name;
        if (strcmp(method, "accuracy") == 0) {
            continue;
        }
        const tl_grade *near = find(&t.evaluation, "mean", method, TL_SET_NEAR);
        const tl_grade *far = find(&t.evaluation, "mean", method, TL_SET_FAR);
        const tl_grade *hurt = find(&t.evaluation, "mean", method, TL_SET_CORRUPTED);
        assert_true(near->figures[TL_FIGURE_SPEARMAN] > .8);
        assert_true(near->figures[TL_FIGURE_DECISION_COST] >= 0);
        assert_true(isnan(near->figures[TL_FIGURE_OOD_AUROC]));
        assert_true(far->figures[TL_FIGURE_OOD_AUROC] > 0);
        assert_true(hurt->figures[TL_FIGURE_RMSE] > near->figures[TL_FIGURE_RMSE]);
        if (strcmp(method, "head") != 0) {
            const tl_grade *unseen = find(&t.evaluation, "mean", method, TL_SET_UNSEEN);
            assert_true(unseen->figures[TL_FIGURE_SPEARMAN] > .7);
            assert_true(unseen->figures[TL_FIGURE_OOD_AUROC] >= 0);
        }
    }
    /* the shipped head forgives damaged samples; the exact posterior of normal noise does not */
    assert_true(
        find(&t.evaluation, "mean", "head", TL_SET_CORRUPTED)->figures[TL_FIGURE_RMSE] <
        find(&t.evaluation, "mean", "gp", TL_SET_CORRUPTED)->figures[TL_FIGURE_RMSE]);
    assert_close(
        find(&t.evaluation, "mean", "gp", TL_SET_NEAR)->figures[TL_FIGURE_DISTANCE_EXACT], 0,
        1e-12);
    assert_misled_are_noted(&t);
    trial_end(&t);
}

static void designs_of_another_space_are_told_from_its_own(void **state)
{
    trial t;
    tl_space *other = NULL;
    (void)state;
    trial_begin(&t);
    load_space("fbnet", &other);
    const tl_space *others[] = {other};
    t.options.others = others;
    t.options.n_others = 1;
    assert_ok(tl_evaluate(&t.options, &t.notes, &t.evaluation));
    for (int k = 0; k < tl_infer_n_methods; k++) {
        const char *method = tl_infer_methods[k].name;
        if (strcmp(method, "accuracy") == 0) {
            continue;
        }
        const tl_grade *foreign = find(&t.evaluation, "mean", method, TL_SET_FOREIGN);
        double auroc = foreign->figures[TL_FIGURE_OOD_AUROC];
        assert_true(0 <= auroc && auroc <= 1);
        assert_true(isfinite(foreign->figures[TL_FIGURE_OOD_DIVERGENCE_BITS]));
        assert_true(isnan(foreign->figures[TL_FIGURE_RMSE])); /* nothing is measured of them */
    }
    assert_true(
        find(&t.evaluation, "mean", "gp", TL_SET_FOREIGN)->figures[TL_FIGURE_OOD_AUROC] > .9);
    tl_space_unref(other);
    trial_end(&t);
}

static bool takes_gp_and_mean_field(const void *context, const char *method)
{
    (void)context;
    return strcmp(method, "mean-field") == 0;
}

static void one_method_alone_still_has_the_exact_reference(void **state)
{
    trial t;
    (void)state;
    trial_begin(&t);
    t.options.takes = takes_gp_and_mean_field;
    t.options.accuracy = NULL;
    assert_ok(tl_evaluate(&t.options, &t.notes, &t.evaluation));
    assert_int_equal(t.evaluation.n_grades, 3 * OWN_SETS);
    const tl_grade *grade = find(&t.evaluation, "anna", "mean-field", TL_SET_NEAR);
    assert_true(grade->figures[TL_FIGURE_DISTANCE_EXACT] > 0);
    assert_true(isnan(grade->figures[TL_FIGURE_DISTANCE_HMC]));
    assert_true(isnan(grade->figures[TL_FIGURE_DECISION_COST]));
    trial_end(&t);
}

static void too_few_designs_are_said_and_nothing_is_answered(void **state)
{
    trial t;
    (void)state;
    trial_begin(&t);
    t.options.n_samples = N_DESIGNS;
    assert_err(TL_ESTATE, tl_evaluate(&t.options, &t.notes, &t.evaluation));
    assert_non_null(strstr(t.notes.data, "anna"));
    assert_null(t.evaluation.grades);
    trial_end(&t);
}

static void tasks_are_graded_alone_and_by_the_shipped_predictor_too(void **state)
{
    trial t;
    bool is_graded = true;
    (void)state;
    trial_begin(&t);
    tl_train_column task = {
        .metric = TL_METRIC_ACCURACY,
        .subject = "toy",
        .designs = t.w.designs,
        .values = t.w.accuracy.values,
        .n = N_DESIGNS};
    const tl_train_column *tasks[] = {&task};
    t.options = (tl_evaluate_options){
        .space = t.w.space,
        .metric = TL_METRIC_ACCURACY,
        .columns = tasks,
        .n_columns = 1,
        .is_graded = &is_graded,
        .n_samples = 100,
        .seed = 3};
    assert_ok(tl_evaluate(&t.options, &t.notes, &t.evaluation));
    assert_int_equal(t.evaluation.n_grades, 2 * (tl_infer_n_methods - 1) * (OWN_SETS - 1));
    const tl_grade *shipped = find(&t.evaluation, "toy", "accuracy", TL_SET_NEAR);
    assert_true(shipped->figures[TL_FIGURE_SPEARMAN] > .7);
    trial_end(&t);
}

static void two_devices_are_graded_without_the_unseen(void **state)
{
    trial t;
    (void)state;
    trial_begin(&t);
    t.options.n_columns = 2;
    t.options.takes = takes_gp_and_mean_field;
    assert_ok(tl_evaluate(&t.options, &t.notes, &t.evaluation));
    assert_int_equal(t.evaluation.n_grades, 3 * (OWN_SETS - 1));
    tl_evaluation_done(&t.evaluation);
    t.options.n_columns =
        1; /* no other device: the head alone, its own size tells near from far */
    assert_ok(tl_evaluate(&t.options, &t.notes, &t.evaluation));
    assert_int_equal(t.evaluation.n_grades, 2 * (OWN_SETS - 1));
    trial_end(&t);
}

static bool stops(void *context, const char *what, int64_t done, int64_t total)
{
    (void)context;
    (void)what;
    (void)done;
    (void)total;
    return false;
}

static void it_can_be_cancelled(void **state)
{
    trial t;
    (void)state;
    trial_begin(&t);
    t.options.progress = stops;
    assert_err(TL_ECANCELLED, tl_evaluate(&t.options, &t.notes, &t.evaluation));
    trial_end(&t);
}

/* Bytes that an evaluation left, by column; recalled says how many were asked for and found. */
typedef struct kept {
    void *data[N_DEVICES];
    size_t len[N_DEVICES];
    int n_remembered, n_recalled;
    int stops_at; /* column; N_DEVICES: none */
} kept;

static void remember(void *context, int column, const void *data, size_t len)
{
    kept *k = context;
    k->n_remembered++;
    tl_mem_free(k->data[column]);
    k->data[column] = tl_mem_new(len, 1);
    assert_non_null(k->data[column]);
    memcpy(k->data[column], data, len);
    k->len[column] = len;
}

static tl_err recall(void *context, int column, void **out_data, size_t *out_len)
{
    kept *k = context;
    if (k->data[column] == NULL) {
        return tl_fail(TL_ENOTFOUND, "nothing");
    }
    k->n_recalled++;
    *out_data = tl_mem_new(k->len[column], 1);
    assert_non_null(*out_data);
    memcpy(*out_data, k->data[column], k->len[column]);
    *out_len = k->len[column];
    return TL_OK;
}

static bool stops_at(void *context, const char *what, int64_t done, int64_t total)
{
    const kept *k = context;
    (void)what;
    (void)total;
    return done < k->stops_at;
}

static bool takes_gp(const void *context, const char *method)
{
    (void)context;
    return strcmp(method, "gp") == 0;
}

static void assert_same_grades(const tl_evaluation *a, const tl_evaluation *b)
{
    assert_int_equal(a->n_grades, b->n_grades);
    for (int i = 0; i < a->n_grades; i++) {
        tl_grade one = a->grades[i];
        tl_grade two = b->grades[i];
        assert_string_equal(one.subject, two.subject);
        assert_ptr_equal(one.method, two.method);
        assert_int_equal(one.set, two.set);
        assert_int_equal(one.n_designs, two.n_designs);
        one.figures[TL_FIGURE_TIME_MS] = two.figures[TL_FIGURE_TIME_MS] = 0;
        assert_memory_equal(one.figures, two.figures, sizeof one.figures);
        assert_memory_equal(one.calibration, two.calibration, sizeof one.calibration);
        assert_memory_equal(one.rejection, two.rejection, sizeof one.rejection);
    }
}

static void what_was_graded_before_an_interruption_is_not_graded_again(void **state)
{
    (void)state;
    trial t;
    kept k = {.stops_at = 1};
    tl_evaluation whole = {0};
    trial_begin(&t);
    t.options.takes = takes_gp;
    assert_ok(tl_evaluate(&t.options, &t.notes, &whole));
    t.options.remember = remember;
    t.options.recall = recall;
    t.options.progress = stops_at;
    t.options.context = &k;
    assert_err(TL_ECANCELLED, tl_evaluate(&t.options, &t.notes, &t.evaluation));
    assert_int_equal(k.n_remembered, 1);
    k.stops_at = N_DEVICES;
    assert_ok(tl_evaluate(&t.options, &t.notes, &t.evaluation));
    assert_int_equal(k.n_recalled, 1);
    assert_int_equal(k.n_remembered, 2);
    assert_same_grades(&whole, &t.evaluation);

    tl_evaluation_done(&t.evaluation);
    t.options.seed++; /* other grades: what is kept is of no use */
    assert_ok(tl_evaluate(&t.options, &t.notes, &t.evaluation));
    assert_int_equal(k.n_remembered, 4);
    ((uint8_t *)k.data[0])[k.len[0] / 2] ^= 0x55U; /* damage does no harm */
    tl_mem_free(k.data[1]);
    k.data[1] = tl_mem_strdup("no grades");
    k.len[1] = strlen(k.data[1]);
    tl_evaluation_done(&t.evaluation);
    assert_ok(tl_evaluate(&t.options, &t.notes, &t.evaluation));
    for (int i = 0; i < N_DEVICES; i++) {
        tl_mem_free(k.data[i]);
    }
    tl_evaluation_done(&whole);
    trial_end(&t);
}

static void memory_that_runs_out_leaks_nothing(void **state)
{
    world w;
    (void)state;
    world_init(&w);
    tl_evaluate_options options = options_of(&w);
    options.takes = takes_gp_and_mean_field;
    for (long at = 1; at < 4000; at = at * 5 / 4 + 1) {
        tl_text notes = {0};
        tl_evaluation evaluation = {0};
        tl_mem_fail_at(at);
        tl_err err = tl_evaluate(&options, &notes, &evaluation);
        tl_mem_fail_at(0);
        tl_evaluation_done(&evaluation);
        tl_text_done(&notes);
        if (err == TL_OK) {
            break;
        }
        assert_err(TL_ENOMEM, err);
    }
    world_done(&w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tl_test_count_blocks, tl_test_no_leaks)
    const struct CMUnitTest tests[] = {
        TEST(every_method_is_graded_on_every_set),
        TEST(designs_of_another_space_are_told_from_its_own),
        TEST(one_method_alone_still_has_the_exact_reference),
        TEST(too_few_designs_are_said_and_nothing_is_answered),
        TEST(tasks_are_graded_alone_and_by_the_shipped_predictor_too),
        TEST(two_devices_are_graded_without_the_unseen),
        TEST(it_can_be_cancelled),
        TEST(what_was_graded_before_an_interruption_is_not_graded_again),
        TEST(memory_that_runs_out_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
