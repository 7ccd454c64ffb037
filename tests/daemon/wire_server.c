/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Serves the methods made for tests until standard input ends, for tests/e2e/wire_test.py:
 * kinds of replies that the daemon's own methods make only of much data. Prints its endpoint.
 */

#include "tests/daemon/serving.h"

#include <stdio.h>

int main(void)
{
    static tl_serving serving;
    tl_engine *engine = tl_test_engine_open(tl_test_new_dir());
    tl_server_options options = {
        .engine = engine,
        .n_workers = 1,
        .methods = tl_test_methods,
        .n_methods = tl_test_methods_len};
    tl_serving_start(&serving, options);
    (void)printf("%s\n", serving.endpoint);
    (void)fflush(stdout);
    while (getchar() != EOF) {
    }
    tl_serving_stop(&serving);
    tl_engine_close(engine);
    return 0;
}
