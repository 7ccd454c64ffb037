/* SPDX-License-Identifier: Apache-2.0 */

/* The life of a client, and calls as the rest of the library makes them. */

#include "base/mem.h"
#include "clients/c/client_impl.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    HEARTBEAT_MS = 1000
};

#define CHECK_NUMBER(name, number, message) \
    _Static_assert((int)TAILOR_##name == (number), "the public numbers are those on the wire");
TL_ERR_LIST(CHECK_NUMBER)
#undef CHECK_NUMBER
_Static_assert((int)TAILOR_MAX_MESSAGE_BYTES == (int)TL_WIRE_MAX_BYTES, "one limit");

/* ---- calls ------------------------------------------------------------------------------ */

tailor_err tailor_call(
    tailor_client *client, const tailor_request *request, char **out_reply, size_t *out_len)
{
    Tailor__V1__Reply *reply = NULL;
    tl_err err = tl_client_call(client, request, &(tl_call_hooks){.again = NULL}, &reply);
    if (err != TL_OK) {
        return tl_client_err(err);
    }
    char *copy = tl_mem_new(reply->body.len + 1, 1);
    if (copy == NULL) {
        err = tl_fail(TL_ENOMEM, "a reply of %zu bytes", reply->body.len);
    } else {
        if (reply->body.len > 0) {
            memcpy(copy, reply->body.data, reply->body.len);
        }
        *out_reply = copy;
        *out_len = reply->body.len;
    }
    tl_wire_free((ProtobufCMessage *)reply);
    return tl_client_err(err);
}

tl_err tl_client_exchange(
    tailor_client *client, const tl_exchange *exchange, ProtobufCMessage **out_reply)
{
    tl_bytes body = {0};
    Tailor__V1__Reply *reply = NULL;
    TL_TRY(tl_wire_pack(exchange->request, &body));
    tailor_request request = {
        .method = exchange->method,
        .body = body.data,
        .len = body.len,
        .timeout_ms = exchange->is_unbounded ? -1 : exchange->timeout_ms,
        .part = exchange->part,
        .context = exchange->context,
    };
    tl_call_hooks hooks = {
        .again = exchange->again,
        .goes_on = exchange->goes_on,
        .goes_on_context = exchange->goes_on_context};
    tl_err err = tl_client_call(client, &request, &hooks, &reply);
    tl_mem_free(body.data);
    TL_TRY(err);
    if (exchange->reply_type != NULL) {
        err = tl_client_unpack(
            exchange->reply_type, reply->body.data, reply->body.len, out_reply);
    }
    tl_wire_free((ProtobufCMessage *)reply);
    return err;
}

/* ---- life ------------------------------------------------------------------------------- */

static const char *chosen_endpoint(const tailor_options *options)
{
    if (options->endpoint != NULL) {
        return options->endpoint;
    }
    const char *named = getenv("TAILOR_ENDPOINT");
    return named != NULL && named[0] != '\0' ? named : TAILOR_DEFAULT_ENDPOINT;
}

static tl_err check(const tailor_options *options, const char *endpoint)
{
    if (strlen(endpoint) >= TL_CLIENT_ENDPOINT_BYTES) {
        return tl_fail(
            TL_EINVAL, "endpoint: longer than %d bytes", TL_CLIENT_ENDPOINT_BYTES - 1);
    }
    if (options->timeout_ms < 0) {
        return tl_fail(TL_EINVAL, "timeout: got %d ms, want 0 or more", options->timeout_ms);
    }
    return TL_OK;
}

static void set(tailor_client *client, const tailor_options *options, const char *endpoint)
{
    static atomic_ullong n_opened;
    client->id = atomic_fetch_add(&n_opened, 1) + 1;
    client->pid = getpid();
    client->max_repeats = options->retries == 0  ? UINT_MAX
                          : options->retries < 0 ? 0
                                                 : (unsigned)options->retries;
    client->heartbeat_ms = options->heartbeat_ms == 0  ? HEARTBEAT_MS
                           : options->heartbeat_ms < 0 ? 0
                                                       : (uint32_t)options->heartbeat_ms;
    (void)snprintf(client->endpoint, sizeof client->endpoint, "%s", endpoint);
    (void)snprintf(
        client->name, sizeof client->name, "%.60s",
        options->name != NULL ? options->name : "libtailor");
    tailor_set_timeout_ms(client, options->timeout_ms);
}

/* The first connection begins here, so that an endpoint that is none is refused. */
static tl_err open_first_link(tailor_client *client)
{
    tl_link *link = NULL;
    TL_TRY(tl_client_link_open(client, &link));
    client->n_used = 1;
    tl_client_place_give_back(client, link);
    return TL_OK;
}

tailor_err tailor_open(const tailor_options *options, tailor_client **out_client)
{
    static const tailor_options defaults = {0};
    options = options != NULL ? options : &defaults;
    const char *endpoint = chosen_endpoint(options);
    tl_key_file keys;
    tl_err err = check(options, endpoint);
    if (err != TL_OK || (err = tl_client_find_keys(options, endpoint, &keys)) != TL_OK) {
        return tl_client_err(err);
    }
    tailor_client *client = tl_mem_new(1, sizeof *client);
    if (client == NULL) {
        return tl_client_err(tl_fail(TL_ENOMEM, "a client"));
    }
    client->keys = keys;
    set(client, options, endpoint);
    if ((err = tl_client_pool_init(client)) != TL_OK ||
        (err = open_first_link(client)) != TL_OK) {
        tailor_close(client);
        return tl_client_err(err);
    }
    *out_client = client;
    return TAILOR_OK;
}

void tailor_close(tailor_client *client)
{
    if (client == NULL) {
        return;
    }
    /* In a forked child nobody would answer: what the parent uses stays as it is. */
    if (client->pid == getpid()) {
        tl_client_pool_done(client);
    }
    tl_client_warnings_drop_of(client->id);
    memset(&client->keys, 0, sizeof client->keys);
    tl_mem_free(client);
}

const char *tailor_endpoint(const tailor_client *client)
{
    return client->endpoint;
}

void tailor_set_timeout_ms(tailor_client *client, int timeout_ms)
{
    atomic_store(&client->timeout_ms, timeout_ms > 0 ? timeout_ms : TAILOR_DEFAULT_TIMEOUT_MS);
}

void tailor_stop_calls(tailor_client *client, bool is_stopped)
{
    atomic_store(&client->is_stopped, is_stopped);
}

uint64_t tailor_n_retries(const tailor_client *client)
{
    return atomic_load(&client->n_repeats);
}

void tailor_on_progress(tailor_client *client, tailor_progress_fn *progress, void *context)
{
    if (client->pid != getpid()) {
        return; /* whoever held the lock when this process was forked off holds it for ever */
    }
    (void)pthread_mutex_lock(&client->lock);
    client->progress = progress;
    client->progress_context = context;
    (void)pthread_mutex_unlock(&client->lock);
}

tl_err tl_client_get_progress(
    tailor_client *client, tailor_progress_fn **out_progress, void **out_context)
{
    TL_TRY(tl_client_check_process(client));
    (void)pthread_mutex_lock(&client->lock);
    *out_progress = client->progress;
    *out_context = client->progress_context;
    (void)pthread_mutex_unlock(&client->lock);
    return TL_OK;
}

const char *tailor_err_name(tailor_err err)
{
    return tl_err_name((tl_err)err);
}

const char *tailor_err_detail(void)
{
    return tl_err_detail();
}
