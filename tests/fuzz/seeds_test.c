/* SPDX-License-Identifier: Apache-2.0 */

/* The first inputs of the target request: one for each method. */

#include "base/file.h"
#include "base/mem.h"
#include "daemon/methods.h"
#include "proto/wire.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

enum {
    PATH_BYTES = 512,
    MAX_FILE_BYTES = 64 * 1024
};

static void look_at(const tl_method *method)
{
    char path[PATH_BYTES];
    char *data = NULL;
    size_t len = 0;
    size_t name_len = strlen(method->name);
    ProtobufCMessage *request = NULL;
    (void)snprintf(path, sizeof path, "%s/request/%s", TL_CORPUS_DIR, method->name);
    if (tl_file_read(path, MAX_FILE_BYTES, &data, &len) != TL_OK) {
        fail_msg("%s has no input: tests/fuzz/make_corpus.py makes them", method->name);
    }
    assert_true(len > name_len && data[name_len] == '\n');
    assert_memory_equal(data, method->name, name_len);
    assert_ok(tl_wire_unpack(
        method->request, (const uint8_t *)data + name_len + 1, len - name_len - 1,
        TL_WIRE_MAX_MEMORY_BYTES, &request));
    tl_wire_free(request);
    tl_mem_free(data);
}

static void every_method_has_an_input_that_reaches_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < tl_methods_len; i++) {
        look_at(tl_methods[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            every_method_has_an_input_that_reaches_it, tl_test_count_blocks, tl_test_no_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
