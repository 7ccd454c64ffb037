/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_METHOD_H
#define TL_DAEMON_METHOD_H

/*
 * Methods: what a client may ask of the daemon.
 *
 * A method is one constant tl_method, at the bottom of the daemon/handle_*.c
 * that serves it, listed in daemon/methods.c. Adding a method is one message
 * pair in proto/, one such constant and one line. The access check, the
 * deadline, the log labels and docs/protocol.md all read the same constant.
 */

#include "base/err.h"
#include "proto/wire.h"

#include <protobuf-c/protobuf-c.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tl_engine;
struct tl_job;

typedef enum tl_role {
    TL_ROLE_READER, /* may predict and query */
    TL_ROLE_WRITER, /* may also register devices, import and train */
    TL_ROLE_ADMIN,
} tl_role;

/* "reader": as in key files and docs/protocol.md. */
const char *tl_role_name(tl_role role);

typedef enum tl_lane {
    TL_LANE_FAST,  /* answered on the router thread: a few milliseconds at most */
    TL_LANE_WORK,  /* somebody waits for it, and it stores nothing: queued to the workers */
    TL_LANE_WRITE, /* changes the store, which has one writer: queued to a thread of its own */
    TL_LANE_BULK,  /* may take minutes: queued to workers of its own, in the background */
    TL_N_LANES
} tl_lane;

/* "work": as in metrics and docs/operations.md. */
const char *tl_lane_name(tl_lane lane);

/*
 * One request being served. Lives on the stack of the thread that serves it;
 * borrows everything.
 */
typedef struct tl_call {
    struct tl_engine *engine;
    tl_role role;
    int64_t deadline_ns;             /* absolute, tl_clock_ns(); INT64_MAX: none */
    const atomic_bool *is_cancelled; /* the client went away; may be NULL */

    /* Sends one more reply of the given kind before the final one; may be NULL. The call goes on
     * when one is lost, but after a lost part the final reply is an error. */
    void (*send)(void *sink, int kind, const ProtobufCMessage *body);
    void *sink;

    /* Who asks, for the list of jobs: what the client calls itself, and the name of its key. May
     * be NULL. */
    const char *client, *key_name;
    struct tl_job *job; /* that this call is the run of (job_runner.h); NULL: of none */
    const atomic_bool *must_end; /* of the job that this call has begun; NULL: of none */

    /* The router thread serves this call: what may take longer than a few milliseconds says
     * so with tl_call_leave_router(), and is run again by a worker. */
    bool is_on_router, wants_worker;

    /* Warnings for a person, sent with the final reply. */
    char **warnings;
    size_t n_warnings;
} tl_call;

/* Adds a warning to the final reply; lost silently when memory is short. */
void tl_call_warn(tl_call *call, const char *format, ...) TL_PRINTF(2, 3);

/* Releases the warnings; whoever made the call calls it. */
void tl_call_done(tl_call *call);

/* TL_EDEADLINE or TL_ECANCELLED when the work should end now; long work asks often. */
TL_MUST_USE tl_err tl_call_check(const tl_call *call);

/* Before long work in a method of the fast lane, which then fails with it: TL_EBUSY on the
 * router thread, TL_OK on a worker. */
TL_MUST_USE tl_err tl_call_leave_router(tl_call *call);

/*
 * Serves one request. reply comes zero-initialized; what the handler attaches
 * to it must come from tl_mem_new() (also strings) and is released after it is
 * packed.
 */
typedef tl_err tl_method_fn(
    tl_call *call, const ProtobufCMessage *request, ProtobufCMessage *reply);

typedef struct tl_method {
    const char *name; /* on the wire, "noun.verb" */
    const char *summary;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *reply;
    tl_method_fn *run;
    tl_role min_role;
    tl_lane lane;
    bool is_job; /* job.start may start it */
    tl_err (*check)(
        const ProtobufCMessage *request); /* of a job: before it is queued; or NULL */
    /* Of the fast lane: longer requests go to the workers, all of them where there is much to
     * do. 0: those of more than 16 KiB, and no others. */
    size_t fast_max_bytes;
    size_t bulk_min_bytes; /* requests of so many bytes are bulk; 0: none for that */
    uint32_t deadline_ms;  /* the most a client may ask for; 0: the call ends by itself */
} tl_method;

/* The table, sorted by name. */
extern const tl_method *const tl_methods[];
extern const size_t tl_methods_len;

/* NULL when there is no such method. */
const tl_method *tl_method_find(const char *name);

/* The same in another table of n methods (tests serve their own). */
const tl_method *tl_method_find_in(const tl_method *const *methods, size_t n, const char *name);

/* TL_EDENIED unless the role may call the method. */
TL_MUST_USE tl_err tl_method_check_role(const tl_method *method, tl_role role);

/*
 * Decodes, checks (UTF-8, embedded NUL, sizes), runs and encodes one call. On
 * success the caller owns out_reply->data (tl_mem_free). This is the whole
 * server but the sockets, which is why the tests and the fuzzer start here.
 */
TL_MUST_USE tl_err tl_method_call(
    const tl_method *method,
    tl_call *call,
    const uint8_t *request,
    size_t request_len,
    tl_bytes *out_reply);

#endif
