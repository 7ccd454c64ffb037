/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_C_CLIENT_IMPL_H
#define TL_CLIENTS_C_CLIENT_IMPL_H

/*
 * Inside of a client: client.c (its life), pool.c (its connections), call.c (one call) and
 * warnings.c.
 *
 * Everything in a client is set when it is opened, or atomic, or protected by its lock, which
 * is held for moments. A call has a connection of its own, so calls of several threads do not
 * know of each other.
 */

#include "base/keyfile.h"
#include "clients/c/impl.h"
#include "clients/c/link.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

enum {
    TL_CLIENT_ENDPOINT_BYTES = 256,
    TL_CLIENT_NAME_BYTES = 64,
    TL_CLIENT_NESTED = 4, /* places that only calls within calls are given */
    TL_CLIENT_MAX_LINKS = TAILOR_MAX_CALLS + TL_CLIENT_NESTED
};

struct tailor_client {
    char endpoint[TL_CLIENT_ENDPOINT_BYTES];
    char name[TL_CLIENT_NAME_BYTES];
    tl_key_file keys; /* "": none */
    uint64_t id;      /* of this process' clients */
    pid_t pid;        /* that opened it: no thread of ZeroMQ lives in a child */
    unsigned max_repeats;
    uint32_t heartbeat_ms; /* 0: none */
    atomic_int timeout_ms;
    atomic_bool is_stopped; /* calls end at once */
    atomic_ullong last_request_id, n_repeats;
    atomic_uint n_links; /* opened so far: a closed one keeps its name for a while */
    void *context;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t given_back;
    tl_link *idle[TL_CLIENT_MAX_LINKS]; /* the last one was used last */
    size_t n_idle, n_used;
    tailor_progress_fn *progress;
    void *progress_context;
};

/* TL_ESTATE in a child of the process that opened the client. */
TL_MUST_USE tl_err tl_client_check_process(const tailor_client *client);

TL_MUST_USE tl_err tl_client_pool_init(tailor_client *client);
void tl_client_pool_done(tailor_client *client);

/*
 * The place of one call, with an idle connection if there is one (it may have broken), else with
 * NULL. Waits for a place until end_ns (tl_clock_ns) while all are taken, then fails with
 * TL_EBUSY. A nested call is made within another one of the same thread, which keeps its place
 * meanwhile: some are kept for those, or all could wait for each other.
 */
TL_MUST_USE tl_err
tl_client_place_take(tailor_client *client, bool is_nested, int64_t end_ns, tl_link **out_link);

/* link: a connection for the next call, taken; or NULL. */
void tl_client_place_give_back(tailor_client *client, tl_link *link);

/* A new connection, which need not stand yet. */
TL_MUST_USE tl_err tl_client_link_open(tailor_client *client, tl_link **out_link);

/* What a call asks of whoever made it, besides giving parts and progress; each may be NULL. */
typedef struct tl_call_hooks {
    tl_again_fn *again;
    tl_goes_on_fn *goes_on;
    void *goes_on_context;
} tl_call_hooks;

/*
 * One call, repeated as its rule allows. On success the caller owns *out_reply, whose error is 0.
 * Fails with TL_ECANCELLED when goes_on() was false.
 */
TL_MUST_USE tl_err tl_client_call(
    tailor_client *client,
    const tailor_request *request,
    const tl_call_hooks *hooks,
    Tailor__V1__Reply **out_reply);

/* The warnings of this thread's last call: kept (taken from reply) and dropped. */
void tl_client_warnings_keep(uint64_t client_id, Tailor__V1__Reply *reply);
void tl_client_warnings_drop(void);
void tl_client_warnings_drop_of(uint64_t client_id);

#endif
