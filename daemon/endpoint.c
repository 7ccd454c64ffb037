/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/endpoint.h"

#include <stddef.h>
#include <string.h>

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

tl_err tl_endpoint_check(const char *endpoint)
{
    if (strlen(endpoint) > TL_ENDPOINT_MAX_BYTES) {
        return tl_fail(TL_EINVAL, "endpoint: longer than %d bytes", (int)TL_ENDPOINT_MAX_BYTES);
    }
    if (starts_with(endpoint, "ipc://") || starts_with(endpoint, "inproc://")) {
        return TL_OK;
    }
    if (!starts_with(endpoint, "tcp://")) {
        return tl_fail(
            TL_EINVAL, "endpoint: got \"%s\", want tcp://ADDRESS:PORT or ipc://PATH", endpoint);
    }
    const char *host = endpoint + strlen("tcp://");
    if (is_loopback4(host) || starts_with(host, "[::1]:") || starts_with(host, "localhost:")) {
        return TL_OK;
    }
    return tl_fail(
        TL_EDENIED,
        "%s: others than this machine could reach it, and this version cannot check who they "
        "are; listen on tcp://127.0.0.1:PORT or ipc://PATH and reach it through ssh -L",
        endpoint);
}
