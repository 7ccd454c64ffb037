/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_CLIENTS_C_LINK_H
#define TL_CLIENTS_C_LINK_H

/*
 * One connection to the daemon, which carries one call at a time. It is made once and never
 * again: what is sent over it cannot arrive at another daemon later, so a connection that
 * broke is closed and a new one opened by whoever wants to go on.
 *
 *     CONNECTING -> STANDS -> DOWN         CONNECTING -> DOWN
 */

#include "base/err.h"
#include "base/keyfile.h"
#include "proto/tailor.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum tl_link_state {
    TL_LINK_CONNECTING,
    TL_LINK_STANDS,
    TL_LINK_DOWN
} tl_link_state;

/* Why a handshake failed. */
typedef enum tl_link_refusal {
    TL_LINK_NOT_REFUSED,
    TL_LINK_REFUSED,       /* for a reason that the daemon does not tell */
    TL_LINK_KEY_UNKNOWN,   /* for good, as what follows */
    TL_LINK_OTHER_SECURITY /* one side uses keys, the other none */
} tl_link_refusal;

typedef struct tl_link {
    void *socket, *monitor;
    tl_link_state state;
    tl_link_refusal refusal;
    bool has_heartbeats; /* the daemon has sent one */
    int64_t opened_ns, idle_ns;
    int fd;               /* of the connection; -1: none yet, or none any more */
    uint64_t bytes_moved; /* over it, when they were counted last */
} tl_link;

/* A context of ZeroMQ; NULL when there is none to be had. */
void *tl_link_context_new(void);
void tl_link_context_free(void *context); /* waits for its links to be closed; NULL is fine */

/*
 * Begins to connect; number is different for each link of the context. keys with server_key ""
 * are none. Fails with TL_EINVAL for an endpoint that is none.
 */
TL_MUST_USE tl_err tl_link_open(
    void *context,
    unsigned number,
    const char *endpoint,
    const tl_key_file *keys,
    tl_link **out_link);
void tl_link_close(tl_link *link); /* drops what was not sent; NULL is fine */

/* Brings state and refusal up to date. */
void tl_link_look(tl_link *link);

/*
 * Whether bytes came or were taken by the other side since this was asked last, wait_ms ago: more
 * than ZeroMQ's own pings need. False where the system does not count them (ipc:).
 */
bool tl_link_has_moved(tl_link *link, int wait_ms);

/* Waits until a message is there, the state changes, or wait_ms have passed. */
TL_MUST_USE tl_err tl_link_wait(tl_link *link, int wait_ms, bool *out_has_message);

TL_MUST_USE tl_err tl_link_send(tl_link *link, const void *data, size_t len);

/* Takes the message that is there. Fails as tl_client_reply_read(). */
TL_MUST_USE tl_err
tl_link_receive(tl_link *link, const char *endpoint, Tailor__V1__Reply **out_reply);

#endif
