/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_DAEMON_SERVING_H
#define TL_TESTS_DAEMON_SERVING_H

/* A server on a thread of the test, and an engine in a folder of its own. */

#include "tests/support/test.h"

#include "daemon/engine.h"
#include "daemon/server.h"

#include <pthread.h>

typedef struct tl_serving {
    tl_server *server;
    pthread_t thread;
    int stop_fd;
    char endpoint[256];
    tl_err result;
} tl_serving;

/* Serves options on an ipc endpoint in a new folder; endpoints and stop_fd are set here. */
void tl_serving_start(tl_serving *serving, tl_server_options options);

/* One that was stopped, on the endpoint that it had; or on the one that is written there. */
void tl_serving_start_again(tl_serving *serving, tl_server_options options);

/* As SIGTERM does; may be called twice. */
void tl_serving_ask_to_stop(tl_serving *serving);

/* Stops, waits, and checks that the server ended well. */
void tl_serving_stop(tl_serving *serving);

/* An engine with the built-in spaces and catalogue of the source tree. */
tl_engine *tl_test_engine_open(const char *data_dir);

/*
 * Methods to serve: test.echo (fast; "worker" wants one, "hold" keeps it), test.fail, test.parts, and those that
 * take as many ms as the Text says: test.sleep (work), test.write, test.bulk. And those that wait
 * for tl_test_let_go(): test.hold (fast), which keeps the router from anything else, and test.torn
 * (work), whose client reads too slowly: it sends parts until one is lost, then "after" as parts.
 * Of its three parts, test.huge (work) sends one that fits in no message.
 */
extern const tl_method *const tl_test_methods[];
extern const size_t tl_test_methods_len;

/* How many of those run now; of test.torn, once a part was lost. */
int tl_test_n_sleeping(void);

/* Ends one of those that wait for it, now or when it comes. */
void tl_test_let_go(void);

#endif
