/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Methods whose deadline passes while they work: at the n-th time that anybody looks at the
 * clock, which for the test goes two hours on then.
 */

#include "tests/daemon/chain.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "daemon/methods.h"
#include "daemon/predictors.h"
#include "measurements/columns.h"
#include "numerics/gemm.h"
#include "proto/tailor.pb-c.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    N_POINTS = 12, /* of a long method that its deadline is tried at */
    HOUR_S = 3600
};

#define TEXT(literal) ((char *)(uintptr_t)(literal))

/* ---- the clock ------------------------------------------------------------------------------ */

static atomic_long n_looks; /* at the clock, since the last reset */
static atomic_long jump_at; /* the look from which on it is two hours later; 0: never */

int64_t __real_tl_clock_ns(void); /* NOLINT(bugprone-reserved-identifier) */
int64_t __wrap_tl_clock_ns(void); /* NOLINT(bugprone-reserved-identifier) */

int64_t __wrap_tl_clock_ns(void) /* NOLINT(bugprone-reserved-identifier) */
{
    long look = atomic_fetch_add(&n_looks, 1) + 1;
    long jump = atomic_load(&jump_at);
    return __real_tl_clock_ns() + (jump > 0 && look >= jump ? 2 * HOUR_S * TL_NS_PER_S : 0);
}

static void set_clock(long look)
{
    atomic_store(&n_looks, 0);
    atomic_store(&jump_at, look);
}

/* ---- the world ------------------------------------------------------------------------------ */

static tl_engine *engine;
static const char *data_dir;

static void add_measured_space(void)
{
    tl_space *space = tl_chain_add(engine, TL_CHAIN_YAML(4));
    tl_chain_measure(engine, space, "old-a", "old-b");
    tl_space_unref(space);
}

static int begin_test(void **state)
{
    (void)tl_test_count_blocks(state);
    set_clock(0);
    data_dir = tl_test_new_dir();
    engine = tl_test_engine_open(data_dir);
    add_measured_space();
    return 0;
}

static int end_test(void **state)
{
    set_clock(0);
    tl_engine_close(engine);
    return tl_test_no_leaks(state);
}

/* The signs of life of a call; its time is over so many looks after the first one, 0: never. */
typedef struct signs {
    long n;
    long looks_left;
} signs;

static void on_sign(void *sink, int kind, const ProtobufCMessage *body)
{
    signs *seen = sink;
    (void)kind;
    (void)body;
    if (seen->n++ == 0 && seen->looks_left > 0) {
        atomic_store(&jump_at, atomic_load(&n_looks) + seen->looks_left);
    }
}

/* Calls with an hour of time, which is over at that look at the clock; 0: at none. */
static tl_err call(const char *method, const void *message, long look, signs *seen)
{
    tl_bytes request = {0};
    tl_bytes reply = {0};
    tl_call to = {
        .engine = engine,
        .role = TL_ROLE_ADMIN,
        .deadline_ns = __real_tl_clock_ns() + HOUR_S * TL_NS_PER_S,
        .send = on_sign,
        .sink = seen};
    assert_ok(tl_wire_pack(message, &request));
    set_clock(look);
    tl_err err = tl_method_call(tl_method_find(method), &to, request.data, request.len, &reply);
    atomic_store(&jump_at, 0);
    tl_mem_free(request.data);
    tl_mem_free(reply.data);
    tl_call_done(&to);
    return err;
}

static tl_err call_until(const char *method, const void *message, long look)
{
    signs seen = {.n = 0};
    return call(method, message, look, &seen);
}

/* How often the method looks at the clock where it has time. */
static long count_looks(const char *method, const void *message)
{
    assert_ok(call_until(method, message, 0));
    return atomic_load(&n_looks);
}

static bool has_model(void)
{
    char path[600];
    tl_file_list models = {0};
    (void)snprintf(path, sizeof path, "%s/models", data_dir);
    assert_ok(tl_file_make_dirs(path));
    assert_ok(tl_file_list_init(&models, path, ".tlm"));
    bool has_one = models.n_names > 0;
    tl_file_list_done(&models);
    return has_one;
}

static bool is_measured(const char *device)
{
    int n = 0;
    assert_ok(
        tl_columns_count(tl_engine_store(engine), "toy", TL_METRIC_LATENCY_MS, device, &n));
    return n > 0;
}

/* ---- long methods ------------------------------------------------------------------------------ */

static void assert_last_job(tl_err wanted)
{
    tl_job_view *views = NULL;
    size_t n = 0;
    assert_ok(tl_jobs_list(tl_engine_jobs(engine), SIZE_MAX, &views, &n));
    assert_true(n > 0);
    const tl_job_view *last = &views[0];
    for (size_t i = 1; i < n; i++) {
        last = views[i].id > last->id ? &views[i] : last;
    }
    assert_int_equal(last->result, wanted);
    tl_mem_free(views);
}

static Tailor__V1__TrainRequest ask_for_training(void)
{
    Tailor__V1__TrainRequest request;
    tailor__v1__train_request__init(&request);
    request.space = TEXT("toy");
    request.effort = TEXT("none");
    return request;
}

/* Before there is a model, whenever it is over, that is what the answer says. */
static void a_training_past_its_deadline_says_so_and_keeps_nothing(void **state)
{
    (void)state;
    Tailor__V1__TrainRequest request = ask_for_training();
    tl_engine *first = engine;
    const char *first_dir = data_dir;
    engine = tl_test_engine_open(tl_test_new_dir()); /* the same one, to count in */
    add_measured_space();
    long n = count_looks("train.run", &request);
    tl_engine_close(engine);
    engine = first;
    data_dir = first_dir;
    for (long k = 0; k < N_POINTS; k++) {
        tl_err err = call_until("train.run", &request, 1 + k * n / N_POINTS);
        if (err == TL_OK) { /* it was stored by then */
            assert_true(k > N_POINTS / 2 && has_model());
            return;
        }
        assert_err(TL_EDEADLINE, err);
        assert_detail("the deadline passed");
        assert_false(has_model());
        if (k > 0) {
            assert_last_job(TL_EDEADLINE);
        }
    }
}

static void an_evaluation_past_its_deadline_says_so(void **state)
{
    (void)state;
    Tailor__V1__EvaluateRequest request;
    char *methods[] = {TEXT("gp"), TEXT("hmc")};
    tailor__v1__evaluate_request__init(&request);
    request.space = TEXT("toy");
    request.methods = methods;
    request.n_methods = TL_COUNT(methods);
    long n = count_looks("evaluate.run", &request);
    for (long k = 0; k < N_POINTS; k++) {
        assert_err(TL_EDEADLINE, call_until("evaluate.run", &request, 1 + k * n / N_POINTS));
        assert_detail("the deadline passed");
        if (k > 0) {
            assert_last_job(TL_EDEADLINE);
        }
    }
}

/* Its first look after a sign is that of the sign itself, which tells no more than to end. */
static void a_method_that_was_told_to_end_tells_why(void **state)
{
    (void)state;
    signs of_training = {.looks_left = 1};
    signs of_evaluation = {.looks_left = 1};
    Tailor__V1__TrainRequest training = ask_for_training();
    Tailor__V1__EvaluateRequest evaluation;
    tailor__v1__evaluate_request__init(&evaluation);
    evaluation.space = TEXT("toy");
    assert_err(TL_EDEADLINE, call("train.run", &training, 0, &of_training));
    assert_detail("training stopped at old-a: the deadline passed");
    assert_last_job(TL_EDEADLINE);
    assert_err(TL_EDEADLINE, call("evaluate.run", &evaluation, 0, &of_evaluation));
    assert_detail("grading stopped at old-a: the deadline passed");
    assert_last_job(TL_EDEADLINE);
}

static void cancel_job(void *sink, int kind, const ProtobufCMessage *body)
{
    long *looks = sink;
    (void)kind;
    if (*looks == 0) {
        const Tailor__V1__Progress *progress = (const Tailor__V1__Progress *)(const void *)body;
        assert_ok(tl_job_cancel(tl_engine_jobs(engine), progress->job_id));
        *looks = atomic_load(&n_looks);
    }
}

static void a_job_that_is_cancelled_ends_at_the_next_look(void **state)
{
    (void)state;
    long looks = 0;
    tl_bytes bytes = {0};
    tl_bytes reply = {0};
    Tailor__V1__TrainRequest request = ask_for_training();
    tl_call to = {
        .engine = engine,
        .role = TL_ROLE_ADMIN,
        .deadline_ns = INT64_MAX,
        .send = cancel_job,
        .sink = &looks};
    assert_ok(tl_wire_pack((const ProtobufCMessage *)&request, &bytes));
    assert_err(
        TL_ECANCELLED,
        tl_method_call(&tl_method_train_run, &to, bytes.data, bytes.len, &reply));
    assert_detail("was cancelled");
    assert_true(looks > 0);
    assert_null(to.must_end);
    assert_last_job(TL_ECANCELLED);
    tl_mem_free(bytes.data);
    tl_call_done(&to);
}

/* It looks between its signs of life too: one column takes seconds in a large space. */
static void a_training_ends_within_a_column(void **state)
{
    (void)state;
    Tailor__V1__TrainRequest request = ask_for_training();
    for (long k = 2; k < 6; k++) {
        signs seen = {.looks_left = k};
        assert_err(TL_EDEADLINE, call("train.run", &request, 0, &seen));
        assert_int_equal(seen.n, 1);
    }
}

static void an_evaluation_ends_within_a_method(void **state)
{
    (void)state;
    Tailor__V1__EvaluateRequest request;
    char *methods[] = {TEXT("hmc")};
    tailor__v1__evaluate_request__init(&request);
    request.space = TEXT("toy");
    request.methods = methods;
    request.n_methods = TL_COUNT(methods);
    signs seen = {.looks_left = 100}; /* of 600 trajectories */
    assert_err(TL_EDEADLINE, call("evaluate.run", &request, 0, &seen));
    assert_detail("hmc: the deadline passed");
}

/* ---- what is stored, all of it or nothing --------------------------------------------------------- */

static uint64_t feed(void)
{
    tl_imports *imports = tl_engine_imports(engine);
    tl_space *space = NULL;
    uint64_t id = 0;
    assert_ok(tl_engine_space(engine, "toy", &space));
    tl_text csv = tl_chain_table(space, "new-a", "new-b");
    assert_ok(tl_imports_begin(imports, space, "t.csv", &id));
    assert_ok(tl_imports_feed(imports, id, 0, csv.data, csv.len));
    tl_text_done(&csv);
    tl_space_unref(space);
    return id;
}

/* The same import is committed again and again, each time with a little more time. */
static void an_import_past_its_deadline_stores_nothing_and_may_be_committed_again(void **state)
{
    (void)state;
    Tailor__V1__ImportId request;
    tailor__v1__import_id__init(&request);
    request.import_id = feed();
    tl_profile profile;
    tl_err err = TL_EDEADLINE;
    long look = 0;
    while (err == TL_EDEADLINE) {
        assert_false(is_measured("new-a"));
        assert_err(
            TL_ENOTFOUND, tl_registry_find(tl_engine_registry(engine), "new-b", &profile));
        err = call_until("measure.commit", &request, ++look);
    }
    assert_ok(err);
    /* it looked as it began, at two devices, at two columns and before it wrote: six times, and
     * the import itself was looked at once */
    assert_true(look > 7);
    assert_true(is_measured("new-a") && is_measured("new-b"));
    assert_ok(tl_registry_find(tl_engine_registry(engine), "new-b", &profile));
    assert_err(TL_ENOTFOUND, call_until("measure.commit", &request, 0));
}

static void an_import_that_is_put_back_takes_no_more_pieces(void **state)
{
    (void)state;
    Tailor__V1__ImportId request;
    tl_imports *imports = tl_engine_imports(engine);
    tailor__v1__import_id__init(&request);
    request.import_id = feed();
    assert_err(TL_EDEADLINE, call_until("measure.commit", &request, 4));
    assert_err(TL_ESTATE, tl_imports_feed(imports, request.import_id, 1, "x", 1));
    assert_detail("has all its pieces");
    assert_ok(tl_imports_abort(imports, request.import_id));
    assert_err(TL_ENOTFOUND, call_until("measure.commit", &request, 0));
}

static void a_device_that_is_not_removed_in_time_stays_whole(void **state)
{
    (void)state;
    Tailor__V1__Name request;
    tailor__v1__name__init(&request);
    request.name = TEXT("old-a");
    assert_ok(tl_registry_add_bare(tl_engine_registry(engine), "old-a", NULL));
    tl_profile profile;
    tl_err err = TL_EDEADLINE;
    long look = 0;
    while (err == TL_EDEADLINE) {
        assert_true(is_measured("old-a"));
        assert_ok(tl_registry_find(tl_engine_registry(engine), "old-a", &profile));
        err = call_until("device.remove", &request, ++look);
    }
    assert_ok(err);
    tl_space_entry *spaces = NULL;
    size_t n = 0;
    assert_ok(tl_engine_spaces(engine, &spaces, &n));
    tl_space_entries_free(spaces, n);
    assert_true(look > (long)n + 2); /* as it began, at each space, and before it wrote */
    assert_false(is_measured("old-a"));
}

static void a_space_that_is_not_removed_in_time_stays_whole(void **state)
{
    (void)state;
    Tailor__V1__SpaceRemoveRequest request;
    tailor__v1__space_remove_request__init(&request);
    request.name = TEXT("toy");
    request.with_measurements = true;
    tl_err err = TL_EDEADLINE;
    long look = 0;
    while (err == TL_EDEADLINE) {
        tl_space *space = NULL;
        assert_ok(tl_engine_space(engine, "toy", &space));
        tl_space_unref(space);
        assert_true(is_measured("old-a"));
        err = call_until("space.remove", &request, ++look);
    }
    assert_ok(err);
    assert_true(look > 3); /* as it began, at the columns, and before it wrote */
    assert_false(is_measured("old-a"));
}

/* ---- what is only read ----------------------------------------------------------------------------- */

static void assert_ends(const char *method, const void *message, long least)
{
    tl_err err = TL_EDEADLINE;
    long look = 0;
    while (err == TL_EDEADLINE) {
        err = call_until(method, message, ++look);
    }
    if (err != TL_OK || look <= least) {
        fail_msg(
            "%s: %s (%s) at look %ld, want more than %ld", method, tl_err_name(err),
            tl_err_detail(), look, least);
    }
}

static void lists_exports_and_suggestions_look_at_their_deadline(void **state)
{
    (void)state;
    Tailor__V1__DeviceListRequest list;
    Tailor__V1__ExportRequest export;
    Tailor__V1__SuggestRequest suggest;
    tailor__v1__device_list_request__init(&list);
    tailor__v1__export_request__init(&export);
    tailor__v1__suggest_request__init(&suggest);
    export.space = suggest.space = TEXT("toy");
    suggest.device = TEXT("old-a");
    suggest.count = 3;
    assert_ok(tl_registry_add_bare(tl_engine_registry(engine), "old-a", NULL));
    assert_ends("device.list", &list, 6); /* at each text column */
    assert_ends("measure.export", &export, 5);
    assert_ends("measure.suggest", &suggest, 10);
}

/* Else a client with less time than the fit takes would never be answered. */
static void a_device_that_is_not_fitted_in_time_is_fitted_for_the_next_one(void **state)
{
    (void)state;
    Tailor__V1__DesignRequest request;
    tl_model_use *uses = NULL;
    size_t n = 0;
    size_t n_views = 0;
    tailor__v1__design_request__init(&request);
    request.space = TEXT("toy");
    request.device = TEXT("old-a");
    request.minimize = TEXT("latency_ms");
    assert_ok(tl_registry_add_bare(tl_engine_registry(engine), "old-a", NULL));
    tl_err err = TL_EDEADLINE;
    for (long look = 1; n_views == 0; look++) {
        err = call_until("design.run", &request, look);
        assert_ok(tl_predictors_in_use(tl_engine_predictors(engine), &uses, &n, &n_views));
        tl_mem_free(uses);
        assert_err(TL_EDEADLINE, err);
    }
    assert_ok(call_until("design.run", &request, 0));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)
    const struct CMUnitTest tests[] = {
        TEST(a_training_past_its_deadline_says_so_and_keeps_nothing),
        TEST(an_evaluation_past_its_deadline_says_so),
        TEST(a_method_that_was_told_to_end_tells_why),
        TEST(a_job_that_is_cancelled_ends_at_the_next_look),
        TEST(a_training_ends_within_a_column),
        TEST(an_evaluation_ends_within_a_method),
        TEST(an_import_past_its_deadline_stores_nothing_and_may_be_committed_again),
        TEST(an_import_that_is_put_back_takes_no_more_pieces),
        TEST(a_device_that_is_not_removed_in_time_stays_whole),
        TEST(a_space_that_is_not_removed_in_time_stays_whole),
        TEST(lists_exports_and_suggestions_look_at_their_deadline),
        TEST(a_device_that_is_not_fitted_in_time_is_fitted_for_the_next_one),
    };
#undef TEST
    tl_blas_single_thread();
    tl_log_set_level(TL_LOG_ERROR);
    return cmocka_run_group_tests_name("daemon/deadline", tests, NULL, NULL);
}
