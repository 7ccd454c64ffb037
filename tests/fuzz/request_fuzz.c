/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests through the method table: the method's name, a line feed, the packed request.
 * The daemon's state goes on from input to input, as that of a daemon does.
 */

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/engine.h"
#include "daemon/method.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_NAME = 64,
    DEADLINE_MS = 200,
    MAX_BODY_BYTES = 64 * 1024
};

static tl_engine *engine;

static void close_engine(void)
{
    tl_engine_close(engine);
}

static void open_engine(void)
{
    tl_engine_options options = {
        .data_dir = tl_test_new_dir(),
        .models_dir = TL_SOURCE_DIR "/models",
        .spaces_dir = TL_SOURCE_DIR "/spaces",
        .catalogue_dir = TL_SOURCE_DIR "/device-profiles/catalogue"};
    tl_log_set_level(TL_LOG_ERROR);
    tl_fuzz_check(tl_engine_open(&options, &engine) == TL_OK, "an engine");
    tl_fuzz_check(atexit(close_engine) == 0, "atexit");
}

static void drop(void *sink, int kind, const ProtobufCMessage *body)
{
    (void)sink;
    (void)kind;
    (void)body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[MAX_NAME];
    const uint8_t *end =
        size > 0 ? memchr(data, '\n', size < MAX_NAME ? size : MAX_NAME) : NULL;
    if (end == NULL) {
        return 0;
    }
    size_t name_len = (size_t)(end - data);
    size_t body_len = size - name_len - 1;
    memcpy(name, data, name_len);
    name[name_len] = '\0';
    const tl_method *method = tl_method_find(name);
    if (method == NULL || body_len > MAX_BODY_BYTES) {
        return 0;
    }
    if (engine == NULL) {
        open_engine();
    }
    tl_call call = {
        .engine = engine,
        .role = TL_ROLE_ADMIN,
        .deadline_ns = tl_clock_ns() + DEADLINE_MS * TL_NS_PER_MS,
        .send = drop};
    tl_bytes reply = {0};
    tl_err_clear();
    if (tl_method_call(method, &call, end + 1, body_len, &reply) == TL_OK) {
        tl_mem_free(reply.data);
    } else {
        tl_fuzz_check(tl_err_detail()[0] != '\0', "a refusal without a reason");
    }
    tl_call_done(&call);
    return 0;
}
