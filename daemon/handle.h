/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_HANDLE_H
#define TL_DAEMON_HANDLE_H

/* What the handlers share. */

#include "base/damage.h"
#include "base/err.h"
#include "base/text.h"
#include "daemon/engine.h"
#include "daemon/method.h"
#include "daemon/table_reply.h"
#include "measurements/columns.h"
#include "proto/tailor.pb-c.h"

enum {
    /* A client that asks for nothing is answered within this time or refused. */
    TL_DEADLINE_SHORT_MS = 10 * 1000,
    TL_DEADLINE_LONG_MS = 60 * 60 * 1000
};

/* Fails with TL_EINVAL when the client left the field empty or it is no name. */
TL_MUST_USE tl_err tl_handle_check_name(const char *field, const char *name);

/* Copies text into a reply's string field. */
TL_MUST_USE tl_err tl_handle_set_text(char **field, const char *text);

/* The size of bytes a client sent; TL_EINVAL when there are none, TL_ELIMIT beyond max_bytes. */
TL_MUST_USE tl_err
tl_handle_check_bytes(const char *field, const ProtobufCBinaryData *bytes, size_t max_bytes);

/* Whether name is one of the n names. */
bool tl_handle_is_named(char *const *names, size_t n, const char *name);

/* The lines of text, each ended by a newline, as a repeated string field, which is empty so far. */
TL_MUST_USE tl_err tl_handle_add_lines(const tl_text *text, char ***field, size_t *n_field);

/*
 * What reading a column that nobody named came to: a damaged one is added to damage and no
 * failure.
 */
TL_MUST_USE tl_err
tl_handle_pass_over(tl_err err, const tl_column_info *column, tl_damage *damage);

/* A line for each that has a name, "latency_ms@hurt WHAT", and one for all others. */
void tl_handle_add_damage(const tl_damage *damage, const char *what, tl_text *lines);

/* The same as warnings of the call. */
void tl_handle_warn_of_damage(tl_call *call, const tl_damage *damage, const char *what);

/* A file's name for errors: what the client says, else fallback. */
const char *tl_handle_origin(const char *origin, const char *fallback);

#endif
