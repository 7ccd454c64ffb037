/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/c/impl.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

_Static_assert((int)TAILOR_KEY_BYTES == (int)TL_KEY_CHARS + 1, "one length");

tailor_err tailor_key_pair(
    char out_public_key[TAILOR_KEY_BYTES], char out_secret_key[TAILOR_KEY_BYTES])
{
    if (zmq_curve_keypair(out_public_key, out_secret_key) != 0) {
        return tl_client_err(
            tl_fail(TL_EIO, "ZeroMQ makes no keys: %s", zmq_strerror(zmq_errno())));
    }
    return TAILOR_OK;
}

static tl_err check(const char *what, const char *key)
{
    return key != NULL ? tl_key_check(what, key) : tl_fail(TL_EINVAL, "%s is missing", what);
}

static tl_err take_given(const tailor_options *options, tl_key_file *out)
{
    TL_TRY(check("server_key", options->server_key));
    TL_TRY(check("public_key", options->public_key));
    TL_TRY(check("secret_key", options->secret_key));
    memcpy(out->server_key, options->server_key, sizeof out->server_key);
    memcpy(out->public_key, options->public_key, sizeof out->public_key);
    memcpy(out->secret_key, options->secret_key, sizeof out->secret_key);
    return TL_OK;
}

static tl_err read_file(const char *path, tl_key_file *out)
{
    tl_key_file file;
    TL_TRY(tl_key_file_read(path, TL_FILE_SECRET, &file));
    if (file.server_key[0] == '\0' || file.public_key[0] == '\0' ||
        file.secret_key[0] == '\0') {
        return tl_fail(
            TL_EINVAL, "%s: want the lines server, public and secret, as tailor key new writes",
            path);
    }
    *out = file;
    return TL_OK;
}

tl_err tl_client_find_keys(
    const tailor_options *options, const char *endpoint, tl_key_file *out_keys)
{
    static const char ipc[] = "ipc://";
    bool is_file = strncmp(endpoint, ipc, strlen(ipc)) == 0 && endpoint[strlen(ipc)] != '@';
    const char *path = options->key_file != NULL ? options->key_file : getenv("TAILOR_KEY");
    memset(out_keys, 0, sizeof *out_keys);
    if (is_file) {
        return TL_OK;
    }
    if (options->server_key != NULL || options->public_key != NULL ||
        options->secret_key != NULL) {
        return take_given(options, out_keys);
    }
    return path != NULL && path[0] != '\0' ? read_file(path, out_keys) : TL_OK;
}
