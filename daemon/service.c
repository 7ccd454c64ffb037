/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    FIRST_FD = 3, /* the protocol's */
    US_PER_MS = 1000
};

/* A whole number of the environment; false where there is none. */
static bool read_number(const char *variable, uint64_t *out)
{
    const char *text = getenv(variable);
    char *end = NULL;
    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    *out = strtoumax(text, &end, 10);
    return errno == 0 && *end == '\0';
}

/* Meant for this process: systemd names it, in case a child inherits the variables. */
static bool is_meant(const char *pid_variable)
{
    uint64_t pid = 0;
    return getenv(pid_variable) == NULL ||
           (read_number(pid_variable, &pid) && pid == (uint64_t)getpid());
}

/* ---- sockets ------------------------------------------------------------------------------ */

typedef union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
} socket_address;

static tl_err name_socket(int fd, char endpoint[TL_ENDPOINT_MAX_BYTES + 1])
{
    socket_address address = {0};
    char host[INET6_ADDRSTRLEN] = "";
    socklen_t len = sizeof address;
    size_t size = TL_ENDPOINT_MAX_BYTES + 1;
    if (getsockname(fd, &address.any, &len) != 0) {
        return tl_fail(TL_EINVAL, "passed socket %d: %s", fd, strerror(errno));
    }
    switch (address.any.sa_family) {
    case AF_UNIX: {
        const char *path = address.path.sun_path;
        bool is_abstract = path[0] == '\0';
        (void)snprintf(
            endpoint, size, "ipc://%s%.*s", is_abstract ? "@" : "",
            (int)sizeof address.path.sun_path - 1, path + (is_abstract ? 1 : 0));
        return TL_OK;
    }
    case AF_INET:
        (void)inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof host);
        (void)snprintf(endpoint, size, "tcp://%s:%d", host, (int)ntohs(address.v4.sin_port));
        return TL_OK;
    case AF_INET6:
        (void)inet_ntop(AF_INET6, &address.v6.sin6_addr, host, sizeof host);
        (void)snprintf(endpoint, size, "tcp://[%s]:%d", host, (int)ntohs(address.v6.sin6_port));
        return TL_OK;
    default:
        return tl_fail(
            TL_EINVAL, "passed socket %d: got family %d, want unix or tcp", fd,
            (int)address.any.sa_family);
    }
}

static tl_err prepare_socket(int fd)
{
    int is_listening = 0;
    int type = 0;
    socklen_t len = sizeof is_listening;
    socklen_t type_len = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) != 0 || is_listening == 0 ||
        type != SOCK_STREAM) {
        return tl_fail(TL_EINVAL, "passed socket %d: want a listening stream socket", fd);
    }
    /* ZeroMQ accepts without asking whether the caller is still there. */
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) {
        return tl_fail(TL_EIO, "passed socket %d: %s", fd, strerror(errno));
    }
    return TL_OK;
}

tl_err tl_service_sockets_take(tl_service_sockets *out_sockets)
{
    tl_service_sockets sockets = {0};
    uint64_t n = 0;
    if (getenv("LISTEN_FDS") != NULL && is_meant("LISTEN_PID")) {
        if (!read_number("LISTEN_FDS", &n) || n > TL_SERVICE_MAX_SOCKETS) {
            return tl_fail(
                TL_EINVAL, "LISTEN_FDS: got \"%s\", want 0 to %d", getenv("LISTEN_FDS"),
                (int)TL_SERVICE_MAX_SOCKETS);
        }
    }
    for (size_t i = 0; i < n; i++) {
        sockets.fds[i] = FIRST_FD + (int)i;
        TL_TRY(prepare_socket(sockets.fds[i]));
        TL_TRY(name_socket(sockets.fds[i], sockets.endpoints[i]));
    }
    sockets.n = (size_t)n;
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDNAMES");
    *out_sockets = sockets;
    return TL_OK;
}

/* ---- states -------------------------------------------------------------------------------- */

void tl_service_notify(const char *state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path != NULL ? strlen(path) : 0;
    if (len < 2 || len >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@')) {
        return;
    }
    memcpy(address.sun_path, path, len);
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* a name of Linux's abstract sockets */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (sendto(
            fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
            (const struct sockaddr *)&address, size) < 0) {
        /* nobody to tell */
    }
    (void)close(fd);
}

int tl_service_watchdog_ms(void)
{
    uint64_t us = 0;
    if (!is_meant("WATCHDOG_PID") || !read_number("WATCHDOG_USEC", &us) || us == 0) {
        return 0;
    }
    uint64_t ms = us / 2 / US_PER_MS;
    return ms < 1 ? 1 : ms < INT32_MAX ? (int)ms : INT32_MAX;
}
