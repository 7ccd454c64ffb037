/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/metrics_http.h"

#include "base/log.h"
#include "base/mem.h"
#include "daemon/metrics_page.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    MAX_HOST_BYTES = 64,
    MAX_PORT = 65535,
    /* Enough that some who send or read slowly, or not at all, leave room for who asks. */
    MAX_CONNECTIONS = 64,
    MAX_CONNECTION_MEMORY_BYTES = 32 * 1024,
    TIMEOUT_S = 5, /* of silence */
    ADDRESS_BYTES = 128
};

static const char page_type[] = "text/plain; version=0.0.4; charset=utf-8";
static const char front_page[] = "tailord: the metrics are at /metrics\n";

struct tl_metrics_http {
    struct MHD_Daemon *daemon;
    tl_engine *engine;
    const tl_metrics *metrics;
    char address[ADDRESS_BYTES];
};

/* ---- the address ------------------------------------------------------------------------ */

typedef union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} socket_address;

static tl_err bad_address(const char *address)
{
    return tl_fail(
        TL_EINVAL,
        "metrics: got \"%s\", want HOST:PORT, as 127.0.0.1:9411, localhost:9411 or [::1]:9411",
        address);
}

static tl_err parse_port(const char *address, const char *text, uint16_t *out_port)
{
    char *end = NULL;
    size_t n_digits = strspn(text, "0123456789");
    if (n_digits == 0 || n_digits > 5 || text[n_digits] != '\0') {
        return bad_address(address);
    }
    long port = strtol(text, &end, 10);
    if (port > MAX_PORT) {
        return bad_address(address);
    }
    *out_port = (uint16_t)port;
    return TL_OK;
}

static tl_err parse_address(const char *address, socket_address *out)
{
    char host[MAX_HOST_BYTES];
    uint16_t port = 0;
    const char *colon = strrchr(address, ':');
    if (colon == NULL || (size_t)(colon - address) >= sizeof host) {
        return bad_address(address);
    }
    size_t len = (size_t)(colon - address);
    memcpy(host, address, len);
    host[len] = '\0';
    TL_TRY(parse_port(address, colon + 1, &port));
    memset(out, 0, sizeof *out);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        return inet_pton(AF_INET6, host + 1, &out->v6.sin6_addr) == 1 ? TL_OK
                                                                      : bad_address(address);
    }
    bool is_local = len == 0 || strcmp(host, "localhost") == 0;
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(port);
    return inet_pton(AF_INET, is_local ? "127.0.0.1" : host, &out->v4.sin_addr) == 1
               ? TL_OK
               : bad_address(address);
}

tl_err tl_metrics_http_check(const char *address)
{
    socket_address parsed;
    return parse_address(address, &parsed);
}

static bool is_loopback(const socket_address *a)
{
    return a->any.sa_family == AF_INET6
               ? IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr)
               : ntohl(a->v4.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
}

tl_err tl_metrics_http_check_reach(const char *address, bool has_keys)
{
    socket_address parsed;
    TL_TRY(parse_address(address, &parsed));
    return has_keys || is_loopback(&parsed)
               ? TL_OK
               : tl_fail(
                     TL_EDENIED,
                     "metrics: %s: others than this machine could reach it, which needs a "
                     "daemon with keys (--keys DIR); or give 127.0.0.1:PORT",
                     address);
}

/* ---- answering ---------------------------------------------------------------------------- */

static enum MHD_Result send_text(
    struct MHD_Connection *connection, unsigned status, const char *type, tl_text *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(text->len, text->data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* Fills text with what path has; the status. */
static unsigned make_page(const tl_metrics_http *http, const char *path, tl_text *text)
{
    if (strcmp(path, "/") == 0) {
        tl_text_add(text, front_page);
        return MHD_HTTP_OK;
    }
    if (strcmp(path, "/metrics") != 0) {
        tl_text_add(text, "no such page; the metrics are at /metrics\n");
        return MHD_HTTP_NOT_FOUND;
    }
    tl_err_clear();
    tl_err err = tl_metrics_page(http->engine, http->metrics, text);
    if (err != TL_OK) {
        tl_log(TL_LOG_WARN, "metrics: %s: %s", tl_err_name(err), tl_err_detail());
        tl_text_clear(text);
        tl_text_addf(text, "%s\n", tl_err_message(err));
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
    return MHD_HTTP_OK;
}

static enum MHD_Result answer(
    void *context,
    struct MHD_Connection *connection,
    const char *path,
    const char *method,
    const char *version,
    const char *upload,
    size_t *upload_len,
    void **request_context)
{
    static char seen;
    tl_text text = {0};
    unsigned status = MHD_HTTP_METHOD_NOT_ALLOWED;
    const char *type = "text/plain; charset=utf-8";
    (void)version;
    (void)upload;
    /* The first call is before a body, if any, was read: what is uploaded is thrown away. */
    if (*request_context == NULL) {
        *request_context = &seen;
        return MHD_YES;
    }
    if (*upload_len > 0) {
        *upload_len = 0;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0) {
        status = make_page(context, path, &text);
        type = strcmp(path, "/metrics") == 0 && status == MHD_HTTP_OK ? page_type : type;
    } else {
        tl_text_add(&text, "want GET\n");
    }
    enum MHD_Result result =
        tl_text_err(&text) == TL_OK ? send_text(connection, status, type, &text) : MHD_NO;
    tl_text_done(&text);
    return result;
}

/* ---- life ----------------------------------------------------------------------------------- */

/* What the library says of broken connections: no news, whoever scans ports causes it. */
static void TL_PRINTF(2, 0) hear(void *context, const char *format, va_list args)
{
    char line[256];
    (void)context;
    (void)vsnprintf(line, sizeof line, format, args);
    tl_log(TL_LOG_DEBUG, "metrics: %s", line);
}

static void name_address(tl_metrics_http *http, const socket_address *wanted)
{
    char host[INET6_ADDRSTRLEN] = "";
    bool is_v6 = wanted->any.sa_family == AF_INET6;
    const void *address =
        is_v6 ? (const void *)&wanted->v6.sin6_addr : (const void *)&wanted->v4.sin_addr;
    const union MHD_DaemonInfo *bound =
        MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    (void)inet_ntop(wanted->any.sa_family, address, host, sizeof host);
    (void)snprintf(
        http->address, sizeof http->address, "http://%s%s%s:%d/metrics", is_v6 ? "[" : "", host,
        is_v6 ? "]" : "", bound != NULL ? (int)bound->port : 0);
}

tl_err tl_metrics_http_open(
    const char *address,
    tl_engine *engine,
    const tl_metrics *metrics,
    tl_metrics_http **out_http)
{
    socket_address where;
    TL_TRY(parse_address(address, &where));
    tl_metrics_http *http = tl_mem_new(1, sizeof *http);
    if (http == NULL) {
        return tl_fail(TL_ENOMEM, "the metrics page");
    }
    http->engine = engine;
    http->metrics = metrics;
    /* Not by select(), which takes no descriptor of 1024 or more: with that many connections the
     * page would be gone when it is needed. */
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG;
    flags |= where.any.sa_family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0;
    http->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, answer, http, MHD_OPTION_EXTERNAL_LOGGER, hear, NULL,
        MHD_OPTION_SOCK_ADDR, &where.any, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MAX_CONNECTION_MEMORY_BYTES,
        MHD_OPTION_END);
    if (http->daemon == NULL) {
        tl_err err =
            tl_fail(TL_EIO, "metrics: cannot listen at %s: %s", address, strerror(errno));
        tl_mem_free(http);
        return err;
    }
    name_address(http, &where);
    *out_http = http;
    return TL_OK;
}

const char *tl_metrics_http_address(const tl_metrics_http *http)
{
    return http->address;
}

void tl_metrics_http_close(tl_metrics_http *http)
{
    if (http == NULL) {
        return;
    }
    MHD_stop_daemon(http->daemon);
    tl_mem_free(http);
}
