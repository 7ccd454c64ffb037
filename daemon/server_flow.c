/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How much of what connections send is held inside ZeroMQ. Router thread only.
 *
 * ZeroMQ bounds a frame and the number of whole messages, nothing else: frames of a message that
 * never ends, or a frame in place of a handshake, it holds as they come. The system counts what a
 * tcp connection has received (TCP_INFO), the router what it took from it as whole messages: the
 * difference is what ZeroMQ holds. It is looked at a few times a second while data flows, and a
 * connection that holds too much is shut down. When nothing flows nobody looks: an epoll, which
 * watches the connections beside ZeroMQ's own, tells when it begins again.
 *
 * A connection without a key has at most sent what a handshake takes. ZeroMQ does not say which
 * connection has ended its handshake, but the daemon has said more to it by then than to one that
 * is shaking hands, and the system counts that too.
 *
 * Nothing of this is known of unix sockets, which the system does not count.
 */
#include "daemon/server_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"

#include "daemon/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    KIB = 1024,
    MIB = 1024 * 1024,
    LOOK_EVERY_MS = 50,
    LOOK_AT_HANDSHAKES_MS = 10, /* while there are any */
    N_QUIET = 10,               /* looks that saw nothing come, before the next sleeps */
    TELL_EVERY_S = 10,
    /* A handshake is below 1 KiB, but who connects may say more of itself. */
    MAX_HANDSHAKE_BYTES = 16 * KIB,
    /* The longest message, and half a request more that a client may send behind it. */
    MAX_HELD_BYTES = TL_WIRE_HARD_MAX_BYTES + 64 * MIB,
    DEFAULT_MAX_HELD_SUM = 1024 * MIB,
    /* What the daemon has said at most while keys are being shown (RFC 26): its greeting of 64
     * bytes, WELCOME of 170, ERROR of 12. READY, when they were accepted, has at least 54. */
    HANDSHAKE_SAYS_BYTES = 64 + 170 + 16,
    CURVE_FRAME_BYTES = 33, /* "\x07MESSAGE", a nonce of 8, a code of 16, the flags */
    LONG_FRAME = 255,       /* one byte tells the length of those up to it, else eight */
    N_EVENTS = 64,
    ADDRESS_BYTES = 64
};

tl_err tl_server_flow_open(tl_server *server)
{
    tl_flow *f = &server->flow;
    size_t max = server->options.max_incoming_bytes;
    f->max_sum = max > 0 ? max : (uint64_t)DEFAULT_MAX_HELD_SUM;
    f->look_ns = INT64_MAX;
    f->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return f->epoll_fd >= 0 ? TL_OK
                            : tl_fail(TL_EIO, "watching connections: %s", strerror(errno));
}

void tl_server_flow_close(tl_server *server)
{
    if (server->flow.epoll_fd >= 0) {
        (void)close(server->flow.epoll_fd);
    }
}

static bool is_tcp(int fd)
{
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    return getsockname(fd, (struct sockaddr *)&own, &size) == 0 &&
           (own.ss_family == AF_INET || own.ss_family == AF_INET6);
}

static void wake(tl_flow *f)
{
    f->n_quiet = 0;
    if (f->look_ns == INT64_MAX) {
        f->look_ns = tl_clock_ns() + LOOK_EVERY_MS * TL_NS_PER_MS;
    }
}

/* The next look is this soon at the latest. */
static void hurry(tl_flow *f)
{
    int64_t at_ns = tl_clock_ns() + LOOK_AT_HANDSHAKES_MS * TL_NS_PER_MS;
    f->look_ns = at_ns < f->look_ns ? at_ns : f->look_ns;
}

/* Edges alone: each is noticed once, however much is read of it. */
bool tl_server_flow_add(tl_server *server, int fd)
{
    tl_peer *peer = &server->peers.all[fd];
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.fd = fd}};
    *peer = (tl_peer){.is_open = true, .is_tcp = is_tcp(fd)};
    peer->is_ready = server->keys == NULL;
    if (!peer->is_tcp) {
        return true;
    }
    wake(&server->flow);
    if (!peer->is_ready) {
        hurry(&server->flow);
    }
    return epoll_ctl(server->flow.epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST;
}

size_t tl_server_flow_frame_bytes(const tl_server *server, size_t size)
{
    size += server->keys != NULL ? CURVE_FRAME_BYTES : 0;
    return size + (size > LONG_FRAME ? 9 : 2);
}

void tl_server_flow_took(tl_server *server, int fd, size_t n_bytes)
{
    const tl_peers *p = &server->peers;
    if (fd >= 0 && (size_t)fd < p->n_fds) {
        p->all[fd].taken += n_bytes;
    }
}

/* ---- looking -------------------------------------------------------------------------------- */

/*
 * Brings a peer up to date; what ZeroMQ holds of it, at most some that the system has not handed
 * over yet too many.
 *
 * What is not part of a request, as heartbeats, would add up. So where the router had found
 * nothing to read at the last look and has read a message since, that message ended after that
 * look, and all that came before it is gone.
 */
static uint64_t look_at(tl_flow *f, tl_peer *peer, int fd)
{
    struct tcp_info told = {0};
    socklen_t size = sizeof told;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &told, &size) != 0) {
        return 0; /* it has just ended */
    }
    uint64_t received = told.tcpi_bytes_received;
    bool has_sent = peer->taken > 0;
    peer->is_ready = peer->is_ready || has_sent || told.tcpi_bytes_acked > HANDSHAKE_SAYS_BYTES;
    peer->gone += peer->taken;
    if (has_sent && f->was_drained && peer->gone < peer->seen) {
        peer->gone = peer->seen;
    }
    if (peer->gone > received) {
        peer->gone = received;
    }
    f->is_flowing = f->is_flowing || received != peer->seen;
    peer->seen = received;
    peer->taken = 0;
    return received - peer->gone;
}

static void name_peer(int fd, char out[ADDRESS_BYTES])
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t size = sizeof address;
    (void)snprintf(out, ADDRESS_BYTES, "a client");
    if (getpeername(fd, &address.any, &size) != 0) {
        return;
    }
    const void *number = address.any.sa_family == AF_INET6 ? (const void *)&address.v6.sin6_addr
                                                           : (const void *)&address.v4.sin_addr;
    (void)inet_ntop(address.any.sa_family, number, out, ADDRESS_BYTES);
}

static void cut(tl_server *server, int fd, tl_metrics_cut why, uint64_t held)
{
    static const char *const reasons[] = {
        "before it had shown a key",
        "without the end of a message",
        "which was the most of all, who together sent too much at once",
    };
    tl_flow *f = &server->flow;
    char address[ADDRESS_BYTES];
    f->n_cut++;
    f->has_cut = true;
    tl_metrics_connection_cut(server->options.metrics, why); /* first, for who sees the end */
    if (tl_log_is_due(TELL_EVERY_S, &f->told_ns)) {
        name_peer(fd, address);
        tl_log(
            TL_LOG_WARN, "%s is cut off: it sent %llu KiB %s (%llu cut off so far)", address,
            (unsigned long long)(held / KIB), reasons[why], (unsigned long long)f->n_cut);
    }
    server->peers.all[fd].is_cut = true;
    (void)shutdown(fd, SHUT_RDWR);
}

static void look_at_all(tl_server *server)
{
    const tl_peers *p = &server->peers;
    tl_flow *f = &server->flow;
    uint64_t sum = 0;
    uint64_t most = 0;
    size_t most_fd = 0;
    for (size_t fd = 0; fd < p->n_fds; fd++) {
        tl_peer *peer = &p->all[fd];
        if (!peer->is_open || !peer->is_tcp || peer->is_cut) {
            continue;
        }
        uint64_t held = look_at(f, peer, (int)fd);
        f->has_handshakes = f->has_handshakes || !peer->is_ready;
        if (!peer->is_ready && held > MAX_HANDSHAKE_BYTES) {
            cut(server, (int)fd, TL_CUT_HANDSHAKE, held);
            continue;
        }
        if (held > MAX_HELD_BYTES) {
            cut(server, (int)fd, TL_CUT_MESSAGE, held);
            continue;
        }
        sum += held;
        most_fd = held > most ? fd : most_fd;
        most = held > most ? held : most;
    }
    if (sum > f->max_sum) {
        cut(server, (int)most_fd, TL_CUT_SUM, most);
    }
}

/* What is noticed from here on comes after the look that follows. */
static void forget_events(const tl_flow *f)
{
    struct epoll_event events[N_EVENTS];
    while (epoll_wait(f->epoll_fd, events, N_EVENTS, 0) == N_EVENTS) {
    }
}

void tl_server_flow_look(tl_server *server, bool is_drained)
{
    tl_flow *f = &server->flow;
    if (f->look_ns == INT64_MAX) {
        return;
    }
    int64_t now_ns = tl_clock_ns();
    if (now_ns < f->look_ns) {
        return;
    }
    if (f->n_quiet >= N_QUIET) {
        forget_events(f);
    }
    f->is_flowing = false;
    f->has_handshakes = false;
    look_at_all(server);
    f->was_drained = is_drained;
    bool may_sleep = f->n_quiet >= N_QUIET && !f->is_flowing;
    f->n_quiet = f->is_flowing ? 0 : f->n_quiet + 1;
    f->look_ns = may_sleep ? INT64_MAX : now_ns + LOOK_EVERY_MS * TL_NS_PER_MS;
    if (!may_sleep && f->has_handshakes) {
        hurry(f);
    }
    if (may_sleep && f->has_cut) {
        f->has_cut = false;
        tl_mem_trim();
    }
}

int tl_server_flow_fd(const tl_server *server)
{
    return server->flow.look_ns == INT64_MAX ? server->flow.epoll_fd : -1;
}

void tl_server_flow_wake(tl_server *server)
{
    wake(&server->flow);
}
