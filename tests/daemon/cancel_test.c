/* SPDX-License-Identifier: Apache-2.0 */

/* Every method that takes long looks, while it works, whether to go on. */

#include "tests/daemon/serving.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/units.h"
#include "daemon/method.h"
#include "proto/tailor.pb-c.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    TRIES = 20, /* whoever cancels may come too late on a busy machine */
    N_CELLS = 40000,
    N_LOWERED = 8000
};

static tl_engine *engine;

static int open_engine(void **state)
{
    char spaces[512];
    char models[512];
    char catalogue[512];
    const char *source = tl_test_source_dir();
    (void)state;
    (void)snprintf(spaces, sizeof spaces, "%s/spaces", source);
    (void)snprintf(models, sizeof models, "%s/models", source);
    (void)snprintf(catalogue, sizeof catalogue, "%s/device-profiles/catalogue", source);
    const tl_engine_options options = {
        .data_dir = tl_test_new_dir(),
        .models_dir = models,
        .spaces_dir = spaces,
        .catalogue_dir = catalogue};
    return tl_engine_open(&options, &engine) == TL_OK ? 0 : 1;
}

static int close_engine(void **state)
{
    (void)state;
    tl_engine_close(engine);
    return 0;
}

/* Sets the flag a millisecond after it was told to. */
static void *cancel_soon(void *context)
{
    const struct timespec moment = {.tv_nsec = TL_NS_PER_MS};
    (void)nanosleep(&moment, NULL);
    atomic_store((atomic_bool *)context, true);
    return NULL;
}

static tl_err call_and_cancel(const tl_method *method, const tl_bytes *request)
{
    atomic_bool is_cancelled = false;
    tl_bytes reply = {0};
    pthread_t thread;
    tl_call call = {
        .engine = engine,
        .role = TL_ROLE_ADMIN,
        .deadline_ns = INT64_MAX,
        .is_cancelled = &is_cancelled};
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &is_cancelled), 0);
    tl_err err = tl_method_call(method, &call, request->data, request->len, &reply);
    assert_int_equal(pthread_join(thread, NULL), 0);
    tl_mem_free(reply.data);
    tl_call_done(&call);
    return err;
}

static void assert_cancelled(const char *name, const void *message)
{
    tl_err err = TL_OK;
    tl_bytes request = {0};
    assert_ok(tl_wire_pack(message, &request));
    for (int i = 0; i < TRIES && err == TL_OK; i++) {
        err = call_and_cancel(tl_method_find(name), &request);
    }
    tl_mem_free(request.data);
    if (err != TL_ECANCELLED) {
        fail_msg("%s: got %s (%s)", name, tl_err_name(err), tl_err_detail());
    }
}

#define TEXT(literal) ((char *)(uintptr_t)(literal))

static tl_text many_cells(int n)
{
    tl_text csv = {0};
    tl_text_add(&csv, "e01,e02,e12,e03,e13,e23\n");
    for (int i = 0; i < n; i++) {
        tl_text_add(&csv, "nor_conv_3x3,none,skip_connect,none,nor_conv_1x1,avg_pool_3x3\n");
    }
    assert_ok(tl_text_err(&csv));
    return csv;
}

static ProtobufCBinaryData bytes_of(const tl_text *text)
{
    return (ProtobufCBinaryData){.len = text->len, .data = (uint8_t *)text->data};
}

static void predict_and_lower_can_be_cancelled(void **state)
{
    (void)state;
    tl_text csv = many_cells(N_CELLS);
    Tailor__V1__PredictRequest predict;
    Tailor__V1__LowerRequest lower;
    tailor__v1__predict_request__init(&predict);
    predict.space = TEXT("nasbench201");
    predict.device = TEXT("raspi4");
    predict.designs_csv = bytes_of(&csv);
    assert_cancelled("predict.run", &predict);
    tl_text_done(&csv);
    csv = many_cells(N_LOWERED);
    tailor__v1__lower_request__init(&lower);
    lower.space = TEXT("nasbench201");
    lower.designs_csv = bytes_of(&csv);
    assert_cancelled("space.lower", &lower);
    tl_text_done(&csv);
}

static void searches_can_be_cancelled(void **state)
{
    (void)state;
    static const char *const methods[] = {"evolutionary", "galen", "random", "reinforce"};
    Tailor__V1__DesignRequest design;
    Tailor__V1__ParetoRequest pareto;
    tailor__v1__design_request__init(&design);
    design.space = TEXT("mobilenetv3");
    design.device = TEXT("raspi4");
    design.minimize = TEXT("latency_ms");
    for (size_t i = 0; i < TL_COUNT(methods); i++) {
        design.method = TEXT(methods[i]);
        assert_cancelled("design.run", &design);
    }
    tailor__v1__pareto_request__init(&pareto);
    pareto.space = TEXT("mnasnet");
    pareto.device = TEXT("raspi4");
    assert_cancelled("pareto.run", &pareto);
}

static void what_measures_devices_can_be_cancelled(void **state)
{
    (void)state;
    Tailor__V1__ProxyRequest proxy;
    Tailor__V1__SuggestRequest suggest;
    tailor__v1__proxy_request__init(&proxy);
    proxy.space = TEXT("nasbench201");
    proxy.device = TEXT("raspi4");
    assert_cancelled("proxy.run", &proxy);
    tailor__v1__suggest_request__init(&suggest);
    suggest.space = TEXT("nasbench201");
    suggest.device = TEXT("raspi4");
    suggest.count = 300;
    assert_cancelled("measure.suggest", &suggest);
}

static void a_fleet_can_be_cancelled(void **state)
{
    (void)state;
    tl_text csv = {0};
    Tailor__V1__FleetRequest fleet;
    tl_text_add(&csv, "device,max_latency_ms\n");
    for (int i = 0; i < 200; i++) {
        tl_text_add(&csv, "raspi4,20\n");
    }
    assert_ok(tl_text_err(&csv));
    tailor__v1__fleet_request__init(&fleet);
    fleet.space = TEXT("nasbench201");
    fleet.csv = bytes_of(&csv);
    assert_cancelled("fleet.run", &fleet);
    tl_text_done(&csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predict_and_lower_can_be_cancelled),
        cmocka_unit_test(searches_can_be_cancelled),
        cmocka_unit_test(what_measures_devices_can_be_cancelled),
        cmocka_unit_test(a_fleet_can_be_cancelled),
    };
    tl_log_set_level(TL_LOG_ERROR);
    (void)tl_test_count_blocks(NULL);
    int n_failed =
        cmocka_run_group_tests_name("daemon/cancel", tests, open_engine, close_engine);
    return tl_test_no_leaks(NULL) != 0 ? 1 : n_failed;
}
