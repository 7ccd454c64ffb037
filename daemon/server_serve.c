/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/server_impl.h"

#include "base/background.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/envelope.h"
#include "daemon/metrics.h"
#include "numerics/gemm.h"

#include <string.h>

tl_err tl_server_zmq_failed(const char *what)
{
    return tl_fail(TL_EIO, "%s: %s", what, zmq_strerror(zmq_errno()));
}

/* The level once a second, and TL_LOG_DEBUG between: a flood of requests is no flood of lines. */
static tl_log_level at_times(tl_log_level level, int64_t *told_ns)
{
    return tl_log_is_due(1, told_ns) ? level : TL_LOG_DEBUG;
}

/* ---- replies ------------------------------------------------------------------------ */

bool tl_server_send_to_client(const tl_task *t, zmq_msg_t *payload)
{
    void *router = t->server->router;
    if (zmq_send(router, t->identity, t->identity_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
        zmq_send(router, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
        zmq_msg_send(payload, router, ZMQ_DONTWAIT) >= 0) {
        return true;
    }
    int error = zmq_errno();
    tl_log(
        at_times(TL_LOG_WARN, &t->server->told_unsent_ns),
        "request %llu: the reply could not be sent: %s", (unsigned long long)t->request_id,
        zmq_strerror(error));
    (void)zmq_msg_close(payload);
    return false;
}

/* From the thread that serves t. Takes payload. */
static void deliver(tl_task *t, int kind, zmq_msg_t *payload)
{
    if (t->results == NULL) {
        if (!tl_server_send_to_client(t, payload)) {
            atomic_store_explicit(&t->is_cancelled, true, memory_order_relaxed);
        }
        return;
    }
    tl_note n = {.task = t, .kind = kind};
    void *results = t->results;
    if (kind == TAILOR__V1__REPLY__KIND__FINAL) {
        atomic_store_explicit(&t->is_given_back, true, memory_order_release);
    }
    /* Only a closed context makes these fail, and the router outlives the workers. */
    TL_ASSERT(zmq_send(results, &n, sizeof n, ZMQ_SNDMORE) >= 0);
    TL_ASSERT(zmq_msg_send(payload, results, 0) >= 0);
}

/* Before the final reply leaves: who has it finds it counted. */
static void count_answer(const tl_task *t, tl_err err)
{
    tl_metrics_answered(
        t->server->options.metrics, t->method, err, tl_clock_ns() - t->received_ns);
}

void tl_server_error_message(const tl_task *t, tl_err err, zmq_msg_t *out_payload)
{
    uint8_t bytes[TL_ENVELOPE_ERROR_BYTES];
    bool may_repeat = err == TL_EBUSY || t->is_turned_away;
    size_t len = tl_envelope_pack_error(t->request_id, err, may_repeat, bytes);
    if (zmq_msg_init_size(out_payload, len) != 0) {
        (void)zmq_msg_init(out_payload); /* an empty reply still ends the wait */
    } else {
        memcpy(zmq_msg_data(out_payload), bytes, len);
    }
}

void tl_server_deliver_error(tl_task *t, tl_err err)
{
    zmq_msg_t payload;
    tl_server_error_message(t, err, &payload);
    count_answer(t, err);
    deliver(t, TAILOR__V1__REPLY__KIND__FINAL, &payload);
}

/* On success the payload is the caller's, for deliver(). */
static tl_err pack_reply(
    const tl_task *t,
    int kind,
    const tl_bytes *body,
    const tl_call *call,
    zmq_msg_t *out_payload)
{
    Tailor__V1__Reply reply;
    tl_envelope_reply(t->request_id, kind, body, call, &reply);
    reply.served_ns = t->served_ns;
    size_t len = tailor__v1__reply__get_packed_size(&reply);
    if (len > TL_WIRE_MAX_BYTES) {
        return tl_fail(
            TL_ELIMIT, "the reply has %zu bytes, at most %d go in one message", len,
            (int)TL_WIRE_MAX_BYTES);
    }
    if (zmq_msg_init_size(out_payload, len) != 0) {
        return tl_fail(TL_ENOMEM, "a reply of %zu bytes", len);
    }
    (void)tailor__v1__reply__pack(&reply, zmq_msg_data(out_payload));
    return TL_OK;
}

/* tl_call.send: progress and parts. */
static void send_more(void *sink, int kind, const ProtobufCMessage *message)
{
    tl_task *t = sink;
    tl_bytes body = {0};
    zmq_msg_t payload;
    tl_err err = tl_wire_pack(message, &body);
    if (err == TL_OK) {
        err = pack_reply(t, kind, &body, NULL, &payload);
    }
    if (err == TL_OK) {
        deliver(t, kind, &payload);
    } else {
        tl_log(TL_LOG_WARN, "a reply was lost: %s", tl_err_detail());
    }
    if (kind == TAILOR__V1__REPLY__KIND__PART && t->lost == TL_OK) {
        t->lost = err;
    }
    tl_mem_free(body.data);
}

/* ---- serving ------------------------------------------------------------------------- */

static void log_at(tl_log_level level, const tl_task *t, const char *message, tl_err err)
{
    if (!tl_log_is_on(level)) {
        return;
    }
    const char *client = t->request != NULL ? t->request->client : NULL;
    const char *method = t->method != NULL ? t->method->name : "unknown";
    double ms = (double)(tl_clock_ns() - t->received_ns) / (double)TL_NS_PER_MS;
    /* clang-format off */
    const tl_log_field fields[] = {
        {.key = "method", .text = method},
        {.key = "id", .is_whole = true, .whole = t->request_id},
        {.key = "client", .text = client != NULL ? client : ""},
        {.key = "key", .text = t->key_name},
        {.key = "ms", .ms = ms},
        {.key = "served_ms", .ms = (double)t->served_ns / (double)TL_NS_PER_MS},
        {.key = "error", .text = tl_err_name(err)},
        {.key = "detail", .text = tl_err_detail()},
    };
    /* clang-format on */
    tl_log_fields(
        level, message, fields, err == TL_OK ? TL_COUNT(fields) - 1 : TL_COUNT(fields));
}

void tl_server_log(const tl_task *t, const char *message, tl_err err)
{
    log_at(err == TL_OK ? TL_LOG_DEBUG : TL_LOG_INFO, t, message, err);
}

void tl_server_log_refused(const tl_task *t, tl_err err)
{
    tl_log_level level =
        err == TL_EBUSY ? at_times(TL_LOG_INFO, &t->server->told_busy_ns) : TL_LOG_INFO;
    log_at(level, t, "refused", err);
}

void tl_server_drop(const tl_task *t)
{
    count_answer(t, TL_ECANCELLED);
    tl_server_log(t, "dropped", tl_fail(TL_ECANCELLED, "its client left"));
}

/* The final reply; t is not touched after it. */
static void answer(tl_task *t, tl_err err, const tl_bytes *body, const tl_call *call)
{
    zmq_msg_t payload;
    if (err == TL_OK && t->lost != TL_OK) {
        err = tl_fail(t->lost, "a part of the reply was lost");
    }
    if (err == TL_OK) {
        err = pack_reply(t, TAILOR__V1__REPLY__KIND__FINAL, body, call, &payload);
    }
    tl_server_log(t, "served", err);
    if (err == TL_OK) {
        count_answer(t, TL_OK);
        deliver(t, TAILOR__V1__REPLY__KIND__FINAL, &payload);
    } else {
        tl_server_deliver_error(t, err);
    }
}

bool tl_server_serve(tl_task *t)
{
    tl_bytes body = {0};
    tl_call call = {
        .engine = t->server->options.engine,
        .role = t->role,
        .deadline_ns = t->deadline_ns,
        .is_cancelled = &t->is_cancelled,
        .is_on_router = t->results == NULL,
        .send = send_more,
        .sink = t,
        .client = t->request->client,
        .key_name = t->key_name,
    };
    tl_err_clear();
    int64_t begin_ns = tl_clock_ns();
    tl_err err =
        tl_method_call(t->method, &call, t->request->body.data, t->request->body.len, &body);
    bool is_served = err == TL_OK || !call.wants_worker;
    t->served_ns = (uint64_t)(tl_clock_ns() - begin_ns);
    if (is_served) {
        answer(t, err, &body, &call);
    }
    tl_call_done(&call);
    tl_mem_free(body.data);
    return is_served;
}

void *tl_server_work(void *context)
{
    tl_worker *w = context;
    tl_metrics *metrics = w->server->options.metrics;
    tl_blas_single_thread();
    if (w->lane != TL_LANE_WORK) {
        tl_background_thread();
    }
    for (tl_task *t = NULL; (t = tl_queue_pop(w->server->queues[w->lane])) != NULL;) {
        tl_metrics_taken(metrics, w->lane, tl_clock_ns() - t->received_ns);
        t->results = w->results;
        TL_ASSERT(tl_server_serve(t));
        tl_metrics_released(metrics, w->lane);
    }
    return NULL;
}
