/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_BASE_KEYFILE_H
#define TL_BASE_KEYFILE_H

/*
 * Files that hold CURVE keys: lines of "name: value", '#' opens a comment line.
 *
 *     NAME.client    name, role, public           what the daemon knows of a client
 *     NAME.key       name, public, secret, server what the client needs; secret
 *     server.key     public, secret               the daemon's own; secret
 *
 * A key is 40 characters of Z85, as ZeroMQ writes them.
 *
 *     tl_key_file key;
 *     TL_TRY(tl_key_file_read("alice.key", TL_FILE_SECRET, &key));
 */

#include "base/file.h"
#include "base/name.h"
#include "base/text.h"

enum {
    TL_KEY_CHARS = 40,
    TL_KEY_ROLE_CHARS = 15,
    TL_KEY_FILE_MAX_BYTES = 4096
};

typedef struct tl_key_file { /* "" where the file says nothing */
    char name[TL_NAME_MAX_BYTES + 1];
    char role[TL_KEY_ROLE_CHARS + 1];
    char public_key[TL_KEY_CHARS + 1], secret_key[TL_KEY_CHARS + 1];
    char server_key[TL_KEY_CHARS + 1]; /* public */
} tl_key_file;

/* TL_EINVAL for what is no key; what opens the detail. */
TL_MUST_USE tl_err tl_key_check(const char *what, const char *key);

/* Any bytes. TL_EINVAL for an unknown or repeated line and for what is no key or name. */
TL_MUST_USE tl_err
tl_key_file_parse(const char *origin, const char *text, size_t len, tl_key_file *out_key);

/* Fails also as tl_file_read_guarded(). */
TL_MUST_USE tl_err
tl_key_file_read(const char *path, tl_file_guard guard, tl_key_file *out_key);

/* Appends the lines of what is not "". */
void tl_key_file_print(const tl_key_file *key, tl_text *text);

#endif
