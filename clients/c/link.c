/* SPDX-License-Identifier: Apache-2.0 */

/* With keys.c the only file of the library that knows ZeroMQ. */

#include "clients/c/link.h"

#include "base/clock.h"
#include "base/mem.h"
#include "clients/c/impl.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <zmq.h>

enum {
    HANDSHAKE_MS = 5000,
    /* Longer than a link is kept once it broke. None at all would drop the replies that came
     * before the end and were not read yet. */
    RECONNECT_MS = 24 * 3600 * 1000,
    /* ZeroMQ's pings find a host that is gone, where no heartbeats do. It reads an answer only
     * when the message before it is whole, so they must outwait the longest one. */
    PING_MS = 10000,
    PING_TIMEOUT_MS = 120000,
    PING_BYTES = 512, /* pings and answers of both sides take less in PING_MS */
    ADDRESS_BYTES = 256,
    MONITOR_BYTES = 32,
    EVENT_BYTES = 8
};

void *tl_link_context_new(void)
{
    return zmq_ctx_new();
}

void tl_link_context_free(void *context)
{
    if (context != NULL) {
        (void)zmq_ctx_term(context);
    }
}

void tl_link_close(tl_link *link)
{
    if (link == NULL) {
        return;
    }
    if (link->socket != NULL) {
        (void)zmq_socket_monitor(link->socket, NULL, 0);
        (void)zmq_close(link->socket);
    }
    if (link->monitor != NULL) {
        (void)zmq_close(link->monitor);
    }
    tl_mem_free(link);
}

/* IPv6 only where it is written so: "localhost" must mean where the daemon listens. */
static bool set_options(void *socket, const char *endpoint)
{
    static const struct {
        int option, value;
    } options[] = {
        {ZMQ_LINGER,            0              },
        {ZMQ_RECONNECT_IVL,     RECONNECT_MS   },
        {ZMQ_HANDSHAKE_IVL,     HANDSHAKE_MS   },
        {ZMQ_HEARTBEAT_IVL,     PING_MS        },
        {ZMQ_HEARTBEAT_TIMEOUT, PING_TIMEOUT_MS},
    };
    int64_t max_bytes = TL_WIRE_HARD_MAX_BYTES;
    int is_tcp6 = strncmp(endpoint, "tcp://[", strlen("tcp://[")) == 0;
    for (size_t i = 0; i < TL_COUNT(options); i++) {
        if (zmq_setsockopt(
                socket, options[i].option, &options[i].value, sizeof options[i].value) != 0) {
            return false;
        }
    }
    return zmq_setsockopt(socket, ZMQ_IPV6, &is_tcp6, sizeof is_tcp6) == 0 &&
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) == 0;
}

static bool set_keys(void *socket, const tl_key_file *keys)
{
    size_t size = sizeof keys->server_key;
    return keys->server_key[0] == '\0' ||
           (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->server_key, size) == 0 &&
            zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->public_key, size) == 0 &&
            zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, size) == 0);
}

static bool open_monitor(void *context, unsigned number, tl_link *link)
{
    int events = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                 ZMQ_EVENT_CLOSED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                 ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
    int no_linger = 0;
    char address[MONITOR_BYTES];
    (void)snprintf(address, sizeof address, "inproc://monitor-%u", number);
    return zmq_socket_monitor(link->socket, address, events) == 0 &&
           (link->monitor = zmq_socket(context, ZMQ_PAIR)) != NULL &&
           zmq_setsockopt(link->monitor, ZMQ_LINGER, &no_linger, sizeof no_linger) == 0 &&
           zmq_connect(link->monitor, address) == 0;
}

tl_err tl_link_open(
    void *context,
    unsigned number,
    const char *endpoint,
    const tl_key_file *keys,
    tl_link **out_link)
{
    tl_link *link = tl_mem_new(1, sizeof *link);
    if (link == NULL) {
        return tl_fail(TL_ENOMEM, "a connection");
    }
    if ((link->socket = zmq_socket(context, ZMQ_DEALER)) == NULL ||
        !set_options(link->socket, endpoint) || !set_keys(link->socket, keys) ||
        !open_monitor(context, number, link)) {
        tl_err err = tl_fail(TL_EIO, "a socket: %s", zmq_strerror(zmq_errno()));
        tl_link_close(link);
        return err;
    }
    if (zmq_connect(link->socket, endpoint) != 0) {
        int code = zmq_errno();
        tl_link_close(link);
        return tl_fail(
            code == EINVAL || code == EPROTONOSUPPORT ? TL_EINVAL : TL_EIO,
            "endpoint \"%s\": %s", endpoint, zmq_strerror(code));
    }
    link->opened_ns = tl_clock_ns();
    link->fd = -1;
    *out_link = link;
    return TL_OK;
}

/* What follows a failed handshake says less than it. */
static void note_refusal(tl_link *link, int event, uint32_t value)
{
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        link->refusal = TL_LINK_KEY_UNKNOWN;
    } else if (
        event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL &&
        value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH) {
        link->refusal = TL_LINK_OTHER_SECURITY;
    } else if (
        (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ||
         event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) &&
        link->refusal == TL_LINK_NOT_REFUSED) {
        link->refusal = TL_LINK_REFUSED;
    }
}

/* What an event says of the connection. */
static void note_event(tl_link *link, int event, uint32_t value)
{
    if (event == ZMQ_EVENT_CONNECTED) {
        link->fd = (int)value;
        return;
    }
    note_refusal(link, event, value);
    link->state = event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? TL_LINK_STANDS : TL_LINK_DOWN;
    link->fd = link->state == TL_LINK_STANDS ? link->fd : -1;
}

void tl_link_look(tl_link *link)
{
    uint8_t bytes[EVENT_BYTES];
    char address[ADDRESS_BYTES];
    while (zmq_recv(link->monitor, bytes, sizeof bytes, ZMQ_DONTWAIT) >= 2) {
        uint16_t event = 0;
        uint32_t value = 0;
        memcpy(&event, bytes, sizeof event);
        memcpy(&value, bytes + sizeof event, sizeof value);
        (void)zmq_recv(link->monitor, address, sizeof address, 0);
        note_event(link, event, value);
    }
}

/* The descriptor is ZeroMQ's: where it was closed a moment ago the answer may be another's, and
 * the event that says so comes next. */
bool tl_link_has_moved(tl_link *link, int wait_ms)
{
    struct tcp_info now = {0};
    socklen_t len = sizeof now;
    uint64_t before = link->bytes_moved;
    if (link->fd < 0 || getsockopt(link->fd, IPPROTO_TCP, TCP_INFO, &now, &len) != 0) {
        return false;
    }
    link->bytes_moved = now.tcpi_bytes_received + now.tcpi_bytes_acked;
    uint64_t pings = PING_BYTES * (1 + (uint64_t)wait_ms / PING_MS);
    return link->bytes_moved > before + pings;
}

tl_err tl_link_wait(tl_link *link, int wait_ms, bool *out_has_message)
{
    zmq_pollitem_t items[] = {
        {.socket = link->socket,  .events = ZMQ_POLLIN},
        {.socket = link->monitor, .events = ZMQ_POLLIN},
    };
    if (zmq_poll(items, (int)TL_COUNT(items), wait_ms) < 0 && zmq_errno() != EINTR) {
        return tl_fail(TL_EIO, "waiting: %s", zmq_strerror(zmq_errno()));
    }
    if ((items[1].revents & ZMQ_POLLIN) != 0) {
        tl_link_look(link);
        /* What came before the end counts. */
        (void)zmq_poll(items, 1, 0);
    }
    *out_has_message = (items[0].revents & ZMQ_POLLIN) != 0;
    return TL_OK;
}

tl_err tl_link_send(tl_link *link, const void *data, size_t len)
{
    bool is_sent = zmq_send(link->socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
                   zmq_send(link->socket, data, len, ZMQ_DONTWAIT) >= 0;
    return is_sent ? TL_OK : tl_fail(TL_EIO, "sending: %s", zmq_strerror(zmq_errno()));
}

/* The last frame of a message is the reply. */
tl_err tl_link_receive(tl_link *link, const char *endpoint, Tailor__V1__Reply **out_reply)
{
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    do {
        if (zmq_msg_recv(&frame, link->socket, 0) < 0) {
            (void)zmq_msg_close(&frame);
            return tl_fail(TL_EIO, "receiving: %s", zmq_strerror(zmq_errno()));
        }
    } while (zmq_msg_more(&frame));
    tl_err err =
        tl_client_reply_read(zmq_msg_data(&frame), zmq_msg_size(&frame), endpoint, out_reply);
    (void)zmq_msg_close(&frame);
    return err;
}
