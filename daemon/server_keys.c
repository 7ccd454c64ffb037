/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Keys at the sockets: CURVE for every endpoint that others could reach, and the ZAP
 * handler (ZeroMQ RFC 27) that says which keys may connect. Router thread only.
 *
 * Who sent a message is the User-Id that ZeroMQ attaches to it: the client's public key,
 * or LOCAL_USER of an ipc endpoint, where the rights of the socket's file decide. A message
 * without one is refused.
 */
#include "daemon/server_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"

#include <string.h>
#include <sys/stat.h>

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define CURVE_DOMAIN "tailor"
#define LOCAL_DOMAIN "local"
#define LOCAL_USER   "local"

enum {
    N_ZAP_FRAMES = 7, /* the longest request that we answer with yes */
    ZAP_FRAME_BYTES = 256,
    KEY_BYTES = 32,
    LOOK_EVERY_MS = 500
};

typedef struct zap_frame {
    size_t len;
    char data[ZAP_FRAME_BYTES];
} zap_frame;

tl_err tl_server_keys_open(tl_server *server)
{
    if (server->options.keys_dir == NULL) {
        return TL_OK;
    }
    TL_TRY(tl_keys_open(server->options.keys_dir, &server->keys));
    if ((server->zap = zmq_socket(server->context, ZMQ_REP)) == NULL ||
        zmq_bind(server->zap, ZAP_ENDPOINT) != 0) {
        return tl_server_zmq_failed("the keys' socket");
    }
    tl_log(TL_LOG_INFO, "%zu clients have a key", tl_keys_n_clients(server->keys));
    return TL_OK;
}

tl_err tl_server_keys_guard(tl_server *server, const char *endpoint)
{
    if (server->keys == NULL) {
        return TL_OK;
    }
    int is_curve = tl_endpoint_has_owner(endpoint) ? 0 : 1;
    const char *domain = is_curve ? CURVE_DOMAIN : LOCAL_DOMAIN;
    /* The secret turns CURVE on; the last option says whether it stays so. */
    if (zmq_setsockopt(
            server->router, ZMQ_CURVE_SECRETKEY, tl_keys_secret(server->keys),
            TL_KEY_CHARS + 1) != 0 ||
        zmq_setsockopt(server->router, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) != 0 ||
        zmq_setsockopt(server->router, ZMQ_CURVE_SERVER, &is_curve, sizeof is_curve) != 0) {
        return tl_server_zmq_failed(endpoint);
    }
    return TL_OK;
}

tl_err tl_server_keys_check_bound(const tl_server *server, const char *endpoint)
{
    struct stat status;
    if (server->keys == NULL || !tl_endpoint_has_owner(endpoint)) {
        return TL_OK;
    }
    const char *path = endpoint + strlen("ipc://");
    if (stat(path, &status) == 0 && (status.st_mode & S_IWOTH) != 0) {
        return tl_fail(
            TL_EDENIED,
            "%s: everyone on this machine may use it, and no key is asked for there; start with "
            "another umask, or with SocketMode=0660 in its unit",
            endpoint);
    }
    return TL_OK;
}

/* ---- the handler -------------------------------------------------------------------- */

/* Reads all frames, as far as they fit; the number of them, 0 when nothing waits. */
static int receive_frames(void *zap, zap_frame frames[N_ZAP_FRAMES])
{
    int n = 0;
    for (int more = 1; more != 0; n++) {
        zap_frame spare;
        zap_frame *f = n < N_ZAP_FRAMES ? &frames[n] : &spare;
        size_t size = sizeof more;
        int len = zmq_recv(zap, f->data, sizeof f->data, n == 0 ? ZMQ_DONTWAIT : 0);
        if (len < 0) {
            return 0;
        }
        f->len = (size_t)len;
        if (zmq_getsockopt(zap, ZMQ_RCVMORE, &more, &size) != 0) {
            return 0;
        }
    }
    return n;
}

static bool says(const zap_frame *f, const char *text)
{
    return f->len == strlen(text) && memcmp(f->data, text, f->len) == 0;
}

/* One line a second of keys that are not known: strangers do not fill the log. Metrics count all. */
static tl_log_level level_of_unknown(tl_server *server)
{
    return tl_log_is_due(1, &server->told_unknown_ns) ? TL_LOG_WARN : TL_LOG_DEBUG;
}

/* The user behind a request, or NULL. out_key holds a public key. */
static const char *find_user(
    tl_server *server, const zap_frame *frames, int n, char out_key[TL_KEY_CHARS + 1])
{
    bool is_curve = n == 7 && says(&frames[5], "CURVE") && says(&frames[2], CURVE_DOMAIN) &&
                    frames[6].len == KEY_BYTES;
    if (n == 6 && says(&frames[5], "NULL") && says(&frames[2], LOCAL_DOMAIN)) {
        return LOCAL_USER;
    }
    if (!is_curve ||
        zmq_z85_encode(out_key, (const uint8_t *)frames[6].data, KEY_BYTES) == NULL) {
        return NULL;
    }
    const tl_key_client *client = tl_keys_find(server->keys, out_key);
    tl_log(
        client != NULL ? TL_LOG_DEBUG : level_of_unknown(server),
        "%.*s connects with the key %s: %s",
        (int)(frames[3].len < ZAP_FRAME_BYTES ? frames[3].len : 0), frames[3].data, out_key,
        client != NULL ? client->name : "unknown, refused");
    return client != NULL ? out_key : NULL;
}

bool tl_server_keys_answer(tl_server *server)
{
    zap_frame frames[N_ZAP_FRAMES];
    char key[TL_KEY_CHARS + 1] = "";
    int n = receive_frames(server->zap, frames);
    if (n == 0) {
        return false;
    }
    bool is_whole = n >= 2 && frames[1].len <= ZAP_FRAME_BYTES && says(&frames[0], "1.0");
    const char *user = is_whole ? find_user(server, frames, n, key) : NULL;
    const char *said[] = {
        user != NULL ? "200" : "400", user != NULL ? "OK" : "unknown key",
        user != NULL ? user : "", ""};
    bool is_sent =
        zmq_send(server->zap, "1.0", 3, ZMQ_SNDMORE) >= 0 &&
        zmq_send(server->zap, frames[1].data, is_whole ? frames[1].len : 0, ZMQ_SNDMORE) >= 0;
    for (size_t i = 0; i < TL_COUNT(said) && is_sent; i++) {
        int flags = i + 1 < TL_COUNT(said) ? ZMQ_SNDMORE : 0;
        is_sent = zmq_send(server->zap, said[i], strlen(said[i]), flags) >= 0;
    }
    if (!is_sent) {
        tl_log(
            TL_LOG_ERROR, "a handshake could not be answered: %s", zmq_strerror(zmq_errno()));
    }
    return true;
}

/* ---- messages ------------------------------------------------------------------------- */

tl_err tl_server_keys_identify(tl_task *t, const zmq_msg_t *payload)
{
    const tl_server *server = t->server;
    t->role = TL_ROLE_ADMIN;
    if (server->keys == NULL) {
        return TL_OK;
    }
    const char *user = zmq_msg_gets(payload, "User-Id");
    if (user != NULL && strcmp(user, LOCAL_USER) == 0) {
        return TL_OK;
    }
    const tl_key_client *client = user != NULL ? tl_keys_find(server->keys, user) : NULL;
    if (client == NULL) {
        t->role = TL_ROLE_READER;
        return tl_fail(TL_EDENIED, "this client's key is not known any more");
    }
    t->role = client->role;
    (void)memcpy(t->key_name, client->name, sizeof t->key_name);
    return TL_OK;
}

void tl_server_keys_look(tl_server *server, bool is_asked)
{
    int64_t now_ns = tl_clock_ns();
    if (!is_asked && now_ns - server->keys_looked_ns < LOOK_EVERY_MS * TL_NS_PER_MS) {
        return;
    }
    server->keys_looked_ns = now_ns;
    if (is_asked || tl_keys_is_stale(server->keys)) {
        tl_keys_reload(server->keys);
    }
}
