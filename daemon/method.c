/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/method.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/watch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_WARNINGS = 64,
    WARNING_BYTES = 512
};

void tl_call_warn(tl_call *call, const char *format, ...)
{
    char line[WARNING_BYTES];
    if (call->n_warnings >= MAX_WARNINGS) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    tl_wire_clean(line); /* it may quote bytes of a file, or end within a character */
    for (size_t i = 0; i < call->n_warnings; i++) {
        if (strcmp(call->warnings[i], line) == 0) {
            return;
        }
    }
    char **grown = tl_mem_resize(call->warnings, call->n_warnings + 1, sizeof *grown);
    if (grown == NULL) {
        return;
    }
    call->warnings = grown;
    char *copy = tl_mem_strdup(line);
    if (copy != NULL) {
        call->warnings[call->n_warnings++] = copy;
    }
}

void tl_call_done(tl_call *call)
{
    for (size_t i = 0; i < call->n_warnings; i++) {
        tl_mem_free(call->warnings[i]);
    }
    tl_mem_free(call->warnings);
    call->warnings = NULL;
    call->n_warnings = 0;
}

static bool is_set(const atomic_bool *flag)
{
    return flag != NULL && atomic_load_explicit(flag, memory_order_relaxed);
}

tl_err tl_call_check(const tl_call *call)
{
    if (is_set(call->is_cancelled) || is_set(call->must_end)) {
        return tl_fail(TL_ECANCELLED, "cancelled");
    }
    if (call->deadline_ns != INT64_MAX && tl_clock_ns() > call->deadline_ns) {
        return tl_fail(TL_EDEADLINE, "the deadline passed");
    }
    return TL_OK;
}

tl_err tl_call_leave_router(tl_call *call)
{
    if (!call->is_on_router) {
        return TL_OK;
    }
    call->wants_worker = true;
    return tl_fail(TL_EBUSY, "not on the router thread");
}

const char *tl_lane_name(tl_lane lane)
{
    static const char *const names[] = {"fast", "work", "write", "bulk"};
    TL_ASSERT((size_t)lane < TL_COUNT(names));
    return names[lane];
}

const tl_method *tl_method_find_in(const tl_method *const *methods, size_t n, const char *name)
{
    size_t begin = 0;
    size_t end = n;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        int order = strcmp(methods[middle]->name, name);
        if (order == 0) {
            return methods[middle];
        }
        if (order < 0) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return NULL;
}

const tl_method *tl_method_find(const char *name)
{
    return tl_method_find_in(tl_methods, tl_methods_len, name);
}

const char *tl_role_name(tl_role role)
{
    static const char *const names[] = {"reader", "writer", "admin"};
    TL_ASSERT((size_t)role < TL_COUNT(names));
    return names[role];
}

tl_err tl_method_check_role(const tl_method *method, tl_role role)
{
    if (role < method->min_role) {
        return tl_fail(
            TL_EDENIED, "%s: this client may not call it: it is a %s, and %s calls it",
            method->name, tl_role_name(role),
            method->min_role == TL_ROLE_ADMIN ? "an admin" : "a writer or an admin");
    }
    return TL_OK;
}

static tl_err check_watched(const void *call)
{
    return tl_call_check(call);
}

/* Whatever the method calls may ask whether to go on. */
static tl_err run(
    const tl_method *method,
    tl_call *call,
    const ProtobufCMessage *request,
    ProtobufCMessage *reply)
{
    tl_watch former = tl_watch_set((tl_watch){check_watched, call});
    tl_err err = method->run(call, request, reply);
    (void)tl_watch_set(former);
    return err;
}

tl_err tl_method_call(
    const tl_method *method,
    tl_call *call,
    const uint8_t *request,
    size_t request_len,
    tl_bytes *out_reply)
{
    tl_err err = TL_OK;
    ProtobufCMessage *decoded = NULL;
    ProtobufCMessage *reply = NULL;

    TL_TRY(tl_method_check_role(method, call->role));
    TL_TRY(tl_call_check(call));
    err = tl_wire_unpack(
        method->request, request, request_len, TL_WIRE_MAX_MEMORY_BYTES, &decoded);
    if (err != TL_OK) {
        goto done;
    }
    if ((reply = tl_wire_new(method->reply)) == NULL) {
        err = tl_fail(TL_ENOMEM, "%s: the reply", method->name);
        goto done;
    }
    tl_err_clear();
    if ((err = run(method, call, decoded, reply)) != TL_OK) {
        goto done;
    }
    err = tl_wire_pack(reply, out_reply);
done:
    tl_wire_free(reply);
    tl_wire_free(decoded);
    return err;
}
