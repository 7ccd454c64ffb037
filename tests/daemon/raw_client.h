/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_TESTS_DAEMON_RAW_CLIENT_H
#define TL_TESTS_DAEMON_RAW_CLIENT_H

/* A client without manners, a DEALER that sends what it is told, and a server for it. */

#include "tests/daemon/serving.h"

#include "proto/tailor.pb-c.h"
#include "proto/wire.h"

enum {
    PATIENCE_MS = 5000
};

typedef struct raw_client {
    void *context, *socket;
} raw_client;

raw_client connect_raw(const char *endpoint);
void disconnect(raw_client *c);

void send_bytes(const raw_client *c, const void *bytes, size_t len);
Tailor__V1__Request request_for(uint64_t id, const char *method);
void send_request(const raw_client *c, const Tailor__V1__Request *request);

/* Calls method with a Text as its body; heartbeats are asked for in the second one. */
void send_text(const raw_client *c, uint64_t id, const char *method, const char *text);
void send_text_with_beats(
    const raw_client *c, uint64_t id, const char *method, const char *text, uint32_t beat_ms);

/* The next reply, to be freed with tl_wire_free(). */
Tailor__V1__Reply *next_reply(const raw_client *c);

/* The next reply is final, of this request, and says err with this in its detail. */
void expect(const raw_client *c, uint64_t id, tl_err err, const char *detail);

/* Returns when the daemon's ZeroMQ has read what stood in its connections before, and heard who
 * left: also while its router is held. Not what a client's own ZeroMQ has not sent yet. */
void wait_for_arrival(const char *endpoint);

typedef struct fixture {
    tl_serving serving;
    raw_client client;
} fixture;

/* The serving thread keeps a pointer to f: it must stay where it is. */
void start(fixture *f, int n_workers, size_t max_queued, tl_engine *engine);
void stop(fixture *f);

/* Waits until n of test.sleep and its like run. */
void wait_sleeping(int n);

#endif
