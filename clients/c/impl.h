/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_C_IMPL_H
#define TL_CLIENTS_C_IMPL_H

/* What the files of libtailor share; not installed. */

#include "base/err.h"
#include "base/keyfile.h"
#include "clients/c/tailor.h"
#include "proto/tailor.pb-c.h"
#include "proto/wire.h"

/* A public error is an internal one under its public name. */
static inline tailor_err tl_client_err(tl_err err)
{
    return (tailor_err)err;
}

/*
 * Finds the keys that options name. All "" where there are none, and for endpoints that ask for
 * none.
 */
TL_MUST_USE tl_err
tl_client_find_keys(const tailor_options *options, const char *endpoint, tl_key_file *out_keys);

/*
 * What a repeated call does with the parts that came before its connection was lost: they come
 * again.
 */
typedef void tl_again_fn(void *context);

/* Asked several times a second while a call waits for whatever; false: it ends at once. */
typedef bool tl_goes_on_fn(void *context);

/*
 * One call with typed messages. reply_type NULL: the answer is not looked at. What is repeated
 * says clients/c/rules.c; a call whose parts were given to part() only with again(). Several
 * threads may exchange at once. Fails with TL_EDAMAGED when the answer is none.
 */
typedef struct tl_exchange {
    const char *method;
    const ProtobufCMessage *request;
    const ProtobufCMessageDescriptor *reply_type;
    bool is_unbounded;
    int timeout_ms; /* 0: the client's */
    tailor_part_fn *part;
    tl_again_fn *again;
    void *context;          /* of both */
    tl_goes_on_fn *goes_on; /* NULL: it does */
    void *goes_on_context;
} tl_exchange;

/* On success the caller owns *out_reply (tl_wire_free). */
TL_MUST_USE tl_err tl_client_exchange(
    tailor_client *client, const tl_exchange *exchange, ProtobufCMessage **out_reply);

/* What tailor_on_progress() was given. TL_ESTATE in a forked child, before any lock. */
TL_MUST_USE tl_err tl_client_get_progress(
    tailor_client *client, tailor_progress_fn **out_progress, void **out_context);

/*
 * tl_wire_unpack() for what the daemon sent: bytes that are no such message are TL_EDAMAGED, and
 * the detail says whose they are.
 */
TL_MUST_USE tl_err tl_client_unpack(
    const ProtobufCMessageDescriptor *type,
    const uint8_t *data,
    size_t len,
    ProtobufCMessage **out_message);

/*
 * Reads an envelope. On success the caller owns *out_reply (tl_wire_free). Fails as
 * tl_client_unpack(), and with TL_EVERSION.
 */
TL_MUST_USE tl_err tl_client_reply_read(
    const void *data, size_t len, const char *endpoint, Tailor__V1__Reply **out_reply);

/* Calls progress, which may be NULL, with what a reply of kind PROGRESS holds. */
void tl_client_progress_show(
    const Tailor__V1__Reply *reply, tailor_progress_fn *progress, void *context);

/* The request of the options, which it borrows. */
void tl_client_train_request(
    const tailor_train_options *options, Tailor__V1__TrainRequest *request);
void tl_client_evaluate_request(
    const tailor_evaluate_options *options, Tailor__V1__EvaluateRequest *request);

/* What the reply says; message is theirs from now on, even on failure. */
TL_MUST_USE tl_err
tl_client_train_report_take(ProtobufCMessage *message, tailor_train_report **out_report);
TL_MUST_USE tl_err
tl_client_evaluation_take(ProtobufCMessage *message, tailor_evaluation **out_evaluation);

/* Checks that the sizes and indices of a received table agree: TL_EDAMAGED. */
TL_MUST_USE tl_err tl_client_table_check(const Tailor__V1__Table *message);

/*
 * Wraps a received message that was checked; *message is NULL afterwards. A missing one
 * becomes a table without columns.
 */
TL_MUST_USE tl_err tl_client_table_take(Tailor__V1__Table **message, tailor_table **out_table);

/* Appends the rows of more, a table of the same columns, which is used up. */
TL_MUST_USE tl_err tl_client_table_append(Tailor__V1__Table *table, Tailor__V1__Table *more);

/* A protobuf string from an argument that may be NULL; it is only read. */
static inline char *tl_client_string(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

static inline ProtobufCBinaryData tl_client_data(const char *bytes, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)bytes};
}

#endif
