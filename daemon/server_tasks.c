/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/server_impl.h"

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/envelope.h"
#include "daemon/metrics.h"

#include <string.h>

/* ---- the list of them ------------------------------------------------------------------ */

/* What counts against the bound. */
static size_t long_bytes(const tl_task *t)
{
    return t->bytes > TL_SERVER_SHORT_BYTES ? t->bytes : 0;
}

static void list_add(tl_server *server, tl_task *t)
{
    t->prev = NULL;
    t->next = server->at_workers;
    if (t->next != NULL) {
        t->next->prev = t;
    }
    server->at_workers = t;
    server->held[t->lane].n++;
    server->held[t->lane].long_bytes += long_bytes(t);
    server->n_short += t->is_short;
}

static void list_remove(tl_server *server, tl_task *t)
{
    if (t->prev != NULL) {
        t->prev->next = t->next;
    } else {
        server->at_workers = t->next;
    }
    if (t->next != NULL) {
        t->next->prev = t->prev;
    }
    server->held[t->lane].n--;
    server->held[t->lane].long_bytes -= long_bytes(t);
    server->n_short -= t->is_short;
}

void tl_server_task_free(tl_task *t)
{
    list_remove(t->server, t);
    tl_wire_free((ProtobufCMessage *)t->request);
    tl_mem_free(t);
}

/* Out of the queue; false when a worker has it. */
static bool take_back(tl_task *t)
{
    bool is_mine = tl_queue_remove(t->server->queues[t->lane], t);
    if (is_mine) {
        tl_metrics_dropped(t->server->options.metrics, t->lane);
    }
    return is_mine;
}

/* The answer to what no worker will see. */
static void refuse(tl_task *t, tl_err err)
{
    tl_server_log_refused(t, err);
    tl_server_deliver_error(t, err);
    tl_server_task_free(t);
}

/* ---- clients that come and leave ---------------------------------------------------------- */

/*
 * Connections are told of by their descriptor, in the order of what happened, and a message
 * knows the descriptor that it came by. A number is used again only after its end was told.
 */
void tl_server_cancel_all_of(tl_server *server, int fd)
{
    tl_task *next = NULL;
    for (tl_task *t = server->at_workers; t != NULL; t = next) {
        next = t->next;
        if (t->fd != fd || t->is_gone) {
            continue;
        }
        t->is_gone = true;
        atomic_store_explicit(&t->is_cancelled, true, memory_order_relaxed);
        if (take_back(t)) {
            tl_server_drop(t);
            tl_server_task_free(t);
        }
    }
}

void tl_server_cancel_all(tl_server *server)
{
    tl_task *next = NULL;
    for (tl_task *t = server->at_workers; t != NULL; t = next) {
        next = t->next;
        atomic_store_explicit(&t->is_cancelled, true, memory_order_relaxed);
        if (take_back(t)) {
            refuse(t, tl_fail(TL_EIO, "the daemon cannot go on"));
        }
    }
}

/* ---- to the workers ------------------------------------------------------------------------ */

/* FNV-1a: clients whose numbers are equal by chance share their turns, no more. */
static uint64_t owner_of(const tl_task *t)
{
    uint64_t hash = 14695981039346656037U;
    for (size_t i = 0; i < t->identity_len; i++) {
        hash = (hash ^ t->identity[i]) * 1099511628211U;
    }
    return hash;
}

static tl_err queue_is_full(const tl_task *t)
{
    return tl_fail(
        TL_EBUSY, "%zu requests are waiting already; try again later",
        t->server->options.max_queued);
}

static size_t held_bytes(const tl_task *t)
{
    return t->server->held[t->lane].long_bytes;
}

static bool has_room(const tl_task *t)
{
    size_t held = held_bytes(t);
    return long_bytes(t) == 0 || held == 0 ||
           held + long_bytes(t) <= t->server->options.max_held_bytes;
}

static size_t long_bytes_of(const tl_server *server, tl_lane lane, uint64_t owner)
{
    size_t bytes = 0;
    for (const tl_task *t = server->at_workers; t != NULL; t = t->next) {
        bytes += t->lane == lane && t->owner == owner ? long_bytes(t) : 0;
    }
    return bytes;
}

/* The newest long request in this lane of an owner who has at least so much without it; NULL:
 * none. Out of the queue. */
static tl_task *displace(const tl_server *server, tl_lane lane, size_t least_bytes)
{
    for (tl_task *t = server->at_workers; t != NULL; t = t->next) {
        if (t->lane == lane && long_bytes(t) > 0 &&
            long_bytes_of(server, lane, t->owner) >= least_bytes + t->bytes && take_back(t)) {
            return t;
        }
    }
    return NULL;
}

static tl_err bytes_are_full(const tl_task *t)
{
    return tl_fail(
        TL_EBUSY, "requests of %zu bytes are waiting already; try again later", held_bytes(t));
}

/* Where the lane holds too many bytes, who has more of them than t would have gives some back. */
static tl_err make_room(const tl_task *t)
{
    tl_server *server = t->server;
    if (has_room(t)) {
        return TL_OK;
    }
    size_t own = long_bytes_of(server, t->lane, t->owner) + t->bytes;
    while (!has_room(t)) {
        tl_task *displaced = displace(server, t->lane, own);
        if (displaced == NULL) {
            return bytes_are_full(t);
        }
        refuse(displaced, bytes_are_full(t));
    }
    return TL_OK;
}

/* ---- short requests at the workers --------------------------------------------------------- */

/* Those that wait for one worker, so that it does not wait for them. */
enum {
    PER_WORKER = 4
};

static int n_free_workers(const tl_server *server)
{
    return server->options.n_workers - (server->held[TL_LANE_WORK].n - server->n_short);
}

bool tl_server_has_free_worker(const tl_server *server)
{
    return server->n_short < PER_WORKER * n_free_workers(server);
}

/* Into the queue of its lane, as tl_queue_push(). */
static bool put_in(tl_task *t, void **out_displaced)
{
    tl_metrics *metrics = t->server->options.metrics;
    tl_metrics_queued(metrics, t->lane); /* a worker may take it at once */
    bool is_in = tl_queue_push(t->server->queues[t->lane], t->owner, t, out_displaced);
    if (!is_in || *out_displaced != NULL) {
        tl_metrics_dropped(metrics, t->lane);
    }
    return is_in;
}

/* Where longer requests have come for all workers, the router answers those behind them. */
static void take_back_short(tl_server *server)
{
    tl_task *next = NULL;
    bool is_crowded = server->n_short > 0 && n_free_workers(server) <= 0;
    for (tl_task *t = server->at_workers; t != NULL && is_crowded; t = next) {
        next = t->next;
        if (!t->is_short || !take_back(t)) {
            continue;
        }
        if (tl_server_serve(t)) {
            tl_server_task_free(t);
        } else {
            void *displaced = NULL;
            t->is_short = false;
            server->n_short--;
            TL_ASSERT(put_in(t, &displaced) && displaced == NULL); /* to where it was */
        }
    }
}

tl_err tl_server_hand_over(tl_task *t)
{
    tl_server *server = t->server;
    void *displaced = NULL;
    t->lane = t->lane == TL_LANE_FAST ? TL_LANE_WORK : t->lane;
    t->owner = owner_of(t);
    /* whoever left before this was read was told of by now */
    while (tl_server_peers_hear(server)) {
    }
    if (tl_server_peers_has_left(server, t->fd)) {
        t->is_gone = true;
        return tl_fail(TL_ECANCELLED, "its client left");
    }
    TL_TRY(make_room(t));
    tl_task *copy = tl_mem_new(1, sizeof *copy);
    if (copy == NULL) {
        return tl_fail(TL_ENOMEM, "a request of %zu bytes", t->request->body.len);
    }
    memcpy(copy, t, sizeof *copy);
    copy->next_beat_ns = t->received_ns + t->heartbeat_ns;
    list_add(server, copy);
    if (!put_in(copy, &displaced)) {
        list_remove(server, copy);
        tl_mem_free(copy);
        return queue_is_full(t);
    }
    t->request = NULL;
    if (displaced != NULL) {
        refuse(displaced, queue_is_full(t));
    }
    take_back_short(server);
    return TL_OK;
}

/* ---- heartbeats and deadlines ------------------------------------------------------------ */

static void send_heartbeat(tl_task *t)
{
    uint8_t bytes[TL_ENVELOPE_ERROR_BYTES];
    size_t len = tl_envelope_pack_heartbeat(t->request_id, bytes);
    zmq_msg_t payload;
    if (zmq_msg_init_size(&payload, len) != 0) {
        return; /* the next one may get memory */
    }
    memcpy(zmq_msg_data(&payload), bytes, len);
    if (!tl_server_send_to_client(t, &payload)) {
        t->heartbeat_ns = 0; /* its final reply is tried once more */
        atomic_store_explicit(&t->is_cancelled, true, memory_order_relaxed);
    }
}

static bool wants_beats(const tl_task *t)
{
    return t->heartbeat_ns > 0 && !t->is_gone;
}

void tl_server_tend(tl_server *server)
{
    tl_task *next = NULL;
    int64_t now_ns = server->at_workers != NULL ? tl_clock_ns() : 0;
    for (tl_task *t = server->at_workers; t != NULL; t = next) {
        next = t->next;
        if (!t->is_overdue && now_ns > t->deadline_ns) {
            t->is_overdue = true; /* at a worker, it sees that itself */
            if (take_back(t)) {
                refuse(
                    t, tl_fail(TL_EDEADLINE, "the deadline passed before a worker was free"));
                continue;
            }
        }
        if (wants_beats(t) && now_ns >= t->next_beat_ns) {
            send_heartbeat(t);
            t->next_beat_ns = now_ns + t->heartbeat_ns;
        }
    }
}

int64_t tl_server_tend_at_ns(const tl_server *server)
{
    int64_t at_ns = INT64_MAX;
    for (const tl_task *t = server->at_workers; t != NULL; t = t->next) {
        at_ns = !t->is_overdue && t->deadline_ns < at_ns ? t->deadline_ns : at_ns;
        at_ns = wants_beats(t) && t->next_beat_ns < at_ns ? t->next_beat_ns : at_ns;
    }
    return at_ns;
}
