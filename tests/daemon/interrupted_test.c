/* SPDX-License-Identifier: Apache-2.0 */

/* Long methods that are ended, or lose their space, while they work. */

#include "tests/daemon/chain.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/methods.h"
#include "daemon/predictors.h"
#include "measurements/columns.h"
#include "numerics/gemm.h"
#include "predictors/model.h"
#include "proto/tailor.pb-c.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

enum {
    N_NAMES = 257,
    N_SLOTS = 60,
    N_WIDE_ROWS = 9000
};

#define TEXT(literal) ((char *)(uintptr_t)(literal))

/* ---- the world -------------------------------------------------------------------------------- */

static tl_engine *engine;
static const char *data_dir;

static int begin_test(void **state)
{
    (void)tl_test_count_blocks(state);
    data_dir = tl_test_new_dir();
    engine = tl_test_engine_open(data_dir);
    tl_space *space = tl_chain_add(engine, TL_CHAIN_YAML(3));
    tl_chain_measure(engine, space, "alpha", "beta");
    tl_space_unref(space);
    return 0;
}

static int end_test(void **state)
{
    tl_engine_close(engine);
    return tl_test_no_leaks(state);
}

/* ---- calls that something happens to at their first sign of life ---------------------------------- */

typedef struct watch {
    void (*act)(struct watch *watch);
    int n_signs;
    atomic_bool is_cancelled;
} watch;

static void on_sign(void *sink, int kind, const ProtobufCMessage *body)
{
    watch *seen = sink;
    (void)kind;
    (void)body;
    if (seen->n_signs++ == 0) {
        seen->act(seen);
    }
}

static void cancel(watch *seen)
{
    atomic_store(&seen->is_cancelled, true);
}

static void remove_space(watch *seen)
{
    (void)seen;
    assert_ok(tl_engine_space_remove(engine, "toy", true));
}

static tl_err call_watched(const char *method, const void *message, void (*act)(watch *seen))
{
    watch seen = {.act = act};
    tl_bytes request = {0};
    tl_bytes reply = {0};
    tl_call call = {
        .engine = engine,
        .role = TL_ROLE_ADMIN,
        .deadline_ns = INT64_MAX,
        .is_cancelled = &seen.is_cancelled,
        .send = on_sign,
        .sink = &seen};
    assert_ok(tl_wire_pack(message, &request));
    tl_err err =
        tl_method_call(tl_method_find(method), &call, request.data, request.len, &reply);
    assert_true(seen.n_signs > 0);
    tl_mem_free(request.data);
    tl_mem_free(reply.data);
    tl_call_done(&call);
    return err;
}

static Tailor__V1__TrainRequest ask_for_training(void)
{
    Tailor__V1__TrainRequest request;
    tailor__v1__train_request__init(&request);
    request.space = TEXT("toy");
    request.effort = TEXT("none");
    return request;
}

static void assert_no_model(void)
{
    char path[600];
    tl_file_list models = {0};
    (void)snprintf(path, sizeof path, "%s/models", data_dir);
    assert_ok(tl_file_make_dirs(path));
    assert_ok(tl_file_list_init(&models, path, ".tlm"));
    assert_int_equal(models.n_names, 0);
    tl_file_list_done(&models);
}

/* ---- cancelled at work ----------------------------------------------------------------------------- */

static void a_training_ends_when_it_is_cancelled_at_work(void **state)
{
    (void)state;
    Tailor__V1__TrainRequest request = ask_for_training();
    assert_err(TL_ECANCELLED, call_watched("train.run", &request, cancel));
    assert_no_model();
}

static void an_evaluation_ends_when_it_is_cancelled_at_work(void **state)
{
    (void)state;
    Tailor__V1__EvaluateRequest request;
    tailor__v1__evaluate_request__init(&request);
    request.space = TEXT("toy");
    assert_err(TL_ECANCELLED, call_watched("evaluate.run", &request, cancel));
}

/* Rows of a space with so many slots that their answer goes in two parts. */
static void measure_much(void)
{
    tl_text yaml = {0};
    tl_text csv = {0};
    tl_space *space = NULL;
    tl_table table = {0};
    tl_import_report report;
    tl_text_addf(
        &yaml,
        "name: wide\nkind: chain\ninput: {channels: 8, size: 8}\nslot: b{block}\n"
        "stages: [{channels: 8, blocks: %d}]\noptions:\n"
        "  - {name: a, ops: [{op: conv, out: out, kernel: 1}]}\n"
        "  - {name: b, ops: [{op: depthwise, kernel: 3}]}\n",
        (int)N_SLOTS);
    assert_ok(tl_text_err(&yaml));
    assert_ok(tl_space_parse(yaml.data, yaml.len, "wide.yaml", &space));
    assert_ok(tl_engine_space_add(engine, space));
    for (int s = 0; s < N_SLOTS; s++) {
        tl_text_addf(&csv, "b%02d,", s + 1);
    }
    tl_text_add(&csv, "latency_ms@alpha\n");
    for (int i = 0; i < N_WIDE_ROWS; i++) {
        for (int s = 0; s < N_SLOTS; s++) {
            tl_text_add(&csv, s < 16 && (i >> s & 1) != 0 ? "b," : "a,");
        }
        tl_text_add(&csv, "1\n");
    }
    assert_ok(tl_text_err(&csv));
    assert_ok(tl_table_parse(space, "t.csv", NULL, csv.data, csv.len, &table));
    assert_ok(tl_columns_import(tl_engine_store(engine), space, &table, NULL, NULL, &report));
    tl_table_done(&table);
    tl_text_done(&csv);
    tl_text_done(&yaml);
    tl_space_unref(space);
}

static void an_export_ends_when_it_is_cancelled_between_its_parts(void **state)
{
    (void)state;
    Tailor__V1__ExportRequest request;
    tailor__v1__export_request__init(&request);
    request.space = TEXT("wide");
    measure_much();
    assert_err(TL_ECANCELLED, call_watched("measure.export", &request, cancel));
}

/* ---- an import ---------------------------------------------------------------------------------------- */

typedef struct commit {
    uint64_t import_id;
    atomic_bool is_cancelled;
    tl_err result;
} commit;

static void *run_commit(void *context)
{
    commit *c = context;
    tl_bytes request = {0};
    tl_bytes reply = {0};
    Tailor__V1__ImportId message;
    tl_call call = {
        .engine = engine,
        .role = TL_ROLE_ADMIN,
        .deadline_ns = INT64_MAX,
        .is_cancelled = &c->is_cancelled};
    tailor__v1__import_id__init(&message);
    message.import_id = c->import_id;
    assert_ok(tl_wire_pack((const ProtobufCMessage *)&message, &request));
    c->result =
        tl_method_call(&tl_method_measure_commit, &call, request.data, request.len, &reply);
    tl_mem_free(request.data);
    tl_mem_free(reply.data);
    tl_call_done(&call);
    return NULL;
}

/* The commit has begun its work when it gave back its place among the open imports. */
static void await_place(tl_imports *imports, tl_space *space)
{
    uint64_t id = 0;
    tl_err err = TL_EBUSY;
    while (err == TL_EBUSY) {
        (void)sched_yield();
        err = tl_imports_begin(imports, space, "t.csv", &id);
    }
    assert_ok(err);
}

static void an_import_that_is_cancelled_at_work_stores_nothing(void **state)
{
    (void)state;
    static const char csv[] = "b1,b2,b3,latency_ms@gamma\none,one,one,7\n";
    tl_imports *imports = tl_engine_imports(engine);
    tl_space *space = NULL;
    tl_store_txn *txn = NULL;
    pthread_t thread;
    uint64_t other = 0;
    int n = 0;
    commit c = {.is_cancelled = false};
    assert_ok(tl_engine_space(engine, "toy", &space));
    assert_ok(tl_imports_begin(imports, space, "t.csv", &c.import_id));
    assert_ok(tl_imports_feed(imports, c.import_id, 0, csv, sizeof csv - 1));
    for (int i = 1; i < TL_IMPORTS_MAX; i++) {
        assert_ok(tl_imports_begin(imports, space, "t.csv", &other));
    }
    assert_ok(tl_store_begin(tl_engine_store(engine), &txn));
    assert_int_equal(pthread_create(&thread, NULL, run_commit, &c), 0);
    await_place(imports, space);
    atomic_store(&c.is_cancelled, true);
    tl_store_abort(&txn);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_err(TL_ECANCELLED, c.result);
    assert_ok(
        tl_columns_count(tl_engine_store(engine), "toy", TL_METRIC_LATENCY_MS, "gamma", &n));
    assert_int_equal(n, 0);
    tl_space_unref(space);
}

static void more_names_than_take_part_are_refused_before_the_queue(void **state)
{
    (void)state;
    static char *names[N_NAMES];
    Tailor__V1__TrainRequest request = ask_for_training();
    for (int i = 0; i < N_NAMES; i++) {
        names[i] = TEXT("alpha");
    }
    request.has_devices = true;
    request.n_devices = N_NAMES;
    request.devices = names;
    assert_err(TL_ELIMIT, tl_method_train_run.check((const ProtobufCMessage *)&request));
    assert_detail("got 257 devices and 0 tasks, want at most 256 of each");
    request.n_devices = N_NAMES - 1;
    assert_ok(tl_method_train_run.check((const ProtobufCMessage *)&request));
    request.n_devices = 0;
    request.n_tasks = N_NAMES;
    request.tasks = names;
    assert_err(TL_ELIMIT, tl_method_train_run.check((const ProtobufCMessage *)&request));
    Tailor__V1__EvaluateRequest grading;
    tailor__v1__evaluate_request__init(&grading);
    grading.n_subjects = N_NAMES;
    grading.subjects = names;
    assert_err(TL_ELIMIT, tl_method_evaluate_run.check((const ProtobufCMessage *)&grading));
    assert_detail("got 257 subjects, want at most");
}

/* ---- removed at work -------------------------------------------------------------------------------- */

static void a_space_that_is_removed_ends_its_training_and_keeps_nothing_of_it(void **state)
{
    (void)state;
    Tailor__V1__TrainRequest request = ask_for_training();
    assert_err(TL_ECANCELLED, call_watched("train.run", &request, remove_space));
    assert_no_model();
    assert_int_equal(tl_jobs_count_get(tl_engine_jobs(engine)).n_running, 0);
}

static void a_space_that_is_removed_takes_its_jobs_out_of_the_queue(void **state)
{
    (void)state;
    uint64_t ids[2];
    static const char *const spaces[2] = {"toy", "nasbench201"};
    tl_jobs *jobs = tl_engine_jobs(engine);
    tl_job_view view;
    tl_call call = {.engine = engine, .role = TL_ROLE_WRITER, .deadline_ns = INT64_MAX};
    for (int i = 0; i < 2; i++) {
        tl_job_start start = {
            .method = &tl_method_train_run,
            .subject = spaces[i],
            .token = "",
            .request = (const uint8_t *)"",
            .request_len = 0};
        assert_ok(tl_jobs_start(jobs, &call, &start, &ids[i]));
    }
    remove_space(NULL);
    assert_ok(tl_jobs_find(jobs, ids[0], &view));
    assert_string_equal(tl_job_state_name(&view), "cancelled");
    assert_ok(tl_jobs_find(jobs, ids[1], &view));
    assert_string_equal(tl_job_state_name(&view), "waiting");
}

static void a_model_comes_into_no_space_that_was_removed_or_made_again(void **state)
{
    (void)state;
    tl_space *former = NULL;
    tl_model *model = NULL;
    assert_ok(tl_engine_space(engine, "toy", &former));
    assert_ok(tl_model_new(former, &model));
    assert_ok(tl_engine_model_store(engine, former, model));
    remove_space(NULL);
    assert_no_model();
    assert_err(TL_ESTATE, tl_engine_model_store(engine, former, model));
    assert_detail("space toy was removed meanwhile");
    tl_space_unref(tl_chain_add(engine, TL_CHAIN_YAML(3))); /* without its measurements */
    assert_err(TL_ESTATE, tl_engine_model_store(engine, former, model));
    assert_no_model();
    tl_model_free(model);
    tl_space_unref(former);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)
    const struct CMUnitTest tests[] = {
        TEST(a_training_ends_when_it_is_cancelled_at_work),
        TEST(an_evaluation_ends_when_it_is_cancelled_at_work),
        TEST(an_export_ends_when_it_is_cancelled_between_its_parts),
        TEST(an_import_that_is_cancelled_at_work_stores_nothing),
        TEST(more_names_than_take_part_are_refused_before_the_queue),
        TEST(a_space_that_is_removed_ends_its_training_and_keeps_nothing_of_it),
        TEST(a_space_that_is_removed_takes_its_jobs_out_of_the_queue),
        TEST(a_model_comes_into_no_space_that_was_removed_or_made_again),
    };
#undef TEST
    tl_blas_single_thread();
    tl_log_set_level(TL_LOG_ERROR);
    return cmocka_run_group_tests_name("daemon/interrupted", tests, NULL, NULL);
}
