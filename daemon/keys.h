/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TL_DAEMON_KEYS_H
#define TL_DAEMON_KEYS_H

/*
 * Who may ask: the folder of `tailord --keys`, which `tailor key` writes.
 *
 *     server.key     the daemon's key pair; only its owner may read it
 *     NAME.client    public key, name and role of one client; nobody else may write it
 *
 * Other files are not read, NAME.key (what a client takes away) among them. Belongs to one
 * thread.
 */

#include "base/keyfile.h"
#include "daemon/method.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct tl_keys tl_keys;

typedef struct tl_key_client {
    char public_key[TL_KEY_CHARS + 1];
    char name[TL_NAME_MAX_BYTES + 1];
    tl_role role;
} tl_key_client;

/*
 * Reads the folder. Fails with TL_EDENIED where others may read the secret or write
 * anything, TL_EINVAL for a file that is none or a key that stands twice, else as
 * tl_file_read().
 */
TL_MUST_USE tl_err tl_keys_open(const char *dir, tl_keys **out_keys);
void tl_keys_close(tl_keys *keys); /* NULL is fine */

/* The daemon's secret key. Borrowed. */
const char *tl_keys_secret(const tl_keys *keys);
size_t tl_keys_n_clients(const tl_keys *keys);

/* The client of that public key, or NULL. Borrowed until the next reload. */
const tl_key_client *tl_keys_find(const tl_keys *keys, const char *public_key);

/* True when files came or went since the folder was read, and when it could not be read. */
bool tl_keys_is_stale(const tl_keys *keys);

/*
 * Reads the clients again. A file that cannot be read is left out and logged, so that a
 * mistake in one does not keep another one's removal from taking effect; so are all files that
 * hold one and the same key. When the folder itself cannot be read no client is known, but where
 * memory or descriptors are short everything stays as it was. Either way it is to be tried again
 * (tl_keys_is_stale()). The daemon's own pair stays.
 */
void tl_keys_reload(tl_keys *keys);

#endif
