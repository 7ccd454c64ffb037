/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_CLIENTS_SLOW_LINE_H
#define TL_TESTS_CLIENTS_SLOW_LINE_H

/*
 * A line of some 800 kB/s, in both directions, between one client and a server of this machine.
 *
 *     tl_slow_line_start(&line, server_endpoint);
 *     ... a client of line.endpoint ...
 *     tl_slow_line_stop(&line);
 */

#include <pthread.h>
#include <stdatomic.h>

typedef struct tl_slow_line {
    char endpoint[64];
    int server_port, listener;
    pthread_t thread;
    atomic_bool is_stopped;
} tl_slow_line;

/* endpoint: tcp://127.0.0.1:PORT */
void tl_slow_line_start(tl_slow_line *line, const char *endpoint);
void tl_slow_line_stop(tl_slow_line *line);

#endif
