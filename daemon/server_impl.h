/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_SERVER_IMPL_H
#define TL_DAEMON_SERVER_IMPL_H

/*
 * Inside of a server, and the only door to ZeroMQ: for server.c (the router), server_tasks.c
 * (what waits and runs at the workers, and for whom), server_serve.c (running methods and
 * sending replies), server_open.c (sockets and workers), server_keys.c (who may connect),
 * server_peers.c (how many) and server_flow.c (how much of what they send is held).
 */

#include "daemon/endpoint.h"
#include "daemon/keys.h"
#include "daemon/queue.h"
#include "daemon/server.h"
#include "proto/tailor.pb-c.h"
#include "proto/wire.h"

#include <pthread.h>
#include <stdatomic.h>
#include <zmq.h>

enum {
    TL_SERVER_MAX_ENDPOINTS = 16,
    TL_SERVER_MAX_WORKERS = 64, /* of one lane */
    TL_SERVER_MAX_THREADS = 2 * TL_SERVER_MAX_WORKERS + 1,
    TL_SERVER_IDENTITY_BYTES = 255,
    TL_SERVER_SHORT_BYTES = 64 * 1024, /* shorter messages are bounded by their number alone */
};

/* One request, from its reception to its final reply. */
typedef struct tl_task {
    tl_server *server;
    Tailor__V1__Request *request; /* owned */
    const tl_method *method;
    tl_role role;
    char key_name[TL_NAME_MAX_BYTES + 1]; /* whose key sent it; "": none needed */
    uint64_t request_id;
    uint64_t owner; /* of whom there are turns: the client, by a hash of identity */
    size_t bytes;   /* of the message that it came as */
    tl_lane lane;
    bool is_short; /* of the fast lane, at the workers since there is much to do */
    int64_t received_ns, deadline_ns;
    int64_t heartbeat_ns, next_beat_ns; /* heartbeat_ns 0: none are asked for */
    uint64_t served_ns;
    int fd; /* of the connection that it came by; -1: unknown */
    size_t identity_len;
    uint8_t identity[TL_SERVER_IDENTITY_BYTES];
    bool is_overdue, is_gone; /* the router's: its deadline passed; its client left */
    bool is_cut;              /* the router's: a part was not sent to the client */
    tl_err lost;              /* the worker's: why a part was not made; TL_OK: all were */
    bool is_turned_away;      /* since the daemon is about to end */
    atomic_bool is_cancelled;
    atomic_bool
        is_given_back; /* set by the worker before its last message: what orders memory */
    void *results;     /* the worker's socket; NULL on the router thread */
    struct tl_task *prev, *next; /* of those at the workers; the router's */
} tl_task;

/* Travels before each reply from a worker to the router. After the final one the task is
 * the router's again. */
typedef struct tl_note {
    tl_task *task;
    int kind;
} tl_note;

typedef struct tl_worker {
    pthread_t thread;
    tl_server *server;
    tl_lane lane;
    void *results;
    bool is_running;
} tl_worker;

/* A descriptor that is a connection, and what it has received; bytes as they are on the wire. */
typedef struct tl_peer {
    bool is_open;  /* counted */
    bool is_tcp;   /* the system tells what was received */
    bool is_ready; /* its handshake is done */
    bool is_cut;   /* shut down for what it holds */
    uint64_t seen; /* received when it was looked at last */
    uint64_t gone; /* of these, held no more */
    size_t taken;  /* of whole messages, since then */
} tl_peer;

/* Those who are connected. */
typedef struct tl_peers {
    void *monitor;
    tl_peer *all; /* [n_fds]: by descriptor */
    size_t n_fds, n_open, max;
    uint64_t n_refused;
    int64_t told_ns; /* when the log said so last; 0: never */
} tl_peers;

/* Looking at what they hold. */
typedef struct tl_flow {
    int epoll_fd;        /* all tcp connections; -1: none */
    int64_t look_ns;     /* when next; INT64_MAX: when epoll_fd is readable */
    uint64_t max_sum;    /* of all connections */
    int n_quiet;         /* looks in a row that saw nothing come */
    bool is_flowing;     /* the present look saw something come */
    bool has_handshakes; /* it saw some that go on */
    bool was_drained;    /* at the last look no message waited */
    bool has_cut;        /* since nothing flowed last: much was freed */
    uint64_t n_cut;      /* connections that held too much */
    int64_t told_ns;     /* when the log said so last; 0: never */
} tl_flow;

/* What waits and runs at the workers of a lane. */
typedef struct tl_held {
    int n;
    size_t long_bytes; /* of those messages that are longer than TL_SERVER_SHORT_BYTES */
} tl_held;

struct tl_server {
    tl_server_options options;
    void *context, *router, *results;
    char endpoints[TL_SERVER_MAX_ENDPOINTS][TL_ENDPOINT_MAX_BYTES + 1];
    tl_queue *queues[TL_N_LANES]; /* of the fast lane: NULL */
    tl_worker workers[TL_SERVER_MAX_THREADS];
    int n_workers;            /* of all lanes */
    tl_task *at_workers;      /* list, the newest first */
    tl_held held[TL_N_LANES]; /* what they are, by lane */
    int n_short;              /* of those in the work lane */
    int n_in_a_row;           /* requests read without finding the socket empty */
    tl_keys *keys;            /* NULL: everyone who can connect is an admin */
    void *zap;                /* answers handshakes, with keys alone */
    tl_peers peers;
    tl_flow flow;
    int64_t keys_looked_ns, told_busy_ns, told_unknown_ns, told_unsent_ns;
    bool is_stopping, has_told_stopping;
    int64_t next_tick_ns;
};

/* Fails with TL_EIO, saying what ZeroMQ says. */
TL_MUST_USE tl_err tl_server_zmq_failed(const char *what);

/* Router thread only. Takes payload. False when the client is gone or reads too slowly, which is
 * told once a second at most. */
bool tl_server_send_to_client(const tl_task *t, zmq_msg_t *payload);

/* The final reply, from the thread that serves t. */
void tl_server_deliver_error(tl_task *t, tl_err err);

/* The message of a final reply that says err, for the caller to send or close. */
void tl_server_error_message(const tl_task *t, tl_err err, zmq_msg_t *out_payload);

/* Logs and counts that t ends without a reply, since its client left. Router thread only. */
void tl_server_drop(const tl_task *t);

/* One line of the log: the message, then method, request id, client, times and error. An error
 * is told at level info, success at level debug. */
void tl_server_log(const tl_task *t, const char *message, tl_err err);

/* That t was refused. Of those that are refused because there is too much to do, one a second is
 * told at level info: a flood of requests is no flood of lines. Router thread only. */
void tl_server_log_refused(const tl_task *t, tl_err err);

/* Counts the answer and delivers it. False, nothing done: a worker must do it. t is not touched
 * after true. */
bool tl_server_serve(tl_task *t);

/* A worker's thread; context is a tl_worker. */
void *tl_server_work(void *context);

/* ---- connections ------------------------------------------------------------------------ */

/* Bounds and counts connections, from before the first endpoint is bound. */
TL_MUST_USE tl_err tl_server_peers_open(tl_server *server);
void tl_server_peers_close(tl_server *server);

/* Takes one event of a connection; false when there is none. */
bool tl_server_peers_hear(tl_server *server);

/* Whether the connection of this descriptor has ended, as far as was heard. */
bool tl_server_peers_has_left(const tl_server *server, int fd);

/* Bounds what they have on the way in; what of it a client is cut off for: server_flow.c. */
TL_MUST_USE tl_err tl_server_flow_open(tl_server *server);
void tl_server_flow_close(tl_server *server);

/* A connection that stands in the table of peers; false when it cannot be watched. */
bool tl_server_flow_add(tl_server *server, int fd);

/* The router has read a whole message, of so many bytes on the wire. */
void tl_server_flow_took(tl_server *server, int fd, size_t n_bytes);

/* A frame of so many bytes, on the wire of a tcp connection. */
size_t tl_server_flow_frame_bytes(const tl_server *server, size_t size);

/* Looks where it is due. is_drained: the router has just found that no message waits. */
void tl_server_flow_look(tl_server *server, bool is_drained);

/* While nobody looks, a descriptor that becomes readable when data flows; tl_server_flow_wake()
 * is to be called then. -1: server->flow.look_ns tells when to look. */
int tl_server_flow_fd(const tl_server *server);
void tl_server_flow_wake(tl_server *server);

/* ---- what is at the workers; all of it on the router thread ----------------------------- */

/* Moves t, with its request, to the workers. Fails with TL_EBUSY, and TL_ECANCELLED when its
 * client has left already. */
TL_MUST_USE tl_err tl_server_hand_over(tl_task *t);

/* Whether short requests find a worker that is busy with nothing longer. */
bool tl_server_has_free_worker(const tl_server *server);

/* After its final reply, or instead. */
void tl_server_task_free(tl_task *t);

/* The connection ended: drops what waits for its client and cancels what runs. */
void tl_server_cancel_all_of(tl_server *server, int fd);

/* Refuses what waits and cancels what runs. */
void tl_server_cancel_all(tl_server *server);

/* Sends the heartbeats that are due, and refuses what waited beyond its deadline. */
void tl_server_tend(tl_server *server);

/* When tl_server_tend() has something to do again, on tl_clock_ns(); INT64_MAX: never. */
int64_t tl_server_tend_at_ns(const tl_server *server);

/* ---- keys; nothing happens without a folder of them ----------------------------------- */

/* Reads the keys and binds the handler, before any endpoint is bound. */
TL_MUST_USE tl_err tl_server_keys_open(tl_server *server);

/* Sets how the next endpoint that is bound checks its clients. */
TL_MUST_USE tl_err tl_server_keys_guard(tl_server *server, const char *endpoint);

/* TL_EDENIED where everyone on the machine may write to the endpoint's file, bound by now: they
 * would pass by the keys. */
TL_MUST_USE tl_err tl_server_keys_check_bound(const tl_server *server, const char *endpoint);

/* Answers one handshake; false when none waits. */
bool tl_server_keys_answer(tl_server *server);

/* Sets the role of t from the sender of payload; TL_EDENIED when it has none any more. */
TL_MUST_USE tl_err tl_server_keys_identify(tl_task *t, const zmq_msg_t *payload);

/*
 * Reads the keys again when asked to, or when their folder has changed, at which it looks
 * twice a second at most. Not without keys.
 */
void tl_server_keys_look(tl_server *server, bool is_asked);

#endif
