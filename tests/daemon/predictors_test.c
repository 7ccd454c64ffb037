/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "daemon/predictors.h"
#include "measurements/columns.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A store, a folder of shipped models and the predictors of one space. */
typedef struct fixture {
    char data[512], models[512];
    tl_store *store;
    tl_space *space;
    tl_predictors *predictors;
} fixture;

static fixture open_all(void)
{
    fixture f = {0};
    char path[512];
    (void)snprintf(f.data, sizeof f.data, "%s", tl_test_new_dir());
    (void)snprintf(f.models, sizeof f.models, "%s", tl_test_new_dir());
    (void)snprintf(path, sizeof path, "%s/spaces/nasbench201.yaml", tl_test_source_dir());
    assert_ok(tl_space_load(path, &f.space));
    assert_ok(tl_store_open(f.data, 0, &f.store));
    assert_ok(tl_predictors_new(f.store, f.models, f.data, &f.predictors));
    return f;
}

static void reopen(fixture *f)
{
    tl_predictors_free(f->predictors);
    assert_ok(tl_predictors_new(f->store, f->models, f->data, &f->predictors));
}

static void close_all(fixture *f)
{
    tl_predictors_free(f->predictors);
    tl_store_close(f->store);
    tl_space_unref(f->space);
}

static tl_model *new_model(const fixture *f, const char *name)
{
    tl_model *model = NULL;
    assert_ok(tl_model_new(f->space, &model));
    tl_mem_free(model->name);
    model->name = tl_mem_strdup(name);
    return model;
}

static void ship(const fixture *f, const char *name)
{
    char path[600];
    tl_bytes bytes = {0};
    tl_model *model = new_model(f, name);
    assert_ok(tl_model_pack(model, &bytes));
    (void)snprintf(path, sizeof path, "%s/nasbench201.tlm", f->models);
    assert_ok(tl_file_write(path, bytes.data, bytes.len));
    tl_mem_free(bytes.data);
    tl_model_free(model);
}

static void train(const fixture *f, const char *name)
{
    tl_model *model = new_model(f, name);
    assert_ok(tl_predictors_store(f->predictors, f->space, model));
    tl_model_free(model);
}

static void write_file(const char *dir, const char *content)
{
    char path[640];
    (void)snprintf(path, sizeof path, "%s/nasbench201.tlm", dir);
    assert_ok(tl_file_write(path, content, strlen(content)));
}

/* The model in use, "none" without one; complaint may be NULL. */
static void assert_in_use(const fixture *f, const char *wanted, const char *complaint)
{
    tl_predictor *predictor = NULL;
    tl_text text = {0};
    assert_ok(tl_predictors_get(f->predictors, f->space, &text, &predictor));
    const tl_model *model = tl_predictor_model(predictor);
    assert_string_equal(model != NULL ? model->name : "none", wanted);
    if (complaint == NULL) {
        assert_int_equal(text.len, 0);
    } else {
        assert_non_null(strstr(text.data, complaint));
    }
    tl_text_done(&text);
    tl_predictor_unref(predictor);
}

static void without_files_there_is_a_predictor_without_a_model(void **state)
{
    (void)state;
    fixture f = open_all();
    tl_model_origin origin;
    assert_in_use(&f, "none", NULL);
    assert_ok(tl_predictors_origin(f.predictors, f.space, &origin));
    assert_string_equal(origin.kind, "none");
    close_all(&f);
}

static void a_trained_model_takes_precedence_and_outlives_the_daemon(void **state)
{
    (void)state;
    fixture f = open_all();
    tl_model_origin origin;
    ship(&f, "shipped");
    assert_in_use(&f, "shipped", NULL);
    train(&f, "trained");
    assert_in_use(&f, "trained", NULL);
    reopen(&f);
    assert_in_use(&f, "trained", NULL);
    assert_ok(tl_predictors_origin(f.predictors, f.space, &origin));
    assert_string_equal(origin.kind, "trained");
    assert_true(origin.file_bytes > 0);
    close_all(&f);
}

static void a_damaged_trained_model_gives_way_to_the_shipped_one(void **state)
{
    (void)state;
    fixture f = open_all();
    char dir[600];
    ship(&f, "shipped");
    train(&f, "trained");
    (void)snprintf(dir, sizeof dir, "%s/models", f.data);
    write_file(dir, "this is no model");
    reopen(&f);
    assert_in_use(&f, "shipped", "nasbench201.tlm: ");
    close_all(&f);
}

static void a_damaged_shipped_model_leaves_none_and_says_so(void **state)
{
    (void)state;
    fixture f = open_all();
    write_file(f.models, "");
    assert_in_use(&f, "none", "not a model file");
    close_all(&f);
}

static void a_model_that_cannot_be_read_back_leaves_the_former_in_place(void **state)
{
    (void)state;
    fixture f = open_all();
    train(&f, "good");
    tl_model *model = new_model(&f, "of another definition of the space");
    tl_mem_free(model->space_digest);
    model->space_digest = tl_mem_strdup("another");
    assert_err(TL_ESTATE, tl_predictors_store(f.predictors, f.space, model));
    assert_detail("trained for another definition");
    tl_model_free(model);
    assert_in_use(&f, "good", "trained for another definition");
    close_all(&f);
}

static void answers_under_way_keep_their_model(void **state)
{
    (void)state;
    fixture f = open_all();
    tl_predictor *before = NULL;
    train(&f, "first");
    assert_ok(tl_predictors_get(f.predictors, f.space, NULL, &before));
    train(&f, "second");
    assert_string_equal(tl_predictor_model(before)->name, "first");
    assert_in_use(&f, "second", NULL);
    tl_predictor_unref(before);
    close_all(&f);
}

enum {
    N_READERS = 2,
    N_SWAPS = 4,
    NOBODY = 65534
};

typedef struct reader {
    fixture *fixture;
    atomic_bool *is_over;
    int n_strange;
    pthread_t thread;
} reader;

static void *read_on(void *context)
{
    reader *r = context;
    while (!atomic_load(r->is_over)) {
        tl_predictor *predictor = NULL;
        tl_err err =
            tl_predictors_get(r->fixture->predictors, r->fixture->space, NULL, &predictor);
        const tl_model *model = err == TL_OK ? tl_predictor_model(predictor) : NULL;
        r->n_strange += model == NULL || strncmp(model->name, "model", 5) != 0;
        tl_predictor_unref(predictor);
    }
    return NULL;
}

/* Nobody sees a space without its model, or a model that is half there. */
static void models_are_replaced_under_those_who_ask(void **state)
{
    (void)state;
    fixture f = open_all();
    atomic_bool is_over = false;
    reader readers[N_READERS];
    ship(&f, "model 0");
    for (int i = 0; i < N_READERS; i++) {
        readers[i] = (reader){.fixture = &f, .is_over = &is_over};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    for (int i = 1; i <= N_SWAPS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "model %d", i);
        train(&f, name);
        assert_in_use(&f, name, NULL);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < N_READERS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_int_equal(readers[i].n_strange, 0);
    }
    close_all(&f);
}

static void what_is_at_hand_is_found_without_a_look_at_files(void **state)
{
    (void)state;
    fixture f = open_all();
    tl_predictor *predictor = NULL;
    tl_view *view = NULL;
    tl_view *found = NULL;
    tl_profile profile;
    ship(&f, "shipped");
    assert_ok(tl_profile_bare("board", &profile));
    assert_false(tl_predictors_find(f.predictors, f.space, NULL, &predictor));
    assert_in_use(&f, "shipped", NULL);
    assert_in_use(&f, "shipped", NULL); /* reading may have taken until the next look */
    assert_true(tl_predictors_find(f.predictors, f.space, NULL, &predictor));
    assert_ok(tl_predictors_find_view(f.predictors, predictor, &profile, &found));
    assert_null(found);
    assert_ok(tl_predictors_view(f.predictors, predictor, &profile, &view));
    assert_ok(tl_predictors_find_view(f.predictors, predictor, &profile, &found));
    assert_ptr_equal(found, view);
    tl_view_unref(found);
    tl_view_unref(view);
    tl_predictor_unref(predictor);
    close_all(&f);
}

/* Until somebody has to look at the files again. */
static void await_look(const fixture *f)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    for (tl_predictor *found = NULL; tl_predictors_find(f->predictors, f->space, NULL, &found);
         found = NULL) {
        tl_predictor_unref(found);
        (void)nanosleep(&moment, NULL);
    }
}

static void a_model_that_did_not_change_is_not_read_again(void **state)
{
    (void)state;
    fixture f = open_all();
    tl_predictor *before = NULL;
    tl_predictor *after = NULL;
    ship(&f, "shipped");
    train(&f, "trained");
    reopen(&f);
    assert_ok(tl_predictors_get(f.predictors, f.space, NULL, &before));
    await_look(&f);
    assert_ok(tl_predictors_get(f.predictors, f.space, NULL, &after));
    assert_ptr_equal(after, before);
    tl_predictor_unref(before);
    tl_predictor_unref(after);
    close_all(&f);
}

/* root reads everything: it is somebody else for that time. */
static void set_readable(const char *path, bool is_readable)
{
    if (is_readable && getuid() == 0) {
        assert_int_equal(seteuid(0), 0);
    }
    assert_int_equal(chmod(path, is_readable ? 0644 : 0), 0);
    if (!is_readable && getuid() == 0) {
        assert_int_equal(seteuid(NOBODY), 0);
    }
}

static void a_model_that_could_not_be_read_is_when_it_can(void **state)
{
    (void)state;
    fixture f = open_all();
    char path[600];
    ship(&f, "shipped");
    (void)snprintf(path, sizeof path, "%s/nasbench201.tlm", f.models);
    assert_int_equal(chmod(f.models, 0755), 0);
    set_readable(path, false);
    assert_in_use(&f, "none", "cannot open");
    set_readable(path, true);
    await_look(&f);
    assert_in_use(&f, "shipped", NULL);
    close_all(&f);
}

static void a_view_follows_what_is_measured(void **state)
{
    (void)state;
    fixture f = open_all();
    static const char csv[] =
        "e01,e02,e12,e03,e13,e23,latency_ms@board\n"
        "nor_conv_3x3,none,skip_connect,none,nor_conv_1x1,skip_connect,5\n"
        "nor_conv_1x1,none,skip_connect,none,nor_conv_1x1,skip_connect,3\n";
    tl_predictor *predictor = NULL;
    tl_profile profile;
    tl_table table = {0};
    tl_import_report report;
    tl_view *empty = NULL;
    tl_view *full = NULL;
    tl_view *again = NULL;
    assert_ok(tl_profile_bare("board", &profile));
    assert_ok(tl_predictors_get(f.predictors, f.space, NULL, &predictor));
    assert_ok(tl_predictors_view(f.predictors, predictor, &profile, &empty));
    assert_int_equal(tl_view_basis(empty, TL_COST_LATENCY), TL_BASIS_NOTHING);
    assert_ok(tl_table_parse(f.space, "t.csv", NULL, csv, sizeof csv - 1, &table));
    assert_ok(tl_columns_import(f.store, f.space, &table, NULL, NULL, &report));
    assert_ok(tl_predictors_view(f.predictors, predictor, &profile, &full));
    assert_int_equal(tl_view_basis(full, TL_COST_LATENCY), TL_BASIS_MEASURED);
    assert_int_equal(tl_view_n_samples(full, TL_COST_LATENCY), 2);
    assert_ok(tl_predictors_view(f.predictors, predictor, &profile, &again));
    assert_ptr_equal(full, again);
    tl_table_done(&table);
    tl_view_unref(empty);
    tl_view_unref(full);
    tl_view_unref(again);
    tl_predictor_unref(predictor);
    close_all(&f);
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, tl_test_count_blocks, tl_test_no_leaks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_files_there_is_a_predictor_without_a_model),
        TEST(a_trained_model_takes_precedence_and_outlives_the_daemon),
        TEST(a_damaged_trained_model_gives_way_to_the_shipped_one),
        TEST(a_damaged_shipped_model_leaves_none_and_says_so),
        TEST(a_model_that_cannot_be_read_back_leaves_the_former_in_place),
        TEST(answers_under_way_keep_their_model),
        TEST(models_are_replaced_under_those_who_ask),
        TEST(what_is_at_hand_is_found_without_a_look_at_files),
        TEST(a_model_that_did_not_change_is_not_read_again),
        TEST(a_model_that_could_not_be_read_is_when_it_can),
        TEST(a_view_follows_what_is_measured),
    };
    return cmocka_run_group_tests_name("daemon/predictors", tests, NULL, NULL);
}
