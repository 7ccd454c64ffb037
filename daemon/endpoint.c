/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/endpoint.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define IPC_SCHEME "ipc://"
#define TCP_SCHEME "tcp://"
#define LOCALHOST  TCP_SCHEME "localhost:"

static bool starts_with(const char *text, const char *head)
{
    return strncmp(text, head, strlen(head)) == 0;
}

bool tl_endpoint_is_tcp6(const char *endpoint)
{
    return starts_with(endpoint, "tcp://[");
}

/* "127.0.0.1" to "127.255.255.255" by digits, so that "127.evil.example" is none. */
static bool is_loopback4(const char *host)
{
    size_t len = strcspn(host, ":");
    return starts_with(host, "127.") && strspn(host, "0123456789.") == len;
}

static bool has_port(const char *endpoint)
{
    enum {
        MAX_PORT = 65535,
        MAX_DIGITS = 5
    };
    const char *port = strrchr(endpoint, ':') + 1;
    size_t n_digits = strspn(port, "0123456789");
    if (strcmp(port, "*") == 0) {
        return true;
    }
    return n_digits > 0 && n_digits <= MAX_DIGITS && port[n_digits] == '\0' &&
           strtol(port, NULL, 10) >= 1 && strtol(port, NULL, 10) <= MAX_PORT;
}

bool tl_endpoint_has_owner(const char *endpoint)
{
    size_t len = strlen(IPC_SCHEME);
    return starts_with(endpoint, IPC_SCHEME) && endpoint[len] != '@';
}

static bool is_loopback(const char *endpoint)
{
    const char *host = endpoint + strlen(TCP_SCHEME);
    return is_loopback4(host) || starts_with(host, "[::1]:") ||
           starts_with(endpoint, LOCALHOST);
}

tl_err tl_endpoint_check(const char *endpoint, bool has_keys)
{
    if (strlen(endpoint) > TL_ENDPOINT_MAX_BYTES) {
        return tl_fail(TL_EINVAL, "endpoint: longer than %d bytes", (int)TL_ENDPOINT_MAX_BYTES);
    }
    if (starts_with(endpoint, IPC_SCHEME) && endpoint[strlen(IPC_SCHEME)] != '\0') {
        return TL_OK;
    }
    if (!starts_with(endpoint, TCP_SCHEME)) {
        return tl_fail(
            TL_EINVAL, "endpoint: got \"%s\", want tcp://ADDRESS:PORT or ipc://PATH", endpoint);
    }
    if (is_loopback(endpoint) || has_keys) {
        return has_port(endpoint) ? TL_OK
                                  : tl_fail(
                                        TL_EINVAL,
                                        "endpoint: got \"%s\", want a port from 1 to 65535 "
                                        "after the address",
                                        endpoint);
    }
    return tl_fail(
        TL_EDENIED,
        "%s: others than this machine could reach it, and without keys (--keys DIR) nobody "
        "checks who they are; make some with tailor key new, or listen on "
        "tcp://127.0.0.1:PORT or ipc://PATH",
        endpoint);
}

void tl_endpoint_resolve(const char *endpoint, char out[TL_ENDPOINT_MAX_BYTES + 1])
{
    bool is_localhost = starts_with(endpoint, LOCALHOST);
    (void)snprintf(
        out, TL_ENDPOINT_MAX_BYTES + 1, "%s%s", is_localhost ? TCP_SCHEME "127.0.0.1:" : "",
        endpoint + (is_localhost ? strlen(LOCALHOST) : 0));
}

tl_err tl_endpoint_check_unused(const char *endpoint)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!starts_with(endpoint, IPC_SCHEME)) {
        return TL_OK;
    }
    const char *path = endpoint + strlen(IPC_SCHEME);
    if (strlen(path) >= sizeof address.sun_path) {
        return tl_fail(
            TL_EINVAL, "endpoint: the path of %s is longer than %zu bytes", endpoint,
            sizeof address.sun_path - 1);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return TL_OK; /* binding will say what is wrong */
    }
    bool is_used = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    (void)close(fd);
    return is_used
               ? tl_fail(
                     TL_EBUSY, "%s: address in use, a daemon listens there already", endpoint)
               : TL_OK;
}
